"""The net that trains: what skorch and callbacks see of it."""

import time
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import get_tags
from skorch.callbacks import Callback

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.nn import AveragedNet, GraphDataset, GraphNet, TaskLoss, one_cycle
from skcgcnn.tasks import Number


class Notes(Callback):
    """Notes what a training does, step by step."""

    def initialize(self):
        self.norms, self.rates, self.truths, self.dropped = [], [], {True: [], False: []}, []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        groups = net.optimizer_.param_groups
        grads = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        self.norms.append(torch.cat([grad.flatten() for grad in grads]).norm().item())
        self.rates.append([group["lr"] for group in groups])

    def on_batch_end(self, net, batch, training, **kwargs):
        self.truths[training] += batch[1].tolist()


def noted(est):
    """Return the notes of the copy of a callback that was in a fit."""
    return next(each for _, each in est.net_.callbacks_ if isinstance(each, Notes))


def with_net(tiny, **options):
    return {**tiny, "net_params": {**tiny["net_params"], **options}}


def test_gradients_are_no_longer_than_allowed(tiny, graphs, energies):
    free = CGCNNRegressor(**with_net(tiny, max_grad_norm=None), callbacks=[Notes()])
    largest = max(noted(free.fit(graphs, energies)).norms)
    bound = largest / 10
    limited = CGCNNRegressor(**with_net(tiny, max_grad_norm=bound), callbacks=[Notes()])
    norms = noted(limited.fit(graphs, energies)).norms
    assert max(norms) <= bound * 1.0001
    assert max(norms) == pytest.approx(bound, rel=1e-3)
    loose = CGCNNRegressor(**with_net(tiny, max_grad_norm=2 * largest), callbacks=[Notes()])
    assert noted(loose.fit(graphs, energies)).norms == noted(free).norms


def test_the_schedule_is_followed_from_fit_to_fit(tiny, graphs, energies):
    params = {**with_net(tiny, schedule="one_cycle"), "lr": 0.01, "max_epochs": 4, "batch_size": 12}
    est = CGCNNRegressor(**params, callbacks=[Notes()], warm_start=True)
    expected = [0.01 * one_cycle(step / 8) for step in range(8)]
    rates = noted(est.fit(graphs, energies)).rates
    np.testing.assert_allclose(np.array(rates), np.transpose([expected] * len(rates[0])))
    est.fit(graphs, energies)  # a cycle of its own
    assert len(est.history_) == 8
    rates = noted(est).rates[-8:]
    np.testing.assert_allclose(np.array(rates), np.transpose([expected] * len(rates[0])))


def test_a_callback_that_changes_the_learning_rate(tiny, graphs, energies):
    class Changes(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.optimizer_.param_groups[0]["lr"] = 0.5

    CGCNNRegressor(**tiny, callbacks=[Changes()]).fit(graphs, energies)
    est = CGCNNRegressor(**with_net(tiny, schedule="one_cycle"), callbacks=[Changes()])
    with pytest.raises(ValueError, match="a callback changed the learning rate, but the learning"):
        est.fit(graphs, energies)


@pytest.mark.parametrize("optimizer", ["adamw", torch.optim.AdamW])
def test_what_decays(tiny, graphs, energies, optimizer):
    """Matrices alone, but with an optimizer of one's own."""
    est = CGCNNRegressor(**tiny, optimizer=optimizer, weight_decay=0.25).fit(graphs, energies)
    groups = est.net_.optimizer_.param_groups
    n_parameters = len(list(est.net_.module_.parameters()))
    assert sum(len(group["params"]) for group in groups) == n_parameters
    decaying = [p for group in groups if group["weight_decay"] for p in group["params"]]
    assert {group["weight_decay"] for group in groups} <= {0.0, 0.25}
    if optimizer == "adamw":
        assert {p.ndim > 1 for p in decaying} == {True}
        assert len(decaying) == sum(p.ndim > 1 for p in est.net_.module_.parameters())
    else:
        assert len(decaying) == n_parameters


def test_callbacks_get_the_targets_as_they_were_given(tiny, graphs, labels, energies):
    names = np.array(["gap", "metal"])[labels]
    est = CGCNNClassifier(**tiny, callbacks=[Notes()])
    truths = noted(
        est.fit(graphs[:16], names[:16], validation_data=(graphs[16:], names[16:]))
    ).truths
    assert sorted(truths[True]) == sorted([*names[:16]] * 2)
    assert truths[False] == [*names[16:]] * 2
    est = CGCNNRegressor(**tiny, callbacks=[Notes()]).fit(graphs, energies)
    np.testing.assert_allclose(sorted(noted(est).truths[True]), np.sort([*energies] * 2))


def test_the_net_predicts_as_its_estimator(
    fitted_regressor, fitted_classifier, fitted_multitask, graphs
):
    found = fitted_regressor.net_.predict(graphs)
    np.testing.assert_allclose(found, fitted_regressor.predict(graphs), atol=1e-6)
    found, expected = (each.predict(graphs) for each in (fitted_multitask.net_, fitted_multitask))
    np.testing.assert_allclose(*(t[:, 0].astype(float) for t in (found, expected)), atol=1e-6)
    assert found[:, 1].tolist() == expected[:, 1].tolist()
    found, expected = (each.predict(graphs) for each in (fitted_classifier.net_, fitted_classifier))
    assert found.tolist() == expected.tolist()
    for est in (fitted_classifier, fitted_multitask):
        found, expected = est.net_.predict_proba(graphs), est.predict_proba(graphs)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert fitted_classifier.net_.classes_.tolist() == ["gap", "metal"]
    assert get_tags(fitted_classifier.net_).estimator_type == "classifier"
    for est in (fitted_regressor, fitted_multitask):
        assert get_tags(est.net_).estimator_type != "classifier"
        with pytest.raises(AttributeError, match="this net does not predict classes alone"):
            _ = est.net_.classes_
    with pytest.raises(AttributeError, match="there are no probabilities without a classification"):
        fitted_regressor.net_.predict_proba(graphs)


def test_a_net_of_ones_own(graphs):
    parts = {"module__ema_decay": 0.0, "module__orig_atom_fea_len": 92}
    net = GraphNet(AveragedNet, TaskLoss, criterion__tasks=[Number("a")], **parts).initialize()
    assert net.outputs(graphs).shape == (24, 1)
    assert (net.seed, net.precision, net.schedule, net.decay_biases) == (
        0, "float32", "constant", True,
    )  # fmt: skip
    for method in (net.predict, net.predict_proba):
        with pytest.raises(AttributeError, match="this net does not know what its outputs mean"):
            method(graphs)
    assert get_tags(net).estimator_type is None
    # Predictions are of all, in their order, in batches that fit into memory.
    batches = net.get_iterator(GraphDataset(graphs))
    assert (batches.batch_size, batches.max_bonds, batches.seed) == (4096, 50_000, None)
    training = net.get_iterator(GraphDataset(graphs), training=True)
    assert (training.batch_size, training.max_bonds, training.seed, training.epoch) == (
        net.batch_size, None, 0, 0,
    )  # fmt: skip


@pytest.mark.parametrize(("epoch", "left"), [(1, "the start"), (2, "epoch 1"), (3, "epoch 2")])
def test_a_weight_that_is_no_number_ends_a_training(tiny, graphs, energies, epoch, left):
    class Explodes(Callback):
        def on_batch_end(self, net, training, **kwargs):
            if len(net.history) == epoch and training:
                next(net.network.trained.head.parameters()).data.fill_(torch.nan)

    est = CGCNNRegressor(**{**tiny, "max_epochs": 4}, callbacks=[Explodes()])
    with pytest.warns(ConvergenceWarning, match=f"training diverged in epoch {epoch}") as caught:
        est.fit(graphs, energies)
    assert str(caught[-1].message) == (
        f"training diverged in epoch {epoch}: the loss or a weight is not a finite number. It "
        f"stops with the weights of {left}; use a smaller lr"
    )
    assert est.n_iter_ == len(est.history_) == epoch - 1
    if epoch > 1:
        expected = CGCNNRegressor(**{**tiny, "max_epochs": epoch - 1}).fit(graphs, energies)
        np.testing.assert_allclose(est.predict(graphs), expected.predict(graphs), atol=1e-6)


def test_the_precision_is_that_of_parameters_and_outputs(tiny, graphs, Y):
    for precision, dtype in (
        ("float32", torch.float32),
        ("bfloat16", torch.float32),
        ("float64", torch.float64),
    ):
        est = CGCNNMultiTask(**with_net(tiny, precision=precision)).fit(graphs, Y)
        assert {p.dtype for p in est.module_.parameters()} == {dtype}
        assert est.net_.outputs(graphs).dtype == np.dtype(str(dtype).removeprefix("torch."))
        assert np.isfinite(est.loss_curve_).all()


@pytest.fixture
def accelerator_of():
    """Return a maker of Accelerators; their state is one for the whole process."""
    accelerate = pytest.importorskip("accelerate")

    def forget():
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        accelerate.state.GradientState._reset_state()

    forget()
    yield partial(accelerate.Accelerator, cpu=True)
    forget()


@pytest.fixture(params=["precision", "Accelerator"])
def in_bfloat16(request):
    """Return the parameters of a fit in which the network computes in bfloat16."""
    if request.param == "precision":
        return {"net_params": {"precision": "bfloat16"}}
    return {"device": request.getfixturevalue("accelerator_of")(mixed_precision="bf16")}


def test_a_fit_in_bfloat16_sees_the_weights_that_it_changes(in_bfloat16, graphs, energies):
    errors = []
    for params in ({"device": "cpu"}, in_bfloat16):
        est = CGCNNRegressor(max_epochs=10, random_state=0, **params).fit(graphs, energies)
        errors.append(np.abs(est.predict(graphs) - energies).mean())
    assert errors[1] < 1.5 * errors[0] + 0.05 * energies.std()


def test_an_accelerator_that_accumulates_gradients_is_refused(
    tiny, graphs, energies, accelerator_of
):
    params = tiny | {"device": accelerator_of(gradient_accumulation_steps=4)}
    with pytest.raises(ValueError, match=r"accumulation_steps=4.*set batch_size"):
        CGCNNRegressor(**params).fit(graphs, energies)


def test_a_clock_that_is_set_changes_no_duration(tiny, graphs, energies, monkeypatch):
    clock = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    est = CGCNNRegressor(**tiny).fit(graphs[:20], energies[:20])
    assert all(0 < row["dur"] < 60 for row in est.history_)
