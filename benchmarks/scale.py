"""Measure time and memory of making graphs against the number of crystals.

Usage: ``python benchmarks/scale.py perov5_val.csv.gz [--counts 1000 10000 100000 1000000]``. The
crystals are the table's, their atoms moved at random by 0.05 Å, as often as it takes. Up to 10,000
of them are written to CIFs and read by the transformer; all are packed from memory, a chunk at a
time, and joined. One large cell has as many sites as there are crystals otherwise. Every count runs
in a process of its own, whose peak memory is taken.
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
SOURCES = ["files", "memory", "one cell"]


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


def one_cell(text: str, n_sites: int) -> Crystal:
    """Return a supercell of about so many sites, its atoms moved."""
    crystal = parse_cif(text)
    edge = max(1, round((n_sites / len(crystal.species)) ** (1 / 3)))
    steps = np.stack(np.meshgrid(*3 * [np.arange(edge)], indexing="ij"), axis=-1).reshape(-1, 1, 3)
    coords = (crystal.coords + steps @ crystal.lattice).reshape(-1, 3)
    moved = coords + np.random.default_rng(0).normal(0, JITTER, coords.shape)
    return Crystal(crystal.lattice * edge, moved, tuple(crystal.species) * edge**3)


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


def measure_one(texts: list[str], count: int, source: str) -> dict[str, float]:
    """Return seconds, sites, and megabytes at the peak and in the end."""
    with TemporaryDirectory() as folder:
        paths = write(jittered(texts, count), Path(folder)) if source == "files" else []
        cell = one_cell(texts[0], count) if source == "one cell" else None
        start = time.perf_counter()
        if source == "files":
            graphs = CrystalGraphTransformer().transform(paths)
        elif cell is not None:
            graphs, _ = build_graphs([cell], GraphMaker(load_element_features()))
        else:
            graphs = from_memory(jittered(texts, count), count)
        elapsed = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    n_sites = len(graphs.site_classes)
    return {
        "crystals": len(graphs),
        "sites": n_sites,
        "seconds": elapsed,
        "peak_mb": peak / 1e6,
        "bytes_a_site": graphs.nbytes / n_sites,
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
                [row["sites"] for row in rows], [row[key] for row in rows], "o-", label=name
            )
        axis.set(xlabel="sites", ylabel=label)
        axis.legend(frameon=False)
    figure.savefig(RESULTS / "scale.png", dpi=120)


def main() -> None:
    """Measure every count in a process of its own; print and keep a table and a figure."""
    parser = argparse.ArgumentParser(description="Time and memory against the number of crystals.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--one", choices=SOURCES, help="measure here and print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        texts = [row["cif"] for row in read_table(arguments.table)]
        found = measure_one(texts, arguments.counts[0], arguments.one)
        print(json.dumps(found))
        return
    results: dict[str, list[dict[str, float]]] = {source: [] for source in SOURCES}
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
    header = ["from", "crystals", "sites", "s", "µs a site", "peak (MB)", "bytes a site"]
    lines = [
        [
            source,
            f"{row['crystals']:,}",
            f"{row['sites']:,}",
            f"{row['seconds']:.2f}",
            f"{row['seconds'] / row['sites'] * 1e6:.0f}",
            f"{row['peak_mb']:.0f}",
            f"{row['bytes_a_site']:.0f}",
        ]
        for source, rows in results.items()
        for row in rows
    ]
    draw(results)
    note = (
        "`files`: CIFs read by the transformer. `memory`: crystals packed and joined. `one cell`: "
        "a single crystal of so many sites."
    )
    keep("scale", "Graphs by the thousand", [table(header, lines), note], results)


if __name__ == "__main__":
    main()
