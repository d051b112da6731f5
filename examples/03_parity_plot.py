"""Draw the figure of the README: cross-validated predictions of a multi-task network.

Usage: ``python examples/03_parity_plot.py [FILE.png]``.
Default parameters, five folds: it takes about two minutes.
"""

import sys

import matplotlib as mpl
import numpy as np
from pymatgen.core import Structure
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_classification, load_sample_regression

mpl.use("Agg")
import matplotlib.pyplot as plt

cifs, energies = load_sample_regression(return_X_y=True)
is_metal = load_sample_classification().target
graphs = CrystalGraphTransformer(n_jobs=2).fit_transform(cifs)
Y = np.column_stack([energies, is_metal])

est = CGCNNMultiTask(cls_weight=0.5, random_state=0)
predicted, metallic = np.empty(len(Y)), np.empty(len(Y))
folds = StratifiedKFold(5, shuffle=True, random_state=0)
for train, test in folds.split(cifs, is_metal):
    fold = clone(est).fit(graphs[train], Y[train])
    predicted[test] = fold.predict(graphs[test])[:, 0]
    metallic[test] = fold.predict_proba(graphs[test])[:, 1]

mae, auc = mean_absolute_error(energies, predicted), roc_auc_score(is_metal, metallic)
print(f"5-fold cross-validation: MAE {mae:.3f} eV/atom, ROC AUC {auc:.3f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
# Pure elements are at 0 by definition, so that they stand in a line.
pure = np.array([len(Structure.from_file(path).composition) == 1 for path in cifs])
style = {"cmap": "coolwarm", "vmin": 0, "vmax": 1}
points = left.scatter(
    energies[~pure], predicted[~pure], c=metallic[~pure], s=18, label="compounds", **style
)
left.scatter(
    *(energies[pure], predicted[pure]),
    **{"c": metallic[pure], "marker": "x", "s": 20, "linewidths": 1, **style},
    label="pure elements (0 by definition)",
)
left.legend(loc="upper left", fontsize="small")
ends = [min(energies.min(), predicted.min()), max(energies.max(), predicted.max())]
left.plot(ends, ends, color="0.5", linewidth=1, zorder=0)
left.set(
    xlabel="formation energy, CHGNet (eV/atom)",
    ylabel="predicted (eV/atom)",
    title=f"regression: MAE {mae:.2f} eV/atom",
)
figure.colorbar(points, ax=left, label="predicted probability of a metal")
bins = np.linspace(0, 1, 21)
for label, name, color in ((0, "insulators", "tab:blue"), (1, "metals", "tab:red")):
    right.hist(metallic[is_metal == label], bins, label=name, color=color, alpha=0.6)
right.set(
    xlabel="predicted probability of a metal",
    ylabel="crystals",
    title=f"classification: ROC AUC {auc:.2f}",
)
right.legend()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=120)
