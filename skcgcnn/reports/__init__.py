"""Reports of runs, predictions and checks: one HTML file that holds everything it shows."""

from skcgcnn.reports._advice import Facts, advice
from skcgcnn.reports._held_out import HeldOut
from skcgcnn.reports._html import Figure, Section, Table, page
from skcgcnn.reports._prediction import PredictionResult, prediction_report
from skcgcnn.reports._quality import check_report
from skcgcnn.reports._training import RunResult, training_report
from skcgcnn.reports._tuning import TIME_UP, Trial, TuneResult, tune_report, usual_trial

__all__ = [
    "TIME_UP",
    "Facts",
    "Figure",
    "HeldOut",
    "PredictionResult",
    "RunResult",
    "Section",
    "Table",
    "Trial",
    "TuneResult",
    "advice",
    "check_report",
    "page",
    "prediction_report",
    "training_report",
    "tune_report",
    "usual_trial",
]
