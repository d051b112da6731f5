"""Checks of graphs that come from a file: what is wrong is said, before it gives wrong numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._mapped import release_pages
from skcgcnn.graphs._packing import offsets_from_counts, sum_members

_TYPES = {
    "offsets": (np.int64, 1),
    "site_kinds": (np.int32, 1),
    "site_counts": (np.int32, 1),
    "kind_features": (np.float32, 2),
    "bond_offsets": (np.int64, 1),
    "distances": (np.float32, 1),
    "site_classes": (np.int32, 1),
    "global_features": (np.float32, 2),
}
_OTHERS = {"bond_counts", "ids", "neighbors"}
# Numbers that are looked at together: arrays may be larger than memory.
_ROWS = 1_000_000


def check_arrays(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Check the arrays of graphs.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Those of `CrystalGraphs`.

    Raises
    ------
    ValueError
        If a type, shape or value cannot be right.
    """
    missing = sorted({*_TYPES, *_OTHERS} - arrays.keys())
    unknown = sorted(arrays.keys() - {*_TYPES, *_OTHERS})
    if missing or unknown:
        raise ValueError(f"arrays missing: {missing}; unexpected: {unknown}")
    for name, (dtype, ndim) in _TYPES.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != ndim:
            raise ValueError(
                f"{name} is of {array.dtype} with {array.ndim} axes; expected {np.dtype(dtype)} "
                f"with {ndim}"
            )
    _check_other_types(arrays)
    n_classes, n_bonds = len(arrays["site_kinds"]), len(arrays["neighbors"])
    _check_offsets(arrays["offsets"], n_classes, "offsets do not ascend to the number of classes")
    _check_offsets(arrays["bond_offsets"], n_bonds, "bond_offsets do not ascend to that of bonds")
    if len(arrays["site_counts"]) != n_classes or len(arrays["bond_offsets"]) != n_classes + 1:
        raise ValueError("site_kinds, site_counts and bond_offsets do not fit together")
    if not n_bonds == len(arrays["distances"]) == len(arrays["bond_counts"]):
        raise ValueError("neighbors, distances and bond_counts do not fit together")
    if not all(np.isfinite(arrays[n]).all() for n in ("kind_features", "global_features")):
        raise ValueError("a feature is not a finite number")
    _check_content(arrays)


def _check_content(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Check the numbers of arrays whose types and offsets are right."""
    counts, offsets = arrays["site_counts"], arrays["offsets"]
    site_offsets = offsets_from_counts(sum_members(counts, offsets))
    if site_offsets[-1] != len(arrays["site_classes"]) or (len(counts) and counts.min() < 1):
        raise ValueError("site_counts do not sum to the number of sites")
    numbers = set[int]()
    for first, last in _blocks(offsets + site_offsets):
        block = _block(arrays, site_offsets, first, last)
        if len(block["site_kinds"]):
            numbers.add(_check_block(block, len(arrays["kind_features"])))
        release_pages(arrays)
    if len(numbers) > 1:
        raise ValueError("sites have different numbers of neighbors")


def _check_other_types(arrays: dict[str, npt.NDArray[Any]]) -> None:
    if arrays["ids"].dtype.kind != "U" or arrays["ids"].ndim != 1:
        raise ValueError("ids are no texts")
    for name in ("bond_counts", "neighbors"):
        array = arrays[name]
        if array.dtype not in (np.uint8, np.int32) or array.ndim != 1:
            raise ValueError(f"{name} is of {array.dtype} with {array.ndim} axes")


def _check_offsets(offsets: npt.NDArray[Any], last: int, message: str) -> None:
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != last:
        raise ValueError(message)
    for start in range(0, len(offsets), _ROWS):
        if (np.diff(offsets[start : start + _ROWS + 1]) < 0).any():
            raise ValueError(message)


def _blocks(offsets: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of crystals that are looked at together."""
    first, n_crystals = 0, len(offsets) - 1
    while first < n_crystals:
        last = int(np.searchsorted(offsets, offsets[first] + _ROWS, side="right")) - 1
        last = min(max(last, first + 1), n_crystals)
        yield first, last
        first = last


def _block(
    arrays: dict[str, npt.NDArray[Any]], site_offsets: npt.NDArray[np.int64], first: int, last: int
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a range of crystals, whose offsets begin with 0."""
    offsets = arrays["offsets"][first : last + 1]
    rows = slice(offsets[0], offsets[-1])
    ends = arrays["bond_offsets"][rows.start : rows.stop + 1]
    bonds = slice(ends[0], ends[-1])
    sites = slice(site_offsets[first], site_offsets[last])
    return {
        "offsets": offsets - offsets[0],
        "bond_offsets": ends - ends[0],
        "site_offsets": site_offsets[first : last + 1] - site_offsets[first],
        **{name: arrays[name][rows] for name in ("site_kinds", "site_counts")},
        **{name: arrays[name][bonds] for name in ("neighbors", "distances", "bond_counts")},
        "site_classes": arrays["site_classes"][sites],
    }


def _check_block(block: dict[str, npt.NDArray[Any]], n_kinds: int) -> int:
    """Check some crystals; return the number of neighbors per site."""
    kinds, offsets, ends = block["site_kinds"], block["offsets"], block["bond_offsets"]
    if kinds.min() < 0 or kinds.max() >= n_kinds:
        raise ValueError("a kind of site has no features")
    n_classes, counts = np.diff(offsets), block["bond_counts"]
    per_class = np.diff(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])[ends])
    if (counts < 1).any() or per_class.min() != per_class.max():
        raise ValueError("sites have different numbers of neighbors")
    degrees = np.diff(ends[offsets])
    neighbors, distances = block["neighbors"], block["distances"]
    if len(neighbors):
        if neighbors.min() < 0 or (neighbors >= np.repeat(n_classes, degrees)).any():
            raise ValueError("a neighbor is not a class of its crystal")
        if not (np.isfinite(distances).all() and distances.min() > 0):
            raise ValueError("a distance is not a finite number above 0")
    classes, n_sites = block["site_classes"], np.diff(block["site_offsets"])
    if classes.min() < 0 or (classes >= np.repeat(n_classes, n_sites)).any():
        raise ValueError("a site is of no class of its crystal")
    owned = classes + np.repeat(offsets[:-1], n_sites)
    if (np.bincount(owned, minlength=len(kinds)) != block["site_counts"]).any():
        raise ValueError("site_counts are not the numbers of sites in each class")
    return int(per_class[0])
