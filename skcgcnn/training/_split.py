"""Split rows into training, validation and test, with groups kept together."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.exceptions import DataError
from skcgcnn.model_selection import TaskStratifiedKFold
from skcgcnn.tasks import split_at_random

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
            own = None if labels is None else labels[rows]
            rest, parts[part] = split_at_random(rows, sizes[part], seed, own)
        else:
            rest, parts[part] = _split_groups(rows, labels, groups, sizes[part], seed)
        rows = rest
    return parts


def check_enough(
    rows: Rows, groups: npt.NDArray[np.str_] | None, n_needed: int, what_for: str, grouped_by: str
) -> None:
    """Refuse fewer crystals, or groups of them, than are needed.

    Raises
    ------
    DataError
        If there are fewer.
    """
    n_possible = len(rows) if groups is None else len(np.unique(groups[rows]))
    if n_possible < n_needed:
        what = "crystals" if groups is None else f"groups ({grouped_by})"
        raise DataError(
            f"{what_for}: at least {n_needed} {what} are needed, but there are {n_possible}"
        )


def fold_rows(
    rows: Rows,
    n_folds: int,
    val_ratio: float,
    *,
    labels: npt.NDArray[np.str_] | None = None,
    groups: npt.NDArray[np.str_] | None = None,
    seed: int = 0,
    grouped_by: str = "groups.csv",
) -> list[dict[str, Rows]]:
    """Return the parts of each fold of a cross-validation, which tests every row once.

    Parameters
    ----------
    rows, labels, groups, seed, grouped_by
        See `split_rows`.
    n_folds : int
        Number of folds.
    val_ratio : float
        Share of the rows outside of a fold that its network is validated by.

    Returns
    -------
    list of dict of str to ndarray of int
        "train", "val" and "test" of each.

    Raises
    ------
    DataError
        If there are too few rows or groups.

    Examples
    --------
    >>> import numpy as np
    >>> folds = fold_rows(np.arange(6), 3, 0.25)
    >>> [len(fold["train"]) for fold in folds]
    [3, 3, 3]
    """
    check_enough(rows, groups, n_folds, f"--folds {n_folds}", grouped_by)
    column = _stratified(rows, labels, n_folds)
    folds = TaskStratifiedKFold(n_folds, shuffle=True, random_state=seed)
    own = None if groups is None else groups[rows]
    found = []
    for others, fold in folds.split(rows, column[:, np.newaxis], own):
        ratios = {"train": 1 - val_ratio, "val": val_ratio, "test": 0.0}
        parts = split_rows(
            rows[others], ratios, labels=labels, groups=groups, seed=seed, grouped_by=grouped_by
        )
        found.append({**parts, "test": np.sort(rows[fold])})
    return found


def _stratified(rows: Rows, labels: npt.NDArray[np.str_] | None, n_folds: int) -> npt.NDArray[Any]:
    """Return what folds are stratified by: nothing, where labels are too rare for all of them."""
    column = np.zeros(len(rows)) if labels is None else labels[rows]
    rare = np.unique(column, return_counts=True)[1].min() < n_folds
    return np.zeros(len(rows)) if rare else column


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
    column = _stratified(rows, labels, n_folds)
    folds = TaskStratifiedKFold(n_folds, shuffle=True, random_state=seed)
    others, fold = next(folds.split(rows, column[:, np.newaxis], groups[rows]))
    if size != smaller:
        others, fold = fold, others
    return rows[others], rows[fold]
