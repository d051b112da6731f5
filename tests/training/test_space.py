"""Between which values a search tries parameters, how it spends its time, and what it tells."""

import logging

import numpy as np
import pytest

from skcgcnn.exceptions import DataError
from skcgcnn.reports import TIME_UP, Trial
from skcgcnn.training import _search as module
from skcgcnn.training._search import Search, Space

optuna = pytest.importorskip("optuna")

USUAL = {
    "init_from": None,
    "dropout": 0.1,
    "n_conv": 4,
    "atom_fea_len": 64,
    "lr": 0.01,
    "weight_decay": 1e-4,
    "max_epochs": 40,
}


def test_what_is_tried():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    Space({"auto": USUAL}, frozenset()).params(trial)
    choices = {n: each.choices for n, each in trial.distributions.items() if "choices" in dir(each)}
    assert choices == {
        "start": ("auto",),
        "dropout": (0.0, 0.1, 0.2, 0.3),
        "n_conv": (2, 3, 4, 5),
        "atom_fea_len": (32, 64, 96, 128),
    }
    factors = {n: each for n, each in trial.distributions.items() if n not in choices}
    assert {n: (each.high, each.log) for n, each in factors.items()} == {
        "lr": (3.0, True),
        "weight_decay": (10.0, True),
        "max_epochs": (2.0, True),
    }
    assert all(each.low == 1 / each.high for each in factors.values())
    # A usual value that is none of these is one more.
    trial = optuna.create_study().ask()
    Space({"auto": {**USUAL, "n_conv": 1}}, frozenset({"lr"})).params(trial)
    assert trial.distributions["n_conv"].choices == (1, 2, 3, 4, 5)
    assert "lr" not in trial.distributions


@pytest.fixture(autouse=True)
def _no_lines():
    optuna.logging.set_verbosity(logging.WARNING)


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


SPACE = Space({"auto": {"init_from": None, "lr": 0.01}}, frozenset())


def run(file, evaluate, deadline, n_trials=None):
    told = []
    search = Search(file, SPACE, "these", 0)
    search.run(evaluate, n_trials, deadline, told.append)
    return search.trials(), told


def taking(clock, seconds, error=lambda fold: 0.5 + fold / 10):
    def evaluate(params, fold):
        clock[0] += seconds(params) if callable(seconds) else seconds
        return error(fold)

    return evaluate


def test_a_fold_begins_where_there_is_time_for_it_and_the_last_fits(clock, tmp_path):
    # Of folds of 10 s each, the next and the last fits take 10 + 1.25 * (10 + 10) = 35 s.
    for seconds, n_folds in ((0.5, 1), (45.0, 1), (45.5, 2), (75.5, 5), (85.0, 5), (85.5, 6)):
        clock[0] = 1000.0
        trials, told = run(
            tmp_path / f"{seconds}.log", taking(clock, 10.0, lambda _: 0.5), 1000 + seconds
        )
        assert sum(len(each.errors) for each in trials) == n_folds
        assert [each.number for each in told] == [each.number for each in trials]
        last = trials[-1]
        if len(last.errors) < 5:
            assert (last.outcome, last.why) == ("failed", TIME_UP)
    clock[0] = 1000.0
    assert run(tmp_path / "none.log", taking(clock, 10.0), 1000.0) == ([], [])


def test_no_more_trials_than_are_asked_for(clock, tmp_path):
    trials, told = run(tmp_path / "a.log", taking(clock, 1.0), 1e9, n_trials=1)
    assert trials == told == [Trial(0, {}, (0.5, 0.6, 0.7, 0.8, 0.9), "complete")]
    assert trials[0].mean == pytest.approx(0.7)


def test_ten_failures_in_a_row_end_a_search(clock, tmp_path):
    calls = []

    def diverges(params, fold):
        calls.append(params)
        # The fifth is the first that does not fail.
        return float("nan") if len(calls) != 5 and fold == 0 else 0.5

    trials, _ = run(tmp_path / "a.log", diverges, 1e9)
    assert len(trials) == 5 + 10
    assert [each.outcome for each in trials].count("failed") == 14
    assert {each.why for each in trials} == {"the training diverged", ""}
    assert trials[0].errors == ()

    def refuses(params, fold):
        raise ValueError

    trials, _ = run(tmp_path / "b.log", refuses, 1e9)
    assert [(each.outcome, each.why) for each in trials] == [("failed", "ValueError()")] * 10


def test_trials_that_are_worse_are_given_up(clock, tmp_path):
    def evaluate(params, fold):
        return 0.5 if not params else 1 + params["lr"]

    trials, _ = run(tmp_path / "a.log", evaluate, 1e9, n_trials=8)
    assert (trials[0].params, trials[0].outcome) == ({}, "complete")
    others = trials[1:]
    assert all(each.params for each in others)
    assert {len(each.errors) for each in others if each.outcome == "given up"} <= {1, 2, 4}
    assert any(each.outcome == "given up" for each in others)
    assert {each.why for each in trials} == {""}


def test_a_search_that_goes_on_tries_others(clock, tmp_path):
    trials, _ = run(tmp_path / "a.log", taking(clock, 1.0), 1e9, n_trials=2)
    more, told = run(tmp_path / "a.log", taking(clock, 1.0), 1e9, n_trials=2)
    assert more[:2] == trials
    assert more[2:] == told
    rates = [each.params.get("lr") for each in more]
    assert len(set(rates)) == 4
    again, _ = run(tmp_path / "b.log", taking(clock, 1.0), 1e9, n_trials=2)
    assert again == trials  # what is tried is decided by the seed
    with pytest.raises(DataError) as error:
        Search(tmp_path / "a.log", SPACE, "those", 0)
    assert str(error.value) == (
        f"{tmp_path / 'a.log'}: is the search of other crystals, settings or options; restore "
        "them, or begin anew with --overwrite"
    )


def test_what_was_interrupted_is_tried_again(clock, tmp_path):
    calls = []

    def interrupted(params, fold):
        calls.append(params)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return 0.5

    file = tmp_path / "a.log"
    search = Search(file, SPACE, "these", 0)
    with pytest.raises(KeyboardInterrupt):
        search.run(interrupted, None, 1e9, lambda trial: None)
    assert [each.number for each in search.trials()] == [0]
    trials, _ = run(file, taking(clock, 1.0), 1e9, n_trials=1)
    assert [each.params for each in trials] == [{}, calls[6]]
    assert np.isfinite(trials[1].mean)
