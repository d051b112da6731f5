"""The moving average of a network's weights, which predicts."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn

from skcgcnn.nn._batches import GraphBatch, GraphBatches
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._network import CrystalGraphConvNet
from skcgcnn.nn._normalization import BatchNorm


class AveragedNet(nn.Module):
    """A network that is trained, and the moving average of its weights, which predicts.

    The last steps of a training scatter around the optimum, and their average is nearer to it
    (Polyak and Juditsky, SIAM J. Control Optim. 30, 838 (1992)). In training mode the trained
    network runs, in evaluation mode the average.

    Parameters
    ----------
    ema_decay : float
        Decay per step of the exponential moving average; with 0 it is the last weights.
    **params
        Of `CrystalGraphConvNet`.

    Attributes
    ----------
    trained, average : CrystalGraphConvNet
        The two networks.
    n_steps : Tensor of shape ()
        Steps averaged.
    """

    n_steps: Tensor

    def __init__(self, ema_decay: float, **params: Any) -> None:
        super().__init__()
        self.ema_decay = ema_decay
        self.trained = CrystalGraphConvNet(**params)
        self.average = deepcopy(self.trained).requires_grad_(requires_grad=False).eval()
        self.trained.buffer_pool = BufferPool()
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))
        self._numbers: tuple[list[Tensor], list[Tensor]] | None = None

    def train(self, mode: bool = True) -> Self:
        """Set the mode; the average stays in evaluation mode, so that it can always predict."""
        if not self.training == self.trained.training == mode:  # it takes time, every step
            super().train(mode)
            self.average.eval()
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the parameters that are trained, under the names of the original network."""
        return self.trained.named_parameters(*args, **kwargs)

    def forward(self, batch: GraphBatch) -> Tensor:
        """Run the network of the current mode, see `CrystalGraphConvNet.forward`."""
        out: Tensor = (self.trained if self.training else self.average)(batch)
        return out

    def freeze(self, n_layers: int) -> None:
        """Leave the first layers out of training, see `CrystalGraphConvNet.freeze`.

        Parameters
        ----------
        n_layers : int
            Number of layers.
        """
        self.trained.freeze(n_layers)
        # Where training continues, the two differ; the layers that predict are those to keep.
        averages = self.average.first_layers(n_layers)
        for layer, average in zip(self.trained.frozen, averages, strict=True):
            layer.load_state_dict(average.state_dict())

    def average_statistics(self, mean_over_processes: Callable[[Tensor], Tensor]) -> None:
        """Take the means of the batch statistics over the processes of a training.

        Parameters
        ----------
        mean_over_processes : callable
            Returns the mean of a tensor.
        """
        for module in self.modules():
            if isinstance(module, BatchNorm):
                for statistic in (module.running_mean, module.running_var):
                    statistic.copy_(mean_over_processes(statistic))

    def release_buffers(self) -> None:
        """Free the training buffers."""
        if self.trained.buffer_pool is not None:
            self.trained.buffer_pool.clear()

    @torch.no_grad()
    def estimate_statistics(self, batches: GraphBatches) -> None:
        """Take the batch statistics of the average anew, where the network has such.

        The average of the statistics of its past is not that of the average of the weights.

        Parameters
        ----------
        batches : GraphBatches
            The crystals that it was trained on.
        """
        frozen = {name for name, p in self.trained.named_parameters() if not p.requires_grad}
        norms = [
            module
            for name, module in self.average.named_modules()
            if isinstance(module, BatchNorm) and f"{name}.weight" not in frozen
        ]
        if not norms:
            return
        momentum, counts = norms[0].momentum, [norm.num_batches_tracked for norm in norms]
        for norm in norms:
            norm.num_batches_tracked = None  # this is not training
        try:
            for n_before, (weighted, _) in enumerate(batches):
                for norm in norms:
                    norm.train().momentum = 1 / (n_before + 1)
                self.average(weighted.batch)
        finally:
            # Whatever stops it, such as Ctrl-C: a network that predicts is in evaluation mode.
            for norm, count in zip(norms, counts, strict=True):
                norm.eval().momentum = momentum
                norm.num_batches_tracked = count

    @torch.no_grad()
    def update(self) -> None:
        """Include the weights of one more step in the average."""
        self.n_steps += 1
        steps = int(self.n_steps)
        # The first steps are far from the optimum: the average is over few steps at first.
        share = 1 - min(self.ema_decay, steps / (steps + 9))
        if self._numbers is None:
            # To look through the modules at every step takes longer than the update.
            self._numbers = _floating(self.trained), _floating(self.average)
        new, old = self._numbers
        torch._foreach_lerp_(old, new, share)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        """Move to another device or type, which replaces tensors."""
        self._numbers = None
        return super()._apply(*args, **kwargs)  # type: ignore[no-any-return, no-untyped-call]


def _floating(net: nn.Module) -> list[Tensor]:
    """Return the parameters and running statistics."""
    return [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()]
