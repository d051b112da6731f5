"""Single graphs, as containers of objects hold them, back in one container of graphs."""

from collections.abc import Sequence

import numpy as np

from skcgcnn.graphs._concatenate import concatenate
from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._schema import PARTS, CrystalGraph


def join_items(items: Sequence[CrystalGraph]) -> CrystalGraphs:
    """Return single graphs as one container.

    Raises
    ------
    ValueError
        If they were made with different options.
    """
    return concatenate([_alone(item) for item in items])


def _alone(item: CrystalGraph) -> CrystalGraphs:
    kinds, rows = np.unique(item.site_kinds, return_inverse=True)
    return CrystalGraphs(
        offsets=np.array([0, len(item.site_kinds)]),
        ids=np.array([item.id]),
        global_features=item.global_features[np.newaxis],
        options=item.options,
        **{
            **{name: getattr(item, name) for name in PARTS},
            "site_kinds": rows.astype(np.int32).ravel(),
            "kind_features": item.kind_features[kinds],
        },
    )
