"""What symbols of atom sites in a CIF name: an element, several, or none."""

import re
from functools import cache

from skcgcnn.crystals._cif_symmetry import UnsureError
from skcgcnn.exceptions import StructureError

# Of a symbol that names no element, and which pymatgen leaves out.
_NO_SYMBOL = re.compile("OH|[^A-Za-z]|$|(?i:vac|dum)|(Va|Du|Bq|Cg|Tv|WAT|[HD][23]O)$")
# Of a symbol that names several, of which pymatgen takes the first; labels such as SiTm do not.
# pymatgen writes spins behind one (Mn2+,spin=5). TR and REE are rare earths; Uani and others, kinds
# of displacements in the column beside.
_OTHER_ELEMENT = re.compile(
    r"[A-Za-z]{1,2}[\d.+-]*[/,;&|](?!spin=)[A-Za-z]|(TR|REE)([^A-Za-z]|$)|[UB](ani|iso|ovl|mpe)$"
)
_SECOND_SYMBOL = re.compile(r"[A-Z][a-z]?[\d.]*([A-Z][a-z])")
# Of a label alone: in silicates a place for Si or Al, and hardly ever tritium.
_TETRAHEDRON = re.compile("T([^A-Za-z]|$)")
# Symbols which pymatgen takes for water, hydroxyl or nitrate, hydrogens implied.
_SPECIAL_SYMBOL = re.compile("Hw|Ow|Wat|wat|NO3|O-H")


def names_none(symbol: str, is_type: bool) -> bool:
    """Tell whether a symbol, of a type or else a label, does not name one element."""
    from pymatgen.core import Element

    if _NO_SYMBOL.match(symbol) or _OTHER_ELEMENT.match(symbol):
        return True
    if not is_type and _TETRAHEDRON.match(symbol):
        return True
    second = _SECOND_SYMBOL.match(symbol) if is_type else None
    return second is not None and Element.is_valid_symbol(second[1])


def no_element(symbol: str) -> StructureError:
    """Return the error for a site without an element."""
    return StructureError(
        f"an atom site has the symbol {symbol!r}, which names no single element; "
        "write an element there, or remove the site"
    )


@cache
def check_symbol(symbol: str, is_type: bool) -> None:
    if not _SPECIAL_SYMBOL.match(symbol) and names_none(symbol, is_type):
        raise no_element(symbol)


@cache
def element_of(symbol: str) -> str:
    """Return the element that a type symbol or label names, by pymatgen's rules."""
    from pymatgen.core import Element

    if _SPECIAL_SYMBOL.match(symbol):
        raise UnsureError
    for candidate in (symbol[:2].title(), symbol[0].upper()):
        if Element.is_valid_symbol(candidate):
            return candidate
    raise UnsureError


@cache
def atomic_number(symbol: str) -> int:
    from pymatgen.core import Element

    return int(Element(symbol).Z)
