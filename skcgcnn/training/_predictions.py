"""Predictions of every target of a model, as a CSV file and as a report."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write
from skcgcnn.estimators import BaseCGCNN, Prediction
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.reports import PredictionResult, prediction_report


def write_predictions(
    target: Any,
    cif_ids: list[str],
    predictions: list[Prediction],
    truth: npt.NDArray[Any] | None = None,
) -> None:
    """Write predictions as CSV: a header, and one line per crystal.

    For every target its name (where the truth is known), ``<name>_pred``, ``<name>_std`` where the
    model knows it, and for classes the probability: ``<name>_proba`` of the second of two,
    ``<name>_proba_<class>`` of more.

    Parameters
    ----------
    target : Path or file object
        Where to write; an existing file is replaced once the new one is complete.
    cif_ids : list of str
    predictions : list of Prediction
    truth : ndarray of shape (n_crystals, n_targets), optional
        The true targets.
    """
    columns: list[tuple[str, Any]] = [("cif_id", cif_ids)]
    for index, prediction in enumerate(predictions):
        name = prediction.target.name
        if truth is not None:
            columns.append((name, truth[:, index]))
        columns.append((f"{name}_pred", prediction.values))
        if prediction.std is not None:
            columns.append((f"{name}_std", prediction.std))
        columns += _proba_columns(prediction).items()
    if isinstance(target, Path):
        with atomic_write(target) as file:
            _write_csv(file, columns)
    else:
        _write_csv(target, columns)


def write_prediction_report(
    target: Path,
    model: str,
    est: BaseCGCNN,
    graphs: CrystalGraphs,
    cif_ids: list[str],
    paths: list[Any],
    predictions: list[Prediction],
    training: tuple[list[str], list[str]] | None = None,
) -> None:
    """Write an HTML file with figures of predictions.

    Parameters
    ----------
    target : Path
        The file.
    model : str
        Name of the model.
    est : BaseCGCNN
        The model.
    graphs : CrystalGraphs
        Of the crystals.
    cif_ids, paths : list
        Their names, and where they come from.
    predictions : list of Prediction
    training : tuple of list of str, optional
        Ids and paths of the crystals that the model was trained on: those unlike all of them are
        named.
    """
    result = PredictionResult(
        name=model,
        est=est,
        graphs=graphs,
        ids=cif_ids,
        paths=paths,
        predictions=predictions,
        training=None if training is None else est.get_transformer().transform(training[1]),
        training_ids=[] if training is None else training[0],
    )
    with atomic_write(target) as file:
        file.write(prediction_report(result))


def _write_csv(file: Any, columns: list[tuple[str, Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for row in zip(*(values for _, values in columns), strict=True):
        writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        # Whole numbers in a column of floats are labels as a rule: 1, not 1.0.
        if math.isnan(value):
            return ""
        return int(value) if float(value).is_integer() else f"{value:.8g}"
    return value


def _proba_columns(prediction: Prediction) -> dict[str, Any]:
    name, classes, proba = prediction.target.name, prediction.target.classes, prediction.proba
    if proba is None or classes is None:
        return {}
    if len(classes) == 2:
        return {f"{name}_proba": proba[:, 1]}
    return {f"{name}_proba_{label}": proba[:, i] for i, label in enumerate(classes)}
