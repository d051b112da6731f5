"""The file of a search: what Optuna writes stays readable, whatever ends the process."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skcgcnn._files import named_if_full


class Journal:
    """Optuna's journal in a file, whose lines are whole.

    A disk that is full, or a process that is killed, leaves half of a line, to which the next would
    be written. The folder is locked by whoever searches, so that the file needs no lock of its own,
    which a process that is killed would leave.

    Parameters
    ----------
    file : Path
        Made if need be; the half of a line at its end is removed.
    """

    def __init__(self, file: Path) -> None:
        from optuna.storages.journal import JournalFileBackend

        if file.exists():
            _cut(file)
        lock: Any = _NoLock()
        self._file, self._backend = file, JournalFileBackend(str(file), lock)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from a number on."""
        yield from self._backend.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries: all, or none where they cannot be written."""
        with named_if_full(self._file):
            before = self._file.stat().st_size
            try:
                self._backend.append_logs(logs)
            except BaseException:
                os.truncate(self._file, before)
                raise


class _NoLock:
    """No lock, in the place of Optuna's."""

    def acquire(self) -> bool:
        """Do nothing."""
        return True

    def release(self) -> None:
        """Do nothing."""


def _cut(file: Path) -> None:
    """Remove what stands after the last end of a line."""
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)
