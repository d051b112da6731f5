"""Checks of graphs that come from a file: what is wrong is said, before it gives wrong numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

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
# Rows that are looked at together: arrays may be larger than memory.
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
    numbers = {
        _check_rows(arrays, start, min(start + _ROWS, n_classes))
        for start in range(0, n_classes, _ROWS)
    }
    if len(numbers) > 1:
        raise ValueError("sites have different numbers of neighbors")
    _check_classes(arrays)


def _check_other_types(arrays: dict[str, npt.NDArray[Any]]) -> None:
    if arrays["ids"].dtype.kind != "U" or arrays["ids"].ndim != 1:
        raise ValueError("ids are no texts")
    for name in ("bond_counts", "neighbors"):
        array = arrays[name]
        if array.dtype not in (np.uint8, np.int32) or array.ndim != 1:
            raise ValueError(f"{name} is of {array.dtype} with {array.ndim} axes")


def _check_offsets(offsets: npt.NDArray[Any], last: int, message: str) -> None:
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != last or (np.diff(offsets) < 0).any():
        raise ValueError(message)


def _check_rows(arrays: dict[str, npt.NDArray[Any]], start: int, stop: int) -> int:
    """Check some classes; return the number of neighbors per site."""
    kinds = arrays["site_kinds"][start:stop]
    if kinds.min() < 0 or kinds.max() >= len(arrays["kind_features"]):
        raise ValueError("a kind of site has no features")
    offsets, ends = arrays["offsets"], arrays["bond_offsets"][start : stop + 1]
    bonds = slice(ends[0], ends[-1])
    neighbors, distances = arrays["neighbors"][bonds], arrays["distances"][bonds]
    counts = np.concatenate([[0], np.cumsum(arrays["bond_counts"][bonds], dtype=np.int64)])
    per_class = np.diff(counts[ends - ends[0]])
    if (arrays["bond_counts"][bonds] < 1).any() or per_class.min() != per_class.max():
        raise ValueError("sites have different numbers of neighbors")
    if not len(neighbors):
        return 0
    crystals = np.searchsorted(offsets, np.arange(start, stop), side="right") - 1
    n_classes = np.repeat(np.diff(offsets)[crystals], np.diff(ends))
    if neighbors.min() < 0 or (neighbors >= n_classes).any():
        raise ValueError("a neighbor is not a class of its crystal")
    if not (np.isfinite(distances).all() and distances.min() > 0):
        raise ValueError("a distance is not a finite number above 0")
    return int(per_class[0])


def _check_classes(arrays: dict[str, npt.NDArray[Any]]) -> None:
    counts, classes, offsets = (arrays[n] for n in ("site_counts", "site_classes", "offsets"))
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])[offsets]
    if (counts < 1).any() or ends[-1] != len(classes):
        raise ValueError("site_counts do not sum to the number of sites")
    found = np.zeros(len(counts), dtype=np.int64)
    for start in range(0, len(classes), _ROWS):
        some = classes[start : start + _ROWS]
        crystals = np.searchsorted(ends, np.arange(start, start + len(some)), side="right") - 1
        if some.min() < 0 or (some >= np.diff(offsets)[crystals]).any():
            raise ValueError("a site is of no class of its crystal")
        found += np.bincount(some + offsets[crystals], minlength=len(counts))
    if (found != counts).any():
        raise ValueError("site_counts are not the numbers of sites in each class")
