"""The properties of a store: columns of numbers or texts, as long as there are crystals."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.datasets import is_missing_cell, number
from skcgcnn.graphs import Stream, map_arrays, stream_arrays
from skcgcnn.stores._items import Values
from skcgcnn.stores._shards import ShardFiles

Cells = list[float | str | None]
# What is known of the crystals of a shard.
ReadColumns = Callable[[ShardFiles], dict[str, Cells]]


def write_columns(path: Path, shards: Sequence[ShardFiles], read: ReadColumns) -> list[str]:
    """Join the columns of shards in one file, in little memory.

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
    """
    is_numeric: dict[str, bool] = {}
    widths: dict[str, int] = {}
    sizes = []
    for shard in shards:
        sizes.append(_n_crystals(shard))
        for name, cells in read(shard).items():
            present = [cell for cell in cells if not _is_missing(cell)]
            numeric = all(_number(cell) is not None for cell in present)
            is_numeric[name] = is_numeric.get(name, True) and numeric
            widths[name] = max([widths.get(name, 1), *(len(_text(cell)) for cell in present)])

    def pieces(name: str) -> Iterator[npt.NDArray[Any]]:
        for shard, size in zip(shards, sizes, strict=True):
            cells = read(shard).get(name) or [None] * size
            if is_numeric[name]:
                values = [math.nan if _is_missing(cell) else _number(cell) for cell in cells]
                yield np.array(values, dtype=np.float64)
            else:
                yield np.array([_text(cell) for cell in cells], dtype=np.str_)

    names = list(is_numeric)
    whole = np.array(json.dumps(names))
    streams = {"names": Stream(whole.dtype, (), [whole])}
    for index, name in enumerate(names):
        dtype = np.dtype(np.float64 if is_numeric[name] else f"U{widths[name]}")
        # Numbered: a name of a column may be none of a file.
        streams[f"column_{index}"] = Stream(dtype, (sum(sizes),), pieces(name))
    stream_arrays(path, streams)
    return names


def read_columns(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of a store, mapped into memory.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to ndarray
    """
    arrays = map_arrays(path)
    names = json.loads(str(arrays["names"]))
    return {name: arrays[f"column_{index}"] for index, name in enumerate(names)}


def with_properties(
    names: Sequence[str], by_id: Mapping[str, Values]
) -> tuple[ReadColumns, set[str]]:
    """Return a reader of the columns of a shard with those of a table beside.

    Parameters
    ----------
    names : sequence of str
        Of the properties in the table.
    by_id : mapping
        The properties of each crystal.

    Returns
    -------
    read : callable
    used : set of str
        The ids that were found; it fills as shards are read.
    """
    used = set[str]()

    def read(shard: ShardFiles) -> dict[str, Cells]:
        columns: dict[str, Cells] = shard.read()["values"]
        ids = [str(one) for one in map_arrays(shard.graphs)["ids"]]
        used.update(one for one in ids if one in by_id)
        for name in names:
            columns[name] = [by_id.get(one, {}).get(name) for one in ids]
        return columns

    return read, used


def own_columns(shard: ShardFiles) -> dict[str, Cells]:
    """Return the columns that a shard has of its own."""
    columns: dict[str, Cells] = shard.read()["values"]
    return columns


def _n_crystals(shard: ShardFiles) -> int:
    return len(map_arrays(shard.graphs)["ids"])


def _is_missing(cell: float | str | None) -> bool:
    return cell is None or (is_missing_cell(cell) if isinstance(cell, str) else math.isnan(cell))


def _number(cell: float | str | None) -> float | None:
    return number(cell) if isinstance(cell, str) else cell


def _text(cell: float | str | None) -> str:
    if cell is None or _is_missing(cell):
        return ""
    return cell if isinstance(cell, str) else f"{cell:g}"
