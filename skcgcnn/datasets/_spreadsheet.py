"""Tables of text as spreadsheets write them: encodings, separators, decimal commas."""

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skcgcnn.exceptions import DataError

# Line number and cells.
Row = tuple[int, list[str]]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass
class Sheet:
    """The rows of a table, without comments and empty lines.

    Attributes
    ----------
    file : Path
        Where they come from.
    rows : list of (int, list of str)
        Line number and cells.
    separator : str
        What stands between the cells.
    remarks : list of str
        What is unusual about the file.
    """

    file: Path
    rows: list[Row]
    separator: str = ","
    remarks: list[str] = field(default_factory=list)


def read_sheet(file: Path) -> Sheet:
    """Read a table of text.

    Parameters
    ----------
    file : Path
        With commas, semicolons or tabs between the cells, in UTF-8 or UTF-16. Lines that begin
        with ``#`` are comments.

    Returns
    -------
    Sheet

    Raises
    ------
    DataError
        If it is missing or no such table.
    """
    if not file.parent.is_dir():
        raise DataError(f"{file.parent}: no such folder")
    if not file.is_file():
        others = sorted(file.parent.glob("*.csv"))
        hint = (
            f"; if it is {others[0].name}, rename that to {file.name}" if len(others) == 1 else ""
        )
        raise DataError(
            f"{file}: no such file; expected lines of 'cif_id,value[,label]' in it{hint}"
        )
    remarks: list[str] = []
    lines = _decode(file, remarks).splitlines()
    numbered = [(i, line) for i, line in enumerate(lines, 1) if not line.lstrip().startswith("#")]
    if numbered and numbered[0][1].strip().lower().startswith("sep="):
        separator = numbered.pop(0)[1].strip()[4:].strip('"') or "\t"
    else:
        separator = _find_separator([line for _, line in numbered])
    if separator != ",":
        remarks.append(f"{_SEPARATORS.get(separator, repr(separator))} between the columns")
    try:
        reader = csv.reader(
            (line for _, line in numbered), delimiter=separator, skipinitialspace=True
        )
        rows = [
            (numbered[min(reader.line_num, len(numbered)) - 1][0], [cell.strip() for cell in cells])
            for cells in reader
        ]
    except (csv.Error, TypeError) as error:
        raise DataError(f"{file}: not a CSV file ({error})") from error
    rows = _without_empty_columns([row for row in rows if any(row[1])])
    return Sheet(file, rows, separator, remarks)


def _decode(file: Path, remarks: list[str]) -> str:
    content = file.read_bytes()
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            if encoding == "utf-16":
                remarks.append("UTF-16")
            break
    else:
        encoding = "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}: not a CSV file in UTF-8: line {line} holds the byte 0x"
            f"{content[error.start]:02X}, as in GBK or Latin-1. Save it as 'CSV UTF-8', or use "
            "ASCII letters"
        ) from error


def _find_separator(lines: Sequence[str]) -> str:
    """Return what stands in every line, a semicolon or tab before a comma."""
    filled = [line for line in lines if line.strip(" ,;\t")]
    for separator in (";", "\t"):
        if filled and all(separator in line for line in filled):
            return separator
    return ","


def _without_empty_columns(rows: list[Row]) -> list[Row]:
    """Drop columns at the end that are empty in every row, names included."""
    width = max((i for _, cells in rows for i, cell in enumerate(cells, 1) if cell), default=0)
    return [(line, cells[:width]) for line, cells in rows]
