"""Files of graphs as one file, whatever their size."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import reduce
from operator import itemgetter
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._archive import Stream, map_arrays, stream_arrays
from skcgcnn.graphs._graphs import FILE_FORMAT, CrystalGraphs
from skcgcnn.graphs._packing import distinct_rows

# Rows of an array that are copied together.
_ROWS = 1_000_000
# Offsets of a part go on where those of the part before end; each names what it counts.
_OFFSETS = {"offsets": "site_kinds", "bond_offsets": "neighbors"}


def merge_files(parts: Sequence[str | PathLike[str]], output: str | PathLike[str]) -> CrystalGraphs:
    """Join files of graphs end to end, in little memory.

    Parameters
    ----------
    parts : sequence of paths
        At least one file that `CrystalGraphs.save` wrote; all made with the same options.
    output : path
        Where the joined graphs go.

    Returns
    -------
    CrystalGraphs
        The file, mapped into memory. It holds what `concatenate` of the parts would.

    Raises
    ------
    DataError
        If a part is damaged.
    ValueError
        If the parts were made with different options.
    """
    options, features = None, list[npt.NDArray[np.float32]]()
    shapes, types = list[dict[str, tuple[int, ...]]](), list[dict[str, Any]]()
    for path in parts:
        graphs = CrystalGraphs.load(path, mmap=True)
        if options is not None and (different := options.differences(graphs.options)):
            raise ValueError(
                f"{path}: was made with {graphs.options.describe(different)}, the files before it "
                f"with {options.describe(different)}"
            )
        options = graphs.options if options is None else options.common(graphs.options)
        features += [np.array(row) for row in graphs.kind_features]
        arrays = {n: a for n, a in graphs.to_dict().items() if isinstance(a, np.ndarray)}
        shapes.append({name: array.shape for name, array in arrays.items()})
        types.append({name: array.dtype for name, array in arrays.items()})
    if options is None:
        raise ValueError("expected at least one file")
    kinds, kind_of = distinct_rows(features)
    starts = np.cumsum([0, *(shape["kind_features"][0] for shape in shapes)])

    def stream(name: str) -> Stream:
        dtype = reduce(np.promote_types, map(itemgetter(name), types))
        n_rows = sum(shape[name][0] for shape in shapes)
        if name in _OFFSETS:
            counted = [shape[_OFFSETS[name]][0] for shape in shapes]
            shifts = np.cumsum([0, *counted])
            pieces = _pieces(parts, name, lambda i, rows: rows[1:] + shifts[i])
            first = np.zeros(1, dtype=np.int64)
            return Stream(dtype, (n_rows - len(parts) + 1,), _after(first, pieces))
        if name == "site_kinds":
            pieces = _pieces(parts, name, lambda i, rows: kind_of[starts[i] + rows])
        else:
            pieces = _pieces(parts, name, lambda _, rows: rows)
        return Stream(dtype, (n_rows, *shapes[0][name][1:]), pieces)

    shape = len(kinds), options.n_features
    streams = {
        "format": _whole(FILE_FORMAT),
        **{name: stream(name) for name in shapes[0]},
        "kind_features": Stream(np.float32, shape, [kinds.reshape(shape)]),
        "options": _whole(json.dumps(asdict(options))),
    }
    stream_arrays(output, streams)
    return CrystalGraphs.load(output, mmap=True)


def _pieces(
    parts: Sequence[str | PathLike[str]],
    name: str,
    change: Callable[[int, npt.NDArray[Any]], npt.NDArray[Any]],
) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of an array from file to file; offsets lie one before what they count."""
    overlap = int(name in _OFFSETS)
    for index, path in enumerate(parts):
        rows = map_arrays(path)[name]
        for start in range(0, max(len(rows) - overlap, 0), _ROWS):
            yield change(index, rows[start : start + _ROWS + overlap])


def _after(
    first: npt.NDArray[Any], pieces: Iterator[npt.NDArray[Any]]
) -> Iterator[npt.NDArray[Any]]:
    yield first
    yield from pieces


def _whole(value: Any) -> Stream:
    array = np.array(value)
    return Stream(array.dtype, (), [array])
