"""Figures, drawn with matplotlib. Every function takes ``ax=`` and returns it."""

from skcgcnn.plotting._axes import BLUE, GRAY, ORANGE
from skcgcnn.plotting._crystals import crystal, elements
from skcgcnn.plotting._errors import interval_reliability, loss_curves, parity
from skcgcnn.plotting._maps import crystal_sizes, embedding_map

__all__ = [
    "BLUE",
    "GRAY",
    "ORANGE",
    "crystal",
    "crystal_sizes",
    "elements",
    "embedding_map",
    "interval_reliability",
    "loss_curves",
    "parity",
]
