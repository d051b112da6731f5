"""The crystals and targets of a training run."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.datasets import LI_VACANCY_FOLDER, SAMPLE_FOLDER, load_id_prop
from skcgcnn.estimators import is_missing
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import load_element_features
from skcgcnn.training._settings import Settings

BUNDLED = {"sample": SAMPLE_FOLDER, "li_vacancy": LI_VACANCY_FOLDER}


@dataclass(frozen=True)
class RunData:
    """The crystals and targets of a training run.

    Attributes
    ----------
    cif_ids, paths : list of str
        The crystals.
    y : ndarray of shape (n_crystals,) or (n_crystals, 2)
        The targets; value and label for multi-task learning.
    names : list of str
        Names of the targets.
    atom_features : dict or None
        Features of the elements, where the folder has its own.
    groups : ndarray of str of shape (n_crystals,), or None
        Crystals of a group stay in one part of the split.
    labels : ndarray of shape (n_crystals,), or None
        The column of classes, if there is one.
    """

    cif_ids: list[str]
    paths: list[str]
    y: npt.NDArray[Any]
    names: list[str]
    atom_features: Any
    groups: npt.NDArray[np.str_] | None
    labels: npt.NDArray[Any] | None

    def fingerprint(self) -> str:
        """Return what tells these crystals and targets from others."""
        content = [self.cif_ids, self.y.tolist(), self.names]
        if self.groups is not None:
            content.append(self.groups.tolist())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def classes(self, readable: npt.NDArray[np.bool_]) -> npt.NDArray[Any] | None:
        """Return the classes of the crystals; those to train on may lack a rare one."""
        if self.labels is None:
            return None
        labels = self.labels[readable]
        return np.unique(labels[~is_missing(labels)])

    def stratum(self) -> npt.NDArray[np.str_] | None:
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
        If the folder is not as it should be, or has no targets for the task.
    """
    folder = BUNDLED.get(settings.data, Path(settings.data))
    if not folder.is_dir():
        raise DataError(
            f"{settings.data}: neither a folder nor a bundled dataset ({', '.join(BUNDLED)})"
        )
    bunch = load_id_prop(folder)
    columns = bunch.target.reshape(len(bunch.data), -1)
    if settings.task == "multi" and columns.shape[1] != 2:
        raise DataError(
            f"{bunch.filename}: --task multi needs lines of 'cif_id,value,label', "
            f"but these have {columns.shape[1]} target(s)"
        )
    # The value comes first and the label last; with one target they are the same column.
    chosen = {"regression": [0], "classification": [-1], "multi": [0, 1]}[settings.task]
    y = columns[:, chosen]
    if settings.task == "regression" and y.dtype == object:
        raise DataError(
            f"{bunch.filename}: the values are texts ({y[0, 0]!r}); use --task classification"
        )
    names = [bunch.target_names[i] for i in chosen]
    missing = is_missing(y[:, 0])
    if settings.task != "multi" and missing.any():
        cif_id = bunch.cif_ids[int(missing.argmax())]
        raise DataError(f"{bunch.filename}: {cif_id!r} has no {names[0]}")
    if settings.task == "classification":
        y = _whole(y)
    return RunData(
        bunch.cif_ids,
        bunch.data,
        y if settings.task == "multi" else y[:, 0],
        names,
        _read_features(bunch.atom_features),
        bunch.groups,
        None if settings.task == "regression" else y[:, -1],
    )


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels such as 0.0 and 1.0 as integers."""
    if labels.dtype == object or not (labels == np.round(labels)).all():
        return labels.astype(np.str_)
    return labels.astype(np.int64)


def _read_features(path: str | None) -> Any:
    if path is None:
        return None
    load_element_features(path)  # says what is wrong with the file
    # The features themselves, not their path, become a parameter: a model file is complete.
    return json.loads(Path(path).read_text(encoding="utf-8"))
