"""What the estimators that predict numbers share: how sure they are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.estimators._base import BaseCGCNN
from skcgcnn.estimators._ensemble import Uncertainty, combine, deviations


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

    def _predict_numbers(self, X: Any, *, return_std: bool) -> Any:
        """Return what `predict` returns."""
        if not return_std:
            return self._predict_values(X)
        predicted, uncertainty = self._predict_with_std(X)
        return predicted, uncertainty.total

    def _predict_with_std(self, X: Any) -> tuple[npt.NDArray[Any], Uncertainty]:
        """Return predictions and their standard deviations, in one pass over the crystals."""
        outputs = self._member_outputs(X)
        if len(outputs) == 1 and not any(target.has_variance for target in self.targets_):
            raise ValueError(
                "a single network with this loss does not know how sure it is; fit with "
                'n_estimators=5, with loss="gaussian_nll", or both'
            )
        answers = self._answers()
        parts = deviations(outputs, self.targets_)
        shaped = (answers.shape(list(part.T)) for part in (*parts, np.hypot(*parts)))
        return answers.values(combine(outputs, self.targets_)), Uncertainty(*shaped)
