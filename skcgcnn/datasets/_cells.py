"""What the cells of a table say: numbers, with points or commas, units, or nothing."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from unicodedata import normalize

from skcgcnn._numbers import read_float, with_minus

_MISSING = {"", "nan", "na", "n/a", "none", "null"}
_UNKNOWN = {"-", "--", "---", "?", "??", "unknown", "undefined", "n.a.", "n.d.", "tbd"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
# A thousand and more to some people, and a number with three decimals to others.
_THOUSANDS = re.compile(r"[+\u2212\u2013-]?[1-9]\d{0,2}([.,]\d{3})+")
# So many times as large as the others is what has no decimals where these seem to have some.
_FAR = 2
# What is like a number with a sign, decimals, thousands or an error, in brackets or a call, or is
# followed by a unit. Not "2D", a date, a version, the number of a paper, a range, a direction, or a
# name such as 1,4-BDC.
_SIGN = "[+\u2010\u2014\u2212\u2013-]"
_LIKE_A_NUMBER = re.compile(
    "|".join(
        [
            rf"{_SIGN}\s?\d+([.,]\d+)?(\s(?!-?\d+(\s|$))|\(|$)",
            # 3 eV/atom, but not 62 Pnma and 4 a
            r"\d+ +(?![a-z]$|[ABCFIPR][a-z]{2})[^\W\d]+([/^*\u00b7]\w*)?$",
            rf"{_SIGN}?(?!\d+\.\d{{4,}}[/v])\d+[.,]\d+(?![.,]?\d|[-'\u2019\u2032]|[ab]\d*$)",
            r"\d+\s*([%\u00b0]$|\u00b1|\(\d+\)$)",
            # Thousands: 1.234,5 and 1 234,5 and 1'234.5 and 1,23,456.0
            rf"{_SIGN}?\d{{1,3}}([.,]\d{{3}})+[.,]\d",
            rf"{_SIGN}?\d{{1,3}}([\s'\u2019]\d{{3}})+([.,]\d+)?$",
            r"\d{1,2}(,\d{2})+,\d{3}\.\d",
            # (1.5) and 1.5- of accounts, and $ 1.5; (1,1) is a direction
            rf"[(\[]\s*{_SIGN}?(\d+\.\d*|\d{{1,3}}(,\d{{3}})+(\.\d*)?)([eE][+-]?\d+)?\s*[)\]]$",
            r"\d+([.,]\d+)+-$",
            r"[$~\u2248\u20ac\u00a3\u00a5]\s*\d[\d.,]*$",
            rf"(\w+\.)?(float|int|tensor|array)\d*\(\[*\s*{_SIGN}?\d",
        ]
    )
)
# With thousands, surely.
_BOTH_MARKS = re.compile(r"[+\u2212\u2013-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+\.\d+)")
# An exponent of one digit: programs write two, but for a few that write one in each.
_SHORT_EXPONENT = re.compile(r"[eE][+-]?\d$")
# Of the cells of a column, how many may have few decimals, or none, by chance.
_RARE, _SOME = 0.05, 0.1
# Of a cell, no number has so many letters.
_LONG = 100
# What stands in a row of units where a crystal has its name, and other texts.
NO_NAME = ("", "-", "unit", "units")


def is_missing_cell(cell: str) -> bool:
    """Tell whether a cell says that there is no value; Na is sodium."""
    return cell.lower() in _MISSING and cell != "Na"


def number(cell: str) -> float | None:
    """Return the finite number that a cell holds, if any."""
    value = read_float(cell)
    return None if value is None or not math.isfinite(value) else value


def has_decimal_comma(cell: str) -> bool:
    """Tell whether a cell is a number with a comma instead of the point."""
    return _DECIMAL_COMMA.fullmatch(with_minus(cell)) is not None


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number, with a point or a comma."""
    return number(cell) is not None or has_decimal_comma(cell)


def is_like_a_number(cell: str) -> bool:
    """Tell whether a text is a number to people, with more than its digits."""
    return _LIKE_A_NUMBER.match(normalize("NFKC", cell[:_LONG])) is not None


def has_decimals(cells: Iterable[str | None]) -> bool:
    """Tell whether some cells are numbers that are not whole."""
    return any(is_number(cell or "") and not (cell or "").isdecimal() for cell in cells)


class LastCells:
    """The cells of the last column in the order of their rows: whether the last one may be cut.

    Parameters
    ----------
    separator : str
        What stands between the cells.
    """

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self.last: str | None = None
        self._decimals = Counter[int]()  # how many cells before the last have how many
        self._has_short_exponent = False

    def add(self, cell: str) -> None:
        """Add the cell of the next row."""
        cell = cell if len(cell) < _LONG else ""  # a crystal, of which numbers need no search
        if self.last is not None:
            self._has_short_exponent |= _SHORT_EXPONENT.search(self.last) is not None
            if (n := self._n_decimals(self.last)) is not None:
                self._decimals[n] += 1
        self.last = cell

    def is_short(self) -> bool:
        """Tell whether the last cell is a number with fewer digits than others."""
        last = self._n_decimals(self.last or "")
        if last is None:
            return False
        if _SHORT_EXPONENT.search(self.last or "") and not self._has_short_exponent:
            return True
        least = {n: (_RARE if n else _SOME) * self._decimals.total() for n in self._decimals}
        usual = [n for n, count in self._decimals.items() if count > least[n]]
        # One digit fewer changes little, and is often a zero that is left out.
        return last < min(usual, default=0) - 1

    def _n_decimals(self, cell: str) -> int | None:
        """Return how many digits a number has behind its point or comma; None of what is none."""
        if self.separator != "," and has_decimal_comma(cell):
            return len(cell.partition(",")[2])
        return None if number(cell) is None else len(cell.partition(".")[2])


@dataclass
class Marks:
    """What the cells of a column say together: of points, commas, and words for what is missing.

    Parameters
    ----------
    separator : str
        What stands between the cells; nothing in a workbook, whose numbers have no marks.
    """

    separator: str
    # The first numbers with a comma or a point, and with one that has no thousands behind it.
    first: dict[str, str] = field(default_factory=dict)
    decimal: dict[str, str] = field(default_factory=dict)
    # What may have thousands, with its place, and the largest numbers with a mark and without one.
    _unclear: tuple[str, str] | None = None
    _largest: float = 0.0
    _whole: float = 0.0
    # The first word for what is missing, and how many there are.
    _word: str = ""
    _n_words: int = 0
    # The first text that may say that nothing is known, which is one as any other.
    _unknown: str = ""
    # How many texts there are, those that are like numbers, and the first of these.
    _n_texts: int = 0
    _n_like: int = 0
    _like: str = ""

    def add(self, cell: str, place: str) -> None:
        """Add a cell with its place."""
        has_comma = self.separator != "," and has_decimal_comma(cell)
        value = number(cell.replace(",", ".") if has_comma else cell)
        if is_missing_cell(cell):
            if cell.lower() not in ("", "nan"):  # as people and pandas leave cells out
                self._n_words += 1
                self._word = self._word or cell
        elif value is None:
            self._n_texts += 1
            if is_like_a_number(cell):
                self._n_like += 1
                self._like = self._like or cell
            if cell.lower() in _UNKNOWN:
                self._unknown = self._unknown or cell
            if self.separator != "," and _BOTH_MARKS.fullmatch(cell):
                self.decimal.setdefault(max(",.", key=cell.rindex), cell)
        elif (mark := "," if "," in cell else "." if "." in cell else "") == "":
            self._whole = max(self._whole, abs(value))
        else:
            self._largest = max(self._largest, abs(value))
            self.first.setdefault(mark, cell)
            if _THOUSANDS.fullmatch(cell):
                self._unclear = self._unclear or (cell, place)
            else:
                self.decimal.setdefault(mark, cell)

    def problem(self, decimal: Mapping[str, str], marked: Mapping[str, str]) -> str | None:
        """Tell of a number that may have thousands.

        Parameters
        ----------
        decimal : dict of str to str
            Numbers of the table with decimal commas and points, one of each.
        marked : dict of str to str
            The same, or what may be such a number.
        """
        if not self._unclear:
            return None
        cell, place = self._unclear
        mark, other = (".", ",") if "." in cell else (",", ".")
        found, where = self.first.get(other, ""), "column"
        if not found and self.separator not in ("", ",") and mark not in self.decimal:
            # One that is larger by far than all of these, if they have decimals.
            if self._whole > _FAR * self._largest:
                found = f"{self._whole:g}"
            elif other in marked and mark not in decimal:
                found, where = marked[other], "table"
        if not found:
            return None
        name = {".": "point", ",": "comma"}[mark]
        return (
            f"{place}: {cell!r} may have thousands or decimals behind its {name}, for the {where} "
            f"holds {found!r} too; write all of its numbers with decimal points, and nothing "
            "between thousands"
        )

    def words(self, column: str) -> str:
        """Return a remark on words that count as missing, or may be so, or as texts, once."""
        found = []
        if self._word and self._n_texts:
            found.append(f"{self._n_words} cells such as {self._word!r} of {column!r} as missing")
        if self._unknown:
            what = f"{self._unknown!r} of {column!r} as a text"
            found.append(f"{what} (leave the cell empty, if nothing is known)")
        if self._like and 2 * self._n_like >= self._n_texts and not (self.first or self._whole):
            found.append(f"{self._like!r} of {column!r} as a text (write the number alone)")
        self._word = self._unknown = self._like = ""
        return ", ".join(found)


def is_unit_row(cells: list[str], following: list[str]) -> bool:
    """Tell whether a row names no crystal and no number, but units where the next has numbers."""
    pairs = list(zip(cells, following, strict=True))
    return (
        cells[0].lower() in NO_NAME
        and not any(map(is_number, cells))
        and any(cell and is_number(below) for cell, below in pairs)
        and all(
            cell.lower() in NO_NAME or is_number(below) or is_missing_cell(below)
            for cell, below in pairs
        )
    )
