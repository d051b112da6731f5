"""Values as plain JSON and back: what a file from a stranger may hold."""

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np


def to_plain(value: Any) -> Any:
    """Return a value as numbers, texts, lists and tagged dicts, as JSON has them.

    Parameters
    ----------
    value : None, bool, number, str, path, list, tuple, mapping or ndarray
        What to turn; the containers hold such values in turn.

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    TypeError
        If the value is of another type.

    Examples
    --------
    >>> to_plain({0: (1, 2)})
    {'dict': [[0, {'tuple': [1, 2]}]]}
    >>> from_plain(to_plain({0: (1, 2)}))
    {0: (1, 2)}
    """
    plain: Any
    if isinstance(value, np.generic):
        plain = value.item()
    elif value is None or isinstance(value, (bool, int, float, str)):
        plain = value
    elif isinstance(value, PathLike):
        plain = str(fspath(value))
    elif isinstance(value, np.ndarray):
        plain = {"dtype": str(value.dtype), "values": [to_plain(item) for item in value.tolist()]}
    elif isinstance(value, tuple):
        plain = {"tuple": [to_plain(item) for item in value]}
    elif isinstance(value, list):
        plain = [to_plain(item) for item in value]
    elif isinstance(value, Mapping):
        # JSON's keys are texts; those of class weights or elements may be numbers.
        plain = {"dict": [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    else:
        raise TypeError(f"a {type(value).__name__} is no plain value")
    return plain


def from_plain(value: Any) -> Any:
    """Return what `to_plain` was given.

    Raises
    ------
    ValueError
        If `to_plain` does not write such values.
    """
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"dtype": str(dtype), "values": list(items)}:
            return np.array(from_plain(items), dtype=dtype)
        case {"tuple": list(items)}:
            return tuple(from_plain(items))
        case {"dict": list(items)}:
            return {from_plain(key): from_plain(item) for key, item in items}
    raise ValueError(f"unknown value with the keys {sorted(map(str, value))}")
