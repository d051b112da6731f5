"""How far off predictions are."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from skcgcnn.tasks import Classes, Number, Prediction


def test_brier_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    task = Classes("kind", classes=np.array(["a", "b", "c"]))
    proba = rng.dirichlet(np.ones(3), 40)
    true = rng.choice(task.labels, 40).astype(object)
    said = Prediction(task, task.labels[proba.argmax(axis=1)], proba)
    expected = brier_score_loss(true.astype(str), proba, labels=list("abc"), scale_by_half=True)
    assert task.proper_errors(true, said).mean() == pytest.approx(expected)
    true[0], true[1] = None, "d"
    errors = task.proper_errors(true, said)
    assert np.isnan(errors[0])
    assert errors[1] == pytest.approx((1 + np.square(proba[1]).sum()) / 2)
    sure = Prediction(task, np.array(["a", "b"]), np.eye(3)[:2])
    np.testing.assert_array_equal(task.proper_errors(np.array(["a", "c"]), sure), [0, 1])


def test_numbers_are_missed_by_absolute_errors():
    task = Number("gap")
    said = Prediction(task, np.array([1.0, 2.0, np.nan]))
    np.testing.assert_array_equal(
        task.proper_errors(np.array([1.5, np.nan, 1.0]), said), [0.5, np.nan, np.nan]
    )


def test_how_sure_classes_are_and_how_far_off():
    task = Classes("kind", classes=np.array(["a", "b"]))
    proba = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]])
    said = Prediction(task, np.array(["a", "a", "b", None, "a"], dtype=object), proba)
    name, uncertain = task.uncertainty(said)
    assert name == "uncertainty (1 - p_max)"
    np.testing.assert_allclose(uncertain, [0.1, 0.3, 0.2, np.nan, 0.4])
    true = np.array(["a", "b", "b", "a", "of no training"], dtype=object)
    sizes = task.error_sizes(true, said)
    np.testing.assert_allclose(sizes, [0, 0.7, 0, np.nan, np.nan])
    assert task.shown_error(sizes[1]) == pytest.approx(0.3)  # the probability of "b"
    bare = Prediction(task, said.values)
    assert task.uncertainty(bare) is None
    assert np.isnan(task.error_sizes(true, bare)).all()
