"""What ``skcgcnn tune`` gains over the usual parameters, by the time that it has.

Usage: ``python benchmarks/tune.py [--perovskites perov5_val.csv.gz] [--minutes 10 60]``. Three data
sets: 300 perovskites, half of the textbook crystals and half of the supercells with vacancies. All
others test what the search found: they are no part of it. Each search goes on from the one of fewer
minutes. Prints a table in Markdown; what the output holds is not computed again.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measure import machine
from pretrained import Crystals, read_data

from skcgcnn import CGCNNRegressor
from skcgcnn.training import Settings, tune

NUMBERS = {"perovskites": 300, "textbook": 127, "vacancies": 60}


def folder_of(crystals: Crystals, rows: np.ndarray, folder: Path) -> Path:
    """Write crystals as a folder of CGCNN's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        source = str(crystals.sources[row])
        text = source if "_cell_" in source else Path(source).read_text(encoding="utf-8")
        (folder / f"c{row}.cif").write_text(text, encoding="utf-8")
    table = pd.DataFrame({"cif_id": [f"c{row}" for row in rows], "y": crystals.y[rows]})
    table.to_csv(folder / "id_prop.csv", index=False)
    if crystals.groups is not None:
        groups = pd.DataFrame({"cif_id": table["cif_id"], "group": crystals.groups[rows]})
        groups.to_csv(folder / "groups.csv", index=False)
    return folder


def error(crystals: Crystals, train: Any, test: Any, params: dict[str, Any]) -> float:
    """Return the mean absolute error of a network."""
    est = CGCNNRegressor(random_state=0, **params)
    said = est.fit(crystals.graphs[train], crystals.y[train]).predict(crystals.graphs[test])
    return float(np.abs(said - crystals.y[test]).mean())


def with_none(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters of the command as Python has them."""
    return {name: None if value == "none" else value for name, value in params.items()}


def measure(data: dict[str, Crystals], minutes: list[int], output: Path, work: Path) -> None:
    """Search, and test what was found."""
    rows = json.loads(output.read_text(encoding="utf-8")) if output.exists() else []
    done = {(row["data"], row["minutes"]) for row in rows}
    for name, crystals in data.items():
        if name not in NUMBERS:
            continue
        train, test = crystals.split(NUMBERS[name], 0)
        folder = folder_of(crystals, train, work / name)
        usual = None
        for before, now in zip([0, *minutes], minutes, strict=False):
            if (name, now) in done:
                continue
            settings = Settings(str(folder), train_ratio=0.9, val_ratio=0.1, test_ratio=0.0)
            found = tune(
                settings,
                work / f"{name}_run",
                seconds=60 * (now - before),
                resume=before > 0,
                overwrite=before == 0,
                device="cpu",
                progress=False,
            )
            usual = usual or {
                "usual": error(crystals, train, test, {}),
                "scratch": error(crystals, train, test, {"init_from": None}),
            }
            row = {
                "data": name,
                "n": len(train),
                "n_test": len(test),
                "minutes": now,
                **usual,
                "tuned": error(crystals, train, test, with_none(found["params"])),
                "params": found["params"],
                "n_trials": found["n_trials"],
                "cross_validation": found["cross_validation"],
            }
            rows.append(row)
            output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
            print(row, flush=True)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description="Measure what a search of parameters gains.")
    parser.add_argument("--perovskites", type=Path)
    parser.add_argument("--minutes", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--work", type=Path, help="a folder to go on in")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "tune.json"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        measure(
            read_data(arguments.perovskites, None, None), arguments.minutes, arguments.output, work
        )
    rows = json.loads(arguments.output.read_text(encoding="utf-8"))
    print("| crystals | minutes | trials | usual | from scratch | tuned | parameters |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        params = ", ".join(f"`{name}={value}`" for name, value in row["params"].items())
        errors = " | ".join(f"{row[key]:.4f}" for key in ("usual", "scratch", "tuned"))
        print(
            f"| {row['n']} {row['data']} | {row['minutes']} | {row['n_trials']} | {errors} | "
            f"{params or 'as usual'} |"
        )
    print(machine())


if __name__ == "__main__":
    main()
