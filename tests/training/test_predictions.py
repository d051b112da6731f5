"""Tables of predictions."""

import csv
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from sklearn.ensemble import ExtraTreesRegressor
from typer.testing import CliRunner

from skcgcnn import CGCNNClassifier
from skcgcnn.cli import app
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import mean_features
from skcgcnn.tasks import Classes, Number, Prediction
from skcgcnn.training import errors_of
from skcgcnn.training._data import Part
from skcgcnn.training._predictions import write_predictions
from skcgcnn.training._tested import predict_part, together


def test_numbers_far_from_zero_keep_their_digits(tmp_path):
    values = 1e9 + np.linspace(0.1, 0.9, 3)
    predictions = [Prediction(Number("time"), values)]
    write_predictions(tmp_path / "p.csv", list("abc"), predictions, values[:, np.newaxis])
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("time", "time_pred"):
        np.testing.assert_array_equal([float(row[name]) for row in rows], values)


@pytest.mark.parametrize(("other", "with_truth"), [("e_pred", True), ("e", False)])
def test_columns_of_one_name_are_not_written(other, with_truth, tmp_path):
    predictions = [Prediction(Number(name), np.zeros(2)) for name in ("e", other)]
    truth = np.zeros((2, 2)) if with_truth else None
    with pytest.raises(DataError, match=r"^two columns .* the name 'e(_pred)?'; rename the target"):
        write_predictions(tmp_path / "p.csv", list("ab"), predictions, truth)
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("target", "cells", "said"),
    [
        (Classes("kind", classes=np.array(["gap", "metal"])), ["Gap", "Metal"], "gap, metal"),
        (Classes("kind", classes=np.array([0, 1])), ["no", 5.0], "0, 1"),
        (Number("gap"), ["small", "large"], "numbers"),
    ],
)
def test_a_table_without_what_is_predicted_is_told(target, cells, said):
    values = np.zeros(2) if target.is_number else target.labels
    truth = {target.name: np.array(cells, dtype=object)}
    with pytest.warns(UserWarning, match=f"not compared .* predicts {said}, .* '{cells[0]}'"):
        assert not errors_of([Prediction(target, values)], truth)


def part(rows, graphs, energies):
    return Part(rows, graphs[rows], energies[rows], ["energy"], {})


def test_what_simpler_models_say_of_a_part(fitted_regressor, graphs, energies):
    rows = np.arange(24)
    train, first, second = (part(each, graphs, energies) for each in np.split(rows, [12, 17]))
    said = predict_part(fitted_regressor, train, second)
    np.testing.assert_array_equal(said.rows, rows[17:])
    (prediction,) = said.predictions
    np.testing.assert_array_equal(prediction.values, fitted_regressor.predict(graphs[17:]))
    assert said.simple[0].tolist() == [np.median(energies[:12])] * 7
    trees = ExtraTreesRegressor(200, random_state=0)
    mean, std = energies[:12].mean(), energies[:12].std()
    trees.fit(mean_features(graphs[:12]), (energies[:12] - mean) / std)
    expected = mean + std * trees.predict(mean_features(graphs[17:]))
    np.testing.assert_allclose(said.composition[0], expected)
    quick = predict_part(fitted_regressor, train, second, composition=False)
    assert quick.composition == [None]
    assert quick.simple[0].tolist() == said.simple[0].tolist()
    nothing = predict_part(fitted_regressor, train, part(rows[:0], graphs, energies))
    assert (nothing.predictions, nothing.simple, nothing.composition) == ([], [], [])
    # Those of all folds are in the order of the crystals.
    before = predict_part(fitted_regressor, train, first)
    every = together([said, before])
    np.testing.assert_array_equal(every.rows, rows[12:])
    for own, one, other in (
        (every.predictions[0].values, before.predictions[0].values, prediction.values),
        (every.simple[0], before.simple[0], said.simple[0]),
        (every.composition[0], before.composition[0], said.composition[0]),
    ):
        np.testing.assert_array_equal(own, np.concatenate([one, other]))
    assert together([quick, before]).composition == [None]


@pytest.mark.parametrize("classes", [["1", "2"], [1, 2], [1.0, 2.0], [False, True]], ids=repr)
def test_classes_are_compared_with_the_numbers_of_a_table(classes, cifs, labels, tmp_path):
    est = CGCNNClassifier(**TINY).fit(cifs, np.array(classes)[labels])
    est.save(tmp_path / "m.safetensors", targets=["kind"])
    data = tmp_path / "data"
    data.mkdir()
    numbers = ["0", "1"] if classes[1] is True else ["1", "2"]
    rows = ["cif_id,kind"]
    for path, label in zip(cifs, labels, strict=True):
        shutil.copy(path, data)
        rows.append(f"{Path(path).stem},{numbers[label]}")
    (data / "id_prop.csv").write_text("\n".join(rows))
    words = ["predict", str(tmp_path / "m.safetensors"), str(data), "-o", str(tmp_path / "p.csv")]
    result = CliRunner().invoke(app, words)
    right = (est.predict(cifs) == np.array(classes)[labels]).mean()
    assert f"kind: accuracy {right:.3g}" in " ".join(result.output.split())


def test_classes_that_are_floats_have_the_names_of_integers():
    for kind in (int, float):
        target = Classes("k", classes=np.array([0, 1, 2], dtype=kind))
        names = [name for name, _ in target.columns(Prediction(target, np.zeros(1), np.eye(3)))]
        assert names == ["k_pred", "k_proba_0", "k_proba_1", "k_proba_2"]
        assert target.output_names == ["k=0", "k=1", "k=2"]


def test_the_same_predictions_are_the_same_packed_bytes(tmp_path, monkeypatch):
    said = [Prediction(Number("e"), np.array([1.0, 2.0]))]
    found = []
    for now in (1e9, 2e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        write_predictions(tmp_path / "p.csv.gz", list("ab"), said)
        found.append((tmp_path / "p.csv.gz").read_bytes())
    assert found[0] == found[1]
