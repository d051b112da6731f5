"""What the cells of a table say: numbers, with points or commas, units, or nothing."""

import math
import re
from dataclasses import dataclass

from skcgcnn._numbers import read_float, with_minus

_MISSING = {"", "nan", "na", "n/a", "none", "null"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
# A thousand and more to some people, and a number with three decimals to others.
_THOUSANDS = re.compile(r"[+\u2212\u2013-]?[1-9]\d{0,2}([.,]\d{3})+")
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


@dataclass
class Marks:
    """The first numbers of a column: with a comma, a point, neither; and what may have thousands.

    Those with a point may all have thousands behind it until one is found that has not.
    """

    comma: str = ""
    point: str = ""
    whole: str = ""
    unclear: tuple[str, str] | None = None
    has_decimals: bool = False

    def add(self, cell: str, place: str) -> None:
        """Add a number with its place."""
        may_be_thousands = _THOUSANDS.fullmatch(cell)
        if "," in cell:
            self.comma = self.comma or cell
        elif "." in cell:
            self.point = self.point or cell
            self.has_decimals |= not may_be_thousands
        else:
            self.whole = self.whole or cell
        if self.unclear is None and may_be_thousands:
            self.unclear = (cell, place)

    def problem(self, comma: str, *, is_european: bool) -> str | None:
        """Tell of a number that may have thousands.

        Parameters
        ----------
        comma : str
            A number of the table with a decimal comma, if there is one.
        is_european : bool
            Whether the table may be written where a point stands between thousands.
        """
        if not self.unclear:
            return None
        cell, place = self.unclear
        mark, other = ("point", self.comma) if "." in cell else ("comma", self.point)
        where = "column"
        if not other and mark == "point" and is_european and not self.has_decimals:
            other, where = (comma, "table") if comma else (self.whole, "column")
        if not other:
            return None
        return (
            f"{place}: {cell!r} may have thousands or decimals behind its {mark}, for the {where} "
            f"holds {other!r} too; write all of its numbers with decimal points, and nothing "
            "between thousands"
        )


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
