"""Search the weight of the classification loss of a multi-task network.

Formation energy and metal-or-not are learnt together; the grid search needs no ``scoring=``,
since `score` is the mean of R² and accuracy whatever the weight. Takes about half a minute.
"""

import numpy as np
from sklearn.model_selection import GridSearchCV, KFold

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_classification, load_sample_regression

cifs, energies = load_sample_regression(return_X_y=True)
Y = np.column_stack([energies, load_sample_classification().target])
# Read once: the search fits many times.
graphs = CrystalGraphTransformer(n_jobs=2).fit_transform(cifs)

est = CGCNNMultiTask(max_epochs=20, batch_size=32, random_state=0)
cv = KFold(3, shuffle=True, random_state=0)
search = GridSearchCV(est, {"cls_weight": [0.1, 0.5, 1.0]}, cv=cv).fit(graphs, Y)
for params, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"cls_weight {params['cls_weight']}: {score:.3f}")
print(f"best: {search.best_params_}")
