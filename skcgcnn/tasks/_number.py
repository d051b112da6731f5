"""A number, and a number with its variance."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from torch import Tensor

from skcgcnn._text import crystals, same_unit
from skcgcnn._warnings import warn_caller
from skcgcnn.tasks._columns import FloatArray, refuse_infinite
from skcgcnn.tasks._kinds import TASKS
from skcgcnn.tasks._linear import LinearOutputs, fit_number
from skcgcnn.tasks._losses import LOSSES
from skcgcnn.tasks._task import Prediction, Task

# Share of the errors that is to be within a standard deviation.
_COVERAGE = 0.68
# The square of the distance, in standard deviations, that this share of a normal distribution is
# within.
_WITHIN = float(norm.ppf((1 + _COVERAGE) / 2)) ** 2
# Of what deviations are multiplied by, and of scaled ones.
_LARGEST = 1e30
# So many errors are needed to tell it.
_FEWEST_ERRORS = 20


@TASKS.register("regression")
@dataclass(frozen=True, eq=False)
class Number(Task):
    """A number, scaled for the network.

    Attributes
    ----------
    name : str
        Name of the column.
    unit : str
        Unit of the values; empty where there is none or it is not known.
    mean, scale : float
        Mean and standard deviation of the training values, with which the network's outputs are
        scaled.
    std_factor : float
        What the standard deviations of predictions are multiplied by, so that they are right on
        crystals that were held back.
    spread : float
        Standard deviation of the errors of crystals that were held back, beside what the networks
        disagree; of the scaled values.
    n_calibrated : int
        How many crystals told these two; 0 where the deviations are not calibrated.
    """

    mean: float = 0.0
    scale: float = 1.0
    std_factor: float = 1.0
    spread: float = 0.0
    n_calibrated: int = 0

    is_linear: ClassVar[bool] = True

    def same_values(self, other: Task) -> bool:
        """Tell whether another target is a number too, in no other unit as far as that is known."""
        return super().same_values(other) and same_unit(self.unit, other.unit)

    def for_loss(self, loss: str) -> Task:
        """Return a number with its variance, where the loss learns it."""
        return _with_variance(self) if LOSSES[loss].has_variance else self

    def scaled(self, encoded: FloatArray, weights: FloatArray) -> Task:
        """Return the task with the mean and scale of training values."""
        known = ~np.isnan(encoded)
        values = encoded[known]
        mean = float(np.average(values, weights=weights[known]))
        std, size = _deviation(values - mean, weights[known]), abs(mean)
        if len(values) > 1 and _is_rounding(std, size):
            warn_caller(
                f"column {self.name!r} of y holds one value, {values[0]:g}: there is nothing to "
                "learn, and all predictions are about it"
            )
        scale = _scale(std, size)
        return replace(self, mean=mean, scale=scale)

    def scaled_by_site(
        self, encoded: FloatArray, weights: FloatArray, n_sites: npt.NDArray[np.int64]
    ) -> tuple[Task, float]:
        """Return the task for sums over sites, and where the output of a site should begin.

        A sum over sites has no mean of its own, so that the mean by site is where outputs begin,
        and the scale is that of what is left.
        """
        known = ~np.isnan(encoded)
        encoded, weights, n_sites = encoded[known], weights[known], n_sites[known]
        by_site = float(np.average(encoded, weights=weights) / np.average(n_sites, weights=weights))
        left = encoded - by_site * n_sites
        left -= np.average(left, weights=weights)
        scale = _scale(_deviation(left, weights), float(np.abs(encoded).max()))
        return replace(self, scale=scale), by_site / scale

    def errors(self, outputs: Tensor, target: Tensor, loss: str) -> Tensor:
        """Return the loss of each crystal."""
        return LOSSES[loss].errors(outputs[:, 0], target)

    def log_share(self, loss: str) -> float:
        """Return that of the loss."""
        return LOSSES[loss].log_share

    def linear_outputs(
        self, rows: FloatArray, encoded: FloatArray, weights: FloatArray
    ) -> LinearOutputs | None:
        """Return that of a ridge regression, or the median where that is better."""
        return fit_number(rows, (encoded - self.mean) / self.scale, weights)

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return the numbers in their unit."""
        # Tensors, since the numbers of Python become float32 in an ONNX file.
        scale, mean = (
            torch.tensor(number, dtype=outputs.dtype, device=outputs.device)
            for number in (self.scale, self.mean)
        )
        return outputs[..., :1] * scale + mean

    def deviations(self, outputs: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return standard deviations in its unit: from the data, and from the model."""
        if len(outputs) == 1 and not self.has_variance and not self.spread:
            return None
        missing = 0 * outputs[:, :, 0].sum(axis=0)  # NaN where there is no prediction
        unit = self.scale * self.std_factor
        with np.errstate(over="ignore"):
            aleatoric = np.sqrt(self._variance(outputs)) * unit + missing
            epistemic = outputs[:, :, 0].std(axis=0) * unit
        for each in (aleatoric, epistemic):
            refuse_infinite(each, f"standard deviation of {self.name!r}")
        return np.asarray(aleatoric), np.asarray(epistemic)

    def _variance(self, outputs: FloatArray) -> FloatArray:
        """Return the mean variance of scaled values that the networks learned."""
        return np.full(outputs.shape[1], float(self.spread) ** 2)

    @property
    def calibration(self) -> str:
        """How far its standard deviations can be trusted, as a text."""
        if not self.n_calibrated:
            return "not calibrated"
        return f"calibrated on {crystals(self.n_calibrated)}"

    def calibrated(
        self, prediction: Prediction, encoded: FloatArray, deviations: FloatArray
    ) -> Task:
        """Return the task with deviations that hold for crystals that were held back."""
        errors = prediction.values - encoded
        known = np.isfinite(errors)
        if known.sum() < _FEWEST_ERRORS:
            raise ValueError(
                f"{known.sum()} crystals have a target {self.name!r} and a prediction; "
                f"{_FEWEST_ERRORS} are needed to calibrate"
            )
        factor = _quantile(np.abs(errors[known]) / deviations[known]) / _WITHIN**0.5
        if not 0 < factor < np.inf:
            raise ValueError(
                f"errors or deviations of {self.name!r} are 0, so that no factor fits; "
                "calibrate on crystals that were not in the fit"
            )
        return replace(self, std_factor=self.std_factor * factor, n_calibrated=int(known.sum()))

    def calibrated_out_of_bag(
        self, outputs: FloatArray, left_out: npt.NDArray[np.bool_], encoded: FloatArray
    ) -> Task:
        """Return the task with deviations that hold for crystals that a network was not fitted on.

        The networks that were fitted on a crystal agree on it more than on others: this part of
        its deviation is too small, and what is found makes up for it.
        """
        values = (encoded - self.mean) / self.scale
        rows = np.flatnonzero(left_out.any(axis=0) & ~np.isnan(values))
        if len(rows) < _FEWEST_ERRORS:
            return self
        disagreement = outputs[:, rows, 0].var(axis=0)
        # A crystal counts once, whatever number of networks it was left out of.
        networks = left_out[:, rows].argmax(axis=0)
        own = outputs[networks, rows]
        squares = (own[:, 0] - values[rows]) ** 2
        if self.has_variance:
            found = {"std_factor": np.sqrt(_quantile(squares / (np.exp(own[:, 1]) + disagreement)))}
        else:
            found = {"spread": np.sqrt(max(0.0, _quantile(squares - _WITHIN * disagreement)))}
        return replace(
            self,
            **{name: float(value) / _WITHIN**0.5 for name, value in found.items()},
            n_calibrated=len(rows),
        )

    def uncalibrated(self) -> Task:
        """Return the task with deviations as the network has them."""
        return replace(self, std_factor=1.0, spread=0.0, n_calibrated=0)

    def to_plain(self) -> dict[str, Any]:
        """Return its kind and fields, and whether it has a variance."""
        return {**super().to_plain(), "has_variance": self.has_variance}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the task of what `to_plain` returned."""
        task = super().from_plain(plain)
        found: Self = _with_variance(task) if plain["has_variance"] else task  # type: ignore[assignment]
        return found

    def check(self) -> None:
        """Refuse fields that no number has."""
        super().check()
        for name, least in (("std_factor", np.nextafter(0, 1)), ("spread", 0.0)):
            number = getattr(self, name)
            # Larger ones come from no errors, and their squares would be infinite.
            known = isinstance(number, (int, float)) and not isinstance(number, bool)
            if not (known and least <= number <= _LARGEST):
                raise ValueError(f"{name} {number} of a target")
        if not isinstance(self.n_calibrated, int) or self.n_calibrated < 0:
            raise ValueError(f"n_calibrated {self.n_calibrated} of a target")


@dataclass(frozen=True, eq=False)
class NumberWithVariance(Number):
    """A number whose second output is the logarithm of the variance of the scaled value."""

    has_variance: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        """Two: the value, and the logarithm of its variance."""
        return 2

    def errors(self, outputs: Tensor, target: Tensor, loss: str) -> Tensor:
        """Return the loss of each crystal."""
        return LOSSES[loss].errors(outputs, target)

    def combine(self, outputs: FloatArray) -> FloatArray:
        """Return the outputs of an ensemble: means of values and of variances."""
        combined = super().combine(outputs)
        combined[:, 1] = _log_mean(outputs[:, :, 1])
        return combined

    def _variance(self, outputs: FloatArray) -> FloatArray:
        return np.asarray(np.exp(_log_mean(outputs[:, :, 1])))


def _with_variance(task: Number) -> NumberWithVariance:
    return NumberWithVariance(**{f.name: getattr(task, f.name) for f in fields(task)})


def _deviation(centered: FloatArray, weights: FloatArray) -> float:
    return float(np.sqrt(np.average(centered**2, weights=weights)))


def _is_rounding(std: float, size: float) -> bool:
    """Tell whether numbers of some size differ by no more than they are rounded."""
    return std <= 10 * float(np.finfo(np.float64).eps) * size


def _scale(std: float, size: float) -> float:
    """Return the standard deviation of numbers of some size, or what stands for that of one."""
    return (min(1.0, size) or 1.0) if _is_rounding(std, size) else std


def _log_mean(logarithms: FloatArray) -> FloatArray:
    """Return the logarithm of the mean over the members."""
    mean: FloatArray = logsumexp(logarithms, axis=0) - np.log(len(logarithms))
    return mean


def _quantile(values: FloatArray) -> float:
    """Return the quantile of split conformal prediction.

    Another value of the kind is below it with the probability that intervals of one standard
    deviation are to have (V. Vovk, A. Gammerman and G. Shafer, 2005).
    """
    ranked = np.sort(values)
    place = int(np.ceil((len(ranked) + 1) * _COVERAGE)) - 1
    return float(ranked[min(place, len(ranked) - 1)])
