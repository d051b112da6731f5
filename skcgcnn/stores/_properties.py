"""A table of properties beside crystals that have none, and how it is joined to them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import (
    CRYSTAL_NAMES,
    Sheet,
    file_columns,
    id_columns,
    is_index_name,
    is_missing_cell,
    number,
    shifted_header,
    two_columns_of_ids,
)
from skcgcnn.exceptions import DataError
from skcgcnn.stores._columns import Cells, own_columns
from skcgcnn.stores._items import without_ending
from skcgcnn.stores._shards import ShardFiles

# Folders above a file that may tell it from others of its name.
_MOST_FOLDERS = 20


@dataclass(frozen=True)
class Properties:
    """A table of properties.

    Attributes
    ----------
    file : Path
    cells : dict of str to list of str
        Its columns as they are written: the crystals tell which of them has their names.
    values : dict of str to list of (str or None)
        Its columns as properties.
    lines : list of int
        Where its rows end.
    units : dict of str to str
        Of the properties, where a row tells them.
    """

    file: Path
    cells: dict[str, list[str]]
    values: dict[str, Cells]
    lines: list[int]
    units: dict[str, str]

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [*self.cells]

    def check(self, column: str, crystals: Sequence[str]) -> None:
        """Refuse the table if this column has these names of crystals, one of them twice."""
        seen = set[str]()
        for line, name in zip(self.lines, crystals, strict=True):
            if name in seen:
                raise DataError(
                    f"{self.file}: line {line}: {name!r} comes twice in column {column!r}"
                )
            seen.add(name)
        last = self.names[-1]
        if column == "" and all(value is None for value in self.values[last]):
            raise shifted_header(self.file, last)


def read_properties(path: Path) -> Properties:
    """Read a table of properties, whose first column names the crystals.

    Where it is not named so, each column that is named as ids or files may name them, too.

    Raises
    ------
    DataError
        If it is not such a table, or names a crystal twice.
    """

    def check(names: list[str]) -> None:
        if len(names) < 2:
            raise DataError(
                f"{path}: has one column, {names[0]!r}; expected names of crystals, then "
                "properties, with commas between them"
            )
        is_named = names[0] == "" or id_columns(names[:1])
        if not is_named and any(number(name) is not None for name in names[1:]):
            raise DataError(f"{path}: begins with numbers; expected a header, such as 'id,energy'")

    sheet = Sheet(path)
    cells, values, lines = dict[str, list[str]](), dict[str, Cells](), list[int]()
    may_be_ids = list[str]()
    for line, row in sheet.records(check):
        if not cells:
            cells, values = {name: [] for name in row}, {name: [] for name in row}
            may_be_ids = _may_be_ids(sheet.names)
        lines.append(line)
        for name, cell in row.items():
            # Of names, 001 is not meant as 1.
            mended = cell if name in may_be_ids else sheet.mended(cell, name, f"line {line}")
            cells[name].append(cell)
            values[name].append(None if is_missing_cell(cell) else mended)
    sheet.end()
    if not cells:
        raise DataError(f"{path}: holds no crystal")
    found = Properties(path, cells, values, lines, sheet.units)
    if len(may_be_ids) == 1:
        found.check(may_be_ids[0], _crystals(found, may_be_ids[0], set()))
    return found


def _may_be_ids(names: list[str]) -> list[str]:
    first, ids = names[0], id_columns(names)
    if first.lower() in CRYSTAL_NAMES:
        return [first]
    named = [*ids, *file_columns(names)]
    # Numbers of an index may be names of other crystals.
    return named if ids and is_index_name(first) else [*named, first]


def _crystals(table: Properties, column: str, known: set[str]) -> list[str]:
    """Return the crystals that a column names, some of which are known.

    Of files, wherever the table of them was made: with as many folders as a crystal has.
    """
    names = list(map(without_ending, table.cells[column]))
    return [_tail(name, known) for name in names] if file_columns([column]) else names


def _tail(name: str, known: set[str]) -> str:
    parts = re.split(r"[/\\]", name)
    first = max(0, len(parts) - _MOST_FOLDERS)
    tails = ("/".join(parts[place:]) for place in range(first, len(parts)))
    return next((tail for tail in tails if tail in known), name)


class JoinedProperties:
    """The columns of shards with those of a table beside.

    Parameters
    ----------
    table : Properties
    shards : sequence of ShardFiles
        All that there are.

    Raises
    ------
    DataError
        If no column, or more than one, has the names of the crystals, or one of them twice.
    """

    def __init__(self, table: Properties, shards: Sequence[ShardFiles]) -> None:
        known = {str(one) for shard in shards for one in shard.ids()}
        first = table.names[0]
        if without_ending(first) in known and first.lower() not in CRYSTAL_NAMES:
            raise DataError(
                f"{table.file}: begins with the crystal {first!r}; expected a header, such as "
                "'id,energy'"
            )
        column = _column_of_ids(table, known)
        crystals = _crystals(table, column, known)
        table.check(column, crystals)
        if not known.intersection(crystals):
            raise DataError(
                f"{table.file}: no name in its column {column!r} is that of a crystal: the names "
                f"are such as {crystals[0]!r}, those of the crystals such as {min(known)!r}. "
                "Change the column and repeat the call: the crystals are not read again"
            )
        if unused := [name for name in crystals if name not in known]:
            warn_caller(
                f"{table.file}: {len(unused)} of {len(crystals)} names are those of no crystal, "
                f"the first is {unused[0]!r}"
            )
        if without := known.difference(crystals):
            warn_caller(
                f"{table.file}: {len(without)} of {len(known)} crystals have no row, one is "
                f"{min(without)!r}: their properties are missing"
            )
        left_out = {column, *([first] if is_index_name(first) else [])}
        self.table, self.rows = table, {name: row for row, name in enumerate(crystals)}
        self.names = [name for name in table.names if name not in left_out]

    def __call__(self, shard: ShardFiles) -> dict[str, Cells]:
        """Return the columns of a shard."""
        columns = own_columns(shard)
        if twice := [name for name in self.names if name in columns]:
            raise DataError(
                f"{self.table.file}: the crystals have a property {twice[0]!r} already; rename the "
                "column"
            )
        rows = [self.rows.get(str(one)) for one in shard.ids()]
        for name in self.names:
            values = self.table.values[name]
            columns[name] = [None if row is None else values[row] for row in rows]
        return columns


def _column_of_ids(table: Properties, known: set[str]) -> str:
    """Return the column that names most of the known crystals, of those that may.

    An index of pandas does where no other does. It is told where it is not the first column, or
    one that may count the rows.
    """
    first, may_be_ids = table.names[0], _may_be_ids(table.names)
    is_index = is_index_name(first)

    def n_named(column: str) -> int:
        return len(known.intersection(_crystals(table, column, known)))

    found = {name: n_named(name) for name in may_be_ids} if len(may_be_ids) > 1 or is_index else {}
    others = [name for name in found if found[name] and not (is_index and name == first)]
    column = max(others or may_be_ids, key=lambda name: found.get(name, 0))
    for name in others:
        if name != column and not is_index_name(name):
            table.check(name, _crystals(table, name, known))
    if is_index and column == first:
        _check_index(table, known)
        if all(map(str.isdecimal, table.cells[first])):
            warn_caller(f"{table.file}: read with its index as the ids")
    if column != first:
        what = "an index column" if is_index else f"column {column!r} as the ids"
        warn_caller(f"{table.file}: read with {what}")
    if too := [name for name in id_columns(others) if name != column]:
        warn_caller(
            f"{table.file}: column {too[0]!r} names crystals, too, but {column!r} counts; "
            "write it first, or remove the other"
        )
    return column


def _check_index(table: Properties, known: set[str]) -> None:
    """Refuse a table of which another column names as many crystals as the index before it."""
    index, *others = table.names
    by_index = _crystals(table, index, known)
    n_by_index = len(known.intersection(by_index))
    for name in others:
        crystals = _crystals(table, name, known)
        n_named = len(known.intersection(crystals))
        # What several crystals have, such as a number of atoms, is no name.
        is_name = len(set(crystals)) == len(crystals) and crystals != by_index
        if is_name and n_named >= max(1, n_by_index):
            raise two_columns_of_ids(table.file, name)
