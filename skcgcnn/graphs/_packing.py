"""Indices into packed arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_NUMBERS_AT_ONCE = 1_000_000


def offsets_from_counts(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return where the members of each owner begin, and where those of the last one end.

    Parameters
    ----------
    counts : array-like of shape (n_owners,)
        Number of members of each owner.

    Returns
    -------
    ndarray of shape (n_owners + 1,), int64
    """
    counts = np.asarray(counts)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def member_index(
    offsets: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the indices of all members of the chosen owners, owner after owner.

    Parameters
    ----------
    offsets : ndarray of shape (n_owners + 1,)
        Owner i has the members ``offsets[i]:offsets[i + 1]``.
    chosen : ndarray of shape (n_chosen,)
        Indices of owners.

    Returns
    -------
    ndarray of shape (n_chosen_members,), int64

    Examples
    --------
    >>> member_index(np.array([0, 2, 5, 6]), np.array([1, 0])).tolist()
    [2, 3, 4, 0, 1]
    """
    return consecutive(offsets[chosen], offsets[chosen + 1])


def consecutive(
    starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the numbers of several ranges, range after range.

    Parameters
    ----------
    starts, stops : ndarray of shape (n_ranges,)
        Where they begin, and before which number they end.

    Returns
    -------
    ndarray of shape (n_numbers,), int64
    """
    counts = stops - starts
    index = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    index += np.arange(len(index))  # in place: there may be many
    return index


def sum_members(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum of integers over the members of each owner.

    Parameters
    ----------
    values : ndarray of shape (n_members,)
        The numbers.
    offsets : ndarray of shape (n_owners + 1,)
        Owner i has the members ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    ndarray of shape (n_owners,), int64

    Examples
    --------
    >>> sum_members(np.array([1, 2, 3]), np.array([0, 2, 2, 3])).tolist()
    [3, 0, 3]
    """
    sums = np.zeros(len(offsets) - 1, dtype=np.int64)
    filled = offsets[1:] > offsets[:-1]
    if filled.any():
        sums[filled] = np.add.reduceat(values, offsets[:-1][filled], dtype=np.int64)
    return sums


def count_by_kind(
    kinds: npt.NDArray[Any], counts: npt.NDArray[Any], n_kinds: int
) -> npt.NDArray[np.int64]:
    """Return how many there are of each kind; the arrays may be larger than memory.

    Parameters
    ----------
    kinds, counts : ndarray of shape (n,)
        Kinds, and how many of them there are.
    n_kinds : int
        Number of kinds.

    Returns
    -------
    ndarray of shape (n_kinds,), int64
    """
    total = np.zeros(n_kinds, dtype=np.int64)
    for start in range(0, len(kinds), _NUMBERS_AT_ONCE):
        some = slice(start, start + _NUMBERS_AT_ONCE)
        found = np.bincount(kinds[some], counts[some], n_kinds)
        total += found.astype(np.int64)
    return total


def small_integer(largest: int) -> npt.DTypeLike:
    """Return the type of numbers from 0 to the largest: a byte where that is enough."""
    return np.uint8 if largest <= np.iinfo(np.uint8).max else np.int32


def distinct_rows(
    rows: Sequence[npt.NDArray[np.float32]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return the distinct rows in order of their first appearance, and which each row is.

    It is the one rule for kinds of site, so that graphs do not depend on how they were put
    together: sites with the same features are of one kind.

    Parameters
    ----------
    rows : sequence of ndarray of shape (n_features,)
        The features.

    Returns
    -------
    distinct : ndarray of shape (n_distinct, n_features), float32
    which : ndarray of shape (n_rows,), int32
    """
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(np.asarray(row).tobytes(), len(numbers)) for row in rows]
    distinct = np.array([np.frombuffer(row, dtype=np.float32) for row in numbers], dtype=np.float32)
    return distinct, np.array(which, dtype=np.int32)


def distinct_numbers(values: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return numbers from 0 for values, in the order of their first appearance.

    Parameters
    ----------
    values : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,), int64

    Examples
    --------
    >>> distinct_numbers(np.array([7, 3, 7])).tolist()
    [0, 1, 0]
    """
    _, firsts, which = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(firsts), dtype=np.int64)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    return np.asarray(rank[which])
