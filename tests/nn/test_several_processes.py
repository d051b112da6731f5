"""What one of several processes does in a training, without the others."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skcgcnn import CGCNNRegressor
from skcgcnn.exceptions import ProcessError
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
            accelerator.reduce = lambda *_: pytest.fail("the others do not come here")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        fit(tiny, graphs, energies, accelerator, callbacks=[Fails()])


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("[../third_party/gloo/pair.cc] Connection closed by peer [127.0.0.1]", ProcessError),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)
def test_a_process_that_cannot_talk_to_others_says_so(message, kind):
    accelerator = OneOf()

    def fail(*_):
        raise RuntimeError(message)

    accelerator.reduce = fail
    with pytest.raises(RuntimeError) as caught:
        broadcast_int(accelerator, 1)
    assert caught.type is kind
    assert ("another process of this training ended" in str(caught.value)) is (kind is ProcessError)
