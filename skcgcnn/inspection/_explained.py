"""What is explained, and the path along which gradients are integrated."""

from collections.abc import Callable, Iterator, Sequence
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skcgcnn.estimators import BaseCGCNN
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.tasks import Task, output_slices

Values = npt.NDArray[np.float64]

# Points of the Gauss-Legendre rule by which gradients are integrated.
_POINTS = 64


# What is explained, as a function of the network's outputs, of shape (n_crystals, n_outputs).
Explained = Callable[[Tensor], Tensor]


def explained(est: Any, target: int | str, label: Any) -> Explained:
    """Return what of a fitted estimator is explained.

    Parameters
    ----------
    est : fitted estimator
    target : int or str
        Column of y, by position or name.
    label : object or None
        The class whose odds are explained.

    Raises
    ------
    TypeError
        If it is not an estimator of this library.
    NotFittedError
        If it is not fitted.
    ValueError
        If there is no such target or class.
    """
    if not isinstance(est, BaseCGCNN):
        raise TypeError(
            f"est is of type {type(est).__name__}; pass a CGCNN estimator. Of a Pipeline it is the "
            "last step, est[-1], with crystals or graphs as X"
        )
    check_is_fitted(est, "net_")
    place = _index(est.targets_, target)
    own, of_outputs = output_slices(est.targets_)[place], est.targets_[place].explanation(label)
    return lambda outputs: of_outputs(outputs[:, own])


def path_points() -> Iterator[tuple[float, float]]:
    """Yield positions between 0 and 1 and their weights in the integral.

    Yields
    ------
    position, weight : float
    """
    nodes, weights = np.polynomial.legendre.leggauss(_POINTS)
    yield from zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True)


def mean_of_networks(
    found: Sequence[Sequence[tuple[Values, Values, Values]]], graphs: CrystalGraphs
) -> tuple[Values, Values, Values]:
    """Return the mean over the networks of an ensemble.

    Parameters
    ----------
    found : sequence of sequence of (contributions, baselines, predictions)
        For each network, its batches of the readable crystals.
    graphs : CrystalGraphs
        All crystals.

    Returns
    -------
    contributions : ndarray of shape (n_rows,)
    baselines, predictions : ndarray of shape (n_crystals,)
        NaN for crystals that could not be read.
    """
    contributions, *of_crystals = (
        np.mean([np.concatenate([np.empty(0), *(p[i] for p in part)]) for part in found], axis=0)
        for i in range(3)
    )
    baselines, predictions = np.full((2, len(graphs)), np.nan)
    readable = graphs.n_sites > 0
    baselines[readable], predictions[readable] = of_crystals
    return contributions, baselines, predictions


def _index(targets: Sequence[Task], target: int | str) -> int:
    names = [each.name for each in targets]
    if isinstance(target, str) and target in names:
        return names.index(target)
    if not isinstance(target, str) and -len(names) <= index(target) < len(names):
        return index(target) % len(names)
    raise ValueError(f"target={target!r}; the targets are {', '.join(names)}")
