"""Measure training epochs against the original procedure, on the CPU or a GPU.

Usage: ``python benchmarks/train.py perov5_val.csv.gz [--crystals 3787] [--repeats 5] [--threads
2] [--reference CHECKOUT] [--batch-sizes 256] [--device cpu] [--precision float32]``. The
reference is the package ``cgcnn2`` (extra ``bench``: the original network and loader), or a
checkout of the original repository. Same crystals, width, batch size, optimizer (SGD with
momentum) and threads; all graphs are in memory; a warm epoch, loading included, in turns; medians
of the ratios. Then both are begun from the same weights and given the same batches: their losses
must agree. At last one epoch of 100,000 crystals, for its memory and the time of a step.
"""

# Before torch, so that the gated network may be trained on several threads.
import skcgcnn  # noqa: F401, I001 - above the others on purpose

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measure import alternate, keep, median_ratio, read_table, table, write_cifs
from reference import ReferenceRun, load_reference, reference_name, result_name, write_folder

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer

LR = 0.01
STEPS = 20
LARGE = 100_000


def estimator(batch_size: int, arguments: argparse.Namespace) -> CGCNNRegressor:
    """Return ours, set as the original is."""
    return CGCNNRegressor(
        recipe="paper",
        lr=LR,
        batch_size=batch_size,
        max_epochs=1,
        random_state=0,
        warm_start=True,
        device=arguments.device,
        net_params={"precision": arguments.precision},
    )


def first_losses(
    graphs: CrystalGraphs, y: np.ndarray, run: ReferenceRun, batch_size: int
) -> tuple[list[float], list[float]]:
    """Return the first losses of both, from the same weights and over the same batches."""
    est = CGCNNRegressor(
        recipe="paper", lr=LR, batch_size=batch_size, max_epochs=1, random_state=0, device="cpu"
    ).fit(graphs[:2], y[:2])
    module = est.net_.module_.trained
    weights = {
        f"head.{name}" if name.startswith(("conv_to_fc", "fcs", "fc_out")) else name: tensor
        for name, tensor in run.net.state_dict().items()
        if "expansion" not in name
    }
    module.load_state_dict(weights)
    optimizer = torch.optim.SGD(module.parameters(), LR, momentum=0.9)
    run.optimizer = torch.optim.SGD(run.net.parameters(), LR, momentum=0.9)
    order = np.random.default_rng(0).permutation(len(graphs))
    theirs, ours = [], []
    run.net.train()
    module.train()
    net = est.net_
    for step in range(STEPS):
        rows = np.take(order, range(step * batch_size, (step + 1) * batch_size), mode="wrap")
        inputs, targets, _ = run.reference.collate([run.data[int(i)] for i in rows])
        theirs.append(run.train_batch(inputs, targets))
        ((weighted, _),) = net.get_iterator(_dataset(graphs[rows]))
        loss = (module(weighted.batch) - (targets - run.mean) / run.std).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ours.append(float(loss))
    return theirs, ours


def _dataset(graphs: CrystalGraphs) -> Any:
    from skcgcnn.nn import GraphDataset

    return GraphDataset(graphs)


def compare(
    batch_size: int, folder: Path, graphs: CrystalGraphs, y: np.ndarray, arguments: Any
) -> tuple[dict[str, list[float]], ReferenceRun]:
    """Return the times of warm epochs."""
    run = ReferenceRun(
        load_reference(arguments.reference), folder, batch_size, LR, arguments.device
    )
    run.normalize(torch.tensor(y, dtype=torch.float32))
    rows = list(range(len(y)))
    est = estimator(batch_size, arguments).fit(graphs, y)
    works = {"original": lambda: run.epoch(rows), "skcgcnn": lambda: est.partial_fit(graphs, y)}
    return alternate(works, arguments.repeats), run


def large_epoch(arguments: argparse.Namespace, graphs: CrystalGraphs, y: np.ndarray) -> None:
    """Train one epoch of many crystals here; print what it took."""
    rows = np.arange(LARGE) % len(graphs)
    est = estimator(256, arguments).fit(graphs, y)
    small = time.perf_counter()
    est.partial_fit(graphs, y)
    small = (time.perf_counter() - small) / -(-len(y) // 256)
    many = graphs[rows]
    large = time.perf_counter()
    est.partial_fit(many, y[rows])
    large = (time.perf_counter() - large) / -(-LARGE // 256)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"small_ms": small * 1e3, "large_ms": large * 1e3, "peak_mb": peak}))


def main() -> None:
    """Print and keep the tables."""
    parser = argparse.ArgumentParser(description="Training epochs against the original.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--crystals", type=int, default=3787)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[256])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--name", default="train", help="of the files in results/")
    parser.add_argument("--large", action="store_true", help="one epoch of many, here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = read_table(arguments.table)[: arguments.crystals]
    y = np.array([float(row["heat_ref"]) for row in rows])
    numbers: dict[str, Any] = {}
    lines = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_cifs(rows, folder)
        write_folder(folder, [path.stem for path in paths], y.tolist())
        graphs = CrystalGraphTransformer(neighbor_ties="official").transform(paths)
        if arguments.large:
            large_epoch(arguments, graphs, y)
            return
        for batch_size in arguments.batch_sizes:
            times, run = compare(batch_size, folder, graphs, y, arguments)
            steps = -(-len(y) // batch_size)
            ratio = median_ratio(times["original"], times["skcgcnn"])
            numbers[f"batch_{batch_size}"] = {"seconds": times, "ratio": ratio}
            for who, found in times.items():
                epoch = statistics.median(found)
                rate = len(y) / epoch
                step = epoch / steps * 1e3
                lines.append([batch_size, who, f"{epoch:.2f}", f"{step:.1f}", f"{rate:.0f}"])
            lines[-1].append(f"{ratio:.2f}")
            lines[-2].append("1")
        theirs, ours = first_losses(graphs, y, run, 256)
    worst = max(abs(a - b) / abs(a) for a, b in zip(theirs, ours, strict=True))
    numbers["losses"] = {"original": theirs, "skcgcnn": ours, "largest_relative": worst}
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--large"],
        check=True,
        capture_output=True,
        text=True,
    )
    large = numbers["large"] = json.loads(done.stdout)
    header = ["batch", "by", "epoch (s)", "step (ms)", "crystals/s", "times as fast"]
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    notes = [
        f"{len(y)} perovskites; medians of {arguments.repeats} alternating warm epochs, loading "
        f"included; {arguments.threads} threads. Reference: {reference_name(arguments.reference)}.",
        f"The first {STEPS} losses from the same weights and batches differ by at most "
        f"{worst:.1e}, relatively.",
        f"{LARGE:,} crystals: {large['large_ms']:.1f} ms a step, against "
        f"{large['small_ms']:.1f} ms with {len(y)} crystals in the same process; "
        f"{large['peak_mb']:.0f} MB at the peak.",
    ]
    title = f"Training, {arguments.precision}, {device}"
    name = result_name(arguments.name, arguments.reference)
    keep(name, title, [table(header, lines), *notes], numbers)


if __name__ == "__main__":
    main()
