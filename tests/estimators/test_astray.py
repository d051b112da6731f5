"""A fit whose predictions for its own crystals are far worse than the simplest ones is told of."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.estimators._astray import warn_if_astray
from skcgcnn.estimators._training_data import TrainingData


def data(est, graphs, values, weights=None):
    values = np.asarray(values, dtype=float).reshape(len(graphs), -1)
    weights = np.ones(len(graphs)) if weights is None else np.asarray(weights)
    return TrainingData(graphs, values, weights, est.targets_, est.y_ndim_)


def told(est, given):
    """Return the warnings."""
    with warnings.catch_warnings(record=True, action="always") as found:
        warn_if_astray(est, given)
    assert {each.category for each in found} <= {ConvergenceWarning}
    return [str(each.message) for each in found]


@pytest.fixture(scope="module")
def regressor(graphs, energies):
    tiny = {"conv": "gated", "atom_fea_len": 8, "n_conv": 1, "h_fea_len": 8, "max_epochs": 1}
    return CGCNNRegressor(**tiny, lr=0.0125, random_state=0, device="cpu").fit(graphs, energies)


def test_the_limit_is_three_times_the_deviation_of_the_target(regressor, graphs):
    predicted, scale = regressor.predict(graphs), regressor.target_scale_[0]
    for times, n_warnings in ((2.99, 0), (3.01, 1)):
        for sign in (1, -1):
            assert (
                len(told(regressor, data(regressor, graphs, predicted + sign * times * scale)))
                == n_warnings
            )
    (text,) = told(regressor, data(regressor, graphs, predicted + 4 * scale))
    assert text == (
        "the fit went astray: on the crystals of the fit, the error of 'target' is 4 times that of "
        "the simplest prediction. Use a smaller lr (it was 0.0125)"
    )


def test_errors_count_by_weight_and_missing_targets_do_not(regressor, graphs):
    predicted, scale = regressor.predict(graphs), regressor.target_scale_[0]
    wrong = np.arange(24) < 12
    values = predicted + 5 * scale * wrong
    assert not told(regressor, data(regressor, graphs, values))
    assert told(regressor, data(regressor, graphs, values, np.where(wrong, 1.0, 0.1)))
    assert told(regressor, data(regressor, graphs, np.where(wrong, values, np.nan)))
    assert not told(regressor, data(regressor, graphs, np.where(wrong, np.nan, values)))
    assert not told(regressor, data(regressor, graphs, np.full(24, np.nan)))


@pytest.mark.parametrize("place", [0, 299])
def test_of_many_crystals_the_first_and_the_last_are_looked_at_too(regressor, graphs, place):
    many = graphs[np.arange(300) % 24]
    values = regressor.predict(many)
    assert not told(regressor, data(regressor, many, values))
    values[place] += 5 * 256 * regressor.target_scale_[0]
    (text,) = told(regressor, data(regressor, many, values))
    assert "is 5 times that" in text  # the mean over 256


def test_each_target_is_judged_and_one_is_named(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny).fit(graphs, Y)
    predicted = est.predict(graphs).astype(float)
    assert not told(est, data(est, graphs, predicted))
    # Classes against those that are all alike, of which the error is log(2).
    for weights in est.net_.module_.average.head.fc_out.parameters():
        weights.data[1:] *= 1e4
    certain = est.predict_proba(graphs).argmax(axis=1)
    assert not told(est, data(est, graphs, np.column_stack([predicted[:, 0], certain])))
    (text,) = told(est, data(est, graphs, np.column_stack([predicted[:, 0], 1 - certain])))
    assert "the error of 'y1' is" in text
    far = predicted[:, 0] + 10 * est.target_scale_[0]
    (text,) = told(est, data(est, graphs, np.column_stack([far, 1 - certain])))
    assert "the error of 'y0' is 10 times" in text


def test_what_a_prediction_refuses_is_not_told_twice(regressor, graphs, energies, tiny):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    for weights in est.module_.parameters():
        weights.data.fill_(np.inf)
    assert not told(est, data(est, graphs, energies))
