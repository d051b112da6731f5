"""Draw ``histograms.png``, the figure of the datasheet, from ``id_prop.csv``."""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from skcgcnn.datasets import load_id_prop

mpl.use("Agg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).parent


def main() -> None:
    """Draw one panel a host, with a color for each kind of defect."""
    parser = argparse.ArgumentParser(description="Draw the figure of the datasheet.")
    parser.add_argument("--output", type=Path, default=FOLDER / "histograms.png")
    output: Path = parser.parse_args().output
    data = load_id_prop(FOLDER)
    energy, label = data.target.T
    hosts = np.array([cif_id.split("_")[0] for cif_id in data.cif_ids])
    names = list(dict.fromkeys(hosts))
    bins = np.linspace(energy.min(), energy.max(), 31)
    figure, axes = plt.subplots(
        len(names), 1, figsize=(6.4, 7.5), sharex=True, layout="constrained"
    )
    for axis, name in zip(axes, names, strict=True):
        parts = [energy[(hosts == name) & (label == kind)] for kind in (0, 1)]
        axis.hist(
            parts,
            bins,
            stacked=True,
            color=["tab:blue", "tab:red"],
            label=["isolated", "divacancy"],
        )
        axis.set_title(f"{name}: {(hosts == name).sum()} structures", fontsize=10)
        axis.set_ylabel("structures")
    axes[0].legend()
    axes[-1].set_xlabel("formation energy, CHGNet (eV per vacancy)")
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    main()
