"""The network of CGCNN and its loss, as torch modules.

Source: T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018). Parameters have the names
of the original code, so that its weights load.
"""

import math
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds, BondSums, Groups, own_bonds, sum_bonds
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._messages import fixed_messages, normalized_messages
from skcgcnn.nn._normalization import BatchNorm

# In Å: distance between the centers of the Gaussians, and their width, as in the original code.
GAUSSIAN_STEP = 0.2
_LOWEST_EXPONENT = -60.0
_ALL = slice(None)


class _Linear(nn.Linear):
    """A linear layer that draws its weights from a given generator of random numbers.

    torch's layers draw from a generator that all threads share, so that fits in two threads would
    change each other.
    """

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator | None) -> None:
        super().__init__(n_in, n_out)
        # As `torch.nn.Linear` draws them.
        bound = 1 / math.sqrt(n_in)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def reset_parameters(self) -> None:
        """Do nothing: the constructor draws."""


class _Dropout(nn.Dropout):
    """Dropout that draws from a generator of its own, see `_Linear`."""

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.seed: int | None = None
        self._generator: torch.Generator | None = None

    def start(self, seed: int) -> None:
        """Start the random numbers anew."""
        self.seed, self._generator = seed, None

    def forward(self, rows: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.seed is None:
            return super().forward(rows)
        if self._generator is None:
            self._generator = torch.Generator(rows.device).manual_seed(self.seed)
        kept = torch.empty_like(rows).bernoulli_(1 - self.p, generator=self._generator)
        return rows * kept.div_(1 - self.p)

    def __getstate__(self) -> dict[str, Any]:
        # A generator can be neither copied nor pickled; an epoch starts a new one.
        return {**self.__dict__, "_generator": None}


class GaussianDistance(nn.Module):
    """Expand distances in Gaussians with centers from 0 to `radius`.

    Parameters
    ----------
    radius : float, default=8.0
        Last center, in Å.
    step : float, default=0.2
        Distance between centers, and width of each Gaussian, in Å.

    Examples
    --------
    >>> import torch
    >>> GaussianDistance()(torch.tensor([2.8])).shape
    torch.Size([1, 41])
    """

    centers: Tensor

    def __init__(self, radius: float = 8.0, step: float = GAUSSIAN_STEP) -> None:
        super().__init__()
        self.step = step
        # By NumPy: on the meta device, on which files are checked, torch.arange imports torch's
        # compiler, which takes 2 s.
        centers = torch.tensor(np.arange(round(radius / step) + 1) * step, dtype=torch.float32)
        self.register_buffer("centers", centers, persistent=False)

    def forward(self, distances: Tensor, active: slice = _ALL) -> Tensor:
        """Return exp(-(d - center)² / step²).

        Parameters
        ----------
        distances : Tensor
            In Å, of any shape.
        active : slice, default=all
            Centers to use.

        Returns
        -------
        Tensor
            Of the shape of `distances`, with another axis for the centers.
        """
        scaled = (distances / self.step).unsqueeze(-1) - self.centers[active] / self.step
        # Far from a center, the Gaussian would be a denormal number, which is slow to compute with.
        return scaled.square_().clamp_(max=-_LOWEST_EXPONENT).neg_().exp_()

    def active_centers(self, distances: Tensor) -> slice:
        """Return the centers that are near any of the distances: Gaussian above 1e-26.

        Parameters
        ----------
        distances : Tensor
            In Å, at least one.

        Returns
        -------
        slice
            At least one center; all of them if a distance is not a finite number.
        """
        least, most = (float(d) / self.step for d in torch.aminmax(distances.detach()))
        if not math.isfinite(least + most):
            return _ALL
        width = math.sqrt(-_LOWEST_EXPONENT)
        first = min(max(0, math.ceil(least - width)), len(self.centers) - 1)
        return slice(first, max(first, math.floor(most + width)) + 1)


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
        self.fc_full = _Linear(2 * atom_fea_len + nbr_fea_len, 2 * atom_fea_len, generator)
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
        if groups is not None:
            buffers = BufferPool() if pool is None else pool
            return fixed_messages(from_site, from_neighbor, bond, bonds, groups, buffers)
        gated = from_site.index_select(0, bonds.centers)
        gated = gated + from_neighbor.index_select(0, bonds.neighbors)
        gated = gated + functional.linear(bonds.features, bond)
        if self.bn1.training:
            gated = self.bn1(gated, bonds.weights)
        gate, core = gated[:, :width], gated[:, width:]
        messages = torch.sigmoid(gate) * functional.softplus(core) * bonds.counts.unsqueeze(1)
        summed = messages.new_zeros(len(sites), width)
        return summed.index_add(0, bonds.centers, messages)


class CrystalGraphConvNet(nn.Module):
    """The crystal graph convolutional network.

    Parameters
    ----------
    orig_atom_fea_len : int
        Features per kind of site (92 in the built-in table).
    n_outputs : int, default=1
        Number of outputs: one per regression target, one logit per class.
    atom_fea_len : int, default=64
        Hidden features per site.
    n_conv : int, default=3
        Number of convolutions.
    h_fea_len : int, default=128
        Hidden features per crystal, after pooling.
    n_h : int, default=1
        Number of hidden layers after pooling.
    radius : float, default=8.0
        Last center of the Gaussian expansion of distances, in Å.
    dropout : float, default=0.0
        Share of the pooled features that is dropped in training.
    seed : int, optional
        Seed of the initial weights; by default they are drawn from torch's global generator.

    Examples
    --------
    >>> import torch
    >>> from skcgcnn.graphs import CrystalGraphs
    >>> from skcgcnn.nn import GraphBatches, GraphDataset
    >>> from skcgcnn.datasets import load_sample_regression
    >>> graphs = CrystalGraphs.from_structures(load_sample_regression().data[:3])
    >>> ((weighted, _),) = GraphBatches(GraphDataset(graphs), batch_size=3, device="cpu")
    >>> CrystalGraphConvNet(92).eval()(*weighted.batch).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        orig_atom_fea_len: int,
        n_outputs: int = 1,
        *,
        atom_fea_len: int = 64,
        n_conv: int = 3,
        h_fea_len: int = 128,
        n_h: int = 1,
        radius: float = 8.0,
        dropout: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.expansion = GaussianDistance(radius)
        nbr_fea_len = len(self.expansion.centers)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.embedding = _Linear(orig_atom_fea_len, atom_fea_len, generator)
        self.convs = nn.ModuleList(
            ConvLayer(atom_fea_len, nbr_fea_len, generator) for _ in range(n_conv)
        )
        self.conv_to_fc = _Linear(atom_fea_len, h_fea_len, generator)
        self.dropout = _Dropout(dropout)
        self.fcs = nn.ModuleList(_Linear(h_fea_len, h_fea_len, generator) for _ in range(n_h - 1))
        self.fc_out = _Linear(h_fea_len, n_outputs, generator)
        self.frozen: list[nn.Module] = []
        # Only for a training in which each forward pass is followed by exactly one backward pass.
        self.buffer_pool: BufferPool | None = None

    def freeze(self, n_layers: int) -> None:
        """Leave the first layers out of training, their batch normalization included.

        Parameters
        ----------
        n_layers : int
            0 for none, 1 for the embedding, 1 + i for the first i convolutions as well.
        """
        layers = [self.embedding, *self.convs]
        self.frozen = layers[:n_layers]
        for index, layer in enumerate(layers):
            layer.requires_grad_(index >= n_layers)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen layers stay in evaluation mode."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def forward(
        self,
        kind_features: Tensor,
        site_kinds: Tensor,
        site_counts: Tensor,
        crystals: Tensor,
        n_sites: Tensor,
        centers: Tensor,
        neighbors: Tensor,
        distances: Tensor,
        bond_counts: Tensor,
    ) -> Tensor:
        """Predict for a batch of crystals.

        The rows are classes of equal sites (see `CrystalGraphs`); a site that equals no other is a
        row of its own.

        Parameters
        ----------
        kind_features : Tensor of shape (n_kinds, orig_atom_fea_len)
            Features of the kinds of site.
        site_kinds : Tensor of shape (n_rows,), integer
            Kind of each row.
        site_counts : Tensor of shape (n_rows,)
            Number of sites in each row.
        crystals : Tensor of shape (n_rows,), integer
            Crystal of each row, ascending.
        n_sites : Tensor of shape (n_crystals,)
            Number of sites of each crystal, at least 1.
        centers : Tensor of shape (n_bonds,), integer
            Row to which each bond belongs, ascending.
        neighbors : Tensor of shape (n_bonds,), integer
            Row at the other end of each bond.
        distances : Tensor of shape (n_bonds,)
            Their distance in Å.
        bond_counts : Tensor of shape (n_bonds,)
            How many of the bonds of a site are this one.

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
            Scaled regression targets and logits.
        """
        # There are fewer kinds than rows: embed the kinds, then look up the rows.
        sites = self.embedding(kind_features).index_select(0, site_kinds)
        # Neighbors are near, so that a part of the Gaussians is enough. Finding out which is fast,
        # except on a GPU, where it would wait for the queue.
        on_cpu = distances.device.type == "cpu" and not torch.compiler.is_compiling()
        active = self.expansion.active_centers(distances) if on_cpu and len(distances) else _ALL
        bonds = Bonds(
            *(centers, neighbors, bond_counts),
            self.expansion(distances, active),
            active,
            bond_counts * site_counts.index_select(0, centers),
        )
        groups, sums, pool = None, None, None
        if self._uses_fused_messages(bonds):
            groups = own_bonds(bonds, len(sites))
            sums = sum_bonds(bonds, groups) if self.training else None
            pool = self.buffer_pool if self.training else BufferPool()
        for conv in self.convs:
            sites = conv(sites, site_counts, bonds, groups, sums, pool)
        shares = (site_counts / n_sites.index_select(0, crystals)).unsqueeze(1)
        pooled = sites.new_zeros(len(n_sites), sites.shape[1])
        pooled = pooled.index_add(0, crystals, sites * shares)
        hidden = self.conv_to_fc(functional.softplus(pooled))
        hidden = self.dropout(functional.softplus(hidden))
        for fc in self.fcs:
            hidden = functional.softplus(fc(hidden))
        out: Tensor = self.fc_out(hidden)
        return out

    def _uses_fused_messages(self, bonds: Bonds) -> bool:
        """Return whether the hand-written messages can replace torch's operations."""
        return (
            self.training == torch.is_grad_enabled()
            and bonds.features.device.type == "cpu"
            and not bonds.features.requires_grad
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and len(bonds.centers) > 1
        )
