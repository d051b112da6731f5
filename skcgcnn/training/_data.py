"""The crystals and targets of a training run."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import user_path
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import (
    LI_VACANCY_FOLDER,
    SAMPLE_FOLDER,
    Table,
    choose_columns,
    join_columns,
    read_groups,
    read_table,
)
from skcgcnn.estimators import is_missing
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs, load_element_features
from skcgcnn.stores import is_store, open_store
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


@dataclass(frozen=True)
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
    """

    cif_ids: Sequence[str]
    paths: list[str]
    graphs: CrystalGraphs | None
    y: npt.NDArray[Any]
    names: list[str]
    atom_features: Any
    groups: npt.NDArray[np.str_] | None
    labels: npt.NDArray[Any] | None

    def fingerprint(self) -> str:
        """Return what tells these crystals and targets from others."""
        content: list[Any] = [list(map(str, self.cif_ids)), self.y.tolist(), self.names]
        if self.groups is not None:
            content.append(self.groups.tolist())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def graph_parameters(self) -> dict[str, Any]:
        """Return the parameters with which graphs of a store were made."""
        if self.graphs is None:
            return {}
        options = self.graphs.options
        return {
            "radius": options.radius,
            "max_num_nbr": options.max_num_nbr,
            "neighbor_ties": options.neighbor_ties,
            "merge_tol": options.merge_tol or None,
        }

    def classes(self, readable: npt.NDArray[np.bool_]) -> npt.NDArray[Any] | None:
        """Return the classes of the crystals; those to train on may lack a rare one."""
        if self.labels is None:
            return None
        labels = self.labels[readable]
        return np.unique(labels[~is_missing(labels)])

    def stratify_labels(self) -> npt.NDArray[np.str_] | None:
        """Return the labels that every part of the split should hold alike."""
        return None if self.labels is None else np.array([str(label) for label in self.labels])


def load_run_data(settings: Settings) -> RunData:
    """Load the folder that a run names.

    Parameters
    ----------
    settings : Settings
        The run.

    Returns
    -------
    RunData

    Raises
    ------
    DataError
        If the folder is not as it should be, or it is not clear which columns are the targets.
    """
    folder, columns = BUNDLED.get(settings.data, (user_path(settings.data), {}))
    if is_store(folder):
        return _load_store(settings, folder)
    if not folder.is_dir():
        raise DataError(
            f"{settings.data}: neither a folder, nor a store, nor a bundled dataset "
            f"({', '.join(BUNDLED)})"
        )
    file = folder / "id_prop.csv"
    table = read_table(folder, on_missing="raise" if settings.on_error == "raise" else "keep")
    return _run_data(settings, folder, file, table, columns, None)


def _load_store(settings: Settings, folder: Path) -> RunData:
    store = open_store(folder)
    if not store.properties:
        raise DataError(
            f"{folder}: the store has no properties to learn; make it from a source that has some, "
            "or with --properties"
        )
    columns = list(store.properties.values())
    ids: Any = store.graphs.ids  # as an array: a list of many names takes much memory
    table = Table(ids, [], list(store.properties), columns)
    return _run_data(settings, folder, folder, table, {}, store.graphs)


def _of_store(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a column as those of a table: texts are objects, and NaN where they are missing."""
    if np.issubdtype(column.dtype, np.floating):
        return np.asarray(column)
    return np.array([str(cell) or np.nan for cell in column], dtype=object)


def _run_data(
    settings: Settings,
    folder: Path,
    file: Path,
    table: Table,
    bundled: dict[str, str],
    graphs: CrystalGraphs | None,
) -> RunData:
    """Choose the targets of a run; messages name `file`."""
    chosen = _Choice(table, settings, bundled, file)
    numbers, label = chosen.numbers(), chosen.label()
    table = choose_columns(table, [*numbers, *label], file)
    check_names(table.names, file)
    if graphs is not None:
        table = replace(table, columns=[_of_store(column) for column in table.columns])
        table, graphs = _with_targets(table, graphs, file)
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
    features = folder / "atom_init.json"
    return RunData(
        table.cif_ids,
        table.paths,
        graphs,
        join_columns(table.columns),
        table.names,
        _read_features(features) if features.is_file() else None,
        read_groups(folder, table.cif_ids),
        table.columns[-1] if label else None,
    )


def _with_targets(table: Table, graphs: CrystalGraphs, file: Path) -> tuple[Table, CrystalGraphs]:
    """Leave out crystals of a store that have no target at all; it cannot be edited."""
    missing = np.all([is_missing(column) for column in table.columns], axis=0)
    if not missing.any():
        return table, graphs
    rows = np.flatnonzero(~missing)
    if not len(rows):
        raise DataError(f"{file}: no crystal has {' or '.join(table.names)}")
    targets = " and no ".join(table.names)
    warn_caller(
        f"{file}: {missing.sum()} of {len(missing)} crystals have no {targets} and are left out"
    )
    graphs = graphs[rows]
    ids: Any = graphs.ids
    return replace(table, cif_ids=ids, columns=[c[rows] for c in table.columns]), graphs


class _Choice:
    """Which columns of a table are the targets of a run.

    By default those of CGCNN's layout, ``cif_id,value,label``, by position; in other tables they
    must be named where several could be meant.
    """

    def __init__(
        self, table: Table, settings: Settings, bundled: dict[str, str], file: Path
    ) -> None:
        self.task, self.file = settings.task, file
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
        self.by_position = two and table.names[0] in self.numeric and table.names[1] in self.classes

    def numbers(self) -> list[str]:
        """Return the names of the regression targets."""
        if self.task == "classification":
            if self.given_numbers:
                raise DataError(
                    f"--target {self.given_numbers[0]} names a column of numbers, but the task is "
                    "classification; name the column of classes with --label"
                )
            return []
        if self.given_numbers:
            self._refuse(self.given_numbers, self.numeric, "--target", "numbers")
            return self.given_numbers
        if self.by_position:
            return self.names[:1]
        free = [name for name in self.numeric if name != self.given_label]
        return [self._only(free, self.numeric, "--target", "numbers")]

    def label(self) -> list[str]:
        """Return the name of the classification target, if there is one."""
        if self.task == "regression":
            return []
        if self.given_label is not None:
            self._refuse([self.given_label], self.classes, "--label", "classes")
            return [self.given_label]
        if self.by_position:
            return self.names[1:]
        free = [name for name in self.classes if name not in self.given_numbers]
        # In CGCNN's layout the label is the last column: an integer value before it is none.
        if len(self.names) <= 2 and self.names[-1] not in self.classes:
            free = []
        return [self._only(free, self.classes, "--label", "classes")]

    def _only(self, names: list[str], possible: list[str], option: str, what: str) -> str:
        if len(names) == 1 and not (self.task == "multi" and len(self.names) == 1):
            return names[0]
        have = ", ".join(self.names)
        if len(names) > 1:
            raise DataError(
                f"{self.file}: several columns could be the {option.strip('-')}: "
                f"{', '.join(names)}; choose with {option} NAME"
            )
        needs = (
            "a column of numbers and one of classes"
            if self.task == "multi"
            else f"a column of {what}"
        )
        raise DataError(
            f"{self.file}: --task {self.task} needs {needs}, but the columns are {have}; of {what} "
            f"are {', '.join(possible) or 'none'}. Choose with {option} NAME, or another --task"
        )

    def _refuse(self, names: list[str], possible: list[str], option: str, what: str) -> None:
        for name in names:
            if name in self.names and name not in possible:
                kind = "texts" if what == "numbers" else "numbers that are no classes"
                raise DataError(f"{self.file}: {option} {name}: the column holds {kind}")


def _kind(column: npt.NDArray[Any]) -> str:
    """Return "text", "whole" (numbers, or classes) or "continuous"."""
    if column.dtype.kind in "OU":
        return "text"
    known = column[~np.isnan(column)]
    return "whole" if (known == np.round(known)).all() else "continuous"


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels as texts, or as integers: 0.0 and 1.0 are 0 and 1."""
    return labels.astype(np.str_ if labels.dtype == object else np.int64)


def _read_features(path: Path) -> Any:
    load_element_features(path)  # says what is wrong with the file
    # The features themselves, not their path, become a parameter: a model file is complete.
    return json.loads(path.read_text(encoding="utf-8"))
