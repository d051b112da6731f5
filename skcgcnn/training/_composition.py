"""What the composition alone tells of the targets of a run: something to compare a network with."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs import CrystalGraphs, mean_features
from skcgcnn.tasks import Task, is_missing

_TREES = 200
# More would take longer than they tell.
_MOST_TRAINED = 20_000


def predict_by_composition(
    train: CrystalGraphs,
    trained: npt.NDArray[Any],
    test: CrystalGraphs,
    target: Task,
    n_jobs: int | None = None,
) -> npt.NDArray[Any] | None:
    """Return what extra trees predict from the mean features of the elements of each crystal.

    Parameters
    ----------
    train : CrystalGraphs
        The crystals to train on.
    trained : ndarray of shape (n_trained,)
        Their values or labels; NaN or None is missing.
    test : CrystalGraphs
        The crystals to predict.
    target : Task
        What the values are.
    n_jobs : int, optional
        Number of threads that fit.

    Returns
    -------
    ndarray of shape (n_crystals,) or None
        None where there is nothing to train on, or nothing to predict.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    rows = np.flatnonzero(~is_missing(trained))
    if not len(rows) or not len(test):
        return None
    if len(rows) > _MOST_TRAINED:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MOST_TRAINED, replace=False))
    kind = ExtraTreesRegressor if target.is_number else ExtraTreesClassifier
    trees = kind(_TREES, random_state=0, n_jobs=n_jobs)
    # In an array of objects scikit-learn does not see of what kind labels are.
    y = np.array(trained[rows].tolist())
    # Trees take numbers for the same whose variance is below 1e-16, as of energies in joules, and
    # lose that of numbers far from zero, as of total energies.
    center, scale = 0.0, 1.0
    if target.is_number:
        center, scale = y.mean(), y.std() or 1.0
        y = (y - center) / scale
    trees.fit(mean_features(train[rows]), y)
    # Threads add up the trees in the order in which they end, which the last digits show.
    found: npt.NDArray[Any] = trees.set_params(n_jobs=None).predict(mean_features(test))
    return center + scale * found if target.is_number else found
