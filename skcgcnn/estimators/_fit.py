"""The way through a fit of one network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skcgcnn._recipes import is_auto, resolve
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._crystals import flat_params
from skcgcnn.estimators._elements import elements_of
from skcgcnn.estimators._fine_tuning import compare, start_values
from skcgcnn.estimators._head_start import (
    choose_start,
    descends,
    first_to_choose,
    goes_to_end,
)
from skcgcnn.estimators._net import update_net, usual_weight_decay
from skcgcnn.estimators._start import initialize
from skcgcnn.estimators._training_data import TrainingData, split
from skcgcnn.estimators._transfer import n_frozen_layers
from skcgcnn.estimators._uncertainty import calibrate_out_of_bag
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import BestEpoch, GraphDataset, accelerator_of, broadcast_int, check_callbacks
from skcgcnn.tasks import TargetDecoder

MAX_SEED = np.iinfo(np.int32).max
# So many crystals tell which epoch is best (benchmarks/results/early_stopping.md).
_FEWEST_TO_CHOOSE = 20


def fit_data(
    est: Any,
    train: TrainingData,
    valid: TrainingData | None,
    *,
    source: ModelState | None = None,
    reset: bool = True,
    whole: TrainingData | None = None,
    callbacks: Sequence[tuple[str, Any]] = (),
    resume: bool = False,
) -> None:
    """Fit an estimator, see `BaseCGCNN._fit`.

    `source` is what a new fit starts from; `whole` what an ensemble shares, of which `train` is a
    part.
    """
    seed, stops, n_held_out = make_seed(est), est.early_stopping, 0
    if stops and valid is None:
        stops = _can_hold_out(est, len(train))
        train, valid = split(train, est.validation_fraction, seed) if stops else (train, None)
        n_held_out = 0 if valid is None else len(valid)
    whole = whole or train
    params = resolved(est, source, len(whole), reset=reset) | {"early_stopping": stops}
    check_callbacks(est.callbacks or [], schedule=params["schedule"], validates=valid is not None)
    _prepare(est, train, source, seed, params, reset=reset, whole=whole)
    if n_held_out and goes_to_end(est):
        warn_caller(
            "a fit that starts from the general model is short and goes to its end: early_stopping "
            f"only keeps {n_held_out} of {n_held_out + len(train)} crystals from being learned. "
            "Leave it out, or set n_iter_no_change=10 to stop all the same"
        )
    if resume and isinstance(est.init_from, ModelState):
        source = est.init_from
    start = start_values(est, source, valid) if reset or resume else None
    epochs, done = params["max_epochs"], len(est.net_.history)
    if valid is not None:
        if "best_epoch" not in dict(callbacks):
            callbacks = [("best_epoch", BestEpoch()), *callbacks]
        first = (0 if resume else done) + first_to_choose(est, epochs)
        dict(callbacks)["best_epoch"].first = first
    own = est.net_.callbacks
    est.net_.callbacks = [*own, *callbacks]
    est.net_.initialize_callbacks()
    # A fit that is resumed goes on to the end of the one that was interrupted.
    left, cycle = (epochs - done, (0, epochs)) if resume else (epochs, (done, epochs))
    try:
        _train(est, train, valid, left, cycle)
    finally:
        est.net_.callbacks = own
        if reset or resume or len(est.net_.history) > done:
            est.net_.finish(_dataset(est, train))
        else:  # the network is as it was, with the statistics of other crystals, perhaps
            est.net_.module_.release_buffers()
    if valid is not None and start is not None:
        compare(est, start, valid)
    if valid is not None and any(target.has_variance for target in est.targets_):
        calibrate_out_of_bag(est, valid, np.ones((1, len(valid)), dtype=bool))


def fit_one_epoch(est: Any, data: TrainingData, *, reset: bool) -> None:
    """Train for one epoch; the end is not known, so that the learning rate is constant."""
    source = choose_start(est, data.graphs) if reset else None
    params = resolved(est, source, len(data), reset=reset)
    check_callbacks(est.callbacks or [], schedule="constant", validates=False)
    _prepare(est, data, source, make_seed(est), params, reset=reset)
    _train(est, data, None, 1, None)


@contextmanager
def left_by_errors(est: Any, *, reset: bool) -> Iterator[None]:
    """Leave the estimator as it was after Ctrl-C, or an error, in the first epoch of a training.

    Else it would seem fitted. After whole epochs it has their weights, which a warning tells; of
    several networks, which are not there one by one, it is as it was.
    """
    before, n_epochs = dict(vars(est)), 0 if reset else len(est.net_.history)
    try:
        yield
    except BaseException:
        net = vars(est).get("net_")
        is_old = reset and net is before.get("net_")
        if is_old or len(net.history) == n_epochs or est.n_estimators > 1:
            vars(est).update(before)
            for name in vars(est).keys() - before.keys():
                delattr(est, name)
        else:
            n_epochs = len(net.history)
            raw = any(one.has_variance and not one.n_calibrated for one in est.targets_)
            more = ", and its standard deviations are not calibrated" if raw else ""
            with suppress(Warning):  # where it is an error, Ctrl-C is to stop a search all the same
                warn_caller(
                    f"the fit was interrupted after {n_epochs} epoch{'s' * (n_epochs != 1)}; the "
                    f"estimator is fitted with their weights{more}"
                )
        raise


def resolved(
    est: Any, source: ModelState | None, n_crystals: int, *, reset: bool = True
) -> dict[str, Any]:
    """Return the parameters, with values for "auto": those of the fit while it goes on."""
    own = flat_params(est, reset=reset, source=source)
    if reset:
        own["init_from"] = source
    found = resolve(own, n_crystals, general=descends(source))
    if is_auto(own["weight_decay"]):
        found["weight_decay"] = usual_weight_decay(found["optimizer"], found["weight_decay"])
    if not reset:
        found |= {
            name: value
            for name, value in est.fitted_params_.items()
            # That of cls_weight stands for itself: a weight is learned.
            if is_auto(own.get(name)) and name != "cls_weight"
        }
    return found


def make_seed(est: Any) -> int:
    """Return the seed of a fit."""
    seed = int(check_random_state(est.random_state).randint(MAX_SEED))
    # All processes begin alike, also where nothing decides how.
    accelerator = accelerator_of(est.device)
    return seed if accelerator is None else broadcast_int(accelerator, seed)


def _prepare(
    est: Any,
    data: TrainingData,
    source: ModelState | None,
    seed: int,
    params: dict[str, Any],
    *,
    reset: bool,
    whole: TrainingData | None = None,
) -> None:
    """Make a new net, or update the one with which training continues."""
    if not reset and est.more_nets_:
        raise ValueError(
            f"{1 + len(est.more_nets_)} networks were fitted, and training can continue with "
            "one only. Fit with warm_start=False, or begin with n_estimators=1"
        )
    begun = not reset or source is not None
    n_frozen = n_frozen_layers(est.freeze, params["n_conv"], begun=begun)
    if reset:
        initialize(est, data, whole or data, source, seed, params)
    else:
        update_net(est, params)
        # Deviations that were calibrated are those of the network before.
        est.targets_ = tuple(target.uncalibrated() for target in est.targets_)
        more = elements_of(est, data.graphs)
        if est.elements_ is not None and more is not None:
            est.elements_ = tuple(sorted({*est.elements_, *more}))
    est.net_.module_.freeze(n_frozen)


def _train(
    est: Any,
    train: TrainingData,
    valid: TrainingData | None,
    epochs: int,
    cycle: tuple[int, int] | None,
) -> None:
    """Train for some more epochs, see `GraphNet.run`."""
    validation = None if valid is None else _dataset(est, valid)
    est.n_samples_fit_ = len(train)
    try:
        est.net_.run(_dataset(est, train), validation, epochs, cycle)
    finally:
        est.n_iter_ = len(est.net_.history)


def _can_hold_out(est: Any, n_crystals: int) -> bool:
    """Tell whether early stopping holds out crystals; warn where they would be too few."""
    n_held_out = round(est.validation_fraction * n_crystals)
    if n_held_out >= _FEWEST_TO_CHOOSE or not is_auto(est.n_iter_no_change):
        return True
    warn_caller(
        f"early_stopping would hold out {n_held_out} of {n_crystals} crystals, too few to "
        "choose an epoch by: all are trained on, for all epochs. With n_iter_no_change=10 it "
        "stops all the same"
    )
    return False


def _dataset(est: Any, data: TrainingData) -> GraphDataset:
    weights = data.weights
    relative = None if (weights == weights[0]).all() else weights / weights.mean()
    original = TargetDecoder(est.targets_, est.y_ndim_).original(data.values)
    scaled = np.asarray((data.values - est.target_mean_) / est.target_scale_)
    return GraphDataset(data.graphs, scaled, relative, original)
