"""Some of the crystals of packed graphs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._mapped import Allocator, empty_beside, is_mapped, release_pages
from skcgcnn.graphs._packing import consecutive, offsets_from_counts

# Indices take more memory than what they select: some crystals at a time.
_CRYSTALS_AT_ONCE = 20_000
# In bytes. More than this of graphs that lie in a file goes to a file again, not into memory.
_MOST_IN_MEMORY = 64_000_000

_BY_CLASS = ("site_kinds", "site_counts")
_BY_BOND = ("neighbors", "distances", "bond_counts")
_BY_SITE = ("site_classes",)


def chosen_rows(n_crystals: int, key: Any) -> npt.NDArray[np.int64]:
    """Return the crystals that a slice, a mask, or a list of indices chooses."""
    if isinstance(key, list) and not key:
        key = slice(0)
    if isinstance(key, tuple) or np.ndim(key) > 1:
        raise IndexError("graphs have one dimension: take an index, a slice, or a list of indices")
    rows: npt.NDArray[np.int64] = np.arange(n_crystals)[key]
    return rows


def select_crystals(graphs: Any, chosen: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the arrays of some crystals, in the order in which they are chosen.

    Parameters
    ----------
    graphs : CrystalGraphs
        Where they lie in a file, a large selection lies in a file too: one without a name, which
        goes with its arrays.
    chosen : ndarray of shape (n_chosen,)
        Indices of crystals.

    Returns
    -------
    dict
        Arguments of `CrystalGraphs`.
    """
    first_rows, last_rows = graphs.offsets[chosen], graphs.offsets[chosen + 1]
    ranges = {
        "class": (first_rows, last_rows),
        "bond": (graphs.bond_offsets[first_rows], graphs.bond_offsets[last_rows]),
        "site": (graphs.site_offsets[chosen], graphs.site_offsets[chosen + 1]),
    }
    ends = {what: offsets_from_counts(stops - starts) for what, (starts, stops) in ranges.items()}
    what_of = {
        **dict.fromkeys(_BY_CLASS, "class"),
        **dict.fromkeys(_BY_BOND, "bond"),
        **dict.fromkeys(_BY_SITE, "site"),
    }
    arrays = {name: np.asarray(getattr(graphs, name)) for name in what_of}
    sizes = {name: ends[what][-1] for name, what in what_of.items()}
    empty: Allocator = np.empty
    n_bytes = sum(sizes[name] * array.itemsize for name, array in arrays.items())
    mapped = is_mapped(arrays["distances"])
    if mapped and n_bytes > _MOST_IN_MEMORY:
        empty = empty_beside(graphs.distances)
    taken = {name: empty(sizes[name], array.dtype) for name, array in arrays.items()}
    of_bonds = np.asarray(graphs.bond_offsets)
    bond_offsets = empty(sizes["site_kinds"] + 1, np.int64)
    bond_offsets[0] = 0
    for first in range(0, len(chosen), _CRYSTALS_AT_ONCE):
        last = min(first + _CRYSTALS_AT_ONCE, len(chosen))
        members = {
            what: consecutive(starts[first:last], stops[first:last])
            for what, (starts, stops) in ranges.items()
        }
        for name, what in what_of.items():
            taken[name][ends[what][first] : ends[what][last]] = arrays[name][members[what]]
        rows = members["class"]
        degrees = of_bonds[rows + 1] - of_bonds[rows]
        places = slice(ends["class"][first] + 1, ends["class"][last] + 1)
        bond_offsets[places] = np.cumsum(degrees) + ends["bond"][first]
        if mapped:
            release_pages(graphs.to_dict())
            release_pages({**taken, "bond_offsets": bond_offsets})
    return {
        **taken,
        "offsets": ends["class"],
        "bond_offsets": bond_offsets,
        "kind_features": graphs.kind_features,
        "ids": graphs.ids[chosen],
        "global_features": graphs.global_features[chosen],
        "options": graphs.options,
    }
