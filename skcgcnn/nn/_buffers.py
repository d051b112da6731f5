"""Memory that one training step leaves to the next."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["Scratch"]

# A batch has some more or fewer sites than the last one; a little room spares a new buffer.
_ROOM = 1.125


class Scratch:
    """Buffers on the CPU to be taken, given back and taken again.

    A large tensor comes with pages that the system has to clear and map first, which takes about
    as long as filling it; a buffer that was in use a moment ago is there, partly in the cache.

    Examples
    --------
    >>> scratch = Scratch()
    >>> buffer = scratch.take(torch.float32, 3, 4)
    >>> scratch.give(buffer)
    >>> scratch.take(torch.float32, 2, 6).data_ptr() == buffer.data_ptr()
    True
    """

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return a tensor of any content, which is the caller's until it is given back."""
        size = torch.Size(shape).numel()
        like = [buffer for buffer in self._free if buffer.dtype == dtype]
        fitting = [buffer for buffer in like if _capacity(buffer) >= size]
        if fitting:
            found = min(fitting, key=_capacity)
        elif like:
            # One buffer for another: as many are kept as are in use at a time.
            found = max(like, key=_capacity)
        else:
            return _new(dtype, size).resize_(shape)
        self._free = [buffer for buffer in self._free if buffer is not found]
        if not fitting:
            found = _new(dtype, size)
        return found.resize_(shape)

    def give(self, *buffers: Tensor) -> None:
        """Take buffers back; nobody may read them any more."""
        self._free.extend(buffers)

    def clear(self) -> None:
        """Let go of the memory."""
        self._free.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        # A network is saved without the memory that its training took.
        return Scratch, ()


def _new(dtype: torch.dtype, size: int) -> Tensor:
    # Whatever the default device is: on GPUs torch itself keeps memory for the next tensor.
    return torch.empty(int(size * _ROOM), dtype=dtype, device="cpu")


def _capacity(buffer: Tensor) -> int:
    return buffer.untyped_storage().nbytes() // buffer.element_size()
