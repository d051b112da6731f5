"""Tasks: what a target is, from y to the loss, predictions, metrics and reports."""

from skcgcnn.tasks._classes import Classes
from skcgcnn.tasks._columns import is_missing
from skcgcnn.tasks._decode import combine, decode, deviations, mean_score, output_slices
from skcgcnn.tasks._losses import LOSSES, Loss
from skcgcnn.tasks._metrics import classification_metrics, regression_metrics
from skcgcnn.tasks._number import Number, NumberWithVariance
from skcgcnn.tasks._task import TASKS, Prediction, Task

__all__ = [
    "LOSSES",
    "TASKS",
    "Classes",
    "Loss",
    "Number",
    "NumberWithVariance",
    "Prediction",
    "Task",
    "classification_metrics",
    "combine",
    "decode",
    "deviations",
    "is_missing",
    "mean_score",
    "output_slices",
    "regression_metrics",
]
