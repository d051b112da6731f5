"""Crystals that a model was not trained on, and what became of their predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from skcgcnn.graphs import CrystalGraphs
from skcgcnn.metrics import HeldOutError
from skcgcnn.tasks import Prediction


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions for crystals that were held out, with the truth.

    Attributes
    ----------
    graphs : CrystalGraphs
        The crystals.
    y : ndarray of shape (n_crystals, n_targets)
        Their targets.
    ids, paths : list
        Their names, and where they come from.
    predictions : list of Prediction
        Target by target.
    metrics : mapping of str to mapping
        Their measures, target by target.
    errors : mapping of str to HeldOutError
        Their errors, target by target.
    n_folds : int
        Folds of the cross-validation, in which every crystal is predicted by a network that was
        not trained on it; 0 for the test crystals of one network.
    """

    graphs: CrystalGraphs
    y: npt.NDArray[Any]
    ids: Sequence[str]
    paths: Sequence[Any]
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Mapping[str, float | None]]
    errors: Mapping[str, HeldOutError]
    n_folds: int = 0

    @property
    def what(self) -> str:
        """What the crystals are, for sentences."""
        return f"the crystals of {self.n_folds} folds" if self.n_folds else "the test crystals"

    def numbers(self) -> dict[str, float | None]:
        """Return measures and errors by name, for a model file."""
        kind = "cross-validated" if self.n_folds else "test"
        found: dict[str, float | None] = {
            f"{kind} {metric} of {name}": value
            for name, metrics in self.metrics.items()
            for metric, value in metrics.items()
        }
        for name, error in self.errors.items():
            found |= error.to_numbers(name)
        return found
