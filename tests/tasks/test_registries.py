"""Tasks and losses from outside: they train, are saved, loaded and predict as our own."""

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

import skcgcnn
from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.estimators import predict_targets
from skcgcnn.estimators._outputs import member_outputs
from skcgcnn.metrics import target_metrics, task_scorers
from skcgcnn.tasks import LOSSES, TASKS, Loss, Task


class Count(Task):
    """A number of things, by the Poisson distribution; the output is the logarithm of its mean."""

    kind = "count"

    def encode(self, column):
        encoded = super().encode(column)
        if (encoded < 0).any():
            raise ValueError(f"column {self.name!r} of y holds a negative count")
        return encoded

    def errors(self, outputs, target, loss):
        return functional.poisson_nll_loss(outputs[:, 0], target, reduction="none")

    def in_units(self, outputs):
        return torch.exp(outputs[..., :1])


@pytest.fixture
def count(monkeypatch):
    monkeypatch.setitem(TASKS, "count", Count)


@pytest.fixture
def counts(graphs, labels):
    """Return a table: the sites of a primitive cell, so to say, and a class."""
    return pd.DataFrame({"vacancies": graphs.n_sites % 5, "label": labels})


@pytest.mark.usefixtures("count")
def test_a_kind_of_task(tiny, graphs, counts, tmp_path):
    params = {**tiny, "max_epochs": 60, "lr": 0.02, "loss": "mae"}
    est = CGCNNMultiTask(**params, tasks=("count", "classification")).fit(graphs, counts)
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    expected = est.predict(graphs)
    numbers = expected[:, 0].astype(float)
    assert (numbers > 0).all()
    assert np.corrcoef(numbers, counts["vacancies"])[0, 1] > 0.5
    assert est.predict_proba(graphs).shape == (24, 2)
    est.save(tmp_path / "m.safetensors")
    joblib.dump(est, tmp_path / "m.joblib")
    for again in (skcgcnn.load(tmp_path / "m.safetensors"), joblib.load(tmp_path / "m.joblib")):
        np.testing.assert_array_equal(again.predict(graphs), expected)
        assert [target.kind for target in again.targets_] == ["count", "classification"]
    found = predict_targets(est, graphs)[0]
    assert [name for name, _ in found.target.columns(found)] == ["vacancies_pred"]
    assert set(target_metrics(counts["vacancies"].to_numpy(), found)) == {"mae", "rmse", "r2"}
    assert task_scorers(est)["vacancies_neg_mae"](est, graphs, counts) < 0


@pytest.mark.usefixtures("count")
def test_an_ensemble_of_such(tiny, graphs, counts):
    """The mean of the outputs is combined as the task says, here the mean of logarithms."""
    params = {**tiny, "n_estimators": 2}
    est = CGCNNMultiTask(**params, tasks=("count", "classification")).fit(graphs, counts)
    outputs = member_outputs(est, graphs)[:, :, 0]
    np.testing.assert_allclose(
        est.predict(graphs)[:, 0].astype(float), np.exp(outputs.mean(axis=0)), rtol=1e-6
    )
    _, std = est.predict(graphs, return_std=True)
    np.testing.assert_allclose(std[:, 0].astype(float), np.exp(outputs).std(axis=0), rtol=1e-6)


@pytest.mark.usefixtures("count")
def test_what_it_refuses(tiny, graphs, counts):
    est = CGCNNMultiTask(**tiny, tasks=("count", "classification"))
    with pytest.raises(ValueError, match="column 'vacancies' of y holds a negative count"):
        est.fit(graphs, counts.assign(vacancies=-1))


@pytest.mark.usefixtures("count")
def test_it_cannot_be_read_where_it_is_not_known(tiny, graphs, counts, tmp_path, monkeypatch):
    est = CGCNNMultiTask(**tiny, tasks=("count", "classification")).fit(graphs, counts)
    est.save(tmp_path / "m.safetensors")
    monkeypatch.delitem(TASKS, "count")
    with pytest.raises(skcgcnn.exceptions.DataError, match="unknown kind of target 'count'"):
        skcgcnn.load(tmp_path / "m.safetensors")


def test_a_loss(tiny, graphs, energies, tmp_path, monkeypatch):
    """Quantile regression: nine of ten values are below what is predicted."""

    def pinball(output, value):
        left = value - output
        return torch.maximum(0.9 * left, -0.1 * left)

    monkeypatch.setitem(LOSSES, "pinball", Loss(pinball, log_share=1.0))
    params = {**tiny, "max_epochs": 150, "lr": 0.02, "loss": "pinball"}
    est = CGCNNRegressor(**params).fit(graphs, energies)
    predicted = est.predict(graphs)
    assert 0.7 < (energies <= predicted).mean() <= 1.0
    est.save(tmp_path / "m.safetensors")
    again = skcgcnn.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(graphs), predicted)
    assert again.loss == "pinball"


def test_a_loss_that_is_not_registered(tiny, graphs, energies):
    with pytest.raises(ValueError, match="'loss' parameter of CGCNNRegressor"):
        CGCNNRegressor(**{**tiny, "loss": "pinball"}).fit(graphs, energies)
