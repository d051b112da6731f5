"""Measure how many crystals a second become graphs, against the original procedure.

Usage: ``python benchmarks/featurize.py perov5_val.csv.gz FOLDER_OF_CIFS [--repeats 5]``. The
original procedure reads a file with pymatgen's ``Structure.from_file``, takes
``get_all_neighbors(8)``, sorts in Python, keeps the 12 nearest and expands their distances in 41
Gaussians, crystal by crystal. With the package ``cgcnn2`` installed (extra ``bench``), its dataset
is timed as well. All take turns within one run; ratios are medians over the rounds.
"""

import argparse
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import alternate, keep, median_ratio, read_table, table, write_cifs
from pymatgen.core import Structure
from reference import load_reference, write_folder

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.graphs import forget_files, load_element_features

CENTERS = np.arange(0, 8.2, 0.2)
MANY = 20_000


def original(paths: Sequence[Path]) -> list[Any]:
    """Return what the original procedure makes of the files."""
    graphs = []
    features = load_element_features()
    for path in paths:
        crystal = Structure.from_file(path)
        atoms = np.vstack([features.mean([(site.specie.Z, 1.0)]) for site in crystal])
        found = crystal.get_all_neighbors(8.0, include_index=True)
        nearest = [sorted(neighbors, key=lambda n: n[1])[:12] for neighbors in found]
        indices = np.array([[neighbor[2] for neighbor in row] for row in nearest])
        distances = np.array([[neighbor[1] for neighbor in row] for row in nearest])
        bonds = np.exp(-((distances[..., np.newaxis] - CENTERS) ** 2) / 0.2**2)
        graphs.append((atoms, indices, bonds))
    return graphs


def cgcnn2_dataset(folder: Path, paths: Sequence[Path]) -> Any:
    """Return the dataset of the package ``cgcnn2`` over the files, or None without it."""
    try:
        reference = load_reference()
    except ImportError:
        return None
    write_folder(folder, [path.stem for path in paths], [0.0] * len(paths))
    return reference.dataset(str(folder), cache_size=0)


def ours(paths: Sequence[Path], n_jobs: int | None = None) -> CrystalGraphs:
    """Return the graphs of files, read anew."""
    forget_files()
    return CrystalGraphTransformer(n_jobs=n_jobs).transform(paths)


def compare(paths: Sequence[Path], repeats: int) -> dict[str, list[float]]:
    """Return the times of the procedures over the same files."""
    works = {"original": lambda: original(paths), "skcgcnn": lambda: ours(paths)}
    dataset = cgcnn2_dataset(paths[0].parent, paths)
    if dataset is not None:
        works["cgcnn2"] = lambda: [dataset[i] for i in range(len(dataset))]
    return alternate(works, repeats)


def describe(what: str, times: dict[str, list[float]], n: int) -> list[list[Any]]:
    """Return the rows of the table."""
    rows = []
    for name, found in times.items():
        ratio = median_ratio(found, times["skcgcnn"])
        rate = n / statistics.median(found)
        rows.append([what, name, f"{1000 / rate:.3f}", f"{rate:.0f}", f"{ratio:.1f}"])
    return rows


def main() -> None:
    """Print and keep the tables."""
    parser = argparse.ArgumentParser(description="Crystals a second, from file to graph.")
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--crystals", type=int, default=300)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_cifs(read_table(arguments.table), folder)
        perovskites = compare(paths[: arguments.crystals], arguments.repeats)
        symmetric = folder / "symmetric"
        symmetric.mkdir()
        sources = sorted(arguments.folder.glob("*.cif"))
        copies = [symmetric / source.name for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            copy.write_bytes(source.read_bytes())
        symmetric_times = compare(copies, arguments.repeats)
        (folder / "many").mkdir()
        many = [folder / "many" / f"{i}.cif" for i in range(MANY)]
        for i, link in enumerate(many):
            link.symlink_to(paths[i % len(paths)])
        jobs = alternate(
            {f"n_jobs={n}": lambda n=n: ours(many, n) for n in (1, 2)}, arguments.repeats
        )
    rows = describe("perovskites", perovskites, arguments.crystals)
    rows += describe(f"{len(copies)} symmetric files", symmetric_times, len(copies))
    one, two = jobs["n_jobs=1"], jobs["n_jobs=2"]
    job_rows = [
        [name, f"{statistics.median(found):.2f}", f"{median_ratio(one, found):.2f}"]
        for name, found in jobs.items()
    ]
    keep(
        "featurize",
        "From file to graph",
        [
            table(["files", "by", "ms a crystal", "crystals/s", "time against skcgcnn"], rows),
            table([f"{MANY} crystals", "s", "faster than one process"], job_rows),
            f"Medians of {arguments.repeats} alternating rounds; the pool of workers is warm.",
        ],
        {
            "perovskites": perovskites,
            "symmetric": symmetric_times,
            "jobs": jobs,
            "ratio_perovskites": median_ratio(perovskites["original"], perovskites["skcgcnn"]),
            "ratio_symmetric": median_ratio(
                symmetric_times["original"], symmetric_times["skcgcnn"]
            ),
            "ratio_jobs": median_ratio(one, two),
        },
    )


if __name__ == "__main__":
    main()
