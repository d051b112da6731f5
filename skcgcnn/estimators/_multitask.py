"""The multi-task CGCNN: numbers and classes learned together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.metaestimators import available_if

from skcgcnn._parameters import MultiTaskParameters
from skcgcnn._warnings import warn_of_other_rows
from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._constraints import constraints
from skcgcnn.estimators._fitted import documented
from skcgcnn.estimators._outputs import predict_proba, predict_values
from skcgcnn.estimators._task_views import ClassifierView, RegressorView
from skcgcnn.estimators._uncertainty import UncertaintyMixin, predict_with_std
from skcgcnn.estimators._units import check_units
from skcgcnn.estimators._unknown_names import refuse_unknown_names
from skcgcnn.tasks import (
    TASKS,
    FloatArray,
    Task,
    check_order,
    column_names,
    encode,
    score_readable,
    split_columns,
)


def _has_classes(est: "CGCNNMultiTask") -> bool:
    tasks = getattr(est, "targets_", None) or [TASKS[kind] for kind in est.tasks if kind in TASKS]
    if all(task.is_number for task in tasks):
        raise AttributeError("predict_proba needs a classification task in tasks")
    return True


@documented
@refuse_unknown_names
@dataclass(kw_only=True, eq=False, repr=False)
class CGCNNMultiTask(UncertaintyMixin, MultiTaskParameters, BaseCGCNN):
    """Crystal graph convolutional network that predicts numbers and classes together.

    Convolutions as in Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), or others (`conv`), are
    shared; every target has outputs of its own. The loss is the mean error of the scaled numbers
    (`loss`) plus `cls_weight` times the cross-entropy of the classes. A missing target (NaN or
    None) is left out of its task's loss, so a crystal needs only one of them.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes of the first classification task.
    task_classes_ : list of (ndarray or None)
        Classes of every column of y; None for a regression.
    regressor_, classifier_ : views
        The first regression and the first classification task, for displays, scorers and
        ``CalibratedClassifierCV(FrozenEstimator(est.classifier_))``.
    <attributes>

    See Also
    --------
    CGCNNRegressor : predicts numbers alone.
    CGCNNClassifier : predicts classes alone.

    Notes
    -----
    It is neither a regressor nor a classifier to scikit-learn, so a cross-validation does not
    stratify. `score` needs no ``scoring=`` in a grid search and does not depend on `cls_weight`.

    Examples
    --------
    >>> import numpy as np
    >>> from skcgcnn import CGCNNMultiTask
    >>> from skcgcnn.datasets import load_sample_classification, load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> is_metal = load_sample_classification().target
    >>> Y = np.column_stack([energies, is_metal])
    >>> est = CGCNNMultiTask(cls_weight=0.5, max_epochs=2, random_state=0).fit(cifs, Y)
    >>> est.predict(cifs[:3]).shape, est.predict_proba(cifs[:3]).shape
    ((3, 2), (3, 2))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints(MultiTaskParameters)

    @property
    def regressor_(self) -> RegressorView:
        """The first regression task of the fitted estimator, as a regressor of its own."""
        return RegressorView(self, self._first(is_number=True))

    @property
    def classifier_(self) -> ClassifierView:
        """The first classification task of the fitted estimator, as a classifier of its own."""
        return ClassifierView(self, self._first(is_number=False))

    def _first(self, *, is_number: bool) -> int:
        found = [target.is_number for target in getattr(self, "targets_", ())]
        if is_number not in found:
            kind = "regression" if is_number else "classification"
            raise AttributeError(f"only a fitted estimator with a {kind} task has this")
        return found.index(is_number)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like or DataFrame of shape (n_crystals, n_tasks)
            Targets.
        classes : array-like of shape (n_classes,), optional
            All labels of the (first) classification task that later calls may bring; needed in
            the first call, unless its y holds them all. Others in a later call are an error.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        self : CGCNNMultiTask
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict all targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        return_std : bool, default=False
            Whether to return standard deviations too, see `predict_uncertainty`.

        Returns
        -------
        y_pred : ndarray of shape (n_crystals, n_tasks)
            The columns of y: numbers in their units, and labels. Of floats where all labels are
            numbers below 2**53, else of objects. NaN for crystals that could not be read.
        y_std : ndarray of shape (n_crystals, n_tasks)
            Only with `return_std`: total standard deviations; NaN for classes.

        Raises
        ------
        ValueError
            If standard deviations are asked of a single network that was not fitted with
            ``loss="gaussian_nll"``.
        """
        if return_std:
            predicted, uncertainty = predict_with_std(self, X)
            return predicted, uncertainty.total
        return predict_values(self, X)

    @available_if(_has_classes)
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probabilities of the classes of the first classification task.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_classes)
            In the order of `classes_`; NaN for crystals that could not be read.

        Raises
        ------
        AttributeError
            If there is no classification task.
        """
        return predict_proba(self, X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean of R² (regressions) and accuracy (classifications).

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like or DataFrame of shape (n_crystals, n_tasks)
            True targets; missing ones are left out, as are crystals that could not be read.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        float
            At most 1; it does not depend on `cls_weight`. A task without enough true targets (two
            numbers, one label) is left out; NaN where all are.
        """
        warn_of_other_rows(X, y=y, sample_weight=sample_weight)
        predicted = predict_values(self, X, warn=False)
        columns = self._columns(y, self.targets_)
        return score_readable(self.targets_, predicted, columns, sample_weight)

    @property
    def task_classes_(self) -> list[npt.NDArray[Any] | None]:
        """Classes of every target; None for a regression."""
        return [target.classes for target in self.targets_]

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """Classes of the first classification task."""
        return self.classifier_.classes_

    def _columns(self, y: Any, targets: Sequence[Task]) -> list[npt.NDArray[Any]]:
        """Return the columns of y, each with its own type."""
        columns, kinds = split_columns(y), tuple(target.kind for target in targets)
        if len(columns) != len(kinds):
            raise ValueError(
                f"y has {len(columns)} columns, but tasks={kinds!r} names {len(kinds)}"
            )
        check_order(y, targets)
        check_units(targets, y)
        return columns

    def _new_targets(self, y: Any) -> list[Task]:
        if not self.tasks or set(self.tasks) - TASKS.keys():
            raise ValueError(f"tasks={self.tasks!r}; expected a tuple of {tuple(TASKS)}")
        names = column_names(y, [f"y{index}" for index in range(len(self.tasks))])
        # As many as there are tasks: another number of columns is refused later.
        names += [""] * (len(self.tasks) - len(names))
        return [TASKS[kind](name) for kind, name in zip(self.tasks, names, strict=False)]

    def _encode(
        self, y: Any, fitted: Sequence[Task] | None, classes: Any = None
    ) -> tuple[FloatArray, tuple[Task, ...]]:
        targets = self._new_targets(y) if fitted is None else fitted
        if len(targets) > 1 and np.ndim(y) == 1:
            raise ValueError(
                f"y has one dimension, but tasks={tuple(t.kind for t in targets)!r} names "
                f"{len(targets)} columns: pass np.column_stack([first, second]) or a frame, with a "
                "row per crystal, or use CGCNNRegressor or CGCNNClassifier for one target"
            )
        return encode(self._columns(y, targets), targets, classes, first=fitted is None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags
