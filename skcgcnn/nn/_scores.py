"""What the epochs of a training are worth, in the units of y."""

import logging
import re
import sys
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, PrintLog

from skcgcnn._progress import Progress

_LOGGER = logging.getLogger("skcgcnn")


class EpochScores(Callback):
    """Scores every epoch, shows the progress, and tells the logger ``"skcgcnn"``.

    The history gets `valid_score`, R² or accuracy of the validation crystals. What is shown of
    training crystals comes from the steps themselves, by the network of each step.
    """

    # Ctrl-C may come before it is there.
    _progress: Progress | None = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin to show the progress."""
        self._parts: dict[bool, list[tuple[Any, Any]]] = {True: [], False: []}
        done = len(net.history)
        self._progress = Progress(
            done + net.n_epochs, "epoch", initial=done, enabled=net.verbose == 1
        )

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the epoch before."""
        for parts in self._parts.values():
            parts.clear()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Keep the outputs of a batch where they are asked for."""
        wanted = not training or net.verbose == 1 or _LOGGER.isEnabledFor(logging.INFO)
        if net.decoder is not None and wanted:
            self._parts[training].append((kwargs["y_pred"].detach(), batch[1]))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score the epoch, and tell how far the training is."""
        facts = []
        for training, name in ((True, "training"), (False, "validation")):
            if parts := self._parts[training]:
                outputs = torch.cat([out for out, _ in parts]).double().cpu().numpy()
                y = np.concatenate([true for _, true in parts])
                facts.append(f"{name} {net.decoder.describe_errors(outputs, y)}")
                if not training:
                    net.history.record("valid_score", net.decoder.score(outputs, y))
        text = ", ".join(facts)
        if self._progress is not None:
            _LOGGER.info("epoch %d of %d: %s", len(net.history), self._progress.total, text)
            self._progress.update(1, text)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """End the line."""
        if self._progress is not None:
            self._progress.close()
        self._progress = None  # a bar cannot be pickled
        self._parts = {True: [], False: []}


def _print(text: str) -> None:
    """Print a row; without colors where no terminal shows them."""
    print(text if sys.stdout.isatty() else re.sub(r"\x1b\[\d+m", "", text))  # noqa: T201


class Table(PrintLog):
    """skorch's table of the epochs, for ``verbose=2`` and above."""

    def __init__(self) -> None:
        super().__init__(sink=_print)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Print a row."""
        if net.verbose > 1:
            super().on_epoch_end(net, **kwargs)
