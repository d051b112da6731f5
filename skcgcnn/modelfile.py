"""Read model files as data: what is in them, without running anything of it."""

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from skcgcnn import __version__
from skcgcnn._plain import from_plain
from skcgcnn.exceptions import DataError
from skcgcnn.nn import GAUSSIAN_STEP, CrystalGraphConvNet, Task
from skcgcnn.structures import MAX_LENGTH

__all__ = ["ModelFile", "check_version", "read_model_file", "tasks_of"]

OFFICIAL, CHECKPOINT, SAVED = "CGCNN weights", "skcgcnn checkpoint", "skcgcnn model"
METADATA_KEY = "skcgcnn"
# Files that run code when they are loaded; never opened here.
PICKLES = {".joblib", ".pkl", ".pickle"}

# What a file may hold besides tensors and plain containers: NumPy's scalars, in the official
# classification weights. NumPy 1 knew their constructor by another name.
_scalar = np.float64(0).__reduce__()[0]
_SAFE_GLOBALS: list[Any] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]
# What content that is not as it should be provokes.
BUILD_ERRORS = (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError)
_LAYER = re.compile(r"(convs|fcs)\.(\d+)\.")


@dataclass(frozen=True)
class ModelFile:
    """What stands in a model file.

    Attributes
    ----------
    path : Path
        The file.
    kind : str
        Who wrote it: "CGCNN weights", "skcgcnn checkpoint" or "skcgcnn model".
    version : str or None
        Version of this library that wrote it; None for CGCNN.
    estimator : str
        Name of the estimator's class.
    params : dict
        Constructor parameters.
    fitted : dict
        Fitted attributes but for the network.
    weights : dict of Tensor
        The network that predicts, checked to be one.
    targets, units : list of str
        Name and unit of every target; an empty unit is unknown or none.
    metrics : dict of float
        Measures of the model's quality by name.
    content : dict
        The rest, as it stands in the file.
    """

    path: Path
    kind: str
    version: str | None
    estimator: str
    params: dict[str, Any]
    fitted: dict[str, Any]
    weights: dict[str, Tensor]
    targets: list[str]
    units: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)


def read_model_file(path: str | PathLike[str]) -> ModelFile:
    """Read a model file of any kind but pickles of whole estimators.

    Parameters
    ----------
    path : path
        A file of ``estimator.save``, `save_checkpoint` or the original CGCNN code.

    Returns
    -------
    ModelFile

    Raises
    ------
    DataError
        If it is none of these, damaged, or written by a newer major version.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix in PICKLES:
        raise DataError(
            f"{path}: a pickle can run code when it is loaded, so it is not opened here; load it "
            "with joblib if you trust it, and pass or save the estimator"
        )
    # A safetensors file begins with the length of its header in 8 bytes, then JSON.
    is_safetensors = _starts_with(path, b"{", skip=8)
    content, weights = _read_safetensors(path) if is_safetensors else (_load(path), None)
    try:
        if weights is not None:
            file = _saved(path, content, weights)
        elif "args" in content:
            file = _official(path, content)
        elif "skcgcnn" in content:
            file = _checkpoint(path, content)
        else:
            raise ValueError(f"it holds {sorted(map(str, content))}")
        _check_network(file)
    except DataError:
        raise
    except BUILD_ERRORS as error:
        raise DataError(f"{path}: not a model of CGCNN or skcgcnn ({error!r})") from error
    return file


def check_version(version: str, what: str) -> None:
    """Refuse what a newer major version wrote.

    Parameters
    ----------
    version : str
        The version that wrote it.
    what : str
        What it is, for the message.

    Raises
    ------
    DataError
        If its first number is higher than this version's.
    """
    theirs, ours = (int(text.partition(".")[0]) for text in (version, __version__))
    if theirs > ours:
        raise DataError(
            f"{what} was written by skcgcnn {version}, this is {__version__}; update skcgcnn"
        )


def tasks_of(fitted: dict[str, Any]) -> list[Task]:
    """Return the outputs of a network by the fitted attributes of its estimator."""
    if "task_classes_" in fitted:
        return [
            Task("regression", 1) if classes is None else Task("classification", len(classes))
            for classes in fitted["task_classes_"]
        ]
    if "classes_" in fitted:
        return [Task("classification", len(fitted["classes_"]))]
    return [Task("regression", 1)] * len(fitted["target_mean_"])


def _load(path: Path) -> dict[str, Any]:
    refusal = f"{path}: cannot be loaded as a model file: "
    if _starts_with(path, b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                packed = any(item.compress_type != zipfile.ZIP_STORED for item in archive.filelist)
        except zipfile.BadZipFile as error:
            raise DataError(f"{refusal}it is damaged or of another kind") from error
        if packed:  # torch never packs; what is packed may unpack to any size
            raise DataError(f"{refusal}it is a compressed archive")
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+) ", str(error))
        why = f"it holds {found[1]}" if found else "it is damaged, of another kind, or holds"
        more = ", which is" if found else ""
        raise DataError(
            f"{refusal}{why}{more} more than tensors and plain values, which is not loaded for "
            "safety"
        ) from error
    except Exception as error:  # torch's unpickler raises whatever the bytes provoke
        raise DataError(f"{refusal}it is damaged or of another kind") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not a model")
    return content


def _starts_with(path: Path, start: bytes, skip: int = 0) -> bool:
    with path.open("rb") as file:
        return file.read(skip + len(start))[skip:] == start


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        content = json.loads(metadata[METADATA_KEY])
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: cannot be loaded as a model file: it is damaged or of another kind ({error})"
        ) from error
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: a safetensors file, but no model of skcgcnn") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: a safetensors file, but no model of skcgcnn")
    return content, weights


def _saved(path: Path, content: dict[str, Any], weights: dict[str, Tensor]) -> ModelFile:
    check_version(content["version"], str(path))
    return ModelFile(
        path,
        SAVED,
        content["version"],
        content["estimator"],
        _values(content["params"]),
        _values(content["fitted"]),
        weights,
        [str(name) for name in content["targets"]],
        [str(unit) for unit in content["units"]],
        {str(name): float(value) for name, value in content["metrics"].items()},
        content,
    )


def _checkpoint(path: Path, content: dict[str, Any]) -> ModelFile:
    check_version(content["skcgcnn"], str(path))
    run = content["run"]
    metrics = {"validation score": run.get("best_score")}
    for target, values in run.get("test", {}).items():
        metrics.update({f"test {name} of {target}": value for name, value in values.items()})
    return ModelFile(
        path,
        CHECKPOINT,
        content["skcgcnn"],
        content["estimator"],
        _values(content["params"]),
        _values(content["fitted"]),
        content["state_dict"],
        run.get("target_names", []),
        metrics={name: value for name, value in metrics.items() if value is not None},
        content=content,
    )


def _values(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: from_plain(value) for name, value in plain.items()}


def _official(path: Path, content: dict[str, Any]) -> ModelFile:
    args, weights = dict(content["args"]), dict(content["state_dict"])
    classification = args["task"] == "classification"
    width = weights["embedding.weight"].shape[0]
    n_gaussians = weights["convs.0.fc_full.weight"].shape[1] - 2 * width
    params = {name: int(args[name]) for name in ("atom_fea_len", "n_conv", "h_fea_len", "n_h")}
    params.update(radius=(n_gaussians - 1) * GAUSSIAN_STEP, max_num_nbr=12)
    normalizer = {} if classification else content["normalizer"]
    fitted: dict[str, Any] = {
        "target_mean_": np.array([float(normalizer.get("mean", 0.0))]),
        "target_scale_": np.array([float(normalizer.get("std", 1.0))]),
        "n_iter_": int(content["epoch"]),
        "graph_layout_": (12, weights["embedding.weight"].shape[1]),
    }
    if "train_size" in args:
        fitted["n_samples_fit_"] = int(args["train_size"])
    if classification:
        n_classes = len(weights["fc_out.bias"])
        fitted["classes_"] = np.array(args.get("classes", range(n_classes)))
    else:
        fitted.update(n_outputs_=1, _y_ndim=1)
    best = float(content.get("best_mae_error", np.nan))
    measure = "validation ROC AUC" if classification else "validation MAE"
    return ModelFile(
        path,
        OFFICIAL,
        None,
        "CGCNNClassifier" if classification else "CGCNNRegressor",
        {**params, "neighbor_ties": args.get("neighbor_ties", "official")},
        fitted,
        weights,
        [path.name.split(".")[0]],
        metrics={} if np.isnan(best) else {measure: best},
        content=content,
    )


def _check_tensors(weights: Mapping[str, Any]) -> None:
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise TypeError(f"{name} is no tensor of numbers")
        size = tensor.numel() * tensor.element_size()
        if not tensor.is_contiguous() or tensor.untyped_storage().nbytes() < size:
            raise ValueError(f"{name} is smaller in the file than its shape says")


def _check_network(file: ModelFile) -> None:
    """Check, before anything is allocated, that the weights are those of the network named."""
    weights = file.weights
    _check_tensors(weights)
    layers = {match[0] for match in map(_LAYER.match, weights) if match}
    counts = {kind: sum(layer.startswith(kind) for layer in layers) for kind in ("convs", "fcs")}
    found = {
        "atom_fea_len": len(weights["embedding.weight"]),
        "n_conv": counts["convs"],
        "h_fea_len": len(weights["conv_to_fc.weight"]),
        "n_h": 1 + counts["fcs"],
    }
    defaults = {"atom_fea_len": 64, "n_conv": 3, "h_fea_len": 128, "n_h": 1}
    for name, value in found.items():
        said = file.params.get(name, defaults[name])
        if said != value:
            raise ValueError(f"size mismatch: {name}={said}, but the weights are of {value}")
    radius = float(file.params.get("radius", 8.0))
    if not 0 < radius <= MAX_LENGTH:
        raise ValueError(f"radius={radius:g} Å is none of a neighbour search")
    n_outputs = sum(task.n_outputs for task in tasks_of(file.fitted))
    if file.fitted.get("n_outputs_", n_outputs) != n_outputs:
        raise ValueError(f"size mismatch: {n_outputs} targets, {file.fitted['n_outputs_']} outputs")
    with torch.device("meta"):
        expected = CrystalGraphConvNet(
            weights["embedding.weight"].shape[1],
            n_outputs,
            radius=radius,
            **found,
        ).state_dict()
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
