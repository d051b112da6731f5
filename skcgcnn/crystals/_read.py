"""Read one crystal, whatever it comes as: lattice, sites, species with their occupancies."""

import bz2
import errno
import gzip
import lzma
import math
import os
import re
import stat
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import IO, Any, Literal

import numpy as np

from skcgcnn.crystals._carriers import to_structure
from skcgcnn.crystals._cif import MAX_FRACTION, first_crystal, parse_cif, syntax_error
from skcgcnn.crystals._cif_claims import far_sites, told_formula
from skcgcnn.crystals._cif_numbers import check_values
from skcgcnn.crystals._cif_words import without_empty_lines
from skcgcnn.crystals._crystal import Crystal, Species, cell_volume
from skcgcnn.crystals._json import load_json
from skcgcnn.crystals._left_out import (
    check_counts_of_poscar,
    check_counts_of_xsf,
    check_counts_of_xyz,
    check_cssr,
    check_res,
    check_xsf,
    check_xyz,
    left_out_of_poscar,
    refuse_underscores,
    with_factor,
)
from skcgcnn.crystals._sources import PACKED, is_cif_text, is_json_text, is_poscar_text
from skcgcnn.exceptions import StructureError, TransientReadError

# In Å³ per site (diamond: 5.7). A smaller cell is a mistake, and its neighbor search would not end
# in reasonable time.
MIN_VOLUME_PER_SITE = 0.1
# In Å. The longest periods known, of polytypes and of virus crystals, are some thousands.
MAX_LENGTH = 10_000

# Endings of files that can hold a crystal, for folders without a list.
READABLE = (
    ".cif",
    *(f".cif{ending}" for ending in PACKED),
    ".poscar",
    ".vasp",
    ".xsf",
    ".xyz",
    ".extxyz",
    ".traj",
    ".res",
    ".gen",
    ".pwi",
    ".pwo",
)

# The largest file that is read, packed or not; the largest CIFs of databases have some 10 MB.
MAX_BYTES = 100_000_000
_PIECE = 1 << 20
# Of what others say of a file, which may hold a line of it.
_MOST_LETTERS = 300

_CIF, _JSON = ((end, *(f"{end}{packed}" for packed in PACKED)) for end in (".cif", ".json"))
_OPENERS = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
# With a cell; the others are those that pymatgen does not read.
_OF_ASE = (".traj", ".xyz", ".extxyz", ".gen", ".pwi", ".pwo", "geometry.in")
_PASSING = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.EINTR,
    errno.EAGAIN,
    errno.ETIMEDOUT,
    errno.ESTALE,
}
_SITES_TAG = "_atom_site_fract_x"
_NO_CRYSTAL = "No structure parsed"
_WITHOUT_SYMMETRY = (
    "No _symmetry_equiv_pos_as_xyz type key found. Defaulting to P1",
    "No magnetic symmetry detected",
)
# Above the coordinates of each crystal of an XDATCAR.
_STEP = re.compile(r"^[^\S\n]*direct configuration=", re.IGNORECASE | re.MULTILINE)
_NO_NAMES = "Elements in POSCAR cannot be determined"
# What is not well formed, and says two things of a crystal.
_TWICE = re.compile(r"duplicate tag _(cell|atom_site|symmetry|space_group)[._](?!aniso)")
_SAME_NAME = "duplicate block name"
_ROUNDED = "fractional coordinates rounded to ideal values"
_SEVERAL = "holds several crystals; the first is taken"
NO_MEMORY = "there is not enough memory to read it"
_FORMULA = "; a formula is no crystal: pass a file with its structure, such as a CIF"
_IS_FOLDER = "is a folder, not a file; pass its files, path by path"


def _is_formula(name: str) -> bool:
    """Tell whether a name looks like a formula, such as NaCl or Fe2O3."""
    return re.fullmatch(r"([A-Z][a-z]?[\d.]*|[()]\d*)+", name) is not None


def read_crystal(source: Any, max_bytes: int = MAX_BYTES) -> Crystal:
    """Read one crystal.

    Parameters
    ----------
    source : path, text of a file, pymatgen Structure, ASE Atoms, or what else carries a crystal
        A path may name anything that ``pymatgen.core.Structure.from_file`` reads, and ``.traj``,
        ``.xyz`` and ``.extxyz`` files of ASE with a cell. A CIF is read by `parse_cif`, with the
        same result and far faster, and by pymatgen where that is not sure. A text is that of a
        CIF, of JSON or of a POSCAR. The crystal is taken
        as periodic in all three directions.
    max_bytes : int, default=100_000_000
        Maximum size of a file, or of what it holds when it is unpacked.

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
    if is_cif_text(source):
        crystal = _read_cif(source)
    elif is_json_text(source):
        crystal = _read_json(source)
    elif is_poscar_text(source):
        crystal = _read_poscar(source)
    elif isinstance(source, (str, PathLike)):
        crystal = _read_file(fspath(source), max_bytes)
    else:
        crystal = _from_structure(*to_structure(source))
    _check_cell(crystal)
    return crystal


def try_to_read(source: Any, max_bytes: int = MAX_BYTES) -> Crystal | StructureError:
    """Read one crystal, or return why it cannot be read."""
    try:
        return read_crystal(source, max_bytes)
    except StructureError as error:
        # The one that was raised keeps the text of the crystal until garbage is collected.
        return type(error)(str(error))
    except MemoryError:
        return TransientReadError(NO_MEMORY)


def _read_file(path: str, max_bytes: int) -> Crystal:
    if path.startswith("~"):
        path = os.path.expanduser(path)  # noqa: PTH111 - pathlib takes longer than the reading
    lower = path.lower()
    if lower.endswith(_CIF):
        return _read_cif(_text(path, max_bytes))
    _check_regular(path, max_bytes)
    if lower.endswith(_OF_ASE):
        return _read_with_ase(path, max_bytes)
    if lower.endswith((".z", ".zst", ".lzma")):
        raise StructureError("is packed in a way that is not read; unpack it, or use .gz")
    read = _reader(lower)
    # What is packed is refused here, if it unpacks to too much.
    text = _text(path, max_bytes) if read or lower.endswith((*PACKED, ".xsf")) else ""
    if read is not None:
        return read(text)
    check_counts_of_xsf(text)
    crystal = _read_with_pymatgen(path)
    more: tuple[str, ...] = ()
    if lower.endswith(".xsf"):
        check_xsf(text, len(crystal.species))
    elif lower.endswith(".res"):
        more = (*check_res(_text(path, max_bytes), len(crystal.species)), *_far(crystal))
    elif ".cssr" in os.path.basename(lower):  # noqa: PTH119 - as above
        check_cssr(_text(path, max_bytes), len(crystal.species))
        more = _far(crystal)
    return replace(crystal, notes=(*crystal.notes, *more))


def _far(crystal: Crystal) -> tuple[str, ...]:
    """Return a remark as `far_sites`; none of a flat cell, which is refused later."""
    if not cell_volume(crystal.lattice) > 0:  # nor is nan
        return ()
    return far_sites(np.linalg.solve(crystal.lattice.T, crystal.coords.T))


def _reader(path: str) -> Callable[[str], Crystal] | None:
    """Return who reads the text of a file; None is pymatgen."""
    # To pymatgen, what stands anywhere in a name tells the format.
    name = os.path.basename(path)  # noqa: PTH119 - as above
    if name.endswith(_JSON):
        return _read_json
    if ".cif" in name or ".mcif" in name:
        return _read_cif
    if ".json" in name or ".mson" in name:
        return _read_json
    if ".yaml" in name or ".yml" in name:
        raise StructureError("is YAML, which is not read; write the crystal as JSON or CIF")
    if "poscar" in name or "contcar" in name or name.endswith(".vasp"):
        return _read_poscar
    return None


def _read_cif(text: str) -> Crystal:
    text = _readable(text)
    if not text.isascii():
        check_values(without_empty_lines(text))
    crystal = parse_cif(text)
    if crystal is not None:
        return crystal
    broken = syntax_error(text)
    n_sites = text.count(_SITES_TAG)
    text, begun = first_crystal(without_empty_lines(text))
    told = check_values(text)
    is_hidden = _SAME_NAME in (broken or "") and n_sites > told.n_crystals
    if broken is not None and (is_hidden or _TWICE.search(broken)):
        raise StructureError(f"is not a well-formed CIF: {broken}; it is not clear which counts")
    try:
        crystal = _read_with_pymatgen(None, text)
    except StructureError as error:
        if broken is None:
            raise
        raise StructureError(f"is not a well-formed CIF: {broken}") from error
    if f"No structure parsed for section {told.section} in CIF." in crystal.notes:
        raise StructureError("its first crystal cannot be read; repair it, or remove its block")
    if told.symmetry and any(note.startswith(_WITHOUT_SYMMETRY) for note in crystal.notes):
        raise StructureError(
            f"{told.symmetry}, but no symmetry operations that are understood, so that sites would "
            "be missing; list the operations (_space_group_symop_operation_xyz)"
        )
    if broken is not None:
        crystal = replace(crystal, notes=(*crystal.notes, f"is not a well-formed CIF: {broken}"))
    more = [*begun, *told.remarks, *told_formula(text, crystal)]
    if n_sites > 1:
        more.append(_SEVERAL)
    return replace(crystal, notes=(*crystal.notes, *more))


def _readable(text: str) -> str:
    """Return a text without its byte order mark, which hides the first block to pymatgen."""
    if "\0" in text:  # of a disk that failed; to be told soon, for there may be many
        raise StructureError("holds bytes of zero: it is damaged, or not written as UTF-8")
    return text.removeprefix("\ufeff")


def _check_regular(path: str, max_bytes: int) -> int:
    """Return the size of a file; refuse a large one, and pipes and devices, which may not end."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except FileNotFoundError as error:
        what = f"no such file{_FORMULA if _is_formula(path) else ''}"
        raise StructureError(what) from error
    except (OSError, ValueError) as error:  # a name that is too long, or with a NUL byte
        raise _cannot_be_read(error) from error
    if stat.S_ISDIR(status.st_mode):
        raise StructureError(_IS_FOLDER)
    if not stat.S_ISREG(status.st_mode):
        raise StructureError("is a pipe or a device, not a file")
    if status.st_size > max_bytes:
        raise _too_large(max_bytes)
    return status.st_size


def _text(path: str, max_bytes: int) -> str:
    size = _check_regular(path, max_bytes)
    try:
        if path.lower().endswith(PACKED):
            opener: Any = _OPENERS[path.lower().rpartition(".")[2]]
            with opener(path) as packed:
                # Piece by piece: a small file may hold more than fits into memory.
                content = b"".join(_pieces(packed, max_bytes))
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer than the reading
                content = file.read(size + 1)
            if len(content) != size:  # a part of it could be a crystal, too
                raise TransientReadError("was replaced while it was read; read it again")
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _cannot_be_read(error) from error
    return content.decode("utf-8", errors="replace")


def _pieces(file: IO[bytes], max_bytes: int) -> Iterator[bytes]:
    total = 0
    while piece := file.read(_PIECE):
        total += len(piece)
        if total > max_bytes:
            raise _too_large(max_bytes)
        yield piece


def _too_large(max_bytes: int) -> StructureError:
    return TransientReadError(  # with another max_bytes it passes
        f"is larger than {max_bytes / 1e6:g} MB; if it is what you mean, raise max_bytes"
    )


def _cannot_be_read(error: Exception) -> StructureError:
    message = f"cannot be read ({_first_line(error)})"
    return TransientReadError(message) if _is_passing(error) else StructureError(message)


def _is_passing(error: Exception) -> bool:
    """Tell what is gone tomorrow: too many open files, no memory, a network that is down."""
    return isinstance(error, OSError) and error.errno in _PASSING


def _read_json(text: str) -> Crystal:
    try:
        content = load_json(text)
    except (ValueError, RecursionError) as error:
        raise StructureError(f"is not well-formed JSON ({_first_line(error)})") from error
    return _from_structure(*to_structure(content))


def _read_poscar(text: str) -> Crystal:
    refuse_underscores(text)
    check_counts_of_poscar(text)
    names, counts = ([*text.splitlines(), *[""] * 7][place].split() for place in (5, 6))
    # In longer lists, each takes several lines.
    if counts and all(map(str.isdecimal, counts)) and len(names) != len(counts):
        raise StructureError(
            f"has {len(names)} symbols of elements, but {len(counts)} numbers of atoms"
        )
    if (n_crystals := len(_STEP.findall(text))) > 1:
        raise StructureError(
            f"is an XDATCAR of {n_crystals} crystals; write the one that counts as a POSCAR"
        )
    crystal = _read_with_pymatgen(None, with_factor(text), "poscar")
    if any(note.startswith(_NO_NAMES) for note in crystal.notes):
        raise StructureError(
            "names no elements; write a line with their symbols above the numbers of atoms"
        )
    more = left_out_of_poscar(text, crystal.species)
    return replace(crystal, notes=(*crystal.notes, *more))


def _read_with_ase(path: str, max_bytes: int) -> Crystal:
    text = _text(path, max_bytes) if path.lower().endswith("xyz") else ""
    refuse_underscores(text)
    check_counts_of_xyz(text)
    try:
        from ase.io import read
    except ImportError as error:
        raise StructureError(
            "is read by ASE, which is not there: pip install skcgcnn[ase]"
        ) from error
    try:
        frames = read(path, index=":")
    except MemoryError:  # it says nothing of the file
        raise
    except Exception as error:  # ASE's parsers raise whatever the text provokes
        if _is_passing(error):
            raise _cannot_be_read(error) from error
        raise StructureError(f"ASE cannot read it ({_first_line(error)})") from error
    if not frames:
        raise StructureError("holds no crystal")
    check_xyz(text, [len(frame) for frame in frames])
    structure, remarks = to_structure(frames[-1])
    several = ["holds several crystals; the last is taken"] if len(frames) > 1 else []
    return _from_structure(structure, [*remarks, *several])


def _read_with_pymatgen(
    path: str | None, text: str | None = None, fmt: Literal["cif", "poscar"] = "cif"
) -> Crystal:
    from pymatgen.core import Structure

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            structure = (
                Structure.from_str(text or "", fmt=fmt)
                if path is None
                else Structure.from_file(path)
            )
    except MemoryError:  # it says nothing of the file
        raise
    except Exception as error:  # pymatgen's parsers raise whatever the text provokes
        if _is_passing(error):
            raise _cannot_be_read(error) from error
        # Why a block holds no crystal, pymatgen says in a warning.
        reasons = [str(w.message).splitlines()[-1] for w in caught if _NO_CRYSTAL in str(w.message)]
        cause = "; ".join(dict.fromkeys([_first_line(error), *reasons]))
        raise StructureError(f"pymatgen cannot read it ({cause})") from error
    notes = dict.fromkeys(_first_line(warning.message) for warning in caught)
    # Of nearly every CIF that has thirds, and it changes nothing.
    return _from_structure(structure, [note for note in notes if _ROUNDED not in note])


def _from_structure(structure: Any, notes: Sequence[str]) -> Crystal:
    if len(structure) and np.abs(structure.frac_coords).max() > MAX_FRACTION:
        raise StructureError("a coordinate is far outside of the cell; check the coordinates")
    return Crystal(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(structure.cart_coords, dtype=np.float64),
        [_species(site, index) for index, site in enumerate(structure)],
        tuple(notes),
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
            raise StructureError(f"site {index} holds {specie}, which is not an element")
        occupancies[specie.Z] = occupancies.get(specie.Z, 0.0) + float(occupancy)
    total = sum(occupancies.values())
    if not 0 < total <= 1 + 1e-3:
        raise StructureError(f"site {index} ({site.species_string}) has an occupancy of {total:g}")
    return tuple(sorted(occupancies.items()))


def _first_line(error: object) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0][:_MOST_LETTERS] if lines else type(error).__name__
