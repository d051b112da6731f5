"""Numbers and symbols of a CIF that readers would silently take for others."""

import re

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

_NUMBERS = (*CELL, *COORDS, "_atom_site_occupancy")
# Those of the sites; the first that is there counts.
_SYMBOLS = ("_atom_site_type_symbol", "_atom_site_label")
_UNDERSCORE = re.compile(r"\d_\d")
# A byte order mark, and spaces of other kinds, change nothing.
_OTHER = re.compile(r"[^\x00-\x7f\s\ufeff]")


def check_characters(text: str) -> None:
    """Refuse numbers with underscores, and numbers and symbols that are not all ASCII.

    Python reads ``1_0`` as 10; pymatgen leaves out what is not ASCII, such as the minus sign of a
    word processor.

    Raises
    ------
    StructureError
        If a number of the cell or of a site, or the symbol of a site, is one of these.
    """
    if not _UNDERSCORE.search(text) and not _OTHER.search(text):
        return
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
            value = block.data.get(tag, [])
            for cell in value if isinstance(value, list) else [value]:
                # Of a symbol two letters count; what is behind them is a number or a charge.
                if "~" in (cell[:2] if tag in names else cell):
                    raise StructureError(
                        f"{tag} holds {cell!r}, where ~ is a character that is not ASCII; write "
                        "it with ASCII letters, digits and signs"
                    )
                if tag not in names and _UNDERSCORE.search(cell):
                    raise underscore(cell)


def underscore(number: str) -> StructureError:
    """Return the error for a number with an underscore."""
    return StructureError(f"holds the number {number!r}; write it without the underscore")
