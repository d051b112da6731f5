"""Predictions of every target of a model as a CSV file."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write
from skcgcnn.estimators import Prediction


def write_predictions(
    target: Any,
    cif_ids: list[str],
    predictions: list[Prediction],
    truth: npt.NDArray[Any] | None = None,
) -> None:
    """Write predictions as CSV: a header, and one line per crystal.

    For every target its name (where the truth is known), ``<name>_pred``, and for classes the
    probability: ``<name>_proba`` of the second of two, ``<name>_proba_<class>`` of more.

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
        columns += _proba_columns(prediction).items()
    if isinstance(target, Path):
        with atomic_write(target) as file:
            _write_csv(file, columns)
    else:
        _write_csv(target, columns)


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
