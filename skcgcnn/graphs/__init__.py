"""Crystal graphs: the container, its maker, and the transformer from crystals to graphs."""

from typing import TYPE_CHECKING

from skcgcnn._lazy import lazy_names
from skcgcnn.graphs._archive import Stream, map_arrays, read_arrays, stream_arrays
from skcgcnn.graphs._beside import Beside
from skcgcnn.graphs._build import GraphMaker
from skcgcnn.graphs._chunks import build_graphs
from skcgcnn.graphs._concatenate import concatenate
from skcgcnn.graphs._digest import digest_crystals
from skcgcnn.graphs._elements import (
    ElementFeatures,
    load_element_features,
    matching_element_features,
)
from skcgcnn.graphs._expand import ExpandedGraphs
from skcgcnn.graphs._folder import INDEX, read_data, remove_leftovers, replace_data
from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._mapped import crystals_in_memory, is_mapped
from skcgcnn.graphs._merge import join_headers, joined_streams, merge_files
from skcgcnn.graphs._nearest import TIE, nearest_neighbors
from skcgcnn.graphs._neighbor_list import NeighborList, find_neighbors
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._packing import member_index
from skcgcnn.graphs._same import (
    Fingerprints,
    fingerprints,
    group_fingerprints,
    same_crystals,
)
from skcgcnn.graphs._saved import (
    READ_ERRORS,
    check_content,
    check_options,
    graphs_in,
    options_from_plain,
)
from skcgcnn.graphs._schema import CrystalGraph
from skcgcnn.graphs._sites import (
    count_kinds,
    crystals_of_classes,
    ends_of_bonds,
    expand_to_sites,
    mean_features,
)

if TYPE_CHECKING:
    from skcgcnn.graphs._recent import forget_files
    from skcgcnn.graphs._transformer import CHUNK, CrystalGraphTransformer, read_ahead

__all__ = [
    "CHUNK",
    "INDEX",
    "READ_ERRORS",
    "TIE",
    "Beside",
    "CrystalGraph",
    "CrystalGraphTransformer",
    "CrystalGraphs",
    "ElementFeatures",
    "ExpandedGraphs",
    "Fingerprints",
    "GraphMaker",
    "GraphOptions",
    "NeighborList",
    "Stream",
    "build_graphs",
    "check_content",
    "check_options",
    "concatenate",
    "count_kinds",
    "crystals_in_memory",
    "crystals_of_classes",
    "digest_crystals",
    "ends_of_bonds",
    "expand_to_sites",
    "find_neighbors",
    "fingerprints",
    "forget_files",
    "graphs_in",
    "group_fingerprints",
    "is_mapped",
    "join_headers",
    "joined_streams",
    "load_element_features",
    "map_arrays",
    "matching_element_features",
    "mean_features",
    "member_index",
    "merge_files",
    "nearest_neighbors",
    "options_from_plain",
    "read_ahead",
    "read_arrays",
    "read_data",
    "remove_leftovers",
    "replace_data",
    "same_crystals",
    "stream_arrays",
]

# Only the transformer needs scikit-learn, which takes a second to import.
__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("CHUNK", "CrystalGraphTransformer", "read_ahead"), "_transformer"),
        "forget_files": "_recent",
    },
)
