"""What a store is made from: a folder, a table, an archive, a database, or lines of JSON."""

import codecs
import csv
import glob
import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

from skcgcnn._files import user_path
from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import MAX_BYTES, READABLE, is_cif_text, source_id
from skcgcnn.datasets import is_missing_cell, number, read_table, with_point
from skcgcnn.exceptions import DataError
from skcgcnn.stores._archives import tar_items, zip_items
from skcgcnn.stores._items import (
    ID_NAMES,
    TOO_LARGE,
    DatabaseRow,
    Item,
    JsonLine,
    Refused,
    Values,
)

_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CRYSTAL_NAMES = ("cif", "structure", "path", "file", "filename", "crystal", *ID_NAMES)
_UNREADABLE = (UnicodeError, OSError, EOFError, zlib.error)
# Endings of files that hold many crystals.
MANY = (*_TABLES, *_LINES, *_TARS, ".zip", ".db")
_KINDS = (
    "a folder of crystals, a glob pattern, a table (.csv, .tsv), an archive of CIFs (.tar, .zip), "
    "an ASE database (.db), or lines of JSON (.jsonl)"
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
    """

    name: str
    items: Iterator[Item]
    n_crystals: int | None = None
    folder: Path | None = None


def find_source(source: str | os.PathLike[str], crystal_column: str | None = None) -> Source:
    """Return the crystals of a source.

    Parameters
    ----------
    source : path
        See `featurize`.
    crystal_column : str, optional
        Name of the column of a table that holds the crystals.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If it is none of them.
    """
    name = os.fspath(source)
    path, lower = user_path(name), name.lower()
    if crystal_column is not None and not lower.endswith(_TABLES):
        raise DataError(f"{name}: is no table, so that it has no column {crystal_column!r}")
    if path.is_dir():
        return _from_folder(name, path)
    if not path.exists() and glob.has_magic(name):
        # sorted: the order of a folder is not the same everywhere.
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207 - pathlib needs its root
        return _from_paths(name, sorted(found), _plain_part(path))
    if not path.is_file():
        raise DataError(f"{name}: no such file or folder; expected {_KINDS}")
    readers: list[tuple[tuple[str, ...], Callable[[], Source]]] = [
        (_TABLES, lambda: Source(name, _from_table(path, crystal_column))),
        (_LINES, lambda: Source(name, _from_lines(path))),
        (_TARS, lambda: Source(name, tar_items(path))),
        ((".zip",), lambda: Source(name, *zip_items(path))),
        ((".db",), lambda: _from_database(name, path)),
    ]
    for suffixes, read in readers:
        if lower.endswith(suffixes):
            return read()
    raise DataError(f"{name}: is none of what is read; expected {_KINDS}")


def _from_folder(name: str, folder: Path) -> Source:
    if (folder / "id_prop.csv").is_file():
        table = read_table(folder, on_missing="keep")
        columns = [column.tolist() for column in table.columns]
        items = (
            Item(path, cif_id, path, dict(zip(table.names, values, strict=True)))
            for cif_id, path, *values in zip(table.cif_ids, table.paths, *columns, strict=True)
        )
        return Source(name, items, len(table.paths), folder)
    return _from_paths(name, list(_walk(folder)), folder, folder)


def _plain_part(pattern: Path) -> Path:
    """Return the folder in which a pattern begins."""
    while glob.has_magic(str(pattern)):
        pattern = pattern.parent
    return pattern


def _walk(folder: Path) -> Iterator[str]:
    """Yield the files of crystals in a folder and those below it, in order."""
    for where, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(READABLE):
                yield str(Path(where, file))


def _from_paths(name: str, paths: list[str], root: Path, folder: Path | None = None) -> Source:
    if not paths:
        raise DataError(f"{name}: holds no files of crystals")
    items = (Item(path, _id_below(path, root), path, {}) for path in paths)
    return Source(name, items, len(paths), folder)


def crystal_files(folder: Path) -> list[tuple[str, str]]:
    """Return ids and paths of the files of crystals in a folder and those below it."""
    return [(_id_below(path, folder), path) for path in _walk(folder)]


def _id_below(path: str, root: Path) -> str:
    """Return the name of a crystal: files of one name in several folders are told apart."""
    inner = Path(os.path.relpath(Path(path).parent, root)).as_posix()
    stem = source_id(path, 0)
    return stem if inner == "." else f"{inner}/{stem}"


def _from_table(path: Path, crystal_column: str | None) -> Iterator[Item]:
    """Yield the rows of a table, one of whose columns holds paths, CIFs or lines of JSON."""
    crystal, id_name, names = "", None, list[str]()
    commas = _Commas(path)
    for place, (line, cells, separator) in enumerate(_rows(path)):
        if place == 0:
            if any(is_cif_text(c) or _is_crystal_file(path.parent / c) for c in cells):
                raise DataError(
                    f"{path}: begins with a crystal; expected a header with names of columns"
                )
            names = _header(path, cells)
            continue
        if len(cells) != len(names):
            raise DataError(
                f"{path}: the row that ends in line {line} has {len(cells)} cells, the header "
                f"{len(names)}"
            )
        row = dict(zip(names, cells, strict=True))
        if place == 1:
            crystal = crystal_column or _crystal_column(path, row)
            if crystal not in names:
                raise DataError(f"{path}: has no column {crystal!r}; it has {', '.join(names)}")
            id_name = next((n for n in ID_NAMES if n in names and n != crystal), None)
        values: Values = {
            name: commas.mended(cell, separator)
            for name, cell in row.items()
            if name and name not in (crystal, id_name)
        }
        own_id = None if id_name is None else row[id_name].strip() or f"row {place}"
        yield _row(path, place, row[crystal], own_id, values)


class _Commas:
    """Decimal commas of a table, which separators other than commas allow.

    Parameters
    ----------
    path : Path
        The table, for the warning that names the first of them.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.warned = path, False

    def mended(self, cell: str, separator: str) -> str:
        """Return a cell with a decimal point, if it is a number with a comma."""
        mended = cell if separator == "," else with_point(cell)
        if mended != cell and not self.warned:
            self.warned = True
            warn_caller(f"{self.path}: read with decimal commas: {cell} is {mended}")
        return mended


def _is_number(cell: str) -> bool:
    return number(cell) is not None


def _without_ending(name: str) -> str:
    """Return the name of a crystal for that of its file."""
    if not name.lower().endswith(READABLE):
        return name
    return PurePosixPath(name).with_name(source_id(name, 0)).as_posix()


def _rows(path: Path) -> Iterator[tuple[int, list[str], str]]:
    """Yield the lines in which the rows of a table end, their cells, and what separates these."""
    csv.field_size_limit(2**31 - 1)  # a CIF is a long cell
    try:
        with _open_text(path) as file:
            first = file.readline()
            separator = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
            reader = csv.reader(chain([first], file), delimiter=separator)
            yield from ((reader.line_num, cells, separator) for cells in reader if cells)
    except (csv.Error, *_UNREADABLE) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _header(path: Path, cells: list[str]) -> list[str]:
    """Return the names of columns; the first may have none, as pandas writes its index."""
    names = [cell.strip() for cell in cells]
    for name in names:
        if names.count(name) > 1 or not any(names):
            raise DataError(f"{path}: has several columns with the name {name!r}")
    if "" in names[1:]:
        raise DataError(f"{path}: column {names.index('', 1) + 1} has no name")
    return names


def _crystal_column(path: Path, row: Mapping[str, Any]) -> str:
    """Return the name of the column that holds the crystals, as its first cell tells."""
    for name, cell in row.items():
        if is_cif_text(cell) or str(cell).lstrip().startswith("{"):
            return name
    files = [name for name, cell in row.items() if cell and _is_file(path.parent / str(cell))]
    if len(files) == 1:
        return files[0]
    found = [name for name in row if name and name.lower() in _CRYSTAL_NAMES]
    if found and not files:
        return found[0]
    raise DataError(
        f"{path}: it is not clear which column holds the crystals, of {', '.join(map(str, row))}; "
        "name it (--crystal-column)"
    )


def _is_crystal_file(path: Path) -> bool:
    return path.name.lower().endswith(READABLE) and _is_file(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is no name of a file
        return False


def _row(path: Path, place: int, cell: str, own_id: str | None, values: Values) -> Item:
    stem, name = own_id, f"{path}: row {place}"
    own_id = own_id or str(place - 1)
    if is_cif_text(cell):
        return Item(cell, own_id, name, values)
    if cell.lstrip().startswith("{"):
        return Item(JsonLine(cell), own_id, name, values)
    if not cell.strip():
        return Item(Refused("names no crystal"), own_id, name, values)
    file = path.parent / cell.strip()
    for suffix in ("", ".cif", ".cif.gz"):
        if _is_file(path.parent / f"{cell}{suffix}"):
            file = path.parent / f"{cell}{suffix}"
            break
    return Item(str(file), stem or _without_ending(cell.strip()), str(file), values)


def _from_lines(path: Path) -> Iterator[Item]:
    try:
        with _open_text(path) as file:
            for place, line in enumerate(_bounded_lines(file), 1):
                if isinstance(line, Refused) or line.strip():
                    source = line if isinstance(line, Refused) else JsonLine(line)
                    yield Item(source, "", f"{path}: line {place}", {})
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _bounded_lines(file: IO[str]) -> Iterator[str | Refused]:
    """Yield the lines of a file; those that are too long are not kept in memory."""
    while line := file.readline(MAX_BYTES):
        if len(line) < MAX_BYTES or line.endswith("\n"):
            yield line
            continue
        while (more := file.readline(MAX_BYTES)) and not more.endswith("\n"):
            pass
        yield TOO_LARGE


def _open_text(path: Path) -> IO[str]:
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        begins = file.read(2)
    encoding = "utf-16" if begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    text: IO[str] = opener(path, "rt", encoding=encoding, newline="")
    return text


def _from_database(name: str, path: Path) -> Source:
    try:
        from ase.db import connect
    except ImportError as error:
        raise ImportError("ASE databases need ASE: pip install 'skcgcnn[ase]'") from error
    try:
        rows = sorted(row.id for row in connect(path).select(columns=["id"]))
    except Exception as error:
        raise DataError(f"{name}: is no ASE database ({error!r})") from error
    items = (Item(DatabaseRow(str(path), row), str(row), f"{path}: row {row}", {}) for row in rows)
    return Source(name, items, len(rows))


def read_properties(path: Path) -> tuple[list[str], dict[str, Values]]:
    """Read a table of properties, whose first column names the crystals.

    Parameters
    ----------
    path : Path
        A file with a header.

    Returns
    -------
    names : list of str
        Of the properties.
    by_id : dict
        The properties of each crystal.

    Raises
    ------
    DataError
        If it is no such table, or names a crystal twice.
    """
    by_id: dict[str, Values] = {}
    header: list[str] = []
    commas = _Commas(path)
    for line, row, separator in _rows(path):
        if not header:
            header = _header(path, row)
            if len(header) < 2:
                raise DataError(
                    f"{path}: has one column, {header[0]!r}; expected names of crystals, then "
                    "properties, with commas between them"
                )
            if header[0].lower() not in ("", *ID_NAMES) and all(map(_is_number, header[1:])):
                raise DataError(
                    f"{path}: begins with numbers; expected a header, such as 'id,energy'"
                )
            continue
        if len(row) != len(header):
            raise DataError(f"{path}: line {line} has {len(row)} cells, the header {len(header)}")
        cif_id = _without_ending(row[0].strip())
        if cif_id in by_id:
            raise DataError(f"{path}: line {line}: {cif_id!r} comes twice")
        by_id[cif_id] = {
            name: None if is_missing_cell(cell) else commas.mended(cell, separator)
            for name, cell in zip(header[1:], row[1:], strict=True)
        }
    return header[1:], by_id
