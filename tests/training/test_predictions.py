"""Tables of predictions."""

import csv

import numpy as np
import pytest

from skcgcnn.tasks import Classes, Number, Prediction
from skcgcnn.training import errors_of
from skcgcnn.training._predictions import write_predictions


def test_numbers_far_from_zero_keep_their_digits(tmp_path):
    values = 1e9 + np.linspace(0.1, 0.9, 3)
    predictions = [Prediction(Number("time"), values)]
    write_predictions(tmp_path / "p.csv", list("abc"), predictions, values[:, np.newaxis])
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("time", "time_pred"):
        np.testing.assert_array_equal([float(row[name]) for row in rows], values)


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


def test_classes_that_are_floats_have_the_names_of_integers():
    for kind in (int, float):
        target = Classes("k", classes=np.array([0, 1, 2], dtype=kind))
        names = [name for name, _ in target.columns(Prediction(target, np.zeros(1), np.eye(3)))]
        assert names == ["k_pred", "k_proba_0", "k_proba_1", "k_proba_2"]
        assert target.output_names == ["k=0", "k=1", "k=2"]
