"""What the estimators that predict numbers share: how sure they are."""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from skcgcnn._parameters import NumberParameters
from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._constraints import constraints
from skcgcnn.estimators._ensemble import Uncertainty
from skcgcnn.tasks import deviations


class NumberEstimator(NumberParameters, BaseCGCNN):
    """Base of the estimators that predict numbers."""

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints(NumberParameters)

    def predict_uncertainty(self, X: Any) -> Uncertainty:
        """Return standard deviations of the predictions, and what they consist of.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        Uncertainty
            Its `aleatoric`, `epistemic` and `total` have the shape of y; NaN for classes.

        Raises
        ------
        ValueError
            See `predict`.
        """
        return self._predict_with_std(X)[1]

    def calibrate(self, X: Any, y: Any) -> Self:
        """Scale the standard deviations so that they hold on crystals that were held back.

        A network is surer of crystals that it was trained on than it should be of others. This
        multiplies the deviations of every target by the number with which one standard deviation
        holds 68 % of the errors. Predictions stay as they are. A new fit begins anew: of an
        ensemble it calibrates by crystals that each network leaves out, and of a single network
        with ``loss="gaussian_nll"`` by its validation crystals, or else by such ones too.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            Crystals that were not in the fit, but are such as will be predicted. A hundred or more
            are best: the numbers of fewer are rough.
        y : array-like of shape (n_crystals,) or (n_crystals, n_targets)
            Their targets.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If fewer than 20 crystals have a target and a prediction, or see `predict`.

        Examples
        --------
        >>> from skcgcnn import CGCNNRegressor
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs, energies = load_sample_regression(return_X_y=True)
        >>> est = CGCNNRegressor(loss="gaussian_nll", max_epochs=2, random_state=0)
        >>> est.fit(cifs[::2], energies[::2]).calibrate(cifs[1::2], energies[1::2])
        CGCNNRegressor(loss='gaussian_nll', max_epochs=2, random_state=0)
        """
        outputs = self._member_outputs(X)
        check_consistent_length(outputs[0], y)
        total = np.hypot(*deviations(outputs, self.targets_))
        encoded, _ = self._encode(y, self.targets_)
        columns = (encoded.reshape(len(encoded), -1).T, total.T)
        self.targets_ = tuple(
            each.target.calibrated(each, values, spread)
            for each, values, spread in zip(self._decoder().decode(outputs), *columns, strict=True)
        )
        return self

    def _predict_numbers(self, X: Any, *, return_std: bool) -> Any:
        """Return what `predict` returns."""
        if not return_std:
            return self._predict_values(X)
        predicted, uncertainty = self._predict_with_std(X)
        return predicted, uncertainty.total

    def _predict_with_std(self, X: Any) -> tuple[npt.NDArray[Any], Uncertainty]:
        """Return predictions and their standard deviations, in one pass over the crystals."""
        outputs, decoder = self._member_outputs(X), self._decoder()
        parts = deviations(outputs, self.targets_)
        shaped = (decoder.shape(list(part.T)) for part in (*parts, np.hypot(*parts)))
        return decoder.values(outputs), Uncertainty(*shaped)
