"""Buffers that are used again."""

import pickle

import pytest
import torch
from batches import cscl

from skcgcnn import CGCNNRegressor
from skcgcnn.nn import AveragedNet
from skcgcnn.nn._buffers import BufferPool


def sizes(pool):
    return sorted(buffer.untyped_storage().nbytes() for _, buffer in pool._free)


def test_a_buffer_comes_back():
    pool = BufferPool()
    first = pool.take(torch.float32, 10, 4)
    second = pool.take(torch.float32, 10, 4)
    assert first.data_ptr() != second.data_ptr()
    address = first.data_ptr()
    pool.give(first)
    again = pool.take(torch.float32, 5, 8)
    assert again.shape == (5, 8)
    assert again.data_ptr() == address


def test_the_smallest_that_fits_is_taken():
    pool = BufferPool()
    small, large = pool.take(torch.float32, 100), pool.take(torch.float32, 1000)
    address = small.data_ptr()
    pool.give(large, small)
    assert pool.take(torch.float32, 90).data_ptr() == address


def test_one_that_is_too_small_gives_way_to_a_larger_one():
    pool = BufferPool()
    for n in (100, 200, 1000):
        pool.give(pool.take(torch.float32, n))
        assert len(pool._free) == 1
    assert sizes(pool)[0] >= 4000


def test_types_are_kept_apart():
    pool = BufferPool()
    pool.give(pool.take(torch.float32, 100))
    assert pool.take(torch.float64, 10).dtype == torch.float64
    assert len(pool._free) == 1


def trained_once(net, batch):
    net.train()
    net(batch).square().sum().backward()
    return net.trained.buffer_pool


@pytest.fixture
def batch():
    return cscl()


def test_steps_use_the_same_memory(batch):
    net = AveragedNet(0.9, orig_atom_fea_len=92)
    kept = sizes(trained_once(net, batch))
    assert kept
    assert sizes(trained_once(net, batch)) == kept


def test_buffers_are_released_and_not_pickled(batch):
    net = AveragedNet(0.9, orig_atom_fea_len=92)
    assert sizes(trained_once(net, batch))
    assert not pickle.loads(pickle.dumps(net)).trained.buffer_pool._free
    net.release_buffers()
    assert not net.trained.buffer_pool._free


def test_a_second_backward_pass_is_refused_and_not_wrong(batch):
    net = AveragedNet(0.9, orig_atom_fea_len=92).train()
    loss = net(batch).square().sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_network_of_ones_own_may_go_back_twice(batch):
    net = AveragedNet(0.9, orig_atom_fea_len=92).trained.train()
    net.buffer_pool = None
    loss = net(batch).square().sum()
    loss.backward(retain_graph=True)
    first = {name: p.grad.clone() for name, p in net.named_parameters()}
    loss.backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.grad, 2 * first[name])


def test_fit_releases_buffers_and_partial_fit_keeps_them(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    pool = est.net_.module_.trained.buffer_pool
    assert not pool._free
    est.partial_fit(graphs, energies)
    assert pool._free
