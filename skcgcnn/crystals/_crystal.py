"""One crystal as plain arrays: what every reader returns, and what the neighbor search takes."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skcgcnn.exceptions import shortened

# The elements of one site: (atomic number, occupancy), by ascending atomic number.
Species = tuple[tuple[int, float], ...]

# In Å; only molecules of hydrogen are shorter.
_SHORTEST = 1.0
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Crystal:
    """A periodic crystal as plain arrays.

    Attributes
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    coords : ndarray of shape (n_sites, 3)
        Cartesian coordinates in Å, in pymatgen's order of sites.
    species : list of Species
        Elements and occupancies of each site.
    notes : tuple of str, default=()
        Remarks of the reader about a file that it could read.
    """

    lattice: npt.NDArray[np.float64]
    coords: npt.NDArray[np.float64]
    species: list[Species]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(map(shortened, self.notes)))


def cell_volume(lattice: npt.NDArray[np.float64]) -> float:
    """Return the volume of a cell in Å³.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.

    Examples
    --------
    >>> cell_volume(2.0 * np.eye(3))
    8.0
    """
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = lattice.tolist()
    return float(
        abs(ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx))
    )


def short_period(
    lattice: npt.NDArray[np.float64], volume: float, longest: float
) -> tuple[str, ...]:
    """Return a remark if a lattice repeats in a face of its cell after less than any crystal's.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    volume : float
        Of its cell.
    longest : float
        The largest component of a vector.
    """
    if volume > 3 * longest**2 * _SHORTEST:  # all its faces are farther apart
        return ()
    a, b, c = lattice.tolist()
    shortest = min(_shortest_of(*pair) for pair in ((a, b), (b, c), (c, a)))
    if shortest >= _SHORTEST:
        return ()
    what = f"its lattice repeats after {shortest:.3g} Å, less than any distance of atoms"
    return (f"{what}; check that no length and angle are in each other's place",)


def _shortest_of(a: list[float], b: list[float]) -> float:
    """Return the shortest length in a plane lattice, by the reduction of Lagrange and Gauss."""
    aa, ab, bb = (p[0] * q[0] + p[1] * q[1] + p[2] * q[2] for p, q in ((a, a), (a, b), (b, b)))
    while 0 < min(aa, bb) < 2 * abs(ab):  # below 0 by rounding alone
        if aa > bb:
            aa, bb = bb, aa
        n = round(ab / aa)
        less = n * (2 * ab - n * aa)
        if less <= _ROUNDING * bb:
            break
        ab, bb = ab - n * aa, bb - less
    return math.sqrt(max(0.0, min(aa, bb)))
