"""How torch's threads wait for each other."""

import os
import sys

# Rounds that a thread of GNU's OpenMP waits busily before it sleeps. By default it waits for
# milliseconds, and where another process has the core, the one it waits for cannot go on meanwhile.
_SPINS = "1000"
# The same in milliseconds, for Intel's and LLVM's OpenMP.
_BLOCKTIME = "0"
_WORDS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def set_waiting() -> None:
    """Let torch's threads wait briefly, unless the environment says how, or torch is loaded.

    OpenMP reads the environment when it is loaded. Where torch came first, nothing changes, see
    `threads_wait_long`.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    os.environ.setdefault("KMP_BLOCKTIME", _BLOCKTIME)


def threads_wait_long() -> bool:
    """Tell whether torch's threads wait so long for each other that a busy core holds all up.

    Returns
    -------
    bool
        Whether nothing has said how they wait: torch was imported before this library.
    """
    return not any(word in os.environ for word in _WORDS)
