"""The bonds of a batch, and the sums over them that all convolutions share."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# A product over very many rows is faster as a sum of this many products, which threads share.
_PARTS = 8
_MANY_ROWS = 4096


class Bonds(NamedTuple):
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
    weights : Tensor of shape (n_bonds,)
        How many bonds of the crystals are this one: `counts` times the sites of its row.
    """

    centers: Tensor
    neighbors: Tensor
    counts: Tensor
    features: Tensor
    active: slice
    weights: Tensor


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
    messages : Groups
        The bonds of each row, with the weights of their messages.
    of_centers, of_neighbors : Groups
        The bonds of each row, and those to it, with weights of 1.
    """

    messages: Groups
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


def own_bonds(bonds: Bonds, n_rows: int) -> Groups:
    """Return the bonds of each row.

    Parameters
    ----------
    bonds : Bonds
        The bonds.
    n_rows : int
        Number of rows.

    Returns
    -------
    Groups
    """
    everything = torch.arange(len(bonds.centers), dtype=bonds.centers.dtype)
    return Groups(everything, _starts(bonds.centers, n_rows), bonds.counts)


def bond_ends(bonds: Bonds, n_rows: int, message_scale: float) -> Ends:
    """Return the bonds of each row and those to it.

    Parameters
    ----------
    bonds : Bonds
        The bonds.
    n_rows : int
        Number of rows.
    message_scale : float
        Weight of the message of a single bond.

    Returns
    -------
    Ends
    """
    own = own_bonds(bonds, n_rows)
    neighbors = bonds.neighbors.to(own.rows.dtype)
    order = torch.argsort(neighbors, stable=True).to(own.rows.dtype)
    ones = torch.ones_like(own.weights)
    return Ends(
        own._replace(weights=message_scale * own.weights),
        own._replace(weights=ones),
        Groups(order, _starts(neighbors, n_rows), ones),
    )


def sum_bonds(bonds: Bonds, own: Groups) -> BondSums:
    """Return the sums over the bonds.

    Parameters
    ----------
    bonds : Bonds
        The bonds.
    own : Groups
        Those of each row.

    Returns
    -------
    BondSums
    """
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
    itself = torch.arange(2 * n_rows, dtype=rows.dtype)
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


def _starts(ends: Tensor, n_rows: int) -> Tensor:
    counts = torch.bincount(ends, minlength=n_rows)
    return (torch.cumsum(counts, 0) - counts).to(ends.dtype)


def _inserted(groups: Groups, owners: Tensor, rows: Tensor, weights: Tensor) -> Groups:
    """Return the groups with one more row each, at their beginnings; `owners` are the groups."""
    starts = groups.starts + rows
    places = torch.arange(1, len(owners) + 1) + owners
    every, shares = (
        old.new_empty(len(owners) + len(rows))
        .index_copy_(0, places, old)
        .index_copy_(0, starts.long(), new)
        for old, new in ((groups.rows, rows), (groups.weights, weights))
    )
    return Groups(every, starts, shares)
