"""The folder format of CGCNN: CIFs and an ``id_prop.csv``."""

import csv
import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from skcgcnn.exceptions import DataError

_MISSING = {"", "nan", "na", "n/a", "none", "null"}
_MOST_PROBLEMS = 20

Row = tuple[int, list[str]]


def load_id_prop(
    folder: str | PathLike[str], *, return_X_y: bool = False, as_frame: bool = False
) -> Any:
    """Load a folder of CIFs with an ``id_prop.csv``, the data format of CGCNN.

    Each line holds ``cif_id,value``, ``cif_id,value,label`` or further targets; ``<cif_id>.cif``
    lies beside it. The first line is a header if there is no such CIF and not all of its values
    are numbers. An ``atom_init.json`` in the folder is named in the result.

    Parameters
    ----------
    folder : path
        The folder.
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
        number, or ``groups.csv`` leaves out a crystal. The message names the lines.

    Examples
    --------
    >>> from skcgcnn.datasets import load_id_prop, load_sample_regression
    >>> from pathlib import Path
    >>> data = load_id_prop(Path(load_sample_regression().filename).parent)
    >>> data.target_names
    ['formation_energy', 'is_metal']
    """
    cif_ids, paths, names, columns = read_table(folder)
    atom_features = Path(folder) / "atom_init.json"
    bunch = make_bunch(
        paths,
        _join(columns),
        names,
        as_frame=as_frame,
        cif_ids=cif_ids,
        groups=read_groups(folder, cif_ids),
        filename=str(Path(folder) / "id_prop.csv"),
        DESCR=f"{len(paths)} crystals with {', '.join(names)}, read from {folder}.",
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


def structure_file(folder: Path, cif_id: str) -> Path:
    """Return where the crystal of an id lies: ``<cif_id>.cif``."""
    return folder / (cif_id if cif_id.lower().endswith(".cif") else f"{cif_id}.cif")


def read_table(
    folder: str | PathLike[str],
) -> tuple[list[str], list[str], list[str], list[npt.NDArray[Any]]]:
    """Read ``id_prop.csv``.

    Parameters
    ----------
    folder : path
        The folder.

    Returns
    -------
    cif_ids : list of str
    paths : list of str
    names : list of str
        Names of the targets.
    columns : list of ndarray of shape (n_crystals,)
        The targets: floats, or objects where the column is text.

    Raises
    ------
    DataError
        See `load_id_prop`.
    """
    folder = Path(folder)
    file = folder / "id_prop.csv"
    rows = _read_rows(file)
    header = None
    if _is_header(rows, folder):
        header, rows = rows[0][1], rows[1:]
    if not rows:
        raise DataError(f"{file}: holds no crystal")
    n_columns = len(rows[0][1])
    problems = [
        f"line {line}: has {len(cells)} columns, but the first crystal has {n_columns}"
        for line, cells in rows
        if len(cells) != n_columns
    ]
    if n_columns < 2:
        problems = [f"line {rows[0][0]}: expected 'cif_id,value' or 'cif_id,value,label'"]
    _raise(file, problems)
    problems = _id_problems(rows, folder)
    columns = [_column(rows, i, problems) for i in range(1, n_columns)]
    _raise(file, problems)
    names = header[1:n_columns] if header else []
    defaults = ["value", "label", *(f"target_{i}" for i in range(3, n_columns))]
    names += defaults[len(names) : n_columns - 1]
    cif_ids = [cells[0] for _, cells in rows]
    return cif_ids, [str(structure_file(folder, i)) for i in cif_ids], names, columns


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
    file = Path(folder) / "groups.csv"
    if not file.is_file():
        return None
    groups: dict[str, str] = {}
    problems = []
    for line, cells in _read_rows(file)[1:]:
        if len(cells) != 2 or not all(cells):
            problems.append(f"line {line}: expected 'cif_id,group'")
        elif cells[0] in groups:
            problems.append(f"line {line}: id {cells[0]!r} comes twice")
        else:
            groups[cells[0]] = cells[1]
    problems += [f"{cif_id!r} has no group" for cif_id in cif_ids if cif_id not in groups]
    _raise(file, problems)
    return np.array([groups[cif_id] for cif_id in cif_ids])


def _read_rows(file: Path) -> list[Row]:
    if not file.parent.is_dir():
        raise DataError(f"{file.parent}: no such folder")
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected lines of 'cif_id,value[,label]' in it")
    try:
        # utf-8-sig: spreadsheets often begin a file with a byte order mark.
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, skipinitialspace=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    return [(line, cells) for line, cells in rows if any(cells)]


def _is_header(rows: list[Row], folder: Path) -> bool:
    if not rows:
        return False
    cif_id, *values = rows[0][1]
    if structure_file(folder, cif_id).is_file() or all(_number(v) is not None for v in values):
        return False
    # Neither a crystal nor numbers: names of columns, unless its texts come again as labels.
    later = [set(column) for column in zip(*(cells[1:] for _, cells in rows[1:]), strict=False)]
    text = [(v, seen) for v, seen in zip(values, later, strict=False) if _number(v) is None]
    return not (text and all(value in seen for value, seen in text))


def _id_problems(rows: list[Row], folder: Path) -> list[str]:
    problems = []
    first: dict[str, int] = {}
    for line, (cif_id, *_) in rows:
        if cif_id in first:
            problems.append(f"line {line}: id {cif_id!r} stands in line {first[cif_id]} already")
        elif not structure_file(folder, cif_id).is_file():
            problems.append(f"line {line}: {structure_file(folder, cif_id)} does not exist")
        first.setdefault(cif_id, line)
    return problems


def _column(rows: list[Row], index: int, problems: list[str]) -> npt.NDArray[Any]:
    """Return a target column; append what is wrong with it to `problems`."""
    cells = [cells[index] for _, cells in rows]
    missing = [cell.lower() in _MISSING for cell in cells]
    alone = len(rows[0][1]) == 2
    if alone:
        problems += [
            f"line {line}: has no value"
            for (line, _), absent in zip(rows, missing, strict=True)
            if absent
        ]
    numbers = [
        math.nan if absent else _number(cell) for cell, absent in zip(cells, missing, strict=True)
    ]
    present = [n for n, absent in zip(numbers, missing, strict=True) if not absent]
    if present and all(number is None for number in present):
        return np.array(
            [math.nan if absent else cell for cell, absent in zip(cells, missing, strict=True)],
            dtype=object,
        )
    problems += [
        f"line {line}: {cells[index]!r} is not a number"
        for (line, cells), number in zip(rows, numbers, strict=True)
        if number is None
    ]
    return np.array([math.nan if n is None else n for n in numbers], dtype=np.float64)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _join(columns: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
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
