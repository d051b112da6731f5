"""Some of the crystals of packed graphs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._mapped import Allocator, empty_beside, is_mapped, release_pages
from skcgcnn.graphs._packing import consecutive, offsets_from_counts
from skcgcnn.graphs._schema import SCHEMA, PackedArray

# Indices take more memory than what they select: some crystals at a time.
_CRYSTALS_AT_ONCE = 20_000
# In bytes. More than this of memory-mapped graphs goes to a file again, not into memory.
_MOST_IN_MEMORY = 64_000_000


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
    ends = {level: offsets_from_counts(stops - starts) for level, (starts, stops) in ranges.items()}
    large = [one for one in SCHEMA if one.level in ranges]
    sources = {one.name: np.asarray(getattr(graphs, one.name)) for one in large}
    sizes = {one.name: ends[one.level][-1] + (one.ends is not None) for one in large}
    mapped = is_mapped(graphs.distances)
    n_bytes = sum(sizes[name] * array.itemsize for name, array in sources.items())
    to_file = mapped and n_bytes > _MOST_IN_MEMORY
    empty: Allocator = empty_beside(graphs.distances) if to_file else np.empty
    taken = {name: empty(sizes[name], array.dtype) for name, array in sources.items()}
    for first in range(0, max(len(chosen), 1), _CRYSTALS_AT_ONCE):
        last = min(first + _CRYSTALS_AT_ONCE, len(chosen))
        members = {
            level: consecutive(starts[first:last], stops[first:last])
            for level, (starts, stops) in ranges.items()
        }
        for one in large:
            place = slice(ends[one.level][first], ends[one.level][last])
            _take(one, sources[one.name], members[one.level], taken[one.name], place)
        if mapped:
            release_pages(graphs.to_dict())
            release_pages(taken)
    for one in SCHEMA:
        if one.level == "kind":
            taken[one.name] = getattr(graphs, one.name)
        elif one.level == "crystal":
            taken[one.name] = ends[one.ends] if one.ends else getattr(graphs, one.name)[chosen]
    return {**taken, "options": graphs.options}


def without_sites(graphs: Any, dropped: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the arrays of the same crystals, some of them as if they could not be read.

    Parameters
    ----------
    graphs : CrystalGraphs
    dropped : ndarray of shape (n_crystals,)
        Which crystals lose their sites and numbers.

    Returns
    -------
    dict
        Arguments of `CrystalGraphs`.
    """
    kept = np.flatnonzero(~dropped)
    content = select_crystals(graphs, kept)
    for one in SCHEMA:
        if one.level == "crystal":
            rows = np.diff(content[one.name]) if one.ends else content[one.name]
            filled = np.zeros((len(dropped), *rows.shape[1:]), rows.dtype)
            filled[kept] = rows
            content[one.name] = offsets_from_counts(filled) if one.ends else filled
    return content | {"ids": graphs.ids}


def _take(
    one: PackedArray,
    source: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    taken: npt.NDArray[Any],
    place: slice,
) -> None:
    """Copy rows of an array to a place in the selection; offsets begin with 0 there."""
    if one.ends is None:
        taken[place] = source[rows]
        return
    before = taken[place.start] if place.start else 0
    taken[place.start] = before
    taken[place.start + 1 : place.stop + 1] = before + np.cumsum(source[rows + 1] - source[rows])
