"""Model files: what an estimator or a training run writes, and the official CGCNN weights."""

import json
from collections import OrderedDict
from os import PathLike
from pathlib import Path
from typing import Any

import joblib
import torch

from skcgcnn._base import BaseCGCNN
from skcgcnn._files import atomic_write
from skcgcnn._finetune import architecture
from skcgcnn._persistence import plain_state, restore_net
from skcgcnn._plain import to_plain
from skcgcnn.classifier import CGCNNClassifier
from skcgcnn.exceptions import DataError
from skcgcnn.modelfile import (
    BUILD_ERRORS,
    CHECKPOINT,
    OFFICIAL,
    PICKLES,
    ModelFile,
    read_model_file,
)
from skcgcnn.multitask import CGCNNMultiTask
from skcgcnn.pretrained import find_model
from skcgcnn.regressor import CGCNNRegressor

__all__ = [
    "architecture",
    "load",
    "load_cgcnn",
    "load_checkpoint",
    "load_model",
    "save_cgcnn",
    "save_checkpoint",
]

ESTIMATORS: dict[str, type[BaseCGCNN]] = {
    cls.__name__: cls for cls in (CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask)
}
# What the original code reads crystals with, whatever stands in a weight file.
_OFFICIAL_GRAPH = {"radius": 8.0, "max_num_nbr": 12}
_OFFICIAL_CLASSES = 2


def load(path: str | PathLike[str], device: Any = "auto") -> BaseCGCNN:
    """Load a fitted estimator from a file, without running anything in the file.

    Parameters
    ----------
    path : path
        What ``estimator.save`` or ``skcgcnn train`` wrote, or a weight file of the original
        CGCNN code.
    device : str or torch.device, default="auto"
        Where the estimator goes.

    Returns
    -------
    CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        Fitted, ready to predict.

    Raises
    ------
    DataError
        If it is none of these, damaged, or written by a newer major version.

    Examples
    --------
    >>> import skcgcnn
    >>> est = skcgcnn.load("model.safetensors")  # doctest: +SKIP
    """
    return _from_file(read_model_file(path), device)


def save_checkpoint(est: BaseCGCNN, path: str | PathLike[str], run: dict[str, Any]) -> None:
    """Write a fitted estimator, its optimizer included, so that training can go on.

    The file holds tensors and plain values only, so it loads without running any code. It is
    written under a temporary name and moved, so that there is never half a file.

    Parameters
    ----------
    est : fitted estimator
        Parameters that are no plain values, such as callbacks, are left out.
    path : path
        Where to write.
    run : dict
        Plain values of the training run to keep with it.

    Warns
    -----
    UserWarning
        Names the parameters that are left out.
    """
    net = est.net_
    state = plain_state(est)
    content = {
        **state,
        "skcgcnn": state.pop("version"),
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
    file = read_model_file(path)
    if file.kind != CHECKPOINT:
        raise DataError(f"{path}: is a file of {file.kind}, not a checkpoint; use skcgcnn.load")
    est, content = _from_file(file, device), file.content
    try:
        training = {
            "weights": content["trained_state_dict"],
            "n_steps": content["n_steps"],
            "optimizer": content["optimizer"],
        }
        history = json.loads(content["history"])
        restore_net(
            est,
            {
                "seed": content["seed"],
                "weights": file.weights,
                "history": history,
                "training": training,
            },
        )
        return est, content["run"]
    except BUILD_ERRORS as error:
        raise DataError(f"{path}: not a checkpoint of skcgcnn ({error!r})") from error


def load_cgcnn(path: str | PathLike[str]) -> CGCNNRegressor | CGCNNClassifier:
    """Load a weight file of the original CGCNN code.

    Parameters
    ----------
    path : path
        A ``.pth.tar`` file as the original ``main.py`` or `save_cgcnn` writes it.

    Returns
    -------
    CGCNNRegressor or CGCNNClassifier
        Fitted: the network is built from the file's own ``args``, and its normaliser gives the
        predictions their units.

    Raises
    ------
    DataError
        If it is not such a file.

    See Also
    --------
    CGCNNRegressor.from_pretrained : official models by name.

    Notes
    -----
    A weight file does not tell the units. Those of the official models:

    ============================= ============ =============================================
    name                          unit         meaning
    ============================= ============ =============================================
    ``band-gap``                  eV           band gap of a semiconductor
    ``bulk-moduli``               log10(GPa)   decimal logarithm of the bulk modulus
    ``efermi``                    eV           Fermi energy
    ``final-energy-per-atom``     eV/atom      total energy
    ``formation-energy-per-atom`` eV/atom      formation energy
    ``poisson-ratio``             none         Poisson ratio
    ``semi-metal-classification`` none         class 1 is a metal, class 0 a semiconductor
    ``shear-moduli``              log10(GPa)   decimal logarithm of the shear modulus
    ============================= ============ =============================================

    References
    ----------
    T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018).
    """
    file = read_model_file(path)
    if file.kind != OFFICIAL:
        raise DataError(f"{path}: is a {file.kind}, not a weight file of CGCNN; use skcgcnn.load")
    est = _from_file(file, "auto")
    if not isinstance(est, (CGCNNRegressor, CGCNNClassifier)):
        raise DataError(f"{path}: holds a {type(est).__name__}")
    return est


def save_cgcnn(est: CGCNNRegressor | CGCNNClassifier, path: str | PathLike[str]) -> None:
    """Write a fitted estimator as a weight file that the original CGCNN code predicts with.

    Parameters
    ----------
    est : fitted CGCNNRegressor or CGCNNClassifier
        With one target or two classes, which the original calls 0 and 1.
    path : path
        Where to write.

    Raises
    ------
    ValueError
        If the original code cannot have such a model; it names the parameter.

    Notes
    -----
    The original code reads the crystals itself, with ``neighbor_ties="official"``. An estimator
    that was fitted with "invariant" gets the same graphs from it but where a shell of equally
    distant neighbours is cut. With `atom_features` of your own, give the original the same
    ``atom_init.json``. The file holds float32 numbers, as the original computes with.

    References
    ----------
    T. Xie and J. C. Grossman, https://github.com/txie-93/cgcnn (MIT licence).
    """
    args = _official_args(est)
    weights = OrderedDict(
        (name, tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.cpu())
        for name, tensor in est.module_.state_dict().items()
        # No batches counted: a file from before torch did so, and it stays one.
        if not (name.endswith("num_batches_tracked") and tensor == 0)
    )
    content = {
        "epoch": est.n_iter_,
        "state_dict": weights,
        "best_mae_error": float("nan"),  # not known here
        "normalizer": {"mean": float(est.target_mean_[0]), "std": float(est.target_scale_[0])},
        "args": args,
    }
    with atomic_write(path, "wb") as file:
        torch.save(content, file)


def load_model(
    model: str | PathLike[str],
    device: str = "auto",
    data_home: str | PathLike[str] | None = None,
) -> tuple[BaseCGCNN, list[str]]:
    """Load a model of any kind, with the names of its targets.

    Parameters
    ----------
    model : path or str
        A file that `load` takes, the name of an official model, or an estimator that joblib or
        pickle wrote (``.joblib``, ``.pkl``). The last can run code when it is loaded: open only
        what you trust.
    device : str, default="auto"
        Where it goes, but for a pickle.
    data_home : path, optional
        See `skcgcnn.pretrained.fetch_pretrained`.

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
    path, _ = find_model(model, data_home)
    if path.suffix in PICKLES:
        return _load_pickled(path)
    file = read_model_file(path)
    return _from_file(file, device), file.targets


def _from_file(file: ModelFile, device: Any) -> BaseCGCNN:
    if file.estimator not in ESTIMATORS:
        raise DataError(
            f"{file.path}: holds a {file.estimator!r}, which this version does not know"
        )
    return ESTIMATORS[file.estimator]._from_file(file, device)  # noqa: SLF001 - as from_pretrained


def _load_pickled(path: Path) -> tuple[BaseCGCNN, list[str]]:
    try:
        est = joblib.load(path)
    except Exception as error:  # unpickling raises whatever the bytes provoke
        raise DataError(f"{path}: cannot be loaded by joblib ({error!r})") from error
    if not isinstance(est, BaseCGCNN) or not hasattr(est, "net_"):
        raise DataError(f"{path}: holds a {type(est).__name__}, not a fitted estimator of skcgcnn")
    return est, est._target_names()  # noqa: SLF001 - of the same library


def _official_args(est: CGCNNRegressor | CGCNNClassifier) -> dict[str, Any]:
    if not isinstance(est, (CGCNNRegressor, CGCNNClassifier)):
        raise ValueError(  # noqa: TRY004 - a model that the format has no place for
            f"the original CGCNN has no network like a {type(est).__name__}'s; use est.save"
        )
    for name, value in _OFFICIAL_GRAPH.items():
        if getattr(est, name) != value:
            raise ValueError(
                f"{name}={getattr(est, name)}, but the original code reads crystals with {value}"
            )
    task = est._tasks()  # noqa: SLF001 - of the same library
    n_outputs = _OFFICIAL_CLASSES if task[0].kind == "classification" else 1
    if sum(output.n_outputs for output in task) != n_outputs:
        raise ValueError(
            "the original CGCNN has 1 target or 2 classes, but the model has "
            f"{sum(output.n_outputs for output in task)}; use est.save"
        )
    sizes = ("atom_fea_len", "n_conv", "h_fea_len", "n_h", "neighbor_ties")
    args = {"task": task[0].kind, **{name: getattr(est, name) for name in sizes}}
    if hasattr(est, "n_samples_fit_"):
        args["train_size"] = est.n_samples_fit_
    if isinstance(est, CGCNNClassifier):
        args["classes"] = to_plain(est.classes_)["values"]
    return args
