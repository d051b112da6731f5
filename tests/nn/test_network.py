"""The network and its loss."""

import math

import numpy as np
import pytest
import torch
from batches import batch_of, bonds_of, cscl
from torch.nn import functional

from skcgcnn.nn import (
    AveragedNet,
    ConvLayer,
    CrystalGraphConvNet,
    ElementEmbedding,
    GaussianDistance,
    TaskLoss,
)
from skcgcnn.tasks import Classes, Number


def test_gaussians():
    expand = GaussianDistance(8.0)
    distances = torch.tensor([[0.0, 2.83], [8.0, 20.0]])
    centers = np.arange(0, 8.1, 0.2)
    expected = np.exp(-((distances.numpy()[..., np.newaxis] - centers) ** 2) / 0.2**2)
    assert expand(distances).shape == (2, 2, 41)
    np.testing.assert_allclose(expand(distances), expected, atol=1e-6)
    assert not expand.state_dict()


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ([1.9, 4.5], (2, 31)),  # 1.55 Å to either side: 0.4 to 6.0 Å
        ([0.0, 100.0], (0, 41)),
        ([0.2, 0.3], (0, 10)),
        ([100.0, 200.0], (40, 41)),
    ],
)
def test_gaussians_that_are_reached(distances, expected):
    expand, distances = GaussianDistance(8.0), torch.tensor(distances)
    reached = expand.active_centers(distances)
    assert reached.indices(41)[:2] == expected
    full = expand(distances)
    np.testing.assert_array_equal(expand(distances, reached), full[:, reached])
    full[:, reached] = 0
    assert full.max() < 1e-25


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_all_gaussians_where_a_distance_is_no_number(odd):
    assert GaussianDistance(8.0).active_centers(torch.tensor([2.0, odd])) == slice(None)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("distance", [0.4, 3.0, 7.9, 50.0])
def test_gaussians_out_of_reach_change_nothing(training, distance, monkeypatch):
    torch.manual_seed(0)
    net = CrystalGraphConvNet(92, atom_fea_len=8, n_conv=2, h_fea_len=8).train(training)
    batch = cscl(distance + 0.1 * torch.rand(2, 8))

    def run():
        net.zero_grad()
        out = net(batch)
        out.sum().backward()
        return [out.detach(), *(p.grad for p in net.parameters())]

    some = run()
    # The network without its shortcut is what it is compared with.
    monkeypatch.setattr(GaussianDistance, "active_centers", lambda *_: slice(None))
    for ours, reference in zip(some, run(), strict=True):
        torch.testing.assert_close(ours, reference)


def original_convolution(layer, sites, neighbors, bonds):
    """Equation (5) as the original writes it: one product for the concatenated features."""
    n_sites, n_neighbors = neighbors.shape
    own = sites.unsqueeze(1).expand(n_sites, n_neighbors, -1)
    gated = layer.fc_full(torch.cat([own, sites[neighbors], bonds], dim=2))
    gated = batch_norm(layer.bn1, gated.flatten(0, 1)).view(n_sites, n_neighbors, -1)
    gate, core = gated.chunk(2, dim=2)
    summed = (torch.sigmoid(gate) * functional.softplus(core)).sum(dim=1)
    return functional.softplus(sites + batch_norm(layer.bn2, summed))


def batch_norm(norm, rows):
    """Return what torch's own batch normalization makes of rows."""
    statistics = norm.running_mean.clone(), norm.running_var.clone()
    return functional.batch_norm(rows, *statistics, norm.weight, norm.bias, training=norm.training)


@pytest.mark.parametrize("training", [True, False])
def test_convolution_is_the_originals(training):
    torch.manual_seed(0)
    layer = ConvLayer(16, 41).train(training)
    sites, bonds = torch.randn(7, 16, requires_grad=True), torch.rand(7, 5, 41)
    neighbors = torch.randint(0, 7, (7, 5))
    given = bonds_of(neighbors, bonds.flatten(0, 1))
    ours, _ = layer(sites, given.features, given)
    reference = original_convolution(layer, sites, neighbors, bonds)
    torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(out.square().sum(), sites)[0] for out in (ours, reference)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_parameters_have_the_official_names():
    names = set(CrystalGraphConvNet(92, n_conv=2, n_h=2).state_dict())
    assert {
        "embedding.weight",
        "convs.1.fc_full.weight",
        "convs.0.bn1.running_mean",
        "convs.0.bn2.weight",
        "head.conv_to_fc.bias",
        "head.fcs.0.weight",
        "head.fc_out.weight",
    } <= names
    assert {name.split(".")[0] for name in names} == {"embedding", "convs", "head"}


def test_a_batch_with_a_single_site_trains():
    net = CrystalGraphConvNet(4, atom_fea_len=8).train()
    nothing = torch.zeros(1, dtype=torch.int32), torch.zeros(1, 12, dtype=torch.int32)
    out = net(batch_of(torch.rand(1, 4), *nothing, torch.full((1, 12), 2.5), [1]))
    out.sum().backward()
    assert torch.isfinite(out).all()


def test_pooling_is_the_mean_over_the_sites_of_a_crystal(graphs):
    net = CrystalGraphConvNet(92, n_conv=0, atom_fea_len=4).eval()
    kinds = torch.eye(3, 92)
    nothing = torch.zeros(5, 12, dtype=torch.int32), torch.ones(5, 12)
    both = net(batch_of(kinds, torch.tensor([0, 1, 2, 2, 2]), *nothing, [2, 3]))
    alone = kinds, torch.tensor([2]), nothing[0][:1], nothing[1][:1], [1]
    torch.testing.assert_close(both[1:], net(batch_of(*alone)))
    # Three equal sites are one row that counts three times.
    rows = kinds, torch.tensor([0, 1, 2]), nothing[0][:3], nothing[1][:3], [2, 1]
    torch.testing.assert_close(both, net(batch_of(*rows, torch.tensor([1.0, 1.0, 3.0]))))


BOTH = [Number("a"), Classes("b", classes=np.array([0, 1]))]


def test_loss_is_regression_plus_weighted_classification():
    outputs = torch.tensor([[0.5, 1.0, 0.0], [2.0, 0.0, 3.0]])
    targets = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    squared = (0.25 + 1.0) / 2
    entropy = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-3))) / 2
    for weight in (0.0, 0.3, 2.0):
        loss = TaskLoss(BOTH, weight)(outputs, targets)
        assert loss.item() == pytest.approx(squared + weight * entropy, rel=1e-6)


def test_missing_targets_are_left_out():
    outputs = torch.tensor([[0.5, 1.0, 0.0], [2.0, 0.0, 3.0]], requires_grad=True)
    nan = float("nan")
    loss = TaskLoss(BOTH)(outputs, torch.tensor([[0.0, nan], [nan, nan]]))
    assert loss.item() == pytest.approx(0.25)
    loss.backward()
    assert torch.equal(outputs.grad, torch.tensor([[1.0, 0, 0], [0, 0, 0]]))


def test_weights():
    outputs, targets = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [3.0]])
    loss = TaskLoss([Number("a")])(outputs, targets, torch.tensor([2.0, 0.0]))
    assert loss.item() == pytest.approx(1.0)


def test_mean_over_tasks_of_one_kind():
    tasks = [Number("a"), Number("a")]
    loss = TaskLoss(tasks)(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]))
    assert loss.item() == pytest.approx((1 + 9) / 2)


@pytest.mark.parametrize("conv", ["gated", "edge"])
def test_numbers_are_of_one_type_whatever_torch_s_default_is(conv):
    torch.set_default_dtype(torch.float64)
    try:
        net = AveragedNet(
            0.9, orig_atom_fea_len=5, conv=conv, n_kinds=3, n_globals=2, composition_baseline=True
        )
    finally:
        torch.set_default_dtype(torch.float32)
    types = {t.dtype for t in net.state_dict().values() if t.is_floating_point()}
    assert types == {torch.float32}


@pytest.mark.parametrize("training", [True, False])
def test_learned_vectors_are_those_of_the_kinds_and_zero_for_others(training):
    generator = torch.Generator().manual_seed(0)
    learned = ElementEmbedding(3, orig_atom_fea_len=5, atom_fea_len=4).train(training)
    learned.kinds.copy_(torch.randn(3, 5, generator=generator))
    with torch.no_grad():
        learned.weight.copy_(torch.randn(3, 4, generator=generator))
    for order in ([2, 0], [1, 2, 0, 1], [0]):  # each batch may have another table
        kinds = torch.cat([learned.kinds[order], learned.kinds[:1] + torch.eye(1, 5)])
        expected = torch.cat([learned.weight[order], torch.zeros(1, 4)])
        torch.testing.assert_close(learned(kinds), expected)


def test_moving_average():
    net = AveragedNet(0.5, orig_atom_fea_len=3, atom_fea_len=4, n_conv=1)
    expected = net.trained.embedding.weight.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            net.trained.embedding.weight += torch.randn(4, 3)
            net.trained.convs[0].bn1.running_mean += 1
        net.update()
        share = max(0.5, 9 / (step + 9))
        expected += share * (net.trained.embedding.weight.detach() - expected)
        torch.testing.assert_close(net.average.embedding.weight, expected)
    assert 26 < net.average.convs[0].bn1.running_mean[0] < 29
    assert not any(parameter.requires_grad for parameter in net.average.parameters())


def test_average_with_decay_zero_is_the_last():
    net = AveragedNet(0.0, orig_atom_fea_len=3)
    with torch.no_grad():
        net.trained.head.fc_out.bias += 1
    net.update()
    for name, value in net.trained.state_dict().items():
        torch.testing.assert_close(net.average.state_dict()[name], value)
