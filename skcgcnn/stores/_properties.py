"""A table of properties beside crystals that have none, and how it is joined to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import (
    CRYSTAL_NAMES,
    FILE_NAMES,
    Sheet,
    id_columns,
    is_count,
    is_index_name,
    is_missing_cell,
    number,
    shifted_header,
)
from skcgcnn.exceptions import DataError
from skcgcnn.stores._columns import Cells, own_columns
from skcgcnn.stores._items import Values, without_ending
from skcgcnn.stores._shards import ShardFiles


@dataclass(frozen=True)
class Properties:
    """A table of properties.

    Attributes
    ----------
    file : Path
    names : list of str
        Of its columns.
    by_id : dict of str to dict
        For each column that may name the crystals, the one that most likely does first, the
        properties by these names.
    twice : dict of str to str
        Where such a column has a name twice.
    units : dict of str to str
        Of the properties, where a row tells them.
    """

    file: Path
    names: list[str]
    by_id: dict[str, dict[str, Values]]
    twice: dict[str, str]
    units: dict[str, str]

    def check(self, column: str) -> None:
        """Refuse the table if this column names the crystals."""
        if column in self.twice:
            raise DataError(f"{self.file}: {self.twice[column]}")
        last = self.names[-1]
        rows = self.by_id[column].values()
        if column == "" and all(row[last] is None for row in rows):
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
        if not is_named and None not in map(number, names[1:]):
            raise DataError(f"{path}: begins with numbers; expected a header, such as 'id,energy'")

    sheet = Sheet(path)
    by_id, twice = dict[str, dict[str, Values]](), dict[str, str]()
    for line, row in sheet.records(check):
        by_id = by_id or {name: {} for name in _may_be_ids(sheet.names)}
        values: Values = {}
        for name, cell in row.items():
            # Of names, 001 is not meant as 1.
            mended = cell if name in by_id else sheet.mended(cell, name, f"line {line}")
            values[name] = None if is_missing_cell(cell) else mended
        for name, known in by_id.items():
            cif_id = _name_in(row[name], name)
            if known.setdefault(cif_id, values) is not values:
                twice.setdefault(name, f"line {line}: {cif_id!r} comes twice in column {name!r}")
    sheet.end()
    if not by_id:
        raise DataError(f"{path}: holds no crystal")
    found = Properties(path, sheet.names, by_id, twice, sheet.units)
    if len(by_id) == 1:
        found.check(*by_id)
    return found


def _name_in(cell: str, column: str) -> str:
    """Return the name of a crystal, wherever the table of its file was made."""
    name = without_ending(cell)
    return PurePath(name).name if column.lower() in FILE_NAMES else name


def _may_be_ids(names: list[str]) -> list[str]:
    first, ids = names[0], id_columns(names)
    if first.lower() in CRYSTAL_NAMES:
        return [first]
    files = [name for name in names if name.lower() in FILE_NAMES]
    # Numbers of an index may be names of other crystals.
    return [*ids, *files] if ids and is_index_name(first) else [*ids, *files, first]


class JoinedProperties:
    """The columns of shards with those of a table beside.

    Parameters
    ----------
    table : Properties
    shards : sequence of ShardFiles
        All that there are. Of columns that may name the crystals, that counts which names most; an
        index of pandas where no other names any.

    Attributes
    ----------
    used : set of str
        The ids that were found; it fills as shards are read.

    Raises
    ------
    DataError
        If a column that names crystals has a name twice.
    """

    def __init__(self, table: Properties, shards: Sequence[ShardFiles]) -> None:
        found = dict.fromkeys(table.by_id, 0)
        for shard in shards if len(found) > 1 else ():
            ids = {str(one) for one in shard.ids()}
            for name, known in table.by_id.items():
                found[name] += len(ids & known.keys())
        first = table.names[0]
        is_index = is_index_name(first)
        # Numbers of an index count where no other column names crystals.
        others = [name for name in found if found[name] and not (is_index and name == first)]
        column = max(others or found, key=found.__getitem__)
        for name in (column, *(name for name in table.twice if found[name])):
            if name == column or not is_index_name(name):
                table.check(name)
        if column != first:
            what = "an index column" if is_index else f"column {column!r} as the ids"
            warn_caller(f"{table.file}: read with {what}")
        elif is_index and is_count([*table.by_id[first]]):
            warn_caller(f"{table.file}: read with its index as the ids")
        if too := [name for name in id_columns(others) if name != column]:
            warn_caller(
                f"{table.file}: column {too[0]!r} names crystals, too, but {column!r} counts; "
                "write it first, or remove the other"
            )
        left_out = {column, *([first] if is_index else [])}
        self.table, self.column = table.file, column
        self.by_id: Mapping[str, Values] = table.by_id[column]
        self.names = [name for name in table.names if name not in left_out]
        self.used = set[str]()
        self.example = ""  # the name of a crystal

    def __call__(self, shard: ShardFiles) -> dict[str, Cells]:
        """Return the columns of a shard."""
        columns = own_columns(shard)
        if twice := [name for name in self.names if name in columns]:
            raise DataError(
                f"{self.table}: the crystals have a property {twice[0]!r} already; rename the "
                "column"
            )
        ids = [str(one) for one in shard.ids()]
        self.used.update(one for one in ids if one in self.by_id)
        self.example = self.example or (ids[0] if ids else "")
        for name in self.names:
            columns[name] = [self.by_id.get(one, {}).get(name) for one in ids]
        return columns

    def check_used(self) -> None:
        """Warn of names in the table that are those of no crystal; refuse a table of such names."""
        unused = [name for name in self.by_id if name not in self.used]
        if unused and not self.used:
            raise DataError(
                f"{self.table}: no name in its column {self.column!r} is that of a crystal: the "
                f"names are such as {unused[0]!r}, those of the crystals such as {self.example!r}. "
                "Change the column and repeat the call: the crystals are not read again"
            )
        if unused:
            warn_caller(
                f"{self.table}: {len(unused)} of {len(self.by_id)} names are those of no crystal, "
                f"the first is {unused[0]!r}"
            )
