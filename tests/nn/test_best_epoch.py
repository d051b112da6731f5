import math
from types import SimpleNamespace

import pytest
import torch
from skorch.history import History

from skcgcnn.nn import BestEpoch


class Network(torch.nn.Linear):
    """Stands for the pair of networks that a fit has."""

    @property
    def trained(self):
        return self

    average = trained


def train(best, losses, done=0):
    """Tell it of epochs whose weight is their number; return the weight of the end."""
    network = Network(1, 1)
    net = SimpleNamespace(history=History(), network=network)
    for _ in range(done):
        net.history.new_epoch()
    best.on_train_begin(net)
    for epoch, loss in enumerate(losses, done + 1):
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


@pytest.mark.parametrize(
    ("first", "losses", "expected"),
    [
        (1, [0.4, 0.5], 2),
        (1, [0.4, 0.2], 4),
        (4, [0.4, 0.5], 4),  # what was chosen before is forgotten
        (3, [0.4, 0.5], 3),
        (1, [math.nan], 2),
    ],
)
def test_a_training_that_goes_on_has_the_best_so_far(first, losses, expected):
    weights = {name: 2 * torch.ones_like(t) for name, t in Network(1, 1).state_dict().items()}
    best = BestEpoch(2, 0.3, weights, first)
    assert train(best, losses, 2) == best.best_epoch_ == expected
