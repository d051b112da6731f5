"""What is shown while something runs, and what is kept of it."""

import logging
import pickle
import warnings

import numpy as np
import pytest

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn._progress import Progress
from skcgcnn._warnings import warn_caller


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
