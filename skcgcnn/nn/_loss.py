"""The loss of several tasks learned together."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda output, value: (output - value).square(),
    "mae": lambda output, value: (output - value).abs(),
    "huber": partial(functional.huber_loss, reduction="none"),
}


class Task(NamedTuple):
    """One target: its kind, and how many outputs of the network belong to it.

    Attributes
    ----------
    kind : {"regression", "classification"}
        What is predicted.
    n_outputs : int
        1 for a regression, the number of classes for a classification.
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
    cls_weight : float, default=1.0
        Weight of the classification loss.
    loss : {"mse", "mae", "huber"}, default="mse"
        Error of a scaled number: squared, absolute, or that of Huber (1964), which is half the
        square below 1 and linear above.

    Examples
    --------
    >>> import torch
    >>> loss = TaskLoss([Task("regression", 1), Task("classification", 2)], cls_weight=0.5)
    >>> targets = torch.tensor([[1.0, 0.0], [3.0, float("nan")]])
    >>> loss(torch.zeros(2, 3), targets).item()  # (1 + 9) / 2 + 0.5 * log(2)
    5.3465...
    """

    def __init__(self, tasks: Sequence[Task], cls_weight: float = 1.0, loss: str = "mse") -> None:
        super().__init__()
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
                errors = _ERRORS[self.loss](output[:, 0], value)
            else:
                errors = functional.cross_entropy(output, value.long(), reduction="none")
            shares = known if weights is None else known * weights
            losses[task.kind].append((errors * shares).sum() / known.sum().clamp(min=1))
        factors = {"regression": 1.0, "classification": self.cls_weight}
        terms = [
            factors[kind] * torch.stack(found).mean() for kind, found in losses.items() if found
        ]
        return torch.stack(terms).sum()
