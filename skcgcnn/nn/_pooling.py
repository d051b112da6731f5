"""How the features of a crystal come from those of its sites."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from skcgcnn.nn._batches import GraphBatch
from skcgcnn.nn._layers import Linear


class Pooling(nn.Module):
    """Base class of the poolings: says how much each site counts in its crystal.

    Put a subclass into `skcgcnn.nn.POOLINGS`, and the estimators know it by that name.

    Parameters
    ----------
    width : int
        Features per site.
    generator : torch.Generator, optional
        Draws the initial weights.

    Attributes
    ----------
    sums_outputs : bool
        Whether the head runs on sites, whose outputs are summed, not on pooled features.
    reads_sites : bool
        Whether the weights depend on the features of the sites.
    """

    sums_outputs: ClassVar[bool] = False
    reads_sites: ClassVar[bool] = True

    def __init__(self, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()

    def forward(self, sites: Tensor, batch: GraphBatch) -> Tensor:
        """Return the weights with which the rows of a crystal are summed.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, width)
            Features of the classes of equal sites.
        batch : GraphBatch
            Their crystals.

        Returns
        -------
        Tensor of shape (n_rows,)
        """
        raise NotImplementedError


class MeanPooling(Pooling):
    """The mean over the sites."""

    reads_sites = False

    def forward(self, sites: Tensor, batch: GraphBatch) -> Tensor:
        """Return the weights of the rows, see `Pooling`."""
        return mean_weights(batch)


class SumPooling(Pooling):
    """The sum of the outputs of the sites, which is extensive."""

    sums_outputs = True
    reads_sites = False

    def forward(self, sites: Tensor, batch: GraphBatch) -> Tensor:
        """Return the weights of the rows, see `Pooling`."""
        return batch.site_counts


class AttentionPooling(Pooling):
    """A mean with weights from a learned score; they sum to 1 in each crystal.

    Parameters
    ----------
    width : int
        Features per site.
    generator : torch.Generator, optional
        Draws the initial weights.
    """

    def __init__(self, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__(width)
        self.score = Linear(width, 1, generator, bias=False)

    def forward(self, sites: Tensor, batch: GraphBatch) -> Tensor:
        """Return the weights of the rows, see `Pooling`."""
        # Bounded, so that its exponential neither overflows nor leaves a crystal without weight.
        weights = torch.exp(10 * torch.tanh(self.score(sites)[:, 0] / 10)) * batch.site_counts
        total = weights.new_zeros(batch.n_sites.shape[0]).index_add(0, batch.crystals, weights)
        return weights / total.index_select(0, batch.crystals)


def mean_weights(batch: GraphBatch) -> Tensor:
    """Return the weights of rows with which the mean over the sites of each crystal is a sum."""
    return batch.site_counts / batch.n_sites.index_select(0, batch.crystals)


def weighted_sum(rows: Tensor, weights: Tensor, batch: GraphBatch) -> Tensor:
    """Return the weighted sum of the rows of each crystal.

    Parameters
    ----------
    rows : Tensor of shape (n_rows, width)
    weights : Tensor of shape (n_rows,)
    batch : GraphBatch

    Returns
    -------
    Tensor of shape (n_crystals, width)
    """
    # Crystals may differ by little, and batch normalization then makes rounding errors large: the
    # sums take double precision, where every device has it.
    wide = torch.float64 if rows.device.type == "cpu" else rows.dtype
    weighted = rows.to(wide) * weights.unsqueeze(1)
    pooled = weighted.new_zeros(batch.n_sites.shape[0], rows.shape[1])
    return pooled.index_add(0, batch.crystals, weighted).to(rows.dtype)
