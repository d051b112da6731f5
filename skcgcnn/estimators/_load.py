"""Load fitted estimators, and write checkpoints and weight files of the original code."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import joblib

from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._classifier import CGCNNClassifier
from skcgcnn.estimators._multitask import CGCNNMultiTask
from skcgcnn.estimators._regressor import CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import (
    OFFICIAL,
    PICKLES,
    ModelState,
    find_model,
    read_model_file,
    write_cgcnn,
    write_checkpoint,
)

_ESTIMATORS: dict[str, type[BaseCGCNN]] = {
    cls.__name__: cls for cls in (CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask)
}


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
        If it is something else, damaged, or written by a newer major version.

    Examples
    --------
    >>> import skcgcnn
    >>> est = skcgcnn.load("model.safetensors")  # doctest: +SKIP
    """
    return from_model_state(read_model_file(path), str(path), device)


def from_model_state(
    state: ModelState, name: str, device: Any = "auto", accelerator: Any = None
) -> BaseCGCNN:
    """Return the fitted estimator that a state describes.

    Parameters
    ----------
    state : ModelState
        What `read_model_file` returns.
    name : str
        Its name in messages.
    device : str or torch.device, default="auto"
        Where the estimator goes.
    accelerator : accelerate.Accelerator, optional
        Processes on which its training goes on.

    Returns
    -------
    CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask

    Raises
    ------
    DataError
        If this version has no such estimator, or the state does not fit it.
    """
    if state.estimator not in _ESTIMATORS:
        raise DataError(f"{name}: holds a {state.estimator!r}, which this version does not know")
    cls = _ESTIMATORS[state.estimator]
    return cls._from_model_state(state, name, device, accelerator)


def save_checkpoint(
    est: BaseCGCNN,
    path: str | PathLike[str],
    run: dict[str, Any] | None = None,
    *,
    metrics: Mapping[str, float] | None = None,
    training: bool = True,
) -> None:
    """Write a fitted estimator as a torch file.

    The file holds tensors and plain values only, so it loads without running any code. It is
    written under a temporary name and moved, so that there is never half a file.

    Parameters
    ----------
    est : fitted estimator
        Parameters that are no plain values, such as callbacks, are left out.
    path : path
        Where to write.
    run : dict, optional
        Plain values of the training run to keep with it.
    metrics : mapping of str to float, optional
        Measures of the model's quality, by name.
    training : bool, default=True
        Whether to write what training needs to go on, such as the state of the optimizer.

    Warns
    -----
    UserWarning
        Names the parameters that are left out.
    """
    state = est._get_model_state(training=training)
    if metrics is not None:
        state = replace(state, provenance=replace(state.provenance, metrics=metrics))
    if state.training is not None:
        state = replace(state, training=replace(state.training, run=run or {}))
    write_checkpoint(state, path)


def load_checkpoint(
    path: str | PathLike[str], device: str = "auto"
) -> tuple[BaseCGCNN, dict[str, Any]]:
    """Load what `save_checkpoint` wrote, to train on.

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
    state = read_model_file(path)
    if state.training is None:
        raise DataError(
            f"{path}: is a model ({state.provenance.source}), but not a checkpoint from which "
            "training can go on; use skcgcnn.load"
        )
    return from_model_state(state, str(path), device), state.training.run


def load_cgcnn(path: str | PathLike[str]) -> CGCNNRegressor | CGCNNClassifier:
    """Load a weight file of the original CGCNN code.

    Parameters
    ----------
    path : path
        A ``.pth.tar`` file as the original ``main.py`` or `save_cgcnn` writes it.

    Returns
    -------
    CGCNNRegressor or CGCNNClassifier
        Fitted: the network is built from the file's own ``args``, and its normalizer gives the
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
    state = read_model_file(path)
    if state.provenance.source != OFFICIAL:
        raise DataError(
            f"{path}: is a {state.provenance.source}, not a weight file of CGCNN; use skcgcnn.load"
        )
    cls = CGCNNRegressor if state.estimator == "CGCNNRegressor" else CGCNNClassifier
    return cls._from_model_state(state, str(path))


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
    distant neighbors is cut. With `atom_features` of your own, give the original the same
    ``atom_init.json``. The file holds float32 numbers, as the original computes with.

    References
    ----------
    T. Xie and J. C. Grossman, https://github.com/txie-93/cgcnn (MIT license).
    """
    write_cgcnn(est._get_model_state(), path)


def load_model(
    model: str | PathLike[str],
    device: str = "auto",
    data_home: str | PathLike[str] | None = None,
    *,
    trust: bool = False,
) -> BaseCGCNN:
    """Load a model of any kind.

    Parameters
    ----------
    model : path or str
        A file that `load` takes, the name of an official model, or an estimator that joblib or
        pickle wrote (``.joblib``, ``.pkl``). The last can run code when it is loaded, and needs
        `trust`.
    device : str, default="auto"
        Where it goes, but for a pickle.
    data_home : path, optional
        See `skcgcnn.modelfiles.fetch_pretrained`.
    trust : bool, default=False
        Whether to open files of joblib and pickle.

    Returns
    -------
    CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        Fitted.

    Raises
    ------
    DataError
        If it is something else.
    """
    path = find_model(model, data_home)
    if path.suffix not in PICKLES:
        return load(path, device)
    if not trust:
        raise DataError(
            f"{path}: a pickle can run code when it is loaded; open it with trust=True (--trust) "
            "if you know where it comes from"
        )
    return _load_pickled(path)


def _load_pickled(path: Path) -> BaseCGCNN:
    try:
        est = joblib.load(path)
    except Exception as error:  # unpickling raises whatever the bytes provoke
        raise DataError(f"{path}: cannot be loaded by joblib ({error!r})") from error
    if not isinstance(est, BaseCGCNN) or not hasattr(est, "net_"):
        raise DataError(f"{path}: holds a {type(est).__name__}, not a fitted estimator of skcgcnn")
    return est
