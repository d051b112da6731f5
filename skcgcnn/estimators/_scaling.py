"""How targets, and numbers beside crystals, are scaled for the network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Task

# Of the numbers beside crystals: what they are divided by must not be 0 in float32.
_LEAST_DEVIATION = 1e-30
# Of scaled sums over sites, how far numbers of 32 bits may be apart.
_COARSE = 0.01


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


def warn_of_coarse_sums(
    targets: Sequence[Task], starts: Sequence[float] | None, graphs: CrystalGraphs, precision: str
) -> None:
    """Warn of sums over sites that numbers of 32 bits hold to some percent of their spread only."""
    if starts is None or precision == "float64":
        return
    for target, start in zip(targets, starts, strict=True):
        step = np.finfo(np.float32).eps * abs(start) * graphs.n_sites.max()
        if step > _COARSE:
            warn_caller(
                f"column {target.name!r} of y is about {start * target.scale:.6g} per site, and "
                f"the rest spreads by {target.scale:.3g}: predictions are multiples of about "
                f"{step * target.scale:.2g}. Subtract a number per site from y, such as energies "
                "of the elements, or set net_params={'precision': 'float64'}",
                once=True,
            )


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
