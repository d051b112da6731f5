"""Values of a CIF that readers would silently take for others."""

import re
from typing import Any, NamedTuple

import gemmi
import numpy as np

from skcgcnn._warnings import ignored_warnings
from skcgcnn.crystals._cif_claims import (
    FORMULAS,
    MODULATED,
    UNITS,
    check_formula,
    far_sites,
    modulated,
    other_labels,
    other_multiplicity,
    other_volume,
)
from skcgcnn.crystals._cif_symbols import names_none, no_element
from skcgcnn.crystals._cif_symmetry import (
    MOST_OF_PYMATGEN,
    FloatArray,
    Operations,
    find_group,
    find_settings,
    fits_cell,
    hall_beside_identity,
    is_group,
    operation_keys,
    other_group,
    refuse_many,
    strained,
)
from skcgcnn.crystals._cif_tags import (
    ASSEMBLY,
    CELL,
    COORDS,
    FLAG,
    GROUP_OF_SITES,
    GROUPS,
    HALL,
    MAGNETIC,
    MULTIPLICITIES,
    NAMES,
    NUMBERS,
    OCCUPANCY,
    SITES,
    SYMBOLS,
    SYMMETRY,
    VOLUME,
)
from skcgcnn.crystals._cif_taken import (
    check_centerings,
    check_letters,
    read_operation,
    taken_of_magnets,
    taken_operations,
)
from skcgcnn.crystals._cif_words import (
    OTHER_NUMBER,
    as_third,
    check_kind,
    is_share,
    is_size,
    no_number,
    plain_number,
    refuse_open_quotes,
    right_name,
)
from skcgcnn.exceptions import StructureError

_DUMMY = "dum"  # of a site that is no atom

_NEARLY_ONE = 0.99
# Magnetic ones, with the reversal of time behind; also as an older dictionary has them.
_OF_MAGNETS = re.compile("_space_group_symop[._]magn_(operation|centering)[._]xyz")
_LIST_THEM = "list the symmetry operations (_space_group_symop_operation_xyz)"
_USUAL = (
    "lists no symmetry operations; those of the number of its space group are taken, in the usual "
    f"setting; if it is another, {_LIST_THEM}"
)
# What tells a symmetry, and what says that there is none.
_SYMMETRY_OF = re.compile("_(symmetry|space_group)[._].*(name|number|xyz|algebraic)")
_NONE = {"p1", "1", "1.1", "x,y,z", "x,y,z,+1", "x,y,z,1", "x1,x2,x3,x4"}
_LONGEST_SYMBOL = 100
# A byte order mark, and spaces of other kinds, change nothing.
_OTHER = re.compile(r"[^\x00-\x7f\s\ufeff]")


class Told(NamedTuple):
    """What a CIF tells of its first crystal.

    Attributes
    ----------
    symmetry : str
        What it says of its symmetry; empty where it has none, or does not tell.
    section : int
        The number of its block; 0 where there is none.
    n_crystals : int
        Blocks with sites. Of those with one name, pymatgen knows the last.
    remarks : tuple of str
        What is odd in its symmetry operations, its volume and the places of its sites.
    formulas : tuple of str
    units : str
        How many of the formula are in the cell, as it is told.
    """

    symmetry: str = ""
    section: int = 0
    n_crystals: int = 0
    remarks: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    units: str = "?"


def check_values(text: str, most_images: int = MOST_OF_PYMATGEN) -> Told:
    """Refuse values that pymatgen silently takes for others, or leaves out with their sites.

    Python reads ``1_0`` as 10. pymatgen leaves out what is not ASCII, such as the minus sign of a
    word processor, and sites whose symbol names no element; it takes an occupancy that is not a
    number for 1, and three operations for one that has blanks and no quotes.

    Returns
    -------
    Told

    Raises
    ------
    StructureError
        If a number of the cell or of a site, the symbol of a site, or an operation is one of
        these, or there are more sites times operations than `most_images`.
    """
    from pymatgen.io.cif import CifFile

    refuse_open_quotes(text)
    # Like pymatgen, but each letter that it leaves out is there as a sign that no number has.
    marked = _OTHER.sub("~", text).replace("\ufeff", "")
    try:
        with ignored_warnings():  # who reads the crystal tells it
            blocks = list(CifFile.from_str(marked).data.values())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever the text provokes: who reads it will say so
        return Told()
    # The blocks of crystals: others, such as that of a powder pattern, are not read.
    crystals = [place for place, block in enumerate(blocks) if COORDS[0] in block.data]
    if not crystals:
        return Told()
    data: dict[str, Any] = blocks[crystals[0]].data
    _check_columns(data)
    _check_numbers(data)
    _check_symbols(data)
    _check_alternatives(data)
    for formula in (
        one for block in blocks for tag in FORMULAS for one in _several(block.data.get(tag, []))
    ):
        check_formula(formula)
    n_sites = len(_several(data[COORDS[0]]))
    refuse_many(n_sites, _n_listed(data), most_images)
    vectors = _vectors(data)
    matrices, remark = _symmetry_taken(data, vectors, marked, crystals[0])
    # Of several blocks pymatgen does not say whose symmetry it leaves out.
    is_used = len(blocks) > 1 and _operations(data) and not any(tag in text for tag in MAGNETIC)
    symmetry = "" if is_used else _symmetry_of(data)
    volume, *waves = ([*_several(data.get(tag, "?")), "?"][0] for tag in (VOLUME, *MODULATED))
    operations = (matrices[:, :3, :3], matrices[:, :3, 3]) if len(matrices) else None
    refuse_many(n_sites, max(1, len(matrices)), most_images)
    remarks = (*_remarks_of_places(data, operations), *modulated(*waves), *remark)
    if vectors is not None:
        remarks = (*other_volume(volume, vectors), *strained(operations, vectors), *remarks)
    formulas = tuple(one for tag in FORMULAS for one in _several(data.get(tag, [])))
    [units, *_] = [*_several(data.get(UNITS, [])), "?"]
    return Told(symmetry, crystals[0] + 1, len(crystals), remarks, formulas, units)


def _symmetry_taken(
    data: dict[str, Any], vectors: FloatArray | None, text: str, place: int
) -> tuple[FloatArray, tuple[str, ...]]:
    """Check what pymatgen takes for the symmetry of a block; return it, and a remark if it is odd.

    The matrices are none where it takes none.
    """
    operations = _operations(data)
    matrices = np.array([read_operation(operation) for operation in operations])
    magnetic, centerings = map(_read_magnets, _of_magnets(data))
    check_centerings(magnetic, centerings)
    remark = ""
    if any(tag in name for tag in MAGNETIC for name in data):
        taken = taken_of_magnets(text, place)
        _check_magnets(taken, operations, vectors)
        matrices = matrices if operations else taken
    if operations:
        remark = _check_operations(data, matrices, vectors)
    elif not len(magnetic):
        for tag in NAMES:
            for group in _known(data.get(tag, [])):
                check_letters(tag, group)
        matrices, remark = _check_group(data, vectors)
    return matrices, ((remark,) if remark else ())


def _remarks_of_places(data: dict[str, Any], operations: Operations | None) -> tuple[str, ...]:
    read = [[plain_number(cell) for cell in _several(data[tag])] for tag in COORDS]
    places = [[np.nan if one is None else as_third(one) for one in place] for place in read]
    coords = np.array(places).T
    # What is no number, who reads the crystal will tell.
    coords = coords[np.isfinite(coords).all(axis=1)]
    columns = [_several(data.get(tag, [])) for tag in (*MULTIPLICITIES, *SYMBOLS, OCCUPANCY)]
    *multiplicities, symbols, labels, shares = columns
    told = other_labels(labels, symbols, shares)
    return (*told, *far_sites(coords), *other_multiplicity(multiplicities, coords, operations))


def _n_listed(data: dict[str, Any]) -> int:
    """Return how many symmetry operations are listed; pymatgen adds each centering to each."""
    operations, centerings = map(len, _of_magnets(data))
    counts = [len(_several(data.get(tag, []))) for tag in SYMMETRY]
    return max(1, *counts, operations * max(1, centerings), centerings)


def _of_magnets(data: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the operations of a magnetic group, and the centerings."""
    found: dict[str, list[str]] = {"operation": [], "centering": []}
    for tag, value in data.items():
        if match := _OF_MAGNETS.fullmatch(tag):
            found[match[1]] += _known(value)
    return found["operation"], found["centering"]


def _read_magnets(operations: list[str]) -> FloatArray:
    for operation in operations:
        check_letters("a symmetry operation", operation)
    read = [read_operation(one.rpartition(",")[0]) for one in operations]
    return np.array(read).reshape(-1, 4, 4)


def _operations(data: dict[str, Any]) -> list[str]:
    """Return the symmetry operations; refuse two lists of which one has others or more."""
    found = {tag: _known(data[tag]) for tag in SYMMETRY if tag in data}
    found = {tag: operations for tag, operations in found.items() if operations}
    if len(found) > 1 and len({frozenset(map(_kind, all_)) for all_ in found.values()}) > 1:
        raise StructureError(
            f"lists other symmetry operations in {' than in '.join(found)}; remove those that do "
            "not count"
        )
    return next(iter(found.values()), [])


def _kind(operation: str) -> tuple[float, ...]:
    """Return what is the same for an operation, however it is written: x+.5, or 1/2+x."""
    return _kind_of(read_operation(operation))


def _kind_of(matrix: FloatArray) -> tuple[float, ...]:
    shift = np.rint(24 * matrix[:3, 3:]) % 24
    return tuple((np.hstack([matrix[:3, :3], shift]) + 0.0).ravel().tolist())


def _check_operations(
    data: dict[str, Any], matrices: FloatArray, vectors: FloatArray | None
) -> str:
    """Refuse operations that are no group, or not those of the cell; return a remark."""
    rotations, translations = matrices[:, :3, :3], matrices[:, :3, 3]
    if not is_group(rotations, translations):
        raise StructureError(
            "its symmetry operations are no group: some are missing, or are not what they were; "
            "list them all"
        )
    if vectors is not None and not fits_cell(rotations, vectors):
        raise StructureError(
            "its cell has not the symmetry of its operations; check the lengths and angles, and "
            "the operations"
        )
    names = _group_names(data)
    if len(rotations) == 1 and not names:
        halls = tuple(name for tag in HALL for name in _known(data.get(tag, [])))
        if remarks := hall_beside_identity(halls):
            return remarks[0]
    return other_group(names, rotations, translations)


def _check_magnets(taken: FloatArray, operations: list[str], vectors: FloatArray | None) -> None:
    """Refuse magnetic operations that are no group, or others than are listed beside them."""
    if len(taken):
        _check_operations({}, taken, vectors)
    if len(taken) and operations and set(map(_kind, operations)) != set(map(_kind_of, taken)):
        what = "lists other symmetry operations than those of its magnetic group"
        raise StructureError(f"{what}; remove those that do not count")


def _group_names(data: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for tag in GROUPS for name in _known(data.get(tag, [])))


def _check_group(data: dict[str, Any], vectors: FloatArray | None) -> tuple[FloatArray, str]:
    """Refuse another setting than that of the name, where no operations are listed.

    The cell has not its symmetry, its axes are rhombohedral, for example; or pymatgen does not
    know the name, and takes the usual setting of the number instead. Return the operations that
    are taken, and a remark.
    """
    names = _group_names(data)
    group = find_group(names[0]) if names else None
    # What is not known is told elsewhere.
    if group is not None and vectors is not None and not fits_cell(group.rotations, vectors):
        raise StructureError(
            f"its cell has not the symmetry of its space group, {names[0]!r}; {_LIST_THEM}"
        )
    taken, told = taken_operations(data)
    if not taken:
        return np.empty((0, 4, 4)), ""
    matrices = np.array([one.affine_matrix for one in taken])
    keys = operation_keys(matrices[:, :3, :3], matrices[:, :3, 3])
    for tag in (*NAMES, *HALL):
        for name in _known(data.get(tag, [])):
            settings = find_settings(name, tag in HALL)
            if settings and keys not in settings:
                raise StructureError(
                    f"{tag} holds {name!r}, whose symmetry operations are not those that are taken "
                    f"where none are listed; {_LIST_THEM}"
                )
    # Of names, pymatgen tells the same.
    return matrices, "" if told or len(taken) == 1 else _USUAL


def _vectors(data: dict[str, Any]) -> FloatArray | None:
    """Return the vectors of the cell as rows; None if it is not told."""
    try:
        cell = gemmi.UnitCell(*(float(_several(data[tag])[0].partition("(")[0]) for tag in CELL))
    except (AttributeError, LookupError, ValueError, RuntimeError):
        return None
    vectors = np.array(cell.orth.mat.tolist()).T
    return vectors if np.isfinite(vectors).all() and np.linalg.det(vectors) > 0 else None


def _symmetry_of(data: dict[str, Any]) -> str:
    for tag, value in data.items():
        if _SYMMETRY_OF.match(tag.lower()):
            for one in _known(value):
                if re.sub(r"\s", "", one).lower() not in _NONE:
                    return f"{tag} holds {one!r}"
    return ""


def _check_columns(data: dict[str, Any]) -> None:
    """Refuse columns of sites that are missing, or outside of their table.

    Of those outside, pymatgen takes the letters for the values.
    """
    for tag in data:
        if right := right_name(tag):
            raise StructureError(f"holds {tag}, which is not read; write {right}")
    if missing := [tag for tag in COORDS if tag not in data]:
        raise StructureError(f"its sites have no {' and no '.join(missing)}; write it")
    values = [data[tag] for tag in SITES if tag in data]
    if not all(isinstance(one, list) for one in values) or len(set(map(len, values))) > 1:
        raise StructureError(
            "its sites are not in one table; put all that begins with _atom_site_ behind one loop_"
        )


def _check_numbers(data: dict[str, Any]) -> None:
    for tag in NUMBERS:
        for cell in _several(data.get(tag, [])):
            check_letters(tag, cell)
            if OTHER_NUMBER.search(cell):
                raise no_number(cell)
            _check_size(tag, cell)
    for tag in (*MULTIPLICITIES, FLAG, GROUP_OF_SITES):
        for one in _several(data.get(tag, [])):
            check_kind(tag, one)
    for share in _several(data.get(OCCUPANCY, [])):
        # To pymatgen "." is 0, to the dictionary of CIF 1.
        if share != "?" and not is_share(share):
            raise StructureError(
                f"{OCCUPANCY} holds {share!r}; write a number from 0 to 1, or ? where it is 1"
            )


def _check_size(tag: str, cell: str) -> None:
    """Refuse lengths and angles that no cell has, and places that are not known."""
    # To pymatgen "." is 0.
    if tag in COORDS and cell in ("?", "."):
        raise StructureError(
            f"{tag} holds {cell!r}: the place of a site is not known; write it, or remove the site"
        )
    if tag in CELL and not is_size(cell, "angle" in tag):
        raise StructureError(
            f"{tag} holds {cell!r}; write a number above 0, and below 180 for an angle"
        )


def _check_symbols(data: dict[str, Any]) -> None:
    if _DUMMY in _several(data.get(FLAG, [])):
        raise StructureError(f"an atom site is a dummy ({FLAG}); remove it")
    tag = next((tag for tag in SYMBOLS if tag in data), "")
    for symbol in _several(data.get(tag, [])):
        # Two letters count; what is behind them is a number or a charge.
        if "~" in symbol[:2]:
            check_letters(tag, symbol)
        # pymatgen makes a formula of all symbols, and takes hours for a long one.
        if len(symbol) > _LONGEST_SYMBOL or names_none(symbol, tag == SYMBOLS[0]):
            raise no_element(symbol)


def _check_alternatives(data: dict[str, Any]) -> None:
    """Refuse sites of which one or another is there, where all are said to be there."""
    groups = _several(data.get(GROUP_OF_SITES, []))
    assemblies = _several(data.get(ASSEMBLY, [])) or ["."] * len(groups)
    shares = _several(data.get(OCCUPANCY, [])) or ["?"] * len(groups)
    full: dict[str, set[str]] = {}
    for assembly, group, share in zip(assemblies, groups, shares, strict=False):
        if group.isdecimal() and (share == "?" or float(share.partition("(")[0]) > _NEARLY_ONE):
            full.setdefault(assembly, set()).add(group)
    for found in full.values():
        if len(found) > 1:
            raise StructureError(
                f"its sites are alternatives ({GROUP_OF_SITES} {', '.join(sorted(found))}), but "
                "have occupancies of 1; write their occupancies, or keep one group"
            )


def _known(value: str | list[str]) -> list[str]:
    """Return the values that are told."""
    return [one for one in _several(value) if one not in ("?", ".", "")]


def _several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
