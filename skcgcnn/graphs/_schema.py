"""The arrays of packed graphs, in one table that selecting, joining and checking follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._parameters import MAX_RADIUS
from skcgcnn.graphs._elements import MAX_FEATURE
from skcgcnn.graphs._expand import ExpandedGraphs, expand
from skcgcnn.graphs._options import GraphOptions

# Version of the files of graphs; it grows with each change of the table.
FILE_FORMAT = 5


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
    most : float, optional
        How far from 0 the numbers can be; where it is given, they must be finite.
    """

    name: str
    level: str
    dtypes: tuple[Any, ...]
    ndim: int = 1
    ends: str | None = None
    index_of: str | None = None
    most: float | None = None


# Of numbers beside a crystal: the network scales them in float32.
MAX_NUMBER = 1e30
# In Å. Far beyond the longest cell there is no neighbor, and squares of it are infinite.
_MOST_DISTANCE = 10 * MAX_RADIUS
_COUNT = (np.uint8, np.int32)

SCHEMA = (
    PackedArray("offsets", "crystal", (np.int64,), ends="class"),
    PackedArray("site_kinds", "class", (np.int32,), index_of="kind"),
    PackedArray("site_counts", "class", (np.int32,)),
    PackedArray("kind_features", "kind", (np.float32,), ndim=2, most=MAX_FEATURE),
    PackedArray("bond_offsets", "class", (np.int64,), ends="bond"),
    PackedArray("neighbors", "bond", _COUNT),
    PackedArray("distances", "bond", (np.float32,), most=_MOST_DISTANCE),
    PackedArray("bond_counts", "bond", _COUNT),
    PackedArray("site_classes", "site", (np.int32,)),
    PackedArray("ids", "crystal", (np.str_,)),
    PackedArray("global_features", "crystal", (np.float64,), ndim=2, most=MAX_NUMBER),
)
NAMES = tuple(one.name for one in SCHEMA)
# The arrays of which every crystal owns rows, with the level of the rows.
PARTS = {one.name: one.level for one in SCHEMA if one.level in ("class", "bond", "site")}


@dataclass(frozen=True, eq=False)
class CrystalGraph:
    """One crystal of a `CrystalGraphs`; its arrays are views. Its length is its number of sites.

    Attributes
    ----------
    site_kinds : ndarray of shape (n_classes,), int32
        Row of `kind_features` of each class of equal sites.
    site_counts : ndarray of shape (n_classes,), int32
        Number of sites in each class.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        Features of the distinct kinds of site.
    bond_offsets : ndarray of shape (n_classes + 1,), int64
        Class c owns the bonds ``bond_offsets[c]:bond_offsets[c + 1]``.
    neighbors : ndarray of shape (n_bonds,), integer
        Class at the other end of each bond.
    distances : ndarray of shape (n_bonds,), float32
        Length of each bond in Å, ascending within a class.
    bond_counts : ndarray of shape (n_bonds,), integer
        How many of the bonds of a site are this one.
    site_classes : ndarray of shape (n_sites,), int32
        Class of each site of the crystal.
    id : str
        File stem, or position in X.
    global_features : ndarray of shape (n_global_features,), float64
        Numbers that belong to the crystal, such as a temperature.
    options : GraphOptions
        How the graph was made.
    """

    site_kinds: npt.NDArray[np.int32]
    site_counts: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    bond_offsets: npt.NDArray[np.int64]
    neighbors: npt.NDArray[np.integer]
    distances: npt.NDArray[np.float32]
    bond_counts: npt.NDArray[np.integer]
    site_classes: npt.NDArray[np.int32]
    id: str
    global_features: npt.NDArray[np.float64]
    options: GraphOptions

    def __len__(self) -> int:
        return len(self.site_classes)

    def __repr__(self) -> str:
        return f"CrystalGraph({self.id!r}, {len(self)} sites in {len(self.site_kinds)} classes)"

    def expand(self) -> ExpandedGraphs:
        """Return the graph with every site and bond, see `CrystalGraphs.expand`."""
        return expand(self, np.array([0, len(self.site_kinds)]), np.array([0, len(self)]))


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


def check_numbers(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Check that numbers are not beyond what they can be.

    Raises
    ------
    ValueError
        If they are, or are not finite.
    """
    for one in SCHEMA:
        if one.most is not None and one.name in arrays:
            array = arrays[one.name]
            if not max(-array.min(initial=0), array.max(initial=0)) <= one.most:
                raise ValueError(f"{one.name} must be finite numbers of at most {one.most:g}")


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
