"""Workbooks: how large their sheets are, before anything is made of them, and their formulas."""

import re
import zipfile
from pathlib import Path
from string import ascii_uppercase
from typing import Any
from xml.parsers import expat

from skcgcnn.exceptions import DataError

# In bytes, unpacked: a workbook is read as a whole.
_MOST_BYTES = 200_000_000
# Of a sheet, with the empty ones: a cell far right or far down makes all before it.
_MOST_CELLS = 20_000_000
# Those of Excel.
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
# Of what takes kilobytes of memory, or is opened, for a few bytes each: more than Excel has.
_MOST_OF = {
    "xf": 200_000,
    "sheet": 1_000,
    "definedName": 100_000,
    "si": 2_000_000,
    "r": 500_000,  # parts of texts
    "col": 20_000,
    "mergeCell": 200_000,
    **dict.fromkeys(("conditionalFormatting", "cfRule", "dataValidation"), 50_000),
}

_TRUE = ("1", "true")
_AT_ONCE = 1 << 20
_REFERENCE = re.compile("([A-Z]{1,3})([0-9]{1,7})")


def check_workbook(path: Path) -> tuple[bool, list[str]]:
    """Refuse a workbook that would take much memory.

    Returns
    -------
    is_suspect : bool
        Whether it may hold formulas whose values no spreadsheet program has computed.
    remarks : list of str
        Raised parts of texts, such as the mark of a footnote behind a number, merged cells, and
        hidden ones, such as those that a filter leaves out.

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
        has_formulas = is_uncomputed = has_raised = has_merged = has_hidden = False
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
            has_formulas |= cells.has_formulas
            is_uncomputed |= cells.is_uncomputed
            has_raised |= cells.has_raised
            has_merged |= cells.has_merged
            has_hidden |= cells.has_hidden
    remarks = ["raised digits as others, so that 1.5² is 1.52"] if has_raised else []
    if has_merged:
        remarks.append("merged cells, of which the first has the value and the others have none")
    if has_hidden:
        remarks.append("hidden rows or columns as the others")
    return has_formulas and is_uncomputed, remarks


def check_formulas(path: Path, frame: Any) -> list[str]:
    """Look at the formulas of the first sheet of a workbook that programs may have written.

    Such programs write formulas without values, or with 0, and mark that all are to be computed.

    Parameters
    ----------
    path : Path
        The workbook.
    frame : DataFrame
        The values in its first sheet, empty texts where there are none.

    Returns
    -------
    list of str
        A remark, where there are formulas.

    Raises
    ------
    DataError
        If one has no value.
    """
    from openpyxl import load_workbook

    first = ""
    # A file, for openpyxl refuses other names than those of workbooks.
    with path.open("rb") as file:
        sheet = load_workbook(file, read_only=True).worksheets[0]
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows()):
            values = frame.iloc[number].tolist() if number < len(frame) else []
            for place, cell in enumerate(row):
                if cell.data_type != "f":
                    continue
                first = first or cell.coordinate
                if place >= len(values) or values[place] == "":
                    raise DataError(
                        f"{path}: the value of the formula in cell {cell.coordinate} is not in the "
                        "file; open it in a spreadsheet program, save it, and repeat the call"
                    )
    if not first:
        return []
    remark = f"formulas that no spreadsheet program has computed, the first in cell {first}"
    return [f"{remark}; save it in one if their values may be wrong"]


class _Cells:
    """How far the cells of a sheet reach.

    Attributes
    ----------
    n_rows, n_columns : int
        How far.
    has_formulas : bool
        Whether there are some.
    is_uncomputed : bool
        Whether one has no value, or all values are to be computed when the workbook is opened.
    has_raised : bool
        Whether a part of a text is raised.
    has_merged : bool
        Whether cells are merged over several rows.
    has_hidden : bool
        Whether rows or columns with values are hidden.
    """

    def __init__(self) -> None:
        self.n_rows = self.n_columns = self._row = self._column = 0
        self.has_formulas = self.is_uncomputed = self._lacks_value = False
        self.has_raised = self.has_merged = self._is_part = False
        self.has_hidden = self._is_hidden = False
        self._hidden = bytearray(_MOST_COLUMNS + 1)  # columns
        self._left = dict(_MOST_OF)
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, Any]) -> None:
        name = name.rpartition(" ")[2]
        place = attributes.get("r")
        if name == "row":
            self._is_hidden = attributes.get("hidden") in _TRUE
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
            self._start_other(name, attributes)
            return
        if self._row > _MOST_ROWS or self._column > _MOST_COLUMNS:
            raise ValueError(f"it has a cell in row {self._row}, column {self._column}")
        self.n_rows = max(self.n_rows, self._row)
        self.n_columns = max(self.n_columns, self._column)

    def _start_other(self, name: str, attributes: dict[str, Any]) -> None:
        """Look at what is neither a row nor a cell."""
        if name in self._left:
            self._left[name] -= 1
            if self._left[name] < 0:
                raise ValueError(f"it has more than {_MOST_OF[name]:,} elements {name!r}")
        if name == "f":
            self.has_formulas = self._lacks_value = True
        elif name in ("rPr", "font"):  # of a part of a text, or of cells
            self._is_part = name == "rPr"
        elif name == "vertAlign":
            self.has_raised |= self._is_part and attributes.get("val") == "superscript"
        elif name == "mergeCell":
            first, _, last = attributes.get("ref", "").partition(":")
            self.has_merged |= first.lstrip(ascii_uppercase) != last.lstrip(ascii_uppercase)
        elif name in ("v", "is"):
            self._lacks_value &= name != "v"
            self.has_hidden |= self._is_hidden or bool(self._hidden[self._column])
        elif name == "col" and attributes.get("hidden") in _TRUE:
            ends = (attributes.get(end, "") for end in ("min", "max"))
            first, last = (int(end) if end.isdecimal() else 0 for end in ends)
            self._hidden[first : last + 1] = b"\1" * (min(last, _MOST_COLUMNS) + 1 - first)
        elif name == "calcPr":
            self.is_uncomputed |= attributes.get("fullCalcOnLoad") in _TRUE

    def _end(self, name: str) -> None:
        if self._lacks_value and name.rpartition(" ")[2] == "c":
            self.is_uncomputed, self._lacks_value = True, False


def _number(letters: str) -> int:
    """Return the number of a column: 1 for A, 27 for AA."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
