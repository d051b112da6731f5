"""Which column of a table with a header names the crystals: the crystals tell."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from skcgcnn.datasets._column_names import (
    CRYSTAL_NAMES,
    SURE_NAMES,
    is_index_name,
    named_columns,
)
from skcgcnn.exceptions import DataError

# Of the cells of a column, so that it is one of ids.
_MANY = 0.5
# Of the crystals that one column names, so that another one may be meant as well.
_NEARLY = 0.75


class IdColumn:
    """The column that names the crystals.

    That is the one that is called ``id`` or ``cif_id``, if it names many. Else it may be the first
    column, or one that is named as ids or files: that of them which names most crystals. Before it
    may stand columns that count the rows, such as an index of pandas, which has the ids where no
    other does; else a column of any name that names the crystals of half of the rows may be the
    one. Where two columns name many crystals, and not the same, none is chosen: names of hosts, or
    numbers of rows, may be those of other crystals.

    Parameters
    ----------
    file : Path
        For messages.
    names : sequence of str
        Of the columns.
    cells : sequence of lists of str
        Columns, without the header.
    crystals : callable
        Returns, for the place of a column, which crystal each of its cells names, or None.

    Attributes
    ----------
    place : int or None
        Of the column; None if no column names crystals.
    n_index : int
        How many columns before it are an index of pandas, and no property.
    is_index : bool
        Whether the column is such an index itself.

    Raises
    ------
    DataError
        If two columns may be meant.
    """

    def __init__(
        self,
        file: Path,
        names: Sequence[str],
        cells: Sequence[Sequence[str | None]],
        crystals: Callable[[int], list[str | None]],
    ) -> None:
        self._file, self._names, self._cells = file, names, cells
        self._crystals, self._found = crystals, dict[int, list[str | None]]()
        self._counts = dict[int, int]()
        counters = list(takewhile(self._is_counter, range(len(names))))
        self._named = [names.index(name) for name in named_columns([*names])]
        self.place = self._choose(counters)
        index = takewhile(lambda place: is_index_name(names[place]), counters)
        self.n_index = sum(1 for _ in index)
        self.is_index = self.place is not None and self.place < self.n_index
        if self.is_index:
            self.n_index = 0

    def _choose(self, counters: Sequence[int]) -> int | None:
        sure = [place for place in self._named if self._names[place].lower() in SURE_NAMES]
        if len(sure) == 1 and self._names_many(sure[0]):
            self._compare(sure[0], self._named)
            return sure[0]
        lead = len(counters)
        is_lead = lead < len(self._names) and (
            all(is_index_name(self._names[place]) for place in counters) or self._names_many(lead)
        )
        pool = [lead, *self._named] if is_lead else self._named
        pool = [place for place in dict.fromkeys(pool) if self._may_be_ids(place)]
        top = max(
            pool, key=lambda place: (self._n_named(place), place in self._named), default=None
        )
        if top is not None:
            self._compare(top, pool)
        if top is None or (top not in self._named and self._are_numbers(top)):
            # Ids that come again and again, which are refused later.
            again = [place for place in self._named if self._share_named(place) >= _MANY]
            if top is None and again:
                return max(again, key=self._n_named)
            if top is not None:
                self._compare(top, again, share=len(self._cells[top]))
        counter = max(counters, key=self._n_named, default=None)
        if counter is not None and not self._n_named(counter):
            counter = None
        if top is None:
            return self._any() if counter is None else self._beside_counter(counter)
        columns, n_top = [c for c in self._all() if self._may_be_ids(c)], self._n_named(top)
        if top in self._named:  # perhaps by chance, where another names far more
            self._compare(top, [c for c in columns if self._n_named(c) > 2 * n_top])
        else:
            # Numbers are worth no more than as many numbers of rows, and others than those of a
            # column that names nearly as many crystals.
            are_numbers = self._are_numbers(top)
            least = {c: n_top if are_numbers else len(self._cells[top]) + 1 for c in counters}
            nearly = max(2, _NEARLY * n_top)
            self._compare(top, [c for c in columns if self._n_named(c) >= least.get(c, nearly)])
        if counter is not None and 2 * n_top < self._n_named(counter):
            self._compare(counter, [top], share=self._n_named(counter))
        return top

    def _beside_counter(self, counter: int) -> int:
        """Return a column that counts the rows, where those that may have the ids name nothing."""
        if self._named and is_index_name(self._names[counter]):
            return self._named[0]  # the ids of other crystals
        self._compare(counter, [*filter(self._may_be_ids, self._all())])
        return counter

    def _any(self) -> int | None:
        """Return a column of any name that names the crystals of half of the rows, or more."""
        columns = [*filter(self._may_be_ids, self._all())]
        top = max(columns, key=self._n_named, default=None)
        if top is None or not self._names_many(top):
            return None
        self._compare(top, columns)
        return top

    def _names_many(self, place: int) -> bool:
        return self._n_named(place) >= max(2, _MANY * len(self._cells[place]))

    def _share_named(self, place: int) -> float:
        """Return of how many of its cells that are not empty a column names a crystal."""
        cells = [cell for cell in self._cells[place] if cell]
        return sum(one is not None for one in self.crystals_in(place)) / max(1, len(cells))

    def _all(self) -> range:
        return range(len(self._names))

    def _may_be_ids(self, place: int) -> bool:
        """Tell whether a column names crystals, and most rows have one of their own."""
        cells = self._cells[place]
        return self._n_named(place) > 0 and 2 * len(set(cells)) > len(cells)

    def _compare(self, one: int, others: Sequence[int], share: int = 2) -> None:
        """Refuse columns that name many crystals, but not the same as one of them does."""
        for other in others:
            pairs = zip(self.crystals_in(one), self.crystals_in(other), strict=True)
            is_other = any(a != b for a, b in pairs if a is not None and b is not None)
            if is_other and share * self._n_named(other) >= self._n_named(one):
                first, second = (repr(self._names[place]) for place in sorted((one, other)))
                raise DataError(
                    f"{self._file}: its columns {first} and {second} both name crystals, and not "
                    "the same; write 'id' above that which counts, and another name, such as "
                    "'host', above the other"
                )

    def crystals_in(self, place: int) -> list[str | None]:
        """Return which crystal each cell of a column names, or None."""
        if place not in self._found:
            self._found[place] = self._crystals(place)
        return self._found[place]

    def _n_named(self, place: int) -> int:
        if place not in self._counts:
            self._counts[place] = len({*self.crystals_in(place)} - {None})
        return self._counts[place]

    def _are_numbers(self, place: int) -> bool:
        return all((cell or "").isdecimal() for cell in self._cells[place])

    def _is_counter(self, place: int) -> bool:
        """Tell whether a column counts the rows: as an index of pandas, or from 0 or 1."""
        name, cells = self._names[place], self._cells[place]
        if is_index_name(name):
            return self._are_numbers(place)
        return name.lower() not in CRYSTAL_NAMES and any(
            list(cells) == [str(row) for row in range(start, start + len(cells))]
            for start in (0, 1)
        )
