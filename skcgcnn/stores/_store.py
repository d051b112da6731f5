"""A store: a folder with graphs and properties, as `featurize` makes it."""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt

from skcgcnn._files import user_path
from skcgcnn.datasets import Table, load_groups
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import INDEX, READ_ERRORS, CrystalGraphs, check_content, graphs_in, read_data
from skcgcnn.stores._columns import read_columns

COLUMNS = "properties"
FAILURES, REMARKS, SHARDS = "failures.csv", "remarks.csv", ".skcgcnn-shards"
# What a folder of crystals can have beside them; with the arrays, so that it is replaced with them.
FEATURES, GROUPS = "atom_init.json", "groups.csv"


@dataclass(frozen=True, eq=False)
class Store:
    """Graphs and properties of many crystals, on the disk until they are used.

    Attributes
    ----------
    folder : Path
        The store.
    graphs : CrystalGraphs
        The graphs, memory-mapped.
    properties : dict of str to ndarray of shape (n_crystals,)
        What is known of the crystals: floats, NaN where a value is missing; or texts, empty where
        they are missing.
    units : dict of str to str
        Of the properties, where the source told them.
    n_failures : int
        Crystals that are not there, for they could not become graphs: see ``failures.csv``.
    n_remarks : int
        Crystals whose files were odd, such as sites that are not those of their formula: see
        ``remarks.csv``.
    groups : mapping of str to str, or None
        The groups of the crystals, by their names, where the source had a ``groups.csv``, and they
        were asked for.
    atom_features : dict or None
        The features of the elements, where they were those of a file.

    Examples
    --------
    Training takes the graphs as they are, shuffled, with some of them in memory at a time::

        store = open_store("store")
        est = CGCNNRegressor().fit(store.graphs, store.properties["formation_energy"])
    """

    folder: Path
    graphs: CrystalGraphs
    properties: Mapping[str, npt.NDArray[Any]]
    units: Mapping[str, str] = field(default_factory=dict)
    n_failures: int = 0
    n_remarks: int = 0
    groups: Mapping[str, str] | None = None
    atom_features: Any = None

    def table(self) -> Table:
        """Return the properties as those of a folder of crystals."""
        ids: Any = self.graphs.ids  # as an array: a list of many names takes much memory
        columns = list(self.properties.values())
        return Table(self.folder, ids, [], list(self.properties), columns, dict(self.units))

    def __len__(self) -> int:
        return len(self.graphs)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}, {len(self)} crystals, {list(self.properties)})"


def is_store(folder: str | PathLike[str]) -> bool:
    """Tell whether a folder is a store, complete or begun."""
    return is_complete(folder) or (Path(folder) / SHARDS).is_dir()


def is_complete(folder: str | PathLike[str]) -> bool:
    """Tell whether a folder is a store that was finished."""
    return (Path(folder) / INDEX).is_file()


def open_store(folder: str | PathLike[str], *, with_groups: bool = False) -> Store:
    """Open a store that `featurize` made.

    Parameters
    ----------
    folder : path
        The folder.
    with_groups : bool, default=False
        Whether to read the groups of the crystals, which takes a while where there are millions.

    Returns
    -------
    Store

    Raises
    ------
    DataError
        If it is not a store, one of a later version, or damaged.
    """
    folder = user_path(folder)
    if not is_store(folder):
        raise DataError(f"{folder}: is not a store")
    if not is_complete(folder):
        raise DataError(
            f"{folder}: is a store that is not complete; repeat `skcgcnn featurize` with the same "
            "arguments"
        )
    try:
        read = partial(_read, with_groups=with_groups)
        content, n_crystals, known = read_data(folder, read)
        graphs = CrystalGraphs(**check_content(content))
    except READ_ERRORS as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{folder}: is a damaged store ({why})") from error
    lengths = {len(graphs), n_crystals, *(len(c) for c in known["properties"].values())}
    if len(lengths) > 1:
        raise DataError(f"{folder}: is a damaged store: its files are not of the same length")
    return Store(folder, graphs, **known)


def _read(
    data: Path, facts: dict[str, Any], *, with_groups: bool
) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Return graphs, how many there should be, and what else a `Store` knows of them."""
    content = graphs_in(data, facts)
    # Graphs that `CrystalGraphs.save` wrote are a store without properties.
    if "properties" not in facts:
        return content, len(content["ids"]), {"properties": {}}
    columns = read_columns(data / COLUMNS)
    if facts["properties"] != list(columns):
        raise ValueError(f"{INDEX} and the columns name other properties")
    groups = load_groups(data, content["ids"]) if with_groups else None
    file = data / FEATURES
    features = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    # One that belongs to it, and is not there, is of a store that is being moved or replaced.
    for name, is_lost in ((GROUPS, with_groups and groups is None), (FEATURES, features is None)):
        if is_lost and name in dict(facts.get("digests", {})):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(data / name))
    if features is not None and not isinstance(features, dict):
        raise ValueError(f"{FEATURES} holds no features by element")
    units = facts["units"]
    if not (isinstance(units, dict) and all(isinstance(unit, str) for unit in units.values())):
        raise ValueError("the units of its properties must be texts by name")
    known = {
        "properties": columns,
        "n_failures": int(facts["n_failures"]),
        "n_remarks": int(facts.get("n_remarks", 0)),
        "groups": groups,
        "atom_features": features,
        "units": units,
    }
    return content, int(facts["n_crystals"]), known
