"""The epoch that a training keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from skorch.callbacks import Callback
from torch import Tensor


class BestEpoch(Callback):
    """Ends a training with the weights of the epoch with the lowest validation loss.

    Of equal epochs it keeps the later one, and the last where the loss is not a number.

    Parameters
    ----------
    losses : sequence of float, default=()
        Validation losses of the epochs so far, of a training that goes on.
    weights : dict of str to Tensor, optional
        Of the best of them: of the network that predicts.
    first : int, default=1
        A training that gets here forgets the epochs before.

    Attributes
    ----------
    best_epoch_ : int
        The best epoch so far; 0 before the first.
    best_loss_ : float
        Its validation loss.
    """

    def __init__(
        self,
        losses: Sequence[float] = (),
        weights: dict[str, Tensor] | None = None,
        first: int = 1,
    ) -> None:
        self.losses, self.weights, self.first = losses, weights, first
        # Ctrl-C may come before a training begins, which then ends as others do.
        self.best_loss_, self.best_epoch_ = np.nan, 0
        self._kept: dict[str, Tensor] | None = None

    def on_train_begin(self, net: Any = None, **kwargs: Any) -> None:
        """Begin with what is known."""
        self.best_loss_, self.best_epoch_ = np.nan, 0
        self._kept = None
        for epoch, loss in enumerate(self.losses, 1):
            self._choose(epoch, loss)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights of an epoch that is not worse than all before."""
        if self._choose(len(net.history), net.history[-1].get("valid_loss", np.nan)):
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

    def _choose(self, epoch: int, loss: float) -> bool:
        """Tell whether an epoch is the best so far."""
        best = self.best_loss_
        if not (epoch == self.first or np.isnan(best) or loss <= best):
            return False
        self.best_loss_, self.best_epoch_ = loss, epoch
        return True
