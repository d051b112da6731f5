"""Tables as they are written: no spreadsheet runs their texts, and `Sheet` reads them back."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from skcgcnn._files import atomic_write
from skcgcnn._numbers import read_float
from skcgcnn._text import encodable

# What spreadsheets run, some in full width, too. An apostrophe before it makes it a text to them;
# the first one is ours.
FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def write_rows(file: IO[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows of a CSV file whose texts spreadsheets do not run, and `Sheet` reads back."""
    csv.writer(_Lines(file)).writerows([_as_text(c) for c in row] for row in rows)


class _Lines:
    """Where `csv` writes rows that end as those of Unix, with quotes around every end in a cell.

    Told to end rows by a newline, it would leave a carriage return without quotes, and readers
    would take it for the end of a row.
    """

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, row: str) -> int:
        """Write a row."""
        return self.file.write(row.removesuffix("\r\n") + "\n")


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file as a whole, see `write_rows`."""
    with atomic_write(path) as file:
        write_rows(file, [header])
        write_rows(file, rows)


def _as_text(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    runs = FORMULA.match(cell) and read_float(cell) is None
    return encodable(f"'{cell}" if runs else cell)
