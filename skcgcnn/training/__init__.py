"""Training runs: from a folder of crystals to a model and its test results."""

from typing import TYPE_CHECKING

from skcgcnn._lazy import lazy_names
from skcgcnn.training._settings import Rule, Settings, Task, default_of, option_of, run_parameters

if TYPE_CHECKING:
    from skcgcnn.training._data import bundled_folder
    from skcgcnn.training._folder import alone
    from skcgcnn.training._predictions import (
        check_ending,
        write_prediction_chunks,
        write_prediction_report,
        write_predictions,
    )
    from skcgcnn.training._run import train
    from skcgcnn.training._sources import find_crystals, refuse_inputs
    from skcgcnn.training._split import split_rows
    from skcgcnn.training._tested import errors_of, join_predictions
    from skcgcnn.training._tune import tune

__all__ = [
    "Rule",
    "Settings",
    "Task",
    "alone",
    "bundled_folder",
    "check_ending",
    "default_of",
    "errors_of",
    "find_crystals",
    "join_predictions",
    "option_of",
    "refuse_inputs",
    "run_parameters",
    "split_rows",
    "train",
    "tune",
    "write_prediction_chunks",
    "write_prediction_report",
    "write_predictions",
]

# The command line's help needs Settings alone, and should not wait for torch.
__getattr__ = lazy_names(
    __name__,
    {
        "alone": "_folder",
        "bundled_folder": "_data",
        "errors_of": "_tested",
        "find_crystals": "_sources",
        "join_predictions": "_tested",
        "refuse_inputs": "_sources",
        "split_rows": "_split",
        "train": "_run",
        "tune": "_tune",
        "write_prediction_chunks": "_predictions",
        "write_prediction_report": "_predictions",
        "check_ending": "_predictions",
        "write_predictions": "_predictions",
    },
)
