"""From crystals to the arrays of their graphs, with what went wrong."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._parameters import MAX_MERGE_TOL, MAX_NEIGHBORS, MAX_RADIUS
from skcgcnn.crystals import (
    MAX_BYTES,
    Crystal,
    Species,
    describe_source,
    list_sources,
    source_id,
    try_to_read,
)
from skcgcnn.exceptions import StructureError, TransientReadError, describe_failures
from skcgcnn.graphs._elements import ElementFeatures
from skcgcnn.graphs._nearest import TIE, nearest_neighbors
from skcgcnn.graphs._neighbor_list import NeighborList, find_neighbors, search_radius
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._packing import distinct_rows, offsets_from_counts
from skcgcnn.graphs._quotient import Quotient, fold
from skcgcnn.graphs._schema import SCHEMA

# About how many pairs of neighbors are sorted at once.
_PAIRS_AT_ONCE = 500_000
# How many more neighbors than M the first search should find, on average.
_SPARE = 14

# The arrays that are those of the quotients, one after the other: they hold no indices.
_FOLDED = set(Quotient._fields) - {"neighbors", "site_classes"}
_AS_FOLDED = [one for one in SCHEMA if one.name in _FOLDED]

_NO_MEMORY = "there is not enough memory for its neighbors"

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
# Positions in a chunk, and what there is to say about them.
Messages = list[tuple[int, str]]


@dataclass(frozen=True)
class GraphMaker:
    """How graphs are made.

    Attributes
    ----------
    features : ElementFeatures
        Features of the elements.
    max_num_nbr : int, default=12
        Neighbors per site.
    radius : float, default=8.0
        Initial cutoff of the neighbor search, in Å.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        What decides between neighbors at the same distance.
    merge_tol : float or None, default=1e-05
        Distances that differ by no more, in Å, count as equal; None merges nothing.

    Raises
    ------
    ValueError
        If a parameter has an invalid value.
    """

    features: ElementFeatures
    max_num_nbr: int = 12
    radius: float = 8.0
    neighbor_ties: str = "invariant"
    merge_tol: float | None = 1e-5

    def __post_init__(self) -> None:
        values: dict[str, Any] = vars(self)
        number = values["max_num_nbr"]
        if not isinstance(number, Integral) or not 0 < int(number) <= MAX_NEIGHBORS:
            raise ValueError(
                f"max_num_nbr={number!r}; expected an integer from 1 to {MAX_NEIGHBORS}"
            )
        if self.neighbor_ties not in {"invariant", "official"}:
            raise ValueError(
                f"neighbor_ties={self.neighbor_ties!r}; expected 'invariant' or 'official'"
            )
        for name, most in (("radius", MAX_RADIUS), ("merge_tol", MAX_MERGE_TOL)):
            value = values[name]
            if name == "merge_tol" and value is None:
                continue
            if not isinstance(value, Real) or not 0 < float(value) <= most:
                raise ValueError(
                    f"{name}={value!r}; expected a number above 0, in Å, of at most {most:g}"
                )

    @property
    def options(self) -> GraphOptions:
        """What the graphs carry with them."""
        return GraphOptions(
            max_num_nbr=int(self.max_num_nbr),
            n_features=self.features.n_features,
            radius=float(self.radius),
            neighbor_ties=self.neighbor_ties,
            atom_features=self.features.fingerprint,
            merge_tol=0.0 if self.merge_tol is None else float(self.merge_tol),
        )


class Built(NamedTuple):
    """The arrays of some graphs, and what there is to say about them.

    Attributes
    ----------
    arrays : dict
        Arguments of `CrystalGraphs`.
    failures, notes : list of (int, str)
        Positions that failed or are odd, and why.
    transient : bool
        Whether a failure may be gone the next time.
    """

    arrays: dict[str, Any]
    failures: Messages
    notes: Messages
    transient: bool


def build_arrays(
    crystals: Sequence[Crystal | StructureError], maker: GraphMaker
) -> tuple[dict[str, Any], Messages]:
    """Turn crystals into the arrays of graphs.

    Parameters
    ----------
    crystals : sequence of Crystal or StructureError
        What was read; an error stands for a crystal that could not be.
    maker : GraphMaker
        How to make graphs.

    Returns
    -------
    arrays : dict
        Arguments of `CrystalGraphs`, without ids; a failure is a crystal without sites.
    failures : list of (int, str)
        Positions that failed, and why.
    """
    features = maker.features
    rows: dict[Species, int] = {}
    kinds: list[int] = []
    counts: list[int] = []
    quotients: list[Quotient] = []
    failures: list[tuple[int, str]] = []
    waiting: list[NeighborList] = []
    n_waiting = 0

    def choose() -> None:
        n_sites = sum(len(pairs.cutoff) for pairs in waiting)
        numbers = np.array([_number(species) for species in rows])
        quotients.append(_quotient(waiting, np.array(kinds[-n_sites:]), numbers, maker))

    for position, crystal in enumerate(crystals):
        try:
            if isinstance(crystal, StructureError):
                raise crystal
            _check_elements(crystal, features, rows)
            pairs = _find_neighbors(crystal, maker)
        except (StructureError, MemoryError) as error:
            why = _NO_MEMORY if isinstance(error, MemoryError) else str(error)
            failures.append((position, why))
            counts.append(0)
            continue
        counts.append(len(crystal.species))
        kinds.extend([rows.setdefault(species, len(rows)) for species in crystal.species])
        waiting.append(pairs)
        n_waiting += len(pairs.center)
        del pairs  # it may be large, and is dropped as soon as its neighbors are chosen
        if n_waiting > _PAIRS_AT_ONCE:
            choose()
            n_waiting = 0
    if waiting:
        choose()
    kind_features, kind_of_species = distinct_rows([features.mean(species) for species in rows])
    arrays = _pack(
        quotients,
        offsets_from_counts(counts),
        kind_of_species[np.array(kinds, dtype=np.int64)],
        kind_features.reshape(-1, features.n_features),
        maker.options,
    )
    return arrays, failures


def read_and_build(sources: Sequence[Any], maker: GraphMaker, max_bytes: int = MAX_BYTES) -> Built:
    """Read some crystals and make the arrays of their graphs."""
    crystals = [try_to_read(source, max_bytes) for source in sources]
    notes = [
        (i, note)
        for i, crystal in enumerate(crystals)
        if isinstance(crystal, Crystal)
        for note in crystal.notes
    ]
    arrays, failures = build_arrays(crystals, maker)
    transient = any(isinstance(crystal, TransientReadError) for crystal in crystals)
    transient = transient or any(why == _NO_MEMORY for _, why in failures)
    return Built(arrays, failures, notes, transient)


def source_ids(sources: Sequence[Any], positions: Sequence[int]) -> npt.NDArray[np.str_]:
    """Return the ids of crystals: file stems, or positions in X."""
    named = zip(sources, positions, strict=True)
    return np.array([source_id(source, position) for source, position in named], dtype=np.str_)


def name_sources(
    messages: Messages, sources: Sequence[Any], positions: Sequence[int]
) -> list[tuple[str, str]]:
    """Return messages with names of crystals for their positions in a chunk."""
    return [(describe_source(sources[i], positions[i]), why) for i, why in messages]


def build_from_structures(structures: Sequence[Any], maker: GraphMaker) -> dict[str, Any]:
    """Return the arrays of graphs, and raise what went wrong: see `CrystalGraphs`."""
    sources = list_sources(structures)
    positions = range(len(sources))
    built = read_and_build(sources, maker)
    if built.failures:
        failures = name_sources(built.failures, sources, positions)
        raise StructureError(describe_failures(failures, len(sources)))
    return built.arrays | {"ids": source_ids(sources, positions)}


def _find_neighbors(crystal: Crystal, maker: GraphMaker) -> NeighborList:
    lattice, coords, max_num_nbr = crystal.lattice, crystal.coords, maker.max_num_nbr
    if maker.neighbor_ties == "official":
        return find_neighbors(lattice, coords, max_num_nbr, maker.radius)
    # A full sphere holds M neighbors and the rest of a shell; a larger one is work for nothing.
    enough = search_radius(lattice, len(crystal.species), max_num_nbr + _SPARE)
    radius = min(maker.radius, enough)
    return find_neighbors(lattice, coords, max_num_nbr, radius, margin=TIE, ordered=False)


def _quotient(
    parts: list[NeighborList], kinds: IntArray, numbers: FloatArray, maker: GraphMaker
) -> Quotient:
    """Choose the neighbors of several crystals at once, and merge what is equal.

    `kinds` are those of the sites, `numbers` those by which kinds are ordered. The parts are
    dropped on the way: a large crystal takes much memory.
    """
    crystals = np.repeat(np.arange(len(parts)), [len(pairs.cutoff) for pairs in parts])
    joined = parts[0] if len(parts) == 1 else _joined(parts)
    parts.clear()
    site_numbers = numbers[kinds] if maker.neighbor_ties == "invariant" else None
    neighbors, distances = nearest_neighbors(joined, maker.max_num_nbr, site_numbers)
    del joined
    return fold(crystals, kinds, neighbors, distances, maker.merge_tol)


def _joined(parts: list[NeighborList]) -> NeighborList:
    shifts = offsets_from_counts([len(pairs.cutoff) for pairs in parts])[:-1]
    by_pair = np.repeat(shifts, [len(pairs.center) for pairs in parts])
    center, neighbor, distance, cutoff = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    return NeighborList(center + by_pair, neighbor + by_pair, distance, cutoff)


def _pack(
    quotients: Sequence[Quotient],
    site_offsets: IntArray,
    site_kinds: npt.NDArray[np.int32],
    kind_features: npt.NDArray[np.float32],
    options: GraphOptions,
) -> dict[str, Any]:
    """Join quotients whose classes are counted across crystals."""
    n_classes = np.cumsum([0, *(len(one.site_counts) for one in quotients)])
    n_sites = np.cumsum([0, *(len(one.site_classes) for one in quotients)])

    def join(name: str, starts: IntArray | None = None) -> IntArray:
        parts = [getattr(one, name) for one in quotients]
        if starts is not None:
            parts = [part + start for part, start in zip(parts, starts, strict=False)]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    firsts, degrees = join("representatives", n_sites), join("degrees")
    offsets = np.searchsorted(firsts, site_offsets)
    starts = np.repeat(offsets[:-1], np.diff(offsets))
    site_starts = np.repeat(offsets[:-1], np.diff(site_offsets))
    return {
        **{one.name: join(one.name).astype(one.dtypes[-1]) for one in _AS_FOLDED},
        "offsets": offsets,
        "site_kinds": site_kinds[firsts],
        "kind_features": kind_features,
        "bond_offsets": offsets_from_counts(degrees),
        "neighbors": (join("neighbors", n_classes) - np.repeat(starts, degrees)).astype(np.int32),
        "site_classes": (join("site_classes", n_classes) - site_starts).astype(np.int32),
        "ids": np.zeros(len(site_offsets) - 1, dtype="U1"),
        "options": options,
    }


def _number(species: Species) -> float:
    """Return a number that is different for every kind of site."""
    # Mixed roots may be the root of another number: that of 64, halved, is that of 16. Cosines of
    # whole numbers are independent of each other and of roots (Lindemann-Weierstrass).
    roots = sum(occupancy * z**0.5 for z, occupancy in species)
    cosines = sum(occupancy * math.cos(z) for z, occupancy in species)
    return float(roots + cosines * (1 - sum(occupancy**2 for _, occupancy in species)))


def _check_elements(crystal: Crystal, features: ElementFeatures, known: Container[Species]) -> None:
    for site, species in enumerate(crystal.species):
        if species in known:
            continue
        for z, _ in species:
            if z not in features:
                raise StructureError(
                    f"site {site} holds the element with atomic number {z}, for which "
                    f"{features.source} has no features; pass atom_features with a row for it"
                )
