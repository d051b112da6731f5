"""Measure how training slows down where another process keeps a core busy.

Usage: ``python benchmarks/busy.py [--repeats 15] [--epochs 4] [--spins 10000 1000 100 0]``. The
bundled sample is trained in a process of its own, with as many threads as cores: as torch would do
it, with threads that wait as OpenMP lets them; as the library does, which makes threads wait more
briefly and trains small batches on one; and with other values of ``GOMP_SPINCOUNT``. All that
alone, and beside a process that computes without end on one core.
"""

import argparse
import os
import subprocess
import sys
from typing import Any

from measure import keep, median_ratio, table

_WORKER = """
import os, sys, time
if sys.argv[2] == "as torch":
    import torch
import skcgcnn
from skcgcnn.nn import _threads
if sys.argv[2] == "as torch":
    _threads._FEWEST_NUMBERS = 0
from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
import torch
torch.set_num_threads(os.cpu_count())
sample = load_sample_regression()
kinds = {
    one: CrystalGraphTransformer(merge_tol=merge_tol).transform(sample.data)
    for one, merge_tol in (("small", 1e-5), ("large", None))
}
est = CGCNNRegressor(recipe="paper", max_epochs=int(sys.argv[1]), random_state=0, device="cpu")
for graphs in kinds.values():
    est.fit(graphs, sample.target)
print(flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    est.fit(kinds[line.strip()], sample.target)
    print(time.perf_counter() - start, flush=True)
"""
_WORDS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


class Worker:
    """A process that trains when it is asked to."""

    def __init__(self, epochs: int, way: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _WORDS}
        if way.isdigit():
            environment["GOMP_SPINCOUNT"] = way
        command = [sys.executable, "-c", _WORKER, str(epochs), way]
        self._process: Any = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._process.stdout.readline()

    def train(self, kind: str) -> float:
        """Return the seconds of a training."""
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


def main() -> None:
    """Print and keep a table."""
    parser = argparse.ArgumentParser(description="Training beside a busy process.")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--spins", nargs="*", default=["10000", "1000", "100", "0"])
    arguments = parser.parse_args()
    ways = ["as torch", "as skcgcnn", *arguments.spins]
    workers = {way: Worker(arguments.epochs, way) for way in ways}
    seconds: dict[str, dict[str, list[float]]] = {
        f"{kind} batches, {state}": {way: [] for way in ways}
        for kind in ("small", "large")
        for state in ("alone", "one core busy")
    }
    for _ in range(arguments.repeats):
        for state, found in seconds.items():
            other = None
            if state.endswith("busy"):
                other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for way, worker in workers.items():
                found[way].append(worker.train(state.split()[0]))
            if other is not None:
                other.kill()
                other.wait()
    for worker in workers.values():
        worker.stop()
    rows = []
    for way in ways:
        bases = [seconds[f"{state.split()[0]} batches, alone"]["as torch"] for state in seconds]
        ratios = map(median_ratio, (found[way] for found in seconds.values()), bases)
        rows.append([way, *(f"{ratio:.2f}" for ratio in ratios)])
    keep(
        "busy",
        "Training beside a busy process",
        [
            table(["threads wait", *seconds], rows),
            f"Times relative to torch's default alone; medians of {arguments.repeats} rounds; "
            f"{arguments.epochs} epochs of the sample: small batches are quotient graphs, large "
            "ones have nothing merged.",
        ],
        seconds,
    )


if __name__ == "__main__":
    main()
