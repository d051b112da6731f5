"""The files of the crystals that a table names."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

from skcgcnn.exceptions import DataError

_SUFFIXES = (".cif", ".cif.gz")
# In letters, with folders: to fold those of a long text takes the square of their number.
_LONGEST_NAME = 1_000
# Folders above a file that may tell it from others of its name.
_MOST_FOLDERS = 20


class CrystalFolder:
    """The crystal files of a folder, by the ids of a table.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[Path]] = {}
        self._by_number: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            name = _folded(path.name)
            for suffix in _SUFFIXES:
                if name.endswith(suffix):
                    stem = name.removesuffix(suffix)
                    self._by_name.setdefault(stem, []).append(path)
                    self._by_number.setdefault(stem.lstrip("0"), []).append(path)

    def find(self, cif_id: str, remarks: list[str]) -> Path | None:
        """Return the file of a crystal, or None if there is none.

        Parameters
        ----------
        cif_id : str
            First column of the table, with or without ``.cif``.
        remarks : list of str
            What is unusual about the file is appended, once.

        Raises
        ------
        DataError
            If several files could be meant.
        """
        stem = crystal_name(cif_id)
        exact = self.folder / f"{stem}.cif"
        found = self._by_name.get(_folded(stem), [])
        if exact in found:
            return exact
        if not found and "/" in stem:
            found = self._below(stem)
        elif not found and stem.isdecimal():
            found = self._by_number.get(stem.lstrip("0"), [])
            _add(remarks, "ids without their leading zeros", when=bool(found))
        elif found:
            other = not found[0].name.startswith(stem)
            _add(remarks, "names of files in other case or with other accents", when=other)
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError(f"{cif_id!r} could be any of {names}; rename the others")
        return found[0] if found else None

    def has(self, cif_id: str) -> bool:
        """Tell whether there is a file of this name, or several that could be meant."""
        stem = crystal_name(cif_id)
        is_number = stem.isdecimal() and stem.lstrip("0") in self._by_number
        return is_number or self.has_exactly(cif_id)

    def has_exactly(self, cif_id: str) -> bool:
        """Tell whether there is a file of this name, with its leading zeros."""
        stem = crystal_name(cif_id)
        if len(stem) > _LONGEST_NAME:
            return False
        return _folded(stem) in self._by_name or ("/" in stem and bool(self._below(stem)))

    def _below(self, stem: str) -> list[Path]:
        """Return the files of a crystal in a folder below."""
        with suppress(OSError):  # a text that cannot name a file
            paths = [self.folder / f"{stem}{suffix}" for suffix in _SUFFIXES]
            return [path for path in paths if path.is_file()]
        return []

    def others(self, paths: Iterable[Path]) -> list[str]:
        """Return the names of the files in the folder besides these."""
        listed = set(paths)
        files = [path for found in self._by_name.values() for path in found]
        return sorted(path.name for path in files if path not in listed)


def _folded(name: str) -> str:
    """Return a name as it is looked up: letters and their accents may be one character or two."""
    return normalize("NFC", name).lower()


def crystal_name(cif_id: str) -> str:
    """Return an id without the suffix of its file: ``18517.cif`` is ``18517``."""
    for suffix in _SUFFIXES[::-1]:
        if cif_id.lower().endswith(suffix):
            return cif_id[: -len(suffix)]
    return cif_id


def names_of_crystal(cell: str, *, is_file: bool) -> Iterator[str]:
    """Yield the names that a cell may give a crystal; of a file, wherever the table was made.

    Examples
    --------
    >>> list(names_of_crystal("data/relaxed/a.cif", is_file=True))
    ['data/relaxed/a.cif', 'relaxed/a.cif', 'a.cif']
    """
    yield cell
    parts = re.split(r"[/\\]", cell)[-_MOST_FOLDERS:] if is_file else []
    for place in range("\\" not in cell, len(parts)):
        yield "/".join(parts[place:])


def _add(remarks: list[str], remark: str, *, when: bool) -> None:
    if when and remark not in remarks:
        remarks.append(remark)
