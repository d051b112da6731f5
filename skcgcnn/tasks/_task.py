"""What every kind of target can do; and the kinds by name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import r2_score
from torch import Tensor

from skcgcnn._numbers import as_floats
from skcgcnn.tasks._columns import (
    FloatArray,
    check_length,
    is_missing,
    refuse_infinite,
    to_floats,
)
from skcgcnn.tasks._linear import LinearOutputs
from skcgcnn.tasks._metrics import regression_metrics

Metrics = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about one target.

    Attributes
    ----------
    target : Task
        The target.
    values : ndarray of shape (n_crystals,)
        Numbers in its unit, or labels; NaN for crystals that could not be read.
    proba : ndarray of shape (n_crystals, n_classes) or None
        Probabilities of its classes; None for numbers.
    std : ndarray of shape (n_crystals,) or None
        Standard deviations of numbers, in their unit; None where the model does not know them.
    """

    target: "Task"
    values: npt.NDArray[Any]
    proba: FloatArray | None = None
    std: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """One target of a model: a column of y, and all that depends on what kind it is.

    What is not said otherwise here is for a number that is one output of the network. A new kind
    says how it is learned (`errors`) and what outputs mean (`in_units`), and is registered in
    `TASKS`.

    Attributes
    ----------
    name : str
        Name of the column.
    unit : str
        Unit of the values; empty where there is none or it is not known.
    """

    name: str
    unit: str = ""

    # Its name in TASKS, set there.
    kind: ClassVar[str] = ""
    is_number: ClassVar[bool] = True
    # Whether the network's output is a scaled value: sums over sites, and ridge regressions on the
    # composition, are possible then.
    is_linear: ClassVar[bool] = False
    has_variance: ClassVar[bool] = False
    scorers: ClassVar[tuple[str, ...]] = ("neg_mae", "neg_rmse", "r2")
    # What the error on held-out crystals is called, in files and in words, and single errors.
    metric: ClassVar[str] = "mae"
    miss_name: ClassVar[str] = "mean absolute error"
    error_name: ClassVar[str] = "absolute error"
    # As what reports draw its values: "numbers" or "classes".
    figures: ClassVar[str] = "numbers"

    @property
    def classes(self) -> npt.NDArray[Any] | None:
        """The classes, sorted; None for numbers."""
        return None

    @property
    def mean(self) -> float:
        """What is taken from encoded values before the network learns them."""
        return 0.0

    @property
    def scale(self) -> float:
        """By what they are divided then."""
        return 1.0

    @property
    def n_outputs(self) -> int:
        """Number of the network's outputs that belong to it."""
        return 1

    @property
    def title(self) -> str:
        """Its name and unit, for axes and tables."""
        # A name such as "Band gap (eV)" has it already.
        told = any(f"{a}{self.unit}{b}" in self.name for a, b in ("()", "[]"))
        return self.name if told or not self.unit else f"{self.name} ({self.unit})"

    # y as numbers

    def learn(self, column: npt.NDArray[Any], labels: Any = None) -> "Task":
        """Return the task with what it learns from y of a first fit.

        Parameters
        ----------
        column : ndarray of shape (n_crystals,)
            Its column of y; None or NaN is missing.
        labels : array-like, optional
            All labels that may come.

        Returns
        -------
        Task
        """
        return self

    def for_loss(self, loss: str) -> "Task":
        """Return the task as it is learned with a loss of numbers, a key of `LOSSES`."""
        return self

    def encode(self, column: npt.NDArray[Any]) -> FloatArray:
        """Return a column of y as numbers; NaN is missing."""
        rows = np.flatnonzero(~is_missing(column))
        encoded = np.full(len(column), np.nan)
        encoded[rows] = to_floats(column[rows], self.name, rows)
        return encoded

    def original(self, encoded: FloatArray) -> npt.NDArray[Any]:
        """Return the column of y that was encoded."""
        return encoded

    def stratify_labels(self, encoded: FloatArray) -> FloatArray | None:
        """Return labels that the parts of a split should hold alike; None where there are none."""
        return None

    def scaled(self, encoded: FloatArray, weights: FloatArray) -> "Task":
        """Return the task with the mean and scale of encoded values, where NaN is missing."""
        return self

    def scaled_by_site(
        self, encoded: FloatArray, weights: FloatArray, n_sites: npt.NDArray[np.int64]
    ) -> tuple["Task", float]:
        """Return the task for sums over sites, and where the output of a site should begin.

        Raises
        ------
        ValueError
            If its outputs are not sums over sites.
        """
        raise ValueError(f'pooling="sum" is not for {self.name!r}, a target of {self.kind}')

    # Learning

    def errors(self, outputs: Tensor, target: Tensor, loss: str) -> Tensor:
        """Return the loss of each crystal.

        Parameters
        ----------
        outputs : Tensor of shape (n_crystals, n_outputs)
            Of the network.
        target : Tensor of shape (n_crystals,)
            Scaled encoded values, none missing.
        loss : str
            The loss of numbers, a key of `LOSSES`, for a task that has no loss of its own.

        Returns
        -------
        Tensor of shape (n_crystals,)
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it is learned")

    def log_share(self, loss: str) -> float:
        """Return how much of the logarithm of a learned scale is added to its loss; 0 for none."""
        return 0.5

    def linear_outputs(
        self, rows: FloatArray, encoded: FloatArray, weights: FloatArray
    ) -> LinearOutputs | None:
        """Return outputs that are fitted to encoded values; None where there are none.

        `rows` are features of crystals, `weights` how much each counts; no value is missing.
        """
        return None

    def same_values(self, other: "Task") -> bool:
        """Tell whether another target has values of the same kind, and the same classes."""
        return self.kind == other.kind

    def same_outputs(self, other: "Task") -> bool:
        """Tell whether outputs for another task mean the same."""
        return (self.kind, self.n_outputs) == (other.kind, other.n_outputs)

    # Predictions

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return what outputs mean: numbers in its unit, or probabilities.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_outputs)
            Of the network.

        Returns
        -------
        Tensor of shape (..., 1) or (..., n_classes)
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its outputs mean")

    @property
    def output_names(self) -> list[str]:
        """What the columns of `in_units` are called."""
        return [self.name]

    def combine(self, outputs: FloatArray) -> FloatArray:
        """Return the outputs of an ensemble, from shape (n_members, n_crystals, n_outputs)."""
        return np.asarray(outputs.mean(axis=0))

    def decode(self, outputs: FloatArray) -> Prediction:
        """Return what outputs of one network, or combined ones, of shape (n, n_outputs) predict.

        They are NaN for crystals that could not be read.
        """
        values = self._numbers(outputs)
        refuse_infinite(values, f"prediction of {self.name!r}")
        return Prediction(self, values)

    def deviations(self, outputs: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return standard deviations in its unit: from the data, and from the model.

        Parameters
        ----------
        outputs : ndarray of shape (n_members, n_crystals, n_outputs)
            Of each network.

        Returns
        -------
        aleatoric, epistemic : ndarray of shape (n_crystals,)
            Or None in their place, where they are not known.
        """
        if len(outputs) == 1:
            return None
        numbers = self._numbers(outputs)
        return 0 * numbers.sum(axis=0), np.asarray(numbers.std(axis=0))

    def calibrated(
        self, prediction: Prediction, encoded: FloatArray, deviations: FloatArray
    ) -> "Task":
        """Return the task with deviations that hold for crystals that were held back.

        `encoded` are their true values, `deviations` their standard deviations. Too few crystals,
        or none that a factor fits, are a ValueError.
        """
        return self

    def calibrated_out_of_bag(
        self, outputs: FloatArray, left_out: npt.NDArray[np.bool_], encoded: FloatArray
    ) -> "Task":
        """Return the task with deviations that hold for crystals outside of the fit.

        `outputs` are those of each network, `left_out`, of shape (n_members, n_crystals), tells
        which crystals it was not fitted on, and `encoded` are their true values. The task stays as
        it was where there are too few.
        """
        return self

    @property
    def calibration(self) -> str:
        """How far its standard deviations can be trusted, as a text."""
        return "not calibrated"

    def uncalibrated(self) -> "Task":
        """Return the task with deviations as the network has them."""
        return self

    def _numbers(self, outputs: FloatArray) -> FloatArray:
        return np.asarray(self.in_units(torch.from_numpy(outputs))[..., 0].numpy())

    def explanation(self, label: Any = None) -> Callable[[Tensor], Tensor]:
        """Return what of outputs is explained, as a function of them.

        Parameters
        ----------
        label : object, optional
            The class whose odds are explained.

        Returns
        -------
        callable
            From a Tensor of shape (n, n_outputs) to one of shape (n,).

        Raises
        ------
        ValueError
            If there is no such class.
        """
        if label is not None:
            raise ValueError(f"label={label!r}, but {self.name} is a number, not a class")
        return lambda outputs: self.in_units(outputs.double())[:, 0]

    # How good they are

    def truth(self, column: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return a column of a table as true values; None where it holds others."""
        return column if all(isinstance(value, (int, float)) for value in column) else None

    def score(
        self, true: npt.NDArray[Any], values: npt.NDArray[Any], weights: Any = None
    ) -> float | None:
        """Return R² or accuracy; None where it is undefined.

        Parameters
        ----------
        true, values : ndarray of shape (n_crystals,)
            True and predicted values, none missing.
        weights : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        float or None
        """
        if len(true) < 2:
            return None
        numbers, guess = as_floats(true), as_floats(values)
        return float(r2_score(numbers, guess, sample_weight=weights))

    def metrics(self, true: npt.NDArray[Any], prediction: Prediction) -> Metrics:
        """Return its metrics for crystals with a value and a prediction; None is undefined."""
        known = ~is_missing(true) & ~is_missing(prediction.values)
        return regression_metrics(true[known], prediction.values[known])

    def describe_error(self, true: npt.NDArray[Any], values: npt.NDArray[Any]) -> str:
        """Return how wrong predictions are, with the unit, as a text; none are missing."""
        error = np.abs(as_floats(true) - values).mean()
        return f"MAE {error:.3g}" + (f" {self.unit}" if self.unit else "")

    def misses(self, true: npt.NDArray[Any], values: npt.NDArray[Any]) -> FloatArray:
        """Return how far off each prediction is, for averages; NaN where either is missing.

        Examples
        --------
        >>> from skcgcnn.tasks import Number
        >>> Number("gap").misses(np.array([1.0, np.nan]), np.array([1.5, 2.0]))
        array([0.5, nan])
        """
        known = ~is_missing(true) & ~is_missing(values)
        found = np.full(len(true), np.nan)
        found[known] = self._miss(true[known], values[known])
        return found

    def _miss(self, true: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.abs(as_floats(values) - as_floats(true))

    def proper_errors(self, true: npt.NDArray[Any], prediction: Prediction) -> FloatArray:
        """Return how far off each prediction is, so that who is unsure gains nothing by it."""
        return self.misses(true, prediction.values)

    def as_metric(self, misses: Any) -> Any:
        """Return misses, or their mean, as `metric` has them."""
        return misses

    def simplest(self, known: npt.NDArray[Any]) -> Any:
        """Return the simplest prediction from values of training crystals, none missing."""
        return float(np.median(known.astype(float)))

    def error_sizes(self, true: npt.NDArray[Any], prediction: Prediction) -> FloatArray:
        """Return how wrong each prediction is: 0 where it is right, NaN where that is not known."""
        return np.asarray(np.abs(prediction.values.astype(float) - true.astype(float)))

    def shown_error(self, size: float) -> float:
        """Return one of `error_sizes` as `error_name` calls it."""
        return size

    def facts(
        self, metrics: Metrics, tested: npt.NDArray[Any], trained: npt.NDArray[Any]
    ) -> dict[str, float]:
        """Return what advice on a training depends on, see `skcgcnn.reports`.

        `metrics` are those of the test crystals; `tested` and `trained` are the true values of
        them and of the training crystals, none missing.
        """
        r2 = metrics.get("r2")
        return {} if r2 is None else {"r2": r2}

    # In files, tables and reports

    def columns(self, prediction: Prediction) -> list[tuple[str, Any]]:
        """Return the columns of a file of predictions: names and values."""
        found: list[tuple[str, Any]] = [(f"{self.name}_pred", prediction.values)]
        if prediction.std is not None:
            found.append((f"{self.name}_std", prediction.std))
            found.append((f"{self.name}_calibration", [self.calibration] * len(prediction.std)))
        return found

    def summary(self, values: npt.NDArray[Any]) -> list[list[Any]]:
        """Return rows of a table that sums up predictions, none of them missing."""
        numbers = values.astype(float)
        if not len(numbers):
            return []
        facts = {"mean": numbers.mean(), "lowest": numbers.min(), "highest": numbers.max()}
        return [[self.title, fact, float(value)] for fact, value in facts.items()]

    def cell(self, value: Any) -> Any:
        """Return a value as a table of a report shows it."""
        return float(value)

    def uncertainty(self, prediction: Prediction) -> tuple[str, FloatArray] | None:
        """Return what tells how sure predictions are, and its name; None if that is not known."""
        if prediction.std is None:
            return None
        name = f"standard deviation ({self.unit})" if self.unit else "standard deviation"
        return f"{name}, {self.calibration}", prediction.std

    def describe(self) -> str:
        """Return its name, and what is known of its values, as a text."""
        return self.title if self.unit else f"{self.name}, unit not recorded"

    def to_plain(self) -> dict[str, Any]:
        """Return its kind and fields: numbers, texts and arrays, as model files keep them."""
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the task of what `to_plain` returned; more keys are left out."""
        task = cls(**{field.name: plain[field.name] for field in fields(cls)})
        task.check()
        return task

    def check(self) -> None:
        """Refuse fields that no task has, by a TypeError or ValueError that names them."""
        if not (isinstance(self.name, str) and isinstance(self.unit, str)):
            raise TypeError("the name and unit of a target must be strings")
        check_length(max(self.name, self.unit, key=len))
        for number in (self.mean, self.scale):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise TypeError("mean and scale of a target must be numbers")
        if not (math.isfinite(self.mean) and math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"mean {self.mean} and scale {self.scale} of a target")
