"""Crystals that look odd, by their graphs."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import crystals
from skcgcnn.graphs import (
    CrystalGraphs,
    ElementFeatures,
    crystals_of_classes,
    ends_of_bonds,
)
from skcgcnn.quality._findings import Finding, Names

# Of the sum of two covalent radii. Triple bonds have 0.77, the shortest bonds of metals 0.65.
_TOO_CLOSE = 0.6
# The shortest bond of a crystal is as a rule about as long as the sum of the radii.
_TOO_FAR = 1.45
_NOBLE = {2, 10, 18, 36, 54, 86, 118}
# Where a table of radii ends.
_LARGE_RADIUS = 1.7
# In Å: the longest bond between carbon and what is bound to it; beyond the second, a bond is single
# or that of an aromatic ring.
_CARBON_BOND, _SINGLE_BOND = 1.7, 1.3
_FEW_CRYSTALS, _RARE = 50, 1
_DWARFS, _MANY_SITES = 10, 50

IntArray = npt.NDArray[np.int64]


def kinds_as_elements(graphs: CrystalGraphs, table: ElementFeatures) -> IntArray:
    """Return the atomic number of each kind of site; 0 where it is mixed or unknown.

    Elements with the same features, such as La and Ce in the built-in table, are one kind: the
    lighter one stands for both.

    Parameters
    ----------
    graphs : CrystalGraphs
    table : ElementFeatures
        The features with which the graphs were made.

    Returns
    -------
    ndarray of shape (n_kinds,), int64
    """
    found = table.pure(graphs.kind_features)
    return np.array([min(own, default=0) for own in found], dtype=np.int64)


def odd_crystals(graphs: CrystalGraphs, elements: IntArray, names: Names) -> Iterator[Finding]:
    """Yield what is odd about crystals.

    Parameters
    ----------
    graphs : CrystalGraphs
    elements : ndarray of shape (n_kinds,)
        See `kinds_as_elements`.
    names : Names
    """
    yield from _odd_distances(graphs, elements, names)
    yield from _open_carbon(graphs, elements, names)
    owners = crystals_of_classes(graphs)
    if len(mixed := np.unique(owners[elements[graphs.site_kinds] == 0])):
        text = (
            f"{len(mixed)} crystals have sites that several elements share, or whose elements are "
            f"not known, such as {names.some(mixed.tolist())}. Such a site gets the mean of the "
            "features."
        )
        yield Finding("mixed sites", mixed.tolist(), "remark", text)
    yield from _rare_elements(graphs, elements, owners, names)
    yield from _large(graphs.n_sites, names)


@cache
def _radii() -> npt.NDArray[np.float64]:
    """Return covalent radii by atomic number, in Å; NaN for 0, which is not an element."""
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
    from pymatgen.core import Element

    found = [CovalentRadius.radius.get(Element.from_Z(z).symbol) for z in range(1, 119)]
    return np.array([np.nan, *(_LARGE_RADIUS if r is None else r for r in found)])


def bond_ratios(graphs: CrystalGraphs, elements: IntArray) -> npt.NDArray[np.float64]:
    """Return the shortest bond of each crystal with two pure elements, by the sum of their radii.

    Parameters
    ----------
    graphs : CrystalGraphs
    elements : ndarray of shape (n_kinds,)

    Returns
    -------
    ndarray of shape (n_crystals,)
        NaN where there is no such bond.
    """
    if not len(graphs.neighbors):
        return np.full(len(graphs), np.nan)
    radii = _radii()[elements[graphs.site_kinds]]
    degrees = np.diff(graphs.bond_offsets)
    ratios = graphs.distances / (np.repeat(radii, degrees) + radii[ends_of_bonds(graphs)])
    per_class = np.fmin.reduceat(ratios, graphs.bond_offsets[:-1])
    found = np.full(len(graphs), np.nan)
    filled = np.diff(graphs.offsets) > 0
    found[filled] = np.fmin.reduceat(per_class, graphs.offsets[:-1][filled])
    return found


def _odd_distances(graphs: CrystalGraphs, elements: IntArray, names: Names) -> Iterator[Finding]:
    ratios = bond_ratios(graphs, elements)
    for row in np.flatnonzero(ratios < _TOO_CLOSE).tolist():
        text = (
            f"{names[row]}: two atoms are {_shortest(graphs, row):.3g} Å apart, "
            f"{ratios[row]:.0%} of the sum of their covalent radii. Check the cell, and whether "
            "a site is there twice."
        )
        yield Finding("atoms too close", [row], "error", text)
    for row in np.flatnonzero(ratios > _TOO_FAR).tolist():
        one = graphs[row : row + 1]
        own = set(elements[one.site_kinds].tolist())
        # Noble gases are so, and of a mixed site the radius is not known.
        if own <= _NOBLE or 0 in own:
            continue
        text = (
            f"{names[row]}: no two atoms are nearer than {_shortest(graphs, row):.3g} Å, "
            f"{ratios[row]:.2g} times the sum of their covalent radii. Is the cell too large, or "
            "are atoms missing?"
        )
        yield Finding("atoms too far apart", [row], "warning", text)


def _shortest(graphs: CrystalGraphs, row: int) -> float:
    return float(graphs[row].distances.min())


def _open_carbon(graphs: CrystalGraphs, elements: IntArray, names: Names) -> Iterator[Finding]:
    """Yield crystals without hydrogen whose carbon atoms have one or two single bonds alone."""
    numbers = elements[graphs.site_kinds]
    if not (numbers == 6).any():
        return
    owners = crystals_of_classes(graphs)
    bound = graphs.distances < _CARBON_BOND
    totals = np.concatenate([[0], np.cumsum(graphs.bond_counts * bound)])
    n_bonds = totals[graphs.bond_offsets[1:]] - totals[graphs.bond_offsets[:-1]]
    first = graphs.distances[graphs.bond_offsets[:-1]]
    is_open = (numbers == 6) & (n_bonds > 0) & (n_bonds < 3) & (first > _SINGLE_BOND)
    with_hydrogen = np.zeros(len(graphs), dtype=bool)
    with_hydrogen[owners[numbers == 1]] = True
    rows = [row for row in np.unique(owners[is_open]).tolist() if not with_hydrogen[row]]
    if rows:
        text = (
            f"{crystals(len(rows))} with carbon atoms with open valences and no hydrogen, such as "
            f"{names.some(rows)}: are hydrogen atoms missing?"
        )
        yield Finding("missing hydrogen", rows, "remark", text)


def _rare_elements(
    graphs: CrystalGraphs, elements: IntArray, owners: IntArray, names: Names
) -> Iterator[Finding]:
    from pymatgen.core import Element

    if len(graphs) < _FEW_CRYSTALS:
        return
    pairs = np.unique(np.stack([elements[graphs.site_kinds], owners]), axis=1)
    found, counts = np.unique(pairs[0], return_counts=True)
    rare = found[(counts <= _RARE) & (found > 0)]
    if not len(rare):
        return
    rows = [int(pairs[1, pairs[0] == z][0]) for z in rare]
    symbols = [Element.from_Z(int(z)).symbol for z in rare]
    each = ", ".join(f"{s} ({names[row]})" for s, row in zip(symbols, rows, strict=True))
    text = f"Elements in one crystal alone: {each}. Nothing can be learned about them."
    yield Finding("rare elements", sorted(set(rows)), "remark", text)


def _large(n_sites: IntArray, names: Names) -> Iterator[Finding]:
    known: Any = n_sites[n_sites > 0]
    if not len(known):
        return
    limit = max(_DWARFS * float(np.median(known)), _MANY_SITES)
    rows = np.flatnonzero(n_sites > limit).tolist()
    if rows and len(rows) < 0.05 * len(known):
        text = (
            f"{names.some(rows)} have more than {limit:.0f} sites, ten times as many as most: they "
            "take most of the time and memory of a batch."
        )
        yield Finding("very large cells", rows, "remark", text)
