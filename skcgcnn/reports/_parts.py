"""Parts that several reports have."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from skcgcnn.plotting import crystal, elements
from skcgcnn.reports._html import Figure, Table, new_figure
from skcgcnn.tasks import is_missing


def element_table(names_of: Iterable[Iterable[str]]) -> Figure:
    """Return the periodic table with the number of crystals that have each element.

    Parameters
    ----------
    names_of : iterable of iterable of str
        The elements of every crystal.

    Returns
    -------
    Figure
    """
    counts: Counter[str] = Counter()
    for names in names_of:
        counts.update(set(names))
    figure, (ax,) = new_figure(1, (8.0, 4.0))
    elements(dict(counts), label="crystals with the element", ax=ax)
    return Figure(figure, "How many crystals have each element.")


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


def with_pictures(head: list[str], rows: list[list[Any]], sources: Iterable[Any]) -> Table:
    """Return a table with a drawing of the crystal of each row, where ASE is there.

    Parameters
    ----------
    head : list of str
    rows : list of list
    sources : iterable
        The crystal of each row.

    Returns
    -------
    Table
    """
    drawn = [_picture(source) for source in sources]
    if not rows or not drawn or any(figure is None for figure in drawn):
        return Table(head, rows)
    return Table(
        [*head, "picture"], [[*row, figure] for row, figure in zip(rows, drawn, strict=True)]
    )


def _picture(source: Any) -> Any:
    """Return a drawing of a crystal; None without ASE."""
    figure, (ax,) = new_figure(1, (1.6, 1.6))
    try:
        crystal(source, ax=ax)
    except ImportError:
        return None
    return figure
