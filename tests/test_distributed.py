"""Training on two processes (gloo): losses as of one, and what happens when one ends."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("accelerate")
pytestmark = pytest.mark.slow

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

FITS = """
import json, sys, warnings
import joblib
import numpy as np
from sklearn.base import clone
from accelerate import Accelerator
from skcgcnn import CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer, CrystalGraphs
from skcgcnn.datasets import load_li_vacancy, load_sample_classification, load_sample_regression
from skcgcnn.graphs import _mapped

warnings.simplefilter("ignore")
target, two = sys.argv[1], sys.argv[2] == "two"
cifs, energies = load_sample_regression(return_X_y=True)
graphs = CrystalGraphTransformer().transform(cifs)
Y = np.column_stack([energies, load_sample_classification(return_X_y=True)[1]]).astype(float)
Y[::7, 0] = Y[3::5, 1] = np.nan
if two:
    from accelerate.utils import gather_object
accelerator = Accelerator(cpu=True) if two else None
shared = {"max_epochs": 6, "batch_size": 32, "random_state": 0, "device": accelerator or "cpu"}
small = shared | {"atom_fea_len": 16, "n_conv": 2, "h_fea_len": 16}
weights = np.linspace(0.5, 2, len(energies))
total = energies * graphs.n_sites
graphs.save(f"{target}-graphs")
mapped = CrystalGraphs.load(f"{target}-graphs", mmap=True)
stops = {"early_stopping": True, "n_iter_no_change": 10}
double = {"precision": "float64"}
exact = {"init_from": "chgnet-distilled", "batch_size": 7, "dropout": 0}
separate, few_sites = {"heads": "separate"}, {"max_batch_sites": 300}
cases = {
    "default": (CGCNNRegressor(**shared), graphs, energies),
    "exactly": (CGCNNMultiTask(**shared | exact), graphs[:60], Y[:60]),
    "gated": (CGCNNRegressor(conv="gated", **small), graphs, energies),
    "paper with dropout": (CGCNNRegressor(recipe="paper", dropout=0.2, **small), graphs, energies),
    "sum": (CGCNNRegressor(conv="gated", pooling="sum", dropout=0.1, **small), graphs, total),
    "several tasks": (CGCNNMultiTask(cls_weight="auto", net_params=separate, **small), graphs, Y),
    "stops early": (CGCNNRegressor(**stops, **small), graphs, energies),
    "small batches of sites": (CGCNNRegressor(net_params=few_sites, **small), graphs, energies),
    "two networks": (CGCNNRegressor(n_estimators=2, n_jobs=2, **small), graphs, energies),
    "in windows": (CGCNNRegressor(**small), mapped, energies),
    "float64": (CGCNNRegressor(conv="gated", net_params=double, **small), graphs, energies),
}
found = {}
for name, (est, X, y) in cases.items():
    if name == "in windows":
        _mapped.WINDOW_BYTES = graphs.__sizeof__() // 3
    found[name] = []
    for seed in range(1 if two else 3):
        est = clone(est).set_params(random_state=seed).fit(X, y, sample_weight=weights[: len(y)])
        found[name].append(est.loss_curve_)
    if two:
        values = np.nan_to_num(np.asarray(est.predict(X), dtype=float))
        first, second = gather_object([values])
        # Statistics are averaged over the processes, all else is the same in both.
        assert np.abs(first - second).max() <= 1e-5 * np.ptp(first), name
unseeded = CGCNNRegressor(**small | {"random_state": None, "max_epochs": 1}).fit(graphs, energies)
seed = unseeded.net_.seed
try:
    CGCNNRegressor(**small | {"batch_size": 1}).fit(graphs, energies)
    refused = ""
except ValueError as error:
    refused = str(error)
joblib.dump(est, f"{target}.joblib")  # without its processes
if accelerator is None or accelerator.is_main_process:
    facts = {"fits": found, "refused": refused}
    with open(target, "w") as file:
        json.dump(facts, file)
if two:
    seeds = gather_object([seed])
    assert seeds[0] == seeds[1], seeds
    accelerator.end_training()
"""


def launch(port, *args, **options):
    return subprocess.Popen(
        [*LAUNCH, str(port), *map(str, args)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(process, seconds=240):
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    script = folder / "fits.py"
    script.write_text(FITS)
    process = launch(29511, script, folder / "two", "two")
    subprocess.run([sys.executable, script, folder / "one", "one"], env=ENVIRONMENT, check=True)
    code, output, errors = finished(process)
    assert code == 0, output + errors
    return [json.loads((folder / name).read_text()) for name in ("one", "two")]


def test_losses_are_within_the_spread_of_seeds_of_one_process(results):
    one, two = (result["fits"] for result in results)
    assert one.keys() == two.keys()
    for name, expected in one.items():
        (found,) = two[name]
        if name == "exactly":
            continue
        assert len(found) == len(expected[0]) or name == "stops early"
        last = np.array([losses[-1] for losses in expected])
        # Each process normalizes and drops on its own, as another seed would.
        margin = max(4 * last.std(), 0.05 * last.mean())
        assert abs(found[-1] - last.mean()) < margin, (name, found[-1], last)
        assert found[-1] < found[0], name


def test_losses_are_those_of_one_process_without_batch_statistics_and_dropout(results):
    """Batches of 7 crystals with missing targets, of which one process has 4, the other one 3."""
    one, two = (result["fits"]["exactly"] for result in results)
    np.testing.assert_allclose(two[0], one[0], rtol=1e-4)


def test_a_batch_that_cannot_be_divided(results):
    one, two = results
    assert one["refused"] == ""
    assert two["refused"].startswith("a batch of 1 crystals cannot be divided among 2 processes")


FAILING = """
from accelerate import Accelerator
from skorch.callbacks import Callback
from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression


class Fails(Callback):
    def on_epoch_end(self, net, **kwargs):
        if net.accelerator.is_main_process and len(net.history) == 2:
            raise ValueError("of one process alone")


cifs, energies = load_sample_regression(return_X_y=True)
small = {"atom_fea_len": 8, "n_conv": 1, "h_fea_len": 8, "max_epochs": 5, "random_state": 0}
est = CGCNNRegressor(device=Accelerator(cpu=True), callbacks=[Fails()], **small)
est.fit(cifs[:40], energies[:40])
"""


def test_an_error_in_one_process_is_shown(tmp_path):
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    # It must not wait for the others, nor they for it.
    code, _, errors = finished(launch(29512, script), seconds=120)
    assert code != 0
    assert "ValueError: of one process alone" in errors


TRAIN = ["-m", "skcgcnn", "train", "sample-regression", "--device", "cpu", "--no-report"]
SMALL = ["--atom-fea-len", "8", "--n-conv", "1", "--h-fea-len", "8"]


def losses(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [float(row["training_loss"]) for row in csv.DictReader(file)]


def workers(folder):
    """Return the processes that train into a folder, by rank."""
    found = {}
    for path in Path("/proc").iterdir():
        try:
            if not path.name.isdigit() or str(folder) not in (path / "cmdline").read_text():
                continue
            variables = (path / "environ").read_text().split("\0")
        except OSError:
            continue
        found |= {int(v[5:]): int(path.name) for v in variables if v.startswith("RANK=")}
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_a_process_is_killed_and_the_run_goes_on(tmp_path):
    many = [*TRAIN, *SMALL, "--epochs", "20", "--quiet", "--no-report"]
    process = launch(29513, *many, "-o", tmp_path / "run", start_new_session=True)
    checkpoint = tmp_path / "run" / "checkpoint.pth.tar"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(workers(tmp_path / "run")[1], signal.SIGKILL)
    code, output, errors = finished(process)
    assert code != 0
    said = "Error: another process of this training ended", "Error: this process was asked to end"
    assert any(text in errors for text in said), errors
    assert f"-m skcgcnn train sample-regression --resume {checkpoint}" in errors
    assert "Test results" not in output

    resumed = launch(29514, *TRAIN, "--resume", checkpoint, "--quiet", "--no-report")
    code, output, errors = finished(resumed)
    assert code == 0, errors
    assert output.count("Test results") == 1
    code, _, errors = finished(launch(29516, *many, "-o", tmp_path / "whole"))
    assert code == 0, errors
    assert len(losses(tmp_path / "run")) == 20
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(tmp_path / "whole"), rtol=1e-2)


def test_errors_name_their_process(tmp_path):
    process = launch(29515, "-m", "skcgcnn", "train", tmp_path / "nowhere", "--device", "cpu")
    code, _, errors = finished(process)
    assert code != 0
    lines = [line for line in errors.splitlines() if "neither a folder, nor a store" in line]
    assert sorted(line.partition(":")[0] for line in lines) in (
        ["Error", "[process 1] Error"],
        ["Error"],  # the launcher was quicker
        ["[process 1] Error"],
    )
