"""The hand-written messages are those of torch's own operations."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skcgcnn import CGCNNRegressor
from skcgcnn.nn import ConvLayer, CrystalGraphConvNet
from skcgcnn.nn._buffers import BufferPool
from skcgcnn.nn._messages import _product_over_rows, normalized_messages, sort_bonds

N_SITES, N_NEIGHBORS, N_BOND = 7, 4, 5


def inputs(seed=0, width=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    neighbors = torch.randint(0, N_SITES, (N_SITES, N_NEIGHBORS), generator=generator)
    neighbors[neighbors == 2] = 3  # to one site no bond leads
    bonds = torch.rand(N_SITES * N_NEIGHBORS, N_BOND, generator=generator, dtype=dtype)
    sites = torch.randn(N_SITES, width, generator=generator, dtype=dtype)
    return sites, neighbors, bonds


def test_gradients_are_those_of_finite_differences():
    _, neighbors, bonds = inputs()
    own, other = (torch.randn(N_SITES, 6, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(6, N_BOND, dtype=torch.float64)
    statistics = {"running_mean": None, "running_var": None, "num_batches_tracked": None}

    def messages(own, other, weight, scale, shift):
        norm = SimpleNamespace(weight=scale, bias=shift, momentum=0.1, eps=1e-5, **statistics)
        return normalized_messages(
            own, other, bonds, weight, neighbors, sort_bonds(neighbors), norm
        )

    scale, shift = torch.rand(6, dtype=torch.float64) + 0.5, torch.randn(6, dtype=torch.float64)
    arguments = [t.requires_grad_() for t in (own, other, weight, scale, shift)]
    assert torch.autograd.gradcheck(messages, arguments)


@pytest.mark.parametrize("training", [True, False])
def test_same_outputs_gradients_and_statistics(training):
    torch.manual_seed(0)
    plain = ConvLayer(3, N_BOND).double()
    torch.nn.init.normal_(plain.bn1.weight)
    torch.nn.init.normal_(plain.bn1.bias)
    by_hand = ConvLayer(3, N_BOND).double()
    by_hand.load_state_dict(plain.state_dict())
    sites, neighbors, bonds = inputs()
    found = []
    for layer, order in ((plain, None), (by_hand, sort_bonds(neighbors))):
        layer.train(training)
        given = sites.clone().requires_grad_()
        out = layer(given, neighbors, bonds, sorted_bonds=order)
        out.square().sum().backward()
        found.append([out, given.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_bonds", [4, 28, 80])
def test_product_over_rows(n_bonds):
    left, right = torch.randn(n_bonds, 5), torch.randn(n_bonds, 3)
    torch.testing.assert_close(_product_over_rows(left, right), left.T @ right)


def test_memory_is_reused_without_a_trace():
    """Three convolutions and two steps from the same buffers, against memory of their own."""
    torch.manual_seed(0)
    batch = *batch_of_pairs(), torch.full((4,), 2)
    outputs = []
    for pool in (None, BufferPool()):
        torch.manual_seed(1)
        net = CrystalGraphConvNet(9, atom_fea_len=6, h_fea_len=5).double().train()
        net.buffer_pool = pool
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            loss = net(*batch).square().sum()
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


def test_predictions_by_hand_are_those_of_torch_s_operations(monkeypatch):
    torch.manual_seed(0)
    batch = *batch_of_pairs(), torch.full((4,), 2)
    net = CrystalGraphConvNet(9, atom_fea_len=6, h_fea_len=5).double()
    for conv in net.convs:
        torch.nn.init.normal_(conv.bn1.weight)
        torch.nn.init.uniform_(conv.bn1.running_var, 0.5, 2)
    net.eval()
    with torch.inference_mode():
        by_hand = net(*batch)
    monkeypatch.setattr(CrystalGraphConvNet, "_uses_fused_messages", lambda *_: False)
    torch.testing.assert_close(by_hand, net(*batch).detach())


@pytest.mark.parametrize("core", [-200.0, -80.0, 0.0, 79.0, 81.0, 200.0, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_cores_of_any_size(core, dtype, training):
    torch.manual_seed(0)
    layer = ConvLayer(2, N_BOND).to(dtype).train(training)
    torch.nn.init.constant_(layer.bn1.bias[2:], core)
    sites, neighbors, bonds = inputs(width=2, dtype=dtype)
    expected = layer(sites, neighbors, bonds)
    order = sort_bonds(neighbors) if training else None
    with torch.set_grad_enabled(training):
        found = layer(sites, neighbors, bonds, sorted_bonds=order, pool=BufferPool())
    torch.testing.assert_close(found, expected)


def test_extreme_inputs_stay_finite():
    _, neighbors, bonds = inputs(dtype=torch.float32)
    own, other = torch.zeros(N_SITES, 6), torch.zeros(N_SITES, 6)
    own[0] = 1e6
    weight = torch.zeros(6, N_BOND)
    norm = torch.nn.BatchNorm1d(6)
    torch.nn.init.constant_(norm.weight, 1000.0)
    own.requires_grad_()
    out = normalized_messages(own, other, bonds, weight, neighbors, sort_bonds(neighbors), norm)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(own.grad).all()


def test_training_takes_them_and_ends_where_torch_s_operations_end(
    graphs, energies, tiny, monkeypatch
):
    by_hand = CGCNNRegressor(**tiny, precision="float64").fit(graphs, energies)
    monkeypatch.setattr(CrystalGraphConvNet, "_uses_fused_messages", lambda *_: False)
    plain = CGCNNRegressor(**tiny, precision="float64").fit(graphs, energies)
    np.testing.assert_allclose(by_hand.predict(graphs), plain.predict(graphs), rtol=1e-8)
    assert by_hand.history_[-1, "train_loss"] == pytest.approx(plain.history_[-1, "train_loss"])


def test_fixed_statistics_are_those_of_batch_norm():
    torch.manual_seed(1)
    layer = ConvLayer(3, N_BOND).double()
    sites, neighbors, bonds = inputs()
    for _ in range(3):
        layer(sites, neighbors, bonds)
    layer.eval()
    scale, shift = layer.bn1.fixed()
    rows = torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(rows * scale + shift, layer.bn1(rows))
