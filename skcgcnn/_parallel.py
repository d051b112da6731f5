"""Workers of joblib whose results come as they are done, and which end with their parent."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import current_process
from typing import Any

from joblib import Parallel, delayed

# In seconds: how long workers may outlive their parent.
_PATIENCE = 1.0

_watched = set[int]()


def streaming_parallel(n_jobs: int | None, *, ordered: bool = True) -> Parallel:
    """Return joblib's workers; results come one by one where the backend can do that.

    Parameters
    ----------
    n_jobs : int or None
        Number of workers, see joblib.
    ordered : bool, default=True
        Whether results come in the order of their tasks.
    """
    return_as = "generator" if ordered else "generator_unordered"
    # A worker that has no task yet looks for its parent too.
    early: dict[str, Any] = {"initializer": _look_for, "initargs": (os.getpid(),)}
    for options in ({"return_as": return_as, **early}, {"return_as": return_as}):
        # In order: joblib before 1.5; a backend without generators, such as Ray's.
        with suppress(TypeError, ValueError):
            return Parallel(n_jobs=n_jobs, **options)
    return Parallel(n_jobs=n_jobs)


def task(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `delayed` of joblib, for workers that end with this process.

    Workers of joblib wait for ever for a parent that was killed.
    """
    made: Callable[..., Any] = delayed(partial(_run, os.getpid(), function))
    return made


def _run(parent: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    _look_for(parent)
    return function(*args, **kwargs)


def _look_for(parent: int) -> None:
    """End this process soon after its parent, which may have ended already."""
    # Joblib's own processes alone; not the parent, nor its threads, and no worker of a cluster.
    of_joblib = os.getppid() == parent or "loky" in type(current_process()).__module__
    if os.getpid() == parent or not of_joblib:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PATIENCE)
        os._exit(1)

    if parent not in _watched and hasattr(os, "fork"):  # Windows does not tell who was adopted
        _watched.add(parent)
        threading.Thread(target=watch, daemon=True).start()
