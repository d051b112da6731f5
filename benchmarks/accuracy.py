"""Compare recipes of training: the errors of cross-validation, and what few crystals give.

Usage: ``python benchmarks/accuracy.py folds DATA [--table perov5_val.csv.gz] [--recipes paper
default] [--folds 5]`` and ``python benchmarks/accuracy.py few --table perov5_val.csv.gz [--sizes
10 60 300 1000] [--seeds 5]``. DATA is perov5 (heat of formation, eV a formula unit; Castelli et
al. 2012), carbon24 (energy, eV/atom; Pickard 2020), both with a table of CDVAE, sample (formation
energy, eV/atom) or vacancies (eV a vacancy, groups kept together). Every fit adds a line to
``results/accuracy.jsonl``; one that is there is not done again. ``python benchmarks/accuracy.py
show`` writes ``results/accuracy.md``. The extra trees on statistics of the elements' features are
what a skeptic asks for.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from measure import RESULTS, commit, commits, machine, read_table, table
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy, load_sample_regression

LOG = RESULTS / "accuracy.jsonl"
# What differs from the default parameters.
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {"recipe": "paper"},
    "paper, 150 epochs": {"recipe": "paper", "max_epochs": 150},
    "default, 30 epochs": {"max_epochs": 30},
    "default": {},
    "gated": {"conv": "gated"},
    "gated, batches of 16": {"conv": "gated", "batch_size": 16, "max_epochs": 300},
    "ensemble": {"n_estimators": 5},
    "best": {"batch_size": 128, "max_epochs": 120},
    "best ensemble": {"batch_size": 128, "max_epochs": 120, "n_estimators": 5},
    "no dropout": {"dropout": 0.0},
    "weight decay 0.01": {"weight_decay": 0.01},
    "squared error": {"loss": "mse"},
    "Huber": {"loss": "huber"},
    "constant lr": {"net_params": {"schedule": "constant"}, "lr": 0.001},
    "no average": {"net_params": {"ema_decay": 0.0}},
    "no clipping": {"net_params": {"max_grad_norm": None}},
    "4 convolutions": {"n_conv": 4},
    "2 convolutions": {"n_conv": 2},
    "width 96": {"atom_fea_len": 96},
    "width 96, 4 convolutions": {"atom_fea_len": 96, "n_conv": 4},
    "batches of 32": {"batch_size": 32},
    "features of the table alone": {"net_params": {"element_embedding": False}},
    "batches of 128": {"batch_size": 128},
    "attention pooling": {"pooling": "attention"},
    "20 neighbors": {"max_num_nbr": 20},
}
# The first network of an ensemble is measured on the way.
FIRST_OF = {"ensemble": "default", "best ensemble": "best"}
# What a fit is known by in the log.
KEYS = ("task", "data", "recipe", "size", "seed")
TASKS, DATA = ["folds", "few"], ["perov5", "carbon24", "sample", "vacancies"]
TREES, MEAN = "extra trees", "mean of the targets"
Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def read(name: str, path: Path | None, max_num_nbr: int) -> tuple[CrystalGraphs, Values, Any]:
    """Return graphs, targets and groups of a set of crystals."""
    groups: Any = None
    crystals: Any
    if name == "sample":
        crystals, y = load_sample_regression(return_X_y=True)
    elif name == "vacancies":
        data = load_li_vacancy()
        crystals, y, groups = data.data, data.target[:, 0], data.groups
    elif path is None:
        raise SystemExit(f"{name} needs its table: --table {name}_val.csv.gz")
    else:
        rows = read_table(path)
        column = {"perov5": "heat_ref", "carbon24": "energy_per_atom"}[name]
        crystals = [row["cif"] for row in rows]
        y = np.array([float(row[column]) for row in rows])
    transformer = CrystalGraphTransformer(max_num_nbr=max_num_nbr)
    return transformer.fit_transform(crystals), np.asarray(y, dtype=float), groups


def statistics_of_features(graphs: CrystalGraphs) -> Values:
    """Return statistics of the features of each crystal's sites, and of the lengths of its bonds.

    The features are also averaged with the mean lengths of a site's bonds as weights: the same
    elements on other sites make another crystal.
    """
    found = []
    for graph in graphs:
        ends = graph.bond_offsets[:-1]
        sums = np.add.reduceat(graph.distances * graph.bond_counts, ends)
        lengths = (sums / np.add.reduceat(graph.bond_counts.astype(float), ends))[
            graph.site_classes
        ]
        sites = graph.kind_features[graph.site_kinds[graph.site_classes]]
        columns = [f(sites, axis=0) for f in (np.mean, np.std, np.min, np.max)]
        columns += [np.average(sites, axis=0, weights=lengths)]
        columns += [[lengths.mean(), lengths.std(), graph.distances.min()]]
        found.append(np.concatenate(columns))
    return np.array(found)


def fit(
    name: str, graphs: CrystalGraphs, y: Values, train: Rows, test: Rows, seed: int
) -> dict[str, dict[str, Any]]:
    """Fit on some crystals, and return errors on others, by the name of the recipe."""
    start = time.perf_counter()
    if name == MEAN:
        predicted, fitted = (
            np.full(len(test), y[train].mean()),
            np.full(len(train), y[train].mean()),
        )
    elif name == TREES:
        X = statistics_of_features(graphs)
        trees = ExtraTreesRegressor(300, random_state=seed, n_jobs=-1).fit(X[train], y[train])
        predicted, fitted = trees.predict(X[test]), trees.predict(X[train])
    else:
        est = CGCNNRegressor(init_from=None, random_state=seed, **RECIPES[name])
        est.fit(graphs[train], y[train])
        seconds = time.perf_counter() - start
        found = {name: errors(est, graphs, y, train, test) | {"seconds": seconds}}
        if name in FIRST_OF:
            seconds /= 1 + len(est.more_nets_)
            est.more_nets_ = []
            found[FIRST_OF[name]] = errors(est, graphs, y, train, test) | {"seconds": seconds}
        return found
    seconds = time.perf_counter() - start
    return {name: scores(y, predicted, fitted, train, test) | {"seconds": seconds}}


def errors(
    est: CGCNNRegressor, graphs: CrystalGraphs, y: Values, train: Rows, test: Rows
) -> dict[str, float]:
    """Return the errors of a fitted estimator."""
    n_parameters = sum(p.numel() for p in est.module_.parameters())
    return {
        **scores(y, est.predict(graphs[test]), est.predict(graphs[train]), train, test),
        "epochs": est.n_iter_,
        "parameters": n_parameters * (1 + len(est.more_nets_)),
    }


def scores(
    y: Values, predicted: Values, fitted: Values, train: Rows, test: Rows
) -> dict[str, float]:
    """Return the errors of predictions for test and training crystals."""
    return {
        "mae": float(np.abs(predicted - y[test]).mean()),
        "r2": float(r2_score(y[test], predicted)),
        "train_r2": float(r2_score(y[train], fitted)) if len(train) > 1 else 1.0,
    }


def splits(y: Values, groups: Any, folds: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield training and test rows of each fold."""
    if groups is not None:
        yield from GroupKFold(folds, shuffle=True, random_state=0).split(y, groups=groups)
    else:
        yield from KFold(folds, shuffle=True, random_state=0).split(y)


def draw(n_crystals: int, size: int, seed: int) -> tuple[Rows, Rows]:
    """Return a few training rows, and test rows that are among no training rows of any seed."""
    order = np.random.default_rng(0).permutation(n_crystals)
    train, test = order[: n_crystals // 2], order[n_crystals // 2 :]
    return np.random.default_rng(seed).permutation(train)[:size], test


def read_log() -> list[dict[str, Any]]:
    """Return what was measured before."""
    if not LOG.exists():
        return []
    return [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()]


def measure(arguments: argparse.Namespace) -> None:
    """Do the fits that are not in the log."""
    done = {tuple(row[key] for key in KEYS) for row in read_log()}
    data: dict[int, tuple[CrystalGraphs, Values, Any]] = {}
    for name in arguments.recipes:
        nbr = RECIPES.get(name, {}).get("max_num_nbr", 12)
        if nbr not in data:
            data[nbr] = read(arguments.data, arguments.table, nbr)
        graphs, y, groups = data[nbr]
        if arguments.task == "folds":
            parts = list(splits(y, groups, arguments.folds))[: arguments.seeds]
            work = [(0, seed, *part) for seed, part in enumerate(parts)]
        else:
            work = [
                (size, seed, *draw(len(y), size, seed))
                for size in arguments.sizes
                for seed in range(arguments.seeds)
            ]
        for size, seed, train, test in work:
            key = (arguments.task, arguments.data, name, size, seed)
            if key in done:
                continue
            for recipe, facts in fit(name, graphs, y, train, test, seed).items():
                row = dict(zip(KEYS, key, strict=True)) | {"recipe": recipe} | facts
                row["threads"] = torch.get_num_threads()
                row |= {"processor": machine()["processor"], "commit": commit()}
                with LOG.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)


def show() -> None:
    """Write the tables."""
    rows = list({tuple(row[key] for key in KEYS): row for row in read_log()}.values())
    threads = " or ".join(map(str, sorted({row["threads"] for row in rows})))
    processors = ", ".join(sorted({row["processor"] for row in rows}))
    text = [
        "# Accuracy of recipes",
        "Made by `benchmarks/accuracy.py`, whose first lines have the commands. Means over the "
        "fits of mean absolute errors, in eV a formula unit (perov5), eV a vacancy (vacancies) or "
        "eV/atom; spread is their standard deviation. Default parameters but for what the name of "
        f"a recipe says (`RECIPES` in the script). Fits on {threads} thread(s) of {processors}; "
        f"the times are rough, as other fits ran beside them. {commits(rows)}",
    ]
    titles = {
        "folds": "Cross-validation, {data}",
        "some": "Other settings, {data}, first fold alone (epochs follow the size of batches)",
        "few": "Few crystals, {data}",
    }
    groups = defaultdict(list)
    for row in rows:
        groups[row["task"], row["data"], row["size"], row["recipe"]].append(row)
    sections = defaultdict(list)
    for task, data, size, recipe in sorted(groups, key=order):
        found = groups[task, data, size, recipe]
        alone = task == "folds" and {row["seed"] for row in found} == {0}
        part = "some" if alone and recipe != "default" else task
        if part == "some" and not sections[part, data]:
            first = [row for row in groups[task, data, size, "default"] if row["seed"] == 0]
            sections[part, data].append(first)
        sections[part, data].append(found)
    for (part, data), fits in sections.items():
        head = ["recipe", "MAE", "spread", "R²", "training R² (least)", "parameters", "epochs"]
        head = [*(["crystals"] if part == "few" else []), *head, "fit (s)", "fits"]
        text += [f"## {titles[part].format(data=data)}", table(head, [line(f, part) for f in fits])]
    (RESULTS / "accuracy.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


def order(group: tuple[str, str, int, str]) -> tuple[int, int, int, int]:
    """Return where the fits of a recipe stand in the tables."""
    task, data, size, recipe = group
    recipes = [MEAN, TREES, *RECIPES]
    return TASKS.index(task), DATA.index(data), size, recipes.index(recipe)


def line(rows: list[dict[str, Any]], part: str) -> list[str]:
    """Return the cells of a table for the fits of a recipe."""
    maes = [row["mae"] for row in rows]
    return [
        *([str(rows[0]["size"])] if part == "few" else []),
        rows[0]["recipe"],
        f"{statistics.mean(maes):.4f}",
        f"{statistics.pstdev(maes):.4f}" if len(maes) > 1 else "",
        f"{statistics.mean(row['r2'] for row in rows):.3f}",
        f"{min(row['train_r2'] for row in rows):.3f}",
        str(rows[0].get("parameters", "")),
        str(rows[0].get("epochs", "")),
        f"{statistics.median(row['seconds'] for row in rows):.0f}",
        str(len(rows)),
    ]


def main() -> None:
    """Measure, then write the tables."""
    parser = argparse.ArgumentParser(description="Accuracy of recipes.")
    parser.add_argument("task", choices=[*TASKS, "show"])
    parser.add_argument("data", nargs="?", default="perov5", choices=DATA)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["paper", "default"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 60, 300, 1000])
    parser.add_argument(
        "--seeds", type=int, default=5, help="fits of each recipe; of the folds, the first ones"
    )
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.task != "show":
        measure(arguments)
    show()


if __name__ == "__main__":
    main()
