"""Cross-validation of multi-task estimators."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.utils import Bunch, check_consistent_length, indexable

from skcgcnn._parallel import streaming_parallel, task
from skcgcnn._sklearn import safe_indexing
from skcgcnn._warnings import warn_of_other_rows
from skcgcnn.estimators import predict_targets
from skcgcnn.tasks import checked_groups, is_missing, split_columns, stack_columns


class TaskStratifiedKFold(StratifiedGroupKFold):
    """K folds that are stratified by one column of y and keep groups together.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    column : int, default=-1
        Column of y with the labels. Missing labels count as a class of their own.
    shuffle : bool, default=False
        Whether to shuffle.
    random_state : int, RandomState instance or None, default=None
        Seed for shuffling.

    Examples
    --------
    >>> import numpy as np
    >>> Y = np.column_stack([np.arange(8.0), [0, 0, 0, 0, 1, 1, 1, 1]])
    >>> [Y[test, 1].tolist() for _, test in TaskStratifiedKFold(2).split(Y, Y)]
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        column: int = -1,
        shuffle: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)
        self.column = column

    def split(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Yield the rows to train and to test on, fold by fold.

        Parameters
        ----------
        X : sequence of length n_crystals
            The crystals.
        y : array-like or DataFrame of shape (n_crystals, n_tasks)
            The targets.
        groups : array-like of shape (n_crystals,), optional
            Crystals of a group, such as vacancies in one host, stay on one side.

        Yields
        ------
        train, test : ndarray of int
            Rows.

        Raises
        ------
        ValueError
            If y has no such column or another length than X, or there are too few crystals or
            groups for the folds.
        """
        check_consistent_length(X, y)
        columns = split_columns(y)
        if not -len(columns) <= self.column < len(columns):
            raise ValueError(f"column={self.column}, but y has {len(columns)} columns")
        column = columns[self.column]
        missing = is_missing(column)
        labels = np.array(
            ["" if absent else str(v) for v, absent in zip(column, missing, strict=True)]
        )
        rows = np.zeros(len(labels))
        if groups is not None:
            yield from super().split(rows, labels, checked_groups(groups, len(rows)))
            return
        folds = StratifiedKFold(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)
        yield from folds.split(rows, labels)


def cross_val_predict_tasks(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
) -> Bunch:
    """Predict every crystal with a multi-task network that was not trained on it.

    scikit-learn's `cross_val_predict` would treat the regression target as a label as soon as
    probabilities are asked for.

    Parameters
    ----------
    estimator : CGCNNMultiTask, or a Pipeline that ends in one
        The estimator; clones of it are fitted.
    X : sequence of crystals, or CrystalGraphs
        See its `fit`.
    y : array-like or DataFrame of shape (n_crystals, n_tasks)
        The targets.
    groups : array-like of shape (n_crystals,), optional
        For the splitter.
    cv : int, splitter or iterable, default=None
        By default five folds of `TaskStratifiedKFold`, shuffled with seed 0.
    n_jobs : int, optional
        Number of parallel fits.

    Returns
    -------
    Bunch
        ``predictions`` of shape (n_crystals, n_tasks); and, where there is a classification,
        ``proba`` of shape (n_crystals, n_classes) and ``classes``. A class that a fold has not
        trained on has a probability of 0.

    Raises
    ------
    ValueError
        If the test folds do not hold every crystal exactly once.

    Examples
    --------
    >>> import numpy as np
    >>> from skcgcnn import CGCNNMultiTask
    >>> from skcgcnn.datasets import load_sample_classification, load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> Y = np.column_stack([energies, load_sample_classification().target])
    >>> est = CGCNNMultiTask(max_epochs=1, random_state=0)
    >>> found = cross_val_predict_tasks(est, cifs[:40], Y[:40], cv=2)
    >>> found.predictions.shape, found.proba.shape
    ((40, 2), (40, 2))
    """
    warn_of_other_rows(X, y=y)
    X, y, groups = indexable(X, y, groups)
    if cv is None:
        cv = TaskStratifiedKFold(shuffle=True, random_state=0)
    folds = list(check_cv(cv).split(X, y, groups))
    order = np.concatenate([test for _, test in folds])
    if not np.array_equal(np.sort(order), np.arange(len(y))):
        raise ValueError("the test folds of cv must hold every crystal exactly once")
    fits = (task(_fit_and_predict)(clone(estimator), X, y, train, test) for train, test in folds)
    parts = list(streaming_parallel(n_jobs)(fits))
    back = np.argsort(order)
    found = Bunch(predictions=np.concatenate([predicted for predicted, _, _ in parts])[back])
    if parts[0][2] is not None:
        found.classes = np.unique(np.concatenate([classes for _, _, classes in parts]))
        found.proba = np.concatenate(
            [_align(proba, classes, found.classes) for _, proba, classes in parts]
        )[back]
    return found


def _fit_and_predict(
    estimator: Any, X: Any, y: Any, train: npt.NDArray[Any], test: npt.NDArray[Any]
) -> tuple[Any, Any, Any]:
    """Return predictions, and probabilities with the classes of the first classification."""
    estimator.fit(safe_indexing(X, train), safe_indexing(y, train))
    predictions = predict_targets(estimator, safe_indexing(X, test))
    values = stack_columns([prediction.values for prediction in predictions])
    classified = [each for each in predictions if each.proba is not None]
    if not classified:
        return values, None, None
    return values, classified[0].proba, classified[0].target.classes


def _align(
    proba: npt.NDArray[np.float64], classes: npt.NDArray[Any], all_classes: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    aligned = np.zeros((len(proba), len(all_classes)))
    aligned[:, np.searchsorted(all_classes, classes)] = proba
    return aligned
