"""The convolution of CGCNN.

Source: T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018). Parameters have the names
of the original code, so that its weights load.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds, BondSums, Groups
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._layers import Linear
from skcgcnn.nn._messages import fixed_messages, normalized_messages
from skcgcnn.nn._normalization import BatchNorm


class ConvLayer(nn.Module):
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
    """

    def __init__(
        self, atom_fea_len: int, nbr_fea_len: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.atom_fea_len = atom_fea_len
        self.nbr_fea_len = nbr_fea_len
        self.fc_full = Linear(2 * atom_fea_len + nbr_fea_len, 2 * atom_fea_len, generator)
        self.bn1 = BatchNorm(2 * atom_fea_len)
        self.bn2 = BatchNorm(atom_fea_len)

    def forward(
        self,
        sites: Tensor,
        site_counts: Tensor,
        bonds: Bonds,
        groups: Groups | None = None,
        sums: BondSums | None = None,
        pool: BufferPool | None = None,
    ) -> Tensor:
        """Update the features of every row from its neighbors.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            Features of the classes of equal sites.
        site_counts : Tensor of shape (n_rows,)
            Number of sites in each class.
        bonds : Bonds
            Their bonds.
        groups : Groups, optional
            The bonds of each row, to compute messages by the functions of `_messages`, which are
            faster on the CPU, with the same numbers.
        sums : BondSums, optional
            Sums over the bonds, for a training by these functions. With `groups` alone, no
            gradients are computed.
        pool : BufferPool, optional
            Where these functions take memory from.

        Returns
        -------
        Tensor of shape (n_rows, atom_fea_len)
        """
        if groups is not None and sums is not None and self.bn1.training:
            summed = normalized_messages(sites, self.fc_full, self.bn1, bonds, groups, sums, pool)
        else:
            summed = self._messages(sites, bonds, groups if sums is None else None, pool)
        return functional.softplus(sites + self.bn2(summed, site_counts))

    def _messages(
        self, sites: Tensor, bonds: Bonds, groups: Groups | None, pool: BufferPool | None
    ) -> Tensor:
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
        if groups is not None and not self.bn1.training:
            buffers = BufferPool() if pool is None else pool
            return fixed_messages(from_site, from_neighbor, bond, bonds, groups, buffers)
        gated = from_site.index_select(0, bonds.centers)
        gated = gated + from_neighbor.index_select(0, bonds.neighbors)
        gated = gated + functional.linear(bonds.features, bond)
        if self.bn1.training:
            gated = self.bn1(gated, bonds.weights)
        gate, core = gated[:, :width], gated[:, width:]
        messages = torch.sigmoid(gate) * functional.softplus(core) * bonds.counts.unsqueeze(1)
        summed = messages.new_zeros(sites.shape[0], width)
        return summed.index_add(0, bonds.centers, messages)
