"""Batches of crystals, cut from packed graphs without a loop over crystals."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from skorch.dataset import Dataset
from torch import Tensor

from skcgcnn.graphs import CrystalGraphs, member_index

# Of what each tensor of a batch has one row: cutting, dividing and exporting batches follow it.
LEVELS = {
    "kind_features": "kind",
    "site_kinds": "row",
    "site_counts": "row",
    "crystals": "row",
    "n_sites": "crystal",
    "centers": "bond",
    "neighbors": "bond",
    "distances": "bond",
    "bond_counts": "bond",
    "global_features": "crystal",
}
# In the rows of what the numbers of a tensor are indices.
INDICES = {"site_kinds": "kind", "crystals": "crystal", "centers": "row", "neighbors": "row"}
# What a batch has beside the arrays of its graphs.
_MADE = {"crystals", "n_sites", "centers"}


class GraphBatch(NamedTuple):
    """The crystals of one batch: what `CrystalGraphConvNet.forward` takes.

    `from_graphs` makes one; `GraphBatches` cuts many, shuffled, for a training loop of your own.

    The rows are classes of equal sites (see `CrystalGraphs`); a site that equals no other is a row
    of its own.

    Attributes
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
        Numbers that belong to each crystal; float64 where the device has it.

    Examples
    --------
    >>> from skcgcnn import CrystalGraphs
    >>> from skcgcnn.datasets import load_sample_regression
    >>> graphs = CrystalGraphs.from_structures(load_sample_regression().data[:3])
    >>> GraphBatch.from_graphs(graphs).n_sites
    tensor([ 8., 16.,  4.])
    """

    kind_features: Tensor
    site_kinds: Tensor
    site_counts: Tensor
    crystals: Tensor
    n_sites: Tensor
    centers: Tensor
    neighbors: Tensor
    distances: Tensor
    bond_counts: Tensor
    global_features: Tensor | None = None

    @classmethod
    def from_graphs(
        cls, graphs: CrystalGraphs, *, device: Any = "cpu", dtype: torch.dtype = torch.float32
    ) -> Self:
        """Return all crystals as one batch.

        Parameters
        ----------
        graphs : CrystalGraphs
            The crystals.
        device : torch.device or str, default="cpu"
            Where the tensors are to be.
        dtype : torch.dtype, default=torch.float32
            Type of features, distances and counts.

        Returns
        -------
        GraphBatch

        Raises
        ------
        TypeError
            If it is something else, such as a list of paths.
        ValueError
            If there is no crystal, or one without sites: it could not be read.
        """
        if not isinstance(graphs, CrystalGraphs):
            raise TypeError(
                f"graphs is of type {type(graphs).__name__}; pass CrystalGraphs, for example "
                "graphs[:1] of what a CrystalGraphTransformer returns"
            )
        if not len(graphs):
            raise ValueError("a batch needs at least one crystal, but there is none")
        if len(unread := graphs.ids[graphs.n_sites == 0]):
            raise ValueError(
                f"crystal {str(unread[0])!r} could not be read, so it cannot be in a batch"
            )
        dataset = GraphDataset(graphs)
        ((whole, _),) = GraphBatches(dataset, batch_size=len(graphs), device=device, dtype=dtype)
        return cls(*whole.batch)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors that there are: without `global_features` where there are none.

        Returns
        -------
        tuple of Tensor
        """
        return tuple(tensor for tensor in self if tensor is not None)

    def split(self, crystal: int) -> tuple[Self, Self]:
        """Return the crystals before one, and the others.

        Parameters
        ----------
        crystal : int
            Number of crystals in the first part.

        Returns
        -------
        first, second : GraphBatch
        """
        row = int(torch.searchsorted(self.crystals, crystal))
        bond = int(torch.searchsorted(self.centers, row))
        ends = {"crystal": crystal, "row": row, "bond": bond}
        first = {level: slice(0, end) for level, end in ends.items()}
        second = {level: slice(end, None) for level, end in ends.items()}
        return self._part(first), self._part(second)

    def _part(self, rows: dict[str, slice]) -> Self:
        """Return some rows of each level; all kinds of site go with them."""
        part = {}
        for name, level in LEVELS.items():
            tensor = getattr(self, name)
            if level in rows and tensor is not None:
                part[name] = tensor[rows[level]]
                if (start := INDICES.get(name)) in rows:
                    part[name] = part[name] - rows[start].start
        return self._replace(**part)


@dataclass(eq=False)
class TrainBatch:
    """A batch with the weights and rows of its crystals.

    Its length is the number of crystals, those that other processes have of it included.

    Attributes
    ----------
    n_known : Tensor of shape (n_tasks,) or None
        How many targets of each task all processes know, over the number of processes; None where
        there is one. The mean of what they divide by it is that of all crystals.
    """

    batch: GraphBatch
    weights: Tensor | None
    rows: npt.NDArray[np.int64]
    n_crystals: int
    n_known: Tensor | None

    def __len__(self) -> int:
        return self.n_crystals


class GraphDataset(Dataset):
    """Graphs with their targets and weights.

    Parameters
    ----------
    X : CrystalGraphs
        Graphs, none of them without sites.
    encoded : ndarray of shape (n_crystals, n_tasks), optional
        Scaled and encoded targets; None for a prediction.
    weights : ndarray of shape (n_crystals,), optional
        Weights of the crystals.
    y : ndarray of shape (n_crystals,) or (n_crystals, n_tasks), optional
        The targets as they were given, for the scorers of callbacks.
    """

    def __init__(
        self,
        X: CrystalGraphs,
        encoded: npt.NDArray[np.floating] | None = None,
        weights: npt.NDArray[np.floating] | None = None,
        y: npt.NDArray[Any] | None = None,
    ) -> None:
        self.X = X
        self.encoded = np.zeros((len(X), 1)) if encoded is None else encoded
        self.weights = weights
        self.y = self.encoded if y is None else y

    def __len__(self) -> int:
        return len(self.X)

    def take(self, rows: npt.NDArray[np.int64]) -> "GraphDataset":
        """Return some of the crystals."""
        weights = None if self.weights is None else self.weights[rows]
        return GraphDataset(self.X[rows], self.encoded[rows], weights, self.y[rows])


class GraphBatches:
    """Iterator over the batches of a dataset; no Python loop over crystals.

    Parameters
    ----------
    dataset : GraphDataset
        What to iterate over.
    batch_size : int
        Maximum number of crystals per batch. Batches have the same size within one, so that no
        epoch ends with a batch of a single crystal, whose normalization would be noise.
    device : torch.device or str
        Device of the batches.
    dtype : torch.dtype, default=torch.float32
        Type of features, distances, targets and weights.
    seed : int, optional
        Seed for shuffling. The order of epoch e depends on `seed` and e alone, so that an
        interrupted training can be resumed. None keeps the order.
    epoch : int, default=0
        The next epoch.
    max_sites, max_bonds : int, optional
        Maximum number of sites and of different bonds per batch. Larger batches are split; a
        crystal above the limit forms its own batch.
    """

    def __init__(
        self,
        dataset: GraphDataset,
        *,
        batch_size: int,
        device: Any,
        dtype: torch.dtype = torch.float32,
        seed: int | None = None,
        epoch: int = 0,
        max_sites: int | None = None,
        max_bonds: int | None = None,
    ) -> None:
        graphs = dataset.X
        self.offsets, self.bond_offsets = graphs.offsets, graphs.bond_offsets
        self.n_sites = graphs.n_sites
        self.batch_size = batch_size
        self.device = device
        self.seed = seed
        self.epoch = epoch
        self.max_sites, self.max_bonds = max_sites, max_bonds
        self.dtype = dtype
        # Which of how many processes takes its part of each batch.
        self.share = (0, 1)
        # Integers stay small until they are in a batch.
        arrays = {name: getattr(graphs, name) for name in LEVELS if name not in _MADE}
        self.tensors = {
            name: _tensor(array, device, dtype if array.dtype == np.float32 else None)
            for name, array in arrays.items()
            if name != "global_features"
        }
        if graphs.global_features.shape[1]:
            wide = torch.float32 if torch.device(device).type == "mps" else torch.float64
            self.tensors["global_features"] = _tensor(graphs.global_features, device, wide)
        self.targets = _tensor(dataset.encoded, device, dtype)
        self.weights = None if dataset.weights is None else _tensor(dataset.weights, device, dtype)

    def __iter__(self) -> Iterator[tuple[TrainBatch, Tensor]]:
        order = np.arange(len(self.offsets) - 1)
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
            self.epoch += 1
        process, n_processes = self.share
        for whole in self._split(order):
            if len(whole) < n_processes:
                raise ValueError(
                    f"a batch of {len(whole)} crystals cannot be divided among {n_processes} "
                    "processes; use a larger batch_size or max_batch_sites"
                )
            chosen = whole[process::n_processes]
            crystals = self._take(chosen)
            weights = None if self.weights is None else self.weights.index_select(0, crystals)
            batch = self._batch(chosen, crystals)
            targets = self.targets.index_select(0, crystals)
            yield TrainBatch(batch, weights, chosen, len(whole), self._n_known(whole)), targets

    def _n_known(self, whole: npt.NDArray[np.int64]) -> Tensor | None:
        if (n_processes := self.share[1]) == 1:
            return None
        known = ~self.targets.index_select(0, self._take(whole)).isnan()
        return known.sum(dim=0).clamp(min=1) / n_processes

    def _split(self, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        if not len(order):
            return []
        batches = np.array_split(order, -(-len(order) // int(self.batch_size)))
        for sizes, limit in (
            (self.n_sites, self.max_sites),
            (np.diff(self.bond_offsets[self.offsets]), self.max_bonds),
        ):
            if limit is not None:
                batches = [part for batch in batches for part in _divide(batch, sizes, limit)]
        return batches

    def _batch(self, chosen: npt.NDArray[np.int64], crystals: Tensor) -> GraphBatch:
        n_rows = self.offsets[chosen + 1] - self.offsets[chosen]
        members = member_index(self.offsets, chosen)
        degrees = self.bond_offsets[members + 1] - self.bond_offsets[members]
        rows = {
            "crystal": crystals,
            "row": self._take(members),
            "bond": self._take(member_index(self.bond_offsets, members)),
        }
        part = {
            name: self._rows(name, rows[LEVELS[name]]) if LEVELS[name] in rows else tensor
            for name, tensor in self.tensors.items()
        }
        # Neighbors are counted within their crystal; in the batch, the rows of the crystals before
        # come first.
        shifts = np.repeat((np.cumsum(n_rows) - n_rows).astype(np.int32), n_rows)
        part["neighbors"] += self._take(np.repeat(shifts, degrees))
        if len(part["kind_features"]) > len(members):
            # Mixed sites are often kinds of their own: embed only those of the batch.
            kinds = part["site_kinds"]
            part["kind_features"] = part["kind_features"].index_select(0, kinds)
            part["site_kinds"] = torch.arange(len(kinds), dtype=kinds.dtype, device=self.device)
        return GraphBatch(
            **part,
            crystals=self._take(_owners(n_rows)),
            n_sites=self._take(self.n_sites[chosen]).to(self.dtype),
            centers=self._take(_owners(degrees)),
        )

    def _rows(self, name: str, rows: Tensor) -> Tensor:
        """Return rows of a tensor: indices as int32, other integers as numbers."""
        taken = self.tensors[name].index_select(0, rows)
        if name in INDICES:
            return taken.to(torch.int32)
        return taken if taken.is_floating_point() else taken.to(self.dtype)

    def _take(self, array: npt.NDArray[Any]) -> Tensor:
        return _tensor(array, self.device)


def _divide(
    batch: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], limit: int
) -> list[npt.NDArray[np.int64]]:
    """Split a batch into parts whose sizes do not exceed a limit, but for single crystals."""
    ends, total = [], 0
    for i, size in enumerate(sizes[batch].tolist()):
        if total and total + size > limit:
            ends.append(i)
            total = 0
        total += size
    return np.split(batch, ends)


def _owners(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return the number of each count, as often as it says."""
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def _tensor(array: npt.NDArray[Any], device: Any, dtype: torch.dtype | None = None) -> Tensor:
    # torch warns about read-only arrays, such as those that joblib maps into memory.
    if not array.flags.writeable:
        array = array.copy()
    # The type first: there are devices without float64.
    return torch.from_numpy(array).to(dtype).to(device)
