"""From the features of the kinds of site to those of the sites."""

from typing import Self

import torch
from torch import Tensor, nn

from skcgcnn.nn._batches import GraphBatch
from skcgcnn.nn._layers import FLOAT, Linear


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
        self.register_buffer("kinds", torch.zeros(n_kinds, orig_atom_fea_len, dtype=FLOAT))
        self.weight = nn.Parameter(torch.zeros(n_kinds, atom_fea_len, dtype=FLOAT))
        self._matched: tuple[Tensor, Tensor] | None = None

    def forward(self, kind_features: Tensor) -> Tensor:
        """Return the vectors of kinds of site; zeros for those that are not known.

        Parameters
        ----------
        kind_features : Tensor of shape (n_kinds, orig_atom_fea_len)

        Returns
        -------
        Tensor of shape (n_kinds, atom_fea_len)
        """
        # The batches of an epoch have one table of kinds, and to compare it takes a while.
        remembers = self.training and not torch.compiler.is_compiling()
        matched = self._matched if remembers else None
        if matched is None or matched[0] is not kind_features:
            same = (kind_features.unsqueeze(1) == self.kinds).all(dim=2)
            matched = kind_features, same.to(self.weight.dtype)
        if remembers:
            self._matched = matched
        return matched[1] @ self.weight

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and forget the table of kinds of the last one."""
        self._matched = None
        return super().train(mode)


class SiteEmbedding(Linear):
    """The features of sites before the convolutions: a linear function of those of their kinds.

    Parameters
    ----------
    orig_atom_fea_len : int
        Features per kind of site.
    atom_fea_len : int
        Features per site.
    n_kinds : int
        Kinds of site that have a learned vector beside it, see `ElementEmbedding`.
    generator : torch.Generator or None
        Draws the initial weights.
    """

    def __init__(
        self,
        orig_atom_fea_len: int,
        atom_fea_len: int,
        n_kinds: int,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(orig_atom_fea_len, atom_fea_len, generator)
        self.elements = (
            ElementEmbedding(n_kinds, orig_atom_fea_len, atom_fea_len) if n_kinds else None
        )

    def forward(self, batch: GraphBatch) -> Tensor:  # type: ignore[override]
        """Return the features of the rows of a batch, of shape (n_rows, atom_fea_len)."""
        # There are fewer kinds than rows: embed the kinds, then look up the rows.
        kinds: Tensor = super().forward(batch.kind_features)
        if self.elements is not None:
            kinds = kinds + self.elements(batch.kind_features)
        return kinds.index_select(0, batch.site_kinds)
