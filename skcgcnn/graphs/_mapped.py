"""Arrays that lie in files: how to tell them, and where to put a part of them."""

import mmap
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Makes an array of a length and a type.
Allocator = Callable[[int, Any], npt.NDArray[Any]]


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Tell whether an array lies in a file that is mapped into memory."""
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return isinstance(base, mmap.mmap)


def empty_beside(array: npt.NDArray[Any]) -> Allocator:
    """Return a maker of arrays in files without a name, which go with their arrays.

    Parameters
    ----------
    array : ndarray
        The files are made in the folder of its file if that can be written, for there they have
        the room; else among the system's temporary files.

    Returns
    -------
    callable
    """
    folder = _folder(array)

    def allocate(length: int, dtype: Any) -> npt.NDArray[Any]:
        n_bytes = length * np.dtype(dtype).itemsize
        if not n_bytes:
            return np.empty(length, dtype)
        with _open_temporary(folder) as file:
            file.truncate(n_bytes)
            # Not NumPy's memmap, whose copies in other processes look for a name.
            return np.frombuffer(mmap.mmap(file.fileno(), n_bytes), dtype, length)

    return allocate


def _folder(array: npt.NDArray[Any]) -> Path | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.filename is not None:
            return Path(base.filename).parent
        base = base.base
    return None


def _open_temporary(folder: Path | None) -> Any:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()
