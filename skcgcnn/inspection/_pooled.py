"""Crystals half-way through the network: after the pooling, before the head."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn import CrystalGraphConvNet, GraphBatch, run_batches, weighted_sum


@dataclass(frozen=True, eq=False)
class Pooled:
    """The crystals of a batch after the pooling.

    Attributes
    ----------
    module : CrystalGraphConvNet
        The network.
    batch : GraphBatch
        The batch.
    sites : Tensor of shape (n_rows, atom_fea_len)
        Features of the classes of equal sites.
    site_weights : Tensor of shape (n_rows,)
        With what a single site of each class counts in its crystal.
    site_shares : Tensor of shape (n_rows, n_outputs)
        What the baseline says of a site of each class; 0 without a baseline.
    pooled : Tensor of shape (n_crystals, atom_fea_len)
        Weighted sums of the sites.
    shares : Tensor of shape (n_crystals, n_outputs)
        What the baseline says of the crystals.
    """

    module: CrystalGraphConvNet
    batch: GraphBatch
    sites: Tensor
    site_weights: Tensor
    site_shares: Tensor
    pooled: Tensor
    shares: Tensor

    @property
    def is_sum(self) -> bool:
        """Whether outputs are sums over sites."""
        return self.module.pooling.sums_outputs

    @property
    def crystals(self) -> Tensor:
        """Crystal of each row."""
        return self.batch.crystals

    @property
    def n_sites(self) -> Tensor:
        """Number of sites of each crystal."""
        return self.batch.n_sites

    def outputs(self, features: Tensor, shares: Tensor) -> Tensor:
        """Return outputs for pooled features and what the baseline says.

        Parameters
        ----------
        features : Tensor of shape (n_crystals, atom_fea_len), or (n_rows, atom_fea_len) for sums
        shares : Tensor of shape (n_crystals, n_outputs), or (n_rows, n_outputs) for sums

        Returns
        -------
        Tensor of the shape of `shares`
        """
        module, numbers = self.module, self.batch.global_features
        if numbers is not None and self.is_sum:
            numbers = numbers.index_select(0, self.crystals)
        out: Tensor = module.head(features, features.new_ones(len(features)), numbers)
        return out + shares if module.baseline is None else out * module.baseline.scale + shares

    def sum_over_sites(self, rows: Tensor) -> Tensor:
        """Return the sums over the sites of each crystal of a value for each class of sites."""
        return weighted_sum(rows.unsqueeze(1), self.batch.site_counts, self.batch)[:, 0]


def pooled_crystals(est: Any, X: Any) -> tuple[list[list[Pooled]], CrystalGraphs]:
    """Return crystals after the pooling, by each network of an estimator.

    Returns
    -------
    parts : list of list of Pooled
        For each network, its batches of the readable crystals, in their order.
    graphs : CrystalGraphs
        Of all crystals.
    """
    graphs = est._fitted_graphs(X)
    nets = [est.net_, *est.more_nets_]
    return [[_pool(*run) for run in run_batches(net, graphs)] for net in nets], graphs


def _pool(module: CrystalGraphConvNet, batch: GraphBatch) -> Pooled:
    sites = module.convolve(batch)
    weights = module.pooling(sites, batch)
    if module.baseline is None:
        kinds = sites.new_zeros(len(batch.kind_features), module.head.fc_out.out_features)
    else:
        kinds = module.baseline(batch.kind_features)
    return Pooled(
        module=module,
        batch=batch,
        sites=sites,
        site_weights=weights / batch.site_counts,
        site_shares=kinds.index_select(0, batch.site_kinds),
        pooled=weighted_sum(sites, weights, batch),
        shares=module.pool_shares(kinds, batch),
    )
