"""The arrays of packed graphs, in one table that selecting, joining and checking follow."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class PackedArray(NamedTuple):
    """An array of packed graphs.

    Attributes
    ----------
    name : str
        The attribute of `CrystalGraphs`.
    level : {"crystal", "class", "bond", "site", "kind"}
        Of what the array has one row each.
    dtypes : tuple of numpy types
        The types that it can have; of small integers the first that is wide enough.
    ndim : int, default=1
        Number of axes.
    ends : str, optional
        Offsets only: the level whose rows they delimit. There is one more than owners.
    index_of : str, optional
        Level in whose rows the numbers are indices, which change when graphs are joined. Indices
        within a crystal do not.
    """

    name: str
    level: str
    dtypes: tuple[Any, ...]
    ndim: int = 1
    ends: str | None = None
    index_of: str | None = None


_COUNT = (np.uint8, np.int32)

SCHEMA = (
    PackedArray("offsets", "crystal", (np.int64,), ends="class"),
    PackedArray("site_kinds", "class", (np.int32,), index_of="kind"),
    PackedArray("site_counts", "class", (np.int32,)),
    PackedArray("kind_features", "kind", (np.float32,), ndim=2),
    PackedArray("bond_offsets", "class", (np.int64,), ends="bond"),
    PackedArray("neighbors", "bond", _COUNT),
    PackedArray("distances", "bond", (np.float32,)),
    PackedArray("bond_counts", "bond", _COUNT),
    PackedArray("site_classes", "site", (np.int32,)),
    PackedArray("ids", "crystal", (np.str_,)),
    PackedArray("global_features", "crystal", (np.float32, np.float64), ndim=2),
)
NAMES = tuple(one.name for one in SCHEMA)
# The arrays of which every crystal owns rows, with the level of the rows.
PARTS = {one.name: one.level for one in SCHEMA if one.level in ("class", "bond", "site")}


def n_rows(one: PackedArray, array: npt.NDArray[Any]) -> int:
    """Return for how many owners an array has rows: one less than there are offsets."""
    return len(array) - (one.ends is not None)


def check_lengths(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Check that arrays have the same number of rows where they have rows of the same.

    Raises
    ------
    ValueError
        If they do not.
    """
    first: dict[str, tuple[str, int]] = {}
    for one in SCHEMA:
        length = n_rows(one, arrays[one.name])
        name, expected = first.setdefault(one.level, (one.name, length))
        if length != expected:
            raise ValueError(f"{one.name} and {name} do not fit together")
    for one in SCHEMA:
        if one.ends is not None:
            name, expected = first[one.ends]
            if arrays[one.name][-1] != expected:
                raise ValueError(f"{one.name} and {name} do not fit together")
    if first["site"][1] != arrays["site_counts"].sum(dtype=np.int64):
        raise ValueError("site_classes and site_counts do not fit together")


def check_types(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Check that the arrays of a file are those of graphs, with the types that they have.

    Raises
    ------
    ValueError
        If they are not.
    """
    missing, unknown = sorted({*NAMES} - arrays.keys()), sorted(arrays.keys() - {*NAMES})
    if missing or unknown:
        raise ValueError(f"arrays missing: {missing}; unexpected: {unknown}")
    for one in SCHEMA:
        array = arrays[one.name]
        is_text = one.dtypes == (np.str_,)
        if is_text and array.dtype.kind != "U":
            raise ValueError(f"{one.name} must be strings")
        if array.ndim != one.ndim or not (is_text or array.dtype in one.dtypes):
            raise ValueError(
                f"{one.name} is of {array.dtype} with {array.ndim} axes; expected "
                f"{np.dtype(one.dtypes[-1])} with {one.ndim}"
            )
