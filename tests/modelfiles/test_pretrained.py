"""Official models: by name, from a loopback server, and in the official layout again."""

import csv
import gzip
import hashlib
import io
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphTransformer, load_element_features
from skcgcnn.modelfiles import _pretrained as pretrained
from skcgcnn.modelfiles import describe_model, read_model_file

NAMES = sorted(pretrained.PRETRAINED)


@pytest.fixture
def official_sets(reference, tmp_path):
    """Return paths of the reference crystals, and the official predictions for them."""
    paths, rows = [], []
    for table in ("sample", "perov5") if SHARED.is_dir() else ("sample",):
        with (reference / f"official_predictions_{table}.csv").open() as file:
            found = list(csv.DictReader(file))
        rows += found
        folder = reference / "sample-cifs" if table == "sample" else tmp_path
        paths += [folder / f"{row['cif_id']}.cif" for row in found]
    if SHARED.is_dir():
        wanted = {path.stem for path in paths}
        text = gzip.decompress((SHARED / "data" / "perov5_val.csv.gz").read_bytes()).decode()
        for row in csv.DictReader(io.StringIO(text)):
            if row["material_id"] in wanted:
                (tmp_path / f"{row['material_id']}.cif").write_text(row["cif"])
    return paths, rows


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Return a function that serves a folder in the place of the official repository."""
    running = []

    def serve(folder):
        http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=http.serve_forever, daemon=True).start()
        running.append(http)
        monkeypatch.setattr(pretrained, "BASE_URL", f"http://127.0.0.1:{http.server_port}/")
        return http

    yield serve
    for http in running:
        http.shutdown()
        http.server_close()


@pytest.fixture
def offline(monkeypatch, server, tmp_path):
    """Let the address be one where nobody answers."""
    http = server(tmp_path)
    http.shutdown()
    http.server_close()


@pytest.fixture
def published(monkeypatch, tmp_path, server, tiny, graphs, energies):
    """Return a model that is published under an official name on the loopback server."""
    est = CGCNNRegressor(**tiny, recipe="paper").fit(graphs, energies)
    folder = tmp_path / "remote" / "pre-trained"
    folder.mkdir(parents=True)
    file = folder / "band-gap.pth.tar"
    est.save(file, layout="cgcnn")
    server(tmp_path / "remote")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    entry = pretrained.PRETRAINED["band-gap"]._replace(sha256=digest)
    monkeypatch.setitem(pretrained.PRETRAINED, "band-gap", entry)
    return est, file


def test_a_model_is_fetched_once_and_kept(published, graphs, tmp_path, monkeypatch):
    est, file = published
    home = tmp_path / "home"
    first = CGCNNRegressor.from_pretrained("band-gap", data_home=home, device="cpu")
    np.testing.assert_array_equal(first.predict(graphs), est.predict(graphs))
    kept = home / "pre-trained" / "band-gap.pth.tar"
    assert kept.read_bytes() == file.read_bytes()
    file.unlink()
    monkeypatch.setenv("SKCGCNN_DATA", str(home))
    again = skcgcnn.load("band-gap", device="cpu")
    np.testing.assert_array_equal(again.predict(graphs), est.predict(graphs))
    assert again.target_names_ == ["band-gap"]
    assert describe_model("band-gap")["official"].startswith("yes")


def test_a_file_that_is_not_the_official_one_is_refused(published, tmp_path):
    _, file = published
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"band-gap: could not be fetched.*hash"):
        CGCNNRegressor.from_pretrained("band-gap", data_home=tmp_path / "home")
    assert not (tmp_path / "home" / "pre-trained" / "band-gap.pth.tar").exists()


def test_a_damaged_file_is_fetched_again(published, tmp_path):
    _, file = published
    home = tmp_path / "home"
    kept = pretrained.fetch_pretrained("band-gap", home)
    kept.write_bytes(b"damaged")
    assert pretrained.fetch_pretrained("band-gap", home).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("bound", "cause"), [("_MOST_BYTES", "more than 0 bytes came"), ("_MOST_SECONDS", "after 0 s")]
)
def test_what_a_server_sends_is_bounded(published, tmp_path, monkeypatch, bound, cause):
    monkeypatch.setattr(pretrained, bound, 0)
    with pytest.raises(DataError, match=cause):
        pretrained.fetch_pretrained("band-gap", tmp_path / "home")
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@pytest.mark.usefixtures("offline")
def test_offline(tmp_path, graphs, energies):
    where = rf"put it at {tmp_path}/pre-trained/efermi\.pth\.tar.*SKCGCNN_DATA"
    with pytest.raises(DataError, match=where):
        CGCNNRegressor.from_pretrained("efermi", data_home=tmp_path)


def test_missing_on_the_server(server, tmp_path):
    server(tmp_path)
    with pytest.raises(DataError, match="404"):
        CGCNNRegressor.from_pretrained("efermi", data_home=tmp_path)


def test_names(tmp_path, monkeypatch, graphs, energies, tiny):
    with pytest.raises(DataError, match="bandgap: no such file, and none of the pretrained models"):
        CGCNNRegressor.from_pretrained("bandgap")
    with pytest.raises(DataError, match="'bandgap' is not a pretrained model"):
        pretrained.fetch_pretrained("bandgap")
    with pytest.raises(DataError, match="is a folder"):
        CGCNNRegressor.from_pretrained(tmp_path)
    # What stands in the folder comes first.
    monkeypatch.chdir(tmp_path)
    est = CGCNNRegressor(**tiny, recipe="paper").fit(graphs, energies)
    est.save("band-gap", layout="cgcnn")
    found = CGCNNRegressor.from_pretrained("band-gap", device="cpu")
    np.testing.assert_array_equal(found.predict(graphs), est.predict(graphs))


def predict(est, graphs):
    return est.predict_proba(graphs)[:, 1] if hasattr(est, "classes_") else est.predict(graphs)


@pytest.mark.parametrize("source", ["path", "name", "server"])
def test_official_predictions_and_round_trip(reference, official_sets, server, tmp_path, source):
    """All 8 models predict the official numbers, and their files survive loading and saving."""
    paths, rows = official_sets
    assert len(paths) == (310 if SHARED.is_dir() else 10)
    if source == "server":
        server(reference)
    home, copy = reference if source == "name" else tmp_path / "home", tmp_path / "copy.pth.tar"
    graphs = None
    for name in NAMES:
        kind = CGCNNClassifier if name == "semi-metal-classification" else CGCNNRegressor
        file = reference / "pre-trained" / f"{name}.pth.tar"
        if source == "path":
            est = skcgcnn.load(file)
        else:
            est = kind.from_pretrained(name, data_home=home, device="cpu")
        assert type(est) is kind
        graphs = est._to_graphs(paths) if graphs is None else graphs
        predicted = predict(est, graphs)
        expected = np.array([float(row[name]) for row in rows])
        assert np.abs(predicted - expected).max() < 1e-4
        est.save(copy, layout="cgcnn")
        old, new = read_model_file(file), read_model_file(copy)
        assert list(old.weights) == list(new.weights)
        for key, tensor in old.weights.items():
            assert torch.equal(tensor, new.weights[key]), key
        assert new.provenance.n_epochs == old.provenance.n_epochs
        (before,), (after,) = old.targets, new.targets
        assert (after.mean, after.scale) == (before.mean, before.scale)
        np.testing.assert_array_equal(predict(skcgcnn.load(copy), graphs), predicted)


def test_a_model_of_another_kind(reference):
    with pytest.raises(DataError, match=r"use CGCNNClassifier\.from_pretrained"):
        CGCNNRegressor.from_pretrained("semi-metal-classification", data_home=reference)
    with pytest.raises(DataError, match="not a CGCNNMultiTask"):
        CGCNNMultiTask.from_pretrained("band-gap", data_home=reference)


def test_pinned_hashes_are_those_of_the_files(shared, monkeypatch):
    reference = shared / "reference"
    monkeypatch.setattr(pretrained, "BASE_URL", "http://127.0.0.1:9/")
    for name in NAMES:
        # It is there already, so nothing is fetched, and nothing is written to a read-only folder.
        path = pretrained.fetch_pretrained(name, reference)
        assert path == reference / "pre-trained" / f"{name}.pth.tar"
        facts = describe_model(path)
        assert facts["official"].startswith("yes")
        assert pretrained.PRETRAINED[name].unit in facts["target"]


def official_layout(kind, tiny, graphs, energies, labels):
    """Return an estimator with the graphs of the original code, fitted."""
    est = kind(**{**tiny, "recipe": "paper", "n_conv": 2, "n_h": 2})
    return est.fit(graphs, energies if kind is CGCNNRegressor else labels)


@pytest.mark.parametrize("kind", [CGCNNRegressor, CGCNNClassifier])
def test_cgcnn2_predicts_our_numbers(kind, tiny, cifs, energies, labels, tmp_path):
    data, model = pytest.importorskip("cgcnn2.data"), pytest.importorskip("cgcnn2.model")
    table = load_element_features()
    features = {str(z): table.mean([(z, 1.0)]).tolist() for z in range(1, len(table) + 1)}
    (tmp_path / "atom_init.json").write_text(json.dumps(features))
    for path in map(Path, cifs):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    official = CrystalGraphTransformer(neighbor_ties="official").transform(cifs)
    est = official_layout(kind, tiny, official, energies, labels)
    est.save(tmp_path / "model.pth.tar", layout="cgcnn")

    saved = torch.load(tmp_path / "model.pth.tar", weights_only=True)
    crystals = data.CIFData_NoTarget(str(tmp_path))
    batch, _, ids = data.collate_pool([crystals[i] for i in range(len(crystals))])
    sizes = {name: saved["args"][name] for name in ("atom_fea_len", "n_conv", "h_fea_len", "n_h")}
    net = model.CrystalGraphConvNet(
        batch[0].shape[1], batch[1].shape[2], **sizes, classification=kind is CGCNNClassifier
    ).eval()
    net.load_state_dict(saved["state_dict"])
    with torch.no_grad():
        theirs = net(*batch)[0].double().numpy()
    paths = [tmp_path / f"{cif_id}.cif" for cif_id in ids]
    if kind is CGCNNClassifier:
        assert np.abs(np.exp(theirs) - est.predict_proba(paths)).max() < 1e-4
    else:
        normalizer = saved["normalizer"]
        theirs = theirs[:, 0] * normalizer["std"] + normalizer["mean"]
        assert np.abs(theirs - est.predict(paths)).max() < 1e-4


@pytest.mark.parametrize("kind", [CGCNNRegressor, CGCNNClassifier])
def test_saved_as_official_and_back(kind, tiny, graphs, energies, labels, tmp_path):
    names = np.array(["gap", "metal"])[labels]
    est = official_layout(kind, tiny, graphs, energies, names)
    est.save(tmp_path / "model.pth.tar", layout="cgcnn")
    again = skcgcnn.load(tmp_path / "model.pth.tar")
    np.testing.assert_array_equal(again.predict(graphs), est.predict(graphs))
    assert (again.n_iter_, again.n_samples_fit_) == (2, 24)
    assert again.graph_options_.neighbor_ties == "invariant"


def test_batch_counts_of_newer_original_code_are_kept(tiny, graphs, energies, tmp_path):
    path = tmp_path / "model.pth.tar"
    CGCNNRegressor(**tiny, recipe="paper").fit(graphs, energies).save(path, layout="cgcnn")
    content = torch.load(path, weights_only=True)
    assert not any("num_batches" in name for name in content["state_dict"])
    for number in (1, 2):
        content["state_dict"][f"convs.0.bn{number}.num_batches_tracked"] = torch.tensor(7)
    content["normalizer"] = {"mean": torch.tensor(1.5), "std": torch.tensor(2.5)}
    torch.save(content, path)
    est = skcgcnn.load(path)
    assert (est.target_mean_, est.target_scale_) == ([1.5], [2.5])
    est.save(path, layout="cgcnn")
    weights = torch.load(path, weights_only=True)["state_dict"]
    assert weights["convs.0.bn2.num_batches_tracked"] == 7


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"radius": 6.0}, r"radius=6\.0, but the original code"),
        ({"max_num_nbr": 8}, "max_num_nbr=8, but the original code"),
    ],
)
def test_what_the_original_cannot_have(params, match, tiny, cifs, energies, tmp_path):
    est = CGCNNRegressor(**tiny, recipe="paper", **params).fit(cifs, energies)
    with pytest.raises(ValueError, match=match):
        est.save(tmp_path / "model.pth.tar", layout="cgcnn")
    assert not list(tmp_path.iterdir())


def test_targets_that_the_original_cannot_have(tiny, graphs, energies, Y, tmp_path):
    path = tmp_path / "model.pth.tar"
    with pytest.raises(ValueError, match="CGCNNMultiTask"):
        CGCNNMultiTask(**tiny).fit(graphs, Y).save(path, layout="cgcnn")
    with pytest.raises(ValueError, match=r"has 2; leave layout out"):
        CGCNNRegressor(**tiny, recipe="paper").fit(graphs, Y).save(path, layout="cgcnn")
    with pytest.raises(ValueError, match=r"has 3; leave layout out"):
        CGCNNClassifier(**tiny).fit(graphs, np.arange(24) % 3).save(path, layout="cgcnn")


def test_a_description_tells_what_was_used(tiny, graphs, energies, tmp_path):
    params = {**tiny, "conv": "auto", "radius": 7.9}
    CGCNNRegressor(**params).fit(graphs, energies).save(tmp_path / "model.safetensors")
    network = describe_model(tmp_path / "model.safetensors")["network"]
    assert network.startswith("conv=edge, pooling=mean, atom_fea_len=8, n_conv=1")
    assert "auto" not in network


def test_a_server_that_does_not_answer_is_not_waited_for_longer(tmp_path, monkeypatch):
    asked = []

    def get(url, **options):
        asked.append((url, options["timeout"]))
        raise OSError("nobody answers")

    monkeypatch.setattr("requests.get", get)
    monkeypatch.delenv("SKCGCNN_DATA", raising=False)
    with pytest.raises(DataError) as caught:
        pretrained.fetch_pretrained("efermi", tmp_path)
    url = f"{pretrained.BASE_URL}pre-trained/efermi.pth.tar"
    assert set(asked) == {(url, 30)}
    assert str(caught.value) == (
        f"efermi: could not be fetched from {url} (nobody answers). Fetch it by other means and "
        f"put it at {tmp_path}/pre-trained/efermi.pth.tar, or name its folder's parent as "
        "data_home or in the environment variable SKCGCNN_DATA"
    )
