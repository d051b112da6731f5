"""Fine-tune a formation-energy model to another task, and see how many labels that saves.

A network for two targets is trained on more and more labels: from scratch, from the model with all
layers going on, and from the model with its convolutions frozen. The default network, from scratch,
is the fourth. All have the default recipe and the same number of epochs.

Usage: ``python examples/06_fine_tuning.py`` takes the bundled crystals and a model that it trains
on some of them; half a minute. ``python examples/06_fine_tuning.py perov5_val.csv.gz --table
docs/guide/fine_tuning.csv --figure docs/images/fine_tuning.png`` takes a table of perovskites with
the columns material_id, heat_ref, dir_gap and cif, and the official model; half an hour.
"""

import argparse
import csv
import gzip
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.metrics import mean_absolute_error, roc_auc_score
from sklearn.model_selection import train_test_split

from skcgcnn import CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer, load
from skcgcnn.datasets import load_sample_classification, load_sample_regression

# Few crystals lack some elements, and a network of other sizes starts from scratch: both are meant.
warnings.filterwarnings("ignore", message=".*such predictions are extrapolations")
warnings.filterwarnings("ignore", message="training starts from scratch")

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("data", nargs="?", help="table of perovskites (CSV, gzipped)")
parser.add_argument("--model", default="formation-energy-per-atom", help="model to begin from")
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--table", type=Path, help="CSV file for the results")
parser.add_argument("--figure", type=Path, help="PNG file for the learning curve")
options = parser.parse_args()

if options.data:
    with gzip.open(options.data, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Heat of formation in eV a formula unit, and whether there is a band gap.
    Y = np.array([[float(row["heat_ref"]), float(row["dir_gap"]) > 0] for row in rows])
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{row['material_id']}.cif" for row in rows]
        for path, row in zip(paths, rows, strict=True):
            path.write_text(row["cif"], encoding="utf-8")
        graphs = CrystalGraphTransformer(n_jobs=2).transform(paths)
    model, energy, label = options.model, "heat of formation", "gap"
    sizes, n_test, seeds, epochs = (50, 100, 200, 500, 1000), 1000, range(options.seeds), 60
else:
    cifs, energies = load_sample_regression(return_X_y=True)
    Y = np.column_stack([energies, load_sample_classification().target])
    graphs = CrystalGraphTransformer().transform(cifs)
    known, rest = train_test_split(np.arange(len(Y)), train_size=120, random_state=0)
    model = CGCNNRegressor(n_conv=2, max_epochs=30, batch_size=16, random_state=0, device="cpu")
    model.fit(graphs[known], Y[known, 0])
    graphs, Y, energy, label = graphs[rest], Y[rest], "formation energy", "metal"
    sizes, n_test, seeds, epochs = (20, 60), 70, range(2), 20

sizes_of_model = ("conv", "atom_fea_len", "n_conv", "h_fea_len", "n_h")
start = load(model) if isinstance(model, str) else model
same_network = {name: start.fitted_params_[name] for name in sizes_of_model} | {"init_from": None}
ways = {
    "from scratch": same_network,
    "fine-tuned": {**same_network, "init_from": model},
    "fine-tuned, convolutions frozen": {**same_network, "init_from": model, "freeze": "convs"},
    "default network, from scratch": {"init_from": None},
}
results = []
for seed in seeds:
    train, test = train_test_split(
        np.arange(len(Y)), test_size=n_test, random_state=seed, stratify=Y[:, 1]
    )
    for n in sizes:
        some, _ = train_test_split(train, train_size=n, random_state=seed, stratify=Y[train, 1])
        for way, begin in ways.items():
            est = CGCNNMultiTask(
                cls_weight=0.5, max_epochs=epochs, batch_size=32, random_state=seed, device="cpu"
            )
            est.set_params(**begin).fit(graphs[some], Y[some])
            mae = mean_absolute_error(Y[test, 0], est.predict(graphs[test])[:, 0])
            auc = roc_auc_score(Y[test, 1], est.predict_proba(graphs[test])[:, 1])
            results.append({"way": way, "labels": n, "seed": seed, "mae": mae, "roc_auc": auc})
            print(f"{n:5} labels, seed {seed}, {way}: MAE {mae:.3f} eV, ROC AUC {auc:.3f}")

print(f"\nmean over {len(seeds)} seeds")
for n in sizes:
    for way in ways:
        found = [row for row in results if row["way"] == way and row["labels"] == n]
        mae, auc = (np.array([row[name] for row in found]) for name in ("mae", "roc_auc"))
        print(
            f"{n:5} labels, {way}: MAE {mae.mean():.3f} ± {mae.std():.3f} eV, "
            f"ROC AUC {auc.mean():.3f} ± {auc.std():.3f}"
        )

if options.table:
    with options.table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(results[0]), lineterminator="\n")
        writer.writeheader()
        for row in results:
            writer.writerow({**row, "mae": f"{row['mae']:.4f}", "roc_auc": f"{row['roc_auc']:.4f}"})

if options.figure:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for way, color in zip(ways, ("tab:gray", "tab:red", "tab:blue", "black"), strict=True):
        for axis, name in zip(axes, ("mae", "roc_auc"), strict=True):
            values = np.array(
                [[r[name] for r in results if r["way"] == way and r["labels"] == n] for n in sizes]
            )
            axis.errorbar(
                sizes, values.mean(axis=1), values.std(axis=1), label=way, color=color,
                marker="o", capsize=3,
            )  # fmt: skip
    axes[0].set(ylabel=f"MAE of the {energy} (eV)", ylim=(0, None))
    axes[1].set(ylabel=f"ROC AUC of the {label}")
    for axis in axes:
        axis.set(xlabel="labels trained on", xscale="log")
        axis.set_xticks(sizes, [str(n) for n in sizes])
        axis.minorticks_off()
    axes[0].legend()
    figure.savefig(options.figure, dpi=120)
