import math
from types import SimpleNamespace

import pytest
import torch
from skorch.history import History

from skcgcnn.nn import BestEpoch


def train(best, losses):
    """Tell it of epochs whose weight is their number; return the weight of the end."""
    network = torch.nn.Linear(1, 1)
    net = SimpleNamespace(history=History(), network=network)
    best.on_train_begin(net)
    for epoch, loss in enumerate(losses, 1):
        net.history.new_epoch()
        net.history.record("valid_loss", loss)
        torch.nn.init.constant_(network.weight, epoch)
        best.on_epoch_end(net)
    best.on_train_end(net)
    return network.weight.item()


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.9, 0.3, 0.7, 0.3, 0.8], 4),
        ([math.nan] * 5, 5),
        ([0.1, 0.2, 0.3, 0.4, 0.5], 1),
        ([0.9, 0.3, math.nan, math.nan, 0.8], 2),
    ],
)
def test_it_is_the_last_with_the_lowest_loss(losses, expected):
    best = BestEpoch()
    assert train(best, losses) == best.best_epoch_ == expected
    assert best.best_loss_ == losses[expected - 1] or math.isnan(losses[expected - 1])


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.1, 0.2, 0.5, 0.4, 0.6], 4),
        ([0.1, 0.2, 0.3], 3),
        ([0.2, 0.1], 2),
        ([0.1, 0.2], 1),  # it stopped before
        ([0.1, 0.1, math.nan, 0.4], 4),
    ],
)
def test_epochs_before_the_first_to_choose_are_forgotten(losses, expected):
    assert train(BestEpoch(first=3), losses) == expected
    known = BestEpoch(losses, first=3)
    known.on_train_begin()
    assert known.best_epoch_ == expected
