"""Compare fits that stop early with fits that do not.

Usage: ``python benchmarks/early_stopping.py [--table perov5_val.csv.gz] [--numbers 60]
[--seeds 0 1 2] [--init-from auto]``. Without a table, the crystals that come with the package; with
it, heat of formation of perovskites (eV a formula unit). Both models get the same crystals, of
which one holds out a tenth; both are tested on up to 500 crystals that were not drawn. Prints a
line for every fit.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from pretrained import read_data
from sklearn.metrics import mean_absolute_error

from skcgcnn import CGCNNRegressor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--table", type=Path)
parser.add_argument("--numbers", type=int, nargs="+", default=[60])
parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
parser.add_argument("--init-from", choices=["auto", "none"], default="auto")
arguments = parser.parse_args()
init_from = None if arguments.init_from == "none" else "auto"

torch.set_num_threads(1)
crystals = read_data(arguments.table, None, None)
data = crystals["textbook" if arguments.table is None else "perovskites"]
graphs, y = data.graphs, data.y

for n in arguments.numbers:
    for seed in arguments.seeds:
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = order[:n], order[n : n + 500]
        said = []
        for stops in (False, True):
            start = perf_counter()
            est = CGCNNRegressor(init_from=init_from, early_stopping=stops, random_state=seed)
            est.fit(graphs[train], y[train])
            error = mean_absolute_error(y[test], est.predict(graphs[test]))
            seconds = perf_counter() - start
            said.append(f"{error:.4f} after {est.n_iter_} epochs ({seconds:.0f} s)")
        print(f"{n} crystals, seed {seed}: {said[0]}, early stopping {said[1]}", flush=True)
