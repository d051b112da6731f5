"""Crystals to train on, and some to validate by."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from skcgcnn.estimators._targets import FloatArray
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.tasks import Task


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Crystals to train on.

    Attributes
    ----------
    graphs : CrystalGraphs
        Their graphs, none of them empty.
    values : ndarray of shape (n_crystals, n_targets)
        Encoded but unscaled targets; NaN is missing.
    weights : ndarray of shape (n_crystals,)
        Weights of the crystals.
    targets : tuple of Task
        What the columns of `values` are.
    y_ndim : int
        Number of dimensions of y.
    """

    graphs: CrystalGraphs
    values: FloatArray
    weights: FloatArray
    targets: tuple[Task, ...]
    y_ndim: int

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: npt.NDArray[Any]) -> "TrainingData":
        """Return some of the crystals."""
        return replace(
            self, graphs=self.graphs[rows], values=self.values[rows], weights=self.weights[rows]
        )


def split(data: TrainingData, share: float, seed: int) -> tuple[TrainingData, TrainingData]:
    """Hold out crystals, stratified by the labels where that is possible.

    Parameters
    ----------
    data : TrainingData
        The crystals.
    share : float
        Share of them to hold out.
    seed : int
        Decides which.

    Returns
    -------
    train, valid : TrainingData

    Raises
    ------
    ValueError
        If there are too few.
    """
    n = len(data)
    if n < 2:
        raise ValueError(
            "early_stopping needs at least 2 crystals: some to train, some to validate"
        )
    test_size = min(n - 1, max(1, round(share * n)))
    found = (
        t.stratify_labels(column) for t, column in zip(data.targets, data.values.T, strict=True)
    )
    labels = next((each for each in found if each is not None), None)
    if labels is not None:
        counts = np.unique(labels, return_counts=True)[1]
        if counts.min() < 2 or len(counts) > min(test_size, n - test_size):
            labels = None  # a class has too few crystals for both sides
    train, valid = train_test_split(
        np.arange(n), test_size=test_size, random_state=seed, stratify=labels
    )
    return data.take(train), data.take(valid)
