"""Compare multi-task networks with what the formula alone tells, on the Li-vacancy dataset.

Usage: ``python benchmarks/li_vacancy.py [--epochs 40] [--seed 0] [--folds 5]``. Five-fold
GroupKFold: no arrangement of the metals in a host is trained on and tested. The baseline predicts
the mean energy and the majority label of the training structures of the same composition. Prints a
Markdown table of means over the folds and their standard deviations.
"""

import argparse
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from pymatgen.core import Structure
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold

from skcgcnn import (
    CGCNNClassifier,
    CGCNNMultiTask,
    CGCNNRegressor,
    CrystalGraphs,
    CrystalGraphTransformer,
)
from skcgcnn.datasets import load_li_vacancy

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Params = dict[str, Any]


def formulas(paths: list[str]) -> npt.NDArray[np.str_]:
    """Return the reduced formula of every CIF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([Structure.from_file(p).composition.reduced_formula for p in paths])


def by_composition(
    composition: npt.NDArray[np.str_], Y: Values, train: Rows, test: Rows
) -> tuple[Values, Values]:
    """Predict by the training rows of the same composition; by all of them where there is none."""
    energies, share = [], []
    for formula in composition[test]:
        same = train[composition[train] == formula]
        rows = same if len(same) else train
        energies.append(Y[rows, 0].mean())
        share.append(Y[rows, 1].mean())
    return np.array(energies), np.array(share)


def by_multi_task(
    graphs: CrystalGraphs, Y: Values, train: Rows, test: Rows, params: Params
) -> tuple[Values, Values]:
    """Predict by one network that learns both."""
    est = CGCNNMultiTask(**params).fit(graphs[train], Y[train])
    return est.predict(graphs[test])[:, 0], est.predict_proba(graphs[test])[:, 1]


def by_single_tasks(
    graphs: CrystalGraphs, Y: Values, train: Rows, test: Rows, params: Params
) -> tuple[Values, Values]:
    """Predict by a network for the energy and one for the label."""
    params = {name: value for name, value in params.items() if name != "cls_weight"}
    regressor = CGCNNRegressor(**params).fit(graphs[train], Y[train, 0])
    classifier = CGCNNClassifier(**params).fit(graphs[train], Y[train, 1].astype(int))
    return regressor.predict(graphs[test]), classifier.predict_proba(graphs[test])[:, 1]


def scores(Y: Values, energy: Values, proba: Values) -> tuple[float, ...]:
    """Return MAE in eV, R², accuracy and ROC AUC."""
    return (
        mean_absolute_error(Y[:, 0], energy),
        r2_score(Y[:, 0], energy),
        accuracy_score(Y[:, 1], proba > 0.5),
        roc_auc_score(Y[:, 1], proba),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Networks against composition, Li vacancies.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--cls-weight", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()

    data = load_li_vacancy()
    Y, composition = data.target, formulas(data.data)
    graphs = CrystalGraphTransformer().fit_transform(data.data)
    params = {
        "max_epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "lr": arguments.lr,
        "cls_weight": arguments.cls_weight,
        "random_state": arguments.seed,
    }
    methods = {
        "composition only": lambda *rows: by_composition(composition, Y, *rows),
        "`CGCNNMultiTask`": lambda *rows: by_multi_task(graphs, Y, *rows, params),
        "two single-task networks": lambda *rows: by_single_tasks(graphs, Y, *rows, params),
    }
    folds = list(GroupKFold(arguments.folds).split(data.data, Y, data.groups))
    sizes = Counter(composition)
    print(f"{len(Y)} structures of {len(sizes)} compositions in {len(set(data.groups))} groups;")
    print(f"{arguments.folds}-fold GroupKFold; {params}\n")
    print("| method | MAE (eV/vacancy) | R² | accuracy | ROC AUC | time (s) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, predict in methods.items():
        start = time.perf_counter()
        found = np.array([scores(Y[test], *predict(train, test)) for train, test in folds])
        seconds = time.perf_counter() - start
        cells = [
            f"{mean:.3f} ± {deviation:.3f}"
            for mean, deviation in zip(found.mean(axis=0), found.std(axis=0), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
