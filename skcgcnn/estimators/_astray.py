"""Whether a fit went astray: finite numbers, but far worse than no network."""

from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._outputs import forward
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.tasks import FloatArray, Task, combine, output_slices

# So many training crystals tell it.
_SAMPLE = 256
# No fit that learns ends with errors so many times those without a network.
_LIMIT = 3.0


def warn_if_astray(est: Any, data: TrainingData) -> None:
    """Warn where predictions for training crystals are far worse than the simplest ones.

    Parameters
    ----------
    est : fitted estimator
    data : TrainingData
        What it was fitted on.
    """
    rows = np.linspace(0, len(data) - 1, min(_SAMPLE, len(data))).astype(np.int64)
    known = data.take(rows) if len(rows) < len(data) else data
    try:
        outputs = combine(forward(est, known.graphs), est.targets_)
    except ValueError:  # which a prediction raises too
        return
    slices = output_slices(est.targets_)
    for target, own, values in zip(est.targets_, slices, known.values.T, strict=True):
        times = _times_simplest(target, outputs[:, own], values, known.weights)
        if not times <= _LIMIT:
            warn_caller(
                f"the fit went astray: on the crystals of the fit, the error of {target.name!r} is "
                f"{times:.2g} times that of the simplest prediction. Use a smaller lr (it was "
                f"{est.fitted_params_['lr']:g})",
                ConvergenceWarning,
            )
            return


def _times_simplest(
    target: Task, outputs: FloatArray, values: FloatArray, weights: FloatArray
) -> float:
    """Return an error as a multiple of that without a network."""
    use = ~np.isnan(values)
    if not use.any():
        return 0.0
    scaled, weights = (values[use] - target.mean) / target.scale, weights[use]
    if target.is_linear:  # whose standard deviation is 1
        return float(np.average(np.abs(outputs[use, 0] - scaled), weights=weights))
    found, truth = torch.from_numpy(outputs[use]), torch.from_numpy(scaled)
    with torch.no_grad():
        errors = (target.errors(each, truth, "mae") for each in (found, torch.zeros_like(found)))
        own, simplest = (float(np.average(each.numpy(), weights=weights)) for each in errors)
    return own / simplest if simplest > 0 else 0.0
