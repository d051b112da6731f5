"""NumPy's own archive of arrays, read through a memory map."""

import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write, user_path

# Size of a member's header in the archive, and where it holds the sizes of the two fields that
# follow it, the name and the extra field.
_HEADER_SIZE = 30
_FIELD_SIZES = slice(26, 30)

# The header of a member, that of its array, and names.
_MOST_HEADERS = 1 << 17

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


def stream_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Stream]) -> None:
    """Write arrays piece by piece to an uncompressed ``.npz`` file; see `write_arrays`.

    Parameters
    ----------
    path : path
        Where to write.
    arrays : mapping of str to Stream
        What to write.

    Raises
    ------
    ValueError
        If the pieces of an array are not as long as its shape says.
    """
    with atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, stream in arrays.items():
            dtype, written = np.dtype(stream.dtype), 0
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": stream.shape,
            }
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for piece in stream.pieces:
                    whole = np.ascontiguousarray(piece, dtype)
                    member.write(whole.reshape(-1).view(np.uint8).data)
                    written += whole.size
            if written != math.prod(stream.shape):
                raise ValueError(f"{name}: {written} numbers do not fill {stream.shape}")


def map_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray]:
    """Map the arrays of an uncompressed ``.npz`` file, read-only, into memory.

    ``numpy.load`` maps single files only, but an uncompressed archive holds arrays as they are.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to ndarray
        Read from the disk as they are used.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile
        If it is not such a file.
    """
    path = user_path(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    with path.open("rb") as file:
        return {member.filename.removesuffix(".npy"): _map(file, member) for member in members}


def _map(file: IO[bytes], member: zipfile.ZipInfo) -> npt.NDArray:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed")
    file.seek(member.header_offset)
    sizes = np.frombuffer(file.read(_HEADER_SIZE)[_FIELD_SIZES], dtype="<u2")
    file.seek(int(sizes.sum()), os.SEEK_CUR)
    try:
        shape, fortran, dtype = _READ_HEADER[np.lib.format.read_magic(file)](file)
    except Exception as error:  # NumPy raises whatever the header provokes
        raise ValueError(f"{member.filename} is no array ({error!r})") from error
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects")
    size = math.prod(shape) * dtype.itemsize
    if file.tell() - member.header_offset > member.file_size + _MOST_HEADERS or (
        size > member.file_size
    ):
        raise ValueError(f"{member.filename} is smaller than its shape says")
    if 0 in shape:
        return np.empty(shape, dtype)  # an empty array cannot be mapped
    return np.memmap(
        Path(file.name), dtype, "r", offset=file.tell(), shape=shape, order="F" if fortran else "C"
    )
