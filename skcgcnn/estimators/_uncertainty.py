"""Standard deviations of predicted numbers."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length

from skcgcnn._warnings import warn_caller, warn_of_other_rows
from skcgcnn.estimators._outputs import member_outputs
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.tasks import TargetDecoder, deviations, output_slices


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard deviations of predictions, in the units and the shape of y.

    Those of classes are NaN: see their probabilities.

    Attributes
    ----------
    aleatoric : ndarray
        From the data: what the network learned of the scatter of its errors
        (``loss="gaussian_nll"``), or what errors on crystals that were left out add to the
        epistemic part; 0 where neither is known.
    epistemic : ndarray
        From the model: the standard deviation of the networks' predictions (``n_estimators``); 0
        for a single network.
    total : ndarray
        The root of the sum of their squares.
    """

    aleatoric: npt.NDArray[Any]
    epistemic: npt.NDArray[Any]
    total: npt.NDArray[Any]


class UncertaintyMixin:
    """Gives an estimator of numbers their standard deviations."""

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

        Warns
        -----
        UserWarning
            If they are not calibrated.
        """
        return predict_with_std(self, X)[1]

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
        est: Any = self
        warn_of_other_rows(X, y=y)
        outputs = member_outputs(est, X)
        check_consistent_length(outputs[0], y)
        total = np.hypot(*deviations(outputs, est.targets_))
        encoded, _ = est._encode(y, est.targets_)
        predictions = TargetDecoder(est.targets_, est.y_ndim_).decode(outputs)
        columns = zip(predictions, encoded.reshape(len(encoded), -1).T, total.T, strict=True)
        est.targets_ = tuple(
            each.target.calibrated(each, values, spread) for each, values, spread in columns
        )
        return self


def predict_with_std(est: Any, X: Any) -> tuple[npt.NDArray[Any], Uncertainty]:
    """Return predictions and their standard deviations, in one pass over the crystals."""
    outputs = member_outputs(est, X)  # says so where it is not fitted
    decoder = TargetDecoder(est.targets_, est.y_ndim_)
    parts = deviations(outputs, est.targets_)
    if unsure := [t.name for t in est.targets_ if getattr(t, "n_calibrated", None) == 0]:
        warn_caller(
            f"the standard deviations of {', '.join(unsure)} are not calibrated: too few crystals "
            "outside of the fit told how far they hold. est.calibrate(X, y) does it by "
            "20 crystals or more of your own",
            once=True,
        )
    shaped = (decoder.shape(list(part.T)) for part in (*parts, np.hypot(*parts)))
    return decoder.values(outputs), Uncertainty(*shaped)


def calibrate_out_of_bag(est: Any, data: TrainingData, left_out: npt.NDArray[np.bool_]) -> None:
    """Calibrate standard deviations by crystals that networks were not fitted on.

    `left_out`, of shape (n_members, n_crystals), tells which.
    """
    rows = np.flatnonzero(left_out.any(axis=0))
    outputs = member_outputs(est, data.graphs[rows])
    columns = zip(est.targets_, output_slices(est.targets_), data.values.T, strict=True)
    est.targets_ = tuple(
        target.calibrated_out_of_bag(outputs[:, :, own], left_out[:, rows], values[rows])
        for target, own, values in columns
    )
