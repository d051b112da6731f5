"""Training on the two halves of each batch at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from skcgcnn.nn._batches import GraphBatch
from skcgcnn.nn._network import CrystalGraphConvNet

_SEEDS_OF_A_HALF = 50_021
_Result = TypeVar("_Result")


class Halves:
    """A network that is trained on the two halves of each batch, by a thread of Python for each.

    Threads of OpenMP wait for the slowest of them at every operation, and where another program
    keeps a core busy, a step takes several times as long. These two meet twice in a step: before
    the head, and after the gradients. The halves depend on the batch alone, and their order is
    fixed, so that a fit gives the same numbers whatever the number of threads. Dropout has random
    numbers of its own in each half.

    Use it as a context: leaving it ends the second thread.

    Parameters
    ----------
    net : CrystalGraphConvNet
        A network for which `can_be_halved` is true. It shares its parameters with a copy.
    n_threads : int
        Threads of torch to divide among the two; with 1 the halves are computed in turn.
    """

    def __init__(self, net: CrystalGraphConvNet, n_threads: int) -> None:
        shared = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
        # The copy is used in training alone; the network may just have predicted.
        self._nets = net, deepcopy(net, shared).train()
        of_head = {id(p) for p in net.head.parameters()}
        self._learned = [p for p in net.parameters() if p.requires_grad and id(p) not in of_head]
        self._n_threads = n_threads
        self._second: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._n_threads > 1:
            each = max(1, self._n_threads // 2)
            self._second = ThreadPoolExecutor(
                1, initializer=torch.set_num_threads, initargs=(each,)
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._second is not None:
            self._second.shutdown()

    def __getstate__(self) -> dict[str, Any]:
        # A callback may pickle the net: a training that goes on makes its halves anew.
        return {}

    def start_dropout(self, seed: int) -> None:
        """Start the random numbers of dropout anew, see `CrystalGraphConvNet.start_dropout`."""
        for index, net in enumerate(self._nets):
            net.start_dropout(seed + _SEEDS_OF_A_HALF * index)

    def __call__(self, batch: GraphBatch) -> Tensor:
        """Run the network, see `CrystalGraphConvNet.forward`."""
        whole = self._nets[0]
        if len(batch.n_sites) == 1:
            return whole(batch)  # type: ignore[no-any-return]
        pooled = _Pooled.apply(self, _halves(batch), *self._learned)  # type: ignore[no-untyped-call]
        return whole.from_pooled(pooled, batch)

    def pool(self, batches: Sequence[GraphBatch]) -> list[Tensor]:
        """Return what is pooled of each half, with its history for the gradients."""
        return self._both(lambda half: self._nets[half].pooled(batches[half]))

    def gradients(self, pooled: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor | None]:
        """Return the gradients of the parameters before the head."""
        found = self._both(
            lambda half: torch.autograd.grad(
                pooled[half], self._learned, grads[half], allow_unused=True
            )
        )
        return [
            one if other is None else other if one is None else one + other
            for one, other in zip(*found, strict=True)
        ]

    def _both(self, work: Callable[[int], _Result]) -> list[_Result]:
        """Return what work gives for either half."""
        with torch.enable_grad():
            if self._second is None:
                return [work(0), work(1)]
            second = self._second.submit(work, 1)
            try:
                first = work(0)
            finally:
                # After an error or Ctrl-C too: nothing may go on in the background.
                other = second.result()
            return [first, other]


class _Pooled(torch.autograd.Function):
    """What is pooled of both halves, as one operation."""

    @staticmethod
    def forward(ctx: Any, halves: Halves, batches: Sequence[GraphBatch], *_: Tensor) -> Tensor:
        ctx.halves, ctx.pooled = halves, halves.pool(batches)
        return torch.cat([half.detach() for half in ctx.pooled])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = torch.split(grad, [len(half) for half in ctx.pooled])
        return None, None, *ctx.halves.gradients(ctx.pooled, grads)


def can_be_halved(net: CrystalGraphConvNet) -> bool:
    """Tell whether a network can be trained on halves of a batch with the same result.

    Returns
    -------
    bool
        Whether crystals do not depend on each other before the head, which runs on crystals, and
        something there is learned.
    """
    return (
        not any(conv.normalizes_batch for conv in net.convs)
        and not net.pooling.sums_outputs
        and any(p.requires_grad for p in net.convs.parameters())
    )


def _halves(batch: GraphBatch) -> tuple[GraphBatch, GraphBatch]:
    """Divide a batch between two crystals, so that the parts have about as many bonds."""
    middle = batch.crystals[batch.centers[len(batch.centers) // 2]]
    crystal = min(max(int(middle), 1), len(batch.n_sites) - 1)
    return batch.split(crystal)
