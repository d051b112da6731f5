"""Pairs of neighbouring sites, periodic images included: enough for every site."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.crystals import cell_volume
from skcgcnn.exceptions import StructureError

__all__ = ["Pairs", "find_pairs", "search_radius"]

# Two sites closer than this are one site written twice (the shortest bond, H-H, has 0.74 Å).
MIN_DISTANCE = 0.1

_GROWTH = 1.5
_PERIODIC = np.ones(3, dtype=np.int64)
# pymatgen's tolerance: a site nearer to itself than this is itself, not its periodic image.
_TOLERANCE = 1e-8
# How many pairs one search may find, about: it bounds the memory that a large cell takes.
_PAIRS_AT_ONCE = 2_000_000
# A search sorts the cell into boxes as wide as its radius; a large, empty cell has too many.
_BOXES = 1_000_000
# A search looks at every image of the cell that may reach into the sphere. More than this, and
# than many times what the sphere holds, means a needle or a leaf, and better vectors exist.
_MANY_IMAGES = 2_000
_SKEWED = 20

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Sites and their neighbours, pair by pair.

    Attributes
    ----------
    center : ndarray of shape (n_pairs,)
        The site.
    point : ndarray of shape (n_pairs,)
        The site whose image its neighbour is.
    distance : ndarray of shape (n_pairs,)
        Between the two, in Å.
    reach : ndarray of shape (n_sites,)
        The radius, in Å, within which all neighbours of a site are there.
    """

    center: IntArray
    point: IntArray
    distance: FloatArray
    reach: FloatArray


def search_radius(lattice: FloatArray, n_sites: int, n_points: int) -> float:
    """Return the radius of the sphere which holds a number of sites on average.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    n_sites : int
        Number of sites in the cell.
    n_points : int
        Number of sites in the sphere.

    Returns
    -------
    float
        In Å.

    Examples
    --------
    >>> import numpy as np
    >>> round(search_radius(4.0 * np.eye(3), n_sites=5, n_points=24), 2)
    4.19
    """
    return math.cbrt(0.75 / math.pi * n_points * cell_volume(lattice) / n_sites)


def find_pairs(
    lattice: FloatArray,
    coords: FloatArray,
    n_neighbors: int,
    radius: float,
    *,
    margin: float = 0.0,
) -> Pairs:
    """Find the neighbours of every site, at least so many and all within some radius.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    coords : ndarray of shape (n_sites, 3)
        Cartesian coordinates in Å.
    n_neighbors : int
        Number of neighbours that every site must have.
    radius : float
        Where the search begins, in Å. A site with too few neighbours within it is searched
        again in larger spheres.
    margin : float, default=0.0
        How much the last of the `n_neighbors` must be within the sphere, in Å.

    Returns
    -------
    Pairs
        The pairs of one site stand in the order in which pymatgen finds them.

    Raises
    ------
    StructureError
        If two sites lie on top of each other.

    Examples
    --------
    >>> import numpy as np
    >>> lattice, coords = 4.12 * np.eye(3), 4.12 * np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> pairs = find_pairs(lattice, coords, n_neighbors=8, radius=3.6)  # CsCl
    >>> pairs.point[pairs.center == 0].tolist()
    [1, 1, 1, 1, 1, 1, 1, 1]
    """
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    coords = np.ascontiguousarray(coords, dtype=np.float64)
    radius = max(radius, _coarsest_grid(lattice))
    reach = np.full(len(coords), radius)
    found = _search(lattice, coords, np.arange(len(coords)), radius)
    while True:
        center, _, distance = found
        if len(distance) and distance.min() < MIN_DISTANCE:
            raise _on_top(*(array[int(distance.argmin())] for array in found))
        surely = center[distance <= (reach - margin)[center]] if margin else center
        few = np.bincount(surely, minlength=len(coords)) < n_neighbors
        if not few.any():
            return Pairs(*found, reach)
        radius *= _GROWTH
        reach[few] = radius
        again = _search(lattice, coords, np.flatnonzero(few), radius)
        keep = ~few[center]
        center, point, distance = (
            np.concatenate([old[keep], new]) for old, new in zip(found, again, strict=True)
        )
        found = center, point, distance


def _coarsest_grid(lattice: FloatArray) -> float:
    """Return the least radius, in Å, whose grid of boxes over the cell is not too large."""
    extent = [sum(map(abs, column)) for column in lattice.T.tolist()]
    return math.cbrt(math.prod(extent) / _BOXES)


def _search(
    lattice: FloatArray, coords: FloatArray, centers: IntArray, radius: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the pairs of some centres within a radius."""
    from pymatgen.optimization.neighbors import (
        find_points_in_spheres,
    )

    lattice, per_site = _fit_for_search(lattice, len(coords), radius)
    block = max(1, int(_PAIRS_AT_ONCE / per_site))
    parts = []
    for start in range(0, len(centers), block):
        some = centers[start : start + block]
        center, point, _, distance = find_points_in_spheres(
            coords, coords[some], r=radius, pbc=_PERIODIC, lattice=lattice, tol=_TOLERANCE
        )
        center = some[center]
        others = (center != point) | (distance > _TOLERANCE)
        parts.append((center[others], point[others], distance[others]))
    if len(parts) == 1:
        return parts[0]
    center, point, distance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return center, point, distance


def _fit_for_search(lattice: FloatArray, n_sites: int, radius: float) -> tuple[FloatArray, float]:
    """Return vectors of the lattice that suit a search, and how many pairs a site may have."""
    volume = cell_volume(lattice)
    cells_in_sphere = 4 / 3 * math.pi * radius**3 / volume
    a, b, c = lattice.tolist()
    images = math.prod(
        2 * radius * _parallelogram(u, v) / volume + 1 for u, v in ((a, b), (b, c), (c, a))
    )
    if images > _MANY_IMAGES and images > _SKEWED * cells_in_sphere:
        lattice = _reduced(lattice)
    return lattice, n_sites * (cells_in_sphere + 1)


def _parallelogram(u: list[float], v: list[float]) -> float:
    """Return the area that two vectors span: the volume over the height of the cell upon it."""
    (ux, uy, uz), (vx, vy, vz) = u, v
    return math.hypot(uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)


def _reduced(lattice: FloatArray) -> FloatArray:
    from pymatgen.core import Lattice

    reduced = np.array(Lattice(lattice).get_lll_reduced_lattice().matrix, dtype=np.float64)
    shortest = float(np.linalg.norm(reduced, axis=1).min())
    if shortest < MIN_DISTANCE:
        raise StructureError(
            f"its lattice repeats every {shortest:.3g} Å; check the lattice parameters"
        )
    return reduced


def _on_top(center: int, point: int, distance: float) -> StructureError:
    first, second = sorted((int(center), int(point)))
    return StructureError(
        f"sites {first} and {second} are {distance:.3f} Å apart, on top of each other; "
        "remove one, or give one site partial occupancies"
    )
