"""The private skorch net: batches to the network, losses out."""

import warnings
from contextlib import suppress
from functools import cached_property
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor

from skcgcnn.nn._batches import GraphBatches, GraphDataset, Weighted

# Maximum sizes of a batch in prediction. They bound its memory: about 50 MB with 12 neighbors and
# 64 features. Smaller batches would mean more operations, each of which waits for the interpreter
# lock while another thread reads.
PREDICTION_SITES = 4096
PREDICTION_CRYSTALS = 4096


class GraphNet(NeuralNet):
    """A skorch net that trains on a pair of `GraphDataset` and predicts for one.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`.
    seed : int, default=0
        Decides the batches and the dropout of each epoch.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Number type in which the network computes; with "bfloat16" its parameters stay float32.
    max_batch_sites : int, optional
        Maximum number of sites per batch in training.
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
        """Type of the parameters, inputs and outputs."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def initialize_module(self) -> Any:
        """Make the network, in its number type."""
        super().initialize_module()
        self.module_.to(self.dtype)
        return self

    def initialize_optimizer(self) -> Any:
        """Prepare for an optimizer, which is made at its first use."""
        self.__dict__.pop("optimizer_", None)
        if "optimizer" not in self._optimizers:
            self._register_attribute("optimizer_", None)
        return self

    @cached_property
    def optimizer_(self) -> torch.optim.Optimizer:
        """The optimizer, made at its first use.

        torch's optimizers import its compiler, which takes 2 s that a prediction need not wait.
        """
        args, kwargs = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
        optimizer: torch.optim.Optimizer = self.optimizer(*args, **kwargs)
        return optimizer

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Return X: the estimator has already split training and validation rows."""
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
        """Seed the random numbers of each epoch, so that training can be resumed."""
        super().on_epoch_begin(net, **kwargs)
        torch.manual_seed(self.seed + len(self.history))

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Train on a batch, and update the moving average."""
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
        """Call the callbacks; one that raises KeyboardInterrupt ends the training.

        skorch cannot distinguish this, its way to stop a training, from Ctrl-C. Here Ctrl-C is
        raised, so that a grid search, for example, stops too.
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
    """A callback ends the training."""


def choose_device(device: Any, *, fall_back: bool = False) -> Any:
    """Return the torch device for a parameter, and check that it is there.

    With `fall_back`, a model that was on a GPU goes to the CPU where there is none.
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
