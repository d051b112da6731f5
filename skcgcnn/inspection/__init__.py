"""What a fitted network looks at: contributions of sites, and the training crystals nearby."""

from skcgcnn.inspection._contributions import (
    MIXED,
    Contributions,
    element_names,
    site_contributions,
)
from skcgcnn.inspection._nearest import NearestCrystals, nearest_training_crystals

__all__ = [
    "MIXED",
    "Contributions",
    "NearestCrystals",
    "element_names",
    "nearest_training_crystals",
    "site_contributions",
]
