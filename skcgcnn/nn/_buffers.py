"""Memory that training steps use again."""

from typing import Any

import torch
from torch import Tensor

# The next batch may have a few more sites; spare room saves a new buffer.
_ROOM = 1.125


class BufferPool:
    """Buffers on the CPU to take, give back and take again.

    For a new large tensor the system must clear and map memory pages, which takes about as long as
    filling it. A buffer that was just in use is ready, and partly in the cache.

    Examples
    --------
    >>> pool = BufferPool()
    >>> buffer = pool.take(torch.float32, 3, 4)
    >>> pool.give(buffer)
    >>> pool.take(torch.float32, 2, 6).data_ptr() == buffer.data_ptr()
    True
    """

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return a tensor with arbitrary content; it is the caller's until it is given back."""
        size = torch.Size(shape).numel()
        like = [buffer for buffer in self._free if buffer.dtype == dtype]
        fitting = [buffer for buffer in like if _capacity(buffer) >= size]
        if fitting:
            found = min(fitting, key=_capacity)
        elif like:
            # Replace a buffer by a larger one, so that no more are kept than are in use at once.
            found = max(like, key=_capacity)
        else:
            return _new(dtype, size).resize_(shape)
        self._free = [buffer for buffer in self._free if buffer is not found]
        if not fitting:
            found = _new(dtype, size)
        return found.resize_(shape)

    def give(self, *buffers: Tensor) -> None:
        """Take buffers back; they must not be read any more."""
        self._free.extend(buffers)

    def clear(self) -> None:
        """Free the memory."""
        self._free.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        # A network is saved without its training buffers.
        return BufferPool, ()


def _new(dtype: torch.dtype, size: int) -> Tensor:
    # On GPUs, torch itself keeps memory for the next tensor.
    return torch.empty(int(size * _ROOM), dtype=dtype, device="cpu")


def _capacity(buffer: Tensor) -> int:
    return buffer.untyped_storage().nbytes() // buffer.element_size()
