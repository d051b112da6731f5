"""Predictions of every target of a model, and their CSV file."""

import csv
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._base import BaseCGCNN
from skcgcnn._files import atomic_write
from skcgcnn.classifier import CGCNNClassifier
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.regressor import CGCNNRegressor

__all__ = ["Prediction", "predict_targets", "write_predictions"]


@dataclass(frozen=True)
class Prediction:
    """What a model says about one target.

    Attributes
    ----------
    name : str
        Name of the target.
    values : ndarray of shape (n_crystals,)
        Numbers or labels.
    proba : ndarray of shape (n_crystals, n_classes) or None
        Probabilities of the classes; None for a regression.
    classes : ndarray of shape (n_classes,) or None
        Their labels.
    """

    name: str
    values: npt.NDArray[Any]
    proba: npt.NDArray[np.float64] | None = None
    classes: npt.NDArray[Any] | None = None


def predict_targets(est: BaseCGCNN, X: Any, names: list[str]) -> list[Prediction]:
    """Predict every target of an estimator.

    Parameters
    ----------
    est : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The model.
    X : sequence of crystals, or CrystalGraphs
        See the estimator's `predict`.
    names : list of str
        Names of the targets.

    Returns
    -------
    list of Prediction
    """
    # Crystals are read once for all targets, and a long list of them chunk by chunk.
    with closing(est._graph_chunks(X)) as chunks:  # noqa: SLF001
        predicted = [_predict(est, graphs, names) for graphs in chunks]
    return [_join(parts) for parts in zip(*predicted, strict=True)]


def _predict(est: BaseCGCNN, graphs: CrystalGraphs, names: list[str]) -> list[Prediction]:
    if isinstance(est, CGCNNRegressor):
        columns = est.predict(graphs).reshape(len(graphs), -1).T
        return [Prediction(*found) for found in zip(names, columns, strict=True)]
    proba = est.predict_proba(graphs)
    if isinstance(est, CGCNNClassifier):
        return [Prediction(names[0], est.predict(graphs), proba, est.classes_)]
    predicted = est.predict(graphs)
    label = list(est.tasks).index("classification")
    return [
        Prediction(name, predicted[:, i], proba, est.classes_)
        if i == label
        else Prediction(name, predicted[:, i])
        for i, name in enumerate(names)
    ]


def _join(parts: Sequence[Prediction]) -> Prediction:
    values = np.concatenate([part.values for part in parts])
    probas = [part.proba for part in parts if part.proba is not None]
    return replace(parts[0], values=values, proba=np.concatenate(probas) if probas else None)


def write_predictions(
    target: Any,
    cif_ids: list[str],
    predictions: list[Prediction],
    truth: npt.NDArray[Any] | None = None,
) -> None:
    """Write predictions as CSV with a header, a line a crystal.

    For every target its name (where the truth is known), ``<name>_pred``, and for classes the
    probability: ``<name>_proba`` of the second of two, ``<name>_proba_<class>`` of more.

    Parameters
    ----------
    target : Path or file object
        Where to write; a path is replaced once the file is complete.
    cif_ids : list of str
    predictions : list of Prediction
    truth : ndarray of shape (n_crystals, n_targets), optional
        The true targets.
    """
    columns: dict[str, Any] = {"cif_id": cif_ids}
    for index, prediction in enumerate(predictions):
        if truth is not None:
            columns[prediction.name] = truth[:, index]
        columns[f"{prediction.name}_pred"] = prediction.values
        columns.update(_proba_columns(prediction))
    if isinstance(target, Path):
        with atomic_write(target) as file:
            _write_csv(file, columns)
    else:
        _write_csv(target, columns)


def _write_csv(file: Any, columns: dict[str, Any]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        # Whole numbers in a column of floats are labels as a rule: 1, not 1.0.
        if math.isnan(value):
            return ""
        return int(value) if float(value).is_integer() else f"{value:.8g}"
    return value


def _proba_columns(prediction: Prediction) -> dict[str, Any]:
    if prediction.proba is None or prediction.classes is None:
        return {}
    if len(prediction.classes) == 2:  # noqa: PLR2004
        return {f"{prediction.name}_proba": prediction.proba[:, 1]}
    return {
        f"{prediction.name}_proba_{label}": prediction.proba[:, i]
        for i, label in enumerate(prediction.classes)
    }
