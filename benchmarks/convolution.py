"""Compare a training step with the original form of the convolution, and with torch's operations.

Usage: ``python benchmarks/convolution.py [--threads 2] [--repeats 7] [--merge]``. The original
multiplies the concatenated features of site, neighbor and bond by one matrix, once a bond, and
expands distances in plain Gaussians; "torch" is our form of it by torch's own operations and
gradients; "skcgcnn" is what the estimators train with. Same weights, same batch of 256 cells of
five sites, same optimizer; alternating, median of the repeats. With ``--merge`` equal sites and
bonds are one, as they are by default; the original cannot do that, and is left out.
"""

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from pymatgen.core import Lattice, Structure
from torch import Tensor
from torch.nn import functional

from skcgcnn import CrystalGraphTransformer
from skcgcnn.nn import (
    CONVOLUTIONS,
    BufferPool,
    ConvLayer,
    CrystalGraphConvNet,
    GaussianDistance,
    GraphBatch,
)

STEPS = 10


class OriginalConv(ConvLayer):
    """The convolution as the original code computes it."""

    def forward(self, sites: Tensor, edges: Tensor, bonds: Any) -> tuple[Tensor, Tensor]:
        """Update the features of every site."""
        n_sites = len(sites)
        neighbors = bonds.neighbors.view(n_sites, -1).long()
        other = sites[neighbors]
        own = sites.unsqueeze(1).expand_as(other)
        features = bonds.features.view(n_sites, neighbors.shape[1], -1)
        gated = self.fc_full(torch.cat([own, other, features], dim=2))
        gated = batch_norm(self.bn1, gated.flatten(0, 1)).view(*neighbors.shape, -1)
        gate, core = gated.chunk(2, dim=2)
        summed = (torch.sigmoid(gate) * functional.softplus(core)).sum(dim=1)
        return functional.softplus(sites + batch_norm(self.bn2, summed)), edges


class TorchConv(ConvLayer):
    """Our form of the convolution, by torch's own operations and gradients."""

    def forward(self, sites: Tensor, edges: Tensor, bonds: Any) -> tuple[Tensor, Tensor]:
        """Update the features of every site."""
        return super().forward(sites, edges, replace(bonds, is_fused=False))


class OriginalGaussians(GaussianDistance):
    """The expansion of distances as the original code computes it."""

    def forward(self, distances: Tensor, active: slice = slice(None)) -> Tensor:
        """Expand distances."""
        return torch.exp(-((distances.unsqueeze(-1) - self.centers) ** 2) / self.step**2)

    def active_centers(self, distances: Tensor) -> slice:
        """Return all centers."""
        return slice(None)


def batch_norm(norm: Any, rows: Tensor) -> Tensor:
    """Normalize by torch's own function."""
    return functional.batch_norm(
        rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=norm.training
    )


def network(form: str) -> CrystalGraphConvNet:
    """Return a network with one form of the convolution."""
    net = CrystalGraphConvNet(92, conv=form, seed=0).train()
    if form == "original":
        net.expansion = OriginalGaussians()
    if form == "gated":
        net.buffer_pool = BufferPool()
    return net


def step_time(net: CrystalGraphConvNet, batch: GraphBatch) -> float:
    """Return the mean time of a training step in ms."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    start = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        net(batch).square().mean().backward()
        optimizer.step()
    return (time.perf_counter() - start) / STEPS * 1000


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Time the forms of the convolution.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--merge", action="store_true", help="Equal sites and bonds are one.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    cells = [
        Structure(Lattice.cubic(3.7 + 0.002 * i), ["Sr", "Ti", "O", "O", "O"], sites)
        for i in range(256)
    ]
    merge_tol = 1e-5 if arguments.merge else None
    graphs = CrystalGraphTransformer(merge_tol=merge_tol).fit_transform(cells)
    batch = GraphBatch.from_graphs(graphs)
    CONVOLUTIONS.update(original=OriginalConv, torch=TorchConv)
    forms = ["torch", "gated"] if arguments.merge else ["original", "torch", "gated"]
    nets = {form: network(form) for form in forms}
    times: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(arguments.repeats + 1):
        for form, net in nets.items():
            times[form].append(step_time(net, batch))
    print("| form | step (ms) | times skcgcnn's |\n| --- | --- | --- |")
    for form, found in times.items():
        # The first round warms up.
        ratio = statistics.median(a / b for a, b in zip(found[1:], times["gated"][1:], strict=True))
        name = "skcgcnn" if form == "gated" else form
        print(f"| {name} | {statistics.median(found[1:]):.1f} | {ratio:.2f} |")
    print(f"\nmedian ratios, {arguments.threads} threads")


if __name__ == "__main__":
    main()
