"""One task of a fitted multi-task estimator, seen as a regressor or a classifier."""

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

__all__ = ["ClassifierView", "RegressorView"]


class _TaskView(BaseEstimator):
    """One column of what a fitted estimator predicts.

    Parameters
    ----------
    estimator : CGCNNMultiTask
        Fitted.
    column : int
        The column of y.
    """

    def __init__(self, estimator: Any, column: int) -> None:
        self.estimator = estimator
        self.column = column

    def fit(self, X: Any, y: Any) -> NoReturn:
        """Refuse: the network is shared by all tasks."""
        raise NotImplementedError(
            f"{type(self).__name__} shows one task of a fitted CGCNNMultiTask; fit that instead, "
            "or wrap this in sklearn.frozen.FrozenEstimator"
        )

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the target of this task, of shape (n_crystals,)."""
        column: npt.NDArray[Any] = self.estimator.predict(X)[:, self.column]
        return column

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self.estimator, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = self.estimator.__sklearn_tags__().input_tags
        return tags


class RegressorView(RegressorMixin, _TaskView):
    """A regression task of a fitted `CGCNNMultiTask`."""

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the target of this task, of shape (n_crystals,), in its own units."""
        return super().predict(X).astype(np.float64)


class ClassifierView(ClassifierMixin, _TaskView):
    """The (first) classification task of a fitted `CGCNNMultiTask`."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, sorted."""
        classes: npt.NDArray[Any] = self.estimator.task_classes_[self.column]
        return classes

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probabilities of the classes, of shape (n_crystals, n_classes)."""
        proba: npt.NDArray[np.float64] = self.estimator.predict_proba(X)
        return proba
