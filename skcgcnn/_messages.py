"""The messages of a convolution while it is trained on the CPU, with few passes over the bonds."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["by_neighbor", "normalized_messages"]

# Below it a softplus is the same to float32, and logarithms stay finite.
_LEAST = 1e-37

ByNeighbor = tuple[Tensor, Tensor]


def by_neighbor(neighbors: Tensor) -> ByNeighbor:
    """Sort the bonds by the site that they lead to.

    Parameters
    ----------
    neighbors : Tensor of shape (n_sites, n_neighbors), integer
        Index of each neighbour among the sites.

    Returns
    -------
    order : Tensor of shape (n_bonds,)
        The bonds, those that lead to one site next to each other.
    starts : Tensor of shape (n_sites,)
        Where the bonds of every site begin in `order`.
    """
    leads_to = neighbors.flatten()
    counts = torch.bincount(leads_to, minlength=len(neighbors))
    return torch.argsort(leads_to, stable=True), torch.cumsum(counts, 0) - counts


def normalized_messages(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    sorted_bonds: ByNeighbor,
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
    sorted_bonds : tuple of Tensor
        Of `by_neighbor`.
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
    the sigmoid that its gradient needs, and gradients are gathered from sorted rows instead of
    being scattered one by one.
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
        sorted_bonds: ByNeighbor,
        norm: torch.nn.BatchNorm1d,
    ) -> Tensor:
        n_sites, n_neighbors = neighbors.shape
        width = own.shape[1] // 2
        mixed = other.index_select(0, neighbors.flatten())
        mixed.addmm_(bonds, bond_weight.T)
        mixed.view(n_sites, n_neighbors, -1).add_(own.unsqueeze(1))
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
        )
        gate = normalized[:, :width].sigmoid()
        closed = normalized[:, width:].sigmoid().clamp_(min=_LEAST)
        del normalized
        minus_core = closed.log()
        summed = (minus_core * gate).view(n_sites, n_neighbors, width).sum(dim=1).neg_()
        ctx.eps = norm.eps
        ctx.save_for_backward(
            mixed, gate, closed, minus_core, bonds, scale * sign, sign, mean, inverse_std
        )
        ctx.sorted_bonds = sorted_bonds
        return summed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mixed, gate, closed, minus_core, bonds, scale, sign, mean, inverse_std = ctx.saved_tensors
        n_sites, width = grad.shape
        n_neighbors = len(mixed) // n_sites
        minus_grad = grad.neg().unsqueeze(1)
        flow = (gate.view(n_sites, n_neighbors, width) * minus_grad).view(-1, width)
        grad_normalized = torch.empty_like(mixed)
        torch.addcmul(flow, flow, closed, value=-1, out=grad_normalized[:, width:])
        flow.mul_(minus_core)
        torch.addcmul(flow, flow, gate, value=-1, out=grad_normalized[:, :width])
        grad_mixed, grad_scale, grad_shift = torch.ops.aten.native_batch_norm_backward(
            grad_normalized,
            mixed,
            scale,
            None,
            None,
            mean,
            inverse_std,
            True,
            ctx.eps,
            [True, True, True],
        )
        order, starts = ctx.sorted_bonds
        return (
            grad_mixed.view(n_sites, n_neighbors, -1).sum(dim=1),
            functional.embedding_bag(order, grad_mixed, starts, mode="sum"),
            None,
            (bonds.T @ grad_mixed).T,
            grad_scale * sign,
            grad_shift * sign,
            None,
            None,
            None,
        )
