"""Values of a CIF that readers would silently take for others."""

import re
from typing import Any

from skcgcnn.exceptions import StructureError

CELL = (
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
)
COORDS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")

SYMMETRY = (
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_operation_xyz_",
)
# Of a symbol that names no element, and which pymatgen leaves out.
NO_SYMBOL = re.compile("OH|[^A-Za-z]|$")

_OCCUPANCY = "_atom_site_occupancy"
_NUMBERS = (*CELL, *COORDS, _OCCUPANCY)
# Those of the sites; the first that is there counts.
_SYMBOLS = ("_atom_site_type_symbol", "_atom_site_label")
_UNDERSCORE = re.compile(r"\d_\d")
# A byte order mark, and spaces of other kinds, change nothing.
_OTHER = re.compile(r"[^\x00-\x7f\s\ufeff]")


def check_values(text: str) -> None:
    """Refuse values that pymatgen would silently take for others, or leave out with their sites.

    Python reads ``1_0`` as 10. pymatgen leaves out what is not ASCII, such as the minus sign of a
    word processor, and sites whose symbol names no element; it takes an occupancy that is not a
    number for 1, and three operations for one that has blanks and no quotes.

    Raises
    ------
    StructureError
        If a number of the cell or of a site, the symbol of a site, or an operation is one of
        these.
    """
    from pymatgen.io.cif import CifFile

    # Like pymatgen, but each letter that it leaves out is there as a sign that no number has.
    marked = _OTHER.sub("~", text).replace("\ufeff", "")
    try:
        blocks = list(CifFile.from_str(marked).data.values())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever the text provokes: who reads it will say so
        return
    for block in blocks:
        names = [tag for tag in _SYMBOLS if tag in block.data][:1]
        for tag in (*_NUMBERS, *names):
            for cell in _several(block.data.get(tag, [])):
                _check_letters(tag, cell, is_symbol=tag in names)
        _check_meaning(block.data, names)


def _check_letters(tag: str, cell: str, *, is_symbol: bool) -> None:
    # Of a symbol two letters count; what is behind them is a number or a charge.
    if "~" in (cell[:2] if is_symbol else cell):
        raise StructureError(
            f"{tag} holds {cell!r}, where ~ is a character that is not ASCII; write "
            "it with ASCII letters, digits and signs"
        )
    if not is_symbol and _UNDERSCORE.search(cell):
        raise underscore(cell)


def _check_meaning(data: dict[str, Any], names: list[str]) -> None:
    """Refuse symbols, occupancies and operations that are not such."""
    for symbol in _several(data.get(names[0], [])) if names and COORDS[0] in data else ():
        if NO_SYMBOL.match(symbol):
            raise no_element(symbol)
    for share in _several(data.get(_OCCUPANCY, [])):
        if share not in ("?", ".") and not _is_share(share):
            raise StructureError(
                f"{_OCCUPANCY} holds {share!r}; write a number from 0 to 1, or ? where it is 1"
            )
    for operation in (one for tag in SYMMETRY for one in _several(data.get(tag, []))):
        if operation.count(",") != 2:
            raise StructureError(
                f"a symmetry operation is {operation!r}; write three parts with commas between "
                "them, in quotes"
            )


def _several(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _is_share(text: str) -> bool:
    try:
        return float(text.partition("(")[0]) >= 0  # which nan is not
    except ValueError:
        return False


def no_element(symbol: str) -> StructureError:
    """Return the error for a site without an element."""
    return StructureError(
        f"an atom site has the symbol {symbol!r}, which names no single element; "
        "write an element there, or remove the site"
    )


def underscore(number: str) -> StructureError:
    """Return the error for a number with an underscore."""
    return StructureError(f"holds the number {number!r}; write it without the underscore")
