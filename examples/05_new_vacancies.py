"""Predict for new vacancies: make them in a host that is ordered at random, and rank them.

The network learns from all Li vacancies of the bundled dataset; the new structures are supercells
of LiNi0.8Co0.15Al0.05O2 with a new arrangement of the metals. Takes about a minute.
"""

from pathlib import Path

from pymatgen.core import Structure

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy
from skcgcnn.vacancies import make_vacancies

data = load_li_vacancy()
graphs = CrystalGraphTransformer(n_jobs=2).fit_transform(data.data)
est = CGCNNMultiTask(
    cls_weight=0.5,
    atom_fea_len=32,
    n_conv=2,
    max_epochs=10,
    batch_size=8,
    random_state=0,
).fit(graphs, data.target)

# 5 x 4 x 1 primitive cells are 20 formula units, which hold the composition exactly.
nca = Structure.from_file(Path(data.filename).parent / "NCA_LiVac0.cif").get_primitive_structure()
new = make_vacancies(nca, 8, n_vacancies=3, supercell=(5, 4, 1), order=True, random_state=1)
energies, proba = est.predict(new)[:, 0], est.predict_proba(new)[:, 1]
print(f"{new[0].formula}: eV per vacancy, probability of a divacancy")
for i in energies.argsort():
    print(f"structure {i}: {energies[i]:.3f}, {proba[i]:.2f}")
