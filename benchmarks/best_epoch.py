"""Compare the epoch with the lowest validation loss with the last one.

Usage: ``python benchmarks/best_epoch.py perov5_val.csv.gz [--numbers 300 3000] [--seeds 5]``. A
ninth of the crystals is held out to choose the epoch by; both models are trained on the same
others, and tested on all crystals that were not drawn. Prints a line for every fit.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("table", type=Path)
parser.add_argument("--numbers", type=int, nargs="+", default=[300, 3000])
parser.add_argument("--seeds", type=int, default=5)
arguments = parser.parse_args()

torch.set_num_threads(1)
table = pd.read_csv(arguments.table)
y = table["heat_ref"].to_numpy()
with tempfile.TemporaryDirectory() as folder:
    paths = [Path(folder) / f"{name}.cif" for name in table["material_id"]]
    for path, cif in zip(paths, table["cif"], strict=True):
        path.write_text(cif)
    graphs = CrystalGraphTransformer().transform(paths)

for n in arguments.numbers:
    for seed in range(arguments.seeds):
        order = np.random.default_rng(seed).permutation(len(y))
        test = order[n:]
        train, val = train_test_split(order[:n], test_size=round(n / 9), random_state=seed)
        est = CGCNNRegressor(init_from=None, random_state=seed)
        est.fit(graphs[train], y[train], validation_data=(graphs[val], y[val]))
        best = mean_absolute_error(y[test], est.predict(graphs[test]))
        epoch = int(np.argmin(est.history_[:, "valid_loss"])) + 1
        est.fit(graphs[train], y[train])
        last = mean_absolute_error(y[test], est.predict(graphs[test]))
        print(f"{n} crystals, seed {seed}: epoch {epoch} {best:.4f} eV, last {last:.4f} eV")
