"""Compare the epoch that validation crystals choose with the last one.

Usage: ``python benchmarks/best_epoch.py [--perovskites perov5_val.csv.gz] [--carbon
carbon24_val.csv.gz] [--numbers 100 300] [--init-from auto] [--draws 4]``. A ninth of the crystals
is held out to choose the epoch by; up to 800 that were not drawn test every epoch. Prints the mean
absolute errors of the epoch with the lowest validation loss, of the one with the lowest loss in the
last quarter, of the last, and of the best by the test crystals, which nobody knows.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretrained import Crystals, read_data
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from skcgcnn import CGCNNRegressor


class Errors(Callback):
    """Lists the validation and the test error of every epoch."""

    def __init__(self, est: CGCNNRegressor, crystals: Crystals, *rows: np.ndarray) -> None:
        self.est, self.crystals, self.rows = est, crystals, rows
        self.found: list[list[float]] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Predict."""
        graphs, y = self.crystals.graphs, self.crystals.y
        said = [np.abs(self.est.predict(graphs[own]) - y[own]).mean() for own in self.rows]
        self.found.append([float(error) for error in said])


def measure(crystals: Crystals, n: int, draw: int, init_from: str | None) -> list[float]:
    """Return the best epoch, the number of epochs, and the test errors by what is kept."""
    drawn, test = crystals.split(n, draw)
    train, val = train_test_split(drawn, test_size=max(2, round(n / 9)), random_state=draw)
    est = CGCNNRegressor(init_from=init_from, random_state=draw)
    errors = Errors(est, crystals, val, test[:800])
    est.set_params(callbacks=[errors])
    known = crystals.graphs[val], crystals.y[val]
    est.fit(crystals.graphs[train], crystals.y[train], validation_data=known)
    val_errors, test_errors = np.array(errors.found).T
    n_epochs, best = len(val_errors), int(val_errors.argmin())
    late = 3 * n_epochs // 4 + int(val_errors[3 * n_epochs // 4 :].argmin())
    kept = [test_errors[i] for i in (best, late, -1)]
    return [best + 1, n_epochs, *map(float, kept), float(test_errors.min())]


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perovskites", type=Path)
    parser.add_argument("--carbon", type=Path)
    parser.add_argument("--numbers", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--init-from", choices=["auto", "none"], default="auto")
    parser.add_argument("--draws", type=int, default=4)
    arguments = parser.parse_args()
    init_from = None if arguments.init_from == "none" else "auto"
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print("| crystals | best epochs | best | best of the last quarter | last | best by the test |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, crystals in read_data(arguments.perovskites, arguments.carbon, None).items():
        for n in arguments.numbers:
            if n > len(crystals.y) // 2:
                continue
            rows = np.array([measure(crystals, n, i, init_from) for i in range(arguments.draws)])
            epochs = ", ".join(f"{epoch:.0f}" for epoch in rows[:, 0])
            errors = " | ".join(f"{error:.4f}" for error in rows[:, 2:].mean(axis=0))
            print(f"| {n} {name} | {epochs} of {rows[0, 1]:.0f} | {errors} |", flush=True)


if __name__ == "__main__":
    main()
