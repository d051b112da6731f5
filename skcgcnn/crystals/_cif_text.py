"""The text of a CIF, without what programs write that no CIF has, or that says nothing."""

import re

from skcgcnn.crystals._cif_tags import SYMMETRY
from skcgcnn.crystals._left_out import is_number
from skcgcnn.exceptions import StructureError

# Lines above the first block: texts, comments and empty ones.
_ABOVE = re.compile(
    r"\A(?:(?:#|[^\W\d_](?!ata_|oop_|ave_|lobal_))[^\n]*\n|[^\S\n]*\n){1,30}?(?=data_)",
    re.IGNORECASE,
)
# A site has a label and three numbers.
_N_COORDS = 3
_FORMULA = re.compile(r"^(_chemical_formula_\w+)(\s[^\n]*)$", re.MULTILINE)
_EMPTY_LOOP = re.compile(
    r"^loop_[^\S\n]*\n[^\S\n]*(_\S+)[^\S\n]*\n(?:[^\S\n]*_\S+[^\S\n]*\n)*"
    r"(?=[^\S\n]*(?:loop_|data_)|\s*\Z)",
    re.MULTILINE,
)
_MOMENT = "_atom_site_moment"
_IDENTITY = re.compile(
    rf"^(loop_\s+)?(_\w+_site_id\s+)?({'|'.join(SYMMETRY)})\s+(\d+\s+)?['\"]?x, *y, *z['\"]?\s*$",
    re.MULTILINE | re.IGNORECASE,
)


def with_comments_above(text: str) -> str:
    r"""Return a CIF whose lines of text above the first block are comments; JARVIS writes one.

    Those of sites stay, whose block lost its beginning.

    Examples
    --------
    >>> with_comments_above("Written by hand.\ndata_x\n")
    '#Written by hand.\ndata_x\n'
    """
    return _ABOVE.sub(_as_comments, text)


def _as_comments(above: re.Match[str]) -> str:
    words = (line.split() for line in above[0].splitlines() if line[:1] != "#")
    if any(sum(is_number([word]) for word in line) >= _N_COORDS for line in words):
        return above[0]
    return re.sub("^(?=[^#\n])", "#", above[0], flags=re.MULTILINE)


def without_odd_formulas(text: str) -> str:
    """Return a CIF without formulas that are not ASCII, of which a part would be another one."""
    return _FORMULA.sub(_without_odd_letters, text)


def _without_odd_letters(formula: re.Match[str]) -> str:
    is_plain = formula[2].partition(" #")[0].isascii()
    return formula[0] if is_plain else f"{formula[1]} ?"


def without_empty_moments(text: str) -> str:
    """Return a CIF without loops of moments that have no values: to pymatgen all of them are 0.

    Raises
    ------
    StructureError
        If another loop has none.
    """
    return _EMPTY_LOOP.sub(_without_moments, text)


def _without_moments(loop: re.Match[str]) -> str:
    if not loop[1].startswith(_MOMENT):
        raise StructureError(f"has a loop without values ({loop[1]}, ...); remove it, or fill it")
    return "\n" * loop[0].count("\n")


def lists_identity(text: str) -> bool:
    """Tell whether the first symmetry operation that is listed is the identity."""
    return _IDENTITY.search(text) is not None
