"""The history of a search: what ends the process, or was written by others, does not spoil it."""

import errno
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.reports import TIME_UP, Trial, TuneResult
from skcgcnn.training._search import Search, Space, choose

optuna = pytest.importorskip("optuna")

SPACE = Space(
    {
        "auto": {"init_from": "general", "lr": 0.001, "dropout": 0.0},
        "none": {"init_from": None, "lr": 0.01, "dropout": 0.1},
    },
    frozenset(),
)


@pytest.fixture(autouse=True)
def _no_lines():
    optuna.logging.set_verbosity(logging.WARNING)


def search(file, about="these"):
    return Search(file, SPACE, about, 0)


def error(params, fold):
    return 0.5 + 0.01 * fold - 0.1 * params.get("dropout", 0.0)


def run(found, evaluate=error, n_trials=3, seconds=60.0):
    found.run(evaluate, n_trials, time.monotonic() + seconds, lambda trial: None)
    return found.trials()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tune.log"


def test_a_history_that_ends_anywhere_goes_on(file):
    run(search(file), n_trials=2)
    content = file.read_bytes()
    for end in range(0, len(content), len(content) // 7):
        file.write_bytes(content[:end])
        # What was told stays; the usual parameters are tried to the end, from both starts.
        trials = run(search(file), n_trials=2)
        complete = [each.params for each in trials if each.outcome == "complete"]
        assert {} in complete
        assert {"init_from": "none"} in [each.params for each in trials]
        assert choose(trials) is not None
        assert all(line.startswith(b"{") for line in file.read_bytes().splitlines())


def test_no_lock_stays(file, tmp_path):
    lock = tmp_path / "tune.log.lock"
    lock.symlink_to(file)  # that of Optuna, of a process that was killed
    begun = time.monotonic()
    run(search(file), n_trials=1)
    assert time.monotonic() - begun < 10


def test_a_disk_that_is_full_leaves_whole_lines(file, monkeypatch):
    found = search(file)
    fsync = os.fsync

    def full(number):
        os.truncate(number, os.fstat(number).st_size - 5)
        raise OSError(errno.ENOSPC, "No space left on device")

    def evaluate(params, fold):
        monkeypatch.setattr(os, "fsync", full if fold == 2 else fsync)
        return error(params, fold)

    with pytest.raises(OSError, match="No space") as caught:
        run(found, evaluate)
    assert caught.value.filename == str(file)
    monkeypatch.undo()
    assert file.read_bytes().endswith(b"\n")
    assert run(search(file), n_trials=1)[0].outcome == "complete"


def test_the_usual_parameters_whose_time_was_up_are_tried_again(file):
    found = search(file)

    def late(params, fold):
        time.sleep(0.05)
        return error(params, fold)

    trials = run(found, late, seconds=0.2)
    assert [each.why for each in trials] == [TIME_UP]
    assert choose(trials) is None
    trials = run(search(file), n_trials=2)
    assert choose(trials) is not None
    assert {} in [each.params for each in trials if each.outcome == "complete"]


def test_the_usual_parameters_are_not_given_up(file):
    run(search(file), n_trials=1)
    text = file.read_text()
    # As if they had come after better ones.
    found = search(file)
    for each in (*SPACE.usual, "auto"):
        found.study.enqueue_trial(SPACE.usual_point(each))
    trials = run(found, lambda params, fold: error(params, fold) if params else 9.0, n_trials=4)
    assert text in file.read_text()
    assert {each.outcome for each in trials if not each.params} == {"complete"}


def test_fits_that_fail_do_not_end_the_search_but_all_of_them_do(file):
    def diverged(params, fold):
        raise ValueError("the prediction for 'a' is not a number")

    trials = run(search(file), diverged, n_trials=None)
    assert len(trials) == 10
    assert {each.outcome for each in trials} == {"failed"}
    result = TuneResult("run", trials, None, "", "", {}, {})
    assert "which failed (the prediction for 'a' is not a number)" in result.text


def test_a_search_of_another_kind_is_refused(file):
    run(search(file), n_trials=1)
    with pytest.raises(DataError, match="of other crystals, settings or options"):
        search(file, "others")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"errors":[0.5', '"errors":["a"'),
        ('{"params":{}}', '{"params":3}'),
        ('"errors":[0.5,0.51,0.52,0.53,0.54]', '"errors":[0.5]'),
    ],
)
def test_forged_histories_are_named(file, old, new):
    run(search(file), n_trials=1)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(DataError, match=r"tune\.log: is not a history"):
        search(file).trials()


def test_what_is_searched_is_near_to_what_is_usual(file):
    usual = {"init_from": "general", "lr": 0.00123, "max_epochs": 3, "n_conv": 6, "dropout": 0.1}
    scratch = {**usual, "init_from": None, "atom_fea_len": 7, "weight_decay": 0.0, "batch_size": 8}
    space = Space({"auto": usual, "none": scratch}, frozenset({"dropout"}))
    # The sizes of a model that training starts from are as they are.
    assert list(space.names("auto")) == ["lr", "max_epochs"]
    names = ["n_conv", "atom_fea_len", "lr", "weight_decay", "max_epochs"]
    assert list(space.names("none")) == names
    point = {"start": "none", "n_conv": 6, "atom_fea_len": 7}
    assert space.usual_point("none") == point | dict.fromkeys(names[2:], 1.0)
    assert space.params(optuna.trial.FixedTrial(space.usual_point("auto"))) == {}
    assert space.params(optuna.trial.FixedTrial(point | dict.fromkeys(names[2:], 1.0))) == {
        "init_from": "none"
    }
    chosen = {"n_conv": 2, "atom_fea_len": 32, "lr": 1 / 3, "weight_decay": 10, "max_epochs": 2}
    found = space.params(optuna.trial.FixedTrial(point | chosen))
    # A number has three digits at most, and a number of epochs is whole.
    assert found == {
        "init_from": "none", "n_conv": 2, "atom_fea_len": 32, "lr": 0.00041, "max_epochs": 6
    }  # fmt: skip
    assert type(found["max_epochs"]) is int
    few = Space({"auto": {"init_from": None, "max_epochs": 1}}, frozenset())
    trial = optuna.trial.FixedTrial({"start": "auto", "max_epochs": 0.5})
    assert few.params(trial) == {}  # at least one


def test_better_by_more_than_chance():
    usual = Trial(0, {}, (1.0, 1.1, 0.9, 1.0, 1.2), "complete")
    better = Trial(1, {"lr": 0.1}, (0.8, 0.95, 0.71, 0.79, 1.02), "complete")
    best = Trial(2, {"lr": 0.2}, (0.5, 0.62, 0.41, 0.49, 0.72), "complete")
    lucky = Trial(3, {"lr": 0.3}, (0.1, 1.1, 0.9, 1.0, 1.2), "complete")
    early = Trial(4, {"lr": 0.4}, (0.1,), "given up")
    assert choose([usual, better, lucky, early, best]) is best
    assert choose([usual, better]) is better
    assert choose([usual, lucky, early]) is usual
    assert choose([better, best]) is None
    # Of many trials a better one must be better by far.
    other = Trial(1, {"lr": 0.1}, (0.9, 0.95, 0.88, 0.91, 1.19), "complete")
    p = ttest_rel(usual.errors, other.errors, alternative="greater").pvalue
    n = int(0.05 / p)
    assert 2 <= n < 50
    assert choose([usual, *[other] * (n - 1)]) is other
    assert choose([usual, *[other] * n]) is usual


@pytest.mark.slow
def test_optuna_prints_nothing(tmp_path):
    sample = load_sample_regression()
    for path in sample.data[:40]:
        shutil.copy(path, tmp_path)
    table = [f"{Path(p).stem},{y}" for p, y in zip(sample.data[:40], sample.target, strict=False)]
    (tmp_path / "id_prop.csv").write_text("\n".join(["id,e", *table]))
    code = "from skcgcnn.cli import app; app()"
    words = ["tune", str(tmp_path), "-q", "--max-epochs", "1", "--time", "1s"]
    words += ["--atom-fea-len", "8", "--n-conv", "1", "--h-fea-len", "8"]
    found = subprocess.run(
        [sys.executable, "-c", code, *words, "-o", str(tmp_path / "run"), "--device", "cpu"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "study" not in found.stdout + found.stderr
