"""Read one crystal, whatever it comes as: lattice, sites, species with their occupancies."""

import gzip
import math
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from skcgcnn.crystals._cif import parse_cif, syntax_error
from skcgcnn.crystals._crystal import Crystal, Species, cell_volume
from skcgcnn.exceptions import StructureError

ACCEPTED = (
    "a list, tuple, 1-D or (n, 1) object array, pandas Series or one-column DataFrame of paths, "
    "pymatgen Structures or ASE Atoms, or CrystalGraphs"
)

# In Å³ per site (diamond: 5.7). A smaller cell is a mistake, and its neighbor search would not end
# in reasonable time.
MIN_VOLUME_PER_SITE = 0.1
# In Å. The longest periods known, of polytypes and of virus crystals, are some thousands.
MAX_LENGTH = 10_000

# Endings of files that can hold a crystal, for folders without a list.
READABLE = (
    ".cif",
    ".cif.gz",
    ".poscar",
    ".vasp",
    ".xsf",
    ".xyz",
    ".extxyz",
    ".traj",
    ".res",
)

_SITES_TAG = "_atom_site_fract_x"
_NO_CRYSTAL = "No structure parsed"
_SEVERAL = "holds several crystals; the first is taken"
_IS_FOLDER = "is a folder, not a file; pass its files, path by path"


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
        if X.ndim not in (1, 2) or (X.ndim == 2 and X.shape[1] != 1):
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
    """Return the id of a crystal: the stem of its file, else its position in X."""
    if not isinstance(source, (str, PathLike)):
        return str(position)
    path = Path(source)
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


def describe_source(source: Any, position: int) -> str:
    """Return how an error message names a crystal: its path, else its place in X."""
    return fspath(source) if isinstance(source, (str, PathLike)) else f"X[{position}]"


def read_crystal(source: Any) -> Crystal:
    """Read one crystal.

    Parameters
    ----------
    source : path, pymatgen Structure or ASE Atoms
        A path may name anything that ``pymatgen.core.Structure.from_file`` reads. A CIF is read
        by `parse_cif`, with the same result and far faster, and by pymatgen where that is not
        sure. The crystal is taken as periodic in all three directions.

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
        crystal = _read_file(fspath(source))
    else:
        crystal = _from_structure(_from_atoms(source) if _is_atoms(source) else source)
    _check_cell(crystal)
    return crystal


def try_to_read(source: Any) -> Crystal | StructureError:
    """Read one crystal, or return why it cannot be read."""
    try:
        return read_crystal(source)
    except StructureError as error:
        return error


def _read_file(path: str) -> Crystal:
    text = _cif_text(path) if path.lower().endswith((".cif", ".cif.gz")) else None
    crystal = None if text is None else parse_cif(text)
    if crystal is not None:
        return crystal
    try:
        crystal = _read_with_pymatgen(path)
    except StructureError as error:
        broken = None if text is None else syntax_error(text)
        if broken is None:
            raise
        raise StructureError(f"is no well-formed CIF: {broken}") from error
    if text is not None and text.count(_SITES_TAG) > 1:
        crystal = replace(crystal, notes=(*crystal.notes, _SEVERAL))
    return crystal


def _cif_text(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer than the reading
            content = file.read()
        if path.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise StructureError("no such file") from error
    except IsADirectoryError as error:
        raise StructureError(_IS_FOLDER) from error
    except (OSError, EOFError, zlib.error) as error:
        raise StructureError(f"cannot be read ({_first_line(error)})") from error
    return content.decode("utf-8", errors="replace")


def _read_with_pymatgen(path: str) -> Crystal:
    from pymatgen.core import Structure

    if Path(path).is_dir():
        raise StructureError(_IS_FOLDER)
    if not Path(path).exists():
        raise StructureError("no such file")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            structure = Structure.from_file(path)
    except Exception as error:  # pymatgen's parsers raise whatever the text provokes
        # pymatgen says in a warning why a block holds no crystal.
        reasons = [str(w.message).splitlines()[-1] for w in caught if _NO_CRYSTAL in str(w.message)]
        cause = "; ".join(dict.fromkeys([_first_line(error), *reasons]))
        raise StructureError(f"pymatgen cannot read it ({cause})") from error
    notes = dict.fromkeys(_first_line(warning.message) for warning in caught)
    return replace(_from_structure(structure), notes=tuple(notes))


def _from_atoms(atoms: Any) -> Any:
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        return AseAtomsAdaptor.get_structure(atoms)
    except Exception as error:
        raise StructureError(f"no crystal in these Atoms ({_first_line(error)})") from error


def _from_structure(structure: Any) -> Crystal:
    return Crystal(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(structure.cart_coords, dtype=np.float64),
        [_species(site, index) for index, site in enumerate(structure)],
    )


def _check_cell(crystal: Crystal) -> None:
    n_sites = len(crystal.species)
    if n_sites == 0:
        raise StructureError("has no sites")
    numbers = crystal.lattice.ravel().tolist()
    # A sum is finite if all its terms are.
    if not math.isfinite(sum(numbers) + float(crystal.coords.sum())):
        raise StructureError("a lattice parameter or coordinate is not a finite number")
    longest = max(map(abs, numbers))
    if longest > MAX_LENGTH:
        raise StructureError(
            f"its cell of {longest:.3g} Å is larger than any crystal's; "
            "check the lattice parameters"
        )
    volume = cell_volume(crystal.lattice)
    if volume < MIN_VOLUME_PER_SITE * n_sites:
        raise StructureError(
            f"its cell of {volume:.3g} Å³ is too small for {n_sites} sites; "
            "check the lattice parameters"
        )


def _species(site: Any, index: int) -> Species:
    occupancies: dict[int, float] = {}
    for specie, occupancy in site.species.items():
        # The atomic number of a dummy species is made up.
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
    # By name, so that X of paths needs neither pymatgen nor ASE.
    return any(
        base.__name__ == class_name and base.__module__.split(".")[0] == package
        for base in type(obj).__mro__
    )


def _first_line(error: object) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
