"""Features of crystals from potentials that others have trained."""

from skcgcnn.features._chgnet import CHGNetPotential, PotentialOutput
from skcgcnn.features._potential_features import (
    POTENTIALS,
    Potential,
    PotentialFeatures,
    potential_of,
)

__all__ = [
    "POTENTIALS",
    "CHGNetPotential",
    "Potential",
    "PotentialFeatures",
    "PotentialOutput",
    "potential_of",
]
