"""How targets are scaled for the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.tasks import Task


def scale(
    data: TrainingData, params: Mapping[str, Any]
) -> tuple[tuple[Task, ...], list[float] | None]:
    """Return the targets of training crystals as the network is to learn them.

    Parameters
    ----------
    data : TrainingData
        The crystals.
    params : mapping
        Parameters of the estimator.

    Returns
    -------
    targets : tuple of Task
        With means and scales.
    starts : list of float or None
        The outputs of a site with which training begins; None where they are not set.

    Raises
    ------
    ValueError
        If a target has no value, or there are classes among extensive targets.
    """
    for target, column in zip(data.targets, data.values.T, strict=True):
        if np.isnan(column).all():
            raise ValueError(
                f"column {target.name!r} of y holds no target among the {len(data)} crystals to "
                "train on"
            )
    targets = [target.for_loss(params.get("loss", "mse")) for target in data.targets]
    pairs = list(zip(targets, data.values.T, strict=True))
    if params["pooling"] == "sum":
        found = [target.scaled_by_site(column, data.graphs.n_sites) for target, column in pairs]
        return tuple(target for target, _ in found), [start for _, start in found]
    return tuple(target.scaled(column, data.weights) for target, column in pairs), None
