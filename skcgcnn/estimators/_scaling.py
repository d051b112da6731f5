"""How targets are scaled for the network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.estimators._targets import FloatArray
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.modelfiles import Target


def scale(
    data: TrainingData, params: Mapping[str, Any]
) -> tuple[tuple[Target, ...], list[float] | None]:
    """Return the targets of training crystals as the network is to learn them.

    Parameters
    ----------
    data : TrainingData
        The crystals.
    params : mapping
        Parameters of the estimator.

    Returns
    -------
    targets : tuple of Target
        With means and scales.
    starts : list of float or None
        The outputs of a site with which training begins; None where they are not set.

    Raises
    ------
    ValueError
        If a target has no value, or there are classes among extensive targets.
    """
    targets = data.targets
    for target, column in zip(targets, data.values.T, strict=True):
        if np.isnan(column).all():
            raise ValueError(
                f"column {target.name!r} of y holds no target among the {len(data)} crystals to "
                "train on"
            )
    if params["loss"] == "gaussian_nll":
        targets = tuple(replace(t, has_variance=t.kind == "regression") for t in targets)
    if params["pooling"] == "sum":
        return scale_extensive(targets, data.values, data.graphs.n_sites)
    return scale_targets(targets, data.values, data.weights), None


def scale_extensive(
    targets: Sequence[Target], values: FloatArray, n_sites: npt.NDArray[np.int64]
) -> tuple[tuple[Target, ...], list[float]]:
    """Return extensive targets with their scale, and where the output of a site should begin.

    A sum over sites has no mean of its own, so that the mean by site is where outputs begin, and
    the scale is that of what is left.

    Parameters
    ----------
    targets : sequence of Target
        The targets, numbers all of them.
    values : ndarray of shape (n_crystals, n_targets)
        Of the training crystals; NaN is missing.
    n_sites : ndarray of shape (n_crystals,)
        Number of sites of each crystal.

    Returns
    -------
    targets : tuple of Target
    starts : list of float
        For each target, its scaled mean by site.

    Raises
    ------
    ValueError
        If there are classes among the targets.
    """
    if any(target.classes is not None for target in targets):
        raise ValueError('pooling="sum" is for numbers, but there are classes to learn')
    scaled, starts = [], []
    for column, target in zip(values.T, targets, strict=True):
        known = ~np.isnan(column)
        by_site = float(column[known].sum() / n_sites[known].sum())
        _, scale = _mean_and_scale(column[known] - by_site * n_sites[known], np.ones(known.sum()))
        scaled.append(replace(target, scale=scale))
        starts.append(by_site / scale)
    return tuple(scaled), starts


def scale_targets(
    targets: Sequence[Target], values: FloatArray, weights: FloatArray
) -> tuple[Target, ...]:
    """Return the targets with mean and scale of their values; 0 and 1 for classes.

    Parameters
    ----------
    targets : sequence of Target
        The targets.
    values : ndarray of shape (n_crystals, n_targets)
        Of the training crystals; NaN is missing.
    weights : ndarray of shape (n_crystals,)
        Weights of the crystals.

    Returns
    -------
    tuple of Target
    """
    scaled = []
    for column, target in enumerate(targets):
        if target.kind == "regression":
            known = ~np.isnan(values[:, column])
            mean, scale = _mean_and_scale(values[known, column], weights[known])
            target = replace(target, mean=mean, scale=scale)  # noqa: PLW2901
        scaled.append(target)
    return tuple(scaled)


def _mean_and_scale(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    mean = np.average(values, weights=weights)
    std = np.sqrt(np.average((values - mean) ** 2, weights=weights))
    # A constant target has a standard deviation of 0, or of rounding noise.
    constant = std <= 10 * np.finfo(np.float64).eps * abs(mean)
    return float(mean), 1.0 if constant else float(std)
