"""What the test error means for other crystals: by element, by family, far from training."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.model_selection import anonymous_formulas, element_sets
from skcgcnn.plotting import BLUE, GRAY, ORANGE
from skcgcnn.quality import PowerLaw
from skcgcnn.reports._html import Figure, Section, Table, new_figure

# Errors of fewer crystals are noise; more rows are not read.
_FEWEST, _MOST = 5, 12

Errors = npt.NDArray[np.float64]


def honesty(
    split: str,
    errors: Mapping[str, tuple[Errors, str]],
    graphs: Any,
    is_outside: npt.NDArray[np.bool_] | None,
    splits: Mapping[str, Any],
    own: Mapping[str, HeldOutError],
) -> Section:
    """Return the section that tells what the test error means.

    Parameters
    ----------
    split : str
        By which rule crystals were split.
    errors : mapping of str to (ndarray, str)
        By target: those of the test crystals, and what they are.
    graphs : CrystalGraphs
        The test crystals.
    is_outside : ndarray of bool, or None
        Which test crystals are unlike the training crystals, where that is known.
    splits : mapping of str to mapping
        Errors on splits by other rules.
    own : mapping of str to HeldOutError
        Those of this split.
    """
    lines = [split] if split else []
    parts: list[Table | Figure] = []
    for name, (values, what) in errors.items():
        if is_outside is not None:
            lines += _of_unlike(name, values, is_outside, what)
        parts += _tables(name, values, graphs, what)
    if splits:
        parts.insert(0, _of_splits(splits, own))
    return Section("What the test error means", lines, parts)


def _of_unlike(name: str, values: Errors, is_outside: Any, what: str) -> Iterator[str]:
    known = np.isfinite(values)
    far, near = known & is_outside, known & ~is_outside
    if far.any():
        others = (
            f"{values[near].mean():.3g} on the {int(near.sum())} like them"
            if near.any()
            else "and none is like them"
        )
        yield (
            f"{name}: {what} {values[far].mean():.3g} on {crystals(int(far.sum()))} unlike the "
            f"training crystals, {others}."
        )
    elif known.any():
        yield f"{name}: no test crystal is unlike the training crystals."


def _tables(name: str, values: Errors, graphs: Any, what: str) -> Iterator[Table]:
    """Yield errors by element and by family, the largest first."""
    sets = element_sets(graphs)
    there = sorted(set[str]().union(*sets)) if sets else []
    by_element = {each: np.array([each in found for found in sets]) for each in there}
    families = anonymous_formulas(graphs)
    by_family = {str(each): families == each for each in np.unique(families) if each}
    for title, masks in (("element", by_element), ("family", by_family)):
        rows: list[list[Any]] = [
            [each, int(chosen.sum()), float(values[chosen].mean())]
            for each, mask in masks.items()
            if (chosen := mask & np.isfinite(values)).sum() >= _FEWEST
        ]
        if len(rows) > 1:
            rows.sort(key=lambda row: -row[2])
            head = [title, "test crystals", what]
            more = f", the {_MOST} largest" if len(rows) > _MOST else ""
            yield Table(head, rows[:_MOST], f"{name}: error by {title}{more}")


def _of_splits(splits: Mapping[str, Any], own: Mapping[str, HeldOutError]) -> Table:
    rows = [_of_error("this one", name, error) for name, error in own.items()]
    for rule, found in splits.items():
        if "cannot" in found:
            rows.append([rule, "", found["cannot"], "", ""])
        else:
            rows += [_of_error(rule, name, HeldOutError(**each)) for name, each in found.items()]
    head = ["split", "target", "error", "95 % interval", "simplest prediction"]
    return Table(head, rows, "Other splits of the same crystals")


def _of_error(rule: str, name: str, error: HeldOutError) -> list[Any]:
    known = error.low is not None and error.high is not None
    interval = f"{error.low:.3g} to {error.high:.3g}" if known else ""
    unit = f" {error.unit}" if error.unit and error.metric != "accuracy" else ""
    shown = f"{error.value:.3g}{unit}" if error.metric == "mae" else f"{error.value:.3g} right"
    simple = "" if error.simple is None else float(error.simple)
    return [rule, name, shown, interval, simple]


def learning_section(curves: Mapping[str, PowerLaw], units: Mapping[str, str]) -> Section:
    """Return the section that tells how much more crystals would help."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, axes = new_figure(len(curves), (4.8 * len(curves), 3.4))
    for (name, law), ax in zip(curves.items(), axes, strict=True):
        line = np.geomspace(law.sizes[0], 4 * law.sizes[-1], 50)
        ax.plot(line, [law.error(n) for n in line], color=GRAY, linewidth=1)
        ax.plot(law.sizes, law.errors, "o", color=BLUE)
        if np.isfinite(law.more()[0]):
            goal = 0.9 * law.error(law.sizes[-1])
            ax.plot(law.sizes[-1] + law.more()[0], goal, "o", color=ORANGE, fillstyle="none")
        ax.set(xscale="log", xlabel="training crystals", ylabel=units[name])
        # Labels that are right with any number of crystals leave no error, which has no logarithm.
        logarithmic = [ax.xaxis]
        if any(law.errors):
            ax.set_yscale("log")
            logarithmic.append(ax.yaxis)
        for axis in logarithmic:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    text = (
        "The test error after training on fewer crystals, and the power law through it. The circle "
        "is 10 % less error."
    )
    lines = [f"{name}: {law}" for name, law in curves.items()]
    return Section("How many more crystals would help", lines, [Figure(figure, text)])
