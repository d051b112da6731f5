"""The text of one file, packed or not, of bounded size."""

import bz2
import errno
import gzip
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import DEFAULT_BUFFER_SIZE
from typing import IO, Any

from skcgcnn.crystals._sources import PACKED
from skcgcnn.exceptions import StructureError, TransientReadError

_PIECE = 1 << 20
# A text of megabytes that unpacks to more says nothing, and takes minutes.
_MOST_UNPACKED, _LARGE = 300, 1_000_000
TOO_PACKED = f"unpacks to over {_MOST_UNPACKED} times its size: unpack it, if it holds crystals"
# Of what others say of a file, which may hold a line of it.
_MOST_LETTERS = 300
# Of a message.
_LONGEST = 1_000
_PASSING = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.EINTR,
    errno.EAGAIN,
    errno.ETIMEDOUT,
    errno.ESTALE,
}
_FORMULA = "; a formula is no crystal: pass a file with its structure, such as a CIF"
_IS_FOLDER = "is a folder, not a file; pass its files, path by path"


def check_regular(path: str, max_bytes: int) -> int:
    """Return the size of a file; refuse a large one, and pipes and devices, which may not end."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib takes longer than the reading
    except FileNotFoundError as error:
        what = f"no such file{_FORMULA if _is_formula(path) else ''}"
        raise StructureError(what) from error
    except (OSError, ValueError) as error:  # a name that is too long, or with a NUL byte
        raise cannot_be_read(error) from error
    if stat.S_ISDIR(status.st_mode):
        raise StructureError(_IS_FOLDER)
    if not stat.S_ISREG(status.st_mode):
        raise StructureError("is a pipe or a device, not a file")
    if status.st_size > max_bytes:
        raise _too_large(max_bytes)
    return status.st_size


def read_text(path: str, max_bytes: int) -> str:
    """Return the text of a file, unpacked, of at most so many bytes."""
    size = check_regular(path, max_bytes)
    try:
        if path.lower().endswith(PACKED):
            unpack = _UNPACKERS[path.lower().rpartition(".")[2]]
            with open(path, "rb") as packed:  # noqa: PTH123 - as above
                # Piece by piece: a small file may hold more than fits into memory.
                content = b"".join(_bounded(unpack(packed), max_bytes))
            if is_too_packed(len(content), size):
                raise StructureError(TOO_PACKED)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - as above
                content = file.read(size + 1)
            if len(content) != size:  # a part of it could be a crystal, too
                raise TransientReadError("was replaced while it was read; read it again")
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise cannot_be_read(error) from error
    return content.decode("utf-8", errors="replace")


def is_too_packed(n_bytes: int, n_packed: int) -> bool:
    """Tell whether a text unpacks to far more than its size."""
    return n_bytes > max(_LARGE, _MOST_UNPACKED * n_packed)


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.open(file) as unpacked:
        while piece := unpacked.read(_PIECE):
            yield piece


def _streams(file: IO[bytes], new: Callable[[], Any]) -> Iterator[bytes]:
    """Yield the pieces of all streams of a file; what is behind them must be zeros.

    Python leaves out what is no stream behind the first one, and with it one that is damaged.
    """
    stream, packed = new(), file.read(DEFAULT_BUFFER_SIZE)
    while packed:
        if stream.eof:
            packed = packed.lstrip(b"\0")  # with which .xz may be filled up
            stream = new() if packed else stream
        if packed:
            yield stream.decompress(packed, _PIECE)
        while not stream.eof and not stream.needs_input:
            yield stream.decompress(b"", _PIECE)
        packed = (stream.unused_data if packed else b"") or file.read(DEFAULT_BUFFER_SIZE)
    if not stream.eof:
        raise EOFError("it ends before the end of its stream; it is truncated")


_UNPACKERS: dict[str, Callable[[IO[bytes]], Iterator[bytes]]] = {
    "gz": _gunzip,
    "bz2": partial(_streams, new=bz2.BZ2Decompressor),
    "xz": partial(_streams, new=lzma.LZMADecompressor),
}


def _bounded(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > max_bytes:
            raise _too_large(max_bytes)
        yield piece


def _is_formula(name: str) -> bool:
    """Tell whether a name looks like a formula, such as NaCl or Fe2O3."""
    return re.fullmatch(r"([A-Z][a-z]?[\d.]*|[()]\d*)+", name) is not None


def _too_large(max_bytes: int) -> StructureError:
    return TransientReadError(  # with another max_bytes it passes
        f"is larger than {max_bytes / 1e6:g} MB; if it is what you mean, raise max_bytes"
    )


def cannot_be_read(error: Exception) -> StructureError:
    """Return what to raise for a file that cannot be opened, or unpacked."""
    message = f"cannot be read ({first_line(error)})"
    return TransientReadError(message) if is_passing(error) else StructureError(message)


def is_passing(error: Exception) -> bool:
    """Tell what is gone tomorrow: too many open files, no memory, a network that is down."""
    return isinstance(error, OSError) and error.errno in _PASSING


def shortened(message: str) -> str:
    """Return a message without its middle, if what it quotes is long."""
    return message if len(message) <= _LONGEST else f"{message[:700]} … {message[-200:]}"


def first_line(error: object) -> str:
    """Return the first line of a message, in part if it is long."""
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0][:_MOST_LETTERS] if lines else type(error).__name__
