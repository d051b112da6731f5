"""Write files so that a reader never sees half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` and move it there once it is complete.

    Parameters
    ----------
    path : path
        Where the file goes; an existing file stays until the new one is complete.
    mode : {"w", "wb"}, default="w"
        Text (UTF-8, newlines as written) or bytes.

    Yields
    ------
    file object
    """
    path = Path(path)
    # A fixed name, so that the next run overwrites what a killed run left behind.
    temporary = path.with_name(f".{path.name}.tmp")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    with temporary.open(mode, **text) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
