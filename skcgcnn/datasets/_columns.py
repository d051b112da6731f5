"""Columns of a table: numbers, texts, and numbers that are not written as such."""

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.datasets._spreadsheet import Sheet

_MISSING = {"", "nan", "na", "n/a", "none", "null"}
_MINUS = str.maketrans("\u2212\u2013", "--")  # the minus sign and the dash of word processors
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
# What begins like a number with a sign or decimals, or is followed by a unit. Not "2D".
_LIKE_A_NUMBER = re.compile(r"[+-]\d+([.,]\d+)?(\s|\(|$)|[+-]?\d+[.,]\d|\d+ +[^\W\d]")
# From this many on, whole numbers in two columns next to each other are rather decimals.
_DIGITS_OF_DECIMALS = 3


def is_missing_cell(cell: str) -> bool:
    """Tell whether a cell says that there is no value."""
    return cell.lower() in _MISSING


def number(cell: str) -> float | None:
    """Return the finite number that a cell holds, if any."""
    try:
        value = float(cell.translate(_MINUS))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def with_point(cell: str) -> str:
    """Return a cell with a decimal point, if it is a number with a decimal comma."""
    is_number = _DECIMAL_COMMA.fullmatch(cell.strip().translate(_MINUS))
    return cell.replace(",", ".") if is_number else cell


def read_column(sheet: Sheet, index: int, problems: list[str]) -> npt.NDArray[Any]:
    """Return a column: floats, or objects where it holds text; NaN is missing.

    Parameters
    ----------
    sheet : Sheet
        The table, without its header.
    index : int
        Which column.
    problems : list of str
        What is wrong with it is appended.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    cells = [row[index] for _, row in sheet.rows]
    present = [cell for cell in cells if not is_missing_cell(cell)]
    if sheet.separator != "," and any(
        _DECIMAL_COMMA.fullmatch(c.translate(_MINUS)) for c in present
    ):
        cells = [cell.replace(",", ".") for cell in cells]
        present = [cell.replace(",", ".") for cell in present]
        remark = "decimal commas"
        if remark not in sheet.remarks:
            sheet.remarks.append(remark)
    numbers = [number(cell) for cell in cells]
    like_numbers = [_LIKE_A_NUMBER.match(cell.translate(_MINUS)) is not None for cell in present]
    if present and not any(like_numbers) and all(number(cell) is None for cell in present):
        values = [math.nan if is_missing_cell(cell) else cell for cell in cells]
        return np.array(values, dtype=object)
    problems += [
        f"line {line}: {row[index]!r} is not a number{_remedy(row[index])}"
        for (line, row), cell, value in zip(sheet.rows, cells, numbers, strict=True)
        if value is None and not is_missing_cell(cell)
    ]
    return np.array([math.nan if value is None else value for value in numbers], dtype=np.float64)


def _remedy(cell: str) -> str:
    if _DECIMAL_COMMA.fullmatch(cell.translate(_MINUS)):
        return "; write a decimal point instead of the comma"
    if _LIKE_A_NUMBER.match(cell.translate(_MINUS)):
        return "; write the number alone"
    return ""


def looks_like_decimal_commas(sheet: Sheet) -> bool:
    """Tell whether values were split at decimal commas: ``18517,2,7092`` for 2.7092.

    It is so where both columns hold nothing but digits, and the second more than labels do.
    """
    if sheet.separator != "," or {len(cells) for _, cells in sheet.rows} != {3}:
        return False
    whole = [cells[1].translate(_MINUS).lstrip("+-") for _, cells in sheet.rows]
    decimals = [cells[2] for _, cells in sheet.rows]
    return all(map(str.isdecimal, whole + decimals)) and any(
        len(cell) >= _DIGITS_OF_DECIMALS or (len(cell) > 1 and cell.startswith("0"))
        for cell in decimals
    )
