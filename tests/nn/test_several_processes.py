"""What one of several processes does in a training, without the others."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skcgcnn import CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.exceptions import ProcessError
from skcgcnn.nn import AcceleratedNet, AveragedNet, TaskLoss
from skcgcnn.nn._distributed import broadcast_int

accelerate = pytest.importorskip("accelerate")


class OneOf(accelerate.Accelerator):
    """One of several processes, of which the others are not there."""

    num_processes, process_index = 1, 0

    def __init__(self, n=1, index=0, factor=1.0):
        super().__init__(cpu=True)
        self.num_processes, self.process_index, self.factor = n, index, factor
        self.prepared = []

    def prepare(self, *parts, **kwargs):
        self.prepared += parts
        return super().prepare(*parts, **kwargs)

    def reduce(self, tensor, reduction="sum", scale=1.0):
        return self.factor * tensor if reduction == "mean" else tensor


class Batches(Callback):
    """Notes the crystals of each batch."""

    def initialize(self):
        self.rows = {True: [], False: []}
        return self

    def on_batch_end(self, net, batch, training, **kwargs):
        self.rows[training] += [int(row) for row in batch[0].rows]


def fit(tiny, graphs, energies, accelerator, **more):
    params = {**tiny, "conv": "edge", "device": accelerator or "cpu", **more}
    return CGCNNRegressor(**params).fit(graphs, energies)


def test_one_process_trains_as_if_there_were_none(tiny, graphs, energies):
    alone, one = (fit(tiny, graphs, energies, each) for each in (None, OneOf()))
    np.testing.assert_allclose(one.loss_curve_, alone.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(one.predict(graphs), alone.predict(graphs), atol=1e-5)


class InHalfPrecision(OneOf):
    """One process with fp16 and scaled gradients, which Accelerate has on GPUs alone."""

    mixed_precision = "fp16"

    def __init__(self):
        super().__init__()
        self.native_amp, self.scaler = True, torch.amp.GradScaler("cpu")


def test_scaled_gradients_are_clipped_as_they_are(tiny, graphs, energies):
    params = {"optimizer": "sgd", "lr": 0.01, "max_epochs": 4}
    net_params = {**tiny["net_params"], "max_grad_norm": 1.0}
    alone, half = (
        fit(tiny | params, graphs, energies, each, net_params=net_params)
        for each in (None, InHalfPrecision())
    )
    assert alone.loss_curve_[-1] < 0.8 * alone.loss_curve_[0]
    np.testing.assert_allclose(half.loss_curve_, alone.loss_curve_, rtol=0.05)


def test_processes_share_the_batches_of_a_training_and_validate_alone(tiny, graphs, energies):
    seen = []
    for index in range(2):
        batches = Batches()
        stops = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 5}
        more = {"max_epochs": 1, "callbacks": [batches], **stops}
        fit(tiny, graphs, energies, OneOf(2, index), **more)
        seen.append(batches.rows)
    first, second = seen
    assert sorted(first[True] + second[True]) == list(range(18))
    assert abs(len(first[True]) - len(second[True])) <= 3  # one of each batch
    assert sorted(first[False]) == sorted(second[False]) == list(range(6))


def test_what_is_trained_is_prepared_once(tiny, graphs, energies):
    accelerator = OneOf()
    est = fit(tiny, graphs, energies, accelerator, warm_start=True)
    module, optimizer = accelerator.prepared
    assert any(parameter.requires_grad for parameter in module.parameters())
    assert isinstance(optimizer, torch.optim.Optimizer)
    est.partial_fit(graphs, energies)
    assert len(accelerator.prepared) == 2


def test_a_loss_that_learns_is_prepared_too(tiny, graphs, Y):
    accelerator = OneOf()
    CGCNNMultiTask(**tiny | {"device": accelerator}, cls_weight="auto").fit(graphs, Y)
    kinds = [type(part) for part in accelerator.prepared]
    assert kinds[:2] == [AveragedNet, TaskLoss]
    assert issubclass(kinds[2], torch.optim.Optimizer)
    assert len(kinds) == 3


class Wrapped(torch.nn.Module):
    """What stands around a network whose gradients are averaged over processes."""

    def __init__(self, module):
        super().__init__()
        self.module, self.n_steps = module, 0

    def forward(self, batch):
        self.n_steps += self.training
        return self.module(batch)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)


class Wraps(OneOf):
    """Wraps the network, as with more than one process."""

    def prepare(self, *parts, **kwargs):
        (part,) = parts
        if isinstance(part, AveragedNet):
            part = self.wrapped = Wrapped(part)
        return part


@pytest.mark.parametrize("width", [8, 256])
def test_every_step_goes_through_what_averages_gradients(tiny, cifs, energies, width):
    """Also where batches are so large that one process would train on the halves of each."""
    accelerator = Wraps()
    params = {"atom_fea_len": width, "batch_size": 24, "conv": "edge"}
    graphs = CrystalGraphTransformer(merge_tol=None).transform(cifs)
    est = fit(tiny, graphs, energies, accelerator, **params)
    assert accelerator.wrapped.n_steps == 2  # epochs
    # What predicts, and is pickled, is the network alone.
    assert est.net_.module_ is accelerator.wrapped.module


def test_after_an_error_the_network_stands_alone(tiny, graphs, energies):
    accelerator = Wraps()
    est = fit(tiny, graphs, energies, accelerator, warm_start=True)
    expected = est.predict(graphs)

    class Fails(Callback):
        def on_batch_end(self, net, **kwargs):
            assert net.module_ is accelerator.wrapped
            raise OSError("the disk is full")

    est.set_params(callbacks=[Fails()])
    with pytest.raises(OSError, match="the disk is full"):
        est.fit(graphs, energies)
    assert est.net_.module_ is accelerator.wrapped.module
    assert est.predict(graphs).shape == expected.shape


class Seeds(Callback):
    """Notes by which seeds the dropout of each epoch is drawn."""

    def initialize(self):
        self.seen = []
        return self

    def on_batch_end(self, net, training, **kwargs):
        if training:
            modules = net.network.trained.modules()
            seeds = [m.seed for m in modules if isinstance(m, torch.nn.Dropout) and m.p]
            self.seen.append(seeds[0])


def test_each_process_and_epoch_has_its_own_dropout(tiny, graphs, energies):
    seen = []
    for accelerator in (None, *(OneOf(2, index) for index in range(2))):
        seeds = Seeds()
        fit(tiny, graphs, energies, accelerator, dropout=0.5, callbacks=[seeds])
        seen.append(sorted({*seeds.seen}))
    alone, first, second = seen
    assert first == alone
    assert len(first) == len(second) == 2  # epochs
    # As in earlier versions, whose trainings may be resumed.
    assert second == [seed + 100_003 for seed in first]


def test_what_does_not_train_sees_all_crystals_in_their_order(tiny, graphs, energies):
    est = fit(tiny, graphs, energies, OneOf(2, 1))
    again = pickle.loads(pickle.dumps(est))
    for method in ("predict", "transform"):
        found = getattr(est, method)(graphs)
        np.testing.assert_allclose(found, getattr(again, method)(graphs), rtol=1e-6)
    batches = est.net_.get_iterator(est.net_.get_dataset(graphs))
    assert [row for weighted, _ in batches for row in weighted.rows] == list(range(24))


def test_words_that_no_net_knows_are_refused():
    parts = {"module__ema_decay": 0.0, "module__orig_atom_fea_len": 3, "criterion__tasks": ()}
    net = AcceleratedNet(AveragedNet, TaskLoss, accelerator=OneOf(), of_nothing=1, **parts)
    with pytest.raises(ValueError, match=r"unexpected argument\(s\) of_nothing"):
        net.initialize()


def test_validation_losses_are_means_over_the_processes(tiny, graphs, energies):
    stops = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 5}
    same, doubled = (fit(tiny, graphs, energies, OneOf(2, 0, f), **stops) for f in (1.0, 2.0))
    losses = [est.history_[:, ("train_loss", "valid_loss")] for est in (same, doubled)]
    np.testing.assert_allclose(losses[1], 2 * np.array(losses[0]), rtol=1e-6)


@pytest.mark.usefixtures("ctrl_c_in_the_second_epoch")
def test_ctrl_c_where_there_is_one_process_leaves_what_it_leaves_without(tiny, graphs, energies):
    # Of which the batch statistics are taken anew at the end.
    params = {**tiny, "net_params": {**tiny["net_params"], "ema_decay": 0.9}}
    found = []
    for accelerator in (None, OneOf()):
        est = CGCNNRegressor(**params | {"device": accelerator or "cpu"})
        with (
            pytest.warns(UserWarning, match="interrupted after 1 epoch;"),
            pytest.raises(KeyboardInterrupt),
        ):
            est.fit(graphs, energies)
        found.append(est.predict(graphs))
    np.testing.assert_allclose(*found, atol=1e-5)


def test_an_error_after_a_fit_that_went_well_waits_for_no_other(tiny, graphs, energies):
    accelerator = OneOf(2)
    est = fit(tiny, graphs, energies, accelerator, warm_start=True)

    class Fails(Callback):
        def on_epoch_end(self, net, **kwargs):
            accelerator.reduce = lambda *_: pytest.fail("the others do not come here")
            raise OSError("the disk is full")

    est.set_params(callbacks=[Fails()])
    with pytest.raises(OSError, match="the disk is full"):
        est.fit(graphs, energies)


def test_the_number_of_the_main_process_is_that_of_all():
    class Main(OneOf):
        is_main_process = True

    class Other(OneOf):
        is_main_process = False

        def reduce(self, tensor, reduction="sum", scale=1.0):
            assert reduction == "sum"
            assert tensor.dtype == torch.int64  # float32 holds no seeds
            return tensor + 2**31 - 2  # of the main process

    assert broadcast_int(Main(), 2**31 - 2) == 2**31 - 2
    assert broadcast_int(Other(), 7) == 2**31 - 2


def test_losses_and_batch_statistics_are_means_over_the_processes(tiny, graphs, energies):
    same, doubled = (fit(tiny, graphs, energies, OneOf(2, 0, f)) for f in (1.0, 2.0))
    np.testing.assert_allclose(doubled.loss_curve_, 2 * np.array(same.loss_curve_), rtol=1e-6)
    states = [est.module_.state_dict() for est in (same, doubled)]
    factors = {}
    for name, value in states[0].items():
        factor = 2 if name.endswith(("running_mean", "running_var")) else 1
        factors[factor] = factors.get(factor, 0) + 1
        torch.testing.assert_close(states[1][name], factor * value)
    assert len(factors) == 2


def test_after_an_error_of_its_own_a_process_waits_for_no_other(tiny, graphs, energies):
    accelerator = OneOf(2)

    class Fails(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) < 2:
                return
            accelerator.reduce = lambda *_: pytest.fail("the others do not come here")
            raise OSError("the disk is full")

    est = CGCNNRegressor(**tiny | {"device": accelerator}, callbacks=[Fails()])
    with (
        pytest.warns(UserWarning, match="interrupted after 1 epoch;"),
        pytest.raises(OSError, match="the disk is full"),
    ):
        est.fit(graphs, energies)
    assert np.isfinite(est.predict(graphs)).all()
    assert not est.net_.network.trained.buffer_pool._free


MESSAGES = [
    "[../third_party/gloo/pair.cc] timed out",
    "NCCL error in: ProcessGroup",
    "Connection closed",
    "Connection reset",
    "Socket timeout",
    "by peer [127.0.0.1]",
]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *((RuntimeError(message), ProcessError) for message in MESSAGES),
        (torch.distributed.DistBackendError("of a backend"), ProcessError),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
        (ValueError("gloo"), ValueError),
    ],
)
def test_a_process_that_cannot_talk_to_others_says_so(error, kind):
    accelerator = OneOf()

    def fail(*_):
        raise error

    accelerator.reduce = fail
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its type is told below
        broadcast_int(accelerator, 1)
    assert caught.type is kind
    if kind is not ProcessError:
        assert caught.value is error
        return
    assert str(caught.value) == (
        "another process of this training ended or does not answer, so that it cannot go on; see "
        "the first error that a process printed"
    )
    assert caught.value.__cause__ is error
