"""How large the sheets of a workbook are, before anything is made of them."""

import re
import zipfile
from pathlib import Path
from typing import Any
from xml.parsers import expat

from skcgcnn.exceptions import DataError

# In bytes, unpacked: a workbook is read as a whole.
_MOST_BYTES = 200_000_000
# Of a sheet, with the empty ones: a cell far right or far down makes all before it.
_MOST_CELLS = 20_000_000
# Those of Excel.
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384

_AT_ONCE = 1 << 20
_REFERENCE = re.compile("([A-Z]{1,3})([0-9]{1,7})")


def check_workbook(path: Path) -> None:
    """Refuse a workbook that would take much memory.

    Raises
    ------
    DataError
        If it is too large, or has a cell that no workbook has.
    zipfile.BadZipFile
        If it is not a workbook.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(one.file_size for one in archive.infolist()) > _MOST_BYTES:
            raise DataError(f"{path}: is too large a workbook; save it as 'CSV UTF-8'")
        # Any of them can be a sheet, whatever its name.
        for member in archive.infolist():
            cells = _Cells()
            try:
                with archive.open(member) as file:
                    while some := file.read(_AT_ONCE):
                        cells.parser.Parse(some)
            except expat.ExpatError:  # a picture, say
                continue
            except ValueError as error:
                raise DataError(f"{path}: is not an Excel workbook ({error})") from error
            if cells.n_rows * cells.n_columns > _MOST_CELLS:
                raise DataError(
                    f"{path}: has a sheet of {cells.n_rows} rows and {cells.n_columns} columns, "
                    "the empty ones counted; remove what is far right or far down, or save it as "
                    "'CSV UTF-8'"
                )


class _Cells:
    """How far the cells of a sheet reach."""

    def __init__(self) -> None:
        self.n_rows = self.n_columns = self._row = self._column = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start

    def _start(self, name: str, attributes: dict[str, Any]) -> None:
        name = name.rpartition(" ")[2]
        place = attributes.get("r")
        if name == "row":
            if place is not None and not (place.isascii() and place.isdigit()):
                raise ValueError(f"it has a row {place[:20]!r}")
            self._row = self._row + 1 if place is None else int(place)
            self._column = 0
            self.n_rows += 1  # also where several say that they are the same
        elif name == "c":
            self._column += 1
            if place is not None:
                found = _REFERENCE.fullmatch(place)
                if found is None:
                    raise ValueError(f"it has a cell {place[:20]!r}")
                self._column = _number(found[1])
                self._row = max(self._row, int(found[2]))
        else:
            return
        if self._row > _MOST_ROWS or self._column > _MOST_COLUMNS:
            raise ValueError(f"it has a cell in row {self._row}, column {self._column}")
        self.n_rows = max(self.n_rows, self._row)
        self.n_columns = max(self.n_columns, self._column)


def _number(letters: str) -> int:
    """Return the number of a column: 1 for A, 27 for AA."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
