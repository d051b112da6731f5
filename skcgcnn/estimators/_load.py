"""Load fitted estimators."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import joblib

from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._classifier import CGCNNClassifier
from skcgcnn.estimators._multitask import CGCNNMultiTask
from skcgcnn.estimators._regressor import CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import PICKLES, find_model, read_model_file

_ESTIMATORS: dict[str, type[BaseCGCNN]] = {
    cls.__name__: cls for cls in (CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask)
}


def load(
    model: str | PathLike[str],
    device: Any = "auto",
    *,
    data_home: str | PathLike[str] | None = None,
    trust_pickle: bool = False,
) -> BaseCGCNN:
    """Load a fitted estimator, without running anything in its file.

    Parameters
    ----------
    model : path or str
        What ``estimator.save`` or ``skcgcnn train`` wrote; a weight file of the original CGCNN
        code; the name of a pretrained model (see `skcgcnn.modelfiles.PRETRAINED`, which tells
        units and meanings); or, with `trust_pickle`, an estimator that joblib or pickle wrote.
    device : str or torch.device, default="auto"
        Where the estimator goes, but for a pickle.
    data_home : path, optional
        Where official models are kept, see `skcgcnn.modelfiles.fetch_pretrained`.
    trust_pickle : bool, default=False
        Whether to open files of joblib and pickle (``.joblib``, ``.pkl``), which can run code.

    Returns
    -------
    CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        Fitted, ready to predict.

    Raises
    ------
    DataError
        If it is something else, damaged, or written by a newer major version.

    See Also
    --------
    CGCNNRegressor.from_pretrained : the same for a model that must be of one kind.

    Examples
    --------
    >>> import skcgcnn
    >>> skcgcnn.load("li-vacancy").target_names_
    ['formation_energy', 'defect_label']
    >>> est = skcgcnn.load("model.safetensors")  # doctest: +SKIP
    """
    return load_with_metrics(model, device, data_home=data_home, trust_pickle=trust_pickle)[0]


def load_with_metrics(
    model: str | PathLike[str],
    device: Any = "auto",
    *,
    data_home: str | PathLike[str] | None = None,
    trust_pickle: bool = False,
) -> tuple[BaseCGCNN, Mapping[str, float]]:
    """Load a fitted estimator as `load` does, and what its file tells of its errors.

    Both are of one reading: the file may be replaced.
    """
    path = find_model(model, data_home)
    if path.suffix not in PICKLES:
        state = read_model_file(path)
        est = _ESTIMATORS[state.estimator]._from_model_state(state, str(path), device)
        return est, state.provenance.metrics
    if not trust_pickle:
        raise DataError(
            f"{path}: a pickle can run code when it is loaded; open it with trust_pickle=True "
            "(--trust) if you know where it comes from"
        )
    return _load_pickled(path), {}


def _load_pickled(path: Path) -> BaseCGCNN:
    try:
        est = joblib.load(path)
    except Exception as error:  # unpickling raises whatever the bytes provoke
        raise DataError(f"{path}: cannot be loaded by joblib ({error!r})") from error
    if not isinstance(est, BaseCGCNN) or not hasattr(est, "net_"):
        raise DataError(f"{path}: holds a {type(est).__name__}, not a fitted estimator of skcgcnn")
    return est
