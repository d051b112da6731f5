"""Figures of errors: parity, intervals, and losses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import as_floats, bin_edges
from skcgcnn._text import for_figures
from skcgcnn.plotting._axes import BLUE, GRAY, ORANGE, get_axes, with_unit

# Of losses; more of them have those of matplotlib.
_COLORS = (BLUE, ORANGE, GRAY)
_LEVELS = np.arange(0.05, 1, 0.05)


def parity(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    y_std: npt.ArrayLike | None = None,
    name: str = "",
    unit: str = "",
    ax: Any = None,
) -> Any:
    """Draw predicted against true numbers, with a histogram of the errors in a corner.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_crystals,)
        The numbers; NaN is left out.
    y_std : array-like of shape (n_crystals,), optional
        Standard deviations of the predictions, drawn as bars.
    name, unit : str, optional
        What they are.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If they are not of the same crystals, or no crystal has both numbers.

    Examples
    --------
    >>> ax = parity([0.0, 1.0, 2.0], [0.1, 0.9, 2.2], name="energy", unit="eV")
    >>> ax.get_xlabel()
    'energy, true (eV)'
    """
    true, predicted = _columns(y_true=y_true, y_pred=y_pred)
    known = np.isfinite(true) & np.isfinite(predicted)
    if not known.any():
        raise ValueError("no crystal has both a true and a predicted number")
    from matplotlib.ticker import MaxNLocator

    true, predicted = true[known], predicted[known]
    ax = get_axes(ax)
    if y_std is not None:
        std = _columns(y_true=y_true, y_std=y_std)[1][known]
        ax.errorbar(true, predicted, std, fmt="none", ecolor=GRAY, elinewidth=0.6, zorder=1)
    ax.scatter(true, predicted, s=12, color=BLUE, edgecolors="none", alpha=0.7, zorder=2)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    ax.plot(ends, ends, color=GRAY, linewidth=1, zorder=0)
    errors = predicted - true
    mae = float(np.abs(errors).mean())
    ax.set(
        xlabel=with_unit(f"{name}, true" if name else "true", unit),
        ylabel=with_unit(f"{name}, predicted" if name else "predicted", unit),
        title=for_figures(f"mean absolute error {mae:.3g} {unit}".rstrip()),
    )
    # More or longer numbers would run into each other.
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.ticklabel_format(scilimits=(-2, 4))
    corner = ax.inset_axes(_emptier_corner(true, predicted))
    corner.hist(errors, bins=bin_edges(errors, 21, same=1e-6), color=ORANGE)
    corner.axvline(0, color=GRAY, linewidth=1)
    corner.set(yticks=[])
    corner.set_title("errors", fontsize="x-small", pad=2)
    corner.tick_params(labelsize="x-small")
    # Two numbers, at the ends: more would run into each other.
    low, high = corner.get_xlim()
    corner.set_xticks([low, high], [f"{low:.2g}", f"{high:.2g}"])
    return ax


def _columns(**given: Any) -> list[npt.NDArray[np.float64]]:
    """Return columns of numbers, by what they are called, that must be of the same crystals."""
    found = {name: as_floats(values) for name, values in given.items()}
    (one, first), (other, second) = found.items()
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"{one} has shape {first.shape} and {other} {second.shape}; pass one column of each, "
            "of the same crystals"
        )
    return [first, second]


def _emptier_corner(
    true: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return where a histogram covers fewer points: below or above the diagonal, in axes units."""
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    x, y = ((values - low) / max(high - low, 1e-300) for values in (true, predicted))
    below, above = ((x > 0.6) & (y < 0.4)).sum(), ((x < 0.4) & (y > 0.6)).sum()
    return (0.08, 0.68, 0.28, 0.22) if above < below else (0.68, 0.1, 0.28, 0.22)


def interval_reliability(
    errors: npt.ArrayLike, y_std: npt.ArrayLike, *, label: str = "", ax: Any = None
) -> Any:
    """Draw how many errors lie within intervals, against how many should.

    Parameters
    ----------
    errors : array-like of shape (n_crystals,)
        Predictions less true numbers; NaN is left out.
    y_std : array-like of shape (n_crystals,)
        Standard deviations of the predictions. Where one of both is NaN, it is left out.
    label : str, optional
        For the legend.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If they are not of the same crystals, none has both, or a deviation is below 0.

    Examples
    --------
    >>> import numpy as np
    >>> ax = interval_reliability(np.random.default_rng(0).normal(size=100), np.ones(100))
    >>> ax.get_ylabel()
    'share of errors within it'
    """
    from scipy.stats import norm

    sizes, std = _columns(errors=errors, y_std=y_std)
    known = ~np.isnan(sizes) & ~np.isnan(std)
    if not known.any():
        raise ValueError("no crystal has both an error and a standard deviation")
    if (std[known] < 0).any():
        raise ValueError(f"y_std holds {std[known].min():g}; standard deviations are 0 or more")
    # No error at all is within an interval of no width.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num(np.abs(sizes[known]) / std[known], posinf=np.inf)
    shares = [(ratios <= norm.ppf((1 + level) / 2)).mean() for level in _LEVELS]
    ax = get_axes(ax)
    ax.plot([0, 1], [0, 1], color=GRAY, linewidth=1)
    ax.plot(_LEVELS, shares, color=BLUE, marker="o", markersize=3, label=for_figures(label) or None)
    ax.set(xlabel="confidence level of the interval", ylabel="share of errors within it")
    ax.set_aspect("equal")
    if label:
        ax.legend(frameon=False)
    return ax


def loss_curves(
    losses: Mapping[str, npt.ArrayLike] | npt.ArrayLike,
    *,
    best_epoch: int | None = None,
    ax: Any = None,
) -> Any:
    """Draw losses epoch by epoch.

    Parameters
    ----------
    losses : array-like of shape (n_epochs,), or dict of str to such
        ``est.loss_curve_``; or several by name.
    best_epoch : int, optional
        Marked with a line; the first epoch is 1.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are no losses of some name.

    Examples
    --------
    >>> loss_curves([1.0, 0.5, 0.3]).get_xlabel()
    'epoch'
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    ax = get_axes(ax)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    lowest = np.inf
    curves = losses if isinstance(losses, Mapping) else {"training": losses}
    for place, (name, values) in enumerate(curves.items()):
        if values is None or np.ndim(values) != 1:
            raise ValueError(f"losses of {name!r}: expected one number for each epoch")
        curve = np.asarray(values, dtype=float)
        color = _COLORS[place] if place < len(_COLORS) else f"C{place % 10}"
        marker = "o" if len(curve) == 1 else None  # a line of one point cannot be seen
        ax.plot(
            np.arange(1, len(curve) + 1), curve, color=color, marker=marker, label=for_figures(name)
        )
        lowest = min(lowest, np.nanmin(curve, initial=np.inf))
    if lowest > 0:
        ax.set_yscale("log")
        # 0.03 rather than 3 × 10⁻², and no numbers on top of each other.
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    if best_epoch is not None:
        ax.axvline(best_epoch, color=GRAY, linestyle=":", label=f"best epoch, {best_epoch}")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend(frameon=False)
    return ax
