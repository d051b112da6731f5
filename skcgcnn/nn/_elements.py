"""Features that are learned for the kinds of site in the training crystals."""

import torch
from torch import Tensor, nn


class ElementEmbedding(nn.Module):
    """A learned vector for every kind of site of the training crystals, mostly the elements.

    The features of the elements say what they have in common; the vectors say how each differs. A
    kind that is not known has no vector: it has its features alone. All vectors are zero at first.

    Parameters
    ----------
    n_kinds : int
        Kinds of site that are known.
    orig_atom_fea_len : int
        Features per kind of site, by which the known ones are recognized.
    atom_fea_len : int
        Length of the vectors.
    """

    kinds: Tensor

    def __init__(self, n_kinds: int, orig_atom_fea_len: int, atom_fea_len: int) -> None:
        super().__init__()
        self.register_buffer("kinds", torch.zeros(n_kinds, orig_atom_fea_len))
        self.weight = nn.Parameter(torch.zeros(n_kinds, atom_fea_len))

    def forward(self, kind_features: Tensor) -> Tensor:
        """Return the vectors of kinds of site; zeros for those that are not known.

        Parameters
        ----------
        kind_features : Tensor of shape (n_kinds, orig_atom_fea_len)

        Returns
        -------
        Tensor of shape (n_kinds, atom_fea_len)
        """
        same = (kind_features.unsqueeze(1) == self.kinds).all(dim=2)
        return same.to(self.weight.dtype) @ self.weight
