"""Tables of predictions."""

import csv

import numpy as np

from skcgcnn.tasks import Number, Prediction
from skcgcnn.training._predictions import write_predictions


def test_numbers_far_from_zero_keep_their_digits(tmp_path):
    values = 1e9 + np.linspace(0.1, 0.9, 3)
    predictions = [Prediction(Number("time"), values)]
    write_predictions(tmp_path / "p.csv", list("abc"), predictions, values[:, np.newaxis])
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("time", "time_pred"):
        np.testing.assert_array_equal([float(row[name]) for row in rows], values)
