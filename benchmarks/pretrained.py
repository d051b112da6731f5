"""Compare fits that start from the pretrained network with others, by number of crystals.

Usage: ``python benchmarks/pretrained.py [--perovskites perov5_val.csv.gz] [--carbon
carbon24_val.csv.gz] [--draws 5] [--memory folder] [--figure figure.png]``. The crystals and the
vacancies of the package are always there; the tables need columns ``cif`` and ``heat_ref`` or
``energy_per_atom``. Each draw takes some crystals at random (of the vacancies, those of some
supercells); all others test the fit. ``--most 3030`` adds five-fold cross-validation on all
perovskites. What the output holds is not computed again. Prints a table in Markdown, and with
``--figure`` draws the errors of perovskites by number of crystals.

The methods: extra trees on the mean features of the elements; the default network from scratch;
``init_from="chgnet-distilled"``; a Gaussian process on the embeddings of that model; and a Gaussian
process on what CHGNet says itself (``PotentialFeatures``, where chgnet is installed).
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import GroupShuffleSplit, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.datasets import load_li_vacancy, load_sample_regression
from skcgcnn.features import PotentialFeatures

MODEL = "chgnet-distilled"
NUMBERS = {
    "perovskites": (30, 60, 100, 300, 1000, 3030),
    "gaps": (30, 60, 100, 300, 1000, 3030),
    "carbon": (60, 300, 1000),
    "textbook": (30, 60, 120),
    "vacancies": (60,),
}
# A Gaussian process on more takes minutes, and is no better than a network.
MOST_FOR_GAUSSIANS = 1000
WORDS = {
    "trees": "extra trees on composition",
    "scratch": "default, from scratch",
    "pretrained": f'`init_from="{MODEL}"`',
    "five": "five such networks",
    "embeddings": "Gaussian process on its embeddings",
    "chgnet": "Gaussian process on CHGNet's features",
}
UNITS = {
    "perovskites": "eV",
    "gaps": "eV",
    "carbon": "eV/atom",
    "textbook": "eV/atom",
    "vacancies": "eV",
}


class Crystals:
    """The crystals of a data set, their target, and what methods start from."""

    def __init__(
        self, sources: list[Any], y: Any, groups: Any = None, *, memory: Path | None = None
    ) -> None:
        self.sources, self.groups, self.memory = sources, groups, memory
        self.y = np.asarray(y, dtype=float)

    @cached_property
    def graphs(self) -> CrystalGraphs:
        """Their graphs."""
        return CrystalGraphTransformer().transform(self.sources)

    @cached_property
    def elements(self) -> np.ndarray:
        """The mean features of their elements."""
        graphs = self.graphs
        rows = graphs.kind_features[graphs.site_kinds] * graphs.site_counts[:, None]
        return np.add.reduceat(rows, graphs.offsets[:-1]) / graphs.n_sites[:, None]

    @cached_property
    def embeddings(self) -> np.ndarray:
        """What the pretrained network makes of them."""
        return CGCNNRegressor.from_pretrained(MODEL).transform(self.graphs)

    @cached_property
    def chgnet(self) -> np.ndarray:
        """What CHGNet says of them."""
        return PotentialFeatures(memory=self.memory, verbose=1).transform(self.sources)

    def split(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return n crystals to train on and the others to test; groups stay together."""
        if n > MOST_FOR_GAUSSIANS:
            return list(KFold(5, shuffle=True, random_state=0).split(self.y))[seed]
        if self.groups is None:
            order = np.random.default_rng(seed).permutation(len(self.y))
            return order[:n], order[n:]
        splitter = GroupShuffleSplit(1, test_size=0.5, random_state=seed)
        train, test = next(splitter.split(self.y, groups=self.groups))
        return np.random.default_rng(seed).permutation(train)[:n], test


def gaussians() -> Any:
    """Return a Gaussian process on standardized features."""
    kernel = ConstantKernel() * Matern(10, (1, 1e3), nu=1.5) + WhiteKernel(0.1, (1e-5, 10))
    return make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True))


def network(data: Crystals, train: Any, test: Any, seed: int, **params: Any) -> np.ndarray:
    """Return predictions of a network."""
    est = CGCNNRegressor(random_state=seed, **params)
    return est.fit(data.graphs[train], data.y[train]).predict(data.graphs[test])


def on_features(model: Any, features: np.ndarray, data: Crystals, train: Any, test: Any) -> Any:
    """Return predictions from features."""
    kept = features.std(axis=0) > 1e-9
    if not kept.any():  # crystals of carbon have one composition
        return np.full(len(test), data.y[train].mean())
    return model.fit(features[train][:, kept], data.y[train]).predict(features[test][:, kept])


def scratch(data: Crystals, train: Any, test: Any, seed: int) -> np.ndarray:
    """Return predictions of a network that starts from nothing."""
    return network(data, train, test, seed, init_from=None)


def trees(data: Crystals, train: Any, test: Any, seed: int) -> np.ndarray:
    """Return predictions of extra trees on the composition."""
    model = ExtraTreesRegressor(300, random_state=seed)
    return on_features(model, data.elements, data, train, test)


def pretrained(data: Crystals, train: Any, test: Any, seed: int) -> np.ndarray:
    """Return predictions of a network that starts from the pretrained one."""
    return network(data, train, test, seed, init_from=MODEL)


def five(data: Crystals, train: Any, test: Any, seed: int) -> np.ndarray:
    """Return predictions of five networks that start from the pretrained one."""
    return network(data, train, test, seed, init_from=MODEL, n_estimators=5)


def embeddings(data: Crystals, train: Any, test: Any, _seed: int) -> np.ndarray:
    """Return predictions of a Gaussian process on embeddings."""
    return on_features(gaussians(), data.embeddings, data, train, test)


def chgnet(data: Crystals, train: Any, test: Any, _seed: int) -> np.ndarray:
    """Return predictions of a Gaussian process on what CHGNet says."""
    return on_features(gaussians(), data.chgnet, data, train, test)


METHODS: dict[str, Callable[[Crystals, Any, Any, int], np.ndarray]] = {
    "trees": trees,
    "scratch": scratch,
    "pretrained": pretrained,
    "five": five,
    "embeddings": embeddings,
    "chgnet": chgnet,
}


def read_data(
    perovskites: Path | None, carbon: Path | None, memory: Path | None
) -> dict[str, Crystals]:
    """Return the data sets that are there."""
    found = {}
    for name, path, column in (
        ("perovskites", perovskites, "heat_ref"),
        ("gaps", perovskites, "dir_gap"),
        ("carbon", carbon, "energy_per_atom"),
    ):
        if path is not None:
            table = pd.read_csv(path)
            found[name] = Crystals(list(table["cif"]), table[column], memory=memory)
    sample, vacancies = load_sample_regression(), load_li_vacancy()
    found["textbook"] = Crystals(list(sample.data), sample.target, memory=memory)
    energies = [row[0] for row in vacancies.target]
    found["vacancies"] = Crystals(list(vacancies.data), energies, vacancies.groups, memory=memory)
    return found


def measure(data: dict[str, Crystals], arguments: Any) -> None:
    """Fit what is not in the output, and add it there."""
    rows = read_rows(arguments.output)
    done = {(row["data"], row["n"], row["draw"], row["method"]) for row in rows}
    methods = [name for name in arguments.methods if name != "chgnet" or find_spec("chgnet")]
    for name, crystals in data.items():
        for n in (number for number in NUMBERS[name] if number <= arguments.most):
            for draw in range(arguments.draws):
                train, test = crystals.split(n, draw)
                for method in methods:
                    if (name, n, draw, method) in done:
                        continue
                    if n > MOST_FOR_GAUSSIANS and method in ("embeddings", "chgnet"):
                        continue
                    start = time.process_time()
                    predicted = METHODS[method](crystals, train, test, draw)
                    row = {
                        "data": name,
                        "n": n,
                        "draw": draw,
                        "method": method,
                        "mae": round(float(np.abs(predicted - crystals.y[test]).mean()), 5),
                        "seconds": round(time.process_time() - start, 1),
                        "n_test": len(test),
                    }
                    with arguments.output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(row, flush=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return what was measured."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(rows: list[dict[str, Any]]) -> str:
    """Return the mean errors in Markdown."""
    frame = pd.DataFrame(rows)
    methods = [method for method in WORDS if method in set(frame["method"])]
    lines = [
        "| crystals | " + " | ".join(WORDS[method] for method in methods) + " |",
        "| --- |" + " --- |" * len(methods),
    ]
    for (name, n), part in frame.groupby(["data", "n"], sort=False):
        cells = []
        for method in methods:
            errors = part.loc[part["method"] == method, "mae"]
            several = f" ± {errors.std():.3f}" if len(errors) > 1 else ""
            cells.append(f"{errors.mean():.3f}{several}" if len(errors) else "-")
        lines.append(f"| {n:,} {name} ({UNITS[str(name)]}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_figure(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the errors of perovskites by number of crystals."""
    from matplotlib.figure import Figure

    frame = pd.DataFrame(rows)
    frame = frame[frame["data"] == "perovskites"]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for method, words in WORDS.items():
        part = frame[frame["method"] == method].groupby("n")["mae"].agg(["mean", "std"])
        if len(part):
            label = words.replace("`", "")
            axes.errorbar(part.index, part["mean"], part["std"], marker="o", capsize=3, label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="training crystals",
        ylabel="mean absolute error (eV)",
        title="Heat of formation of perovskites",
    )
    ticks = sorted(set(frame["n"]))
    axes.set_xticks(ticks, [f"{n:,}" for n in ticks])
    errors = [0.05, 0.1, 0.2, 0.4]
    axes.set_yticks(errors, [f"{error:g}" for error in errors])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description="Compare pretrained networks with others.")
    parser.add_argument("--perovskites", type=Path)
    parser.add_argument("--carbon", type=Path)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "pretrained.jsonl"
    )
    parser.add_argument("--most", type=int, default=1000, help="leave out fits on more crystals")
    parser.add_argument("--memory", type=Path, help="a folder that keeps CHGNet's features")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    measure(read_data(arguments.perovskites, arguments.carbon, arguments.memory), arguments)
    rows = read_rows(arguments.output)
    print(table(rows))
    if arguments.figure is not None:
        draw_figure(rows, arguments.figure)


if __name__ == "__main__":
    main()
