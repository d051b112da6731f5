"""Small parts: where a network runs, what callbacks may not be, threads, and the learning rate."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from skorch.callbacks import BatchScoring, EarlyStopping, EpochScoring, LRScheduler
from torch import nn

from skcgcnn.nn import (
    CrystalGraphConvNet,
    GraphBatch,
    Halves,
    accelerator_of,
    at_most,
    check_callbacks,
    choose_device,
    lasting_device,
    one_cycle,
)
from skcgcnn.nn._normalization import BatchNorm

# Devices


class Processes:
    """Stands for an Accelerator."""

    device = torch.device("cpu", 0)

    def prepare(self):
        pass


def test_a_device_or_the_processes_that_have_one(monkeypatch):
    processes = Processes()
    assert accelerator_of(processes) is processes
    assert lasting_device(processes) == "auto"
    assert choose_device(processes) is Processes.device
    for device in ("auto", "cpu", torch.device("cpu")):
        assert accelerator_of(device) is None
        assert lasting_device(device) is device
    assert accelerator_of(Processes) is None  # the class
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto") == expected


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_a_device_that_is_there_or_not(kind, monkeypatch):
    module = torch.backends.mps if kind == "mps" else getattr(torch, kind)
    monkeypatch.setattr(module, "is_available", lambda: True)
    for device in (kind, f"{kind}:0", torch.device(kind)):
        assert choose_device(device) is device
    monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(ValueError, match="sees no such device") as caught:
        choose_device(f"{kind}:0")
    assert str(caught.value) == (
        f"device='{kind}:0', but torch sees no such device; use 'auto' or 'cpu'"
    )
    with pytest.warns(UserWarning, match="sees no such device") as told:
        assert choose_device(f"{kind}:0", fall_back=True) == "cpu"
    assert str(told[0].message) == (
        f"the model was on '{kind}:0', but torch sees no such device: it goes to the CPU"
    )


def test_what_is_no_device():
    for device in ("of nothing", ["cpu"]):
        with pytest.raises(ValueError, match="is an unknown torch device"):
            choose_device(device, fall_back=True)
    with pytest.raises(ValueError, match="device='meta', but torch sees no such device"):
        choose_device("meta")
    assert choose_device("cpu:0") == "cpu:0"


# Callbacks


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
@pytest.mark.parametrize("validates", [True, False])
def test_callbacks_that_would_have_no_effect(schedule, validates):
    def check(*callbacks):
        check_callbacks(callbacks, schedule=schedule, validates=validates)

    check()
    check(
        EarlyStopping(), EarlyStopping, ("stop", EarlyStopping), EpochScoring("r2", on_train=True)
    )
    rates = "but the learning rate follows the one-cycle schedule; fit with net_params="
    for callback in (LRScheduler(), LRScheduler, ("rate", LRScheduler()), (LRScheduler,)):
        if schedule == "constant":
            check(callback)
            continue
        with pytest.raises(ValueError, match="callbacks holds LRScheduler") as caught:
            check(EarlyStopping(), callback)
        assert str(caught.value) == (
            f'callbacks holds LRScheduler, {rates}{{"schedule": "constant"}} to leave it to '
            "callbacks"
        )
    for callback in (EpochScoring("r2"), ("scores", BatchScoring("r2")), BatchScoring):
        if validates:
            check(callback)
            continue
        with pytest.raises(ValueError, match="there are no validation crystals") as caught:
            check(callback)
        assert str(caught.value).endswith(
            "Scoring): fit with early_stopping=True or validation_data=, or let the callback use "
            "what is there without them, by monitor='train_loss' or on_train=True"
        )


# Threads


def test_a_limit_of_threads_ends_after_an_error_too():
    torch.set_num_threads(4)
    try:
        for limit, expected in ((1, 1), (3, 3), (4, 4), (5, 4)):
            with suppress(ZeroDivisionError), at_most(limit):
                assert torch.get_num_threads() == expected
                raise ZeroDivisionError
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(1)


# The learning rate


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (0.0, 0.04),
        (0.05, 0.52),
        (0.1, 1.0),
        (0.325, (1 + 0.5**0.5) / 2),
        (0.55, 0.5),
        (0.775, (1 - 0.5**0.5) / 2),
        (0.99999, 1e-4),
        (1.0, 1e-4),
        (2.0, 1e-4),
    ],
)
def test_the_learning_rate(done, expected):
    assert one_cycle(done) == pytest.approx(expected, rel=1e-6)


# A single row


@pytest.mark.parametrize("count", [1.0, 3.0])
def test_a_single_row_is_normalized_by_its_batch_only_if_it_stands_for_several(count):
    norm, row = BatchNorm(2), torch.tensor([[2.0, -1.0]])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    norm.running_mean.copy_(torch.tensor([1.0, 3.0]))
    norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    expected = nn.BatchNorm1d(2)
    expected.load_state_dict(norm.state_dict())
    found = norm.train()(row, torch.tensor([count]))
    assert norm.num_batches_tracked == 1
    if count == 1:
        torch.testing.assert_close(found, expected.eval()(row))
        assert torch.equal(norm.running_mean, expected.running_mean)
        assert torch.equal(norm.running_var, expected.running_var)
    else:
        torch.testing.assert_close(found, expected.train()(row.expand(3, 2))[:1])
        torch.testing.assert_close(norm.state_dict(), expected.state_dict())


# Halves


def test_halves_have_about_as_many_bonds(graphs, monkeypatch):
    net = CrystalGraphConvNet(92, conv="edge", atom_fea_len=4, n_conv=1, seed=0).train()
    batch, seen = GraphBatch.from_graphs(graphs), []
    pooled = CrystalGraphConvNet.pooled

    def noted(net, part):
        seen.append(part)
        return pooled(net, part)

    monkeypatch.setattr(CrystalGraphConvNet, "pooled", noted)
    with Halves(net, 1) as halves:
        halves(batch)
    sizes = [len(part.centers) for part in seen]
    largest = max(np.diff(graphs.bond_offsets[graphs.offsets]))
    assert sum(sizes) == len(batch.centers)
    assert abs(sizes[0] - sizes[1]) <= 2 * largest
    assert sum(len(part.n_sites) for part in seen) == 24


def test_halves_drop_other_bonds(graphs):
    net = CrystalGraphConvNet(92, conv="edge", atom_fea_len=4, n_conv=1, dropout=0.5, seed=0)
    one = GraphBatch.from_graphs(graphs[[3, 3]])
    outputs = []
    with Halves(net.train(), 1) as halves:
        for seed in (1, 1, 2):
            halves.start_dropout(seed)
            outputs.append(torch.stack(halves.pool(one.split(1))))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0][0], outputs[0][1])
