"""A convolution that updates the bonds as well as the sites."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds, Groups, product_over_rows, sum_rows
from skcgcnn.nn._convolution import Convolution
from skcgcnn.nn._layers import FLOAT, Dropout, Linear

# A site has a dozen neighbors or so: with this factor, the sum of their messages is of the order
# of one of them.
MESSAGE_SCALE = 0.25


class EdgeConv(Convolution):
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
    nbr_fea_len : int
        Gaussians that a distance is expanded in; the network turns them into features.
    generator : torch.Generator, optional
        Draws the initial weights; by default torch's global generator.
    dropout : float, default=0.0
        Dropout probability of the update of a bond.

    References
    ----------
    The bonds are updated as in graph networks of materials (C. Chen et al., Chem. Mater. 31, 3564
    (2019)). As silu(e) is e sigmoid(e), a bond gates its own message, as in CGCNN.
    """

    embeds_bonds = True
    has_dropout = True
    normalizes_pooled = True
    normalizes_batch = False

    def __init__(
        self,
        atom_fea_len: int,
        nbr_fea_len: int,
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
        self.bond_norm = nn.LayerNorm(width, dtype=FLOAT)
        self.site_norm = nn.LayerNorm(width, dtype=FLOAT)
        self.dropout = Dropout(dropout)
        self.adds_bias = True

    @staticmethod
    def activation(rows: Tensor) -> Tensor:
        """Return what the head's activation makes of its features."""
        return functional.silu(rows)

    def leave_out_bias(self) -> None:
        """Leave out the bias of the last linear function, see `Convolution.leave_out_bias`."""
        self.out.register_parameter("bias", None)
        self.adds_bias = False

    def forward(self, sites: Tensor, edges: Tensor, bonds: Bonds) -> tuple[Tensor, Tensor]:
        """Update the features of every row and of every bond, see `Convolution.forward`."""
        # Whole bonds are dropped: a random number for every feature takes longer than all the rest.
        kept = self.dropout(torch.ones_like(bonds.counts)).unsqueeze(1)
        if bonds.is_fused:
            norms = self.bond_norm, self.site_norm
            layers = self.own, self.other, self.bond, self.update, self.out
            weights: list[Tensor] = [p for layer in (*norms, *layers) for p in layer.parameters()]
            if not self.adds_bias:
                weights.append(sites.new_zeros(sites.shape[1]))
            return _FusedEdgeConv.apply(  # type: ignore[no-any-return, no-untyped-call]
                sites, edges, kept, bonds, [norm.eps for norm in norms], *weights
            )
        change = self.bond(self.bond_norm(edges))
        change = change + self.own(sites).index_select(0, bonds.centers)
        change = change + self.other(sites).index_select(0, bonds.neighbors)
        edges = edges + functional.silu(change) * kept
        messages = functional.silu(edges) * (MESSAGE_SCALE * bonds.counts).unsqueeze(1)
        summed = messages.new_zeros(sites.shape).index_add(0, bonds.centers, messages)
        seen = torch.cat([self.site_norm(sites), summed], dim=1)
        return sites + self.out(functional.silu(self.update(seen))), edges


class _FusedEdgeConv(torch.autograd.Function):
    """The same, forward and backward, with fewer operations and passes over the bonds than torch's.

    Gradients of rows are summed from sorted bonds instead of scattered one by one. Small batches
    gain most: each of torch's operations has costs of its own.
    """

    @staticmethod
    def forward(
        ctx: Any,
        sites: Tensor,
        edges: Tensor,
        kept: Tensor,
        bonds: Bonds,
        eps: Sequence[float],
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        bond_scale, bond_shift, site_scale, site_shift = weights[:4]
        own, own_bias, other, bond, update, update_bias, out, out_bias = weights[4:]
        normed, *of_edges = _normalized(edges, bond_scale, bond_shift, eps[0])
        change = torch.addmm(own_bias, sites, own.T).index_select(0, bonds.centers)
        change += (sites @ other.T).index_select(0, bonds.neighbors)
        change.addmm_(normed, bond.T)
        new = torch.addcmul(edges, functional.silu(change), kept)
        summed = sum_rows(functional.silu(new), _messages(bonds))
        normed_sites, *of_sites = _normalized(sites, site_scale, site_shift, eps[1])
        seen = torch.cat([normed_sites, summed], dim=1)
        hidden = torch.addmm(update_bias, seen, update.T)
        active = functional.silu(hidden)
        ctx.save_for_backward(
            *(sites, edges, kept, normed, *of_edges, change, new),
            *(*of_sites, seen, hidden, active, *weights),
        )
        ctx.set_materialize_grads(False)
        ctx.bonds = bonds
        return torch.addmm(out_bias, active, out.T).add_(sites), new

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_sites: Tensor, grad_new: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        sites, edges, kept, normed, mean, rstd, change, new, *rest = ctx.saved_tensors
        site_mean, site_rstd, seen, hidden, active, *weights = rest
        own, _, other, bond, update, _, out, _ = weights[4:]
        bonds: Bonds = ctx.bonds
        width = sites.shape[1]
        # From the new sites to the messages.
        grad_hidden = torch.ops.aten.silu_backward(grad_sites @ out, hidden)
        grad_seen = grad_hidden @ update
        # From the messages to the bonds.
        grad = grad_seen[:, width:].index_select(0, bonds.centers)
        grad *= _messages(bonds).weights.unsqueeze(1)
        grad = torch.ops.aten.silu_backward(grad, new)
        if grad_new is not None:
            grad += grad_new
        grad_change = torch.ops.aten.silu_backward(grad * kept, change)
        grad_edges, *of_bond_norm = _normalized_backward(
            grad_change @ bond, edges, mean, rstd, *weights[:2]
        )
        # From the bonds to the sites.
        grad_own = sum_rows(grad_change, bonds.ends.of_centers)
        grad_other = sum_rows(grad_change, bonds.ends.of_neighbors)
        before, *of_site_norm = _normalized_backward(
            grad_seen[:, :width].contiguous(), sites, site_mean, site_rstd, *weights[2:4]
        )
        before.add_(grad_sites).addmm_(grad_own, own).addmm_(grad_other, other)
        return (
            *(before, grad_edges.add_(grad), None, None, None),
            *(*of_bond_norm, *of_site_norm),
            *(grad_own.T @ sites, grad_own.sum(dim=0), grad_other.T @ sites),
            product_over_rows(grad_change, normed),
            *(grad_hidden.T @ seen, grad_hidden.sum(dim=0)),
            *(grad_sites.T @ active, grad_sites.sum(dim=0)),
        )


def _messages(bonds: Bonds) -> Groups:
    """Return the bonds of each row, with the weights of their messages."""
    return bonds.own._replace(weights=MESSAGE_SCALE * bonds.counts)


def _normalized(
    rows: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return layer normalization, and the means and inverse deviations of the rows."""
    return torch.native_layer_norm(rows, [rows.shape[1]], scale, shift, eps)


def _normalized_backward(
    grad: Tensor, rows: Tensor, mean: Tensor, rstd: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the rows, the scale and the shift."""
    return torch.ops.aten.native_layer_norm_backward(  # type: ignore[no-any-return]
        grad, rows, [rows.shape[1]], mean, rstd, scale, shift, [True, True, True]
    )
