"""Measure what a crystal costs: processor seconds and bytes, to read, to train on and to predict.

Usage: ``OMP_WAIT_POLICY=PASSIVE python benchmarks/cost.py perov5_val.csv.gz carbon24_val.csv.gz
vacancy_data``. Each source becomes a store with one process; a network with default parameters is
trained on it for one epoch, and predicts it. "Hand out" is
what one process does for all workers. Seconds are those of the processor (all threads),
which other programs on the machine change little. They are divided by the number of sites, and told
for what a million crystals of 30 sites take, which is about the mean of the Materials Project.
"""

import argparse
import os
import pickle
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import keep, table

from skcgcnn import CGCNNRegressor
from skcgcnn.estimators import predict_target_chunks
from skcgcnn.stores import featurize, open_store
from skcgcnn.stores._featurize import _batches
from skcgcnn.stores._shards import digest_items
from skcgcnn.stores._sources import find_source

SITES = 30
MILLION = 1_000_000


def processor_seconds(work: Any) -> float:
    """Return the seconds that all threads of this process worked."""
    start = time.process_time()
    work()
    return time.process_time() - start


def hand_out(source: Path) -> None:
    """Do what the one process does that hands out the work."""
    for items in _batches(find_source(source)):
        digest_items(items)
        pickle.dumps(items)


def source_bytes(source: Path) -> int:
    """Return the bytes of the files of a source."""
    if source.is_dir():
        return sum(path.stat().st_size for path in source.rglob("*.cif"))
    return source.stat().st_size


def measure(source: Path) -> dict[str, float]:
    """Return what the crystals of a source cost."""
    with TemporaryDirectory() as name:
        store = Path(name) / "store"
        found = {"read_s": processor_seconds(lambda: featurize(source, store))}
        found["hand_out_s"] = processor_seconds(lambda: hand_out(source))
        graphs = open_store(store).graphs
        n_sites = int(graphs.n_sites.sum())
        # The cost does not depend on what is learned.
        y = np.random.default_rng(0).normal(size=len(graphs))
        est = CGCNNRegressor(init_from=None, max_epochs=1, random_state=0)
        few = graphs[:50]
        est.fit(few, y[:50]).predict(few)  # imports, and the first use of everything
        one, three = (
            processor_seconds(lambda n=n: est.set_params(max_epochs=n).fit(graphs, y))
            for n in (1, 3)
        )
        # What comes once in a fit is left out.
        found |= {
            "epoch_s": (three - one) / 2,
            "predict_s": processor_seconds(lambda: list(predict_target_chunks(est, graphs))),
            "crystals": len(graphs),
            "sites": n_sites,
            "classes": len(graphs.site_kinds),
            "store_bytes": sum(path.stat().st_size for path in store.iterdir()),
            "source_bytes": source_bytes(source),
        }
    print(source.name, found, flush=True)
    return found


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", type=Path, nargs="+")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    results = {source.name.partition(".")[0]: measure(source) for source in arguments.sources}
    header = [
        "per site of",
        "sites in a crystal",
        "hand out (µs)",
        "read (µs)",
        "epoch (µs)",
        "predict (µs)",
        "in the store (bytes)",
    ]
    lines = [
        [
            name,
            f"{found['sites'] / found['crystals']:.0f}",
            f"{found['hand_out_s'] / found['sites'] * 1e6:.1f}",
            *(f"{found[key] / found['sites'] * 1e6:.0f}" for key in ("read_s", "epoch_s")),
            f"{found['predict_s'] / found['sites'] * 1e6:.1f}",
            f"{found['store_bytes'] / found['sites']:.0f}",
        ]
        for name, found in results.items()
    ]
    factor = SITES * MILLION / 3600e6
    million = [
        [
            name,
            *(
                f"{found[key] / found['sites'] * 1e6 * factor:.1f}"
                for key in ("read_s", "epoch_s", "predict_s")
            ),
            f"{found['store_bytes'] / found['sites'] * SITES * MILLION / 1e9:.1f}",
        ]
        for name, found in results.items()
    ]
    projected = [
        f"a million crystals of {SITES} sites, as",
        "read (core h)",
        "epoch (core h)",
        "predict (core h)",
        "store (GB)",
    ]
    keep("cost", "What a crystal costs", [table(header, lines), table(projected, million)], results)


if __name__ == "__main__":
    main()
