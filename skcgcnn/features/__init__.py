"""Features of crystals from what others have learned."""

from skcgcnn.features._chgnet import CHGNetPotential, PotentialOutput

__all__ = ["CHGNetPotential", "PotentialOutput"]
