"""A page of sections with tables and figures, as one HTML file without references to others."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #ccc; --soft: #f4f5f7; --text: #1c2024; --back: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --soft: #24272b; --text: #e6e8ea; --back: #17191c; }
  img { background: #fff; border-radius: 4px; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
       max-width: 62rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .8rem 0; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line);
         overflow-wrap: anywhere; vertical-align: middle; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; }
.wide { overflow-x: auto; }
li { margin: .3rem 0; }
"""


@dataclass(frozen=True)
class Figure:
    """A picture with a caption.

    Attributes
    ----------
    figure : matplotlib Figure
        See `new_figure`.
    caption : str
        What it shows.
    """

    figure: Any
    caption: str

    def to_html(self) -> str:
        """Return the picture as HTML."""
        caption = f"<figcaption>{_text(self.caption)}</figcaption>"
        return f"<figure>{image(self.figure, self.caption)}{caption}</figure>"


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes
    ----------
    head : sequence of str
        Names of the columns.
    rows : sequence of sequence
        Texts, numbers, and matplotlib Figures.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def to_html(self) -> str:
        """Return the table as HTML."""
        head = "".join(f"<th>{_text(name)}</th>" for name in self.head)
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        top = f"<thead><tr>{head}</tr></thead>" if any(self.head) else ""
        return f'<div class="wide"><table>{top}<tbody>{rows}</tbody></table></div>'


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes
    ----------
    title : str
    text : sequence of str
        Paragraphs; several are a list.
    parts : sequence of Table and Figure
    """

    title: str
    text: Sequence[str] = ()
    parts: Sequence[Table | Figure] = field(default=())

    def to_html(self) -> str:
        """Return the section as HTML."""
        if len(self.text) == 1:
            text = f"<p>{_text(self.text[0])}</p>"
        else:
            items = "".join(f"<li>{_text(each)}</li>" for each in self.text)
            text = f"<ul>{items}</ul>" if items else ""
        parts = "".join(part.to_html() for part in self.parts)
        return f"<section><h2>{_text(self.title)}</h2>{text}{parts}</section>"


def page(title: str, sections: Sequence[Section], footer: str = "") -> str:
    """Return a page as HTML.

    Parameters
    ----------
    title : str
    sections : sequence of Section
    footer : str, optional
        The last line.

    Returns
    -------
    str

    Examples
    --------
    >>> "<h2>Results</h2>" in page("A run", [Section("Results", ["All is well."])])
    True
    """
    body = "".join(section.to_html() for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_text(title)}</h1>{body}<footer><p>{_text(footer)}</p></footer></body></html>\n"
    )


def new_figure(n_axes: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """Return a figure with axes side by side, without pyplot, which would keep it.

    Parameters
    ----------
    n_axes : int
    size : tuple of float
        In inches.

    Returns
    -------
    figure : matplotlib Figure
    axes : list of matplotlib Axes
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, n_axes, squeeze=False)[0])


def image(figure: Any, text: str) -> str:
    """Return a figure as an ``img`` element."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    width = round(figure.get_figwidth() * 96)
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(text)}" width="{width}">'


def _text(text: str) -> str:
    return html.escape(str(text), quote=False)


def _cell(value: Any) -> str:
    if hasattr(value, "savefig"):
        return f"<td>{image(value, 'crystal')}</td>"
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value}</td>'
    return f"<td>{_text(value)}</td>"
