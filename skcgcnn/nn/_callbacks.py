"""Callbacks that would have no effect in a training are refused, with what to do."""

from collections.abc import Iterable
from typing import Any

from skorch.callbacks import BatchScoring, EpochScoring, LRScheduler

_SCHEDULE = (
    "{}, but the learning rate follows the one-cycle schedule; fit with "
    'net_params={{"schedule": "constant"}} to leave it to callbacks'
)
_VALIDATION = (
    "there are no validation crystals ({}): fit with early_stopping=True or validation_data=, or "
    "let the callback use what is there without them, by monitor='train_loss' or on_train=True"
)


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
