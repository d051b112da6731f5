"""Measure what it costs and brings that each network of an ensemble leaves out a tenth.

Usage: ``python benchmarks/calibration.py [--table perov5_val.csv.gz] [--numbers 60]
[--losses auto gaussian_nll] [--from-scratch] [--epochs 30] [--seeds 0 1 2]``. Without a table, the
crystals that come with the package; with it, heat of formation of perovskites (eV a formula unit).
Five networks are trained on some crystals, once as they are, and once on all of them; both are
tested on up to 500 that were not drawn. Prints a line for every fit: the mean absolute error, and
the share of errors within one standard deviation and within 1.96.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from measure import crystals_with_heats

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.estimators import _ensemble

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--table", type=Path)
parser.add_argument("--numbers", type=int, nargs="+", default=[60])
parser.add_argument("--losses", nargs="+", default=["auto", "gaussian_nll"])
parser.add_argument("--from-scratch", action="store_true")
parser.add_argument("--epochs", type=int, help="by default the usual number")
parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
arguments = parser.parse_args()

torch.set_num_threads(1)
crystals, y = crystals_with_heats(arguments.table)
graphs = CrystalGraphTransformer().transform(crystals)
ours = _ensemble.leave_out


def leave_out_none(n_members: int, n_crystals: int, seed: int, **_: bool) -> np.ndarray:
    """Return that every network is fitted on all crystals."""
    return np.zeros((n_members, n_crystals), dtype=bool)


for n in arguments.numbers:
    for loss in arguments.losses:
        for seed in arguments.seeds:
            order = np.random.default_rng(seed).permutation(len(y))
            train, test = order[:n], order[n : n + 500]
            for leave_out in (ours, leave_out_none):
                _ensemble.leave_out = leave_out
                est = CGCNNRegressor(
                    n_estimators=5,
                    loss=loss,
                    max_epochs=arguments.epochs or "auto",
                    init_from=None if arguments.from_scratch else "auto",
                    random_state=seed,
                )
                est.fit(graphs[train], y[train])
                predicted, std = est.predict(graphs[test], return_std=True)
                error = np.abs(predicted - y[test])
                within = [f"{(error <= k * std).mean():.2f}" for k in (1, 1.96)]
                print(
                    f"{n} crystals, loss {loss}, seed {seed}, {est.targets_[0].calibration}: "
                    f"MAE {error.mean():.4f}, {within[0]} within 1 std, {within[1]} within 1.96",
                    flush=True,
                )
