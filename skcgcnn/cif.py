"""A fast reader of CIF text, which reads what it is sure of and leaves the rest to pymatgen."""

import math
import re
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from skcgcnn.crystal import Crystal, Species
from skcgcnn.exceptions import StructureError

__all__ = ["parse_cif"]

FloatArray = npt.NDArray[np.float64]
# Who sits on a site: (element symbol, occupancy), in the order of the file.
_Content = tuple[tuple[str, float], ...]
_Operations = tuple[FloatArray, FloatArray]

# pymatgen's tolerances, in fractional coordinates: what is so near to a third is a third, and
# sites so near to each other are one.
_THIRD_TOLERANCE = 1e-4
_SITE_TOLERANCE = 1e-4

# pymatgen refuses cells thinner than 0.01 Å; near that it shall decide.
_SURELY_THICK = 0.02

_CELL = (
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
)
_COORDS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_SITE_TAGS = (
    "_atom_site_label",
    "_atom_site_type_symbol",
    *_COORDS,
    "_atom_site_occupancy",
)
_REQUIRED = {"_atom_site_label", *_COORDS}
_SYMMETRY = (
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_operation_xyz_",
)
_MAGNETIC = ("_space_group_magn", "_atom_site_moment", "_space_group_symop_magn")

# Up to so many images, comparing all pairs is quicker than growing a tree.
_FEW = 60

_WITH_UNCERTAINTY = re.compile(r"([^()]+)\(\d+\)")
_TRIPLET = re.compile(r"[xyzXYZ0-9+\-/, ]+")
# Symbols which pymatgen takes for water, hydroxyl or nitrate, hydrogens implied.
_SPECIAL_SYMBOL = re.compile("Hw|Ow|Wat|wat|NO3|O-H")
_NO_SYMBOL = re.compile("OH|[^A-Za-z]|$")


class _UnsureError(Exception):
    """The text has something in it that pymatgen had better decide."""


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
        None where the reader is not sure of its ground: several data blocks, no list of symmetry
        operations, magnetic structures, implied hydrogens, sites that nearly coincide, anything
        malformed.

    Raises
    ------
    StructureError
        If a site names no single element; pymatgen would leave it out without a word.

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
    if any(tag in text for tag in _MAGNETIC):
        return None
    if not text.isascii():
        text = text.encode("ascii", "ignore").decode()
    try:
        blocks = gemmi.cif.read_string(text)
        if len(blocks) != 1 or "powder_pattern" in blocks[0].name:
            return None
        return _read_block(blocks[0])
    # gemmi's errors are the latter two; a number that is none is the former.
    except (_UnsureError, ValueError, RuntimeError):
        return None


def _read_block(block: gemmi.cif.Block) -> Crystal:
    lattice = _lattice([_number(_value(block, tag)) for tag in _CELL])
    symbols, coords, occupancies = _read_sites(block)
    contents: list[_Content] = [
        ((_element(symbol), occupancy),)
        for symbol, occupancy in zip(symbols, occupancies, strict=True)
    ]
    _check_oxidation_states(block, symbols, contents)
    images, records = _expand(coords, _operations(block))
    kept, merged = _distinct(images, records)
    for record, target in merged:
        contents[target] = _add(contents[target], contents[record])
    site_contents = [contents[record] for record in records[kept].tolist()]
    order = _pymatgen_order(site_contents)
    fractional = images[kept[order]]
    return Crystal(
        lattice,
        # One product a site, as pymatgen does it: the last bit decides ties in the official order.
        np.array([np.dot(site, lattice) for site in fractional]).reshape(-1, 3),
        [_species(site_contents[i]) for i in order],
    )


def _value(block: gemmi.cif.Block, tag: str) -> str:
    # gemmi does not tell upper from lower case in tags; pymatgen does.
    found: Any = block.find_pair(tag)
    if found is None or found[0] != tag:
        raise _UnsureError
    return str(found[1])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        match = _WITH_UNCERTAINTY.fullmatch(text)
        if match is None:
            raise
        return float(match[1])


def _lattice(parameters: Sequence[float]) -> FloatArray:
    """Return the lattice vectors, c along z and a in the xz plane, as pymatgen lays them."""
    a, b, c = parameters[:3]
    if not (all(map(math.isfinite, parameters)) and min(parameters) > 0):
        raise _UnsureError
    radians = np.radians(parameters[3:])
    cos_alpha, cos_beta, cos_gamma = np.cos(radians).tolist()
    sin_alpha, sin_beta, _ = np.sin(radians).tolist()
    if min(sin_alpha, sin_beta) <= 0:
        raise _UnsureError
    cos_gamma_star = (cos_alpha * cos_beta - cos_gamma) / (sin_alpha * sin_beta)
    gamma_star = np.arccos(max(-1.0, min(1.0, cos_gamma_star)))
    sin_gamma_star = np.sin(gamma_star)
    volume = a * sin_beta * b * sin_alpha * sin_gamma_star * c
    if volume < _SURELY_THICK * max(a * b, b * c, c * a):
        raise _UnsureError
    return np.array(
        [
            [a * sin_beta, 0.0, a * cos_beta],
            [-b * sin_alpha * np.cos(gamma_star), b * sin_alpha * sin_gamma_star, b * cos_alpha],
            [0.0, 0.0, c],
        ]
    )


def _read_sites(block: gemmi.cif.Block) -> tuple[list[str], FloatArray, list[float]]:
    """Return symbols, fractional coordinates and occupancies of the atoms listed."""
    loop = block.find_loop("_atom_site_label").get_loop()
    if loop is None:
        raise _UnsureError
    tags, values = loop.tags, loop.values
    columns = {tag: values[tags.index(tag) :: len(tags)] for tag in _SITE_TAGS if tag in tags}
    if not columns.keys() >= _REQUIRED:
        raise _UnsureError
    symbols = columns.get("_atom_site_type_symbol", columns["_atom_site_label"])
    symbols = [_text(symbol) for symbol in symbols]
    coords = np.array([[_coordinate(value) for value in columns[tag]] for tag in _COORDS]).T
    if "_atom_site_occupancy" not in columns:
        return symbols, coords, [1.0] * len(symbols)
    occupancies = [_occupancy(value) for value in columns["_atom_site_occupancy"]]
    if min(occupancies) > 0:
        return symbols, coords, occupancies
    occupied = [i for i, occupancy in enumerate(occupancies) if occupancy > 0]
    return [symbols[i] for i in occupied], coords[occupied], [occupancies[i] for i in occupied]


def _coordinate(value: str) -> float:
    number = _number(value)
    for third in (1 / 3, 2 / 3):
        if abs(number / third - 1) <= _THIRD_TOLERANCE:
            return third
    if not math.isfinite(number):
        raise _UnsureError
    return number


def _text(value: str) -> str:
    text = gemmi.cif.as_string(value).strip() if value[0] in "'\";" else value
    if "#" in text or " + " in text:
        raise _UnsureError
    return text


def _occupancy(value: str) -> float:
    # An occupancy that is not known is 1 to pymatgen, and one that does not apply is 0.
    if value in {"?", "."}:
        return 1.0 if value == "?" else 0.0
    return _number(value)


@cache
def _element(symbol: str) -> str:
    """Return the element that a type symbol or label names, by pymatgen's rules."""
    from pymatgen.core import Element  # noqa: PLC0415 - quick import of skcgcnn

    if _SPECIAL_SYMBOL.match(symbol):
        raise _UnsureError
    if _NO_SYMBOL.match(symbol):
        raise StructureError(
            f"an atom site has the symbol {symbol!r}, which names no single element; "
            "write an element there, or remove the site"
        )
    for candidate in (symbol[:2].title(), symbol[0].upper()):
        if Element.is_valid_symbol(candidate):
            return candidate
    raise _UnsureError


def _check_oxidation_states(
    block: gemmi.cif.Block, symbols: list[str], contents: list[_Content]
) -> None:
    # To pymatgen Fe2+ and Fe3+ are two species, which it sorts apart.
    if block.find_loop("_atom_type_oxidation_number").get_loop() is not None and len(
        set(symbols)
    ) != len({content[0][0] for content in contents}):
        raise _UnsureError


def _operations(block: gemmi.cif.Block) -> _Operations | None:
    for tag in _SYMMETRY:
        column = block.find_values(tag)
        if len(column) and column.tag == tag:
            return _parse_triplets(tuple(column))
    raise _UnsureError


@lru_cache(maxsize=256)
def _parse_triplets(triplets: tuple[str, ...]) -> _Operations | None:
    """Return rotations (n, 3, 3) and translations (n, 3); None for the identity alone."""
    operations = []
    for value in triplets:
        triplet = _text(value)
        # gemmi rounds decimals to 24ths.
        if not _TRIPLET.fullmatch(triplet):
            raise _UnsureError
        operations.append(gemmi.Op(triplet))
    rotations = np.array([op.rot for op in operations], dtype=np.float64) / gemmi.Op.DEN
    translations = np.array([op.tran for op in operations], dtype=np.float64) / gemmi.Op.DEN
    if not np.isin(rotations, (-1, 0, 1)).all():
        raise _UnsureError
    if len(operations) == 1 and operations[0] == gemmi.Op():
        return None
    return rotations, translations


def _expand(
    coords: FloatArray, operations: _Operations | None
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Apply every operation to every atom listed; return the images and whose they are."""
    records = np.arange(len(coords))
    if operations is not None:
        rotations, translations = operations
        coords = (np.einsum("oij,sj->soi", rotations, coords) + translations).reshape(-1, 3)
        records = np.repeat(records, len(rotations))
    return coords - np.floor(coords), records


def _distinct(
    images: FloatArray, records: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], list[tuple[int, int]]]:
    """Find images that coincide.

    Returns
    -------
    kept : ndarray of int
        The first image at each place.
    merged : list of (int, int)
        Records that lie on the place of an earlier one, and which.
    """
    everywhere = np.arange(len(images))
    pairs = _close_pairs(images)
    if not len(pairs):
        return everywhere, []
    difference = np.abs(images[pairs[:, 0]] - images[pairs[:, 1]])
    difference = np.minimum(difference, 1 - difference)
    if difference.max() > _SITE_TOLERANCE / 2:
        raise _UnsureError
    first = everywhere.copy()
    np.minimum.at(first, pairs[:, 1], pairs[:, 0])
    counts = np.bincount(first)
    if (counts * (counts - 1)).sum() != 2 * len(pairs):
        raise _UnsureError  # a chain: its ends do not coincide
    places = first.reshape(records[-1] + 1, -1)
    owners = records[places]
    merged = []
    for record in np.flatnonzero(owners[:, 0] != np.arange(len(owners))).tolist():
        target = int(owners[record, 0])
        if set(places[record].tolist()) != set(places[target].tolist()):
            raise _UnsureError  # only some images of one atom lie upon those of the other
        merged.append((record, target))
    if (owners != owners[:, :1]).any():
        raise _UnsureError
    return np.flatnonzero(first == everywhere), merged


def _close_pairs(images: FloatArray) -> npt.NDArray[np.int64]:
    """Return pairs (i, j), i < j, of images within twice the tolerance of each other."""
    reach = 2 * _SITE_TOLERANCE
    if len(images) <= _FEW:
        difference = images[:, np.newaxis] - images
        difference -= np.rint(difference)
        close = (np.abs(difference) <= reach).all(axis=2)
        if np.count_nonzero(close) == len(images):
            return np.empty((0, 2), dtype=np.int64)
        return np.argwhere(np.triu(close, 1))
    tree = cKDTree(np.where(images >= 1.0, 0.0, images), boxsize=1.0)
    return np.asarray(tree.query_pairs(reach, p=np.inf, output_type="ndarray"))


def _add(content: _Content, more: _Content) -> _Content:
    occupancies = dict(content)
    for symbol, occupancy in more:
        occupancies[symbol] = occupancies.get(symbol, 0.0) + occupancy
    return tuple(occupancies.items())


def _pymatgen_order(contents: list[_Content]) -> list[int]:
    """Return the order in which pymatgen puts the sites: by electronegativity, then by name."""
    keys = {content: _sort_key(content) for content in set(contents)}
    if len(keys) > 1 and (
        len(set(keys.values())) != len(keys) or any(math.isnan(x) for x, _ in keys.values())
    ):
        raise _UnsureError
    return sorted(range(len(contents)), key=lambda site: keys[contents[site]])


@lru_cache(maxsize=4096)
def _sort_key(content: _Content) -> tuple[float, str]:
    from pymatgen.core import Element  # noqa: PLC0415 - quick import of skcgcnn

    total = sum(occupancy for _, occupancy in content)
    if total > 1:
        raise _UnsureError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a noble gas has no electronegativity
        mean = sum(Element(symbol).X * occupancy for symbol, occupancy in content) / total
    if len(content) == 1 and total == 1:
        return mean, content[0][0]
    by_electronegativity = sorted(content, key=lambda item: Element(item[0]))
    return mean, ", ".join(f"{symbol}:{occupancy:.3}" for symbol, occupancy in by_electronegativity)


@lru_cache(maxsize=4096)
def _species(content: _Content) -> Species:
    occupancies: dict[int, float] = {}
    for symbol, occupancy in content:
        z = _atomic_number(symbol)
        occupancies[z] = occupancies.get(z, 0.0) + occupancy
    return tuple(sorted(occupancies.items()))


@cache
def _atomic_number(symbol: str) -> int:
    from pymatgen.core import Element  # noqa: PLC0415 - quick import of skcgcnn

    return int(Element(symbol).Z)
