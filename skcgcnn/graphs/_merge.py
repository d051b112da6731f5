"""Files of graphs as one file, whatever their size."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import reduce
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import user_path
from skcgcnn.graphs._archive import Stream, map_arrays, read_arrays, stream_arrays
from skcgcnn.graphs._concatenate import Joint
from skcgcnn.graphs._folder import read_data, replace_data
from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._schema import SCHEMA


def merge_files(parts: Sequence[str | PathLike[str]], output: str | PathLike[str]) -> CrystalGraphs:
    """Join files of graphs end to end, in little memory.

    Parameters
    ----------
    parts : sequence of paths
        At least one that `CrystalGraphs.save` wrote; all made with the same options. Folders are
        memory-mapped; of ``.npz`` files, an array is in memory at a time.
    output : path
        Folder for the joined graphs.

    Returns
    -------
    CrystalGraphs
        The joined graphs, memory-mapped. They are what `concatenate` of the parts would return.

    Raises
    ------
    DataError
        If a part is damaged.
    ValueError
        If the parts were made with different options.
    """
    folder = user_path(output)
    joint = join_headers(parts)
    with replace_data(folder) as new:
        stream_arrays(new.path, joined_streams(joint, parts))
        new.facts["options"] = asdict(joint.options)
    return CrystalGraphs.load(folder, mmap=True)


def join_headers(parts: Sequence[str | PathLike[str]]) -> Joint:
    """Check parts, and return how they fit together."""
    if not parts:
        raise ValueError("expected at least one file")
    joint = Joint()
    for path in parts:
        joint.add(CrystalGraphs.load(path, mmap=user_path(path).is_dir()), f"{path}: ")
    joint.finish()
    return joint


def joined_streams(joint: Joint, parts: Sequence[str | PathLike[str]]) -> dict[str, Stream]:
    """Return the arrays of the whole, read from the parts as they are asked for."""
    streams = {}
    for one in SCHEMA:
        name, width = one.name, joint.widths[one.name]
        dtype = reduce(np.promote_types, (dtypes[name] for dtypes in joint.dtypes))
        pieces = joint.pieces(one, _arrays(parts, name))
        streams[name] = Stream(dtype, (joint.length(one), *width), pieces)
    return streams


def _arrays(parts: Sequence[str | PathLike[str]], name: str) -> Iterator[npt.NDArray[Any]]:
    """Yield an array of each part."""
    for path in map(user_path, parts):
        if path.is_dir():
            yield read_data(path, lambda data, _: map_arrays(data, [name])[name])
        else:
            yield read_arrays(path, [name])[name]
