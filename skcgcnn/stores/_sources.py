"""What a store is made from: a folder, a table, an archive, a database, or lines of JSON."""

import glob
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import matching, user_path
from skcgcnn._lazy import needed
from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import READABLE, is_cif_text, source_id
from skcgcnn.datasets import (
    TABLES,
    UNREADABLE,
    Sheet,
    Table,
    file_columns,
    find_table,
    id_columns,
    is_missing_cell,
    number,
    open_text,
    read_table,
)
from skcgcnn.exceptions import DataError
from skcgcnn.stores._archives import ARCHIVES, LIKE_CIFS, TARS, VASP_NAMES, tar_items, zip_items
from skcgcnn.stores._items import (
    DatabaseRow,
    Item,
    JsonLine,
    Refused,
    Values,
    bounded_lines,
    name_of_crystals,
    without_ending,
)
from skcgcnn.stores._row_names import RowNames

# The begin, a part or the end of a line of JSON, in the place of a name.
_IN_JSON = re.compile(r"""^\{\s*"|":|\d\s*\]\s*\}[\]}\s"]*$|^[^A-Za-z_{\[]*[\]}][^\w\]}]*$""")
_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
# Endings of files that hold many crystals.
_MANY = (*TABLES, *_LINES, *ARCHIVES, ".db")
_KINDS = (
    "a folder of crystals, a glob pattern, a table (.csv, .tsv, .xlsx), an archive of CIFs (.tar, "
    ".zip), an ASE database (.db), or lines of JSON (.jsonl)"
)


def refuse_many(path: Path, verb: str) -> None:
    """Refuse a file of many crystals where a store of it is needed, to `verb` that."""
    if path.is_file() and path.name.lower().endswith(_MANY):
        raise DataError(
            f"{path}: can hold many crystals; make a store of it first, with skcgcnn featurize "
            f"{path} --output STORE, and {verb} that"
        )


@dataclass(frozen=True)
class Source:
    """Where crystals come from.

    Attributes
    ----------
    name : str
        As it was given.
    items : iterator of Item
        The crystals, read from the disk as they are asked for.
    n_crystals : int or None
        How many there are, where that is known from the start.
    folder : Path or None
        The folder, if it is one: it can hold features of elements and groups.
    units : dict of str to str
        Of the properties, where the source tells them; those of a table as it is read.
    """

    name: str
    items: Iterator[Item]
    n_crystals: int | None = None
    folder: Path | None = None
    units: Mapping[str, str] = field(default_factory=dict)


def find_source(source: str | os.PathLike[str], crystal_column: str | None = None) -> Source:
    """Return the crystals of a source.

    Parameters
    ----------
    source : path
        See `featurize`.
    crystal_column : str, optional
        Name of the column of a table that holds the crystals.

    Raises
    ------
    DataError
        If it is something else.
    """
    name = os.fspath(source)
    path, lower = user_path(name), name.lower()
    if crystal_column is not None and not lower.endswith(TABLES):
        raise DataError(f"{name}: is not a table, so it has no column {crystal_column!r}")
    if path.is_dir():
        return _from_folder(name, path)
    if not path.exists() and glob.has_magic(name):
        return _from_paths(name, matching(path), _plain_part(path))
    if not path.is_file():
        raise DataError(f"{name}: no such file or folder; expected {_KINDS}")
    readers: list[tuple[tuple[str, ...], Callable[[], Source]]] = [
        (TABLES, lambda: _from_table(name, Sheet(path), crystal_column)),
        (_LINES, lambda: Source(name, _from_lines(path))),
        (TARS, lambda: Source(name, tar_items(path))),
        ((".zip",), lambda: Source(name, *zip_items(path))),
        ((".db",), lambda: _from_database(name, path)),
    ]
    for suffixes, read in readers:
        if lower.endswith(suffixes):
            return read()
    raise DataError(f"{name}: is an unsupported source; expected {_KINDS}")


def _from_folder(name: str, folder: Path) -> Source:
    if find_table(folder):
        table = read_table(folder, on_missing="keep")
        columns = [column.tolist() for column in table.columns]
        items = (
            Item(path, cif_id, path, dict(zip(table.names, values, strict=True)))
            for cif_id, path, *values in zip(table.cif_ids, table.paths, *columns, strict=True)
        )
        return Source(name, items, len(table.paths), folder, table.units)
    return _from_paths(name, list(_walk(folder)), folder, folder)


def _plain_part(pattern: Path) -> Path:
    """Return the folder in which a pattern begins."""
    while glob.has_magic(str(pattern)):
        pattern = pattern.parent
    return pattern


def _walk(folder: Path) -> Iterator[str]:
    """Yield the files of crystals in a folder and those below it, in order.

    Links to other folders are followed; one that cannot be listed is an error, for its crystals
    would be missing. A warning tells of files that may hold crystals and are left out.
    """
    roots = [folder.resolve()]
    left_out = list[str]()

    def is_new(path: Path) -> bool:
        if not path.is_symlink():
            return len(roots) == 1 or path.resolve() not in roots  # a link led here before
        target = path.resolve()
        if any(target.is_relative_to(root) for root in roots):
            return False  # its crystals come anyway
        if any(place.is_relative_to(target) for place in (roots[0], path.parent.resolve())):
            return False  # again and again
        roots.append(target)
        return True

    for where, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        folders[:] = [name for name in sorted(folders) if is_new(Path(where, name))]
        for file in sorted(files):
            path = Path(where, file)
            if file.lower().endswith(READABLE):
                yield str(path)
            elif _may_be_crystals(path):
                left_out.append(str(path))
    if left_out:
        more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        warn_caller(
            f"left out: {left_out[0]}{more}. It leads to nothing, or is not named as the crystals "
            "in a folder are; rename it, or name such files by a pattern"
        )


def _may_be_crystals(path: Path) -> bool:
    """Tell whether a file that is not read may hold crystals: by its name, or as a broken link."""
    name = path.name.lower()
    if name.startswith("."):
        return False
    by_name = any(part in name for part in LIKE_CIFS) or name.startswith(VASP_NAMES)
    return by_name or (path.is_symlink() and not path.exists())


def _raise(error: OSError) -> None:
    raise error


def _from_paths(name: str, paths: list[str], root: Path, folder: Path | None = None) -> Source:
    if not paths:
        raise DataError(f"{name}: holds no files of crystals")
    items = (Item(path, _id_below(path, root), path, {}) for path in paths)
    return Source(name, items, len(paths), folder)


def _id_below(path: str, root: Path) -> str:
    """Return the name of a crystal: files of one name in several folders are told apart."""
    inner = Path(os.path.relpath(Path(path).parent, root)).as_posix()
    stem = source_id(path, 0)
    return stem if inner == "." else f"{inner}/{stem}"


def _from_table(name: str, sheet: Sheet, crystal_column: str | None) -> Source:
    return Source(name, _rows_of(sheet, crystal_column), units=sheet.units)


def _rows_of(sheet: Sheet, crystal_column: str | None) -> Iterator[Item]:
    """Yield the rows of a table, one of whose columns holds paths, CIFs or lines of JSON."""
    path = sheet.file

    def check(names: list[str]) -> None:
        # Where the first of them is cut, a name begins within a line of JSON.
        texts = (n for n in names if is_cif_text(n) or _IN_JSON.search(n))
        if any(texts) or any(_is_crystal_file(path.parent / name) for name in names):
            raise DataError(
                f"{path}: begins with a crystal; expected a header with names of columns"
            )

    crystal, id_name, has_odd, row_names = "", None, False, RowNames()
    is_named = is_there = False
    for place, (line, row) in enumerate(sheet.records(check), 1):
        if place == 1:
            crystal = crystal_column or _crystal_column(path, [*row])
            if crystal not in row:
                raise DataError(f"{path}: has no column {crystal!r}; it has {', '.join(row)}")
            id_name = next((n for n in id_columns(row) if n != crystal), None)
            is_named = crystal in file_columns(row)
            is_there = _is_content(row[crystal]) or _is_file(_file_of(path, row[crystal]))
        # One with such a name is meant, unless the first row has no crystal in it.
        if crystal_column is None and not (is_named and (place > 1 or is_there)):
            _check_crystals(path, row, crystal)
        values: Values = {
            name: sheet.mended(cell, name, f"line {line}")
            for name, cell in row.items()
            if name and name not in (crystal, id_name)
        }
        nameless = row.get("", "")
        has_odd |= crystal != "" and nameless != "" and not nameless.isdecimal()  # no index
        own_id = None if id_name is None else row[id_name] or f"row {place}"
        if own_id:
            row_names.add(own_id, row[crystal])
        yield _row(path, place, row[crystal], own_id, values)
    sheet.remarks += row_names.remarks()
    sheet.remarks += ["a column without a name left out"] * has_odd
    sheet.end()


def read_folder(folder: Path, columns: Sequence[str] | None = None) -> Table:
    """Read a folder with or without ``id_prop.csv``; files of crystals may be missing.

    Parameters
    ----------
    folder : Path
        It may hold folders with crystals, where it has no table.
    columns : sequence of str, optional
        Those to read, where they are there; by default all.

    Raises
    ------
    DataError
        If it holds neither a table nor files of crystals, or the table cannot be read.
    """
    if find_table(folder):
        return read_table(folder, on_missing="keep", columns=columns)
    paths = list(_walk(folder))
    if not paths:
        raise DataError(f"{folder}: holds neither id_prop.csv nor files of crystals")
    return Table(folder, [_id_below(path, folder) for path in paths], paths, [], [])


def read_paths(path: Path, numbers: Sequence[str] = (), others: Sequence[str] | None = ()) -> Table:
    """Read a table whose crystals are files.

    Parameters
    ----------
    path : Path
        A file with a header.
    numbers : sequence of str, default=()
        Names of columns of numbers to read, if they are there.
    others : sequence of str or None, default=()
        Names of columns to read that may hold texts, if they are there; None is all columns.

    Raises
    ------
    DataError
        If it holds something else than paths.
    """
    sheet = Sheet(path)
    items = list(_rows_of(sheet, None))
    if not items:
        raise DataError(f"{path}: holds no crystal")
    for item in items:
        if isinstance(item.source, Refused):
            raise DataError(f"{item.name}: {item.source.reason}; give a path, or remove the row")
        if item.source != item.name:  # the content of a crystal
            raise DataError(
                f"{item.name}: holds no path of a crystal. A table with their content becomes a "
                f"store first, with skcgcnn featurize {path} --output STORE"
            )
    there = list(items[0].values)
    names = there if others is None else [n for n in (*numbers, *others) if n in there]
    ids, values = [item.id for item in items], []
    for name in names:
        cells = [str(item.values[name]) for item in items]
        for cif_id, cell in zip(ids, cells, strict=True):
            if name in numbers and number(cell) is None and not is_missing_cell(cell):
                raise DataError(f"{path}: {cif_id!r} has {cell!r} for {name}; write a number")
        values.append(_column(name, cells))
    return Table(path, ids, [item.source for item in items], names, values, sheet.units)


def _column(name: str, cells: list[str]) -> npt.NDArray[Any]:
    """Return a column: floats, or objects where not all cells are numbers."""
    numbers = np.array([number(cell) for cell in cells], dtype=np.float64)
    is_text = np.isnan(numbers) & ~np.array([is_missing_cell(cell) for cell in cells], dtype=bool)
    if not is_text.any():
        return numbers
    if not np.isnan(numbers).all():
        one, other = (cells[int(rows.argmax())] for rows in (~np.isnan(numbers), is_text))
        warn_caller(
            f"column {name!r} holds numbers and texts, such as {one!r} and {other!r}: all are "
            "taken for texts"
        )
    return np.array([np.nan if is_missing_cell(c) else c for c in cells], dtype=object)


def _crystal_column(path: Path, names: Sequence[str]) -> str:
    """Return the name of the column that holds the crystals: that of files, else that of ids."""
    found = file_columns(names) or id_columns(names)[:1]
    if len(found) == 1:
        return found[0]
    raise _unclear(path, names)


def _unclear(path: Path, names: Sequence[str]) -> DataError:
    return DataError(
        f"{path}: it is not clear which column holds the crystals, of {', '.join(names)}; write "
        "'path' or 'cif' above that one alone, or name it (--crystal-column)"
    )


def _check_crystals(path: Path, row: Mapping[str, str], crystal: str) -> None:
    """Refuse a row with a crystal in another column than that which should hold them.

    As of jobs with their structures before and after, of which some did not end.
    """
    for name, cell in row.items():
        if name != crystal and (_is_content(cell) or _is_crystal_file(path.parent / cell)):
            raise _unclear(path, [crystal, name])


def _is_content(cell: str) -> bool:
    """Tell whether a cell is the text of a CIF, or JSON with a crystal."""
    is_json = cell.startswith("{") and name_of_crystals(cell) is not None
    return is_json or is_cif_text(cell)


def _is_crystal_file(path: Path) -> bool:
    name = path.name.lower()
    return (name.endswith(READABLE) or name.startswith(VASP_NAMES)) and _is_file(path)


def _file_of(path: Path, cell: str) -> Path:
    """Return the file that a cell of a table names, perhaps without its ending."""
    files = [path.parent / f"{cell}{suffix}" for suffix in ("", ".cif", ".cif.gz")]
    return next(filter(_is_file, files), files[0])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that cannot name a file
        return False


def _row(path: Path, place: int, cell: str, own_id: str | None, values: Values) -> Item:
    stem, name = own_id, f"{path}: row {place}"
    own_id = own_id or str(place - 1)
    if is_cif_text(cell):
        return Item(cell, own_id, name, values)
    if cell.startswith("{"):
        return Item(JsonLine(cell), own_id, name, values)
    if not cell:
        return Item(Refused("names no crystal"), own_id, name, values)
    file = _file_of(path, cell)
    return Item(str(file), stem or without_ending(cell), str(file), values)


def _from_lines(path: Path) -> Iterator[Item]:
    name: str | None = None
    try:
        with open_text(path) as file:
            for place, line in enumerate(bounded_lines(file), 1):
                if isinstance(line, Refused):
                    yield Item(line, "", f"{path}: line {place}", {})
                elif line.strip():
                    name = name_of_crystals(line) if name is None else name
                    yield Item(JsonLine(line, name or ""), "", f"{path}: line {place}", {})
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _check_database(path: Path) -> None:
    """Refuse rows that are made as they are read, of which there may be any number."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        made = file.execute("SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index')")
        if row := made.fetchone():
            raise ValueError(f"{row[0]} is no table")
        columns = file.execute("SELECT name FROM pragma_table_xinfo('systems') WHERE hidden > 1")
        if row := columns.fetchone():
            raise ValueError(f"its column {row[0]} is made as it is read")


def _from_database(name: str, path: Path) -> Source:
    with needed("ASE databases need ASE", "skcgcnn[ase]"):
        from ase.db import connect
    try:
        _check_database(path)
        found = connect(path).select(columns=["id", "unique_id"])
        rows = sorted((row.id, row.unique_id) for row in found)
    except Exception as error:
        raise DataError(f"{name}: is not an ASE database ({error!r})") from error
    items = (Item(DatabaseRow(str(path), n, u), str(n), f"{path}: row {n}", {}) for n, u in rows)
    return Source(name, items, len(rows))
