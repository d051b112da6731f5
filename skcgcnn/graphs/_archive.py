"""Files of arrays: a single ``.npz``, or a folder of ``.npy`` files that can be memory-mapped."""

import math
import os
import zipfile
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write, named_if_full, user_path

_READ_HEADER: dict[Any, Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_arrays(path: str | os.PathLike[str], arrays: dict[str, npt.NDArray]) -> None:
    """Write arrays to an uncompressed ``.npz`` file, under a temporary name until complete.

    Parameters
    ----------
    path : path
        Where to write.
    arrays : dict of str to ndarray
        What to write; no arrays of objects.
    """
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_arrays(
    path: str | os.PathLike[str], names: Collection[str] | None = None
) -> dict[str, npt.NDArray]:
    """Read the arrays of an uncompressed ``.npz`` file; the file is opened once.

    Parameters
    ----------
    path : path
        The file.
    names : collection of str, optional
        Which arrays to read; by default all.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile
        If it is not such a file.
    """
    with user_path(path).open("rb") as file, zipfile.ZipFile(file) as archive:
        members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
        if any(one.compress_type != zipfile.ZIP_STORED for one in members.values()):
            raise ValueError("it is compressed")
        if sum(one.file_size for one in members.values()) > os.fstat(file.fileno()).st_size:
            raise ValueError("its arrays are larger than the file")
        wanted = members if names is None else names
        return {name: _read(archive, members[name]) for name in wanted}


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as stream:
        try:
            shape, _, dtype = _READ_HEADER[np.lib.format.read_magic(stream)](stream)
        except Exception as error:  # NumPy raises whatever the header provokes
            raise ValueError(f"{member.filename} is not an array ({error!r})") from error
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds Python objects")
        # Before NumPy reserves the memory.
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{member.filename} is smaller than its shape says")
        stream.seek(0)
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        return array


class Stream(NamedTuple):
    """An array that comes in pieces, for it may be larger than memory.

    Attributes
    ----------
    dtype : numpy type
        Of the array.
    shape : tuple of int
        Of the whole array.
    pieces : iterable of ndarray
        Its rows, some at a time.
    """

    dtype: Any
    shape: tuple[int, ...]
    pieces: Iterable[npt.NDArray]


def stream_arrays(folder: str | os.PathLike[str], arrays: Mapping[str, Stream]) -> None:
    """Write arrays piece by piece, each to a ``.npy`` file in a folder.

    Parameters
    ----------
    folder : path
        Where to write; made if need be.
    arrays : mapping of str to Stream
        What to write.

    Raises
    ------
    ValueError
        If the pieces of an array are not as long as its shape says.
    """
    path = user_path(folder)
    path.mkdir(exist_ok=True)
    for name, stream in arrays.items():
        dtype, written = np.dtype(stream.dtype), 0
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": stream.shape,
        }
        target = path / f"{name}.npy"
        with named_if_full(target), target.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for piece in stream.pieces:
                whole = np.ascontiguousarray(piece, dtype)
                file.write(whole.reshape(-1).view(np.uint8).data)
                written += whole.size
            file.flush()
            os.fsync(file.fileno())
        if written != math.prod(stream.shape):
            raise ValueError(f"{name}: {written} numbers do not fill {stream.shape}")


def map_arrays(
    folder: str | os.PathLike[str], names: Collection[str] | None = None
) -> dict[str, npt.NDArray]:
    """Map the ``.npy`` files of a folder, read-only, into memory.

    Returns
    -------
    dict of str to ndarray
        Read from the disk as they are used.

    Raises
    ------
    OSError, ValueError
        If a file is missing or damaged.
    """
    path = user_path(folder)
    if names is None:
        names = sorted(file.stem for file in path.glob("*.npy"))
    arrays: dict[str, npt.NDArray] = {}
    for name in names:
        try:
            arrays[name] = np.load(path / f"{name}.npy", mmap_mode="r")
        except OSError:
            raise
        except Exception as error:  # NumPy raises whatever the header provokes
            raise ValueError(f"{name}.npy is not an array ({error})") from error
    return arrays
