"""The text of a CIF, without what programs write that no CIF has, or that says nothing."""

import re

from skcgcnn.crystals._cif_tags import SYMMETRY

# Lines above the first block: texts, comments and empty ones.
_ABOVE = re.compile(
    r"\A(?:(?:#|[^\W\d_](?!ata_|oop_|ave_|lobal_))[^\n]*\n|[^\S\n]*\n){1,30}?(?=data_)",
    re.IGNORECASE,
)
# Of a line of sites or bonds: three numbers behind few words, or one with its uncertainty.
_N_COORDS, _MOST_BEFORE = 3, 4
_IN_SITES = re.compile(
    r"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eEdD][-+]?\d++)?(?:\(\d++\)|/\d++)?|\d_\d{3}|[?.]"
)
_UNCERTAIN = re.compile(r"[-+]?\d*+\.\d++\(\d++\)")
_BLANKS = r"(?:\s|#[^\n]*\n)"
# A formula with its value: a text field, a text in quotes, or a word.
_FORMULA = re.compile(
    rf"^([^\S\n]*_chemical_formula_\w+{_BLANKS}++)"
    r"(;[^\n]*(?:\n(?!;)[^\n]*){0,20}\n;|'[^'\n]*'|\"[^\"\n]*\"|[^\s;'\"]\S*)",
    re.MULTILINE | re.IGNORECASE,
)
_HEAD = r"^[^\S\n]*loop_[^\S\n]*(?:#[^\n]*)?\n"
_TAG = r"[^\S\n]*(?:#[^\n]*)?\n"
# Another loop or block, a tag with its value, or the end.
_END = rf"(?={_BLANKS}*+(?:loop_|data_|_\S+[^\S\n]+[^\s#]|#|\Z))"
_NO_MOMENTS = re.compile(
    rf"{_HEAD}(?:[^\S\n]*_atom_site_moment\S+{_TAG})++{_END}", re.MULTILINE | re.IGNORECASE
)
_EMPTY_LOOP = re.compile(
    rf"{_HEAD}[^\S\n]*(_\S+){_TAG}(?:[^\S\n]*_\S+{_TAG})*+{_END}", re.MULTILINE | re.IGNORECASE
)
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
    lines = (line.split() for line in above[0].splitlines() if line[:1] != "#")
    for words in lines:
        are_numbers = [_IN_SITES.fullmatch(word) is not None for word in words]
        rows = (are_numbers[place:][:_N_COORDS] for place in range(_MOST_BEFORE + 1))
        if any(all(row) and len(row) == _N_COORDS for row in rows) or any(
            map(_UNCERTAIN.fullmatch, words)
        ):
            return above[0]
    return re.sub("^(?=[^#\n])", "#", above[0], flags=re.MULTILINE)


def without_odd_formulas(text: str) -> str:
    """Return a CIF without formulas that are not ASCII, of which a part would be another one."""
    return _FORMULA.sub(_unknown, text)


def _unknown(formula: re.Match[str]) -> str:
    value = formula[2]
    return formula[0] if value.isascii() else f"{formula[1]}?" + "\n" * value.count("\n")


def without_empty_moments(text: str) -> str:
    """Return a CIF without loops of moments that have no values, which pymatgen writes of zeros."""
    return _NO_MOMENTS.sub(lambda loop: "\n" * loop[0].count("\n"), text)


def empty_loop(text: str) -> str:
    """Return the first tag of a loop without values, which pymatgen does not read, or nothing."""
    loop = _EMPTY_LOOP.search(text)
    return loop[1] if loop else ""


def lists_identity(text: str) -> bool:
    """Tell whether the first symmetry operation that is listed is the identity."""
    return _IDENTITY.search(text) is not None
