"""Crystal graphs, packed: many crystals in a few NumPy arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from skcgcnn.elements import ElementFeatures
from skcgcnn.exceptions import StructureError
from skcgcnn.neighbors import nearest_neighbors
from skcgcnn.structures import Crystal, Species

__all__ = ["CrystalGraph", "CrystalGraphs", "concatenate", "pack", "site_index"]


@dataclass(frozen=True, eq=False)
class CrystalGraph:
    """One crystal of a `CrystalGraphs`; its arrays are views.

    Attributes
    ----------
    site_kinds : ndarray of shape (n_sites,), int32
        Row of `kind_features` for every site.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        Features of the distinct kinds of site.
    neighbors : ndarray of shape (n_sites, n_neighbors), int32
        The nearest neighbours of every site.
    distances : ndarray of shape (n_sites, n_neighbors), float32
        Their distances in Å, ascending.
    id : str
        File stem, or position in X.
    """

    site_kinds: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    neighbors: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    id: str

    def __len__(self) -> int:
        return len(self.site_kinds)

    def __repr__(self) -> str:
        return f"CrystalGraph({self.id!r}, {len(self)} sites, {self.neighbors.shape[1]} neighbors)"


@dataclass(frozen=True, eq=False, repr=False)
class CrystalGraphs:
    """Many crystal graphs in a few arrays: what `CrystalGraphTransformer` gives.

    It is a sequence: ``len(graphs)``, ``graphs[3]`` (a `CrystalGraph`), ``graphs[2:5]``,
    ``graphs[[7, 1]]``, ``graphs[mask]`` (a `CrystalGraphs` each), so scikit-learn splits it
    like an array. A crystal that could not be read (``on_error="nan"``) has no sites.

    Attributes
    ----------
    offsets : ndarray of shape (n_crystals + 1,), int64
        Crystal i owns the sites ``offsets[i]:offsets[i + 1]``.
    site_kinds : ndarray of shape (n_sites,), int32
        Row of `kind_features` for every site.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        A pure element's features, or the occupancy-weighted mean of a mixed site.
    neighbors : ndarray of shape (n_sites, n_neighbors), int32
        Index of each neighbour, counted within its own crystal.
    distances : ndarray of shape (n_sites, n_neighbors), float32
        In Å, ascending along each row.
    ids : ndarray of shape (n_crystals,), str
        File stem, or position in X.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    Examples
    --------
    >>> from skcgcnn import CrystalGraphTransformer
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs = load_sample_regression().data
    >>> graphs = CrystalGraphTransformer().fit_transform(cifs[:10])
    >>> len(graphs), graphs.neighbors.shape[1], graphs.kind_features.shape[1]
    (10, 12, 92)
    >>> graphs[2:5].shape
    (3,)
    """

    offsets: npt.NDArray[np.int64]
    site_kinds: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    neighbors: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    ids: npt.NDArray[np.str_]

    def __post_init__(self) -> None:
        n_sites = len(self.site_kinds)
        if len(self.offsets) != len(self.ids) + 1 or self.offsets[-1] != n_sites:
            raise ValueError("offsets, ids and site_kinds do not fit together")
        if self.neighbors.shape != self.distances.shape or len(self.neighbors) != n_sites:
            raise ValueError("neighbors, distances and site_kinds do not fit together")

    @property
    def shape(self) -> tuple[int]:
        """Number of crystals, as a one-dimensional array would give it."""
        return (len(self.ids),)

    @property
    def n_sites(self) -> npt.NDArray[np.int64]:
        """Number of sites of every crystal, of shape (n_crystals,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        n_sites, n_neighbors = self.neighbors.shape
        return f"CrystalGraphs({len(self)} crystals, {n_sites} sites, {n_neighbors} neighbors)"

    @overload
    def __getitem__(self, key: int) -> CrystalGraph: ...

    @overload
    def __getitem__(self, key: Any) -> "CrystalGraphs": ...

    def __getitem__(self, key: Any) -> "CrystalGraph | CrystalGraphs":
        if isinstance(key, tuple):
            # scikit-learn indexes whatever has a shape as `array[key, ...]`.
            key = key[0]
        if isinstance(key, (int, np.integer)):
            return self._one(int(key))
        if isinstance(key, list) and not key:
            key = slice(0)
        chosen = np.arange(len(self))[key]
        sites = site_index(self.offsets, chosen)
        return CrystalGraphs(
            offsets=_offsets(self.n_sites[chosen]),
            site_kinds=self.site_kinds[sites],
            kind_features=self.kind_features,
            neighbors=self.neighbors[sites],
            distances=self.distances[sites],
            ids=self.ids[chosen],
        )

    def _one(self, index: int) -> CrystalGraph:
        if not -len(self) <= index < len(self):
            raise IndexError(f"crystal {index} of {len(self)}")
        index %= len(self)
        sites = slice(self.offsets[index], self.offsets[index + 1])
        return CrystalGraph(
            self.site_kinds[sites],
            self.kind_features,
            self.neighbors[sites],
            self.distances[sites],
            str(self.ids[index]),
        )


def site_index(
    offsets: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the indices of all sites of the chosen crystals, crystal after crystal.

    Parameters
    ----------
    offsets : ndarray of shape (n_crystals + 1,)
        Crystal i owns the sites ``offsets[i]:offsets[i + 1]``.
    chosen : ndarray of shape (n_chosen,)
        Indices of crystals.

    Returns
    -------
    ndarray of shape (n_chosen_sites,), int64

    Examples
    --------
    >>> site_index(np.array([0, 2, 5, 6]), np.array([1, 0])).tolist()
    [2, 3, 4, 0, 1]
    """
    counts = offsets[chosen + 1] - offsets[chosen]
    shift = offsets[chosen] - (np.cumsum(counts) - counts)
    return np.asarray(np.arange(counts.sum()) + np.repeat(shift, counts))


def pack(
    crystals: Sequence[Crystal | StructureError],
    ids: Sequence[str],
    features: ElementFeatures,
    *,
    n_neighbors: int = 12,
    radius: float = 8.0,
) -> tuple[CrystalGraphs, list[tuple[int, str]]]:
    """Turn crystals into packed graphs.

    Parameters
    ----------
    crystals : sequence of Crystal or StructureError
        What was read; an error stands for a crystal that could not be.
    ids : sequence of str
        Names of the crystals.
    features : ElementFeatures
        Features of the elements.
    n_neighbors : int, default=12
        Neighbours a site.
    radius : float, default=8.0
        Where the search for neighbours begins, in Å.

    Returns
    -------
    graphs : CrystalGraphs
        As many as there are crystals; one without sites for each failure.
    failures : list of (int, str)
        Positions that failed, and why.
    """
    rows: dict[Species, int] = {}
    kinds: list[int] = []
    counts, neighbors, distances = [], [], []
    failures: list[tuple[int, str]] = []
    for position, crystal in enumerate(crystals):
        try:
            if isinstance(crystal, StructureError):
                raise crystal
            _check_elements(crystal, features)
            found = nearest_neighbors(crystal.lattice, crystal.coords, n_neighbors, radius)
        except StructureError as error:
            failures.append((position, str(error)))
            counts.append(0)
            continue
        counts.append(len(crystal.species))
        kinds.extend(rows.setdefault(species, len(rows)) for species in crystal.species)
        neighbors.append(found[0])
        distances.append(found[1])
    empty = (0, n_neighbors)
    graphs = CrystalGraphs(
        offsets=_offsets(counts),
        site_kinds=np.array(kinds, dtype=np.int32),
        kind_features=np.array(
            [features.mean(species) for species in rows], dtype=np.float32
        ).reshape(-1, features.n_features),
        neighbors=np.concatenate([np.empty(empty, dtype=np.int32), *neighbors]),
        distances=np.concatenate([np.empty(empty, dtype=np.float32), *distances]),
        ids=np.array(ids, dtype=np.str_),
    )
    return graphs, failures


def concatenate(parts: Sequence[CrystalGraphs]) -> CrystalGraphs:
    """Join graphs end to end; kinds of site that the parts share are stored once.

    Parameters
    ----------
    parts : sequence of CrystalGraphs
        At least one; all with the same numbers of neighbours and features.

    Returns
    -------
    CrystalGraphs

    Raises
    ------
    ValueError
        If there is no part, or the parts differ in the number of neighbours or features.
    """
    shapes = {(part.neighbors.shape[1], part.kind_features.shape[1]) for part in parts}
    if len(shapes) != 1:
        raise ValueError(
            f"expected graphs with one number of neighbors and features; got {sorted(shapes)}"
        )
    if len(parts) == 1:
        return parts[0]
    rows: dict[bytes, int] = {}
    features: list[npt.NDArray[np.float32]] = []
    kinds = []
    for part in parts:
        renumbered = np.empty(len(part.kind_features), dtype=np.int32)
        for kind, feature in enumerate(part.kind_features):
            row = rows.setdefault(feature.tobytes(), len(rows))
            if row == len(features):
                features.append(feature)
            renumbered[kind] = row
        kinds.append(renumbered[part.site_kinds])
    return CrystalGraphs(
        offsets=_offsets(np.concatenate([part.n_sites for part in parts])),
        site_kinds=np.concatenate(kinds),
        kind_features=np.array(features, dtype=np.float32).reshape(
            -1, parts[0].kind_features.shape[1]
        ),
        neighbors=np.concatenate([part.neighbors for part in parts]),
        distances=np.concatenate([part.distances for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
    )


def _offsets(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.fromiter(counts, dtype=np.int64))]).astype(np.int64)


def _check_elements(crystal: Crystal, features: ElementFeatures) -> None:
    for site, species in enumerate(crystal.species):
        for z, _ in species:
            if z not in features:
                raise StructureError(
                    f"site {site} holds the element with atomic number {z}, for which "
                    f"{features.source} has no features; pass atom_features with a row for it"
                )
