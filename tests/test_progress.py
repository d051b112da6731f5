"""What is shown while something runs, and what is kept of it."""

import logging
import pickle
import warnings
from functools import partial

import numpy as np
import pytest

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn._progress import Progress
from skcgcnn._warnings import is_called_by, said_once, warn_caller


class Terminal:
    """A stream that says that it is a terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_silence_is_the_default(tiny, graphs, energies, capfd):
    CGCNNRegressor(**tiny).fit(graphs, energies)
    assert capfd.readouterr() == ("", "")


def test_a_log_gets_plain_lines_with_errors_in_units_of_y(tiny, graphs, Y, capfd):
    params = tiny | {"max_epochs": 20, "early_stopping": True, "n_iter_no_change": 20}
    CGCNNMultiTask(**params, verbose=1).fit(graphs, Y)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch 2 of 20, training y0 MAE ")
    assert "y1 accuracy" in lines[0]
    assert "validation y0 MAE" in lines[0]
    assert lines[0].endswith(" left")
    assert not any(character < " " for line in lines for character in line)


def test_a_terminal_gets_one_line_that_goes(tiny, graphs, energies, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    CGCNNRegressor(**tiny, verbose=1).fit(graphs, energies)
    assert "epoch" in terminal.text
    assert "\n" not in terminal.text
    assert terminal.text.rstrip(" ").endswith("\r")


def test_reading_tells_crystals_per_second(cifs, capfd):
    CrystalGraphTransformer(verbose=1).transform(cifs)
    assert "crystal 24 of 24, " in (text := capfd.readouterr().err)
    assert text.endswith(" crystals/s\n")


def test_verbose_2_prints_a_table_without_colors_in_a_log(tiny, graphs, energies, capfd):
    CGCNNRegressor(**tiny, verbose=2).fit(graphs, energies)
    out = capfd.readouterr().out
    assert "train_loss" in out
    assert "\x1b" not in out


def test_epochs_go_to_the_logger(tiny, graphs, energies, caplog):
    with caplog.at_level(logging.INFO, logger="skcgcnn"):
        CGCNNRegressor(**tiny).fit(graphs, energies)
    assert [record.name for record in caplog.records] == ["skcgcnn"] * 2
    assert caplog.messages[1].startswith("epoch 2 of 2: training MAE ")


def test_the_time_left_is_told_in_words(capsys, monkeypatch):
    now = iter([0.0, 40.0, 80.0, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    progress = Progress(1000, "crystal")
    for steps in (1, 99, 800):
        progress.update(steps)
    lines = capsys.readouterr().err.splitlines()
    ends = [line.split(", ", 1)[1] for line in lines]
    assert ends == [
        "0.025 crystals/s, 11 h 6 min left",
        "1.2 crystals/s, 12 min left",
        "7.5 crystals/s, 13 s left",
    ]


def test_large_rates_have_separators(capsys, monkeypatch):
    now = iter([0.0, 1.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    Progress(24_400, "crystal").update(12_200)
    assert ", 12,200 crystals/s, 1 s left\n" in capsys.readouterr().err


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNClassifier])
def test_scores_of_a_fit_in_the_words_of_scikit_learn(cls, tiny, graphs, energies, labels):
    y = energies if cls is CGCNNRegressor else labels
    est = cls(**tiny, early_stopping=True, validation_fraction=0.3, n_iter_no_change=10)
    est.fit(graphs, y)
    assert est.loss_curve_ == est.history_[:, "train_loss"]
    assert len(est.validation_scores_) == est.n_iter_ == 2
    best = int(np.argmin(est.history_[:, "valid_loss"]))
    assert est.best_validation_score_ == est.validation_scores_[best]
    assert max(est.validation_scores_) <= 1
    # The weights are those of that epoch.
    assert est.best_epoch_ == best + 1
    assert pickle.loads(pickle.dumps(est)).best_epoch_ == best + 1
    # A fit that goes on without validation crystals ends with its last epoch.
    est.set_params(early_stopping=False, warm_start=True).fit(graphs, y)
    assert est.best_epoch_ == est.n_iter_ == 4


def test_a_model_of_a_file_has_no_curve(tiny, graphs, energies, tmp_path):
    CGCNNRegressor(**tiny).fit(graphs, energies).save(tmp_path / "model.safetensors")
    est = skcgcnn.load(tmp_path / "model.safetensors")
    assert len(est.loss_curve_) in {0, 2}
    assert est.validation_scores_ is None


def test_without_validation_there_is_no_score(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    assert est.validation_scores_ is None
    assert est.best_validation_score_ is None
    assert est.best_epoch_ == est.n_iter_


def test_warnings_point_to_the_line_that_called(tiny, graphs, energies, nacl):
    nacl.replace_species({"Na": "Rb"})
    est = CGCNNRegressor(**tiny).fit(graphs[:3], energies[:3])
    with pytest.warns(UserWarning, match="no training crystal of") as found:
        est.predict([nacl])
    assert found[0].filename == __file__


def test_what_is_said_once_is_said_once_for_a_line():
    with warnings.catch_warnings(record=True, action="always") as found:
        for once in (True, True, False, False):
            warn_caller("of a test", once=once)
    assert len(found) == 3


def test_a_bar_goes_when_its_task_is_done(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(4, "epoch", initial=1) as progress:
        assert "epoch 1 of 4" in terminal.text
        progress.update(2, "MAE 0.1 eV")
        progress._bar.refresh()
        assert "| epoch 3 of 4, MAE 0.1 eV, " in terminal.text.rpartition("\r")[2]
        progress.close()
        progress.update(1)
    assert terminal.text.rstrip(" ").endswith("\r")
    assert progress.done == 4
    terminal.text = ""
    with Progress(4, "epoch", enabled=False) as progress:
        progress.update(4)
    assert terminal.text == ""
    assert capsys.readouterr() == ("", "")


class Buffered(Terminal):
    """A log that shows what was flushed."""

    def __init__(self):
        super().__init__()
        self.shown = ""

    def flush(self):
        self.shown = self.text

    def isatty(self):
        return False


def test_a_line_of_a_log_is_there_at_once(monkeypatch):
    log = Buffered()
    monkeypatch.setattr("sys.stderr", log)
    Progress(2, "epoch").update(1)
    assert log.shown == log.text
    assert log.shown.startswith("epoch 1 of 2, ")


def test_a_log_gets_a_line_after_a_tenth_at_the_end_and_after_half_a_minute(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    progress = Progress(100, "crystal")
    for steps, seconds, expected in (
        (9, 1, None),
        (1, 1, "crystal 10 of 100, 5 crystals/s, 18 s left"),
        (9, 1, None),
        (0, 29.9, "crystal 19 of 100, 0.58 crystals/s, 2 min left"),  # after 30.9 s
        (1, 27.1, None),
        (0, 0, None),
        (0, 2.9, "crystal 20 of 100, 0.32 crystals/s, 4 min left"),
        (80, 37.1, "crystal 100 of 100, 1 crystals/s"),
    ):
        clock[0] += seconds
        progress.update(steps)
        assert capsys.readouterr().err == ("" if expected is None else f"{expected}\n"), steps
    unknown = Progress(None, "row", initial=5)
    unknown.update(1000)
    assert capsys.readouterr().err == ""
    clock[0] += 30
    unknown.update(200, "of a table")
    assert capsys.readouterr().err == "row 1205, of a table, 40 rows/s\n"
    Progress(10, "row", enabled=False).update(10)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (10.0, "10 rows/s, 90 s left"),
        (11.0, "9.1 rows/s, 99 s left"),
        (11.2, "8.9 rows/s, 2 min left"),
        (663.0, "0.15 rows/s, 99 min left"),
        (664.0, "0.15 rows/s, 1 h 40 min left"),
        (6550.0, "0.015 rows/s, 16 h 22 min left"),
    ],
)
def test_rates_and_times(seconds, expected, capsys, monkeypatch):
    clock = iter([0.0, seconds])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    Progress(1000, "row").update(100)
    assert capsys.readouterr().err == f"row 100 of 1000, {expected}\n"


def test_without_a_standard_error_stream_nothing_is_shown(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with Progress(2, "epoch", enabled=False) as progress:
        progress.update(2)


def test_each_warning_is_shown_once_whatever_filters_say():
    shown = []
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, category, *_, **__: shown.append(
            (str(message), category)
        )
        with said_once():
            warnings.simplefilter("always")
            for category in (UserWarning, RuntimeWarning):
                for text in ("a", "b", "a"):
                    warnings.warn(text, category, stacklevel=1)
        warnings.warn("a", UserWarning, stacklevel=1)
    expected = [(text, kind) for kind in (UserWarning, RuntimeWarning) for text in "ab"]
    assert shown == [*expected, ("a", UserWarning)]


def called_from(module, function, file="file.py"):
    """Return what a function returns where it is called by one of a module."""
    scope = {"__name__": module, "function": function}
    exec(compile("def call():\n    return function()", file, "exec"), scope)  # noqa: S102
    return scope["call"]()


def test_who_called():
    for module, expected in (
        ("sklearn.model_selection", True),
        ("sklearn.model_selection._search", True),
        ("sklearn.model_selection_of_others", False),
        ("sklearn", False),
    ):
        found = called_from(
            module, lambda: called_from("other", lambda: is_called_by("sklearn.model_selection"))
        )
        assert found == expected


@pytest.mark.parametrize(
    ("module", "is_inside"),
    [
        ("skcgcnn.estimators", True),
        ("sklearn.pipeline", True),
        ("skorch", True),
        ("joblib.parallel", True),
        ("sklearn_extra", False),
        ("pandas", False),
    ],
)
def test_a_warning_is_that_of_the_first_line_outside_of_the_library(module, is_inside):
    warn = partial(warn_caller, "of a test", RuntimeWarning)
    with pytest.warns(RuntimeWarning, match="of a test") as found:
        called_from(module, warn, "inner.py")
    assert found[0].filename == (__file__ if is_inside else "inner.py")
