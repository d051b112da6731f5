"""The groups of crystals: ``groups.csv`` beside them."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from skcgcnn._text import spellings
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets._cells import is_missing_cell
from skcgcnn.datasets._column_names import is_index_name
from skcgcnn.datasets._crystal_files import crystal_name
from skcgcnn.datasets._tables import TABLES, Sheet, refuse
from skcgcnn.exceptions import DataError

# Endings of tables that are not read.
_OTHER_TABLES = (
    *(".txt", ".dat", ".json", ".jsonl", ".ndjson"),
    *(".parquet", ".feather", ".xls", ".xlsm", ".xlsb", ".ods"),
)


def load_groups(folder: Path, cif_ids: Sequence[str]) -> dict[str, str] | None:
    """Read ``groups.csv``, beside crystals of these names.

    Returns
    -------
    dict of str to str, or None
        Groups by the names of the crystals; None where there is no such file.

    Raises
    ------
    DataError
        If a line is not ``cif_id,group``, or an id comes twice; or the table has another name.

    Warns
    -----
    UserWarning
        Names groups that are spelled in several ways.
    """
    if not (folder / "groups.csv").is_file():
        # To leave it out would part the crystals of a group.
        for other in folder.glob("[gG][rR][oO][uU][pP][sS].*"):
            if other.name.lower().endswith((*TABLES, *_OTHER_TABLES)):
                raise DataError(f"{other}: groups are read from groups.csv; save it as that")
        return None
    known = set(cif_ids)
    sheet = Sheet(folder / "groups.csv", known.__contains__)
    groups: dict[str, str] = {}
    problems = []
    (_, *header), *rows = _without_index(sheet) or [(0,)]
    if header and crystal_name(header[0]) in known:
        problems.append(f"begins with the crystal {header[0]!r}; write 'cif_id,group' above it")
    for line, *cells in rows:
        if len(cells) < 2 or not all(cells[:2]) or any(cells[2:]):
            problems.append(f"line {line}: expected 'cif_id,group'")
        elif is_missing_cell(cells[1]):
            problems.append(
                f"line {line}: {cells[1]!r} counts as missing; give the group another name"
            )
        elif groups.get(crystal_name(cells[0]), cells[1]) != cells[1]:
            problems.append(f"line {line}: id {cells[0]!r} comes twice")
        else:
            groups[crystal_name(cells[0])] = cells[1]
    refuse(sheet.file, problems)
    for names in spellings(groups.values()):
        warn_caller(
            f"{sheet.file}: {' and '.join(map(repr, names))} differ by case or blanks alone, and "
            "count as different groups"
        )
    return groups


def _without_index(sheet: Sheet) -> list[tuple[Any, ...]]:
    """Return the line and the cells of each row, without an index of pandas before two columns."""
    frame = sheet.frame().fillna("")
    if not len(frame):
        return []
    counts = takewhile(lambda name: _is_count(frame[name]), frame)
    n_counts = sum(1 for _ in counts)
    if n_counts and frame.shape[1] == n_counts + 1:
        warn_caller(f"{sheet.file}: read with its index as the ids")
        n_counts -= 1
    frame = frame.iloc[:, n_counts:]
    return [*frame.itertuples(name=None)]


def _is_count(cells: Any) -> bool:
    return is_index_name(cells.iloc[0]) and bool(cells.iloc[1:].str.isdecimal().all())
