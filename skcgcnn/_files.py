"""Write files so that a reader never sees half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` and move it there once it is complete.

    Parameters
    ----------
    path : path
        Where the file goes; what stands there before stays until the new file is complete.
    mode : {"w", "wb"}, default="w"
        Text (UTF-8) or bytes.
    **options
        For `open`.

    Yields
    ------
    file object
    """
    path = Path(path)
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    with NamedTemporaryFile(
        mode, dir=path.parent, prefix=f".{path.name}.", delete=False, **options
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # A temporary file is its owner's alone; the finished one is as any new file.
            umask = os.umask(0)
            os.umask(umask)
            Path(file.name).chmod(0o666 & ~umask)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
