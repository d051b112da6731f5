"""The report of a training run, also in a browser."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skcgcnn.datasets import load_sample_classification, load_sample_regression
from skcgcnn.reports import Facts, Section, Table, advice, page
from skcgcnn.training import train
from skcgcnn.training._settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
GOOD = {
    "n_train": 800, "n_val": 100, "n_test": 100, "train_loss": 0.1, "val_loss": 0.2,
    "r2": {"energy": 0.9}, "accuracy": {"metal": 0.9},
    "most_frequent": {"metal": 0.6}, "rarest": {"metal": 0.4}, "outside": 0.01,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return folders of a run of each task."""
    root = tmp_path_factory.mktemp("runs")
    (root / "data").mkdir()
    sample, metals = load_sample_regression(), load_sample_classification()
    rows = []
    for path, energy, metal in zip(sample.data, sample.target, metals.target, strict=True):
        shutil.copy(path, root / "data")
        rows.append((Path(path).stem, energy, metal))
    with (root / "data" / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("cif_id", "energy", "metal"), *rows])
    small = {"epochs": 3, "batch_size": 64, "atom_fea_len": 16, "h_fea_len": 16, "n_conv": 1}
    options = {
        "regression": {"target": ("energy",)},
        "classification": {"label": "metal"},
        "multi": {},
    }
    for task, chosen in options.items():
        settings = Settings(str(root / "data"), task=task, **small, **chosen)
        train(settings, root / task, progress=False)
    return root


@pytest.mark.parametrize("task", ["regression", "classification", "multi"])
def test_it_holds_everything_itself(runs, task):
    text = (runs / task / "report.html").read_text()
    for title in ("Test results", "What to try next", "Data", "Learning curve", "Settings"):
        assert f"<h2>{title}</h2>" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    targets = {"regression": ["energy"], "classification": ["metal"], "multi": ["energy", "metal"]}
    assert re.findall("<h2>Target: (.*?)</h2>", text) == targets[task]
    assert "<td>--batch-size</td><td>64</td>" in text
    assert "auto (edge)" in text
    # The worst crystals, with pictures: ASE is there.
    assert text.count('alt="crystal"') >= 5


def test_history(runs):
    with (runs / "multi" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "training_loss", "validation_loss", "seconds"]
    assert all(float(value) > 0 for row in rows for value in row.values())


def test_a_resumed_run_has_all_epochs(runs, tmp_path):
    shutil.copytree(runs / "regression", tmp_path / "run")
    settings = Settings(str(runs / "data"), task="regression", target=("energy",), epochs=5)
    given = {"data", "task", "target", "epochs"}
    checkpoint = tmp_path / "run" / "checkpoint.pth.tar"
    train(settings, tmp_path / "run", resume=checkpoint, given=given, progress=False)
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(lines) == 6
    before = (runs / "regression" / "history.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[0] for line in lines[:4]] == [
        line.rsplit(",", 1)[0] for line in before
    ]


def test_without_a_report(runs, tmp_path):
    settings = Settings(
        str(runs / "data"), task="regression", target=("energy",), epochs=1, n_conv=0
    )
    train(settings, tmp_path / "run", progress=False, report=False)
    assert not (tmp_path / "run" / "report.html").exists()


def test_names_cannot_break_the_page():
    text = page("<b>", [Section("&", ["<script>"], [Table(["<i>"], [["<u>", 1.5, 2]])])])
    for mark in ("<b>", "<script>", "<i>", "<u>"):
        assert mark not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_val": 5}, "5 validation crystals decide"),
        ({"n_test": 5}, "5 test crystals say little"),
        ({"val_loss": 1.0}, "10 times the training loss"),
        ({"n_val": 0}, "Without validation crystals the last epoch is kept"),
        ({"r2": {"energy": 0.2}}, "R² of energy is 0.20"),
        ({"accuracy": {"metal": 0.5}}, "most frequent one would give 60%"),
        ({"rarest": {"metal": 0.01}}, "rarest class of metal has 1.0%"),
        ({"outside": 0.2}, "20% of the test crystals lie outside"),
    ],
)
def test_advice(change, message):
    (found,) = advice(Facts(**{**GOOD, **change}))
    assert message in found


def test_no_advice_where_nothing_is_wrong():
    assert advice(Facts(**GOOD)) == []
    assert advice(Facts(**{**GOOD, "train_loss": None, "val_loss": None, "outside": None})) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look at it with")
@pytest.mark.parametrize("width", [1200, 420])
def test_in_a_browser(runs, tmp_path, width):
    """Every picture is drawn, and nothing is wider than the window."""
    report = tmp_path / "report.html"
    script = """<script>
      addEventListener("load", () => {
        const images = [...document.images];
        const drawn = images.filter(i => i.complete && i.naturalWidth > 0 && i.clientWidth > 20);
        const cut = [...document.querySelectorAll("h1, h2, p, li, figure, img, .wide")]
          .filter(e => !e.closest("td") && e.getBoundingClientRect().right > innerWidth + 1);
        document.title = `${images.length} ${drawn.length} ${cut.length}`;
      });
    </script>"""
    text = (runs / "multi" / "report.html").read_text()
    report.write_text(text.replace("</body>", f"{script}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},3000"]
    shot = tmp_path / "shot.png"
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}"]
    dom = subprocess.run(
        [*command, "--dump-dom", report.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    n_images, drawn, cut = map(int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", dom).groups())
    assert n_images == drawn > 10
    assert cut == 0
    subprocess.run(
        [*command, f"--screenshot={shot}", report.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = np.asarray(Image.open(shot).convert("L"))
    assert pixels.std() > 10  # something is on it
