"""The crystals that a prediction is asked for: folders and files."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._files import Mark, file_mark, refuse_changed
from skcgcnn._parameters import OnError
from skcgcnn._text import listed, same_unit
from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import READABLE, source_id
from skcgcnn.datasets import TABLES, Table, find_table
from skcgcnn.exceptions import DataError
from skcgcnn.features import potential_of
from skcgcnn.stores import as_in_tables, is_store, open_store, read_folder, read_paths, refuse_many
from skcgcnn.tasks import is_missing
from skcgcnn.training._beside import add_potential, join_beside, join_to_graphs


class Found(NamedTuple):
    """Crystals that a prediction is asked for.

    Attributes
    ----------
    ids : sequence of str
        Where several crystals would have one name, their paths.
    paths : list of str
        Their files; none for those of a store.
    X : list of str, DataFrame or CrystalGraphs
        What an estimator takes: paths, with the numbers beside them if there are some; or graphs.
    truth : dict of str to ndarray
        Columns that tell what is predicted, by name; NaN where they do not.
    marks : list
        What the files were before the features of a potential were computed, if there are such.
    """

    ids: Sequence[str]
    paths: list[str]
    X: Any
    truth: dict[str, npt.NDArray[Any]]
    marks: list[Mark]

    def check_unchanged(self) -> None:
        """Refuse files that are others now than for the potential, see `refuse_changed`."""
        if self.marks:
            refuse_changed(self.paths, self.marks)


def find_crystals(
    sources: Sequence[Path],
    beside: Sequence[str] = (),
    targets: Sequence[str] = (),
    *,
    units: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
    n_jobs: int | None = None,
) -> Found:
    """Return the crystals in folders and tables, and of files; or the graphs of a store.

    Parameters
    ----------
    sources : sequence of Path
        A folder gives the crystals of its ``id_prop.csv``, whose targets are not needed, else all
        files in it and below that can hold a crystal; a table those of the paths in it; a file
        gives itself. Or one store alone.
    beside : sequence of str
        Columns of numbers that the model needs beside each crystal. Features of a potential are
        computed where there are no such columns.
    targets : sequence of str
        Columns of what is predicted, if there are such.
    units : dict of str to str, optional
        Units of what is predicted. Columns that a row of units tells to be in others are left out,
        with a warning.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals without such a number.
    n_jobs : int, optional
        Number of workers that compute features.

    Raises
    ------
    DataError
        If a folder holds no crystals, there is a store among others, or a column is not there.
    StructureError
        If a potential says nothing of a crystal and ``on_error="raise"``.
    """
    units = units or {}
    stores = [source for source in sources if is_store(source)]
    if stores:
        if len(sources) > 1:
            raise DataError(f"{stores[0]}: is a store; name it alone")
        store = open_store(stores[0])
        graphs, names = store.graphs, tuple(beside)
        table = store.table()
        if names != graphs.options.global_features:
            numbers = _beside([table], beside, on_error=on_error)
            # Numbers of the store that the model does not have give way.
            graphs = graphs.with_global_features(np.empty((len(graphs), 0)), ())
            graphs = join_to_graphs(graphs, numbers, allow_missing=on_error == "nan")
        ids: Any = graphs.ids
        known = replace(table, columns=[as_in_tables(column) for column in table.columns])
        return Found(ids, [], graphs, _truth([known], targets, units), [])
    tables = [_read(source, beside, targets, units) for source in sources]
    ids = [cif_id for table in tables for cif_id in table.cif_ids]
    paths = [path for table in tables for path in table.paths]
    X: Any = paths
    marks: list[Mark] = []
    if beside:
        if _absent(tables, beside):
            marks = [file_mark(path) for path in paths]
        table = _beside(tables, beside, on_error=on_error, n_jobs=n_jobs)
        X = join_beside(paths, table, allow_missing=on_error == "nan")
    # A file may be named twice; other files of that name are told apart.
    times = Counter(cif_id for cif_id, _ in set(zip(ids, paths, strict=True)))
    ids = [i if times[i] == 1 else path for i, path in zip(ids, paths, strict=True)]
    return Found(ids, paths, X, _truth(tables, targets, units), marks)


def _truth(
    tables: Sequence[Table], targets: Sequence[str], units: Mapping[str, str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of targets that some table has; one value for all is a placeholder."""
    found = {}
    for name in targets:
        told = {table.units.get(name, "") for table in tables}
        if others := sorted(unit for unit in told if not same_unit(unit, units.get(name, ""))):
            warn_caller(
                f"predictions are not compared with {name}: they are in {units[name]}, the table "
                f"says {', '.join(others)}"
            )
            continue
        parts = [
            np.asarray(table.columns[table.names.index(name)], dtype=object)
            if table.names.count(name) == 1
            else np.full(len(table.cif_ids), np.nan, dtype=object)
            for table in tables
        ]
        column = np.concatenate(parts)
        if len(set(column[~is_missing(column)].tolist())) > 1:
            found[name] = column
    return found


def _read(
    source: Path, beside: Sequence[str], targets: Sequence[str], numbers: Collection[str]
) -> Table:
    """Return the crystals of a folder, a table or a file; of the targets, some are numbers."""
    lower = source.name.lower()
    # A file of a crystal may be missing like any other; what else there is not was misspelled.
    if not source.exists() and not lower.endswith(READABLE):
        raise DataError(f"{source}: no such file or folder")
    is_table = source.is_file() and lower.endswith(TABLES)
    if not is_table:
        refuse_many(source, "predict for")
    if not is_table and not source.is_dir():
        return Table(source, [source_id(source, 0)], [str(source)], [], [])

    def read(known: Sequence[str]) -> Table:
        if not is_table:
            return read_folder(source, [*beside, *known])
        strict = [name for name in known if name in numbers]
        return read_paths(source, [*beside, *strict], [n for n in known if n not in strict])

    try:
        return read(targets)
    except DataError as error:  # what is predicted need not be known
        table = read(())
        warn_caller(f"predictions are not compared with {', '.join(targets)}: {error}")
        return table


def _beside(
    tables: Sequence[Table],
    names: Sequence[str],
    *,
    on_error: OnError = "raise",
    n_jobs: int | None = None,
) -> Table:
    """Return the numbers beside the crystals of some tables, as one."""
    absent = _absent(tables, names)
    potential = potential_of(list(absent))
    if absent and potential is None:
        name, table = next(iter(absent.items()))
        raise DataError(
            f"{table.file}: has no column {name!r}; the model was trained with "
            f"{listed(names)} beside each crystal: give a folder whose id_prop.csv has these "
            "columns, or a table or a store that has them"
        )
    own = [name for name in names if name not in absent]
    allow = on_error == "nan"
    numbers = np.concatenate([t.choose(own).numbers(allow_missing=allow) for t in tables])
    units = {name: _unit(tables, name) for name in own}
    joined = Table(
        tables[0].file,
        [cif_id for table in tables for cif_id in table.cif_ids],
        [path for table in tables for path in table.paths],
        own,
        list(numbers.T),
        {name: unit for name, unit in units.items() if unit},
    )
    machine: dict[str, Any] = {"n_jobs": n_jobs, "verbose": 1}  # it takes minutes
    return add_potential(joined, potential, on_error=on_error, **machine).choose(names)


def _absent(tables: Sequence[Table], names: Sequence[str]) -> dict[str, Table]:
    """Return the columns that a table lacks, and this table."""
    return {name: table for table in tables for name in names if name not in table.names}


def _unit(tables: Sequence[Table], name: str) -> str:
    """Return the unit of a column that tables tell; refuse two."""
    told = {unit: table for table in tables if (unit := table.units.get(name))}
    first = next(iter(told), "")
    for unit, table in told.items():
        if not same_unit(unit, first):
            raise DataError(
                f"{table.file}: column {name!r} is in {unit}, in {told[first].file} in {first}; "
                "give both in one unit"
            )
    return first


def refuse_inputs(output: Path, inputs: Sequence[str | Path]) -> None:
    """Refuse an output that would replace an input, or that cannot be written.

    Raises
    ------
    DataError
        If it is one of them, or its folder does not exist.
    """
    if output.is_dir():
        raise DataError(f"{output}: is a folder; name a file for the results")
    if not output.parent.is_dir():
        raise DataError(f"{output}: its folder does not exist")
    if not output.exists():
        return
    for path in map(Path, inputs):
        beside = filter(None, (find_table(folder) for folder in (path, path.parent)))
        inside = path.iterdir() if is_store(path) else ()
        for file in (path, *beside, *inside):
            if file.is_file() and file.samefile(output):
                raise DataError(f"{output}: is read, and would be replaced; choose another file")
