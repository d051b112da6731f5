"""How targets, and numbers beside crystals, are scaled for the network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Task

# Of the numbers beside crystals: what they are divided by must not be 0 in float32.
_LEAST_DEVIATION = 1e-30


def scale(
    data: TrainingData, params: Mapping[str, Any]
) -> tuple[tuple[Task, ...], list[float] | None]:
    """Return the targets of training crystals as the network is to learn them.

    Beside them, for sums over sites, the outputs of a site with which training begins, else None.
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
        n_sites = data.graphs.n_sites
        found = [target.scaled_by_site(column, data.weights, n_sites) for target, column in pairs]
        return tuple(target for target, _ in found), [start for _, start in found]
    return tuple(target.scaled(column, data.weights) for target, column in pairs), None


def scale_numbers(net: CrystalGraphConvNet, graphs: CrystalGraphs) -> None:
    """Give a network the mean and scale of the numbers beside its training crystals."""
    if net.head.globals is None:
        return
    for name, numbers in zip(graphs.options.global_features, graphs.global_features.T, strict=True):
        if np.ptp(numbers) > 0 and numbers.std() < _LEAST_DEVIATION:
            raise ValueError(
                f"column {name!r} of X: its numbers differ by less than {_LEAST_DEVIATION:g}; give "
                "them in another unit"
            )
    net.head.globals.set_scaling(graphs.global_features)
