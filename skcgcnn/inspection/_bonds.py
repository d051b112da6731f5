"""What every bond contributes to a prediction."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from skcgcnn.graphs import expand_to_sites
from skcgcnn.inspection._explained import Explained, explained, mean_of_networks, path_points
from skcgcnn.nn import CrystalGraphConvNet, GraphBatch, run_batches, to_numpy

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BondContributions:
    """What every bond contributes to predictions.

    Attributes
    ----------
    bonds : list of ndarray of shape (n_sites, max_num_nbr)
        Contribution of every bond of each site, in the unit of the target; for a class, to the
        logarithm of its odds. Equal sites have the same. Without rows for crystals that could not
        be read.
    neighbors : list of ndarray of shape (n_sites, max_num_nbr)
        Site at the other end of each bond. Of several equal sites it is the first.
    distances : list of ndarray of shape (n_sites, max_num_nbr)
        Length of each bond in Å.
    baselines : ndarray of shape (n_crystals,)
        Predictions without bonds: of sites that see no neighbors.
    predictions : ndarray of shape (n_crystals,)
        What is explained: the predicted number, or the logarithm of the odds of the class.
    """

    bonds: list[Values]
    neighbors: list[npt.NDArray[np.int32]]
    distances: list[npt.NDArray[np.float32]]
    baselines: Values
    predictions: Values


def bond_contributions(
    est: Any, X: Any, *, target: int | str = 0, label: Any = None
) -> BondContributions:
    """Return how much every bond contributes to the predictions for some crystals.

    The messages of all bonds are turned up together from nothing, in all convolutions; gradients
    along the way, integrated, tell what each bond adds (M. Sundararajan, A. Taly and Q. Yan, ICML
    2017). They are complete: contributions and baseline sum to the prediction. It takes 64 passes
    of the network.

    Parameters
    ----------
    est : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The network; of an ensemble, the mean over its networks is explained.
    X : sequence of crystals, or CrystalGraphs
        The crystals.
    target : int or str, default=0
        Column of y, by position or name.
    label : object, optional
        The class whose odds are explained; by default the last. Not for numbers.

    Returns
    -------
    BondContributions

    Raises
    ------
    ValueError
        If there is no such target or class.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> found = bond_contributions(est, cifs[:2])
    >>> [values.shape for values in found.bonds]
    [(8, 12), (16, 12)]
    >>> total = found.bonds[0].sum() + found.baselines[0]
    >>> bool(abs(total - found.predictions[0]) < 1e-3)
    True
    """
    function = explained(est, target, label)
    graphs = est._fitted_graphs(X)
    found = []
    for net in (est.net_, *est.more_nets_):
        parts = [_explain(module, batch, function) for module, batch in run_batches(net, graphs)]
        found.append(parts)
    by_bond, baselines, predictions = mean_of_networks(found, graphs)
    expanded, n_classes = graphs.expand(), len(graphs.site_kinds)
    every_bond = np.repeat(by_bond, graphs.bond_counts)
    return BondContributions(
        bonds=expand_to_sites(graphs, every_bond.reshape(n_classes, graphs.options.max_num_nbr)),
        neighbors=np.split(expanded.neighbors, graphs.site_offsets[1:-1]) if len(graphs) else [],
        distances=np.split(expanded.distances, graphs.site_offsets[1:-1]) if len(graphs) else [],
        baselines=baselines,
        predictions=predictions,
    )


def _explain(
    module: CrystalGraphConvNet, batch: GraphBatch, function: Explained
) -> tuple[Values, Values, Values]:
    """Return contributions of one bond of each kind, baselines and predictions."""
    gradients = torch.zeros_like(batch.bond_counts)
    with torch.enable_grad():
        for position, weight in path_points():
            counts = (position * batch.bond_counts).requires_grad_()
            total = function(module(batch._replace(bond_counts=counts))).sum()
            if not total.requires_grad:  # a network without convolutions
                break
            gradients += weight * torch.autograd.grad(total, counts)[0]
    without = batch._replace(bond_counts=torch.zeros_like(batch.bond_counts))
    baselines, predictions = function(module(without)), function(module(batch))
    # A row stands for several equal sites, each of which has the bonds.
    sites = batch.site_counts.index_select(0, batch.centers)
    return to_numpy(gradients / sites), to_numpy(baselines), to_numpy(predictions)
