"""Model files: checkpoints of our own training runs, and the official CGCNN weights."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from skorch.history import History

from skcgcnn import __version__
from skcgcnn._base import BaseCGCNN
from skcgcnn._files import atomic_write
from skcgcnn.classifier import CGCNNClassifier
from skcgcnn.exceptions import DataError
from skcgcnn.multitask import CGCNNMultiTask
from skcgcnn.nn import GAUSSIAN_STEP
from skcgcnn.regressor import CGCNNRegressor

__all__ = ["load_cgcnn", "load_checkpoint", "load_model", "save_checkpoint"]

ESTIMATORS: dict[str, type[BaseCGCNN]] = {
    cls.__name__: cls for cls in (CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask)
}

# What a file may hold besides tensors and plain containers: NumPy's scalars, in the official
# classification weights. NumPy 1 knew their
# constructor by another name.
_SAFE_GLOBALS: list[Any] = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]


def save_checkpoint(est: BaseCGCNN, path: str | PathLike[str], run: dict[str, Any]) -> None:
    """Write a fitted estimator, its optimizer included, so that training can go on.

    The file holds tensors and plain values only, so it loads without running any code. It is
    written under a temporary name and moved, so that there is never half a file.

    Parameters
    ----------
    est : fitted estimator
        Its parameters must be plain values; callbacks are left out.
    path : path
        Where to write.
    run : dict
        Plain values of the training run to keep with it.
    """
    net = est.net_
    fitted = {
        name: _plain(value)
        for name, value in vars(est).items()
        if name != "net_" and (name.endswith("_") or name.startswith("_"))
    }
    content = {
        "skcgcnn": __version__,
        "estimator": type(est).__name__,
        "params": {**est.get_params(), "callbacks": None},
        "fitted": fitted,
        "seed": net.seed,
        "epoch": len(net.history),
        "history": json.dumps(list(net.history), default=float),
        "state_dict": est.module_.state_dict(),
        "trained_state_dict": net.module_.trained.state_dict(),
        "n_steps": int(net.module_.n_steps),
        "optimizer": net.optimizer_.state_dict(),
        "run": run,
    }
    with atomic_write(path, "wb") as file:
        torch.save(content, file)


def load_checkpoint(
    path: str | PathLike[str], device: str = "auto"
) -> tuple[BaseCGCNN, dict[str, Any]]:
    """Load what `save_checkpoint` wrote.

    Parameters
    ----------
    path : path
        A file of `save_checkpoint`.
    device : str, default="auto"
        Where the estimator goes.

    Returns
    -------
    est : CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        Fitted; a `partial_fit` goes on where the file was written.
    run : dict
        What was kept with it.

    Raises
    ------
    DataError
        If it is not such a file.
    """
    content = _load(path)
    try:
        est = ESTIMATORS[content["estimator"]](**{**content["params"], "device": device})
        for name, value in content["fitted"].items():
            setattr(est, name, _restored(value))
        _add_net(est, content["state_dict"], content["seed"])
        est.net_.module_.trained.load_state_dict(content["trained_state_dict"])
        est.net_.module_.n_steps.fill_(content["n_steps"])
        est.net_.optimizer_.load_state_dict(content["optimizer"])
        est.net_.history = History(json.loads(content["history"]))
        return est, content["run"]
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise DataError(f"{path}: not a checkpoint of skcgcnn ({error!r})") from error


def load_cgcnn(path: str | PathLike[str]) -> CGCNNRegressor | CGCNNClassifier:
    """Load a weight file of the original CGCNN code.

    Parameters
    ----------
    path : path
        A ``.pth.tar`` file as the original ``main.py`` writes it.

    Returns
    -------
    CGCNNRegressor or CGCNNClassifier
        Fitted: the network is built from the file's own ``args``, and its normaliser gives the
        predictions their units.

    Raises
    ------
    DataError
        If it is not such a file.
    """
    content = _load(path)
    try:
        args, weights = dict(content["args"]), content["state_dict"]
        est = _from_args(args, weights)
        classification = isinstance(est, CGCNNClassifier)
        normalizer = {} if classification else content["normalizer"]
        est.target_mean_ = np.array([float(normalizer.get("mean", 0.0))])
        est.target_scale_ = np.array([float(normalizer.get("std", 1.0))])
        est.n_iter_ = int(content["epoch"])
        _add_net(est, weights, seed=0)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise DataError(f"{path}: not a weight file of CGCNN ({error!r})") from error
    return est


def load_model(path: str | PathLike[str], device: str = "auto") -> tuple[BaseCGCNN, list[str]]:
    """Load a model file of any kind.

    Parameters
    ----------
    path : path
        A checkpoint of `save_checkpoint`, a weight file of the original CGCNN code, or an
        estimator that joblib or pickle wrote (``.joblib``, ``.pkl``). The last can run code when
        it is loaded: open only what you trust.
    device : str, default="auto"
        Where a checkpoint goes.

    Returns
    -------
    est : fitted estimator
    names : list of str
        Names of its targets.

    Raises
    ------
    DataError
        If it is none of these.
    """
    path = Path(path)
    if path.suffix in {".joblib", ".pkl", ".pickle"}:
        return _load_pickled(path)
    if "args" in _load(path):
        return load_cgcnn(path), [path.name.split(".")[0]]
    est, run = load_checkpoint(path, device)
    return est, run["target_names"]


def _load_pickled(path: Path) -> tuple[BaseCGCNN, list[str]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        est = joblib.load(path)
    except Exception as error:  # unpickling raises whatever the bytes provoke
        raise DataError(f"{path}: cannot be loaded by joblib ({error!r})") from error
    if not isinstance(est, BaseCGCNN) or not hasattr(est, "net_"):
        raise DataError(f"{path}: holds a {type(est).__name__}, not a fitted estimator of skcgcnn")
    if isinstance(est, CGCNNMultiTask):
        return est, est.target_names_
    n_targets = getattr(est, "n_outputs_", 1)
    return est, ["target"] if n_targets == 1 else [f"target_{i}" for i in range(n_targets)]


def _from_args(
    args: dict[str, Any], weights: dict[str, torch.Tensor]
) -> CGCNNRegressor | CGCNNClassifier:
    width = int(args["atom_fea_len"])
    n_gaussians = weights["convs.0.fc_full.weight"].shape[1] - 2 * width
    est = (CGCNNClassifier if args["task"] == "classification" else CGCNNRegressor)(
        atom_fea_len=width,
        n_conv=int(args["n_conv"]),
        h_fea_len=int(args["h_fea_len"]),
        n_h=int(args["n_h"]),
        radius=(n_gaussians - 1) * GAUSSIAN_STEP,
        neighbor_ties="official",
    )
    est.graph_layout_ = (est.max_num_nbr, weights["embedding.weight"].shape[1])
    if isinstance(est, CGCNNClassifier):
        est.classes_ = np.arange(len(weights["fc_out.bias"]))
    else:
        est.n_outputs_ = 1
        est._y_ndim = 1  # noqa: SLF001 - a fitted attribute that `fit` sets likewise
    return est


def _add_net(est: BaseCGCNN, weights: dict[str, torch.Tensor], seed: int) -> None:
    with torch.random.fork_rng():
        est.net_ = est._make_net(seed).initialize()  # noqa: SLF001 - as `fit` makes it
    module = est.net_.module_
    missing, unexpected = module.average.load_state_dict(weights, strict=False)
    # Files from before torch 0.4.1 do not count batches; nothing here needs the count.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"weights missing: {missing}; unexpected: {unexpected}")
    module.trained.load_state_dict(module.average.state_dict())


def _load(path: str | PathLike[str]) -> dict[str, Any]:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever the bytes provoke
        raise DataError(
            f"{path}: cannot be loaded as a model file: it is damaged, of another kind, or holds "
            "more than tensors and plain values, which is not loaded for safety"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not a model")
    return content


def _plain(value: Any) -> Any:
    """Return a fitted attribute as plain values, which load without pickle's powers."""
    if isinstance(value, np.ndarray):
        items = [item.item() if isinstance(item, np.generic) else item for item in value.tolist()]
        return {"dtype": str(value.dtype), "values": items}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return np.array(value["values"], dtype=value["dtype"])
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return value
