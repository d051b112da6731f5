"""Measure what quotient graphs save: a training step, a prediction, bytes, and what rounding costs.

Usage: ``python benchmarks/quotient.py [perov5_val.csv.gz] [--repeats 15] [--batch-size 256]
[--threads 2]``. Each set of crystals is trained on and predicted with ``merge_tol=1e-5`` and with
``merge_tol=None``, in turns, by the default recipe and by the paper's; medians of the ratios.
Without the table, the perovskites are left out. A second table shows what tolerances do to
crystals whose coordinates are rounded to four decimals.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import RESULTS, alternate, keep, median_ratio, read_table, table
from pymatgen.core import Structure

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy, load_sample_regression
from skcgcnn.nn import GraphDataset

TOLERANCES = [None, 1e-5, 1e-4, 1e-3, 1e-2]
MOST = 1024
RECIPES = ("paper", "default")
TIMED = [f"{what}, {recipe}" for what in ("step", "prediction") for recipe in RECIPES]


def data_sets(rows: Path | None) -> dict[str, list[Any]]:
    """Return the crystals of each set."""
    sample = load_sample_regression().data
    cells = [Structure.from_file(path) for path in sample]
    primitive = [cell.get_primitive_structure() for cell in cells]
    sets = {
        "sample, conventional cells": cells,
        "sample, primitive cells": primitive,
        "sample, 2×2×2 supercells": [c.make_supercell(2, in_place=False) for c in primitive],
        "Li vacancies": load_li_vacancy().data,
    }
    if rows is not None:
        sets["perovskites"] = [row["cif"] for row in read_table(rows)[:MOST]]
    return sets


def n_bytes(graphs: CrystalGraphs) -> int:
    """Return the size of all arrays but the ids."""
    return sum(
        array.nbytes
        for name, array in graphs.to_dict().items()
        if isinstance(array, np.ndarray) and name != "ids"
    )


def works(graphs: CrystalGraphs, batch_size: int) -> dict[str, Callable[[], Any]]:
    """Return passes of training steps over all batches by either recipe, and a prediction."""
    y = np.arange(len(graphs)) % 17.0
    found: dict[str, Callable[[], Any]] = {}
    for recipe in RECIPES:
        est = CGCNNRegressor(
            recipe=recipe,
            net_params={"schedule": "constant"},
            batch_size=batch_size,
            max_epochs=1,
            init_from=None,
            random_state=0,
            device="cpu",
        )
        net: Any = est.fit(graphs, y).net_
        batches = list(net.get_iterator(GraphDataset(graphs, y[:, np.newaxis]), training=True))
        found[f"step, {recipe}"] = partial(_train, net, batches)
        found[f"prediction, {recipe}"] = partial(est.predict, graphs)
    return found


def _train(net: Any, batches: Sequence[Any]) -> None:
    for batch in batches:
        net.train_step(batch)


def compare(sources: Sequence[Any], batch_size: int, repeats: int) -> dict[str, Any]:
    """Return sizes, times and ratios of the folded graphs against the plain ones."""
    folded, plain = (
        CrystalGraphTransformer(merge_tol=merge_tol).transform(sources)
        for merge_tol in (1e-5, None)
    )
    ours, theirs = works(folded, batch_size), works(plain, batch_size)
    found: dict[str, Any] = {
        "crystals": len(folded),
        "sites": len(folded.site_classes),
        "classes": len(folded.site_kinds),
        "bonds": len(plain.neighbors) / max(len(folded.neighbors), 1),
        "bytes": n_bytes(folded) / sum(array.nbytes for array in folded.expand()),
    }
    for what in ours:
        times = alternate({"plain": theirs[what], "folded": ours[what]}, repeats)
        found[what] = {
            "ratio": median_ratio(times["plain"], times["folded"]),
            "folded_ms": statistics.median(times["folded"]) * 1e3,
            "plain_ms": statistics.median(times["plain"]) * 1e3,
        }
    return found


def rounded(sources: Sequence[Any]) -> list[Structure]:
    """Return crystals whose fractional coordinates have four decimals."""
    crystals = [
        Structure.from_str(one, "cif") if "\n" in str(one) else Structure.from_file(one)
        for one in sources
    ]
    return [Structure(c.lattice, c.species_and_occu, np.round(c.frac_coords, 4)) for c in crystals]


def tolerances(sources: Sequence[Any]) -> list[list[str]]:
    """Return, for each tolerance, how many times fewer bonds there are, and what changes."""
    sample = load_sample_regression()
    est = CGCNNRegressor(random_state=0, device="cpu").fit(sample.data, sample.target)
    graphs = {one: CrystalGraphTransformer(merge_tol=one).transform(sources) for one in TOLERANCES}
    plain = graphs[None]
    exact = est.predict(plain)
    return [
        [
            f"{one:g}",
            f"{len(plain.neighbors) / len(graphs[one].neighbors):.2f}",
            f"{np.abs(est.predict(graphs[one]) - exact).max():.1e}",
        ]
        for one in TOLERANCES
        if one is not None
    ]


def draw(found: dict[str, Any], name: str) -> None:
    """Draw how many times as fast each set is."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
    places = np.arange(len(found))
    for shift, what, color in (
        (0.2, "step, paper", "#0072B2"),
        (-0.2, "step, default", "#E69F00"),
    ):
        bars = axis.barh(
            places + shift,
            [one[what]["ratio"] for one in found.values()],
            0.38,
            color=color,
            label=f"training {what} recipe",
        )
        axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.set_yticks(places, found)
    axis.axvline(1, color="0.4", linewidth=0.8)
    axis.set(xlabel="times as fast as with merge_tol=None")
    axis.legend(frameon=False, loc="upper right")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS / f"{name}.png", dpi=120)


def main() -> None:
    """Print and keep the tables and a figure."""
    parser = argparse.ArgumentParser(description="What quotient graphs save.")
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sets = data_sets(arguments.table)
    found = {
        name: compare(sources, arguments.batch_size, arguments.repeats)
        for name, sources in sets.items()
    }
    rows = [
        [
            name,
            one["crystals"],
            f"{one['sites']} in {one['classes']}",
            f"{one['bonds']:.1f}",
            f"{one['bytes']:.2f}",
            *(f"{one[what]['ratio']:.2f}" for what in TIMED),
        ]
        for name, one in found.items()
    ]
    header = [
        *("crystals", "count", "sites in classes", "times fewer bonds", "bytes"),
        *(f"{what}, times as fast" for what in TIMED),
    ]
    tables = [
        table(header, rows),
        f"Against `merge_tol=None` in the same run; batches of {arguments.batch_size}, "
        f"{arguments.threads} threads, medians of {arguments.repeats} rounds. Bytes: against the "
        "arrays with every site and bond.",
    ]
    cells = {name: sets[name] for name in ("perovskites",) if name in sets}
    cells["sample"] = load_sample_regression().data
    kept: dict[str, Any] = {"sets": found, "rounded": {}}
    for name, sources in cells.items():
        changes = tolerances(rounded(sources[:300]))
        kept["rounded"][name] = changes
        tables += [
            f"Coordinates rounded to four decimals, {name}:",
            table(["merge_tol (Å)", "times fewer bonds", "largest change (eV/atom)"], changes),
        ]
    name = f"quotient_{arguments.threads}_threads"
    draw(found, name)
    keep(name, "Quotient graphs", tables, kept)


if __name__ == "__main__":
    main()
