"""Training on the halves of a batch gives what training on the whole gives."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.nn import CrystalGraphConvNet, GraphBatch, Halves, can_be_halved


def network(**params):
    net = CrystalGraphConvNet(
        92, 2, conv="edge", atom_fea_len=8, h_fea_len=6, seed=0, composition_baseline=True, **params
    ).double()
    return net.train()


@pytest.fixture(scope="module")
def batch(graphs):
    numbers = np.linspace(-1, 1, 18).reshape(9, 2)
    given = GraphBatch.from_graphs(graphs[:9], dtype=torch.float64)
    return given._replace(global_features=torch.from_numpy(numbers))


def gradients(net, run, batch):
    net.zero_grad()
    out = run(batch)
    (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    return [out.detach(), *(p.grad for p in net.parameters())]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_outputs_and_gradients_are_those_of_the_whole_batch(batch, pooling, n_threads):
    net = network(pooling=pooling, n_globals=2)
    expected = gradients(net, net, batch)
    with Halves(net, n_threads) as halves:
        found = gradients(net, halves, batch)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_of_one_crystal_stays_whole(batch, graphs):
    net, one = network(), GraphBatch.from_graphs(graphs[:1], dtype=torch.float64)
    with Halves(net, 2) as halves:
        torch.testing.assert_close(halves(one), net(one))


def test_two_crystals_of_very_different_sizes(graphs):
    net = network()
    order = np.argsort(graphs.n_sites)[[0, -1]]
    for rows in (order, order[::-1]):
        both = GraphBatch.from_graphs(graphs[rows], dtype=torch.float64)
        with Halves(net, 2) as halves:
            torch.testing.assert_close(halves(both), net(both))


def test_frozen_layers_get_no_gradient(batch):
    net = network()
    net.freeze(2)
    with Halves(net, 2) as halves:
        found = gradients(net, halves, batch._replace(global_features=None))
    expected = gradients(net, net, batch._replace(global_features=None))
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_which_networks_can_be_halved():
    assert can_be_halved(network())
    assert not can_be_halved(network(pooling="sum"))
    assert not can_be_halved(CrystalGraphConvNet(92, conv="gated"))
    frozen = network()
    frozen.freeze(4)
    assert not can_be_halved(frozen)


def test_an_error_in_the_second_half_is_raised(batch):
    net = network()
    broken = batch.neighbors.clone()
    broken[-1] = 10_000
    with Halves(net, 2) as halves, pytest.raises((IndexError, RuntimeError)):
        halves(batch._replace(neighbors=broken, global_features=None))


class Pickles(Callback):
    """Pickles the net during training, as checkpoints of skorch do."""

    def on_batch_end(self, net, **kwargs):
        self.halved = net._halves is not None
        assert pickle.loads(pickle.dumps(net._halves)) is not None


def fitted(graphs, energies, **params):
    # Nothing is merged, so that the batch is a large one.
    return CGCNNRegressor(
        max_epochs=2,
        batch_size=len(graphs),
        atom_fea_len=128,
        n_conv=1,
        dropout=0.3,
        device="cpu",
        random_state=0,
        **params,
    ).fit(graphs, energies)


def test_a_fit_is_the_same_whatever_the_number_of_threads(cifs, energies):
    graphs = CrystalGraphTransformer(merge_tol=None).transform(cifs)
    watch = Pickles()
    try:
        torch.set_num_threads(2)
        two = fitted(graphs, energies, callbacks=[watch])
    finally:
        torch.set_num_threads(1)
    assert watch.halved
    one = fitted(graphs, energies)
    np.testing.assert_array_equal(two.predict(graphs), one.predict(graphs))


def test_a_prediction_in_between_does_not_change_the_training(cifs, energies):
    """The networks are in evaluation mode then; dropout is for both halves all the same."""
    graphs = CrystalGraphTransformer().transform(cifs)
    params = {
        "init_from": None,
        "batch_size": 8,
        "random_state": 0,
        "device": "cpu",
        "dropout": 0.5,
    }
    found = []
    for predicts in (False, True):
        est = CGCNNRegressor(**params)
        for _ in range(2):
            est.partial_fit(graphs, energies)
            if predicts:
                est.predict(graphs)
        found.append(est.predict(graphs))
    np.testing.assert_array_equal(*found)
