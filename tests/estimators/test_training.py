"""Training that is changed, interrupted, diverges, or runs in several threads."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EpochScoring,
    Freezer,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
)

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.nn import GraphNet
from skcgcnn.nn._scores import EpochScores


@pytest.fixture
def regressor(tiny):
    return CGCNNRegressor(**tiny)


# What is fitted is rebuilt from what was fitted.

CHANGES = [
    {"n_conv": 4},
    {"n_conv": 0},
    {"h_fea_len": 5},
    {"n_h": 3},
    {"radius": 4.0},
    {"net_params": {"precision": "float64"}},
    {"dropout": 0.5, "net_params": {"ema_decay": 0.0}, "optimizer": "sgd"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_parameters_that_change_after_the_fit(regressor, graphs, energies, change, tmp_path):
    expected = regressor.fit(graphs, energies).predict(graphs)
    regressor.set_params(**change)
    regressor.save(tmp_path / "model")
    for same in (
        regressor,
        pickle.loads(pickle.dumps(regressor)),
        copy.deepcopy(regressor),
        skcgcnn.load(tmp_path / "model"),
    ):
        np.testing.assert_array_equal(same.predict(graphs), expected)
    name, value = next(iter(change.items()))
    assert getattr(copy.deepcopy(regressor), name) == value
    assert getattr(skcgcnn.load(tmp_path / "model"), name) != value


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd"},
        {"net_params": {"precision": "float64"}},
        {"n_conv": 2},
        {"net_params": {"optimizer__amsgrad": True}},
        {"loss": "gaussian_nll"},
    ],
    ids=str,
)
def test_a_warm_start_refuses_what_cannot_change(regressor, graphs, energies, change):
    regressor.set_params(warm_start=True).fit(graphs, energies).set_params(**change)
    for fit in (regressor.fit, regressor.partial_fit):
        name = next(iter(change))
        name = "(net_params|precision)" if name == "net_params" else name
        with pytest.raises(ValueError, match=f"{name} was .* when the network was"):
            fit(graphs, energies)
    assert regressor.set_params(warm_start=False).fit(graphs, energies).n_iter_ == 2


class See(Callback):
    seen = []  # noqa: RUF012 - copies of the callback share it

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(
            (net.module_.trained.head.dropout.p, net.module_.ema_decay, net.criterion_.loss)
        )


def test_a_warm_start_obeys_what_can_change(regressor, graphs, energies):
    regressor.set_params(warm_start=True).fit(graphs, energies)
    regressor.set_params(
        dropout=0.3,
        net_params={"ema_decay": 0.5},
        loss="mae",
        weight_decay=0.2,
        callbacks=[See()],
    ).fit(graphs, energies)
    assert See.seen == 2 * [(0.3, 0.5, "mae")]
    assert regressor.net_.optimizer_.param_groups[0]["weight_decay"] == 0.2
    # And they are what a copy is made with.
    assert pickle.loads(pickle.dumps(regressor)).net_.module_.trained.head.dropout.p == 0.3


def test_weight_decay_cannot_become_the_default_again(regressor, graphs, energies):
    regressor.set_params(weight_decay=0.5).partial_fit(graphs, energies)
    with pytest.raises(ValueError, match="weight_decay cannot become None"):
        regressor.set_params(weight_decay=None).partial_fit(graphs, energies)


# Divergence


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_divergence_is_told_and_the_last_good_weights_stay(regressor, graphs, energies, precision):
    regressor.set_params(warm_start=True, net_params={"precision": precision}).fit(graphs, energies)
    good = regressor.predict(graphs)

    class Explode(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                net.module_.trained.head.fc_out.weight.data.fill_(torch.inf)

    regressor.set_params(callbacks=[Explode()], max_epochs=5)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 4.*the weights of epoch 3"):
        regressor.fit(graphs, energies)
    assert regressor.n_iter_ == len(regressor.history_) == 3
    assert np.isfinite(regressor.predict(graphs)).all()
    assert np.abs(regressor.predict(graphs) - good).max() > 0
    # It can go on.
    regressor.set_params(callbacks=None).fit(graphs, energies)
    assert np.isfinite(regressor.history_[:, "train_loss"]).all()


def test_a_learning_rate_that_is_too_large(regressor, graphs, energies):
    with pytest.warns(ConvergenceWarning, match=r"diverged in epoch \d+.*use a smaller lr"):
        regressor.set_params(lr=1e20, max_epochs=20).fit(graphs, energies)
    assert np.isfinite(regressor.predict(graphs)).all()


def test_finite_numbers_that_are_no_predictions_are_told(graphs, energies):
    est = CGCNNRegressor(lr=3, max_epochs=4, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"went astray.*times that of the simp.*was 3\)"):
        est.fit(graphs[:6], energies[:6])
    labels = np.arange(6) % 2
    est = CGCNNClassifier(lr=3, max_epochs=4, random_state=0)
    with pytest.warns(ConvergenceWarning, match="went astray"):
        est.fit(graphs[:6], labels)


def test_a_value_that_hardly_counts_is_no_reason_to_warn(graphs, energies, recwarn):
    y, weights = energies.copy(), np.ones(len(energies))
    y[0], weights[0] = 1e6, 1e-12
    CGCNNRegressor(max_epochs=1, random_state=0).fit(graphs, y, sample_weight=weights)
    assert not [each for each in recwarn if "astray" in str(each.message)]


def test_validation_outputs_that_are_no_numbers_are_a_divergence(graphs, energies):
    # From a general model the first step is made with finite numbers; weights are huge after it.
    est = CGCNNRegressor(lr=1e10, max_epochs=2, batch_size=len(graphs), random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1.*the weights of the start"):
        est.fit(graphs, energies, validation_data=(graphs, energies))
    assert np.isfinite(est.predict(graphs)).all()


# Interruption


def test_an_interrupted_fit_leaves_a_fitted_estimator(regressor, graphs, energies, monkeypatch):
    expected = clone(regressor).fit(graphs, energies).predict(graphs)
    steps, train_step = [], GraphNet.train_step

    def interrupted(net, batch, **kwargs):
        steps.append(len(net.history))
        if len(net.history) == 3 and steps.count(3) == 2:
            raise KeyboardInterrupt
        return train_step(net, batch, **kwargs)

    # Not in a callback: there it asks for an end of the training, which is no error.
    monkeypatch.setattr(GraphNet, "train_step", interrupted)
    regressor.set_params(max_epochs=9)
    with (
        pytest.warns(UserWarning, match="interrupted after 2 epochs") as caught,
        pytest.raises(KeyboardInterrupt),
    ):
        regressor.fit(graphs, energies)
    assert {each.filename for each in caught} == {__file__}
    assert (regressor.n_iter_, regressor.n_samples_fit_, len(regressor.history_)) == (2, 24, 2)
    # The third epoch, half of which was done, is undone.
    np.testing.assert_array_equal(regressor.predict(graphs), expected)


@pytest.mark.parametrize(
    ("step", "n_left"), [("validation_step", 2), ("_is_finite", 2), ("_keep", 2)]
)
def test_an_interrupt_between_two_epochs(regressor, graphs, energies, step, n_left, monkeypatch):
    expected = clone(regressor).set_params(max_epochs=n_left).fit(graphs, energies)
    usual = getattr(GraphNet, step)

    def interrupted(net, *args, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt
        return usual(net, *args, **kwargs)

    monkeypatch.setattr(GraphNet, step, interrupted)
    with (
        pytest.warns(UserWarning, match=f"interrupted after {n_left} epochs"),
        pytest.raises(KeyboardInterrupt),
    ):
        regressor.set_params(max_epochs=9).fit(graphs, energies, validation_data=(graphs, energies))
    assert len(regressor.loss_curve_) == len(regressor.validation_scores_) == n_left
    if regressor.best_epoch_ == n_left:
        np.testing.assert_array_equal(regressor.predict(graphs), expected.predict(graphs))


@pytest.mark.parametrize(
    ("hook", "n_left"),
    [("on_epoch_begin", 2), ("on_batch_begin", 2), ("on_batch_end", 2), ("on_epoch_end", 3)],
)
def test_a_callback_stops_after_whole_epochs(regressor, graphs, energies, hook, n_left):
    def stop(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt  # skorch's way

    data = {"validation_data": (graphs[:8], energies[:8])}
    expected = clone(regressor).set_params(max_epochs=n_left).fit(graphs, energies, **data)
    stopper = type("Stopper", (Callback,), {hook: stop})()
    regressor.set_params(max_epochs=9, callbacks=[stopper]).fit(graphs, energies, **data)
    assert regressor.n_iter_ == len(regressor.loss_curve_) == n_left
    np.testing.assert_array_equal(regressor.predict(graphs), expected.predict(graphs))


@pytest.mark.parametrize(
    ("owner", "hook"),
    [
        (EpochScores, "on_batch_end"),
        (EpochScores, "on_epoch_end"),
        (PassthroughScoring, "on_epoch_end"),  # would leave an epoch without a loss
    ],
)
def test_ctrl_c_while_an_epoch_is_scored(regressor, graphs, energies, owner, hook, monkeypatch):
    usual = getattr(owner, hook)

    def interrupted(callback, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt
        return usual(callback, net, **kwargs)

    expected = clone(regressor).set_params(max_epochs=2).fit(graphs, energies)
    monkeypatch.setattr(owner, hook, interrupted)
    with (
        pytest.warns(UserWarning, match="interrupted after 2 epochs"),
        pytest.raises(KeyboardInterrupt),
    ):
        regressor.set_params(max_epochs=9).fit(graphs, energies)
    np.testing.assert_array_equal(regressor.predict(graphs), expected.predict(graphs))


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "place", ["estimators._start.elements_of", "estimators._fit.start_values", "nn.BestEpoch"]
)
def test_what_is_left_by_an_interrupt_can_be_saved(
    regressor, graphs, energies, fitted, place, monkeypatch, tmp_path
):
    def interrupted(*args):
        raise KeyboardInterrupt

    if fitted:
        regressor.fit(graphs, energies + 1000)
        before = regressor.predict(graphs)
    if place == "nn.BestEpoch":
        monkeypatch.setattr("skcgcnn.estimators._fit.BestEpoch", interrupted)
    else:
        monkeypatch.setattr(f"skcgcnn.{place}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(graphs[::2], energies[::2], validation_data=(graphs, energies))
    assert hasattr(regressor, "net_") == fitted  # no epoch is done
    if not fitted:
        return
    np.testing.assert_array_equal(regressor.predict(graphs), before)
    regressor.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        skcgcnn.load(tmp_path / "model.safetensors").predict(graphs), before
    )
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(graphs), before)


def boom(when):
    """Return a callback that fails in an epoch."""

    def fail(self, net, **kwargs):
        if len(net.history) == when:
            raise MemoryError("boom")

    return type("Boom", (Callback,), {"on_batch_end": fail})()


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_error_in_the_first_epoch_leaves_the_estimator_as_it_was(
    regressor, graphs, energies, fitted, method
):
    # It looked as fitted.
    if fitted and method == "fit":
        before = regressor.fit(graphs, energies + 1000).predict(graphs)
    regressor.set_params(callbacks=[boom(1)])
    state = dict(vars(regressor))
    with pytest.raises(MemoryError, match="boom"):
        getattr(regressor, method)(graphs, energies)
    assert vars(regressor) == state
    if "net_" in state:
        np.testing.assert_array_equal(regressor.predict(graphs), before)
    else:
        with pytest.raises(NotFittedError):
            regressor.predict(graphs)


@pytest.mark.parametrize("warm_start", [False, True])
def test_an_error_after_whole_epochs_tells_what_is_fitted(regressor, graphs, energies, warm_start):
    n = 0
    if warm_start:
        regressor.set_params(warm_start=True).fit(graphs, energies)
        n, before = regressor.n_iter_, regressor.predict(graphs)
        regressor.set_params(callbacks=[boom(n + 1)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(MemoryError):
                regressor.fit(graphs, energies)
        np.testing.assert_array_equal(regressor.predict(graphs), before)
    regressor.set_params(callbacks=[boom(n + 2)])
    with (
        pytest.warns(UserWarning, match=f"interrupted after {n + 1} epochs?;"),
        pytest.raises(MemoryError),
    ):
        regressor.fit(graphs, energies)
    assert regressor.n_iter_ == n + 1


def test_an_interrupt_behind_the_epochs_tells_what_is_fitted(
    regressor, graphs, energies, monkeypatch
):
    def interrupted(*args):
        raise KeyboardInterrupt

    regressor.set_params(init_from=clone(regressor).fit(graphs, energies))
    monkeypatch.setattr("skcgcnn.estimators._fit.compare", interrupted)
    with (
        pytest.warns(UserWarning, match=f"interrupted after {regressor.max_epochs} epochs"),
        pytest.raises(KeyboardInterrupt),
    ):
        regressor.fit(graphs, energies, validation_data=(graphs, energies))


@pytest.mark.parametrize("place", ["training", "calibration"])
def test_an_interrupted_fit_of_several_networks_leaves_the_estimator_as_it_was(
    regressor, graphs, energies, place, monkeypatch, recwarn
):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    before = regressor.fit(graphs, energies).predict(graphs)
    if place == "training":
        monkeypatch.setattr(GraphNet, "train_step", interrupted)
    else:
        monkeypatch.setattr("skcgcnn.estimators._ensemble.calibrate_out_of_bag", interrupted)
    data = {"validation_data": (graphs, energies)}
    regressor.set_params(n_estimators=2)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(graphs, energies + 1000, **data)
    assert not [each for each in recwarn if "interrupted" in str(each.message)]
    np.testing.assert_array_equal(regressor.predict(graphs), before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_training_that_fails_in_its_first_epoch_changes_no_prediction(
    graphs, energies, error, monkeypatch
):
    """With batch statistics, which are those of the crystals of the fit before."""
    est = CGCNNRegressor(max_epochs=2, n_conv=1, init_from=None, warm_start=True, random_state=0)
    before = est.fit(graphs[:12], energies[:12]).predict(graphs)

    def failing(*args, **kwargs):
        raise error

    monkeypatch.setattr(GraphNet, "train_step", failing)
    with pytest.raises(error):
        est.fit(graphs[12:], energies[12:])
    np.testing.assert_array_equal(est.predict(graphs), before)


@pytest.mark.usefixtures("ctrl_c_in_the_second_epoch")
def test_ctrl_c_stops_a_search_where_warnings_are_errors(regressor, graphs, energies):
    search = GridSearchCV(regressor.set_params(max_epochs=3), {"lr": [0.01, 0.02]}, cv=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*interrupted after")
        with pytest.raises(KeyboardInterrupt):
            search.fit(graphs, energies)


def test_what_is_not_calibrated_after_an_interrupt_is_told(
    regressor, graphs, energies, monkeypatch
):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("skcgcnn.estimators._fit.calibrate_out_of_bag", interrupted)
    regressor.set_params(loss="gaussian_nll")
    with (
        pytest.warns(UserWarning, match="weights, and its standard deviations are not calibrated"),
        pytest.raises(KeyboardInterrupt),
    ):
        regressor.fit(graphs, energies, validation_data=(graphs, energies))


def test_an_error_after_a_fit_that_went_astray_says_what_is_fitted(
    regressor, graphs, energies, monkeypatch
):
    def error(*args):
        raise ConvergenceWarning("it went astray")

    monkeypatch.setattr("skcgcnn.estimators._base.warn_if_astray", error)
    with (
        pytest.warns(UserWarning, match="the estimator is fitted with their weights"),
        pytest.raises(ConvergenceWarning),
    ):
        regressor.fit(graphs, energies)


@pytest.mark.parametrize("moment", ["on_train_begin", "on_train_end"])
def test_an_interrupt_around_the_epochs_gets_through(regressor, graphs, energies, moment):
    class Interrupted(Callback):
        def on_train_begin(self, net, **kwargs):
            self.net = net
            self.told("on_train_begin")

        def on_train_end(self, net, **kwargs):
            self.told("on_train_end")

        def told(self, what):
            if what == moment:
                raise KeyboardInterrupt

    callback = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        regressor.set_params(callbacks=[callback]).fit(graphs, energies)
    # Crystals do not travel with the net after it.
    assert not hasattr(callback.net, "_datasets")


def test_an_interrupt_before_the_progress_is_shown_gets_through(
    regressor, graphs, energies, monkeypatch
):
    """It was an AttributeError, after which a grid search goes on."""

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("skcgcnn.nn._scores.Progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(graphs, energies)


def test_an_interrupt_while_the_network_is_made_gets_through(
    regressor, graphs, energies, monkeypatch
):
    """It was a RuntimeError, after which a grid search goes on."""

    def interrupted(*args, **kwargs):
        while torch.overrides._len_torch_function_stack():  # as where torch pauses its modes
            torch.overrides._pop_mode()
        raise KeyboardInterrupt

    monkeypatch.setattr("skcgcnn.nn._averaging.AveragedNet.__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(graphs, energies)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupt_does_not_leave_gradients_off(
    regressor, graphs, energies, method, monkeypatch
):
    def interrupted(*args):
        torch.set_grad_enabled(False)  # as where Ctrl-C comes while torch enters `no_grad`
        raise KeyboardInterrupt

    monkeypatch.setattr("skcgcnn.estimators._start.scale_numbers", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            getattr(regressor, method)(graphs, energies)
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


def test_early_stopping_keeps_the_best_epoch_of_an_interrupted_fit(regressor, graphs, energies):
    regressor.set_params(early_stopping=True, lr=0.05, max_epochs=30, n_iter_no_change=30)
    straight = clone(regressor).fit(graphs, energies)
    best = int(np.argmin(straight.history_[:10, "valid_loss"]))

    class Interrupted(BaseException):
        pass

    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 11:
                raise Interrupted

    with pytest.raises(Interrupted):
        regressor.set_params(callbacks=[Interrupt()]).fit(graphs, energies)
    regressor.set_params(callbacks=None)
    expected = clone(regressor).set_params(max_epochs=best + 1).fit(graphs, energies)
    np.testing.assert_array_equal(regressor.predict(graphs), expected.predict(graphs))


# Threads


def test_fits_in_threads_do_not_change_each_other(regressor, graphs, energies):
    regressor.set_params(dropout=0.3)
    expected = clone(regressor).fit(graphs, energies).predict(graphs)

    def fit(_):
        return clone(regressor).fit(graphs, energies).predict(graphs)

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(fit, range(12)):
            np.testing.assert_array_equal(found, expected)
    for found in Parallel(2, backend="threading")(delayed(fit)(i) for i in range(6)):
        np.testing.assert_array_equal(found, expected)


def test_predictions_beside_a_training_leave_it_alone(regressor, graphs, energies):
    expected = clone(regressor)
    regressor.set_params(dropout=0.3)
    expected = clone(regressor).partial_fit(graphs, energies)
    for _ in range(30):
        expected.partial_fit(graphs, energies)
    regressor.partial_fit(graphs, energies)
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(lambda: [regressor.partial_fit(graphs, energies) for _ in range(30)])
        while not training.done():
            assert np.isfinite(regressor.predict(graphs)).all()
    np.testing.assert_array_equal(regressor.predict(graphs), expected.predict(graphs))


def test_predict_does_not_change_the_mode(regressor, graphs, energies):
    module = regressor.partial_fit(graphs, energies).net_.module_
    assert module.training
    regressor.predict(graphs)
    assert module.training
    assert not module.average.training


# Early stopping


def test_few_crystals_do_not_choose_an_epoch(regressor, graphs, energies):
    regressor.set_params(max_epochs=20, lr=0.1)
    expected = regressor.fit(graphs, energies).predict(graphs)
    regressor.set_params(early_stopping=True)
    with pytest.warns(UserWarning, match="early_stopping would hold out 2 of 24 crystals, too few"):
        regressor.fit(graphs, energies)
    np.testing.assert_array_equal(regressor.predict(graphs), expected)
    regressor.set_params(n_iter_no_change=1).fit(graphs, energies)
    assert regressor.n_iter_ < 20


def test_patience_is_a_share_of_the_training(regressor, graphs, energies):
    """Where the learning rate follows a cycle, errors fall once more at its end."""
    regressor.set_params(early_stopping=True, max_epochs=60, lr=0.1)
    rows = np.arange(40) % len(graphs)
    regressor.set_params(validation_fraction=0.5, net_params={"schedule": "one_cycle"})
    regressor.fit(graphs[rows], energies[rows])
    assert regressor.fitted_params_["n_iter_no_change"] == 20
    best = dict(regressor.net_.callbacks_)["best_epoch"].best_epoch_
    assert regressor.n_iter_ == min(60, best + 20)


def test_enough_crystals_to_choose_an_epoch_by(regressor, graphs, energies, recwarn):
    twice = np.tile(np.arange(len(graphs)), 2)
    regressor.set_params(early_stopping=True, validation_fraction=0.5, n_iter_no_change=1)
    regressor.set_params(init_from=None).fit(graphs[twice], energies[twice])
    assert not recwarn


# Callbacks


def scores(est, graphs, y, scoring, **kwargs):
    callback = EpochScoring(scoring, name="score", **kwargs)
    est.set_params(callbacks=[callback], early_stopping=True, n_iter_no_change=10)
    est.set_params(validation_fraction=0.5)
    return est.fit(graphs, y).history_[:, "score"]


@pytest.mark.parametrize("caching", [True, False])
def test_scores_of_callbacks_are_in_the_units_of_y(regressor, graphs, energies, caching):
    small = scores(clone(regressor), graphs, energies, "neg_mean_absolute_error")
    large = scores(
        regressor, graphs, 1000 * energies, "neg_mean_absolute_error", use_caching=caching
    )
    np.testing.assert_allclose(large, 1000 * np.array(small), rtol=1e-3)
    assert np.abs(small).max() < 10 * energies.std()


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "neg_log_loss"])
def test_labels_and_probabilities_reach_the_scorer(tiny, graphs, labels, scoring, caching):
    names = np.array(["gap", "metal"])[labels]
    found = scores(CGCNNClassifier(**tiny), graphs, names, scoring, use_caching=caching)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("caching", [True, False])
def test_all_targets_reach_the_scorer_of_a_multi_task_estimator(tiny, graphs, Y, caching):
    shapes = []

    def score(net, X, y):
        shapes.append((net.predict(X).shape, net.predict_proba(X).shape if not caching else None))
        assert set(y[:, 1]) <= {0.0, 1.0}
        return float(np.abs(y[:, 0]).max())

    found = scores(CGCNNMultiTask(**tiny), graphs, Y, score, use_caching=caching)
    assert max(found) <= np.abs(Y[:, 0]).max() + 1e-9
    assert shapes[0][0] == (12, 2)


def test_freezer_knows_the_original_names(regressor, graphs, energies):
    before = regressor.set_params(callbacks=[Freezer("embedding.weight")]).fit(graphs, energies)
    weights = [before.module_.embedding.weight.clone()]
    regressor.set_params(max_epochs=1).fit(graphs, energies)
    weights.append(regressor.module_.embedding.weight)
    assert torch.equal(*weights)


class Writer(Callback):
    """A callback that cannot be copied, as one with an open file cannot."""

    def __init__(self, calls):
        self.calls = calls

    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")

    def on_epoch_end(self, net, **kwargs):
        self.calls.append(len(net.history))


def test_callbacks_that_cannot_be_copied(regressor, graphs, energies):
    calls = []
    regressor.set_params(callbacks=[Writer(calls)]).fit(graphs, energies)
    assert calls == [1, 2]
    GridSearchCV(regressor, {"lr": [0.01]}, cv=2).fit(graphs, energies)
    assert len(calls) == 8


class Record(Callback):
    """A callback that fills a list of its own."""

    def __init__(self):
        self.losses = []

    def on_epoch_end(self, net, **kwargs):
        self.losses.append(net.history[-1, "train_loss"])


def test_callbacks_are_those_that_were_given(regressor, graphs, energies):
    record, named = Record(), Record()
    regressor.set_params(callbacks=[record, ("named", named)]).fit(graphs, energies)
    assert record.losses == named.losses == regressor.loss_curve_
    regressor.partial_fit(graphs, energies)
    assert len(record.losses) == 3
    again = pickle.loads(pickle.dumps(regressor))
    assert again.callbacks[0].losses == record.losses


def test_optuna_prunes_trials(regressor, graphs, energies):
    """The callback asks the trial, which is in the memory of the study."""
    optuna = pytest.importorskip("optuna")
    skorch = pytest.importorskip("optuna_integration.skorch")
    quiet = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        # The second trial is hopeless.
        lr = (0.01, 1e-9)[trial.number]
        prune = skorch.SkorchPruningCallback(trial, "train_loss")
        est = clone(regressor).set_params(max_epochs=6, lr=lr, callbacks=[prune])
        return est.fit(graphs, energies).loss_curve_[-1]

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    study = optuna.create_study(pruner=pruner)
    study.optimize(objective, n_trials=2)
    optuna.logging.set_verbosity(quiet)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]


def test_searches_and_ensembles_copy_callbacks(regressor, graphs, energies):
    record = Record()
    regressor.set_params(callbacks=[record])
    search = GridSearchCV(regressor, {"lr": [0.01, 0.02]}, cv=2).fit(graphs, energies)
    assert not record.losses
    assert len(search.best_estimator_.callbacks[0].losses) == 2
    regressor.set_params(n_estimators=2).fit(graphs, energies)
    assert not record.losses


def test_callbacks_that_belong_together(regressor, graphs, energies, tmp_path):
    kept = Checkpoint(dirname=tmp_path, monitor=None)
    regressor.set_params(callbacks=[kept, LoadInitState(kept)]).fit(graphs, energies)
    assert regressor.fit(graphs, energies).n_iter_ == 4
    checkpoint, load = clone(regressor).callbacks
    assert load.checkpoint is checkpoint is not kept


def test_a_schedule_goes_into_a_pickle(regressor, graphs, energies):
    schedule = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.1)
    regressor.set_params(callbacks=[schedule], net_params={"schedule": "constant"})
    regressor.fit(graphs, energies)
    for same in (pickle.loads(pickle.dumps(regressor)), copy.deepcopy(regressor)):
        np.testing.assert_array_equal(same.predict(graphs), regressor.predict(graphs))


# Surroundings


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_around_a_fit_changes_nothing(regressor, graphs, energies, dtype):
    expected = clone(regressor).fit(graphs, energies).predict(graphs)
    with torch.autocast("cpu", dtype=dtype):
        found = regressor.fit(graphs, energies).predict(graphs)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_other_devices_that_are_not_there(regressor, graphs, energies, device):
    with pytest.raises(ValueError, match=f"device='{device}', but torch sees no such device"):
        regressor.set_params(device=device).fit(graphs, energies)


# Weight decay and scores


def test_weight_decay(regressor, graphs, energies):
    norms = []
    for weight_decay in (0.0, None, 10.0):
        est = clone(regressor).set_params(weight_decay=weight_decay, lr=0.01).fit(graphs, energies)
        group = est.net_.optimizer_.param_groups[0]
        assert group["weight_decay"] == (0.01 if weight_decay is None else weight_decay)
        norms.append(float(est.module_.embedding.weight.norm()))
    assert norms[2] < norms[1] < norms[0]


def test_scores_of_training_crystals(regressor, graphs, energies):
    callback = EpochScoring("r2", name="score", on_train=True)
    est = regressor.set_params(callbacks=[callback], max_epochs=2)
    assert np.isfinite(est.fit(graphs, energies).history_[:, "score"]).all()


def test_ctrl_c_before_the_first_epoch(regressor, graphs, energies):
    class Now(Callback):
        def on_train_begin(self, net, **kwargs):
            raise KeyboardInterrupt

    regressor.set_params(callbacks=[Now()])
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(graphs, energies, validation_data=(graphs[:8], energies[:8]))
