"""The crystals and targets of a training run.

A new kind of column, such as a weight, is an option of the command, a field of `Settings`, and what
becomes of it here: part of the graphs (as the numbers beside crystals), or an argument of the fit.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcgcnn._files import Mark, file_mark, refuse_changed, user_path
from skcgcnn._parameters import Parameters
from skcgcnn._text import repeated, same_unit
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import (
    LI_VACANCY_FOLDER,
    SAMPLE_FOLDER,
    Table,
    find_features,
    groups_of,
    id_columns,
    join_columns,
    load_groups,
    read_table,
)
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs, load_element_features
from skcgcnn.stores import as_in_tables, is_store, open_store, refuse_many
from skcgcnn.tasks import NOT_EXACT, is_missing
from skcgcnn.training._beside import add_potential, join_beside, join_to_graphs
from skcgcnn.training._predictions import check_names
from skcgcnn.training._settings import Settings

_SAMPLE = {"target": "formation_energy", "label": "is_metal"}
# Folders of bundled datasets, and which of their columns are what.
BUNDLED: dict[str, tuple[Path, dict[str, str]]] = {
    "sample": (SAMPLE_FOLDER, _SAMPLE),
    "sample-regression": (SAMPLE_FOLDER, _SAMPLE),
    "sample-classification": (SAMPLE_FOLDER, _SAMPLE),
    "li_vacancy": (LI_VACANCY_FOLDER, {"target": "formation_energy", "label": "defect_label"}),
}


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the split.

    Attributes
    ----------
    rows : ndarray of int
        Places in the data.
    graphs : CrystalGraphs
    y : ndarray
        The targets.
    names : list of str
        Names of the targets.
    units : dict of str to str
        Their units, by name, where they are known.
    """

    rows: npt.NDArray[np.int64]
    graphs: CrystalGraphs
    y: npt.NDArray[Any]
    names: list[str]
    units: dict[str, str]

    def table(self) -> npt.NDArray[Any]:
        """Return the targets as a table, also where there is one."""
        return self.y.reshape(len(self.y), len(self.names))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a fit."""
        y: Any = pd.DataFrame(self.y, columns=self.names) if self.y.ndim > 1 else None
        y = pd.Series(self.y, name=self.names[0]) if y is None else y
        y.attrs["units"] = self.units
        return {"X": self.graphs, "y": y}


@dataclass(frozen=True, eq=False)
class RunData:
    """The crystals and targets of a training run.

    Attributes
    ----------
    cif_ids : sequence of str
        Names of the crystals.
    paths : list of str
        Where they come from; empty where their graphs are there.
    graphs : CrystalGraphs or None
        Those of a store.
    y : ndarray of shape (n_crystals,) or (n_crystals, n_targets)
        The targets; numbers, then the label, for multi-task learning.
    names : list of str
        Names of the targets.
    atom_features : dict or None
        Features of the elements, where the folder has its own.
    groups : ndarray of str of shape (n_crystals,), or None
        Crystals of a group stay in one part of the split.
    labels : ndarray of shape (n_crystals,), or None
        The column of classes, if there is one.
    beside : Table
        The columns of numbers beside the crystals.
    potential : str or None
        Whose features follow these columns.
    units : dict of str to str
        Units of the targets, by name, where they are known.
    marks : list
        What the files were before they were read.
    """

    cif_ids: Sequence[str]
    paths: list[str]
    graphs: CrystalGraphs | None
    y: npt.NDArray[Any]
    names: list[str]
    atom_features: Any
    groups: npt.NDArray[np.str_] | None
    labels: npt.NDArray[Any] | None
    beside: Table
    potential: str | None
    units: dict[str, str]
    marks: list[Mark]

    def crystals(self, on_error: str, **machine: Any) -> Any:
        """Return the crystals with the numbers beside them, as a transformer takes them.

        Parameters
        ----------
        on_error, **machine
            For `add_potential`.
        """
        beside = add_potential(self.beside, self.potential, on_error=on_error, **machine)
        allow = on_error == "nan"
        if self.graphs is None:
            return join_beside(self.paths, beside, allow_missing=allow)
        return join_to_graphs(self.graphs, beside, allow_missing=allow)

    def check_unchanged(self) -> None:
        """Refuse files that changed since the run began, see `refuse_changed`."""
        refuse_changed(self.paths, self.marks)

    def part(self, rows: npt.NDArray[np.int64], graphs: CrystalGraphs) -> Part:
        """Return some of the crystals, by the graphs of all."""
        return Part(rows, graphs[rows], self.y[rows], self.names, self.units)

    def fingerprint(self) -> str:
        """Return what tells these crystals and targets from others."""
        content: list[Any] = [list(map(str, self.cif_ids)), self.y.tolist(), self.names]
        if self.groups is not None:
            content.append(self.groups.tolist())
        if self.beside.names:
            content += [self.beside.names, self.beside.numbers(allow_missing=True).tolist()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def graph_parameters(self) -> dict[str, Any]:
        """Return the parameters of an estimator with which graphs of a store were made."""
        made = {} if self.graphs is None else self.graphs.options.parameters()
        return {name: value for name, value in made.items() if hasattr(Parameters, name)}

    def classes(self, readable: npt.NDArray[np.bool_]) -> npt.NDArray[Any] | None:
        """Return the classes of the crystals; those to train on may lack a rare one."""
        if self.labels is None:
            return None
        labels = self.labels[readable]
        return np.unique(labels[~is_missing(labels)])

    def stratify_labels(self) -> npt.NDArray[np.str_] | None:
        """Return the labels that every part of the split should hold alike."""
        return None if self.labels is None else np.array([str(label) for label in self.labels])


def bundled_folder(name: str) -> Path:
    """Return the folder of a bundled dataset; of another name, the path that it is."""
    folder, _ = BUNDLED.get(name, (user_path(name), {}))
    return folder


def load_run_data(settings: Settings) -> RunData:
    """Load the folder that a run names.

    Raises
    ------
    DataError
        If the folder is not as it should be, or it is not clear which columns are the targets.
    """
    folder, columns = BUNDLED.get(settings.data, (user_path(settings.data), {}))
    if is_store(folder):
        return _load_store(settings, folder)
    if not folder.is_dir():
        refuse_many(folder, "train on")
        raise DataError(
            f"{settings.data}: neither a folder, nor a store, nor a bundled dataset "
            f"({', '.join(BUNDLED)})"
        )
    on_missing = "raise" if settings.on_error == "raise" else "keep"
    table = read_table(folder, on_missing=on_missing, count_others=not columns)
    file = find_features(folder)
    features = None if file is None else _read_features(file)
    groups = load_groups(folder, table.cif_ids)
    return _run_data(settings, table, columns, None, groups, features)


def _load_store(settings: Settings, folder: Path) -> RunData:
    if (folder / "groups.csv").exists():
        raise DataError(
            f"{folder / 'groups.csv'}: groups beside a store are not read; put the file beside the "
            "crystals, and make the store again"
        )
    store = open_store(folder, with_groups=True)
    if not store.properties:
        raise DataError(
            f"{folder}: the store has no properties to learn; make it from a source that has some, "
            "or with --properties"
        )
    return _run_data(settings, store.table(), {}, store.graphs, store.groups, store.atom_features)


def _run_data(
    settings: Settings,
    table: Table,
    bundled: dict[str, str],
    graphs: CrystalGraphs | None,
    groups: Mapping[str, str] | None,
    features: Any,
) -> RunData:
    """Choose the columns of a run."""
    beside = table.choose(settings.global_feature)
    for name in settings.global_feature:
        if name in (*settings.target, settings.label):
            raise DataError(
                f"{table.file}: {name!r} is a target and a --global-feature: a network that is "
                "given what it is to predict would only copy it"
            )
    chosen = _Choice(table.without(settings.global_feature), settings, bundled)
    numbers, label = chosen.numbers(), chosen.label()
    table, file = table.choose([*numbers, *label]), table.file
    if twice := repeated(table.names):
        raise DataError(f"{file}: {twice[0]!r} is chosen twice; leave one --target or --label out")
    labels = table.columns[-1] if label else np.empty(0)
    check_names(table.names, file, "".join(label), {*labels[~is_missing(labels)].tolist()})
    if graphs is not None:
        table = replace(table, columns=[as_in_tables(column) for column in table.columns])
    table, rows = table.with_targets()
    beside = beside.take(rows)
    if graphs is not None and len(rows) < len(graphs):
        graphs = graphs[rows]
    for name, column in zip(table.names, table.columns, strict=True):
        if settings.task != "multi" and (missing := is_missing(column)).any():
            raise DataError(
                f"{file}: {missing.sum()} of {len(missing)} crystals have no {name}, the first is "
                f"{str(table.cif_ids[int(missing.argmax())])!r}; fill the cells, or delete the rows"
            )
        if column.dtype != object and (infinite := np.isinf(column)).any():
            cif_id = str(table.cif_ids[int(infinite.argmax())])
            raise DataError(f"{file}: {cif_id!r} has an infinite {name}")
    if settings.task == "classification":
        table = replace(table, columns=[_whole(table.columns[0])])
    return RunData(
        table.cif_ids,
        table.paths,
        graphs,
        join_columns(table.columns),
        table.names,
        features,
        groups_of(groups, table),
        table.columns[-1] if label else None,
        beside,
        settings.features,
        _units(settings, numbers, table),
        [file_mark(path) for path in table.paths],
    )


def _units(settings: Settings, numbers: list[str], table: Table) -> dict[str, str]:
    """Return the units that were given, else those of the table."""
    if settings.unit and len(settings.unit) != len(numbers):
        raise DataError(
            f"--unit is given {len(settings.unit)} times, but there are {len(numbers)} columns of "
            f"numbers: {', '.join(numbers) or 'none'}"
        )
    given = dict(zip(numbers, settings.unit, strict=False))
    for name, unit in given.items():
        if not same_unit(unit, told := table.units.get(name, "")):
            warn_caller(f"{table.file}: {name} is in {told} there, but --unit {unit} counts")
    return {**table.units, **given}


class _Choice:
    """Which columns of a table are the targets of a run.

    By default those of CGCNN's layout, ``cif_id,value,label``, by position; in other tables they
    must be named where several could be meant.
    """

    def __init__(self, table: Table, settings: Settings, bundled: dict[str, str]) -> None:
        self.task, self.file = settings.task, table.file
        self.given_numbers = list(settings.target)
        self.given_label = settings.label
        if bundled and not self.given_numbers and self.given_label is None:
            self.given_numbers = [bundled["target"]] if settings.task != "classification" else []
            self.given_label = bundled["label"] if settings.task != "regression" else None
        self.names = table.names
        kinds = {n: _kind(c) for n, c in zip(table.names, table.columns, strict=True)}
        self.numeric = [name for name, kind in kinds.items() if kind != "text"]
        self.classes = [name for name, kind in kinds.items() if kind != "continuous"]
        # The layout of CGCNN, whatever the names.
        two = len(table.names) == 2
        self.by_position = (
            two
            and table.names[0] in self.numeric
            and table.names[1] in self.classes
            and not id_columns(table.names)
        )

    def numbers(self) -> list[str]:
        """Return the names of the regression targets."""
        if self.task == "classification":
            if self.given_numbers:
                raise DataError(
                    f"--target {self.given_numbers[0]} names a column of numbers, but the task is "
                    "classification; name the column of classes with --label"
                )
            return []
        free = [name for name in self.numeric if name != self.given_label]
        places = self.names[:1]
        return self._pick(self.given_numbers, places, free, self.numeric, "--target", "numbers")

    def label(self) -> list[str]:
        """Return the name of the classification target, if there is one."""
        if self.task == "regression":
            return []
        given = [] if self.given_label is None else [self.given_label]
        free = [name for name in self.classes if name not in self.given_numbers]
        # In CGCNN's layout the label is the last column: an integer value before it is none.
        if len(self.names) <= 2 and not set(self.names[-1:]) <= set(self.classes):
            free = []
        return self._pick(given, self.names[1:], free, self.classes, "--label", "classes")

    def _pick(
        self,
        given: list[str],
        places: list[str],
        free: list[str],
        possible: list[str],
        option: str,
        what: str,
    ) -> list[str]:
        """Return what was asked for, else what CGCNN has there, else what alone is possible."""
        for name in given:
            if name in self.names and name not in possible:
                kind = "texts" if what == "numbers" else "numbers that are not classes"
                raise DataError(f"{self.file}: {option} {name}: the column holds {kind}")
        if given or self.by_position:
            return given or places
        free = [name for name in free if not id_columns([name])]
        if len(free) > 1:
            raise DataError(
                f"{self.file}: several columns could be the {option.strip('-')}: "
                f"{', '.join(free)}; choose with {option} NAME"
            )
        if free and not (self.task == "multi" and len(self.names) == 1):
            return free
        both = "a column of numbers and one of classes"
        needs = both if self.task == "multi" else f"a column of {what}"
        raise DataError(
            f"{self.file}: --task {self.task} needs {needs}, but the columns are "
            f"{', '.join(self.names) or 'none'}; of {what} are {', '.join(possible) or 'none'}. "
            f"Choose with {option} NAME, or another --task"
        )


def _kind(column: npt.NDArray[Any]) -> str:
    """Return "text", "whole" (numbers, or classes) or "continuous"."""
    if column.dtype.kind in "OU":
        return "text"
    known = column[~np.isnan(column)]
    return "whole" if (known == np.round(known)).all() else "continuous"


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels as texts, or as integers: 0.0 and 1.0 are 0 and 1.

    Floats that do not tell one integer from the next stay: classes of such are refused.
    """
    if labels.dtype == object:
        return labels.astype(np.str_)
    return labels.astype(np.int64) if (np.abs(labels) < NOT_EXACT).all() else labels


def _read_features(path: Path) -> Any:
    load_element_features(path)  # says what is wrong with the file
    # The features themselves, not their path, become a parameter: a model file is complete.
    return json.loads(path.read_text(encoding="utf-8"))
