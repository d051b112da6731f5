"""The numbers beside crystals, as they are read with these."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.crystals import describe_source
from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._select import without_sites


class Beside(NamedTuple):
    """The numbers beside crystals, NaN where one is missing, and the units that are known."""

    sources: Sequence[Any] | npt.NDArray[np.str_]
    numbers: npt.NDArray[np.float64]
    names: tuple[str, ...]
    units: Mapping[str, str]

    def join(
        self, graphs: CrystalGraphs, start: int, failures: list[tuple[str, str]]
    ) -> CrystalGraphs:
        """Return graphs with their numbers; a crystal that lacks one fails."""
        if not self.names:
            return graphs
        numbers = self.numbers[start : start + len(graphs)]
        missing = np.isnan(numbers)
        lacking = np.asarray(missing.any(axis=1))
        for row in np.flatnonzero(lacking & (graphs.n_sites > 0)):
            place = start + int(row)
            why = f"has no {self.names[missing[row].argmax()]}"
            failures.append((describe_source(self.sources[place], place), why))
        if lacking.any():
            graphs = CrystalGraphs(**without_sites(graphs, lacking))
        units = [self.units.get(name, "") for name in self.names]
        return graphs.with_global_features(np.where(missing, 0, numbers), self.names, units)
