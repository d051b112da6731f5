"""The CGCNN regressor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array

from skcgcnn._numbers import as_floats
from skcgcnn._parameters import NumberParameters
from skcgcnn._warnings import warn_of_other_rows
from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._constraints import constraints
from skcgcnn.estimators._fitted import documented
from skcgcnn.estimators._outputs import predict_values
from skcgcnn.estimators._uncertainty import UncertaintyMixin, predict_with_std
from skcgcnn.estimators._units import check_units
from skcgcnn.estimators._unknown_names import refuse_unknown_names
from skcgcnn.tasks import (
    FloatArray,
    Number,
    Task,
    check_order,
    column_names,
    encode,
    score_readable,
    split_columns,
    without_mask,
)


@documented
@refuse_unknown_names
@dataclass(kw_only=True, eq=False, repr=False)  # so that errors name this class
class CGCNNRegressor(RegressorMixin, UncertaintyMixin, NumberParameters, BaseCGCNN):
    """Crystal graph convolutional network that predicts numbers.

    The network of Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), with another convolution
    by default (`conv`), as a scikit-learn estimator. It takes crystals, for example as paths of
    CIF files, and returns targets in their own units.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    n_outputs_ : int
        Number of targets.
    <attributes>

    See Also
    --------
    CGCNNClassifier : predicts classes.
    CGCNNMultiTask : predicts numbers and classes together.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> est.predict(cifs[:3]).shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints(NumberParameters)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch.

        The first call fixes the scaling of the targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,) or (n_crystals, n_targets)
            Targets.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        self : CGCNNRegressor
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        return_std : bool, default=False
            Whether to return standard deviations too, see `predict_uncertainty`.

        Returns
        -------
        y_pred : ndarray of shape (n_crystals,) or (n_crystals, n_targets)
            In the units of y; NaN for crystals that could not be read.
        y_std : ndarray of the same shape
            Only with `return_std`: total standard deviations.

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

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the mean over the targets.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.
        y : array-like of shape (n_crystals,) or (n_crystals, n_targets)
            True targets.
        sample_weight : array-like of shape (n_crystals,), optional
            Weights of the crystals.

        Returns
        -------
        float
            At most 1. With ``on_error="nan"``, crystals that could not be read are left out, with
            a warning.
        """
        warn_of_other_rows(X, y=y, sample_weight=sample_weight)
        predicted = predict_values(self, X, warn=False)
        if y is not None and len(predicted):
            self._encode(y, self.targets_)  # refuses other targets
        return score_readable(self.targets_, predicted, split_columns(y), sample_weight)

    @property
    def n_outputs_(self) -> int:
        """Number of targets."""
        return len(self.targets_)

    def _encode(
        self,
        y: Any,
        fitted: Sequence[Task] | None,
        classes: Any = None,
    ) -> tuple[FloatArray, tuple[Task, ...]]:
        known: dict[str, Any] = {"ensure_2d": False, "input_name": "y", "estimator": self}
        any_type = check_array(without_mask(y), dtype=None, ensure_all_finite=False, **known)
        try:
            numbers = as_floats(any_type)
        except ValueError as error:
            raise ValueError(
                f"y holds no numbers ({error}), but {type(self).__name__} learns numbers: "
                "CGCNNClassifier learns classes, CGCNNMultiTask both"
            ) from error
        try:
            values: FloatArray = check_array(numbers, dtype=np.float64, **known)
        except ValueError as error:
            if not str(error).startswith("Input y contains"):
                raise
            rows = numbers.reshape(len(numbers), -1)
            if np.isnan(rows).any():
                row = int(np.isnan(rows).any(axis=1).argmax())
                raise ValueError(
                    f"Input y contains NaN, first in row {row}. Leave such rows out, or use "
                    "CGCNNMultiTask, which takes missing targets"
                ) from error
            row = int(np.isinf(rows).any(axis=1).argmax())
            raise ValueError(
                f"{str(error).rstrip('.')}, first in row {row}. Leave it out"
            ) from error
        n_columns = values.reshape(len(values), -1).shape[1]
        if fitted is None:
            names = [f"target_{i}" for i in range(n_columns)] if n_columns > 1 else ["target"]
            targets: Sequence[Task] = [Number(name) for name in column_names(y, names)]
        else:
            targets = fitted
        if n_columns != len(targets):
            raise ValueError(f"y has {n_columns} targets, but the first fit had {len(targets)}")
        if fitted is not None:
            check_order(y, fitted)
            check_units(fitted, y)
        columns = list(values.reshape(len(values), -1).T)
        encoded, learned = encode(columns, targets, None, first=fitted is None)
        return encoded.reshape(values.shape), learned

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
