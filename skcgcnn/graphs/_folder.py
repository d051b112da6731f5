"""Folders of arrays that are replaced as a whole: a reader gets one state, never parts of two.

``store.json`` names the subfolder with the arrays, ``data-`` and an identifier: a digest of their
digests, so that one name never stands for two contents. A writer fills a temporary subfolder,
renames it, and replaces ``store.json``; then it deletes the subfolder that was named before.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from skcgcnn._files import atomic_write, lock_folder, unlock_folder

INDEX = "store.json"

# Version of the layout; it grows with each change that older versions cannot read.
FOLDER_FORMAT = 4

_NAME = re.compile(r"data-[0-9a-f]{32}")
_AT_ONCE = 1 << 20
# Of the files that are read.
_ENDINGS = (".npy", ".csv", ".json")
# In bytes, of arrays whose digests are looked at when a folder is opened: some 0.1 s.
_MOST_CHECKED = 1 << 26
# In bytes; a thousand properties are some ten thousand.
_LONGEST = 1 << 24

T = TypeVar("T")


@dataclass
class NewData:
    """What a folder is going to hold.

    Attributes
    ----------
    path : Path
        A temporary subfolder for the arrays.
    facts : dict
        What ``store.json`` says of them.
    """

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def replace_data(folder: Path) -> Iterator[NewData]:
    """Fill a folder with arrays; what it held stays until all is written.

    Parameters
    ----------
    folder : Path
        The folder; made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        _remove_leftovers(folder)
        new = NewData(_temporary(folder))
        new.path.mkdir()
        used = lock_folder(new.path, wait=False)
    try:
        yield new
        digests = _digests(new.path)
        whole = blake2b(json.dumps(digests).encode(), digest_size=16).hexdigest()
        name = f"data-{whole}"
        with _locked(folder):
            same = folder / name
            if same.exists() and _digests(same) != digests:  # it was damaged since
                _remove(folder, same)
            if not same.exists():
                new.path.rename(same)
            with atomic_write(folder / INDEX) as file:
                facts = {"format": FOLDER_FORMAT, "data": name, **new.facts, "digests": digests}
                json.dump({**facts, "own": _own_digest(facts)}, file, indent=2)
                file.write("\n")
            for other in folder.glob("data-*"):
                if other.name != name:
                    _remove(folder, other)
    finally:
        unlock_folder(used)
        shutil.rmtree(new.path, ignore_errors=True)


def holds_other_files(folder: Path) -> bool:
    """Tell whether a folder neither holds arrays nor is being filled by another writer."""
    if not folder.is_dir() or (folder / INDEX).is_file():
        return False
    own = (".data-", "data-", f".{INDEX}.")
    return any(not path.name.startswith(own) for path in folder.iterdir())


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder."""
    with _locked(folder):
        _remove_leftovers(folder)


def read_index(folder: Path) -> dict[str, Any]:
    """Return what ``store.json`` says.

    Raises
    ------
    OSError, ValueError
        If it is missing or damaged, or of a later version.
    """
    with (folder / INDEX).open("rb") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(f"{INDEX} is longer than {_LONGEST} bytes")
    facts = json.loads(text.decode())
    if not isinstance(facts, dict) or "format" not in facts:
        raise ValueError(f"{INDEX} does not describe arrays")
    if facts["format"] != FOLDER_FORMAT:
        raise ValueError(
            f"a store of format {facts['format']}; this version of skcgcnn reads format "
            f"{FOLDER_FORMAT}"
        )
    if not isinstance(facts.get("data"), str) or not _NAME.fullmatch(facts["data"]):
        raise ValueError(f"{INDEX} names no data")
    own = facts.pop("own", None)  # which those that others wrote may not have
    if own is not None and own != _own_digest(facts):
        raise ValueError(f"{INDEX} is not as it was written")
    return facts


def _own_digest(facts: dict[str, Any]) -> str:
    """Return a digest of what ``store.json`` says."""
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def read_data(folder: Path, read: Callable[[Path, dict[str, Any]], T]) -> T:
    """Read the current arrays of a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    read : callable
        Gets the subfolder with the arrays and the content of ``store.json``. It is called again,
        while no writer may replace them, if it fails: one may have replaced them in between.

    Returns
    -------
    object
        What `read` returns.
    """
    with suppress(OSError, ValueError, LookupError):
        facts = read_index(folder)
        return read(folder / facts["data"], facts)
    with _locked(folder):
        facts = read_index(folder)
        return read(folder / facts["data"], facts)


def check_digests(data: Path, facts: dict[str, Any]) -> None:
    """Check that small arrays are those that were written.

    Others of the same length would give crystals the labels of others. Large ones are not read, so
    that a folder opens at once.

    Parameters
    ----------
    data : Path
        The subfolder with the arrays.
    facts : dict
        The content of ``store.json``; one that others wrote may have no digests.

    Raises
    ------
    OSError, ValueError
        If they are not.
    """
    digests, left = dict(facts.get("digests", {})), _MOST_CHECKED
    # Files that are there, and regular: `facts` may come from a stranger.
    files = {p.relative_to(data).as_posix(): p for p in data.rglob("*") if p.is_file()}
    there = {name for name in files if name.endswith(_ENDINGS)}
    if digests and (other := sorted(digests.keys() ^ there)):
        what = "is missing" if other[0] in digests else "does not belong to it"
        raise ValueError(f"{other[0]} {what}")
    for size, name in sorted((path.stat().st_size, name) for name, path in files.items()):
        left -= size
        if left >= 0 and name in digests and digests[name] != _digest(files[name]):
            raise ValueError(f"{files[name].name} is not as it was written")


def _digests(folder: Path) -> dict[str, str]:
    """Return the digest of every array, and of what lies beside."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in paths}


def _digest(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while some := file.read(_AT_ONCE):
            digest.update(some)
    return digest.hexdigest()


def _temporary(folder: Path) -> Path:
    return folder / f".data-{uuid4().hex}.tmp"


def _remove(folder: Path, path: Path) -> None:
    """Remove a folder; under another name first, so that nobody takes half of it for the whole."""
    away = _temporary(folder)
    with suppress(OSError):  # on Windows, while somebody reads it
        path.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(".data-*.tmp"):
        # Its writer holds the lock as long as it lives.
        with suppress(OSError):
            number = lock_folder(path, wait=False)
            if number is not None:
                shutil.rmtree(path, ignore_errors=True)
                unlock_folder(number)
    for path in folder.glob(f".{INDEX}.*.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    number = lock_folder(folder, wait=True)
    try:
        yield
    finally:
        unlock_folder(number)
