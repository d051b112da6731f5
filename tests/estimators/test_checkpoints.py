"""Model files."""

import os
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from checkpoints import load_checkpoint, save_checkpoint

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.exceptions import DataError


def targets(kind, energies, labels):
    names = np.array(["gap", "metal"])[labels]
    return {
        CGCNNRegressor: energies,
        CGCNNClassifier: names,
        CGCNNMultiTask: list(zip(energies, names, strict=True)),
    }[kind]


@pytest.mark.parametrize("kind", [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask])
def test_round_trip_goes_on_to_the_bit(kind, tiny, graphs, energies, labels, tmp_path):
    y = targets(kind, energies, labels)
    est = kind(**tiny).fit(graphs, y)
    save_checkpoint(est, tmp_path / "model.pth.tar", {"best_epoch": 1})
    loaded, run = load_checkpoint(tmp_path / "model.pth.tar", device="cpu")
    assert run == {"best_epoch": 1}
    assert loaded.get_params() == est.get_params()
    np.testing.assert_array_equal(loaded.predict(graphs), est.predict(graphs))
    assert loaded.history_[:, "train_loss"] == est.history_[:, "train_loss"]
    for model in (est, loaded):
        model.partial_fit(graphs, y)
    np.testing.assert_array_equal(loaded.predict(graphs), est.predict(graphs))
    assert loaded.n_iter_ == 3


def test_a_failed_write_leaves_the_old_file(tiny, graphs, energies, tmp_path, monkeypatch):
    file = tmp_path / "model.pth.tar"
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    save_checkpoint(est, file, {})
    before = file.read_bytes()

    def full(content, handle):
        handle.write(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(est, file, {})
    assert file.read_bytes() == before


class Malicious:
    def __reduce__(self):
        return os.mkdir, (os.environ["SKCGCNN_TEST_MARK"],)


@pytest.mark.parametrize("load", [skcgcnn.load, CGCNNRegressor.from_pretrained])
def test_files_that_are_no_models(load, tmp_path, monkeypatch):
    monkeypatch.setenv("SKCGCNN_TEST_MARK", str(tmp_path / "executed"))
    (tmp_path / "junk.pth.tar").write_bytes(b"junk")
    (tmp_path / "empty.pth.tar").touch()
    (tmp_path / "pickle.pth.tar").write_bytes(pickle.dumps(Malicious()))
    torch.save({"args": {}, "state_dict": Malicious()}, tmp_path / "malicious.pth.tar")
    torch.save([1, 2], tmp_path / "list.pth.tar")
    torch.save({"args": {"task": "regression"}}, tmp_path / "incomplete.pth.tar")
    for name in ("junk", "empty", "pickle", "malicious", "list", "incomplete", "missing"):
        with pytest.raises(DataError, match=rf"{name}\.pth\.tar: "):
            load(tmp_path / f"{name}.pth.tar")
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_architecture(tiny, graphs, energies, tmp_path):
    file = tmp_path / "model.pth.tar"
    save_checkpoint(CGCNNRegressor(**tiny).fit(graphs, energies), file, {})
    content = torch.load(file, weights_only=True)
    content["state_dict"].pop("convs.0.bn1.weight")
    torch.save(content, file)
    with pytest.raises(DataError, match=r"weights missing: \['convs\.0\.bn1\.weight'\]"):
        load_checkpoint(file)
    content["skcgcnn"]["params"]["atom_fea_len"] = 9
    torch.save(content, file)
    with pytest.raises(DataError, match="size mismatch"):
        load_checkpoint(file)


def test_official_file_is_told_from_ours(reference, tiny, graphs, energies, tmp_path):
    est = skcgcnn.load(reference / "pre-trained" / "band-gap.pth.tar")
    assert isinstance(est, CGCNNRegressor)
    assert est.target_names_ == ["band-gap"]
    assert (est.n_conv, est.h_fea_len, est.radius) == (4, 32, 8.0)
    named = pd.Series(energies, name="e")
    save_checkpoint(CGCNNRegressor(**tiny).fit(graphs, named), tmp_path / "m")
    assert skcgcnn.load(tmp_path / "m").target_names_ == ["e"]


def test_a_model_without_training_state(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    save_checkpoint(est, tmp_path / "model", training=False)
    np.testing.assert_array_equal(
        skcgcnn.load(tmp_path / "model").predict(graphs), est.predict(graphs)
    )
    content = torch.load(tmp_path / "model", weights_only=True)
    assert set(content) == {"skcgcnn", "epoch", "state_dict"}


def test_joblib_files(tiny, graphs, Y, energies, tmp_path):
    joblib.dump(CGCNNMultiTask(**tiny).fit(graphs, Y), tmp_path / "multi.joblib")
    assert skcgcnn.load(tmp_path / "multi.joblib", trust_pickle=True).target_names_ == ["y0", "y1"]
    joblib.dump(CGCNNRegressor(**tiny).fit(graphs, energies), tmp_path / "one.pkl")
    assert skcgcnn.load(tmp_path / "one.pkl", trust_pickle=True).target_names_ == ["target"]
    joblib.dump(CGCNNRegressor(), tmp_path / "unfitted.joblib")
    with pytest.raises(DataError, match="not a fitted estimator"):
        skcgcnn.load(tmp_path / "unfitted.joblib", trust_pickle=True)
    (tmp_path / "junk.joblib").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be loaded by joblib"):
        skcgcnn.load(tmp_path / "junk.joblib", trust_pickle=True)
    with pytest.raises(DataError, match="a pickle can run code"):
        skcgcnn.load(tmp_path / "one.pkl")
