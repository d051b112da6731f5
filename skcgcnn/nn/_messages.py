"""The messages of a convolution on the CPU, with few passes over the bonds.

A message is sigmoid(g) · softplus(c): the gate g and the core c are the two halves of the
normalized pre-activation of a bond. With softplus(c) = -log sigmoid(-c), both halves go through one
sigmoid.

The pre-activation of a bond is a sum of three shares: of its row, of the row at the other end, and
of its features. So are its mean, its variance and its gradient, which follow from sums over rows;
the bonds are passed only for sigmoid and logarithm.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds, Groups, product_over_rows, sum_rows
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._normalization import update_statistics

# Below it, the sigmoid is 0 in float32, and its logarithm is not a number.
_LOWEST_LOGARITHM = -80.0


def fixed_messages(
    own: Tensor,
    other: Tensor,
    bond_weight: Tensor,
    bonds: Bonds,
) -> Tensor:
    """Sum the messages to every row, without normalization and without gradients.

    Parameters
    ----------
    own, other : Tensor of shape (n_rows, 2 * width)
        What each row adds to the pre-activations of its own bonds, and of the bonds to it.
    bond_weight : Tensor of shape (2 * width, n_active)
        Weights of the features of the bonds.
    bonds : Bonds
        The bonds.

    Returns
    -------
    Tensor of shape (n_rows, width)
    """
    pool = BufferPool() if bonds.buffers is None else bonds.buffers
    sign = _signs(own)
    pre = _pre_activation(own * sign, other * sign, bond_weight.T * sign, bonds, pool)
    summed, minus_softplus = _gated_sum(pre, bonds.own, pool)
    pool.give(pre, minus_softplus)
    return summed


def normalized_messages(
    sites: Tensor,
    linear: torch.nn.Linear,
    norm: torch.nn.BatchNorm1d,
    bonds: Bonds,
) -> Tensor:
    """Sum the messages to every row, normalized over the batch.

    Computes Σⱼ sigmoid(g) · softplus(c) with (g, c) = norm(linear(siteᵢ, siteⱼ, bondᵢⱼ)), the sum
    in equation (5) of Xie & Grossman (2018), and updates the running statistics of `norm`.

    Parameters
    ----------
    sites : Tensor of shape (n_rows, width)
        Features of the rows.
    linear : torch.nn.Linear
        From the features of a row, its neighbor and their bond to the pre-activation.
    norm : torch.nn.BatchNorm1d
        In training mode.
    bonds : Bonds
        The bonds; no gradient is computed for their features. Where they have buffers, the backward
        pass overwrites these and gives them back, so every forward pass must be followed by one,
        and no more than one.

    Returns
    -------
    Tensor of shape (n_rows, width)
    """
    summed, mean, variance = _Messages.apply(  # type: ignore[no-untyped-call]
        *(sites, linear.weight, linear.bias, norm.weight, norm.bias),
        *(bonds, norm.eps),
    )
    update_statistics(norm, mean, variance, bonds.sums.total)
    return summed  # type: ignore[no-any-return]


class _Messages(torch.autograd.Function):
    """Forward and backward pass, written by hand.

    It is faster than torch's operations for five reasons: batch normalization takes no pass over
    the bonds; no intermediate result is copied; the sigmoid serves the softplus and its gradient
    too; gradients are summed from sorted rows instead of scattered one by one; and buffers are used
    again by the next convolution and step.

    Pre-activations are less their mean, so that the bias adds nothing; those of equal bonds are
    computed once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        sites: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor,
        shift: Tensor,
        bonds: Bonds,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        sums, pool = bonds.sums, BufferPool() if bonds.buffers is None else bonds.buffers
        n_rows = len(sites)
        own, other, bond = _split(weight, sites.shape[1], bonds.active)
        # Differences from the mean are small, and their squares exact.
        own_weights, other_weights = sums.row_weights.view(2, n_rows) / sums.total
        center = own_weights @ sites
        sites = sites - center
        rows = sites.new_empty(2 * n_rows, len(weight))
        torch.mm(sites, own.T, out=rows[:n_rows])
        torch.mm(sites, other.T, out=rows[n_rows:])
        offset = other_weights @ rows[n_rows:]
        rows[:n_rows] -= offset
        mean = offset + bias + (own + other) @ center + bond @ sums.mean
        # The sums of the pre-activations: of each row, to each row, times each feature.
        by_row = sum_rows(rows, sums.pairs).addmm_(sums.row_sums, bond.T)
        by_feature = torch.mm(sums.covariance, bond.T).addmm_(sums.row_sums.T, rows)
        squares = (rows * by_row).sum(dim=0) + (bond.T * by_feature).sum(dim=0)
        variance = (squares / sums.total).clamp_(min=0)
        inverse_std = torch.rsqrt(variance + eps)
        sign = _signs(rows)
        slope = scale * inverse_std * sign
        normalized, features = rows * slope, bond.T * slope
        normalized[:n_rows] += shift * sign - sums.mean @ features
        pre = _pre_activation(normalized[:n_rows], normalized[n_rows:], features, bonds, pool)
        summed, minus_softplus = _gated_sum(pre, bonds.own, pool)
        ctx.save_for_backward(
            *(pre, minus_softplus, sites, weight, scale, inverse_std, rows, by_row, by_feature)
        )
        ctx.bonds = bonds
        ctx.mark_non_differentiable(mean, variance)
        return summed, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        activated, minus_softplus, sites, weight, scale, inverse_std, *shares = ctx.saved_tensors
        rows, by_row, by_feature = shares
        bonds = ctx.bonds
        sums, pool, active = bonds.sums, bonds.buffers, bonds.active
        n_rows, width = sites.shape
        if pool is None:
            activated, pool = activated.clone(), BufferPool()
        grad_pre = _gradient(grad, activated, minus_softplus, bonds, pool)
        grad_rows = sum_rows(grad_pre, sums.ends)
        grad_features = product_over_rows(sums.counted_features, grad_pre)
        pool.give(activated, minus_softplus)
        sign = _signs(rows)
        grad_shift = grad_rows[:n_rows].sum(dim=0)
        bond = _split(weight, width, active)[2].T
        along = (rows * grad_rows).sum(dim=0) + (bond * grad_features).sum(dim=0)
        grad_scale = along * inverse_std
        # Batch normalization: the gradient, less its mean, less its part along the pre-activation.
        along = inverse_std * grad_scale / -sums.total
        grad_rows.addcmul_(by_row, along).addcmul_(sums.row_weights, grad_shift / -sums.total)
        grad_features.addcmul_(by_feature, along)
        slope = (scale * inverse_std * sign).unsqueeze(1)
        by_own, by_other = grad_rows[:n_rows], grad_rows[n_rows:]
        grad_weight = torch.zeros_like(weight)
        for part, gradient in zip(
            _split(grad_weight, width, active),
            (by_own.T @ sites, by_other.T @ sites, grad_features.T),
            strict=True,
        ):
            torch.mul(gradient, slope, out=part)
        scaled = weight * slope
        return (
            torch.addmm(by_own @ scaled[:, :width], by_other, scaled[:, width : 2 * width]),
            grad_weight,
            torch.zeros_like(scale),
            grad_scale * sign,
            grad_shift * sign,
            *(None, None),
        )


def _split(weight: Tensor, width: int, active: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Return the parts of a matrix for a row, its neighbor, and the active features of a bond."""
    return weight[:, :width], weight[:, width : 2 * width], weight[:, 2 * width :][:, active]


def _signs(own: Tensor) -> Tensor:
    """Return 1 for the gates and -1 for the cores, so that one sigmoid serves both."""
    signs = own.new_ones(own.shape[1])
    signs[own.shape[1] // 2 :] = -1
    return signs


def _pre_activation(
    own: Tensor, other: Tensor, weight: Tensor, bonds: Bonds, pool: BufferPool
) -> Tensor:
    """Return own + other + bond · weight for every bond."""
    n_bonds, width = len(bonds.centers), own.shape[1] // 2
    pre = pool.take(own.dtype, n_bonds, 2 * width)
    torch.index_select(other, 0, bonds.neighbors, out=pre)
    half = pool.take(own.dtype, n_bonds, width)
    for columns in (slice(width), slice(width, None)):
        torch.index_select(own[:, columns], 0, bonds.centers, out=half)
        pre[:, columns].add_(half)
    pool.give(half)
    return pre.addmm_(bonds.features, weight)


def _gated_sum(pre: Tensor, groups: Groups, pool: BufferPool) -> tuple[Tensor, Tensor]:
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
    summed = sum_rows(messages, groups).neg_()
    pool.give(messages)
    return summed, minus_softplus


def _gradient(
    grad: Tensor, activated: Tensor, minus_softplus: Tensor, bonds: Bonds, pool: BufferPool
) -> Tensor:
    """Return the gradient of what `_gated_sum` takes, in the place of what it made of it.

    It is that of one bond, however many are equal to it.
    """
    width = grad.shape[1]
    gate, sigmoid_minus_core = activated[:, :width], activated[:, width:]
    grad_message = pool.take(grad.dtype, len(activated), width)
    torch.index_select(grad.neg(), 0, bonds.centers, out=grad_message)
    grad_message.mul_(gate)
    torch.addcmul(grad_message, grad_message, sigmoid_minus_core, value=-1, out=sigmoid_minus_core)
    grad_message.mul_(minus_softplus)
    torch.addcmul(grad_message, grad_message, gate, value=-1, out=gate)
    pool.give(grad_message)
    return activated
