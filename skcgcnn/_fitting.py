"""Pieces of a fit that need no estimator: optimizers, scaling of targets, devices."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from skcgcnn.nn import Task

__all__ = ["OPTIMIZERS", "FloatArray", "find_device", "target_scaling"]

FloatArray = npt.NDArray[np.float64]

OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
}


def target_scaling(
    targets: FloatArray, weights: FloatArray, tasks: list[Task]
) -> tuple[FloatArray, FloatArray]:
    """Return mean and scale of every column; 0 and 1 where it holds classes."""
    mean, scale = np.zeros(len(tasks)), np.ones(len(tasks))
    for column, task in enumerate(tasks):
        if task.kind != "regression":
            continue
        known = ~np.isnan(targets[:, column])
        values, shares = targets[known, column], weights[known]
        mean[column] = np.average(values, weights=shares)
        std = np.sqrt(np.average((values - mean[column]) ** 2, weights=shares))
        # A constant target has a standard deviation of 0, or of rounding noise.
        if std > 10 * np.finfo(np.float64).eps * abs(mean[column]):
            scale[column] = std
    return mean, scale


def find_device(device: Any, *, fall_back: bool) -> Any:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is no device of torch's") from error
    if kind == "cuda" and not torch.cuda.is_available():
        if fall_back:
            warnings.warn(
                f"the model was on {device!r}, but torch sees no GPU: it goes on the CPU",
                stacklevel=2,
            )
            return "cpu"
        raise ValueError(f"device={device!r}, but torch sees no GPU; use 'auto' or 'cpu'")
    return device
