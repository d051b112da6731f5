"""Crystals that are there twice, and what the spread of their targets means."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.crystals import read_crystal
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs import CrystalGraphs, Fingerprints, fingerprints, group_fingerprints
from skcgcnn.quality._findings import Finding, Names
from skcgcnn.tasks import is_missing

# In Å: mean distances of near duplicates differ by no more.
_NEAR = 0.05
_NEAREST = 3
# Of pymatgen's StructureMatcher: small displacements of atoms, without a change of the volume.
_MATCHER = {"ltol": 0.05, "stol": 0.1, "angle_tol": 2, "scale": False}
# Each takes milliseconds, or seconds where cells are large: those count as several pairs.
_MOST_PAIRS = 1000
_MOST_SITES, _USUAL_SITES = 200, 100
# Targets that differ by less than this share of the range of all are the same; of half of them, for
# one that stands for a missing value, or is in another unit, decides none.
_SAME_TARGET = 1e-6

# Crystals with one graph: whether they are one, and what to do.
_SAME = ("same crystal", "one crystal, {} times", "keep one of them")
_ALIKE = (
    "same graph",
    "one graph, {} times, and perhaps different crystals: networks cannot tell them apart",
    "compare their files",
)

IntArray = npt.NDArray[np.int64]


class Floor(NamedTuple):
    """The error below which no network can get, by targets that differ for one graph.

    Attributes
    ----------
    target : str
        Name of the column.
    error : float
        Mean absolute deviation from the median over crystals with one graph; of labels, the
        share that is not the most frequent one.
    n_crystals : int
        How many crystals that is the mean of.
    is_number : bool
    """

    target: str
    error: float
    n_crystals: int
    is_number: bool


class Duplicates(NamedTuple):
    """Crystals that are there more than once.

    Attributes
    ----------
    groups : ndarray of shape (n_crystals,)
        The same number for crystals with one graph.
    findings : list of Finding
    floors : list of Floor
    """

    groups: IntArray
    findings: list[Finding]
    floors: list[Floor]


def find_duplicates(
    graphs: CrystalGraphs, columns: Mapping[str, npt.NDArray[Any]], sources: Any, names: Names
) -> Duplicates:
    """Find crystals that are there twice, or nearly so.

    Parameters
    ----------
    graphs : CrystalGraphs
    columns : mapping of str to ndarray of shape (n_crystals,)
        The targets: floats, or objects.
    sources : sequence of crystals, or None
        What pymatgen's matcher confirms near duplicates with.
    names : Names
    """
    found = fingerprints(graphs)
    groups = group_fingerprints(found)
    copies = _with_numbers(groups, graphs.global_features)
    findings, floors = [], []
    members = _members(copies)
    matches = _Matches(sources, graphs.n_sites)
    same_targets = {name: _SAME_TARGET * _range(column) for name, column in columns.items()}
    for rows in members:
        differing = [_spread(c[rows], name, same_targets[name]) for name, c in columns.items()]
        said = "; ".join(text for text in differing if text)
        kind, what, advice = _SAME if matches.all_of(rows) else _ALIKE
        message = f"{names.some(rows)}: {what.format(len(rows))}; {said or advice}."
        kind = f"{kind}, other target" if said else kind
        findings.append(Finding(kind, rows.tolist(), "warning", message))
    for name, column in columns.items():
        if (floor := _floor(name, column, members)) is not None:
            findings.append(Finding("floor of the error", (), "remark", _about(floor)))
            floors.append(floor)
    findings += _near_duplicates(found, groups, columns, matches, same_targets, names)
    return Duplicates(groups, findings, floors)


def _with_numbers(groups: IntArray, numbers: npt.NDArray[np.float64]) -> IntArray:
    """Return groups of crystals with the same numbers beside them."""
    if not numbers.shape[1]:
        return groups
    rows = np.column_stack([groups, numbers])
    return np.unique(rows, axis=0, return_inverse=True)[1].ravel()


def _members(groups: IntArray) -> list[IntArray]:
    """Return the rows of the groups that have several."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=len(groups))
    several = np.flatnonzero(sizes > 1)
    return [order[starts[i] : starts[i] + sizes[i]] for i in several]


def _range(values: npt.NDArray[Any]) -> float:
    """Return how far quarters of numbers lie apart, or all where half are one; 0 of labels."""
    known = values[np.isfinite(values)] if values.dtype != object else values[:0]
    if not len(known):
        return 0.0
    low, high = np.quantile(known, [0.25, 0.75], method="nearest")
    return float(high - low) or float(np.ptp(known))


def _spread(values: npt.NDArray[Any], name: str, same: float) -> str:
    """Return how the targets of one crystal differ; nothing if they do not by more than `same`."""
    known = values[~is_missing(values)]
    if len(known) < 2:
        return ""
    if known.dtype == object:
        different = sorted({str(value) for value in known})
        return f"{name} is {' and '.join(different)}" if len(different) > 1 else ""
    low, high = float(known.min()), float(known.max())
    if low == high or high - low <= same < np.inf:
        return ""
    return f"{name} differs by {high - low:.4g} ({low:.6g} to {high:.6g})"


def _floor(name: str, column: npt.NDArray[Any], members: list[IntArray]) -> Floor | None:
    errors: list[npt.NDArray[np.float64]] = []
    is_number = column.dtype != object
    for rows in members:
        known = column[rows][~is_missing(column[rows])]
        if is_number:  # infinite ones are a finding of their own
            known = known[np.isfinite(known)]
        if len(known) < 2:
            continue
        if is_number:
            errors.append(np.abs(known - np.median(known)))
        else:
            _, places = np.unique(known.astype(str), return_inverse=True)
            errors.append((places != np.bincount(places).argmax()).astype(float))
    total = np.concatenate(errors) if errors else np.zeros(0)
    if not total.any():
        return None
    return Floor(name, float(total.mean()), len(total), is_number)


def _about(floor: Floor) -> str:
    if floor.is_number:
        return (
            f"{floor.target}: no network can have a mean absolute error below {floor.error:.4g} on "
            f"the {floor.n_crystals} rows whose graph is there again, for their values differ."
        )
    return (
        f"{floor.target}: no network can have more than {1 - floor.error:.1%} right on the "
        f"{floor.n_crystals} rows whose graph is there again, for their labels differ."
    )


def _near_duplicates(
    found: Fingerprints,
    groups: IntArray,
    columns: Mapping[str, npt.NDArray[Any]],
    matches: "_Matches",
    same_targets: Mapping[str, float],
    names: Names,
) -> Iterator[Finding]:
    pairs, distances = _near_pairs(found, groups)
    if not len(pairs):
        return
    if matches.sources is None:
        rows = np.unique(pairs).tolist()
        message = (
            f"{len(pairs)} pairs have one composition and distances that differ by less than "
            f"{_NEAR} Å, such as {names.some(pairs[0])}. Graphs hold no positions to confirm it: "
            "check the files."
        )
        yield Finding("near duplicates, unconfirmed", rows, "remark", message)
        return
    small = np.flatnonzero(matches.n_sites[pairs].max(axis=1) <= _MOST_SITES)
    nearest = small[np.argsort(distances[small], kind="stable")]
    shares = _as_pairs(matches.n_sites[pairs[nearest]].max(axis=1))
    looked_at = nearest[np.cumsum(shares) <= _MOST_PAIRS]
    for place in looked_at:
        first, second = pairs[place]
        if matches.is_match(int(first), int(second)):
            said = [
                _spread(c[pairs[place]], name, same_targets[name]) for name, c in columns.items()
            ]
            targets = "; ".join(text for text in said if text)
            message = (
                f"{names[first]} and {names[second]} are one crystal but for small displacements "
                f"(mean distances differ by {distances[place]:.2g} Å){'; ' if targets else ''}"
                f"{targets}."
            )
            yield Finding("near duplicate", [int(first), int(second)], "warning", message)
    if rest := len(pairs) - len(looked_at):
        message = f"{rest} more pairs of similar crystals were not looked at: they are too many."
        yield Finding("near duplicates, unconfirmed", (), "remark", message)


def _near_pairs(found: Fingerprints, groups: IntArray) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Return pairs of different crystals that are alike, by one of each group."""
    from scipy.spatial import cKDTree

    firsts = np.sort(np.unique(groups, return_index=True)[1])
    firsts = firsts[found.compositions[firsts] != 0]
    order = firsts[np.argsort(found.compositions[firsts], kind="stable")]
    starts = np.flatnonzero(np.diff(found.compositions[order], prepend=np.uint64(0)))
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for rows in np.split(order, starts[1:]):
        if len(rows) > 1:
            tree = cKDTree(found.distances[rows])
            # The nearest ones alone: of very many crystals that are alike, all pairs are too many.
            _, near = tree.query(
                found.distances[rows],
                k=np.arange(2, 2 + min(_NEAREST, len(rows) - 1)),
                p=np.inf,
                distance_upper_bound=_NEAR,
            )
            own, places = np.nonzero(near < len(rows))
            pairs.append(np.column_stack([rows[own], rows[near[own, places]]]))
    joined = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    differences = found.distances[joined[:, 0]] - found.distances[joined[:, 1]]
    return joined, np.abs(differences).max(axis=1, initial=0.0)


def _as_pairs(n_sites: Any) -> Any:
    """Return how many pairs of crystals of 100 sites one of so many takes as long as."""
    return np.maximum(1.0, (n_sites / _USUAL_SITES) ** 2)


class _Matches:
    """What pymatgen finds of pairs of crystals.

    Parameters
    ----------
    sources : sequence of crystals, or None
    n_sites : ndarray of shape (n_crystals,)
    """

    def __init__(self, sources: Sequence[Any] | None, n_sites: IntArray) -> None:
        self.sources: Any = sources
        self.n_sites = n_sites
        self._structures: dict[int, Any] = {}
        self._n_left = float(_MOST_PAIRS)  # of those with one graph

    def all_of(self, rows: IntArray) -> bool:
        """Tell whether crystals with one graph are the same; False if they are not compared.

        Others can have one graph too: they differ beyond the nearest neighbors, or in elements
        that have the same features.
        """
        n_sites = self.n_sites[rows].max()
        share = (len(rows) - 1) * float(_as_pairs(n_sites))
        if self.sources is None or share > self._n_left or n_sites > _MOST_SITES:
            return False
        self._n_left -= share
        first, *others = rows.tolist()
        return all(self.is_match(first, other) for other in others)

    def is_match(self, first: int, second: int) -> bool:
        """Tell whether two crystals are the same."""
        from pymatgen.analysis.structure_matcher import StructureMatcher

        one, other = self._structure(first), self._structure(second)
        if one is None or other is None:
            return False
        return bool(StructureMatcher(**_MATCHER).fit(one, other))

    def _structure(self, row: int) -> Any:
        if row not in self._structures:
            self._structures[row] = to_structure(self.sources[row])
        return self._structures[row]


def to_structure(source: Any) -> Any:
    """Return a crystal as pymatgen has it; None if it cannot be read."""
    from pymatgen.core import Element, Structure

    try:
        crystal = read_crystal(source)
    except StructureError:
        return None
    species = [{Element.from_Z(z): share for z, share in site} for site in crystal.species]
    return Structure(crystal.lattice, species, crystal.coords, coords_are_cartesian=True)
