"""The network, as a torch module: embedding, convolutions, pooling, head."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._baseline import CompositionBaseline
from skcgcnn.nn._batches import GraphBatch
from skcgcnn.nn._bonds import Bonds
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._embedding import SiteEmbedding
from skcgcnn.nn._gaussians import ALL, GaussianDistance
from skcgcnn.nn._head import Head
from skcgcnn.nn._layers import Dropout, Linear
from skcgcnn.nn._pooling import mean_weights, weighted_sum
from skcgcnn.nn._registries import CONVOLUTIONS, POOLINGS

_Part = TypeVar("_Part")


class CrystalGraphConvNet(nn.Module):
    """The crystal graph convolutional network.

    With ``conv="gated"`` it is that of T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301
    (2018); the layers have the names of the original code.

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
        Dropout probability: of bond updates with ``conv="edge"``, else of the first hidden layer.
    conv : str, default="gated"
        Name of the convolution, see `CONVOLUTIONS`.
    pooling : str, default="mean"
        Name of the pooling, see `POOLINGS`.
    composition_baseline : bool, default=False
        Whether there is a linear function of the composition beside the network, see
        `CompositionBaseline`.
    n_kinds : int, default=0
        Kinds of site that have a learned vector beside their features, see `ElementEmbedding`.
    n_globals : int, default=0
        Numbers that belong to each crystal and go to the head, see `GlobalFeatures`.
    heads : sequence of int, optional
        Outputs of each task, where every task has hidden layers of its own after pooling; by
        default all share them.
    fixed_norm : bool, default=False
        Whether the normalization with which the head begins, where it has one, keeps the
        statistics and weights that it is given.
    seed : int, optional
        Seed of the initial weights; by default they are drawn from torch's global generator.

    Attributes
    ----------
    architecture : dict
        The arguments that make a network of the same layers.

    Raises
    ------
    ValueError
        If there is no convolution or pooling of that name.

    Examples
    --------
    >>> from skcgcnn.graphs import CrystalGraphs
    >>> from skcgcnn.nn import GraphBatch
    >>> from skcgcnn.datasets import load_sample_regression
    >>> graphs = CrystalGraphs.from_structures(load_sample_regression().data[:3])
    >>> CrystalGraphConvNet(92).eval()(GraphBatch.from_graphs(graphs)).shape
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
        composition_baseline: bool = False,
        n_kinds: int = 0,
        n_globals: int = 0,
        heads: Sequence[int] | None = None,
        fixed_norm: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        layer = _named(conv, CONVOLUTIONS, "conv")
        self.expansion = GaussianDistance(radius)
        nbr_fea_len = len(self.expansion.centers)
        self.architecture: dict[str, Any] = {
            "orig_atom_fea_len": orig_atom_fea_len,
            "n_outputs": n_outputs,
            # Of searches over NumPy's numbers, which a file does not hold.
            "atom_fea_len": int(atom_fea_len),
            "n_conv": int(n_conv),
            "h_fea_len": int(h_fea_len),
            "n_h": int(n_h),
            "radius": self.expansion.radius,
            "conv": conv,
            "pooling": pooling,
            "composition_baseline": bool(composition_baseline),
            "n_kinds": n_kinds,
            "n_globals": n_globals,
            "heads": None if heads is None else list(heads),
            "fixed_norm": fixed_norm,
        }
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.embedding = SiteEmbedding(orig_atom_fea_len, atom_fea_len, n_kinds, generator)
        self.convs = nn.ModuleList(
            layer(atom_fea_len, nbr_fea_len, generator, dropout=dropout) for _ in range(n_conv)
        )
        self.bond_embedding = (
            Linear(nbr_fea_len, atom_fea_len, generator) if layer.embeds_bonds else None
        )
        self.pooling = _named(pooling, POOLINGS, "pooling")(atom_fea_len, generator)
        if n_conv and layer.normalizes_pooled and not self.pooling.reads_sites:
            last: Any = self.convs[-1]
            last.leave_out_bias()
        self.head = Head(
            atom_fea_len,
            n_outputs,
            h_fea_len=h_fea_len,
            n_h=n_h,
            n_globals=n_globals,
            heads=heads,
            activation=layer.activation,
            normalizes=layer.normalizes_pooled,
            dropout=0.0 if layer.has_dropout else dropout,
            generator=generator,
        )
        self.baseline = (
            CompositionBaseline(orig_atom_fea_len, n_outputs) if composition_baseline else None
        )
        self._dropouts = [
            module
            for module in (self.convs if layer.has_dropout else self.head).modules()
            if isinstance(module, Dropout)
        ]
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
        self.requires_grad_(requires_grad=True)
        self.frozen = self.first_layers(n_layers)
        for module in self.frozen:
            module.requires_grad_(requires_grad=False)
        self.train(self.training)

    def first_layers(self, n_layers: int) -> list[nn.Module]:
        """Return the modules that `freeze` leaves out of training."""
        found = [module for layer in self.layers()[:n_layers] for module in layer]
        norm = self.head.norm if self.architecture["fixed_norm"] else None
        return found if norm is None else [*found, norm]

    def layers(self) -> list[list[nn.Module]]:
        """Return the modules of each layer before the pooling, from the input."""
        first: list[nn.Module] = [self.embedding]
        if self.bond_embedding is not None:
            first.append(self.bond_embedding)
        return [first, *([conv] for conv in self.convs)]

    def set_dropout(self, p: float) -> None:
        """Change the dropout probability."""
        for drop in self._dropouts:
            drop.p = p

    def start_dropout(self, seed: int) -> None:
        """Start the random numbers of dropout anew.

        Parameters
        ----------
        seed : int
            Decides them.
        """
        for index, drop in enumerate(self._dropouts):
            drop.start(seed + 1_000_003 * index)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen layers stay in evaluation mode."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def forward(self, batch: GraphBatch) -> Tensor:
        """Predict for a batch of crystals.

        Parameters
        ----------
        batch : GraphBatch

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
            Scaled regression targets and logits.
        """
        return self.finish(*self.hidden(self.convolve(batch), batch), batch)

    def pooled(self, batch: GraphBatch) -> Tensor:
        """Return all that the head and the baseline need of each crystal, for `from_pooled`.

        Parameters
        ----------
        batch : GraphBatch

        Returns
        -------
        Tensor of shape (n_crystals, atom_fea_len) or (n_crystals, atom_fea_len + n_outputs)
        """
        sites = self.convolve(batch)
        pooled = weighted_sum(sites, self.pooling(sites, batch), batch)
        return pooled if self.baseline is None else torch.cat([pooled, self._shares(batch)], dim=1)

    def from_pooled(self, pooled: Tensor, batch: GraphBatch) -> Tensor:
        """Predict as `forward`, where the pooling is done.

        Parameters
        ----------
        pooled : Tensor
            See `pooled`.
        batch : GraphBatch

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
        """
        width = self.embedding.out_features
        rows, shares = pooled[:, :width], pooled[:, width:]
        out: Tensor = self.head(rows, torch.ones_like(batch.n_sites), batch.global_features)
        return out if self.baseline is None else self._with_baseline(out, shares)

    def convolve(self, batch: GraphBatch) -> Tensor:
        """Return the features of the rows after the convolutions.

        Parameters
        ----------
        batch : GraphBatch

        Returns
        -------
        Tensor of shape (n_rows, atom_fea_len)
        """
        sites: Tensor = self.embedding(batch)
        bonds = self._bonds(batch)
        edges = bonds.features
        if self.bond_embedding is not None:
            weight = self.bond_embedding.weight[:, bonds.active]
            edges = functional.linear(edges, weight, self.bond_embedding.bias)
            edges = functional.silu(edges)
        for conv in self.convs:
            sites, edges = conv(sites, edges, bonds)
        return sites

    def hidden(self, sites: Tensor, batch: GraphBatch) -> tuple[Tensor, Tensor | None]:
        """Return the last hidden layer: of the crystals, or of the rows with ``pooling="sum"``.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            See `convolve`.
        batch : GraphBatch

        Returns
        -------
        hidden : Tensor of shape (n_crystals or n_rows, h_fea_len)
        weights : Tensor of shape (n_rows,), or None
            With which rows are still to be summed; None where they are pooled already.
        """
        weights, numbers = self.pooling(sites, batch), batch.global_features
        if self.pooling.sums_outputs:
            numbers = None if numbers is None else numbers.index_select(0, batch.crystals)
            return self.head.hidden(sites, batch.site_counts, numbers), weights
        pooled = weighted_sum(sites, weights, batch)
        return self.head.hidden(pooled, torch.ones_like(batch.n_sites), numbers), None

    def finish(self, hidden: Tensor, weights: Tensor | None, batch: GraphBatch) -> Tensor:
        """Return the outputs of the crystals for the last hidden layer.

        Parameters
        ----------
        hidden, weights : Tensor
            See `hidden`.
        batch : GraphBatch

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
        """
        out = self.head.outputs(hidden)
        out = out if weights is None else weighted_sum(out, weights, batch)
        return out if self.baseline is None else self._with_baseline(out, self._shares(batch))

    def pool_shares(self, shares: Tensor, batch: GraphBatch) -> Tensor:
        """Return what the baseline says of crystals.

        Parameters
        ----------
        shares : Tensor of shape (n_kinds, n_outputs)
            Of the kinds of site.
        batch : GraphBatch

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
        """
        weights = batch.site_counts if self.pooling.sums_outputs else mean_weights(batch)
        return weighted_sum(shares.index_select(0, batch.site_kinds), weights, batch)

    def _shares(self, batch: GraphBatch) -> Tensor:
        baseline: Any = self.baseline
        return self.pool_shares(baseline(batch.kind_features), batch)

    def _with_baseline(self, out: Tensor, shares: Tensor) -> Tensor:
        baseline: Any = self.baseline
        return out * baseline.scale + shares  # type: ignore[no-any-return]

    def _bonds(self, batch: GraphBatch) -> Bonds:
        distances = batch.distances
        # Neighbors are near, so that a part of the Gaussians is enough. Finding out which is fast,
        # except on a GPU, where it would wait for the queue.
        on_cpu = distances.device.type == "cpu" and not torch.compiler.is_compiling()
        active = self.expansion.active_centers(distances) if on_cpu and len(distances) else ALL
        features = self.expansion(distances, active)
        is_fused = (
            on_cpu
            and self.training == torch.is_grad_enabled()
            and not features.requires_grad
            and not torch.is_autocast_enabled("cpu")
            and len(distances) > 1
        )
        return Bonds(
            centers=batch.centers,
            neighbors=batch.neighbors,
            counts=batch.bond_counts,
            features=features,
            active=active,
            site_counts=batch.site_counts,
            is_fused=is_fused,
            buffers=self.buffer_pool if self.training or not is_fused else BufferPool(),
        )


def _named(name: str, parts: Mapping[str, _Part], parameter: str) -> _Part:
    if name not in parts:
        raise ValueError(f"{parameter}={name!r}; expected one of {', '.join(parts)}")
    return parts[name]
