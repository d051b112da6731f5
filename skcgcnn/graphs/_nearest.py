"""The M nearest periodic neighbors of every site, also where several are at the same distance."""

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._neighbor_list import NeighborList

# In Å. Distances that differ by less are equal: it is far above rounding errors, and below what a
# structure determination resolves.
TIE = 1e-4

# In Å. Differences below are rounding errors, such as those of another way to the same coordinates.
_EQUAL = 1e-7

# Rounds of color refinement: four distinguish what four convolutions can.
_ROUNDS = 4
# Colors that differ by less are equal; rounding errors stay below 1e-10.
_SAME = 1e-6
# Large enough to distinguish neighbors, small enough not to amplify rounding errors.
_PITCH = 4.0

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Nearest = tuple[IntArray, FloatArray]


def nearest_neighbors(
    pairs: NeighborList, max_num_nbr: int = 12, site_numbers: FloatArray | None = None
) -> Nearest:
    """Take the nearest neighbors of every site.

    Parameters
    ----------
    pairs : NeighborList
        Of one or several crystals. With `site_numbers`, each cutoff exceeds the distance of the
        neighbor of rank M by `TIE`.
    max_num_nbr : int, default=12
        Number of neighbors, M.
    site_numbers : ndarray of shape (n_sites,), optional
        A number for the species of every site, the same in every crystal. With it, the crystal
        alone decides which of several equally distant neighbors are taken; without it, their
        order in `pairs`.

    Returns
    -------
    indices : ndarray of shape (n_sites, max_num_nbr), int64
        Index of the site of which each neighbor is an image, as in `pairs`.
    distances : ndarray of shape (n_sites, max_num_nbr), float64
        In Å, ascending along each row.

    Notes
    -----
    The original CGCNN code (Xie & Grossman 2018) takes equally distant neighbors in the order
    in which pymatgen finds them, and its weights expect it. Where rank M cuts a shell of equally
    distant but different neighbors, that order, and so the order of the sites, decides which of
    them are taken.

    With `site_numbers`, a cut shell is filled by species, then by the surroundings of the
    neighbors. Color refinement (Weisfeiler & Leman 1968) distinguishes them, with real numbers
    for colors, which vary smoothly with the positions. Sites of one color are the same to the
    network too, so it does not matter which of them is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from skcgcnn.graphs import find_neighbors
    >>> lattice, coords = 4.12 * np.eye(3), 4.12 * np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> pairs = find_neighbors(lattice, coords, max_num_nbr=8, radius=8.0)
    >>> indices, distances = nearest_neighbors(pairs, max_num_nbr=8)  # CsCl
    >>> indices[0].tolist()
    [1, 1, 1, 1, 1, 1, 1, 1]
    >>> distances[0, :4].round(2)
    array([3.57, 3.57, 3.57, 3.57])
    """
    if site_numbers is None:
        pairs = _nearer(pairs, max_num_nbr)
    # lexsort is stable: equal distances keep their order.
    order = np.lexsort((pairs.distance, pairs.center))
    counts = np.bincount(pairs.center, minlength=len(pairs.cutoff))
    firsts = np.cumsum(counts) - counts
    chosen = order[firsts[:, np.newaxis] + np.arange(max_num_nbr)]
    if site_numbers is not None:
        candidates = _cut_shells(pairs, order, firsts + max_num_nbr - 1)
        if len(candidates):
            _refill(pairs, chosen, _rank(pairs, candidates, site_numbers))
    neighbors, distances = pairs.neighbor[chosen], pairs.distance[chosen]
    if site_numbers is not None:
        # Equal distances are ordered by index: by themselves, rounding errors would order them.
        keys = _rounded(distances).astype(np.int64) * (len(pairs.cutoff) + 1) + neighbors
        neighbors = np.take_along_axis(neighbors, np.argsort(keys, axis=1), axis=1)
        distances = np.sort(distances, axis=1)
    return neighbors, distances


def _rounded(distance: FloatArray) -> FloatArray:
    """Return distances as multiples of what is equal, without rounding errors."""
    return np.rint(distance / _EQUAL)


def _nearer(pairs: NeighborList, max_num_nbr: int) -> NeighborList:
    """Drop pairs that are surely too far: sorting takes most of the time."""
    counts = np.bincount(pairs.center, minlength=len(pairs.cutoff))
    # If neighbors were spread evenly, there would be twice as many as wanted within this.
    limit = pairs.cutoff * np.cbrt(2 * max_num_nbr / counts)
    near = pairs.distance <= limit[pairs.center]
    few = np.bincount(pairs.center[near], minlength=len(counts)) < max_num_nbr
    near |= few[pairs.center]
    return NeighborList(
        pairs.center[near], pairs.neighbor[near], pairs.distance[near], pairs.cutoff
    )


def _cut_shells(pairs: NeighborList, order: IntArray, lasts: IntArray) -> IntArray:
    """Return the pairs of the shells that rank M cuts, where their neighbors differ."""
    last = order[lasts]
    # After a site's last pair comes the first of another site; after the very last, none.
    behind = order[np.minimum(lasts + 1, len(order) - 1)]
    cut = (
        (pairs.center[behind] == pairs.center[last])
        & (behind != last)
        & (pairs.distance[behind] - pairs.distance[last] <= TIE)
    )
    shell = np.where(cut, pairs.distance[last], -np.inf)
    candidates = np.flatnonzero(np.abs(pairs.distance - shell[pairs.center]) <= TIE)
    # Images of one site are the same; in small cells most cut shells consist of them.
    neighbor, center = pairs.neighbor[candidates], pairs.center[candidates]
    least = np.full(len(shell), np.iinfo(np.int64).max)
    np.minimum.at(least, center, neighbor)
    unlike = np.zeros(len(shell), dtype=bool)
    unlike[center[neighbor != least[center]]] = True
    return candidates[unlike[center]]


def _rank(pairs: NeighborList, candidates: IntArray, site_numbers: FloatArray) -> IntArray:
    """Sort the candidates of every site by species, surroundings and distance."""
    center, neighbor = pairs.center[candidates], pairs.neighbor[candidates]
    colors, species = _colors(pairs, site_numbers)[neighbor], site_numbers[neighbor]
    order = np.lexsort((colors, species, center))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (
        (np.diff(colors[order]) > _SAME)
        | (np.abs(np.diff(species[order])) > _SAME)
        | (np.diff(center[order]) != 0)
    )
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new)
    keys = neighbor, _rounded(pairs.distance[candidates]), group
    return candidates[np.lexsort(keys)]


def _colors(pairs: NeighborList, site_numbers: FloatArray) -> FloatArray:
    """Return a number for every site that depends on its surroundings."""
    # Weights vanish at the cutoff, so that no neighbor appears or disappears abruptly.
    weight = (1 - np.minimum(pairs.distance / pairs.cutoff[pairs.center], 1.0) ** 2) ** 2
    n_sites = len(site_numbers)
    total = np.bincount(pairs.center, weight, n_sites)
    own = site_numbers + total / (1 + total)
    colors = own
    for _ in range(_ROUNDS):
        seen = weight * np.sin(_PITCH * colors)[pairs.neighbor]
        colors = own + np.bincount(pairs.center, seen, n_sites) / total
    return colors


def _refill(pairs: NeighborList, chosen: IntArray, ranked: IntArray) -> None:
    """Fill the places of the cut shells with the first-ranked candidates."""
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
    keys = pairs.neighbor[taken], _rounded(pairs.distance[taken]), pairs.center[taken]
    taken = taken[np.lexsort(keys)]
    chosen[places] = taken
