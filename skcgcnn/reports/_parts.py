"""Parts that several reports have."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import bin_edges
from skcgcnn._text import wrapped
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.inspection import MIXED, element_names
from skcgcnn.plotting import BLUE, ORANGE, crystal, elements
from skcgcnn.reports._html import Figure, Table, new_figure
from skcgcnn.tasks import Task, is_missing

# Letters below a figure that can stand side by side.
_ROOM = 24
# Of parts that are drawn into one figure.
_COLORS = (BLUE, ORANGE, "0.3")

Values = Mapping[str, npt.NDArray[Any]]


def element_table(names_of: Iterable[Iterable[str]]) -> Figure:
    """Return the periodic table with the number of crystals that have or may have each element."""
    counts: Counter[str] = Counter()
    for names in names_of:
        counts.update({symbol for name in names for symbol in name.split("/")})
    figure, (ax,) = new_figure(1, (8.0, 4.0))
    # A logarithm: where most crystals are oxides, the others would look alike.
    elements(dict(counts), label="crystals with the element", log=True, ax=ax)
    return Figure(figure, "How many crystals have each element.")


def formulas(est: BaseCGCNN, graphs: CrystalGraphs) -> list[str]:
    """Return the reduced formula of every crystal.

    Parameters
    ----------
    est : BaseCGCNN
        Tells which kind of site is which element.
    graphs : CrystalGraphs

    Returns
    -------
    list of str
        Empty where sites are mixed, or their elements unknown; ``(La/Ce)N`` where elements have
        the same features.
    """
    return [
        _formula(Counter(names)) if names and MIXED not in names else ""
        for names in element_names(est, graphs)
    ]


def _formula(counts: Mapping[str, int]) -> str:
    """Return a reduced formula; what can be one of several elements stands in brackets."""
    from pymatgen.core import Composition

    first = {name.partition("/")[0]: name for name in counts}
    composition = Composition({symbol: counts[name] for symbol, name in first.items()})
    return re.sub(
        "[A-Z][a-z]?",
        lambda found: f"({first[found[0]]})" if "/" in first[found[0]] else found[0],
        composition.reduced_formula,
    )


def known(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values that are not missing.

    Parameters
    ----------
    values : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n_known,)
    """
    return values[~is_missing(values)]


def with_pictures(
    title: str, head: list[str], rows: list[list[Any]], sources: Iterable[Any]
) -> Table:
    """Return a table with a drawing of the crystal of each row, where ASE is there."""
    drawn = [_picture(source) for source in sources]
    if not rows or not drawn or any(figure is None for figure in drawn):
        return Table(head, rows, title)
    pictured = [[*row, figure] for row, figure in zip(rows, drawn, strict=True)]
    return Table([*head, "picture"], pictured, title)


def _picture(source: Any) -> Any:
    """Return a drawing of a crystal; None without ASE, nothing of a file that is gone by now."""
    figure, (ax,) = new_figure(1, (1.6, 1.6))
    try:
        crystal(source, ax=ax)
    except ImportError:
        return None
    except StructureError:
        return ""
    return figure


def name_classes(ax: Any, names: Sequence[str]) -> None:
    """Write the names of classes below a figure, so that they do not run into each other.

    Parameters
    ----------
    ax : matplotlib Axes
        With a class at each of 0, 1, 2, ...
    names : sequence of str
    """
    upright = len(names) * max(map(len, names), default=0) > _ROOM
    lines = [wrapped(name, 16) for name in names]
    style = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if upright else {}
    ax.set_xticks(range(len(names)), lines, fontsize="small", **style)


def few_ticks(ax: Any) -> None:
    """Let a narrow figure have so few numbers below it that they do not run into each other."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(4))


def _histogram(ax: Any, target: Task, parts: Values) -> None:
    """Draw how numbers are distributed, part by part."""
    numbers = [values.astype(float) for values in parts.values()]
    alone = len(numbers) == 1
    bins = bin_edges(np.concatenate(numbers), 30 if alone else 25)
    for name, values, color in zip(parts, numbers, _COLORS, strict=False):
        style = "bar" if alone else "step"
        ax.hist(values, bins, histtype=style, color=color, label=name)
    few_ticks(ax)


def _bars(ax: Any, target: Task, parts: Values) -> None:
    """Draw how many crystals are of each class, part by part."""
    labels: Any = target.classes
    width = 0.6 if len(parts) == 1 else 0.27
    for step, ((name, values), color) in enumerate(zip(parts.items(), _COLORS, strict=False)):
        counts = [int((values == label).sum()) for label in labels]
        places = np.arange(len(labels)) + (step - (len(parts) - 1) / 2) * width
        ax.bar(places, counts, width, color=color, label=name)
    name_classes(ax, [target.cell(label) for label in labels])


# How the values of a target are drawn, see `Task.figures`.
draw_values: Mapping[str, Callable[[Any, Task, Values], None]] = {
    "numbers": _histogram,
    "classes": _bars,
}
