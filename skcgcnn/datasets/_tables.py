"""Tables as programs and people write them: the one place that knows how they are laid out.

Text is taken apart by `csv`, as by the Python engine of pandas: it tells the line of a row, and a
row that is too short from one whose last cells are empty, which `pandas.read_csv` does not.
"""

import codecs
import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import IO, Any, TextIO

from skcgcnn._text import repeated
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets._cells import (
    NO_NAME,
    LastCells,
    Marks,
    has_decimal_comma,
    is_missing_cell,
    is_number,
    is_unit_row,
    number,
)
from skcgcnn.datasets._column_names import CRYSTAL_NAMES, id_columns, shifted_header
from skcgcnn.datasets._workbook import check_formulas, check_workbook
from skcgcnn.datasets._written import FORMULA
from skcgcnn.exceptions import DataError

# Endings of tables.
TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".xlsx")
# Errors of files that cannot be unpacked or are no text.
UNREADABLE = (UnicodeError, OSError, EOFError, zlib.error)

_SEPARATORS = {";": "semicolons", "\t": "tabs"}
# 001, which may be meant as another name than 1.
_LEADING_ZERO = re.compile(r"[+-]?0\d")
# Bytes that are no UTF-8, as Python keeps them, and what no text holds.
_NO_TEXT = re.compile("[\0\udc80-\udcff]")
# Follows the last line, to tell whether it ended a row; of no text.
_END = "\ue000skcgcnn\ue000"
_NO_SHEET = (
    "has no sheet that can be read; save it as 'Excel workbook (.xlsx)', not as 'Strict Open XML', "
    "or as 'CSV UTF-8'"
)
_WORKBOOK = b"PK\x03\x04"
# Letters of a cell, and of a line: as those of the largest file of a crystal.
_MOST_LETTERS = 100_000_000
# One after the other: a packed file can hold as many as take minutes to read.
_MOST_EMPTY = 1_000_000
# In letters, of a cell that is no name of a column.
_LONG = 1_000
# So many lines tell what stands between the cells.
_FIRST = 100
_MOST_PROBLEMS = 20
# Whose numbers may have as many digits by chance.
_FEW_ROWS = 3


def open_text(path: Path, errors: str = "strict") -> TextIO:
    """Open a text in UTF-8 or UTF-16, also packed by gzip."""
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        begins = file.read(2)
    encoding = "utf-16" if begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    text: TextIO = opener(path, "rt", encoding=encoding, errors=errors, newline="")
    return text


def refuse(file: Path, problems: Sequence[str]) -> None:
    """Raise an error that lists problems of a file, if there are some."""
    if not problems:
        return
    shown = list(problems[:_MOST_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    raise DataError("\n  ".join([f"{file}:", *shown]))


class Sheet:
    """A table; its rows are read from the disk as they are asked for.

    Parameters
    ----------
    file : Path
        Text with commas, semicolons or tabs between the cells, in UTF-8 or UTF-16, also packed by
        gzip; or an Excel workbook, whatever its name, of which the first sheet counts. Lines before
        the first row that begin with ``#`` are comments, and so are later rows of such a cell
        alone.
    is_id : callable, optional
        Tells whether a cell that begins with ``#`` is the name of a crystal, and no comment.

    Attributes
    ----------
    separator, encoding : str
        What stands between the cells (nothing in a workbook), and how letters are written. Known
        with the first row.
    names : list of str
        Those of the columns, once `records` has read them.
    units : dict of str to str
        Those of a row of units behind the names, which `records` does not yield.
    remarks : list of str
        What is unusual about the rows so far.
    """

    def __init__(self, file: Path, is_id: Callable[[str], bool] = lambda _: False) -> None:
        self.file, self.is_id = file, is_id
        self.separator, self.encoding = ",", "utf-8-sig"
        self.names, self.remarks = list[str](), list[str]()
        self._lower = set[str]()  # names of columns
        self.units = dict[str, str]()
        self._marks: dict[str, Marks] = {}
        self._is_cut = False  # or ends without the end of a line, as some editors leave it

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line in which a row ends, and its cells."""
        n_comments = n_rows = 0
        head, has_first, has_last = list[str](), False, False
        ends: LastCells | None = None
        for line, row in self._raw_rows():
            cells = [cell.strip() for cell in row]
            if self._is_comment(cells[0] if cells else "") and not any(cells[1:]):
                n_comments += 1
                if n_comments > _MOST_EMPTY:
                    raise DataError(f"{self.file}: {n_comments:,} rows are comments; remove them")
            elif any(cells):
                has_first |= bool(head and cells[0]) and number(cells[0]) is None
                has_last |= bool(head and any(cells[len(head) - 1 :]))
                ends = ends or LastCells(self.separator)
                if n_rows:  # behind a header
                    ends.add(cells[-1])
                head, n_rows = head or cells, n_rows + 1
                yield line, [c[1:] if c[:1] == "'" and FORMULA.match(c) else c for c in cells]
        is_nameless = has_first and not head[0] and not id_columns(head)
        if is_nameless and head[-1] and not has_last:
            raise shifted_header(self.file, head[-1])
        if n_comments:
            self.remarks.append(f"{n_comments} rows that begin with # as comments")
        if self._is_cut and ends and ends.is_short() and n_rows > _FEW_ROWS:
            what = f"{ends.last} at its end, with fewer digits than others"
            self.remarks.append(f"{what}; is it cut?")

    def _is_comment(self, cell: str) -> bool:
        # One of several lines is the content of a file.
        return cell.startswith("#") and "\n" not in cell and not self.is_id(cell)

    def _raw_rows(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(_MOST_LETTERS)  # a CIF is a long cell
        try:
            with self.file.open("rb") as binary:
                is_workbook = binary.read(len(_WORKBOOK)) == _WORKBOOK
            yield from self._of_workbook() if is_workbook else self._of_text()
        except (csv.Error, zipfile.BadZipFile, TypeError, RuntimeError, *UNREADABLE) as error:
            raise DataError(f"{self.file}: cannot be read ({error})") from error

    def _of_workbook(self) -> Iterator[tuple[int, list[str]]]:
        import pandas as pd

        self.separator = ""
        is_suspect, remarks = check_workbook(self.file)
        try:
            with pd.ExcelFile(self.file, engine="openpyxl") as book:
                first, *others = book.sheet_names or [""]
                if not first:
                    refuse(self.file, [_NO_SHEET])
                frame = pd.read_excel(book, header=None, dtype=object, na_filter=False)
                if others:
                    is_hidden = book.book[first].sheet_state != "visible"
                    hidden = " (which is hidden)" if is_hidden else ""
                    self.remarks.append(f"its first sheet, {first!r}{hidden}, alone")
            self.remarks += check_formulas(self.file, frame) if is_suspect else []
            self.remarks += remarks
            # Cells without anything are empty texts.
            if n_errors := int(frame.isna().to_numpy().sum()):
                self.remarks.append(f"{n_errors} cells of errors, such as #DIV/0!, as missing")
        except DataError:
            raise
        except ImportError as error:
            raise ImportError(
                f"{self.file}: workbooks need openpyxl: pip install 'skcgcnn[excel]'; or save the "
                "table as 'CSV UTF-8'"
            ) from error
        except Exception as error:  # whatever the content provokes
            raise DataError(f"{self.file}: is not an Excel workbook ({error!r})") from error
        if others and frame.empty:
            raise DataError(
                f"{self.file}: its first sheet, {first!r}, is empty; move the table there"
            )
        yield from enumerate(([str(cell) for cell in row] for row in frame.to_numpy()), 1)

    def _of_text(self) -> Iterator[tuple[int, list[str]]]:
        with open_text(self.file, "surrogateescape") as file:
            lines, before = self._checked(file), 0
            for line in lines:
                name = re.split("[,;\t]", line.strip(), maxsplit=1)[0].strip('" ')
                if line.strip(" ,;\t\r\n") and not self._is_comment(name):
                    break
                before += 1
                if before > _MOST_EMPTY:
                    raise DataError(
                        f"{self.file}: its first {before:,} lines are empty or comments; remove "
                        "them"
                    )
            else:
                return
            self.encoding = file.encoding
            head = [line, *islice(lines, _FIRST - 1)]
            if line.strip().lower().startswith("sep="):
                self.separator = head.pop(0).strip()[4:].strip('"') or "\t"
                before += 1
            else:
                self.separator = _find_separator(head)
            text = chain(head, lines, [_END])
            reader = csv.reader(text, delimiter=self.separator, skipinitialspace=True)
            line_of_row = before + 1
            for cells in reader:
                if cells == [_END]:
                    return
                if cells and cells[-1].endswith(_END):
                    # `csv` takes all that follows for one cell.
                    raise DataError(
                        f"{self.file}: a quotation mark in the row of line {line_of_row} is not "
                        "closed"
                    )
                yield before + reader.line_num, cells
                line_of_row = before + reader.line_num + 1

    def _checked(self, file: IO[str]) -> Iterator[str]:
        """Yield lines; refuse what is not text in UTF-8, and lines without an end, or too many."""
        n_empty, line = 0, "\n"
        for place, line in enumerate(iter(lambda: file.readline(_MOST_LETTERS), ""), 1):
            if len(line) == _MOST_LETTERS and not line.endswith(("\n", "\r")):
                raise DataError(
                    f"{self.file}: line {place} has more than {_MOST_LETTERS:,} letters"
                )
            n_empty = 0 if line.strip() else n_empty + 1
            if n_empty > _MOST_EMPTY:
                raise DataError(
                    f"{self.file}: {_MOST_EMPTY:,} lines up to line {place} are empty; remove them"
                )
            if found := _NO_TEXT.search(line):
                byte = ord(found[0]) & 0xFF
                cause = ", as in GBK or Latin-1" if byte else ", as in binary files"
                raise DataError(
                    f"{self.file}: cannot be read, for it is not a CSV file in UTF-8: line {place} "
                    f"holds the byte 0x{byte:02X}{cause}. Save it as 'CSV UTF-8', or use ASCII "
                    "letters"
                )
            yield line
        self._is_cut = not line.endswith(("\n", "\r"))

    def records(self, check: Callable[[list[str]], None]) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the line in which a row ends, and its cells by the names in the first row.

        Parameters
        ----------
        check : callable
            Refuses names that no column has.

        Raises
        ------
        DataError
            If names are missing or come twice, or a row is not as long as the first.
        """
        rows = self._checked_rows(check)
        first = list(islice(rows, 2))
        if len(first) == 2 and is_unit_row(first[0][1], first[1][1]):
            self.remarks.append("a row of units")
            # Who was given them before has them now.
            units = zip(self.names, first.pop(0)[1], strict=True)
            self.units.update((n, u) for n, u in units if u.lower() not in NO_NAME)
        for line, cells in chain(first, rows):
            yield line, dict(zip(self.names, cells, strict=True))

    def _checked_rows(self, check: Callable[[list[str]], None]) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows behind the names, without what is empty behind the last of these."""
        n_names = n_columns = 0
        before = list[str]()
        for line, cells in self:
            if not self.names:
                n_names = max(place for place, cell in enumerate(cells, 1) if cell)
                n_columns = len(cells)
                check(cells[:n_names])
                self.set_names(cells[:n_names], range(n_names))
            elif len(cells) < n_names or any(cells[n_columns:]):
                raise DataError(
                    f"{self.file}: the row that ends in line {line} has {len(cells)} cells, the "
                    f"header {n_names}"
                )
            elif any(cells[n_names:]):
                raise self._nameless(n_names)
            else:
                self.check_index(line, cells)
                self._check_names_again(line, cells[:n_names], before)
                before = cells[:n_names]
                yield line, before

    def _check_names_again(self, line: int, cells: list[str], before: list[str]) -> None:
        """Refuse a table that was put behind another one with other columns, or another order.

        Its names stand where there were numbers, and one is that of a column of crystals, or half
        of them are known.
        """
        if cells == self.names:
            return
        told = [cell.lower() for cell in cells if len(cell) < _LONG and not is_missing_cell(cell)]
        n_known = sum(name in self._lower for name in told)
        has_crystals = any(name in CRYSTAL_NAMES for name in told)
        if not (n_known or has_crystals) or any(map(is_number, cells)):
            return
        pairs = zip(cells, before, strict=False)
        replaces = any(is_number(other) and not is_missing_cell(cell) for cell, other in pairs)
        are_names = has_crystals or 2 * n_known >= len(told)
        if {*cells} == {*self.names} or (replaces and are_names):
            raise DataError(
                f"{self.file}: line {line} names columns again, others or in another order; make "
                "two tables of it"
            )

    def set_names(self, names: list[str], places: Sequence[int]) -> None:
        """Set the names of the columns in these places of the file.

        Raises
        ------
        DataError
            If names are missing, but for the first column's, or come twice.
        """
        if twice := repeated(filter(None, names)):
            raise DataError(f"{self.file}: has several columns with the name {twice[0]!r}")
        for name, place in zip(names, places, strict=True):
            if not name and place != min(places):  # the first is the index of pandas
                raise self._nameless(place)
        self.names, self._lower = names, {name.lower() for name in names}

    def _nameless(self, place: int) -> DataError:
        return DataError(
            f"{self.file}: column {place + 1} has no name; write one above it, or remove the column"
        )

    def check_index(self, line: int, cells: list[str]) -> None:
        """Refuse a column without a name, where that of ids or crystals has a number not whole."""
        if self.names[0] or not cells[0]:
            return
        is_number = number(cells[0]) is not None
        for place, name in enumerate(self.names):
            if name.lower() not in CRYSTAL_NAMES or (is_number and name.lower() == "name"):
                continue  # a name may be 0.25 beside an index
            if number(cells[place]) is not None and not cells[place].isdecimal():
                raise DataError(
                    f"{self.file}: line {line} has {cells[0]!r} in a column without a name, and "
                    f"{cells[place]!r} as its {self.names[place]}: is the header shifted?"
                )

    def frame(self) -> Any:
        """Return all rows as a DataFrame, by their lines; None where a row is too short.

        Columns at the ends that are empty in every row are left out. An unusual separator or
        encoding becomes a remark.
        """
        import pandas as pd

        rows = list(self)
        columns = dict(enumerate(zip_longest(*(cells for _, cells in rows))))
        frame = pd.DataFrame(columns, [line for line, _ in rows], dtype=object)
        if self.separator not in (",", ""):
            name = _SEPARATORS.get(self.separator, repr(self.separator))
            self.remarks.insert(0, f"{name} between the columns")
        if self.encoding == "utf-16":
            self.remarks.insert(0, "UTF-16")
        places = {place for _, cells in rows for place, cell in enumerate(cells) if cell}
        return frame.iloc[:, min(places, default=0) : max(places, default=-1) + 1]

    def mended(self, cell: str, column: str, place: str) -> str:
        """Return a cell with a decimal point, if it is a number with a comma, which may be one.

        `problems` tells of columns whose cells, each in its place, do not go together.
        """
        value = number(cell)
        if value is not None and _LEADING_ZERO.match(cell):
            self._remark("numbers that begin with zeros", f"{cell} is {value:g}")
        has_comma = self.separator != "," and has_decimal_comma(cell)
        if column not in self._marks:
            self._marks[column] = Marks(self.separator)
        self._marks[column].add(cell, place)
        if not has_comma:
            return cell
        mended = cell.replace(",", ".")
        self._remark("decimal commas", f"{cell} is {mended}")
        return mended

    @property
    def problems(self) -> list[str]:
        """Of columns so far: points and commas that may be between thousands, or decimal ones."""
        columns = self._marks.values()
        decimal = {k: v for marks in columns for k, v in marks.decimal.items()}
        marked = {k: v for marks in columns for k, v in marks.first.items()} | decimal
        found = (marks.problem(decimal, marked) for marks in columns)
        return [problem for problem in found if problem]

    def _remark(self, what: str, example: str) -> None:
        """Add a remark with its first example."""
        if not any(remark.startswith(what) for remark in self.remarks):
            self.remarks.append(f"{what}: {example}")

    def end(self, problems: Sequence[str] = ()) -> None:
        """Refuse what is wrong with columns, and other problems; warn once of what is unusual.

        Raises
        ------
        DataError
            If there are problems; it lists them.
        """
        refuse(self.file, [*problems, *self.problems])
        self.remarks += filter(None, (marks.words(name) for name, marks in self._marks.items()))
        if self.remarks:
            warn_caller(f"{self.file}: read with {', '.join(self.remarks)}")
            self.remarks.clear()


def _find_separator(lines: list[str]) -> str:
    """Return what parts the cells of every row, a semicolon or tab before a comma."""
    for separator in (";", "\t"):
        rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        texts = [cells for cells in rows if "".join(cells).strip(" ,;\t")]
        if all(len(cells) > 1 or cells[0].lstrip().startswith("#") for cells in texts):
            return separator
    return ","
