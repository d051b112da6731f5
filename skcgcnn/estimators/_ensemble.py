"""Several networks that predict together, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.tasks import output_slices

MAX_SEED = np.iinfo(np.int32).max
# Each network leaves out one part of so many.
_PARTS = 10
# Fewer errors do not tell how large they are.
_FEWEST_LEFT_OUT = 20


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard deviations of predictions, in the units and the shape of y.

    Those of classes are NaN: see their probabilities.

    Attributes
    ----------
    aleatoric : ndarray
        From the data: what the network learned of the scatter of its errors
        (``loss="gaussian_nll"``), or what errors on crystals that were left out add to the
        epistemic part; 0 where neither is known.
    epistemic : ndarray
        From the model: the standard deviation of the networks' predictions (``n_estimators``); 0
        for a single network.
    total : ndarray
        The root of the sum of their squares.
    """

    aleatoric: npt.NDArray[Any]
    epistemic: npt.NDArray[Any]
    total: npt.NDArray[Any]


def leave_out(n_members: int, n_crystals: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return which crystals each network of an ensemble is not fitted on.

    Each leaves out a tenth, and as far as possible others than those before.

    Parameters
    ----------
    n_members : int
        Number of networks.
    n_crystals : int
        Number of crystals.
    seed : int
        Decides which.

    Returns
    -------
    ndarray of shape (n_members, n_crystals)
        All False where the crystals left out by any would be too few to tell anything.
    """
    left_out = np.zeros((n_members, n_crystals), dtype=bool)
    if min(n_members, _PARTS) * (n_crystals // _PARTS) < _FEWEST_LEFT_OUT:
        return left_out
    parts = np.array_split(np.random.default_rng(seed).permutation(n_crystals), _PARTS)
    for member, rows in enumerate(left_out):
        rows[parts[member % _PARTS]] = True
    return left_out


def calibrate_left_out(est: Any, data: TrainingData, left_out: npt.NDArray[np.bool_]) -> None:
    """Calibrate standard deviations by crystals that networks were not fitted on.

    Parameters
    ----------
    est : fitted estimator
        Its `targets_` change.
    data : TrainingData
        The crystals.
    left_out : ndarray of shape (n_members, n_crystals)
        Which of them each network was not fitted on.
    """
    rows = np.flatnonzero(left_out.any(axis=0))
    outputs = est._member_outputs(data.graphs[rows])
    columns = zip(est.targets_, output_slices(est.targets_), data.values.T, strict=True)
    est.targets_ = tuple(
        target.calibrated_out_of_bag(outputs[:, :, own], left_out[:, rows], values[rows])
        for target, own, values in columns
    )


def fit_members(
    members: Sequence[Any],
    n_jobs: int | None,
    data: TrainingData,
    valid: TrainingData | None,
    left_out: npt.NDArray[np.bool_],
) -> list[Any]:
    """Fit estimators of one network each, in parallel.

    Parameters
    ----------
    members : sequence of estimators
        Not fitted.
    n_jobs : int or None
        Number of workers, see joblib.
    data : TrainingData
        The crystals to train on.
    valid : TrainingData or None
        Those to validate by.
    left_out : ndarray of shape (n_members, n_crystals)
        Which crystals each leaves out.

    Returns
    -------
    list of fitted estimators
    """
    fitted: list[Any] = Parallel(n_jobs)(
        delayed(_fit_member)(member, data, valid, rows)
        for member, rows in zip(members, left_out, strict=True)
    )
    return fitted


def _fit_member(
    member: Any, data: TrainingData, valid: TrainingData | None, left_out: npt.NDArray[np.bool_]
) -> Any:
    own = data.take(np.flatnonzero(~left_out)) if left_out.any() else data
    return member._fit_data(own, valid, whole=data)
