"""Read model files as data: what is in them, without running anything of it."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from skcgcnn._files import user_path
from skcgcnn._parameters import SIZES, Parameters
from skcgcnn._recipes import is_auto
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles._cgcnn import read_cgcnn
from skcgcnn.modelfiles._checkpoint import KEY, read_checkpoint
from skcgcnn.modelfiles._safetensors import read_safetensors
from skcgcnn.modelfiles._schema import check_state
from skcgcnn.modelfiles._state import ModelState
from skcgcnn.modelfiles._torch_file import load_content
from skcgcnn.nn import GAUSSIAN_STEP, CrystalGraphConvNet

# Files that run code when they are loaded; never opened here.
PICKLES = {".joblib", ".pkl", ".pickle"}

# A file is in memory while it is read.
_MOST_BYTES = 4_000_000_000

# Errors raised while building a model from malformed content.
BUILD_ERRORS = (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError)


def read_model_file(path: str | PathLike[str]) -> ModelState:
    """Read a model file of any kind but pickles of whole estimators.

    Parameters
    ----------
    path : path
        A file of ``estimator.save``, of ``skcgcnn train`` or of the original CGCNN code.

    Returns
    -------
    ModelState
        Its weights fit the network that the rest of the file describes.

    Raises
    ------
    DataError
        If it is another kind of file, damaged, larger than 4 GB, or written by a newer major
        version.
    """
    path = user_path(path)
    _check_file(path)
    is_safetensors = _is_safetensors(path)
    content = {} if is_safetensors else load_content(path)
    is_whole = True
    try:
        if is_safetensors:
            state, is_whole = read_safetensors(path)
        elif "args" in content:
            state = read_cgcnn(content, path.name.split(".")[0])
        elif KEY in content:
            state = read_checkpoint(content)
        else:
            raise ValueError(f"it holds {sorted(map(str, content))}")
        check_state(state)
        _check_network(state)
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    except BUILD_ERRORS as error:
        raise DataError(f"{path}: not a model of CGCNN or skcgcnn ({error!r})") from error
    if not is_whole:
        raise DataError(f"{path}: is damaged, or of another version: it is not as it was written")
    return state


def _check_file(path: Path) -> None:
    """Refuse what is not even opened."""
    if path.is_dir():
        inside = path / "model.safetensors"
        hint = f"; did you mean {inside}?" if inside.is_file() else ""
        raise DataError(f"{path}: is a folder, not a model file{hint}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix in PICKLES:
        raise DataError(
            f"{path}: a pickle can run code when it is loaded, so it is not opened here; load it "
            "with joblib if you trust it, and pass or save the estimator"
        )
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: is larger than {_MOST_BYTES / 1e9:g} GB, as no model is")


def _is_safetensors(path: Path) -> bool:
    # Such a file begins with the length of its header in 8 bytes, then JSON.
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _check_network(state: ModelState) -> None:
    """Check, before anything is allocated, that the weights fit the network and the rest."""
    network, weights = state.network, state.weights
    # A file of a kB must not make a million layers.
    for name in ("n_conv", "n_h"):
        if network[name] > len(weights):
            raise ValueError(f"{name}={network[name]}, but the file holds {len(weights)} weights")
    said = {
        "n_outputs": sum(target.n_outputs for target in state.targets),
        "orig_atom_fea_len": state.graph_options.n_features,
        "n_globals": len(state.graph_options.global_features),
        **{name: state.params.get(name, getattr(Parameters, name)) for name in SIZES},
    }
    for name, value in said.items():
        if not is_auto(value) and value != network[name]:
            raise ValueError(f"size mismatch: {name}={value}, but the network has {network[name]}")
    radius = float(state.params.get("radius", Parameters.radius))
    if abs(radius - network["radius"]) > GAUSSIAN_STEP:
        raise ValueError(f"size mismatch: radius={radius}, but the network has {network['radius']}")
    heads = network["heads"]
    if heads is not None and heads != [target.n_outputs for target in state.targets]:
        raise ValueError(f"heads of {heads} outputs, which are not those of the targets")
    with torch.device("meta"):
        expected = CrystalGraphConvNet(**network).state_dict()
    for member in (weights, *state.more_weights):
        _check_weights(member, expected)


def _check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that weights have the names and shapes of those expected."""
    # Files from before torch 0.4.1 do not count batches; nothing here needs the count.
    missing = [
        name
        for name in expected
        if name not in weights and not name.endswith("num_batches_tracked")
    ]
    unexpected = sorted(set(weights) - set(expected))
    if missing or unexpected:
        raise ValueError(f"weights missing: {missing}; unexpected: {unexpected}")
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"size mismatch: {name} is {tuple(tensor.shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
