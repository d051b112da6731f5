"""The bonds of a batch, and the sums over them that all convolutions share."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from skcgcnn.nn._buffers import BufferPool

# A product over very many rows is faster as a sum of this many products, which threads share.
_PARTS = 8
_MANY_ROWS = 4096


@dataclass(eq=False)
class Bonds:
    """The bonds of a batch; those of a row stand together, in the order of the rows.

    Attributes
    ----------
    centers, neighbors : Tensor of shape (n_bonds,), integer
        Rows at the two ends of each bond.
    counts : Tensor of shape (n_bonds,)
        How many of the bonds of a site are this one.
    features : Tensor of shape (n_bonds, n_active)
        Features of the bonds.
    active : slice
        Which features these are; the others are negligible for all bonds.
    site_counts : Tensor of shape (n_rows,)
        Number of sites in each row.
    is_fused : bool
        Whether hand-written functions may replace torch's operations.
    buffers : BufferPool, optional
        Where these take memory from in a training.
    """

    centers: Tensor
    neighbors: Tensor
    counts: Tensor
    features: Tensor
    active: slice
    site_counts: Tensor
    is_fused: bool = False
    buffers: BufferPool | None = None

    @cached_property
    def weights(self) -> Tensor:
        """How many bonds of the crystals are each: `counts` times the sites of its row."""
        return self.counts * self.site_counts.index_select(0, self.centers)

    @cached_property
    def own(self) -> "Groups":
        """The bonds of each row, with their counts."""
        everything = _range(0, len(self.centers), self.centers)
        return Groups(everything, _starts(self.centers, len(self.site_counts)), self.counts)

    @cached_property
    def ends(self) -> "Ends":
        """The bonds of each row, and those to it, with weights of 1."""
        own, n_rows = self.own, len(self.site_counts)
        neighbors = self.neighbors.to(own.rows.dtype)
        order = torch.argsort(neighbors, stable=True).to(own.rows.dtype)
        ones = torch.ones_like(own.weights)
        return Ends(own._replace(weights=ones), Groups(order, _starts(neighbors, n_rows), ones))

    @cached_property
    def sums(self) -> "BondSums":
        """The sums over the bonds."""
        return _sum_bonds(self)


class Groups(NamedTuple):
    """Weighted rows in groups, for `sum_rows`.

    Attributes
    ----------
    rows : Tensor of shape (n_rows,), integer
        Rows, group after group.
    starts : Tensor of shape (n_groups,), integer
        Position in `rows` where each group begins.
    weights : Tensor of shape (n_rows,)
        Weight of each of the rows.
    """

    rows: Tensor
    starts: Tensor
    weights: Tensor


class Ends(NamedTuple):
    """The bonds of every row, in groups.

    Attributes
    ----------
    of_centers, of_neighbors : Groups
        The bonds of each row, and those to it, with weights of 1.
    """

    of_centers: Groups
    of_neighbors: Groups


class BondSums(NamedTuple):
    """What a training step by `_messages` knows of the bonds.

    With the sums over them, batch statistics take no pass over the bonds. Features are those of the
    bonds less their mean.

    Attributes
    ----------
    total : float
        Sum of the weights.
    mean : Tensor of shape (n_active,)
        Mean of the features.
    row_weights : Tensor of shape (2 * n_rows, 1)
        Sums of the weights of the bonds of each row, then of those to it.
    row_sums : Tensor of shape (2 * n_rows, n_active)
        Sums of the features of the bonds of each row, then of those to it.
    covariance : Tensor of shape (n_active, n_active)
        Sum of the products of the features.
    pairs : Groups
        For each row the rows at the other ends of its bonds and the row itself, and the same for
        the bonds to it, as rows of two tables: the rows as centers, the rows as neighbors.
    ends : Groups
        The bonds of each row, then the bonds to it.
    counted_features : Tensor of shape (n_bonds, n_active)
        The features times the counts.
    """

    total: float
    mean: Tensor
    row_weights: Tensor
    row_sums: Tensor
    covariance: Tensor
    pairs: Groups
    ends: Groups
    counted_features: Tensor


def sum_rows(values: Tensor, groups: Groups) -> Tensor:
    """Return the weighted sums of groups of rows, by the fastest of torch's operations.

    Parameters
    ----------
    values : Tensor of shape (n_values, width)
        What to sum.
    groups : Groups
        Rows of `values`, and their weights.

    Returns
    -------
    Tensor of shape (n_groups, width)
    """
    return functional.embedding_bag(
        groups.rows, values, groups.starts, mode="sum", per_sample_weights=groups.weights
    )


def product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return left.T @ right, fast where there are very many rows.

    Parameters
    ----------
    left : Tensor of shape (n_rows, n_left)
    right : Tensor of shape (n_rows, n_right)

    Returns
    -------
    Tensor of shape (n_left, n_right)
    """
    if len(left) < _MANY_ROWS:
        return left.T @ right
    n = len(left) // _PARTS * _PARTS
    split_left, split_right = (t[:n].view(_PARTS, -1, t.shape[1]) for t in (left, right))
    parts = torch.bmm(split_left.mT, split_right)
    return parts.sum(dim=0).addmm_(left[n:].T, right[n:])


def _sum_bonds(bonds: Bonds) -> BondSums:
    own = bonds.own
    n_rows, n_bonds = len(own.starts), len(own.rows)
    total = float(bonds.weights.sum(dtype=torch.float64))
    mean = bonds.weights @ bonds.features / total
    features = bonds.features - mean
    neighbors = bonds.neighbors.to(own.rows.dtype)
    order = torch.argsort(neighbors, stable=True).to(own.rows.dtype)
    rows = torch.cat([own.rows, order])
    starts = torch.cat([own.starts, _starts(neighbors, n_rows) + n_bonds])
    weights = bonds.weights.index_select(0, rows)
    ends = torch.cat([bonds.centers, neighbors.index_select(0, order) + n_rows])
    others = torch.cat([neighbors + n_rows, bonds.centers.index_select(0, order)])
    row_weights = weights.new_zeros(2 * n_rows).index_add_(0, ends, weights)
    itself = _range(0, 2 * n_rows, rows)
    return BondSums(
        total=total,
        mean=mean,
        row_weights=row_weights.unsqueeze(1),
        row_sums=sum_rows(features, Groups(rows, starts, weights)),
        covariance=product_over_rows(features, features * bonds.weights.unsqueeze(1)),
        pairs=_inserted(Groups(others, starts, weights), ends, itself, row_weights),
        ends=Groups(rows, starts, bonds.counts.index_select(0, rows)),
        counted_features=features * bonds.counts.unsqueeze(1),
    )


def _range(start: int, stop: int, like: Tensor) -> Tensor:
    """Return consecutive numbers of the type, and on the device, of a tensor."""
    return torch.arange(start, stop, dtype=like.dtype, device=like.device)


def _starts(ends: Tensor, n_rows: int) -> Tensor:
    counts = torch.bincount(ends, minlength=n_rows)
    return (torch.cumsum(counts, 0) - counts).to(ends.dtype)


def _inserted(groups: Groups, owners: Tensor, rows: Tensor, weights: Tensor) -> Groups:
    """Return the groups with one more row each, at their beginnings; `owners` are the groups."""
    starts = groups.starts + rows
    places = _range(1, len(owners) + 1, owners).long() + owners
    every, shares = (
        old.new_empty(len(owners) + len(rows))
        .index_copy_(0, places, old)
        .index_copy_(0, starts.long(), new)
        for old, new in ((groups.rows, rows), (groups.weights, weights))
    )
    return Groups(every, starts, shares)
