"""What the figures share: axes, and colors that color-blind readers tell apart."""

from typing import TYPE_CHECKING, Any

from skcgcnn._text import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of M. Okabe and K. Ito, https://jfly.uni-koeln.de/color.
BLUE, ORANGE = "#0072B2", "#E69F00"
GRAY = "0.6"


def get_axes(ax: Any, size: tuple[float, float] = (4.2, 3.8)) -> "Axes":
    """Return axes to draw on: those that are given, or new ones.

    Parameters
    ----------
    ax : matplotlib Axes or None
    size : tuple of float
        Of a new figure, in inches.
    """
    if ax is not None:
        given: Axes = ax
        return given
    # Matplotlib is slow to import, and many never draw.
    import matplotlib.pyplot as plt

    new: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    return new


def with_unit(text: str, unit: str) -> str:
    """Return the label of an axis, in lines that are not longer than the axis."""
    return wrapped(f"{text} ({unit})" if unit else text)
