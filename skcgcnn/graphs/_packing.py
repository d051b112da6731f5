"""Indices into packed arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_OWNERS_AT_ONCE = 20_000


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
    counts = offsets[chosen + 1] - offsets[chosen]
    shift = offsets[chosen] - (np.cumsum(counts) - counts)
    index = np.repeat(shift, counts)
    index += np.arange(len(index))  # in place: there may be many
    return index


def take_members(
    arrays: Sequence[npt.NDArray[Any]],
    offsets: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
) -> list[npt.NDArray[Any]]:
    """Return what arrays hold of the members of the chosen owners, owner after owner.

    Parameters
    ----------
    arrays : sequence of ndarray of shape (n_members,)
        The arrays.
    offsets : ndarray of shape (n_owners + 1,)
        Owner i has the members ``offsets[i]:offsets[i + 1]``.
    chosen : ndarray of shape (n_chosen,)
        Indices of owners.

    Returns
    -------
    list of ndarray of shape (n_chosen_members,)

    Examples
    --------
    >>> take_members([np.array([7, 7, 8, 8, 8, 9])], np.array([0, 2, 5, 6]), np.array([2, 0]))
    [array([9, 7, 7])]
    """
    ends = offsets_from_counts(offsets[chosen + 1] - offsets[chosen])
    taken = [np.empty(ends[-1], array.dtype) for array in arrays]
    # Indices take more memory than what they select: some at a time.
    for start in range(0, len(chosen), _OWNERS_AT_ONCE):
        some = chosen[start : start + _OWNERS_AT_ONCE]
        members = member_index(offsets, some)
        places = slice(ends[start], ends[start] + len(members))
        for array, out in zip(arrays, taken, strict=True):
            out[places] = array[members]
    return taken


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
