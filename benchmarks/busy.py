"""Measure how training slows down where another process keeps a core busy.

Usage: ``python benchmarks/busy.py [--repeats 11] [--epochs 4]``. The bundled sample is trained, in
large batches, by processes that import torch first, with both recipes: on one thread; on as many as
there are cores, as OpenMP lets them wait for each other; and as the library does it, which gives
two threads a half of each batch with the default recipe, and takes one with the paper's, unless it
was imported first. All that alone, and beside a process that computes without end on one core.
"""

import argparse
import os
import subprocess
import sys
from typing import Any

from measure import keep, median_ratio, table

_WORKER = """
import os, sys, time
way, recipe, epochs = sys.argv[1:]
if way != "skcgcnn imported first":
    import torch
from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.nn import _trainer
import torch
torch.set_num_threads(1 if way == "one thread" else os.cpu_count())
if way == "OpenMP":
    _trainer.GraphNet._may_halve = False
    _trainer.threads_wait_long = lambda: False
sample = load_sample_regression()
# With nothing merged, the batches are large.
graphs = CrystalGraphTransformer(merge_tol=None).transform(sample.data)
est = CGCNNRegressor(recipe=recipe, max_epochs=int(epochs), random_state=0, device="cpu")
est.fit(graphs, sample.target)
print(flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    est.fit(graphs, sample.target)
    print(time.perf_counter() - start, flush=True)
"""
_WAYS = ("one thread", "OpenMP", "torch imported first", "skcgcnn imported first")
_WORDS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


class Worker:
    """A process that trains when it is asked to."""

    def __init__(self, way: str, recipe: str, epochs: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _WORDS}
        self._process: Any = subprocess.Popen(
            [sys.executable, "-c", _WORKER, way, recipe, str(epochs)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._process.stdout.readline()

    def train(self) -> float:
        """Return the seconds of a training."""
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()


def main() -> None:
    """Print and keep a table."""
    parser = argparse.ArgumentParser(description="Training beside a busy process.")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    workers = {
        (recipe, way): Worker(way, recipe, arguments.epochs)
        for recipe in ("default", "paper")
        for way in _WAYS
    }
    seconds: dict[str, dict[tuple[str, str], list[float]]] = {
        state: {key: [] for key in workers} for state in ("alone", "one core busy")
    }
    for _ in range(arguments.repeats):
        for state, found in seconds.items():
            other = None
            if state == "one core busy":
                other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for key, worker in workers.items():
                found[key].append(worker.train())
            if other is not None:
                other.kill()
                other.wait()
    for worker in workers.values():
        worker.stop()
    rows = [
        [
            recipe,
            way,
            *(
                f"{median_ratio(found[recipe, way], seconds['alone'][recipe, 'one thread']):.2f}"
                for found in seconds.values()
            ),
        ]
        for recipe, way in workers
    ]
    keep(
        "busy",
        "Training beside a busy process",
        [
            table(["recipe", "threads", *seconds], rows),
            "Times relative to one thread alone; medians of "
            f"{arguments.repeats} rounds; {arguments.epochs} epochs of the sample with nothing "
            "merged.",
        ],
        {
            f"{recipe}, {way}": {state: found[recipe, way] for state, found in seconds.items()}
            for recipe, way in workers
        },
    )


if __name__ == "__main__":
    main()
