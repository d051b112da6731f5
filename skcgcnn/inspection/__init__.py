"""What a network looks at: contributions of sites and bonds, and training crystals nearby."""

from skcgcnn.inspection._bonds import BondContributions, bond_contributions
from skcgcnn.inspection._contributions import (
    MIXED,
    Contributions,
    element_names,
    site_contributions,
)
from skcgcnn.inspection._nearest import NearestCrystals, nearest_training_crystals

__all__ = [
    "MIXED",
    "BondContributions",
    "Contributions",
    "NearestCrystals",
    "bond_contributions",
    "element_names",
    "nearest_training_crystals",
    "site_contributions",
]
