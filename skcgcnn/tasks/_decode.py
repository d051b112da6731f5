"""Outputs of networks for all targets of a model: the one place where they are decoded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.tasks._columns import FloatArray, is_missing
from skcgcnn.tasks._task import Prediction, Task


def output_slices(targets: Sequence[Task]) -> list[slice]:
    """Return which outputs of a network belong to each target.

    Parameters
    ----------
    targets : sequence of Task
        The targets, in the order of their outputs.
    """
    ends = np.cumsum([target.n_outputs for target in targets]).tolist()
    return [slice(end - t.n_outputs, end) for t, end in zip(targets, ends, strict=True)]


def combine(outputs: FloatArray, targets: Sequence[Task]) -> FloatArray:
    """Return the outputs of an ensemble, as of one network.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_crystals, n_outputs)
        Of each network.
    targets : sequence of Task
        Whose outputs they are.

    Returns
    -------
    ndarray of shape (n_crystals, n_outputs)
    """
    if len(outputs) == 1:
        return np.asarray(outputs[0])
    slices = output_slices(targets)
    parts = [t.combine(outputs[:, :, own]) for t, own in zip(targets, slices, strict=True)]
    return np.concatenate(parts, axis=1)


def decode(outputs: FloatArray, targets: Sequence[Task]) -> list[Prediction]:
    """Turn outputs of networks into predictions.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_crystals, n_outputs)
        Of each network; NaN for crystals that could not be read.
    targets : sequence of Task
        The targets, in the order of their outputs.
    """
    combined, found = combine(outputs, targets), []
    for target, own in zip(targets, output_slices(targets), strict=True):
        prediction = target.decode(combined[:, own])
        known = target.deviations(outputs[:, :, own])
        found.append(prediction if known is None else replace(prediction, std=np.hypot(*known)))
    return found


def deviations(outputs: FloatArray, targets: Sequence[Task]) -> tuple[FloatArray, FloatArray]:
    """Return the standard deviations of predictions.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_crystals, n_outputs)
        Of each network.
    targets : sequence of Task
        Whose outputs they are.

    Returns
    -------
    aleatoric, epistemic : ndarray of shape (n_crystals, n_targets)
        In the units of the targets; NaN where they are not known, as for classes.

    Raises
    ------
    ValueError
        If a single network knows none.
    """
    slices = output_slices(targets)
    found = [t.deviations(outputs[:, :, own]) for t, own in zip(targets, slices, strict=True)]
    if len(outputs) == 1 and not any(found):
        raise ValueError(
            "return_std needs n_estimators > 1, and 3 crystals or more to fit; or loss="
            '"gaussian_nll"'
        )
    unknown = np.full(outputs.shape[1], np.nan)
    pairs = [(unknown, unknown) if each is None else each for each in found]
    aleatoric, epistemic = (np.stack(parts, axis=1) for parts in zip(*pairs, strict=True))
    return aleatoric, epistemic


def mean_score(
    targets: Sequence[Task],
    columns: Sequence[npt.NDArray[Any]],
    predicted: Sequence[npt.NDArray[Any]],
    weights: npt.NDArray[Any] | None = None,
) -> float:
    """Return the mean of R² (numbers) and accuracy (classes).

    Parameters
    ----------
    targets : sequence of Task
        The targets.
    columns, predicted : sequence of ndarray of shape (n_crystals,)
        True values and predictions of each; where the true value is missing, a crystal is left out.
    weights : ndarray of shape (n_crystals,), optional
        Weights of the crystals.

    Returns
    -------
    float
        NaN where there is no true value.
    """
    scores = []
    for target, column, values in zip(targets, columns, predicted, strict=True):
        known = ~is_missing(column)
        if known.any():
            own = None if weights is None else weights[known]
            scores.append(target.score(column[known], values[known], own))
    defined = [score for score in scores if score is not None]
    return float(np.mean(defined)) if defined else float("nan")
