"""Fixtures that the tests share; what plain `pytest` leaves out, and how it says so."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from pymatgen.core import Lattice, Structure

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_classification, load_sample_regression
from skcgcnn.graphs import forget_files, load_element_features
from skcgcnn.modelfiles import PRETRAINED
from skcgcnn.nn import GraphNet

SHARED = Path(__file__).parents[2] / "shared"
DATA = Path(__file__).parent / "data"

# The networks here are small: threads would only wait for each other.
torch.set_num_threads(1)

# Few examples for people; CI has `--hypothesis-profile full`.
settings.register_profile("full", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("full"), max_examples=8)
settings.load_profile("quick")

TINY = {
    "conv": "gated",
    "net_params": {"schedule": "constant", "element_embedding": False},
    "atom_fea_len": 8,
    "n_conv": 1,
    "h_fea_len": 8,
    "max_epochs": 2,
    "batch_size": 8,
    "random_state": 0,
    "device": "cpu",
}
SLOW_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items):
    config = items[0].config
    slow = sum(item.get_closest_marker("slow") is not None for item in items)
    config.stash[SLOW_LEFT_OUT] = config.stash.get(SLOW_LEFT_OUT, 0) + slow


def pytest_sessionfinish(session):
    # A process of pytest-xdist tells the one that prints.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow"] = session.config.stash.get(SLOW_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    # Each process collects all tests.
    node.config.stash[SLOW_LEFT_OUT] = getattr(node, "workeroutput", {}).get("slow", 0)


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(SLOW_LEFT_OUT, 0):
        terminalreporter.section("slow tests")
        terminalreporter.line(
            f'{count} slow tests were left out: `pytest -m slow` runs them, `pytest -m ""` all.'
        )


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    """Forget the graphs of files that tests before have read."""
    forget_files()


@pytest.fixture(scope="session")
def shared():
    """Folder with reference data that stands beside the repository where it is developed."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data in ../shared")
    return SHARED


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Folder with the official weights, ten CIFs, and what the original code predicts for them.

    Without ../shared, weights that the original code made in training stand in for the official
    ones: see ``tests/data/README.md``.
    """
    if SHARED.is_dir():
        yield SHARED / "reference"
        return
    folder = tmp_path_factory.mktemp("reference")
    shutil.copytree(DATA / "sample-cifs", folder / "sample-cifs")
    (folder / "pre-trained").mkdir()
    table = load_element_features()
    features = {z: table.mean([(z, 1.0)]).tolist() for z in range(1, len(table) + 1)}
    (folder / "atom_init.json").write_text(json.dumps(features))
    with (DATA / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with pytest.MonkeyPatch.context() as patch:
        for name, model in list(PRETRAINED.items()):
            ours = "metal" if model.task == "classification" else "energy"
            content = (DATA / "pre-trained" / f"{ours}.pth.tar").read_bytes()
            (folder / "pre-trained" / f"{name}.pth.tar").write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            patch.setitem(PRETRAINED, name, model._replace(sha256=digest))
            for row in rows:
                row[name] = row[ours]
        with (folder / "official_predictions_sample.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["cif_id", *PRETRAINED], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        yield folder


@pytest.fixture(scope="session")
def sample():
    """24 bundled crystals, every seventh: paths, energies, labels."""
    energies, labels = load_sample_regression(), load_sample_classification()
    chosen = slice(0, 24 * 7, 7)
    return energies.data[chosen], energies.target[chosen], labels.target[chosen]


@pytest.fixture(scope="session")
def cifs(sample):
    return sample[0]


@pytest.fixture(scope="session")
def energies(sample):
    return sample[1]


@pytest.fixture(scope="session")
def labels(sample):
    return sample[2]


@pytest.fixture(scope="session")
def Y(energies, labels):
    return np.column_stack([energies, labels])


@pytest.fixture(scope="session")
def graphs(cifs):
    return CrystalGraphTransformer().fit_transform(cifs)


@pytest.fixture
def let_into_memory(monkeypatch):
    """Return a function that says how many bytes of graphs in a file are in memory at a time.

    These constants are patched, for files of several windows of 32 MB, or of selections of more
    than 64 MB, would take minutes to train on.
    """

    def let(window, selection=None):
        monkeypatch.setattr("skcgcnn.graphs._mapped.WINDOW_BYTES", window)
        if selection is not None:
            monkeypatch.setattr("skcgcnn.graphs._select._MOST_IN_MEMORY", selection)

    return let


@pytest.fixture
def nacl():
    # Written out: pymatgen makes the group's operations anew each time, in most of a second.
    sodium = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    coords = np.concatenate([sodium, (sodium + 0.5) % 1])
    return Structure(Lattice.cubic(5.64), 4 * ["Na"] + 4 * ["Cl"], coords)


@pytest.fixture
def tiny():
    """Parameters of a network that trains in no time."""
    return dict(TINY)


@pytest.fixture(scope="session")
def fitted_regressor(graphs, energies):
    """Tiny estimators that are fitted once: tests use them and leave them as they are."""
    return CGCNNRegressor(**TINY).fit(graphs, energies)


@pytest.fixture(scope="session")
def fitted_classifier(graphs, labels):
    return CGCNNClassifier(**TINY).fit(graphs, np.array(["gap", "metal"])[labels])


@pytest.fixture(scope="session")
def fitted_multitask(graphs, energies, labels):
    names = np.array(["gap", "metal"])[labels]
    return CGCNNMultiTask(**TINY).fit(graphs, list(zip(energies, names, strict=True)))


@pytest.fixture
def ctrl_c_in_the_second_epoch(monkeypatch):
    """Not in a callback: there it asks for an end of the training, which is no error."""
    train_step = GraphNet.train_step

    def interrupted(net, batch, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt
        return train_step(net, batch, **kwargs)

    monkeypatch.setattr(GraphNet, "train_step", interrupted)
