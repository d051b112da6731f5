"""What the estimators that predict numbers share: how sure they are."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._ensemble import (
    FEWEST_ERRORS,
    Uncertainty,
    combine,
    deviations,
    std_factor,
)
from skcgcnn.estimators._targets import FloatArray, output_slices


class NumberEstimator(BaseCGCNN):
    """Base of the estimators that predict numbers."""

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
        multiplies the deviations of every target by the number with which intervals of 95 % hold 95
        % of the errors. Predictions stay as they are. A new fit begins anew.

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
        self._check_knows_deviations(outputs)
        encoded, _ = self._encode(y, self.targets_)
        values = encoded.reshape(len(encoded), -1)
        predicted = combine(outputs, self.targets_)
        total = np.hypot(*deviations(outputs, self.targets_))
        targets = list(self.targets_)
        for index, columns in enumerate(output_slices(self.targets_)):
            target = targets[index]
            if target.classes is not None:
                continue
            errors = predicted[:, columns.start] * target.scale + target.mean - values[:, index]
            known = np.isfinite(errors)
            if known.sum() < FEWEST_ERRORS:
                raise ValueError(
                    f"{known.sum()} crystals have a target {target.name!r} and a prediction; "
                    f"{FEWEST_ERRORS} are needed to calibrate"
                )
            factor = std_factor(errors[known], total[known, index])
            if not 0 < factor < np.inf:
                raise ValueError(
                    f"errors or deviations of {target.name!r} are 0, so that no factor fits; "
                    "calibrate on crystals that were not in the fit"
                )
            targets[index] = replace(target, std_factor=target.std_factor * factor)
        self.targets_ = tuple(targets)
        return self

    def _predict_numbers(self, X: Any, *, return_std: bool) -> Any:
        """Return what `predict` returns."""
        if not return_std:
            return self._predict_values(X)
        predicted, uncertainty = self._predict_with_std(X)
        return predicted, uncertainty.total

    def _predict_with_std(self, X: Any) -> tuple[npt.NDArray[Any], Uncertainty]:
        """Return predictions and their standard deviations, in one pass over the crystals."""
        outputs = self._member_outputs(X)
        self._check_knows_deviations(outputs)
        answers = self._answers()
        parts = deviations(outputs, self.targets_)
        shaped = (answers.shape(list(part.T)) for part in (*parts, np.hypot(*parts)))
        return answers.values(combine(outputs, self.targets_)), Uncertainty(*shaped)

    def _check_knows_deviations(self, outputs: FloatArray) -> None:
        if not self._knows_deviations(outputs):
            raise ValueError(
                "a single network with this loss does not know how sure it is; fit with "
                'n_estimators=5, with loss="gaussian_nll", or both'
            )
