"""Draw the chart of the README from the results kept in ``results/``.

Usage: ``python benchmarks/chart.py docs/images/benchmarks.png``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from measure import RESULTS, median_ratio

mpl.use("Agg")
import matplotlib.pyplot as plt

# What was timed; in which result, where in it the ratio stands, or the seconds of both: against the
# original code, and against cgcnn2. None where the result is of older code than that beside it.
Place = tuple[str, list[str]] | None
BARS: list[tuple[str, Place, Place]] = [
    (
        "CIFs to graphs",
        ("featurize", ["ratio_perovskites"]),
        ("featurize", ["perovskites", "cgcnn2", "skcgcnn"]),
    ),
    (
        "CIFs to predictions",
        ("predict_original", ["ratios", "warm, skcgcnn"]),
        ("predict", ["ratios", "warm, skcgcnn"]),
    ),
    (
        "CIFs to predictions,\nPython's start included",
        ("predict_original", ["ratios", "cold, skcgcnn"]),
        ("predict", ["ratios", "cold, skcgcnn"]),
    ),
    (
        "30 epochs, from Python's\nstart to the test error",
        ("end_to_end_original", ["ratio"]),
        None,
    ),
    (
        "an epoch of training",
        ("train_original", ["batch_256", "ratio"]),
        ("train", ["batch_256", "ratio"]),
    ),
]
NAMES = {"the original code": "#0072B2", "the package cgcnn2": "#E69F00"}


def ratio(place: Place) -> float:
    """Return a ratio from a result; NaN where there is none."""
    if place is None:
        return float("nan")
    name, keys = place
    value: Any = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    if keys[-1] == "skcgcnn":
        first, slow, fast = keys
        return median_ratio(value[first][slow], value[first][fast])
    for key in keys:
        value = value[key]
    return float(value)


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description="The chart of the README.")
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    places, height = np.arange(len(BARS)), 0.38
    for index, (name, color) in enumerate(NAMES.items()):
        ratios = np.array([ratio(bar[1 + index]) for bar in BARS])
        own = places + (index - 0.5) * height
        known = np.isfinite(ratios)
        bars = axes.barh(own[known], ratios[known], height, color=color, label=f"as {name}")
        axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_yticks(places, [bar[0] for bar in BARS])
    axes.invert_yaxis()
    axes.set(
        xscale="log",
        xlim=(1, 60),
        xticks=[1, 2, 5, 10, 20, 50],
        xlabel="times as fast (2 CPU cores, medians of alternating runs)",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(target, dpi=120)


if __name__ == "__main__":
    main()
