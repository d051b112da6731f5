"""Batch normalization of rows that stand for several equal ones each."""

from typing import Any

import torch
from torch import Tensor, nn

from skcgcnn.nn._layers import FLOAT


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization with a weight for each row.

    It accepts a single row that stands for itself, which has no variance: a batch of one crystal
    with one site is a valid batch. It is normalized by the running statistics, as in evaluation.

    Examples
    --------
    >>> import torch
    >>> rows, twice = torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 1.0])
    >>> BatchNorm(1)(rows, twice).flatten()  # as if the rows were 1, 1, 4
    tensor([-0.7071,  1.4142], grad_fn=<ViewBackward0>)
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, momentum: float = 0.1) -> None:
        super().__init__(width, momentum=momentum, dtype=FLOAT)

    def fixed(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift of every column, by the running statistics."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:  # type: ignore[override]
        """Normalize rows.

        Parameters
        ----------
        rows : Tensor of shape (n_rows, width)
            What to normalize.
        weights : Tensor of shape (n_rows,)
            For how many equal rows each stands.

        Returns
        -------
        Tensor of shape (n_rows, width)
        """
        if not self.training:
            scale, shift = self.fixed()
            return torch.addcmul(shift, rows, scale)
        with torch.autocast(rows.device.type, enabled=False):
            rows, weights = rows.to(self.weight.dtype), weights.to(self.weight.dtype)
            total = weights.sum()
            if len(rows) > 1:
                return self._by_batch(rows, weights, total)
            # A row that stands for several has a variance, which is 0.
            alone = total <= 1
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            out = self._by_batch(rows, weights, total)
            with torch.no_grad():
                self.running_mean.copy_(torch.where(alone, mean, self.running_mean))
                self.running_var.copy_(torch.where(alone, variance, self.running_var))
            slope = self.weight * torch.rsqrt(variance + self.eps)
            return torch.where(alone, torch.addcmul(self.bias, rows - mean, slope), out)

    def _by_batch(self, rows: Tensor, weights: Tensor, total: Tensor) -> Tensor:
        out, mean, variance = _Normalize.apply(  # type: ignore[no-untyped-call]
            rows, weights, total, self.weight, self.bias, self.eps
        )
        update_statistics(self, mean, variance, total)
        return out  # type: ignore[no-any-return]


def update_statistics(
    norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, total: Tensor | float
) -> None:
    """Update the running statistics of batch normalization.

    Parameters
    ----------
    norm : BatchNorm1d
        In training mode.
    mean, variance : Tensor of shape (width,)
        Statistics of the batch.
    total : float or Tensor of shape ()
        How many rows the batch stands for.
    """
    if norm.running_mean is None or norm.running_var is None:
        return
    momentum = norm.momentum or 0.0
    with torch.no_grad():
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, momentum)
        unbiased = variance * (total / (total - 1 + (total <= 1)))
        norm.running_var.lerp_(unbiased, momentum)


class _Normalize(torch.autograd.Function):
    """Normalization with few passes over the rows."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weights: Tensor,
        total: Tensor,
        scale: Tensor,
        shift: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean = weights @ rows / total
        centered = rows - mean
        variance = weights @ centered.square() / total
        inverse_std = torch.rsqrt(variance + eps)
        ctx.save_for_backward(centered, weights, total, scale, inverse_std)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(shift, centered, scale * inverse_std), mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centered, weights, total, scale, inverse_std = ctx.saved_tensors
        grad_shift = grad.sum(dim=0)
        grad_scale = (grad * centered).sum(dim=0) * inverse_std
        slope = scale * inverse_std
        along = slope * inverse_std * grad_scale / -total
        even = slope * grad_shift / -total
        grad_rows = torch.addcmul(even, centered, along).mul_(weights.unsqueeze(1))
        grad_rows.addcmul_(grad, slope)
        return grad_rows, None, None, grad_scale, grad_shift, None
