"""Search the weight of the classification loss of a multi-task network, with groups.

Li vacancies in LiCoO2 and LiNiO2: formation energy and divacancy-or-not are learned together. The
grid search needs no ``scoring=``, since `score` is the mean of R² and accuracy whatever the weight.
Supercells of one shape are a group, which is on one side of every split. Takes about a minute.
"""

import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy

data = load_li_vacancy()
rows = np.flatnonzero([cif_id.startswith(("LCO", "LNO")) for cif_id in data.cif_ids])
# Read once: the search fits many times.
graphs = CrystalGraphTransformer().fit_transform([data.data[i] for i in rows])

est = CGCNNMultiTask(atom_fea_len=32, n_conv=2, max_epochs=30, batch_size=8, random_state=0)
search = GridSearchCV(est, {"cls_weight": [0.1, 0.5, 1.0]}, cv=GroupKFold(3))
search.fit(graphs, data.target[rows], groups=data.groups[rows])
for params, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"cls_weight {params['cls_weight']}: {score:.3f}")
print(f"best: {search.best_params_}")
