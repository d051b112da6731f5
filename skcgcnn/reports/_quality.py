"""The report of a check of data."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import bin_edges
from skcgcnn._text import for_figures, wrapped
from skcgcnn.model_selection import anonymous_formulas, group_by_prototype
from skcgcnn.plotting import BLUE, ORANGE, crystal_sizes
from skcgcnn.quality import Survey
from skcgcnn.reports._html import Figure, Section, Table, new_figure, page
from skcgcnn.reports._parts import (
    element_table,
    few_ticks,
    known,
    name_classes,
    with_pictures,
)

# More rows of a kind are in the table of findings alone.
_ROWS, _PICTURES = 20, 6
_BARS = 12
# Space groups of more crystals take too long.
_MOST_SYMMETRIES = 5_000
_MOST_CLASSES = 20


def check_report(name: str, survey: Survey) -> str:
    """Return the report of a check as HTML, complete in itself."""
    sections = [
        _summary(survey),
        *_findings(survey),
        *(_target(survey, each, column) for each, column in survey.columns.items()),
        _coverage(survey),
    ]
    return page(f"Check of {name}", sections)


def _summary(survey: Survey) -> Section:
    frame = survey.findings
    lines = [
        f"{survey.counted()}.",
        "Nothing looks wrong." if survey.is_sound else "See the findings below.",
        *(text for text in frame["message"][frame["kind"] == "floor of the error"]),
    ]
    counts = frame.groupby(["severity", "kind"], sort=False).size()
    rows = [[severity, kind, int(count)] for (severity, kind), count in counts.items()]
    parts = [Table(["severity", "what", "findings"], rows)] if rows else []
    return Section("Summary", lines, parts)


def _findings(survey: Survey) -> Iterator[Section]:
    """Yield a section for each kind of finding, the worst first."""
    places = {str(each): place for place, each in enumerate(survey.ids)}
    for kind, found in survey.findings.groupby("kind", sort=False):
        if kind == "floor of the error":
            continue
        n_shown = _ROWS
        rows: list[list[Any]] = [[message] for message in found["message"][:_ROWS]]
        table = Table([""], rows)
        if kind in {"atoms too close", "atoms too far apart"} and survey.sources is not None:
            n_shown = _PICTURES
            sources = [survey.sources[places[ids[0]]] for ids in found["ids"][:n_shown]]
            table = with_pictures("", [""], rows[:n_shown], sources)
        more = [f"The first {n_shown} of {len(found)}."] if len(found) > n_shown else []
        title = str(kind)[0].upper() + str(kind)[1:]
        yield Section(title, more, [table])


def _target(survey: Survey, name: str, column: npt.NDArray[Any]) -> Section:
    values = known(column)
    expected = survey.expected.get(name)
    is_number = column.dtype != object
    if not len(values):
        return Section(f"Column: {name}", ["It is empty."])
    compared = is_number and expected is not None and expected.values.dtype.kind == "f"
    figure, axes = new_figure(1 + compared, (9.5 if compared else 5.0, 3.2))
    if is_number:
        numbers = values.astype(float)
        axes[0].hist(numbers, bin_edges(numbers[np.isfinite(numbers)], 40), color=BLUE)
        axes[0].set_yscale("log")
        few_ticks(axes[0])
    else:
        counts = Counter(map(str, values)).most_common(_MOST_CLASSES)
        axes[0].bar(range(len(counts)), [count for _, count in counts], 0.6, color=BLUE)
        name_classes(axes[0], [for_figures(label) for label, _ in counts])
    axes[0].set(xlabel=wrapped(name, 40), ylabel="crystals")
    caption = "How the values are distributed."
    if compared and expected is not None:
        given, said = column[expected.rows].astype(float), expected.values
        odd = np.isin(expected.rows, _odd_rows(survey, name))
        low, high = float(said.min()), float(said.max())
        reach = high - low or 1.0
        # Values in other units would leave the others in a corner.
        shown = np.clip(given, low - 0.5 * reach, high + 0.5 * reach)
        axes[1].plot([low, high], [low, high], color="0.6", linewidth=1)
        axes[1].scatter(said[~odd], shown[~odd], s=10, color=BLUE, alpha=0.6, edgecolors="none")
        axes[1].scatter(said[odd], shown[odd], s=24, color=ORANGE, edgecolors="black")
        axes[1].set(xlabel=wrapped(f"expected {name}", 36), ylabel=wrapped(f"given {name}", 30))
        caption += (
            " Beside it the values that networks expect that were not trained on them; those in "
            "the findings are orange, and values far outside are drawn at the edge."
        )
    return Section(f"Column: {name}", parts=[Figure(figure, caption)])


def _odd_rows(survey: Survey, name: str) -> list[int]:
    frame = survey.findings
    chosen = frame[frame["kind"].isin(["unexpected label", "label in another unit"])]
    chosen = chosen[chosen["message"].str.contains(f": {name} is ", regex=False)]
    odd = {each for ids in chosen["ids"] for each in ids}
    return [row for row, each in enumerate(survey.ids) if str(each) in odd]


def _coverage(survey: Survey) -> Section:
    from pymatgen.core import Element

    graphs = survey.graphs
    readable = np.flatnonzero(graphs.n_sites > 0)
    if not len(readable):
        return Section("Coverage", ["No crystal could be read."])
    symbols = ["" if z == 0 else Element.from_Z(int(z)).symbol for z in survey.elements]
    kinds = np.split(graphs.site_kinds, graphs.offsets[1:-1])
    names = ({symbols[kind] for kind in set(own.tolist())} for own in kinds)
    families = Counter(anonymous_formulas(graphs[readable]).tolist())
    figure, axes = new_figure(2, (9.5, 3.4))
    crystal_sizes(graphs.n_sites[readable], ax=axes[0])
    _bars(axes[1], families, "formula type")
    parts: list[Table | Figure] = [
        Figure(figure, "Sizes of the crystals, and the most frequent types of formula."),
        element_table(names),
    ]
    largest, count = families.most_common(1)[0]
    share = count / len(readable)
    lines = [
        f"{share:.0%} of the crystals have one type of formula, {largest}, of {len(families)}.",
    ]
    if survey.sources is not None and len(readable) <= _MOST_SYMMETRIES:
        prototypes = group_by_prototype([survey.sources[row] for row in readable])
        found = Counter(prototypes.tolist())
        groups = Counter(name.rpartition(" ")[2] for name in prototypes)
        figure, axes = new_figure(2, (9.5, 3.4))
        _bars(axes[0], groups, "space group")
        _bars(axes[1], found, "formula type and space group")
        parts.append(Figure(figure, "The most frequent space groups and prototypes."))
        name, count = found.most_common(1)[0]
        lines.append(
            f"{count / len(readable):.0%} have one prototype, {name} (formula type and space "
            f"group); there are {len(found)} prototypes in {len(groups)} space groups."
        )
    return Section("Coverage", lines, parts)


def _bars(ax: Any, counts: Counter[str], label: str) -> None:
    shown = counts.most_common(_BARS)[::-1]
    ax.barh(range(len(shown)), [count for _, count in shown], color=BLUE)
    ax.set_yticks(range(len(shown)), [for_figures(name) for name, _ in shown], fontsize="small")
    ax.set(xlabel="crystals", ylabel=label)
    few_ticks(ax)
