"""The loss of several tasks learned together."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# Logarithms of variances and of learned weights stay within these bounds.
_LEAST_LOG, _MOST_LOG = -10.0, 10.0


def _gaussian_nll(output: Tensor, value: Tensor) -> Tensor:
    """Return the negative log likelihood of a normal distribution, weighted by its deviation.

    The weight keeps crystals with large errors from being given up (the beta-NLL of M. Seitzer et
    al., ICLR 2022, with beta = 0.5).
    """
    log_variance = output[:, 1].clamp(_LEAST_LOG, _MOST_LOG)
    squares = (output[:, 0] - value).square()
    likelihood = (log_variance + squares * torch.exp(-log_variance)) / 2
    return likelihood * torch.exp(log_variance.detach() / 2)


_ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda output, value: (output - value).square(),
    "mae": lambda output, value: (output - value).abs(),
    "huber": partial(functional.huber_loss, reduction="none"),
    "gaussian_nll": _gaussian_nll,
}


class Task(NamedTuple):
    """One target: its kind, and how many outputs of the network belong to it.

    Attributes
    ----------
    kind : {"regression", "classification"}
        What is predicted.
    n_outputs : int
        1 for a regression, 2 with the logarithm of a variance; for a classification the number
        of classes.
    """

    kind: str
    n_outputs: int


class TaskLoss(nn.Module):
    """Loss of several tasks: errors of the numbers + `cls_weight` × cross-entropies.

    Where several tasks are of one kind, the mean over them is taken. A missing target (NaN) is
    left out of its task's loss.

    Parameters
    ----------
    tasks : sequence of Task
        The target columns, in order.
    cls_weight : float or "auto", default=1.0
        Weight of the classification loss. "auto" learns a weight for either kind of task (A.
        Kendall, Y. Gal and R. Cipolla, CVPR 2018, equation 10).
    loss : {"mse", "mae", "huber", "gaussian_nll"}, default="mse"
        Error of a scaled number: squared, absolute, or that of Huber (1964), which is half the
        square below 1 and linear above; or the negative log likelihood of a normal distribution
        whose logarithm of the variance is a second output.

    Examples
    --------
    >>> import torch
    >>> loss = TaskLoss([Task("regression", 1), Task("classification", 2)], cls_weight=0.5)
    >>> targets = torch.tensor([[1.0, 0.0], [3.0, float("nan")]])
    >>> loss(torch.zeros(2, 3), targets).item()  # (1 + 9) / 2 + 0.5 * log(2)
    5.3465...
    """

    def __init__(
        self, tasks: Sequence[Task], cls_weight: float | str = 1.0, loss: str = "mse"
    ) -> None:
        super().__init__()
        if cls_weight == "auto":
            self.log_scales = nn.Parameter(torch.zeros(2))
        self.tasks = tuple(tasks)
        self.cls_weight = cls_weight
        self.loss = loss

    def forward(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        outputs : Tensor of shape (n_crystals, n_outputs)
            Outputs of the network.
        targets : Tensor of shape (n_crystals, n_tasks)
            Scaled regression targets and indices of classes; NaN is missing.
        weights : Tensor of shape (n_crystals,), optional
            Weights of the crystals, with a mean of 1 over the training set.

        Returns
        -------
        Tensor of shape ()
        """
        losses: dict[str, list[Tensor]] = {"regression": [], "classification": []}
        columns = torch.split(outputs, [task.n_outputs for task in self.tasks], dim=1)
        for task, output, target in zip(self.tasks, columns, targets.unbind(1), strict=True):
            known = ~target.isnan()
            value = target.nan_to_num()
            if task.kind == "regression":
                numbers = output if self.loss == "gaussian_nll" else output[:, 0]
                errors = _ERRORS[self.loss](numbers, value)
            else:
                errors = functional.cross_entropy(output, value.long(), reduction="none")
            shares = known if weights is None else known * weights
            losses[task.kind].append((errors * shares).sum() / known.sum().clamp(min=1))
        means = {kind: torch.stack(found).mean() for kind, found in losses.items() if found}
        if self.cls_weight == "auto":
            return self._balanced(means)
        factors = {"regression": 1.0, "classification": float(self.cls_weight)}
        return torch.stack([factors[kind] * mean for kind, mean in means.items()]).sum()

    def _balanced(self, means: dict[str, Tensor]) -> Tensor:
        """Return the sum of the losses, each over its learned scale, and of the scales' logarithms.

        A likelihood with scale s adds log s to an absolute error over s, and half of the logarithm
        of a variance to a square over it.
        """
        scales = self.log_scales.clamp(_LEAST_LOG / 2, _MOST_LOG / 2)
        terms = []
        for kind, log_scale in zip(("regression", "classification"), scales, strict=True):
            if kind in means:
                share = 1.0 if kind == "regression" and self.loss in {"mae", "huber"} else 0.5
                terms.append(torch.exp(-log_scale) * means[kind] + share * log_scale)
        return torch.stack(terms).sum()
