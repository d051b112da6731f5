"""Numbers that people and programs write as text: the one place that reads them."""

import math
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

_MINUS = str.maketrans("\u2212\u2013", "--")  # the minus sign and the dash of word processors
# What `float` takes all the same.
_NO_NUMBERS = (bytes, bytearray, np.complexfloating, np.datetime64, np.timedelta64)


def with_minus(text: str) -> str:
    """Return a text with the minus signs of word processors as those of programs."""
    return text.translate(_MINUS)


def read_float(text: str) -> float | None:
    """Return the number that a text holds, if any; it may be infinite or NaN.

    Python reads ``1_0`` as 10; here it is a name.

    Parameters
    ----------
    text : str
        A cell of a table, or a value of a column.

    Examples
    --------
    >>> read_float("1e1"), read_float("1_0")
    (10.0, None)
    """
    try:
        return float(with_minus(text).replace("_", "x"))
    except ValueError:
        return None


def as_floats(values: Any) -> npt.NDArray[np.float64]:
    """Return numbers of any type as floats; None and what is masked become NaN.

    NumPy would take ``1_0`` for 10, dates for nanoseconds, and the real part of complex numbers.

    Parameters
    ----------
    values : array-like
        Numbers, or texts that hold numbers.

    Returns
    -------
    ndarray of the same shape, float64

    Raises
    ------
    ValueError
        If one is not a number. The message names it.

    Examples
    --------
    >>> as_floats(["1", 2, None])
    array([ 1.,  2., nan])
    """
    if isinstance(values, (list, tuple)) and set(map(type, values)) <= {int, float}:
        # NumPy would look for a mask of each number, which takes a hundred times as long.
        with suppress(OverflowError):
            return np.array(values, dtype=np.float64)
    array = np.ma.asanyarray(values)
    kind = array.dtype.kind
    if kind in "biuf":
        return np.asarray(array.astype(np.float64).filled(np.nan))
    if kind not in "OUTS":
        raise ValueError(f"values of type {array.dtype} are not numbers")
    objects = np.ma.getdata(array).astype(object)
    objects[np.ma.getmaskarray(array)] = None
    numbers = [_as_float(value) for value in objects.ravel()]
    return np.array(numbers, dtype=np.float64).reshape(array.shape)


def _as_float(value: Any) -> float:
    if value is None or type(value).__name__ == "NAType":  # of pandas
        return math.nan
    number = None
    if isinstance(value, str):
        number = read_float(value)
    elif not isinstance(value, _NO_NUMBERS):
        with suppress(TypeError, ValueError, OverflowError):
            number = float(value)
    if number is None:
        raise ValueError(f"{value!r} is not a number")
    return number


def bin_edges(
    values: npt.NDArray[np.float64], n_bins: int, *, same: float = 1e-13
) -> npt.NDArray[np.float64]:
    """Return the edges of a histogram, also of numbers that are all the same.

    Parameters
    ----------
    values : ndarray
        Finite; none of them is fine, too.
    n_bins : int
    same : float, default=1e-13
        Relatively, what counts as the same. Such numbers have a bar of a width of its own.

    Examples
    --------
    >>> import numpy as np
    >>> bin_edges(np.array([1e16, 1e16 + 2]), 2).tolist()
    [8000000000000000.0, 1e+16, 1.2000000000000002e+16]
    """
    if not len(values):
        return np.linspace(0.0, 1.0, n_bins + 1)
    # By halves, which are finite.
    low, high = values.min() / 2, values.max() / 2
    room = (0.2 * abs(high) or 0.5) if high - low <= same * abs(high) else 0.0
    halves = np.linspace(low - room, high + room, n_bins + 1)
    most = np.finfo(np.float64).max / 2
    edges = 2 * np.clip(halves, -most, most)
    # The smallest numbers have no halves.
    edges[0], edges[-1] = min(edges[0], values.min()), max(edges[-1], values.max())
    return edges
