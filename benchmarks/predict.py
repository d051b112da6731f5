"""Measure predictions with official weights, from CIFs to numbers, cold and in a running process.

Usage: ``python benchmarks/predict.py perov5_val.csv.gz formation-energy-per-atom.pth.tar
[--repeats 5] [--threads 2] [--reference CHECKOUT]``. Cold is a process of its own, with Python's
start and imports; warm is a call in a running process, the original's cache of crystals emptied,
as for crystals it has not seen, also with `n_jobs=2` (two processes read; they were started
before). By turns, medians.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import alternate, keep, median_ratio, read_table, table, write_cifs


def ours(
    paths: list[Path], weights: Path, threads: int, n_jobs: int | None = None
) -> Callable[[], np.ndarray]:
    """Return a function that predicts with the library."""
    import torch

    from skcgcnn import CGCNNRegressor
    from skcgcnn.graphs import forget_files

    torch.set_num_threads(threads)
    est = CGCNNRegressor.from_pretrained(weights, device="cpu").set_params(n_jobs=n_jobs)

    def predict() -> np.ndarray:
        forget_files()
        return np.asarray(est.predict(paths))

    return predict


def original(
    folder: Path, weights: Path, threads: int, checkout: Path | None
) -> Callable[[], np.ndarray]:
    """Return a function that predicts as the original does."""
    import torch
    from reference import GAUSSIANS, ReferenceRun, load_reference

    torch.set_num_threads(threads)
    run = ReferenceRun(load_reference(checkout), folder, 256, 0.01)
    content = torch.load(weights, map_location="cpu", weights_only=True)
    args = content["args"]
    run.net = run.reference.network(
        92,
        GAUSSIANS,
        atom_fea_len=args["atom_fea_len"],
        n_conv=args["n_conv"],
        h_fea_len=args["h_fea_len"],
        n_h=args["n_h"],
    )
    run.net.load_state_dict(content["state_dict"])
    run.mean, run.std = content["normalizer"]["mean"], content["normalizer"]["std"]
    rows = range(len(run.data))

    def predict() -> np.ndarray:
        run.forget()
        return run.predict(rows).numpy().ravel()

    return predict


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description="Predictions from CIFs.")
    parser.add_argument("table", type=Path, help="table of CIFs, or with --one a folder")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--one", choices=["original", "skcgcnn"], help="run one, here")
    arguments = parser.parse_args()
    if arguments.one:
        folder, weights = arguments.table, arguments.weights
        if arguments.one == "original":
            found = original(folder, weights, arguments.threads, arguments.reference)()
        else:
            names = [line.split(",")[0] for line in (folder / "id_prop.csv").read_text().split()]
            paths = [folder / f"{name}.cif" for name in names]
            found = ours(paths, weights, arguments.threads)()
        print(found.sum())
        return
    from reference import reference_name, result_name, write_folder

    rows = read_table(arguments.table)
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_cifs(rows, folder)
        write_folder(folder, [path.stem for path in paths], [0.0] * len(paths))

        def cold(who: str) -> None:
            command = [sys.executable, __file__, str(folder), str(arguments.weights)]
            command += ["--threads", str(arguments.threads), "--one", who]
            if arguments.reference is not None:
                command += ["--reference", str(arguments.reference)]
            subprocess.run(command, check=True, capture_output=True)

        names = ("original", "skcgcnn")
        cold_times = alternate({who: lambda who=who: cold(who) for who in names}, arguments.repeats)
        works = {
            "original": original(folder, arguments.weights, arguments.threads, arguments.reference),
            "skcgcnn": ours(paths, arguments.weights, arguments.threads),
            "skcgcnn, n_jobs=2": ours(paths, arguments.weights, arguments.threads, n_jobs=2),
        }
        difference = float(np.abs(works["original"]() - works["skcgcnn"]()).max())
        works["skcgcnn, n_jobs=2"]()
        warm_times = alternate(works, arguments.repeats, warm_up=False)
    lines = []
    ratios = {}
    for state, times in (("cold", cold_times), ("warm", warm_times)):
        for who, found in times.items():
            ratio = ratios[f"{state}, {who}"] = median_ratio(times["original"], found)
            lines.append([state, who, f"{statistics.median(found):.2f}", f"{ratio:.1f}"])
    keep(
        result_name("predict", arguments.reference),
        "Predictions with official weights",
        [
            table(["process", "by", "s", "times as fast"], lines),
            f"{len(rows)} CIFs, {arguments.weights.name}; {arguments.threads} threads; medians of "
            f"{arguments.repeats} alternating runs. Predictions differ by at most "
            f"{difference:.1e}. Reference: {reference_name(arguments.reference)}.",
        ],
        {"cold": cold_times, "warm": warm_times, "ratios": ratios, "difference": difference},
    )


if __name__ == "__main__":
    main()
