"""The private skorch net: packed graphs in, batches to the network, losses out."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from torch import Tensor
from torch.utils.data import Dataset

from skcgcnn.graphs import CrystalGraphs, site_index

# Bounds the memory of a prediction: about 50 MB at 12 neighbours and 64 features. Fewer would be
# more operations, and while another thread reads, each of them waits for the interpreter lock.
PREDICTION_SITES = 4096
PREDICTION_CRYSTALS = 4096


class GraphBatch(NamedTuple):
    """The crystals of one batch, as the network takes them."""

    kind_features: Tensor
    site_kinds: Tensor
    neighbors: Tensor
    distances: Tensor
    n_sites: Tensor


class Weighted:
    """A batch with the weights of its crystals; skorch takes its length for the batch's."""

    def __init__(self, batch: GraphBatch, weights: Tensor | None) -> None:
        self.batch = batch
        self.weights = weights

    def __len__(self) -> int:
        return len(self.batch.n_sites)


class GraphDataset(Dataset[Any]):
    """Graphs with their encoded targets and weights.

    Parameters
    ----------
    X : CrystalGraphs
        Graphs, none of them empty.
    y : ndarray of shape (n_crystals, n_tasks), optional
        Encoded targets; absent for a prediction.
    weights : ndarray of shape (n_crystals,), optional
        Weights of the crystals.
    """

    def __init__(
        self,
        X: CrystalGraphs,
        y: npt.NDArray[np.floating] | None = None,
        weights: npt.NDArray[np.floating] | None = None,
    ) -> None:
        self.X = X
        self.y = np.zeros((len(X), 1)) if y is None else y
        self.weights = weights

    def __len__(self) -> int:
        return len(self.X)


class GraphBatches:
    """Iterator over the batches of a dataset; no Python loop over crystals.

    Parameters
    ----------
    dataset : GraphDataset
        What to iterate over.
    batch_size : int
        Most crystals a batch. The crystals are dealt out evenly, so that no epoch ends with a
        batch of one, whose normalisation would be noise.
    device : torch.device or str
        Where the batches go.
    dtype : torch.dtype, default=torch.float32
        Type of features, distances, targets and weights.
    seed : int, optional
        Shuffles; the order of epoch e depends on `seed` and e alone, so that an interrupted
        training can be taken up again. None keeps the order.
    epoch : int, default=0
        The next epoch.
    max_sites : int, optional
        Divide batches with more sites; a crystal with more is a batch of its own.
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
        self.kind_features = _tensor(graphs.kind_features, device).to(dtype)
        self.site_kinds = _tensor(graphs.site_kinds, device)
        self.neighbors = _tensor(graphs.neighbors, device)
        self.distances = _tensor(graphs.distances, device).to(dtype)
        self.targets = _tensor(dataset.y, device).to(dtype)
        self.weights = (
            None if dataset.weights is None else _tensor(dataset.weights, device).to(dtype)
        )

    def __iter__(self) -> Iterator[tuple[Weighted, Tensor]]:
        order = np.arange(len(self.offsets) - 1)
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
            self.epoch += 1
        for chosen in self._split(order):
            crystals = _tensor(chosen, self.device)
            weights = None if self.weights is None else self.weights.index_select(0, crystals)
            yield Weighted(self._batch(chosen), weights), self.targets.index_select(0, crystals)

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
        # Neighbours are counted within their crystal; in the batch they come after the sites
        # of the crystals before.
        base = np.repeat((np.cumsum(counts) - counts).astype(np.int32), counts)
        neighbors = self.neighbors.index_select(0, sites)
        neighbors += _tensor(base, self.device).unsqueeze(1)
        site_kinds = self.site_kinds.index_select(0, sites)
        kind_features = self.kind_features
        if len(kind_features) > len(sites):
            # Many mixed sites, each a kind of its own: embed only those of the batch.
            kind_features = kind_features.index_select(0, site_kinds)
            site_kinds = torch.arange(len(sites), device=self.device)
        return GraphBatch(
            kind_features,
            site_kinds,
            neighbors,
            self.distances.index_select(0, sites),
            _tensor(counts, self.device),
        )


class GraphNet(NeuralNet):
    """A skorch net that trains on a pair of `GraphDataset` and predicts for one.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`.
    seed : int, default=0
        Decides the order of the batches and the dropout of every epoch.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Type in which the network computes; with "bfloat16" its parameters stay float32.
    max_batch_sites : int, optional
        Most sites a batch in training.
    """

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        precision: str = "float32",
        max_batch_sites: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.seed = seed
        self.precision = precision
        self.max_batch_sites = max_batch_sites
        super().__init__(*args, **kwargs)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters and of what goes in and out."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def initialize_module(self) -> Any:
        """Make the network, in the type asked for."""
        super().initialize_module()
        self.module_.to(self.dtype)
        return self

    def initialize_optimizer(self) -> Any:
        """Announce the optimizer, which is made later."""
        self.__dict__.pop("optimizer_", None)
        if "optimizer" not in self._optimizers:
            self._register_attribute("optimizer_", None)
        return self

    @cached_property
    def optimizer_(self) -> torch.optim.Optimizer:
        """The optimizer, made when training asks for it.

        torch's optimizers import its compiler, for which who only predicts would wait 2 s.
        """
        args, kwargs = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
        optimizer: torch.optim.Optimizer = self.optimizer(*args, **kwargs)
        return optimizer

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Return X: the estimator has split training and validation rows already."""
        return X

    def get_iterator(self, dataset: GraphDataset, training: bool = False) -> GraphBatches:
        """Return the batches of a dataset, shuffled for training."""
        if training:
            return GraphBatches(
                dataset,
                batch_size=self.batch_size,
                device=self.device,
                dtype=self.dtype,
                seed=self.seed,
                epoch=len(self.history),
                max_sites=self.max_batch_sites,
            )
        return GraphBatches(
            dataset,
            batch_size=PREDICTION_CRYSTALS,
            device=self.device,
            dtype=self.dtype,
            max_sites=PREDICTION_SITES,
        )

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin the random numbers of an epoch from its own seed, so that it can be resumed."""
        super().on_epoch_begin(net, **kwargs)
        torch.manual_seed(self.seed + len(self.history))

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Train on a batch, and average."""
        step = super().train_step(batch, **fit_params)
        self.module_.update()
        return step

    def infer(self, x: Weighted, **fit_params: Any) -> Tensor:
        """Run the network on a batch."""
        with torch.autocast(
            torch.device(self.device).type,
            dtype=torch.bfloat16,
            enabled=self.precision == "bfloat16",
        ):
            out: Tensor = self.module_(*x.batch)
        return out.to(self.dtype)

    def get_loss(
        self,
        y_pred: Tensor,
        y_true: Tensor,
        X: Weighted,
        training: bool = False,
    ) -> Tensor:
        """Return the loss of a batch."""
        loss: Tensor = self.criterion_(y_pred, y_true, X.weights)
        return loss

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call the callbacks; one that interrupts ends the training, not the program.

        skorch's callbacks stop by raising a KeyboardInterrupt, which skorch cannot tell from
        Ctrl-C. Here the latter gets through: a grid search, say, should stop too.
        """
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt as interrupt:
            raise _StopTrainingError from interrupt

    def run(self, train: GraphDataset, valid: GraphDataset | None, epochs: int) -> None:
        """Train for some more epochs, or until a callback stops."""
        self.notify("on_train_begin", X=train, y=None)
        with suppress(_StopTrainingError):
            self.fit_loop((train, valid), epochs=epochs)
        self.notify("on_train_end", X=train, y=None)


class _StopTrainingError(Exception):
    """A callback has seen enough."""


def _tensor(array: npt.NDArray[Any], device: Any) -> Tensor:
    # A read-only array (memory-mapped by joblib) is only ever read here; torch would warn.
    if not array.flags.writeable:
        array = array.copy()
    return torch.from_numpy(array).to(device)


def choose_device(device: Any, *, fall_back: bool = False) -> Any:
    """Return the device that a parameter stands for, which must be there.

    With `fall_back` a model that was on a GPU goes on the CPU where there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is no device of torch's") from error
    if kind == "cuda" and not torch.cuda.is_available():
        if fall_back:
            warnings.warn(
                f"the model was on {device!r}, but torch sees no GPU: it goes on the CPU",
                stacklevel=2,
            )
            return "cpu"
        raise ValueError(f"device={device!r}, but torch sees no GPU; use 'auto' or 'cpu'")
    return device
