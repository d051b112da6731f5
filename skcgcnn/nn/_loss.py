"""The loss of several tasks learned together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skcgcnn.nn._layers import FLOAT
from skcgcnn.tasks import Task

# Logarithms of learned weights stay within these bounds.
_LEAST_LOG, _MOST_LOG = -5.0, 5.0


class TaskLoss(nn.Module):
    """Loss of several tasks: errors of the numbers + `cls_weight` × cross-entropies.

    Where several tasks are of one kind, the mean over them is taken. A missing target (NaN) is
    left out of its task's loss.

    Parameters
    ----------
    tasks : sequence of skcgcnn.tasks.Task
        The target columns, in order.
    cls_weight : float or "auto", default=1.0
        Weight of the classification loss. "auto" learns a weight for either kind of task (A.
        Kendall, Y. Gal and R. Cipolla, CVPR 2018, equation 10).
    loss : str, default="mse"
        Error of a scaled number, a key of `skcgcnn.tasks.LOSSES`.

    Examples
    --------
    >>> import torch
    >>> from skcgcnn.tasks import Classes, Number
    >>> label = Classes("metal", classes=torch.tensor([0, 1]).numpy())
    >>> loss = TaskLoss([Number("gap"), label], cls_weight=0.5)
    >>> targets = torch.tensor([[1.0, 0.0], [3.0, float("nan")]])
    >>> loss(torch.zeros(2, 3), targets).item()  # (1 + 9) / 2 + 0.5 * log(2)
    5.3465...
    """

    def __init__(
        self, tasks: Sequence[Task], cls_weight: float | str = 1.0, loss: str = "mse"
    ) -> None:
        super().__init__()
        if cls_weight == "auto":
            self.log_scales = nn.Parameter(torch.zeros(2, dtype=FLOAT))
        self.tasks = tuple(tasks)
        self.cls_weight = cls_weight
        self.loss = loss

    def forward(
        self,
        outputs: Tensor,
        targets: Tensor,
        weights: Tensor | None = None,
        n_known: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        outputs : Tensor of shape (n_crystals, n_outputs)
            Outputs of the network.
        targets : Tensor of shape (n_crystals, n_tasks)
            Scaled regression targets and indices of classes; NaN is missing.
        weights : Tensor of shape (n_crystals,), optional
            Weights of the crystals, with a mean of 1 over the training set.
        n_known : Tensor of shape (n_tasks,), optional
            What the errors of each task are divided by; by default how many targets are known.

        Returns
        -------
        Tensor of shape ()
        """
        losses: dict[bool, list[Tensor]] = {True: [], False: []}
        columns = torch.split(outputs, [task.n_outputs for task in self.tasks], dim=1)
        known = ~targets.isnan()
        counts = known.sum(dim=0).clamp(min=1) if n_known is None else n_known
        for i, (task, output) in enumerate(zip(self.tasks, columns, strict=True)):
            errors = task.errors(output, targets[:, i].nan_to_num(), self.loss)
            shares = known[:, i] if weights is None else known[:, i] * weights
            losses[task.is_number].append((errors * shares).sum() / counts[i])
        means = {numbers: torch.stack(found).mean() for numbers, found in losses.items() if found}
        if self.cls_weight == "auto":
            return self._balanced(means)
        factors = {True: 1.0, False: float(self.cls_weight)}
        return torch.stack([factors[numbers] * mean for numbers, mean in means.items()]).sum()

    def _balanced(self, means: dict[bool, Tensor]) -> Tensor:
        """Return the sum of the losses, each over its learned scale, and of the scales' logarithms.

        A likelihood with scale s adds log s to an absolute error over s, and half of the logarithm
        of a variance to a square over it. What is a likelihood already stays as it is: over a
        scale, it would fall without end.
        """
        terms = []
        scales = self.log_scales.clamp(_LEAST_LOG, _MOST_LOG)
        for numbers, log_scale in zip((True, False), scales, strict=True):
            if numbers in means:
                own = [
                    task.log_share(self.loss) for task in self.tasks if task.is_number is numbers
                ]
                share = sum(own) / len(own)
                balanced = torch.exp(-log_scale) * means[numbers] + share * log_scale
                terms.append(balanced if share else means[numbers])
        return torch.stack(terms).sum()
