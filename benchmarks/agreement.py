"""Compare graphs made from CIFs by the fast reader with those made through pymatgen.

Usage: ``python benchmarks/agreement.py perov5_val.csv.gz carbon24_val.csv.gz FOLDER_OF_CIFS
[--weights FOLDER] [--mutants 2000]``. Every CIF of the tables and of the folder is read both ways:
species, neighbors' distances and, with a folder of official weight files, predictions must agree.
Then damaged CIFs are read: each must give a graph or a `StructureError`, and in time.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import keep, read_table, table, write_cifs
from pymatgen.core import Structure

import skcgcnn
from skcgcnn import CGCNNClassifier, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.exceptions import StructureError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from mutants import mutate


def largest_difference(fast: CrystalGraphs, slow: CrystalGraphs) -> tuple[float, int]:
    """Return the largest difference of distances, and how many crystals have other species."""
    others = 0
    for one, other in zip(fast, slow, strict=True):
        ours = one.kind_features[one.expand().site_kinds]
        theirs = other.kind_features[other.expand().site_kinds]
        others += not (ours.shape == theirs.shape and np.allclose(ours, theirs, atol=1e-6))
    return float(np.abs(fast.expand().distances - slow.expand().distances).max()), others


def compare(paths: list[Path], weights: list[Path]) -> list[list[Any]]:
    """Return a row for each order of ties."""
    structures = [Structure.from_file(path) for path in paths]
    rows = []
    for ties in ("invariant", "official"):
        transform = CrystalGraphTransformer(neighbor_ties=ties).transform
        fast, slow = transform(paths), transform(structures)
        difference, others = largest_difference(fast, slow)
        predictions = 0.0
        # Official models refuse graphs that are known to have another order of ties.
        fast, slow = replace(fast, options=None), replace(slow, options=None)
        for file in weights:
            est = skcgcnn.load(file)
            predict = est.predict_proba if isinstance(est, CGCNNClassifier) else est.predict
            predictions = max(predictions, float(np.abs(predict(fast) - predict(slow)).max()))
        rows.append([len(paths), ties, others, f"{difference:.1e}", f"{predictions:.1e}"])
    return rows


def try_mutants(texts: list[str], count: int, folder: Path) -> tuple[Counter, float]:
    """Return how many mutants ended how, and the longest time one took, in seconds."""
    outcomes: Counter = Counter()
    longest = 0.0
    path = folder / "mutant.cif"
    for seed in range(count):
        path.write_text(mutate(texts[seed % len(texts)], seed), encoding="utf-8", newline="")
        start = time.perf_counter()
        try:
            CrystalGraphTransformer().transform([path])
            outcomes["a graph"] += 1
        except StructureError:
            outcomes["a StructureError"] += 1
        except Exception as error:  # noqa: BLE001 - what must not happen is counted
            outcomes[f"{type(error).__name__} (seed {seed})"] += 1
        longest = max(longest, time.perf_counter() - start)
    return outcomes, longest


def main() -> None:
    """Print and keep the tables."""
    parser = argparse.ArgumentParser(description="The fast reader against pymatgen.")
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--mutants", type=int, default=2000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    weights = sorted(arguments.weights.glob("*.pth.tar")) if arguments.weights else []
    if arguments.weights and not weights:
        parser.error(f"--weights {arguments.weights}: holds no .pth.tar")
    rows, texts = [], []
    for source in arguments.tables:
        with TemporaryDirectory() as name:
            paths = sorted(source.glob("*.cif")) if source.is_dir() else []
            paths = paths or write_cifs(read_table(source), Path(name))
            rows += [[source.name, *row] for row in compare(paths, weights)]
            texts += [path.read_text() for path in paths[:40]]
    header = ["CIFs of", "count", "ties", "other species", "distances (Å)", "predictions"]
    with TemporaryDirectory() as name:
        outcomes, longest = try_mutants(texts, arguments.mutants, Path(name))
    mutants = table(["damaged CIFs end in", "count"], outcomes.most_common())
    keep(
        "agreement",
        "The fast reader against pymatgen",
        [
            table(header, rows),
            f"Largest differences, over {len(weights)} official models.",
            mutants,
            f"The slowest took {longest:.1f} s.",
        ],
        {"agreement": [dict(zip(header, row, strict=True)) for row in rows], "mutants": outcomes},
    )


if __name__ == "__main__":
    main()
