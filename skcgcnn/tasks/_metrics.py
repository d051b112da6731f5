"""Metrics of one target over a whole test set."""

from typing import Any

import numpy as np
from sklearn import metrics

from skcgcnn._numbers import as_floats
from skcgcnn.tasks._columns import is_missing, without_mask


def regression_metrics(true: Any, predicted: Any) -> dict[str, float | None]:
    """Return MAE, RMSE and R² of a regression target.

    Parameters
    ----------
    true, predicted : array-like of shape (n_crystals,)
        Values in one unit.

    Returns
    -------
    dict
        ``mae``, ``rmse`` (in the unit of the target) and ``r2``; None where it is undefined (R²
        of fewer than two crystals, anything of none).

    Examples
    --------
    >>> regression_metrics([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])["mae"]
    0.333...
    """
    true, predicted = as_floats(true), as_floats(predicted)
    if not len(true):
        return {"mae": None, "rmse": None, "r2": None}
    return {
        "mae": float(metrics.mean_absolute_error(true, predicted)),
        "rmse": float(metrics.root_mean_squared_error(true, predicted)),
        "r2": float(metrics.r2_score(true, predicted)) if len(true) > 1 else None,
    }


def classification_metrics(
    true: Any, predicted: Any, proba: Any, classes: Any
) -> dict[str, float | None]:
    """Return accuracy, F1 and ROC AUC of a classification target.

    Parameters
    ----------
    true, predicted : array-like of shape (n_crystals,)
        Labels.
    proba : array-like of shape (n_crystals, n_classes)
        Predicted probabilities.
    classes : array-like of shape (n_classes,)
        The labels in the order of the columns of `proba`.

    Returns
    -------
    dict
        ``accuracy``, ``f1`` (of the second class; the mean over classes where there are more
        than two) and ``roc_auc`` (one class against the rest where there are more than two).
        None where it is undefined: the AUC of a set that lacks a class, anything of none.

    Raises
    ------
    ValueError
        If a label is missing, a predicted one is not among the classes, one of true labels and
        classes are texts and the other are not, or `proba` has another shape.

    Examples
    --------
    >>> classification_metrics([0, 1, 1], [0, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1])
    {'accuracy': 0.666..., 'f1': 0.666..., 'roc_auc': 1.0}
    """
    true, predicted = (np.asarray(without_mask(labels)) for labels in (true, predicted))
    for name, labels in (("true", true), ("predicted", predicted)):
        if (missing := is_missing(labels)).any():
            raise ValueError(f"{name}[{missing.argmax()}] is missing; leave that crystal out")
    classes, true, predicted = np.asarray(classes).tolist(), true.tolist(), predicted.tolist()
    if others := [label for label in predicted if label not in classes]:
        raise ValueError(f"predicted holds {others[0]!r}, but the classes are {classes}")
    if {isinstance(label, str) for label in true} == {not isinstance(classes[0], str)}:
        raise ValueError(
            f"true holds labels such as {true[0]!r}, but the classes are {classes}: texts on one "
            "side, and none on the other"
        )
    true = [classes.index(label) if label in classes else -1 for label in true]
    predicted = [classes.index(label) for label in predicted]
    proba = np.asarray(proba, dtype=float)
    if not true:
        return {"accuracy": None, "f1": None, "roc_auc": None}
    binary = len(classes) == 2
    complete = len(classes) > 1 and set(true) == set(range(len(classes)))
    auc = None
    if complete:
        if proba.shape != (len(true), len(classes)):
            raise ValueError(
                f"proba has shape {proba.shape}; expected {(len(true), len(classes))}, a row for "
                "each crystal and a column for each class"
            )
        scores = proba[:, 1] if binary else proba
        auc = float(metrics.roc_auc_score(true, scores, multi_class="ovr"))
    average = "binary" if binary and -1 not in true else "macro"
    return {
        "accuracy": float(metrics.accuracy_score(true, predicted)),
        "f1": float(metrics.f1_score(true, predicted, average=average, zero_division=0)),
        "roc_auc": auc,
    }
