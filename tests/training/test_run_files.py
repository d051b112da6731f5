"""The files of one run, and the sentences on how it was split."""

import csv
import errno
import json
import os
import re
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import TINY
from sklearn.metrics import mean_absolute_error

import skcgcnn
from skcgcnn import CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.model_selection import group_by_elements
from skcgcnn.modelfiles import read_model_file, write_checkpoint
from skcgcnn.nn import BestEpoch, GraphNet
from skcgcnn.training import Settings, train
from skcgcnn.training._checkpoint import RunCheckpoint
from skcgcnn.training._data import load_run_data
from skcgcnn.training._rules import compare_rules, cross_validation_rows, find_groups, split_parts

SMALL = {name: value for name, value in TINY.items() if name not in {"device", "net_params"}}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with 30 crystals, two of which are there again, and one that is broken."""
    folder = tmp_path_factory.mktemp("data")
    sample = load_sample_regression()
    lines = ["id,e"]
    for i, place in enumerate([*range(0, 240, 8), 0, 8]):
        shutil.copy(sample.data[place], folder / f"c{i}.cif")
        lines.append(f"c{i},{sample.target[place]}")
    (folder / "broken.cif").write_text("no crystal")
    (folder / "id_prop.csv").write_text("\n".join([*lines, "broken,1"]))
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    data = load_run_data(Settings(str(folder)))
    with pytest.warns(UserWarning, match="1 of 33"):
        return data, CrystalGraphTransformer(on_error="nan").transform(data.paths)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("n_epochs", "best"), [(3, 3), (5, 2)])
def test_the_model_is_of_the_epoch_that_is_told_as_the_best(
    n_epochs, best, folder, tmp_path, monkeypatch
):
    given, weights = {1: 3.0, 2: 2.0, 3: 1.0}, {}
    end = BestEpoch.on_epoch_end

    def note(self, net, **kwargs):
        epoch = len(net.history)
        net.history.record("valid_loss", given[epoch])
        weights[epoch] = {n: w.clone() for n, w in net.network.average.state_dict().items()}
        end(self, net, **kwargs)

    monkeypatch.setattr(BestEpoch, "on_epoch_end", note)
    settings = Settings(str(folder), params={**SMALL, "on_error": "nan", "max_epochs": 3})
    how = {"progress": False, "device": "cpu", "report": False}
    write = Mock()
    write.side_effect = lambda *args: 1 / 0 if write.call_count == 3 else write_checkpoint(*args)
    with monkeypatch.context() as patch:
        patch.setattr("skcgcnn.training._checkpoint.write_checkpoint", write)
        with pytest.raises(ZeroDivisionError):
            train(settings, tmp_path, **how)
    # The checkpoint is of the epoch before the model. More epochs have other steps.
    given.update({3: 1.0} if n_epochs == 3 else {3: 5.0, 4: 4.0, 5: 6.0})
    again = Settings(str(folder), params={"max_epochs": n_epochs})
    resume = tmp_path / "checkpoint.pth.tar"
    found = train(again, tmp_path, resume=resume, given=["data", "max_epochs"], **how)
    assert (found["best_epoch"], found["best_validation_loss"]) == (best, given[best])
    saved = read_model_file(tmp_path / "model.safetensors").weights
    learned = [name for name in saved if "running" not in name]  # those are of the end of a fit
    assert all((saved[name] == weights[best][name]).all() for name in learned)


@pytest.mark.filterwarnings("ignore")
def test_a_run_without_a_checkpoint_leaves_none_of_an_earlier_one(folder, tmp_path, monkeypatch):
    settings = Settings(str(folder), params={**SMALL, "on_error": "nan", "max_epochs": 2})
    how = {"progress": False, "device": "cpu", "report": False}
    train(settings, tmp_path, **how)
    full = Mock(side_effect=OSError(errno.ENOSPC, "no space left"))
    monkeypatch.setattr("skcgcnn.training._checkpoint.write_checkpoint", full)
    with pytest.raises(OSError, match="no space left"):
        train(settings, tmp_path, overwrite=True, **how)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "failures.csv"}


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_goes_on_elsewhere_leaves_nothing_of_another(folder, tmp_path, monkeypatch):
    settings = Settings(str(folder), params={**SMALL, "on_error": "nan", "max_epochs": 2})
    other = Settings(str(folder), params={**settings.params, "recipe": "paper"})
    run, there = tmp_path / "run", tmp_path / "there"
    how = {"progress": False, "device": "cpu", "report": False}
    train(settings, run, **how)
    train(other, there, **{**how, "report": True})
    resume = run / "epoch2.pth.tar"
    (run / "checkpoint.pth.tar").rename(resume)
    again = {"resume": resume, "given": ["data"], "overwrite": True, **how}
    longer = Settings(str(folder), params={"max_epochs": 3})
    # It ends before its first epoch.
    monkeypatch.setattr(GraphNet, "run", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(longer, there, **again)
    monkeypatch.undo()
    names = {path.name for path in there.iterdir()}
    assert names == {"checkpoint.pth.tar", "failures.csv"}
    assert (there / "checkpoint.pth.tar").read_bytes() == resume.read_bytes()
    found = train(longer, there, **{**again, "resume": there / "checkpoint.pth.tar"})
    assert found["best_epoch"] <= 3
    # One without more epochs can go on later, too.
    folds = Settings(str(folder), folds=2)
    train(folds, tmp_path / "new", **{**again, "given": ["data", "folds"]})
    assert (tmp_path / "new" / "checkpoint.pth.tar").read_bytes() == resume.read_bytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["history.csv", "test_results.csv", "metrics.json"])
def test_a_failed_write_leaves_no_numbers_of_another_run(folder, tmp_path, monkeypatch, name):
    params = {**SMALL, "on_error": "nan", "max_epochs": 1, "n_estimators": 2}
    settings = Settings(str(folder), params=params)
    how = {"progress": False, "device": "cpu", "overwrite": True}
    train(settings, tmp_path, **how)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), 0, str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space") as caught:
        train(Settings(str(folder), params={**params, "random_state": 1}), tmp_path, **how)
    assert caught.value.filename == str(tmp_path / name)
    after = {path.name for path in tmp_path.iterdir() if path.read_bytes() == before[path.name]}
    assert after == {"failures.csv"}


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_run_leaves_no_model_of_another_for_the_original(
    folder, tmp_path, monkeypatch
):
    params = {**SMALL, "on_error": "nan", "max_epochs": 2, "recipe": "paper"}
    settings = Settings(str(folder), params=params)
    how = {"progress": False, "device": "cpu", "overwrite": True}
    train(settings, tmp_path, **how)
    assert (tmp_path / "model_best.pth.tar").exists()
    step = GraphNet.train_step

    def interrupted(net, *args, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt
        return step(net, *args, **kwargs)

    monkeypatch.setattr(GraphNet, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(Settings(str(folder), params={**params, "random_state": 1}), tmp_path, **how)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint.pth.tar", "model.safetensors", "failures.csv"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_fine_tuning_goes_on_with_the_epoch_that_it_chose(tmp_path, monkeypatch):
    """It chooses among the last quarter of its epochs; an earlier one has the lowest loss."""
    how = {"progress": False, "device": "cpu", "report": False}
    settings = Settings("sample-regression", params={"max_epochs": 8})
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(settings, whole, **how)
    losses = [float(row["validation_loss"]) for row in rows(whole / "history.csv")]
    assert np.argmin(losses) < 6
    write = RunCheckpoint.on_epoch_end

    def interrupted(own, net, **kwargs):
        write(own, net, **kwargs)
        if len(net.history) == 7:
            raise RuntimeError("ended from outside")

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "on_epoch_end", interrupted)
        with pytest.raises(RuntimeError, match="ended from outside"):
            train(settings, cut, **how)
    train(settings, cut, resume=cut / "checkpoint.pth.tar", **how)
    assert (cut / "test_results.csv").read_bytes() == (whole / "test_results.csv").read_bytes()
    # More epochs have a later last quarter: the model that is there competes with what comes.
    before = skcgcnn.load(whole / "model.safetensors")
    longer = Settings("sample-regression", params={"max_epochs": 9})
    found = train(longer, whole, resume=whole / "checkpoint.pth.tar", **how)
    losses = [float(row["validation_loss"]) for row in rows(whole / "history.csv")]
    assert found["best_validation_loss"] == pytest.approx(losses[found["best_epoch"] - 1])
    paths = load_sample_regression().data[:5]
    same = skcgcnn.load(whole / "model.safetensors").predict(paths) == before.predict(paths)
    assert same.all() == (found["best_epoch"] < 9)


def test_the_files_of_a_run(folder, tmp_path):
    settings = Settings(str(folder), params={**SMALL, "on_error": "nan", "max_epochs": 3})
    (tmp_path / "cv_predictions.csv").touch()  # of an earlier run, as are failures
    found = train(settings, tmp_path, overwrite=True, progress=False, report=False, device="cpu")
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text) == found
    assert text == json.dumps(found, indent=2) + "\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoint.pth.tar", "model.safetensors", "metrics.json", "test_results.csv",
        "history.csv", "failures.csv",
    }  # fmt: skip
    ((path, cause),) = [tuple(row.values()) for row in rows(tmp_path / "failures.csv")]
    assert path == str(folder / "broken.cif")
    assert cause
    history = rows(tmp_path / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    losses = [float(row["validation_loss"]) for row in history]
    assert found["best_epoch"] == np.argmin(losses) + 1
    assert found["best_validation_loss"] == min(losses)
    assert all(float(row["seconds"]) > 0 and float(row["training_loss"]) > 0 for row in history)
    assert found["n_train"] + found["n_val"] + found["n_test"] == 32
    assert sum(found["n_groups"].values()) == 30
    assert (found["n_networks"], found["splits"], found["learning_curves"]) == (1, {}, {})
    assert found["split"] == {
        "rule": "random",
        "text": "Split at random: 2 of the crystals are there again, and stay with the first.",
    }
    assert "cross_validation" not in found
    tested = rows(tmp_path / "test_results.csv")
    true, said = ([float(row[name]) for row in tested] for name in ("e", "e_pred"))
    error = found["errors"]["e"]
    assert error["value"] == pytest.approx(mean_absolute_error(true, said), rel=1e-5)
    assert found["test"]["e"]["mae"] == pytest.approx(error["value"], rel=1e-5)
    assert (error["n_crystals"], error["n_folds"], error["unit"]) == (found["n_test"], 0, "")
    model = skcgcnn.load(tmp_path / "model.safetensors")
    paths = [folder / f"{row['cif_id']}.cif" for row in tested]
    np.testing.assert_allclose(model.predict([str(path) for path in paths]), said, rtol=1e-4)


def test_what_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "file").touch()
    for options, output, message in (
        ({}, "file", f"{tmp_path / 'file'}: is a file; name a folder for the results"),
        ({"folds": 1}, "new", "--folds 1: at least 2 are needed, or 0 for none"),
        ({"folds": -2}, "new", "--folds -2: at least 2 are needed, or 0 for none"),
        ({"params": {"cls_weight": 1.0}}, "new", "--cls-weight is not for --task regression"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            train(Settings("none", **options), tmp_path / output, progress=False)
    assert not (tmp_path / "new").exists()


def test_why_crystals_stay_together(folder, loaded):
    data, graphs = loaded
    again = "2 of the crystals are there again, and stay with the first"
    kinds = {
        "structure": "nearly the same crystals (distances within 0.01 Å) stay in one part",
        "composition": "crystals of one composition stay in one part",
        "elements": "crystals with the same elements stay in one part",
    }
    for rule, text in kinds.items():
        found = find_groups(rule, data, graphs)
        assert (found.text, found.by) == (f"Split by {rule}: {text}; {again}.", f"--split {rule}")
    found = find_groups("random", data, graphs)
    assert (found.rule, found.by) == ("random", "--split random")
    one = find_groups("random", data, graphs[:31])
    assert one.text == (
        "Split at random: 1 of the crystals is there again, and stays with the first."
    )
    grouping = find_groups("elements", data, graphs)
    same = group_by_elements(graphs)
    for label in np.unique(same[:32]):
        assert len(set(grouping.groups[:32][same[:32] == label])) == 1
    assert cross_validation_rows(Settings(str(folder)), data, found, np.arange(32), 0) == []
    folds = cross_validation_rows(Settings(str(folder)), data, found, np.arange(32), 4)
    assert sorted(np.concatenate([fold["test"] for fold in folds])) == [*range(32)]
    assert all(len(fold["val"]) in (2, 3, 4) for fold in folds)
    parts = split_parts(Settings(str(folder), params={"random_state": 2}), data, graphs, found)
    assert parts["test"].rows.tolist() == sorted(parts["test"].rows)
    assert 32 not in np.concatenate([part.rows for part in parts.values()])


def test_groups_of_a_file_decide_beside_others(folder, loaded, tmp_path):
    _, graphs = loaded
    copy = shutil.copytree(folder, tmp_path / "data")
    ids = [row["id"] for row in rows(copy / "id_prop.csv")]
    lines = [f"{name},g{i % 30 // 3}" for i, name in enumerate(ids)]
    (copy / "groups.csv").write_text("\n".join(["id,group", *lines]))
    data = load_run_data(Settings(str(copy)))
    found = find_groups("random", data, graphs)
    assert found.groups.tolist() == data.groups.tolist()  # they hold crystals that are there again
    assert found.by == "groups.csv"
    again = "2 of the crystals are there again, and stay with the first"
    assert found.text == f"Split at random: groups.csv decides; {again}."
    found = find_groups("elements", data, graphs)
    assert found.by == "--split elements"
    assert found.text == (
        "Split by elements: crystals with the same elements stay in one part; so do those of a "
        f"group in groups.csv; {again}."
    )


@pytest.mark.filterwarnings("ignore")
def test_errors_of_other_splits(folder, loaded, tiny):
    data, graphs = loaded
    settings = Settings(str(folder), params=SMALL)
    est = skcgcnn.CGCNNRegressor(**tiny, on_error="nan")
    fitted = []

    def fit(other, parts):
        fitted.append(other)
        if len(fitted) == 2:
            raise ValueError("all values are one")
        other.fit(**parts["train"].arguments())

    found = dict(compare_rules(est, ["random", "elements"], settings, data, graphs, fit))
    assert found["elements"] == {"cannot": "all values are one"}
    parts = split_parts(settings, data, graphs, find_groups("random", data, graphs))
    test = parts["test"]
    error = mean_absolute_error(test.y, fitted[0].predict(test.graphs))
    assert found["random"]["e"]["value"] == pytest.approx(error)
    assert found["random"]["e"]["n_crystals"] == len(test.rows)
    assert est is not fitted[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("progress", [True, False])
def test_folds_are_counted(progress, folder, tmp_path, capfd):
    settings = Settings(str(folder), folds=2, params={**SMALL, "on_error": "nan", "max_epochs": 1})
    train(settings, tmp_path / "run", progress=progress, report=False, device="cpu")
    counted = re.findall(r"^fold (\d) of (\d)", capfd.readouterr().err, re.MULTILINE)
    assert counted == ([("1", "2"), ("2", "2")] if progress else [])
