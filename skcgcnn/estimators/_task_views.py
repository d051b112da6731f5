"""One task of a fitted multi-task estimator, seen as a regressor or a classifier."""

from typing import Any, NoReturn, cast

import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from skcgcnn.estimators._predict import predict_targets
from skcgcnn.tasks import FloatArray, Prediction


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
        return self._predict(X).values

    def _predict(self, X: Any) -> Prediction:
        return predict_targets(self.estimator, X)[self.column]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self.estimator, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = self.estimator.__sklearn_tags__().input_tags
        return tags


class RegressorView(RegressorMixin, _TaskView):
    """A regression task of a fitted `CGCNNMultiTask`."""


class ClassifierView(ClassifierMixin, _TaskView):
    """A classification task of a fitted `CGCNNMultiTask`."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, sorted."""
        classes: npt.NDArray[Any] = self.estimator.targets_[self.column].classes
        return classes

    def predict_proba(self, X: Any) -> FloatArray:
        """Predict the probabilities of the classes, of shape (n_crystals, n_classes)."""
        return cast("FloatArray", self._predict(X).proba)
