"""How many of torch's threads work."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import torch

# With fewer numbers (bonds times features) in a batch, one thread trains as fast as two: threads
# wait for each other at every operation.
_FEWEST_NUMBERS = 160_000


@contextmanager
def at_most(n_threads: int) -> Iterator[None]:
    """Let torch work with so many threads at most, then again with as many as before.

    Other threads of Python keep their numbers.

    Examples
    --------
    >>> import torch
    >>> with at_most(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    if n_threads >= before:
        yield
        return
    try:
        torch.set_num_threads(n_threads)
        # This has set it for threads of Python that begin from now on too: set it back for them.
        other = Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        other.join()
        yield
    finally:
        torch.set_num_threads(before)


def is_large(n_numbers: float) -> bool:
    """Tell whether two threads train faster than one; by sizes alone, so that fits repeat.

    Parameters
    ----------
    n_numbers : float
        Bonds of a batch, times features.
    """
    return n_numbers >= _FEWEST_NUMBERS
