"""Train the models that come with the package, and write their cards.

Usage: ``python tools/train_models.py perov5-heat-gap --table perov5_val.csv.gz`` and ``python
tools/train_models.py li-vacancy``. A tenth of the crystals (of the groups) is held back, and the
errors on it stand in the card; the model is the one that was measured. Default parameters, one
network each.
"""

import argparse
import csv
import gzip
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer, __version__
from skcgcnn.datasets import load_li_vacancy

FOLDER = Path(__file__).parents[1] / "skcgcnn" / "modelfiles" / "models"
TEXTS = {
    "perov5-heat-gap": {
        "what": "Heat of formation (eV per formula unit of five atoms) of cubic perovskites ABX3, "
        "and whether they have a band gap (1) or not (0).",
        "data": "3,787 cubic perovskites computed by density functional theory (I. E. Castelli et "
        "al., Energy Environ. Sci. 5, 5814 and 9034 (2012)); 143 have a gap. They are the "
        "validation set of perov_5 (T. Xie et al., CDVAE, ICLR 2022).",
        "limits": "Cubic perovskites of five atoms only: for other structures the numbers mean "
        "nothing. Gaps are rare in the data, so the probability of one is rough, and its energy "
        "is not predicted. Elements that were not there give a warning.",
    },
    "li-vacancy": {
        "what": "Formation energy of a Li vacancy (eV) in layered oxides LiMO2, and the kind of "
        "defect: a divacancy (1) or isolated vacancies (0).",
        "data": "The dataset of this package (`load_li_vacancy`): 812 supercells of LiCoO2, "
        "LiNiO2, NCM111, NCM811 and NCA with two or three Li missing; energies by the CHGNet "
        "0.3.0 potential, not by density functional theory.",
        "limits": "Vacancies in layered oxides of Li with Ni, Co, Mn and Al, at concentrations as "
        "in the data. The energies have the errors of the potential besides those of the network.",
    },
}


def perovskites(path: Path) -> tuple[list[str], Any, Any, list[str], list[str]]:
    """Return crystals, targets, groups, names and units."""
    csv.field_size_limit(10**9)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    heat = [float(row["heat_ref"]) for row in rows]
    has_gap = [int(float(row["ind_gap"]) > 0) for row in rows]
    names, units = ["heat_of_formation", "has_gap"], ["eV/formula unit", ""]
    return [row["cif"] for row in rows], np.column_stack([heat, has_gap]), None, names, units


def vacancies() -> tuple[list[str], Any, Any, list[str], list[str]]:
    """Return crystals, targets, groups, names and units."""
    data = load_li_vacancy()
    return data.data, data.target, data.groups, list(data.target_names), ["eV", ""]


def card(name: str, facts: dict[str, Any]) -> str:
    """Return the model card."""
    text = TEXTS[name]
    return f"""# {name}

{text["what"]}

    CGCNNMultiTask.from_pretrained("{name}").predict(cifs)

- **Data.** {text["data"]}
- **Recipe.** `CGCNNMultiTask()` with default parameters: {facts["epochs"]} epochs of batches of
  {facts["batch_size"]} crystals, {facts["parameters"]:,} parameters, one network.
  {facts["n_train"]:,} crystals to train on; {facts["seconds"]:.0f} s on {facts["threads"]}.
  `{facts["command"]}`, skcgcnn {__version__}, torch {torch.__version__.partition("+")[0]}.
- **Errors** on {facts["n_test"]:,} crystals that were held back{facts["how"]}: mean absolute
  error {facts["mae"]:.3f} eV, R² {facts["r2"]:.3f}; of the classes
  {facts["accuracy"]:.1%} right, ROC AUC {facts["auc"]:.3f}.
- **Limits.** {text["limits"]}
- **License.** MIT, as the package.
"""


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the models of the package.")
    parser.add_argument("name", choices=list(TEXTS))
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    is_vacancy = arguments.name == "li-vacancy"
    if arguments.table is None and not is_vacancy:
        parser.error(f"{arguments.name} needs --table")
    crystals, Y, groups, names, units = vacancies() if is_vacancy else perovskites(arguments.table)
    graphs = CrystalGraphTransformer(n_jobs=2).fit_transform(crystals)
    splitter = GroupShuffleSplit if is_vacancy else ShuffleSplit
    train, test = next(splitter(1, test_size=0.1, random_state=0).split(crystals, Y, groups))
    start = time.perf_counter()
    est = CGCNNMultiTask(random_state=0).fit(graphs[train], Y[train])
    seconds = time.perf_counter() - start
    values = est.predict(graphs[test])[:, 0].astype(float)
    proba = est.predict_proba(graphs[test])[:, 1]
    metrics = {
        "mae": mean_absolute_error(Y[test, 0], values),
        "r2": r2_score(Y[test, 0], values),
        "accuracy": accuracy_score(Y[test, 1], proba > 0.5),
        "auc": roc_auc_score(Y[test, 1], proba),
    }
    labels = {
        "mae": "test MAE",
        "r2": "test R2",
        "accuracy": "test accuracy",
        "auc": "test ROC AUC",
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{arguments.name}.safetensors"
    est.save(
        path,
        targets=names,
        units=units,
        metrics={labels[key]: value for key, value in metrics.items()},
    )
    n_threads = torch.get_num_threads()
    facts = {
        "epochs": est.n_iter_,
        "batch_size": est.fitted_params_["batch_size"],
        "parameters": sum(p.numel() for p in est.module_.parameters()),
        "n_train": len(train),
        "n_test": len(test),
        "seconds": seconds,
        "threads": "one thread" if n_threads == 1 else f"{n_threads} threads",
        "command": f"python tools/train_models.py {' '.join(sys.argv[1:])}",
        "how": ", with all of their group" if is_vacancy else "",
    }
    if arguments.table is not None:
        facts["command"] = (
            f"python tools/train_models.py {arguments.name} --table {arguments.table.name}"
        )
    path.with_suffix(".md").write_text(card(arguments.name, {**facts, **metrics}), encoding="utf-8")
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
