"""Draw the figures of the documentation that show what the library draws.

Usage: ``python tools/draw_docs.py``, with Chromium for the pictures of reports. It trains small
runs on the bundled crystals, in about five minutes, and writes to ``docs/images``.
"""

import csv
import shutil
import subprocess
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageChops
from pymatgen.core import Structure
from sklearn.model_selection import KFold, train_test_split

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer, plotting
from skcgcnn.datasets import load_sample_classification, load_sample_regression
from skcgcnn.inspection import site_contributions
from skcgcnn.training import Settings, train

IMAGES = Path(__file__).parents[1] / "docs" / "images"
UNIT = "eV/atom"
# In pixels: what follows in a report is more of the same.
_TALLEST = 3000


def draw_figures() -> None:
    """Draw six figures of one ensemble on the textbook crystals."""
    cifs, y = load_sample_regression(return_X_y=True)
    graphs = CrystalGraphTransformer().fit_transform(cifs)
    params = {"loss": "gaussian_nll", "n_estimators": 3, "max_epochs": 80, "random_state": 0}
    means, deviations = np.empty(len(y)), np.empty(len(y))
    for rows, held_back in KFold(5, shuffle=True, random_state=0).split(y):
        fit, rest = train_test_split(rows, test_size=0.2, random_state=0)
        est = CGCNNRegressor(**params).fit(graphs[fit], y[fit]).calibrate(graphs[rest], y[rest])
        means[held_back], deviations[held_back] = est.predict(graphs[held_back], return_std=True)

    curve = CGCNNRegressor(early_stopping=True, n_iter_no_change=80, max_epochs=80, random_state=0)
    curve.fit(graphs, y)
    est = CGCNNRegressor(random_state=0).fit(graphs, y)
    found = site_contributions(est, graphs)
    spinel = next(i for i, path in enumerate(cifs) if "LiTi2O4_spinel" in str(path))

    figure = Figure(figsize=(15, 7.5), layout="constrained")
    axes = list(
        figure.subplot_mosaic([list("abcd"), list("eeff")], width_ratios=[1, 1, 1, 1]).values()
    )
    plotting.parity(y, means, y_std=deviations, name="formation energy", unit=UNIT, ax=axes[0])
    plotting.interval_reliability(means - y, deviations, label="calibrated", ax=axes[1])
    losses = {"training": curve.loss_curve_, "validation": curve.history_[:, "valid_loss"]}
    plotting.loss_curves(losses, best_epoch=int(np.argmin(losses["validation"])) + 1, ax=axes[2])
    plotting.embedding_map(est.transform(graphs), y, name="formation energy", unit=UNIT, ax=axes[4])
    plotting.elements(
        found.by_element(), center=0, label=f"contribution of a site ({UNIT})", ax=axes[5]
    )
    plotting.crystal(
        Structure.from_file(cifs[spinel]),
        found.sites[spinel],
        label=f"contribution in LiTi₂O₄ ({UNIT})",
        ax=axes[3],
    )
    figure.savefig(IMAGES / "figures.png", dpi=90)


def draw_reports(folder: Path) -> None:
    """Take pictures of the reports of a run of each task."""
    data = folder / "data"
    data.mkdir()
    sample, metals = load_sample_regression(), load_sample_classification()
    rows = []
    for path, energy, metal in zip(sample.data, sample.target, metals.target, strict=True):
        shutil.copy(path, data)
        rows.append((Path(path).stem, energy, metal))
    with (data / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("cif_id", "energy", "metal"), *rows])
    tasks = {
        "regression": {"target": ("energy",)},
        "classification": {"label": "metal"},
        "multi": {},
    }
    for task, options in tasks.items():
        # Named as it is, so that the report's settings hold no path of a machine.
        with chdir(folder):
            settings = Settings("data", task=task, params={"max_epochs": 80}, **options)
            train(settings, Path(task), progress=False)
        name = "report" if task == "multi" else f"report_{task}"
        take_picture(folder / task / "report.html", IMAGES / f"{name}.png")


def take_picture(page: Path, target: Path) -> None:
    """Take a picture of a page, without the empty part below it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or "chrome"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    shot = target.with_suffix(".tmp.png")
    subprocess.run(
        [browser, *options, "--window-size=1040,6000", f"--screenshot={shot}", page.as_uri()],
        check=True,
        capture_output=True,
    )
    picture = Image.open(shot).convert("RGB")
    ground = Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    left, top, right, bottom = ImageChops.difference(picture, ground).getbbox()
    # Where the page ends; colors from a palette keep the file small.
    cropped = picture.crop((left - 16, top - 16, right + 16, min(bottom + 16, _TALLEST)))
    cropped.quantize(64).save(target, optimize=True)
    shot.unlink()


if __name__ == "__main__":
    draw_figures()
    with tempfile.TemporaryDirectory() as name:
        draw_reports(Path(name))
