"""Values as plain JSON and back: what a file from a stranger may hold."""

import re
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

# Types of arrays that are read: numbers, texts of some length, and mixtures of them.
_DTYPE = re.compile(r"[<>|=]?(bool|object|(u?int|float)\d{1,2}|[iufb]\d|U\d{0,4})")
_DEEPEST = 20
_MOST_CHARACTERS = 10_000_000


def to_plain(value: Any) -> Any:
    """Return a value as numbers, texts, lists and tagged dicts, as JSON has them.

    Parameters
    ----------
    value : None, bool, number, str, path, list, tuple, mapping or ndarray
        What to turn; the containers hold such values in turn.

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
        raise TypeError(f"a {type(value).__name__} is not a plain value")
    return plain


def from_plain(value: Any, depth: int = 0) -> Any:
    """Return what `to_plain` was given.

    Raises
    ------
    ValueError
        If `to_plain` does not write such values.
    """
    if depth > _DEEPEST:
        raise ValueError("values in values in values, too many times")
    if isinstance(value, list):
        return [from_plain(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"dtype": str(dtype), "values": list(items)} if len(value) == 2:
            return _array(dtype, from_plain(items, depth + 1))
        case {"tuple": list(items)} if len(value) == 1:
            return tuple(from_plain(items, depth + 1))
        case {"dict": list(items)} if len(value) == 1:
            return {_key(key): from_plain(item, depth + 1) for key, item in items}
    raise ValueError(f"unknown value with the keys {sorted(map(str, value))}")


def _array(dtype: str, items: list[Any]) -> np.ndarray:
    if not _DTYPE.fullmatch(dtype):
        raise ValueError(f"arrays of {dtype!r} are not read")
    if not all(item is None or isinstance(item, (bool, int, float, str)) for item in items):
        raise ValueError("an array holds more than numbers and texts")
    if "U" in dtype:
        texts = [item if isinstance(item, str) else str(item) for item in items]
        # All take the memory of the longest, whatever length the file claims.
        if len(texts) * max(map(len, texts), default=0) > _MOST_CHARACTERS:
            raise ValueError("an array holds too long texts")
        return np.array(texts, dtype=np.str_)
    return np.array(items, dtype=dtype)


def _key(key: Any) -> Any:
    if key is None or isinstance(key, (bool, int, float, str)):
        return key
    raise ValueError("a key is neither a number nor a text")
