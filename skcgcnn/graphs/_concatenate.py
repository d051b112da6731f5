"""Graphs of several parts as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._packing import distinct_rows, offsets_from_counts


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
    options = parts[0].options
    distinct = list(dict.fromkeys(part.options for part in parts))
    for one in distinct:
        for other in distinct:
            if different := one.differences(other):
                raise ValueError(
                    "graphs that were made with different options cannot be joined: "
                    f"{one.describe(different)} and {other.describe(different)}"
                )
        # What is unknown of one part is unknown of all.
        options = options.common(one)
    if len(parts) == 1:
        return parts[0]
    features, kind_of = distinct_rows([row for part in parts for row in part.kind_features])
    starts = np.cumsum([0, *(len(part.kind_features) for part in parts)])
    kinds = [kind_of[s + part.site_kinds] for s, part in zip(starts, parts, strict=False)]

    def join(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    def join_offsets(name: str) -> npt.NDArray[np.int64]:
        counts = [np.diff(getattr(part, name)) for part in parts]
        return offsets_from_counts(np.concatenate(counts))

    return CrystalGraphs(
        offsets=join_offsets("offsets"),
        site_kinds=np.concatenate(kinds),
        site_counts=join("site_counts"),
        kind_features=features.reshape(-1, options.n_features),
        bond_offsets=join_offsets("bond_offsets"),
        neighbors=join("neighbors"),
        distances=join("distances"),
        bond_counts=join("bond_counts"),
        site_classes=join("site_classes"),
        ids=join("ids"),
        global_features=join("global_features"),
        options=options,
    )
