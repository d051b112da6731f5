"""Numbers of a CIF as they are written: with an uncertainty behind, or as a sign for none."""

import math
import re

from skcgcnn.crystals._cif_tags import FLAG, GROUP_OF_SITES, MULTIPLICITIES, OCCUPANCY, SITES
from skcgcnn.exceptions import StructureError

MOST_DEGREES = 180
# pymatgen's tolerance: a fractional coordinate this near to a third is a third.
_THIRD_TOLERANCE = 1e-4
# To Python a number, and what holds more than an uncertainty behind its bracket, to pymatgen.
OTHER_NUMBER = re.compile(r"\d_\d|\((?![\d.]{0,5}\)\s*$)")
_EMPTY_LINES = re.compile(r"\n\s*\n")
# A word as pymatgen finds it, or a quotation mark that is not closed in its line.
_WORD = re.compile(r"""[^'"\s]\S*|'.*?'(?!\S)|".*?"(?!\S)|(['"])""")
# Of letters times quotation marks in a line, which pymatgen compares: the first takes no time, the
# second seconds.
_FEW_PAIRS, _MOST_PAIRS = 100_000, 100_000_000
_WHOLE = re.compile(r"\d+(\.0*)?|[?.]|")


def without_empty_lines(text: str) -> str:
    """Return a text whose empty lines are gone: of 100,000, pymatgen takes half a minute."""
    return _EMPTY_LINES.sub("\n", text)


def refuse_open_quotes(text: str) -> None:
    """Refuse many quotation marks that are not closed: pymatgen looks for the end of each.

    Raises
    ------
    StructureError
    """
    n_pairs = 0
    for line in text.splitlines():
        pairs = len(line) * (line.count("'") + line.count('"'))
        if pairs > _FEW_PAIRS and any(word[1] for word in _WORD.finditer(line)):
            n_pairs += pairs
            if n_pairs > _MOST_PAIRS:
                raise StructureError(
                    f"has quotation marks that are not closed in the line {line[:40].strip()!r} of "
                    f"{len(line)} letters; close them, or remove the line"
                )


def plain_number(text: str) -> float | None:
    """Return a number without its uncertainty; None if it is none."""
    try:
        return float(text.partition("(")[0])
    except ValueError:
        return None


def as_third(number: float) -> float:
    """Return a fractional coordinate, or the third that it stands for."""
    for third in (1 / 3, 2 / 3):
        if abs(number / third - 1) <= _THIRD_TOLERANCE:
            return third
    return number


def is_share(text: str) -> bool:
    """Tell whether a text is the occupancy of a site."""
    # A bracket that holds nothing makes it no number to pymatgen.
    number = plain_number(text)
    return number is not None and number >= 0 and not text.endswith("(")  # which nan is not


def is_size(text: str, is_angle: bool) -> bool:
    """Tell whether a text is a length or an angle, or no number: who reads it will say so."""
    number = 0.0 if text == "." else plain_number(text)
    return number is None or 0 < number < (MOST_DEGREES if is_angle else math.inf)


def is_whole(text: str) -> bool:
    """Tell whether a text is a whole number, or stands for none."""
    return _WHOLE.fullmatch(text) is not None


def right_name(tag: str) -> str:
    """Return the name of a column that would be read if it had other letters; else nothing."""
    is_nearly = tag.startswith("_atom_site_occ") and OCCUPANCY not in tag
    right = OCCUPANCY if is_nearly else tag.lower()
    return right if tag not in SITES and right in SITES else ""


def check_kind(tag: str, text: str) -> None:
    """Refuse what stands in a column of another kind: the columns were shifted.

    Raises
    ------
    StructureError
    """
    number = plain_number(text)
    if tag in MULTIPLICITIES:
        is_odd, what = not is_whole(text), "write a whole number, and check"
    elif tag == FLAG:
        is_odd, what = number is not None, "check"
    else:
        is_odd, what = tag == GROUP_OF_SITES and number is not None and number % 1 != 0, "check"
    if is_odd:
        raise StructureError(
            f"{tag} holds {text!r}; {what} whether its columns are in the order of their names"
        )


def no_number(number: str) -> StructureError:
    """Return the error for a number with an underscore, or another behind its uncertainty."""
    what = "the underscore" if "_" in number else "what is behind its bracket"
    return StructureError(f"holds the number {number!r}; write it without {what}")
