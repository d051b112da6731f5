"""The network of CGCNN and its loss, as torch modules.

Source: T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018). Parameters have the names
of the original code, so that its weights load.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._buffers import Scratch
from skcgcnn.nn._messages import SortedBonds, by_neighbor, fixed_messages, normalized_messages

__all__ = [
    "AveragedNet",
    "ConvLayer",
    "CrystalGraphConvNet",
    "GaussianDistance",
    "Task",
    "TaskLoss",
]

# Distance between the centres of the Gaussians, and their width, in Å (the original's choice).
GAUSSIAN_STEP = 0.2
_LOWEST_EXPONENT = -60.0
_ALL = slice(None)


class Task(NamedTuple):
    """One target column: its kind, and how many outputs of the network belong to it.

    Attributes
    ----------
    kind : {"regression", "classification"}
        What is predicted.
    n_outputs : int
        1 for a regression, the number of classes for a classification.
    """

    kind: str
    n_outputs: int


class _BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that survives a batch of a single row.

    One row has no variance. A batch of one crystal with one site is a fair batch, so it is
    normalised by the running statistics, as in evaluation.
    """

    running_mean: Tensor
    running_var: Tensor

    def fixed(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift of every column, by the running statistics."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, rows: Tensor) -> Tensor:
        if self.training and len(rows) == 1:
            return functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(rows)


class GaussianDistance(nn.Module):
    """Expand distances in Gaussians on a grid from 0 to `radius`.

    Parameters
    ----------
    radius : float, default=8.0
        Last centre, in Å.
    step : float, default=0.2
        Distance between centres, and width of each Gaussian, in Å.

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
        # By NumPy: on the meta device, where files are checked, torch's own arange imports its
        # compiler, which takes 2 s.
        centers = torch.tensor(np.arange(round(radius / step) + 1) * step, dtype=torch.float32)
        self.register_buffer("centers", centers, persistent=False)

    def forward(self, distances: Tensor, reached: slice = _ALL) -> Tensor:
        """Return exp(-(d - centre)² / step²).

        Parameters
        ----------
        distances : Tensor
            In Å, of any shape.
        reached : slice, default=all
            Which centres to take.

        Returns
        -------
        Tensor
            With a last axis for the centres.
        """
        scaled = (distances / self.step).unsqueeze(-1) - self.centers[reached] / self.step
        # Far from a centre the Gaussian is 0 but for denormals, which processors are slow at.
        return scaled.square_().clamp_(max=-_LOWEST_EXPONENT).neg_().exp_()

    def reached(self, distances: Tensor) -> slice:
        """Return the centres near enough to any distance for a Gaussian above 1e-26.

        Parameters
        ----------
        distances : Tensor
            In Å, at least one.

        Returns
        -------
        slice
            At least one centre; all, if a distance is not a finite number.
        """
        least, most = (float(d) / self.step for d in torch.aminmax(distances.detach()))
        if not math.isfinite(least + most):
            return _ALL
        width = math.sqrt(-_LOWEST_EXPONENT)
        first = min(max(0, math.ceil(least - width)), len(self.centers) - 1)
        return slice(first, max(first, math.floor(most + width)) + 1)


class ConvLayer(nn.Module):
    """One crystal graph convolution, equation (5) of Xie & Grossman (2018).

    The original multiplies the concatenation of site, neighbour and bond features by one
    matrix, once a bond. The product splits in three (W·[a, b, c] = W₁a + W₂b + W₃c), and those
    of the sites need computing only once a site. The numbers are the same.

    Parameters
    ----------
    atom_fea_len : int
        Features a site.
    nbr_fea_len : int
        Features a bond.
    """

    def __init__(self, atom_fea_len: int, nbr_fea_len: int) -> None:
        super().__init__()
        self.atom_fea_len = atom_fea_len
        self.nbr_fea_len = nbr_fea_len
        self.fc_full = nn.Linear(2 * atom_fea_len + nbr_fea_len, 2 * atom_fea_len)
        self.bn1 = _BatchNorm(2 * atom_fea_len)
        self.bn2 = _BatchNorm(atom_fea_len)

    def forward(
        self,
        sites: Tensor,
        neighbors: Tensor,
        bonds: Tensor,
        reached: slice = _ALL,
        sorted_bonds: SortedBonds | None = None,
        scratch: Scratch | None = None,
    ) -> Tensor:
        """Update the features of every site from its neighbours.

        Parameters
        ----------
        sites : Tensor of shape (n_sites, atom_fea_len)
            Features of the sites.
        neighbors : Tensor of shape (n_sites, n_neighbors), integer
            Index of each neighbour among the sites.
        bonds : Tensor of shape (n_sites * n_neighbors, n_reached)
            Features of the bonds.
        reached : slice, default=all
            Which features these are; the others are next to 0 for all bonds.
        sorted_bonds : SortedBonds, optional
            The bonds by neighbour, if the messages are to be computed by `_messages`, which is
            faster for training on the CPU and gives the same numbers.
        scratch : Scratch, optional
            Where `_messages` takes memory from. With it, and without `sorted_bonds`, no gradients
            are wanted.

        Returns
        -------
        Tensor of shape (n_sites, atom_fea_len)
        """
        width = self.atom_fea_len
        own, other, bond = torch.split(self.fc_full.weight, [width, width, self.nbr_fea_len], dim=1)
        bond = bond[:, reached]
        from_site = functional.linear(sites, own, self.fc_full.bias)
        from_neighbor = functional.linear(sites, other)
        if not self.bn1.training:
            # The statistics are fixed: scale once a site and not once a bond.
            scale, shift = self.bn1.fixed()
            from_site, from_neighbor = from_site * scale + shift, from_neighbor * scale
            bond = bond * scale.unsqueeze(1)
        if sorted_bonds is not None and self.bn1.training:
            summed = normalized_messages(
                from_site, from_neighbor, bonds, bond, neighbors, sorted_bonds, self.bn1, scratch
            )
        elif scratch is not None and sorted_bonds is None:
            summed = fixed_messages(from_site, from_neighbor, bonds, bond, neighbors, scratch)
        else:
            summed = self._messages(from_site, from_neighbor, bonds, bond, neighbors)
        return functional.softplus(sites + self.bn2(summed))

    def _messages(
        self,
        from_site: Tensor,
        from_neighbor: Tensor,
        bonds: Tensor,
        bond: Tensor,
        neighbors: Tensor,
    ) -> Tensor:
        n_sites, n_neighbors = neighbors.shape
        gated = torch.addmm(from_neighbor.index_select(0, neighbors.flatten()), bonds, bond.T)
        gated = (gated.view(n_sites, n_neighbors, -1) + from_site.unsqueeze(1)).flatten(0, 1)
        if self.bn1.training:
            gated = self.bn1(gated)
        gate, core = gated.chunk(2, dim=1)
        messages = torch.sigmoid(gate) * functional.softplus(core)
        return messages.view(n_sites, n_neighbors, self.atom_fea_len).sum(dim=1)


class CrystalGraphConvNet(nn.Module):
    """The crystal graph convolutional network.

    Parameters
    ----------
    orig_atom_fea_len : int
        Features of a kind of site (92 in the built-in table).
    n_outputs : int, default=1
        Outputs: one for each regression target, one logit for each class.
    atom_fea_len : int, default=64
        Hidden features a site.
    n_conv : int, default=3
        Number of convolutions.
    h_fea_len : int, default=128
        Hidden features a crystal, after pooling.
    n_h : int, default=1
        Number of hidden layers after pooling.
    radius : float, default=8.0
        Last centre of the Gaussian expansion of distances, in Å.
    dropout : float, default=0.0
        Share of the pooled features that is dropped in training.

    Examples
    --------
    >>> import torch
    >>> net = CrystalGraphConvNet(92)
    >>> cscl = torch.eye(2, 92), torch.arange(2), torch.tensor([[1] * 8, [0] * 8])
    >>> net.eval()(*cscl, torch.full((2, 8), 3.57), torch.tensor([2])).shape
    torch.Size([1, 1])
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
    ) -> None:
        super().__init__()
        self.expansion = GaussianDistance(radius)
        nbr_fea_len = len(self.expansion.centers)
        self.embedding = nn.Linear(orig_atom_fea_len, atom_fea_len)
        self.convs = nn.ModuleList(ConvLayer(atom_fea_len, nbr_fea_len) for _ in range(n_conv))
        self.conv_to_fc = nn.Linear(atom_fea_len, h_fea_len)
        self.dropout = nn.Dropout(dropout)
        self.fcs = nn.ModuleList(nn.Linear(h_fea_len, h_fea_len) for _ in range(n_h - 1))
        self.fc_out = nn.Linear(h_fea_len, n_outputs)
        self.frozen: list[nn.Module] = []
        # Set where every forward pass is followed by its one backward pass before the next.
        self.scratch: Scratch | None = None

    def freeze(self, n_layers: int) -> None:
        """Keep the first layers as they are in training, their batch normalisation too.

        Parameters
        ----------
        n_layers : int
            0 for none, 1 for the embedding, 1 + i for the first i convolutions as well.
        """
        layers = [self.embedding, *self.convs]
        self.frozen = layers[:n_layers]
        for index, layer in enumerate(layers):
            layer.requires_grad_(index >= n_layers)

    def train(self, mode: bool = True) -> Self:
        """Set the mode, but for frozen layers, which stay in evaluation."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def forward(
        self,
        kind_features: Tensor,
        site_kinds: Tensor,
        neighbors: Tensor,
        distances: Tensor,
        n_sites: Tensor,
    ) -> Tensor:
        """Predict for a batch of crystals.

        Parameters
        ----------
        kind_features : Tensor of shape (n_kinds, orig_atom_fea_len)
            Features of the kinds of site.
        site_kinds : Tensor of shape (n_all_sites,), integer
            Kind of every site.
        neighbors : Tensor of shape (n_all_sites, n_neighbors), integer
            Neighbours of every site, counted within the batch.
        distances : Tensor of shape (n_all_sites, n_neighbors)
            Their distances in Å.
        n_sites : Tensor of shape (n_crystals,), integer
            Number of sites of every crystal, at least 1.

        Returns
        -------
        Tensor of shape (n_crystals, n_outputs)
            Scaled regression targets and logits.
        """
        # There are few kinds and many sites: embed the kinds, then look up the sites.
        sites = self.embedding(kind_features).index_select(0, site_kinds)
        # Neighbours are near: a part of the Gaussians does for all of them. To find out which
        # takes no time, but on a GPU, whose queue it would stop.
        on_cpu = distances.device.type == "cpu" and not torch.compiler.is_compiling()
        reached = self.expansion.reached(distances) if on_cpu and len(distances) else _ALL
        bonds = self.expansion(distances, reached).flatten(0, 1)
        sorted_bonds, scratch = None, None
        if self._by_hand(bonds):
            sorted_bonds = by_neighbor(neighbors) if self.training else None
            scratch = self.scratch if self.training else Scratch()
        for conv in self.convs:
            sites = conv(sites, neighbors, bonds, reached, sorted_bonds, scratch)
        hidden = self.conv_to_fc(functional.softplus(_mean_per_crystal(sites, n_sites)))
        hidden = self.dropout(functional.softplus(hidden))
        for fc in self.fcs:
            hidden = functional.softplus(fc(hidden))
        out: Tensor = self.fc_out(hidden)
        return out

    def _by_hand(self, bonds: Tensor) -> bool:
        """Tell whether the hand-written messages may stand in for torch's operations."""
        return (
            self.training == torch.is_grad_enabled()
            and bonds.device.type == "cpu"
            and not bonds.requires_grad
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and len(bonds) > 1
        )


def _mean_per_crystal(sites: Tensor, n_sites: Tensor) -> Tensor:
    crystals = torch.repeat_interleave(
        torch.arange(len(n_sites), device=sites.device), n_sites, output_size=len(sites)
    )
    sums = sites.new_zeros(len(n_sites), sites.shape[1]).index_add(0, crystals, sites)
    return sums / n_sites.unsqueeze(1)


class AveragedNet(nn.Module):
    """A network that is trained, and the moving average of its weights, which predicts.

    The last steps of a training scatter around the optimum; the average lies nearer to it (Polyak
    and Juditsky, SIAM J. Control Optim. 30, 838 (1992)). In training mode the former runs, in
    evaluation mode the latter.

    Parameters
    ----------
    ema_decay : float
        Decay of the exponential moving average, a step; 0 is the last weights.
    **params
        Of `CrystalGraphConvNet`.

    Attributes
    ----------
    trained, average : CrystalGraphConvNet
        The two networks.
    n_steps : Tensor of shape ()
        Steps averaged.
    """

    n_steps: Tensor

    def __init__(self, ema_decay: float, **params: Any) -> None:
        super().__init__()
        self.ema_decay = ema_decay
        self.trained = CrystalGraphConvNet(**params)
        self.average = deepcopy(self.trained).requires_grad_(requires_grad=False)
        self.trained.scratch = Scratch()
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))

    def forward(self, *batch: Tensor) -> Tensor:
        """Run the network that fits the mode, see `CrystalGraphConvNet.forward`."""
        out: Tensor = (self.trained if self.training else self.average)(*batch)
        return out

    def freeze(self, n_layers: int) -> None:
        """Keep the first layers as they predict now, see `CrystalGraphConvNet.freeze`.

        Parameters
        ----------
        n_layers : int
            Number of layers.
        """
        self.trained.freeze(n_layers)
        # Where training goes on, the two differ; a frozen layer must be the one that predicts.
        averages = [self.average.embedding, *self.average.convs]
        for layer, average in zip(self.trained.frozen, averages, strict=False):
            layer.load_state_dict(average.state_dict())

    def release_buffers(self) -> None:
        """Free the training buffers."""
        if self.trained.scratch is not None:
            self.trained.scratch.clear()

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average."""
        self.n_steps += 1
        steps = int(self.n_steps)
        # The first steps are far from the rest: the average begins short and grows longer.
        share = 1 - min(self.ema_decay, steps / (steps + 9))
        new, old = (_floating(net) for net in (self.trained, self.average))
        torch._foreach_lerp_(old, new, share)


def _floating(net: nn.Module) -> list[Tensor]:
    """Return the parameters and running statistics."""
    return [t for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()]


class TaskLoss(nn.Module):
    """Loss of several tasks: mean squared errors + `cls_weight` × cross-entropies.

    Where several tasks are of one kind, the mean over them is taken. A missing target (NaN) is
    left out of its task's loss.

    Parameters
    ----------
    tasks : sequence of Task
        The target columns, in order.
    cls_weight : float, default=1.0
        Weight of the classification loss.

    Examples
    --------
    >>> import torch
    >>> loss = TaskLoss([Task("regression", 1), Task("classification", 2)], cls_weight=0.5)
    >>> targets = torch.tensor([[1.0, 0.0], [3.0, float("nan")]])
    >>> loss(torch.zeros(2, 3), targets).item()  # (1 + 9) / 2 + 0.5 * log(2)
    5.3465...
    """

    def __init__(self, tasks: Sequence[Task], cls_weight: float = 1.0) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.cls_weight = cls_weight

    def forward(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        outputs : Tensor of shape (n_crystals, n_outputs)
            What the network gives.
        targets : Tensor of shape (n_crystals, n_tasks)
            Scaled regression targets and indices of classes; NaN is missing.
        weights : Tensor of shape (n_crystals,), optional
            Weights of the crystals, with a mean of 1 over the training set.

        Returns
        -------
        Tensor of shape ()
        """
        losses: dict[str, list[Tensor]] = {"regression": [], "classification": []}
        columns = torch.split(outputs, [task.n_outputs for task in self.tasks], dim=1)
        for task, output, target in zip(self.tasks, columns, targets.unbind(1), strict=True):
            known = ~target.isnan()
            value = target.nan_to_num()
            if task.kind == "regression":
                errors = (output[:, 0] - value).square()
            else:
                errors = functional.cross_entropy(output, value.long(), reduction="none")
            shares = known if weights is None else known * weights
            losses[task.kind].append((errors * shares).sum() / known.sum().clamp(min=1))
        factors = {"regression": 1.0, "classification": self.cls_weight}
        terms = [
            factors[kind] * torch.stack(found).mean() for kind, found in losses.items() if found
        ]
        return torch.stack(terms).sum()
