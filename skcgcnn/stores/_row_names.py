"""Whether the rows of a table have the crystals of their names; a column may be sorted alone."""

import re
from collections import Counter
from pathlib import PurePosixPath

from skcgcnn.crystals import is_cif_text
from skcgcnn.stores._items import without_ending

# Between the words of the name of a file, as in NaCl_mp-22862 or EntryWithCollCode60013.
_BETWEEN = re.compile(r"[_. ]|(?<=[A-Za-z])(?=\d)")
# So many times as many as the rows are no numbers of rows, but those of a database.
_FAR = 3
_BLOCK = re.compile(r"^data_(\S+)", re.MULTILINE | re.IGNORECASE)


class RowNames:
    """The names of rows, and what their crystals are called, as the parts of a path or a CIF."""

    def __init__(self) -> None:
        self._parts = dict[str, set[str]]()

    def add(self, own_id: str, cell: str) -> None:
        """Add a row with its cell of a crystal."""
        if is_cif_text(cell):
            block = _BLOCK.search(cell)
            parts = {block[1]} if block else set()
        elif cell.startswith("{"):
            return
        else:
            whole = without_ending(cell.replace("\\", "/"))
            *folders, stem = PurePosixPath(whole).parts or ("",)
            parts = {whole, *folders, stem, *_BETWEEN.split(stem)}
        self._parts[without_ending(own_id)] = parts

    def remarks(self) -> list[str]:
        """Return a remark where rows have the crystals of other ones.

        Each of these has the name of one other row, which has not that crystal either, and has it
        alone: of one crystal at several temperatures, or of folders with numbers, that is not so.
        """
        others = [
            (own, part)
            for own, parts in self._parts.items()
            if own not in parts
            for part in parts
            if part in self._parts and part not in self._parts[part]
            if not own.startswith(part)  # BaBr of BaBr_v1
        ]
        counts = Counter(part for _, part in others)
        others = [(own, part) for own, part in others if counts[part] == 1]
        n_own = sum(own in parts for own, parts in self._parts.items())
        # Names that count the rows say nothing of files with other numbers.
        are_numbers = all(map(str.isdecimal, self._parts))
        are_small = max(map(len, self._parts), default=0) <= len(str(_FAR * len(self._parts)))
        if not others or (are_numbers and are_small and 2 * n_own < len(self._parts)):
            return []
        own, part = others[0]
        what = f"{len({one for one, _ in others})} crystals that have the name of another row"
        return [f"{what}, such as {part!r} in that of {own!r} (was a column sorted alone?)"]
