"""What the entry of a database, or the row of a table, tells of its crystal, and how it fits it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from skcgcnn._numbers import read_float

_COUNTS = ("nsites", "nat")
_FORMULAS = (
    "formula_pretty",
    "pretty_formula",
    "formula",
    "chemical_formula_reduced",
    "composition_reduced",
    "composition",
)
# What stands in brackets or behind a formula, as the name of a phase or a charge: TiO2(B), Fe(II)O.
_IN_BRACKETS = re.compile(r"[(\[]([IV]+|[A-Z][a-z]?|[A-Z]\d+|(?!OH|CO|CN|NO)[A-Z]{2,})[)\]](?!\d)")
_BEHIND, _OTHER = re.compile(r"[A-Z]+\d*"), re.compile(r"[^A-Za-z\d.()\[\]\s]")
# pymatgen takes minutes for the longest formulas.
_LONGEST_FORMULA = 1_000
# How far the parts of elements may differ; occupancies are rounded.
_PART_TOLERANCE, _ROUNDED_TOLERANCE = 1e-3, 0.01

# Elements of a site, or of a crystal: (atomic number, amount).
_Amounts = Iterable[tuple[int, float]]


def other_count(entry: Mapping[Any, Any], n_sites: int) -> list[str]:
    """Return remarks where an entry tells another number of sites than its crystal has."""
    remarks = []
    for name in _COUNTS:
        told = read_float(str(entry.get(name)))
        if told is not None and abs(told - n_sites) > 0:  # which nan is not
            remarks.append(f"tells {name} = {told:g}, but has {n_sites} sites")
    return remarks


def other_composition(
    entry: Mapping[Any, Any], species: Sequence[Sequence[tuple[int, float]]]
) -> list[str]:
    """Return remarks where an entry tells another formula, or other elements, than its crystal.

    What is no formula is left out.

    Parameters
    ----------
    entry : mapping
        Any; small and capital letters of names are the same.
    species : sequence of sequences of (int, float)
        Atomic numbers and occupancies of each site.
    """
    from pymatgen.core import Element

    told = {str(name).lower(): value for name, value in entry.items()}
    names = told.get("elements")
    names = list(map(str, names)) if isinstance(names, list) else []
    if not names and not any(told.get(name) for name in _FORMULAS):
        return []
    remarks, is_ordered = [], all(share == 1 for site in species for _, share in site)
    found = _parts(one for site in species for one in site)
    for name in _FORMULAS:
        parts = _told_parts(told.get(name), is_ordered)
        differences = [abs(parts.get(z, 0) - found.get(z, 0)) for z in {*parts, *found}]
        if parts and max(differences) > (_PART_TOLERANCE if is_ordered else _ROUNDED_TOLERANCE):
            sites = f"its sites are {_formula(species)}"
            remarks.append(f"tells {name} = {told[name]}, but {sites}")
    are_symbols = all(map(Element.is_valid_symbol, names))
    numbers = {Element(name).Z for name in names} if are_symbols else set[int]()
    if numbers and numbers != found.keys():
        remarks.append(f"tells the elements {', '.join(names)}, but its sites have others")
    return remarks


def _formula(species: Iterable[_Amounts]) -> str:
    from pymatgen.core import Composition, Element

    amounts: dict[Any, float] = {}
    for site in species:
        for z, share in site:
            element = Element.from_Z(z)
            amounts[element] = amounts.get(element, 0.0) + share
    return str(Composition(amounts).reduced_formula)


def _told_parts(formula: Any, is_ordered: bool) -> dict[int, float]:
    """Return the parts of elements that a formula tells; none of what is no formula."""
    if isinstance(formula, Mapping):
        return _parts_of(formula)
    if not isinstance(formula, str) or len(formula) > _LONGEST_FORMULA:
        return {}
    formula = formula.strip()
    # Of whole atoms, what is behind a point is a hydrate.
    if not _is_formula(formula) or (is_ordered and "." in formula):
        return {}
    return _parts_of_text(formula)


def _is_formula(text: str) -> bool:
    """Tell whether a text that pymatgen takes for a formula is no word, and names no phase."""
    *others, last = text.split() or [""]
    if _IN_BRACKETS.search(text) or _OTHER.search(text):
        return False
    if not others:  # BCC is a word
        return not (text.isalpha() and text.isupper() and len(text) > 2)
    has_phase = _BEHIND.fullmatch(last) and any(sum(map(str.isupper, one)) > 1 for one in others)
    starts = [word[0] for word in (*others, last)]
    return any(map(str.isdigit, text)) and not has_phase and not any(map(str.isdigit, starts))


def _parts_of(formula: Any) -> dict[int, float]:
    from pymatgen.core import Composition

    try:
        amounts = Composition(formula, strict=True)
        return _parts((element.Z, amount) for element, amount in amounts.items())
    except Exception:  # noqa: BLE001 - whatever the text provokes
        return {}


# Many crystals of a table have one formula.
_parts_of_text = lru_cache(maxsize=4096)(_parts_of)


def _parts(amounts: _Amounts) -> dict[int, float]:
    parts: dict[int, float] = {}
    for z, amount in amounts:  # one with several charges comes several times
        parts[z] = parts.get(z, 0.0) + amount
    return {z: amount / sum(parts.values()) for z, amount in parts.items()}
