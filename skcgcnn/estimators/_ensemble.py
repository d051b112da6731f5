"""Several networks that predict together, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

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
