"""Splits that mean something, and cross-validation of multi-task estimators."""

from skcgcnn.model_selection._groups import (
    GROUPINGS,
    anonymous_formulas,
    element_sets,
    group_by_composition,
    group_by_elements,
    group_by_prototype,
    group_by_structure,
    join_groups,
)
from skcgcnn.model_selection._splitters import (
    ExtrapolationSplit,
    LeaveOneClusterOut,
    LeaveOneElementOut,
)
from skcgcnn.model_selection._tasks import TaskStratifiedKFold, cross_val_predict_tasks

__all__ = [
    "GROUPINGS",
    "ExtrapolationSplit",
    "LeaveOneClusterOut",
    "LeaveOneElementOut",
    "TaskStratifiedKFold",
    "anonymous_formulas",
    "cross_val_predict_tasks",
    "element_sets",
    "group_by_composition",
    "group_by_elements",
    "group_by_prototype",
    "group_by_structure",
    "join_groups",
]
