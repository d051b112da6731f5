"""Ask Captum which features of the elements a prediction rests on.

Captum repeats its inputs for the points between a baseline and a crystal. The tensors of a batch of
crystals cannot be repeated that way: the rows would no longer fit the bonds, and the numbers would
be wrong without an error. So the network is wrapped: Captum sees one tensor with the features of a
crystal's kinds of site, and every copy of it is a crystal of its own.

Needs Captum: ``pip install captum``.
"""

import sys

try:
    from captum.attr import IntegratedGradients
except ImportError:
    sys.exit('Captum is missing: pip install "captum>=0.9"')

import torch

from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression
from skcgcnn.export import PredictingNetwork
from skcgcnn.nn import GraphBatch

BLOCKS = {
    "group": 19,
    "period": 7,
    "electronegativity": 10,
    "covalent radius": 10,
    "valence electrons": 12,
    "ionization energy": 10,
    "electron affinity": 10,
    "block of the periodic table": 4,
    "atomic volume": 10,
}

cifs, energies = load_sample_regression(return_X_y=True)
# Vectors that are learned for elements would not take part in a path between features.
est = CGCNNRegressor(net_params={"element_embedding": False}, max_epochs=60, random_state=0).fit(
    cifs, energies
)
network = PredictingNetwork(est)

(crystal,) = [path for path in cifs if path.endswith("NaCl_rocksalt.cif")]
batch = GraphBatch.from_graphs(est.get_transformer().transform([crystal]))


def predict(copies: torch.Tensor) -> torch.Tensor:
    """Predict for copies of the crystal with other features, of shape (n_copies, n_kinds, 92)."""
    tensors = batch.tensors()[1:]  # what follows the features
    return torch.cat([network(features, *tensors)[:, 0] for features in copies])


# The baseline: a crystal of the same structure, of atoms without features.
features = batch.kind_features.unsqueeze(0)
method = IntegratedGradients(predict)
contributions, gap = method.attribute(
    features, torch.zeros_like(features), n_steps=200, return_convergence_delta=True
)
with torch.no_grad():
    change = float(predict(features) - predict(torch.zeros_like(features)))
print(f"NaCl: {float(predict(features).detach()):.3f} eV/atom, {change:.3f} from the baseline")
print(f"sum of the contributions: {float(contributions.sum()):.3f} eV/atom")
ends = torch.tensor(list(BLOCKS.values())).cumsum(0).tolist()
by_feature = contributions[0].sum(dim=0)
parts = {
    name: float(by_feature[end - length : end].sum())
    for (name, length), end in zip(BLOCKS.items(), ends, strict=True)
}
for name, part in sorted(parts.items(), key=lambda pair: -abs(pair[1])):
    print(f"{name:<28}{part:>8.3f}")
