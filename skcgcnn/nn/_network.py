"""The network, as a torch module."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._batches import BatchShard
from skcgcnn.nn._bonds import Bonds, bond_ends, own_bonds, sum_bonds
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._edge import MESSAGE_SCALE, EdgeConv
from skcgcnn.nn._elements import ElementEmbedding
from skcgcnn.nn._gated import ConvLayer
from skcgcnn.nn._gaussians import ALL, GaussianDistance
from skcgcnn.nn._globals import GlobalFeatures
from skcgcnn.nn._head import Heads
from skcgcnn.nn._layers import Dropout, Linear
from skcgcnn.nn._normalization import BatchNorm
from skcgcnn.nn._pooling import AttentionPooling, Members, mean_weights, weighted_sum
from skcgcnn.nn._reference import Reference


class CrystalGraphConvNet(nn.Module):
    """The crystal graph convolutional network.

    With ``conv="gated"`` it is that of T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301
    (2018); parameters have the names of the original code, so that its weights load.

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
        Share that is dropped in training: of the pooled features with ``conv="gated"``; with
        "edge" of the bonds, which then do not change.
    conv : {"gated", "edge"}, default="gated"
        The convolution: `ConvLayer`, the original's, or `EdgeConv`.
    pooling : {"mean", "sum", "attention"}, default="mean"
        How a crystal's features come from its sites'. With "sum", the outputs of the sites are
        summed, so that they are extensive.
    reference : bool, default=False
        Whether there is a linear function of the composition beside the network, see `Reference`.
    n_kinds : int, default=0
        Kinds of site that have a learned vector beside their features, see `ElementEmbedding`.
    n_globals : int, default=0
        Numbers that belong to each crystal and go to the head, see `GlobalFeatures`.
    heads : sequence of int, optional
        Outputs of each task, where every task has hidden layers of its own after pooling; by
        default all share them.
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
        conv: str = "gated",
        pooling: str = "mean",
        reference: bool = False,
        n_kinds: int = 0,
        n_globals: int = 0,
        heads: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.conv, self.pooling = conv, pooling
        self.expansion = GaussianDistance(radius)
        nbr_fea_len = len(self.expansion.centers)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.embedding = Linear(orig_atom_fea_len, atom_fea_len, generator)
        self.elements = (
            ElementEmbedding(n_kinds, orig_atom_fea_len, atom_fea_len) if n_kinds else None
        )
        layers: list[nn.Module]
        if conv == "gated":
            layers = [ConvLayer(atom_fea_len, nbr_fea_len, generator) for _ in range(n_conv)]
        else:
            layers = [EdgeConv(atom_fea_len, generator, dropout=dropout) for _ in range(n_conv)]
            self.bond_embedding = Linear(nbr_fea_len, atom_fea_len, generator)
            self.pooled_norm = BatchNorm(atom_fea_len)
        self.convs = nn.ModuleList(layers)
        if pooling == "attention":
            self.attention = AttentionPooling(atom_fea_len, generator)
        self.heads = None if heads is None else Heads(heads)
        width = h_fea_len * (1 if heads is None else len(heads))
        self.conv_to_fc = Linear(atom_fea_len, width, generator)
        self.globals = GlobalFeatures(n_globals, width, generator) if n_globals else None
        self.dropout = Dropout(dropout if conv == "gated" else 0.0)
        self.fcs = nn.ModuleList(Linear(h_fea_len, width, generator) for _ in range(n_h - 1))
        self.fc_out = Linear(h_fea_len, n_outputs, generator)
        self.reference = Reference(orig_atom_fea_len, n_outputs) if reference else None
        self.frozen: list[nn.Module] = []
        # Whether batch statistics are those of several processes.
        self.synchronized = False
        # Only for a training in which each forward pass is followed by exactly one backward pass.
        self.buffer_pool: BufferPool | None = None

    def freeze(self, n_layers: int) -> None:
        """Leave the first layers out of training, their batch normalization included.

        Parameters
        ----------
        n_layers : int
            0 for none, 1 for the embedding, 1 + i for the first i convolutions as well.
        """
        layers = self.layers()
        self.frozen = [module for layer in layers[:n_layers] for module in layer]
        for index, layer in enumerate(layers):
            for module in layer:
                module.requires_grad_(index >= n_layers)
        self.train(self.training)

    def layers(self) -> list[list[nn.Module]]:
        """Return the modules of each layer before the pooling, from the input."""
        first: list[nn.Module] = [self.embedding]
        if self.elements is not None:
            first.append(self.elements)
        if self.conv == "edge":
            first.append(self.bond_embedding)
        return [first, *([conv] for conv in self.convs)]

    def set_dropout(self, p: float) -> None:
        """Change the share that is dropped in training.

        Parameters
        ----------
        p : float
            The share.
        """
        drops = [self.dropout] if self.conv == "gated" else [c.dropout for c in self.convs]
        for drop in drops:
            drop.p = p  # type: ignore[union-attr]

    def place_dropout(self, places: BatchShard | None) -> None:
        """Draw the random numbers of dropout for a batch that processes share, as one would."""
        for drop in self._dropouts():
            if places is None:
                drop.place = None
            elif self.conv == "edge":
                drop.place = places.bonds
            else:
                drop.place = places.rows if self.pooling == "sum" else places.crystals

    def _dropouts(self) -> list[Dropout]:
        return [module for module in self.modules() if isinstance(module, Dropout)]

    def start_dropout(self, seed: int) -> None:
        """Start the random numbers of dropout anew.

        Parameters
        ----------
        seed : int
            Decides them.
        """
        for index, drop in enumerate(self._dropouts()):
            drop.start(seed + 1_000_003 * index)

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
        global_features: Tensor | None = None,
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
        global_features : Tensor of shape (n_crystals, n_globals), optional
            Numbers that belong to each crystal.

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
            Scaled regression targets and logits.
        """
        sites = self.site_features(
            *(kind_features, site_kinds, site_counts, centers, neighbors, distances, bond_counts)
        )
        members = Members(crystals, site_counts, n_sites)
        out = self.outputs(*self.hidden(sites, members, global_features), members)
        if self.reference is not None:
            out = out * self.reference.scale
            out = out + self.pool_shares(self.reference(kind_features), site_kinds, members)
        return out

    def site_features(
        self,
        kind_features: Tensor,
        site_kinds: Tensor,
        site_counts: Tensor,
        centers: Tensor,
        neighbors: Tensor,
        distances: Tensor,
        bond_counts: Tensor,
    ) -> Tensor:
        """Return the features of the rows after the convolutions.

        Parameters
        ----------
        kind_features, site_kinds, site_counts, centers, neighbors, distances, bond_counts : Tensor
            See `forward`.

        Returns
        -------
        Tensor of shape (n_rows, atom_fea_len)
        """
        # There are fewer kinds than rows: embed the kinds, then look up the rows.
        kinds = self.embedding(kind_features)
        if self.elements is not None:
            kinds = kinds + self.elements(kind_features)
        sites = kinds.index_select(0, site_kinds)
        # Neighbors are near, so that a part of the Gaussians is enough. Finding out which is fast,
        # except on a GPU, where it would wait for the queue.
        on_cpu = distances.device.type == "cpu" and not torch.compiler.is_compiling()
        active = self.expansion.active_centers(distances) if on_cpu and len(distances) else ALL
        bonds = Bonds(
            *(centers, neighbors, bond_counts),
            self.expansion(distances, active),
            active,
            bond_counts * site_counts.index_select(0, centers),
        )
        return self._convolve(sites, site_counts, bonds)

    def site_weights(self, sites: Tensor, members: Members) -> Tensor:
        """Return the weights with which the rows of a crystal are pooled.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            See `site_features`.
        members : Members

        Returns
        -------
        Tensor of shape (n_rows,)
        """
        if self.pooling == "sum":
            return members.site_counts
        if self.pooling == "attention":
            weights: Tensor = self.attention(sites, members)
            return weights
        return mean_weights(members)

    def hidden(
        self, sites: Tensor, members: Members, global_features: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the last hidden layer: of the crystals, or of the rows with ``pooling="sum"``.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            See `site_features`.
        members : Members
        global_features : Tensor of shape (n_crystals, n_globals), optional
            See `forward`.

        Returns
        -------
        hidden : Tensor of shape (n_crystals or n_rows, h_fea_len)
        weights : Tensor of shape (n_rows,), or None
            With which rows are still to be summed; None where they are pooled already.
        """
        more = None if self.globals is None else self.globals(global_features)
        weights = self.site_weights(sites, members)
        if self.pooling == "sum":
            more = more if more is None else more.index_select(0, members.crystals)
            return self.head(sites, members.site_counts, more), weights
        pooled = weighted_sum(sites, weights, members)
        return self.head(pooled, torch.ones_like(members.n_sites), more), None

    def outputs(self, hidden: Tensor, weights: Tensor | None, members: Members) -> Tensor:
        """Return the outputs of the crystals, without the reference.

        Parameters
        ----------
        hidden : Tensor
        weights : Tensor or None
            See `hidden`.
        members : Members

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
        """
        out = self.last(hidden)
        return out if weights is None else weighted_sum(out, weights, members)

    def pool_shares(self, shares: Tensor, site_kinds: Tensor, members: Members) -> Tensor:
        """Return what the reference says of crystals.

        Parameters
        ----------
        shares : Tensor of shape (n_kinds, n_outputs)
            Of the kinds of site.
        site_kinds : Tensor of shape (n_rows,)
        members : Members

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
        """
        is_sum = self.pooling == "sum"
        weights = members.site_counts if is_sum else mean_weights(members)
        return weighted_sum(shares.index_select(0, site_kinds), weights, members)

    def _convolve(self, sites: Tensor, site_counts: Tensor, bonds: Bonds) -> Tensor:
        if self.conv == "edge":
            weight = self.bond_embedding.weight[:, bonds.active]
            edges = functional.linear(bonds.features, weight, self.bond_embedding.bias)
            edges = functional.silu(edges)
            by_hand = self._uses_fused_messages(bonds)
            ends = bond_ends(bonds, len(sites), MESSAGE_SCALE) if by_hand else None
            for conv in self.convs:
                sites, edges = conv(sites, edges, bonds, ends)
            return sites
        groups, sums, pool = None, None, None
        if self._uses_fused_messages(bonds):
            groups = own_bonds(bonds, len(sites))
            sums = sum_bonds(bonds, groups) if self.training else None
            pool = self.buffer_pool if self.training else BufferPool()
        for conv in self.convs:
            sites = conv(sites, site_counts, bonds, groups, sums, pool)
        return sites

    def head(self, rows: Tensor, weights: Tensor, more: Tensor | None = None) -> Tensor:
        """Return the last hidden layer for pooled features.

        Parameters
        ----------
        rows : Tensor of shape (n_rows, atom_fea_len)
            Features of crystals, or of sites with ``pooling="sum"``.
        weights : Tensor of shape (n_rows,)
            Of the rows, for batch statistics.
        more : Tensor of shape (n_rows, h_fea_len), optional
            Added to the first hidden layer.

        Returns
        -------
        Tensor of shape (n_rows, h_fea_len)
        """
        is_edge = self.conv == "edge"
        # What tells crystals apart may be a few sites of many: the mean hides it.
        rows = self.pooled_norm(rows, weights) if is_edge else functional.softplus(rows)
        first = self.conv_to_fc(rows)
        if more is not None:
            first = first + more
        activation = functional.silu if is_edge else functional.softplus
        hidden: Tensor = self.dropout(activation(first))
        for fc in self.fcs:
            hidden = fc(hidden) if self.heads is None else self.heads.hidden(hidden, fc)
            hidden = activation(hidden)
        return hidden

    def last(self, hidden: Tensor) -> Tensor:
        """Return the outputs for the last hidden layer.

        Parameters
        ----------
        hidden : Tensor of shape (n_rows, h_fea_len)

        Returns
        -------
        Tensor of shape (n_rows, n_outputs)
        """
        heads, layer = self.heads, self.fc_out
        out: Tensor = layer(hidden) if heads is None else heads.outputs(hidden, layer)
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
            # The messages of gated convolutions hold batch statistics.
            and not (self.synchronized and self.conv == "gated" and self.training)
        )
