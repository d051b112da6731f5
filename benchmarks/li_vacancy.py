"""Compare multi-task networks with what the formula alone tells, on the Li-vacancy dataset.

Usage: ``python benchmarks/li_vacancy.py [--folds 5] [--threads 2]``. Five-fold GroupKFold: no
arrangement of the metals in a host is trained on and tested. The networks have default parameters.
The baseline predicts the mean energy and the share of labels of the training structures of the same
composition. Every fit adds a line to ``results/li_vacancy.jsonl`` and is not done again;
``results/li_vacancy.md`` has means and standard deviations over the folds that all methods have.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from measure import RESULTS, table
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
LOG = RESULTS / "li_vacancy.jsonl"


def formulas(paths: list[str]) -> npt.NDArray[np.str_]:
    """Return the reduced formula of every CIF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([Structure.from_file(p).composition.reduced_formula for p in paths])


def by_composition(
    composition: npt.NDArray[np.str_], Y: Values, train: Rows, test: Rows, _: Params
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
    regressor = CGCNNRegressor(**params).fit(graphs[train], Y[train, 0])
    classifier = CGCNNClassifier(**params).fit(graphs[train], Y[train, 1].astype(int))
    return regressor.predict(graphs[test]), classifier.predict_proba(graphs[test])[:, 1]


METHODS: dict[str, Callable[..., tuple[Values, Values]]] = {
    "composition only": by_composition,
    "`CGCNNMultiTask`": by_multi_task,
    "two single-task networks": by_single_tasks,
}


def scores(Y: Values, energy: Values, proba: Values) -> tuple[float, ...]:
    """Return MAE in eV, R², accuracy and ROC AUC."""
    return (
        mean_absolute_error(Y[:, 0], energy),
        r2_score(Y[:, 0], energy),
        accuracy_score(Y[:, 1], proba > 0.5),
        roc_auc_score(Y[:, 1], proba),
    )


def read_log() -> list[dict[str, Any]]:
    """Return what was measured before."""
    if not LOG.exists():
        return []
    return [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()]


def show(n_folds: int) -> None:
    """Write the table: means over the folds, and their standard deviations."""
    rows = [row for row in read_log() if row["folds"] == n_folds]
    by_method: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    # Folds differ: methods are compared on those that all have.
    shared = set.intersection(*({row["fold"] for row in own} for own in by_method.values()))
    lines = []
    for method, everything in by_method.items():
        own = [row for row in everything if row["fold"] in shared]
        found = np.array([row["scores"] for row in own])
        cells = [
            f"{mean:.3f} ± {deviation:.3f}"
            for mean, deviation in zip(found.mean(axis=0), found.std(axis=0), strict=True)
        ]
        seconds = np.median([row["seconds"] for row in own])
        lines.append([method, *cells, f"{seconds:.0f}", len(own)])
    head = ["method", "MAE (eV)", "R²", "accuracy", "ROC AUC", "seconds a fold", "folds"]
    text = (
        f"# Li vacancies\n\nMade by `benchmarks/li_vacancy.py`; see there.\n\n{table(head, lines)}"
    )
    (RESULTS / "li_vacancy.md").write_text(f"{text}\n", encoding="utf-8")


def main() -> None:
    """Measure what is not in the log, then write the table."""
    parser = argparse.ArgumentParser(description="Networks against composition, Li vacancies.")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)

    data = load_li_vacancy()
    Y, composition = data.target, formulas(data.data)
    graphs = CrystalGraphTransformer().fit_transform(data.data)
    folds = list(GroupKFold(arguments.folds).split(data.data, Y, data.groups))
    done = {(row["method"], row["folds"], row["fold"]) for row in read_log()}
    for fold, (train, test) in enumerate(folds):
        for method in arguments.methods:
            X = composition if METHODS[method] is by_composition else graphs
            if (method, arguments.folds, fold) in done:
                continue
            start = time.perf_counter()
            energy, proba = METHODS[method](X, Y, train, test, {"random_state": fold})
            row = {
                "method": method,
                "folds": arguments.folds,
                "fold": fold,
                "scores": scores(Y[test], energy, proba),
                "seconds": time.perf_counter() - start,
                "threads": torch.get_num_threads(),
            }
            with LOG.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    show(arguments.folds)


if __name__ == "__main__":
    main()
