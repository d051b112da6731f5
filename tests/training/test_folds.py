"""Cross-validation and ensembles of the command: what is written, and that it is what it says."""

import csv
import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import skcgcnn
from skcgcnn import CGCNNRegressor, CrystalGraphTransformer, training
from skcgcnn.cli import app
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.training import Settings, train
from skcgcnn.training._split import fold_rows

SMALL = {"max_epochs": 2, "batch_size": 64, "atom_fea_len": 8, "h_fea_len": 8, "n_conv": 1}


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the results of a run with three folds."""
    output = tmp_path_factory.mktemp("folds") / "run"
    settings = Settings("sample-regression", folds=3, params=SMALL)
    train(settings, output, progress=False)
    return output


def test_networks_predict_what_they_were_not_trained_on(folder):
    paths, y = load_sample_regression(return_X_y=True)
    rows = read(folder / "cv_predictions.csv")
    assert len(rows) == len(paths)
    graphs = CrystalGraphTransformer().transform(paths)
    fold = fold_rows(np.arange(len(paths)), 3, 0.1 / 0.9)[1]
    est = CGCNNRegressor(**SMALL, random_state=0)
    est.fit(
        graphs[fold["train"]],
        y[fold["train"]],
        validation_data=(graphs[fold["val"]], y[fold["val"]]),
    )
    predicted = [float(rows[row]["formation_energy_pred"]) for row in fold["test"]]
    np.testing.assert_allclose(predicted, est.predict(graphs[fold["test"]]), rtol=1e-6)
    assert [float(rows[row]["formation_energy"]) for row in fold["test"]] == pytest.approx(
        y[fold["test"]]
    )


def test_errors_of_folds_are_in_the_report_the_metrics_and_the_model(folder, tmp_path):
    found = json.loads((folder / "metrics.json").read_text())
    error = found["cross_validation"]["errors"]["formation_energy"]
    assert (error["n_crystals"], error["n_folds"]) == (254, 3)
    assert error["low"] < error["value"] < error["high"] < 2
    assert 0 < error["composition"] < error["simple"]
    text = (folder / "report.html").read_text()
    assert "<h2>Cross-validation</h2>" in text
    assert re.search(
        r"254 crystals in 3-fold cross-validation\); predicting the training median", text
    )
    assert re.search(r"25 test crystals\); predicting the .* extra trees on the composition", text)
    assert "values of the crystals of 3 folds." in text

    model, report = folder / "model.safetensors", tmp_path / "report.html"
    path = load_sample_regression().data[0]
    args = ["predict", str(model), str(path), "--report", str(report)]
    assert CliRunner().invoke(app, args).exit_code == 0
    text = report.read_text()
    assert re.search(r"mean absolute error [\d.]+ \(95 % interval .*, 25 test crystals\)", text)
    assert f"mean absolute error {error['value']:.3g} (95 % interval {error['low']:.3g}" in text


def test_a_disk_that_fills_leaves_no_page_of_an_earlier_prediction(folder, tmp_path, monkeypatch):
    first, second = load_sample_regression().data[:2]
    table, page = tmp_path / "p.csv", tmp_path / "p.html"

    def predict(path):
        args = ["predict", folder / "model.safetensors", path, "-o", table, "--report", page]
        return CliRunner().invoke(app, list(map(str, args))).exit_code

    assert predict(first) == 0
    replace = os.replace

    def full(source, target):
        if Path(target) == page:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    assert predict(second) == 2
    assert (Path(second).stem in table.read_text(), page.exists()) == (True, False)


def test_a_page_of_a_prediction_goes_where_a_link_leads(folder, tmp_path):
    target, link = tmp_path / "target.html", tmp_path / "link.html"
    target.write_text("old")
    link.symlink_to(target)
    first = load_sample_regression().data[0]
    args = ["predict", folder / "model.safetensors", first, "-o", tmp_path / "p.csv"]
    assert CliRunner().invoke(app, list(map(str, [*args, "--report", link]))).exit_code == 0
    assert link.is_symlink()
    assert "<html" in target.read_text()


def test_errors_in_a_report_are_those_of_the_model_that_predicted(folder, tmp_path, monkeypatch):
    model, report = shutil.copy(folder / "model.safetensors", tmp_path), tmp_path / "report.html"
    metrics = json.loads((folder / "metrics.json").read_text())
    error = metrics["cross_validation"]["errors"]["formation_energy"]
    found = training.find_crystals

    def replaced(*args, **kwargs):
        skcgcnn.load("perov5-heat-gap").save(model, metrics={"test mae of e_pred": 0.001})
        return found(*args, **kwargs)

    monkeypatch.setattr(training, "find_crystals", replaced)
    args = ["predict", str(model), str(load_sample_regression().data[0]), "--report", str(report)]
    assert CliRunner().invoke(app, args).exit_code == 0
    assert f"mean absolute error {error['value']:.3g} (95 % interval" in report.read_text()


@pytest.mark.slow
def test_a_finished_run_can_get_folds(tmp_path, folder):
    output = tmp_path / "run"
    train(Settings("sample-regression", params=SMALL), output, progress=False)
    assert not (output / "cv_predictions.csv").exists()
    before = (output / "test_results.csv").read_text()
    settings = Settings("sample-regression", folds=3)
    resume = output / "checkpoint.pth.tar"
    train(settings, output, resume=resume, given={"data", "folds"}, progress=False)
    assert (output / "test_results.csv").read_text() == before
    again = (output / "cv_predictions.csv").read_text()
    assert again == (folder / "cv_predictions.csv").read_text()


def test_folds_keep_groups_together_and_test_every_row_once():
    groups = np.repeat([f"g{i}" for i in range(12)], 3)
    folds = fold_rows(np.arange(36), 4, 0.25, groups=groups)
    for fold in folds:
        parts = [set(groups[rows]) for rows in fold.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 12
    np.testing.assert_array_equal(
        np.sort(np.concatenate([f["test"] for f in folds])), np.arange(36)
    )


def test_rare_labels_and_too_few_crystals():
    labels = np.array(["a"] * 9 + ["b"])
    folds = fold_rows(np.arange(10), 5, 0.0, labels=labels)
    assert [len(fold["test"]) for fold in folds] == [2] * 5
    assert all(not len(fold["val"]) for fold in folds)
    with pytest.raises(DataError, match="at least 5 crystals are needed, but there are 3"):
        fold_rows(np.arange(3), 5, 0.1)
    with pytest.raises(DataError, match=r"--folds 3: at least 3 groups \(groups.csv\) are needed"):
        fold_rows(np.arange(4), 3, 0.1, groups=np.array(["a", "a", "b", "b"]))


def test_one_fold_is_refused_before_anything_is_read(tmp_path):
    args = ["train", str(tmp_path / "nothing"), "--folds", "1"]
    result = CliRunner().invoke(app, args)
    assert result.exit_code != 0
    assert "at least 2 are needed" in result.output


@pytest.mark.slow
def test_several_networks_with_classes_beside_numbers(tmp_path):
    args = ["train", "sample-regression", "--task", "multi", "--n-estimators", "2"]
    args += ["--epochs", "2", "--n-conv", "1", "--batch-size", "64", "-q", "--folds", "2"]
    result = CliRunner().invoke(app, [*args, "-o", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "Cross-validation, 2 folds" in result.output
    for name in ("test_results.csv", "cv_predictions.csv"):
        row = read(tmp_path / "run" / name)[0]
        assert float(row["formation_energy_std"]) > 0
        assert row["formation_energy_calibration"].startswith("calibrated on")
        assert 0 <= float(row["is_metal_proba"]) <= 1
    est = skcgcnn.load(tmp_path / "run" / "model.safetensors")
    assert len(est.more_nets_) == 1
    assert not (tmp_path / "run" / "checkpoint.pth.tar").exists()
    text = (tmp_path / "run" / "report.html").read_text()
    assert "of the first of 2 networks" in text
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["best_epoch"] in (1, 2)
    assert found["cross_validation"]["errors"]["is_metal"]["composition"] > 0.5


def test_a_fine_tuning_tells_how_good_its_start_was(folder, tmp_path):
    start = str(folder / "model.safetensors")
    params = {"max_epochs": 1, "init_from": start}
    settings = Settings("sample-regression", params=params)
    found = train(settings, tmp_path / "run", progress=False)
    told = re.search(r"MAE ([\d.]+) by init_from as it was, .* after the fit", found["fine_tuning"])
    assert told
    assert found["fine_tuning"] in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_networks_beside_start_from_what_the_run_started_from(folder, tmp_path):
    start = tmp_path / "start.safetensors"
    how = {"progress": False, "report": False}
    others = {"splits": ["elements"], "learning_curve": True, **how}
    shutil.copy(folder / "model.safetensors", start)
    params = {"max_epochs": 1, "batch_size": 64, "init_from": str(start)}
    data = str(some_crystals(tmp_path / "data", 120, ["energy"]))
    settings = Settings(data, folds=2, params=params)
    found = train(settings, tmp_path / "a", **others)
    folds = (tmp_path / "a" / "cv_predictions.csv").read_bytes()
    # The model that a run starts from may be replaced by that of the run.
    (tmp_path / "b").mkdir()
    own = shutil.copy(start, tmp_path / "b" / "model.safetensors")
    inside = Settings(data, folds=2, params={**params, "init_from": str(own)})
    train(inside, tmp_path / "b", overwrite=True, **how)
    assert (tmp_path / "b" / "cv_predictions.csv").read_bytes() == folds
    # A run that is resumed gets the same as one that was not interrupted.
    train(Settings(data, params=params), tmp_path / "c", **how)
    resume, more = tmp_path / "c" / "checkpoint.pth.tar", Settings(data, folds=2)
    again = {"resume": resume, "given": {"data", "folds"}, **others}
    assert train(more, tmp_path / "c", **again) == found
    assert (tmp_path / "c" / "cv_predictions.csv").read_bytes() == folds
    # One whose start is another one now gets none of them.
    shutil.copy(tmp_path / "a" / "model.safetensors", start)
    with pytest.raises(DataError, match=r"is not the model that .*restore it, or begin a new run"):
        train(more, tmp_path / "c", **again)
    longer = Settings(data, params={"max_epochs": 2})
    given = {"resume": resume, "given": {"data"}, **how}
    with pytest.warns(UserWarning, match="is not the model that"):
        found = train(longer, tmp_path / "c", **given)
    assert "fine_tuning" not in found


def some_crystals(folder, n, names=("energy", "gap"), units=()):
    """Make a folder of the first crystals of the sample, with numbers that count them."""
    folder.mkdir()
    lines = [",".join(("cif_id", *names)), *units]
    for i, path in enumerate(load_sample_regression().data[:n]):
        shutil.copy(path, folder)
        lines.append(",".join((Path(path).stem, *(str(i / k) for k in range(1, len(names) + 1)))))
    (folder / "id_prop.csv").write_text("\n".join(lines))
    return folder


def test_units_are_told(tmp_path):
    data = some_crystals(tmp_path / "data", 12, units=[",meV,eV"])
    params = {**SMALL, "max_epochs": 1}
    settings = Settings(str(data), target=("gap",), params=params)
    found = train(settings, tmp_path / "run", progress=False, report=False)
    assert found["errors"]["gap"]["unit"] == "eV"
    args = ["train", str(data), "--target", "gap", "--unit", "kJ/mol", "--epochs", "1", "--n-conv"]
    args += ["1", "-q", "-o", str(tmp_path / "other"), "--no-report"]
    result = CliRunner().invoke(app, args)
    assert re.search(r"gap: mean absolute error [\d.]+ kJ/mol", result.output)
    result = CliRunner().invoke(app, [*args, "--unit", "eV", "--overwrite"])
    assert "--unit is given 2 times, but there are 1 columns of numbers: gap" in result.output


def test_predictions_for_a_folder_with_values_tell_their_errors(folder, tmp_path):
    sample = load_sample_regression()
    model, data = str(folder / "model.safetensors"), tmp_path / "data"
    data.mkdir()
    for path in sample.data[:8]:
        shutil.copy(path, data)

    def told(values, *args):
        rows = [f"{Path(p).stem},{v}" for p, v in zip(sample.data, values, strict=False)]
        (data / "id_prop.csv").write_text("\n".join(["cif_id,formation_energy", *rows]))
        result = CliRunner().invoke(app, ["predict", model, str(data), *args])
        assert result.exit_code == 0, result.output
        return re.findall(
            r"formation_energy: mean absolute error ([\d.]+) .*, (\d) crystals\)", result.output
        )

    values = sample.target[:8]
    est = skcgcnn.load(model)
    expected = np.abs(est.predict(sample.data[:8]) - values).mean()
    ((error, n),) = told(values, "-o", str(tmp_path / "p.csv"))
    assert (float(error), n) == (pytest.approx(expected, rel=0.01), "8")
    assert told(values) == [(error, n)]
    assert told(["", *values[1:]], "--report", str(tmp_path / "r.html"))[0][1] == "7"
    # What tells nothing: the same value for all, and texts.
    assert told([0] * 8) == told(["?", *values[1:]]) == told(list("abcdefgh")) == []


def test_a_target_moves_no_cursor(tmp_path):
    sample, name = load_sample_regression(), "a\x07\x1b[2Jb"
    cifs, values = sample.data[:8], sample.target[:8]
    est = skcgcnn.CGCNNRegressor(max_epochs=1, n_conv=1, atom_fea_len=8).fit(cifs, values)
    est.save(tmp_path / "m.safetensors", targets=[name])
    for path in cifs:
        shutil.copy(path, tmp_path)
    rows = [f"{Path(path).stem},{value}" for path, value in zip(cifs, values, strict=True)]
    (tmp_path / "id_prop.csv").write_text("\n".join([f"cif_id,{name}", *rows]))
    args = [
        "predict",
        str(tmp_path / "m.safetensors"),
        str(tmp_path),
        "-o",
        str(tmp_path / "p.csv"),
    ]
    result = CliRunner().invoke(app, args)
    assert "a\\x07\\x1b[2Jb: mean absolute error" in result.output
    assert "\x07" not in result.output
