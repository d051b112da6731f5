"""The command line, and the training run behind it."""

import csv
import errno
import gzip
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import joblib
import numpy as np
import pytest
import torch
from checkpoints import load_checkpoint
from typer.testing import CliRunner

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.cli import app
from skcgcnn.datasets import load_id_prop
from skcgcnn.estimators import predict_targets
from skcgcnn.exceptions import StructureError
from skcgcnn.features import POTENTIALS, PotentialOutput
from skcgcnn.inspection import nearest_training_crystals
from skcgcnn.nn import GraphNet
from skcgcnn.training import Settings, split_rows, train
from skcgcnn.training._checkpoint import RunCheckpoint

# Drawing the report takes most of the time of a small run.
WITH_REPORT = ["--atom-fea-len", 8, "--n-conv", 1, "--h-fea-len", 8, "--device", "cpu", "-b", 8]
TINY = [*WITH_REPORT, "--no-report"]


@pytest.fixture
def data(tmp_path, cifs, Y):
    """Return a folder in the format of CGCNN with 24 crystals, in no particular order."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = ["cif_id,energy,metal"]
    for i, (path, (energy, label)) in enumerate(zip(cifs, Y, strict=True)):
        shutil.copy(path, folder / f"crystal{97 * i % 24}.cif")
        lines.append(f"crystal{97 * i % 24},{energy},{int(label)}")
    (folder / "id_prop.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Let results that are not told where to go be in a folder of the test."""
    monkeypatch.chdir(tmp_path)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def rows(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_multi_task_run(data, tmp_path):
    out = tmp_path / "out"
    text = run(
        *("train", data, "--task", "multi", "--cls-weight", 0.5, "--epochs", 3, "-o", out),
        *WITH_REPORT,
    )
    assert "Test results" in text
    assert {file.name for file in out.iterdir()} == {
        "checkpoint.pth.tar",
        "model.safetensors",
        "test_results.csv",
        "metrics.json",
        "history.csv",
        "report.html",
    }
    results = rows(out / "test_results.csv")
    assert list(results[0]) == [
        "cif_id", "energy", "energy_pred", "metal", "metal_pred", "metal_proba",
    ]  # fmt: skip
    # The rows stand in the data's order and hold the data's values.
    table = {row["cif_id"]: row for row in rows(data / "id_prop.csv")}
    ids = [row["cif_id"] for row in results]
    assert ids == [cif_id for cif_id in table if cif_id in ids]
    for row in results:
        assert float(row["energy"]) == pytest.approx(float(table[row["cif_id"]]["energy"]))
        assert row["metal"] == table[row["cif_id"]]["metal"]
        assert row["metal_pred"] == str(int(float(row["metal_proba"]) > 0.5))
    report = json.loads((out / "metrics.json").read_text())
    assert (report["n_train"], report["n_val"], report["n_test"]) == (20, 2, 2)
    errors = [float(row["energy"]) - float(row["energy_pred"]) for row in results]
    assert report["test"]["energy"]["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert set(report["test"]["metal"]) == {"accuracy", "f1", "roc_auc"}
    assert "Test results" in text
    assert re.search(r"energy\s+│\s+mae", text)
    assert f"All at a glance: {out / 'report.html'}" in text


def test_errors_of_small_numbers_are_shown(data, tmp_path):
    """They were 0.0000, as of energies in joules."""
    table = data / "id_prop.csv"
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    lines = [f"{name},{float(energy) * 1e-19},{label}" for name, energy, label in rows]
    table.write_text("\n".join([",".join(header), *lines]) + "\n")
    text = run("train", data, "--target", "energy", "--epochs", 1, "-o", tmp_path / "out", *TINY)
    mae = json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]["energy"]["mae"]
    assert f" {mae:.4g} " in text
    assert "0.0000" not in text


def test_groups_are_not_split(data, tmp_path):
    group_of = {row["cif_id"]: f"g{i // 3}" for i, row in enumerate(rows(data / "id_prop.csv"))}
    lines = ["cif_id,group", *(f"{cif_id},{group}" for cif_id, group in group_of.items())]
    (data / "groups.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    text = run("train", data, "--task", "multi", "--epochs", 1, "-o", out, *TINY)
    report = json.loads((out / "metrics.json").read_text())
    assert sum(report["n_groups"].values()) == 8
    assert "All at a glance" not in text  # without a report
    assert report["n_train"] + report["n_val"] + report["n_test"] == 24
    tested = [group_of[row["cif_id"]] for row in rows(out / "test_results.csv")]
    # Three crystals of every group that is tested: all there are.
    assert len(tested) == 3 * len(set(tested)) == 3 * report["n_groups"]["test"]
    assert "none is in two parts" in text
    # A run does not go on with other groups.
    (data / "groups.csv").write_text("\n".join(lines).replace("g1", "g0") + "\n")
    options = ["--task", "multi", "--epochs", 2, "--resume", out / "checkpoint.pth.tar"]
    assert "other crystals" in run("train", data, *options, code=2)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_single_task_runs(data, tmp_path, task):
    run("train", data, "--task", task, "--epochs", 2, "-o", tmp_path / "out", *TINY)
    header = list(rows(tmp_path / "out" / "test_results.csv")[0])
    assert (
        header
        == {
            "regression": ["cif_id", "energy", "energy_pred"],
            "classification": ["cif_id", "metal", "metal_pred", "metal_proba"],
        }[task]
    )


def test_the_best_epoch_has_the_lowest_validation_loss(data, tmp_path):
    out = tmp_path / "out"
    text = run("train", data, "--epochs", 5, "-o", out, *TINY)
    losses = [float(row["validation_loss"]) for row in rows(out / "history.csv")]
    report = json.loads((out / "metrics.json").read_text())
    assert report["best_epoch"] == int(np.argmin(losses)) + 1
    assert report["best_validation_loss"] == min(losses)
    best = report["best_epoch"]
    assert f"best epoch {best} (by the loss of 2 validation crystals)" in " ".join(text.split())
    assert load_checkpoint(out / "checkpoint.pth.tar")[0].n_iter_ == 5


def test_a_run_that_is_ended_has_the_best_epoch_so_far(data, tmp_path, monkeypatch):
    step = GraphNet.train_step

    def interrupted(net, *args, **kwargs):
        if len(net.history) == 9:
            raise KeyboardInterrupt
        return step(net, *args, **kwargs)

    monkeypatch.setattr(GraphNet, "train_step", interrupted)
    found = []
    for seed in range(3):
        out = tmp_path / str(seed)
        run("train", data, "--epochs", 9, "-o", out, "--seed", seed, "--lr", 0.1, *TINY, code=130)
        losses = load_checkpoint(out / "checkpoint.pth.tar")[0].history_[:, "valid_loss"]
        found.append(int(np.argmin(losses)) + 1)
        assert skcgcnn.load(out / "model.safetensors").n_iter_ == found[-1]
    assert min(found) < 8  # else the last was the best of all


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_the_command_predicts_what_fit_does(data, tmp_path, recipe):
    out = tmp_path / "out"
    settings = Settings(str(data), params={"recipe": recipe, "max_epochs": 3})
    run("train", data, "--recipe", recipe, "--epochs", 3, "-o", out, *TINY)
    paths, values = load_id_prop(data, return_X_y=True)
    energies = np.asarray(values[:, 0], dtype=float) if np.ndim(values) == 2 else values
    parts = split_rows(np.arange(len(paths)), settings.ratios(), seed=0)
    # Of one table: the order of its kinds of site decides how sums are rounded.
    graphs = CrystalGraphTransformer().transform(paths)
    X = {name: graphs[rows_] for name, rows_ in parts.items()}
    y = {name: energies[rows_] for name, rows_ in parts.items()}
    trained = skcgcnn.load(out / "model.safetensors")
    names = ("atom_fea_len", "n_conv", "h_fea_len", "batch_size")
    sizes = {name: getattr(trained, name) for name in names}
    est = CGCNNRegressor(recipe=recipe, max_epochs=3, random_state=0, **sizes)
    est.fit(X["train"], y["train"], validation_data=(X["val"], y["val"]))
    np.testing.assert_array_equal(trained.predict(X["test"]), est.predict(X["test"]))


def test_the_original_gets_the_model_it_can_have(data, tmp_path):
    out = tmp_path / "out"
    run("train", data, "--recipe", "paper", "--epochs", 2, "-o", out, *TINY)
    est, original = (skcgcnn.load(out / n) for n in ("model.safetensors", "model_best.pth.tar"))
    paths = load_id_prop(data).data
    np.testing.assert_allclose(original.predict(paths), est.predict(paths), rtol=1e-5)


def test_resume_gives_the_same_result_as_an_unbroken_run(data, tmp_path):
    options = ["--task", "multi", "--optim", "sgd", "--schedule", "constant", "--seed", 5, *TINY]
    run("train", data, *options, "--epochs", 5, "-o", tmp_path / "whole")
    run("train", data, *options, "--epochs", 2, "-o", tmp_path / "broken")
    file = tmp_path / "broken" / "checkpoint.pth.tar"
    shutil.copytree(tmp_path / "broken", tmp_path / "copy")
    assert "name the data to train on" in run("train", "--epochs", 5, code=2)
    run("train", "--epochs", 5, "--resume", file, "--no-report")  # on the same data
    copy = tmp_path / "copy" / "checkpoint.pth.tar"
    run("train", data, "--epochs", 5, "--resume", copy, "-o", tmp_path / "elsewhere", "--no-report")
    # It has all that was asked for: nothing is trained, and nothing is said to be.
    done = ["--epochs", 5, "--resume", file, "--no-report"]
    assert "5 epochs already" in run("train", data, *done, code=2)
    for name in ("test_results.csv", "metrics.json"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "broken" / name).read_bytes() == whole
        assert (tmp_path / "elsewhere" / name).read_bytes() == whole


def test_resume_refuses_another_run(data, tmp_path):
    out = tmp_path / "out"
    run("train", data, "--epochs", 1, "-o", out, *TINY)
    file = out / "checkpoint.pth.tar"
    assert "--lr auto, not 0.1" in run("train", data, "--resume", file, "--lr", 0.1, code=2)
    message = run("train", data, "--resume", file, "--target", "energy", code=2)
    assert "--target none, not energy; leave the option as it was" in " ".join(message.split())
    lines = (data / "id_prop.csv").read_text().splitlines()
    (data / "id_prop.csv").write_text("\n".join(lines[:-1]))
    message = run("train", data, "--resume", file, code=2)
    assert f"other crystals or targets than those in {data}; restore them, or begin a" in message


def test_resume_refuses_other_crystals_under_the_same_names(data, tmp_path):
    out = tmp_path / "out"
    run("train", data, "--epochs", 1, "-o", out, *TINY)
    # Other paths and times of change, and another order of lines, are no other crystals.
    copy = shutil.copytree(data, tmp_path / "copy")
    run("train", copy, "--epochs", 2, "--resume", out / "checkpoint.pth.tar", *TINY[-1:])
    cif = data / "crystal7.cif"
    cif.write_bytes((data / "crystal8.cif").read_bytes())
    message = run("train", data, "--epochs", 3, "--resume", out / "checkpoint.pth.tar", code=2)
    assert "other crystals than those in" in message
    assert not (out / "report.html").exists()


def test_resume_refuses_other_features_of_the_elements(data, tmp_path):
    file = data / "atom_init.json"
    features = {str(z): [z / 100, z % 7, 1.0] for z in range(1, 101)}
    file.write_text(json.dumps(features))
    run("train", data, "--epochs", 1, "-o", tmp_path / "out", *TINY)
    resume = ("train", data, "--resume", tmp_path / "out" / "checkpoint.pth.tar", "--no-report")
    file.write_text(json.dumps({**features, "11": [0.5, 0.5, 0.5]}))
    assert "other features of the elements" in run(*resume, "--epochs", 2, code=2)
    file.write_text(json.dumps(features, indent=2))
    run(*resume, "--epochs", 2)


def test_a_checkpoint_is_all_that_resume_needs(data, tmp_path):
    run("train", data, "--epochs", 2, "-o", tmp_path / "own", *TINY)
    run("train", data, "--epochs", 2, "--seed", 2, "-o", tmp_path / "other", *TINY)
    shutil.copytree(tmp_path / "own", tmp_path / "without")
    (tmp_path / "without" / "model.safetensors").unlink()
    shutil.copytree(tmp_path / "own", tmp_path / "mixed")
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "mixed")
    for name in ("own", "without", "mixed"):
        file = tmp_path / name / "checkpoint.pth.tar"
        run("train", data, "--epochs", 3, "--resume", file, "--no-report")
    for name in ("test_results.csv", "metrics.json"):
        written = {(tmp_path / run / name).read_bytes() for run in ("own", "without", "mixed")}
        assert len(written) == 1


def test_a_run_that_is_interrupted_at_once_names_no_checkpoint_of_an_earlier_one(
    data, tmp_path, monkeypatch
):
    run("train", data, "--epochs", 2, "-o", tmp_path, *TINY)
    monkeypatch.setattr(GraphNet, "run", Mock(side_effect=KeyboardInterrupt))
    again = ("train", data, "--epochs", 3, "-o", tmp_path, *TINY)
    assert "Continue" not in run(*again, "--overwrite", code=130)
    own = ("train", "--epochs", 3, "--resume", tmp_path / "checkpoint.pth.tar")
    assert "Continue with: skcgcnn train --resume" in run(*own, code=130)


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda c: c.update(history="[1, 2]"), "'int' object is not iterable"),
        (lambda c: c.update(history="[]"), "a history of 0 epochs, where 2 were"),
        (lambda c: c["run"].update(settings=[]), "not a checkpoint of a training run"),
        (lambda c: c["run"]["settings"].update(params=None), "not a checkpoint of a training run"),
        (lambda c: _keep(c, "exp_avg", torch.zeros(3)), "exp_avg of the optimizer is (3,)"),
        (lambda c: _keep(c, "exp_avg", torch.zeros(())), "exp_avg of the optimizer is ()"),
        (lambda c: _keep(c, "step", torch.zeros(0)), "step of the optimizer is (0,)"),
    ],
)
def test_resume_refuses_forged_checkpoints(data, tmp_path, forge, message):
    run("train", data, "--epochs", 2, "-o", tmp_path, *TINY)
    checkpoint = tmp_path / "checkpoint.pth.tar"
    content = torch.load(checkpoint, weights_only=True)
    forge(content)
    torch.save(content, checkpoint)
    found = run("train", data, "--epochs", 3, "--resume", checkpoint, code=2)
    assert message in " ".join(found.split())


def _keep(content, name, value):
    """Put a value into what the optimizer keeps of each weight."""
    for kept in content["optimizer"]["state"].values():
        kept[name] = value


def test_resume_refuses_a_checkpoint_without_its_best_epoch(data, tmp_path):
    run("train", data, "--epochs", 2, "-o", tmp_path, *TINY)
    checkpoint = tmp_path / "checkpoint.pth.tar"
    resume = ("train", data, "--epochs", 3, "--resume", checkpoint)
    content, whole = torch.load(checkpoint, weights_only=True), checkpoint.read_bytes()
    forged = dict(content, best_state_dict=dict(content["best_state_dict"]))
    name, tensor = next(iter(forged["best_state_dict"].items()))
    for value, message in (
        (tensor[:1], "the best epoch has other layers"),
        (tensor.double(), "the best epoch has other layers"),
        (torch.full_like(tensor, torch.nan), "holds a number that is not finite"),
    ):
        forged["best_state_dict"][name] = value.clone()
        torch.save(forged, checkpoint)
        assert message in run(*resume, code=2)
    del forged["best_state_dict"]
    torch.save(forged, checkpoint)
    assert "lacks its best epoch" in run(*resume, code=2)
    for epoch in (0, 3, -1, "1", None):
        content["run"]["best_epoch"] = epoch
        torch.save(content, checkpoint)
        assert f"has 2 epochs, but names {epoch!r} as the best" in run(*resume, code=2)
    del content["run"]["best_epoch"]
    torch.save(content, checkpoint)
    assert "is a model, but not a checkpoint of a training run" in run(*resume, code=2)
    checkpoint.write_bytes(whole)
    run(*resume, "--no-report")


def test_seed_and_data_decide_the_result(data, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("train", data, "--epochs", 1, "--seed", seed, "-o", tmp_path / name, *TINY)
    first, same, other = (
        (tmp_path / name / "test_results.csv").read_text() for name in ("a", "b", "c")
    )
    assert first == same != other


def _train(data, output):
    train(
        Settings(
            str(data),
            params={"atom_fea_len": 8, "n_conv": 1, "h_fea_len": 8, "max_epochs": 100_000},
        ),
        output,
        device="cpu",
        progress=False,
    )


@pytest.mark.slow
def test_a_killed_run_never_leaves_half_a_checkpoint(data, tmp_path):
    # A fork, since imports would take most of the time; torch runs on one thread in tests.
    fork = multiprocessing.get_context("fork")
    rng = np.random.default_rng(0)
    for number in range(3):
        output = tmp_path / f"run{number}"
        process = fork.Process(target=_train, args=(data, output))
        process.start()
        limit = time.monotonic() + 60
        while not (output / "checkpoint.pth.tar").exists():
            assert time.monotonic() < limit
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        for name in ("checkpoint.pth.tar", "model.safetensors"):
            assert skcgcnn.load(output / name, device="cpu").n_iter_ >= 1


def test_predict_from_a_folder_and_from_files(data, tmp_path):
    out = tmp_path / "out"
    run("train", data, "--task", "multi", "--epochs", 2, "-o", out, *TINY)
    model = out / "model.safetensors"
    run("predict", model, data, "-o", tmp_path / "all.csv")
    everything = rows(tmp_path / "all.csv")
    assert list(everything[0]) == ["cif_id", "energy_pred", "metal_pred", "metal_proba"]
    assert [row["cif_id"] for row in everything] == [
        row["cif_id"] for row in rows(data / "id_prop.csv")
    ]
    for row in rows(out / "test_results.csv"):
        again = next(found for found in everything if found["cif_id"] == row["cif_id"])
        assert float(again["energy_pred"]) == pytest.approx(float(row["energy_pred"]), rel=1e-5)
    (data / "id_prop.csv").unlink()
    run("predict", model, data, "-o", tmp_path / "sorted.csv")
    ids = [row["cif_id"] for row in rows(tmp_path / "sorted.csv")]
    assert ids == sorted(row["cif_id"] for row in everything)
    printed = run("predict", model, data / "crystal1.cif", data / "crystal0.cif")
    assert [line.split(",")[0] for line in printed.split()] == ["cif_id", "crystal1", "crystal0"]


def test_predict_with_a_joblib_file(data, tmp_path, tiny, graphs, Y):
    joblib.dump(CGCNNMultiTask(**tiny).fit(graphs, Y), tmp_path / "model.joblib")
    model = tmp_path / "model.joblib"
    assert "with --trust" in run("predict", model, data, code=2).replace(
        "trust_pickle=True (--trust)", "with --trust"
    )
    assert run("predict", model, data, "--trust").startswith("cif_id,y0_pred,y1_pred")


def test_predictions_of_many_are_those_of_few(cifs, tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny).fit(graphs, Y)
    few, many = predict_targets(est, graphs), predict_targets(est, cifs * 22)
    for some, repeated in zip(few, many, strict=True):
        assert repeated.target is some.target
        assert len(repeated.values) == 22 * 24
        np.testing.assert_allclose(repeated.values, np.tile(some.values, 22), rtol=1e-5)
    assert many[0].proba is None
    np.testing.assert_allclose(many[1].proba, np.tile(few[1].proba, (22, 1)), rtol=1e-5)


@pytest.mark.parametrize("names", [["gap", "metal"], [False, True], [3, 4]])
def test_predictions_of_many_where_some_cannot_be_read(cifs, tiny, graphs, labels, names, tmp_path):
    est = CGCNNClassifier(**tiny, on_error="nan").fit(graphs, np.array(names)[labels])
    (few,) = predict_targets(est, graphs)
    with pytest.warns(UserWarning, match="1 of 529"):
        (many,) = predict_targets(est, [*cifs * 22, tmp_path / "none.cif"])
    assert many.values[:-1].tolist() == 22 * few.values.tolist()
    assert np.isnan(many.values[-1])
    assert np.isnan(many.proba[-1]).all()


def test_predict_with_official_weights(reference, tmp_path):
    run(
        "predict",
        reference / "pre-trained" / "formation-energy-per-atom.pth.tar",
        reference / "sample-cifs",
        "-o",
        tmp_path / "out.csv",
    )
    official = {
        row["cif_id"]: float(row["formation-energy-per-atom"])
        for row in rows(reference / "official_predictions_sample.csv")
    }
    found = rows(tmp_path / "out.csv")
    assert len(found) == 10
    for row in found:
        value = float(row["formation-energy-per-atom_pred"])
        assert value == pytest.approx(official[row["cif_id"]], abs=1e-4)


def test_atom_features_of_the_folder_travel_with_the_model(data, tmp_path):
    table = {str(z): [float(z == other) for other in (11, 17, 29)] for z in range(1, 101)}
    (data / "atom_init.json").write_text(json.dumps(table))
    out = tmp_path / "out"
    run("train", data, "--epochs", 1, "-o", out, *TINY)
    (data / "atom_init.json").unlink()
    est = skcgcnn.load(out / "model.safetensors")
    assert est.graph_options_.n_features == 3
    assert "crystal0" in run("predict", out / "model.safetensors", data)


@pytest.fixture
def model(data, tmp_path):
    """Return a model of energies, of another size than the defaults, as a stranger may share it."""
    est = CGCNNRegressor(atom_fea_len=8, n_conv=2, h_fea_len=8, max_epochs=1, device="cpu")
    est.fit(*load_id_prop(data, return_X_y=True)[:1], np.arange(24.0))
    est.save(tmp_path / "model.safetensors", targets=["volume"], units=["Å³"])
    return tmp_path / "model.safetensors"


@pytest.mark.slow
def test_train_from_a_model(data, tmp_path, model):
    out = tmp_path / "out"
    options = ["--task", "multi", "--init-from", model, "--freeze", "convs", "--device", "cpu"]
    run("train", data, *options, "--epochs", 2, "-b", 8, "-o", out)
    est, start = skcgcnn.load(out / "model.safetensors"), skcgcnn.load(model)
    # The sizes are the model's, though others are the command's defaults.
    assert (est.atom_fea_len, est.n_conv, est.h_fea_len) == (8, 2, 8)
    for name, tensor in start.module_.state_dict().items():
        if name.startswith(("embedding", "convs")):
            assert torch.equal(est.module_.state_dict()[name], tensor)
    run("train", data, "--resume", out / "checkpoint.pth.tar", "--epochs", 4, "--device", "cpu")
    est = load_checkpoint(out / "checkpoint.pth.tar")[0]
    assert est.n_iter_ == 4
    weight = "convs.1.own.weight"
    assert torch.equal(est.module_.state_dict()[weight], start.module_.state_dict()[weight])
    message = run("train", data, "--resume", out / "checkpoint.pth.tar", "--freeze", 1, code=2)
    assert "--freeze convs, not 1" in message


@pytest.mark.slow
def test_a_finished_run_from_a_model_has_no_epochs_left(data, tmp_path):
    out = tmp_path / "out"
    options = ["--init-from", "chgnet-distilled", "--lr", 1e-30, "--device", "cpu"]
    run("train", data, *options, "-o", out)
    message = run("train", data, "--resume", out / "checkpoint.pth.tar", code=2)
    assert "has 40 epochs already" in message


def test_a_start_without_a_name(data):
    message = run("train", data, "--init-from", "", code=2)
    assert "'' names no model; expected a path" in " ".join(message.split())


def test_train_from_a_model_with_its_features(data, tmp_path):
    table = {str(z): [z / 100, 1.0] for z in range(1, 101)}
    (data / "atom_init.json").write_text(json.dumps(table))
    run("train", data, "--epochs", 1, "-o", tmp_path / "first", *TINY)
    (data / "atom_init.json").unlink()
    first = tmp_path / "first" / "model.safetensors"
    run("train", data, "--epochs", 1, "-o", tmp_path / "out", "--init-from", first, *TINY)
    assert skcgcnn.load(tmp_path / "out" / "model.safetensors").graph_options_.n_features == 2


def test_predict_with_a_saved_model(data, model):
    printed = run("predict", model, data)
    assert printed.startswith("cif_id,volume_pred\n")
    assert len(printed.split()) == 25


def test_predict_by_name(reference, tmp_path):
    out = tmp_path / "out.csv"
    run(
        "predict", "semi-metal-classification", reference / "sample-cifs",
        "--data-home", reference, "-o", out,
    )  # fmt: skip
    name = "semi-metal-classification"
    with (reference / "official_predictions_sample.csv").open() as file:
        official = {row["cif_id"]: float(row[name]) for row in csv.DictReader(file)}
    for row in rows(out):
        assert float(row[f"{name}_proba"]) == pytest.approx(official[row["cif_id"]], abs=1e-4)


def test_info(data, tmp_path, model):
    printed = run("info", model)
    for words in ("volume (Å³)", "24 crystals", "CGCNNRegressor", "n_conv=2", "skcgcnn model"):
        assert words in printed
    out = tmp_path / "out"
    run("train", data, "--task", "multi", "--epochs", 1, "-o", out, *TINY)
    printed = run("info", out / "model.safetensors")
    report = json.loads((out / "metrics.json").read_text())
    for words in ("energy, unit not recorded", "metal, classes 0, 1", "20 crystals"):
        assert words in printed
    assert re.search(rf"test mae of energy +{report['test']['energy']['mae']:.6g}\n", printed)


def test_bad_atom_features_name_the_file(data, tmp_path):
    (data / "atom_init.json").write_text("{")
    message = run("train", data, "-o", tmp_path / "out", *TINY, code=2)
    assert "atom_init.json: not a JSON file" in message


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"WORLD_SIZE": "4", "RANK": "2"}, "[process 2] "),
        ({"WORLD_SIZE": "4", "RANK": "0"}, ""),
        ({"WORLD_SIZE": "1", "RANK": "2"}, ""),
        ({"WORLD_SIZE": "four", "RANK": "2"}, ""),
    ],
)
def test_errors_name_the_process_if_there_are_several(environment, named, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run("info", "nowhere", code=2).startswith(f"{named}Error: ")


def test_labels_that_floats_do_not_tell_apart_are_refused(data):
    lines = (data / "id_prop.csv").read_text().splitlines()
    ids = [line.split(",")[0] for line in lines[1:]]
    rows_ = [f"{cif_id},{2**53 + i % 2}" for i, cif_id in enumerate(ids)]
    (data / "id_prop.csv").write_text("\n".join(["cif_id,kind", *rows_]))
    said = run("train", data, "--task", "classification", *TINY, code=2)
    assert "floats as large as that do not tell one whole number from the next" in said


def test_text_labels(data, tmp_path):
    text = (data / "id_prop.csv").read_text()
    text = re.sub(
        ",1$", ",metal", re.sub(",0$", ",gap", text, flags=re.MULTILINE), flags=re.MULTILINE
    )
    (data / "id_prop.csv").write_text(text)
    for task in ("multi", "classification"):
        run("train", data, "--task", task, "--epochs", 1, "-o", tmp_path / task, *TINY)
        found = rows(tmp_path / task / "test_results.csv")
        assert {row["metal_pred"] for row in found} <= {"metal", "gap"}


def test_missing_targets(data, tmp_path):
    lines = (data / "id_prop.csv").read_text().splitlines()
    for i in range(1, len(lines), 4):
        lines[i] = lines[i].rsplit(",", 1)[0] + ","
    (data / "id_prop.csv").write_text("\n".join(lines))
    run("train", data, "--task", "multi", "--epochs", 1, "-o", tmp_path / "out", *TINY)
    # Those of one target are left out and counted.
    text = run(
        *("train", data, "--task", "classification", "--epochs", 1, "-o", tmp_path / "other"), *TINY
    )
    assert "6 of 24 crystals have no metal and are left out, the first is 'crystal0'" in text
    assert "14 crystals trained, 2 validated, 2 tested" in " ".join(text.split())


def test_mistakes_are_told_with_what_to_do(data, tmp_path):
    train_it = ["train", data, "--epochs", 1, "-o", "out", *TINY]
    text = run(*train_it, "--label", "metal", code=2)
    assert "--label needs --task multi or classification, but the task is regression" in text
    assert "--cls-weight needs --task multi" in run(*train_it, "--cls-weight", 0.5, code=2)
    run(*train_it, "--target", "energy")
    assert "did you mean out/model.safetensors?" in run("predict", "out", data, code=2)
    predict = ["predict", "out/model.safetensors"]
    assert "newcifs: no such file or folder" in run(*predict, "newcifs", code=2)
    text = run(*predict, data, "--report", "r.html", "--training-data", "mydata", code=2)
    assert "--training-data mydata: no such file or folder" in text
    text = run(*predict, data, "-o", "one.html", "--report", "one.html", code=2)
    assert "one.html cannot be both the predictions and the report" in text
    (data / "id_prop.csv").rename(data / "my crystals.csv")
    assert "if it is my crystals.csv, rename that to id_prop.csv" in run(
        *train_it, "--overwrite", code=2
    )


def test_unreadable_crystals(data, tmp_path):
    (data / "crystal3.cif").write_text("junk")
    message = run("train", data, "--epochs", 1, "-o", tmp_path / "out", *TINY, code=2)
    assert "crystal3.cif: is not a well-formed CIF" in message
    assert not (tmp_path / "out").exists()
    text = run(
        "train", data, "--epochs", 1, "--on-error", "nan", "-o", tmp_path / "out", *TINY,
    )  # fmt: skip
    assert "Warning: 1 of 24" in text
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["n_train"] + report["n_val"] + report["n_test"] == 23
    printed = run("predict", tmp_path / "out" / "model.safetensors", data, "--on-error", "nan")
    assert "Warning: 1 of 24" in printed
    assert "crystal3,\n" in printed


def test_failures_are_those_of_the_run_beside_them(data, tmp_path):
    out, cif = tmp_path / "out", data / "crystal3.cif"
    sound = cif.read_bytes()
    cif.write_text("junk")
    run("train", data, "--epochs", 1, "--on-error", "nan", "-o", out, *TINY)
    failures = (out / "failures.csv").read_bytes()
    assert b"crystal3.cif" in failures
    cif.write_bytes(sound)
    # Refused: the results that stay are of the run before.
    message = run("train", "--resume", out / "checkpoint.pth.tar", "--epochs", 2, code=2)
    assert "other crystals than those in" in message
    assert (out / "failures.csv").read_bytes() == failures
    run("train", data, "--epochs", 1, "-o", out, "--overwrite", *TINY)
    assert not (out / "failures.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["train", "nowhere"], "neither a folder, nor a store, nor a bundled dataset (sample, "),
        (["train", "DATA", "--task", "ranking"], "ranking"),
        (["train", "DATA", "--resume", "MODEL"], "not a checkpoint of a training run"),
        (["train", "DATA", "--epochs", "0"], "epochs"),
        (["train", "DATA", "--train-ratio", "0.9", "--val-ratio", "0.2"], "sum to 1 at most"),
        (["train", "DATA", "--train-ratio", "0"], "must be above 0"),
        (["train", "DATA", "--resume", "none.pth.tar"], "none.pth.tar: no such file"),
        (["train", "DATA", "--lr", "0"], "option --lr"),
        (["predict", "none.pth.tar", "DATA"], "none.pth.tar: no such file"),
        (["predict", "DATA/id_prop.csv", "DATA"], "cannot be loaded as a model file"),
        (["predict", "band-gaps", "DATA"], "none of the pretrained models: chgnet-distilled, "),
        (["info", "DATA"], "is a folder, not a model file"),
        (["info", "DATA/id_prop.csv"], "cannot be loaded as a model file"),
        (["train", "DATA", "--init-from", "nowhere"], "nowhere: no such file"),
        (["train", "DATA", "--init-from", "none", "--freeze", "convs"], "without --init-from"),
        (["train", "DATA", "--freeze", "most"], "--freeze 'most': expected one of none, convs"),
        (["frobnicate"], "frobnicate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_ends_with_2_and_no_traceback(data, model, options, message):
    arguments = [o.replace("DATA", str(data)).replace("MODEL", str(model)) for o in options]
    output = run(*arguments, code=2)
    assert message in " ".join(output.replace("│", " ").split())
    assert "Traceback" not in output


def test_multi_needs_two_targets(data, tmp_path):
    lines = (data / "id_prop.csv").read_text().splitlines()
    (data / "id_prop.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines))
    assert "needs a column of numbers and one of classes" in run(
        "train", data, "--task", "multi", code=2
    )


def test_too_few_crystals(data):
    lines = (data / "id_prop.csv").read_text().splitlines()
    (data / "id_prop.csv").write_text("\n".join(lines[:3]))
    assert "2 crystals are too few" in run("train", data, code=2)


def test_help_is_there_without_torch():
    code = (
        "import sys; sys.argv = ['skcgcnn', '--help']\n"
        "from skcgcnn.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'torch', 'sklearn', 'pymatgen'} & set(sys.modules)))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "train" in printed
    assert printed.strip().endswith("[]")
    for command in ("train", "predict"):
        assert "--output" in run(command, "--help")
    assert "MODEL" in run("info", "--help")


# Nothing is lost.


def test_an_earlier_run_is_not_replaced(data, tmp_path):
    run("train", data, "--epochs", 1, *TINY)
    before = (tmp_path / "cgcnn_run" / "model.safetensors").read_bytes()
    run("train", data, "--epochs", 1, "--seed", 3, *TINY)
    assert (tmp_path / "cgcnn_run_2" / "metrics.json").exists()
    message = run("train", data, "--epochs", 1, "-o", "cgcnn_run", *TINY, code=2)
    assert "results of an earlier run" in message
    assert "--overwrite" in message
    assert (tmp_path / "cgcnn_run" / "model.safetensors").read_bytes() == before
    run("train", data, "--epochs", 1, "--seed", 3, "-o", "cgcnn_run", "--overwrite", *TINY)
    assert (tmp_path / "cgcnn_run" / "model.safetensors").read_bytes() != before


@pytest.mark.slow
def test_nothing_of_an_earlier_run_stays_beside_another_model(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    again = ("train", data, "-o", out, "--overwrite", "--seed", 3, *TINY)
    run("train", data, "--epochs", 1, "-o", out, *WITH_REPORT, "--folds", 2)
    for name in ("tune.log", "tune.html"):  # of a search
        (out / name).write_text("")
    assert "report.html" not in run(*again, "--epochs", 1)
    assert not (out / "report.html").exists()
    assert not (out / "cv_predictions.csv").exists()
    assert not list(out.glob("tune.*"))

    def interrupted(net, *args, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt
        return step(net, *args, **kwargs)

    step = GraphNet.train_step
    monkeypatch.setattr(GraphNet, "train_step", interrupted)
    run(*again, "--epochs", 4, code=130)
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "checkpoint.pth.tar"}


def _blocked(data, output, began, goes_on):
    """Train as the command does, but wait at the end of the first epoch."""

    def wait(*args, **kwargs):
        began.set()
        goes_on.wait(60)

    RunCheckpoint.on_epoch_end = wait  # of this process alone, which is a fork
    _train(data, output)


def test_two_runs_do_not_write_to_one_folder(data, tmp_path):
    fork = multiprocessing.get_context("fork")
    began, goes_on = fork.Event(), fork.Event()
    first = fork.Process(target=_blocked, args=(data, tmp_path / "one", began, goes_on))
    first.start()
    try:
        assert began.wait(60)
        again = ("train", data, "-o", "one", "--epochs", 1, *TINY)
        for command in (again, (*again, "--overwrite"), ("check", data, "--quick", "-o", "one")):
            message = run(*command, code=2)
            assert "another run writes its results there; choose another folder" in message
        assert not list((tmp_path / "one").iterdir())
    finally:
        first.kill()
        first.join()
    run("train", data, "-o", "one", "--epochs", 1, *TINY)


def test_a_run_that_ends_at_once_leaves_no_folder(data, tmp_path):
    run("train", data, "-o", "new/one", "--target", "other", *TINY, code=2)
    assert not (tmp_path / "new").exists()
    # It was there before, perhaps with permissions of its own.
    (tmp_path / "made").mkdir()
    run("train", data, "-o", "made", "--target", "other", *TINY, code=2)
    assert (tmp_path / "made").is_dir()


def test_all_rules_of_splits_are_told_in_lines_that_stay_whole(data, tmp_path):
    out = tmp_path / ("a folder with a name " * 5).strip()
    words = ["--splits", "all", "-o", out, "--epochs", 1, *TINY]
    told = run("train", data, *words).splitlines()
    assert f"Model, predictions and metrics are in {out}" in told
    others = {"composition", "structure", "prototype", "elements"}
    assert {line.split()[2].rstrip(":") for line in told if line.startswith("Split by")} == others
    assert set(json.loads((out / "metrics.json").read_text())["splits"]) == others


def test_a_learning_curve_of_too_few_crystals_is_told(data, tmp_path):
    words = [
        "train",
        data,
        "--target",
        "energy",
        "--learning-curve",
        "--epochs",
        1,
        "-o",
        "out",
        *TINY,
    ]
    text = run(*words, "--train-ratio", 0.5, "--val-ratio", 0.25, "--test-ratio", 0.25)
    assert "no learning curve for 12 crystals" in " ".join(text.split())


def test_predictions_do_not_replace_what_is_read(data, model, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(model)
    inputs = [model, data / "id_prop.csv", data / "crystal1.cif", link]
    for output in inputs:
        before = output.read_bytes()
        for source in (data, data / "crystal1.cif"):
            if output == data / "id_prop.csv" and source != data:
                continue
            said = run("predict", model, source, "-o", output, code=2)
            assert re.search("would be replaced|predictions are written as .csv", said)
        assert output.read_bytes() == before
    assert "is a folder" in run("predict", model, data, "-o", tmp_path, code=2)
    missing = tmp_path / "none" / "out.csv"
    assert "folder does not exist" in run("predict", model, data, "-o", missing, code=2)
    words = [
        "predict",
        model,
        data,
        "-o",
        "both.csv",
        "--report",
        tmp_path / "link" / ".." / "both.csv",
    ]
    (tmp_path / "link").unlink()
    (tmp_path / "link").mkdir()
    assert "both the predictions and the report" in run(*words, code=2)
    run("predict", model, data, "-o", "/dev/null")
    assert not os.path.isfile("/dev/null")  # noqa: PTH113


def test_a_full_disk_leaves_the_old_checkpoint(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run("train", data, "--epochs", 1, "-o", out, *TINY)
    before = (out / "checkpoint.pth.tar").read_bytes()
    fsync = os.fsync

    def full(number):
        if os.readlink(f"/proc/self/fd/{number}").find("checkpoint") > 0:  # noqa: PTH115
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)
    message = run("train", data, "--resume", out / "checkpoint.pth.tar", "--epochs", 2, code=2)
    assert "no space left" in message
    assert "Traceback" not in message
    assert (out / "checkpoint.pth.tar").read_bytes() == before
    assert not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("owner", "method"), [(GraphNet, "train_step"), (RunCheckpoint, "on_epoch_end")]
)
def test_an_interrupted_run_says_how_to_resume(data, tmp_path, monkeypatch, owner, method):
    usual = getattr(owner, method)

    def interrupted(*args, **kwargs):
        net = next(arg for arg in args if isinstance(arg, GraphNet))
        if len(net.history) == 3:
            raise KeyboardInterrupt
        return usual(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, interrupted)
        words = ("train", data, "--epochs", 4, "-o", tmp_path / "out", *TINY)
        result = CliRunner().invoke(app, [str(word) for word in words])
    assert (result.exit_code, result.stdout) == (130, "")
    message = result.stderr
    assert "Interrupted. Continue with: skcgcnn train " in message
    command = message[message.index("skcgcnn train") :].split()
    assert command[3] == "--resume"
    run(*command[1:], "--no-report")
    assert load_checkpoint(tmp_path / "out" / "checkpoint.pth.tar")[0].n_iter_ == 4
    # The schedule of the learning rate goes on where it was.
    run("train", data, "--epochs", 4, "-o", tmp_path / "whole", *TINY)
    broken, whole = (tmp_path / name / "test_results.csv" for name in ("out", "whole"))
    assert broken.read_bytes() == whole.read_bytes()


# What people have.


def test_predict_needs_no_targets_and_takes_several_sources(data, model, tmp_path, nacl):
    lines = (data / "id_prop.csv").read_text().splitlines()
    for edit in (lambda line: line.split(",")[0], lambda line: line.split(",")[0] + ",,"):
        (data / "id_prop.csv").write_text("\n".join(edit(line) for line in lines))
        assert len(run("predict", model, data).split()) == 25
    more = tmp_path / "more"
    more.mkdir()
    nacl.to(filename=str(more / "a.cif"))
    (more / "b.cif.gz").write_bytes(gzip.compress((more / "a.cif").read_bytes()))
    nacl.to(filename=str(more / "c.vasp"), fmt="poscar")
    (more / "notes.txt").write_text("no crystal")
    printed = run("predict", model, more, data / "crystal1.cif", more / "a.cif")
    ids = [line.split(",")[0] for line in printed.split()]
    assert ids == ["cif_id", "a", "b", "c", "crystal1", "a"]


@pytest.mark.parametrize("command", ["train", "predict"])
def test_a_missing_crystal_is_a_row_of_its_own(data, model, command, tmp_path):
    (data / "crystal3.cif").unlink()
    options = [] if command == "predict" else ["--epochs", 1, *TINY]
    arguments = [command, *([model, data] if command == "predict" else [data]), *options]
    assert "crystal3.cif" in run(*arguments, code=2)
    printed = run(*arguments, "--on-error", "nan")
    assert "Warning: 1 of 24" in printed
    assert "no such file" in printed


@pytest.mark.slow
def test_targets_by_name_on_the_command_line(data, tmp_path):
    table = rows(data / "id_prop.csv")
    lines = ["id,nsites,energy,metal"]
    lines += [f"{r['cif_id']},{i},{r['energy']},{r['metal']}" for i, r in enumerate(table)]
    (data / "id_prop.csv").write_text("\n".join(lines))
    assert "choose with --target NAME" in run("train", data, *TINY, code=2)
    options = ["--task", "multi", "--target", "energy", "--target", "nsites", "--label", "metal"]
    run("train", data, *options, "--epochs", 1, "-o", "out", *TINY)
    header = list(rows(tmp_path / "out" / "test_results.csv")[0])
    assert header[1::2][:3] == ["energy", "nsites", "metal"]
    run("train", data, "--resume", "out/checkpoint.pth.tar", "--epochs", 2, "--no-report")


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        (["--test-ratio", 0], (21, 3, 0)),
        (["--train-ratio", 0.9], (22, 1, 1)),
        (["--val-ratio", 0], (21, 0, 3)),
        (["--train-ratio", 0.5, "--test-ratio", 0.25], (12, 6, 6)),
    ],
)
def test_ratios_alone(data, tmp_path, options, sizes):
    run("train", data, "--epochs", 2, "-o", "out", *options, *TINY)
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert tuple(report[f"n_{part}"] for part in ("train", "val", "test")) == sizes
    if not sizes[1]:
        assert report["best_epoch"] == 2
    if not sizes[2]:
        assert rows(tmp_path / "out" / "test_results.csv") == []


@pytest.mark.parametrize("name", ["sample", "sample-regression", "sample-classification"])
def test_bundled_datasets_by_name(name, tmp_path):
    task = "classification" if "class" in name else "regression"
    run("train", name, "--task", task, "--epochs", 1, "-o", "out", *TINY, "-b", 128)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]
    assert list(found) == ["is_metal" if task == "classification" else "formation_energy"]


def test_the_original_sample_of_ten_crystals(reference, tmp_path):
    folder = tmp_path / "sample-regression"
    folder.mkdir()
    for path in (reference / "sample-cifs").glob("*.cif"):
        shutil.copy(path, folder)
    shutil.copy(reference / "atom_init.json", folder)
    lines = [f"{p.stem},{i / 10}" for i, p in enumerate(sorted(folder.glob("*.cif")))]
    (folder / "id_prop.csv").write_text("\n".join(lines))
    text = run("train", folder, "--epochs", 9, "--lr", 0.01, "-o", "out", *TINY)
    assert "by the loss of 1 validation crystal" in " ".join(text.split())
    assert skcgcnn.load("out/model.safetensors").n_iter_ > 1


# The terminal.


def test_version_and_help():
    assert run("--version").strip() == f"skcgcnn {skcgcnn.__version__}"
    helped = " ".join(run("train", "-h").replace("│", " ").split())
    for words in ("cgcnn_run, cgcnn_run_2, ...", "[default: (auto)]", "--overwrite"):
        assert words in helped
    assert "$SKCGCNN_DATA" in run("predict", "--help")
    assert "--install-completion" in run("--help")
    for command in ("train", "tune"):
        headings = re.findall("^╭─ (.*?) ─", run(command, "--help"), flags=re.MULTILINE)
        known = ["Arguments", "Options", "Training", "Network", "Crystals", "Machine", "Start"]
        assert headings == known


@pytest.mark.slow
def test_a_terminal_that_is_not_utf_8(data, model):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "TERM": "dumb"}
    code = "import sys; from skcgcnn.cli import main; sys.argv[0] = 'skcgcnn'; main()"
    for arguments in (["info", model], ["train", "--help"]):
        subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=environment,
            check=True,
            capture_output=True,
        )


def test_remarks_can_be_listed(data, tmp_path):
    for name in ("crystal1", "crystal2"):
        text = (data / f"{name}.cif").read_text()
        text = re.sub(r"_chemical_formula_sum.*", "_chemical_formula_sum 'Xe9 O1'", text)
        (data / f"{name}.cif").write_text(text)
    options = ["--epochs", 1, "--overwrite", "-o", "out", *TINY]
    printed = run("train", data, *options)
    assert "(and 1 more such); --remarks lists all" in " ".join(printed.split())
    printed = run("train", data, *options, "--remarks")
    assert printed.count("do not have its formula") == 2


def test_resuming_elsewhere_does_not_replace_another_run(data, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run("train", data, "--epochs", 1, "--seed", seed, "-o", name, *TINY)
    before = {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}
    options = ["--resume", "a/checkpoint.pth.tar", "-o", "b"]
    assert "--overwrite" in run("train", data, *options, "--epochs", 2, code=2)
    options += ["--overwrite", "--epochs", 1, "--no-report"]
    assert "has 1 epochs already" in run("train", data, *options, code=2)
    assert {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()} == before


def test_a_run_that_diverges_at_once(data):
    message = run(
        "train", data, "--epochs", 3, "--lr", 1e30, "--optim", "sgd", "-o", "out", *TINY, code=2
    )
    assert "training diverged in the first epoch; use a smaller --lr" in message


@pytest.mark.parametrize(
    "ratio", [0.2, *(pytest.param(ratio, marks=pytest.mark.slow) for ratio in (0.35, 0.7))]
)
def test_a_ratio_may_be_repeated_when_a_run_is_resumed(data, ratio):
    options = ["--train-ratio", ratio, "-o", "out"]
    run("train", data, "--epochs", 1, *options, *TINY)
    run("train", data, "--epochs", 2, *options, "--resume", "out/checkpoint.pth.tar", "--no-report")


def test_ids_alone_keep_a_missing_first_crystal(data, model):
    ids = [row["cif_id"] for row in rows(data / "id_prop.csv")]
    (data / "id_prop.csv").write_text("\n".join(ids))
    (data / f"{ids[0]}.cif").unlink()
    assert ids[0] in run("predict", model, data, code=2)
    printed = run("predict", model, data, "--on-error", "nan")
    assert f"{ids[0]},\n" in printed


def test_predictions_by_the_names_of_their_files(model, tmp_path, nacl):
    for name in ("a", "b"):
        (tmp_path / "all" / name).mkdir(parents=True)
        nacl.to(filename=str(tmp_path / "all" / name / "x.cif"))
    printed = run("predict", model, "all/a", "all/b")
    assert [line.split(",")[0] for line in printed.split()[1:]] == ["all/a/x.cif", "all/b/x.cif"]
    run("predict", model, "all", "-o", "p.csv.gz")
    with gzip.open("p.csv.gz", "rt") as file:
        assert [row["cif_id"] for row in csv.DictReader(file)] == ["a/x", "b/x"]


def test_predictions_are_counted(model, tmp_path, nacl):
    nacl.to(filename=str(tmp_path / "good.cif"))
    (tmp_path / "bad.cif").write_text("data_x\n")
    printed = run("predict", model, "good.cif", "bad.cif", "-o", "p.csv", "--on-error", "nan")
    assert "1 predictions in p.csv; empty cells for 1 that could not be read" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.cif", "-o", "p.xlsx"], "predictions are written as .csv, .csv.gz or .parquet"),
        (["x.cif", "-o", "other/model.safetensors"], "predictions are written as .csv"),
        (["all.zip"], "skcgcnn featurize all.zip --output STORE"),
    ],
)
def test_predict_says_what_to_do_instead(model, tmp_path, nacl, arguments, message):
    nacl.to(filename=str(tmp_path / "x.cif"))
    (tmp_path / "all.zip").write_bytes(b"")
    assert message in run("predict", model, *arguments, code=2)


def test_refused_runs_leave_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no such device" in run("train", data, *TINY, "--device", "cuda", "-o", "out", code=2)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert "file: is a file; name a folder" in run("train", data, *TINY, "-o", "file", code=2)
    options = ["--task", "classification", "--target", "energy"]
    assert "name the column of classes with --label" in run("train", data, *options, code=2)


def add_column(data, name, cells):
    lines = (data / "id_prop.csv").read_text().splitlines()
    lines = [f"{line},{cell}" for line, cell in zip(lines, [name, *cells], strict=True)]
    (data / "id_prop.csv").write_text("\n".join(lines) + "\n")


def test_crystals_unlike_the_training_are_told_in_the_table(data, tmp_path):
    run("train", data, "--target", "energy", "--epochs", 1, "-o", "out", *TINY)
    cifs = sorted(data.glob("*.cif"))
    (tmp_path / "known").mkdir()
    for path in cifs[:4]:
        shutil.copy(path, tmp_path / "known")
    model = tmp_path / "out" / "model.safetensors"
    run("predict", model, *cifs, "--training-data", tmp_path / "known", "-o", "p.csv")
    nearest = nearest_training_crystals(skcgcnn.load(model), cifs, cifs[:4], k=1)
    told = [row["unlike_training"] for row in rows(tmp_path / "p.csv")]
    assert told == [*map(str, nearest.is_outside)]
    assert {*told} == {"True", "False"}


def test_numbers_beside_the_crystals(data, tmp_path):
    add_column(data, "T", [300 + 10 * i for i in range(24)])
    options = ["--target", "energy", "--global-feature", "T", "--epochs", 2]
    run("train", data, *options, "-o", "out", *WITH_REPORT)
    model = tmp_path / "out" / "model.safetensors"
    assert skcgcnn.load(model).graph_options_.global_features == ("T",)
    assert re.search(r"needs beside each crystal +T\n", run("info", model))
    run("predict", model, data, "-o", "p.csv", "--report", "p.html", "--training-data", data)
    found = {row["cif_id"]: row for row in rows(tmp_path / "p.csv")}
    assert len(found) == 24
    # Of what it was trained on, nothing is unlike it.
    assert {row["unlike_training"] for row in found.values()} == {"False"}
    for row in rows(tmp_path / "out" / "test_results.csv"):
        again = float(found[row["cif_id"]]["energy_pred"])
        assert again == pytest.approx(float(row["energy_pred"]), rel=1e-5)
    # They make a difference, are those of the run, and are asked for.
    text = (data / "id_prop.csv").read_text()
    (data / "id_prop.csv").write_text(re.sub(r",(\d{3})$", r",9\1", text, flags=re.MULTILINE))
    run("predict", model, data, "-o", "hot.csv")
    hot = {row["cif_id"]: row["energy_pred"] for row in rows(tmp_path / "hot.csv")}
    assert all(hot[name] != row["energy_pred"] for name, row in found.items())
    resume = ["--resume", "out/checkpoint.pth.tar", "--epochs", 3]
    assert "other crystals or targets" in run("train", data, *resume, code=2)
    (data / "id_prop.csv").write_text(text)
    run("train", data, *resume, "--no-report")
    message = "has no column 'T'; the model was trained with T beside each crystal"
    assert message in " ".join(run("predict", model, data / "crystal1.cif", code=2).split())
    (data / "id_prop.csv").write_text(text.replace(",T\n", ",t\n"))
    assert message in " ".join(run("predict", model, data, code=2).split())


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("T", ["", *range(23)], "'crystal0' has no T; fill the cell"),
        ("T", ["hot"] * 24, "column 'T' holds texts; it should hold numbers"),
        ("pressure", range(24), "has no column 'T'; it has energy, metal, pressure"),
    ],
)
def test_numbers_beside_the_crystals_that_are_none(data, name, cells, message):
    add_column(data, name, cells)
    assert message in run("train", data, "--global-feature", "T", *TINY, code=2)


def test_numbers_beside_the_crystals_of_a_store(data, tmp_path):
    add_column(data, "T", range(24))
    run("featurize", data, "-o", "store", "-q")
    run("train", "store", "--global-feature", "T", "--epochs", 1, "-o", "out", *TINY)
    run("train", data, "--global-feature", "T", "--epochs", 1, "-o", "folder", *TINY)
    results = [(tmp_path / name / "test_results.csv").read_text() for name in ("out", "folder")]
    assert results[0] == results[1]
    run("predict", "out/model.safetensors", "store", "-o", "a.csv")
    run("predict", "out/model.safetensors", data, "-o", "b.csv")
    for ours, theirs in zip(rows(tmp_path / "a.csv"), rows(tmp_path / "b.csv"), strict=True):
        assert ours["cif_id"] == theirs["cif_id"]
        assert float(ours["energy_pred"]) == pytest.approx(float(theirs["energy_pred"]), abs=1e-5)


def write_units(data, units):
    """Give the table a row of units."""
    table = data / "id_prop.csv"
    header, body = table.read_text().split("\n", 1)
    table.write_text(f"{header}\n,{units}\n{body}")


def test_units_of_numbers_beside_the_crystals(data, tmp_path):
    """Kelvin and degrees are never mixed up, whether a folder or a store tells them."""
    add_column(data, "T", range(24))
    shutil.copytree(data, tmp_path / "celsius")
    shutil.copytree(data, tmp_path / "untold")
    write_units(data, "eV,,K")
    write_units(tmp_path / "celsius", "eV,,\u00b0C")
    for name, source in (("kelvin_store", data), ("celsius_store", "celsius")):
        run("featurize", source, "-o", name, "-q")
    options = ["--target", "energy", "--global-feature", "T", "--epochs", 1, *TINY]
    for source in (data, "kelvin_store"):
        run("train", source, *options, "-o", f"of_{source.name if source == data else source}")
    told = "was fitted with T in K; X has T in \u00b0C. Give the numbers in the units of the fit"
    for model in ("of_data/model.safetensors", "of_kelvin_store/model.safetensors"):
        assert re.search(r"needs beside each crystal +T \(K\)\n", run("info", model))
        for source in (data, "kelvin_store", "untold"):
            run("predict", model, source, "-o", "p.csv")
        for source in ("celsius", "celsius_store"):
            assert told in " ".join(run("predict", model, source, "-o", "p.csv", code=2).split())
    both = " ".join(run("predict", model, data, "celsius", "-o", "p.csv", code=2).split())
    assert "column 'T' is in \u00b0C, in" in both


def test_units_of_numbers_of_the_model_to_start_from(data):
    """The scale of Kelvin is copied with the weights: degrees do not go on with it."""
    add_column(data, "T", range(24))
    options = ["--target", "energy", "--global-feature", "T", "--epochs", 1, *TINY]
    write_units(data, "eV,,K")
    run("train", data, *options, "-o", "kelvin")
    start = ["--init-from", "kelvin/model.safetensors"]
    table = data / "id_prop.csv"
    text = table.read_text()
    table.write_text(text.replace(",K", ",\u00b0C"))
    told = " ".join(run("train", data, *options, *start, "-o", "celsius", code=2).split())
    assert "was fitted with T in K; X has T in \u00b0C. Give the numbers in the units" in told
    for untold in (text, text.replace("\n,eV,,K", "")):
        table.write_text(untold)
        run("train", data, *options, *start, "-o", "again", "--overwrite")


def test_a_unit_that_is_given_is_compared_with_that_of_the_table(data):
    write_units(data, "eV,")
    options = ["--target", "energy", "--epochs", 1, *TINY, "--overwrite", "-o", "out"]
    told = " ".join(run("train", data, *options, "--unit", "kJ/mol").split())
    assert "energy is in eV there, but --unit kJ/mol counts" in told
    assert "--unit" not in run("train", data, *options, "--unit", "eV")


def test_units_of_a_store(data, tmp_path):
    """A store keeps the units of its properties, for the results and for comparisons."""
    write_units(data, "eV,")
    run("featurize", data, "-o", "store", "-q")
    run("train", "store", "--target", "energy", "--epochs", 1, "-o", "out", *TINY)
    model = "out/model.safetensors"
    assert [target.unit for target in skcgcnn.load(model).targets_] == ["eV"]
    assert "energy: mean absolute error" in run("predict", model, "store", "-o", "p.csv")
    table = data / "id_prop.csv"
    table.write_text(table.read_text().replace("eV", "meV"))
    run("featurize", data, "-o", "other", "-q")
    told = " ".join(run("predict", model, "other", "-o", "p.csv").split())
    assert "energy: mean absolute error" not in told
    assert "not compared with energy: they are in eV, the table says meV" in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_told_before_crystals_are_read(data):
    told = run("train", data, *TINY, "--device", "cuda", code=2)
    assert "cuda" in told
    assert "crystals/s" not in told


def test_a_hint_is_what_can_be_typed(data):
    # A size of its own: the same hint is given once.
    told = run("train", data, "--epochs", 1, *TINY, "--atom-fea-len", 7)
    assert "--init-from none is the same" in " ".join(told.split())
    told = run("train", data, "--task", "multi", "--label", "metal", "--pooling", "sum", code=2)
    assert "--pooling sum is for numbers" in told
    assert "None" not in told


def test_predictions_are_compared_with_what_is_known(data, model):
    compared = "volume: mean absolute error"
    table = data / "id_prop.csv"
    table.write_text(table.read_text().replace("energy", "volume"))
    told = run("predict", model, data, "-o", "a.csv").split(compared)
    run("featurize", data, "-o", "store", "-q")
    assert run("predict", model, "store", "-o", "b.csv").split(compared)[1] == told[1].replace(
        "a.csv", "b.csv"
    )
    header, body = table.read_text().split("\n", 1)
    for unit, is_same in (("\u00c5\u00b3", True), ("nm\u00b3", False)):
        table.write_text(f"{header}\n,{unit},\n{body}")
        told = " ".join(run("predict", model, data, "-o", "c.csv").split())
        assert (compared in told) == is_same
        assert (f"they are in \u00c5\u00b3, the table says {unit}" in told) != is_same
    table.write_text(f"{header}\n{body}".replace("crystal3,", "crystal3,x"))
    rows_of_table = [line.split(",") for line in table.read_text().splitlines()]
    paths = [f"{data / row[0]}.cif,{row[1].lstrip('x')}" for row in rows_of_table[1:]]
    (data.parent / "t.csv").write_text("\n".join(["path,volume", *paths]))
    assert compared in run("predict", model, "t.csv", "-o", "d.csv")
    text = "\n".join(["path,volume", f"{paths[0]}x", *paths[1:]])
    (data.parent / "t.csv").write_text(text)
    told = " ".join(run("predict", model, "t.csv", "-o", "d.csv").split())
    assert compared not in told
    assert "predictions are not compared with volume" in told
    told = " ".join(run("predict", model, data, "-o", "c.csv").split())
    assert compared not in told
    assert "predictions are not compared with volume" in told
    assert "is not a number" in told


def test_results_name_files_whose_bytes_are_no_letters(data, model, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    try:
        os.link(data / "crystal1.cif", os.fsencode(folder) + b"/caf\xe9.cif")
    except OSError:
        pytest.skip("the file system allows letters alone")
    assert r"caf\udce9," in run("predict", model, folder)
    run("predict", model, folder, "-o", "a.parquet")
    run("predict", model, folder, "-o", "a.csv")
    assert [row["cif_id"] for row in rows(tmp_path / "a.csv")] == [r"caf\udce9"]
    os.link(data / "crystal1.cif", folder / "=1.cif")  # the same crystal
    assert r"caf\udce9: one crystal" in run("check", folder, "-o", "check", code=1)
    assert r"caf\udce9" in rows(tmp_path / "check" / "check.csv")[0]["ids"]
    assert rows(tmp_path / "check" / "check.csv")[0]["ids"].startswith("'=1;")
    (folder / "=1.cif").unlink()
    run("suggest", "li-vacancy", folder, "-o", "b.csv")
    assert rows(tmp_path / "b.csv")[0]["path"].endswith(r"caf\udce9.cif")
    for name in ("b.xlsx", "b.parquet", "b.csv.gz"):
        assert "written as .csv" in run("suggest", "li-vacancy", folder, "-o", name, code=2)


@pytest.mark.parametrize("text", ["", "path,T\n"])
def test_a_table_without_crystals(model, tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert "t.csv: holds no crystal" in run("predict", model, "t.csv", code=2)


def test_predict_for_a_table_of_paths(data, model, tmp_path):
    (tmp_path / "t.csv").write_text("id;path;T\nx;data/crystal1.cif;1\ny;data/crystal2;2\n")
    printed = run("predict", model, "t.csv", data / "crystal1.cif")
    lines = [line.split(",") for line in printed.split()]
    assert [line[0] for line in lines] == ["cif_id", "x", "y", "crystal1"]
    first, second, third = (float(line[1]) for line in lines[1:])
    assert first == pytest.approx(third)
    assert first != pytest.approx(second)
    run("train", data, "--target", "metal", "--global-feature", "energy", "-o", "out", *TINY,
        "--epochs", 1)  # fmt: skip
    assert "t.csv: has no column 'energy'" in run(
        "predict", "out/model.safetensors", "t.csv", code=2
    )
    (tmp_path / "t.csv").write_text("path,energy\ndata/crystal1.cif,1\n")
    assert "data/crystal1," in run("predict", "out/model.safetensors", "t.csv")
    (tmp_path / "t.csv").write_text("id,path,energy\nx,data/crystal1.cif,1\ny,data/crystal2,2 K\n")
    assert "'y' has '2 K' for energy; write a number" in run(
        "predict", "out/model.safetensors", "t.csv", "--on-error", "nan", code=2
    )
    content = (data / "crystal1.cif").read_text().replace('"', "'")
    (tmp_path / "t.csv").write_text(f'id,cif\nx,"{content}"\n')
    assert "skcgcnn featurize t.csv --output STORE" in " ".join(
        run("predict", model, "t.csv", code=2).split()
    )


def test_names_that_spreadsheets_would_run(data, tmp_path):
    text = (data / "id_prop.csv").read_text()
    for i in range(24):
        (data / f"crystal{i}.cif").rename(data / f"=c({i}).cif")
    text = re.sub(r"crystal(\d+)", r"=c(\1)", text)
    text = re.sub(",([01])$", r",@\1", text, flags=re.MULTILINE)
    (data / "id_prop.csv").write_text(text)
    run("train", data, "--task", "classification", "--epochs", 1, "-o", "out", *TINY)
    for row in rows(tmp_path / "out" / "test_results.csv"):
        assert row["cif_id"].startswith("'=c(")
        assert row["metal_pred"] in {"'@0", "'@1"}
    run("predict", "out/model.safetensors", data, "-o", data / "p.csv")
    # The written names are read back.
    (data / "p.csv").rename(data / "id_prop.csv")
    assert load_id_prop(data, label="metal_pred").cif_ids[0].startswith("=c(")
    run("featurize", data, "-o", "store", "-q")
    assert "\n'=c(1)," in run("predict", "out/model.safetensors", "store")


def test_a_search_refuses_options_of_other_tasks_as_a_training_does(data):
    for command in ("train", "tune"):
        message = run(command, data, "--label", "metal", code=2)
        assert "--label needs --task multi or classification" in message


def test_a_run_that_was_killed_after_its_last_epoch_is_completed(data, tmp_path):
    out = tmp_path / "out"
    run("train", data, "--epochs", 2, "-o", out, *TINY)
    expected = (out / "test_results.csv").read_bytes()
    again = ("train", data, "--resume", out / "checkpoint.pth.tar", "--no-report")
    assert "has 2 epochs already" in run(*again, code=2)
    for name in ("metrics.json", "test_results.csv"):
        (out / name).unlink()
    run(*again)
    assert (out / "test_results.csv").read_bytes() == expected
    assert json.loads((out / "metrics.json").read_text())["n_test"] > 0
    assert "has 2 epochs already" in run(*again, code=2)
    run(*again, "--splits", "composition")
    assert "composition" in json.loads((out / "metrics.json").read_text())["splits"]


def test_a_run_that_was_ended_before_its_report_is_completed(data, tmp_path):
    out = tmp_path / "out"
    run("train", data, "--epochs", 2, "-o", out, *TINY)
    before = (out / "test_results.csv").read_bytes()
    again = ("train", data, "--resume", out / "checkpoint.pth.tar")
    run(*again)
    assert (out / "report.html").exists()
    assert (out / "test_results.csv").read_bytes() == before
    assert "has 2 epochs already" in run(*again, code=2)


class Potential:
    """Stands for CHGNet: knows the heaviest element of a crystal, and nothing of cesium."""

    name = "CHGNet of a test"
    n_features = 1

    def compute(self, crystals):
        numbers = [[site[0][0] for site in crystal.species] for crystal in crystals]
        return [
            StructureError("holds cesium")
            if 55 in z
            else PotentialOutput(max(z), np.array([len(z)]), np.array(z), np.array(z) / 10)
            for z in numbers
        ]


def test_features_of_a_potential(data, tmp_path, monkeypatch):
    monkeypatch.setitem(POTENTIALS, "chgnet", Potential)
    options = ["--target", "energy", "--features", "chgnet", "--epochs", 1, *TINY]
    assert "holds cesium" in run("train", data, *options, code=2)
    add_column(data, "T", [300 + 10 * i for i in range(24)])
    options += ["--global-feature", "T", "--on-error", "nan"]
    assert "holds cesium" in run("train", data, *options, "-o", "out")
    model = tmp_path / "out" / "model.safetensors"
    names = ("T", *(f"chgnet_{name}" for name in ("energy", "moment_mean", "moment_max", "0")))
    assert skcgcnn.load(model).graph_options_.global_features == names
    # The command computes them for other crystals too, but where a table has them.
    assert "holds cesium" in run("predict", model, data, "--on-error", "nan", "-o", "a.csv")
    told = {row["cif_id"]: row["energy_pred"] for row in rows(tmp_path / "a.csv")}
    tested = {row["cif_id"]: row for row in rows(tmp_path / "out" / "test_results.csv")}
    for name, row in tested.items():
        assert float(told[name]) == pytest.approx(float(row["energy_pred"]), abs=1e-5)
    (lost,) = (name for name, value in told.items() if not value)
    resume = ["--resume", "out/checkpoint.pth.tar", "--epochs", 2, "--no-report"]
    assert "has no chgnet_energy" in run("train", data, *resume)
    for name in names[1:]:
        add_column(data, name, [7] * 24)
    run("predict", model, data, "-o", "b.csv")
    others = {row["cif_id"]: row["energy_pred"] for row in rows(tmp_path / "b.csv")}
    assert others[lost]
    assert all(others[name] != value for name, value in told.items())
    run("featurize", data, "-o", "store", "-q")
    run("predict", model, "store", "-o", "c.csv")
    assert "has the name of a feature" in run(
        "train", data, *options, "--global-feature", "chgnet_0", code=2
    )


def test_crystals_that_change_behind_a_potential_are_refused(data, tmp_path, monkeypatch):
    files = sorted(data.glob("*.cif"))

    class Late(Potential):
        def compute(self, crystals):
            files[-1].write_bytes(files.pop(0).read_bytes())
            return super().compute(crystals)

    options = ["--target", "energy", "--features", "chgnet", "--epochs", 1, *TINY]
    options += ["--on-error", "nan"]
    monkeypatch.setitem(POTENTIALS, "chgnet", Potential)
    run("train", data, *options, "-o", "out")
    monkeypatch.setitem(POTENTIALS, "chgnet", Late)
    monkeypatch.setattr("skcgcnn.features._potential_features._ROWS", {})
    changed = "was changed after the crystals were read first; run the command again"
    for command in (
        ("train", data, *options, "-o", "again"),
        ("predict", "out/model.safetensors", data, "--on-error", "nan", "-o", "p.csv"),
        ("predict", "out/model.safetensors", data, "--on-error", "nan", "--report", "p.html"),
    ):
        assert changed in " ".join(run(*command, code=2).split())
    assert not list(tmp_path.glob("p.*"))


def test_a_store_has_no_crystals_for_a_potential(data, monkeypatch):
    monkeypatch.setitem(POTENTIALS, "chgnet", Potential)
    run("featurize", data, "-o", "store", "-q")
    assert "holds graphs and no crystals" in run(
        "train", "store", "--target", "energy", "--features", "chgnet", *TINY, code=2
    )


def test_a_blank_number_of_a_store_is_a_crystal_that_cannot_be_read(data, tmp_path):
    add_column(data, "T", range(24))
    options = ["--target", "energy", "--global-feature", "T", "--epochs", 1, *TINY]
    run("train", data, *options, "-o", "out")
    table = data / "id_prop.csv"
    table.write_text(re.sub(r",3$", ",", table.read_text(), flags=re.MULTILINE))
    run("featurize", data, "-o", "store", "-q")
    model = tmp_path / "out" / "model.safetensors"
    assert "has no T; fill the cell" in run("predict", model, "store", "-o", "a.csv", code=2)
    told = run("predict", model, "store", "-o", "a.csv", "--on-error", "nan")
    assert "has no T" in told
    assert [row["energy_pred"] for row in rows(tmp_path / "a.csv")].count("") == 1
    assert "has no T" in run("train", "store", *options, "--on-error", "nan", "-o", "again")
