"""Which column of a table with a header names the crystals: its name tells, or it is the first."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from skcgcnn.datasets._cells import has_decimals
from skcgcnn.datasets._column_names import SURE_NAMES, is_index_name, named_columns
from skcgcnn.exceptions import DataError

# Of the crystals that the column names, which another one may name by chance: less than this of
# one with a name of ids, of any other, and of one beside a column that is surely meant. Beside one
# that names none, it is half of the rows.
_SOME, _NEARLY, _FAR_MORE = 0.5, 0.75, 2
_FEWEST = 2


class IdColumn(NamedTuple):
    """The column that names the crystals.

    Attributes
    ----------
    place : int
        Of the column; where none names crystals, of the one that should.
    crystals : list of (str or None)
        Which crystal each of its cells names.
    n_index : int
        How many columns before it are an index of pandas, and no property.
    """

    place: int
    crystals: list[str | None]
    n_index: int


def find_id_column(
    file: Path,
    names: Sequence[str],
    cells: Sequence[Sequence[str | None]],
    crystals: Callable[[int], list[str | None]],
) -> IdColumn:
    """Return the column that names the crystals.

    That is the one that is called ``id`` or ``cif_id``; else one with another name of ids or of
    files; else the first behind an index of pandas; else that index, where no column has such a
    name. One that names no crystal is passed over. The crystals do not choose, but tell where
    another column may be meant.

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

    Raises
    ------
    DataError
        If another column names other crystals, or far more of them.
    """
    everywhere = range(len(names))
    index = [*takewhile(lambda i: is_index_name(names[i]) and _are_numbers(cells[i]), everywhere)]
    named = [names.index(name) for name in named_columns([*names])]
    first = everywhere[len(index) : len(index) + 1]
    pool = [*dict.fromkeys([*named, *first, *([] if named else index)])]
    found = [crystals(place) for place in everywhere]
    counts = [len({*ones} - {None}) for ones in found]
    chosen = next((place for place in pool if counts[place]), pool[0])
    is_sure = names[chosen].lower() in SURE_NAMES
    has_index = any(counts[i] for i in range(chosen) if is_index_name(names[i]))
    if not counts[chosen] and has_index and has_decimals(cells[chosen]):
        return IdColumn(chosen, found[chosen], 0)  # a shifted header, which is refused later
    # Where the ids are those of other crystals, numbers of rows are none.
    for other in (one for one in everywhere if counts[chosen] or one not in index):
        is_told = is_sure or (chosen in named and other in index)
        share = _SOME if other in named else _FAR_MORE if is_told else _NEARLY
        least = share * counts[chosen] or max(_FEWEST, _SOME * len(cells[chosen]))
        if other == chosen or counts[other] < least:
            continue
        may_repeat = other in named and not is_sure
        hardly_repeats = may_repeat or 2 * len({*cells[other]}) > len(cells[other])
        pairs = zip(found[chosen], found[other], strict=True)
        is_far_more = counts[other] > _FAR_MORE * counts[chosen]
        is_another = is_far_more or any(a != b for a, b in pairs if a is not None and b is not None)
        if hardly_repeats and is_another:
            raise _unclear(file, names, counts, chosen, other)
    return IdColumn(chosen, found[chosen], len(index) if chosen not in index else 0)


def _are_numbers(cells: Sequence[str | None]) -> bool:
    """Tell whether cells that are not empty are whole numbers."""
    return all((cell or "0").isdecimal() for cell in cells)


def _unclear(
    file: Path, names: Sequence[str], counts: Sequence[int], chosen: int, other: int
) -> DataError:
    if not counts[chosen]:
        return DataError(
            f"{file}: column {names[other]!r} names crystals, and column {names[chosen]!r} none; "
            "write 'id' above that which counts"
        )
    first, second = (repr(names[place]) for place in sorted((chosen, other)))
    return DataError(
        f"{file}: its columns {first} and {second} both name crystals, and not the same; write "
        "'id' above that which counts, and another name, such as 'host', above the other"
    )
