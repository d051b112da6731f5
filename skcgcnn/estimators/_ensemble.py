"""Several networks that predict together, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

from skcgcnn.estimators._targets import FloatArray, output_slices
from skcgcnn.modelfiles import Target

# Share of the errors that is to be within the interval, by which deviations are calibrated.
_COVERAGE = 0.95
# So many errors are needed to tell it.
FEWEST_ERRORS = 20

MAX_SEED = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard deviations of predictions, in the units and the shape of y.

    Those of classes are NaN: see their probabilities.

    Attributes
    ----------
    aleatoric : ndarray
        From the data: what the network learned of the scatter of its errors
        (``loss="gaussian_nll"``); 0 for other losses.
    epistemic : ndarray
        From the model: the standard deviation of the networks' predictions (``n_estimators``); 0
        for a single network.
    total : ndarray
        The root of the sum of their squares.
    """

    aleatoric: npt.NDArray[Any]
    epistemic: npt.NDArray[Any]
    total: npt.NDArray[Any]


def fit_members(
    members: Sequence[Any], n_jobs: int | None, *args: Any, **options: Any
) -> list[Any]:
    """Fit estimators of one network each, in parallel.

    Parameters
    ----------
    members : sequence of estimators
        Not fitted.
    n_jobs : int or None
        Number of workers, see joblib.
    *args, **options
        Of their `fit`.

    Returns
    -------
    list of fitted estimators
    """
    fitted: list[Any] = Parallel(n_jobs)(
        delayed(member.fit)(*args, **options) for member in members
    )
    return fitted


def combine(outputs: FloatArray, targets: Sequence[Target]) -> FloatArray:
    """Return the outputs of an ensemble: means of numbers, and of probabilities.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_crystals, n_outputs)
        Of each network.
    targets : sequence of Target
        Whose outputs they are.

    Returns
    -------
    ndarray of shape (n_crystals, n_outputs)
        Variances are the means of the variances.
    """
    combined: FloatArray
    if len(outputs) == 1:
        combined = outputs[0]
        return combined
    combined = outputs.mean(axis=0)
    for target, columns in zip(targets, output_slices(targets), strict=True):
        part = outputs[:, :, columns]
        if target.classes is not None:
            combined[:, columns] = _log_mean(np.asarray(log_softmax(part, axis=2)))
        elif target.has_variance:
            combined[:, columns.start + 1] = _log_mean(part[:, :, 1])
    return combined


def deviations(outputs: FloatArray, targets: Sequence[Target]) -> tuple[FloatArray, FloatArray]:
    """Return the standard deviations of an ensemble's predictions.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_crystals, n_outputs)
        Of each network.
    targets : sequence of Target
        Whose outputs they are.

    Returns
    -------
    aleatoric, epistemic : ndarray of shape (n_crystals, n_targets)
        In the units of the targets; NaN for classes.
    """
    shape = (outputs.shape[1], len(targets))
    aleatoric, epistemic = np.full(shape, np.nan), np.full(shape, np.nan)
    for index, (target, columns) in enumerate(zip(targets, output_slices(targets), strict=True)):
        if target.classes is not None:
            continue
        part = outputs[:, :, columns]
        missing = 0 * part[:, :, 0].sum(axis=0)  # NaN where there is no prediction
        unit = target.scale * target.std_factor
        epistemic[:, index] = part[:, :, 0].std(axis=0) * unit
        variance = np.exp(_log_mean(part[:, :, 1])) if target.has_variance else 0.0
        aleatoric[:, index] = np.sqrt(variance) * unit + missing
    return aleatoric, epistemic


def std_factor(errors: FloatArray, deviations: FloatArray) -> float:
    """Return what standard deviations must be multiplied by, so that 95 % intervals hold.

    Parameters
    ----------
    errors : ndarray of shape (n_crystals,)
        Of predictions for crystals that were held back.
    deviations : ndarray of shape (n_crystals,)
        Their standard deviations.

    Returns
    -------
    float
        The quantile of split conformal prediction (V. Vovk, A. Gammerman and G. Shafer, 2005), over
        that of the normal distribution.
    """
    ratios = np.sort(np.abs(errors) / deviations)
    place = int(np.ceil((len(ratios) + 1) * _COVERAGE)) - 1
    return float(ratios[min(place, len(ratios) - 1)] / norm.ppf((1 + _COVERAGE) / 2))


def _log_mean(logarithms: FloatArray) -> FloatArray:
    """Return the logarithm of the mean over the members."""
    mean: FloatArray = logsumexp(logarithms, axis=0) - np.log(len(logarithms))
    return mean
