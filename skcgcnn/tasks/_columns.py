"""What is missing in a column, and what must not stand in one."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def is_missing(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where a column holds None or NaN."""
    if np.issubdtype(column.dtype, np.floating):
        return np.asarray(np.isnan(column))
    return np.array([_is_missing(value) for value in column], dtype=bool)


def _is_missing(value: Any) -> bool:
    try:
        # NaN is what does not equal itself.
        return value is None or bool(value != value)  # noqa: PLR0124
    except TypeError:
        return True  # the NA of pandas, which is neither


def mark_missing(labels: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Set missing labels to NaN; only then do numbers become floats, and other labels objects."""
    if not missing.any():
        return labels
    kind = np.float64 if np.issubdtype(labels.dtype, np.number) else object
    marked = labels.astype(kind)
    marked[missing] = np.nan
    return marked


def to_floats(values: npt.NDArray[Any], name: str) -> FloatArray:
    """Return values as finite numbers.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Values of any type.
    name : str
        Of their column.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If they are none.
    """
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} of y is a regression target: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"column {name!r} of y holds infinity")
    return numbers
