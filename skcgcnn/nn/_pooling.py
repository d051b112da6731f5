"""How the features of a crystal come from those of its sites."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from skcgcnn.nn._layers import Linear


class Members(NamedTuple):
    """The rows of a batch, and the crystals that they belong to.

    Attributes
    ----------
    crystals : Tensor of shape (n_rows,), integer
        Crystal of each row, ascending.
    site_counts : Tensor of shape (n_rows,)
        Number of sites in each row.
    n_sites : Tensor of shape (n_crystals,)
        Number of sites of each crystal.
    """

    crystals: Tensor
    site_counts: Tensor
    n_sites: Tensor


def mean_weights(members: Members) -> Tensor:
    """Return the weights of rows with which the mean over the sites of each crystal is a sum.

    Parameters
    ----------
    members : Members

    Returns
    -------
    Tensor of shape (n_rows,)
    """
    return members.site_counts / members.n_sites.index_select(0, members.crystals)


class AttentionPooling(nn.Module):
    """Weights of the rows by a learned score; they sum to 1 in each crystal.

    Parameters
    ----------
    width : int
        Features per site.
    generator : torch.Generator, optional
        Draws the initial weights.
    """

    def __init__(self, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.score = Linear(width, 1, generator, bias=False)

    def forward(self, rows: Tensor, members: Members) -> Tensor:
        """Return the weights.

        Parameters
        ----------
        rows : Tensor of shape (n_rows, width)
        members : Members

        Returns
        -------
        Tensor of shape (n_rows,)
        """
        # Bounded, so that its exponential neither overflows nor leaves a crystal without weight.
        weights = torch.exp(10 * torch.tanh(self.score(rows)[:, 0] / 10)) * members.site_counts
        total = weights.new_zeros(members.n_sites.shape[0]).index_add(0, members.crystals, weights)
        return weights / total.index_select(0, members.crystals)


def weighted_sum(rows: Tensor, weights: Tensor, members: Members) -> Tensor:
    """Return the weighted sum of the rows of each crystal.

    Parameters
    ----------
    rows : Tensor of shape (n_rows, width)
    weights : Tensor of shape (n_rows,)
    members : Members

    Returns
    -------
    Tensor of shape (n_crystals, width)
    """
    # Crystals may differ by little, and batch normalization then makes rounding errors large: the
    # sums take double precision, where every device has it.
    wide = torch.float64 if rows.device.type == "cpu" else rows.dtype
    weighted = rows.to(wide) * weights.unsqueeze(1)
    pooled = weighted.new_zeros(members.n_sites.shape[0], rows.shape[1])
    return pooled.index_add(0, members.crystals, weighted).to(rows.dtype)
