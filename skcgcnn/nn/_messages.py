"""The messages of a convolution on the CPU, with few passes over the bonds."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from skcgcnn.nn._buffers import Scratch

__all__ = ["SortedBonds", "by_neighbor", "fixed_messages", "normalized_messages"]

# Below it the sigmoid has no logarithm, in float32.
_FAR = -80.0

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
    """

    order: Tensor
    starts: Tensor


def by_neighbor(neighbors: Tensor) -> SortedBonds:
    """Sort the bonds by the site that they lead to.

    Parameters
    ----------
    neighbors : Tensor of shape (n_sites, n_neighbors), integer
        Index of each neighbour among the sites.

    Returns
    -------
    SortedBonds
    """
    leads_to = neighbors.flatten()
    counts = torch.bincount(leads_to, minlength=len(neighbors))
    starts = torch.cumsum(counts, 0) - counts
    return SortedBonds(torch.argsort(leads_to, stable=True), starts)


def fixed_messages(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    scratch: Scratch,
) -> Tensor:
    """Sum the gated messages to every site, without normalisation and gradients.

    Parameters
    ----------
    own, other, bonds, bond_weight, neighbors
        As for `normalized_messages`.
    scratch : Scratch
        Where to take memory from.

    Returns
    -------
    Tensor of shape (n_sites, width)
    """
    sign = _signs(own)
    shares = own * sign, other * sign
    mixed = _mix(*shares, bonds, bond_weight * sign.unsqueeze(1), neighbors, scratch)
    summed, minus_core = _gated_sum(mixed, neighbors.shape, scratch)
    scratch.give(mixed, minus_core)
    return summed


def normalized_messages(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    sorted_bonds: SortedBonds,
    norm: torch.nn.BatchNorm1d,
    scratch: Scratch | None = None,
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
    scratch : Scratch, optional
        Where to take memory from. The backward pass overwrites it and gives it back, so every
        forward pass must be followed by one, and no more than one.

    Returns
    -------
    Tensor of shape (n_sites, width)
    """
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    summed: Tensor = _Messages.apply(  # type: ignore[no-untyped-call]
        own,
        other,
        bonds,
        bond_weight,
        norm.weight,
        norm.bias,
        neighbors,
        sorted_bonds,
        norm,
        scratch,
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
        kept: Scratch | None,
    ) -> Tensor:
        scratch = Scratch() if kept is None else kept
        mixed = _mix(own, other, bonds, bond_weight, neighbors, scratch)
        sign = _signs(own)
        normalized, mean, inverse_std = torch.native_batch_norm(
            mixed,
            scale * sign,
            shift * sign,
            norm.running_mean,
            norm.running_var,
            True,
            norm.momentum or 0.0,
            norm.eps,
            out=(
                scratch.take(own.dtype, *mixed.shape),
                torch.empty_like(scale),
                torch.empty_like(scale),
            ),
        )
        summed, minus_core = _gated_sum(normalized, neighbors.shape, scratch)
        ctx.save_for_backward(
            mixed, normalized, minus_core, bonds, scale * sign, sign, mean, inverse_std
        )
        ctx.eps, ctx.sorted_bonds, ctx.scratch = norm.eps, sorted_bonds, kept
        return summed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mixed, opened, minus_core, bonds, scale, sign, mean, inverse_std = ctx.saved_tensors
        order, starts = ctx.sorted_bonds
        scratch = ctx.scratch
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
        return *gradients, None, None, None, None


def _signs(own: Tensor) -> Tensor:
    """Return 1 for the gate and -1 for the core: with its sign changed, both enter a sigmoid."""
    signs = own.new_ones(own.shape[1])
    signs[own.shape[1] // 2 :] = -1
    return signs


def _mix(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    scratch: Scratch,
) -> Tensor:
    """Return own + other + bond_weight · bond for every bond."""
    mixed = scratch.take(own.dtype, neighbors.numel(), own.shape[1])
    torch.index_select(other, 0, neighbors.flatten(), out=mixed)
    mixed.addmm_(bonds, bond_weight.T)
    mixed.view(*neighbors.shape, -1).add_(own.unsqueeze(1))
    return mixed


def _gated_sum(mixed: Tensor, shape: tuple[int, ...], scratch: Scratch) -> tuple[Tensor, Tensor]:
    """Put `mixed` through a sigmoid, in place; return the sum of messages, and minus the cores."""
    width = mixed.shape[1] // 2
    minus_core, messages = (scratch.take(mixed.dtype, len(mixed), width) for _ in range(2))
    # By columns first, which is quicker.
    far = bool(mixed[:, width:].amin(dim=0).amin() < _FAR)
    if far:
        minus_core.copy_(functional.softplus(-mixed[:, width:])).neg_()
    mixed.sigmoid_()
    gate, closed = mixed[:, :width], mixed[:, width:]
    if not far:
        # Rows next to each other are what a logarithm is quickest for.
        minus_core.copy_(closed).log_()
    torch.mul(minus_core, gate, out=messages)
    summed = messages.view(*shape, width).sum(dim=1).neg_()
    scratch.give(messages)
    return summed, minus_core


def _product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return left.T @ right."""
    n = len(left) // _PARTS * _PARTS
    split_left, split_right = (t[:n].view(_PARTS, -1, t.shape[1]) for t in (left, right))
    parts = torch.bmm(split_left.mT, split_right)
    return parts.sum(dim=0).addmm_(left[n:].T, right[n:])
