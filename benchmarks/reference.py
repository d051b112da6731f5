"""The original procedure, for the benchmarks: the package `cgcnn2`, or a checkout of the original.

The network, the loader and the collation are theirs; the loop is that of the original ``main.py``:
mean squared error of normalized targets, SGD with momentum 0.9.
"""

import csv
import importlib
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from skcgcnn.graphs import load_element_features

GAUSSIANS = 41


class Reference(NamedTuple):
    """What the original consists of."""

    dataset: Any
    collate: Any
    network: Any


def load_reference(checkout: Path | None = None) -> Reference:
    """Return the original's classes, from a checkout or from the package ``cgcnn2``."""
    package = "cgcnn2"
    if checkout is not None:
        sys.path.insert(0, str(checkout))
        package = "cgcnn"
    data = importlib.import_module(f"{package}.data")
    model = importlib.import_module(f"{package}.model")
    return Reference(data.CIFData, data.collate_pool, model.CrystalGraphConvNet)


def reference_name(checkout: Path | None) -> str:
    """Return what the tables call the reference."""
    return "the package cgcnn2" if checkout is None else "a checkout of the original repository"


def result_name(name: str, checkout: Path | None) -> str:
    """Return what the files in ``results/`` are called."""
    return name if checkout is None else f"{name}_original"


def write_folder(folder: Path, ids: Sequence[str], targets: Sequence[float]) -> None:
    """Write what the original's dataset wants beside the CIFs."""
    features = load_element_features()
    rows = {z: features.mean([(z, 1.0)]).tolist() for z in range(1, 101)}
    (folder / "atom_init.json").write_text(json.dumps(rows))
    with (folder / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(zip(ids, targets, strict=True))


class ReferenceRun:
    """Training and prediction as the original does them.

    Parameters
    ----------
    reference : Reference
        The original's classes.
    folder : path
        Of CIFs, ``id_prop.csv`` and ``atom_init.json``.
    batch_size : int
        Crystals a batch.
    lr : float
        Learning rate of SGD with momentum 0.9.
    device : str, default="cpu"
        Where the network runs.
    """

    def __init__(
        self, reference: Reference, folder: Path, batch_size: int, lr: float, device: str = "cpu"
    ) -> None:
        self.reference = reference
        self.device = device
        self.data = reference.dataset(str(folder))
        # The original shuffles what it lists; here rows have the order of the file.
        with (folder / "id_prop.csv").open(newline="") as file:
            self.data.id_prop_data = list(csv.reader(file))
        self.batch_size = batch_size
        random.seed(0)
        torch.manual_seed(0)
        self.net = reference.network(
            92, GAUSSIANS, atom_fea_len=64, n_conv=3, h_fea_len=128, n_h=1
        ).to(device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr, momentum=0.9)
        self.loss = nn.MSELoss()

    def normalize(self, targets: torch.Tensor) -> None:
        """Learn mean and standard deviation of the targets."""
        self.mean, self.std = targets.mean(), targets.std(correction=0)

    def batches(self, rows: Sequence[int], *, shuffle: bool) -> Any:
        """Return the original's loader."""
        return DataLoader(
            Subset(self.data, rows),
            batch_size=self.batch_size,
            shuffle=shuffle,
            collate_fn=self.reference.collate,
        )

    def forward(self, inputs: Any) -> torch.Tensor:
        """Return the outputs for a batch."""
        atoms, bonds, neighbors, crystals = inputs
        moved = (t.to(self.device) for t in (atoms, bonds, neighbors))
        out = self.net(*moved, [index.to(self.device) for index in crystals])
        return out[0] if isinstance(out, tuple) else out

    def train_batch(self, inputs: Any, targets: torch.Tensor) -> float:
        """Make one step; return the loss before it."""
        normed = (targets.to(self.device) - self.mean) / self.std
        loss = self.loss(self.forward(inputs), normed)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def epoch(self, rows: Sequence[int]) -> None:
        """Train for one epoch."""
        self.net.train()
        for inputs, targets, _ in self.batches(rows, shuffle=True):
            self.train_batch(inputs, targets)

    def forget(self) -> None:
        """Empty the dataset's cache of crystals."""
        if hasattr(self.data, "clear_cache"):
            self.data.clear_cache()
        else:
            type(self.data).__getitem__.cache_clear()

    def predict(self, rows: Sequence[int]) -> torch.Tensor:
        """Return predictions in the targets' units."""
        self.net.eval()
        with torch.no_grad():
            outs = [self.forward(inputs) for inputs, _, _ in self.batches(rows, shuffle=False)]
        return torch.cat(outs).cpu() * self.std + self.mean
