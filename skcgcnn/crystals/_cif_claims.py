"""What a CIF says of its crystal beside its sites, such as its formula, and how it fits them."""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat

import gemmi
import numpy as np
import numpy.typing as npt

from skcgcnn.crystals._cif_symmetry import IDENTITY, FloatArray, Operations, site_orders
from skcgcnn.crystals._crystal import Crystal, Species, cell_volume
from skcgcnn.exceptions import StructureError

# How far the ratios between sites and formula may differ, as in pymatgen.
_FORMULA_TOLERANCE = 0.01
# A formula is never of so many cells.
_SMALL_PART = 0.02
# Relatively; those of good files differ by less than a thousandth.
_VOLUME_TOLERANCE = 0.003
# Angles such as 90 and 120 where lengths should be: all edges are so long, and all angles so sharp.
_LONG, _SHARP = 60.0, float(np.cos(np.radians(30.0)))
# Many lists lack hydrogen atoms, or a solvent.
_DENSITY_FACTOR = 1.5
# In mol⁻¹, times a cm³ in Å³.
_AVOGADRO = 0.602214076
# Molecules reach over the edge of their cell, but hardly through another one.
_FAR = 2.0

# What pymatgen says where sites and formula differ.
_OF_PYMATGEN = ("Incorrect stoichiometry", "Missing elements")
FORMULA, UNITS = "_chemical_formula_sum", "_cell_formula_units_Z"
# To pymatgen, the first of them that is there is the formula.
FORMULAS = (FORMULA, "_chemical_formula_structural")
DENSITY = "_exptl_crystal_density_diffrn"
# How many waves a crystal has, and how many lattices.
MODULATED = ("_cell_modulation_dimension", "_cell_subsystems_number")

# Of a label that surely names an element: B, I, S, V, W and Y may stand for a place, an
# interstitial, a solvent, a vacancy, water and a place.
_LABEL = re.compile("([A-Z][a-z]|[CFHKNOPU])(?![A-Za-z])")
# Occupancies of a whole atom.
_WHOLE = re.compile(r"1(\.0*)?(\(\d+\))?|[?]")

_FORMULA_PART = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d*)?|\.\d+)?")
_JOINED_FORMULA = re.compile(f"(?:{_FORMULA_PART.pattern})+")
# Of a hydrate, such as CaSO4.2H2O; La0.5Sr0.5MnO3 is none.
_JOINED_BY_POINT = re.compile(r"(?<![A-Za-z]0)\.\d*[A-Z]")
_TWO_CAPITALS = re.compile("[A-Z]{2}")
# The remark where the identity alone is listed.
_ONE_LISTED = "lists 1 symmetry operation"
# All elements, each with its amount, take some hundred letters.
_LONGEST_FORMULA = 5_000


def check_formula(formula: str) -> None:
    """Refuse a formula that is too long: pymatgen takes minutes.

    Raises
    ------
    StructureError
    """
    if len(formula) > _LONGEST_FORMULA:
        raise StructureError(
            f"has a formula ({FORMULA}) of {len(formula)} letters, which no crystal has; remove it"
        )


def other_formula(
    value: str | None, n_units: str | None, species: list[Species]
) -> tuple[str, ...]:
    """Return a remark if the sites do not have the composition of the formula.

    The formula may be of several units, or of a part of one: 7 of 8 atoms are neither. Where it is
    told how many units are in the cell, the formula is of one of them, or of the cell.
    """
    formula = gemmi.cif.as_string(value or "?")
    check_formula(formula)
    expected = _formula(formula)
    if not expected or _is_unclear(formula):
        return ()
    ratios = _ratios(expected, species)
    if not (
        min(ratios) > 0
        and max(ratios) - min(ratios) < _FORMULA_TOLERANCE * min(1.0, max(ratios))
        and (_is_whole(ratios[0]) or (_is_whole(1 / ratios[0]) and ratios[0] > _SMALL_PART))
    ):
        return (f"its sites do not have its formula ({formula}); some may be missing",)
    n_told = _number(n_units)
    if not n_told > 0 or abs(ratios[0] - n_told) <= _FORMULA_TOLERANCE * n_told:  # nor is nan
        return ()
    # Amounts in a cell of four units are multiples of four, but for shared sites.
    amounts = expected.values()
    is_of_cell = all(_is_whole(amount / n_told) for amount in amounts if amount % 1 == 0)
    if is_of_cell and abs(ratios[0] - 1) <= _FORMULA_TOLERANCE:
        return ()
    units = f"{ratios[0]:.3g} units of its formula ({formula}), not {n_units} ({UNITS})"
    return (f"its sites are {units}: check coordinates and symmetry operations",)


def _ratios(expected: dict[int, float], species: list[Species]) -> list[float]:
    """Return how many times each amount of a formula is there; 0 where an element is only here."""
    found = dict.fromkeys(expected, 0.0)
    for site in species:
        for z, occupancy in site:
            found[z] = found.get(z, 0.0) + occupancy
    return [n / expected[z] if z in expected else 0.0 for z, n in found.items()]


def without_missing(
    remarks: tuple[str, ...],
    formulas: Iterable[str | None],
    n_units: str | None,
    species: list[Species],
) -> tuple[str, ...]:
    """Return remarks without the one that sites may be missing, if as many are there as are told.

    It comes where the identity alone is listed, with a group of more, as by JARVIS-Tools.
    """
    if not any(remark.startswith(_ONE_LISTED) for remark in remarks):
        return remarks
    n_told = _number(n_units)
    for formula in formulas:
        ratios = _ratios(_formula(gemmi.cif.as_string(formula or "?")) or {}, species)
        if n_told > 0 and all(
            abs(ratio - n_told) <= _FORMULA_TOLERANCE * n_told for ratio in ratios
        ):
            return tuple(one for one in remarks if not one.startswith(_ONE_LISTED))
    return remarks


def other_density(
    value: str | None, lattice: FloatArray, species: list[Species]
) -> tuple[str, ...]:
    """Return a remark if the sites have far from the density that is told, in g/cm³."""
    told = _number(value)
    if not told > 0:  # nor is nan
        return ()
    mass = sum(gemmi.Element(z).weight * occupancy for site in species for z, occupancy in site)
    density = mass / (_AVOGADRO * cell_volume(lattice))
    if told / _DENSITY_FACTOR <= density <= told * _DENSITY_FACTOR:
        return ()
    what = f"its sites have a density of {density:.3g} g/cm³, not {value} ({DENSITY})"
    return (f"{what}: check coordinates and symmetry operations",)


def told_beside(text: str, crystal: Crystal) -> tuple[str, ...]:
    """Return remarks as `other_formula` and `other_density` for a crystal that pymatgen read.

    It compares the ratios alone, and says nothing of one element. A CIF that is not well-formed, or
    has several of them, is left out.
    """
    tags = (FORMULA, DENSITY)
    try:
        blocks = [one for one in gemmi.cif.read_string(text) if any(map(one.find_value, tags))]
    except (ValueError, RuntimeError):
        return ()
    if len(blocks) != 1:
        return ()
    find = blocks[0].find_value
    remarks = other_density(find(DENSITY), crystal.lattice, crystal.species)
    if any(note.startswith(_OF_PYMATGEN) for note in crystal.notes):
        return remarks
    return (*other_formula(find(FORMULA), find(UNITS), crystal.species), *remarks)


def _number(value: str | None) -> float:
    """Return the number that a value is, also one in quotes; nan is none."""
    return gemmi.cif.as_number(gemmi.cif.as_string(value or "?").strip() or "?")


def _is_whole(ratio: float) -> bool:
    return abs(ratio - round(ratio)) <= _FORMULA_TOLERANCE * ratio


def _is_unclear(formula: str) -> bool:
    """Tell whether two capitals may be those of one element, as in CO of cobalt."""
    return formula.isupper() and _TWO_CAPITALS.search(formula) is not None


@lru_cache(maxsize=4096)
def _formula(formula: str) -> dict[int, float] | None:
    """Return amounts by atomic number; None if it is not a plain list of elements."""
    amounts: dict[int, float] = {}
    words = formula.split()
    is_joined = [len(_FORMULA_PART.findall(word)) > 1 for word in words]
    if any(is_joined) and len(words) > 1 and len(words[-1]) == 1:
        return None  # perhaps a phase, as in TiO2 B
    for word in words:
        # OF beside others may be one element in capitals; O1F1 is two.
        is_split = len(words) == 1 or any(map(str.isdigit, word))
        is_list = (_JOINED_FORMULA if is_split else _FORMULA_PART).fullmatch(word)
        if not is_list or _JOINED_BY_POINT.search(word):
            return None
        for part in _FORMULA_PART.finditer(word):
            z = gemmi.Element(part[1]).atomic_number
            if not z:
                return None
            amounts[z] = amounts.get(z, 0.0) + float(part[2] or 1)
    return amounts if all(amount > 0 for amount in amounts.values()) else None


def other_volume(
    value: str | None, lattice: FloatArray, name: str = "_cell_volume"
) -> tuple[str, ...]:
    """Return a remark if the cell does not have the volume that is told, or angles as lengths."""
    lengths = np.linalg.norm(lattice, axis=1)
    if lengths.min() >= _LONG and (lattice @ lattice.T > _SHARP * np.outer(lengths, lengths)).all():
        what = "its cell has lengths of {:.6g}, {:.6g} and {:.6g} Å".format(*lengths)
        return (f"{what} and angles below 30°; check that they are not in each other's place",)
    told, volume = _number(value), cell_volume(lattice)
    if not np.isfinite(told) or abs(volume - told) <= _VOLUME_TOLERANCE * told:
        return ()
    return (f"its cell of {volume:.6g} Å³ does not have its volume ({name} {value})",)


def far_sites(coords: npt.ArrayLike) -> tuple[str, ...]:
    """Return a remark if fractional coordinates are too large for sites in or beside the cell."""
    farthest = np.abs(coords).max(initial=0.0)
    if not farthest > _FAR:
        return ()
    what = f"has a fractional coordinate of {farthest:.6g}, far outside of its cell"
    return (f"{what}; check that the coordinates are not in Å or percent",)


def other_multiplicity(
    columns: Iterable[Iterable[str]], coords: FloatArray, operations: Operations | None
) -> tuple[str, ...]:
    """Return a remark if sites have not as many images as the first of the columns tells.

    Columns with that name may also hold how many operations leave a site where it is (SHELXL-97),
    or the images in a primitive cell.
    """
    values = next(filter(None, map(list, columns)), [])
    if len(values) != len(coords) or (operations is None and set(values) == {"1"}):
        return ()
    told = np.array([gemmi.cif.as_number(value) for value in values])
    operations = operations or IDENTITY
    orders = site_orders(coords, operations)
    images = len(operations[0]) // orders
    n_lattice = (operations[0] == np.eye(3)).all(axis=(1, 2)).sum()
    same = [np.isnan(told) | (told == one) for one in (images, orders, images // n_lattice)]
    if any(one.all() for one in same):
        return ()
    site = int(np.flatnonzero(~same[0])[0])
    what = f"site {site + 1} of its list has the multiplicity {images[site]}, not {values[site]}"
    return (f"{what} as it tells: check coordinates and symmetry operations",)


def other_labels(
    labels: Iterable[str], symbols: Iterable[str], shares: Iterable[str]
) -> tuple[str, ...]:
    """Return a remark if a label names another element than the symbol, which counts.

    Of a site in part, which elements may share, a label may name one of several. Where the first
    letter of each line was lost, ``Si`` is iodine.
    """
    labels, symbols = list(labels), list(symbols)
    for name in dict.fromkeys(symbols or labels):
        if name.strip("'\"")[:1].islower():
            return (
                f"a site has the symbol {name}, without a capital; check that no letter is lost",
            )
    sites = zip(labels, symbols, [*shares] or repeat("1"), strict=False)
    for label, symbol, share in dict.fromkeys(sites):
        if _WHOLE.fullmatch(share) and _names_another(label.strip("'\""), symbol.strip("'\"")):
            what = f"the label {label}, but the symbol of another element, {symbol}"
            return (f"a site has {what}, which counts",)
    return ()


@lru_cache(maxsize=4096)
def _names_another(label: str, symbol: str) -> bool:
    told, counts = _LABEL.match(label), re.match("[A-Za-z]+", symbol)
    # Ca of carbon is that of organic molecules.
    if told is None or counts is None or told[0][0] == counts[0]:
        return False
    # As a symbol, T is tritium, which gemmi does not know, and Wat oxygen. Of letters of which the
    # first two are no element, such as OW, the first counts.
    one, two = counts[0][0], counts[0][:2].title()
    names = (told[0], two, {"T": "H", "W": "O" if counts[0] == "Wat" else "W"}.get(one, one))
    of_label, of_two, of_one = (gemmi.Element(name).atomic_number for name in names)
    return 0 not in (of_label, of_two or of_one) and of_label != (of_two or of_one)


def modulated(dimension: str | None, subsystems: str | None) -> tuple[str, ...]:
    """Return a remark if sites have no period, or are of several lattices."""
    if _number(subsystems) > 1:
        remark = f"is composed of {subsystems} crystals (_cell_subsystems_number), each with a cell"
        return (f"{remark} of its own; all sites are read in one",)
    if _number(dimension) > 0:
        return ("is modulated (_cell_modulation_dimension); its average is read",)
    return ()
