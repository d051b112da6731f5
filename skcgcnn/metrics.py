"""Metrics of one target over a whole test set, and scorers of one task of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcgcnn.estimators import predict_targets, readable, split_columns
from skcgcnn.tasks import TASKS, Prediction, classification_metrics, regression_metrics

__all__ = [
    "TaskScorer",
    "classification_metrics",
    "regression_metrics",
    "target_metrics",
    "task_scorers",
]


def target_metrics(true: Any, prediction: Prediction) -> dict[str, float | None]:
    """Return the metrics that fit the kind of a target.

    Crystals without a true value or without a prediction are left out.

    Parameters
    ----------
    true : ndarray of shape (n_crystals,)
        True values or labels; NaN or None is missing.
    prediction : Prediction
        What a model says about the target; NaN for crystals that could not be read.

    Returns
    -------
    dict
        Of `regression_metrics` or `classification_metrics`.
    """
    return prediction.target.metrics(np.asarray(true), prediction)


@dataclass(frozen=True)
class TaskScorer:
    """Scorer of one task: ``scorer(est, X, y)``; greater is better.

    Attributes
    ----------
    column : int
        Column of y.
    metric : {"neg_mae", "neg_rmse", "r2", "accuracy", "f1", "roc_auc"}
        The metric; see `regression_metrics` and `classification_metrics`.
    """

    column: int
    metric: str

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the score of an estimator; NaN where it is undefined.

        Parameters
        ----------
        estimator : fitted CGCNNMultiTask, or a Pipeline that ends in one
            The estimator.
        X : sequence of crystals, or CrystalGraphs
            See its `fit`.
        y : array-like or DataFrame of shape (n_crystals, n_tasks)
            All targets; missing ones are left out, and, with a warning, crystals that could not
            be read.

        Returns
        -------
        float
        """
        true = split_columns(y)[self.column]
        prediction = predict_targets(estimator, X)[self.column]
        readable(prediction.values, true, None)
        found = target_metrics(true, prediction)[self.metric.removeprefix("neg_")]
        sign = -1 if self.metric.startswith("neg_") else 1
        return float("nan") if found is None else sign * found


def task_scorers(
    est_or_tasks: Any, target_names: Sequence[str] | None = None
) -> dict[str, TaskScorer]:
    """Return scorers of every task, as a dict for ``scoring=``.

    scikit-learn's own scorers average over the columns of y, label column included.

    Parameters
    ----------
    est_or_tasks : CGCNNMultiTask, sequence of str, or mapping of str to str
        An estimator, its ``tasks``, or the kind of every target by its name.
    target_names : sequence of str, optional
        Names of the targets. By default those of a mapping or of a fitted estimator, else "y0",
        "y1" and so on.

    Returns
    -------
    dict of str to TaskScorer
        For a regression ``<name>_neg_mae``, ``<name>_neg_rmse`` and ``<name>_r2``; for the (first)
        classification ``<name>_accuracy``, ``<name>_f1`` and ``<name>_roc_auc``.

    Raises
    ------
    TypeError, ValueError
        If a task is of no kind in `skcgcnn.tasks.TASKS`, or has no name.

    Examples
    --------
    >>> tasks = {"formation_energy": "regression", "defect_label": "classification"}
    >>> sorted(task_scorers(tasks))[:3]
    ['defect_label_accuracy', 'defect_label_f1', 'defect_label_roc_auc']
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skcgcnn import CGCNNMultiTask
    >>> search = GridSearchCV(
    ...     CGCNNMultiTask(),
    ...     {"cls_weight": [0.1, 1.0]},
    ...     scoring=task_scorers(tasks),
    ...     refit="defect_label_roc_auc",
    ... )
    """
    tasks = getattr(est_or_tasks, "tasks", est_or_tasks)
    if isinstance(tasks, str) or not isinstance(tasks, (Sequence, Mapping)):
        raise TypeError(
            f"tasks={tasks!r}; expected a CGCNNMultiTask, a list of kinds, or kinds by name"
        )
    if target_names is None:
        default = [f"y{column}" for column in range(len(tasks))]
        target_names = getattr(est_or_tasks, "target_names_", default)
    if isinstance(tasks, Mapping):
        target_names, tasks = list(tasks), list(tasks.values())
    if unknown := [kind for kind in tasks if kind not in TASKS]:
        raise ValueError(f"tasks holds {unknown[0]!r}; expected one of {', '.join(TASKS)}")
    if len(target_names) != len(tasks):
        raise ValueError(f"{len(target_names)} target_names, but {len(tasks)} tasks")
    scorers = {}
    # The estimator has probabilities of the first classification only.
    classified = False
    for column, (name, kind) in enumerate(zip(target_names, tasks, strict=True)):
        task = TASKS[kind]
        if not task.is_number and classified:
            continue
        classified = classified or not task.is_number
        for metric in task.scorers:
            scorers[f"{name}_{metric}"] = TaskScorer(column, metric)
    return scorers
