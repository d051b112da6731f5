"""Progress of a long task: a bar in a terminal or a notebook, now and then a line in a log."""

import math
import sys
import time
from typing import Self

from tqdm.auto import tqdm

# In a log, a line is written after this share of the task, or after so many seconds.
_SHARE = 0.1
_SECONDS = 30.0


class Progress:
    """Shows the progress of a task on the standard error stream.

    A terminal or a notebook shows one bar, which disappears at the end. A file, such as the log of
    a batch system, gets a plain line now and then.

    Parameters
    ----------
    total : int or None
        Number of steps; None if unknown.
    unit : str
        Name of a step, in the singular.
    initial : int, default=0
        Steps done earlier.
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
        self.total, self.unit, self.done = total, unit, initial
        self._start = self._last = time.monotonic()
        self._initial = self._shown = initial
        interactive = _is_interactive()
        self._logs = enabled and not interactive
        self._bar = tqdm(
            total=total,
            initial=initial,
            desc=self._describe(""),
            bar_format="|{bar}| {desc}",
            leave=False,
            dynamic_ncols=True,
            disable=not (enabled and interactive),
        )

    def update(self, n: int, facts: str = "") -> None:
        """Advance by `n` steps; `facts` is shown with the counts."""
        self.done += n
        now = time.monotonic()
        text = self._describe(facts, now - self._start)
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(n)
        total = math.inf if self.total is None else self.total
        enough = self.done - self._shown >= _SHARE * total
        if self._logs and (enough or self.done >= total or now - self._last >= _SECONDS):
            self._shown, self._last = self.done, now
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def _describe(self, facts: str, seconds: float = 0.0) -> str:
        of_total = "" if self.total is None else f" of {self.total}"
        parts = [f"{self.unit} {self.done}{of_total}", facts]
        if seconds and (new := self.done - self._initial):
            rate = new / seconds
            amount = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            parts.append(f"{amount} {self.unit}s/s")
            if self.total is not None and self.done < self.total:
                parts.append(f"{_duration((self.total - self.done) / rate)} left")
        return ", ".join(filter(None, parts))

    def close(self) -> None:
        """Remove the bar."""
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
