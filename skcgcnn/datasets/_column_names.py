"""Names of columns: of those that hold crystals, or their names, or count the rows."""

import re
from collections.abc import Iterable
from pathlib import Path

from skcgcnn.exceptions import DataError

# Names of columns that hold crystals, those that hold their names, and those that hold either.
FILE_NAMES = ("cif", "structure", "path", "file", "filename", "crystal")
ID_NAMES = ("id", "cif_id", "material_id", "mp_id", "jid", "uid", "name")
# What is called so is meant so.
SURE_NAMES = ("id", "cif_id")
CRYSTAL_NAMES = (*FILE_NAMES, *ID_NAMES)
# Of a column that counts the rows of pandas, as it writes and reads it.
_INDEX = re.compile(r"(unnamed: \d+(\.\d+)*|index|level_\d+)?", re.IGNORECASE)


def is_index_name(name: str) -> bool:
    """Tell whether pandas gives this name to a column that counts the rows."""
    return _INDEX.fullmatch(name) is not None


def id_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that are named as ids, the one that most likely has them first.

    As they are written comes before capitals, and ``name``, which may come again, last.
    """
    found = [name for name in names if name.lower() in ID_NAMES]
    return sorted(
        found, key=lambda n: (n.lower() == "name", n not in ID_NAMES, ID_NAMES.index(n.lower()))
    )


def file_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that are named as files."""
    return [name for name in names if name.lower() in FILE_NAMES]


def named_columns(names: list[str]) -> list[str]:
    """Return the columns that are named as ids, then those that are named as files."""
    return [*id_columns(names), *file_columns(names)]


def shifted_header(file: Path, last: str) -> DataError:
    """Return the error for a table whose first column has no name, and whose last is empty."""
    return DataError(
        f"{file}: its first column has no name, and there is nothing below {last!r} in its last: "
        "is the header shifted? Name the first, or remove the last"
    )
