"""Compare one network for a number and a label with a network for each, on three data sets.

Usage: ``python benchmarks/multitask.py DATA [--table perov5_val.csv.gz] [--folds 5] [--epochs 30]
[--threads 2]``. DATA is vacancies (formation energy, isolated or divacancy; folds keep groups
together, so that no arrangement of the metals in a host is trained on and tested), perov5 (heat of
formation, with a band gap or without) or sample (formation energy, metal or not). The networks have
default parameters but for the number of epochs, if it is given. A baseline for the vacancies
predicts the mean energy and the share of labels of the training structures of the same composition.
Every fit adds a line to ``results/multitask.jsonl`` and is not done again; ``results/multitask.md``
has means and standard deviations over the folds that the methods of a table have.
"""

import argparse
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from measure import RESULTS, commit, commits, read_table, table
from pymatgen.core import Structure
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold

from skcgcnn import (
    CGCNNClassifier,
    CGCNNMultiTask,
    CGCNNRegressor,
    CrystalGraphs,
    CrystalGraphTransformer,
)
from skcgcnn.datasets import (
    load_li_vacancy,
    load_sample_classification,
    load_sample_regression,
)

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Params = dict[str, Any]
LOG = RESULTS / "multitask.jsonl"
KEYS = ("data", "folds", "epochs", "method", "fold")
TITLES = {
    "vacancies": "Li vacancies: energy (eV a vacancy), isolated or divacancy",
    "perov5": "Perovskites: heat of formation (eV a formula unit), with a band gap or without",
    "sample": "Textbook crystals: formation energy (eV/atom), metal or not",
}


def read(name: str, path: Path | None) -> tuple[list[Any], Values, Any]:
    """Return crystals, numbers beside labels, and groups."""
    if name == "vacancies":
        data = load_li_vacancy()
        return data.data, data.target, data.groups
    if name == "sample":
        energies, metals = load_sample_regression(), load_sample_classification()
        return energies.data, np.column_stack([energies.target, metals.target]), None
    if path is None:
        raise SystemExit("perov5 needs its table: --table perov5_val.csv.gz")
    rows = read_table(path)
    Y = [(float(row["heat_ref"]), float(row["ind_gap"]) > 0) for row in rows]
    return [row["cif"] for row in rows], np.array(Y, dtype=float), None


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


def by_one_network(cls_weight: float | str) -> Callable[..., tuple[Values, Values]]:
    """Return what predicts by one network that learns both."""

    def predict(
        graphs: CrystalGraphs, Y: Values, train: Rows, test: Rows, params: Params
    ) -> tuple[Values, Values]:
        est = CGCNNMultiTask(cls_weight=cls_weight, **params).fit(graphs[train], Y[train])
        return est.predict(graphs[test])[:, 0], est.predict_proba(graphs[test])[:, 1]

    return predict


def by_two_networks(
    graphs: CrystalGraphs, Y: Values, train: Rows, test: Rows, params: Params
) -> tuple[Values, Values]:
    """Predict by a network for the number and one for the label."""
    regressor = CGCNNRegressor(**params).fit(graphs[train], Y[train, 0])
    classifier = CGCNNClassifier(**params).fit(graphs[train], Y[train, 1].astype(int))
    return regressor.predict(graphs[test]), classifier.predict_proba(graphs[test])[:, 1]


METHODS: dict[str, Callable[..., tuple[Values, Values]]] = {
    "composition": by_composition,
    "one each": by_two_networks,
    "both, cls_weight=1": by_one_network(1.0),
    "both, cls_weight=0.1": by_one_network(0.1),
    "both, cls_weight='auto'": by_one_network("auto"),
}


def scores(Y: Values, energy: Values, proba: Values) -> tuple[float, ...]:
    """Return MAE, R², accuracy and ROC AUC."""
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


def means(rows: list[dict[str, Any]], folds: frozenset[int]) -> list[str]:
    """Return means and standard deviations over some folds, and the median of the seconds."""
    own = [row for row in rows if row["fold"] in folds]
    found = np.array([row["scores"] for row in own])
    cells = [
        f"{mean:.3f} ± {deviation:.3f}"
        for mean, deviation in zip(found.mean(axis=0), found.std(axis=0), strict=True)
    ]
    return [*cells, f"{np.median([row['seconds'] for row in own]):.0f}"]


def show() -> None:
    """Write the tables: means over the folds, and their standard deviations."""
    sets: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    rows = read_log()
    for row in rows:
        sets[row["data"], row["folds"], row["epochs"]][row["method"]].append(row)
    head = ["networks", "MAE", "R²", "accuracy", "ROC AUC", "seconds a fold", "folds"]
    text = [
        "# One network for two tasks",
        f"Made by `benchmarks/multitask.py`; see there. {commits(rows)}",
    ]
    for (data, n_folds, epochs), by_method in sets.items():
        text.append(f"## {TITLES[data]}")
        text.append(f"{'Default number of' if epochs is None else epochs} epochs.")
        folds = {method: {row["fold"] for row in own} for method, own in by_method.items()}
        # Folds differ: methods are compared on those that all of a table have.
        for shared in sorted({frozenset(own) for own in folds.values()}, key=len, reverse=True):
            lines = [
                [method, *means(by_method[method], shared), f"{len(shared)} of {n_folds}"]
                for method in METHODS
                if shared <= folds.get(method, set())
            ]
            text.append(table(head, lines))
    (RESULTS / "multitask.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


def measure(arguments: argparse.Namespace) -> None:
    """Do the fits that are not in the log."""
    crystals, Y, groups = read(arguments.data, arguments.table)
    graphs = CrystalGraphTransformer().fit_transform(crystals)
    folds: Any
    if groups is None:
        splitter = StratifiedKFold(arguments.folds, shuffle=True, random_state=0)
        folds = splitter.split(crystals, Y[:, 1])
    else:
        folds = GroupKFold(arguments.folds).split(crystals, Y, groups)
    params = {} if arguments.epochs is None else {"max_epochs": arguments.epochs}
    done = {tuple(row[key] for key in KEYS) for row in read_log()}
    methods = arguments.methods
    if groups is None:
        methods = [method for method in methods if METHODS[method] is not by_composition]
    for fold, (train, test) in enumerate(folds):
        for method in methods:
            key = (arguments.data, arguments.folds, arguments.epochs, method, fold)
            if key in done:
                continue
            X = formulas(crystals) if METHODS[method] is by_composition else graphs
            start = time.perf_counter()
            energy, proba = METHODS[method](
                X, Y, train, test, {"init_from": None, "random_state": fold, **params}
            )
            row = {
                **dict(zip(KEYS, key, strict=True)),
                "scores": scores(Y[test], energy, proba),
                "seconds": time.perf_counter() - start,
                "threads": torch.get_num_threads(),
                "commit": commit(),
            }
            with LOG.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


def main() -> None:
    """Measure what is not in the log, then write the tables."""
    parser = argparse.ArgumentParser(description="One network for two tasks, or one for each.")
    parser.add_argument("data", choices=[*TITLES, "show"])
    parser.add_argument("--table", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.data != "show":
        measure(arguments)
    show()


if __name__ == "__main__":
    main()
