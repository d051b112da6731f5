"""Batches from packed graphs."""

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.nn import GraphBatches, GraphDataset


def dataset(graphs):
    numbers = np.arange(len(graphs), dtype=np.float32)
    return GraphDataset(graphs, numbers[:, np.newaxis], numbers)


def test_a_batch_holds_its_crystals(graphs):
    for weighted, targets in GraphBatches(dataset(graphs), batch_size=5, device="cpu", seed=1):
        batch, start = weighted.batch, 0
        assert len(weighted) == len(targets) <= 5
        assert torch.equal(weighted.weights, targets[:, 0])
        bond = 0
        for index, n_sites in zip(targets[:, 0].int().tolist(), batch.n_sites, strict=True):
            graph = graphs[index]
            assert n_sites == len(graph)
            sites = slice(start, start + len(graph.site_kinds))
            bonds = slice(bond, bond + len(graph.neighbors))
            np.testing.assert_array_equal(batch.site_counts[sites], graph.site_counts)
            np.testing.assert_array_equal(
                torch.bincount(batch.centers[bonds] - start), np.diff(graph.bond_offsets)
            )
            np.testing.assert_array_equal(batch.bond_counts[bonds], graph.bond_counts)
            np.testing.assert_array_equal(
                batch.kind_features[batch.site_kinds[sites].long()],
                graph.kind_features[graph.site_kinds],
            )
            np.testing.assert_array_equal(batch.neighbors[bonds] - start, graph.neighbors)
            np.testing.assert_array_equal(batch.distances[bonds], graph.distances)
            start, bond = sites.stop, bonds.stop
        assert (start, bond) == (len(batch.site_kinds), len(batch.centers))


def order(batches):
    return [int(i) for _, targets in batches for i in targets[:, 0]]


def test_every_epoch_has_every_crystal_in_an_order_of_its_own(graphs):
    batches = GraphBatches(dataset(graphs), batch_size=7, device="cpu", seed=3)
    first, second = order(batches), order(batches)
    assert sorted(first) == sorted(second) == list(range(24))
    assert first != second
    # The order depends on the seed and the number of the epoch alone.
    resumed = GraphBatches(dataset(graphs), batch_size=7, device="cpu", seed=3, epoch=1)
    assert order(resumed) == second


@pytest.mark.parametrize("batch_size", [1, 5, 23, 24, 100])
def test_no_batch_is_much_smaller_than_the_others(graphs, batch_size):
    batches = GraphBatches(dataset(graphs), batch_size=batch_size, device="cpu", seed=0)
    sizes = [len(targets) for _, targets in batches]
    assert sum(sizes) == 24
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_batches_by_sites(graphs):
    batches = list(GraphBatches(dataset(graphs), batch_size=10, device="cpu", seed=0, max_sites=20))
    assert sorted(order(batches)) == list(range(24))
    for weighted, _ in batches:
        n_sites = weighted.batch.n_sites
        assert len(n_sites) <= 10
        assert n_sites.sum() <= 20 or len(n_sites) == 1


def test_a_crystal_larger_than_the_budget_is_a_batch_of_its_own(nacl, tiny):
    cells = [nacl, nacl.make_supercell(3, in_place=False), nacl, nacl]
    graphs = CrystalGraphTransformer().transform(cells)
    batches = GraphBatches(dataset(graphs), batch_size=4, device="cpu", max_sites=20)
    assert [b.batch.n_sites.tolist() for b, _ in batches] == [[8], [216], [8, 8]]
    est = CGCNNRegressor(**{**tiny, "net_params": {"max_batch_sites": 20}}).fit(
        graphs, [0.0, 1.0, 2.0, 3.0]
    )
    assert np.isfinite(est.predict(graphs)).all()


def test_many_kinds_of_site():
    # Each site is a mixture of its own: the batch embeds its own sites, not all kinds.
    mixed = [
        Structure(Lattice.cubic(4), [{"Ni": x, "Co": 1 - x}], [[0, 0, 0]])
        for x in np.linspace(0.1, 0.9, 8)
    ]
    graphs = CrystalGraphTransformer().transform(mixed)
    for weighted, _ in GraphBatches(dataset(graphs), batch_size=2, device="cpu", seed=0):
        batch = weighted.batch
        assert len(batch.kind_features) == 2
        assert batch.site_kinds.tolist() == [0, 1]


def test_read_only_arrays(graphs):
    for array in (graphs[:3]).distances, graphs[:3].neighbors:
        array.flags.writeable = False
    assert len(list(GraphBatches(dataset(graphs[:3]), batch_size=3, device="cpu"))) == 1
