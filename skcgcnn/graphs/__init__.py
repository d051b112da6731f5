"""Crystal graphs: the container, its maker, and the transformer from crystals to graphs."""

from typing import TYPE_CHECKING

from skcgcnn._lazy import lazy_names
from skcgcnn.graphs._build import GraphMaker, build_graphs
from skcgcnn.graphs._elements import ElementFeatures, load_element_features
from skcgcnn.graphs._graphs import (
    CrystalGraph,
    CrystalGraphs,
    concatenate,
    site_index,
)
from skcgcnn.graphs._nearest import TIE, nearest_neighbors
from skcgcnn.graphs._neighbor_list import NeighborList, find_neighbors
from skcgcnn.graphs._options import GraphOptions

if TYPE_CHECKING:
    from skcgcnn.graphs._transformer import CHUNK, CrystalGraphTransformer, read_ahead

__all__ = [
    "CHUNK",
    "TIE",
    "CrystalGraph",
    "CrystalGraphTransformer",
    "CrystalGraphs",
    "ElementFeatures",
    "GraphMaker",
    "GraphOptions",
    "NeighborList",
    "build_graphs",
    "concatenate",
    "find_neighbors",
    "load_element_features",
    "nearest_neighbors",
    "read_ahead",
    "site_index",
]

# Only the transformer needs scikit-learn, which takes a second to import.
__getattr__ = lazy_names(
    __name__, dict.fromkeys(("CHUNK", "CrystalGraphTransformer", "read_ahead"), "_transformer")
)
