"""Compare a training step with the original form of the convolution.

Usage: ``python benchmarks/convolution.py [--threads 2] [--repeats 7]``. The reference multiplies
the concatenated features of site, neighbor and bond by one matrix, once a bond, and expands
distances in plain Gaussians, as the original code does; the library trains as its estimators do.
Same weights, same batch of 256 cells of five sites, same optimizer; alternating, median of the
repeats.
"""

import argparse
import statistics
import time
from typing import Any

import torch
from pymatgen.core import Lattice, Structure
from torch import Tensor
from torch.nn import functional

from skcgcnn import CrystalGraphTransformer
from skcgcnn.nn import (
    BufferPool,
    ConvLayer,
    CrystalGraphConvNet,
    GaussianDistance,
    GraphBatches,
    GraphDataset,
)

STEPS = 10


def original(self: ConvLayer, sites: Tensor, _counts: Tensor, bonds: Any, *_: object) -> Tensor:
    """Compute the convolution as the original code does."""
    n_sites = len(sites)
    neighbors = bonds.neighbors.view(n_sites, -1).long()
    other = sites[neighbors]
    own = sites.unsqueeze(1).expand_as(other)
    features = bonds.features.view(n_sites, neighbors.shape[1], -1)
    gated = self.fc_full(torch.cat([own, other, features], dim=2))
    gated = batch_norm(self.bn1, gated.flatten(0, 1)).view(*neighbors.shape, -1)
    gate, core = gated.chunk(2, dim=2)
    summed = (torch.sigmoid(gate) * functional.softplus(core)).sum(dim=1)
    return functional.softplus(sites + batch_norm(self.bn2, summed))


def batch_norm(norm: Any, rows: Tensor) -> Tensor:
    """Normalize by torch's own function."""
    return functional.batch_norm(
        rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=norm.training
    )


def original_gaussians(self: GaussianDistance, distances: Tensor, _reached: slice) -> Tensor:
    """Expand distances as the original code does."""
    return torch.exp(-((distances.unsqueeze(-1) - self.centers) ** 2) / self.step**2)


def step_time(net: CrystalGraphConvNet, batch: tuple[Tensor, ...]) -> float:
    """Return the mean time of a training step in ms."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    net.train()
    start = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        net(*batch).square().mean().backward()
        optimizer.step()
    return (time.perf_counter() - start) / STEPS * 1000


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Time the two forms of the convolution.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    cells = [
        Structure(Lattice.cubic(3.7 + 0.002 * i), ["Sr", "Ti", "O", "O", "O"], sites)
        for i in range(256)
    ]
    graphs = CrystalGraphTransformer(merge_tol=None).fit_transform(cells)
    weighted, _ = next(iter(GraphBatches(GraphDataset(graphs), batch_size=256, device="cpu")))
    net = CrystalGraphConvNet(92)
    net.buffer_pool = BufferPool()
    by_hand = CrystalGraphConvNet._uses_fused_messages
    forms: dict[str, tuple[Any, ...]] = {
        "original": (original, original_gaussians, lambda *_: False),
        "skcgcnn": (ConvLayer.forward, GaussianDistance.forward, by_hand),
    }
    times: dict[str, list[float]] = {"original": [], "skcgcnn": []}
    for _ in range(arguments.repeats + 1):
        for name, form in forms.items():
            ConvLayer.forward, GaussianDistance.forward, by_hand = form
            CrystalGraphConvNet._uses_fused_messages = by_hand
            times[name].append(step_time(net, weighted.batch))
    # The first round warms up.
    original_ms, ours_ms = (statistics.median(found[1:]) for found in times.values())
    ratio = statistics.median(
        a / b for a, b in zip(times["original"][1:], times["skcgcnn"][1:], strict=True)
    )
    print("| form | step (ms) |\n| --- | --- |")
    print(f"| original | {original_ms:.1f} |\n| skcgcnn | {ours_ms:.1f} |")
    print(f"\nmedian ratio {ratio:.2f}, {arguments.threads} threads")


if __name__ == "__main__":
    main()
