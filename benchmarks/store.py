"""Measure a store: making it, an interruption, training and predicting from the disk.

Usage: ``OMP_WAIT_POLICY=PASSIVE python benchmarks/store.py perov5_val.csv.gz [--crystals 200000]``.
The crystals are the table's, their atoms moved at random by 0.005 of the cell, as a table of CIF
texts. Two processes make a store of them. A second run is killed with SIGKILL, workers included,
half-way, and repeated: its files have to be the same to the byte. An epoch is trained from the
store and from graphs in memory, alternating, and the store is predicted to Parquet; each in a
process of its own, whose peak memory is taken above that with everything imported and a network
trained on ten crystals.
"""

import argparse
import csv
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import keep, read_table, table

ATOM = re.compile(r"^(  \w+  \w+  1)  (\S+)  (\S+)  (\S+)", re.MULTILINE)
MOVED = 0.005
EPOCHS = 1


def write_source(rows: list[dict[str, str]], count: int, path: Path) -> None:
    """Write a table of CIF texts."""
    rng = np.random.default_rng(0)

    def moved(match: re.Match[str]) -> str:
        numbers = np.array(match.groups()[1:], dtype=float) + rng.normal(0, MOVED, 3)
        return "  ".join([match[1], *(f"{x % 1:.8f}" for x in numbers)])

    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "heat_ref", "cif"])
        for i in range(count):
            row = rows[i % len(rows)]
            writer.writerow([i, row["heat_ref"], ATOM.sub(moved, row["cif"])])


def command(*args: Any) -> list[str]:
    """Return a call of the command."""
    return [sys.executable, "-m", "skcgcnn", *map(str, args)]


def make(source: Path, store: Path, n_jobs: int) -> float:
    """Make a store; return the seconds."""
    start = time.perf_counter()
    options = ("--output", store, "--n-jobs", n_jobs, "--quiet")
    subprocess.run(command("featurize", source, *options), check=True)
    return time.perf_counter() - start


def make_killed(source: Path, store: Path, n_jobs: int, n_shards: int) -> tuple[int, float]:
    """Make a store, killed half-way; return the shards that were there, and the seconds after."""
    options = ("--output", store, "--n-jobs", n_jobs, "--quiet")
    with subprocess.Popen(command("featurize", source, *options), start_new_session=True) as run:
        while len(list(store.glob(".skcgcnn-shards/*.npz"))) < n_shards:
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGKILL)
    found = len(list(store.glob(".skcgcnn-shards/*.npz")))
    return found, make(source, store, n_jobs)


def same(one: Path, other: Path) -> bool:
    """Tell whether two folders hold the same bytes."""
    names = [
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        for folder in (one, other)
    ]
    return names[0] == names[1] and all(
        subprocess.run(["cmp", "-s", one / name, other / name], check=False).returncode == 0  # noqa: S607
        for name in names[0]
    )


def peak_mb() -> float:
    """Return the most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure_one(what: str, store: Path) -> dict[str, float]:
    """Train or predict here; return seconds, and MB above those of a process that does little."""
    from skcgcnn import CGCNNRegressor, CrystalGraphs
    from skcgcnn.estimators import predict_target_chunks
    from skcgcnn.stores import open_store
    from skcgcnn.training import write_prediction_chunks

    few = open_store(store).graphs[:10]
    est = CGCNNRegressor(init_from=None, max_epochs=EPOCHS, random_state=0)
    est.fit(few, np.arange(10.0)).predict(few)
    before = peak_mb()
    start = time.perf_counter()
    opened = open_store(store)
    if what == "predict":
        with TemporaryDirectory() as folder:
            chunks = predict_target_chunks(est, opened.graphs)
            write_prediction_chunks(Path(folder) / "p.parquet", opened.graphs.ids, chunks)
    else:
        graphs = opened.graphs
        if what == "memory":
            graphs = CrystalGraphs.load(store)
        est.fit(graphs, opened.properties["heat_ref"])
    elapsed = time.perf_counter() - start
    return {"seconds": elapsed, "mb": peak_mb() - before, "before_mb": before}


def run_one(what: str, store: Path) -> dict[str, float]:
    """Measure in a process of its own."""
    args = [sys.executable, __file__, "-", "--one", what, "--store", str(store)]
    done = subprocess.run(args, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(what, found, flush=True)
    return found


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--crystals", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    parser.add_argument("--one", choices=["store", "memory", "predict"], help="measure here")
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure_one(arguments.one, arguments.store)))
        return
    with TemporaryDirectory(dir=arguments.folder) as name:
        folder, count = Path(name), arguments.crystals
        source, stores = folder / "source.csv", (folder / "whole", folder / "killed")
        write_source(read_table(arguments.table), count, source)
        found: dict[str, Any] = {"crystals": count, "source_bytes": source.stat().st_size}
        found["featurize_s"] = make(source, stores[0], arguments.n_jobs)
        print(f"featurized in {found['featurize_s']:.0f} s", flush=True)
        half = min(count // 4_000, 30)
        found["shards_kept"], found["resumed_s"] = make_killed(
            source, stores[1], arguments.n_jobs, half
        )
        found["same_bytes"] = same(*stores)
        print("killed and resumed, same bytes:", found["same_bytes"], flush=True)
        found["store_bytes"] = sum(
            path.stat().st_size for path in stores[0].rglob("*") if path.is_file()
        )
        shutil.rmtree(stores[1])
        runs: dict[str, list[dict[str, float]]] = {"store": [], "memory": []}
        for _ in range(arguments.repeats):
            for what, times in runs.items():
                times.append(run_one(what, stores[0]))
        found |= runs
        found["predict"] = run_one("predict", stores[0])
    ratio = statistics.median(
        memory["seconds"] / store["seconds"]
        for memory, store in zip(runs["memory"], runs["store"], strict=True)
    )
    found["speed_of_memory"] = ratio
    lines = [
        ["featurize, two processes", f"{found['featurize_s']:.0f}", ""],
        [
            f"the same, killed after {found['shards_kept']} shards: the rest",
            f"{found['resumed_s']:.0f}",
            "",
        ],
        *(
            [
                f"an epoch, graphs {where}",
                f"{statistics.median(run['seconds'] for run in runs[what]):.0f}",
                f"{max(run['mb'] for run in runs[what]):.0f}",
            ]
            for what, where in (("store", "in the store"), ("memory", "in memory"))
        ),
        [
            "a prediction to Parquet",
            f"{found['predict']['seconds']:.0f}",
            f"{found['predict']['mb']:.0f}",
        ],
    ]
    facts = (
        f"{count:,} perovskites of 5 sites. The store of the run that was killed "
        f"{'has the same bytes' if found['same_bytes'] else 'DIFFERS'}; it takes "
        f"{found['store_bytes'] / count:.0f} bytes a crystal (the CIFs "
        f"{found['source_bytes'] / count:.0f}). Speed of training from the store, as a share of "
        f"that from memory: {ratio:.2f} (median of {arguments.repeats}). MB are the peak above a "
        "process with everything imported that has trained on ten crystals."
    )
    header = ["what", "s", "MB"]
    keep("store", "A store of many crystals", [table(header, lines), facts], found)


if __name__ == "__main__":
    main()
