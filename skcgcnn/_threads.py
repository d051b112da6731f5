"""How torch's threads wait for each other."""

import os
import sys

# Rounds that a thread of GNU's OpenMP waits busily before it sleeps. By default it waits for
# milliseconds, and where another process has the core, the one it waits for cannot go on meanwhile.
_SPINS = "1000"
# The same in milliseconds, for Intel's and LLVM's OpenMP.
_BLOCKTIME = "0"


def set_waiting() -> None:
    """Let torch's threads wait briefly, unless the environment says how, or torch is loaded.

    OpenMP reads the environment when it is loaded. Where torch came first, nothing changes.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    os.environ.setdefault("KMP_BLOCKTIME", _BLOCKTIME)
