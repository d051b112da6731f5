"""A convolution that updates the bonds as well as the sites."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds
from skcgcnn.nn._layers import Dropout, Linear

# A site has a dozen neighbors or so: with this factor, the sum of their messages is of the order
# of one of them.
_MESSAGE_SCALE = 0.25


class _GatedSum(torch.autograd.Function):
    """Σⱼ wᵢⱼ sigmoid(gᵢⱼ) eᵢⱼ, with fewer passes over the bonds than torch's operations."""

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, edges: Tensor, weights: Tensor, centers: Tensor, n_rows: int
    ) -> Tensor:
        share = torch.sigmoid(gates).to(edges.dtype)
        messages = (share * edges).mul_(weights.unsqueeze(1))
        ctx.save_for_backward(share, edges, weights, centers)
        ctx.gates_dtype = gates.dtype
        return messages.new_zeros(n_rows, edges.shape[1]).index_add_(0, centers, messages)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        share, edges, weights, centers = ctx.saved_tensors
        grad_edges = grad.index_select(0, centers).mul_(weights.unsqueeze(1)).mul_(share)
        # The derivative of the sigmoid s is s (1 - s).
        grad_gates = torch.addcmul(grad_edges, grad_edges, share, value=-1).mul_(edges)
        return grad_gates.to(ctx.gates_dtype), grad_edges, None, None, None


class EdgeConv(nn.Module):
    """One convolution with features of bonds that are updated too.

    With sites v and bonds e, and the number of equal bonds n,

        e'ᵢⱼ = eᵢⱼ + dropout(silu(W₁vᵢ + W₂vⱼ + W₃ norm(eᵢⱼ)))
        mᵢ = ¼ Σⱼ nᵢⱼ sigmoid(W₄e'ᵢⱼ) e'ᵢⱼ
        v'ᵢ = vᵢ + W₆ silu(W₅[norm(vᵢ), mᵢ])

    where norm is layer normalization. Nothing depends on the other crystals of a batch.

    Parameters
    ----------
    atom_fea_len : int
        Features per site and per bond.
    generator : torch.Generator, optional
        Draws the initial weights; by default torch's global generator.
    dropout : float, default=0.0
        Share of the bonds that do not change, drawn for every convolution of a training step.

    References
    ----------
    The bonds are updated as in graph networks of materials (C. Chen et al., Chem. Mater. 31, 3564
    (2019)), and gate their own messages as in CGCNN.
    """

    def __init__(
        self,
        atom_fea_len: int,
        generator: torch.Generator | None = None,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = atom_fea_len
        self.own = Linear(width, width, generator)
        self.other = Linear(width, width, generator, bias=False)
        self.bond = Linear(width, width, generator, bias=False)
        self.gate = Linear(width, width, generator)
        self.update = Linear(2 * width, width, generator)
        self.out = Linear(width, width, generator)
        self.bond_norm = nn.LayerNorm(width)
        self.site_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, sites: Tensor, edges: Tensor, bonds: Bonds) -> tuple[Tensor, Tensor]:
        """Update the features of every row and of every bond.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            Features of the classes of equal sites.
        edges : Tensor of shape (n_bonds, atom_fea_len)
            Features of the bonds.
        bonds : Bonds
            The bonds.

        Returns
        -------
        sites : Tensor of shape (n_rows, atom_fea_len)
        edges : Tensor of shape (n_bonds, atom_fea_len)
        """
        change = self.bond(self.bond_norm(edges))
        change = change + self.own(sites).index_select(0, bonds.centers)
        change = change + self.other(sites).index_select(0, bonds.neighbors)
        counts = bonds.counts.unsqueeze(1)
        # Whole bonds are dropped: a random number for every feature takes longer than all the rest.
        edges = edges + functional.silu(change) * self.dropout(torch.ones_like(counts))
        weights = _MESSAGE_SCALE * bonds.counts
        summed: Tensor = _GatedSum.apply(  # type: ignore[no-untyped-call]
            self.gate(edges), edges, weights, bonds.centers, len(sites)
        )
        seen = torch.cat([self.site_norm(sites), summed], dim=1)
        return sites + self.out(functional.silu(self.update(seen))), edges
