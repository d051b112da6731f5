"""What tells crystals from others: a digest of their graphs."""

from collections import defaultdict
from hashlib import blake2b
from typing import Any

import numpy as np

from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._mapped import crystals_in_memory, release_pages

# Of an Å: machines may round the last digit of a distance in two ways.
_STEP = 1e-4


def digest_crystals(graphs: CrystalGraphs) -> str:
    """Return what tells crystals from others, whatever file or folder they come from.

    Parameters
    ----------
    graphs : CrystalGraphs
        In memory or mapped; of these, some are in memory at a time.

    Returns
    -------
    str
        The same for the same crystals in the same order, with the same features and neighbors.
        Names do not count.
    """
    used = np.flatnonzero(graphs.sites_by_kind() > 0)
    # Kinds are numbered as they first appeared, which may have been in other crystals.
    rows, order = np.unique(graphs.kind_features[used], axis=0, return_inverse=True)
    rank = np.zeros(len(graphs.kind_features), dtype=np.int64)
    rank[used] = order.ravel()
    # A digest for each array: it does not matter how many crystals are in memory at a time.
    digests = defaultdict[int, Any](blake2b)
    step = crystals_in_memory(graphs)
    for start in range(0, len(graphs), step):
        some = graphs[start : start + step]
        arrays: list[Any] = [
            np.diff(some.offsets),
            rank[some.site_kinds],
            np.diff(some.bond_offsets),
            some.neighbors,
            np.round(some.distances / _STEP),
            some.bond_counts,
            some.site_classes,
            some.global_features,
        ]
        for place, array in enumerate(arrays):
            # The types of small integers depend on what else there is.
            digests[place].update(np.asarray(array, dtype=np.float64).tobytes())
        release_pages(graphs.to_dict())
    parts = [rows.tobytes(), *(digest.digest() for digest in digests.values())]
    return blake2b(b"".join(parts), digest_size=16).hexdigest()
