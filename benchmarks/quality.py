"""What `check` finds of planted faults, its time for a million crystals, and what `suggest` saves.

The parts: ``faults`` plants 50 duplicates, 20 labels in other units, 10 swapped labels and 5 broken
crystals among 1,000 perovskites. ``million`` makes a store by scaling the cells of real crystals, a
tenth of them twice, and looks for these. ``suggest`` labels perovskites in the order that
`skcgcnn.quality.suggest` asks for, and at random.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import keep, read_table, table
from pymatgen.core import Lattice, Structure

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.graphs import CrystalGraphs, concatenate, merge_files
from skcgcnn.quality import check, suggest, survey

UNITS = (96.485, 1000.0, 5.0, 1 / 27.2114)
Rows = tuple[list[str], list[list[Any]]]
WAYS = ("supercell", "axes", "order", "rounded")


def written_again(structure: Structure, way: str, rng: np.random.Generator) -> Structure:
    """Return another description of a crystal."""
    again = structure.copy()
    if way == "supercell":
        again.make_supercell([(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 1)][rng.integers(4)])
    elif way == "axes":
        again.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    elif way == "order":
        again = Structure.from_sites([again[int(i)] for i in rng.permutation(len(again))])
        again.translate_sites(range(len(again)), rng.uniform(0, 1, 3))
    else:
        again.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
        lattice = Lattice.from_parameters(*np.round(again.lattice.parameters, 4))
        again = Structure(lattice, again.species, np.round(again.frac_coords, 4))
    return again


def broken(structure: Structure, kind: int) -> Any:
    """Return a crystal that cannot be, or cannot be read."""
    crystal = structure.copy()
    if kind == 0:
        return crystal.to(fmt="cif")[:300]
    if kind == 1:
        crystal.append(crystal[0].specie, crystal[0].frac_coords + 0.02)
    elif kind == 2:
        crystal.scale_lattice(crystal.volume / 4)
    elif kind == 3:
        crystal.scale_lattice(crystal.volume * 8)
    else:
        return "missing.cif"
    return crystal


def plant(
    rows: list[dict[str, str]], *, n_crystals: int = 1000, n_twice: int = 50, seed: int = 0
) -> tuple[list[Any], Any, list[str], dict[str, Any]]:
    """Return crystals, targets, names, and the names of what was planted."""
    rng = np.random.default_rng(seed)
    rows = rows[: n_crystals - n_twice]
    crystals = [Structure.from_str(row["cif"], fmt="cif") for row in rows]
    y = np.array([float(row["heat_ref"]) for row in rows])
    ids = [f"p{row['material_id']}" for row in rows]
    chosen = rng.permutation(len(rows))[: n_twice + 35]
    twice, units, swapped, wrong = np.split(chosen, [n_twice, n_twice + 20, n_twice + 30])
    X, given = list(crystals), y.copy()
    given[units] *= np.array(UNITS)[np.arange(20) % 4]
    given[swapped] = given[swapped.reshape(-1, 2)[:, ::-1].ravel()]
    for kind, row in enumerate(wrong):
        X[row] = broken(crystals[row], kind)
    for place, row in enumerate(twice):
        X.append(written_again(crystals[row], WAYS[place % 4], rng))
        ids.append(f"{ids[row]}_again")
    named = {
        "twice": {frozenset((ids[row], f"{ids[row]}_again")) for row in twice},
        "units": {ids[row] for row in units},
        "swapped": {ids[row] for row in swapped},
        "broken": {ids[row] for row in wrong},
    }
    return X, np.concatenate([given, given[twice]]), ids, named


def count(frame: Any, named: dict[str, Any]) -> dict[str, int]:
    """Return how many of the planted faults a check found, and its false alarms."""
    frame = frame[frame["severity"] != "remark"]
    label = frame["kind"].isin(["unexpected label", "label in another unit"])
    pairs = {frozenset(i) for i in frame["ids"][frame["kind"].str.contains("same|near")]}
    labels = {i for ids in frame["ids"][label] for i in ids}
    others = ~label & ~frame["kind"].str.contains("same|near")
    crystals = {i for ids in frame["ids"][others] for i in ids}
    planted = named["units"] | named["swapped"] | named["broken"]
    planted |= {f"{name}_again" for name in planted}
    alarms = ((labels | crystals) - planted) | {min(p) for p in pairs - named["twice"]}
    return {
        "twice": len(pairs & named["twice"]),
        "units": len(labels & named["units"]),
        "swapped": len(labels & named["swapped"]),
        "broken": len(crystals & named["broken"]),
        "false alarms": len({name.removesuffix("_again") for name in alarms}),
    }


def run_faults(args: argparse.Namespace) -> Rows:
    """Count what `check` finds."""
    rows = read_table(args.data / "perov5_val.csv.gz")
    found = []
    for seed in args.seeds:
        X, y, ids, named = plant(rows, seed=seed)
        start = time.perf_counter()
        frame = check(X, y, ids=ids)
        counts = count(frame, named)
        found.append([seed, *counts.values(), round(time.perf_counter() - start)])
        print(dict(zip(["seed", *counts, "seconds"], found[-1], strict=True)), flush=True)
    head = ["seed", "twice (50)", "units (20)", "swapped (10)", "broken (5)", "false alarms"]
    return [*head, "seconds"], found


def make_store(data: Path, n_crystals: int, folder: Path) -> int:
    """Make graphs of a number of different crystals, a tenth of them twice."""
    names = ("perov5_val", "carbon24_val")
    rows = [row for name in names for row in read_table(data / f"{name}.csv.gz")]
    base = CrystalGraphTransformer().fit_transform([row["cif"] for row in rows])
    rng, parts = np.random.default_rng(0), []
    n_copies = -(-n_crystals * 10 // 11 // len(base))
    for copy in range(n_copies):
        scaled = replace(base, distances=base.distances * np.float32(1 + 0.002 * copy))
        again = scaled[rng.permutation(len(base))[: len(base) // 10]]
        concatenate([scaled, again]).save(folder / f"part{copy}")
        parts.append(folder / f"part{copy}")
    merge_files(parts, folder / "all")
    return n_copies * len(base)


def run_million(args: argparse.Namespace) -> Rows:
    """Measure the time and memory of a check of a large store."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        folder = Path(name)
        n_different = make_store(args.data, args.crystals, folder)
        code = [sys.executable, __file__, "look", "--data", str(folder / "all")]
        out = subprocess.run(code, check=True, capture_output=True, text=True).stdout
    n, found, seconds, memory = map(float, out.split())
    row = [int(n), n_different, int(found), round(seconds, 1), round(memory / 1e3, 2)]
    return ["crystals", "different", "found to be", "seconds", "most memory (GB)"], [row]


def run_look(args: argparse.Namespace) -> None:
    """Print how many crystals of a store are different, the seconds, and the memory in MB."""
    graphs = CrystalGraphs.load(args.data, mmap=True)
    start = time.perf_counter()
    found = len(np.unique(survey(graphs, labels=False).groups))
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(len(graphs), found, seconds, memory)


def fitted(args: argparse.Namespace, graphs: CrystalGraphs, y: Any, seed: int) -> CGCNNRegressor:
    """Return a fitted ensemble."""
    est = CGCNNRegressor(n_estimators=2, max_epochs=args.epochs, batch_size=16, random_state=seed)
    return est.fit(graphs, y)


def run_suggest(args: argparse.Namespace) -> Rows:
    """Label perovskites in the order of `suggest` and at random."""
    rows = read_table(args.data / "perov5_val.csv.gz")[: args.pool + 500]
    graphs = CrystalGraphTransformer().fit_transform([row["cif"] for row in rows])
    y = np.array([float(row["heat_ref"]) for row in rows])
    found = []
    for seed in args.seeds:
        order = np.random.default_rng(seed).permutation(len(y))
        pool, test = order[: args.pool], order[args.pool :]
        first = fitted(args, graphs[pool[: args.step]], y[pool[: args.step]], seed)
        for how in ("suggest", "random"):
            est, taken = first, pool[: args.step]
            while True:
                error = float(np.abs(est.predict(graphs[test]) - y[test]).mean())
                found.append([seed, how, len(taken), round(error, 4)])
                print(*found[-1], flush=True)
                if len(taken) >= args.most:
                    break
                left = pool[~np.isin(pool, taken)]
                if how == "suggest":
                    more = left[suggest(est, graphs[left], args.step, known=graphs[taken])]
                else:
                    more = left[: args.step]
                taken = np.concatenate([taken, more])
                est = fitted(args, graphs[taken], y[taken], seed)
    return ["seed", "order", "labels", "mean absolute error (eV/atom)"], found


PARTS = {"faults": run_faults, "million": run_million, "suggest": run_suggest}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "look"])
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables, or a store")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--crystals", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, help="where the store is made")
    parser.add_argument("--pool", type=int, default=1000)
    parser.add_argument("--step", type=int, default=50)
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.part == "look":
        run_look(arguments)
    else:
        header, lines = PARTS[arguments.part](arguments)
        title = {
            "faults": "Planted faults that `check` finds",
            "million": "A check of a large store",
            "suggest": "Errors with labels that `suggest` asks for, and with random ones",
        }[arguments.part]
        numbers = {"header": header, "rows": lines}
        keep(f"quality_{arguments.part}", title, [table(header, lines)], numbers)
