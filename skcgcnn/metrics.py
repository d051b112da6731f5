"""Metrics of one target over a whole test set, and scorers of one task of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from skcgcnn.estimators import predict_targets
from skcgcnn.tasks import (
    TASKS,
    Prediction,
    Task,
    checked_groups,
    classification_metrics,
    is_missing,
    readable,
    regression_metrics,
    split_columns,
    without_mask,
)

__all__ = [
    "HeldOutError",
    "TaskScorer",
    "classification_metrics",
    "held_out_error",
    "regression_metrics",
    "simplest",
    "target_metrics",
    "task_scorers",
]

# Of the bootstrap: ends of intervals are then right to a few percent of their length.
_DRAWS = 1000


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
class HeldOutError:
    """The error on crystals that were held out, with what is needed to judge it.

    ``str()`` of it is a sentence.

    Attributes
    ----------
    metric : {"mae", "accuracy"}
        Mean absolute error of a number, or share of the labels that are right.
    value : float
        On the crystals that were held out.
    low, high : float or None
        Ends of its 95 % interval by the bootstrap; None for a single crystal or group.
    n_crystals : int
        How many crystals it is from.
    simple : float or None
        The same of the simplest prediction: the median of the training crystals, which no other
        constant beats, or their most frequent label; None where that is not known.
    unit : str
        Of the number.
    composition : float or None
        The same of a model that knows the composition alone; None where there is none.
    n_folds : int
        Folds of the cross-validation; 0 for test crystals that no fold trains on.
    held_out : bool
        Whether it is known that the model was not trained on these crystals.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    n_crystals: int
    simple: float | None
    unit: str = ""
    composition: float | None = None
    n_folds: int = 0
    held_out: bool = True

    def __str__(self) -> str:
        what, simplest, unit = "mean absolute error", "the training median", f" {self.unit}"
        if self.metric == "accuracy":
            what, simplest, unit = "accuracy", "the most frequent training label", ""
        interval = "no interval"
        if self.low is not None and self.high is not None:
            interval = f"95 % interval {self.low:.3g} to {self.high:.3g}"
        kind = "test crystal" if self.held_out else "crystal"
        crystals = f"{self.n_crystals} {kind}{'s' if self.n_crystals > 1 else ''}"
        if self.n_folds:
            crystals = f"{self.n_crystals} crystals in {self.n_folds}-fold cross-validation"
        unit = unit.rstrip()
        text = f"{what} {self.value:.3g}{unit} ({interval}, {crystals})"
        if self.simple is not None:
            text += f"; predicting {simplest} gives {self.simple:.3g}{unit}"
        if self.composition is not None:
            text += f", extra trees on the composition {self.composition:.3g}{unit}"
        return text

    def to_numbers(self, name: str) -> dict[str, float]:
        """Return it as numbers by name, for a model file.

        Parameters
        ----------
        name : str
            Of the target.

        Returns
        -------
        dict of str to float
        """
        main = _main_name(name, self.metric, self.n_folds > 0)
        values = {what: getattr(self, field) for field, what in _BESIDE.items()}
        values["folds"] = self.n_folds or None
        beside = {f"{main}, {what}": v for what, v in values.items() if v is not None}
        return {main: self.value, **{key: float(value) for key, value in beside.items()}}

    @classmethod
    def from_numbers(
        cls, name: str, unit: str, numbers: Mapping[str, float], *, folds: bool
    ) -> Self | None:
        """Return what the numbers of a model file tell of a target.

        Parameters
        ----------
        name, unit : str
            Of the target.
        numbers : mapping of str to float
            See `to_numbers`.
        folds : bool
            Whether the error of a cross-validation is wanted, or that of test crystals.

        Returns
        -------
        HeldOutError or None
            None where they do not tell it.
        """
        for metric in ("mae", "accuracy"):
            main = _main_name(name, metric, folds)
            found: dict[str, Any] = {
                field: numbers.get(f"{main}, {what}") for field, what in _BESIDE.items()
            }
            n_crystals = found.pop("n_crystals")
            if main in numbers and n_crystals is not None:
                n_folds = int(found.pop("n_folds") or 0)
                return cls(
                    metric=metric,
                    value=numbers[main],
                    n_crystals=int(n_crystals),
                    unit=unit,
                    n_folds=n_folds,
                    **found,
                )
        return None


# What a model file calls the fields beside the value.
_BESIDE = {
    "low": "95 % interval from",
    "high": "95 % interval to",
    "n_crystals": "crystals",
    "simple": "simplest prediction",
    "composition": "extra trees on the composition",
    "n_folds": "folds",
}


def _main_name(name: str, metric: str, folds: bool) -> str:
    return f"{'cross-validated' if folds else 'test'} {metric} of {name}"


def simplest(trained: npt.NDArray[Any], target: Task) -> Any:
    """Return the simplest prediction: the median of numbers, or the most frequent label.

    Parameters
    ----------
    trained : ndarray of shape (n_trained,)
        Values or labels of the training crystals; NaN or None is missing.
    target : Task
        What they are.

    Returns
    -------
    float or label
        NaN where all are missing.
    """
    known = trained[~is_missing(trained)]
    return target.simplest(known) if len(known) else np.nan


def held_out_error(
    true: Any,
    prediction: Prediction,
    simple: Any,
    *,
    composition: Any = None,
    groups: Any = None,
    n_folds: int = 0,
) -> HeldOutError | None:
    """Return the error of a target on held-out crystals, its interval, and the simplest error.

    Parameters
    ----------
    true : ndarray of shape (n_crystals,)
        True values or labels; NaN or None is missing.
    prediction : Prediction
        What a model says about the target; NaN for crystals that could not be read.
    simple : float, label, ndarray of shape (n_crystals,), or None
        The simplest prediction, see `simplest`; of each crystal where the folds have their own;
        None where it is not known.
    composition : ndarray of shape (n_crystals,), optional
        What a model says that knows the composition alone.
    groups : ndarray of shape (n_crystals,), optional
        Groups of similar crystals, which the bootstrap draws as a whole.
    n_folds : int, default=0
        Folds of the cross-validation that the predictions are from, if they are from one.

    Returns
    -------
    HeldOutError or None
        None where nothing can be compared.

    Raises
    ------
    ValueError
        If lengths differ, or a group is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from skcgcnn.tasks import Number
    >>> said = Prediction(Number("gap", unit="eV"), np.array([1.0, 2.0, 3.5]))
    >>> print(held_out_error(np.array([1.1, 1.8, 3.0]), said, 1.0))
    mean absolute error 0.267 eV (95 % interval 0.1 to 0.5, 3 test crystals); predicting the ...
    """
    true = np.asarray(without_mask(true))
    check_consistent_length(true, prediction.values, composition)
    known = ~is_missing(true) & ~is_missing(prediction.values)
    if simple is not None:
        simple = np.broadcast_to(np.asarray(simple), np.shape(true))
        known &= ~is_missing(simple)
    if composition is not None:
        composition = np.asarray(composition)
        known &= ~is_missing(composition)
    members = np.arange(len(true)) if groups is None else checked_groups(groups, len(true))
    if not known.any():
        return None
    target, answers = prediction.target, np.asarray(true)[known]

    def errors(values: Any) -> Any:
        return target.as_metric(target.misses(answers, values[known]))

    found = errors(prediction.values)
    low, high = _interval(found, members[known])
    return HeldOutError(
        metric=target.metric,
        value=float(found.mean()),
        low=low,
        high=high,
        n_crystals=len(found),
        simple=None if simple is None else float(errors(simple).mean()),
        unit=target.unit,
        composition=None if composition is None else float(errors(composition).mean()),
        n_folds=n_folds,
    )


def _interval(
    errors: npt.NDArray[np.float64], groups: npt.NDArray[Any]
) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of the 95 % interval of a mean, by drawing groups with replacement."""
    _, places = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(places, errors), np.bincount(places)
    if len(sums) < 2:
        return None, None
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(sums), size=len(sums)) for _ in range(_DRAWS)]
    means = [sums[chosen].sum() / counts[chosen].sum() for chosen in drawn]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


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
        For a regression ``<name>_neg_mae``, ``<name>_neg_rmse`` and ``<name>_r2``; for a
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
    return {
        f"{name}_{metric}": TaskScorer(column, metric)
        for column, (name, kind) in enumerate(zip(target_names, tasks, strict=True))
        for metric in TASKS[kind].scorers
    }
