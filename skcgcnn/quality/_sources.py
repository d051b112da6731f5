"""The crystals and columns of what is to be checked: a folder, a table, or a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt

from skcgcnn._files import user_path
from skcgcnn.datasets import TABLES, Table, find_features
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.stores import as_in_tables, is_store, open_store, read_folder, read_paths, refuse_many


@dataclass(frozen=True, eq=False)
class Data:
    """Crystals with all that is known of them.

    Attributes
    ----------
    name : str
        Of the folder or file.
    ids : sequence of str
        Names of the crystals.
    paths : list of str, or None
        Their files; None for those of a store.
    graphs : CrystalGraphs or None
        Those of a store.
    columns : mapping of str to ndarray of shape (n_crystals,)
        What a table says about them: floats, or objects where it is text.
    atom_features : Path or None
        The features of the elements, where the folder has its own.
    n_left_out : int
        Crystals that a store was made without.
    n_remarks : int
        Crystals of a store whose files were odd.
    """

    name: str
    ids: Any
    paths: list[str] | None
    graphs: CrystalGraphs | None
    columns: Mapping[str, npt.NDArray[Any]]
    atom_features: Path | None = None
    n_left_out: int = 0
    n_remarks: int = 0


def open_data(source: str | PathLike[str], targets: Sequence[str] | None = None) -> Data:
    """Open a folder with or without ``id_prop.csv``, a table of paths, or a store.

    Parameters
    ----------
    source : path
    targets : sequence of str, optional
        The columns to look at; by default all.

    Raises
    ------
    DataError
        If it is something else, or its table cannot be read.
    """
    found = _open(user_path(source))
    for name in targets or ():
        if name not in found.columns:
            have = ", ".join(found.columns) or "none"
            raise DataError(f"{found.name}: has no column {name!r}; it has {have}")
    return replace(found, columns={name: found.columns[name] for name in targets or found.columns})


def _open(path: Path) -> Data:
    if is_store(path):
        store = open_store(path)
        columns = {name: as_in_tables(column) for name, column in store.properties.items()}
        opened = Data(path.name, store.graphs.ids, None, store.graphs, columns)
        return replace(opened, n_left_out=store.n_failures, n_remarks=store.n_remarks)
    if path.is_file() and path.name.lower().endswith(TABLES):
        return _from_table(path.name, read_paths(path, others=None))
    if not path.is_dir():
        refuse_many(path, "check")
        raise DataError(f"{path}: neither a folder, nor a table of paths, nor a store")
    return _from_table(path.name, read_folder(path), find_features(path))


def _from_table(name: str, table: Table, features: Path | None = None) -> Data:
    twice = {each for each in table.names if table.names.count(each) > 1}
    if twice:
        raise DataError(f"{table.file}: several columns are called {min(twice)!r}; rename them")
    columns = dict(zip(table.names, table.columns, strict=True))
    return Data(name, table.cif_ids, table.paths, None, columns, features)
