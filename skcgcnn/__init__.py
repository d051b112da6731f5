"""Crystal Graph Convolutional Neural Networks as scikit-learn estimators.

The public names are imported when they are first used, so that ``import skcgcnn`` and the
command line's ``--help`` need not wait for torch.
"""

from typing import TYPE_CHECKING

from skcgcnn._lazy import lazy_names
from skcgcnn._recipes import RECIPES
from skcgcnn._threads import set_waiting
from skcgcnn._version import __version__

if TYPE_CHECKING:
    from skcgcnn.estimators import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, load
    from skcgcnn.graphs import CrystalGraph, CrystalGraphs, CrystalGraphTransformer

__all__ = [
    "RECIPES",
    "CGCNNClassifier",
    "CGCNNMultiTask",
    "CGCNNRegressor",
    "CrystalGraph",
    "CrystalGraphTransformer",
    "CrystalGraphs",
    "__version__",
    "load",
]

# Before torch is imported, by this package or after it.
set_waiting()

__getattr__ = lazy_names(
    __name__,
    {
        "CGCNNClassifier": "estimators",
        "CGCNNMultiTask": "estimators",
        "CGCNNRegressor": "estimators",
        "CrystalGraph": "graphs",
        "CrystalGraphTransformer": "graphs",
        "CrystalGraphs": "graphs",
        "load": "estimators",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
