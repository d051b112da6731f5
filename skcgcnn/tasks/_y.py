"""The columns of y: their types and their names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from skcgcnn._text import repeated
from skcgcnn.tasks._columns import fits_floats, without_mask
from skcgcnn.tasks._task import Task


def split_columns(y: Any) -> list[npt.NDArray[Any]]:
    """Return the columns of an array, a DataFrame or a list of rows, each with its own type."""
    if hasattr(y, "iloc"):
        return (
            [y.iloc[:, i].to_numpy() for i in range(y.shape[1])] if y.ndim > 1 else [y.to_numpy()]
        )
    y = without_mask(y)
    # From a list of rows NumPy would make one type for all, and so texts of the numbers.
    values = np.asarray(y, dtype=None if isinstance(y, np.ndarray) else object)
    if values.ndim not in (1, 2):
        raise ValueError(f"y has {values.ndim} dimensions; expected one row of targets per crystal")
    return list(values.T) if values.ndim == 2 else [values]


def split_at_random(
    rows: npt.NDArray[np.int64], size: int, seed: int, labels: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the other rows and some at random, stratified by labels where that is possible."""
    if labels is not None:
        counts = np.unique(labels, return_counts=True)[1]
        # scikit-learn refuses where a class cannot be on both sides.
        if counts.min() < 2 or len(counts) > min(size, len(rows) - size):
            labels = None
    others, some = train_test_split(rows, test_size=size, random_state=seed, stratify=labels)
    return others, some


def stack_columns(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return columns side by side: floats if all are numbers that floats hold, else objects.

    Parameters
    ----------
    columns : sequence of ndarray of shape (n,)
        At least one.

    Returns
    -------
    ndarray of shape (n, n_columns)
    """
    numeric = all(map(fits_floats, columns))
    stacked = np.empty((len(columns[0]), len(columns)), dtype=np.float64 if numeric else object)
    for index, column in enumerate(columns):
        stacked[:, index] = column
    return stacked


def column_names(y: Any, defaults: Sequence[str]) -> list[str]:
    """Return the names of the columns of a DataFrame or Series, else the defaults."""
    names = getattr(y, "column_names", None)  # of Arrow, whose `columns` are the values
    if names is None:
        names = getattr(y, "columns", None)
    if names is not None:
        return [str(each) for each in names]
    name = getattr(y, "name", None)
    return list(defaults) if name is None else [str(name)]


def check_names(y: Any) -> None:
    """Refuse a frame with several columns of one name.

    Raises
    ------
    ValueError
        If it is one.
    """
    names = column_names(y, [])
    if twice := sorted(repeated(names)):
        raise ValueError(f"y has several columns with the name {twice[0]!r}; rename them")


def check_order(y: Any, targets: Sequence[Task]) -> None:
    """Refuse a frame that has the columns of the fit in other places.

    Raises
    ------
    ValueError
        If it has.
    """
    if not hasattr(y, "columns"):
        return
    names, known = column_names(y, []), [target.name for target in targets]
    if any(name in known and known.index(name) != place for place, name in enumerate(names)):
        raise ValueError(
            f"y has the columns {', '.join(names)}, but those of the fit were "
            f"{', '.join(known)}: pass them in the same order"
        )
