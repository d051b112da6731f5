"""The messages of a convolution while it is trained on the CPU, with few passes over the bonds."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from skcgcnn._scratch import Scratch

__all__ = ["SortedBonds", "by_neighbor", "normalized_messages"]

# Below it a softplus is the same to float32, and logarithms stay finite.
_LEAST = 1e-37

# A product over very many rows is quicker as a sum of so many, which the threads share.
_PARTS = 8


class SortedBonds(NamedTuple):
    """The bonds of a batch by the site that they lead to.

    Attributes
    ----------
    order : Tensor of shape (n_bonds,)
        The bonds, those that lead to one site next to each other.
    starts : Tensor of shape (n_sites,)
        Where the bonds of every site begin in `order`.
    scratch : Scratch or None
        Where to take memory from. The backward pass overwrites it and gives it back, so each
        forward pass may have only one.
    """

    order: Tensor
    starts: Tensor
    scratch: Scratch | None


def by_neighbor(neighbors: Tensor, scratch: Scratch | None = None) -> SortedBonds:
    """Sort the bonds by the site that they lead to.

    Parameters
    ----------
    neighbors : Tensor of shape (n_sites, n_neighbors), integer
        Index of each neighbour among the sites.
    scratch : Scratch, optional
        Where to take memory from.

    Returns
    -------
    SortedBonds
    """
    leads_to = neighbors.flatten()
    counts = torch.bincount(leads_to, minlength=len(neighbors))
    starts = torch.cumsum(counts, 0) - counts
    return SortedBonds(torch.argsort(leads_to, stable=True), starts, scratch)


def normalized_messages(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    sorted_bonds: SortedBonds,
    norm: torch.nn.BatchNorm1d,
) -> Tensor:
    """Sum the gated messages to every site, normalised over the batch.

    Computes Σⱼ sigmoid(g) · softplus(c) with (g, c) = norm(own + otherⱼ + bond_weight · bondⱼ),
    the sum in equation (5) of Xie & Grossman (2018), and updates the running statistics of `norm`.

    Parameters
    ----------
    own, other : Tensor of shape (n_sites, 2 * width)
        Shares of the sites themselves and of the sites as neighbours.
    bonds : Tensor of shape (n_sites * n_neighbors, nbr_fea_len)
        Features of the bonds; no gradient goes to them.
    bond_weight : Tensor of shape (2 * width, nbr_fea_len)
        Their weights.
    neighbors : Tensor of shape (n_sites, n_neighbors), integer
        Index of each neighbour among the sites.
    sorted_bonds : SortedBonds
        The same bonds.
    norm : torch.nn.BatchNorm1d
        In training mode.

    Returns
    -------
    Tensor of shape (n_sites, width)
    """
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    summed: Tensor = _Messages.apply(  # type: ignore[no-untyped-call]
        own, other, bonds, bond_weight, norm.weight, norm.bias, neighbors, sorted_bonds, norm
    )
    return summed


class _Messages(torch.autograd.Function):
    """Forward and backward by hand.

    What is gained: messages are never laid out twice, softplus(c) = -log sigmoid(-c) comes with
    the sigmoid that its gradient needs, gradients are gathered from sorted rows instead of being
    scattered one by one, and what one convolution or step has done with serves the next.
    """

    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        other: Tensor,
        bonds: Tensor,
        bond_weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        neighbors: Tensor,
        sorted_bonds: SortedBonds,
        norm: torch.nn.BatchNorm1d,
    ) -> Tensor:
        n_sites, n_neighbors = neighbors.shape
        both, width = own.shape[1], own.shape[1] // 2
        scratch = Scratch() if sorted_bonds.scratch is None else sorted_bonds.scratch
        take = partial(scratch.take, own.dtype, n_sites * n_neighbors)
        mixed = torch.index_select(other, 0, neighbors.flatten(), out=take(both))
        mixed.addmm_(bonds, bond_weight.T)
        mixed.view(n_sites, n_neighbors, both).add_(own.unsqueeze(1))
        # The core enters with its sign changed, as both halves then go through a sigmoid.
        sign = torch.ones_like(scale)
        sign[width:] = -1
        normalized, mean, inverse_std = torch.native_batch_norm(
            mixed,
            scale * sign,
            shift * sign,
            norm.running_mean,
            norm.running_var,
            True,
            norm.momentum or 0.0,
            norm.eps,
            out=(take(both), torch.empty_like(scale), torch.empty_like(scale)),
        )
        opened = normalized.sigmoid_()
        gate, closed = opened[:, :width], opened[:, width:].clamp_(min=_LEAST)
        minus_core = torch.log(closed, out=take(width))
        messages = torch.mul(minus_core, gate, out=take(width))
        summed = messages.view(n_sites, n_neighbors, width).sum(dim=1).neg_()
        scratch.give(messages)
        ctx.save_for_backward(
            mixed, opened, minus_core, bonds, scale * sign, sign, mean, inverse_std
        )
        ctx.eps, ctx.sorted_bonds = norm.eps, sorted_bonds
        return summed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mixed, opened, minus_core, bonds, scale, sign, mean, inverse_std = ctx.saved_tensors
        order, starts, scratch = ctx.sorted_bonds
        n_sites, width = grad.shape
        n_bonds, both = mixed.shape
        gate, closed = opened[:, :width], opened[:, width:]
        if scratch is None:
            flow, grad_normalized, grad_mixed = map(torch.empty_like, (minus_core, mixed, mixed))
        else:
            flow = scratch.take(grad.dtype, n_bonds, width)
            grad_normalized, grad_mixed = opened, mixed
        per_site = n_sites, n_bonds // n_sites, width
        torch.mul(gate.view(per_site), grad.neg().unsqueeze(1), out=flow.view(per_site))
        torch.addcmul(flow, flow, closed, value=-1, out=grad_normalized[:, width:])
        flow.mul_(minus_core)
        torch.addcmul(flow, flow, gate, value=-1, out=grad_normalized[:, :width])
        _, grad_scale, grad_shift = torch.ops.aten.native_batch_norm_backward(
            grad_normalized,
            mixed,
            scale,
            None,
            None,
            mean,
            inverse_std,
            True,
            ctx.eps,
            [False, True, True],
        )
        # The gradient of what was normalised is linear in both, column by column.
        slope = scale * inverse_std
        curve = slope * inverse_std * grad_scale / -n_bonds
        offset = slope * grad_shift / -n_bonds - curve * mean
        torch.addcmul(offset, mixed, curve, out=grad_mixed).addcmul_(grad_normalized, slope)
        gradients = (
            grad_mixed.view(n_sites, -1, both).sum(dim=1),
            functional.embedding_bag(order, grad_mixed, starts, mode="sum"),
            None,
            _product_over_rows(bonds, grad_mixed).T,
            grad_scale * sign,
            grad_shift * sign,
        )
        if scratch is not None:
            scratch.give(flow, mixed, opened, minus_core)
        return *gradients, None, None, None


def _product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return left.T @ right."""
    n = len(left) // _PARTS * _PARTS
    split_left, split_right = (t[:n].view(_PARTS, -1, t.shape[1]) for t in (left, right))
    parts = torch.bmm(split_left.mT, split_right)
    return parts.sum(dim=0).addmm_(left[n:].T, right[n:])
