"""A page of sections with tables and figures, as one HTML file without external references."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from skcgcnn._version import __version__


@dataclass(frozen=True)
class Figure:
    """A picture with a caption.

    Attributes
    ----------
    figure : matplotlib Figure
        See `new_figure`.
    caption : str
        Shown below the picture, and as its alternative text.
    """

    figure: Any
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes
    ----------
    head : sequence of str
        Names of the columns.
    rows : sequence of sequence
        Strings, numbers, and matplotlib Figures.
    title : str, optional
        A heading above it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes
    ----------
    title : str
    text : sequence of str
        One paragraph, or the items of a list.
    parts : sequence of Table and Figure
    """

    title: str
    text: Sequence[str] = ()
    parts: Sequence[Table | Figure] = ()


def page(title: str, sections: Sequence[Section]) -> str:
    """Return a page as HTML.

    Examples
    --------
    >>> "<h2>Results</h2>" in page("A run", [Section("Results", ["All is well."])])
    True
    """
    template = _templates().get_template("page.html")
    return template.render(title=title, sections=sections, version=__version__)


@cache
def _templates() -> Environment:
    # Names of crystals and targets come from files of others: everything is escaped.
    templates = Environment(
        loader=PackageLoader("skcgcnn.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["png"] = _png
    return templates


def _png(figure: Any) -> str:
    """Return a figure as a PNG in base 64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def new_figure(n_axes: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """Return a figure with axes side by side, without pyplot, which would keep it in memory.

    Returns
    -------
    figure : matplotlib Figure
    axes : list of matplotlib Axes
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, n_axes, squeeze=False)[0])
