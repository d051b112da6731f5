"""What follows the convolutions, crystal by crystal: pooling, head, numbers beside crystals."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from skcgcnn.nn import POOLINGS, CrystalGraphConvNet, GlobalFeatures, GraphBatch

N_GLOBALS = 2


@pytest.fixture(scope="module")
def batch(graphs):
    numbers = torch.linspace(-1, 3, 6 * N_GLOBALS, dtype=torch.float64).view(6, N_GLOBALS)
    given = GraphBatch.from_graphs(graphs[:6], dtype=torch.float64)
    return given._replace(global_features=numbers)


def network(n_globals=N_GLOBALS, **params):
    """Return a network in evaluation mode, none of whose numbers is 0 or 1."""
    net = CrystalGraphConvNet(
        92, 3, atom_fea_len=4, n_conv=1, h_fea_len=5, n_globals=n_globals, **params
    )
    net = net.double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, generator=generator)
            if name.endswith(("running_var", "globals.scale")):
                tensor.abs_().add_(0.5)
    return net


def norm(of, rows):
    """Return what batch normalization in evaluation mode makes of rows."""
    shifted = (rows - of.running_mean) / (of.running_var + 1e-5).sqrt()
    return shifted * of.weight + of.bias


def head(net, rows, numbers, activation):
    """Return the outputs, task by task, with matrices of each task's own."""
    part = net.head
    rows = activation(rows) if part.norm is None else norm(part.norm, rows)
    tasks, outputs, first = net.architecture["heads"] or [3], [], 0
    for task, n_outputs in enumerate(tasks):
        own = slice(5 * task, 5 * (task + 1))
        hidden = rows @ part.conv_to_fc.weight[own].T + part.conv_to_fc.bias[own]
        if part.globals is not None:
            scaled = (numbers - part.globals.mean - part.globals.rest) / part.globals.scale
            hidden = hidden + scaled @ part.globals.linear.weight[own].T
        hidden = activation(hidden)
        for layer in part.fcs:
            hidden = activation(hidden @ layer.weight[own].T + layer.bias[own])
        last = slice(first, first + n_outputs)
        outputs.append(hidden @ part.fc_out.weight[last].T + part.fc_out.bias[last])
        first += n_outputs
    return torch.cat(outputs, dim=-1)


def site_weights(net, sites, counts):
    """Return how much each row counts, as the poolings are defined."""
    if net.architecture["pooling"] == "sum":
        return counts
    if net.architecture["pooling"] == "mean":
        return counts / counts.sum()
    scores = torch.exp(10 * torch.tanh(sites @ net.pooling.score.weight[0] / 10)) * counts
    return scores / scores.sum()


def expected(net, batch, activation):
    """Return the outputs of each crystal, from the features of its sites."""
    sites, outputs = net.convolve(batch), []
    for crystal in range(len(batch.n_sites)):
        own = batch.crystals == crystal
        rows, counts = sites[own], batch.site_counts[own]
        numbers = None if net.head.globals is None else batch.global_features[crystal]
        weights = site_weights(net, rows, counts)
        if net.architecture["pooling"] == "sum":
            out = weights @ head(net, rows, numbers, activation)
        else:
            out = head(net, weights @ rows, numbers, activation)
        if net.baseline is not None:
            kinds = batch.kind_features[batch.site_kinds[own].long()]
            shares = kinds @ net.baseline.weight.T + net.baseline.bias
            by_site = counts if net.architecture["pooling"] == "sum" else counts / counts.sum()
            out = out * net.baseline.scale + by_site @ shares
        outputs.append(out)
    return torch.stack(outputs)


@pytest.mark.parametrize("pooling", ["mean", "sum", "attention"])
@pytest.mark.parametrize(
    ("conv", "activation"), [("gated", functional.softplus), ("edge", functional.silu)]
)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"heads": [2, 1], "n_h": 3, "composition_baseline": True},
        {"heads": [1, 1, 1], "n_globals": 0},
        {"n_h": 3, "n_globals": 0, "composition_baseline": True},
    ],
    ids=str,
)
def test_outputs_are_the_formula_crystal_by_crystal(pooling, conv, activation, params, batch):
    net = network(conv=conv, pooling=pooling, **params)
    given = batch if net.head.globals is not None else batch._replace(global_features=None)
    with torch.no_grad():
        found = net(given)
        torch.testing.assert_close(found, expected(net, given, activation))
        assert found.shape == (6, 3)
        if pooling != "sum":
            pooled = net.pooled(given)
            assert pooled.shape == (6, 4 + 3 * (net.baseline is not None))
            torch.testing.assert_close(net.from_pooled(pooled, given), found)


@pytest.mark.parametrize("name", ["mean", "attention"])
def test_weights_of_sites_sum_to_one_in_each_crystal(name, batch):
    pooling = POOLINGS[name](4, torch.Generator().manual_seed(0)).double()
    sites = 1e3 * torch.randn(len(batch.crystals), 4, dtype=torch.float64)
    weights = pooling(sites, batch)
    assert torch.isfinite(weights).all()
    assert (weights > 0).all()
    sums = torch.zeros(6, dtype=torch.float64).index_add(0, batch.crystals, weights)
    torch.testing.assert_close(sums, torch.ones(6, dtype=torch.float64))


def test_numbers_beside_crystals_are_scaled_as_scikit_learn_scales_them():
    rng = np.random.default_rng(0)
    # The second and the fourth are constant; the last is that of time stamps.
    columns = [rng.normal(5, 3, 20), np.full(20, -2.0), rng.uniform(0, 1e-6, 20), np.zeros(20)]
    values = np.column_stack([*columns, 1.7e9 + rng.normal(size=20)])
    layer = GlobalFeatures(5, 3, torch.Generator().manual_seed(0))
    before = layer.linear.weight.detach().clone()
    layer.set_scaling(values)
    weights = layer.linear.weight.detach()
    varies = np.array([True, False, True, False, True])
    assert torch.equal(weights[:, varies], before[:, varies])
    assert not weights[:, ~varies].any()
    scaled = StandardScaler().fit_transform(values)[:, varies]
    expected = scaled @ weights[:, varies].double().numpy().T
    found = layer(torch.from_numpy(values)).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Whatever stands in a column that was constant has no effect.
    values[:, ~varies] += 100
    torch.testing.assert_close(layer(torch.from_numpy(values)).detach(), found)
    assert layer.linear.bias is None


def test_dropout_is_of_the_first_hidden_layer_or_of_bonds():
    """As the convolution says; it can be changed, and begins anew with its seed."""
    for conv, n_dropouts in (("gated", 1), ("edge", 2)):
        net = CrystalGraphConvNet(92, n_conv=2, conv=conv, dropout=0.25, n_h=2)
        found = [m for m in net.modules() if isinstance(m, torch.nn.Dropout) and m.p]
        assert [m.p for m in found] == [0.25] * n_dropouts
        net.set_dropout(0.5)
        assert [m.p for m in found] == [0.5] * n_dropouts
        rows = torch.ones(1000, 4)
        draws = []
        for seed in (3, 3, 4):
            net.train().start_dropout(seed)
            draws.append([m(rows) for m in found])
        for first, again, other in zip(*draws, strict=True):
            assert torch.equal(first, again)
            assert not torch.equal(first, other)
            assert set(first.unique().tolist()) == {0.0, 2.0}
            assert (first == 0).float().mean() == pytest.approx(0.5, abs=0.05)
        for some, more in zip(draws[0][:-1], draws[0][1:], strict=True):
            assert not torch.equal(some, more)
        assert torch.equal(found[0].eval()(rows), rows)


def test_frozen_layers_are_the_first():
    net = CrystalGraphConvNet(92, n_conv=2, conv="edge", atom_fea_len=4, fixed_norm=True)
    layers = [{"embedding", "bond_embedding"}, {"convs.0"}, {"convs.1"}]
    for n_layers in (3, 2, 1, 0):
        net.freeze(n_layers)
        frozen = {
            ".".join(n.split(".")[:2]) for n, p in net.named_parameters() if not p.requires_grad
        }
        parts = {name if "convs" in name else name.split(".")[0] for name in frozen}
        assert parts == {"head"} | set().union(*layers[:n_layers])
        net.train()
        assert not net.head.norm.training
        assert [conv.training for conv in net.convs] == [n_layers < 2, n_layers < 3]
        assert net.embedding.training == (n_layers < 1)
        assert not any(module.training for module in net.eval().modules())
    assert [len(layer) for layer in net.layers()] == [2, 1, 1]
    assert [len(layer) for layer in CrystalGraphConvNet(92, n_conv=1).layers()] == [1, 1]


@pytest.mark.parametrize(("name", "kinds"), [("conv", "edge, gated"), ("pooling", "mean, sum")])
def test_parts_that_there_are_not(name, kinds):
    with pytest.raises(ValueError, match=f"{name}='of nothing'; expected one of ") as caught:
        CrystalGraphConvNet(92, **{name: "of nothing"})
    assert all(kind in str(caught.value) for kind in kinds.split(", "))


def test_a_network_is_made_by_its_arguments():
    params = {
        "atom_fea_len": 4, "n_conv": 2, "h_fea_len": 5, "n_h": 2, "radius": 6.04, "conv": "edge",
        "pooling": "attention", "composition_baseline": True, "n_kinds": 3, "n_globals": 1,
        "heads": (1, 2), "fixed_norm": True,
    }  # fmt: skip
    net = CrystalGraphConvNet(92, 3, **params, seed=1)
    told = {**params, "orig_atom_fea_len": 92, "n_outputs": 3, "radius": 6.0, "heads": [1, 2]}
    assert net.architecture == told  # the last center of the Gaussians
    again = CrystalGraphConvNet(**net.architecture, seed=1)
    torch.testing.assert_close(again.state_dict(), net.state_dict())
    other = CrystalGraphConvNet(**net.architecture, seed=2)
    assert not torch.equal(other.embedding.weight, net.embedding.weight)
    usual = CrystalGraphConvNet(92).architecture
    assert usual == {
        "orig_atom_fea_len": 92, "n_outputs": 1, "atom_fea_len": 64, "n_conv": 3,
        "h_fea_len": 128, "n_h": 1, "radius": 8.0, "conv": "gated", "pooling": "mean",
        "composition_baseline": False, "n_kinds": 0, "n_globals": 0, "heads": None,
        "fixed_norm": False,
    }  # fmt: skip
