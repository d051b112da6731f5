"""Reports of training runs: one HTML file that holds everything it shows."""

from skcgcnn.reports._advice import Facts, advice
from skcgcnn.reports._html import Figure, Section, Table, page
from skcgcnn.reports._training import RunResult, training_report

__all__ = [
    "Facts",
    "Figure",
    "RunResult",
    "Section",
    "Table",
    "advice",
    "page",
    "training_report",
]
