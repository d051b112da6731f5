"""From crystals to the arrays of their graphs."""

from collections.abc import Container, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from skcgcnn.crystal import Crystal, Species
from skcgcnn.elements import ElementFeatures
from skcgcnn.exceptions import StructureError
from skcgcnn.neighbors import TIE, Nearest, nearest_neighbors
from skcgcnn.pairs import Pairs, find_pairs, search_radius

__all__ = ["offsets_from_counts", "pack"]

# Neighbours are chosen for many crystals at once, up to about so many pairs.
_PAIRS_AT_ONCE = 500_000
# How many neighbours more than M the first search should find, on average.
_SPARE = 14

FloatArray = npt.NDArray[np.float64]


def pack(
    crystals: Sequence[Crystal | StructureError],
    features: ElementFeatures,
    *,
    n_neighbors: int = 12,
    radius: float = 8.0,
    neighbor_ties: str = "invariant",
) -> tuple[dict[str, npt.NDArray], list[tuple[int, str]]]:
    """Turn crystals into the arrays of their graphs.

    Parameters
    ----------
    crystals : sequence of Crystal or StructureError
        What was read; an error stands for a crystal that could not be.
    features : ElementFeatures
        Features of the elements.
    n_neighbors : int, default=12
        Neighbours a site.
    radius : float, default=8.0
        Where the search for neighbours begins, in Å.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        What decides between neighbours at the same distance; see `CrystalGraphTransformer`.

    Returns
    -------
    arrays : dict of str to ndarray
        Those of `CrystalGraphs`, `ids` apart; a failure is a crystal without sites.
    failures : list of (int, str)
        Positions that failed, and why.
    """
    rows: dict[Species, int] = {}
    kinds: list[int] = []
    counts, neighbors, distances = [], [], []
    failures: list[tuple[int, str]] = []
    waiting: list[Pairs] = []
    n_waiting = 0

    def choose() -> None:
        numbers = None
        if neighbor_ties == "invariant":
            n_sites = sum(len(pairs.reach) for pairs in waiting)
            numbers = np.array([_number(species) for species in rows])[kinds[-n_sites:]]
        indices, lengths = _nearest(waiting, n_neighbors, numbers)
        neighbors.append(indices)
        distances.append(lengths)
        waiting.clear()

    for position, crystal in enumerate(crystals):
        try:
            if isinstance(crystal, StructureError):
                raise crystal
            _check_elements(crystal, features, rows)
            pairs = _find_pairs(crystal, n_neighbors, radius, neighbor_ties)
        except StructureError as error:
            failures.append((position, str(error)))
            counts.append(0)
            continue
        counts.append(len(crystal.species))
        kinds.extend([rows.setdefault(species, len(rows)) for species in crystal.species])
        waiting.append(pairs)
        n_waiting += len(pairs.center)
        if n_waiting > _PAIRS_AT_ONCE:
            choose()
            n_waiting = 0
    if waiting:
        choose()
    empty = (0, n_neighbors)
    arrays: dict[str, npt.NDArray] = {
        "offsets": offsets_from_counts(counts),
        "site_kinds": np.array(kinds, dtype=np.int32),
        "kind_features": np.array(
            [features.mean(species) for species in rows], dtype=np.float32
        ).reshape(-1, features.n_features),
        "neighbors": np.concatenate([np.empty(empty, dtype=np.int32), *neighbors]),
        "distances": np.concatenate([np.empty(empty, dtype=np.float32), *distances]),
    }
    return arrays, failures


def _find_pairs(crystal: Crystal, n_neighbors: int, radius: float, neighbor_ties: str) -> Pairs:
    if neighbor_ties == "official":
        return find_pairs(crystal.lattice, crystal.coords, n_neighbors, radius)
    # A full sphere holds M neighbours and the rest of a shell; a larger one is work for nothing.
    n_points = n_neighbors + _SPARE
    enough = search_radius(crystal.lattice, len(crystal.species), n_points)
    return find_pairs(crystal.lattice, crystal.coords, n_neighbors, min(radius, enough), margin=TIE)


def _nearest(parts: Sequence[Pairs], n_neighbors: int, site_numbers: FloatArray | None) -> Nearest:
    """Choose the neighbours of several crystals at once; indices count within a crystal."""
    n_sites = [len(pairs.reach) for pairs in parts]
    shifts = offsets_from_counts(n_sites)[:-1]
    by_pair = np.repeat(shifts, [len(pairs.center) for pairs in parts])
    center, point, distance, reach = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    joined = Pairs(center + by_pair, point + by_pair, distance, reach)
    indices, distances = nearest_neighbors(joined, n_neighbors, site_numbers)
    indices -= np.repeat(shifts, n_sites).astype(np.int32)[:, np.newaxis]
    return indices, distances


def _number(species: Species) -> float:
    """Return a number that no other kind of site has."""
    return float(sum(occupancy * z**0.5 for z, occupancy in species))


def offsets_from_counts(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return where every crystal's sites begin, and where the last one's end."""
    return np.concatenate([[0], np.cumsum(np.fromiter(counts, dtype=np.int64))]).astype(np.int64)


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
