"""What the benchmarks share: data, the machine, medians of ratios, tables that are kept."""

import csv
import gzip
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.datasets import load_sample_regression

RESULTS = Path(__file__).parent / "results"
PACKAGES = ["skcgcnn", "torch", "numpy", "scikit-learn", "skorch", "pymatgen", "gemmi"]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a (gzipped) CSV with a column of CIF texts."""
    csv.field_size_limit(10**9)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def crystals_with_heats(table: Path | None) -> tuple[Sequence[Any], npt.NDArray[np.float64]]:
    """Return 1,500 perovskites of a table with their heats of formation, or what is bundled."""
    if table is None:
        crystals: Sequence[Any]
        crystals, y = load_sample_regression(return_X_y=True)
        return crystals, y
    rows = read_table(table)[:1500]
    return [row["cif"] for row in rows], np.array([float(row["heat_ref"]) for row in rows])


def write_cifs(rows: Sequence[dict[str, str]], folder: Path) -> list[Path]:
    """Write one CIF a row, named by its ``material_id``."""
    paths = [folder / f"{row['material_id']}.cif" for row in rows]
    for path, row in zip(paths, rows, strict=True):
        path.write_text(row["cif"])
    return paths


def seconds(work: Callable[[], Any]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(
    works: dict[str, Callable[[], Any]], repeats: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Time several works in turn, so that a busy machine slows all of them alike."""
    if warm_up:
        for work in works.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median of the ratios, round by round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def machine() -> dict[str, str]:
    """Return what the numbers depend on."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    versions = {name: version(name) for name in PACKAGES}
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **versions,
    }


def commit() -> str:
    """Return the commit whose code was measured, and whether it was changed since."""
    git = ["git", "-C", str(RESULTS.parent)]
    try:
        head, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout
            for words in (
                ["rev-parse", "--short=7", "HEAD"],
                ["status", "--porcelain", "../skcgcnn"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + (" with changes" if changed else "")


def commits(rows: Sequence[dict[str, Any]]) -> str:
    """Return a sentence on the commits of the rows of a log."""
    return f"Commits: {', '.join(dict.fromkeys(row['commit'] for row in rows))}."


def keep(name: str, title: str, tables: Sequence[str], numbers: dict[str, Any]) -> None:
    """Print the tables, and write them to ``results/name.md`` and the numbers to ``.json``."""
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    code = commit()
    text = "\n\n".join([f"# {title}", *tables, f"Machine: {where}. Commit: {code}."])
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    content = {"machine": machine(), "commit": code, **numbers}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
