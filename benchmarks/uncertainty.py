"""Measure how well networks know how far off they are.

Usage: ``python benchmarks/uncertainty.py --table perov5_val.csv.gz [--only 0 1] [--threads 2]
[--crystals 500] [--epochs 60]``.
Heat of formation of perovskites (eV a formula unit; Castelli et al. 2012), the five folds of
``benchmarks/accuracy.py`` or some of them. Of the training crystals of a fold (`--crystals` of
them), a tenth is held back to calibrate; five networks with ``loss="gaussian_nll"`` learn the rest.
Every fold adds its lines to ``results/uncertainty.jsonl``, and is not done again. At the end
``results/uncertainty.md`` and ``results/uncertainty.png`` are written.

Methods: deviations as the networks learned them; calibrated, as ``fit`` does it, by the crystals
that each network of an ensemble leaves out; and calibrated by ``calibrate`` with the crystals that
were held back.

Columns: MAE in eV; NLL, the mean negative log likelihood of a normal distribution (log of eV; lower
is better); coverage, the share of errors within the interval that is to hold 68 or 95 %;
calibration error, the mean of abs(coverage - nominal) over intervals of 5, 10, ... 95 %;
Spearman's correlation of absolute error and standard deviation.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accuracy import read, splits
from measure import RESULTS, commit, commits, machine, table
from scipy.stats import norm, spearmanr

from skcgcnn import CGCNNRegressor, CrystalGraphs

LOG = RESULTS / "uncertainty.jsonl"
LEVELS = np.arange(0.05, 1, 0.05)
N_NETWORKS = 5
Values = npt.NDArray[np.float64]


def measures(errors: Values, std: Values) -> dict[str, Any]:
    """Return the measures of some predictions."""

    def coverage(level: float) -> float:
        return float((np.abs(errors) <= norm.ppf((1 + level) / 2) * std).mean())

    curve = [coverage(level) for level in LEVELS]
    return {
        "mae": float(np.abs(errors).mean()),
        "nll": float(-norm.logpdf(errors, scale=std).mean()),
        "coverage_68": coverage(0.68),
        "coverage_95": coverage(0.95),
        "calibration_error": float(np.abs(np.array(curve) - LEVELS).mean()),
        "spearman": float(spearmanr(np.abs(errors), std).statistic),
        "curve": curve,
    }


def fold(
    graphs: CrystalGraphs, y: Values, train: Any, test: Any, seed: int, epochs: int | str
) -> dict[str, Any]:
    """Return the measures of one fold, by method."""
    held_back, train = np.split(train, [len(train) // 10])
    params = {"n_estimators": N_NETWORKS, "loss": "gaussian_nll", "max_epochs": epochs}
    est = CGCNNRegressor(**params, random_state=seed)
    est.fit(graphs[train], y[train])
    found = {}

    def measure(name: str) -> None:
        predicted, std = est.predict(graphs[test], return_std=True)
        found[name] = measures(predicted - y[test], std)

    by_left_out = est.targets_
    as_learned = tuple(target.uncalibrated() for target in by_left_out)
    # The others of the ensemble are left out of the predictions of a single network.
    others, est.more_nets_ = est.more_nets_, []
    for name in ("1 network", f"{N_NETWORKS} networks"):
        est.targets_ = as_learned
        measure(name)
        if est.more_nets_:
            est.targets_ = by_left_out
            measure(f"{name}, calibrated by fit")
        est.calibrate(graphs[held_back], y[held_back])
        measure(f"{name}, calibrated by crystals held back")
        est.more_nets_ = others
    return found


def read_log() -> list[dict[str, Any]]:
    """Return what was measured before."""
    if not LOG.exists():
        return []
    return [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()]


def show() -> None:
    """Write the table and the figure: means over the folds, and their standard deviations."""
    rows = read_log()
    names = list(rows[0]["methods"])
    columns = ["mae", "nll", "coverage_68", "coverage_95", "calibration_error", "spearman"]
    lines = []
    for name in names:
        found = [[row["methods"][name][column] for column in columns] for row in rows]
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True)]
        lines.append([name, *cells])
    head = ["method", "MAE (eV)", "NLL", "coverage 68 %", "coverage 95 %", "calibration error"]
    n = rows[0]["crystals"]
    done = ", ".join(str(row["fold"]) for row in rows)
    epochs = "" if rows[0]["epochs"] == "auto" else f"--epochs {rows[0]['epochs']} "
    text = [
        "# How well networks know how far off they are",
        "",
        f"Made by `benchmarks/uncertainty.py`, folds {done} of 5: {n} crystals, "
        f"a tenth of them held back; {epochs.strip() or 'the usual epochs'}, "
        f"{rows[0]['threads']} thread(s) of "
        f"{rows[0]['processor']}. {commits(rows)}",
        "",
        f"    python benchmarks/uncertainty.py --table perov5_val.csv.gz --crystals {n} "
        f"{epochs}--only {done.replace(',', '')} --threads 1",
        "",
        table([*head, "Spearman"], lines),
    ]
    (RESULTS / "uncertainty.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    draw({name: [row["methods"][name]["curve"] for row in rows] for name in names})


def draw(curves: dict[str, list[list[float]]]) -> None:
    """Draw the reliability diagram."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.8, 5.4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="ideal")
    # Told apart by color-blind readers.
    colors = ["#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#009E73"]
    for (name, curve), color in zip(curves.items(), colors, strict=True):
        style = "-" if "calibrated" in name else "--"
        axes.plot(LEVELS, np.mean(curve, axis=0), style, color=color, label=name)
    axes.set(
        xlabel="confidence level of the interval",
        ylabel="share of errors within it",
        title="Heat of formation of perovskites",
        aspect="equal",
    )
    figure.legend(loc="outside lower center", frameon=False, fontsize="small")
    figure.savefig(RESULTS / "uncertainty.png", dpi=150)


def main() -> None:
    """Measure the folds that are not in the log, then write table and figure."""
    parser = argparse.ArgumentParser(description="How well networks know how far off they are.")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--only", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--crystals", type=int)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    graphs, y, _ = read("perov5", arguments.table, 12)
    done = {row["fold"] for row in read_log()}
    for seed, (train, test) in enumerate(splits(y, None, 5)):
        if seed in done or seed not in arguments.only:
            continue
        drawn = np.random.default_rng(seed).permutation(train)[: arguments.crystals]
        methods = fold(graphs, y, drawn, test, seed, arguments.epochs or "auto")
        row = {"fold": seed, "crystals": len(drawn), "epochs": arguments.epochs or "auto"}
        row |= {"methods": methods, "threads": torch.get_num_threads()}
        row |= {"processor": machine()["processor"], "commit": commit()}
        with LOG.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print({name: {k: v for k, v in m.items() if k != "curve"} for name, m in methods.items()})
    show()


if __name__ == "__main__":
    main()
