"""The report of a training run, also in a browser."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pymatgen.core import Lattice, Structure
from typer.testing import CliRunner

from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.cli import app
from skcgcnn.datasets import load_sample_classification, load_sample_regression
from skcgcnn.reports import Facts, Section, Table, advice, page
from skcgcnn.reports._advice import flat_from
from skcgcnn.reports._parts import formulas, with_pictures
from skcgcnn.training import train
from skcgcnn.training._settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
GOOD = {
    "n_train": 800, "n_val": 100, "n_test": 100, "train_loss": 0.1, "val_loss": 0.2,
    "from_scratch": True, "flat_from": None, "r2": {"energy": 0.9}, "accuracy": {"metal": 0.9},
    "most_frequent": {"metal": 0.6}, "rarest": {"metal": 0.4}, "outside": 0.01,
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder with the crystals of the sample, their energies and what are metals."""
    root = tmp_path_factory.mktemp("runs")
    (root / "data").mkdir()
    sample, metals = load_sample_regression(), load_sample_classification()
    rows = []
    for path, energy, metal in zip(sample.data, sample.target, metals.target, strict=True):
        shutil.copy(path, root / "data")
        rows.append((Path(path).stem, energy, metal))
    with (root / "data" / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("cif_id", "energy", "metal"), *rows])
    return root


@pytest.fixture(scope="module")
def runs(root):
    """Return folders of a run of each task."""
    small = {"max_epochs": 3, "batch_size": 64, "atom_fea_len": 16, "h_fea_len": 16, "n_conv": 1}
    options = {
        "regression": {"target": ("energy",)},
        "classification": {"label": "metal"},
        "multi": {},
    }
    for task, chosen in options.items():
        settings = Settings(str(root / "data"), task=task, params=small, **chosen)
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


@pytest.fixture
def few(root, tmp_path):
    """Return a folder of 40 of the crystals."""
    shutil.copytree(root / "data", tmp_path / "data")
    table = tmp_path / "data" / "id_prop.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:41]))
    return tmp_path / "data"


@pytest.mark.slow
def test_names_that_look_like_mathtext(few, tmp_path):
    table = few / "id_prop.csv"
    with table.open(newline="") as file:
        (_, *names), *lines = csv.reader(file)
    broken = {name: rf"$\frac{{{name}}}$" for name in names}
    lines = [[cif_id, energy, rf"$\frac{{{metal}}}$"] for cif_id, energy, metal in lines]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["cif_id", *broken.values()], *lines])
    small = {"max_epochs": 1, "batch_size": 64, "atom_fea_len": 8, "h_fea_len": 8, "n_conv": 1}
    train(Settings(str(few), "multi", params=small), tmp_path / "run", progress=False)
    assert broken["energy"] in (tmp_path / "run" / "report.html").read_text()
    model, report = tmp_path / "run" / "model.safetensors", tmp_path / "p.html"
    args = ["predict", str(model), str(few), "--report", str(report)]
    assert CliRunner().invoke(app, args).exit_code == 0
    assert broken["metal"] in report.read_text()


def test_errors_have_an_interval_and_something_to_compare_with(runs):
    text = (runs / "multi" / "report.html").read_text()
    number = r"[\d.e-]+"
    interval = rf"\(95 % interval {number} to {number}, 25 test crystals\); predicting"
    assert re.search(rf"energy: mean absolute error {number} {interval} the training median", text)
    assert re.search(rf"metal: accuracy {number} {interval} the most frequent training", text)
    found = json.loads((runs / "multi" / "metrics.json").read_text())
    for name, metric in (("energy", "mae"), ("metal", "accuracy")):
        error = found["errors"][name]
        assert error["value"] == pytest.approx(found["test"][name][metric])
        assert error["low"] < error["value"] < error["high"]


def test_the_worst_crystals_have_a_heading_formulas_and_are_wrong(runs):
    text = (runs / "classification" / "report.html").read_text()
    assert text.count("<h3>Largest errors</h3>") == 1
    table = text[text.index("<h3>Largest errors") :].split("</table>")[0]
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", table)
    assert rows
    for name, formula, true, predicted in rows:
        assert true != predicted
        structure = Structure.from_file(runs / "data" / f"{name}.cif")
        assert formula == structure.composition.reduced_formula


def test_files_and_values_that_are_left_out_are_counted(few, tmp_path):
    lines = (few / "id_prop.csv").read_text().splitlines()
    first = lines[1].split(",")[0]
    (few / f"{first}.cif").write_text("no crystal")
    for i in (2, 3):
        lines[i] = ",".join([lines[i].split(",")[0], "", lines[i].split(",")[2]])
    (few / "id_prop.csv").write_text("\n".join(lines))
    params = {"max_epochs": 1, "n_conv": 0, "on_error": "nan"}
    settings = Settings(str(few), task="multi", params=params)
    train(settings, tmp_path / "run", progress=False)
    text = (tmp_path / "run" / "report.html").read_text()
    assert "Left out: 1 crystal that could not be read." in text
    assert "energy: no value for 2 crystals." in text
    assert "metal: no value" not in text


def test_history(runs):
    with (runs / "multi" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["epoch", "training_loss", "validation_loss", "seconds"]
    assert all(float(value) > 0 for row in rows for value in row.values())


@pytest.mark.slow
def test_a_resumed_run_has_all_epochs(runs, tmp_path):
    shutil.copytree(runs / "regression", tmp_path / "run")
    settings = Settings(
        str(runs / "data"), task="regression", target=("energy",), params={"max_epochs": 5}
    )
    given = {"data", "task", "target"}
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
        str(runs / "data"),
        task="regression",
        target=("energy",),
        params={"max_epochs": 1, "n_conv": 0},
    )
    train(settings, tmp_path / "run", progress=False, report=False)
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """Return the report of predictions by an ensemble, one of them for a broken file."""
    root = tmp_path_factory.mktemp("predicted")
    sample, metals = load_sample_regression(), load_sample_classification()
    Y = np.column_stack([sample.target, metals.target])
    est = CGCNNMultiTask(
        max_epochs=2, n_conv=1, n_estimators=2, batch_size=64, random_state=0, n_jobs=1
    )
    est.fit(sample.data[:120], Y[:120]).save(root / "model.safetensors")
    for part, paths in {"trained": sample.data[:120], "new": sample.data[120:160]}.items():
        (root / part).mkdir()
        for path in paths:
            shutil.copy(path, root / part)
    (root / "new" / "broken.cif").write_text("no crystal")
    command = ["predict", root / "model.safetensors", root / "new", "--on-error", "nan"]
    command += ["-o", root / "out.csv", "--report", root / "report.html"]
    result = CliRunner().invoke(app, [*map(str, command), "--training-data", str(root / "trained")])
    assert result.exit_code == 0, result.output
    return root


def test_predictions_have_deviations_and_a_report(predicted):
    with (predicted / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("cif_id", "y0_pred", "y0_std", "y0_calibration", "y1_pred", "y1_proba"),
        "unlike_training",
    ]
    assert [row["cif_id"] for row in rows if not row["unlike_training"]] == ["broken"]
    assert all(float(row["y0_std"]) > 0 for row in rows if row["cif_id"] != "broken")
    text = (predicted / "report.html").read_text()
    titles = ["Predictions", "How far off the model was in its test"]
    titles += ["Unlike the training crystals", "Target: y0", "Target: y1", "Data"]
    assert re.findall("<h2>(.*?)</h2>", text) == titles
    assert "40 crystals. 1 more could not be read, and has no prediction." in text
    assert "These crystals have elements that no training crystal had." in text
    assert re.search("of 40 crystals (is|are) farther from the nearest training crystal", text)
    assert "<td>mixed</td>" not in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert text.count('alt="crystal"') == 20


def test_a_crystal_whose_file_is_gone_has_no_picture(tmp_path):
    pytest.importorskip("ase")
    paths = [load_sample_regression().data[0], tmp_path / "gone.cif"]
    table = with_pictures("Worst", ["crystal"], [["a"], ["b"]], paths)
    text = page("Title", [Section("Section", parts=[table])])
    assert text.count("<img") + text.count("<svg") == 1


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
        ({"val_loss": 1.0}, "most; a model to start from"),
        ({"val_loss": 1.0, "from_scratch": False}, "by heart. More crystals help most."),
        ({"flat_from": 12}, "From epoch 12 on, the validation loss fell no further"),
        ({"n_val": 0}, "Without validation crystals the last epoch is kept"),
        ({"n_test": 5, "n_folds": 3}, "5 crystals say little about the error, though all are"),
        ({"r2": {"energy": 0.2}}, "R² of energy is 0.20 on the test crystals"),
        ({"r2": {"energy": 0.2}, "n_folds": 3}, "is 0.20 on the crystals of 3 folds"),
        ({"accuracy": {"metal": 0.5}}, "most frequent one would give 60%"),
        ({"rarest": {"metal": 0.01}}, "rarest class of metal has 1.0%"),
        ({"rarest": {"metal": 0.01}}, "In Python, sample_weight"),  # that all estimators take
        ({"outside": 0.2}, "20% of the test crystals lie outside"),
    ],
)
def test_advice(change, message):
    (found,) = advice(Facts(**{**GOOD, **change}))
    assert message in found


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        ({"n_val": 30}, {"n_val": 29}),
        ({"n_test": 30}, {"n_test": 29}),
        ({"train_loss": 0.1, "val_loss": 0.499}, {"train_loss": 0.1, "val_loss": 0.501}),
        ({"train_loss": 0.0}, {"train_loss": 1e-9}),
        ({"r2": {"energy": 0.5}}, {"r2": {"energy": 0.49}}),
        ({"accuracy": {"metal": 0.61}}, {"accuracy": {"metal": 0.6}}),
        (
            {"accuracy": {"metal": 1.0}, "most_frequent": {"metal": 1.0}},
            {"accuracy": {"metal": 0.98}, "most_frequent": {"metal": 0.99}},
        ),
        ({"rarest": {"metal": 0.05}}, {"rarest": {"metal": 0.049}}),
        ({"outside": 0.05}, {"outside": 0.051}),
    ],
)
def test_where_advice_begins(within, beyond):
    assert advice(Facts(**{**GOOD, **within})) == []
    assert len(advice(Facts(**{**GOOD, **beyond}))) == 1


def test_a_validation_loss_that_stays_flat():
    falling = np.geomspace(1, 0.01, 50)
    flat = np.maximum(falling, 0.4)
    assert flat_from(falling, flat) == 1 + int(np.argmax(flat <= 1.03 * 0.4))
    assert flat_from(falling, falling) is None
    assert flat_from(flat, flat) is None
    assert flat_from(falling, flat[:30]) is flat_from(falling, []) is None


def test_no_advice_where_nothing_is_wrong():
    assert advice(Facts(**GOOD)) == []
    assert advice(Facts(**{**GOOD, "train_loss": None, "val_loss": None, "outside": None})) == []


SCRIPT = """<script>
  addEventListener("load", () => {
    const images = [...document.images];
    const drawn = images.filter(i => i.complete && i.naturalWidth > 0 && i.clientWidth > 20);
    const cut = [...document.querySelectorAll("h1, h2, p, li, figure, img, .wide")]
      .filter(e => !e.closest("td, .wide *") && e.getBoundingClientRect().right > innerWidth + 1);
    document.title = `${images.length} ${drawn.length} ${cut.length}`;
  });
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look at it with")
@pytest.mark.parametrize("width", [1200, 420])
@pytest.mark.parametrize("which", ["training", "prediction"])
def test_in_a_browser(runs, predicted, tmp_path, width, which):
    """Every picture is drawn, and nothing is wider than the window."""
    report, shot = tmp_path / "report.html", tmp_path / "shot.png"
    folder = runs / "multi" if which == "training" else predicted
    report.write_text((folder / "report.html").read_text().replace("</body>", f"{SCRIPT}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},3000"]
    # Both in one run of the browser, which takes seconds to start.
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, f"--screenshot={shot}", report.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"<title>(\d+) (\d+) (\d+)</title>", done.stdout)
    n_images, drawn, cut = map(int, found.groups())
    assert n_images == drawn > 10
    assert cut == 0
    pixels = np.asarray(Image.open(shot).convert("L"))
    assert pixels.std() > 10  # something is on it


def test_formulas_tell_elements_that_are_one_to_the_network(tiny):
    lattice = Lattice.cubic(4.0)
    crystals = [Structure(lattice, [z, "N"], [[0, 0, 0], [0.5] * 3]) for z in ("La", "Ce", "Ti")]
    est = CGCNNRegressor(**tiny).fit(crystals, [0.0, 1.0, 2.0])
    graphs = est.get_transformer().transform(crystals)
    assert formulas(est, graphs) == ["(La/Ce)N", "(La/Ce)N", "TiN"]
