"""Targets: y as numbers, the network's outputs as answers, and what is missing among them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length

from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._columns import is_missing, split_columns, stack_columns
from skcgcnn.modelfiles import Target

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about one target.

    Attributes
    ----------
    target : Target
        The target.
    values : ndarray of shape (n_crystals,)
        Numbers in its unit, or labels; NaN for crystals that could not be read.
    proba : ndarray of shape (n_crystals, n_classes) or None
        Probabilities of its classes; None for a regression.
    std : ndarray of shape (n_crystals,) or None
        Standard deviations of numbers, in their unit; None where the model does not know them.
    """

    target: Target
    values: npt.NDArray[Any]
    proba: FloatArray | None = None
    std: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Answers:
    """What an estimator predicts, in the shape of y.

    Attributes
    ----------
    targets : sequence of Target
        The columns of y.
    y_ndim : int
        Number of dimensions of y.
    """

    targets: Sequence[Target]
    y_ndim: int

    @property
    def classes(self) -> npt.NDArray[Any] | None:
        """The classes, if y is a vector of labels."""
        return self.targets[0].classes if self.y_ndim == 1 else None

    def values(self, outputs: FloatArray) -> npt.NDArray[Any]:
        """Return values and labels for outputs of the network."""
        return self.shape([each.values for each in decode(outputs, self.targets)])

    def proba(self, outputs: FloatArray) -> FloatArray:
        """Return the probabilities of the first classification for outputs of the network."""
        found = [each.proba for each in decode(outputs, self.targets) if each.proba is not None]
        if not found:
            raise AttributeError("there are no probabilities without a classification task")
        return found[0]

    def score(self, outputs: FloatArray, y: npt.NDArray[Any]) -> float:
        """Return the mean of R² and accuracy over the targets."""
        predicted = [each.values for each in decode(outputs, self.targets)]
        return mean_score(self.targets, split_columns(y), predicted)

    def describe_errors(self, outputs: FloatArray, y: npt.NDArray[Any]) -> str:
        """Return the mean absolute error or accuracy of every target, with units, as a text."""
        facts = []
        for each, column in zip(decode(outputs, self.targets), split_columns(y), strict=True):
            known = ~is_missing(column)
            if not known.any():
                continue
            target, true, guess = each.target, column[known], each.values[known]
            if target.classes is None:
                error = np.abs(true.astype(np.float64) - guess).mean()
                fact = f"MAE {error:.3g}" + (f" {target.unit}" if target.unit else "")
            else:
                fact = f"accuracy {np.mean(true == guess):.3f}"
            facts.append(fact if len(self.targets) == 1 else f"{target.name} {fact}")
        return ", ".join(facts)

    def original(self, values: FloatArray) -> npt.NDArray[Any]:
        """Return y for its encoded but unscaled values, of shape (n_crystals, n_targets)."""
        columns = []
        for column, target in zip(values.T, self.targets, strict=True):
            if target.classes is None:
                columns.append(column)
                continue
            missing = np.isnan(column)
            labels = target.classes[np.where(missing, 0, column).astype(int)]
            columns.append(_mark_missing(labels, missing))
        return self.shape(columns)

    def shape(self, columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return columns as a vector or table."""
        return columns[0] if self.y_ndim == 1 else stack_columns(columns)


def mean_score(
    targets: Sequence[Target],
    columns: Sequence[npt.NDArray[Any]],
    predicted: Sequence[npt.NDArray[Any]],
    sample_weight: Any = None,
) -> float:
    """Return the mean of R² (numbers) and accuracy (classes).

    Parameters
    ----------
    targets : sequence of Target
        The targets.
    columns, predicted : sequence of ndarray of shape (n_crystals,)
        True values and predictions of each; where the true value is missing, a crystal is left out.
    sample_weight : array-like of shape (n_crystals,), optional
        Weights of the crystals.

    Returns
    -------
    float
        NaN where there is no true value.
    """
    scores = []
    for target, column, values in zip(targets, columns, predicted, strict=True):
        known = ~is_missing(column)
        if not known.any():
            continue
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        true, guess = column[known], values[known]
        if target.classes is not None:
            scores.append(accuracy_score(true.tolist(), guess.tolist(), sample_weight=weights))
        elif len(true) > 1:
            true, guess = true.astype(np.float64), guess.astype(np.float64)
            scores.append(r2_score(true, guess, sample_weight=weights))
    return float(np.mean(scores)) if scores else float("nan")


def predict_targets(estimator: Any, X: Any) -> list[Prediction]:
    """Predict every target of an estimator, in one pass of its network.

    Parameters
    ----------
    estimator : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The model, or a Pipeline that ends in one.
    X : sequence of crystals, or CrystalGraphs
        See the estimator's `predict`.

    Returns
    -------
    list of Prediction
        One for every column of y: values, and for classes their probabilities.

    Examples
    --------
    >>> from skcgcnn import CGCNNClassifier
    >>> from skcgcnn.datasets import load_sample_classification
    >>> cifs, is_metal = load_sample_classification(return_X_y=True)
    >>> est = CGCNNClassifier(max_epochs=1, random_state=0).fit(cifs, is_metal)
    >>> (prediction,) = predict_targets(est, cifs[:3])
    >>> prediction.target.kind, prediction.values.shape, prediction.proba.shape
    ('classification', (3,), (3, 2))
    """
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator[-1]
    predictions: list[Prediction] = estimator._predict_targets(X)
    return predictions


def predict_target_chunks(estimator: Any, X: Any) -> Iterator[list[Prediction]]:
    """Predict every target of an estimator, some crystals at a time.

    Parameters
    ----------
    estimator : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The model.
    X : sequence of crystals, or CrystalGraphs
        More of them than fit into memory, where they are paths, or graphs in a file.

    Yields
    ------
    list of Prediction
        See `predict_targets`; for consecutive crystals.
    """
    yield from estimator._predict_target_chunks(X)


def decode(outputs: FloatArray, targets: Sequence[Target]) -> list[Prediction]:
    """Turn outputs of a network into predictions: the one place where this is done.

    Parameters
    ----------
    outputs : ndarray of shape (n_crystals, n_outputs)
        Scaled values and logits; NaN for crystals that could not be read.
    targets : sequence of Target
        The targets, in the order of their outputs.

    Returns
    -------
    list of Prediction
    """
    return [
        _decode(outputs[:, columns], target)
        for target, columns in zip(targets, output_slices(targets), strict=True)
    ]


def output_slices(targets: Sequence[Target]) -> list[slice]:
    """Return which outputs of a network belong to each target.

    Parameters
    ----------
    targets : sequence of Target
        The targets, in the order of their outputs.

    Returns
    -------
    list of slice
    """
    ends = np.cumsum([target.n_outputs for target in targets]).tolist()
    return [slice(end - t.n_outputs, end) for t, end in zip(targets, ends, strict=True)]


def _decode(outputs: FloatArray, target: Target) -> Prediction:
    if target.classes is None:
        return Prediction(target, outputs[:, 0] * target.scale + target.mean)
    missing = np.isnan(outputs[:, 0])
    best = np.nan_to_num(outputs).argmax(axis=1)
    labels = _mark_missing(target.classes[best], missing)
    return Prediction(target, labels, np.asarray(softmax(outputs, axis=1)))


def _mark_missing(predicted: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Set missing labels to NaN; only then do numbers become floats, and other labels objects."""
    if not missing.any():
        return predicted
    kind = np.float64 if np.issubdtype(predicted.dtype, np.number) else object
    marked = predicted.astype(kind)
    marked[missing] = np.nan
    return marked


def encode_classes(
    labels: npt.NDArray[Any], classes: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[Any], FloatArray]:
    """Return the classes and the index of every label among them.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Labels, none missing.
    classes : ndarray of shape (n_classes,) or None
        The classes of an earlier fit; None takes those of `labels`.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If a label is not among the classes, or the labels cannot be sorted.
    """
    if labels.dtype == object and all(isinstance(label, (Real, np.bool_)) for label in labels):
        # From a list of rows, or beside missing labels.
        labels = np.array(labels.tolist())
    try:
        if classes is None:
            classes, codes = np.unique(labels, return_inverse=True)
            return classes, codes.astype(np.float64)
        unknown = sorted(set(labels.tolist()) - set(classes.tolist()))
    except TypeError as error:
        raise ValueError(f"the labels are of types that cannot be compared ({error})") from error
    if unknown:
        raise ValueError(
            f"y holds labels that are not among the classes of the first fit, "
            f"{classes.tolist()}: {unknown}"
        )
    return classes, np.searchsorted(classes, labels).astype(np.float64)


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
    return known, None if sample_weight is None else np.asarray(sample_weight)[known]


def warn_of_one_class(classes: npt.NDArray[Any], name: str) -> None:
    """Warn where there is nothing to tell apart.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The classes of a fit.
    name : str
        Of their column.
    """
    if len(classes) == 1:
        warn_caller(
            f"column {name!r} of y holds one class, {classes.tolist()[0]!r}; all predictions are it"
        )


def check_labels(values: npt.NDArray[Any], name: str) -> None:
    """Refuse continuous numbers as labels.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Labels.
    name : str
        Of their column.

    Raises
    ------
    ValueError
        If they are continuous numbers.
    """
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return  # texts
    if not np.array_equal(numbers, np.round(numbers)):
        raise ValueError(
            f"column {name!r} of y is a classification target, but holds continuous numbers such "
            f"as {numbers[numbers != np.round(numbers)][0]:g}; check the order of tasks"
        )


def to_numbers(values: npt.NDArray[Any], name: str) -> FloatArray:
    """Return values as finite numbers.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Values of any type.
    name : str
        Of their column.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} of y is a regression target: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"column {name!r} of y holds infinity")
    return numbers
