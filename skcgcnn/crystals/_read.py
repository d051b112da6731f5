"""Read one crystal, whatever it comes as: lattice, sites, species with their occupancies."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

import numpy as np

from skcgcnn._warnings import recorded_warnings
from skcgcnn.crystals._carriers import partly_periodic, to_structure
from skcgcnn.crystals._cif import MAX_FRACTION, first_crystal, parse_cif, syntax_error
from skcgcnn.crystals._cif_claims import far_sites, other_volume, told_beside, without_missing
from skcgcnn.crystals._cif_numbers import check_values
from skcgcnn.crystals._cif_symmetry import MOST_IMAGES
from skcgcnn.crystals._cif_text import (
    empty_loop,
    lists_identity,
    with_comments_above,
    without_empty_moments,
    without_odd_formulas,
)
from skcgcnn.crystals._cif_words import without_empty_lines
from skcgcnn.crystals._crystal import Crystal, Species, cell_volume, short_period
from skcgcnn.crystals._json import load_json
from skcgcnn.crystals._left_out import (
    check_counts_of_xsf,
    check_cssr,
    check_res,
    check_xsf,
    crystal_of_xsf,
    cut_number,
    other_numbers,
    refuse_cut_by_comments,
    refuse_underscores,
    volume_of_res,
)
from skcgcnn.crystals._packed import (
    cannot_be_read,
    check_regular,
    first_line,
    is_passing,
    read_text,
    shortened,
)
from skcgcnn.crystals._poscar import (
    above_grid,
    check_head_of_poscar,
    left_out_of_poscar,
    with_factor,
)
from skcgcnn.crystals._sources import PACKED, is_cif_text, is_json_text, is_poscar_text
from skcgcnn.crystals._with_ase import OF_ASE, read_with_ase
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

_CIF, _JSON = ((end, *(f"{end}{packed}" for packed in PACKED)) for end in (".cif", ".json"))
_TITLES_OF_RES = ("TITL", "REM")
_VASP = ("poscar", "contcar", "chgcar", "locpot")
_OTHER_KIND = (
    "is no kind of file that is read (such as CIF, JSON, POSCAR, .xsf, .extxyz); read it with "
    "pymatgen or ASE, and pass the Structure or Atoms; of a run of VASP, pass the CONTCAR, "
    "and save a table as .csv"
)
_SITES_TAG = "_atom_site_fract_x"
_NO_CRYSTAL = "No structure parsed"
_NOT_MAGNETIC = "No magnetic symmetry detected"
_WITHOUT_SYMMETRY = (
    "No _symmetry_equiv_pos_as_xyz type key found. Defaulting to P1",
    _NOT_MAGNETIC,
)
# Above the coordinates of each crystal of an XDATCAR.
_STEP = re.compile(r"^[^\S\n]*direct configuration=", re.IGNORECASE | re.MULTILINE)
_NO_NAMES = "Elements in POSCAR cannot be determined"
# What is not well formed, and says two things of a crystal.
_TWICE = re.compile(r"duplicate tag _(cell|atom_site|symmetry|space_group)[._](?!aniso)")
_SAME_NAME = "duplicate block name"
# What pymatgen says of nearly every CIF that has thirds, which changes nothing, and of one whose
# formula is not there or not understood, for which it takes charges of sites, too; and of a POSCAR
# whose atoms are held in place.
_NOISE = (
    "fractional coordinates rounded to ideal",
    "Cannot determine chemical composition",
    "No Pauling electronegativity",
    "Skipping relative stoichiometry check because CIF does not contain formula",
    "Selective dynamics toggled with Fluorine",
    "Ignoring selective dynamics tag",
    "Not all sites have property",
)
# Of a CIF; pymatgen takes seconds for so many, and reads all.
_MOST_BLOCKS = 10_000
_SEVERAL = "holds several crystals; the first is taken"
NO_MEMORY = "there is not enough memory to read it"


def read_crystal(source: Any, max_bytes: int = MAX_BYTES) -> Crystal:
    """Read one crystal.

    Parameters
    ----------
    source : path, text of a file, pymatgen Structure, ASE Atoms, or what else carries a crystal
        A path may name a CIF, JSON, a file of VASP (POSCAR, CONTCAR, CHGCAR, LOCPOT), ``.xsf``,
        ``.res`` or ``.cssr``, packed or not, and ``.traj``, ``.xyz``, ``.extxyz``, ``.gen``,
        ``.pwi``, ``.pwo`` and geometry.in with a cell, which ASE reads. A CIF is read by
        `parse_cif`, as pymatgen would and far faster, and by pymatgen where that is not sure. A
        text is that of a CIF, of JSON or of a POSCAR. The crystal is taken as periodic in all
        three directions.
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
    try:
        crystal = _read_checked(source, max_bytes)
    except StructureError as error:
        if (message := shortened(str(error))) == str(error):
            raise
        raise type(error)(message) from error
    if any(shortened(note) != note for note in crystal.notes):
        crystal = replace(crystal, notes=tuple(map(shortened, crystal.notes)))
    return crystal


def _read_checked(source: Any, max_bytes: int) -> Crystal:
    if is_cif_text(source):
        crystal = _to_its_end(_read_cif, source)
    elif is_json_text(source):
        crystal = _read_json(source)
    elif is_poscar_text(source):
        crystal = _to_its_end(_read_poscar, source)
    elif isinstance(source, (str, PathLike)):
        crystal = _read_file(fspath(source), max_bytes)
    else:
        crystal = _from_structure(*to_structure(source))
    more = _check_cell(crystal)
    return replace(crystal, notes=(*crystal.notes, *more)) if more else crystal


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
        return _to_its_end(_read_cif, read_text(path, max_bytes))
    check_regular(path, max_bytes)
    if lower.endswith(OF_ASE):
        return _from_structure(*read_with_ase(path, max_bytes))
    if lower.endswith((".z", ".zst", ".lzma")):
        raise StructureError("is packed in a way that is not read; unpack it, or use .gz")
    name = os.path.basename(lower)  # noqa: PTH119 - as above
    return _to_its_end(_reader(name), read_text(path, max_bytes))


def _to_its_end(read: Callable[[str], Crystal], text: str) -> Crystal:
    crystal, more = read(text), cut_number(text)
    return replace(crystal, notes=(*crystal.notes, *more)) if more else crystal


def _far(crystal: Crystal) -> tuple[str, ...]:
    """Return a remark as `far_sites`; none of a flat cell, which is refused later."""
    if not cell_volume(crystal.lattice) > 0:  # nor is nan
        return ()
    return far_sites(np.linalg.solve(crystal.lattice.T, crystal.coords.T))


def _reader(name: str) -> Callable[[str], Crystal]:
    """Return who reads the text of a file, by its name in small letters."""
    # As to pymatgen, what stands anywhere in a name tells the format.
    if name.endswith(_JSON):
        return _read_json
    if ".cif" in name or ".mcif" in name:
        return _read_cif
    if ".json" in name or ".mson" in name:
        return _read_json
    if name.endswith(".vasp") or any(word in name for word in _VASP):
        return _read_poscar
    for ending, read in ((".xsf", _read_xsf), (".res", _read_res), (".cssr", _read_cssr)):
        if ending in name:
            return read
    # pymatgen reads others, and leaves out what is odd in them without a word.
    raise StructureError(_OTHER_KIND)


def _read_cif(text: str) -> Crystal:
    text = _readable(text)
    if not text.isascii():
        check_values(without_empty_lines(text), MOST_IMAGES)
        text = without_odd_formulas(text)
    crystal = parse_cif(text)
    if crystal is None and (mended := without_empty_moments(text)) != text:
        text = mended
        crystal = parse_cif(text)
    return _read_other_cif(text) if crystal is None else crystal


def _read_other_cif(text: str) -> Crystal:
    """Read a CIF of which our own reader is not sure, with pymatgen."""
    broken = syntax_error(text)
    n_sites = text.count(_SITES_TAG)
    text, begun = first_crystal(without_empty_lines(text))
    told = check_values(text)
    is_hidden = _SAME_NAME in (broken or "") and n_sites > told.n_crystals
    if broken is not None and (is_hidden or _TWICE.search(broken)):
        raise StructureError(f"is not a well-formed CIF: {broken}; it is not clear which counts")
    try:
        crystal = _read_with_pymatgen(text, "cif")
    except StructureError as error:
        if broken is None and (tag := empty_loop(text)):
            what = f"has a loop without values ({tag}, ...); remove it, or fill it"
            raise StructureError(what) from error
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
    if not told.symmetry and lists_identity(text):
        notes = tuple(note for note in crystal.notes if _NOT_MAGNETIC not in note)
        crystal = replace(crystal, notes=notes)
    if broken is not None:
        crystal = replace(crystal, notes=(*crystal.notes, f"is not a well-formed CIF: {broken}"))
    remarks = without_missing(told.remarks, told.formulas, told.units, crystal.species)
    more = [*begun, *remarks, *told_beside(text, crystal)]
    if n_sites > 1:
        more.append(_SEVERAL)
    return replace(crystal, notes=(*crystal.notes, *more))


def _readable(text: str) -> str:
    """Return a text without its byte order mark, which hides the first block to pymatgen.

    Its lines end as those of Unix, the last one too.
    """
    if "\0" in text:  # of a disk that failed; to be told soon, for there may be many
        raise StructureError("holds bytes of zero: it is damaged, or not written as UTF-8")
    if (n_blocks := text.count("data_")) > _MOST_BLOCKS:
        raise StructureError(
            f"has {n_blocks} times data_, too many to look for a crystal; split it, a file for each"
        )
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return with_comments_above(text if text.endswith("\n") else f"{text}\n")


def _read_json(text: str) -> Crystal:
    try:
        content = load_json(text)
    except (ValueError, RecursionError) as error:
        raise StructureError(f"is not well-formed JSON ({first_line(error)})") from error
    return _from_structure(*to_structure(content))


def _read_poscar(text: str) -> Crystal:
    text = above_grid(text)
    refuse_underscores(text.splitlines()[1:])
    refuse_cut_by_comments(text)
    check_head_of_poscar(text)
    if (n_crystals := len(_STEP.findall(text))) > 1:
        raise StructureError(
            f"is an XDATCAR of {n_crystals} crystals; write the one that counts as a POSCAR"
        )
    crystal = _read_with_pymatgen(with_factor(text), "poscar")
    if any(note.startswith(_NO_NAMES) for note in crystal.notes):
        raise StructureError(
            "names no elements; write a line with their symbols above the numbers of atoms"
        )
    more = left_out_of_poscar(text, crystal.species)
    return replace(crystal, notes=(*crystal.notes, *more))


def _read_xsf(text: str) -> Crystal:
    plain = crystal_of_xsf(text)
    refuse_cut_by_comments(plain)
    check_counts_of_xsf(plain)
    crystal = _read_with_pymatgen(plain, "xsf")
    more = partly_periodic([True] * check_xsf(plain, len(crystal.species)))
    return replace(crystal, notes=(*crystal.notes, *more))


def _read_res(text: str) -> Crystal:
    refuse_underscores(one for one in text.splitlines() if not one.startswith(_TITLES_OF_RES))
    crystal = _read_with_pymatgen(text, "res")
    more = check_res(text, len(crystal.species))
    more += other_volume(volume_of_res(text), crystal.lattice, "of its title,")
    return replace(crystal, notes=(*crystal.notes, *more, *_far(crystal)))


def _read_cssr(text: str) -> Crystal:
    lines = text.splitlines()
    refuse_underscores([*lines[:3], *lines[4:]])  # between them is its name
    crystal = _read_with_pymatgen(text, "cssr")
    check_cssr(text, len(crystal.species))
    numbers = other_numbers([line.split()[0] for line in lines[4:] if line.strip()])
    return replace(crystal, notes=(*crystal.notes, *numbers, *_far(crystal)))


def _read_with_pymatgen(text: str, fmt: Any) -> Crystal:
    from pymatgen.core import Structure
    from pymatgen.io.cif import CifParser

    told = list[str]()
    try:
        with recorded_warnings() as caught:
            if fmt == "cif":
                parser = CifParser.from_str(text)
                # Its own list, which no filter of another thread can take away.
                told = parser.warnings
                structure: Any = parser.parse_structures(primitive=False, on_error="ignore")[0]
            else:
                structure = Structure.from_str(text, fmt=fmt)
    except MemoryError:  # it says nothing of the file
        raise
    except Exception as error:  # pymatgen's parsers raise whatever the text provokes
        if is_passing(error):
            raise cannot_be_read(error) from error
        # Why a block holds no crystal, pymatgen says in a warning.
        reasons = [one.splitlines()[-1] for one in (*caught, *told) if _NO_CRYSTAL in one]
        cause = "; ".join(dict.fromkeys([first_line(error), *reasons]))
        raise StructureError(f"pymatgen cannot read it ({cause})") from error
    messages = dict.fromkeys([*caught, *told])
    lines = [[*filter(_is_told, one.strip().splitlines())] for one in messages]
    notes = dict.fromkeys(first_line(some[0]) for some in lines if some)
    return _from_structure(structure, list(notes))


def _is_told(line: str) -> bool:
    return not any(noise in line for noise in _NOISE)


def _from_structure(structure: Any, notes: Sequence[str]) -> Crystal:
    if len(structure) and np.abs(structure.frac_coords).max() > MAX_FRACTION:
        raise StructureError("a coordinate is far outside of the cell; check the coordinates")
    return Crystal(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(structure.cart_coords, dtype=np.float64),
        [_species(site, index) for index, site in enumerate(structure)],
        tuple(notes),
    )


def _check_cell(crystal: Crystal) -> tuple[str, ...]:
    """Refuse a crystal that cannot exist; return a remark if its lattice is hardly one."""
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
    return short_period(crystal.lattice, volume, longest)


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
