"""The default convolution: its formula, and its gradient, which is written by hand."""

import pytest
import torch
from batches import bonds_of
from torch.func import functional_call
from torch.nn import functional

from skcgcnn.nn import CrystalGraphConvNet, EdgeConv, GraphBatch

# Rows of three crystals; bonds by row, with how many bonds of the crystal each is.
ROWS = torch.tensor([0, 0, 0, 1, 1, 2])
CENTERS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5])
NEIGHBORS = torch.tensor([1, 2, 2, 0, 2, 0, 1, 1, 4, 3, 3, 3, 5])
COUNTS = torch.tensor([3.0, 1, 4, 2, 6, 1, 1, 5, 8, 2, 7, 1, 12], dtype=torch.float64)
SITES = torch.tensor([1.0, 2, 3, 1, 4, 2], dtype=torch.float64)
# The loss is a sum of the outputs with these.
FACTORS = torch.tensor([[1.0], [-0.5], [2.0]], dtype=torch.float64)


def batch():
    """Return a batch, in double precision; it is the same every time."""
    generator = torch.Generator().manual_seed(3)
    return GraphBatch(
        kind_features=torch.randn(4, 5, generator=generator, dtype=torch.float64),
        site_kinds=torch.tensor([0, 1, 2, 3, 0, 1]),
        site_counts=SITES,
        crystals=ROWS,
        n_sites=torch.zeros(3, dtype=torch.float64).index_add(0, ROWS, SITES),
        centers=CENTERS,
        neighbors=NEIGHBORS,
        distances=2 + torch.rand(len(CENTERS), generator=generator, dtype=torch.float64),
        bond_counts=COUNTS,
    )


def network(dropout):
    """Return a network in training, none of whose weights is 0 or 1."""
    net = CrystalGraphConvNet(
        5, atom_fea_len=4, n_conv=3, h_fea_len=3, radius=4.0, conv="edge", dropout=dropout
    ).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.4, generator=generator)
    return net.train()


def run(net, given):
    """Return the outputs, with the same bonds dropped every time."""
    torch.manual_seed(5)
    return net(given)


def operations(out):
    """Return how many operations led to an output, as torch's autograd knows them."""
    waiting, seen = [out.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [function for function, _ in node.next_functions]
    return len(seen)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_outputs_and_every_gradient_are_those_of_torch_s_autograd(dropout):
    net, found, lengths = network(dropout), [], []
    # Where gradients of distances are asked for, torch's own operations run.
    for plain in (False, True):
        given = batch()
        given.kind_features.requires_grad_()
        given.distances.requires_grad_(plain)
        out = run(net, given)
        lengths.append(operations(out))
        net.zero_grad()
        (out * FACTORS).sum().backward()
        gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
        found.append({"out": out, "kind_features": given.kind_features.grad, **gradients})
    by_hand, plain = found
    assert lengths[0] < lengths[1] - 30
    assert by_hand.keys() == plain.keys()
    for name, ours in by_hand.items():
        torch.testing.assert_close(ours, plain[name], rtol=1e-10, atol=1e-12, msg=name)
        assert ours.abs().max() > 1e-6, name


def test_no_bias_before_batch_normalization():
    """It would have no effect but on an attention, whose weights depend on the features."""
    for pooling, expected in (("mean", False), ("sum", False), ("attention", True)):
        net = CrystalGraphConvNet(5, n_conv=2, conv="edge", pooling=pooling, seed=0)
        names = dict(net.named_parameters())
        assert "convs.0.out.bias" in names
        assert ("convs.1.out.bias" in names) == expected


def test_predictions_by_hand_are_those_of_torch_s_operations():
    net = network(0.5).eval()
    with torch.inference_mode():
        by_hand = run(net, batch())
    torch.testing.assert_close(by_hand, run(net, batch()).detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_every_gradient_is_that_of_finite_differences(dropout):
    net, given = network(dropout), batch()
    buffers = dict(net.named_buffers())

    def total(parameters):
        torch.manual_seed(5)
        # Running statistics are changed by every pass.
        state = {**parameters, **{name: b.clone() for name, b in buffers.items()}}
        return (functional_call(net, state, (given,)) * FACTORS).sum()

    weights = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    gradients = torch.autograd.grad(total(weights), list(weights.values()))
    generator = torch.Generator().manual_seed(2)
    step = 1e-5
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        up, down = (
            total({**weights, name: weight.detach() + sign * step * direction}).item()
            for sign in (1, -1)
        )
        slope = (gradient * direction).sum().item()
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-8), name


def inputs():
    """Return features of rows and bonds for a single convolution, and the bonds."""
    generator = torch.Generator().manual_seed(4)
    sites = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    edges = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    neighbors = torch.randint(0, 5, (5, 4), generator=generator)
    counts = torch.randint(1, 6, (20,), generator=generator).double()
    return sites, edges, bonds_of(neighbors, edges, counts)


def layer(**options):
    conv = EdgeConv(3, 41, torch.Generator().manual_seed(0), **options).double()
    for norm in (conv.bond_norm, conv.site_norm):
        torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(6))
        torch.nn.init.normal_(norm.bias, generator=torch.Generator().manual_seed(7))
    return conv


def test_it_is_the_formula_bond_by_bond():
    conv, (sites, edges, bonds) = layer(), inputs()

    def norm(of, row):
        standard = (row - row.mean()) / (row.var(correction=0) + 1e-5).sqrt()
        return standard * of.weight + of.bias

    new, messages = [], torch.zeros_like(sites)
    ends = zip(bonds.centers.tolist(), bonds.neighbors.tolist(), edges, bonds.counts, strict=True)
    for i, j, edge, count in ends:
        change = conv.own(sites[i]) + conv.other(sites[j]) + conv.bond(norm(conv.bond_norm, edge))
        new.append(edge + functional.silu(change))
        messages[i] += count * functional.silu(new[-1]) / 4
    rows = []
    for site, message in zip(sites, messages, strict=True):
        seen = torch.cat([norm(conv.site_norm, site), message])
        rows.append(site + conv.out(functional.silu(conv.update(seen))))
    found_sites, found_edges = conv(sites, edges, bonds)
    torch.testing.assert_close(found_sites, torch.stack(rows))
    torch.testing.assert_close(found_edges, torch.stack(new))


def test_a_dropped_bond_stays_as_it_is_and_the_others_change_more():
    sites, edges, bonds = inputs()
    _, everything = layer()(sites, edges, bonds)
    conv, shares = layer(dropout=0.25), []
    for seed in range(40):
        torch.manual_seed(seed)
        change = conv(sites, edges, bonds)[1] - edges
        kept = (change != 0).any(dim=1)
        torch.testing.assert_close(change[kept], (everything - edges)[kept] / 0.75)
        shares.append(kept.double().mean())
    assert torch.stack(shares).mean() == pytest.approx(0.75, abs=0.05)
    torch.testing.assert_close(conv.eval()(sites, edges, bonds)[1], everything)
