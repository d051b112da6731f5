"""Read one crystal, whatever it comes as: lattice, sites, species with their occupancies."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.exceptions import StructureError

__all__ = ["Crystal", "Species", "describe_source", "list_sources", "read_crystal", "source_id"]

# The elements of one site: (atomic number, occupancy), by ascending atomic number.
Species = tuple[tuple[int, float], ...]

ACCEPTED = (
    "a list, tuple, 1-D or (n, 1) object array, pandas Series or one-column DataFrame of paths, "
    "pymatgen Structures or ASE Atoms, or CrystalGraphs"
)

# Far denser than any matter that a CIF describes (diamond: 5.7 Å³ a site): a cell of less is a
# mistake, and its neighbour search would not end in reasonable time.
MIN_VOLUME_PER_SITE = 0.1


@dataclass(frozen=True, slots=True)
class Crystal:
    """A periodic crystal as plain arrays.

    Attributes
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    coords : ndarray of shape (n_sites, 3)
        Cartesian coordinates in Å, in pymatgen's order of sites.
    species : list of Species
        Who sits on each site.
    """

    lattice: npt.NDArray[np.float64]
    coords: npt.NDArray[np.float64]
    species: list[Species]


def list_sources(X: Any) -> list[Any]:
    """Return the crystals of X as a list of paths, Structures or Atoms.

    Parameters
    ----------
    X : sequence
        See the user guide: a list, tuple, 1-D or (n, 1) object array, pandas Series or
        one-column DataFrame.

    Returns
    -------
    list

    Raises
    ------
    TypeError
        If X is no such container, or an element is none of the accepted kinds.
    ValueError
        If X has more than one column.
    """
    if isinstance(X, (str, PathLike, bytes)):
        raise TypeError(
            f"X is the single path {X!r}; expected {ACCEPTED}. "
            "For one crystal pass [path]; for a folder pass sorted(Path(folder).glob('*.cif'))."
        )
    if _is_structure(X) or _is_atoms(X):
        raise TypeError(f"X is a single {type(X).__name__}; for one crystal pass [crystal].")
    if hasattr(X, "to_numpy"):
        X = X.to_numpy(dtype=object)
    if isinstance(X, np.ndarray):
        if X.ndim not in (1, 2) or (X.ndim == 2 and X.shape[1] != 1):  # noqa: PLR2004
            raise ValueError(f"X has shape {X.shape}; expected {ACCEPTED}.")
        sources = list(X.reshape(len(X)))
    elif isinstance(X, (list, tuple)):
        sources = list(X)
    else:
        raise TypeError(f"X is of type {type(X).__name__}; expected {ACCEPTED}.")
    for position, source in enumerate(sources):
        if not (isinstance(source, (str, PathLike)) or _is_structure(source) or _is_atoms(source)):
            raise TypeError(
                f"X[{position}] is of type {type(source).__name__}; expected {ACCEPTED}."
            )
    return sources


def source_id(source: Any, position: int) -> str:
    """Return the name of a crystal: its file's stem, else its position in X."""
    return Path(source).stem if isinstance(source, (str, PathLike)) else str(position)


def describe_source(source: Any, position: int) -> str:
    """Return how an error message names a crystal: its path, else its place in X."""
    return fspath(source) if isinstance(source, (str, PathLike)) else f"X[{position}]"


def read_crystal(source: Any) -> Crystal:
    """Read one crystal.

    Parameters
    ----------
    source : path, pymatgen Structure or ASE Atoms
        A path may name anything that ``pymatgen.core.Structure.from_file`` reads. The crystal
        is taken as periodic in all three directions.

    Returns
    -------
    Crystal

    Raises
    ------
    StructureError
        If there is no crystal in it, or it is one that cannot exist.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> read_crystal(cscl).species
    [((55, 1.0),), ((17, 1.0),)]
    """
    if isinstance(source, (str, PathLike)):
        structure = _read_file(Path(source))
    elif _is_atoms(source):
        structure = _from_atoms(source)
    else:
        structure = source
    return _from_structure(structure)


def _read_file(path: Path) -> Any:
    from pymatgen.core import Structure  # noqa: PLC0415 - quick import of skcgcnn

    if path.is_dir():
        raise StructureError("is a folder, not a file; pass its files, path by path")
    if not path.exists():
        raise StructureError("no such file")
    try:
        with warnings.catch_warnings():
            # A warning a file drowns the one that matters; what pymatgen repairs, it repairs
            # as documented, and what it cannot repair it raises.
            warnings.simplefilter("ignore")
            return Structure.from_file(path)
    except Exception as error:  # pymatgen's parsers raise whatever the text provokes
        raise StructureError(f"pymatgen cannot read it ({_first_line(error)})") from error


def _from_atoms(atoms: Any) -> Any:
    from pymatgen.io.ase import AseAtomsAdaptor  # noqa: PLC0415 - quick import of skcgcnn

    try:
        return AseAtomsAdaptor.get_structure(atoms)
    except Exception as error:
        raise StructureError(f"no crystal in these Atoms ({_first_line(error)})") from error


def _from_structure(structure: Any) -> Crystal:
    if len(structure) == 0:
        raise StructureError("has no sites")
    lattice = np.array(structure.lattice.matrix, dtype=np.float64)
    coords = np.array(structure.cart_coords, dtype=np.float64)
    if not (np.isfinite(lattice).all() and np.isfinite(coords).all()):
        raise StructureError("a lattice parameter or coordinate is not a finite number")
    volume = abs(float(np.linalg.det(lattice)))
    if volume < MIN_VOLUME_PER_SITE * len(structure):
        raise StructureError(
            f"its cell of {volume:.3g} Å³ is too small for {len(structure)} sites; "
            "check the lattice parameters"
        )
    species = [_species(site, index) for index, site in enumerate(structure)]
    return Crystal(lattice, coords, species)


def _species(site: Any, index: int) -> Species:
    occupancies: dict[int, float] = {}
    for specie, occupancy in site.species.items():
        # A dummy species has a made-up Z beyond any element.
        if type(specie).__name__ == "DummySpecies":
            raise StructureError(f"site {index} holds {specie}, which is no element")
        occupancies[specie.Z] = occupancies.get(specie.Z, 0.0) + float(occupancy)
    total = sum(occupancies.values())
    if not 0 < total <= 1 + 1e-3:
        raise StructureError(f"site {index} ({site.species_string}) has an occupancy of {total:g}")
    return tuple(sorted(occupancies.items()))


def _is_structure(obj: Any) -> bool:
    return _is_instance(obj, "pymatgen", "IStructure")


def _is_atoms(obj: Any) -> bool:
    return _is_instance(obj, "ase", "Atoms")


def _is_instance(obj: Any, package: str, class_name: str) -> bool:
    # By name, so that neither pymatgen nor ASE is imported to tell that X holds paths.
    return any(
        base.__name__ == class_name and base.__module__.split(".")[0] == package
        for base in type(obj).__mro__
    )


def _first_line(error: BaseException) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
