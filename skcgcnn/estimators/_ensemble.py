"""Several networks that predict together."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils import check_random_state

from skcgcnn._parallel import streaming_parallel, task
from skcgcnn._text import crystals
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._fine_tuning import RESULTS as START_RESULTS
from skcgcnn.estimators._fit import MAX_SEED, fit_data, make_seed, resolved
from skcgcnn.estimators._head_start import descends
from skcgcnn.estimators._outputs import forward
from skcgcnn.estimators._persistence import model_state, set_model_state
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.estimators._uncertainty import calibrate_out_of_bag
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import accelerator_of
from skcgcnn.tasks import LOSSES

# Each network leaves out one part of so many.
_PARTS = 10
# Networks that begin alike leave out more, where a tenth is too few: one of so many at most.
_FEWEST_PARTS = 3
# Networks whose scaled outputs differ by no more than rounding are one.
_ROUNDING = 1e-5
# Fewer errors do not tell how large they are.
_FEWEST_LEFT_OUT = 20


def fit_ensemble(
    est: Any, data: TrainingData, valid: TrainingData | None, source: ModelState | None
) -> None:
    """Fit an ensemble and store its members.

    Each leaves out some crystals, which tell how far its predictions for others are off.
    """
    rng = check_random_state(est.random_state)
    members = [clone(est) for _ in range(est.n_estimators)]
    for member in members:
        member.set_params(n_estimators=1, random_state=int(rng.randint(MAX_SEED)))
    # Of classes, the probabilities tell how sure a network is.
    n_members = len(members) if any(target.is_number for target in data.targets) else 0
    left_out = np.zeros((len(members), len(data)), dtype=bool)
    alike = descends(source)
    left_out[:n_members] = leave_out(n_members, len(data), make_seed(est), alike=alike)
    # Processes train one network after another, together.
    parallel = streaming_parallel(None if accelerator_of(est.device) else est.n_jobs)
    fitted = list(
        parallel(
            task(_fit_member)(member, data, valid, source, rows)
            for member, rows in zip(members, left_out, strict=True)
        )
    )
    first, *others = map(model_state, fitted)
    state = replace(
        first,
        targets=tuple(target.uncalibrated() for target in first.targets),
        more_weights=tuple(other.weights for other in others),
        provenance=replace(first.provenance, n_samples=len(data)),
    )
    set_model_state(est, state)
    vars(est).update({n: v for n, v in vars(fitted[0]).items() if n in START_RESULTS})
    if left_out.any(axis=0).sum() >= _FEWEST_LEFT_OUT:
        calibrate_out_of_bag(est, data, left_out)
    elif valid is not None:
        calibrate_out_of_bag(est, valid, np.ones((len(members), len(valid)), dtype=bool))
    if n_members and alike and not left_out.any():
        _keep_one(est, data)


def _keep_one(est: Any, data: TrainingData) -> None:
    """Keep one of networks that are all the same: together they would claim to be certain."""
    if forward(est, data.graphs).std(axis=0).max() > _ROUNDING:
        return
    est.more_nets_ = []
    warn_caller(
        f"n_estimators={est.n_estimators}: all networks begin with one model, and of "
        f"{crystals(len(data))} none can be left out, so that all are the same. One is kept, "
        f"without standard deviations; fit {_FEWEST_PARTS} crystals or more, or set init_from=None"
    )


def fit_alone(
    est: Any,
    data: TrainingData,
    valid: TrainingData | None,
    *,
    source: ModelState | None,
    reset: bool,
    **options: Any,
) -> None:
    """Fit an estimator of one network, see `fit_data`.

    As each network of an ensemble, one that predicts a variance leaves out some crystals to be
    calibrated by, unless others are held out.
    """
    options |= {"source": source, "reset": reset}
    loss = resolved(est, source, len(data), reset=reset).get("loss")
    begins = (reset or options.get("resume")) and valid is None and not est.early_stopping
    left_out = np.zeros((1, len(data)), dtype=bool)
    if begins and loss is not None and LOSSES[loss].has_variance:
        left_out = leave_out(1, len(data), make_seed(est))
    if not left_out.any():
        fit_data(est, data, valid, **options)
        return
    fit_data(est, data.take(np.flatnonzero(~left_out[0])), None, whole=data, **options)
    calibrate_out_of_bag(est, data, left_out)
    est.n_samples_fit_ = len(data)


def leave_out(
    n_members: int, n_crystals: int, seed: int, *, alike: bool = False
) -> npt.NDArray[np.bool_]:
    """Return which crystals each network of an ensemble is not fitted on.

    Each leaves out a tenth, and as far as possible others than those before. All are False where
    the crystals left out by any would be too few to tell anything. Networks that begin `alike`, all
    with one general model, would then be one network: they leave out more than a tenth, up to a
    third.
    """
    left_out = np.zeros((n_members, n_crystals), dtype=bool)
    possible = range(_PARTS, _FEWEST_PARTS - 1, -1) if alike and n_members > 1 else (_PARTS,)
    enough = [n for n in possible if min(n_members, n) * (n_crystals // n) >= _FEWEST_LEFT_OUT]
    n_parts = enough[0] if enough else possible[-1]
    if not enough and (len(possible) == 1 or n_crystals < n_parts):
        return left_out
    parts = np.array_split(np.random.default_rng(seed).permutation(n_crystals), n_parts)
    for member, rows in enumerate(left_out):
        rows[parts[member % n_parts]] = True
    return left_out


def _fit_member(
    member: Any,
    data: TrainingData,
    valid: TrainingData | None,
    source: ModelState | None,
    left_out: npt.NDArray[np.bool_],
) -> Any:
    own = data.take(np.flatnonzero(~left_out)) if left_out.any() else data
    fit_data(member, own, valid, source=source, whole=data)
    return member
