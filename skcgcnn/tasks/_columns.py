"""What is missing in a column, and what must not stand in one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import as_floats

FloatArray = npt.NDArray[np.float64]

# How large a number may be; its inverse is how small the largest of a column may be.
MOST = 1e100

# From here on, two whole numbers may be one float.
NOT_EXACT = 2**53

# Of a target, and of its unit: a model file holds no longer ones.
_LONGEST_NAME = 1_000


def without_mask(y: Any) -> Any:
    """Return y with NaN where a masked array hides a value: it is missing, whatever lies there."""
    if not np.ma.isMaskedArray(y):
        return y
    if not np.ma.is_masked(y):
        return y.data
    kind = y.dtype if np.issubdtype(y.dtype, np.floating) else object
    return np.ma.filled(y.astype(kind), np.nan)


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
    kind = np.float64 if fits_floats(labels) else object
    marked = labels.astype(kind)
    marked[missing] = np.nan
    return marked


def fits_floats(column: npt.NDArray[Any]) -> bool:
    """Tell whether a column holds numbers alone, and no two of them would become one float."""
    if not np.issubdtype(column.dtype, np.number):
        return False
    is_whole = np.issubdtype(column.dtype, np.integer)
    return not (is_whole and (np.abs(column.astype(np.float64)) >= NOT_EXACT).any())


def to_floats(values: npt.NDArray[Any], name: str, rows: npt.NDArray[np.int64]) -> FloatArray:
    """Return values as finite numbers that can be squared.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Values of any type.
    name : str
        Of their column.
    rows : ndarray of shape (n,)
        Where they stand in it.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If they are not such numbers.
    """
    try:
        numbers = as_floats(values)
    except ValueError as error:
        raise ValueError(
            f"column {name!r} of y is a regression target: {error}. Its kind is that of its place "
            "in tasks"
        ) from error
    sizes, finite = np.abs(numbers), np.isfinite(numbers)
    if not finite.all():
        place = np.argmin(finite)
        raise ValueError(
            f"column {name!r} of y holds {values[place]}, which is not a finite number, first in "
            f"row {rows[place]}"
        )
    largest = sizes.max(initial=0.0)
    if largest > MOST or 0 < largest < 1 / MOST:
        raise ValueError(
            f"column {name!r} of y: its largest number, {numbers[sizes.argmax()]:g} in row "
            f"{rows[sizes.argmax()]}, is outside of {1 / MOST:g} to {MOST:g}, whose squares are no "
            "numbers any more; give y in another unit"
        )
    return numbers


def refuse_infinite(values: FloatArray, what: str) -> None:
    """Refuse predictions that are infinite; NaN is what could not be read."""
    if (infinite := np.isinf(values)).any():
        raise ValueError(
            f"the {what} for crystal {int(infinite.argmax())} is infinite: weights or scales of "
            "the model are too large, or the crystal is far from those of the fit"
        )


def check_length(name: str) -> None:
    """Refuse the name of a target, or its unit, that is too long for a model file."""
    if len(name) > _LONGEST_NAME:
        raise ValueError(
            f"a target has a name or unit of more than {_LONGEST_NAME:,} characters: "
            f"{name[:50]!r}; use a shorter one"
        )


def checked_groups(groups: Any, n_crystals: int) -> npt.NDArray[Any]:
    """Return groups as an array; refuse what would split crystals in another way than is meant.

    Parameters
    ----------
    groups : array-like of shape (n_crystals,)
    n_crystals : int

    Returns
    -------
    ndarray of shape (n_crystals,)

    Raises
    ------
    ValueError
        If there are more or fewer, they cannot be compared, or one is missing: all without one
        would be one group.
    """
    names = np.asarray(without_mask(groups))
    if names.shape != (n_crystals,):
        raise ValueError(f"groups has shape {names.shape}; expected ({n_crystals},)")
    if (missing := is_missing(names)).any():
        raise ValueError(
            f"{missing.sum()} of {n_crystals} groups are missing, the first in row "
            f"{int(missing.argmax())}; give such a crystal a group of its own"
        )
    try:
        np.unique(names)
    except TypeError as error:
        raise ValueError(f"groups are of types that cannot be compared ({error})") from error
    return names
