"""Batches of graphs that lie in a file, of which a window is in memory at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from skcgcnn.graphs import crystals_in_memory
from skcgcnn.nn._batches import GraphBatches, GraphDataset, TrainBatch

# Runs of crystals that stand next to each other in the file, in a window. Few are read quickly;
# many mix the file well.
_RUNS = 64


class WindowedBatches:
    """Iterator over the batches of a dataset whose graphs lie in a file.

    A window is some runs of crystals from all over the file, which are shuffled together. Where
    all crystals fit into one window, the batches are those of `GraphBatches`.

    Parameters
    ----------
    dataset : GraphDataset
        What to iterate over.
    seed : int, optional
        Seed for shuffling; None keeps the order.
    epoch : int, default=0
        The next epoch.
    **options
        As for `GraphBatches`.
    """

    def __init__(
        self, dataset: GraphDataset, *, seed: int | None = None, epoch: int = 0, **options: Any
    ) -> None:
        self.dataset, self.seed, self.epoch, self.options = dataset, seed, epoch, options
        self.window = crystals_in_memory(dataset.X)
        self.share = (0, 1)

    def __iter__(self) -> Iterator[tuple[TrainBatch, Tensor]]:
        epoch, n = self.epoch, len(self.dataset)
        if self.seed is not None:
            self.epoch += 1
        if n <= self.window:
            whole = self.dataset.take(np.arange(n))
            batches = GraphBatches(whole, seed=self.seed, epoch=epoch, **self.options)
            batches.share = self.share
            yield from batches
            return
        for rows in self._windows(epoch):
            batches = GraphBatches(self.dataset.take(rows), **self.options)
            batches.share = self.share
            for weighted, targets in batches:
                weighted.rows = rows[weighted.rows]
                yield weighted, targets

    def _windows(self, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
        n = len(self.dataset)
        n_windows = -(-n // self.window)
        if self.seed is None:
            yield from np.array_split(np.arange(n), n_windows)
            return
        rng = np.random.default_rng([self.seed, epoch])
        length = -(-n // (n_windows * _RUNS))
        starts = rng.permutation(np.arange(0, n, length))
        for some in np.array_split(starts, n_windows):
            runs = [np.arange(start, min(start + length, n)) for start in some]
            yield rng.permutation(np.concatenate(runs))
