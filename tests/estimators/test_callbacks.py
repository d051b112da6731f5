"""Callbacks of skorch: those that would have no effect are refused, with what to do."""

import numpy as np
import pytest
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)

from skcgcnn import CGCNNMultiTask, CGCNNRegressor
from skcgcnn.metrics import task_scorers

CONSTANT = {"schedule": "constant"}


@pytest.fixture
def regressor(tiny):
    return CGCNNRegressor(**tiny)


class HalvesTheRate(Callback):
    def on_epoch_end(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            group["lr"] /= 2


@pytest.mark.parametrize(
    "callback",
    [
        LRScheduler,
        LRScheduler("StepLR", step_size=1),
        ("steps", LRScheduler("StepLR", step_size=1)),
        ("halves", HalvesTheRate()),
    ],
)
def test_two_schedules_of_the_learning_rate(regressor, graphs, energies, callback):
    one_cycle = {"schedule": "one_cycle"}
    regressor.set_params(callbacks=[callback], max_epochs=3, net_params=one_cycle)
    with pytest.raises(ValueError, match=r'one-cycle schedule.*net_params=.*: "constant"'):
        regressor.fit(graphs, energies)
    regressor.set_params(net_params=CONSTANT).fit(graphs, energies)


def test_a_schedule_of_a_callback_has_an_effect(regressor, graphs, energies):
    regressor.set_params(net_params=CONSTANT, max_epochs=5)
    before = regressor.fit(graphs, energies).predict(graphs)
    regressor.set_params(callbacks=[HalvesTheRate()]).fit(graphs, energies)
    assert (regressor.predict(graphs) != before).any()
    assert regressor.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.004 / 2**5)


@pytest.mark.parametrize(
    "callback",
    [
        EarlyStopping(),
        Checkpoint(),
        LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
        EpochScoring("r2"),
        ("of_epochs", EpochScoring("r2")),
        BatchScoring("r2"),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_validation_that_is_not_there(regressor, graphs, energies, callback):
    regressor.set_params(callbacks=[callback], net_params=CONSTANT)
    advice = r"no validation crystals .* early_stopping=True or validation_data=.*train_loss"
    for fit in (regressor.fit, regressor.partial_fit):
        with pytest.raises(ValueError, match=advice):
            fit(graphs, energies)


def test_callbacks_that_validate(regressor, graphs, energies):
    regressor.set_params(callbacks=[EarlyStopping(monitor="train_loss")]).fit(graphs, energies)
    held_out = {"validation_data": (graphs[:6], energies[:6])}
    regressor.set_params(callbacks=[EarlyStopping(), EpochScoring("r2")])
    assert "r2" in regressor.fit(graphs, energies, **held_out).history_[-1]


@pytest.mark.parametrize("caching", [True, False])
def test_scores_of_one_task_of_several(tiny, graphs, Y, caching):
    scorers = task_scorers(CGCNNMultiTask())
    callbacks = [
        EpochScoring(each, name=name, use_caching=caching) for name, each in scorers.items()
    ]
    est = CGCNNMultiTask(**tiny, callbacks=callbacks)
    found = est.fit(graphs, Y, validation_data=(graphs[::2], Y[::2])).history_[-1]
    assert np.isfinite([found[name] for name in scorers]).all()
    assert found["valid_score"] == pytest.approx((found["y0_r2"] + found["y1_accuracy"]) / 2)


def test_every_fit_has_a_cycle_of_learning_rates_of_its_own(regressor, graphs, energies):
    rates = []

    class Rates(Callback):
        def on_batch_end(self, net, training, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    one_cycle = {"schedule": "one_cycle"}
    regressor.set_params(callbacks=[Rates()], max_epochs=4, net_params=one_cycle, warm_start=True)
    for _ in range(2):
        regressor.fit(graphs, energies)
    first, second = np.reshape(rates, (2, -1))
    np.testing.assert_allclose(second, first)
    assert 0 < first.argmax() < len(first) - 1  # up and down


class Counts(Callback):
    def __init__(self):
        self.epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1


def test_a_callback_that_is_added_to_the_list_while_training_goes_on(tiny, graphs, energies):
    callbacks, added = [], Counts()
    est = CGCNNRegressor(**tiny, warm_start=True, callbacks=callbacks).fit(graphs, energies)
    callbacks.append(added)
    est.fit(graphs, energies)
    assert added.epochs == est.n_iter_ // 2
    callbacks.clear()
    est.fit(graphs, energies)
    assert added.epochs == est.n_iter_ // 3
