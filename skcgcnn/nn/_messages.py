"""The messages of a convolution on the CPU, with few passes over the bonds.

A message is sigmoid(g) · softplus(c): the gate g and the core c are the two halves of the
normalized pre-activation of a bond. With softplus(c) = -log sigmoid(-c), both halves go through one
sigmoid.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from skcgcnn.nn._buffers import BufferPool

# Below it, the sigmoid is 0 in float32, and its logarithm is not a number.
_LOWEST_LOGARITHM = -80.0

# A product over very many rows is faster as a sum of this many products, which threads share.
_PARTS = 8


class SortedBonds(NamedTuple):
    """The bonds of a batch, sorted by neighbor.

    Attributes
    ----------
    order : Tensor of shape (n_bonds,)
        Indices of the bonds; those with the same neighbor stand together.
    starts : Tensor of shape (n_sites,)
        Position in `order` of the first bond to each site.
    """

    order: Tensor
    starts: Tensor


def sort_bonds(neighbors: Tensor) -> SortedBonds:
    """Sort the bonds by neighbor.

    Parameters
    ----------
    neighbors : Tensor of shape (n_sites, max_num_nbr), integer
        Index of each neighbor among the sites.

    Returns
    -------
    SortedBonds
    """
    flat = neighbors.flatten()
    counts = torch.bincount(flat, minlength=len(neighbors))
    starts = torch.cumsum(counts, 0) - counts
    return SortedBonds(torch.argsort(flat, stable=True), starts)


def fixed_messages(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    pool: BufferPool,
) -> Tensor:
    """Sum the messages to every site, without normalization and without gradients.

    Parameters
    ----------
    own, other, bonds, bond_weight, neighbors
        As for `normalized_messages`.
    pool : BufferPool
        Where to take memory from.

    Returns
    -------
    Tensor of shape (n_sites, width)
    """
    sign = _signs(own)
    shares = own * sign, other * sign
    pre = _pre_activation(*shares, bonds, bond_weight * sign.unsqueeze(1), neighbors, pool)
    summed, minus_softplus = _gated_sum(pre, neighbors.shape, pool)
    pool.give(pre, minus_softplus)
    return summed


def normalized_messages(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    sorted_bonds: SortedBonds,
    norm: torch.nn.BatchNorm1d,
    pool: BufferPool | None = None,
) -> Tensor:
    """Sum the messages to every site, normalized over the batch.

    Computes Σⱼ sigmoid(g) · softplus(c) with (g, c) = norm(own + otherⱼ + bond_weight · bondⱼ),
    the sum in equation (5) of Xie & Grossman (2018), and updates the running statistics of `norm`.

    Parameters
    ----------
    own, other : Tensor of shape (n_sites, 2 * width)
        What each site adds to the pre-activations of its own bonds, and of the bonds to it.
    bonds : Tensor of shape (n_sites * max_num_nbr, nbr_fea_len)
        Features of the bonds; no gradient is computed for them.
    bond_weight : Tensor of shape (2 * width, nbr_fea_len)
        Their weights.
    neighbors : Tensor of shape (n_sites, max_num_nbr), integer
        Index of each neighbor among the sites.
    sorted_bonds : SortedBonds
        The same bonds.
    norm : torch.nn.BatchNorm1d
        In training mode.
    pool : BufferPool, optional
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
        pool,
    )
    return summed


class _Messages(torch.autograd.Function):
    """Forward and backward pass, written by hand.

    It is faster than torch's operations for four reasons: no intermediate result is copied; the
    sigmoid serves the softplus and its gradient too; gradients are summed from sorted rows instead
    of scattered one by one; and buffers are used again by the next convolution and step.
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
        kept: BufferPool | None,
    ) -> Tensor:
        pool = BufferPool() if kept is None else kept
        pre = _pre_activation(own, other, bonds, bond_weight, neighbors, pool)
        sign = _signs(own)
        normalized, mean, inverse_std = torch.native_batch_norm(
            pre,
            scale * sign,
            shift * sign,
            norm.running_mean,
            norm.running_var,
            True,
            norm.momentum or 0.0,
            norm.eps,
            out=(
                pool.take(own.dtype, *pre.shape),
                torch.empty_like(scale),
                torch.empty_like(scale),
            ),
        )
        summed, minus_softplus = _gated_sum(normalized, neighbors.shape, pool)
        ctx.save_for_backward(
            pre, normalized, minus_softplus, bonds, scale * sign, sign, mean, inverse_std
        )
        ctx.eps, ctx.sorted_bonds, ctx.buffer_pool = norm.eps, sorted_bonds, kept
        return summed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pre, activated, minus_softplus, bonds, scale, sign, mean, inverse_std = ctx.saved_tensors
        order, starts = ctx.sorted_bonds
        pool = ctx.buffer_pool
        n_sites, width = grad.shape
        n_bonds, both = pre.shape
        gate, sigmoid_minus_core = activated[:, :width], activated[:, width:]
        if pool is None:
            grad_message, grad_normalized, grad_pre = map(
                torch.empty_like, (minus_softplus, pre, pre)
            )
        else:
            grad_message = pool.take(grad.dtype, n_bonds, width)
            grad_normalized, grad_pre = activated, pre
        by_site = n_sites, n_bonds // n_sites, width
        torch.mul(gate.view(by_site), grad.neg().unsqueeze(1), out=grad_message.view(by_site))
        torch.addcmul(
            grad_message, grad_message, sigmoid_minus_core, value=-1, out=grad_normalized[:, width:]
        )
        grad_message.mul_(minus_softplus)
        torch.addcmul(grad_message, grad_message, gate, value=-1, out=grad_normalized[:, :width])
        # Only the gradients of scale and shift; that of the pre-activation follows from them.
        _, grad_scale, grad_shift = torch.ops.aten.native_batch_norm_backward(
            grad_normalized,
            pre,
            scale,
            None,
            None,
            mean,
            inverse_std,
            True,
            ctx.eps,
            [False, True, True],
        )
        # Column by column, it is linear in the pre-activation and in the normalized gradient.
        slope = scale * inverse_std
        curve = slope * inverse_std * grad_scale / -n_bonds
        offset = slope * grad_shift / -n_bonds - curve * mean
        torch.addcmul(offset, pre, curve, out=grad_pre).addcmul_(grad_normalized, slope)
        gradients = (
            grad_pre.view(n_sites, -1, both).sum(dim=1),
            functional.embedding_bag(order, grad_pre, starts, mode="sum"),
            None,
            _product_over_rows(bonds, grad_pre).T,
            grad_scale * sign,
            grad_shift * sign,
        )
        if pool is not None:
            pool.give(grad_message, pre, activated, minus_softplus)
        return *gradients, None, None, None, None


def _signs(own: Tensor) -> Tensor:
    """Return 1 for the gates and -1 for the cores, so that one sigmoid serves both."""
    signs = own.new_ones(own.shape[1])
    signs[own.shape[1] // 2 :] = -1
    return signs


def _pre_activation(
    own: Tensor,
    other: Tensor,
    bonds: Tensor,
    bond_weight: Tensor,
    neighbors: Tensor,
    pool: BufferPool,
) -> Tensor:
    """Return own + other + bond_weight · bond for every bond."""
    pre = pool.take(own.dtype, neighbors.numel(), own.shape[1])
    torch.index_select(other, 0, neighbors.flatten(), out=pre)
    pre.addmm_(bonds, bond_weight.T)
    pre.view(*neighbors.shape, -1).add_(own.unsqueeze(1))
    return pre


def _gated_sum(pre: Tensor, shape: tuple[int, ...], pool: BufferPool) -> tuple[Tensor, Tensor]:
    """Return the sum of the messages and minus softplus(core); `pre` becomes its sigmoid.

    `pre` holds the gates and the cores with their sign changed.
    """
    width = pre.shape[1] // 2
    minus_softplus, messages = (pool.take(pre.dtype, len(pre), width) for _ in range(2))
    # By columns first, which is faster.
    far = bool(pre[:, width:].amin(dim=0).amin() < _LOWEST_LOGARITHM)
    if far:
        minus_softplus.copy_(functional.softplus(-pre[:, width:])).neg_()
    pre.sigmoid_()
    gate, sigmoid_minus_core = pre[:, :width], pre[:, width:]
    if not far:
        # log is fastest on contiguous memory.
        minus_softplus.copy_(sigmoid_minus_core).log_()
    torch.mul(minus_softplus, gate, out=messages)
    summed = messages.view(*shape, width).sum(dim=1).neg_()
    pool.give(messages)
    return summed, minus_softplus


def _product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return left.T @ right."""
    n = len(left) // _PARTS * _PARTS
    split_left, split_right = (t[:n].view(_PARTS, -1, t.shape[1]) for t in (left, right))
    parts = torch.bmm(split_left.mT, split_right)
    return parts.sum(dim=0).addmm_(left[n:].T, right[n:])
