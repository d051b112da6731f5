"""Losses, normalization, learning rate and a whole training, against torch's own and the paper."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from skcgcnn.nn import (
    CrystalGraphConvNet,
    GraphBatches,
    GraphDataset,
    TaskLoss,
    one_cycle,
)
from skcgcnn.nn._normalization import BatchNorm
from skcgcnn.tasks import Classes, Number, NumberWithVariance

# The loss

VALUES = torch.tensor([-3.0, -0.4, 0.0, 0.9, 1.5, 7.0], dtype=torch.float64)
OUTPUTS = torch.tensor([0.5, -0.5, 0.3, 2.4, 1.4, -1.0], dtype=torch.float64)


def loss_and_gradient(function, outputs):
    outputs = outputs.clone().requires_grad_()
    loss = function(outputs)
    (gradient,) = torch.autograd.grad(loss, outputs)
    return loss.detach(), gradient


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        ("mse", functional.mse_loss),
        ("mae", functional.l1_loss),
        ("huber", lambda output, value: functional.huber_loss(output, value, delta=1.0)),
    ],
)
def test_errors_are_those_of_torch(loss, reference):
    ours = TaskLoss([Number("a")], loss=loss)
    found = loss_and_gradient(lambda out: ours(out, VALUES[:, None]), OUTPUTS[:, None])
    expected = loss_and_gradient(lambda out: reference(out[:, 0], VALUES), OUTPUTS[:, None])
    torch.testing.assert_close(found, expected)


def test_the_likelihood_is_torch_s_times_the_deviation():
    ours = TaskLoss([NumberWithVariance("a")], loss="gaussian_nll")
    outputs = torch.stack([OUTPUTS, torch.linspace(-2, 2, 6, dtype=torch.float64)], dim=1)

    def reference(outputs):
        variances = outputs[:, 1].exp()
        errors = functional.gaussian_nll_loss(
            outputs[:, 0], VALUES, variances, reduction="none", eps=1e-12
        )
        return (errors * variances.detach().sqrt()).mean()

    found = loss_and_gradient(lambda out: ours(out, VALUES[:, None]), outputs)
    torch.testing.assert_close(found, loss_and_gradient(reference, outputs))


@pytest.mark.parametrize("logarithm", [-1e4, -11.0, 11.0, 1e4])
def test_variances_stay_within_bounds(logarithm):
    ours = TaskLoss([NumberWithVariance("a")], loss="gaussian_nll")
    bounded = ours(torch.tensor([[1.0, 10.0 if logarithm > 0 else -10.0]]), torch.zeros(1, 1))
    found = ours(torch.tensor([[1.0, logarithm]]), torch.zeros(1, 1))
    assert torch.isfinite(found)
    torch.testing.assert_close(found, bounded)


def test_classes_and_several_tasks_are_those_of_torch():
    tasks = [Number("a"), Classes("b", classes=np.arange(3)), Number("c")]
    outputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0, 2])
    targets = torch.stack([VALUES, labels.double(), -VALUES], dim=1)
    targets[1, 2] = targets[4, 1] = np.nan
    weights = torch.tensor([0.5, 1.0, 2.0, 0.0, 1.5, 1.0], dtype=torch.float64)

    def reference(outputs):
        numbers = [(outputs[:, 0] - VALUES).square(), (outputs[:, 4] + VALUES).square()]
        entropy = functional.cross_entropy(outputs[:, 1:4], labels, reduction="none")
        known = torch.tensor([True, True, True, True, False, True])
        some = torch.tensor([True, False, True, True, True, True])
        first = (numbers[0] * weights).mean()
        second = (numbers[1] * weights)[some].mean()
        return (first + second) / 2 + 0.3 * (entropy * weights)[known].mean()

    ours = TaskLoss(tasks, 0.3)
    found = loss_and_gradient(lambda out: ours(out, targets, weights), outputs)
    torch.testing.assert_close(found, loss_and_gradient(reference, outputs))


@pytest.mark.parametrize(("loss", "share"), [("mse", 0.5), ("gaussian_nll", None), ("mae", 1.0)])
def test_learned_balance_is_that_of_the_paper(loss, share):
    """Kendall, Gal and Cipolla (2018), equation 10, with s = log σ²; a likelihood has its own."""
    kind = (NumberWithVariance if loss == "gaussian_nll" else Number)("a")
    tasks = [kind, Classes("b", classes=np.arange(2))]
    outputs = torch.randn(6, kind.n_outputs + 2, dtype=torch.float64)
    targets = torch.stack([VALUES, torch.tensor([0.0, 1, 1, 0, 1, 0])], dim=1)
    alone = [TaskLoss(tasks, weight, loss)(outputs, targets) for weight in (0.0, 1.0)]
    ours = TaskLoss(tasks, "auto", loss).double()
    with torch.no_grad():
        ours.log_scales.copy_(torch.tensor([0.7, -0.4]))
    numbers, entropy = alone[0], alone[1] - alone[0]
    scaled = numbers if share is None else numbers * np.exp(-0.7) + share * 0.7
    expected = scaled + entropy * np.exp(0.4) - 0.5 * 0.4
    torch.testing.assert_close(ours(outputs, targets), expected)


# Batch normalization


@pytest.mark.parametrize("momentum", [0.1, 0.4])
def test_batch_normalization_is_torch_s_of_repeated_rows(momentum):
    """Outputs, gradients and running statistics, of rows that stand for several each."""
    generator = torch.Generator().manual_seed(0)
    ours = BatchNorm(3, momentum=momentum).double()
    nn.init.normal_(ours.weight, generator=generator)
    nn.init.normal_(ours.bias, generator=generator)
    theirs = nn.BatchNorm1d(3, momentum=momentum).double()
    theirs.load_state_dict(ours.state_dict())
    for n_rows in (2, 5, 9):
        rows = 3 + 2 * torch.randn(n_rows, 3, generator=generator, dtype=torch.float64)
        counts = torch.randint(1, 4, (n_rows,), generator=generator)
        factors = torch.randn(n_rows, 3, generator=generator, dtype=torch.float64)
        found = []
        for norm in (ours, theirs):
            given = rows.clone().requires_grad_()
            out = norm(given, counts.double()) if norm is ours else norm(given[_copies(counts)])
            weights = factors if norm is ours else factors[_copies(counts)]
            if norm is ours:  # as the sums after it weigh rows
                weights = weights * counts.unsqueeze(1)
            norm.zero_grad()
            (out.tanh() * weights).sum().backward()
            first = out if norm is ours else out[counts.cumsum(0) - counts]
            found.append([first, given.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
        torch.testing.assert_close(*found)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(rows, counts), theirs(rows))


def _copies(counts):
    return torch.arange(len(counts)).repeat_interleave(counts)


# The learning rate


def test_learning_rates_are_those_of_one_cycle_lr():
    n_steps, warm_up = 1000, 100
    parts = []
    for anneal in ("linear", "cos"):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=n_steps,
            pct_start=warm_up / n_steps,
            anneal_strategy=anneal,
            div_factor=25,
            final_div_factor=1e4,
            cycle_momentum=False,
        )
        rates = []
        for _ in range(n_steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < n_steps:
                schedule.step()
        parts.append(rates)
    # torch's ends its two parts with steps, of which the first is step 0.
    done = np.interp(np.arange(n_steps), [0, warm_up - 1, n_steps - 1], [0, 0.1, 1])
    expected = [*parts[0][:warm_up], *parts[1][warm_up:]]
    np.testing.assert_allclose([one_cycle(share) for share in done], expected, atol=2e-4)
    assert one_cycle(1.7) == one_cycle(1.0) == 1e-4


# A training, against the network as the paper and the original code have it


class Original(nn.Module):
    """All sites and bonds, one product for concatenated features, torch's own normalization."""

    def __init__(self, width, n_conv, hidden):
        super().__init__()
        self.embedding = nn.Linear(92, width)
        self.convs = nn.ModuleList(nn.Module() for _ in range(n_conv))
        for conv in self.convs:
            conv.fc_full = nn.Linear(2 * width + 41, 2 * width)
            conv.bn1, conv.bn2 = nn.BatchNorm1d(2 * width), nn.BatchNorm1d(width)
        self.conv_to_fc = nn.Linear(width, hidden)
        self.fc_out = nn.Linear(hidden, 1)

    def forward(self, kinds, neighbors, distances, crystals):
        # In single precision, as the original has them.
        centers = torch.from_numpy(np.arange(0, 8.1, 0.2).astype(np.float32)).double()
        bonds = torch.exp(-((distances.unsqueeze(2) - centers) ** 2) / 0.2**2)
        sites = self.embedding(kinds)
        n_sites, n_neighbors = neighbors.shape
        for conv in self.convs:
            own = sites.unsqueeze(1).expand(-1, n_neighbors, -1)
            gated = conv.fc_full(torch.cat([own, sites[neighbors], bonds], dim=2))
            gated = conv.bn1(gated.flatten(0, 1)).view(n_sites, n_neighbors, -1)
            gate, core = gated.chunk(2, dim=2)
            summed = (torch.sigmoid(gate) * functional.softplus(core)).sum(dim=1)
            sites = functional.softplus(sites + conv.bn2(summed))
        pooled = torch.stack([sites[rows].mean(dim=0) for rows in crystals])
        hidden = functional.softplus(self.conv_to_fc(functional.softplus(pooled)))
        return self.fc_out(hidden)


def _named_as_theirs(net):
    return {name.removeprefix("head."): value for name, value in net.state_dict().items()}


def test_twenty_steps_of_the_original_network(graphs, energies):
    """Weights and running statistics after a training by SGD with momentum."""
    ours = CrystalGraphConvNet(92, atom_fea_len=6, n_conv=2, h_fea_len=5, seed=0).double().train()
    theirs = Original(6, 2, 5).double().train()
    theirs.load_state_dict(_named_as_theirs(ours))
    start = copy.deepcopy(_named_as_theirs(ours))
    optimizers = [
        torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9) for net in (ours, theirs)
    ]
    for step in range(20):
        some = np.arange(step % 3, len(graphs), 3)
        chosen, plain = graphs[some], graphs[some].expand()
        ((batch, _),) = GraphBatches(
            GraphDataset(chosen), batch_size=len(some), device="cpu", dtype=torch.float64
        )
        kinds = torch.from_numpy(chosen.kind_features[plain.site_kinds]).double()
        first = np.repeat(plain.offsets[:-1], np.diff(plain.offsets))
        neighbors = torch.from_numpy(plain.neighbors + first[:, np.newaxis])
        distances = torch.from_numpy(plain.distances).double()
        crystals = [slice(*ends) for ends in pairwise(plain.offsets)]
        outputs = ours(batch.batch), theirs(kinds, neighbors, distances, crystals)
        target = torch.from_numpy(energies[some, None])
        for optimizer, out in zip(optimizers, outputs, strict=True):
            optimizer.zero_grad()
            functional.mse_loss(out, target).backward()
            optimizer.step()
    expected = theirs.state_dict()
    found = _named_as_theirs(ours)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-9, msg=name)
        # Normalization takes a bias before it out again.
        assert name.endswith("fc_full.bias") or not torch.equal(value, start[name]), name
