"""What stands where in a table of crystals: ids, names of columns, units, numbers and texts."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.datasets._cells import has_decimal_comma, is_missing_cell, is_number, number
from skcgcnn.datasets._column_names import (
    CRYSTAL_NAMES,
    file_columns,
    is_index_name,
    named_columns,
    shifted_header,
)
from skcgcnn.datasets._crystal_files import CrystalFolder, crystal_name
from skcgcnn.datasets._id_column import IdColumn
from skcgcnn.datasets._tables import Sheet, refuse
from skcgcnn.exceptions import DataError

# What is like a number with a sign, decimals, thousands or an error, or is followed by a unit. Not
# "2D", a date, a version, the number of a paper, a range, or a name such as 1,4-BDC.
_SIGN = "[+\u2212\u2013-]"
_LIKE_A_NUMBER = re.compile(
    rf"{_SIGN}\d+([.,]\d+)?(\s|\(|$)|\d+ +[^\W\d]|{_SIGN}?\d{{1,3}}([.,]\d{{3}})+[.,]\d"
    rf"|{_SIGN}?(?!\d+\.\d{{4,}}/)\d+[.,]\d+(?![.,]?\d|[-'\u2019])"
    r"|\d+\s*([%\u00b0]$|\u00b1|\(\d+\)$)"
)
# Of the rows of a column of ids, which hardly repeat, how many differ at least.
_HARDLY_REPEATS = 0.9
# From this many on, whole numbers in two columns next to each other are rather decimals.
_DIGITS_OF_DECIMALS = 3
_COMMA_HINT = (
    ". If these are decimal commas, write decimal points, or put semicolons between the columns"
)


def find_ids(sheet: Sheet, files: CrystalFolder) -> Any:
    """Return a table whose first column is that of the ids, without an index of pandas.

    Parameters
    ----------
    sheet : Sheet
        The table, the header among its rows. It is remarked there what is done.
    files : CrystalFolder
        The files that ids name.

    Raises
    ------
    DataError
        If nothing tells which column has the ids.
    """
    frame = sheet.frame()
    if not len(frame) or frame.shape[1] < 2:
        return frame
    naming = [
        str(place)
        for place, name in enumerate(frame, 1)
        if _are_ids(frame[name].tolist(), files.has_exactly)
    ]
    if len(naming) > 1 and len(frame) > 2:  # without a header, such as a frame and its index
        raise DataError(
            f"{sheet.file}: each of the columns {', '.join(naming)} names crystals; begin with "
            "a line of names, such as 'id,energy'"
        )
    names = [str(cell) for cell in frame.iloc[0]]
    is_named = is_index_name(names[0]) or named_columns(names)
    if is_named or not any(number(name) is not None or files.has(name) for name in names):
        return _with_named_ids(sheet, files, names, frame)
    if _has_count(frame, files):
        sheet.remarks.append("an index column")
        frame = frame.iloc[:, 1:]
    found = [{cell for cell in frame[name] if _exists(cell, files)} for name in frame]
    sizes = [(len(cells), sum(map(files.has_exactly, cells))) for cells in found]
    many = max(2, len(frame) // 2)
    # Different ones, more than one: that a value has the name of a file says nothing.
    if sizes[0][0] > 1:
        place = 0
        others = _others_than_the_first(frame, sizes, many)
    else:
        place = max(range(len(sizes)), key=sizes.__getitem__)
        if sizes[place][0] < many:
            return frame
        others = [other for other, size in enumerate(sizes) if size == sizes[place]]
    ids = frame.iloc[:, place].tolist()
    for other in others:
        if frame.iloc[:, other].tolist() != ids:
            raise DataError(
                f"{sheet.file}: columns {place + 1} and {other + 1} both name crystals; write 'id' "
                "above that which counts"
            )
    return _with_first(sheet, frame, place, files) if place else frame


def _others_than_the_first(frame: Any, sizes: Sequence[tuple[int, int]], many: int) -> list[int]:
    """Return the columns that may have the ids, where the first of a frame may be an index.

    Parameters
    ----------
    frame : DataFrame
    sizes : sequence of (int, int)
        How many crystals each column names, and how many of them exactly.
    many : int
        So many that it may be no chance.
    """
    frame = frame.drop_duplicates()
    first = frame.iloc[:, 0].tolist()
    first = first if first[0].isdecimal() else first[1:]  # behind what may be a header
    numbers = [(len(cell.lstrip("0")), cell.lstrip("0")) for cell in first]
    is_index = all(map(str.isdecimal, first)) and numbers == sorted(numbers)
    return [
        place
        for place, size in enumerate(sizes)
        # A column of ids hardly repeats; one of whole numbers may name crystals by chance.
        if size[0] >= many
        and frame.iloc[:, place].nunique() > _HARDLY_REPEATS * len(frame)
        and (is_index or size[1] > sizes[0][1])
    ]


def _with_named_ids(sheet: Sheet, files: CrystalFolder, names: list[str], frame: Any) -> Any:
    """Return a table with a header so that its first column is that of the ids."""
    columns = [frame.iloc[1:, place].tolist() for place in range(frame.shape[1])]
    named = [columns[names.index(one)] for one in named_columns(names)]
    if not any(_exists(cell, files) for cells in named for cell in cells):
        named = columns
    exact = (len({c for c in cells if c and files.has_exactly(c)}) for cells in named)
    # Names without their zeros count where there are no others.
    has = files.has_exactly if 2 * max(exact) >= len(columns[0]) else files.has

    def crystals(place: int) -> list[str | None]:
        is_file = bool(file_columns([names[place]]))
        return [_crystal(cell, has, is_file=is_file) for cell in columns[place]]

    found = IdColumn(sheet.file, names, columns, crystals)
    if found.place is None:
        return frame
    cells, ids = columns[found.place], found.crystals_in(found.place)
    if not any(ids) and any(map(_is_decimal, cells)):
        return frame  # a shifted header, which is refused later
    if found.n_index:
        sheet.remarks.append("an index column")
    elif found.is_index:
        sheet.remarks.append("its index as the ids")
    if file_columns([names[found.place]]):  # perhaps with folders that are not there
        frame = frame.copy()
        frame.iloc[1:, found.place] = [a or b for a, b in zip(ids, cells, strict=True)]
    frame = frame.iloc[:, found.n_index :]
    place = found.place - found.n_index
    return _with_first(sheet, frame, place, files) if place else frame


def _is_decimal(cell: str | None) -> bool:
    return is_number(cell or "") and not (cell or "").isdecimal()


def _with_first(sheet: Sheet, frame: Any, place: int, files: CrystalFolder) -> Any:
    """Return a table with another column as the first."""
    name = frame.iat[0, place]
    name = place + 1 if _exists(name, files) else repr(name)
    sheet.remarks.append(f"column {name} as that of the ids, for it matches the file names")
    return frame.iloc[:, [place, *(i for i in range(frame.shape[1]) if i != place)]]


def _crystal(cell: str | None, has: Callable[[str], bool], *, is_file: bool) -> str | None:
    """Return the crystal that a cell names; of a file, wherever the table was made."""
    for name in (cell, re.split(r"[/\\]", cell or "")[-1] if is_file else None):
        if name is not None and has(name):
            return crystal_name(name)
    return None


def _are_ids(cells: list[str], has: Callable[[str], bool]) -> bool:
    """Tell whether each cell names a crystal, and each another one."""
    return 0 < len(cells) == len(set(cells)) and all(c is not None and has(c) for c in cells)


def _has_count(frame: Any, files: CrystalFolder) -> bool:
    """Tell whether the first column of a table without a header counts its rows beside crystals."""
    cells = frame.iloc[:, 0].tolist()
    if len(cells) < 3 or cells != [str(i) for i in range(len(cells))]:
        return False
    others = [frame.iloc[:, place].tolist() for place in range(1, frame.shape[1])]
    exact = all(map(files.has_exactly, cells))
    return not exact and any(_are_ids(column, files.has_exactly) for column in others)


def take_header(
    frame: Any, files: CrystalFolder, remarks: list[str], units: list[str]
) -> tuple[list[str] | None, Any]:
    """Return the names of the columns, if there are some, and the rows without these and units.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    files : CrystalFolder
        The crystals.
    remarks : list of str
        What is unusual is appended.
    units : list of str
        Those of a row of units are appended, one for every column.
    """
    if not len(frame) or not _is_header(frame, files):
        return None, frame
    header, frame = _cells(frame, 0), frame.iloc[1:]
    if len(frame) > 1 and _is_unit_row(_cells(frame, 0), _cells(frame, 1), files):
        remarks.append("a row of units")
        units += _cells(frame, 0)
        frame = frame.iloc[1:]
    return header, frame


def _cells(frame: Any, row: int) -> list[str]:
    return [cell for cell in frame.iloc[row] if cell is not None]


def _is_header(frame: Any, files: CrystalFolder) -> bool:
    cif_id, *values = _cells(frame, 0)
    known = [value for value in values if not is_missing_cell(value)]
    texts = [value for value in known if number(value) is None]
    if _exists(cif_id, files) or (values and not texts):
        return False
    is_named = cif_id.lower() in CRYSTAL_NAMES or is_index_name(cif_id)
    if len(texts) < len(known) and not is_named:  # a crystal without a file
        return False
    if not values:  # ids alone: a missing file does not make the first one a name
        return cif_id.lower() in CRYSTAL_NAMES
    # Neither a crystal nor numbers: names of columns, unless its texts come again as labels.
    return not (texts and set(texts) <= set(frame.iloc[1:, 1:].to_numpy().ravel()))


def _is_unit_row(cells: list[str], following: list[str], files: CrystalFolder) -> bool:
    """Tell whether a row without a crystal has texts where the next one has numbers."""
    return (
        len(cells) == len(following) > 1
        and not _exists(cells[0], files)
        and all(number(cell) is None for cell in cells[1:])
        and any(is_number(cell) for cell in following[1:])
        and _exists(following[0], files)
    )


def _exists(cell: str | None, files: CrystalFolder) -> bool:
    return cell is not None and files.has(cell)


def check_shape(sheet: Sheet, header: list[str] | None, frame: Any, *, values: bool) -> None:
    """Refuse rows of different lengths, a shifted header, and values that were split.

    Values are split where decimal commas were taken for commas between columns.

    Parameters
    ----------
    sheet : Sheet
        Where they come from.
    header : list of str or None
        Names of the columns.
    frame : DataFrame
        The rows.
    values : bool
        Whether there should be more than ids.

    Raises
    ------
    DataError
        If they are such.
    """
    line, first = frame.index[0], _cells(frame, 0)
    lengths, file = frame.notna().sum(axis=1), sheet.file
    if header is not None and len(header) != len(first):
        hint = _COMMA_HINT if len(first) > len(header) and sheet.separator == "," else ""
        raise DataError(
            f"{file}: the header has {len(header)} columns ({', '.join(header)}), but line {line} "
            f"has {len(first)} ({', '.join(first)}){hint}"
        )
    refuse(
        file,
        [
            f"line {other}: has {n} columns, but the first crystal has {len(first)}"
            for other, n in lengths.items()
            if n != len(first)
        ],
    )
    if header is not None:
        sheet.set_names(header, frame.columns.tolist())
        if not header[0]:
            for other, cells in zip(frame.index, frame.to_numpy().tolist(), strict=True):
                sheet.check_index(other, cells)
            _check_ids(sheet, frame)
    if values and len(first) < 2:
        raise DataError(f"{file}:\n  line {line}: expected 'cif_id,value' or 'cif_id,value,label'")
    if values and header is None and sheet.separator == "," and _looks_split(frame):
        raise DataError(f"{file}: line {line} is {','.join(first)!r}{_COMMA_HINT}")


def _check_ids(sheet: Sheet, frame: Any) -> None:
    """Refuse a column without a name that has the ids beside one of their name that has others."""
    different = frame[~frame.duplicated()]
    # Under other names may stand what several crystals have, such as that of the pure crystal.
    for place, name in enumerate(sheet.names):
        cells = different.iloc[:, place] if name.lower() in ("id", "cif_id") else []
        known = [cell for cell in cells if not is_missing_cell(cell)]
        if len(set(known)) < len(known):
            twice = Counter(known).most_common(1)[0][0]
            raise DataError(
                f"{sheet.file}: its first column has no name, and column {name!r} has {twice!r} "
                "twice: is the header shifted?"
            )
    if all(map(is_missing_cell, frame.iloc[:, -1])):
        raise shifted_header(sheet.file, sheet.names[-1])


def named_places(sheet: Sheet, header: list[str] | None, n_columns: int) -> list[int]:
    """Return the places of columns but one without a name behind that of the ids, an index."""
    if header is None or "" not in header[1:]:
        return list(range(n_columns))
    sheet.remarks.append("a column without a name left out")
    return [place for place, name in enumerate(header) if name or place == 0]


def _looks_split(frame: Any) -> bool:
    """Tell whether values were split at decimal commas: ``18517,2,7092`` for 2.7092.

    It is so where both columns hold nothing but digits, and the second more than labels do.
    """
    if frame.shape[1] != 3:
        return False
    whole, decimals = (frame.iloc[:, i].tolist() for i in (1, 2))
    return (
        all(re.fullmatch(rf"{_SIGN}?\d+", cell) for cell in whole)
        and all(map(str.isdecimal, decimals))
        and any(
            len(cell) >= _DIGITS_OF_DECIMALS or (len(cell) > 1 and cell.startswith("0"))
            for cell in decimals
        )
    )


def read_column(sheet: Sheet, name: str, cells: Any, problems: list[str]) -> npt.NDArray[Any]:
    """Return a column: floats, or objects where it holds text; NaN is missing.

    Parameters
    ----------
    sheet : Sheet
        Where it comes from.
    name : str
        Of the column.
    cells : Series of str
        The column, by lines.
    problems : list of str
        What is wrong with it is appended.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    mended = [sheet.mended(cell, name, f"line {line}") for line, cell in cells.items()]
    numbers = [number(cell) for cell in mended]
    texts = [
        (line, cell)
        for line, cell, value in zip(cells.index, cells, numbers, strict=True)
        if value is None and not is_missing_cell(cell)
    ]
    is_text = texts and not any(value is not None for value in numbers)
    # One of many texts may begin with a number.
    like = [cell for _, cell in texts if _LIKE_A_NUMBER.match(cell)]
    if is_text and 2 * len(like) < len(texts):
        return np.array([math.nan if is_missing_cell(c) else c for c in mended], dtype=object)
    problems += [f"line {line}: {cell!r} is not a number{_remedy(cell)}" for line, cell in texts]
    return np.array([math.nan if value is None else value for value in numbers], dtype=np.float64)


def _remedy(cell: str) -> str:
    if has_decimal_comma(cell):
        return "; write a decimal point instead of the comma"
    return "; write the number alone" if _LIKE_A_NUMBER.match(cell) else ""
