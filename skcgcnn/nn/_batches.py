"""Batches of crystals, cut from packed graphs without a loop over crystals."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from skorch.dataset import Dataset
from torch import Tensor

from skcgcnn.graphs import CrystalGraphs, site_index


class GraphBatch(NamedTuple):
    """The crystals of one batch: the arguments of the network."""

    kind_features: Tensor
    site_kinds: Tensor
    neighbors: Tensor
    distances: Tensor
    n_sites: Tensor


class Weighted:
    """A batch with the weights and rows of its crystals; its length is the number of crystals."""

    def __init__(
        self, batch: GraphBatch, weights: Tensor | None, rows: npt.NDArray[np.int64]
    ) -> None:
        self.batch = batch
        self.weights = weights
        self.rows = rows

    def __len__(self) -> int:
        return len(self.batch.n_sites)


class GraphDataset(Dataset):
    """Graphs with their targets and weights.

    Parameters
    ----------
    X : CrystalGraphs
        Graphs, none of them without sites.
    encoded : ndarray of shape (n_crystals, n_tasks), optional
        Scaled and encoded targets; None for a prediction.
    weights : ndarray of shape (n_crystals,), optional
        Weights of the crystals.
    y : ndarray of shape (n_crystals,) or (n_crystals, n_tasks), optional
        The targets as they were given, for the scorers of callbacks.
    """

    def __init__(
        self,
        X: CrystalGraphs,
        encoded: npt.NDArray[np.floating] | None = None,
        weights: npt.NDArray[np.floating] | None = None,
        y: npt.NDArray[Any] | None = None,
    ) -> None:
        self.X = X
        self.encoded = np.zeros((len(X), 1)) if encoded is None else encoded
        self.weights = weights
        self.y = self.encoded if y is None else y

    def __len__(self) -> int:
        return len(self.X)


class GraphBatches:
    """Iterator over the batches of a dataset; no Python loop over crystals.

    Parameters
    ----------
    dataset : GraphDataset
        What to iterate over.
    batch_size : int
        Maximum number of crystals per batch. Batches have the same size within one, so that no
        epoch ends with a batch of a single crystal, whose normalization would be noise.
    device : torch.device or str
        Device of the batches.
    dtype : torch.dtype, default=torch.float32
        Type of features, distances, targets and weights.
    seed : int, optional
        Seed for shuffling. The order of epoch e depends on `seed` and e alone, so that an
        interrupted training can be resumed. None keeps the order.
    epoch : int, default=0
        The next epoch.
    max_sites : int, optional
        Maximum number of sites per batch. Larger batches are split; a crystal above the limit
        forms its own batch.
    """

    def __init__(
        self,
        dataset: GraphDataset,
        *,
        batch_size: int,
        device: Any,
        dtype: torch.dtype = torch.float32,
        seed: int | None = None,
        epoch: int = 0,
        max_sites: int | None = None,
    ) -> None:
        graphs = dataset.X
        self.offsets = graphs.offsets
        self.batch_size = batch_size
        self.device = device
        self.seed = seed
        self.epoch = epoch
        self.max_sites = max_sites
        self.kind_features = _tensor(graphs.kind_features, device, dtype)
        self.site_kinds = _tensor(graphs.site_kinds, device)
        self.neighbors = _tensor(graphs.neighbors, device)
        self.distances = _tensor(graphs.distances, device, dtype)
        self.targets = _tensor(dataset.encoded, device, dtype)
        self.weights = None if dataset.weights is None else _tensor(dataset.weights, device, dtype)

    def __iter__(self) -> Iterator[tuple[Weighted, Tensor]]:
        order = np.arange(len(self.offsets) - 1)
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
            self.epoch += 1
        for chosen in self._split(order):
            crystals = _tensor(chosen, self.device)
            weights = None if self.weights is None else self.weights.index_select(0, crystals)
            batch = Weighted(self._batch(chosen), weights, chosen)
            yield batch, self.targets.index_select(0, crystals)

    def _split(self, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        if not len(order):
            return []
        batches = np.array_split(order, -(-len(order) // self.batch_size))
        if self.max_sites is None:
            return batches
        return [part for batch in batches for part in self._divide(batch, self.max_sites)]

    def _divide(self, batch: npt.NDArray[np.int64], max_sites: int) -> list[npt.NDArray[np.int64]]:
        counts = self.offsets[batch + 1] - self.offsets[batch]
        ends, total = [], 0
        for i, count in enumerate(counts.tolist()):
            if total and total + count > max_sites:
                ends.append(i)
                total = 0
            total += count
        return np.split(batch, ends)

    def _batch(self, chosen: npt.NDArray[np.int64]) -> GraphBatch:
        counts = self.offsets[chosen + 1] - self.offsets[chosen]
        sites = _tensor(site_index(self.offsets, chosen), self.device)
        # Indices of neighbors are those within their crystal; in the batch, the sites of the
        # crystals before come first.
        base = np.repeat((np.cumsum(counts) - counts).astype(np.int32), counts)
        neighbors = self.neighbors.index_select(0, sites)
        neighbors += _tensor(base, self.device).unsqueeze(1)
        site_kinds = self.site_kinds.index_select(0, sites)
        kind_features = self.kind_features
        if len(kind_features) > len(sites):
            # Mixed sites are often kinds of their own: embed only those of the batch.
            kind_features = kind_features.index_select(0, site_kinds)
            site_kinds = torch.arange(len(sites), device=self.device)
        return GraphBatch(
            kind_features,
            site_kinds,
            neighbors,
            self.distances.index_select(0, sites),
            _tensor(counts, self.device),
        )


def _tensor(array: npt.NDArray[Any], device: Any, dtype: torch.dtype | None = None) -> Tensor:
    # torch warns about read-only arrays, such as those that joblib maps into memory.
    if not array.flags.writeable:
        array = array.copy()
    # The type first: there are devices without float64.
    return torch.from_numpy(array).to(dtype).to(device)
