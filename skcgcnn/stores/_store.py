"""A store: a folder with graphs and properties, as `featurize` makes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy.typing as npt

from skcgcnn._files import atomic_write, user_path
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.stores._columns import read_columns

DESCRIPTION, GRAPHS, COLUMNS = "store.json", "graphs.npz", "properties.npz"
FAILURES, REMARKS, SHARDS = "failures.csv", "remarks.csv", ".skcgcnn-shards"
# What a folder of crystals can have beside them.
COPIED = ("atom_init.json", "groups.csv")

# Version of the layout; it grows with each change that older versions cannot read.
_FORMAT = 1


@dataclass(frozen=True)
class Store:
    """Graphs and properties of many crystals, on the disk until they are used.

    Attributes
    ----------
    folder : Path
        The store.
    graphs : CrystalGraphs
        The graphs, mapped into memory.
    properties : dict of str to ndarray of shape (n_crystals,)
        What is known of the crystals: floats, NaN where a value is missing; or texts, empty where
        they are missing.

    Examples
    --------
    Training takes the graphs as they are, shuffled, with some of them in memory at a time::

        store = open_store("store")
        est = CGCNNRegressor().fit(store.graphs, store.properties["formation_energy"])
    """

    folder: Path
    graphs: CrystalGraphs
    properties: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.graphs)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}, {len(self)} crystals, {list(self.properties)})"


def is_store(folder: str | PathLike[str]) -> bool:
    """Tell whether a folder is a complete store."""
    return (Path(folder) / DESCRIPTION).is_file()


def open_store(folder: str | PathLike[str]) -> Store:
    """Open a store that `featurize` made.

    Parameters
    ----------
    folder : path
        The folder.

    Returns
    -------
    Store

    Raises
    ------
    DataError
        If it is no store, one of a later version, or damaged.
    """
    folder = user_path(folder)
    if not is_store(folder):
        hint = ""
        if (folder / SHARDS).is_dir():
            hint = ": it is not complete; repeat `skcgcnn featurize` with the same arguments"
        raise DataError(f"{folder}: is no store{hint}")
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        found, n_crystals = description["format"], description.get("n_crystals")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}: is a damaged store ({DESCRIPTION}: {error!r})") from error
    if found != _FORMAT:
        raise DataError(
            f"{folder}: a store of format {found}; this version of skcgcnn reads format {_FORMAT}"
        )
    try:
        columns = read_columns(folder / COLUMNS)
    except (OSError, ValueError, LookupError, TypeError, BadZipFile) as error:
        raise DataError(f"{folder}: is a damaged store ({COLUMNS}: {error})") from error
    graphs = CrystalGraphs.load(folder / GRAPHS, mmap=True)
    lengths = {len(graphs), n_crystals, *(len(c) for c in columns.values())}
    if len(lengths) > 1:
        raise DataError(f"{folder}: is a damaged store: its files are not of the same length")
    return Store(folder, graphs, columns)


def write_description(folder: Path, source: str, n_crystals: int, n_failures: int) -> None:
    """Write the file that makes a folder a complete store.

    Parameters
    ----------
    folder : Path
        The store.
    source : str
        What it was made from.
    n_crystals, n_failures : int
        Crystals in it, and crystals that could not become graphs.
    """
    facts = {
        "format": _FORMAT,
        "source": source,
        "n_crystals": n_crystals,
        "n_failures": n_failures,
    }
    with atomic_write(folder / DESCRIPTION) as file:
        json.dump(facts, file, indent=2)
        file.write("\n")
