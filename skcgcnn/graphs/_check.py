"""Checks of graphs that come from a file: what is wrong is said, before it gives wrong numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {
    "offsets": (np.int64, 1),
    "site_kinds": (np.int32, 1),
    "kind_features": (np.float32, 2),
    "neighbors": (np.int32, 2),
    "distances": (np.float32, 2),
}
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
    missing = sorted({*_TYPES, "ids"} - arrays.keys())
    unknown = sorted(arrays.keys() - {*_TYPES, "ids"})
    if missing or unknown:
        raise ValueError(f"arrays missing: {missing}; unexpected: {unknown}")
    for name, (dtype, ndim) in _TYPES.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != ndim:
            raise ValueError(
                f"{name} is of {array.dtype} with {array.ndim} axes; expected {np.dtype(dtype)} "
                f"with {ndim}"
            )
    if arrays["ids"].dtype.kind != "U" or arrays["ids"].ndim != 1:
        raise ValueError("ids are no texts")
    offsets, n_sites = arrays["offsets"], len(arrays["site_kinds"])
    if (
        not len(offsets)
        or offsets[0] != 0
        or offsets[-1] != n_sites
        or (np.diff(offsets) < 0).any()
    ):
        raise ValueError("offsets do not ascend from 0 to the number of sites")
    if (
        arrays["neighbors"].shape != arrays["distances"].shape
        or len(arrays["neighbors"]) != n_sites
    ):
        raise ValueError("neighbors, distances and site_kinds do not fit together")
    if not np.isfinite(arrays["kind_features"]).all():
        raise ValueError("a feature is not a finite number")
    for start in range(0, n_sites, _ROWS):
        _check_rows(arrays, start, min(start + _ROWS, n_sites))


def _check_rows(arrays: dict[str, npt.NDArray[Any]], start: int, stop: int) -> None:
    rows = slice(start, stop)
    kinds, distances = arrays["site_kinds"][rows], arrays["distances"][rows]
    if kinds.min() < 0 or kinds.max() >= len(arrays["kind_features"]):
        raise ValueError("a kind of site has no features")
    neighbors, offsets = arrays["neighbors"][rows], arrays["offsets"]
    if not neighbors.shape[1]:
        return
    crystals = np.searchsorted(offsets, np.arange(start, stop), side="right") - 1
    n_sites = np.diff(offsets)[crystals]
    if neighbors.min() < 0 or (neighbors.max(axis=1) >= n_sites).any():
        raise ValueError("a neighbor is not a site of its crystal")
    if not (np.isfinite(distances).all() and distances.min() > 0):
        raise ValueError("a distance is not a finite number above 0")
