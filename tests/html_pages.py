"""What stands on a page of a report, taken apart."""

import re
from html import unescape
from typing import NamedTuple

from matplotlib.figure import Figure


class Shown(NamedTuple):
    """A section: its lines, tables as (title, head, rows), and captions of figures."""

    lines: list
    tables: list
    captions: list


def sections(page):
    """Return the sections of a page by their titles."""
    found = {}
    for text in page.split("<section>")[1:]:
        title = texts("h2", text)[0]
        tables = []
        for part in re.findall(
            r"(?:<h3>.*?</h3>\s*)?<div class=\"wide\"><table>.*?</table>", text, re.DOTALL
        ):
            rows = [texts("td.*?", row) for row in part.split("<tr>")[1:] if "<td" in row]
            tables.append(("".join(texts("h3", part)), texts("th", part), rows))
        lines = texts("(?:p|li)", text.partition("</section>")[0])
        found[title] = Shown(lines, tables, texts("figcaption", text))
    return found


def texts(tag, text):
    return [unescape(each) for each in re.findall(rf"<{tag}>(.*?)</", text, re.DOTALL)]


def collect_figures(monkeypatch):
    """Return a list that gets the figures of the pages that are made, as they are written."""
    figures, write = [], Figure.savefig

    def savefig(figure, *args, **kwargs):
        figures.append(figure)
        return write(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures
