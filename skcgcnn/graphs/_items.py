"""Single graphs, as containers of objects hold them, back in one container of graphs."""

from collections.abc import Sequence

import numpy as np

from skcgcnn.graphs._concatenate import concatenate
from skcgcnn.graphs._graph import CrystalGraph
from skcgcnn.graphs._graphs import CrystalGraphs


def join_items(items: Sequence[CrystalGraph]) -> CrystalGraphs:
    """Return single graphs as one container.

    Parameters
    ----------
    items : sequence of CrystalGraph
        At least one.

    Returns
    -------
    CrystalGraphs

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
        site_kinds=rows.astype(np.int32).ravel(),
        site_counts=item.site_counts,
        kind_features=item.kind_features[kinds],
        bond_offsets=item.bond_offsets,
        neighbors=item.neighbors,
        distances=item.distances,
        bond_counts=item.bond_counts,
        site_classes=item.site_classes,
        ids=np.array([item.id]),
        global_features=item.global_features[np.newaxis],
        options=item.options,
    )
