"""Memory that training steps use again."""

import math
from typing import Any

import torch
from torch import Tensor

# The next batch may have a few more sites; spare room saves a new buffer.
_ROOM = 1.05


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
        # With their capacities, which take time to find out.
        self._free: list[tuple[int, Tensor]] = []

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return a tensor with arbitrary content; it is the caller's until it is given back."""
        size = math.prod(shape)
        best: tuple[int, Tensor] | None = None
        for found in self._free:
            if found[1].dtype == dtype and _is_better(found[0], size, best):
                best = found
        if best is not None:
            self._free = [found for found in self._free if found[1] is not best[1]]
            if best[0] >= size:
                return best[1].resize_(shape)
        # A buffer that is too small is replaced, so that no more are kept than are in use at once.
        return _new(dtype, size).resize_(shape)

    def give(self, *buffers: Tensor) -> None:
        """Take buffers back; they must not be read any more."""
        self._free.extend((_capacity(buffer), buffer) for buffer in buffers)

    def clear(self) -> None:
        """Free the memory."""
        self._free.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        # A network is saved without its training buffers.
        return BufferPool, ()


def _is_better(capacity: int, size: int, best: tuple[int, Tensor] | None) -> bool:
    """Return whether a buffer is the smallest that fits, or the largest where none does."""
    if best is None:
        return True
    return capacity < best[0] if best[0] >= size <= capacity else capacity > best[0] < size


def _new(dtype: torch.dtype, size: int) -> Tensor:
    # On GPUs, torch itself keeps memory for the next tensor.
    return torch.empty(int(size * _ROOM), dtype=dtype, device="cpu")


def _capacity(buffer: Tensor) -> int:
    return buffer.untyped_storage().nbytes() // buffer.element_size()
