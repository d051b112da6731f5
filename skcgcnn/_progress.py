"""How far a long task is: a bar in a terminal or a notebook, and now and then a line elsewhere."""

import math
import sys
import time
from typing import Any, Self

from tqdm.auto import tqdm

# Without a terminal, a line is written after this share of the task, or after so many seconds.
_SHARE = 0.1
_SECONDS = 30.0


class Progress:
    """Tells how far a task is, on the standard error stream.

    A terminal or a notebook shows one bar, which goes when the task is done. A file, such as the
    log of a batch system, gets a plain line now and then.

    Parameters
    ----------
    total : int or None
        Number of steps; None where it is not known.
    unit : str
        What a step is, in the singular.
    initial : int, default=0
        Steps that were done before.
    enabled : bool, default=True
        False shows nothing.

    Examples
    --------
    >>> with Progress(2, "epoch", enabled=False) as progress:
    ...     progress.update(1, "validation MAE 0.1 eV")
    """

    def __init__(
        self, total: int | None, unit: str, *, initial: int = 0, enabled: bool = True
    ) -> None:
        self.total, self.unit, self.done, self.enabled = total, unit, initial, enabled
        self._start = self._last = time.monotonic()
        self._initial = self._shown = initial
        # Nothing is asked of the screen where nothing is to be shown.
        self._bar = self._make_bar() if enabled and _is_interactive() else None

    def _make_bar(self) -> Any:
        return tqdm(
            total=self.total,
            unit=self.unit,
            initial=self.done,
            leave=False,
            dynamic_ncols=True,
        )

    def update(self, n: int, facts: str = "") -> None:
        """Go on by some steps.

        Parameters
        ----------
        n : int
            Number of steps.
        facts : str, default=""
            What is new.
        """
        self.done += n
        if not self.enabled:
            return
        if self._bar is not None:
            self._bar.set_postfix_str(facts, refresh=False)
            self._bar.update(n)
            return
        now = time.monotonic()
        total = math.inf if self.total is None else self.total
        enough = self.done - self._shown >= _SHARE * total
        if enough or self.done >= total or now - self._last >= _SECONDS:
            self._shown, self._last = self.done, now
            print(self._line(now - self._start, facts), file=sys.stderr, flush=True)  # noqa: T201

    def _line(self, seconds: float, facts: str) -> str:
        per_step = seconds / max(1, self.done - self._initial)
        of_total, time_left = "", ""
        if self.total is not None:
            of_total = f" of {self.total}"
            if self.done < self.total:
                time_left = f", {_duration(per_step * (self.total - self.done))} left"
        rate = f"{1 / per_step:.3g} a second" if per_step else ""
        parts = [f"{self.unit} {self.done}{of_total}", facts, rate]
        return ", ".join(part for part in parts if part) + time_left

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_interactive() -> bool:
    """Return whether the standard error stream is a terminal or belongs to a notebook."""
    if sys.stderr is None:
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


def _duration(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
