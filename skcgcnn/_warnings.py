"""Warnings: ours, which point to the line of the user, and those of readers of crystals."""

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Where warnings about files come from, or what calls it; functools of what is computed once.
_READERS = r"(pymatgen|monty|ase|spglib|numpy|skcgcnn|functools)(\.|$)"
_one_thread = threading.RLock()
if hasattr(os, "register_at_fork"):  # another thread's lock would never open there
    os.register_at_fork(after_in_child=_one_thread._at_fork_reinit)  # type: ignore[attr-defined]
# What was said once, and where.
_said = set[tuple[str, str, int]]()


def warn_caller(message: str, category: type[Warning] = UserWarning, *, once: bool = False) -> None:
    """Warn, as of the nearest line outside of this library, scikit-learn, skorch and joblib.

    Contexts of ours are left by `contextlib`.

    Parameters
    ----------
    message : str
        What to say.
    category : type of Warning, default=UserWarning
    once : bool, default=False
        Whether to say it once for a line. Filters of Python's do that too, but forget it when
        others change them, as fits do.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    place = (message, frame.f_code.co_filename, frame.f_lineno)
    if once and place in _said:
        return
    if once:
        _said.add(place)
    warnings.warn(message, category, stacklevel=level)


def warn_of_other_rows(X: Any, **others: Any) -> None:
    """Tell of pandas objects with labels of X in another order: rows are taken by their places.

    Of folds, labels are those of X in part. Whole numbers may be those of rows, counted anew.
    """
    for name, other in others.items():
        if not (hasattr(X, "iloc") and hasattr(other, "iloc")) or X.index.equals(other.index):
            continue
        if not X.index.is_unique:  # which row a label means is not clear
            continue
        places = X.index.get_indexer(other.index)
        is_moved = any(place not in (-1, row) for row, place in enumerate(places))
        is_same = set(X.index) == set(other.index)
        if is_moved and (is_same or X.index.inferred_type != "integer"):
            warn_caller(
                f"the index of {name} is that of X in another order; rows are taken by their "
                f"places, not by their labels. If that is not meant, pass {name}.loc[X.index]"
            )


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """List what readers of crystals warn of in this thread; those of other threads are shown.

    Filters are those of the process, so that one thread reads at a time.
    """
    own, caught, is_open = threading.get_ident(), list[str](), True
    with _one_thread, warnings.catch_warnings():
        show = warnings.showwarning

        def keep(message: Warning | str, *args: Any, **kwargs: Any) -> None:
            if is_open and threading.get_ident() == own:
                caught.append(str(message))
            else:
                show(message, *args, **kwargs)

        warnings.showwarning = keep
        warnings.filterwarnings("always", module=_READERS)
        try:
            yield caught
        finally:
            is_open = False  # another thread that ends its own context may bring it back


@contextmanager
def ignored_warnings(begin: str = "") -> Iterator[None]:
    """Ignore what readers of crystals warn of, all or what begins so."""
    with _one_thread, warnings.catch_warnings():
        warnings.filterwarnings("ignore", begin, module=_READERS)
        yield


def is_called_by(module: str) -> bool:
    """Tell whether a module, or one in it, is among the callers."""
    frame = sys._getframe(1).f_back
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == module or name.startswith(f"{module}."):
            return True
        frame = frame.f_back
    return False


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in {"skcgcnn", "sklearn", "skorch", "joblib", "contextlib"}


@contextmanager
def said_once() -> Iterator[None]:
    """Show each warning once, however many fits give it."""
    with warnings.catch_warnings():
        show, said = warnings.showwarning, set[tuple[str, type[Warning]]]()

        def show_new(
            message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any
        ) -> None:
            if (str(message), category) not in said:
                said.add((str(message), category))
                show(message, category, *args, **kwargs)

        warnings.showwarning = show_new
        yield
