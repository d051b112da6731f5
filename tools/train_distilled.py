"""Train the network that comes with the package as "chgnet-distilled".

Usage: ``python tools/train_distilled.py crystals.npz labels output --n 100000 [--epochs 10]``, with
the crystals of ``make_pretraining_crystals.py`` and the labels of ``label_with_chgnet.py``. The
network learns the energy of CHGNet in eV/atom above a linear function of the composition, the mean
magnetic moment of the sites, and the 64 features from which CHGNet computes energies. The last 2 %
of the crystals are held back. The folder ``output`` holds the graphs, a checkpoint of every epoch,
from which the training goes on when it is started again, and at the end the model and its errors
by family. With ``--ship`` model and card go into the package.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from label_with_chgnet import PER_FILE, read_crystals
from skorch.callbacks import Callback

from skcgcnn import CGCNNRegressor, CrystalGraphs, __version__
from skcgcnn.graphs import CrystalGraphTransformer
from skcgcnn.modelfiles import read_model_file, write_checkpoint

NAME = "chgnet-distilled"
MODELS = Path(__file__).parents[1] / "skcgcnn" / "modelfiles" / "models"
HELD_BACK = 0.02
CHECKPOINT = "checkpoint.pth.tar"
PARAMS: dict[str, Any] = {
    "batch_size": 128,
    "lr": 0.004,
    "dropout": 0.0,
    "weight_decay": 0.02,
    "net_params": {"element_embedding": True, "ema_decay": 0.999},
    "random_state": 0,
}


def read_labels(folder: Path, n: int) -> pd.DataFrame:
    """Return the labels of the first crystals."""
    parts = []
    for first in range(0, n, PER_FILE):
        with np.load(folder / f"{first:07d}.npz") as data:
            parts.append(np.column_stack([data["energies"], data["features"].astype(float)]))
    values = np.concatenate(parts)[:n]
    names = ["energy", *(f"chgnet_{i}" for i in range(values.shape[1] - 1))]
    return pd.DataFrame(values, columns=names)


def mean_moments(data: dict[str, np.ndarray], folder: Path, n: int) -> np.ndarray:
    """Return the mean magnetic moment of the sites of the first crystals."""
    moments = [
        np.load(folder / f"{first:07d}.npz")["moments"].astype(float)
        for first in range(0, n, PER_FILE)
    ]
    starts, n_sites = data["offsets"][:n], np.diff(data["offsets"])[:n]
    return np.add.reduceat(np.concatenate(moments), starts)[:n] / n_sites


class Keep(Callback):
    """Writes a checkpoint after every epoch."""

    def __init__(self, est: CGCNNRegressor, path: Path) -> None:
        self.est, self.path = est, path

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write."""
        self.est.n_iter_ = len(net.history)
        write_checkpoint(self.est._get_model_state(training=True), self.path)
        print(f"epoch {self.est.n_iter_}: loss {net.history[-1]['train_loss']:.4f}", flush=True)


def make_graphs(data: dict[str, np.ndarray], n: int, path: Path) -> CrystalGraphs:
    """Return the graphs of the first crystals, made once."""
    if path.exists() and len(graphs := CrystalGraphs.load(path)) >= n:
        return graphs[:n]
    from pymatgen.core import Structure

    structures = [
        Structure(
            crystal.lattice,
            [site[0][0] for site in crystal.species],
            crystal.coords,
            coords_are_cartesian=True,
        )
        for crystal in read_crystals(data, range(n))
    ]
    graphs = CrystalGraphTransformer(verbose=1).transform(structures)
    graphs.save(path)
    return graphs


def errors(est: CGCNNRegressor, graphs: CrystalGraphs, Y: pd.DataFrame, families: Any) -> Any:
    """Return errors by family: of the energy in eV/atom, and R² of the features."""
    predicted, rows = est.predict(graphs), []
    left = ((predicted - Y.to_numpy()) / est.target_scale_)[:, 2:] ** 2
    for family in ["all", *dict.fromkeys(families)]:
        own = np.ones(len(Y), dtype=bool) if family == "all" else families == family
        energy = np.abs(predicted[own, 0] - Y["energy"].to_numpy()[own]).mean()
        rows.append((family, int(own.sum()), round(energy, 4), round(1 - left[own].mean(), 3)))
    return pd.DataFrame(rows, columns=["family", "n", "energy_mae", "features_r2"])


def card(facts: dict[str, Any]) -> str:
    """Return the model card."""
    rows = "\n".join(
        f"  | {row['family']} | {row['n']:,} | {row['energy_mae']:.3f} | {row['features_r2']:.3f} |"
        for row in facts["errors"]
    )
    return f"""# {NAME}

What the universal potential CHGNet 0.3.0 knows of crystals, as a network of this package: a start
for networks with few labels, and embeddings for other models.

    CGCNNRegressor(init_from="{NAME}").fit(cifs, y)
    CGCNNRegressor.from_pretrained("{NAME}").transform(cifs)

- **Targets.** The energy of CHGNet (eV/atom), the mean magnetic moment of the sites (Bohr
  magnetons), and the 64 features, averaged over the sites, from which CHGNet computes energies.
- **Data.** {facts["n"]:,} crystals, made by `tools/make_pretraining_crystals.py` and labeled by
  `tools/label_with_chgnet.py`: perovskites of all chemistries (48 %), AFLOW prototypes with other
  elements (36 %), crystals of this package with other volumes or elements (8 %), layered oxides
  with vacancies (3 %), carbon (5 %), partly strained, displaced or with a vacancy. The structures
  of `carbon24_val`, strained and displaced, were among those of carbon, and a line through the
  lattice constants of `perov5_val` gave those of the perovskites; no label of either was used, nor
  of any other data. The energies of the textbook crystals and the vacancies of this package come
  from CHGNet too, so that a model from this one is no fair test on them.
- **Recipe.** `CGCNNRegressor` with default sizes: {facts["epochs"]} epochs of batches of
  {facts["batch_size"]} crystals, {facts["parameters"]:,} parameters.
  `tools/train_distilled.py`, skcgcnn {__version__}, torch {torch.__version__.partition("+")[0]}.
- **Errors** on {facts["n_test"]:,} such crystals that were held back, against CHGNet: mean absolute
  error {facts["errors"][0]["energy_mae"]:.3f} eV/atom of the energy; of the 64 features the
  mean R², by their variances over the training crystals.

  | family | crystals | energy (eV/atom) | features (R²) |
  | --- | --- | --- | --- |
{rows}

- **Limits.** Its energies are those of a potential, with the errors above: it is a start for other
  targets, not a potential. Mostly cells of up to 14 sites; no partially occupied sites, no
  molecules. Elements heavier than plutonium and most noble gases were not there.
- **License.** MIT, as the package. CHGNet and its weights: BSD, by the Regents of the University of
  California; cite B. Deng, P. Zhong, K. Jun, J. Riebesell, K. Han, C. J. Bartel and G. Ceder, Nat.
  Mach. Intell. 5, 1031 (2023). Prototypes: AFLOW (M. J. Mehl et al., Comput. Mater. Sci. 136, S1
  (2017)), as pymatgen carries them.
"""


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the distilled network.")
    parser.add_argument("crystals", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--ship", action="store_true", help="write model and card to the package")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    output, n = arguments.output, arguments.n
    output.mkdir(exist_ok=True, parents=True)
    data = dict(np.load(arguments.crystals))
    Y = read_labels(arguments.labels, n)
    Y.insert(1, "moment", mean_moments(data, arguments.labels, n))
    graphs = make_graphs(data, n, output.parent / "graphs.npz")
    families = data["family_names"][data["families"][:n]]
    known = np.flatnonzero(np.isfinite(Y).all(axis=1))
    cut = round(len(known) * (1 - HELD_BACK))
    train, test = known[:cut], known[cut:]
    est, start = CGCNNRegressor(max_epochs=arguments.epochs, **PARAMS), time.perf_counter()
    resume = (output / CHECKPOINT).exists()
    if resume:
        est = CGCNNRegressor._from_model_state(
            read_model_file(output / CHECKPOINT), str(output), "auto"
        )
    callbacks = [("keep", Keep(est, output / CHECKPOINT))]
    est._fit(graphs[train], Y.iloc[train], callbacks=callbacks, resume=resume)
    print(f"{time.perf_counter() - start:.0f} s on {torch.get_num_threads()} threads")
    table = errors(est, graphs[test], Y.iloc[test], families[test])
    print(table.to_string(index=False))
    facts = {
        "n": len(train),
        "n_test": len(test),
        "epochs": est.n_iter_,
        "batch_size": PARAMS["batch_size"],
        "parameters": sum(p.numel() for p in est.module_.parameters()),
        "errors": table.to_dict("records"),
    }
    (output / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    path = (MODELS if arguments.ship else output) / f"{NAME}.safetensors"
    units = ["eV/atom", "mu_B", *[""] * (Y.shape[1] - 2)]
    est.save(path, units=units, metrics={"test MAE": facts["errors"][0]["energy_mae"]})
    path.with_suffix(".md").write_text(card(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
