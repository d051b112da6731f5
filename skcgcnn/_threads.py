"""How many threads torch uses, and how they wait for each other."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

# Rounds that a thread of GNU's OpenMP waits busily before it sleeps. By default it waits for
# milliseconds, and where another process has the core, the one it waits for cannot go on meanwhile.
_SPINS = "500"
# The same in milliseconds, for Intel's and LLVM's OpenMP.
_BLOCKTIME = "0"

# Numbers in an array that are too few for two threads: waiting takes what they gain.
_FEW = 1 << 16


def set_waiting() -> None:
    """Let torch's threads wait briefly, unless the environment says how, or torch is loaded.

    OpenMP reads the environment when it is loaded. Where torch came first, nothing changes.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    os.environ.setdefault("KMP_BLOCKTIME", _BLOCKTIME)


@contextmanager
def threads_for(size: int) -> Generator[None]:
    """Let torch use one thread for little work.

    It depends on the work alone, not on the machine, so that results can be repeated.

    Parameters
    ----------
    size : int
        Numbers in the largest array.
    """
    import torch

    n_threads = torch.get_num_threads()
    if n_threads == 1 or size >= _FEW:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
