"""Write files so that a reader never sees half of one."""

import errno
import glob
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from os.path import samestat
from pathlib import Path
from typing import IO, Any

from skcgcnn.exceptions import DataError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "DISK_FULL",
    "atomic_write",
    "check_folder",
    "file_mark",
    "file_state",
    "lock_folder",
    "matching",
    "named_if_full",
    "refuse_changed",
    "remove_old",
    "take_folder",
    "unlock_folder",
    "user_path",
]

# How temporary files are called: nobody else's are.
_TEMPORARY, _ENDING = ".skcgcnn-", ".tmp"
# After so long a writer that lives has locked its file.
_SECONDS = 10

# What a disk without room says, or a quota, or a limit of the size of files.
DISK_FULL = {errno.ENOSPC, errno.EFBIG, *filter(None, [getattr(errno, "EDQUOT", None)])}
# A disk that fails, or is not there any more.
_DISK_FAILS = {errno.EIO, *filter(None, [getattr(errno, "ESTALE", None)])}

# Size of a file, time of its last change and its number; None where it is not there.
Mark = tuple[int, int, int] | None

# Folders that this process has looked for leftovers in.
_tidy = set[Path]()


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in the place of ``~``; that of nobody stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises where there is nobody


def file_mark(path: str | os.PathLike[str]) -> Mark:
    """Return what changes with a file."""
    state = file_state(path)
    return None if state is None else state[:3]


def file_state(path: str | os.PathLike[str]) -> tuple[int, int, int, int] | None:
    """Return what changes with a file, also where its time is set back, as archives do."""
    try:
        found = user_path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


def refuse_changed(paths: Sequence[str], marks: Sequence[Mark]) -> None:
    """Refuse files that changed since they were read first: some steps read them again.

    Parameters
    ----------
    paths : sequence of str
        The files.
    marks : sequence
        What `file_mark` told of each.

    Raises
    ------
    DataError
        If one has another time or size, or was replaced.
    """
    for path, mark in zip(paths, marks, strict=True):
        if file_mark(path) != mark:
            raise DataError(
                f"{path}: was changed after the crystals were read first; run the command again "
                "when no file changes anymore"
            )


def matching(pattern: str | os.PathLike[str]) -> list[str]:
    """Return the files whose names are as a pattern says, in the order of their names.

    Raises
    ------
    PermissionError
        If a folder that the pattern leads into cannot be listed: `glob` takes it for an empty one.
    """
    # glob, for pathlib needs its root.
    for parent in takewhile(glob.has_magic, map(str, Path(pattern).parents)):
        for path in filter(os.path.isdir, glob.iglob(parent, recursive=True)):  # noqa: PTH207
            os.scandir(path).close()  # raises
    # sorted: the order of a folder is not the same everywhere.
    return sorted(glob.glob(os.fspath(pattern), recursive=True))  # noqa: PTH207


def check_folder(folder: Path, what: str = "the results") -> None:
    """Refuse a place for a folder that is a file, or a link to nothing."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; name a folder for {what}")
    if folder.is_symlink() and not folder.exists():
        raise DataError(f"{folder}: is a link to what is not there; make that, or name another")


@contextmanager
def named_if_full(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the name of a file to the error of a disk without room, or one that fails."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in DISK_FULL | _DISK_FAILS:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` and move it there once it is complete.

    The temporary file has a name of its own, so that several writers do not disturb each other,
    and it is removed if writing fails; what a killed process left is removed at the first write to
    the folder. A file that is not regular, such as ``/dev/null`` or a pipe, is
    written directly; a link stays a link.

    Parameters
    ----------
    path : path
        Where the file goes, also with ``~``; an existing file stays until the new one is complete.
    mode : {"w", "wb"}, default="w"
        Text (UTF-8, newlines as written, what is no letter as an escape) or bytes.

    Yields
    ------
    file object
    """
    # Names of files can hold bytes that are no letters.
    text: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    text = {} if "b" in mode else text
    given = user_path(path)
    # Before links are followed: that of a pipe does not lead to a path.
    if given.exists() and not given.is_file():
        with named_if_full(given), given.open(mode, **text) as file:
            yield file
        return
    path = Path(os.path.realpath(given))
    if path.exists() and not os.access(path, os.W_OK):
        # The folder would let it be replaced, but somebody protects it.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(given))
    if path.parent not in _tidy:
        _tidy.add(path.parent)
        _remove_leftovers(path.parent)
    # Opened with O_EXCL: nothing that is there already, such as a planted link, is followed.
    try:
        number, name = tempfile.mkstemp(
            prefix=f".{path.name[:80]}{_TEMPORARY}", suffix=_ENDING, dir=path.parent
        )
    except OSError as error:  # it names the temporary file
        raise OSError(error.errno, error.strerror, str(given)) from error
    try:
        with named_if_full(given), open(number, mode, **text) as file:  # noqa: PTH123 - open already
            _lock(number)
            if hasattr(os, "fchmod"):  # not on Windows
                os.fchmod(number, _mode(path))
            yield file
            file.flush()
            os.fsync(number)
        try:
            os.replace(name, path)  # noqa: PTH105 - a name, not a path
        except OSError as error:  # it names the temporary file, too
            raise OSError(error.errno, error.strerror, str(given)) from error
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - likewise
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as `atomic_write` does."""
    with atomic_write(path) as file:
        file.write(text)


def remove_old(path: str | os.PathLike[str]) -> None:
    """Remove a result that `atomic_write` is about to replace, where that would replace it.

    A link stays a link, what is not regular stays, such as ``/dev/null`` or a pipe, and so does
    what somebody protects, which `atomic_write` refuses.
    """
    given = user_path(path)
    # Asked before links are followed: where /dev/stdout is a pipe, its link leads to no file.
    if given.is_file():
        old = Path(os.path.realpath(given))
        if os.access(old, os.W_OK):
            old.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that are no more."""
    with suppress(OSError):  # a folder that cannot be listed
        found = list(folder.glob(f".*{_TEMPORARY}*{_ENDING}"))
        for path in (path for path in found if path.is_file() and not path.is_symlink()):
            with suppress(OSError):
                with path.open("rb") as file:
                    # A live writer holds the lock; one that has just begun is about to take it.
                    facts = path.stat()
                    begun = facts.st_size or time.time() - facts.st_mtime > _SECONDS
                    is_left = _lock(file.fileno()) and begun
                if is_left:  # closed, for Windows removes no open file
                    path.unlink()


def _lock(number: int) -> bool:
    """Lock a file, if nobody has; the system unlocks it when the process ends."""
    if fcntl is None:
        return True  # type: ignore[unreachable] # Windows removes no file that is open
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # of another process, or a file system without locks
        return False
    return True


def _mode(path: Path) -> int:
    """Return the permissions of the file that is replaced, or those of a new one."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def lock_folder(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder against other processes that ask; the system unlocks it for the dead.

    Parameters
    ----------
    folder : Path
    wait : bool
        Whether to wait for the process that has it.

    Returns
    -------
    int or None
        What `unlock_folder` takes; None where folders cannot be locked.

    Raises
    ------
    BlockingIOError
        If another process has it, and this one does not wait.
    """
    if fcntl is None:
        return None  # type: ignore[unreachable]
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise
    except OSError:  # a file system without locks
        os.close(number)
        return None
    return number


def take_folder(folder: Path) -> int | None:
    """Lock a folder for this process alone, see `lock_folder`.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    int or None

    Raises
    ------
    BlockingIOError
        If another process has it, or had it and removed it.
    """
    try:
        number = lock_folder(folder, wait=False)
        is_gone = number is not None and not samestat(os.fstat(number), folder.stat())
    except FileNotFoundError:
        number, is_gone = None, True
    if is_gone:
        unlock_folder(number)
        raise BlockingIOError
    return number


def unlock_folder(number: int | None) -> None:
    """Unlock what `lock_folder` locked."""
    if number is not None:
        os.close(number)
