"""Let the original code train and predict, for the parity tests: the files in ``tests/data``.

Usage: ``python tools/make_test_reference.py CHECKOUT``, a checkout of
https://github.com/txie-93/cgcnn. Its ``main.py`` trains two small networks on the bundled crystals
(their weight files are as it writes them), and its ``predict.py`` predicts ten further crystals:
five that are expanded and keep their symmetry, and five that are strained, their atoms displaced.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from skcgcnn.datasets import load_sample_classification, load_sample_regression

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from reference import write_folder

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "data"
SAMPLE = ROOT / "skcgcnn" / "datasets" / "sample"
EXPANDED = [
    "AgGaS2_chalcopyrite",
    "Al2O3_corundum",
    "SiO2_quartz",
    "SrTiO3_perovskite",
    "Si_diamond",
]
DISTORTED = ["TiO2_rutile", "LiCoO2_licoo2", "Fe3C_cementite", "GaAs_zincblende", "MgZn2_laves_c14"]
SIZES = ["--atom-fea-len", "16", "--n-conv", "4", "--h-fea-len", "32", "--n-h", "1"]
SETTING = ["--optim", "Adam", "--lr", "0.005", "--epochs", "30", "-b", "64", "--disable-cuda"]
# The original seeds nothing but the order of crystals.
RUN = (
    "import runpy, sys, torch; torch.manual_seed(0); runpy.run_path(sys.argv[0], None, '__main__')"
)


def write_crystals(folder: Path) -> None:
    """Write the ten crystals."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in EXPANDED:
        crystal = Structure.from_file(SAMPLE / f"{name}.cif")
        crystal.apply_strain(0.02)
        CifWriter(crystal, symprec=0.01).write_file(folder / f"{name}_expanded.cif")
    rng = np.random.default_rng(0)
    for name in DISTORTED:
        crystal = Structure.from_file(SAMPLE / f"{name}.cif")
        crystal.apply_strain(rng.uniform(-0.03, 0.03, 3))
        crystal.perturb(0.1, seed=int(rng.integers(2**31)))
        CifWriter(crystal).write_file(folder / f"{name}_distorted.cif")


def run(checkout: Path, work: Path, script: str, *arguments: str | Path) -> None:
    """Run a script of the original in a folder."""
    environment = {"PYTHONPATH": str(checkout), "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    code = f"import sys; sys.argv = {[str(checkout / script), *map(str, arguments)]!r}; {RUN}"
    subprocess.run([sys.executable, "-c", code], cwd=work, env=os.environ | environment, check=True)


def main() -> None:
    """Write crystals, weight files and predictions."""
    parser = argparse.ArgumentParser(description="References by the original code.")
    parser.add_argument("checkout", type=Path)
    checkout = parser.parse_args().checkout.resolve()
    cifs, weights = FOLDER / "sample-cifs", FOLDER / "pre-trained"
    write_crystals(cifs)
    weights.mkdir(parents=True, exist_ok=True)
    predictions: dict[str, dict[str, str]] = {path.stem: {} for path in sorted(cifs.iterdir())}
    data = {"energy": load_sample_regression(), "metal": load_sample_classification()}
    for name, sample in data.items():
        task = "classification" if name == "metal" else "regression"
        with TemporaryDirectory() as folder:
            training, test = Path(folder, "training"), Path(folder, "test")
            training.mkdir()
            for path in sample.data:
                shutil.copy(path, training)
            write_folder(training, [Path(path).stem for path in sample.data], sample.target)
            run(checkout, Path(folder), "main.py", *SIZES, *SETTING, "--task", task, "training")
            file = shutil.move(f"{folder}/model_best.pth.tar", weights / f"{name}.pth.tar")
            shutil.copytree(cifs, test)
            write_folder(test, list(predictions), [i % 2 for i in range(len(predictions))])
            run(checkout, Path(folder), "predict.py", "--disable-cuda", file, "test")
            with Path(folder, "test_results.csv").open(newline="") as results:
                for cif_id, _, value in csv.reader(results):
                    predictions[cif_id][name] = value
    with (FOLDER / "predictions.csv").open("w", newline="") as results:
        writer = csv.writer(results, lineterminator="\n")
        writer.writerow(["cif_id", *data])
        writer.writerows([cif_id, *row.values()] for cif_id, row in predictions.items())


if __name__ == "__main__":
    main()
