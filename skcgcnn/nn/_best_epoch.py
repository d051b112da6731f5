"""The epoch that a training keeps."""

from typing import Any

import numpy as np
from skorch.callbacks import Callback
from torch import Tensor


class BestEpoch(Callback):
    """Ends a training with the weights of the epoch with the lowest validation loss.

    Of equal epochs it keeps the later one, and the last where the loss is not a number.

    Parameters
    ----------
    epoch : int, default=0
        The best epoch so far, of a training that goes on.
    loss : float, optional
        Its validation loss.
    weights : dict of str to Tensor, optional
        Those after it, of the network that predicts.
    first : int, default=1
        A training that gets here forgets the epochs before.

    Attributes
    ----------
    best_epoch_ : int
        The best epoch so far; 0 before the first.
    best_loss_ : float
        Its validation loss.
    best_weights_ : dict of str to Tensor, or None
        Those of the network that predicts, after that epoch; None before the first, and once the
        training has ended.
    """

    def __init__(
        self,
        epoch: int = 0,
        loss: float = np.nan,
        weights: dict[str, Tensor] | None = None,
        first: int = 1,
    ) -> None:
        self.epoch, self.loss, self.weights, self.first = epoch, loss, weights, first
        # Ctrl-C may come before a training begins, which then ends as others do.
        self.best_loss_, self.best_epoch_ = np.nan, 0
        self._kept: dict[str, Tensor] | None = None

    @property
    def best_weights_(self) -> dict[str, Tensor] | None:
        """Weights after the best epoch so far, of the network that predicts."""
        if self._kept is None:
            return self.weights
        own = "average."
        return {n.removeprefix(own): t for n, t in self._kept.items() if n.startswith(own)}

    def on_train_begin(self, net: Any = None, **kwargs: Any) -> None:
        """Begin with what is known."""
        self.best_loss_, self.best_epoch_ = self.loss, self.epoch
        self._kept = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights of an epoch that is not worse than all before."""
        epoch, loss = len(net.history), net.history[-1].get("valid_loss", np.nan)
        best = self.best_loss_
        if epoch == self.first or np.isnan(best) or loss <= best:
            self.best_loss_, self.best_epoch_ = loss, epoch
            self._kept = {n: tensor.clone() for n, tensor in net.network.state_dict().items()}

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Return to the best epoch, and record which it was."""
        if net.history:
            net.history.record("best_epoch", self.best_epoch_)
        if self.best_epoch_ < len(net.history):
            if self._kept is not None:
                net.network.load_state_dict(self._kept)
            elif self.weights is not None:
                for part in (net.network.trained, net.network.average):
                    part.load_state_dict(self.weights)
        # They would be written into every pickle.
        self.weights = self._kept = None
