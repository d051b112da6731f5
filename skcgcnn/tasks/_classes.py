"""Classes."""

from collections import Counter
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import accuracy_score
from torch import Tensor
from torch.nn import functional

from skcgcnn._numbers import as_floats
from skcgcnn._warnings import warn_caller
from skcgcnn.tasks._columns import NOT_EXACT, FloatArray, is_missing, mark_missing, without_mask
from skcgcnn.tasks._kinds import TASKS
from skcgcnn.tasks._linear import LinearOutputs, fit_classes
from skcgcnn.tasks._metrics import classification_metrics
from skcgcnn.tasks._task import Metrics, Prediction, Task

# Kinds of dtypes of labels.
_LABELS = "OUTbiuf"
# Types of labels among objects.
_PLAIN = (str, int, float, np.number, np.bool_)


@TASKS.register("classification")
@dataclass(frozen=True, eq=False)
class Classes(Task):
    """One of several classes.

    Attributes
    ----------
    name : str
        Name of the column.
    unit : str
        Empty.
    classes : ndarray of shape (n_classes,) or None
        The classes, sorted; None before a fit.
    """

    classes: npt.NDArray[Any] | None = None

    is_number: ClassVar[bool] = False
    scorers: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "roc_auc")
    metric: ClassVar[str] = "accuracy"
    miss_name: ClassVar[str] = "share of wrong labels"
    error_name: ClassVar[str] = "probability of the true class"
    figures: ClassVar[str] = "classes"

    @property
    def labels(self) -> npt.NDArray[Any]:
        """The classes; empty before a fit."""
        return np.empty(0) if self.classes is None else self.classes

    @property
    def n_outputs(self) -> int:
        """Number of the classes."""
        return len(self.labels)

    def check_classes(self, classes: Any) -> None:
        """Refuse other classes than those of the first fit."""
        given = np.unique(np.asarray(without_mask(classes)))
        if not np.array_equal(given, self.labels):
            raise ValueError(
                f"classes={given.tolist()} are not those of the first fit, {self.labels.tolist()}; "
                "leave them out, or begin with a new estimator"
            )

    def learn(self, column: npt.NDArray[Any], labels: Any = None) -> Task:
        """Return the task with the classes: those that are given, or those of a column."""
        known = typed_labels(column[~is_missing(column)])
        _check_labels(known, self.name)
        labels = known if labels is None else np.asarray(without_mask(labels))
        if labels.ndim != 1:
            raise ValueError(f"classes={labels.tolist()!r}; pass a list of all labels")
        if (missing := is_missing(labels)).any():
            raise ValueError(f"classes[{missing.argmax()}] is missing; leave it out")
        try:
            found = np.unique(labels)
        except TypeError as error:
            raise _not_comparable(error) from error
        if not len(found):
            raise ValueError(f"column {self.name!r} of y holds no target: every label is missing")
        if len(found) == 1:
            warn_caller(
                f"column {self.name!r} of y holds one class, {found.tolist()[0]!r}; all "
                "predictions are it"
            )
        return replace(self, classes=found)

    def encode(self, column: npt.NDArray[Any]) -> FloatArray:
        """Return the index of every label among the classes; NaN is missing."""
        known = ~is_missing(column)
        labels = typed_labels(column[known])
        try:
            unknown = sorted(set(labels.tolist()) - set(self.labels.tolist()))
        except TypeError as error:
            raise _not_comparable(error) from error
        if unknown:
            raise ValueError(
                f"y holds labels that are not among the classes of the first fit, "
                f"{self.labels.tolist()}: {unknown}"
            )
        encoded = np.full(len(column), np.nan)
        encoded[known] = np.searchsorted(self.labels, labels)
        return encoded

    def original(self, encoded: FloatArray) -> npt.NDArray[Any]:
        """Return the labels that were encoded."""
        missing = np.isnan(encoded)
        return mark_missing(self.labels[np.where(missing, 0, encoded).astype(int)], missing)

    def stratify_labels(self, encoded: FloatArray) -> FloatArray | None:
        """Return the indices of the labels; those that are missing are one more class."""
        return np.nan_to_num(encoded, nan=-1)

    def scaled_by_site(
        self, encoded: FloatArray, weights: FloatArray, n_sites: npt.NDArray[np.int64]
    ) -> tuple[Task, float]:
        """Refuse: the odds of a class are no sum over sites."""
        raise ValueError('pooling="sum" is for numbers, but there are classes to learn')

    def errors(self, outputs: Tensor, target: Tensor, loss: str) -> Tensor:
        """Return the cross-entropy of each crystal."""
        return functional.cross_entropy(outputs, target.long(), reduction="none")

    def linear_outputs(
        self, rows: FloatArray, encoded: FloatArray, weights: FloatArray
    ) -> LinearOutputs | None:
        """Return those of a logistic regression; None where there is one class alone."""
        return fit_classes(rows, encoded, weights)

    def same_values(self, other: Task) -> bool:
        """Tell whether another target has the same classes."""
        return super().same_values(other) and np.array_equal(self.labels, np.asarray(other.classes))

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes."""
        return outputs.softmax(dim=-1)

    @property
    def output_names(self) -> list[str]:
        """Name and label of each class."""
        return [f"{self.name}={self.cell(label)}" for label in self.labels]

    def combine(self, outputs: FloatArray) -> FloatArray:
        """Return the outputs of an ensemble: logarithms of the mean probabilities."""
        logarithms = np.asarray(log_softmax(outputs, axis=2))
        return np.asarray(logsumexp(logarithms, axis=0) - np.log(len(outputs)))

    def decode(self, outputs: FloatArray) -> Prediction:
        """Return labels and probabilities."""
        missing = np.isnan(outputs[:, 0])
        best = np.nan_to_num(outputs).argmax(axis=1)
        labels = mark_missing(self.labels[best], missing)
        return Prediction(self, labels, np.asarray(softmax(outputs, axis=1)))

    def deviations(self, outputs: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return None: probabilities tell it."""
        return None

    def explanation(self, label: Any = None) -> Any:
        """Return the function of outputs that is the logarithm of the odds of a class."""
        place = len(self.labels) - 1
        if label is not None:
            places = np.flatnonzero(self.labels == label)
            if not len(places):
                known = ", ".join(map(self.cell, self.labels))
                raise ValueError(f"label={label!r} is not one of the classes {known}")
            place = int(places[0])
        others = [i for i in range(len(self.labels)) if i != place]

        def log_odds(outputs: Tensor) -> Tensor:
            logs = torch.log_softmax(outputs, dim=1)
            return logs[:, place] - torch.logsumexp(logs[:, others], dim=1)

        return log_odds

    def truth(self, column: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return the classes that a column of a table names; None where it names none.

        A table has numbers and texts alone: 1.0 is the class 1, and the text True a truth value.
        """
        classes = self.labels.tolist()
        texts = {self.cell(label): label for label in classes}
        if self.labels.dtype.kind == "b":
            texts |= {
                f(text): label for text, label in texts.items() for f in (str.lower, str.upper)
            }
        known, found = ~is_missing(column), column.copy()
        found[known] = [
            classes[classes.index(label)]
            if label in classes
            else texts.get(self.cell(label), label)
            for label in column[known].tolist()
        ]
        return found if any(label in classes for label in found[known].tolist()) else None

    def score(
        self, true: npt.NDArray[Any], values: npt.NDArray[Any], weights: Any = None
    ) -> float | None:
        """Return the accuracy."""
        return float(accuracy_score(true.tolist(), values.tolist(), sample_weight=weights))

    def metrics(self, true: npt.NDArray[Any], prediction: Prediction) -> Metrics:
        """Return accuracy, F1 and ROC AUC."""
        known = ~is_missing(true) & ~is_missing(prediction.values)
        proba = np.empty((0, 0)) if prediction.proba is None else prediction.proba[known]
        return classification_metrics(true[known], prediction.values[known], proba, self.labels)

    def describe_error(self, true: npt.NDArray[Any], values: npt.NDArray[Any]) -> str:
        """Return the accuracy as a text."""
        return f"accuracy {np.mean(true == values):.3f}"

    def _miss(self, true: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return 1 for each label that is wrong, 0 for the others."""
        return np.asarray(values != true)

    def proper_errors(self, true: npt.NDArray[Any], prediction: Prediction) -> FloatArray:
        """Return half the Brier score of each crystal: 1 where a wrong class is sure."""
        proba = np.zeros((len(true), 0)) if prediction.proba is None else prediction.proba
        right = np.array(true[:, np.newaxis] == self.labels, dtype=float)
        # Of a label that is not among the classes, all probabilities are wrong.
        found = (np.square(proba - right).sum(axis=1) + (right.sum(axis=1) == 0)) / 2
        found[is_missing(true)] = np.nan
        return np.asarray(found)

    def as_metric(self, misses: Any) -> Any:
        """Return the share of labels that are right."""
        return 1 - misses

    def simplest(self, known: npt.NDArray[Any]) -> Any:
        """Return the most frequent label."""
        labels, counts = np.unique(known, return_counts=True)
        return labels[counts.argmax()]

    def error_sizes(self, true: npt.NDArray[Any], prediction: Prediction) -> FloatArray:
        """Return 1 less the probability of the true class, or 0 where it is predicted."""
        sizes, proba = np.full(len(true), np.nan), prediction.proba
        if proba is None:
            return sizes
        usable = np.array([label in self.labels for label in true]) & np.isfinite(proba).all(axis=1)
        places = np.searchsorted(self.labels, true[usable].astype(self.labels.dtype))
        wrong = prediction.values[usable] != true[usable]
        sizes[usable] = np.where(wrong, 1 - proba[usable, places], 0.0)
        return sizes

    def shown_error(self, size: float) -> float:
        """Return the probability of the true class."""
        return 1 - size

    def facts(
        self, metrics: Metrics, tested: npt.NDArray[Any], trained: npt.NDArray[Any]
    ) -> dict[str, float]:
        """Return the accuracy, and how frequent the most frequent and the rarest class are."""
        found = {}
        accuracy = metrics.get("accuracy")
        if accuracy is not None:
            found["accuracy"] = accuracy
            found["most_frequent"] = max(Counter(tested).values()) / len(tested)
        if len(trained):
            found["rarest"] = float(min(np.mean(trained == label) for label in self.labels))
        return found

    def columns(self, prediction: Prediction) -> list[tuple[str, Any]]:
        """Return the columns of a file: labels, and the probability of the second or of each."""
        values: Any = prediction.values
        if self.labels.dtype.kind in "iu":
            # Integers stay so beside missing ones.
            values = [None if value != value else int(value) for value in values]  # noqa: PLR0124
        found: list[tuple[str, Any]] = [(f"{self.name}_pred", values)]
        if prediction.proba is None:
            return found
        if len(self.labels) == 2:
            return [*found, (f"{self.name}_proba", prediction.proba[:, 1])]
        named = zip(self.labels, prediction.proba.T, strict=True)
        return [*found, *((f"{self.name}_proba_{self.cell(label)}", c) for label, c in named)]

    def summary(self, values: npt.NDArray[Any]) -> list[list[Any]]:
        """Return how many crystals are of each class."""
        return [
            [self.name, f"{self.cell(label)} (count)", int((values == label).sum())]
            for label in self.labels
        ]

    def cell(self, value: Any) -> str:
        """Return the text of a class: integers among floats are 1, not 1.0."""
        whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
        return str(int(value)) if whole else str(value)

    def uncertainty(self, prediction: Prediction) -> tuple[str, FloatArray] | None:
        """Return how far the highest probability is from 1."""
        if prediction.proba is None:
            return None
        return "uncertainty (1 - p_max)", np.asarray(1 - prediction.proba.max(axis=1))

    def describe(self) -> str:
        """Return its name and classes as a text."""
        return f"{self.title}, classes {', '.join(map(self.cell, self.labels))}"

    def check(self) -> None:
        """Refuse fields that no classes have."""
        super().check()
        classes = self.classes
        if not isinstance(classes, np.ndarray):
            raise TypeError(f"a target of {self.kind} with classes={classes!r}")
        if classes.ndim != 1 or not 0 < len(classes) == len(np.unique(classes.astype(str))):
            raise ValueError("classes of a target must be unique")


def typed_labels(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers as such that are among objects: from a list of rows, or beside missing."""
    if labels.dtype == object and all(isinstance(label, (Real, np.bool_)) for label in labels):
        return np.array(labels.tolist())
    return labels


def _check_labels(labels: npt.NDArray[Any], name: str) -> None:
    """Refuse labels that are neither texts nor whole numbers."""
    if labels.dtype.kind not in _LABELS:
        raise ValueError(
            f"column {name!r} of y is a classification target, but holds values of type "
            f"{labels.dtype}; labels are texts, whole numbers or truth values"
        )
    # Neither a score nor a model file takes others, such as bytes and dates.
    others = () if labels.dtype != object else (v for v in labels if not isinstance(v, _PLAIN))
    for label in others:
        raise ValueError(
            f"column {name!r} of y is a classification target, but holds {label!r}, of type "
            f"{type(label).__name__}; labels are texts, whole numbers or truth values"
        )
    try:
        numbers = as_floats(labels)
    except ValueError:
        return  # texts
    if labels.dtype.kind == "f" and (large := np.abs(numbers) >= NOT_EXACT).any():
        raise ValueError(
            f"column {name!r} of y is a classification target with the label {labels[large][0]:g}: "
            "floats as large as that do not tell one whole number from the next; give integers or "
            "texts"
        )
    if not np.array_equal(numbers, np.round(numbers)):
        raise ValueError(
            f"column {name!r} of y is a classification target, but holds continuous numbers such "
            f"as {numbers[numbers != np.round(numbers)][0]:g}; check the order of tasks"
        )


def _not_comparable(error: TypeError) -> ValueError:
    return ValueError(f"the labels are of types that cannot be compared ({error})")
