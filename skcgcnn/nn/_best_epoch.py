"""The epoch that a training keeps."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from skorch.callbacks import Callback
from torch import Tensor


class BestEpoch(Callback):
    """Ends a training with the weights of the epoch with the lowest validation loss.

    Of equal epochs it keeps the later one, and the last where the loss is not a number.

    Parameters
    ----------
    loss : float, default=nan
        Validation loss of the best epoch of a training that goes on.
    epoch : int, default=0
        That epoch, counted from 1.
    weights : dict of str to Tensor, optional
        Its weights: those of the network that predicts.

    Attributes
    ----------
    best_epoch_ : int
        The best epoch so far; 0 before the first.
    best_loss_ : float
        Its validation loss.
    """

    def __init__(
        self, loss: float = np.nan, epoch: int = 0, weights: dict[str, Tensor] | None = None
    ) -> None:
        self.loss, self.epoch, self.weights = loss, epoch, weights

    @classmethod
    def among(cls, losses: Sequence[float], weights: dict[str, Tensor]) -> Self:
        """Return what a training that goes on begins with.

        Parameters
        ----------
        losses : sequence of float
            Validation losses of its epochs so far.
        weights : dict of str to Tensor
            Of the best of them: of the network that predicts.
        """
        best = cls(weights=weights)
        for epoch, loss in enumerate(losses, 1):
            if _is_better(loss, best.loss):
                best.loss, best.epoch = loss, epoch
        return best

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin with what is known."""
        self.best_loss_, self.best_epoch_ = self.loss, self.epoch
        self._kept: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights of an epoch that is not worse than all before."""
        loss = net.history[-1].get("valid_loss", np.nan)
        if _is_better(loss, self.best_loss_):
            self.best_loss_, self.best_epoch_ = loss, len(net.history)
            self._kept = {n: tensor.clone() for n, tensor in net.network.state_dict().items()}

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Return to the best epoch."""
        if self.best_epoch_ < len(net.history):
            if self._kept is not None:
                net.network.load_state_dict(self._kept)
            elif self.weights is not None:
                for part in (net.network.trained, net.network.average):
                    part.load_state_dict(self.weights)
        # They would be written into every pickle.
        self.weights = self._kept = None


def _is_better(loss: float, best: float) -> bool:
    return bool(np.isnan(best) or loss <= best)
