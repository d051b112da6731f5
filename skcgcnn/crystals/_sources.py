"""What X may be: the containers of crystals, and what an element of one is called."""

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import repeated
from skcgcnn.crystals._carriers import is_crystal

ACCEPTED = (
    "a list, tuple, generator, 1-D or (n, 1) object array, pandas, polars or Arrow column or "
    "one-column frame of paths, pymatgen Structures or ASE Atoms, or CrystalGraphs"
)
# Endings of packed files.
PACKED = (".gz", ".bz2", ".xz")
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

    Raises
    ------
    TypeError
        If X is not such a container, or an element is of another kind.
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
                f"{_advice(source)}"
            )
    return sources


def told_units(frame: Any, name: str) -> dict[str, str]:
    """Return the units of the columns of a frame or series: those in its ``attrs["units"]``."""
    units = getattr(frame, "attrs", {}).get("units") or {}
    if not isinstance(units, Mapping):
        raise TypeError(
            f'{name}.attrs["units"] is {units!r}; expected a dictionary of units by the names of '
            "columns"
        )
    return {str(column): str(unit) for column, unit in units.items() if unit}


def split_numbers(
    X: Any, *, allow_missing: bool = False
) -> tuple[Any, npt.NDArray[np.float64], tuple[str, ...]]:
    """Split a frame into its column of crystals and its columns of numbers.

    Parameters
    ----------
    X : sequence
        See `list_sources`; or a pandas, polars or Arrow frame with one column of crystals and
        columns of numbers.
    allow_missing : bool, default=False
        Whether numbers may be missing.

    Returns
    -------
    X : sequence
        The crystals.
    numbers : ndarray of shape (n_crystals, n_columns)
        The columns of numbers, NaN where one is missing; none for anything but such a frame.
    names : tuple of str
        Their names.

    Raises
    ------
    TypeError
        If not just one of several columns can hold crystals.
    ValueError
        If a number is missing or not finite.
    """
    X = _as_frame(X)
    n_columns = _n_columns(X)
    if n_columns is None or n_columns < 2:
        return X, np.empty((0, 0)), ()
    names = _column_names(X)
    if twice := sorted(repeated(map(str, names))):  # 0 and "0" are one name
        raise ValueError(f"X has several columns with the name {', '.join(twice)}")
    columns = {str(name): _column(X, name) for name in names}
    numbers = {n: _numbers(n, values, allow_missing) for n, values in columns.items()}
    others = [name for name, values in numbers.items() if values is None]
    if not len(X):
        raise ValueError("X is a frame without rows; its columns of numbers cannot be told")
    if len(others) != 1:
        raise TypeError(
            f"X has the columns {', '.join(columns)}; expected one with crystals and numbers in "
            f"all others, but {', '.join(others) or 'none'} "
            f"{'are not numbers' if len(others) > 1 else 'holds crystals'}. Drop columns that are "
            "not to be learned from"
        )
    found = {name: values for name, values in numbers.items() if values is not None}
    return columns[others[0]], np.column_stack(list(found.values())), tuple(found)


def _as_frame(X: Any) -> Any:
    """Return an array with a column of crystals and columns of numbers as a frame."""
    if not isinstance(X, np.ndarray) or X.dtype != object or X.ndim != 2 or X.shape[1] < 2:
        return X
    if not any(isinstance(value, (Real, np.number)) for value in X[:1].flat):
        return X  # for example structures that NumPy took apart
    import pandas as pd

    return pd.DataFrame(X, columns=[f"column {place}" for place in range(X.shape[1])])


def _n_columns(X: Any) -> int | None:
    """Return the number of columns of a frame; None if it is none."""
    is_frame = hasattr(X, "columns") or hasattr(X, "column_names")
    shape: tuple[int, ...] = getattr(X, "shape", ())
    return int(shape[1]) if is_frame and len(shape) == 2 else None


def _column_names(X: Any) -> list[Any]:
    return list(X.column_names if hasattr(X, "column_names") else X.columns)


def _column(X: Any, name: Any) -> list[Any]:
    return _as_list(X.column(name) if hasattr(X, "column") else X[name])


def _as_list(column: Iterable[Any]) -> list[Any]:
    for method in ("to_pylist", "to_list"):  # of Arrow, and of pandas and polars
        if hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)


def _numbers(name: str, values: list[Any], allow_missing: bool) -> npt.NDArray[np.float64] | None:
    """Return a column as numbers; None if it does not hold numbers."""
    missing = [allow_missing and _is_missing(value) for value in values]
    known = [value for value, is_missing in zip(values, missing, strict=True) if not is_missing]
    # A crystal may be missing too; a column in which all are missing is one of numbers.
    if not any(isinstance(value, (Real, np.number)) for value in known) and not all(missing):
        return None
    for row, value in enumerate(values):
        is_number = isinstance(value, (Real, np.number)) and math.isfinite(value)
        if not (is_number or missing[row]):
            raise ValueError(f"X: column {name!r}, row {row}: {value!r} is not a finite number")
    numbers = [math.nan if missing[row] else value for row, value in enumerate(values)]
    return np.array(numbers, dtype=np.float64)


def _is_missing(value: Any) -> bool:
    """Tell whether it is None, NaN, or what pandas has for a missing number."""
    is_nan = isinstance(value, (Real, np.number)) and math.isnan(value)
    return is_nan or value is None or type(value).__name__ == "NAType"


def _elements(X: Any) -> list[Any]:
    if isinstance(X, np.ndarray):
        if X.ndim not in (1, 2) or (X.ndim == 2 and X.shape[1] != 1):
            raise ValueError(f"X has shape {X.shape}; expected {ACCEPTED}.{_hint(X)}")
        return list(X.reshape(len(X)))
    n_columns = _n_columns(X)
    if n_columns is not None:
        if n_columns != 1:
            raise ValueError(f"X has {n_columns} columns; expected {ACCEPTED}.")
        return _column(X, _column_names(X)[0])
    if isinstance(X, Iterable) and not isinstance(X, (Mapping, set, frozenset)):
        return _as_list(X)
    raise TypeError(f"X is of type {type(X).__name__}; expected {ACCEPTED}.")


def _hint(X: np.ndarray) -> str:
    first = X.flat[0] if X.size else None
    if type(first).__name__ in {"PeriodicSite", "Site", "Atom"}:
        return " NumPy takes structures apart into their sites; pass the list itself."
    return _advice(first)


def _advice(source: Any) -> str:
    """Return what to do about something that is not a crystal."""
    if isinstance(source, (Real, np.number)):
        return " Numbers tell no structure: pass the crystals that they describe."
    if type(source).__name__ in {"Molecule", "IMolecule"}:
        return " A molecule has no lattice: put it into one with get_boxed_structure(a, b, c)."
    return ""


def is_cif_text(source: Any) -> bool:
    """Tell whether a string is the text of a CIF, and not a path."""
    if not isinstance(source, str) or not ("\n" in source or "\r" in source):
        return False
    return any(word in source for word in _CIF_WORDS)


def is_text(source: Any) -> bool:
    """Tell whether a string is the text of a CIF, of JSON or of a POSCAR, and not a path."""
    return is_cif_text(source) or is_json_text(source) or is_poscar_text(source)


def is_json_text(source: Any) -> bool:
    """Tell whether a string is an object of JSON."""
    if not isinstance(source, str):
        return False
    text = source.strip()
    return text.startswith("{") and text.endswith("}") and '"' in text


def is_poscar_text(source: Any) -> bool:
    """Tell whether a string is the text of a POSCAR: a title, a scale, three vectors, and more."""
    if not isinstance(source, str) or source.count("\n") < 6:
        return False
    _, *lines = [line.split() for line in source.splitlines()[:5]]
    try:
        return all(
            len([float(word) for word in words]) in expected
            for words, expected in zip(lines, ((1, 3), (3,), (3,), (3,)), strict=True)
        )
    except ValueError:
        return False


def source_id(source: Any, position: int) -> str:
    """Return the id of a crystal: the stem of its file, else its position in X."""
    if not isinstance(source, (str, PathLike)) or is_text(source):
        return str(position)
    path = Path(source)
    return Path(path.stem).stem if path.suffix.lower() in PACKED else path.stem


def describe_source(source: Any, position: int) -> str:
    """Return how an error message names a crystal: its path, else its place in X."""
    if not isinstance(source, (str, PathLike)) or is_text(source):
        return f"X[{position}]"
    # One line, whatever the path holds.
    return repr(fspath(source))[1:-1] if not str(source).isprintable() else fspath(source)
