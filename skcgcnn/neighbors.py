"""The M nearest periodic neighbours of every site."""

import numpy as np
import numpy.typing as npt

from skcgcnn.exceptions import StructureError

__all__ = ["nearest_neighbors"]

# Two sites closer than this are one site written twice (the shortest bond, H-H, has 0.74 Å).
MIN_DISTANCE = 0.1

_GROWTH = 1.5
_PERIODIC = np.ones(3, dtype=np.int64)
# pymatgen's tolerance: a site nearer to itself than this is itself, not its periodic image.
_TOLERANCE = 1e-8

Neighbors = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


def nearest_neighbors(
    lattice: npt.NDArray[np.float64],
    coords: npt.NDArray[np.float64],
    n_neighbors: int = 12,
    radius: float = 8.0,
) -> Neighbors:
    """Find the nearest neighbours of every site, periodic images included.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    coords : ndarray of shape (n_sites, 3)
        Cartesian coordinates in Å.
    n_neighbors : int, default=12
        Number of neighbours, M.
    radius : float, default=8.0
        Where the search begins, in Å. A site with fewer than M neighbours within it is searched
        again in larger spheres, so every site has exactly M.

    Returns
    -------
    indices : ndarray of shape (n_sites, n_neighbors), int32
        Which site each neighbour is (an image of).
    distances : ndarray of shape (n_sites, n_neighbors), float32
        In Å, ascending along each row.

    Raises
    ------
    StructureError
        If two sites lie on top of each other.

    Notes
    -----
    Neighbours at exactly the same distance stand in the order in which pymatgen finds them, as
    in the original CGCNN code (Xie & Grossman 2018), whose weights expect it. Where a shell of
    equally distant, unlike neighbours is cut at rank M, that order, and so the order of the
    sites, decides who is in.

    Examples
    --------
    >>> import numpy as np
    >>> lattice, coords = 4.12 * np.eye(3), 4.12 * np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> indices, distances = nearest_neighbors(lattice, coords, n_neighbors=8)  # CsCl
    >>> indices[0]
    array([1, 1, 1, 1, 1, 1, 1, 1], dtype=int32)
    >>> distances[0, :4].round(2)
    array([3.57, 3.57, 3.57, 3.57], dtype=float32)
    """
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    coords = np.ascontiguousarray(coords, dtype=np.float64)
    indices = np.empty((len(coords), n_neighbors), dtype=np.int32)
    distances = np.empty((len(coords), n_neighbors), dtype=np.float32)
    pending = np.arange(len(coords))
    while len(pending):
        found, found_indices, found_distances = _search(
            lattice, coords, pending, n_neighbors, radius
        )
        indices[pending[found]] = found_indices
        distances[pending[found]] = found_distances
        pending = pending[~found]
        radius *= _GROWTH
    nearest = distances[:, 0]
    if nearest.size and nearest.min() < MIN_DISTANCE:
        site = int(nearest.argmin())
        raise StructureError(
            f"sites {site} and {indices[site, 0]} are {nearest[site]:.3f} Å apart, "
            "on top of each other; remove one, or give one site partial occupancies"
        )
    return indices, distances


def _search(
    lattice: npt.NDArray[np.float64],
    coords: npt.NDArray[np.float64],
    centers: npt.NDArray[np.int64],
    n_neighbors: int,
    radius: float,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return which centres have enough neighbours within `radius`, and those neighbours."""
    from pymatgen.optimization.neighbors import (  # noqa: PLC0415 - quick import of skcgcnn
        find_points_in_spheres,
    )

    center, point, _, distance = find_points_in_spheres(
        coords, coords[centers], r=radius, pbc=_PERIODIC, lattice=lattice, tol=_TOLERANCE
    )
    others = (centers[center] != point) | (distance > _TOLERANCE)
    center, point, distance = center[others], point[others], distance[others]
    # lexsort is stable: equal distances keep pymatgen's order.
    order = np.lexsort((distance, center))
    counts = np.bincount(center, minlength=len(centers))
    enough = counts >= n_neighbors
    first = (np.cumsum(counts) - counts)[enough]
    chosen = order[first[:, np.newaxis] + np.arange(n_neighbors)]
    return enough, point[chosen], distance[chosen]
