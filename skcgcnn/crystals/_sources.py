"""What X may be: the containers of crystals, and what an element of one is called."""

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from skcgcnn.crystals._carriers import is_crystal

ACCEPTED = (
    "a list, tuple, generator, 1-D or (n, 1) object array, pandas, polars or Arrow column or "
    "one-column frame of paths, pymatgen Structures or ASE Atoms, or CrystalGraphs"
)
# Text of a CIF, and no path: it has lines, and one of these.
_CIF_WORDS = ("_cell_length_a", "data_", "loop_")


def list_sources(X: Any, *, check: bool = True) -> list[Any]:
    """Return the crystals of X as a list.

    Parameters
    ----------
    X : sequence
        See the user guide: a list, tuple, generator, 1-D or (n, 1) object array, pandas, polars
        or Arrow column, or a frame with one column.
    check : bool, default=True
        Whether to refuse elements that can be no crystal; otherwise they fail when they are read.

    Returns
    -------
    list

    Raises
    ------
    TypeError
        If X is no such container, or an element is none of the accepted kinds.
    ValueError
        If X has more than one column.
    """
    if isinstance(X, (str, PathLike, bytes)):
        raise TypeError(
            f"X is the single path {X!r}; expected {ACCEPTED}. "
            "For one crystal pass [path]; for a folder pass sorted(Path(folder).glob('*.cif'))."
        )
    if is_crystal(X):
        raise TypeError(f"X is a single {type(X).__name__}; for one crystal pass [crystal].")
    sources = _elements(X)
    for position, source in enumerate(sources if check else []):
        if not (isinstance(source, (str, PathLike)) or is_crystal(source)):
            raise TypeError(
                f"X[{position}] is of type {type(source).__name__}; expected {ACCEPTED}."
            )
    return sources


def _elements(X: Any) -> list[Any]:
    if isinstance(X, np.ndarray):
        if X.ndim not in (1, 2) or (X.ndim == 2 and X.shape[1] != 1):
            raise ValueError(f"X has shape {X.shape}; expected {ACCEPTED}.{_hint(X)}")
        return list(X.reshape(len(X)))
    n_columns = getattr(X, "shape", (0,))[1:]
    if n_columns and (hasattr(X, "columns") or hasattr(X, "column_names")):
        if n_columns != (1,):
            raise ValueError(f"X has {n_columns[0]} columns; expected {ACCEPTED}.")
        X = X.column(0) if hasattr(X, "column_names") else X[X.columns[0]]
    for method in ("to_pylist", "to_list"):  # of Arrow, and of pandas and polars
        if hasattr(X, method):
            return list(getattr(X, method)())
    if isinstance(X, Iterable) and not isinstance(X, (Mapping, set, frozenset)):
        return list(X)
    raise TypeError(f"X is of type {type(X).__name__}; expected {ACCEPTED}.")


def _hint(X: np.ndarray) -> str:
    first = X.flat[0] if X.size else None
    if type(first).__name__ in {"PeriodicSite", "Site", "Atom"}:
        return " NumPy takes structures apart into their sites; pass the list itself."
    return ""


def is_cif_text(source: Any) -> bool:
    """Tell whether a string is the text of a CIF, and not a path."""
    return isinstance(source, str) and "\n" in source and any(w in source for w in _CIF_WORDS)


def source_id(source: Any, position: int) -> str:
    """Return the id of a crystal: the stem of its file, else its position in X."""
    if not isinstance(source, (str, PathLike)) or is_cif_text(source):
        return str(position)
    path = Path(source)
    return Path(path.stem).stem if path.suffix == ".gz" else path.stem


def describe_source(source: Any, position: int) -> str:
    """Return how an error message names a crystal: its path, else its place in X."""
    if not isinstance(source, (str, PathLike)) or is_cif_text(source):
        return f"X[{position}]"
    # One line, whatever the path holds.
    return repr(fspath(source))[1:-1] if not str(source).isprintable() else fspath(source)
