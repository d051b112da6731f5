"""The folder format of CGCNN: CIFs and an ``id_prop.csv``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from skcgcnn._files import user_path
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets._columns import (
    is_missing_cell,
    looks_like_decimal_commas,
    number,
    read_column,
)
from skcgcnn.datasets._crystal_files import CrystalFolder, crystal_name, expected_files
from skcgcnn.datasets._spreadsheet import Row, Sheet, read_sheet
from skcgcnn.exceptions import DataError

_MOST_PROBLEMS = 20
_NAMES_OF_IDS = {
    "id",
    "cif_id",
    "cif",
    "name",
    "file",
    "filename",
    "material_id",
    "mp_id",
    "crystal",
}


@dataclass(frozen=True)
class Table:
    """What an ``id_prop.csv`` holds.

    Attributes
    ----------
    cif_ids : list of str
        First column, without ``.cif``.
    paths : list of str
        The files.
    names : list of str
        Names of the targets.
    columns : list of ndarray of shape (n_crystals,)
        The targets: floats, or objects where the column is text.
    """

    cif_ids: list[str]
    paths: list[str]
    names: list[str]
    columns: list[npt.NDArray[Any]]


def load_id_prop(
    folder: str | PathLike[str],
    *,
    target: str | Sequence[str] | None = None,
    label: str | None = None,
    on_missing: str = "raise",
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load a folder of CIFs with an ``id_prop.csv``, the data format of CGCNN.

    Each line holds ``cif_id,value``, ``cif_id,value,label`` or further targets; ``<cif_id>.cif``
    or ``<cif_id>.cif.gz`` lies beside it. The first line is a header if there is no such file and
    not all of its values are numbers. Semicolons or tabs between the columns, decimal commas beside
    them, UTF-16, comments (``#``), a row of units, and the index column of pandas are understood;
    one warning lists what is unusual. An ``atom_init.json`` in the folder is named in the result.

    Parameters
    ----------
    folder : path
        The folder.
    target : str or sequence of str, optional
        Names of the columns of numbers to return; by default all columns are returned.
    label : str, optional
        Name of the column of classes to return, after those of numbers.
    on_missing : {"raise", "keep"}, default="raise"
        What to do with crystals whose file does not exist: raise an error, or keep the path where
        it should be, for readers that report it.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Give ``target`` as a pandas Series or DataFrame, and ``frame`` with paths and targets.

    Returns
    -------
    Bunch, or (data, target)
        ``data`` : list of str
            Paths of the CIFs, in the order of the file.
        ``target`` : ndarray of shape (n_crystals,) or (n_crystals, n_targets)
            Of floats, or of objects where a column holds text. NaN where one of several targets
            is missing.
        ``target_names`` : list of str
            From the header; without one "value" and "label" ("target_3" and so on).
        ``cif_ids`` : list of str
            First column.
        ``groups`` : ndarray of str of shape (n_crystals,), or None
            From ``groups.csv``, in the order of the crystals; None where there is no such file.
        ``atom_features`` : str or None
            Path of the folder's ``atom_init.json``.
        ``filename``, ``frame``, ``DESCR`` : str, DataFrame or None, str
            As everywhere in scikit-learn.

    Raises
    ------
    DataError
        If the file is missing or empty, an id comes twice, a CIF is missing, a value is not a
        number, lines have different numbers of columns, there is no such target, or
        ``groups.csv`` leaves out a crystal. The message names the lines.

    Examples
    --------
    >>> from skcgcnn.datasets import load_id_prop, load_sample_regression
    >>> from pathlib import Path
    >>> folder = Path(load_sample_regression().filename).parent
    >>> load_id_prop(folder).target_names
    ['formation_energy', 'is_metal']
    >>> load_id_prop(folder, target="formation_energy").target.shape
    (254,)
    """
    folder = user_path(folder)
    table = read_table(folder, on_missing=on_missing)
    file = folder / "id_prop.csv"
    if target is not None or label is not None:
        wanted = [target] if isinstance(target, str) else list(target or [])
        table = choose_columns(table, [*wanted, *([] if label is None else [label])], file)
    _check_values(table, file)
    atom_features = folder / "atom_init.json"
    bunch = make_bunch(
        table.paths,
        join_columns(table.columns),
        table.names,
        as_frame=as_frame,
        cif_ids=table.cif_ids,
        groups=read_groups(folder, table.cif_ids),
        filename=str(file),
        DESCR=f"{len(table.paths)} crystals with {', '.join(table.names)}, read from {folder}.",
        atom_features=str(atom_features) if atom_features.is_file() else None,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch


def make_bunch(
    paths: list[str], target: Any, names: list[str], *, as_frame: bool, **other: Any
) -> Bunch:
    """Return paths and targets as scikit-learn's datasets do."""
    frame = None
    if as_frame:
        import pandas as pd

        frame = pd.DataFrame(target.reshape(len(paths), -1), columns=names).infer_objects()
        target = frame[names[0]] if target.ndim == 1 else frame.copy()
        frame.insert(0, "path", paths)
    return Bunch(data=paths, target=target, target_names=names, frame=frame, **other)


def read_table(
    folder: str | PathLike[str], *, on_missing: str = "raise", targets: bool = True
) -> Table:
    """Read ``id_prop.csv``.

    Parameters
    ----------
    folder : path
        The folder.
    on_missing : {"raise", "keep"}, default="raise"
        What to do with crystals whose file does not exist, see `load_id_prop`.
    targets : bool, default=True
        Whether targets are needed; without, ids alone are enough.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        See `load_id_prop`.

    Warns
    -----
    UserWarning
        One line with what is unusual about the file.
    """
    folder = user_path(folder)
    if folder.is_file():
        raise DataError(f"{folder}: is a file; name its folder, {folder.parent}")
    file = folder / "id_prop.csv"
    sheet = read_sheet(file)
    files = CrystalFolder(folder)
    _drop_index(sheet, files)
    header = _take_header(sheet, files)
    if not sheet.rows:
        raise DataError(f"{file}: holds no crystal")
    _check_shape(sheet, header, targets=targets)
    problems: list[str] = []
    cif_ids, paths = _find_files(sheet, files, problems, on_missing)
    columns = []
    if targets:
        columns = [read_column(sheet, i, problems) for i in range(1, len(sheet.rows[0][1]))]
    _raise(file, problems)
    if sheet.remarks:
        warn_caller(f"{file}: read with {', '.join(sheet.remarks)}")
    defaults = ["value", "label", *(f"target_{i}" for i in range(3, len(columns) + 1))]
    names = header[1:] if header else defaults[: len(columns)]
    return Table(cif_ids, paths, names, columns)


def choose_columns(table: Table, names: Sequence[str], file: Path) -> Table:
    """Return a table with some of its targets.

    Parameters
    ----------
    table : Table
        The table.
    names : sequence of str
        Names of the targets.
    file : Path
        For messages.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If there is no such target.
    """
    for name in names:
        if table.names.count(name) != 1:
            how = "has no" if name not in table.names else "has several"
            raise DataError(f"{file}: {how} column {name!r}; it has {', '.join(table.names)}")
    chosen = [table.names.index(name) for name in names]
    return replace(table, names=list(names), columns=[table.columns[i] for i in chosen])


def read_groups(folder: str | PathLike[str], cif_ids: list[str]) -> npt.NDArray[np.str_] | None:
    """Read ``groups.csv``.

    Parameters
    ----------
    folder : path
        The folder.
    cif_ids : list of str
        The crystals.

    Returns
    -------
    ndarray of str of shape (n_crystals,), or None
        The group of each crystal; None where there is no such file.

    Raises
    ------
    DataError
        If a line is not ``cif_id,group``, an id comes twice, or a crystal has no group.
    """
    file = user_path(folder) / "groups.csv"
    if not file.is_file():
        return None
    groups: dict[str, str] = {}
    problems = []
    for line, cells in read_sheet(file).rows[1:]:
        if len(cells) != 2 or not all(cells):
            problems.append(f"line {line}: expected 'cif_id,group'")
        elif crystal_name(cells[0]) in groups:
            problems.append(f"line {line}: id {cells[0]!r} comes twice")
        else:
            groups[crystal_name(cells[0])] = cells[1]
    problems += [f"{str(cif_id)!r} has no group" for cif_id in cif_ids if cif_id not in groups]
    _raise(file, problems)
    return np.array([groups[str(cif_id)] for cif_id in cif_ids])


def _drop_index(sheet: Sheet, files: CrystalFolder) -> None:
    """Drop the index column that pandas writes: 0, 1, 2, ... before the ids."""
    rows = sheet.rows
    if len(rows) < 2 or min(len(cells) for _, cells in rows) < 2:
        return
    first = [cells[0] for _, cells in rows[1:]]
    named = rows[0][1][0] in {"", "Unnamed: 0"}
    if named and first == [str(i) for i in range(len(first))] and _exists(rows[1][1][1], files):
        sheet.rows = [(line, cells[1:]) for line, cells in rows]
        sheet.remarks.append("an index column")


def _take_header(sheet: Sheet, files: CrystalFolder) -> list[str] | None:
    """Take the names of the columns, and a row of units under them, from the rows."""
    if not sheet.rows or not _is_header(sheet.rows, files):
        return None
    header = sheet.rows.pop(0)[1]
    if len(sheet.rows) > 1 and _is_unit_row(sheet.rows, files):
        sheet.remarks.append("a row of units")
        sheet.rows.pop(0)
    return header


def _is_header(rows: list[Row], files: CrystalFolder) -> bool:
    cif_id, *values = rows[0][1]
    texts = [value for value in values if number(value) is None and not is_missing_cell(value)]
    if _exists(cif_id, files) or (values and not texts):
        return False
    if not values:  # ids alone: a missing file does not make the first one a name
        return cif_id.lower() in _NAMES_OF_IDS
    # Neither a crystal nor numbers: names of columns, unless its texts come again as labels.
    later = [set(column) for column in zip(*(cells[1:] for _, cells in rows[1:]), strict=False)]
    seen = [value in set().union(*later) for value in texts]
    return not (seen and all(seen))


def _is_unit_row(rows: list[Row], files: CrystalFolder) -> bool:
    """Tell whether a row without a crystal has texts where the next ones have numbers."""
    (_, cells), (_, following) = rows[:2]
    return (
        not _exists(cells[0], files)
        and all(number(cell) is None for cell in cells[1:])
        and any(number(cell) is not None for cell in following[1:])
        and _exists(following[0], files)
    )


def _exists(cif_id: str, files: CrystalFolder) -> bool:
    try:
        return files.find(cif_id, []) is not None
    except DataError:
        return True


def _check_shape(sheet: Sheet, header: list[str] | None, *, targets: bool) -> None:
    file, n_columns = sheet.file, len(sheet.rows[0][1])
    if header is not None and len(header) != n_columns:
        line, cells = sheet.rows[0]
        hint = _COMMA_HINT if n_columns > len(header) and sheet.separator == "," else ""
        raise DataError(
            f"{file}: the header has {len(header)} columns ({', '.join(header)}), but line {line} "
            f"has {n_columns} ({', '.join(cells)}){hint}"
        )
    _raise(
        file,
        [
            f"line {line}: has {len(cells)} columns, but the first crystal has {n_columns}"
            for line, cells in sheet.rows
            if len(cells) != n_columns
        ],
    )
    if not targets:
        return
    if n_columns < 2:
        raise DataError(
            f"{file}:\n  line {sheet.rows[0][0]}: expected 'cif_id,value' or 'cif_id,value,label'"
        )
    if header is None and looks_like_decimal_commas(sheet):
        line, cells = sheet.rows[0]
        raise DataError(f"{file}: line {line} is {','.join(cells)!r}{_COMMA_HINT}")


_COMMA_HINT = (
    ". If these are decimal commas, write decimal points, or put semicolons between the columns"
)


def _find_files(
    sheet: Sheet, files: CrystalFolder, problems: list[str], on_missing: str
) -> tuple[list[str], list[str]]:
    cif_ids = [crystal_name(cells[0]) for _, cells in sheet.rows]
    paths = expected_files(files.folder, cif_ids)
    first: dict[str, int] = {}
    for i, ((line, _), cif_id) in enumerate(zip(sheet.rows, cif_ids, strict=True)):
        if cif_id in first:
            problems.append(f"line {line}: id {cif_id!r} stands in line {first[cif_id]} already")
        first.setdefault(cif_id, line)
        try:
            found = files.find(cif_id, sheet.remarks)
        except DataError as error:
            problems.append(f"line {line}: {error}")
            continue
        if found is not None:
            paths[i] = found
        elif on_missing == "raise" and first[cif_id] == line:
            problems.append(f"line {line}: {paths[i]} does not exist")
    return cif_ids, [str(path) for path in paths]


def _check_values(table: Table, file: Path) -> None:
    """Refuse a single target that is missing: there would be nothing to learn."""
    if len(table.columns) != 1:
        return
    missing = [value != value for value in table.columns[0]]  # noqa: PLR0124 - NaN
    problems = [
        f"{cif_id!r} has no value of {table.names[0]}"
        for cif_id, absent in zip(table.cif_ids, missing, strict=True)
        if absent
    ]
    _raise(file, problems)


def join_columns(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return columns side by side, or the one that there is."""
    if len(columns) == 1:
        return columns[0]
    kind = object if any(column.dtype == object for column in columns) else np.float64
    return np.stack([column.astype(kind) for column in columns], axis=1)


def _raise(file: Path, problems: list[str]) -> None:
    if not problems:
        return
    shown = problems[:_MOST_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    raise DataError("\n  ".join([f"{file}:", *shown]))
