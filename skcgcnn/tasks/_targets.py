"""Targets: y as numbers, the network's outputs as predictions, and how good they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from skcgcnn._numbers import as_floats
from skcgcnn._warnings import warn_caller
from skcgcnn.tasks._classes import Classes
from skcgcnn.tasks._columns import FloatArray, is_missing
from skcgcnn.tasks._decode import decode, mean_score
from skcgcnn.tasks._task import Prediction, Task
from skcgcnn.tasks._y import split_columns, stack_columns


@dataclass(frozen=True, eq=False)
class TargetDecoder:
    """What outputs of networks mean, in the shape of y.

    Attributes
    ----------
    targets : sequence of Task
        The columns of y.
    y_ndim : int
        Number of dimensions of y.
    """

    targets: Sequence[Task]
    y_ndim: int

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The classes, if y is a vector of labels; else there is no such attribute."""
        classes = self.targets[0].classes if self.y_ndim == 1 else None
        if classes is None:
            raise AttributeError("this net does not predict classes alone")
        return classes

    def decode(self, outputs: FloatArray) -> list[Prediction]:
        """Return predictions for outputs of one network, or of the members of an ensemble."""
        return decode(outputs[np.newaxis] if outputs.ndim == 2 else outputs, self.targets)

    def values(self, outputs: FloatArray) -> npt.NDArray[Any]:
        """Return values and labels for outputs."""
        return self.shape([each.values for each in self.decode(outputs)])

    def proba(self, outputs: FloatArray) -> FloatArray:
        """Return the probabilities of the first classification for outputs."""
        found = [each.proba for each in self.decode(outputs) if each.proba is not None]
        if not found:
            raise AttributeError("there are no probabilities without a classification task")
        return found[0]

    def score(self, outputs: FloatArray, y: npt.NDArray[Any]) -> float:
        """Return the mean of R² and accuracy over the targets."""
        predicted = [each.values for each in self.decode(outputs)]
        return mean_score(self.targets, split_columns(y), predicted)

    def describe_errors(self, outputs: FloatArray, y: npt.NDArray[Any]) -> str:
        """Return the mean absolute error or accuracy of every target, with units, as a text."""
        facts = []
        for each, column in zip(self.decode(outputs), split_columns(y), strict=True):
            known = ~is_missing(column)
            if known.any():
                fact = each.target.describe_error(column[known], each.values[known])
                facts.append(fact if len(self.targets) == 1 else f"{each.target.name} {fact}")
        return ", ".join(facts)

    def original(self, values: FloatArray) -> npt.NDArray[Any]:
        """Return y for its encoded but unscaled values, of shape (n_crystals, n_targets)."""
        pairs = zip(values.T, self.targets, strict=True)
        return self.shape([target.original(column) for column, target in pairs])

    def shape(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return columns as a vector or table."""
        return columns[0] if self.y_ndim == 1 else stack_columns(columns)


def encode(
    columns: Sequence[npt.NDArray[Any]], targets: Sequence[Task], classes: Any, *, first: bool
) -> tuple[FloatArray, tuple[Task, ...]]:
    """Return the columns of y as numbers, and what they are.

    Parameters
    ----------
    columns : sequence of ndarray of shape (n_crystals,)
        The columns of y; None or NaN is missing.
    targets : sequence of Task
        What they are.
    classes : array-like or None
        All labels of the first classification that may come.
    first : bool
        Whether the targets learn from them, as in a first fit.

    Returns
    -------
    encoded : ndarray of shape (n_crystals, n_targets)
        NaN is missing.
    targets : tuple of Task
    """
    encoded, learned = np.full((len(columns[0]), len(columns)), np.nan), []
    for index, (column, target) in enumerate(zip(columns, targets, strict=True)):
        known = target
        if first:
            known = target.learn(column, classes)
        elif classes is not None and isinstance(target, Classes):
            target.check_classes(classes)
        classes = classes if target.is_number else None  # they are those of the first
        encoded[:, index] = known.encode(column)
        learned.append(known)
    return encoded, tuple(learned)


def readable(
    predicted: npt.NDArray[Any], y: Any, sample_weight: Any
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any] | None]:
    """Return which crystals have a prediction to score, and their weights.

    There is a warning where some have none.

    Parameters
    ----------
    predicted : ndarray of shape (n_crystals,) or (n_crystals, n_targets)
        Predictions; NaN for crystals that could not be read.
    y : array-like of shape (n_crystals, ...)
        True targets.
    sample_weight : array-like of shape (n_crystals,), optional
        Weights of the crystals.

    Returns
    -------
    known : ndarray of shape (n_crystals,)
    weights : ndarray of shape (n_known,), or None
        Of those that have one.

    Raises
    ------
    ValueError
        If no crystal has one, or the lengths differ.
    """
    if y is None:
        raise ValueError("y is None; a score needs the true targets")
    check_consistent_length(predicted, y, sample_weight)
    if not len(predicted):
        raise ValueError("X holds 0 crystals; at least 1 is needed for a score")
    known = ~is_missing(predicted if predicted.ndim == 1 else predicted[:, 0])
    if not known.any():
        raise ValueError("no crystal of X could be read, so there is nothing to score")
    if not known.all():
        warn_caller(
            f"{(~known).sum()} of {len(known)} crystals could not be read: the score is that of "
            "the others"
        )
    return known, None if sample_weight is None else as_floats(sample_weight)[known]


def score_readable(
    targets: Sequence[Task],
    predicted: npt.NDArray[Any],
    columns: Sequence[npt.NDArray[Any]],
    sample_weight: Any = None,
) -> float:
    """Return the mean score of the predictions that are there; `columns` are those of the truth."""
    if len(columns) != len(targets):
        raise ValueError(f"y has {len(columns)} columns, but {len(targets)} are predicted")
    known, weights = readable(predicted, columns[0], sample_weight)
    true = [column[known] for column in columns]
    guessed = predicted[known].reshape(known.sum(), -1).T
    return mean_score(targets, true, list(guessed), weights)
