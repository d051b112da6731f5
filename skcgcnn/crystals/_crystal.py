"""One crystal as plain arrays: what every reader returns, and what the neighbor search takes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skcgcnn.exceptions import shortened

# The elements of one site: (atomic number, occupancy), by ascending atomic number.
Species = tuple[tuple[int, float], ...]


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
