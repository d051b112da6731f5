"""What tells crystals from others: a digest of their graphs."""

from collections import defaultdict
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._mapped import crystals_in_memory, release_pages
from skcgcnn.graphs._schema import SCHEMA, PackedArray

# Of an Å: machines may round the last digit of a distance in two ways.
_STEP = 1e-4
# What the other arrays tell, names, and numbers beside the crystals.
_LEFT_OUT = {"site_counts", "kind_features", "ids", "global_features"}


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
        Names and global features do not count.
    """
    used = np.flatnonzero(graphs.sites_by_kind() > 0)
    # Kinds are numbered as they first appeared, which may have been in other crystals.
    rows, order = np.unique(graphs.kind_features[used], axis=0, return_inverse=True)
    rank = np.zeros(len(graphs.kind_features), dtype=np.int64)
    rank[used] = order.ravel()
    # A digest for each array: it does not matter how many crystals are in memory at a time.
    digests = defaultdict[str, Any](blake2b)
    step = crystals_in_memory(graphs)
    for start in range(0, len(graphs), step):
        some = graphs[start : start + step]
        for one in SCHEMA:
            if one.name not in _LEFT_OUT:
                array = _comparable(one, getattr(some, one.name), rank)
                # The types of small integers depend on what else there is.
                digests[one.name].update(np.asarray(array, dtype=np.float64).tobytes())
        release_pages(graphs.to_dict())
    parts = [rows.tobytes(), *(digest.digest() for digest in digests.values())]
    return blake2b(b"".join(parts), digest_size=16).hexdigest()


def _comparable(one: PackedArray, array: Any, rank: npt.NDArray[np.int64]) -> Any:
    """Return an array without what depends on other crystals or on rounding."""
    if one.ends is not None:
        return np.diff(array)
    if one.index_of == "kind":
        return rank[array]
    return np.round(array / _STEP) if one.dtypes == (np.float32,) else array
