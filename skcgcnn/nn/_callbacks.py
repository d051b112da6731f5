"""The timer of epochs; and callbacks that would have no effect are refused, with what to do."""

import time
from collections.abc import Iterable
from typing import Any

from skorch.callbacks import BatchScoring, EpochScoring, EpochTimer, LRScheduler

_SCHEDULE = (
    "{}, but the learning rate follows the one-cycle schedule; fit with "
    'net_params={{"schedule": "constant"}} to leave it to callbacks'
)
_VALIDATION = (
    "there are no validation crystals ({}): fit with early_stopping=True or validation_data=, or "
    "let the callback use what is there without them, by monitor='train_loss' or on_train=True"
)


class Timer(EpochTimer):
    """Records how long each epoch takes, by a clock that is never set back or forward."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Note the time."""
        self.epoch_start_time_ = time.monotonic()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record the seconds since then."""
        net.history.record("dur", time.monotonic() - self.epoch_start_time_)


def two_schedules(what: str) -> ValueError:
    """Return the error for a learning rate that two want to set."""
    return ValueError(_SCHEDULE.format(what))


def no_validation(what: object) -> ValueError:
    """Return the error for validation results that are not there."""
    return ValueError(_VALIDATION.format(what))


def check_callbacks(callbacks: Iterable[Any], *, schedule: str, validates: bool) -> None:
    """Refuse callbacks that would have no effect.

    Parameters
    ----------
    callbacks : iterable of skorch callbacks
        Or of pairs of a name and a callback; classes or instances.
    schedule : {"one_cycle", "constant"}
        Course of the learning rate.
    validates : bool
        Whether there are validation crystals.

    Raises
    ------
    ValueError
        If there is one; it says what to do.
    """
    for given in callbacks:
        callback = given[-1] if isinstance(given, tuple) and given else given
        kind = callback if isinstance(callback, type) else type(callback)
        if issubclass(kind, LRScheduler) and schedule == "one_cycle":
            raise two_schedules(f"callbacks holds {kind.__name__}")
        scores = issubclass(kind, (EpochScoring, BatchScoring))
        if scores and not validates and not getattr(callback, "on_train", False):
            raise no_validation(f"callbacks holds {kind.__name__}")
