"""The M nearest periodic neighbours of every site, also where several are equally far."""

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._neighbor_list import Pairs

__all__ = ["TIE", "Nearest", "nearest_neighbors"]

# Neighbours whose distances differ by no more than this, in Å, are equally far: far above the
# rounding of arithmetic, below anything that a structure determination tells apart.
TIE = 1e-4

# Rounds of looking one shell further. Four tell apart what four convolutions can.
_ROUNDS = 4
# Surroundings which differ by no more than this are the same; rounding stays below 1e-10.
_SAME = 1e-6
# Steep enough to tell neighbours apart, shallow enough not to amplify rounding.
_PITCH = 4.0

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Nearest = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


def nearest_neighbors(
    pairs: Pairs, n_neighbors: int = 12, site_numbers: FloatArray | None = None
) -> Nearest:
    """Take the nearest neighbours of every site.

    Parameters
    ----------
    pairs : Pairs
        Of one or several crystals. With `site_numbers`, `reach` exceeds the distance of rank M
        by `TIE`.
    n_neighbors : int, default=12
        Number of neighbours, M.
    site_numbers : ndarray of shape (n_sites,), optional
        A number for the species of every site, the same in every crystal. With it the crystal
        alone decides which of several equally distant neighbours are in; without, the order in
        which they were found.

    Returns
    -------
    indices : ndarray of shape (n_sites, n_neighbors), int32
        Which site each neighbour is (an image of), as the pairs count sites.
    distances : ndarray of shape (n_sites, n_neighbors), float32
        In Å, ascending along each row.

    Notes
    -----
    The original CGCNN code (Xie & Grossman 2018) takes equally distant neighbours in the order
    in which pymatgen finds them, and its weights expect it. Where a shell of equally distant,
    unlike neighbours is cut at rank M, that order, and so the order of the sites, decides who is
    in.

    With `site_numbers`, a cut shell is filled by species, then by the surroundings of the
    neighbours. These are told apart by colour refinement (Weisfeiler & Leman 1968) with real
    numbers for colours, which vary smoothly with the positions. Sites that remain alike are
    alike to the network too, so it does not matter which of them is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from skcgcnn.graphs._neighbor_list import find_pairs
    >>> lattice, coords = 4.12 * np.eye(3), 4.12 * np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> pairs = find_pairs(lattice, coords, n_neighbors=8, radius=8.0)
    >>> indices, distances = nearest_neighbors(pairs, n_neighbors=8)  # CsCl
    >>> indices[0]
    array([1, 1, 1, 1, 1, 1, 1, 1], dtype=int32)
    >>> distances[0, :4].round(2)
    array([3.57, 3.57, 3.57, 3.57], dtype=float32)
    """
    if site_numbers is None:
        pairs = _nearer(pairs, n_neighbors)
    # lexsort is stable: equal distances keep their order.
    order = np.lexsort((pairs.distance, pairs.center))
    counts = np.bincount(pairs.center, minlength=len(pairs.reach))
    firsts = np.cumsum(counts) - counts
    chosen = order[firsts[:, np.newaxis] + np.arange(n_neighbors)]
    if site_numbers is not None:
        candidates = _cut_shells(pairs, order, firsts + n_neighbors - 1)
        if len(candidates):
            _refill(pairs, chosen, _rank(pairs, candidates, site_numbers))
    return pairs.point[chosen].astype(np.int32), pairs.distance[chosen].astype(np.float32)


def _nearer(pairs: Pairs, n_neighbors: int) -> Pairs:
    """Drop pairs that are surely too far: sorting takes longer than all else."""
    counts = np.bincount(pairs.center, minlength=len(pairs.reach))
    # Were the neighbours spread evenly, within this there would be twice as many as wanted.
    limit = pairs.reach * np.cbrt(2 * n_neighbors / counts)
    near = pairs.distance <= limit[pairs.center]
    few = np.bincount(pairs.center[near], minlength=len(counts)) < n_neighbors
    near |= few[pairs.center]
    return Pairs(pairs.center[near], pairs.point[near], pairs.distance[near], pairs.reach)


def _cut_shells(pairs: Pairs, order: IntArray, lasts: IntArray) -> IntArray:
    """Return the pairs of the shells that rank M cuts through unlike neighbours."""
    last = order[lasts]
    # Behind the last pair of all comes none; behind a site's last pair comes another's first.
    behind = order[np.minimum(lasts + 1, len(order) - 1)]
    cut = (
        (pairs.center[behind] == pairs.center[last])
        & (behind != last)
        & (pairs.distance[behind] - pairs.distance[last] <= TIE)
    )
    shell = np.where(cut, pairs.distance[last], -np.inf)
    candidates = np.flatnonzero(np.abs(pairs.distance - shell[pairs.center]) <= TIE)
    # Images of one and the same site are alike; most cut shells of small cells are such.
    point, center = pairs.point[candidates], pairs.center[candidates]
    least = np.full(len(shell), np.iinfo(np.int64).max)
    np.minimum.at(least, center, point)
    unlike = np.zeros(len(shell), dtype=bool)
    unlike[center[point != least[center]]] = True
    return candidates[unlike[center]]


def _rank(pairs: Pairs, candidates: IntArray, site_numbers: FloatArray) -> IntArray:
    """Sort the candidates of every site by species, surroundings and distance."""
    center, point = pairs.center[candidates], pairs.point[candidates]
    colors, species = _colors(pairs, site_numbers)[point], site_numbers[point]
    order = np.lexsort((colors, species, center))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (
        (np.diff(colors[order]) > _SAME)
        | (np.abs(np.diff(species[order])) > _SAME)
        | (np.diff(center[order]) != 0)
    )
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new)
    return candidates[np.lexsort((pairs.distance[candidates], group))]


def _colors(pairs: Pairs, site_numbers: FloatArray) -> FloatArray:
    """Return a number for every site that tells its surroundings."""
    # A neighbour fades out towards the reach: none appears or vanishes at once.
    weight = (1 - np.minimum(pairs.distance / pairs.reach[pairs.center], 1.0) ** 2) ** 2
    n_sites = len(site_numbers)
    total = np.bincount(pairs.center, weight, n_sites)
    own = site_numbers + total / (1 + total)
    colors = own
    for _ in range(_ROUNDS):
        seen = weight * np.sin(_PITCH * colors)[pairs.point]
        colors = own + np.bincount(pairs.center, seen, n_sites) / total
    return colors


def _refill(pairs: Pairs, chosen: IntArray, ranked: IntArray) -> None:
    """Fill the places of the cut shells with the candidates that rank first."""
    center = pairs.center[ranked]
    sites, starts = np.unique(center, return_index=True)
    shell = np.zeros(len(chosen), dtype=bool)
    shell[sites] = True
    last = pairs.distance[chosen[:, -1]]
    places = shell[:, np.newaxis] & (pairs.distance[chosen] >= last[:, np.newaxis] - TIE)
    n_places = places.sum(axis=1)[sites]
    rank = np.arange(len(ranked)) - np.repeat(starts, np.diff([*starts, len(ranked)]))
    taken = ranked[rank < np.repeat(n_places, np.diff([*starts, len(ranked)]))]
    # By distance, so that rows stay ascending.
    taken = taken[np.lexsort((pairs.distance[taken], pairs.center[taken]))]
    chosen[places] = taken
