"""Standard deviations that hold without a further step, by crystals outside of the fit."""

import numpy as np
import pytest
from skorch.callbacks import Callback

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.estimators import predict_targets

NETWORKS = {"n_estimators": 5, "max_epochs": 10, "batch_size": 25, "lr": 0.03}


@pytest.fixture(scope="module")
def many(graphs, energies):
    """Return crystals with numbers that they tell in part, to train on and to test."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(graphs), 400)
    y = energies[rows] + rng.normal(0, energies.std(), len(rows))
    return (graphs[rows[:100]], y[:100]), (graphs[rows[100:]], y[100:])


@pytest.mark.parametrize("loss", ["mae", "gaussian_nll"])
def test_an_ensemble_is_calibrated_as_first_fitted(tiny, many, loss, tmp_path):
    (X, y), (X_test, y_test) = many
    est = CGCNNRegressor(**{**tiny, **NETWORKS, "loss": loss}).fit(X, y)
    predicted, std = est.predict(X_test, return_std=True)
    assert 0.55 < (np.abs(predicted - y_test) <= std).mean() < 0.8
    assert est.n_samples_fit_ == 100
    assert est.targets_[0].calibration == "calibrated on 50 crystals"
    est.save(tmp_path / "model")
    again = skcgcnn.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X_test, return_std=True)[1], std)
    (prediction,) = predict_targets(again, X_test[:3])
    names, columns = zip(*again.targets_[0].columns(prediction), strict=True)
    assert names == ("target_pred", "target_std", "target_calibration")
    assert columns[-1] == ["calibrated on 50 crystals"] * 3
    name, _ = again.targets_[0].uncertainty(prediction)
    assert name == "standard deviation, calibrated on 50 crystals"


def test_few_crystals_are_all_trained_on(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny, n_estimators=2).fit(graphs, energies)
    assert est.targets_[0].calibration == "not calibrated"
    assert est.targets_[0].spread == 0


class Count(Callback):
    """Counts the crystals of every fit."""

    seen = []  # noqa: RUF012 - copies of the callback share it

    def on_train_begin(self, net, X, y, **kwargs):
        self.seen.append(len(X))


def test_classes_are_all_trained_on(tiny, many):
    (X, y), _ = many
    params = {**tiny, "n_estimators": 5, "max_epochs": 1, "batch_size": 50, "callbacks": [Count()]}
    CGCNNClassifier(**params).fit(X, y > 0)
    assert Count.seen == [100] * 5
    Count.seen.clear()
    CGCNNRegressor(**params).fit(X, y)
    assert Count.seen == [90] * 5


def test_missing_targets_do_not_count(tiny, many):
    (X, y), _ = many
    Y = np.column_stack([np.where(np.arange(len(y)) % 5, y, np.nan), y, y > y.mean()])
    tasks = ("regression", "regression", "classification")
    est = CGCNNMultiTask(**{**tiny, **NETWORKS, "max_epochs": 1}, tasks=tasks).fit(X, Y)
    assert 25 < est.targets_[0].n_calibrated < 50
    assert est.targets_[1].n_calibrated == 50


def test_validation_crystals_calibrate_a_single_network(tiny, many):
    (X, y), (X_test, y_test) = many
    est = CGCNNRegressor(**{**tiny, **NETWORKS, "n_estimators": 1, "loss": "gaussian_nll"})
    est.fit(X, y, validation_data=(X_test[:100], y_test[:100]))
    assert est.targets_[0].calibration == "calibrated on 100 crystals"
    predicted, std = est.predict(X_test[100:], return_std=True)
    assert 0.6 < (np.abs(predicted - y_test[100:]) <= std).mean() < 0.8
    assert est.fit(X, y).targets_[0].calibration == "not calibrated"
    est.fit(X, y, validation_data=(X_test, y_test)).partial_fit(X, y)
    assert est.targets_[0].calibration == "not calibrated"


@pytest.mark.slow
def test_a_single_network_leaves_crystals_out_to_be_calibrated_by(tiny, graphs, energies):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(graphs), 600)
    y = energies[rows] + rng.normal(0, energies.std(), 600)
    X = graphs[rows]
    est = CGCNNRegressor(**tiny, loss="gaussian_nll").set_params(max_epochs=10)
    est.fit(X[:250], y[:250])
    assert est.targets_[0].calibration == "calibrated on 25 crystals"
    assert est.n_samples_fit_ == 250
    predicted, std = est.predict(X[250:], return_std=True)
    assert 0.5 < (np.abs(predicted - y[250:]) <= std).mean() < 0.85
    est.set_params(warm_start=True).fit(X[:250], y[:250])
    assert est.targets_[0].calibration == "not calibrated"
    assert CGCNNRegressor(**tiny).fit(X[:250], y[:250]).targets_[0].n_calibrated == 0
