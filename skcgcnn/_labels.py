"""Targets of any kind as numbers and back, and what is missing among them."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["encode_classes", "is_missing", "mark_missing", "split_columns", "target_scaling"]

FloatArray = npt.NDArray[np.float64]


def encode_classes(
    labels: npt.NDArray[Any], classes: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return the classes and the index of every label among them.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Labels, none missing.
    classes : ndarray of shape (n_classes,) or None
        The classes of an earlier fit; None takes those of `labels`.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If a label is not among the classes, or the labels cannot be sorted.
    """
    try:
        if classes is None:
            classes, codes = np.unique(labels, return_inverse=True)
            return classes, codes.astype(np.float64)
        unknown = sorted(set(labels.tolist()) - set(classes.tolist()))
    except TypeError as error:
        raise ValueError(f"the labels are of types that cannot be compared ({error})") from error
    if unknown:
        raise ValueError(
            f"y holds labels that are not among the classes of the first fit, "
            f"{classes.tolist()}: {unknown}"
        )
    return classes, np.searchsorted(classes, labels).astype(np.float64)


def mark_missing(predicted: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Set predicted classes to NaN where a crystal could not be read.

    Numbers become floats, other labels objects, but only where something is missing.
    """
    if not missing.any():
        return predicted
    kind = np.float64 if np.issubdtype(predicted.dtype, np.number) else object
    marked = predicted.astype(kind)
    marked[missing] = np.nan
    return marked


def is_missing(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where a column holds None or NaN."""
    if np.issubdtype(column.dtype, np.floating):
        return np.asarray(np.isnan(column))
    # NaN is what does not equal itself.
    return np.array([value is None or value != value for value in column], dtype=bool)  # noqa: PLR0124


def split_columns(y: Any) -> list[npt.NDArray[Any]]:
    """Return the columns of an array, a DataFrame or a list of rows, each with its own type."""
    if hasattr(y, "iloc"):
        return (
            [y.iloc[:, i].to_numpy() for i in range(y.shape[1])] if y.ndim > 1 else [y.to_numpy()]
        )
    # From a list of rows NumPy would make one type for all, and so texts of the numbers.
    values = y if isinstance(y, np.ndarray) else np.array(y, dtype=object)
    if values.ndim not in (1, 2):
        raise ValueError(f"y has {values.ndim} dimensions; expected one row of targets a crystal")
    return list(values.reshape(len(values), -1).T)


def target_scaling(
    targets: FloatArray, weights: FloatArray, kinds: list[str]
) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of every column; 0 and 1 where it holds classes."""
    mean, scale = np.zeros(len(kinds)), np.ones(len(kinds))
    for column, kind in enumerate(kinds):
        if kind != "regression":
            continue
        known = ~np.isnan(targets[:, column])
        values, shares = targets[known, column], weights[known]
        mean[column] = np.average(values, weights=shares)
        std = np.sqrt(np.average((values - mean[column]) ** 2, weights=shares))
        # A constant target has a standard deviation of 0, or of rounding noise.
        if std > 10 * np.finfo(np.float64).eps * abs(mean[column]):
            scale[column] = std
    return mean, scale
