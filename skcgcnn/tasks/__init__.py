"""Tasks: what a target is, from y to the loss, predictions, metrics and reports."""

from skcgcnn.tasks._classes import Classes, typed_labels
from skcgcnn.tasks._columns import (
    NOT_EXACT,
    FloatArray,
    checked_groups,
    is_missing,
    refuse_infinite,
    without_mask,
)
from skcgcnn.tasks._decode import combine, decode, deviations, mean_score, output_slices
from skcgcnn.tasks._kinds import TASKS
from skcgcnn.tasks._losses import LOSSES, Loss
from skcgcnn.tasks._metrics import classification_metrics, regression_metrics
from skcgcnn.tasks._number import Number, NumberWithVariance
from skcgcnn.tasks._targets import TargetDecoder, encode, readable, score_readable
from skcgcnn.tasks._task import Prediction, Task
from skcgcnn.tasks._y import (
    check_names,
    check_order,
    column_names,
    split_at_random,
    split_columns,
    stack_columns,
)

__all__ = [
    "LOSSES",
    "NOT_EXACT",
    "TASKS",
    "Classes",
    "FloatArray",
    "Loss",
    "Number",
    "NumberWithVariance",
    "Prediction",
    "TargetDecoder",
    "Task",
    "check_names",
    "check_order",
    "checked_groups",
    "classification_metrics",
    "column_names",
    "combine",
    "decode",
    "deviations",
    "encode",
    "is_missing",
    "mean_score",
    "output_slices",
    "readable",
    "refuse_infinite",
    "regression_metrics",
    "score_readable",
    "split_at_random",
    "split_columns",
    "stack_columns",
    "typed_labels",
    "without_mask",
]
