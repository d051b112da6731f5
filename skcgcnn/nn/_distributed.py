"""Training on several processes, through skorch and Hugging Face Accelerate."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from skorch.hf import AccelerateMixin

from skcgcnn.exceptions import ProcessError
from skcgcnn.nn._batches import GraphBatches, GraphDataset
from skcgcnn.nn._trainer import GraphNet
from skcgcnn.nn._windows import WindowedBatches

_SEEDS_OF_A_PROCESS = 100_003

# How the libraries that processes talk through begin their messages, or are named in them.
_TALK = ("gloo", "nccl", "connection closed", "connection reset", "socket", "peer")


class AcceleratedNet(AccelerateMixin, GraphNet):
    """A `GraphNet` that trains on the processes of an `accelerate.Accelerator`.

    Every process takes its share of each batch, with batch statistics and dropout of its own, and
    the gradients are averaged by PyTorch's DistributedDataParallel. Batch statistics are averaged
    at the end. Each process evaluates on its own.

    Parameters
    ----------
    *args, **kwargs
        As for `GraphNet`.
    accelerator : accelerate.Accelerator
        The processes.

    Raises
    ------
    ValueError
        If it accumulates gradients over several batches.
    """

    module_: Any
    criterion_: Any
    _may_halve = False  # every process has its own part already

    def __init__(self, *args: Any, accelerator: Any, device: Any = None, **kwargs: Any) -> None:
        if (n_steps := accelerator.gradient_accumulation_steps) != 1:
            # skorch clears the gradients before a batch, and so those of all but the last.
            raise ValueError(
                f"device is an Accelerator with gradient_accumulation_steps={n_steps}, of which "
                "one batch alone would be learned; leave it out, and set batch_size, which is the "
                "number of crystals of a step on all processes together"
            )
        super().__init__(*args, accelerator=accelerator, device=accelerator.device, **kwargs)

    # The mixin asks for no device, wraps the network for good, and gathers what each process
    # predicts. Here batches are made on the device of the accelerator, the network is wrapped while
    # it is trained alone, see `run`, and the crystals of a prediction are not divided.
    _validate_params = GraphNet._validate_params
    initialize = GraphNet.initialize
    evaluation_step = GraphNet.evaluation_step
    on_train_end = GraphNet.on_train_end

    def get_iterator(
        self, dataset: GraphDataset, training: bool = False
    ) -> GraphBatches | WindowedBatches:
        """Return the batches of a dataset; for training, the share of this process of each."""
        batches = GraphNet.get_iterator(self, dataset, training)
        if training:
            batches.share = self.accelerator.process_index, self.accelerator.num_processes
        return batches

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Seed the random numbers of each epoch: every process has its own dropout."""
        super().on_epoch_begin(net, **kwargs)
        own = self.seed + len(self.history) + _SEEDS_OF_A_PROCESS * self.accelerator.process_index
        self.network.trained.start_dropout(own)

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        """Scale down gradients that are too large: as they are, not as half precision has them."""
        self.accelerator.unscale_gradients(self.optimizer_)
        super().on_grad_computed(net, named_parameters, **kwargs)

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Train on a batch; the loss is that of the whole batch."""
        step = super().train_step(batch, **fit_params)
        step["loss"] = self.accelerator.reduce(step["loss"].detach(), "mean")
        return step

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Train for some more epochs, see `GraphNet.run`."""
        own = self._parts
        self._is_together = False
        try:
            with _talking():
                self.module_, self.criterion_, self.optimizer_ = self._wrapped
                super().run(*args, **kwargs)
            self._is_together = True
        finally:
            self.module_, self.criterion_, self.optimizer_ = own

    def finish(self, train: GraphDataset) -> None:
        """End a fit, see `GraphNet.finish`."""
        if self.accelerator.num_processes > 1 and not self._is_together:
            # An error or Ctrl-C in one process: the others would wait for each other's statistics.
            self.module_.release_buffers()
            return
        with _talking():
            super().finish(train)
            self.module_.average_statistics(lambda own: self.accelerator.reduce(own, "mean"))

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        """Evaluate a batch; what stops a training is the same number in all processes."""
        step = super().validation_step(batch, **fit_params)
        step["loss"] = self.accelerator.reduce(step["loss"].detach(), "mean")
        return step

    @cached_property
    def _wrapped(self) -> tuple[Any, Any, Any]:
        """Network, loss and optimizer for several processes: made once, for they leave hooks."""
        module, criterion, optimizer = (
            self.accelerator.prepare(part) if _is_trained(part) else part for part in self._parts
        )
        return module, criterion, optimizer


def _is_trained(part: Any) -> bool:
    """Tell whether processes have to agree on a part."""
    return isinstance(part, torch.optim.Optimizer) or any(
        p.requires_grad for p in part.parameters()
    )


def broadcast_int(accelerator: Any, value: int) -> int:
    """Return the number that the main process has."""
    with _talking():
        number = torch.tensor(value if accelerator.is_main_process else 0)
        return int(accelerator.reduce(number.to(accelerator.device), "sum"))


@contextmanager
def _talking() -> Iterator[None]:
    """Say what it means where a process cannot talk to another one."""
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if isinstance(error, torch.distributed.DistError) or any(word in text for word in _TALK):
            raise ProcessError(
                "another process of this training ended or does not answer, so that it cannot go "
                "on; see the first error that a process printed"
            ) from error
        raise
