"""The convolution of CGCNN.

Source: T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018). Parameters have the names
of the original code, so that its weights load.
"""

import torch
from torch import Tensor
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds
from skcgcnn.nn._convolution import Convolution
from skcgcnn.nn._layers import Linear
from skcgcnn.nn._messages import fixed_messages, normalized_messages
from skcgcnn.nn._normalization import BatchNorm


class ConvLayer(Convolution):
    """One crystal graph convolution, equation (5) of Xie & Grossman (2018).

    The original code multiplies the concatenated features of site, neighbor and bond by one
    matrix, for every bond. The product is a sum, W·[a, b, c] = W₁a + W₂b + W₃c, of which the first
    two terms are computed once per site. The numbers are the same.

    Parameters
    ----------
    atom_fea_len : int
        Features per site.
    nbr_fea_len : int
        Features per bond.
    generator : torch.Generator, optional
        Draws the initial weights; by default torch's global generator.
    dropout : float, default=0.0
        Not used: it is in the head.
    """

    def __init__(
        self,
        atom_fea_len: int,
        nbr_fea_len: int,
        generator: torch.Generator | None = None,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.atom_fea_len = atom_fea_len
        self.nbr_fea_len = nbr_fea_len
        self.fc_full = Linear(2 * atom_fea_len + nbr_fea_len, 2 * atom_fea_len, generator)
        self.bn1 = BatchNorm(2 * atom_fea_len)
        self.bn2 = BatchNorm(atom_fea_len)

    def forward(self, sites: Tensor, edges: Tensor, bonds: Bonds) -> tuple[Tensor, Tensor]:
        """Update the features of every row; the bonds stay. See `Convolution.forward`.

        On a CPU by the functions of `_messages`, which are faster, with the same numbers.
        """
        # Batch statistics that are fixed need no gradient, and those of a batch do: otherwise
        # it is neither training nor prediction, for which these functions are.
        is_fused = bonds.is_fused and self.bn1.training == torch.is_grad_enabled()
        if is_fused and self.bn1.training:
            summed = normalized_messages(sites, self.fc_full, self.bn1, bonds)
        else:
            summed = self._messages(sites, bonds, is_fused=is_fused)
        return functional.softplus(sites + self.bn2(summed, bonds.site_counts)), edges

    def _messages(self, sites: Tensor, bonds: Bonds, *, is_fused: bool) -> Tensor:
        width = self.atom_fea_len
        own, other, bond = torch.split(self.fc_full.weight, [width, width, self.nbr_fea_len], dim=1)
        bond = bond[:, bonds.active]
        from_site = functional.linear(sites, own, self.fc_full.bias)
        from_neighbor = functional.linear(sites, other)
        if not self.bn1.training:
            # The statistics are fixed: scale once per row, not once per bond.
            scale, shift = self.bn1.fixed()
            from_site, from_neighbor = from_site * scale + shift, from_neighbor * scale
            bond = bond * scale.unsqueeze(1)
        if is_fused:
            return fixed_messages(from_site, from_neighbor, bond, bonds)
        gated = from_site.index_select(0, bonds.centers)
        gated = gated + from_neighbor.index_select(0, bonds.neighbors)
        gated = gated + functional.linear(bonds.features, bond)
        if self.bn1.training:
            gated = self.bn1(gated, bonds.weights)
        gate, core = gated[:, :width], gated[:, width:]
        messages = torch.sigmoid(gate) * functional.softplus(core) * bonds.counts.unsqueeze(1)
        summed = messages.new_zeros(sites.shape[0], width)
        return summed.index_add(0, bonds.centers, messages)
