"""The neighbor list of a crystal: at least so many neighbors for every site, images included."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.crystals import cell_volume
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs._large import (
    CELLS,
    LARGE,
    MOST_PAIRS,
    count_pairs,
    crowding,
    in_one_cell,
    search_tree,
)

# In Å. Closer sites are one site written twice (the shortest bond, H-H, has 0.74 Å).
MIN_DISTANCE = 0.1

_GROWTH = 1.5
_PERIODIC = np.ones(3, dtype=np.int64)
# pymatgen's tolerance: a site nearer to itself than this is itself, not its periodic image.
_TOLERANCE = 1e-8
# About how many pairs one search may find; it bounds the memory for a large cell.
_PAIRS_AT_ONCE = 2_000_000
_MOST_PAIRS = 50_000_000
# Maximum number of boxes, as wide as the radius, into which a search divides the cell.
_BOXES = 1_000_000
# Where the fullest place holds so many times the average (of slabs: 2 to 4), this does not tell how
# many pairs there are. Of fewer sites than many, or than several in a cell whose boxes are larger
# than the radius, they are not too many.
_CROWDED = 8.0
_MANY, _SEVERAL = 200, 50
# A search looks at every image of the cell that may cutoff into the sphere. More than this, and
# than many times what the sphere holds, means a needle or a leaf, and better vectors exist.
_MANY_IMAGES = 2_000
_SKEWED = 20

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class NeighborList(NamedTuple):
    """Sites and their neighbors, pair by pair.

    Attributes
    ----------
    center : ndarray of shape (n_pairs,)
        Index of the site.
    neighbor : ndarray of shape (n_pairs,)
        Index of the site whose periodic image is its neighbor.
    distance : ndarray of shape (n_pairs,)
        Their distance in Å.
    cutoff : ndarray of shape (n_sites,)
        Radius in Å up to which the neighbors of each site are complete.
    """

    center: IntArray
    neighbor: IntArray
    distance: FloatArray
    cutoff: FloatArray


def search_radius(lattice: FloatArray, n_sites: int, n_points: int) -> float:
    """Return the radius of a sphere that holds a given number of sites on average.

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


def find_neighbors(
    lattice: FloatArray,
    coords: FloatArray,
    max_num_nbr: int,
    radius: float,
    *,
    margin: float = 0.0,
    ordered: bool = True,
) -> NeighborList:
    """Find the neighbors of every site: at least `max_num_nbr`, and all within some cutoff.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    coords : ndarray of shape (n_sites, 3)
        Cartesian coordinates in Å.
    max_num_nbr : int
        Minimum number of neighbors of each site.
    radius : float
        Initial cutoff in Å. It grows for sites with fewer neighbors within it.
    margin : float, default=0.0
        How far inside the cutoff the last of the `max_num_nbr` must be, in Å.
    ordered : bool, default=True
        Whether the pairs of each site are wanted in pymatgen's order. Without it, large cells take
        a time that grows with the number of sites alone.

    Returns
    -------
    NeighborList
        The pairs of each site are in pymatgen's order if that is asked for.

    Raises
    ------
    StructureError
        If two sites lie on top of each other, or so many near each other that pymatgen's search
        would not end.

    Examples
    --------
    >>> import numpy as np
    >>> lattice, coords = 4.12 * np.eye(3), 4.12 * np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> pairs = find_neighbors(lattice, coords, max_num_nbr=8, radius=3.6)  # CsCl
    >>> pairs.neighbor[pairs.center == 0].tolist()
    [1, 1, 1, 1, 1, 1, 1, 1]
    """
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    coords = np.ascontiguousarray(coords, dtype=np.float64)
    # pymatgen's boxes are as many as the coordinates reach.
    if (np.ptp(coords, axis=0) > CELLS * np.abs(lattice).sum(axis=0)).any():
        coords = in_one_cell(lattice, coords)
    centers = np.arange(len(coords))
    fitted, is_uneven = lattice, False
    coarsest = _coarsest_grid(lattice)
    if len(coords) >= (_SEVERAL if coarsest > radius else _MANY):
        fitted, _ = fit_for_search(lattice, len(coords), radius)
        is_uneven = len(coords) >= LARGE or crowding(fitted, coords, radius) > _CROWDED
    search: Callable[..., Any] = partial(_search, is_uneven=is_uneven)
    if is_uneven and not ordered and max_num_nbr <= MOST_PAIRS // 2:
        search, lattice = search_tree, fitted
    else:
        radius = max(radius, coarsest)
    *first, cutoff = search(lattice, coords, centers, radius)
    found: list[Any] = first
    while True:
        center, _, distance = found
        if len(distance) and distance.min() < MIN_DISTANCE:
            raise _on_top(*(array[int(distance.argmin())] for array in found))
        complete = center[distance <= (cutoff - margin)[center]] if margin else center
        few = np.bincount(complete, minlength=len(coords)) < max_num_nbr
        if search is search_tree:
            # Where the tree gave all that it gives, a larger radius brings no more.
            few &= np.bincount(center, minlength=len(coords)) < MOST_PAIRS - 1
        if not few.any():
            return NeighborList(found[0], found[1], found[2], cutoff)
        radius *= _GROWTH
        *again, cutoff[few] = search(lattice, coords, np.flatnonzero(few), radius)
        keep = ~few[center]
        center, neighbor, distance = (
            np.concatenate([old[keep], new]) for old, new in zip(found, again, strict=True)
        )
        found = [center, neighbor, distance]


def _coarsest_grid(lattice: FloatArray) -> float:
    """Return the smallest radius, in Å, that divides the cell into few enough boxes."""
    extent = [sum(map(abs, column)) for column in lattice.T.tolist()]
    return math.cbrt(math.prod(extent) / _BOXES)


def _search(
    lattice: FloatArray,
    coords: FloatArray,
    centers: IntArray,
    radius: float,
    *,
    is_uneven: bool = False,
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Return the pairs of some centers within a radius, which is the cutoff of all of them."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    fitted, per_site = fit_for_search(lattice, len(coords), radius)
    if fitted is not lattice:
        lattice, coords = fitted, in_one_cell(fitted, coords)
    cutoff = np.full(len(centers), radius)
    # Where the average tells nothing, pairs are counted.
    counted = count_pairs(lattice, coords, centers, radius) if is_uneven else None
    blocks = _blocks(centers, radius, per_site, counted)
    parts = []
    for some in blocks:
        center, neighbor, _, distance = find_points_in_spheres(
            coords, coords[some], r=radius, pbc=_PERIODIC, lattice=lattice, tol=_TOLERANCE
        )
        center = some[center]
        others = (center != neighbor) | (distance > _TOLERANCE)
        parts.append((center[others], neighbor[others], distance[others]))
    if len(parts) == 1:
        return *parts[0], cutoff
    center, neighbor, distance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return center, neighbor, distance, cutoff


def _blocks(
    centers: IntArray, radius: float, per_site: float, counted: IntArray | None
) -> list[IntArray]:
    """Divide centers so that no block has too many pairs; refuse too many altogether."""
    if counted is None:
        _check_pairs(len(centers) * per_site, radius)
        block = max(1, int(_PAIRS_AT_ONCE / per_site))
        return [centers[i : i + block] for i in range(0, len(centers), block)]
    totals = np.cumsum(counted)
    _check_pairs(totals[-1], radius)
    return np.split(centers, np.flatnonzero(np.diff(totals // _PAIRS_AT_ONCE)) + 1)


def _check_pairs(number: float, radius: float) -> None:
    if number > _MOST_PAIRS:
        raise StructureError(
            f"has {number:.3g} pairs of sites within {radius:g} Å, which are too many for "
            "neighbor_ties='official'; use 'invariant', or a smaller radius"
        )


def fit_for_search(lattice: FloatArray, n_sites: int, radius: float) -> tuple[FloatArray, float]:
    """Return lattice vectors that suit a search, and the expected number of pairs per site.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    n_sites : int
        Number of sites in the cell.
    radius : float
        Of the search, in Å.

    Returns
    -------
    lattice : ndarray of shape (3, 3)
        Of the same lattice.
    per_site : float
    """
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
    """Return the area of the parallelogram that two vectors span."""
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


def _on_top(center: int, neighbor: int, distance: float) -> StructureError:
    first, second = sorted((int(center), int(neighbor)))
    return StructureError(
        f"sites {first} and {second} are {distance:.3f} Å apart, on top of each other; "
        "remove one, or give one site partial occupancies"
    )
