"""Which crystals are the same, whatever cell, order of sites or axes they are written in."""

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._mapped import crystals_in_memory, release_pages
from skcgcnn.graphs._nearest import TIE
from skcgcnn.graphs._packing import distinct_numbers
from skcgcnn.graphs._sites import count_kinds, ends_of_bonds

# Of graphs in memory, which take some ten times their size while they are looked at.
_CRYSTALS_AT_ONCE = 50_000
# Rounds of color refinement with real numbers for colors: as many as convolutions see.
_ROUNDS = 4
# How much a color depends on the length of a bond (per Å) and on the color at its end. Larger
# numbers would amplify rounding errors, smaller ones would not tell crystals apart.
_BY_LENGTH, _BY_COLOR, _BY_BONDS = 2.0, 2.0, 1.5
# Brings colors to a scale on which errors of distances grow to about what they are, in Å.
_COLOR_SCALE = 3.0

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Fingerprints(NamedTuple):
    """What tells crystals apart, whatever cell, order of sites or axes they are written in.

    Attributes
    ----------
    compositions : ndarray of shape (n_crystals,), uint64
        A number for the reduced composition; 0 for crystals that could not be read.
    distances : ndarray of shape (n_crystals, max_num_nbr)
        Mean distance of the nearest, second, ... neighbor over the sites, in Å.
    colors : ndarray of shape (n_crystals, n_colors)
        Means over the sites of numbers that depend on which neighbors stand where.
    """

    compositions: npt.NDArray[np.uint64]
    distances: FloatArray
    colors: FloatArray


def fingerprints(graphs: CrystalGraphs) -> Fingerprints:
    """Return numbers that are the same for the same crystals.

    They are means over the sites of the quotient graph, so that they are those of any cell; and
    they vary smoothly with the distances, so that rounding errors change them by no more than
    that.

    Parameters
    ----------
    graphs : CrystalGraphs
        In memory or mapped; of these, some are in memory at a time.

    Returns
    -------
    Fingerprints
        Those of crystals from different files can be compared.
    """
    numbers = np.array([_number(row) for row in graphs.kind_features], dtype=np.uint64)
    n = len(graphs)
    compositions = np.zeros(n, dtype=np.uint64)
    distances = np.full((n, graphs.options.max_num_nbr), np.nan)
    colors = np.full((n, 2 * _ROUNDS), np.nan)
    step = min(crystals_in_memory(graphs), _CRYSTALS_AT_ONCE)
    for start in range(0, n, step):
        some = graphs[start : start + step]
        rows = np.flatnonzero(np.diff(some.offsets)) + start
        if len(rows):
            compositions[rows] = _compositions(some, numbers)
            distances[rows] = _mean_distances(some)
            colors[rows] = _COLOR_SCALE * _mean_colors(some, numbers)
        release_pages(graphs.to_dict())
    return Fingerprints(compositions, distances, colors)


def same_crystals(graphs: CrystalGraphs, *, tol: float = TIE) -> IntArray:
    """Return a number for each crystal, the same for the same crystals.

    Two crystals are the same if their quotient graphs agree: whatever cells, orders of sites and
    axes they are written in. Compositions are compared exactly; distances are not rounded, but
    crystals are told apart where a gap in a sorted column of their fingerprints is wider than a
    tolerance. So no two descriptions of a crystal fall on two sides of a rounding boundary.

    Parameters
    ----------
    graphs : CrystalGraphs
        The crystals; also millions of them, memory-mapped.
    tol : float, default=0.0001
        Distances that differ by no more, in Å, count as equal. More than `merge_tol` of the
        graphs, for files round their coordinates.

    Returns
    -------
    ndarray of shape (n_crystals,), int64
        Numbered from 0 as they first appear. Each crystal that could not be read has a number of
        its own.

    Raises
    ------
    ValueError
        If the tolerance is not a positive number.

    Notes
    -----
    Graphs with ``neighbor_ties="official"`` depend on the order of the sites where a shell of
    neighbors is cut, so that some descriptions of a crystal are not recognized.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> wider = Structure(Lattice.cubic(4.13), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> graphs = CrystalGraphs.from_structures([cscl, cscl * (2, 1, 1), wider])
    >>> same_crystals(graphs).tolist()
    [0, 0, 1]
    """
    if not tol > 0:
        raise ValueError(f"tol={tol!r}; expected a number above 0, in Å")
    found = fingerprints(graphs)
    return group_fingerprints(found, tol)


def group_fingerprints(found: Fingerprints, tol: float = TIE) -> IntArray:
    """Return a number for each crystal by its fingerprint: see `same_crystals`."""
    readable = found.compositions != 0
    groups = distinct_numbers(found.compositions)
    groups[~readable] = groups.max(initial=-1) + 1 + np.arange((~readable).sum())
    columns = [*found.distances.T, *found.colors.T]
    n_groups = -1
    # Where a column parts a group, another one can have a gap that a member of it had filled.
    while n_groups != (n_groups := len(np.unique(groups))):
        for column in columns:
            groups = _parted(groups, column, tol)
    return distinct_numbers(groups)


def _parted(groups: IntArray, values: FloatArray, tol: float) -> IntArray:
    """Return groups that are parted at gaps between their values."""
    rows = np.flatnonzero((np.bincount(groups) > 1)[groups])
    if not len(rows):
        return groups
    own, numbers = groups[rows], values[rows]
    order = np.lexsort((numbers, own))
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (np.diff(own[order]) != 0) | (np.diff(numbers[order]) > tol)
    parted = groups.copy()
    parted[rows[order]] = groups.max() + np.cumsum(new)
    return distinct_numbers(parted)


def _number(row: npt.NDArray[np.float32]) -> int:
    """Return a number for a kind of site, the same in all graphs."""
    return int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest(), "little")


def _compositions(graphs: CrystalGraphs, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return a number for the reduced composition of each crystal with sites."""
    owners, kinds, counts = count_kinds(graphs)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    divisors = np.repeat(np.gcd.reduceat(counts, starts), np.diff(starts, append=len(owners)))
    hashed = (counts // divisors).astype(np.uint64) * numbers[kinds]
    return np.maximum(np.add.reduceat(hashed, starts), np.uint64(1))


def _mean_distances(graphs: CrystalGraphs) -> FloatArray:
    rows = np.repeat(graphs.distances, graphs.bond_counts).reshape(len(graphs.site_kinds), -1)
    return _mean_over_sites(graphs, rows)


def _mean_colors(graphs: CrystalGraphs, numbers: npt.NDArray[np.uint64]) -> FloatArray:
    own = (numbers / 2.0**64 * 2 * np.pi)[graphs.site_kinds]
    ends = ends_of_bonds(graphs)
    phases = _BY_LENGTH * graphs.distances.astype(np.float64)
    weights = graphs.bond_counts * (_BY_BONDS / graphs.options.max_num_nbr)
    colors, means = own, []
    for _ in range(_ROUNDS):
        seen = weights * np.sin(phases + _BY_COLOR * colors[ends])
        colors = own + np.add.reduceat(seen, graphs.bond_offsets[:-1])
        means.append(_mean_over_sites(graphs, np.stack([np.sin(colors), np.cos(colors)], axis=1)))
    return np.concatenate(means, axis=1)


def _mean_over_sites(graphs: CrystalGraphs, rows: npt.NDArray[np.floating]) -> FloatArray:
    """Return means over the sites of the crystals that have some."""
    starts = graphs.offsets[:-1][np.diff(graphs.offsets) > 0]
    weighted = rows * graphs.site_counts[:, np.newaxis].astype(np.float64)
    n_sites = graphs.n_sites[graphs.n_sites > 0]
    means: FloatArray = np.add.reduceat(weighted, starts, axis=0) / n_sites[:, np.newaxis]
    return means
