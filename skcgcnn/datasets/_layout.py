"""What stands where in a table of crystals: ids, names of columns, units, numbers and texts."""

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.datasets._cells import (
    has_decimal_comma,
    has_decimals,
    is_like_a_number,
    is_missing_cell,
    is_number,
    number,
)
from skcgcnn.datasets._column_names import (
    CRYSTAL_NAMES,
    file_columns,
    id_columns,
    is_index_name,
    shifted_header,
)
from skcgcnn.datasets._crystal_files import CrystalFolder, crystal_name, names_of_crystal
from skcgcnn.datasets._id_column import find_id_column
from skcgcnn.datasets._tables import Sheet, refuse
from skcgcnn.exceptions import DataError

_SIGN = "[+\u2212\u2013-]"
# Of the rows of a column of ids, which hardly repeat, how many differ at least.
_HARDLY_REPEATS = 0.9
# From this many on, whole numbers in two columns next to each other are rather decimals.
_DIGITS_OF_DECIMALS = 3
_COMMA_HINT = (
    ". If these are decimal commas, write decimal points, or put semicolons between the columns"
)


def read_layout(sheet: Sheet, files: CrystalFolder) -> tuple[list[str] | None, Any, list[str]]:
    """Return names of columns, if there are some, the rows, ids first, and a row of units.

    Without names of columns, the first has the ids, as with CGCNN.

    Parameters
    ----------
    sheet : Sheet
        The table. It is remarked there what is unusual.
    files : CrystalFolder
        The files that ids name.

    Returns
    -------
    header : list of str or None
    rows : DataFrame
        Without an index of pandas.
    units : list of str
        One for every column, or none.

    Raises
    ------
    DataError
        If another column may be meant.
    """
    frame, units = sheet.frame(), list[str]()
    if not len(frame) or not _is_header(frame, files):
        _check_first_column(sheet, frame, files)
        return None, frame, units
    if frame.shape[1] > 1 and len(frame) > 1:
        _check_header(sheet, frame)
        frame = _with_ids_first(sheet, frame, files)
    header, frame = _cells(frame, 0), frame.iloc[1:]
    if len(frame) > 1 and _is_unit_row(_cells(frame, 0), _cells(frame, 1), files):
        sheet.remarks.append("a row of units")
        units = _cells(frame, 0)
        frame = frame.iloc[1:]
    return header, frame, units


def _check_first_column(sheet: Sheet, frame: Any, files: CrystalFolder) -> None:
    """Refuse a table without a header where another column than the first may have the ids."""
    if not len(frame):
        return
    frame = frame.drop_duplicates()
    columns = [frame.iloc[:, place].fillna("").tolist() for place in range(frame.shape[1])]
    found = [{cell for cell in cells if files.has(cell)} for cells in columns]
    exact = [sum(map(files.has_exactly, cells)) for cells in found]
    # Numbers that ascend may be those of the rows.
    numbers = [(len(cell.lstrip("0")), cell.lstrip("0")) for cell in columns[0]]
    is_index = all(map(str.isdecimal, columns[0])) and numbers == sorted(numbers)
    for place in range(1, frame.shape[1]):
        # A column of ids hardly repeats; one of whole numbers may name crystals by chance.
        hardly_repeats = len({*columns[place]}) > _HARDLY_REPEATS * len(frame)
        is_many = len(found[place]) >= max(2, len(frame) // 2)
        may_count = is_index or exact[place] >= exact[0]
        if hardly_repeats and is_many and may_count and columns[place] != columns[0]:
            raise DataError(
                f"{sheet.file}: column {place + 1} names crystals, and the first should; begin "
                "with a line of names, such as 'id,energy'"
            )


def _check_header(sheet: Sheet, frame: Any) -> None:
    """Refuse a header that is not as long as the row below it."""
    header, first = _cells(frame, 0), _cells(frame, 1)
    if len(header) == len(first):
        return
    hint = _COMMA_HINT if len(first) > len(header) and sheet.separator == "," else ""
    if len(first) == len(header) + 1:
        hint += ". If the first ones are names of rows, as R writes them, name their column, too"
    raise DataError(
        f"{sheet.file}: the header has {len(header)} columns ({', '.join(header)}), but line "
        f"{frame.index[1]} has {len(first)} ({', '.join(first)}){hint}"
    )


def _with_ids_first(sheet: Sheet, frame: Any, files: CrystalFolder) -> Any:
    """Return a table with a header so that its first column is that of the ids."""
    names = [str(cell or "") for cell in frame.iloc[0]]
    columns = [frame.iloc[1:, place].tolist() for place in range(frame.shape[1])]
    exact = (len({c for c in cells if c and files.has_exactly(c)}) for cells in columns)
    many = [place for place, n_exact in enumerate(exact) if 2 * n_exact >= len(columns[0])]
    has_named = any(names[place].lower() in CRYSTAL_NAMES for place in many)

    def crystals(place: int) -> list[str | None]:
        # Numbers of rows are no names without their zeros where there are others.
        is_named = names[place].lower() in CRYSTAL_NAMES
        is_count = bool(many) and is_index_name(names[place])
        has = files.has_exactly if is_count or (has_named and not is_named) else files.has
        is_file = bool(file_columns([names[place]]))
        return [_crystal(cell, has, is_file=is_file) for cell in columns[place]]

    place, found, n_index = find_id_column(sheet.file, names, columns, crystals)
    if place and not any(found) and has_decimals(columns[place]):
        raise DataError(
            f"{sheet.file}: column {names[place]!r} holds numbers such as "
            f"{next(filter(None, columns[place]))!r}, and no names of crystals: is the header "
            "shifted?"
        )
    if n_index:
        sheet.remarks.append("an index column")
    elif is_index_name(names[place]) and any(found):
        sheet.remarks.append("its index as the ids")
    elif place:
        sheet.remarks.append(f"column {names[place]!r} as that of the ids")
    # Paths perhaps with folders that are not there.
    frame = frame.copy()
    frame.iloc[1:, place] = [a or b for a, b in zip(found, columns[place], strict=True)]
    others = (i for i in range(n_index, frame.shape[1]) if i != place)
    return frame.iloc[:, [place, *others]]


def _crystal(cell: str | None, has: Callable[[str], bool], *, is_file: bool) -> str | None:
    """Return the crystal that a cell names."""
    if cell is None:
        return None
    names = names_of_crystal(cell, is_file=is_file or crystal_name(cell) != cell)
    return next((crystal_name(name) for name in names if has(name)), None)


def _cells(frame: Any, row: int) -> list[str]:
    return [cell for cell in frame.iloc[row] if cell is not None]


def _is_header(frame: Any, files: CrystalFolder) -> bool:
    cif_id, *values = _cells(frame, 0)
    known = [value for value in values if not is_missing_cell(value)]
    texts = [value for value in known if number(value) is None]
    if _exists(cif_id, files) or number(cif_id) is not None or (values and not texts):
        return False
    is_named = cif_id.lower() in CRYSTAL_NAMES or is_index_name(cif_id) or id_columns(values)
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

    It is so where both columns of each value hold nothing but digits, and the second more than
    labels do.
    """
    if frame.shape[1] % 2 == 0 or frame.shape[1] == 1:
        return False
    columns = [frame.iloc[:, place].tolist() for place in range(1, frame.shape[1])]
    return (
        all(re.fullmatch(rf"{_SIGN}?\d+", cell) for whole in columns[::2] for cell in whole)
        and all(cell.isdecimal() for decimals in columns[1::2] for cell in decimals)
        and all(
            any(len(cell) >= _DIGITS_OF_DECIMALS or re.match(r"0\d", cell) for cell in decimals)
            for decimals in columns[1::2]
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
    like = [cell for _, cell in texts if is_like_a_number(cell)]
    if is_text and 2 * len(like) < len(texts):
        return np.array([math.nan if is_missing_cell(c) else c for c in mended], dtype=object)
    problems += [f"line {line}: {cell!r} is not a number{_remedy(cell)}" for line, cell in texts]
    return np.array([math.nan if value is None else value for value in numbers], dtype=np.float64)


def _remedy(cell: str) -> str:
    if has_decimal_comma(cell):
        return "; write a decimal point instead of the comma"
    return "; write the number alone" if is_like_a_number(cell) else ""
