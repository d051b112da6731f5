"""Which column of a table with a header names the crystals: the crystals tell."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from skcgcnn.datasets._column_names import (
    CRYSTAL_NAMES,
    file_columns,
    id_columns,
    is_index_name,
)
from skcgcnn.exceptions import DataError


class IdColumn:
    """The column that names the crystals.

    The first one does, if it is named so. Else the first does whose cells are texts that name
    crystals, each another one; else, of columns that are named as ids or files, that which names
    most; else an index of pandas. Where two columns may be meant, none is chosen: numbers of an
    index, of rows, or of hosts of the crystals may be names of other crystals.

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
        How many columns before it count the rows of pandas, and are no ids.
    others : list of str
        Names of columns that are named as ids and name crystals, too.

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
        self.others = list[str]()
        self.n_index = 0
        if names[0].lower() in CRYSTAL_NAMES:
            self.place: int | None = 0
            return
        self.n_index = len(list(takewhile(self._is_index, range(len(names)))))
        self.place = self._choose()
        if self.place is not None and self.place < self.n_index:
            self.n_index = 0
        self.others = [
            name
            for name in id_columns(names)
            if (other := names.index(name)) != self.place and self._n_named(other)
        ]

    def _choose(self) -> int | None:
        names = self._names
        may_be = [names.index(name) for name in (*id_columns(names), *file_columns(names))]
        # Without an index, ids that come twice are rather those of the hosts of several crystals.
        named = [n for n in may_be if self._n_named(n) and (self.n_index or self._is_unique(n))]
        best = max(named, key=self._n_named, default=None)
        for other in named:
            if best is not None and self._n_named(other) == self._n_named(best):
                self._compare(best, other)
        n_best = 0 if best is None else self._n_named(best)
        lead = self.n_index
        may_be_lead = lead < len(names) and lead not in named and self._is_unique(lead)
        n_lead = self._n_named(lead) if may_be_lead else 0
        if n_lead and not self._are_numbers(lead) and 2 * n_lead >= n_best:
            return lead
        if best is not None:
            return best
        if lead == 0:
            return 0 if self._n_named(0) else None
        # Ids of other crystals: numbers of an index are none of them.
        return may_be[0] if may_be else self._beside_index()

    def _beside_index(self) -> int | None:
        """Return the column that names crystals where only an index or any other column may."""
        places = range(len(self._names))
        rivals = [place for place in places if self._is_unique(place) and self._n_named(place)]
        if not rivals:
            return None
        top = max(rivals, key=self._n_named)
        # Numbers of an index name some crystals by chance, and so do whole numbers of a property.
        share = 1 if top < self.n_index else 2
        for other in rivals:
            if share * self._n_named(other) >= self._n_named(top):
                self._compare(top, other)
        return min(place for place in rivals if self._same(place, top))

    def _compare(self, one: int, other: int) -> None:
        """Refuse two columns that name different crystals."""
        if not self._same(one, other):
            first, second = sorted((one, other))
            raise DataError(
                f"{self._file}: its columns {self._names[first]!r} and {self._names[second]!r} "
                "both name crystals; write 'id' above that which counts, and put it first"
            )

    def _same(self, one: int, other: int) -> bool:
        return self._crystals_in(one) == self._crystals_in(other)

    def _crystals_in(self, place: int) -> list[str | None]:
        if place not in self._found:
            self._found[place] = self._crystals(place)
        return self._found[place]

    def _n_named(self, place: int) -> int:
        return len({*self._crystals_in(place)} - {None})

    def _is_unique(self, place: int) -> bool:
        return len(set(self._cells[place])) == len(self._cells[place])

    def _are_numbers(self, place: int) -> bool:
        return all((cell or "").isdecimal() for cell in self._cells[place])

    def _is_index(self, place: int) -> bool:
        return is_index_name(self._names[place]) and self._are_numbers(place)
