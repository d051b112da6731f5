"""Indices into packed arrays."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


def offsets_from_counts(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return where each crystal's sites begin, and where those of the last one end."""
    return np.concatenate([[0], np.cumsum(np.fromiter(counts, dtype=np.int64))]).astype(np.int64)


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
    return np.asarray(np.arange(counts.sum()) + np.repeat(shift, counts))


def count_type(max_num_nbr: int) -> npt.DTypeLike:
    """Return the type of `bond_counts`: a byte where that is enough."""
    return np.uint8 if max_num_nbr <= np.iinfo(np.uint8).max else np.int32


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
