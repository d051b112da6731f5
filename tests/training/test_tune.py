"""The search of parameters: what is tried, what is taken, and what becomes of interruptions."""

import csv
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import skcgcnn
from skcgcnn import CGCNNRegressor
from skcgcnn.cli import app
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.reports import Trial
from skcgcnn.training import Settings, train, tune
from skcgcnn.training import _tune as module
from skcgcnn.training._data import load_run_data
from skcgcnn.training._folder import alone
from skcgcnn.training._search import SCRATCH, USUAL, Search, Space, choose

pytest.importorskip("optuna")

TINY = {"max_epochs": 1, "batch_size": 64, "h_fea_len": 8, "n_conv": 1, "device": "cpu"}
SMALL = {name: value for name, value in TINY.items() if name != "device"}


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def command(*arguments, code=0):
    result = CliRunner().invoke(app, ["tune", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder with 60 crystals, ten of which are there twice."""
    folder = tmp_path_factory.mktemp("data")
    bunch = load_sample_regression()
    rows = [*range(0, 250, 5), *range(0, 50, 5)]
    table = pd.DataFrame({"file": [bunch.data[row] for row in rows], "e": bunch.target[rows]})
    table["id"] = [f"crystal{i}" for i in range(len(rows))]
    for cif_id, file in zip(table["id"], table["file"], strict=True):
        (folder / f"{cif_id}.cif").write_bytes(open(file, "rb").read())  # noqa: SIM115, PTH123
    table[["id", "e"]].to_csv(folder / "id_prop.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    """Return the results of a search of twelve trials."""
    output = tmp_path_factory.mktemp("tune") / "run"
    settings = Settings(str(data), params=SMALL)
    result = tune(settings, output, seconds=600, n_trials=12, device="cpu", progress=False)
    return output, result


def test_the_usual_parameters_come_first_and_are_tried_in_all_folds(found):
    output, result = found
    rows = read(output / "trials.csv")
    assert len(rows) == result["n_trials"] == 12
    assert (rows[0]["outcome"], rows[0]["folds"]) == ("complete", "5")
    searched = rows[0].keys() - {"trial", "outcome", "error", "folds"}
    assert {rows[0][name] for name in searched} == {"usual"}
    # What is given is not searched.
    assert searched <= {"lr", "dropout", "weight_decay", "atom_fea_len"}
    assert {"complete", "given up"} == {row["outcome"] for row in rows}
    assert all(int(row["folds"]) in {1, 2, 4} for row in rows if row["outcome"] == "given up")


def test_the_error_is_that_of_crystals_that_were_not_trained_on(data, found):
    output, result = found
    errors = [float(row["error"]) for row in read(output / "trials.csv")]
    assert result["cross_validation"]["usual"] == pytest.approx(errors[0])
    # After one epoch nearly nothing is known.
    assert 0.4 < errors[0] < 2


def test_it_ends_with_a_model_that_its_command_and_its_python_make_again(data, found, tmp_path):
    output, result = found
    predicted = [float(row["e_pred"]) for row in read(output / "test_results.csv")]
    words = shlex.split(result["command"])
    assert words[0] == "skcgcnn"
    again = CliRunner().invoke(
        app, [*words[1:], "-o", str(tmp_path / "again"), "--device", "cpu", "--no-report"]
    )
    assert again.exit_code == 0, again.output
    rows = read(tmp_path / "again" / "test_results.csv")
    assert [float(row["e_pred"]) for row in rows] == predicted
    est = eval(result["python"], {"CGCNNRegressor": CGCNNRegressor})  # noqa: S307
    model = skcgcnn.load(output / "model.safetensors")
    for name in ("lr", "dropout", "weight_decay", "n_conv", "atom_fea_len", "random_state"):
        assert getattr(est, name) == getattr(model, name)


def test_the_page_and_the_test_errors(found):
    output, result = found
    text = (output / "tune.html").read_text()
    for part in ("Test crystals", "What was tried", "skcgcnn train", "CGCNNRegressor("):
        assert part in text
    assert json.loads((output / "tune.json").read_text()) == result
    metrics = json.loads((output / "metrics.json").read_text())
    assert result["test"]["chosen"] == metrics["errors"]
    if not result["params"]:
        assert result["test"]["usual"] == result["test"]["chosen"]


@pytest.mark.slow
def test_the_usual_parameters_are_tested_beside_those_chosen(data, tmp_path, monkeypatch):
    # By chance none may be better: the second trial is taken for it.
    monkeypatch.setattr(module, "choose", lambda trials: trials[1])
    settings, options = Settings(str(data), params=SMALL), {"device": "cpu", "progress": False}
    result = tune(settings, tmp_path / "tune", seconds=600, n_trials=2, **options)
    usual = train(settings, tmp_path / "usual", report=False, **options)
    assert result["params"]
    assert result["test"]["usual"] == usual["errors"]
    chosen = json.loads((tmp_path / "tune" / "metrics.json").read_text())
    assert result["test"]["chosen"] == chosen["errors"] != usual["errors"]


def test_no_crystal_is_on_both_sides_and_none_of_the_test_is_searched(data, tmp_path, monkeypatch):
    seen = []
    fit = module._Run.fit

    def spy(self, settings, parts, *, composition):
        seen.append((self, {name: part.rows for name, part in parts.items()}))
        return fit(self, settings, parts, composition=composition)

    monkeypatch.setattr(module._Run, "fit", spy)
    settings = Settings(str(data), params={**SMALL, "atom_fea_len": 8})
    tune(settings, tmp_path / "run", seconds=600, n_trials=1, device="cpu", progress=False)
    run, _ = seen[0]
    tested = set(run.parts["test"].rows.tolist())
    for _, rows in seen[:5]:
        groups = [set(run.grouping.groups[own].tolist()) for own in rows.values()]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
        assert not tested & set(np.concatenate(list(rows.values())).tolist())


@pytest.mark.slow
def test_from_scratch_is_tried_where_the_general_model_is_usual(tmp_path):
    settings = Settings("sample-regression", params={"max_epochs": 1, "batch_size": 64})
    found = tune(settings, tmp_path / "run", seconds=600, n_trials=2, device="cpu", progress=False)
    usual, scratch = read(tmp_path / "run" / "trials.csv")
    assert (usual["init_from"], scratch["init_from"]) == ("usual", "none")
    # After one epoch little is learned.
    assert float(usual["error"]) < 0.5 * float(scratch["error"])
    assert found["params"] == {}


@pytest.mark.slow
def test_errors_of_folds_are_shares_where_the_simplest_prediction_is_right(tmp_path):
    bunch = load_sample_regression()
    table = pd.DataFrame({"file": bunch.data[:50], "gap": 0.0})
    table.loc[[3, 20], "gap"] = 1e6  # in two of the five folds, at most
    for place, file in enumerate(table["file"]):
        (tmp_path / f"{place}.cif").write_text(Path(file).read_text())
    table["gap"].to_csv(tmp_path / "id_prop.csv", index_label="id")
    settings = Settings(str(tmp_path), params={**SMALL, "init_from": "none", "atom_fea_len": 8})
    tune(settings, tmp_path / "run", seconds=600, n_trials=1, device="cpu", progress=False)
    (usual,) = read(tmp_path / "run" / "trials.csv")
    assert float(usual["error"]) < 20


@pytest.mark.slow
def test_the_start_is_typed_and_written_in_python(tmp_path):
    params = {"max_epochs": 1, "batch_size": 64, "init_from": "none"}
    settings = Settings("sample-regression", params=params)
    found = tune(settings, tmp_path / "run", seconds=600, n_trials=1, device="cpu", progress=False)
    assert "--init-from none" in found["command"]
    assert "init_from=None" in found["python"]
    model = skcgcnn.load(tmp_path / "run" / "model.safetensors")
    assert (model.init_from, model.module_.architecture["fixed_norm"]) == (None, False)


@pytest.mark.slow
def test_a_search_goes_on_where_it_was_interrupted(data, tmp_path, monkeypatch):
    settings = Settings(str(data), params={**SMALL, "atom_fea_len": 8})
    given = {"seconds": 600, "device": "cpu", "progress": False}
    output = tmp_path / "run"
    evaluate, calls = module._Run.evaluate, []

    def interrupted(self, params, fold):
        calls.append(fold)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return evaluate(self, params, fold)

    monkeypatch.setattr(module._Run, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(settings, output, n_trials=4, **given)
    monkeypatch.undo()
    assert not (output / "model.safetensors").exists()
    with pytest.raises(DataError, match=r"tune\.log.*choose another folder"):
        tune(settings, output, n_trials=1, **given)
    found = tune(settings, output, n_trials=2, resume=True, **given)
    rows = read(output / "trials.csv")
    # The usual parameters, which were done; those that were interrupted, again; and others.
    assert found["n_trials"] == len(rows) == 3
    assert rows[0]["lr"] == "usual"
    other = Settings(str(data), params={**SMALL, "atom_fea_len": 16})
    with pytest.raises(DataError, match="other crystals, settings or options"):
        tune(other, output, resume=True, **given)
    (output / "tune.log").write_text("nothing\nof the kind\n")
    with pytest.raises(DataError, match="is not a history"):
        tune(settings, output, resume=True, **given)


def test_the_usual_parameters_come_first_after_an_interruption_too(tmp_path):
    """Where the time is short, nothing would be there to compare others with."""
    space = Space({USUAL: {"init_from": "model"}, SCRATCH: {"init_from": None}}, frozenset())
    tried = []

    def evaluate(params, fold):
        tried.append(params)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return 0.5

    def search(n_trials):
        found = Search(tmp_path / "tune.log", space, "about", 0)
        found.run(evaluate, n_trials, float("inf"), lambda trial: None)
        return [trial.params for trial in found.trials()]

    with pytest.raises(KeyboardInterrupt):
        search(2)
    assert search(1) == [{}]
    assert search(1) == [{}, {"init_from": SCRATCH}]


def test_a_search_knows_its_start_by_all_its_weights(data):
    """Files of models give them in any order, and texts of them leave out most."""
    settings = Settings(str(data), params={"max_epochs": 1})
    machine = {"device": "cpu"}
    run = module._Run(settings, load_run_data(settings), machine, quiet=True, remarks=False)
    about, usual = run.about(), run.space.usual[USUAL]
    assert len(about) < 10_000
    start = usual["init_from"]
    usual["init_from"] = replace(start, weights=dict(reversed(start.weights.items())))
    assert run.about() == about
    changed = start.weights["convs.0.own.weight"].clone()
    changed[20, 20] += 1
    usual["init_from"] = replace(start, weights={**start.weights, "convs.0.own.weight": changed})
    assert run.about() != about


def test_the_time_is_kept(data, tmp_path):
    settings = Settings(str(data), params={**SMALL, "atom_fea_len": 8})
    found = tune(settings, tmp_path / "run", seconds=1e-9, device="cpu", progress=False)
    assert found["n_trials"] == 0
    assert "the time was too short" in found["text"]
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.slow
def test_results_of_a_search_are_replaced_if_asked(data, tmp_path):
    settings = Settings(str(data), params={**SMALL, "atom_fea_len": 8})
    given = {"seconds": 1e-9, "device": "cpu", "progress": False}
    first = tune(settings, tmp_path, **given)
    with pytest.raises(DataError, match=r"tune\.log.*choose another folder"):
        tune(settings, tmp_path, **given)
    assert tune(settings, tmp_path, overwrite=True, **given) == first


@pytest.mark.parametrize("given", ["overwrite", "resume"])
def test_what_an_earlier_search_found_is_not_beside_another_model(
    given, data, tmp_path, monkeypatch
):
    for name in ("trials.csv", "tune.json", "tune.html", "metrics.json"):
        (tmp_path / name).write_text("of an earlier search")
    settings = Settings(str(data), params=SMALL)
    if given == "resume":
        monkeypatch.setattr(module, "train", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tune(settings, tmp_path, seconds=1e-9, overwrite=True, device="cpu", progress=False)
        monkeypatch.undo()
        (tmp_path / "tune.json").write_text("before more was tried")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "checkpoint.pth.tar")

    monkeypatch.setattr("skcgcnn.training._checkpoint.write_checkpoint", full)
    with pytest.raises(OSError, match="No space"):
        tune(settings, tmp_path, seconds=1e-9, **{given: True}, device="cpu", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "tune.log"]


def test_results_of_a_training_are_not_replaced_unasked(data, tmp_path):
    (tmp_path / "model.safetensors").write_text("mine")
    for resume in (False, True):
        with pytest.raises(DataError, match=r"\(model\.safetensors\); choose another folder"):
            tune(Settings(str(data)), tmp_path, seconds=1, resume=resume, progress=False)
    with pytest.raises(DataError, match=r"holds no search to go on with \(tune\.log\)"):
        tune(Settings(str(data)), tmp_path / "mistyped", seconds=1, resume=True, progress=False)
    assert not (tmp_path / "mistyped").exists()
    (tmp_path / "tune.log").write_text("what was tried")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"\(tune\.log\); choose another folder"):
        train(Settings(str(data)), tmp_path, progress=False)
    wrong = Settings(str(data), target=("energi",))
    with pytest.raises(DataError, match="energi"):
        tune(wrong, tmp_path, seconds=1, overwrite=True, progress=False)
    assert (tmp_path / "tune.log").read_text() == "what was tried"


def test_few_crystals_and_few_groups(data, tmp_path):
    table = (data / "id_prop.csv").read_text().splitlines()
    for row in table[1:21]:
        name = f"{row.split(',')[0]}.cif"
        (tmp_path / name).write_bytes((data / name).read_bytes())
    given = {"seconds": 1, "device": "cpu", "progress": False}
    (tmp_path / "id_prop.csv").write_text("\n".join(table[:6]))
    with pytest.raises(DataError, match="the folds of a search: at least 5 crystals are needed"):
        tune(Settings(str(tmp_path)), tmp_path / "run", **given)
    (tmp_path / "id_prop.csv").write_text("\n".join(table[:21]))
    groups = [f"{row.split(',')[0]},{i % 4}" for i, row in enumerate(table[1:21])]
    (tmp_path / "groups.csv").write_text("\n".join(["id,group", *groups]))
    with pytest.raises(DataError, match=r"at least 5 groups \(groups.csv\)"):
        tune(Settings(str(tmp_path)), tmp_path / "run", **given)


@pytest.mark.slow
def test_a_warning_is_said_once(data, tmp_path, recwarn):
    for path in data.glob("*.cif"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    names = [path.stem for path in sorted(data.glob("*.cif"))]
    (tmp_path / "id_prop.csv").write_text("\n".join(["id,e", *(f"{n},3.0" for n in names)]))
    settings = Settings(str(tmp_path), params=SMALL)
    tune(settings, tmp_path / "run", seconds=60, n_trials=1, device="cpu", progress=False)
    said = [str(each.message) for each in recwarn if "holds one value" in str(each.message)]
    assert len(said) == 1


def test_others_are_taken_only_if_they_are_better_by_more_than_chance():
    usual = Trial(0, {}, (0.5, 0.6, 0.5, 0.6, 0.5), "complete")
    lucky = Trial(1, {"lr": 1.0}, (0.3, 0.8, 0.4, 0.6, 0.5), "complete")
    better = Trial(2, {"lr": 2.0}, (0.45, 0.55, 0.46, 0.54, 0.45), "complete")
    early = Trial(3, {"lr": 3.0}, (0.1,), "given up")
    assert choose([usual, lucky, early]) is usual
    assert choose([usual, better, early]) is better
    assert choose([early]) is None
    # Of many trials, one as lucky as that is to be expected.
    fair = Trial(4, {"lr": 4.0}, (0.4, 0.5, 0.46, 0.59, 0.45), "complete")
    assert choose([usual, fair]) is fair
    assert choose([usual, fair, *[lucky] * 50]) is usual
    assert choose([usual, Trial(5, {}, usual.errors, "complete")]) is usual


@pytest.mark.slow
def test_several_targets_and_classes(tmp_path):
    for task, name in (("classification", "is_metal"), ("multi", "formation_energy")):
        settings = Settings("sample-regression", task=task, params={**SMALL, "atom_fea_len": 8})
        output = tmp_path / task
        found = tune(settings, output, seconds=600, n_trials=1, device="cpu", progress=False)
        assert name in found["test"]["chosen"]
        assert f"--task {task}" in found["command"]


def test_the_command(data, tmp_path):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    text = command(data, "--time", "90s", "--n-trials", 1, "-q", "-o", tmp_path / "run", *options)
    said = text[text.index("1 trial: none was better") :]
    _, error, again, in_python, *last = said.splitlines()
    assert re.fullmatch(r"e, usual parameters: mean absolute error .*", error)
    assert again.startswith("To train so again: skcgcnn train ")
    assert in_python.startswith("In Python: CGCNNRegressor(")
    assert last == [
        f"Model, predictions and metrics are in {tmp_path / 'run'}",
        f"All at a glance: {tmp_path / 'run' / 'tune.html'}",
    ]
    for wrong in ("30", "-1m", "0s", "soon"):
        assert "expected a time such as 90s" in command(data, "--time", wrong, code=2)
    output = tmp_path / "run"
    assert "holds the results of an earlier run" in command(data, "-o", output, code=2)
    assert "at least" in command(data, "--train-ratio", 0.0001, "-o", tmp_path / "b", code=2)


def test_the_folder_is_taken_to_the_end(data, tmp_path, monkeypatch):
    output, tried = tmp_path / "run", []

    def try_to_take():
        try:
            with alone(output):
                tried.append("taken")
        except DataError:
            tried.append("refused")

    def tried_by_another(function):
        def wrapped(*args, **kwargs):
            other = Thread(target=try_to_take)
            other.start()
            other.join()
            return function(*args, **kwargs)

        return wrapped

    monkeypatch.setattr(module, "train", tried_by_another(module.train))
    monkeypatch.setattr(module, "tune_report", tried_by_another(module.tune_report))
    tune(Settings(str(data), params=SMALL), output, seconds=1e-9, device="cpu", progress=False)
    assert tried == ["refused", "refused"]
    try_to_take()
    assert tried[-1] == "taken"


@pytest.mark.slow
@pytest.mark.parametrize("remarks", [False, True])
def test_remarks_about_files_are_listed_once_if_asked(remarks, data, tmp_path, recwarn):
    for path in data.iterdir():
        text = path.read_text()
        if path.name in ("crystal1.cif", "crystal2.cif", "crystal3.cif"):
            text = re.sub(r"_chemical_formula_sum.*", "_chemical_formula_sum 'Xe9 O1'", text)
        (tmp_path / path.name).write_text(text)
    settings = Settings(str(tmp_path), params={**SMALL, "atom_fea_len": 8})
    tune(
        settings, tmp_path / "run", seconds=1e-9, device="cpu", progress=False, remarks=remarks
    )  # fmt: skip
    said = [str(each.message) for each in recwarn if "do not have its formula" in str(each.message)]
    listed = {name for name in ("crystal1", "crystal2", "crystal3") if name in "".join(said)}
    assert len(listed) == (3 if remarks else 1)


@pytest.mark.slow
def test_data_and_start_are_those_of_the_search(data, tmp_path, monkeypatch):
    # Data and a start that are replaced during a search that takes hours.
    own = Path(shutil.copytree(data, tmp_path / "own"))
    for seed in (1, 2):
        params = {**SMALL, "random_state": seed}
        train(Settings(str(own), params=params), tmp_path / str(seed), progress=False, report=False)
    start = shutil.copy(tmp_path / "1" / "model.safetensors", tmp_path / "start.safetensors")
    params = {"max_epochs": 2, "init_from": str(start)}
    settings = Settings(str(own), split="prototype", params=params)
    expected = tune(settings, tmp_path / "expected", seconds=600, n_trials=1, progress=False)
    searched = module._search

    def replaced(*args, **kwargs):
        searched(*args, **kwargs)
        table = pd.read_csv(own / "id_prop.csv")
        table["e"] = 100 + table["e"].to_numpy()[::-1]
        table.to_csv(own / "id_prop.csv", index=False)
        for file in own.glob("crystal1*.cif"):
            file.write_bytes((own / "crystal0.cif").read_bytes())
        shutil.copy(tmp_path / "2" / "model.safetensors", start)

    monkeypatch.setattr(module, "_search", replaced)
    found = tune(settings, tmp_path / "run", seconds=600, n_trials=1, progress=False)
    assert found["test"] == expected["test"]
    tables = [read(tmp_path / name / "test_results.csv") for name in ("run", "expected")]
    assert tables[0] == tables[1]
