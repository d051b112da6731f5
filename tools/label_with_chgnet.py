"""Label crystals with the potential CHGNet: energies, features and magnetic moments.

Usage: ``python tools/label_with_chgnet.py crystals.npz labels [--n 100000] [--n-jobs 1]``, with the
file of ``make_pretraining_crystals.py``. Every 1,000 crystals become a file of the folder
``labels``; those that are there are not computed again, so that it may be stopped and started.
Needs ``pip install skcgcnn[potentials]``.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from skcgcnn.crystals import Crystal
from skcgcnn.exceptions import StructureError
from skcgcnn.features import CHGNetPotential

PER_FILE = 1000


def read_crystals(data: dict[str, np.ndarray], rows: range) -> list[Crystal]:
    """Return some crystals of a file."""
    found = []
    for row in rows:
        sites = slice(data["offsets"][row], data["offsets"][row + 1])
        lattice = data["lattices"][row].astype(np.float64)
        species = [((int(number), 1.0),) for number in data["numbers"][sites]]
        found.append(Crystal(lattice, data["coords"][sites].astype(np.float64) @ lattice, species))
    return found


def label(crystals: list[Crystal], path: Path) -> None:
    """Write the labels of some crystals; NaN where the potential has none."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    potential = CHGNetPotential()
    n_sites = np.array([len(crystal.species) for crystal in crystals])
    energies = np.full(len(crystals), np.nan, dtype=np.float32)
    features = np.full((len(crystals), potential.n_features), np.nan, dtype=np.float16)
    by_site = np.full((2, n_sites.sum()), np.nan, dtype=np.float32)
    start = 0
    for row, (output, n) in enumerate(zip(potential.compute(crystals), n_sites, strict=True)):
        if not isinstance(output, StructureError):
            energies[row], features[row] = output.energy, output.features
            by_site[:, start : start + n] = output.site_energies, output.moments
        start += n
    # What is there is complete, whenever it is stopped.
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez(
        unfinished,
        energies=energies,
        features=features,
        site_energies=by_site[0],
        moments=by_site[1].astype(np.float16),
    )
    unfinished.replace(path)


def main() -> None:
    """Label what is not labeled."""
    parser = argparse.ArgumentParser(description="Label crystals with CHGNet.")
    parser.add_argument("crystals", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, help="so many of the crystals, by default all")
    parser.add_argument("--n-jobs", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True, parents=True)
    data = dict(np.load(arguments.crystals))
    n = len(data["lattices"]) if arguments.n is None else arguments.n
    start = time.perf_counter()
    todo = []
    for first in range(0, n, PER_FILE):
        path = arguments.folder / f"{first:07d}.npz"
        if not path.exists():
            todo.append((range(first, min(first + PER_FILE, n)), path))
    tasks = (delayed(label)(read_crystals(data, rows), path) for rows, path in todo)
    files = Parallel(n_jobs=arguments.n_jobs, return_as="generator_unordered")(tasks)
    for done, _ in enumerate(files, 1):
        seconds = time.perf_counter() - start
        print(f"{done} of {len(todo)} files, {seconds / done:.1f} s each", flush=True)


if __name__ == "__main__":
    main()
