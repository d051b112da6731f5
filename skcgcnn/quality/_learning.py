"""How the error falls with more crystals, and how many more a lower error takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skcgcnn.tasks import checked_groups

_DRAWS = 500
# An error that falls more slowly than that with the number of crystals does not fall.
_FLAT = 0.02
# Beyond so many times the crystals there are, a line through four points says nothing.
_FARTHEST = 100.0

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PowerLaw:
    """An error that falls as a power of the number of training crystals.

    ``str()`` of it is a sentence.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of training crystals, ascending.
    errors : tuple of float
        Mean errors on the test crystals.
    scale, exponent : float
        The error is ``scale * size**-exponent``.
    low, high : float or None
        Ends of the 95 % interval of the exponent, by the bootstrap over test crystals; None for a
        single crystal or group.
    """

    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    scale: float
    exponent: float
    low: float | None
    high: float | None

    def error(self, size: float) -> float:
        """Return the error that so many training crystals would give.

        Parameters
        ----------
        size : float

        Returns
        -------
        float
        """
        return float(self.scale * size**-self.exponent)

    def more(self, share: float = 0.1) -> tuple[float, float, float]:
        """Return how many more crystals would lower the error by a share.

        Parameters
        ----------
        share : float, default=0.1
            By how much of itself the error is to fall.

        Returns
        -------
        best, low, high : float
            With the ends of the interval, NaN where there is none; infinite where the error does
            not fall, as where it is 0.

        Raises
        ------
        ValueError
            If the share is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"share={share!r}; expected a number between 0 and 1")
        if not self.errors[-1]:
            return float("inf"), float("inf"), float("inf")
        found = [_more(self.sizes[-1], share, b) for b in (self.exponent, self.high, self.low)]
        return found[0], found[1], found[2]

    def __str__(self) -> str:
        if not self.errors[-1]:
            return "No test crystal is wrong: they cannot tell how much more crystals would help."
        best, low, high = self.more()
        if not np.isfinite(best):
            return "The error does not fall with more crystals of this kind."
        most = f"{high:,.0f}" if np.isfinite(high) else "no number at all"
        interval = "no interval" if np.isnan(low) else f"95 % interval {low:,.0f} to {most}"
        return (
            f"About {_two_digits(best):,} more training crystals for 10 % less error ({interval})."
        )


def _more(size: int, share: float, exponent: float | None) -> float:
    if exponent is None:
        return float("nan")
    if exponent < _FLAT:
        return float("inf")
    factor = float((1 - share) ** (-1 / exponent))
    return size * (factor - 1) if factor < _FARTHEST else float("inf")


def _two_digits(number: float) -> int:
    digits = max(0, int(np.floor(np.log10(max(number, 1)))) - 1)
    return int(round(number, -digits))


def fit_power_law(
    sizes: Sequence[int], errors: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> PowerLaw:
    """Fit a power law to errors on the same test crystals.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of training crystals: at least two, in any order.
    errors : array-like of shape (n_sizes, n_crystals)
        Absolute errors of each test crystal, or 1 for a label that is wrong and 0 for one that is
        right.
    groups : array-like of shape (n_crystals,), optional
        Groups of similar crystals, which the bootstrap draws as a whole.

    Returns
    -------
    PowerLaw

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or no errors; if sizes are not different numbers above 0,
        or errors are below 0 or no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.outer([100.0**-0.5, 200.0**-0.5, 400.0**-0.5], np.ones(30))
    >>> law = fit_power_law([100, 200, 400], errors)
    >>> round(law.exponent, 3), [round(n) for n in law.more(0.5)]
    (0.5, [1200, 1200, 1200])
    """
    rows = np.asarray(errors, dtype=np.float64)
    if len(sizes) < 2 or rows.ndim != 2 or len(rows) != len(sizes) or not rows.shape[1]:
        raise ValueError(
            f"errors has shape {rows.shape}; expected a row for each of at least two sizes, and a "
            "column for each test crystal"
        )
    # Neither is NaN.
    if not ((rows >= 0) & (rows < np.inf)).all():
        raise ValueError("errors holds a number below 0, NaN or inf; expected absolute errors")
    if min(sizes) < 1 or len(set(sizes)) < len(sizes):
        raise ValueError(f"sizes={list(sizes)}; expected different numbers of crystals above 0")
    order = np.argsort(sizes)
    sizes, rows = np.asarray(sizes)[order].tolist(), rows[order]
    members = np.arange(rows.shape[1]) if groups is None else checked_groups(groups, rows.shape[1])
    _, places = np.unique(members, return_inverse=True)
    n_groups = int(places.max()) + 1
    sums = np.stack([np.bincount(places, row, n_groups) for row in rows])
    counts = np.bincount(places, minlength=n_groups)
    # No error has no logarithm. Of labels none of which is wrong, half of one counts.
    least = rows[rows > 0].min(initial=np.inf) / (2 * rows.shape[1])
    scale, exponent = _fit(sizes, rows.mean(axis=1), least)
    low = high = None
    if n_groups > 1:  # one that is drawn again and again varies in nothing
        rng = np.random.default_rng(0)
        exponents = []
        for _ in range(_DRAWS):
            drawn = rng.integers(n_groups, size=n_groups)
            means = sums[:, drawn].sum(axis=1) / counts[drawn].sum()
            exponents.append(_fit(sizes, means, least)[1])
        low, high = map(float, np.quantile(exponents, [0.025, 0.975]))
    return PowerLaw(
        sizes=tuple(int(n) for n in sizes),
        errors=tuple(float(e) for e in rows.mean(axis=1)),
        scale=scale,
        exponent=exponent,
        low=low,
        high=high,
    )


def _fit(sizes: Sequence[int], errors: FloatArray, least: float) -> tuple[float, float]:
    """Return scale and exponent by a line through logarithms."""
    if not errors.any():
        return 0.0, 0.0
    slope, start = np.polyfit(np.log(sizes), np.log(np.maximum(errors, least)), 1)
    return float(np.exp(start)), float(-slope)
