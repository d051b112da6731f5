"""Checks of graphs that come from a file: what is wrong is said, before it gives wrong numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._mapped import release_pages
from skcgcnn.graphs._packing import offsets_from_counts, sum_members
from skcgcnn.graphs._schema import PARTS, SCHEMA, check_lengths, check_numbers, check_types

# Numbers that are looked at together: arrays may be larger than memory.
_ROWS = 1_000_000


def check_arrays(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Check the arrays of graphs.

    Raises
    ------
    ValueError
        If a type, shape or value cannot be right.
    """
    check_types(arrays)
    for one in SCHEMA:
        if one.ends is not None:
            _check_offsets(one.name, arrays[one.name])
    check_lengths(arrays)
    # Of larger arrays, a block at a time.
    check_numbers({one.name: arrays[one.name] for one in SCHEMA if one.name not in PARTS})
    _check_content(arrays)


def _check_content(arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Check the numbers of arrays whose types and offsets are right."""
    counts, offsets = arrays["site_counts"], arrays["offsets"]
    site_offsets = offsets_from_counts(sum_members(counts, offsets))
    if len(counts) and counts.min() < 1:
        raise ValueError("site_counts must be above 0")
    numbers = set[int]()
    for first, last in _blocks(offsets + site_offsets):
        block = _block(arrays, site_offsets, first, last)
        if len(block["site_kinds"]):
            numbers.add(_check_block(block, len(arrays["kind_features"])))
        release_pages(arrays)
    if len(numbers) > 1:
        raise ValueError("sites have different numbers of neighbors")


def _check_offsets(name: str, offsets: npt.NDArray[Any]) -> None:
    if not len(offsets) or offsets[0] != 0:
        raise ValueError(f"{name} must begin with 0")
    for start in range(0, len(offsets), _ROWS):
        if (np.diff(offsets[start : start + _ROWS + 1]) < 0).any():
            raise ValueError(f"{name} must ascend")


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
    classes = slice(offsets[0], offsets[-1])
    ends = arrays["bond_offsets"][classes.start : classes.stop + 1]
    rows = {
        "class": classes,
        "bond": slice(ends[0], ends[-1]),
        "site": slice(site_offsets[first], site_offsets[last]),
    }
    return {
        **{a.name: arrays[a.name][rows[a.level]] for a in SCHEMA if a.level in rows},
        "offsets": offsets - offsets[0],
        "bond_offsets": ends - ends[0],
        "site_offsets": site_offsets[first : last + 1] - site_offsets[first],
    }


def _check_block(block: dict[str, npt.NDArray[Any]], n_kinds: int) -> int:
    """Check some crystals; return the number of neighbors per site."""
    kinds, offsets, ends = block["site_kinds"], block["offsets"], block["bond_offsets"]
    if kinds.min() < 0 or kinds.max() >= n_kinds:
        raise ValueError("site_kinds must be rows of kind_features")
    n_classes, counts = np.diff(offsets), block["bond_counts"]
    per_class = np.diff(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])[ends])
    if (counts < 1).any() or per_class.min() != per_class.max():
        raise ValueError("sites have different numbers of neighbors")
    degrees = np.diff(ends[offsets])
    check_numbers(block)
    neighbors, distances = block["neighbors"], block["distances"]
    if len(neighbors):
        if neighbors.min() < 0 or (neighbors >= np.repeat(n_classes, degrees)).any():
            raise ValueError("neighbors must be classes of their crystal")
        if not distances.min() > 0:
            raise ValueError("distances must be above 0")
    classes, n_sites = block["site_classes"], np.diff(block["site_offsets"])
    if classes.min() < 0 or (classes >= np.repeat(n_classes, n_sites)).any():
        raise ValueError("site_classes must be classes of their crystal")
    owned = classes + np.repeat(offsets[:-1], n_sites)
    if (np.bincount(owned, minlength=len(kinds)) != block["site_counts"]).any():
        raise ValueError("site_counts are not the numbers of sites in each class")
    return int(per_class[0])
