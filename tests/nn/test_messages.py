"""The hand-written messages are those of torch's own operations."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from batches import batch_of, bonds_of, plain

from skcgcnn import CGCNNRegressor
from skcgcnn.nn import CONVOLUTIONS, ConvLayer, CrystalGraphConvNet
from skcgcnn.nn._bonds import product_over_rows
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._messages import normalized_messages

N_SITES, N_NEIGHBORS, N_BOND = 7, 4, 5


def inputs(seed=0, width=3, dtype=torch.float64):
    """Return rows, how many sites each is, and their bonds, each of which counts several times."""
    generator = torch.Generator().manual_seed(seed)
    neighbors = torch.randint(0, N_SITES, (N_SITES, N_NEIGHBORS), generator=generator)
    neighbors[neighbors == 2] = 3  # to one site no bond leads
    features = torch.rand(N_SITES * N_NEIGHBORS, N_BOND, generator=generator, dtype=dtype)
    sites = torch.randn(N_SITES, width, generator=generator, dtype=dtype)
    site_counts = torch.randint(1, 4, (N_SITES,), generator=generator).to(dtype)
    counts = torch.randint(1, 5, (N_SITES * N_NEIGHBORS,), generator=generator).to(dtype)
    return sites, bonds_of(neighbors, features, counts, site_counts)


def by_torch(layer, sites, bonds):
    """Return what torch's own operations give."""
    return layer(sites, bonds.features, bonds)[0]


def by_hand(layer, sites, bonds, pool=None):
    """Return what the hand-written messages give."""
    return by_torch(layer, sites, replace(bonds, is_fused=True, buffers=pool))


def test_gradients_are_those_of_finite_differences():
    sites, bonds = inputs()
    statistics = {"running_mean": None, "running_var": None, "num_batches_tracked": None}

    def messages(sites, weight, bias, scale, shift):
        norm = SimpleNamespace(weight=scale, bias=shift, momentum=0.1, eps=1e-5, **statistics)
        linear = SimpleNamespace(weight=weight, bias=bias)
        return normalized_messages(sites, linear, norm, bonds)

    weight, bias = torch.randn(6, 6 + N_BOND, dtype=torch.float64), torch.randn(6).double()
    scale, shift = torch.rand(6, dtype=torch.float64) + 0.5, torch.randn(6, dtype=torch.float64)
    arguments = [t.requires_grad_() for t in (sites, weight, bias, scale, shift)]
    assert torch.autograd.gradcheck(messages, arguments)


@pytest.mark.parametrize("training", [True, False])
def test_same_outputs_gradients_and_statistics(training):
    torch.manual_seed(0)
    ours = ConvLayer(3, N_BOND).double()
    torch.nn.init.normal_(ours.bn1.weight)
    torch.nn.init.normal_(ours.bn1.bias)
    fused = ConvLayer(3, N_BOND).double()
    fused.load_state_dict(ours.state_dict())
    sites, bonds = inputs()
    found = []
    for layer, function in ((ours, by_torch), (fused, by_hand)):
        layer.train(training)
        given = sites.clone().requires_grad_()
        out = function(layer, given, bonds)
        out.square().sum().backward()
        found.append([out, given.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("function", [by_torch, by_hand])
def test_counts_are_as_many_equal_rows_and_bonds(training, function):
    """Rows and bonds that count several times, against as many rows and bonds."""
    torch.manual_seed(0)
    counted = ConvLayer(3, N_BOND).double().train(training)
    repeated = ConvLayer(3, N_BOND).double().train(training)
    repeated.load_state_dict(counted.state_dict())
    sites, bonds = inputs()
    times = bonds.site_counts.long()
    copies = torch.arange(N_SITES).repeat_interleave(times)
    firsts = times.cumsum(0) - times
    chosen = torch.cat(
        [
            torch.arange(N_SITES * N_NEIGHBORS)
            .view(N_SITES, -1)[row]
            .repeat_interleave(bonds.counts.view(N_SITES, -1)[row].long())
            for row in copies.tolist()
        ]
    )
    degrees = bonds.counts.view(N_SITES, -1).sum(dim=1).long()[copies]
    ones = torch.ones(len(chosen), dtype=torch.float64)
    centers = torch.arange(len(copies)).repeat_interleave(degrees)
    many = replace(
        bonds,
        centers=centers,
        neighbors=firsts[bonds.neighbors[chosen]],
        counts=ones,
        features=bonds.features[chosen],
        site_counts=torch.ones(len(copies), dtype=torch.float64),
    )
    with torch.set_grad_enabled(training):
        ours = function(counted, sites, bonds)
        theirs = function(repeated, sites[copies], many)
    torch.testing.assert_close(ours[copies], theirs, rtol=1e-9, atol=1e-9)
    for first, second in zip(counted.buffers(), repeated.buffers(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_bonds", [4, 28, 80])
def test_product_over_rows(n_bonds):
    left, right = torch.randn(n_bonds, 5), torch.randn(n_bonds, 3)
    torch.testing.assert_close(product_over_rows(left, right), left.T @ right)


def test_memory_is_reused_without_a_trace():
    """Three convolutions and two steps from the same buffers, against memory of their own."""
    torch.manual_seed(0)
    batch = batch_of(*batch_of_pairs(), [2] * 4)
    outputs = []
    for pool in (None, BufferPool()):
        torch.manual_seed(1)
        net = CrystalGraphConvNet(9, atom_fea_len=6, h_fea_len=5).double().train()
        net.buffer_pool = pool
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            loss = net(batch).square().sum()
            loss.backward()
            optimizer.step()
        outputs.append([loss, *net.parameters()])
    for alone, reused in zip(*outputs, strict=True):
        torch.testing.assert_close(reused, alone)


def batch_of_pairs():
    kinds, n_sites = torch.rand(3, 9, dtype=torch.float64), 8
    neighbors = torch.arange(n_sites).view(4, 2).flip(1).flatten()  # the other of its pair
    distances = 2 + torch.rand(n_sites, 4, dtype=torch.float64)
    return kinds, torch.arange(n_sites) % 3, neighbors.unsqueeze(1).expand(-1, 4), distances


def test_predictions_by_hand_are_those_of_torch_s_operations():
    torch.manual_seed(0)
    batch = batch_of(*batch_of_pairs(), [2] * 4)
    net = CrystalGraphConvNet(9, atom_fea_len=6, h_fea_len=5).double()
    for conv in net.convs:
        torch.nn.init.normal_(conv.bn1.weight)
        torch.nn.init.uniform_(conv.bn1.running_var, 0.5, 2)
    net.eval()
    with torch.inference_mode():
        fused = net(batch)
    # Where gradients are asked for in evaluation mode, torch's operations run.
    torch.testing.assert_close(fused, net(batch).detach())


@pytest.mark.parametrize("core", [-200.0, -80.0, 0.0, 79.0, 81.0, 200.0, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_cores_of_any_size(core, dtype, training):
    torch.manual_seed(0)
    layer = ConvLayer(2, N_BOND).to(dtype).train(training)
    torch.nn.init.constant_(layer.bn1.bias[2:], core)
    arguments = inputs(width=2, dtype=dtype)
    expected = by_torch(layer, *arguments)
    with torch.set_grad_enabled(training):
        found = by_hand(layer, *arguments, BufferPool())
    torch.testing.assert_close(found, expected)


def test_extreme_inputs_stay_finite():
    sites, bonds = inputs(dtype=torch.float32)
    sites[0] = 1e6
    layer = ConvLayer(3, N_BOND).train()
    torch.nn.init.constant_(layer.bn1.weight, 1000.0)
    sites.requires_grad_()
    out = by_hand(layer, sites, bonds)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(sites.grad).all()


def test_training_takes_them_and_ends_where_torch_s_operations_end(
    graphs, energies, tiny, monkeypatch
):
    tiny["net_params"] = {**tiny["net_params"], "precision": "float64"}
    fused = CGCNNRegressor(**tiny).fit(graphs, energies)
    monkeypatch.setitem(CONVOLUTIONS, "plain", plain(ConvLayer))
    tiny["conv"] = "plain"
    by_torch = CGCNNRegressor(**tiny).fit(graphs, energies)
    np.testing.assert_allclose(fused.predict(graphs), by_torch.predict(graphs), rtol=1e-8)
    assert fused.history_[-1, "train_loss"] == pytest.approx(by_torch.history_[-1, "train_loss"])


def test_fixed_statistics_are_those_of_batch_norm():
    torch.manual_seed(1)
    layer = ConvLayer(3, N_BOND).double()
    for seed in range(3):
        by_torch(layer, *inputs(seed))
    layer.eval()
    scale, shift = layer.bn1.fixed()
    rows, theirs = torch.randn(5, 6, dtype=torch.float64), torch.nn.BatchNorm1d(6).double().eval()
    theirs.load_state_dict(layer.bn1.state_dict())
    torch.testing.assert_close(rows * scale + shift, theirs(rows))
    torch.testing.assert_close(layer.bn1(rows, torch.ones(5)), theirs(rows))
