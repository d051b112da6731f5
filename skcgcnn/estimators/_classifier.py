"""The CGCNN classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from skcgcnn._parameters import ClassifierParameters
from skcgcnn._warnings import warn_of_other_rows
from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._constraints import constraints
from skcgcnn.estimators._fitted import documented
from skcgcnn.estimators._outputs import predict_proba, predict_values
from skcgcnn.estimators._unknown_names import refuse_unknown_names
from skcgcnn.tasks import (
    Classes,
    FloatArray,
    Task,
    column_names,
    encode,
    is_missing,
    score_readable,
    split_columns,
    typed_labels,
)


@documented
@refuse_unknown_names
@dataclass(kw_only=True, eq=False, repr=False)
class CGCNNClassifier(ClassifierMixin, ClassifierParameters, BaseCGCNN):
    """Crystal graph convolutional network that predicts classes.

    The network of Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), with another convolution
    by default (`conv`), as a scikit-learn estimator, with one output per class and the
    cross-entropy as its loss.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    <attributes>

    See Also
    --------
    CGCNNRegressor : predicts numbers.
    CGCNNMultiTask : predicts numbers and classes together.

    Examples
    --------
    >>> from skcgcnn import CGCNNClassifier
    >>> from skcgcnn.datasets import load_sample_classification
    >>> cifs, is_metal = load_sample_classification(return_X_y=True)
    >>> est = CGCNNClassifier(max_epochs=2, random_state=0).fit(cifs, is_metal)
    >>> est.predict_proba(cifs[:3]).shape
    (3, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints(ClassifierParameters)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,)
            Labels.
        classes : array-like of shape (n_classes,), optional
            All labels that later calls may bring; needed in the first call, unless its y holds
            them all. Others in a later call are an error.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        self : CGCNNClassifier
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' would balance each part alone; pass a weight for each "
                "class, {'a': 1, 'b': 3}"
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_classes)
            In the order of `classes_`; NaN for crystals that could not be read.
        """
        return predict_proba(self, X)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the classes.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals,)
            Labels. Where crystals could not be read, NaN; the array is then one of floats or
            objects.
        """
        return predict_values(self, X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,)
            True labels.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        float
            With ``on_error="nan"``, crystals that could not be read are left out, with a warning.
        """
        _refuse_missing(y)
        warn_of_other_rows(X, y=y, sample_weight=sample_weight)
        predicted = predict_values(self, X, warn=False)
        return score_readable(self.targets_, predicted, split_columns(y), sample_weight)

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, sorted."""
        return cast("npt.NDArray[Any]", self.targets_[0].classes)

    def _encode(
        self, y: Any, fitted: Sequence[Task] | None, classes: Any = None
    ) -> tuple[FloatArray, tuple[Task, ...]]:
        _refuse_missing(y)
        try:
            check_classification_targets(typed_labels(split_columns(y)[0]))
        except TypeError as error:
            raise ValueError(
                f"the labels are not texts or whole numbers alone ({error})"
            ) from error
        labels = column_or_1d(y, warn=True)
        targets = [Classes(column_names(y, ["target"])[0])] if fitted is None else fitted
        encoded, learned = encode([labels], targets, classes, first=fitted is None)
        return encoded[:, 0], learned

    def _class_weights(
        self, values: FloatArray, targets: Sequence[Task], used: npt.NDArray[np.bool_]
    ) -> FloatArray:
        found = super()._class_weights(values, targets, used)
        if self.class_weight is None or not used.any():
            return found
        if isinstance(self.class_weight, dict):
            for label, weight in self.class_weight.items():
                if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf):
                    raise ValueError(
                        f"class_weight={self.class_weight!r}: the weight of {label!r} must be a "
                        "number of at least 0"
                    )
            used = np.ones(len(values), dtype=bool)
        # Those that are left out have no part in the balance.
        labels = targets[0].original(values[used, 0])
        found[used] = compute_sample_weight(self.class_weight, labels)
        return found


def _refuse_missing(y: Any) -> None:
    if (missing := is_missing(split_columns(y)[0])).any():
        raise ValueError(
            f"Input y contains NaN or None, first in row {missing.argmax()}. Leave such rows "
            "out, or use CGCNNMultiTask, which takes missing labels"
        )
