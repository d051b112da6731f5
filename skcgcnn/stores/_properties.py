"""A table of properties beside crystals that have none, and how it is joined to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import (
    CRYSTAL_NAMES,
    Sheet,
    file_columns,
    find_id_column,
    is_index_name,
    is_missing_cell,
    named_columns,
    names_of_crystal,
    number,
    shifted_header,
)
from skcgcnn.exceptions import DataError
from skcgcnn.stores._columns import Cells, own_columns
from skcgcnn.stores._items import without_ending
from skcgcnn.stores._shards import ShardFiles


@dataclass(frozen=True)
class Properties:
    """A table of properties.

    Attributes
    ----------
    sheet : Sheet
        Where they come from.
    cells : dict of str to list of str
        Its columns as they are written: the crystals tell which of them has their names.
    lines : list of int
        Where its rows end.
    values : dict of str to list of (str or None)
        Its columns as properties, but for those that may name the crystals: 001 is not 1 there.
    """

    sheet: Sheet
    cells: dict[str, list[str]]
    lines: list[int]
    values: dict[str, Cells] = field(default_factory=dict)

    def add_values(self, names: Iterable[str]) -> None:
        """Take more columns as properties; warn of what is odd about them."""
        for name in names:
            rows = zip(self.lines, self.cells[name], strict=True)
            mended = [self.sheet.mended(cell, name, f"line {line}") for line, cell in rows]
            self.values[name] = [None if is_missing_cell(cell) else cell for cell in mended]
        self.sheet.end()

    def check_twice(self, column: str, crystals: Sequence[str], names: Sequence[str]) -> None:
        """Refuse the table if a crystal comes twice in a column, with others of these columns."""
        rows, n_same = dict[str, int](), 0
        for row, name in enumerate(crystals):
            first = rows.setdefault(name, row)
            if first == row:
                continue
            if any(self.cells[one][first] != self.cells[one][row] for one in names):
                raise DataError(
                    f"{self.sheet.file}: line {self.lines[row]}: {name!r} comes twice in column "
                    f"{column!r}"
                )
            n_same += 1
        if n_same:
            self.sheet.remarks.append(f"{n_same} rows that repeat another one")


def read_properties(path: Path) -> Properties:
    """Read a table of properties; the crystals tell later which of its columns names them.

    Raises
    ------
    DataError
        If it is not such a table.
    """

    def check(names: list[str]) -> None:
        if len(names) < 2:
            raise DataError(
                f"{path}: has one column, {names[0]!r}; expected names of crystals, then "
                "properties, with commas between them"
            )
        is_named = names[0].lower() in CRYSTAL_NAMES or is_index_name(names[0])
        if not is_named and any(number(name) is not None for name in names[1:]):
            raise DataError(f"{path}: begins with numbers; expected a header, such as 'id,energy'")

    sheet = Sheet(path)
    cells, lines = dict[str, list[str]](), list[int]()
    for line, row in sheet.records(check):
        cells = cells or {name: [] for name in row}
        lines.append(line)
        for name, cell in row.items():
            cells[name].append(cell)
    if not cells:
        raise DataError(f"{path}: holds no crystal")
    if "" in cells and not any(cells[""]):  # of a sheet that begins further right
        del cells[""]
        sheet.names = sheet.names[1:]
        check(sheet.names)
    found = Properties(sheet, cells, lines)
    others = sheet.names[1:]
    named = named_columns(others)
    found.add_values(name for name in others if name not in named)
    return found


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
        self.file, self.sheet = table.sheet.file, table.sheet
        self.known = {str(one) for shard in shards for one in shard.ids()}
        names = table.sheet.names
        if names[0].lower() not in CRYSTAL_NAMES and self._crystal(names[0], is_file=True):
            raise DataError(
                f"{self.file}: begins with the crystal {names[0]!r}; expected a header, such as "
                "'id,energy'"
            )
        column, n_index, crystals = self._find_ids(table)
        if column == "" and all(map(is_missing_cell, table.cells[names[-1]])):
            raise shifted_header(self.file, names[-1])
        ids = [one or cell for one, cell in zip(crystals, table.cells[column], strict=True)]
        properties = [name for name in names if name not in ("", column, *names[:n_index])]
        table.check_twice(column, ids, properties)
        self._tell(column, ids)
        self.rows = {name: row for row, name in enumerate(ids)}
        if column and not n_index and any(table.cells.get("", ())):
            self.sheet.remarks.append("a column without a name left out")
        table.add_values(name for name in properties if name not in table.values)
        self.values = {name: table.values[name] for name in properties}

    def _find_ids(self, table: Properties) -> tuple[str, int, list[str | None]]:
        """Return the column that names the crystals, how many are an index, and the crystals."""
        names, cells = table.sheet.names, [*table.cells.values()]
        place, crystals, n_index = find_id_column(
            self.file, names, cells, lambda place: self._crystals(table, names[place])
        )
        if n_index:
            self.sheet.remarks.append("an index column")
        elif is_index_name(names[place]) and any(crystals):
            self.sheet.remarks.append("its index as the ids")
        elif place:
            self.sheet.remarks.append(f"column {names[place]!r} as the ids")
        return names[place], n_index, crystals

    def _tell(self, column: str, ids: Sequence[str]) -> None:
        """Refuse names of no crystal alone; warn of some, and of crystals without a row."""
        without = self.known.difference(ids)
        if len(without) == len(self.known):
            raise DataError(
                f"{self.file}: no name in its column {column!r} is that of a crystal: the names "
                f"are such as {ids[0]!r}, those of the crystals such as {min(without)!r}. "
                "Change the column and repeat the call: the crystals are not read again"
            )
        if unused := [name for name in ids if name not in self.known]:
            warn_caller(
                f"{self.file}: {len(unused)} of {len(ids)} names are those of no crystal, "
                f"the first is {unused[0]!r}"
            )
        if without:
            warn_caller(
                f"{self.file}: {len(without)} of {len(self.known)} crystals have no row, one is "
                f"{min(without)!r}: their properties are missing"
            )

    def _crystals(self, table: Properties, column: str) -> list[str | None]:
        is_file = bool(file_columns([column]))
        return [self._crystal(cell, is_file=is_file) for cell in table.cells[column]]

    def _crystal(self, cell: str, *, is_file: bool) -> str | None:
        """Return the crystal that a cell names: one with as many folders as a crystal has."""
        is_file = is_file or without_ending(cell) != cell
        for name in names_of_crystal(cell, is_file=is_file):
            for one in (name, without_ending(name)):
                if one in self.known:
                    return one
        return None

    def __call__(self, shard: ShardFiles) -> dict[str, Cells]:
        """Return the columns of a shard."""
        columns = own_columns(shard)
        if twice := [name for name in self.values if name in columns]:
            raise DataError(
                f"{self.file}: the crystals have a property {twice[0]!r} already; rename the column"
            )
        rows = [self.rows.get(str(one)) for one in shard.ids()]
        for name, values in self.values.items():
            columns[name] = [None if row is None else values[row] for row in rows]
        return columns
