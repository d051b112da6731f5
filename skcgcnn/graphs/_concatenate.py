"""Graphs of several parts as one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._packing import distinct_rows
from skcgcnn.graphs._schema import NAMES, SCHEMA, PackedArray, n_rows

# Rows of an array that are copied together.
_ROWS = 1_000_000


class Joint:
    """How the arrays of several parts become those of the whole.

    Kinds of site that several parts have are stored once; offsets go on where those of the part
    before end.

    Attributes
    ----------
    options : GraphOptions
        What is known of all parts.
    dtypes : list of dict
        Types of the arrays of each part.
    widths : dict of str to tuple of int
        Shapes of a row of the arrays.
    kind_features : ndarray of shape (n_kinds, n_features)
        The distinct kinds of site; it is there once `finish` was called.
    """

    def __init__(self) -> None:
        self.options: GraphOptions
        self.dtypes: list[dict[str, np.dtype]] = []
        self.widths: dict[str, tuple[int, ...]] = {}
        self._distinct: list[GraphOptions] = []
        self._features: list[npt.NDArray[np.float32]] = []
        self._rows: list[dict[str, int]] = []

    def add(self, part: CrystalGraphs, name: str = "") -> None:
        """Take note of a part.

        Parameters
        ----------
        part : CrystalGraphs
            Only its options, its kinds of site and the lengths of its arrays are kept.
        name : str, default=""
            How messages name it.

        Raises
        ------
        ValueError
            If it was made with other options than the parts before.
        """
        for other in self._distinct:
            if different := other.differences(part.options):
                raise ValueError(
                    f"{name}graphs that were made with different options cannot be joined: "
                    f"{other.describe(different)} and {part.options.describe(different)}"
                )
        self._distinct = list(dict.fromkeys([*self._distinct, part.options]))
        # What is unknown of one part is unknown of all.
        known = self.options if self._rows else part.options
        self.options = known.common(part.options)
        self.dtypes.append({name: getattr(part, name).dtype for name in NAMES})
        self._features += [np.array(row) for row in part.kind_features]
        self.widths = {name: getattr(part, name).shape[1:] for name in NAMES}
        self._rows.append({one.level: n_rows(one, getattr(part, one.name)) for one in SCHEMA})

    def finish(self) -> None:
        """Find the distinct kinds of site, once all parts are known."""
        distinct, self._kind_of = distinct_rows(self._features)
        self.kind_features = distinct.reshape(-1, self.options.n_features)
        levels = self._rows[0]
        self._starts = {
            level: np.cumsum([0, *(rows[level] for rows in self._rows)]) for level in levels
        }

    @property
    def n_crystals(self) -> int:
        """Number of crystals of the whole."""
        return int(self._starts["crystal"][-1])

    def length(self, one: PackedArray) -> int:
        """Return the length of an array of the whole."""
        if one.level == "kind":
            return len(self.kind_features)
        return int(self._starts[one.level][-1]) + (one.ends is not None)

    def pieces(
        self, one: PackedArray, arrays: Iterable[npt.NDArray[Any]]
    ) -> Iterator[npt.NDArray[Any]]:
        """Yield the rows of an array of the whole, from those of the parts."""
        if one.level == "kind":
            yield self.kind_features
            return
        # The first of the offsets is the last of the part before.
        skipped = int(one.ends is not None)
        yield np.zeros((skipped, *self.widths[one.name]), self.dtypes[0][one.name])
        for part, array in enumerate(arrays):
            for start in range(skipped, len(array), _ROWS):
                yield self._change(one, part, array[start : start + _ROWS])

    def _change(self, one: PackedArray, part: int, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return rows of a part as they are in the whole."""
        if one.index_of is not None:
            changed: npt.NDArray[Any] = self._kind_of[self._starts[one.index_of][part] + rows]
            return changed
        return rows if one.ends is None else rows + self._starts[one.ends][part]


def concatenate(parts: Sequence[CrystalGraphs]) -> CrystalGraphs:
    """Join graphs end to end; kinds of site that several parts have are stored once.

    Parameters
    ----------
    parts : sequence of CrystalGraphs
        At least one; all made with the same options.

    Returns
    -------
    CrystalGraphs

    Raises
    ------
    ValueError
        If there is no part, or the parts were made with different options.
    """
    if not parts:
        raise ValueError("expected at least one part")
    if len(parts) == 1:
        return parts[0]
    joint = Joint()
    for part in parts:
        joint.add(part)
    joint.finish()
    arrays: dict[str, Any] = {}
    for one in SCHEMA:
        pieces = joint.pieces(one, (getattr(part, one.name) for part in parts))
        arrays[one.name] = np.concatenate(list(pieces))
    return CrystalGraphs(**arrays, options=joint.options)
