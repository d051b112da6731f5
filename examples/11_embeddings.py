"""What the pretrained network knows, in front of any model of scikit-learn: errors by labels.

Usage: ``python examples/11_embeddings.py [figure.png]``. Takes some 15 seconds.

``from_pretrained("chgnet-distilled").transform(cifs)`` gives 196 numbers for every crystal, without
any fit. Here a Gaussian process learns formation energies from them, beside extra trees on the
composition, the default, which starts from the same network, and a network that starts from
nothing. The energies come from CHGNet, and so does what the pretrained network knows.
"""

import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.graphs import mean_features

warnings.filterwarnings("ignore", message=".*such predictions are extrapolations")
# Energies that are computed have no noise.
warnings.filterwarnings("ignore", message="The optimal value found for .*noise_level")

cifs, energies = load_sample_regression(return_X_y=True)
graphs = CrystalGraphTransformer().transform(cifs)
order = np.random.default_rng(0).permutation(len(energies))

composition = mean_features(graphs)
embeddings = CGCNNRegressor.from_pretrained("chgnet-distilled").transform(graphs)
gaussians = make_pipeline(
    StandardScaler(),
    GaussianProcessRegressor(Matern(10, nu=1.5) + WhiteKernel(0.1), normalize_y=True),
)
methods = {
    "extra trees on the composition": (ExtraTreesRegressor(300, random_state=0), composition),
    "from scratch": (CGCNNRegressor(init_from=None, max_epochs=60, random_state=0), graphs),
    "default": (CGCNNRegressor(random_state=0), graphs),
    "Gaussian process on embeddings": (gaussians, embeddings),
}
numbers = [30, 60, 120]
test = order[numbers[-1] :]
figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
print(f"mean absolute error (eV/atom) of {len(test)} crystals, with {numbers} labels")
for name, (model, X) in methods.items():
    errors = []
    for n in numbers:
        predicted = model.fit(X[order[:n]], energies[order[:n]]).predict(X[test])
        errors.append(np.abs(predicted - energies[test]).mean())
    print(f"{name:32}", *(f"{error:.3f}" for error in errors))
    ax.loglog(numbers, errors, "o-", label=name)
ax.set_xticks(numbers, map(str, numbers), minor=False)
ax.set_xticks([], minor=True)
ax.set_yticks(ticks := [0.2, 0.3, 0.4, 0.5], map(str, ticks), minor=False)
ax.set_yticks([], minor=True)
ax.set(xlabel="labels", ylabel="mean absolute error (eV/atom)")
ax.legend(frameon=False, fontsize="small")
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=150)
