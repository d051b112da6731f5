"""Fits on fewer of the training crystals: how much more of them would help."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from skcgcnn._text import crystals
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators import BaseCGCNN, predict_targets
from skcgcnn.quality import PowerLaw, fit_power_law
from skcgcnn.tasks import Prediction
from skcgcnn.training._data import Part
from skcgcnn.training._rules import Grouping

_SHARES = (1 / 8, 1 / 4, 1 / 2)
# Fewer crystals would not be a training.
_FEWEST = 8


def learning_curves(
    est: BaseCGCNN,
    parts: Mapping[str, Part],
    predictions: list[Prediction],
    grouping: Grouping,
    seed: int,
    fit: Callable[[BaseCGCNN, dict[str, Part]], Any] | None,
) -> dict[str, PowerLaw]:
    """Return how the test error of each target falls with the number of training crystals.

    Parameters
    ----------
    est : fitted estimator
        Clones of it are fitted on 1/8, 1/4 and 1/2 of the training crystals.
    parts : mapping of str to Part
    predictions : list of Prediction
        Of `est` for the test crystals.
    grouping : Grouping
        Groups are taken whole.
    seed : int
        Decides which crystals are taken.
    fit : callable
        Fits an estimator on the parts of a split; None where no curve is asked for.

    Returns
    -------
    dict of str to PowerLaw
        Empty where none is asked for, and, with a warning, where there are too few crystals, or
        none to test.
    """
    if fit is None:
        return {}
    train, test = parts["train"], parts["test"]
    order = _in_order(train, grouping, seed)
    sizes = [round(share * len(order)) for share in _SHARES]
    sizes = [size for size in sizes if size >= _FEWEST]
    if not sizes or not predictions:
        why = "none is tested" if sizes else f"half of them are fewer than {_FEWEST}"
        warn_caller(f"no learning curve for {crystals(len(order))} to train on: {why}")
        return {}
    found = []
    for size in sizes:
        rows = np.sort(order[:size])
        some = replace(train, rows=train.rows[rows], graphs=train.graphs[rows], y=train.y[rows])
        other = clone(est)
        try:
            fit(other, {**parts, "train": some})
        except ValueError as error:
            warn_caller(f"no learning curve: with {size} of the training crystals, {error}")
            return {}
        found.append(predict_targets(other, test.graphs))
    groups = None if grouping.groups is None else grouping.groups[test.rows]
    laws = {}
    for index, column in enumerate(test.y.reshape(len(test.y), len(test.names)).T):
        target = predictions[index].target
        series = [said[index].values for said in (*found, predictions)]
        errors = np.array([target.misses(column, values) for values in series])
        known = ~np.isnan(errors).any(axis=0)
        if known.any():
            own = None if groups is None else groups[known]
            laws[target.name] = fit_power_law([*sizes, len(order)], [*errors[:, known]], own)
    return laws


def _in_order(train: Part, grouping: Grouping, seed: int) -> npt.NDArray[np.int64]:
    """Return places of training crystals at random, those of a group after each other."""
    n = len(train.rows)
    own = np.arange(n) if grouping.groups is None else grouping.groups[train.rows]
    _, groups = np.unique(own, return_inverse=True)
    rank = np.random.default_rng(seed).permutation(int(groups.max(initial=0)) + 1)
    return np.argsort(rank[groups], kind="stable")
