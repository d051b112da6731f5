"""Compare one network for two tasks with two networks for one each, on Li vacancies.

No arrangement of the metals in a host is trained on and tested. One split and a short training
show how to compare; ``benchmarks/multitask.py`` measures with five folds. Takes about a minute.
"""

import time

from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.model_selection import GroupShuffleSplit

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy

data = load_li_vacancy()
graphs, Y = CrystalGraphTransformer(n_jobs=2).fit_transform(data.data), data.target
splitter = GroupShuffleSplit(1, test_size=0.2, random_state=0)
train, test = next(splitter.split(graphs, Y, data.groups))
params = {
    "atom_fea_len": 32,
    "n_conv": 2,
    "max_epochs": 10,
    "batch_size": 8,
    "random_state": 0,
}

start = time.perf_counter()
multi = CGCNNMultiTask(cls_weight=0.5, **params).fit(graphs[train], Y[train])
energy, label = multi.predict(graphs[test]).T
print(
    f"multi-task:  {mean_absolute_error(Y[test, 0], energy):.3f} eV/vacancy, "
    f"accuracy {accuracy_score(Y[test, 1], label):.3f}, {time.perf_counter() - start:.0f} s"
)

start = time.perf_counter()
regressor = CGCNNRegressor(**params).fit(graphs[train], Y[train, 0])
classifier = CGCNNClassifier(**params).fit(graphs[train], Y[train, 1])
print(
    f"single-task: {mean_absolute_error(Y[test, 0], regressor.predict(graphs[test])):.3f} "
    f"eV/vacancy, accuracy {classifier.score(graphs[test], Y[test, 1]):.3f}, "
    f"{time.perf_counter() - start:.0f} s"
)
