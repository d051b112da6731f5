"""A convolution that updates the bonds as well as the sites."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds, Ends, product_over_rows, sum_rows
from skcgcnn.nn._layers import Dropout, Linear

# A site has a dozen neighbors or so: with this factor, the sum of their messages is of the order
# of one of them.
MESSAGE_SCALE = 0.25


class EdgeConv(nn.Module):
    """One convolution with features of bonds that are updated too.

    With sites v and bonds e, and the number of equal bonds n,

        e'ᵢⱼ = eᵢⱼ + dropout(silu(W₁vᵢ + W₂vⱼ + W₃ norm(eᵢⱼ)))
        mᵢ = ¼ Σⱼ nᵢⱼ silu(e'ᵢⱼ)
        v'ᵢ = vᵢ + W₅ silu(W₄[norm(vᵢ), mᵢ])

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
    (2019)). As silu(e) is e sigmoid(e), a bond gates its own message, as in CGCNN.
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
        self.update = Linear(2 * width, width, generator)
        self.out = Linear(width, width, generator)
        self.bond_norm = nn.LayerNorm(width)
        self.site_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(
        self, sites: Tensor, edges: Tensor, bonds: Bonds, ends: Ends | None = None
    ) -> tuple[Tensor, Tensor]:
        """Update the features of every row and of every bond.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            Features of the classes of equal sites.
        edges : Tensor of shape (n_bonds, atom_fea_len)
            Features of the bonds.
        bonds : Bonds
            The bonds.
        ends : Ends, optional
            The bonds by row, for gradients that are written by hand; None for torch's own.

        Returns
        -------
        sites : Tensor of shape (n_rows, atom_fea_len)
        edges : Tensor of shape (n_bonds, atom_fea_len)
        """
        own, other = self.own(sites), self.other(sites)
        # Whole bonds are dropped: a random number for every feature takes longer than all the rest.
        kept = self.dropout(torch.ones_like(bonds.counts)).unsqueeze(1)
        if ends is None:
            change = self.bond(self.bond_norm(edges))
            change = change + own.index_select(0, bonds.centers)
            change = change + other.index_select(0, bonds.neighbors)
            edges = edges + functional.silu(change) * kept
            messages = functional.silu(edges) * (MESSAGE_SCALE * bonds.counts).unsqueeze(1)
            summed = messages.new_zeros(sites.shape).index_add(0, bonds.centers, messages)
        else:
            norm = self.bond_norm
            summed, edges = _Update.apply(  # type: ignore[no-untyped-call]
                *(edges, own, other, norm.weight, norm.bias, self.bond.weight),
                *(kept, norm.eps, bonds, ends),
            )
        seen = torch.cat([self.site_norm(sites), summed], dim=1)
        return sites + self.out(functional.silu(self.update(seen))), edges


class _Update(torch.autograd.Function):
    """The messages and the new bonds, with fewer passes over the bonds than torch's operations.

    Gradients of rows are summed from sorted bonds instead of scattered one by one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        edges: Tensor,
        own: Tensor,
        other: Tensor,
        scale: Tensor,
        shift: Tensor,
        weight: Tensor,
        kept: Tensor,
        eps: float,
        bonds: Bonds,
        ends: Ends,
    ) -> tuple[Tensor, Tensor]:
        width = [edges.shape[1]]
        normed, mean, rstd = torch.native_layer_norm(edges, width, scale, shift, eps)
        change = own.index_select(0, bonds.centers)
        change += other.index_select(0, bonds.neighbors)
        change.addmm_(normed, weight.T)
        new = torch.addcmul(edges, functional.silu(change), kept)
        ctx.save_for_backward(edges, normed, mean, rstd, scale, shift, weight, kept, change, new)
        ctx.set_materialize_grads(False)
        ctx.bonds, ctx.ends = bonds, ends
        return sum_rows(functional.silu(new), ends.messages), new

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_summed: Tensor, grad_new: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        edges, normed, mean, rstd, scale, shift, weight, kept, change, new = ctx.saved_tensors
        ends: Ends = ctx.ends
        grad = grad_summed.index_select(0, ctx.bonds.centers)
        grad *= ends.messages.weights.unsqueeze(1)
        grad = torch.ops.aten.silu_backward(grad, new)
        if grad_new is not None:
            grad += grad_new
        grad_change = torch.ops.aten.silu_backward(grad * kept, change)
        grad_edges, grad_scale, grad_shift = torch.ops.aten.native_layer_norm_backward(
            grad_change @ weight,
            edges,
            [edges.shape[1]],
            *(mean, rstd, scale, shift),
            [True, True, True],
        )
        return (
            grad_edges.add_(grad),
            sum_rows(grad_change, ends.of_centers),
            sum_rows(grad_change, ends.of_neighbors),
            grad_scale,
            grad_shift,
            product_over_rows(grad_change, normed),
            *(None, None, None, None),
        )
