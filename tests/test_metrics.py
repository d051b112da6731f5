"""Metrics over a whole test set."""

import numpy as np
import pytest

from skcgcnn.metrics import classification_metrics, regression_metrics


def test_regression():
    found = regression_metrics([0.0, 2.0], [1.0, 2.0])
    assert found == {"mae": 0.5, "rmse": pytest.approx(0.5**0.5), "r2": 0.5}


def test_what_is_undefined_is_none():
    assert regression_metrics([], []) == {"mae": None, "rmse": None, "r2": None}
    assert regression_metrics([1.0], [1.5])["r2"] is None
    nothing = classification_metrics([], [], np.empty((0, 2)), [0, 1])
    assert nothing == {"accuracy": None, "f1": None, "roc_auc": None}
    one_class = classification_metrics([1, 1], [1, 0], [[0, 1], [0.7, 0.3]], [0, 1])
    assert one_class == {"accuracy": 0.5, "f1": pytest.approx(2 / 3), "roc_auc": None}


def test_texts_and_the_second_class():
    found = classification_metrics(
        ["gap", "metal", "metal", "gap"],
        ["gap", "metal", "gap", "gap"],
        [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.5, 0.5]],
        ["gap", "metal"],
    )
    assert found == {"accuracy": 0.75, "f1": pytest.approx(2 / 3), "roc_auc": 0.75}


def test_three_classes():
    proba = np.eye(3)[[0, 1, 2, 0]]
    found = classification_metrics([0, 1, 2, 2], [0, 1, 2, 0], proba, [0, 1, 2])
    assert found["accuracy"] == 0.75
    assert found["f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert 0.5 < found["roc_auc"] < 1


def test_a_label_that_training_never_saw():
    found = classification_metrics([0, 1, 5], [0, 1, 1], [[1, 0], [0, 1], [0, 1]], [0, 1])
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["roc_auc"] is None
