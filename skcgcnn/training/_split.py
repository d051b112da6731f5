"""Split rows into training, validation and test, with groups kept together."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from skcgcnn.exceptions import DataError
from skcgcnn.model_selection import TaskStratifiedKFold

Rows = npt.NDArray[np.int64]
_PARTS = ("train", "val", "test")


def split_rows(
    rows: Rows,
    ratios: dict[str, float],
    *,
    labels: npt.NDArray[np.str_] | None = None,
    groups: npt.NDArray[Any] | None = None,
    seed: int = 0,
    grouped_by: str = "groups.csv",
) -> dict[str, Rows]:
    """Split rows at random.

    Parameters
    ----------
    rows : ndarray of int of shape (n_rows,)
        What to split.
    ratios : dict of str to float
        Shares of "train", "val" and "test".
    labels : ndarray of str, optional
        Label of each row; every part gets them in the same shares if possible.
    groups : ndarray, optional
        Group of each row. Rows of a group stay in one part, so that parts only have about the
        sizes in `ratios`.
    seed : int, default=0
        Decides the split.
    grouped_by : str, default="groups.csv"
        What made the groups; messages name it.

    Returns
    -------
    dict of str to ndarray of int
        The rows of each part.

    Raises
    ------
    DataError
        If the ratios make no sense, or there are too few rows or groups.

    Examples
    --------
    >>> import numpy as np
    >>> groups = np.array(["a", "a", "b", "b", "c", "c"])
    >>> ratios = {"train": 0.4, "val": 0.3, "test": 0.3}
    >>> parts = split_rows(np.arange(6), ratios, groups=groups)
    >>> sorted(groups[part].tolist() for part in parts.values())
    [['a', 'a'], ['b', 'b'], ['c', 'c']]
    """
    if ratios["train"] <= 0 or min(ratios.values()) < 0 or sum(ratios.values()) > 1 + 1e-9:
        raise DataError(
            "--train-ratio must be above 0, --val-ratio and --test-ratio 0 or more, and all sum to "
            f"1 at most, but they are {', '.join(f'{ratios[p]:g}' for p in _PARTS)}"
        )
    # A part that is asked for has one crystal at least.
    sizes = {p: max(int(ratios[p] > 0), round(ratios[p] * len(rows))) for p in _PARTS[1:]}
    sizes["train"] = len(rows) - sizes["val"] - sizes["test"]
    uses_all = sum(ratios.values()) > 1 - 1e-9
    if not uses_all:
        sizes["train"] = min(sizes["train"], max(1, round(ratios["train"] * len(rows))))
    n_parts = sum(ratio > 0 for ratio in ratios.values())
    _check_enough(rows, groups, sizes["train"], n_parts, grouped_by)
    parts = {}
    for part in _PARTS[::-1]:
        if not sizes[part]:
            parts[part] = rows[:0]
            continue
        if sizes[part] == len(rows) or (part == "train" and uses_all):
            parts[part] = rows
            break
        if groups is None:
            rest, parts[part] = train_test_split(
                rows,
                test_size=sizes[part],
                random_state=seed,
                stratify=_stratify(rows, labels, sizes[part]),
            )
        else:
            rest, parts[part] = _split_groups(rows, labels, groups, sizes[part], seed)
        rows = rest
    return parts


def _check_enough(
    rows: Rows, groups: npt.NDArray[Any] | None, n_train: int, n_parts: int, grouped_by: str
) -> None:
    what = ("train", "train and validate or test", "train, validate and test")[n_parts - 1]
    if n_train < 1:
        raise DataError(
            f"{len(rows)} crystals are too few to {what}; at least {n_parts} are needed"
        )
    if groups is not None and (n_groups := len(np.unique(groups[rows]))) < n_parts:
        raise DataError(
            f"{grouped_by} puts the crystals into {n_groups} group(s), which stay together; to "
            f"{what} at least {n_parts} are needed"
        )


def _stratify(
    rows: Rows, labels: npt.NDArray[np.str_] | None, size: int
) -> npt.NDArray[np.str_] | None:
    if labels is None:
        return None
    counts = np.unique(labels[rows], return_counts=True)[1]
    # scikit-learn refuses where a class cannot be on both sides.
    if counts.min() < 2 or len(counts) > min(size, len(rows) - size):
        return None
    return labels[rows]


def _split_groups(
    rows: Rows,
    labels: npt.NDArray[np.str_] | None,
    groups: npt.NDArray[Any],
    size: int,
    seed: int,
) -> tuple[Rows, Rows]:
    """Return the rest, and a part of about `size` rows: one of so many folds."""
    smaller = min(size, len(rows) - size)
    n_groups = len(np.unique(groups[rows]))
    n_folds = min(max(2, round(len(rows) / max(1, smaller))), n_groups)
    column = np.zeros(len(rows)) if labels is None else labels[rows]
    # Labels that are too rare for all folds cannot be stratified.
    if np.unique(column, return_counts=True)[1].min() < n_folds:
        column = np.zeros(len(rows))
    folds = TaskStratifiedKFold(n_folds, shuffle=True, random_state=seed)
    others, fold = next(folds.split(rows, column[:, np.newaxis], groups[rows]))
    if size != smaller:
        others, fold = fold, others
    return rows[others], rows[fold]
