"""Columns of targets that look odd, without a look at the crystals."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import spellings
from skcgcnn.quality._findings import Finding, Names
from skcgcnn.tasks import is_missing

# A value that so many crystals and such a share of them have, while most values are there once,
# is a stand-in, or was copied down.
_REPEATED, _REPEATED_SHARE, _MOSTLY_ONCE = 5, 0.01, 0.5
# Values with so few decimals, of so many, are rounded.
_ROUNDED_VALUES = 20
# Values are of two sizes where each has so many and such a share of them, and their sizes are so
# many decades, and standard deviations of one size, apart.
_FEWEST_OF_A_SIZE, _SHARE_OF_A_SIZE, _DECADES, _SEPARATION = 5, 0.05, 1.9, 4.0
_LIKE_A_UNIT = 0.15
# Units of an energy in eV: hartree, kJ/mol and meV. More of them would explain more by chance.
UNITS = {
    27.2114: "hartree and eV",
    96.485: "eV and kJ/mol",
    1000.0: "a unit and a thousandth of it",
}
# So many different whole numbers are classes rather than a measure.
_MOST_CLASSES = 20
# Texts with more different ones than that, and than this share of the crystals, are not classes.
_MOST_SHARE = 0.1


def is_classes(column: npt.NDArray[Any]) -> bool:
    """Tell whether a column holds classes: texts, or few different whole numbers."""
    if column.dtype == object:
        return True
    known = column[~is_missing(column)]
    # No class is infinite.
    is_whole = np.isfinite(known) & (known == np.round(known))
    return bool(len(known) and is_whole.all() and len(np.unique(known)) <= _MOST_CLASSES)


def odd_columns(name: str, column: npt.NDArray[Any], names: Names) -> Iterator[Finding]:
    """Yield what is odd about a column.

    Parameters
    ----------
    name : str
        Of the column.
    column : ndarray of shape (n_crystals,)
        Floats, or objects.
    names : Names
        Of the crystals.
    """
    missing = is_missing(column)
    known = np.flatnonzero(~missing)
    if missing.any():
        rows = np.flatnonzero(missing).tolist()
        text = f"{len(rows)} of {len(column)} crystals have no {name}, such as {names.some(rows)}."
        yield Finding("no target", rows, "remark", text)
    values = column[known]
    if len(known) > 1 and len(set(values.tolist())) == 1:
        text = f"{name} is {values[0]} for all {len(known)} crystals: there is nothing to learn."
        yield Finding("constant column", (), "warning", text)
        return
    if column.dtype == object:
        if len({str(value) for value in values}) > max(_MOST_CLASSES, _MOST_SHARE * len(values)):
            return  # names or comments
        yield from _spellings(name, known, values, names)
    if is_classes(column):
        yield from _rare_classes(name, known, values, names)
    elif len(known):
        yield from _numbers(name, known, values.astype(float), names)


def _spellings(
    name: str, known: npt.NDArray[np.int64], values: npt.NDArray[Any], names: Names
) -> Iterator[Finding]:
    """Yield labels that differ by case or blanks alone."""
    for usual, *unusual in spellings(map(str, values)):
        rows = [int(row) for row, v in zip(known, values, strict=True) if str(v) in unusual]
        shown = ", ".join(repr(value) for value in unusual)
        text = (
            f"{name}: {shown} ({names.some(rows)}) and {usual!r} differ by case or blanks alone, "
            "and count as different classes."
        )
        yield Finding("labels spelled differently", rows, "warning", text)


def _rare_classes(
    name: str, known: npt.NDArray[np.int64], values: npt.NDArray[Any], names: Names
) -> Iterator[Finding]:
    for label, count in Counter(values.tolist()).items():
        if count == 1:
            row = int(known[values == label][0])
            text = (
                f"{name}: only {names[row]} is {label!r}; a class of one crystal can be trained "
                "or tested, not both."
            )
            yield Finding("class of one crystal", [row], "warning", text)


def _numbers(
    name: str, known: npt.NDArray[np.int64], values: npt.NDArray[np.float64], names: Names
) -> Iterator[Finding]:
    infinite = known[~np.isfinite(values)]
    if len(infinite):
        rows = infinite.tolist()
        text = f"{name} is infinite for {names.some(rows)}."
        yield Finding("infinite target", rows, "error", text)
    yield from _two_sizes(name, known, values, names)
    counts = Counter(values.tolist())
    once = sum(count for count in counts.values() if count == 1) / len(values)
    least = max(_REPEATED, _REPEATED_SHARE * len(values))
    for value, count in counts.items():
        if count >= least and once >= _MOSTLY_ONCE:
            rows = known[values == value].tolist()
            text = (
                f"{name} is {value:g} for {count} crystals ({names.some(rows)}), while most values "
                "are there once: does it stand for a missing value?"
            )
            # Pure elements have a formation energy of 0, and metals no gap.
            severity = "remark" if value == 0 else "warning"
            yield Finding("repeated value", rows, severity, text)
    yield from _rounded(name, known, values, names)


def _two_sizes(
    name: str, known: npt.NDArray[np.int64], values: npt.NDArray[np.float64], names: Names
) -> Iterator[Finding]:
    """Yield a column whose values are of two sizes far apart, as if in two units."""
    use = np.isfinite(values) & (values != 0)
    rows, sizes = known[use], np.log10(np.abs(values[use]))
    least = max(_FEWEST_OF_A_SIZE, round(_SHARE_OF_A_SIZE * len(sizes)))
    if len(sizes) < 2 * least:
        return
    order = np.argsort(sizes)
    rows, sizes = rows[order], sizes[order]
    # Where the two parts are narrowest, that is where their means explain most.
    below, n_below = np.cumsum(sizes)[:-1], np.arange(1, len(sizes))
    explained = below**2 / n_below + (sizes.sum() - below) ** 2 / n_below[::-1]
    place = least + int(explained[least - 1 : len(sizes) - least].argmax())
    small, large = sizes[:place], sizes[place:]
    apart = large.mean() - small.mean()
    within = np.sqrt((place * small.var() + len(large) * large.var()) / len(sizes))
    if apart >= _DECADES and apart > _SEPARATION * within:
        low, high = (10 ** float(np.median(part)) for part in (small, large))
        few = (rows[:place] if len(small) <= len(large) else rows[place:]).tolist()
        text = (
            f"{name}: {len(small)} values are about {low:.2g}, {len(large)} about {high:.2g}, and "
            f"few between: are they in two units? The fewer are those of {names.some(few)}."
        )
        # As between eV and meV or kJ/mol; moments of magnets and others may differ as much.
        factors = np.log10([unit for unit in UNITS if np.log10(unit) >= _DECADES])
        as_units = np.abs(factors - np.log10(high / low)).min() < _LIKE_A_UNIT
        severity = "warning" if as_units else "remark"
        yield Finding("values of two sizes", few, severity, text)


def _rounded(
    name: str, known: npt.NDArray[np.int64], values: npt.NDArray[np.float64], names: Names
) -> Iterator[Finding]:
    """Yield values with two decimals at most, where most others have more; 0 is neither."""
    use = np.isfinite(values) & (values != 0)
    known, values = known[use], values[use]
    if len(values) < _ROUNDED_VALUES:
        return
    is_rounded = np.isclose(values, np.round(values, 2), rtol=0, atol=1e-12)
    share = float(is_rounded.mean())
    by_chance = 0.02
    if by_chance < share < 1 - _MOSTLY_ONCE:
        rows = known[is_rounded].tolist()
        text = (
            f"{name} has two decimals at most for {len(rows)} of {len(values)} crystals "
            f"({names.some(rows)}), and more for the others: do they come from another source?"
        )
        yield Finding("rounded values", rows, "remark", text)
