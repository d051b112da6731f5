"""The folder format of CGCNN: CIFs and an ``id_prop.csv``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from skcgcnn._files import user_path
from skcgcnn._text import listed
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets._crystal_files import CrystalFolder, crystal_name
from skcgcnn.datasets._groups import load_groups
from skcgcnn.datasets._layout import check_shape, named_places, read_column, read_layout
from skcgcnn.datasets._tables import Sheet, refuse
from skcgcnn.exceptions import DataError


@dataclass(frozen=True, eq=False)
class Table:
    """What an ``id_prop.csv`` holds.

    Attributes
    ----------
    file : Path
        Where it comes from.
    cif_ids : list of str
        The crystals, without ``.cif``.
    paths : list of str
        The files.
    names : list of str
        Names of the targets.
    columns : list of ndarray of shape (n_crystals,)
        The targets: floats, or objects where the column is text.
    units : dict of str to str
        Of columns, by their names: those of a row of units.
    """

    file: Path
    cif_ids: Sequence[str]
    paths: list[str]
    names: list[str]
    columns: list[npt.NDArray[Any]]
    units: dict[str, str] = field(default_factory=dict)

    def choose(self, names: Sequence[str]) -> "Table":
        """Return the table with some of its columns; refuse names that no column has."""
        for name in names:
            if name not in self.names:
                have = ", ".join(self.names) or "none"
                raise DataError(f"{self.file}: has no column {name!r}; it has {have}")
        return self._some([self.names.index(name) for name in names])

    def without(self, names: Sequence[str]) -> "Table":
        """Return the table without some of its columns."""
        return self._some([i for i, name in enumerate(self.names) if name not in names])

    def _some(self, places: list[int]) -> "Table":
        names, columns = [self.names[i] for i in places], [self.columns[i] for i in places]
        return replace(self, names=names, columns=columns)

    def with_targets(self) -> tuple["Table", npt.NDArray[np.int64]]:
        """Return the table without crystals that have no target at all, and the rows that stay.

        A warning counts them.
        """
        import pandas as pd

        missing = np.all([pd.isna(column) for column in self.columns], axis=0)
        rows = np.flatnonzero(~missing)
        if not len(rows):
            raise DataError(f"{self.file}: no crystal has {' or '.join(self.names)}")
        if not missing.any():
            return self, rows
        warn_caller(
            f"{self.file}: {missing.sum()} of {len(missing)} crystals have no "
            f"{' and no '.join(self.names)} and are left out, the first is "
            f"{str(self.cif_ids[int(missing.argmax())])!r}"
        )
        return self.take(rows), rows

    def take(self, rows: npt.NDArray[np.int64]) -> "Table":
        """Return the table with some of its crystals."""
        ids: Any = self.cif_ids  # many are an array, which takes less memory
        ids = ids[rows] if isinstance(ids, np.ndarray) else [ids[row] for row in rows]
        paths = [self.paths[row] for row in rows] if self.paths else []
        columns = [column[rows] for column in self.columns]
        return replace(self, cif_ids=ids, paths=paths, columns=columns)

    def numbers(self, *, allow_missing: bool = False) -> npt.NDArray[np.float64]:
        """Return the columns side by side; refuse texts and, unless allowed, what is missing."""
        for name, column in zip(self.names, self.columns, strict=True):
            if column.dtype.kind in "OU":
                raise DataError(f"{self.file}: column {name!r} holds texts; it should hold numbers")
            if not allow_missing and not (finite := np.isfinite(column)).all():
                cif_id = str(self.cif_ids[int(finite.argmin())])
                raise DataError(f"{self.file}: {cif_id!r} has no {name}; fill the cell")
        return np.column_stack([np.empty((len(self.cif_ids), 0)), *self.columns])


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
    not all of its values are numbers. Then a column ``id`` or ``cif_id`` has the ids, else
    ``material_id``, ``mp_id``, ``jid``, ``uid`` or ``name``, else one of files (``cif``,
    ``structure``, ``path``, ``file``, ``filename``, ``crystal``), else the first. Semicolons or
    tabs between the columns, decimal commas beside them, UTF-16, comments (``#``), a row of units
    and the index column of pandas are understood, and ``id_prop.xlsx`` is read (extra ``excel``);
    one warning lists what is unusual. Crystals without any target are left out, with a warning. An
    ``atom_init.json`` in the folder is named in the result.

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
        If the file is missing or empty, an id comes twice, two have one CIF, a CIF is missing, a
        value is not a number, lines have different numbers of columns, two columns name crystals
        and not the same, there is no such target, or ``groups.csv`` leaves out a crystal. The
        message names the lines.

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
    if target is not None or label is not None:
        wanted = [target] if isinstance(target, str) else list(target or [])
        table = table.choose([*wanted, *([] if label is None else [label])])
    table, _ = table.with_targets()
    atom_features = find_features(folder)
    return make_bunch(
        table,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=groups_of(load_groups(folder, table.cif_ids), table),
        DESCR=f"{len(table.paths)} crystals with {', '.join(table.names)}, read from {folder}.",
        atom_features=None if atom_features is None else str(atom_features),
    )


def make_bunch(table: Table, *, return_X_y: bool, as_frame: bool, **other: Any) -> Any:
    """Return paths and targets as scikit-learn's datasets do."""
    paths, names, frame = table.paths, table.names, None
    target: Any = join_columns(table.columns)
    if as_frame:
        import pandas as pd

        if "path" in names:
            raise DataError(
                f"{table.file}: a frame has a column 'path' of its own; rename that of the table, "
                "choose others with target and label, or set as_frame=False"
            )
        frame = pd.DataFrame(target.reshape(len(paths), -1), columns=names).infer_objects()
        target = frame[names[0]] if target.ndim == 1 else frame.copy()
        frame.insert(0, "path", paths)
    if return_X_y:
        return paths, target
    return Bunch(
        data=paths,
        target=target,
        target_names=names,
        frame=frame,
        cif_ids=table.cif_ids,
        filename=str(table.file),
        **other,
    )


def find_table(folder: Path) -> Path | None:
    """Return the table of a folder: ``id_prop.csv``, or a workbook ``id_prop.xlsx``."""
    files = [folder / f"id_prop{ending}" for ending in (".csv", ".xlsx")]
    return next((file for file in files if file.is_file()), None)


def read_table(
    folder: str | PathLike[str],
    *,
    on_missing: str = "raise",
    columns: Sequence[str] | None = None,
    count_others: bool = True,
) -> Table:
    """Read ``id_prop.csv``.

    Parameters
    ----------
    folder : path
        The folder.
    on_missing : {"raise", "keep"}, default="raise"
        What to do with crystals whose file does not exist, see `load_id_prop`.
    columns : sequence of str, optional
        Names of the columns to read besides the ids, if they are there; by default all.
    count_others : bool, default=True
        Whether to tell of files in the folder that the table does not list.

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
    file = _table_in(folder)
    files = CrystalFolder(folder)
    sheet = Sheet(file, files.has)
    if (other := folder / "id_prop.xlsx") != file and other.is_file():
        sheet.remarks.append(f"{other.name} beside it left out")
    header, rows, units = read_layout(sheet, files)
    if not len(rows):
        raise DataError(f"{sheet.file}: holds no crystal")
    check_shape(sheet, header, rows, values=columns is None)
    kept = named_places(sheet, header, rows.shape[1])
    rows = rows.iloc[:, kept]
    header, units = ([some[i] for i in kept] if some else [] for some in (header, units))
    if (again := rows.duplicated()).any():
        sheet.remarks.append(f"{again.sum()} rows that repeat another one, which are left out")
        rows = rows[~again]
    problems: list[str] = []
    cif_ids, paths = _find_files(sheet, rows.iloc[:, 0], files, problems, on_missing)
    if count_others and (others := files.others(paths)):
        shown = listed(others, most=3)
        sheet.remarks.append(f"{len(others)} files left out that it does not list: {shown}")
    n_columns = rows.shape[1] - 1
    defaults = ["value", "label", *(f"target_{i}" for i in range(3, n_columns + 1))]
    names = header[1:] if header else defaults[:n_columns]
    cells = [rows.iloc[:, i] for i in range(1, n_columns + 1)]
    told = {name: unit for name, unit in zip(names, units[1:], strict=False) if unit}
    table = Table(sheet.file, cif_ids, [str(path) for path in paths], names, cells, told)
    if columns is not None:
        table = table.choose([name for name in columns if name in names])
    named = zip(table.names, table.columns, strict=True)
    values = [read_column(sheet, name, column, problems) for name, column in named]
    sheet.end(problems)
    return replace(table, columns=values)


def _table_in(folder: Path) -> Path:
    if folder.is_file():
        raise DataError(f"{folder}: is a file; name its folder, {folder.parent}")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    file = find_table(folder)
    if file is None:
        others = sorted(folder.glob("*.csv"))
        hint = (
            f"; if it is {others[0].name}, rename that to id_prop.csv" if len(others) == 1 else ""
        )
        raise DataError(
            f"{folder / 'id_prop.csv'}: no such file; expected lines of 'cif_id,value[,label]' in "
            f"it{hint}"
        )
    return file


def _find_files(
    sheet: Sheet, ids: Any, files: CrystalFolder, problems: list[str], on_missing: str
) -> tuple[list[str], list[Path]]:
    """Return names and paths of the crystals."""
    paths: list[Path] = []
    first: dict[str, int] = {}
    owner: dict[Path, str] = {}
    for line, cif_id in ids.map(crystal_name).items():
        if cif_id in first:
            problems.append(f"line {line}: id {cif_id!r} stands in line {first[cif_id]} already")
        first.setdefault(cif_id, line)
        path = files.folder / f"{cif_id}.cif"
        try:
            found = files.find(cif_id, sheet.remarks)
        except DataError as error:
            problems.append(f"line {line}: {error}")
        else:
            if found is None and on_missing == "raise" and first[cif_id] == line:
                hint = f"{path} does not exist" if cif_id else "has no id; write one, or remove it"
                problems.append(f"line {line}: {hint}")
            path = found or path
            if owner.setdefault(path, cif_id) != cif_id:  # in other case, or with other zeros
                problems.append(
                    f"line {line}: id {cif_id!r} has no file of its own: {path.name} is that of "
                    f"{owner[path]!r}"
                )
        paths.append(path)
    return ids.map(crystal_name).tolist(), paths


def find_features(folder: Path) -> Path | None:
    """Return the file with features of the elements that accompanies crystals, if there is one.

    Raises
    ------
    DataError
        If it is a folder, or a link to what is not there.
    """
    path = folder / "atom_init.json"
    if path.is_file():
        return path
    if path.exists() or path.is_symlink():
        raise DataError(f"{path}: leads to no file; put the features of the elements there")
    return None


def groups_of(groups: Mapping[str, str] | None, table: Table) -> npt.NDArray[np.str_] | None:
    """Return the group of each crystal of a table, of shape (n_crystals,); None without groups.

    Raises
    ------
    DataError
        If a crystal has none.
    """
    if groups is None:
        return None
    missing = [f"{str(cif_id)!r} has no group" for cif_id in table.cif_ids if cif_id not in groups]
    folder = table.file if table.file.is_dir() else table.file.parent
    refuse(folder / "groups.csv", missing)
    return np.array([groups[str(cif_id)] for cif_id in table.cif_ids])


def join_columns(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return columns side by side, or the one that there is."""
    if len(columns) == 1:
        return columns[0]
    kind = object if any(column.dtype == object for column in columns) else np.float64
    return np.stack([column.astype(kind) for column in columns], axis=1)
