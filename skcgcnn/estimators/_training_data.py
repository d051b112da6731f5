"""Crystals to train on, and some to validate by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from skcgcnn._numbers import as_floats
from skcgcnn._sklearn import check_sample_weight
from skcgcnn._text import listed
from skcgcnn._warnings import warn_caller, warn_of_other_rows
from skcgcnn.estimators._crystals import check_same_options
from skcgcnn.estimators._units import with_units
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.tasks import FloatArray, Task, check_names, split_at_random


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
    """Hold out crystals, stratified by the labels where that is possible."""
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
    train, valid = split_at_random(np.arange(n), test_size, seed, labels)
    return data.take(train), data.take(valid)


def check_fit_input(
    est: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    reset: bool,
    classes: Any = None,
    known: Sequence[Task] | None = None,
) -> TrainingData:
    """Return crystals and targets; `known` are the targets, where they are decided already."""
    if y is None:
        raise ValueError(f"{type(est).__name__} requires y to be passed, but the target y is None.")
    graphs = est._to_graphs(X, reset=reset)
    if isinstance(y, tuple) and {np.shape(column) for column in y} == {(len(graphs),)}:
        raise ValueError(
            f"y is a tuple of {len(y)} columns; pass np.column_stack(y), of one row per crystal"
        )
    check_names(y)
    check_consistent_length(graphs, y)
    warn_of_other_rows(X, y=y, sample_weight=sample_weight)
    if not len(graphs):
        raise ValueError("X holds 0 crystals; at least 1 is needed to fit.")
    if not reset:
        check_same_options(est, graphs)
    fitted = known if reset else est.targets_
    encoded, targets = est._encode(y, fitted, classes)
    targets = with_units(targets, y) if fitted is None else targets
    for target in targets:
        target.check()
    values = encoded.reshape(len(encoded), -1)
    if sample_weight is not None and not isinstance(sample_weight, Real):
        sample_weight = as_floats(sample_weight)
    weights = check_sample_weight(sample_weight, graphs, dtype=np.float64, ensure_non_negative=True)
    # Only ratios of weights count. By the largest first: the sum may be too large a number.
    weights = weights / (weights.max() or 1.0)
    used = (graphs.n_sites > 0) & (weights > 0) & ~np.isnan(values).all(axis=1)
    weights = weights * est._class_weights(values, targets, used)
    used &= weights > 0
    data = TrainingData(graphs, values, weights, targets, encoded.ndim)
    if not used.any():
        raise ValueError(
            "no crystal is left to fit: every one has a weight of 0, no label or no sites"
        )
    if used.sum() == 1 and known is None:
        warn_caller(
            f"{type(est).__name__} is fitted on one crystal: there is nothing to compare it "
            "with, and predictions for others mean nothing"
        )
    data = replace(data, weights=weights / weights[used].mean())
    data = data if used.all() else data.take(used)
    if reset and known is None and len(data) > 1:
        _warn_of_constants(data.graphs)
    return data


def _warn_of_constants(graphs: CrystalGraphs) -> None:
    """Tell which numbers beside the crystals are all the same: a network ignores them."""
    constant = np.ptp(graphs.global_features, axis=0) == 0
    names = [graphs.options.global_features[place] for place in np.flatnonzero(constant)]
    if names:
        warn_caller(
            f"numbers beside the crystals that are the same for all: {listed(names, most=3)}; "
            "nothing is learned from them, and predictions do not depend on them"
        )


def check_validation(est: Any, validation_data: Any, train: TrainingData) -> TrainingData:
    """Return the crystals to validate by, which must be made as those to train on."""
    try:
        X, y = validation_data
    except (TypeError, ValueError) as error:
        raise ValueError("validation_data must be a pair (X, y)") from error
    valid = check_fit_input(est, X, y, None, reset=True, known=train.targets)
    ours, theirs = train.graphs.options, valid.graphs.options
    if different := ours.differences(theirs):
        raise ValueError(
            f"validation_data holds graphs that were made with {theirs.describe(different)}, "
            f"those to train on with {ours.describe(different)}"
        )
    return valid
