"""JSON that says one thing: no name twice, and no number beyond all bounds."""

import json
import math
from collections import Counter
from typing import Any


def load_json(text: str) -> Any:
    """Return what a text of JSON holds.

    Python would take the last of several values with one name, and infinity for 1e999. NaN, as
    Python and pandas write it, stays: it stands for what is missing.

    Raises
    ------
    ValueError
        If it is not well formed, an object has a name twice, or a number is not finite.
    RecursionError
        If it is nested too deep.

    Examples
    --------
    >>> load_json('{"gap": 1.5}')
    {'gap': 1.5}
    """
    return json.loads(
        text,
        parse_float=_finite,
        parse_int=_whole,
        parse_constant=_finite,
        object_pairs_hook=_without_repeats,
    )


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:50]} is not finite")
    return value


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = Counter(names).most_common(1)[0][0]
        raise ValueError(f"the name {twice[:50]!r} comes twice in an object")
    return found
