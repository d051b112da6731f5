"""Draw the chart of the README from the results kept in ``results/``.

Usage: ``python benchmarks/chart.py docs/images/benchmarks.png``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from measure import RESULTS

mpl.use("Agg")
import matplotlib.pyplot as plt

# What was timed, in which result, and where in it the ratio stands.
BARS = [
    ("CIFs to graphs", "featurize", ["ratio_perovskites"]),
    ("CIFs to predictions", "predict_original", ["ratios", "warm, skcgcnn"]),
    (
        "CIFs to predictions,\nPython's start included",
        "predict_original",
        ["ratios", "cold, skcgcnn"],
    ),
    ("30 epochs, from Python's\nstart to the test error", "end_to_end_original", ["ratio"]),
    ("an epoch of training", "train_original", ["batch_256", "ratio"]),
]


def ratio(name: str, keys: list[str]) -> float:
    """Return a ratio from a result."""
    value: Any = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    for key in keys:
        value = value[key]
    return float(value)


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description="The chart of the README.")
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    names, ratios = zip(*((label, ratio(name, keys)) for label, name, keys in BARS), strict=True)
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    bars = axes.barh(names, ratios, color="tab:blue")
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set(
        xscale="log",
        xlim=(1, 2 * max(ratios)),
        xticks=[1, 2, 5, 10, 20, 50],
        xlabel="times as fast as the original code (2 CPU cores, medians)",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=120)


if __name__ == "__main__":
    main()
