"""A fast reader of CIF text; it reads what it is sure of and leaves the rest to pymatgen."""

import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from skcgcnn._warnings import ignored_warnings
from skcgcnn.crystals._cif_claims import (
    DENSITY,
    FORMULA,
    FORMULAS,
    MODULATED,
    UNITS,
    far_sites,
    modulated,
    other_density,
    other_formula,
    other_labels,
    other_multiplicity,
    other_volume,
    without_missing,
)
from skcgcnn.crystals._cif_symbols import atomic_number, check_symbol, element_of
from skcgcnn.crystals._cif_symmetry import (
    IDENTITY,
    UnsureError,
    distinct,
    expand,
    fits_cell,
    hall_beside_identity,
    other_group,
    parse_triplets,
    strained,
)
from skcgcnn.crystals._cif_tags import (
    CELL,
    COORDS,
    FLAG,
    GROUP_OF_SITES,
    GROUPS,
    HALL,
    MAGNETIC,
    MULTIPLICITIES,
    OCCUPANCY,
    SITES,
    SYMBOLS,
    SYMMETRY,
)
from skcgcnn.crystals._cif_words import MOST_DEGREES, as_third, is_whole, no_number, right_name
from skcgcnn.crystals._crystal import Crystal, Species
from skcgcnn.exceptions import StructureError

FloatArray = npt.NDArray[np.float64]
# The elements of a site: (symbol, occupancy), in the order of the file.
_Content = tuple[tuple[str, float], ...]

# In Å. pymatgen refuses cells thinner than 0.01 Å; near that, pymatgen decides.
_SURELY_THICK = 0.02

# Fractional coordinates beyond this are mistakes; far beyond, nothing is left after the point.
MAX_FRACTION = 10_000

# Of places of atoms, found or computed; to tell of the others takes longer.
_FLAGS = {"d", "c", "calc", ".", "?"}
_REQUIRED = {"_atom_site_label", *COORDS}

# A text of several lines.
_FIELD = re.compile("^;.*?^;", re.MULTILINE | re.DOTALL)
_WITH_UNCERTAINTY = re.compile(r"([^()]+)\(\d{1,5}\)")
# How many have no coordinates of their own; pymatgen tells so.
_HYDROGENS = "_atom_site_attached_hydrogens"


def parse_cif(text: str) -> Crystal | None:
    """Read the crystal of a CIF, as pymatgen's ``Structure.from_file`` would.

    Lattice, sites, their order and their species are pymatgen's; the work is gemmi's (Wojdyr,
    J. Open Source Softw. 7, 4200 (2022)) and NumPy's.

    Parameters
    ----------
    text : str
        Content of a CIF.

    Returns
    -------
    Crystal or None
        None where the reader is not sure: several crystals, no list of symmetry operations,
        magnetic structures, implied hydrogens, sites that nearly coincide, anything
        malformed.

    Raises
    ------
    StructureError
        If a site names no single element, which pymatgen would silently leave out, or a number has
        an underscore, which Python would.

    Examples
    --------
    >>> crystal = parse_cif('''
    ... data_CsCl
    ... _cell_length_a 4.12
    ... _cell_length_b 4.12
    ... _cell_length_c 4.12
    ... _cell_angle_alpha 90
    ... _cell_angle_beta 90
    ... _cell_angle_gamma 90
    ... _symmetry_equiv_pos_as_xyz 'x, y, z'
    ... loop_
    ... _atom_site_label
    ... _atom_site_fract_x
    ... _atom_site_fract_y
    ... _atom_site_fract_z
    ... Cl1 0.5 0.5 0.5
    ... Cs1 0 0 0
    ... ''')
    >>> crystal.species
    [((55, 1.0),), ((17, 1.0),)]
    """
    if any(tag in text for tag in MAGNETIC):
        return None
    if not text.isascii():
        text = text.encode("ascii", "ignore").decode()
    try:
        document = gemmi.cif.read_string(text)
        blocks = _crystals(document)
        is_sure = len(blocks) == 1 and not _is_begun(document)
        return _read_block(blocks[0]) if is_sure else None
    except StructureError:
        raise
    # gemmi raises the latter two; text that is not a number is a ValueError too.
    except (UnsureError, ValueError, RuntimeError):
        return None


def syntax_error(text: str) -> str | None:
    r"""Return what is wrong with the syntax of a CIF, and in which line; None if nothing is.

    Examples
    --------
    >>> syntax_error("data_x\nloop_\n_a\n_b\n1 2 3\n")
    'line 2: Wrong number of values in loop _*'
    """
    try:
        gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        # As gemmi has it: "string:2:0(12): what", or "string:3 in data_x: what".
        place, _, what = str(error).removeprefix("string:").partition(": ")
        line = re.match(r"\d+", place)
        return str(error) if line is None else f"line {line[0]}: {what}"
    return None


def first_crystal(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the block of the first crystal of a CIF that is well formed; else the text.

    Of blocks without one, such as those of a journal, pymatgen says that they have no symmetry;
    and it takes a line of a text field that begins with ``data_`` for the next block.

    Returns
    -------
    text : str
    remarks : tuple of str
    """
    try:
        document = gemmi.cif.read_string(text)
    except (ValueError, RuntimeError):
        return text, ()
    blocks = _crystals(document)
    remarks: tuple[str, ...] = ()
    if len(document) > 1 and blocks:
        text = blocks[0].as_string()
        if _is_begun(document):
            remarks = ("a cell before that of its crystal has no sites",)
    return _FIELD.sub(lambda field: field[0].replace("data_", "data-"), text), remarks


def _is_begun(document: gemmi.cif.Document) -> bool:
    """Tell whether a crystal whose sites are not there comes before the first."""
    first = next(block for block in document if block.find_values(COORDS[0]) or _has_cell(block))
    return not first.find_values(COORDS[0])


def _has_cell(block: gemmi.cif.Block) -> bool:
    return block.find_value(CELL[0]) is not None


def _crystals(document: gemmi.cif.Document) -> list[gemmi.cif.Block]:
    """Return the blocks that hold sites, and no powder pattern, which pymatgen does not read."""
    return [
        block
        for block in document
        if block.find_values(COORDS[0]) and "powder_pattern" not in block.name
    ]


def _read_block(block: gemmi.cif.Block) -> Crystal:
    lattice = _lattice([_number(_value(block, tag)) for tag in CELL])
    if set(block.find_values(_HYDROGENS)) - {"0", ".", "?"}:
        raise UnsureError
    symbols, listed, occupancies = _read_sites(block)
    occupied = [site for site, occupancy in enumerate(occupancies) if occupancy > 0]
    symbols, coords = [symbols[site] for site in occupied], listed[occupied]
    contents: list[_Content] = [
        ((element_of(symbol), occupancies[site]),)
        for symbol, site in zip(symbols, occupied, strict=True)
    ]
    _check_oxidation_states(block, symbols, contents)
    triplets = _triplets(block)
    operations = parse_triplets(triplets)
    if operations is not None and not fits_cell(operations[0], lattice):
        raise UnsureError
    images, records = expand(coords, operations)
    kept, merged = distinct(images, records)
    for record, target in merged:
        contents[target] = _add(contents[target], contents[record])
    site_contents = [contents[record] for record in records[kept].tolist()]
    order = _pymatgen_order(site_contents)
    fractional = images[kept[order]]
    species = [_species(site_contents[i]) for i in order]
    return Crystal(
        lattice,
        # One product per site, like pymatgen: the last bit decides ties in the official order.
        np.array([np.dot(site, lattice) for site in fractional]).reshape(-1, 3),
        species,
        (
            *other_formula(block.find_value(FORMULA), block.find_value(UNITS), species),
            *other_density(block.find_value(DENSITY), lattice, species),
            *other_volume(block.find_value("_cell_volume"), lattice),
            *other_labels(*map(block.find_values, (*SYMBOLS[::-1], OCCUPANCY))),
            *strained(operations, lattice),
            *far_sites(listed),
            *other_multiplicity(map(block.find_values, MULTIPLICITIES), listed, operations),
            *modulated(*map(block.find_value, MODULATED)),
            *without_missing(
                _check_group(block, triplets),
                map(block.find_value, FORMULAS),
                block.find_value(UNITS),
                species,
            ),
        ),
    )


def _check_group(block: gemmi.cif.Block, triplets: tuple[str, ...]) -> tuple[str, ...]:
    names = _told(block, GROUPS)
    is_identity = parse_triplets(triplets) is None
    beside = hall_beside_identity(_told(block, HALL)) if is_identity and not names else ()
    return beside or _remark_of_group(names, triplets)


def _told(block: gemmi.cif.Block, tags: Iterable[str]) -> tuple[str, ...]:
    found = filter(None, map(block.find_value, tags))
    return tuple(gemmi.cif.as_string(one) for one in found if not gemmi.cif.is_null(one))


@lru_cache(maxsize=256)
def _remark_of_group(names: tuple[str, ...], triplets: tuple[str, ...]) -> tuple[str, ...]:
    """Return a remark if the operations are not those of the space group that is named."""
    remark = other_group(names, *(parse_triplets(triplets) or IDENTITY))
    return (remark,) if remark else ()


def _value(block: gemmi.cif.Block, tag: str) -> str:
    # Unlike gemmi, pymatgen distinguishes upper and lower case in tags.
    found: Any = block.find_pair(tag)
    if found is None or found[0] != tag:
        raise UnsureError
    return str(found[1])


def _number(text: str) -> float:
    if "_" in text:
        raise no_number(text)
    try:
        return float(text)
    except ValueError:
        match = _WITH_UNCERTAINTY.fullmatch(text)
        if match is None:
            raise
        return float(match[1])


def _lattice(parameters: Sequence[float]) -> FloatArray:
    """Return the lattice vectors, c along z and a in the xz plane, like pymatgen."""
    a, b, c = parameters[:3]
    if not (all(map(math.isfinite, parameters)) and min(parameters) > 0):
        raise UnsureError
    if max(parameters[3:]) >= MOST_DEGREES:
        raise UnsureError
    (cos_alpha, cos_beta, cos_gamma), (sin_alpha, sin_beta, _) = _cosines(*parameters[3:])
    if min(sin_alpha, sin_beta) <= 0:
        raise UnsureError
    cos_gamma_star = (cos_alpha * cos_beta - cos_gamma) / (sin_alpha * sin_beta)
    gamma_star = np.arccos(max(-1.0, min(1.0, cos_gamma_star)))
    sin_gamma_star = np.sin(gamma_star)
    volume = a * sin_beta * b * sin_alpha * sin_gamma_star * c
    if volume < _SURELY_THICK * max(a * b, b * c, c * a):
        raise UnsureError
    return np.array(
        [
            [a * sin_beta, 0.0, a * cos_beta],
            [-b * sin_alpha * np.cos(gamma_star), b * sin_alpha * sin_gamma_star, b * cos_alpha],
            [0.0, 0.0, c],
        ]
    )


@lru_cache(maxsize=1024)
def _cosines(*angles: float) -> tuple[list[float], list[float]]:
    """Return cosines and sines of angles in degrees."""
    radians = np.radians(angles)
    return np.cos(radians).tolist(), np.sin(radians).tolist()


def _read_sites(block: gemmi.cif.Block) -> tuple[list[str], FloatArray, list[float]]:
    """Return symbols, fractional coordinates and occupancies of the atoms listed."""
    loop = block.find_loop("_atom_site_label").get_loop()
    if loop is None:
        raise UnsureError
    tags, values = loop.tags, loop.values
    columns = {tag: values[tags.index(tag) :: len(tags)] for tag in SITES if tag in tags}
    # Elsewhere, or with other letters.
    is_apart = any(block.find_values(tag) for tag in SITES if tag not in columns)
    if is_apart or any(map(right_name, tags)) or not columns.keys() >= _REQUIRED:
        raise UnsureError
    if not _FLAGS.issuperset(columns.get(FLAG, ())):
        raise UnsureError
    if any(group not in (".", "?") for group in columns.get(GROUP_OF_SITES, ())):
        raise UnsureError
    if not all(is_whole(one) for tag in MULTIPLICITIES for one in set(columns.get(tag, ()))):
        raise UnsureError
    is_type = "_atom_site_type_symbol" in columns
    symbols = columns["_atom_site_type_symbol" if is_type else "_atom_site_label"]
    symbols = [_text(symbol) for symbol in symbols]
    for symbol in set(symbols):
        check_symbol(symbol, is_type)
    coords = np.array([[_coordinate(value) for value in columns[tag]] for tag in COORDS]).T
    if "_atom_site_occupancy" not in columns:
        return symbols, coords, [1.0] * len(symbols)
    occupancies = [_occupancy(value) for value in columns["_atom_site_occupancy"]]
    if not all(occupancy >= 0 for occupancy in occupancies):  # nor is nan
        raise UnsureError
    return symbols, coords, occupancies


# Most sites are on special positions, so that a few values make most coordinates.
@lru_cache(maxsize=4096)
def _coordinate(value: str) -> float:
    number = as_third(_number(value))
    if not math.isfinite(number):
        raise UnsureError
    if abs(number) > MAX_FRACTION:
        raise StructureError(f"a coordinate of {value} is far outside of the cell; check it")
    return number


def _text(value: str) -> str:
    text = gemmi.cif.as_string(value).strip() if value[0] in "'\";" else value
    if "#" in text or " + " in text:
        raise UnsureError
    return text


def _occupancy(value: str) -> float:
    # To pymatgen, an unknown occupancy is 1.
    return 1.0 if value == "?" else _number(value)


def _check_oxidation_states(
    block: gemmi.cif.Block, symbols: list[str], contents: list[_Content]
) -> None:
    # To pymatgen, Fe2+ and Fe3+ are two species, which it sorts separately.
    if block.find_loop("_atom_type_oxidation_number").get_loop() is not None and len(
        set(symbols)
    ) != len({content[0][0] for content in contents}):
        raise UnsureError


def _triplets(block: gemmi.cif.Block) -> tuple[str, ...]:
    found = [block.find_values(tag) for tag in SYMMETRY]
    columns = {
        tuple(one) for one, tag in zip(found, SYMMETRY, strict=True) if len(one) and one.tag == tag
    }
    if len(columns) != 1:  # none, or lists that may differ
        raise UnsureError
    return columns.pop()


def _add(content: _Content, more: _Content) -> _Content:
    occupancies = dict(content)
    for symbol, occupancy in more:
        occupancies[symbol] = occupancies.get(symbol, 0.0) + occupancy
    return tuple(occupancies.items())


def _pymatgen_order(contents: list[_Content]) -> list[int]:
    """Return pymatgen's order of the sites: by electronegativity, then by name."""
    keys = {content: _sort_key(content) for content in set(contents)}
    if len(keys) > 1 and (
        len(set(keys.values())) != len(keys) or any(math.isnan(x) for x, _ in keys.values())
    ):
        raise UnsureError
    return sorted(range(len(contents)), key=lambda site: keys[contents[site]])


@lru_cache(maxsize=4096)
def _sort_key(content: _Content) -> tuple[float, str]:
    from pymatgen.core import Element

    total = sum(occupancy for _, occupancy in content)
    if total > 1:
        raise UnsureError
    with ignored_warnings():  # a noble gas has no electronegativity
        mean = sum(Element(symbol).X * occupancy for symbol, occupancy in content) / total
    if len(content) == 1 and total == 1:
        return mean, content[0][0]
    by_electronegativity = sorted(content, key=lambda item: Element(item[0]))
    return mean, ", ".join(f"{symbol}:{occupancy:.3}" for symbol, occupancy in by_electronegativity)


@lru_cache(maxsize=4096)
def _species(content: _Content) -> Species:
    occupancies: dict[int, float] = {}
    for symbol, occupancy in content:
        z = atomic_number(symbol)
        occupancies[z] = occupancies.get(z, 0.0) + occupancy
    return tuple(sorted(occupancies.items()))
