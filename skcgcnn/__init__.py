"""Crystal Graph Convolutional Neural Networks as scikit-learn estimators.

The public names are imported when they are first used, so that ``import skcgcnn`` and the
command line's ``--help`` need not wait for torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skcgcnn.checkpoints import load
    from skcgcnn.classifier import CGCNNClassifier
    from skcgcnn.graphs import CrystalGraph, CrystalGraphs
    from skcgcnn.multitask import CGCNNMultiTask
    from skcgcnn.regressor import CGCNNRegressor
    from skcgcnn.transformer import CrystalGraphTransformer

__all__ = [
    "CGCNNClassifier",
    "CGCNNMultiTask",
    "CGCNNRegressor",
    "CrystalGraph",
    "CrystalGraphTransformer",
    "CrystalGraphs",
    "__version__",
    "load",
]

__version__ = version("skcgcnn")

_HOME = {
    "CGCNNClassifier": "classifier",
    "CGCNNMultiTask": "multitask",
    "CGCNNRegressor": "regressor",
    "CrystalGraph": "graphs",
    "CrystalGraphTransformer": "transformer",
    "CrystalGraphs": "graphs",
    "load": "checkpoints",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
