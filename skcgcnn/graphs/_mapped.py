"""Arrays that lie in files: how to tell them, and where to put a part of them."""

import mmap
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# In bytes, of graphs in a file that are in memory at a time.
WINDOW_BYTES = 32_000_000

# How joblib's folders of mapped arrays begin.
_OF_JOBLIB = "joblib_memmapping_folder"

# Makes an array of a length and a type.
Allocator = Callable[[int, Any], npt.NDArray[Any]]


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Tell whether an array is memory-mapped.

    Not those that joblib maps for its workers: they are in memory where they come from, and a fit
    in a worker is to be that of one process.
    """
    file = _file(array)
    joblib_s = file is not None and any(part.startswith(_OF_JOBLIB) for part in file.parts)
    return _mapping(array) is not None and not joblib_s


def _mapping(array: Any) -> mmap.mmap | None:
    while isinstance(array, (np.ndarray, memoryview)):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return array if isinstance(array, mmap.mmap) else None


def crystals_in_memory(graphs: Any) -> int:
    """Return how many crystals of graphs in a file are to be in memory at a time.

    Returns
    -------
    int
        At least 1; all of them where they are few, or in memory already.
    """
    n_bytes = graphs.__sizeof__()
    if n_bytes <= WINDOW_BYTES or not is_mapped(graphs.distances):
        return max(1, len(graphs))
    return max(1, int(len(graphs) * WINDOW_BYTES / n_bytes))


def release_pages(arrays: Mapping[str, Any]) -> None:
    """Drop cached pages of memory-mapped arrays.

    It stays in the system's cache, which gives way to what needs it more; but it does not count as
    memory of the process any more.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays; those in memory stay as they are.
    """
    for array in arrays.values():
        base = _mapping(array)
        if base is not None and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)


def empty_beside(array: npt.NDArray[Any]) -> Allocator:
    """Return a maker of arrays in files without a name, which go with their arrays.

    Parameters
    ----------
    array : ndarray
        The files are made in the folder of its file if that can be written, for there they have
        the room; else among the system's temporary files.
    """
    file = _file(array)
    folder = None if file is None else file.parent

    def allocate(length: int, dtype: Any) -> npt.NDArray[Any]:
        n_bytes = length * np.dtype(dtype).itemsize
        if not n_bytes:
            return np.empty(length, dtype)
        with _open_temporary(folder, n_bytes) as opened:
            # Not NumPy's memmap, whose copies in other processes look for a name.
            return np.frombuffer(mmap.mmap(opened.fileno(), n_bytes), dtype, length)

    return allocate


def _file(array: npt.NDArray[Any]) -> Path | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.filename is not None:
            return Path(base.filename)
        base = base.base
    return None


def _open_temporary(folder: Path | None, n_bytes: int) -> Any:
    try:
        return _filled(folder, n_bytes)
    except OSError:
        return _filled(None, n_bytes)


def _filled(folder: Path | None, n_bytes: int) -> Any:
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
    try:
        # With its room on the disk: a page that finds none would end the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.truncate(n_bytes)
    except OSError:
        file.close()
        raise
    return file
