"""Measure time and memory of making graphs against the number of crystals.

Usage: ``python benchmarks/scale.py perov5_val.csv.gz [--counts 1000 10000 100000 1000000]``. The
crystals are the table's, their atoms moved at random by 0.05 Å, as often as it takes. Up to 10,000
of them are written to CIFs and read by the transformer; all are packed from memory, a chunk at a
time, and joined. Every count runs in a process of its own, whose peak memory is taken.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import RESULTS, keep, read_table, table
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.crystals import Crystal, parse_cif
from skcgcnn.graphs import GraphMaker, build_graphs, concatenate, load_element_features

CHUNK = 500
JITTER = 0.05
MOST_FILES = 10_000


def jittered(texts: list[str], count: int) -> Iterator[Crystal]:
    """Yield crystals, their atoms moved."""
    rng = np.random.default_rng(0)
    crystals = [parse_cif(text) for text in texts]
    for i in range(count):
        crystal = crystals[i % len(crystals)]
        moved = crystal.coords + rng.normal(0, JITTER, crystal.coords.shape)
        yield Crystal(crystal.lattice, moved, crystal.species)


def from_memory(crystals: Iterator[Crystal], count: int) -> CrystalGraphs:
    """Pack crystals chunk by chunk, as the transformer does."""
    options = GraphMaker(load_element_features())
    parts = []
    for first in range(0, count, CHUNK):
        chunk = [crystal for _, crystal in zip(range(CHUNK), crystals, strict=False)]
        graphs, failures = build_graphs(chunk, options)
        if failures:
            raise RuntimeError(failures)
        ids = np.arange(first, first + len(chunk)).astype(np.str_)
        parts.append(replace(graphs, ids=ids))
    return concatenate(parts)


def write(crystals: Iterator[Crystal], folder: Path) -> list[Path]:
    """Write one CIF a crystal."""
    paths = []
    for i, crystal in enumerate(crystals):
        species = [{f"{_symbol(z)}": share for z, share in site} for site in crystal.species]
        structure = Structure(
            Lattice(crystal.lattice), species, crystal.coords, coords_are_cartesian=True
        )
        paths.append(folder / f"{i}.cif")
        paths[-1].write_text(structure.to(fmt="cif"))
    return paths


def _symbol(z: int) -> str:
    from pymatgen.core import Element

    return str(Element.from_Z(z).symbol)


def measure_one(texts: list[str], count: int, *, files: bool) -> dict[str, float]:
    """Return seconds, sites, and megabytes at the peak and in the end."""
    crystals = jittered(texts, count)
    with TemporaryDirectory() as folder:
        paths = write(crystals, Path(folder)) if files else []
        start = time.perf_counter()
        graphs = (
            CrystalGraphTransformer().transform(paths) if files else from_memory(crystals, count)
        )
        elapsed = time.perf_counter() - start
    arrays = sum(array.nbytes for array in graphs.to_dict().values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    n_sites = len(graphs.site_classes)
    return {
        "crystals": count,
        "sites": n_sites,
        "seconds": elapsed,
        "peak_mb": peak / 1e6,
        "bytes_a_site": arrays / n_sites,
    }


def draw(results: dict[str, list[dict[str, float]]]) -> None:
    """Draw time and peak memory against count, log-log."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axis, key, label in zip(
        axes, ("seconds", "peak_mb"), ("time (s)", "peak memory (MB)"), strict=True
    ):
        for name, rows in results.items():
            axis.loglog(
                [row["crystals"] for row in rows], [row[key] for row in rows], "o-", label=name
            )
        axis.set(xlabel="crystals", ylabel=label)
        axis.legend(frameon=False)
    figure.savefig(RESULTS / "scale.png", dpi=120)


def main() -> None:
    """Measure every count in a process of its own; print and keep a table and a figure."""
    parser = argparse.ArgumentParser(description="Time and memory against the number of crystals.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--one", choices=["files", "memory"], help="measure here and print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        texts = [row["cif"] for row in read_table(arguments.table)]
        found = measure_one(texts, arguments.counts[0], files=arguments.one == "files")
        print(json.dumps(found))
        return
    results: dict[str, list[dict[str, float]]] = {"files": [], "memory": []}
    for source, rows in results.items():
        for count in arguments.counts:
            if source == "files" and count > MOST_FILES:
                continue
            command = [sys.executable, __file__, str(arguments.table), "--counts", str(count)]
            done = subprocess.run(
                [*command, "--one", source], check=True, capture_output=True, text=True
            )
            rows.append(json.loads(done.stdout))
            print(source, rows[-1], flush=True)
    header = ["from", "crystals", "sites", "s", "µs a crystal", "peak (MB)", "bytes a site"]
    lines = [
        [
            source,
            f"{row['crystals']:,}",
            f"{row['sites']:,}",
            f"{row['seconds']:.2f}",
            f"{row['seconds'] / row['crystals'] * 1e6:.0f}",
            f"{row['peak_mb']:.0f}",
            f"{row['bytes_a_site']:.0f}",
        ]
        for source, rows in results.items()
        for row in rows
    ]
    draw(results)
    note = "`files`: CIFs read by the transformer. `memory`: crystals packed and joined."
    keep("scale", "Graphs by the thousand", [table(header, lines), note], results)


if __name__ == "__main__":
    main()
