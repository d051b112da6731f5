"""The properties of a store: columns of numbers or texts, as long as there are crystals."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import encodable
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import is_missing_cell, number
from skcgcnn.graphs import Stream, map_arrays, stream_arrays
from skcgcnn.stores._shards import ShardFiles, check_properties

Cells = list[float | str | None]
# What is known of the crystals of a shard.
ReadColumns = Callable[[ShardFiles], dict[str, Cells]]

# Letters of a text: those of a column take as much room as its longest.
_MOST_LETTERS = 1_000
# In bytes, of the columns that are in memory at a time.
_AT_ONCE = 256_000_000


def write_columns(path: Path, shards: Sequence[ShardFiles], read: ReadColumns) -> list[str]:
    """Join the columns of shards in one file, in bounded memory.

    A column is one of numbers where every cell that is not empty is a number; NaN and the empty
    text stand for what is missing.

    Parameters
    ----------
    path : Path
        Where to write.
    shards : sequence of ShardFiles
        The shards.
    read : callable
        Returns the columns of a shard.

    Returns
    -------
    list of str
        Names of the columns, in the order of their first appearance.

    Warns
    -----
    UserWarning
        Names columns that are left out since they hold long texts.
    """
    sizes = [len(shard.ids()) for shard in shards]
    dtypes = _look_through(shards, read)
    loaded: dict[str, npt.NDArray[Any]] = {}

    def pieces(name: str) -> Iterator[npt.NDArray[Any]]:
        """Yield a column; they are asked for in their order, and loaded as memory allows."""
        if name not in loaded:
            loaded.clear()
            loaded.update(_load(name, dtypes, shards, read, sizes))
        yield loaded[name]

    whole = np.array(json.dumps(list(dtypes)))
    streams = {"names": Stream(whole.dtype, (), [whole])}
    for index, (name, dtype) in enumerate(dtypes.items()):
        # Numbered: a name of a column may be none of a file.
        streams[f"column_{index}"] = Stream(dtype, (sum(sizes),), pieces(name))
    stream_arrays(path, streams)
    return list(dtypes)


@dataclass
class _Seen:
    """What a column holds: the first number, the first text, and the letters of the longest."""

    number: float | str | None = None
    text: str | None = None
    width: int = 1

    def add(self, cell: float | str | None) -> None:
        if _is_missing(cell):
            return
        self.width = max(self.width, len(_text(cell)))
        if _number(cell) is not None:
            self.number = cell if self.number is None else self.number
        elif self.text is None:
            self.text = str(cell)


def _look_through(shards: Sequence[ShardFiles], read: ReadColumns) -> dict[str, np.dtype]:
    """Return the types of the columns; those of long texts are left out."""
    seen: dict[str, _Seen] = {}
    for shard in shards:
        for name, cells in read(shard).items():
            column = seen.setdefault(name, _Seen())
            for cell in cells:
                column.add(cell)
        check_properties(seen)
    dtypes: dict[str, np.dtype] = {}
    for name, column in seen.items():
        if column.text is None:
            dtypes[name] = np.dtype(np.float64)
        elif column.width <= _MOST_LETTERS:
            dtypes[name] = np.dtype(f"U{column.width}")
            if column.number is not None:
                warn_caller(
                    f"column {name!r} holds numbers and texts, such as {column.number!r} and "
                    f"{column.text!r}: stored as strings; cannot be used as --target"
                )
    if left_out := [name for name in seen if name not in dtypes]:
        warn_caller(
            f"texts of more than {_MOST_LETTERS:,} letters are left out: column "
            f"{', '.join(map(repr, left_out))}"
        )
    return dtypes


def _load(
    first: str,
    dtypes: Mapping[str, np.dtype],
    shards: Sequence[ShardFiles],
    read: ReadColumns,
    sizes: Sequence[int],
) -> dict[str, npt.NDArray[Any]]:
    """Return a column and the next ones, as many as memory is for."""
    names = list(dtypes)[list(dtypes).index(first) :]
    n_bytes = np.cumsum([sum(sizes) * dtypes[name].itemsize for name in names])
    n_columns = max(1, int(np.searchsorted(n_bytes, _AT_ONCE, side="right")))
    columns = {name: np.empty(sum(sizes), dtypes[name]) for name in names[:n_columns]}
    start = 0
    for shard, size in zip(shards, sizes, strict=True):
        found = read(shard)
        for name, column in columns.items():
            cells = found.get(name) or [None] * size
            cast = _text if column.dtype.kind == "U" else _float
            column[start : start + size] = [cast(cell) for cell in cells]
        start += size
    return columns


def _float(cell: float | str | None) -> Any:
    return math.nan if _is_missing(cell) else _number(cell)


def read_columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of a store, mapped into memory.

    Raises
    ------
    OSError, ValueError, LookupError, RecursionError
        If a column is missing, or holds something else than numbers or texts.
    """
    arrays = map_arrays(path)
    names = json.loads(str(arrays["names"]))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the names of its properties must be a list of strings")
    if len(set(names)) < len(names):
        raise ValueError("two properties have one name")
    columns = {name: arrays[f"column_{index}"] for index, name in enumerate(names)}
    for name, column in columns.items():
        if column.ndim != 1 or not (column.dtype == np.float64 or column.dtype.kind == "U"):
            raise ValueError(f"property {name!r} is not a column of numbers or text")
    return columns


def as_in_tables(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a column of a store as a table has it: texts are objects, NaN where one is missing."""
    if np.issubdtype(column.dtype, np.floating):
        return np.asarray(column)
    return np.array([str(cell) or np.nan for cell in column], dtype=object)


def own_columns(shard: ShardFiles) -> dict[str, Cells]:
    """Return the columns that a shard has of its own."""
    columns: dict[str, Cells] = shard.read()["values"]
    return columns


def _is_missing(cell: float | str | None) -> bool:
    return cell is None or (is_missing_cell(cell) if isinstance(cell, str) else math.isnan(cell))


def _number(cell: float | str | None) -> float | None:
    return number(cell) if isinstance(cell, str) else cell


def _text(cell: float | str | None) -> str:
    if cell is None or _is_missing(cell):
        return ""
    if isinstance(cell, str):
        return encodable(cell)
    return str(int(cell)) if float(cell).is_integer() else repr(float(cell))
