"""Batches from packed graphs."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.nn import INDICES, LEVELS, GraphBatch, GraphBatches, GraphDataset, TaskLoss
from skcgcnn.tasks import Number


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


def test_batches_by_bonds(graphs):
    options = {"batch_size": 10, "device": "cpu", "seed": 0}
    limit = 150
    batches = list(GraphBatches(dataset(graphs), **options, max_bonds=limit))
    assert sorted(order(batches)) == list(range(24))
    sizes = [(len(weighted.batch.centers), len(weighted)) for weighted, _ in batches]
    assert all(n_bonds <= limit or n == 1 for n_bonds, n in sizes)
    # Two that come after each other would be too large together, within one of the batches of 10.
    whole = [len(targets) for _, targets in GraphBatches(dataset(graphs), **options)]
    ends, first = set(np.cumsum(whole)), 0
    for (one, n), (other, _) in pairwise(sizes):
        first += n
        assert first in ends or one + other > limit or n == 1
    (exact,) = GraphBatches(dataset(graphs[:4]), batch_size=4, device="cpu", max_sites=None)
    n_sites = int(exact[0].batch.n_sites.sum())
    for limit, n_batches in ((n_sites, 1), (n_sites - 1, 2)):
        limited = GraphBatches(dataset(graphs[:4]), batch_size=4, device="cpu", max_sites=limit)
        assert len(list(limited)) == n_batches


def test_types_are_those_that_were_asked_for(graphs):
    for dtype in (torch.float32, torch.float64):
        ((weighted, targets),) = GraphBatches(
            dataset(graphs), batch_size=24, device="cpu", dtype=dtype
        )
        assert targets.dtype == weighted.weights.dtype == dtype
        for name, tensor in weighted.batch._asdict().items():
            if tensor is not None:
                assert tensor.dtype == (torch.int32 if name in INDICES else dtype), name


def test_numbers_beside_crystals_are_doubles_of_their_crystals(graphs):
    bare = GraphBatch.from_graphs(graphs)
    assert bare.global_features is None
    assert len(bare.tensors()) == len(LEVELS) - 1
    numbers = 1.7e9 + np.arange(48.0).reshape(24, 2) / 1024
    given = graphs.with_global_features(numbers, ["a", "b"])
    for weighted, targets in GraphBatches(dataset(given), batch_size=5, device="cpu", seed=1):
        found = weighted.batch.global_features
        assert found.dtype == torch.float64
        np.testing.assert_array_equal(found, numbers[targets[:, 0].int()])
        assert len(weighted.batch.tensors()) == len(LEVELS)


def test_processes_share_each_batch(graphs):
    seen = {}
    for process in range(3):
        batches = GraphBatches(dataset(graphs), batch_size=7, device="cpu", seed=2)
        batches.share = process, 3
        for number, (weighted, targets) in enumerate(batches):
            assert len(weighted) == 6  # those of the others too
            assert targets[:, 0].tolist() == weighted.rows.tolist()
            assert len(weighted.batch.n_sites) == len(targets) == 2
            seen.setdefault(number, []).extend(weighted.rows.tolist())
    whole = GraphBatches(dataset(graphs), batch_size=7, device="cpu", seed=2)
    assert [sorted(rows) for rows in seen.values()] == [sorted(w.rows) for w, _ in whole]
    few = GraphBatches(dataset(graphs), batch_size=2, device="cpu")
    few.share = 0, 2
    assert len(list(few)) == 12
    few.share = 0, 3
    with pytest.raises(ValueError, match="a batch of 2 crystals cannot be divided among 3 proc"):
        list(few)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_crystal_counts_the_same_on_processes_with_unequal_shares(graphs, weighted):
    """With 7 crystals of a batch, one process has 4; of one task, it knows all targets that are."""
    encoded = np.linspace(-1, 1, 2 * len(graphs)).reshape(-1, 2)
    encoded[1::2, 0] = encoded[::3, 1] = np.nan
    weights = np.linspace(0.5, 2, len(graphs)) if weighted else None
    loss = TaskLoss([Number("a"), Number("b")])

    def losses(process, n_processes):
        batches = GraphBatches(GraphDataset(graphs, encoded, weights), batch_size=7, device="cpu")
        batches.share = process, n_processes
        return [
            loss(torch.zeros_like(y), y, batch.weights, batch.n_known).item()
            for batch, y in batches
        ]

    of_two = np.mean([losses(0, 2), losses(1, 2)], axis=0)
    np.testing.assert_allclose(of_two, losses(0, 1), rtol=1e-6)


def test_one_batch_of_all_crystals(graphs, cifs):
    batch = GraphBatch.from_graphs(graphs, dtype=torch.float64)
    ((expected, _),) = GraphBatches(
        dataset(graphs), batch_size=24, device="cpu", dtype=torch.float64
    )
    for one, other in zip(batch.tensors(), expected.batch.tensors(), strict=True):
        assert torch.equal(one, other)
    assert GraphBatch.from_graphs(graphs[:1]).distances.dtype == torch.float32
    with pytest.raises(TypeError, match="graphs is of type list; pass CrystalGraphs, for example"):
        GraphBatch.from_graphs(list(cifs))
    with pytest.raises(ValueError, match="a batch needs at least one crystal, but there is none"):
        GraphBatch.from_graphs(graphs[:0])
    with pytest.warns(UserWarning, match="1 of 3 crystals"):
        some = CrystalGraphTransformer(on_error="nan").transform([cifs[0], "none.cif", cifs[1]])
    with pytest.raises(ValueError, match=r"crystal 'none' could not be read, so it cannot be"):
        GraphBatch.from_graphs(some)
    assert list(GraphBatches(GraphDataset(graphs[:0]), batch_size=3, device="cpu")) == []


@pytest.mark.parametrize("n_globals", [0, 1])
@pytest.mark.parametrize("crystal", [1, 5, 23])
def test_a_batch_is_split_between_two_crystals(graphs, crystal, n_globals):
    given = graphs.with_global_features(
        np.arange(24.0 * n_globals).reshape(24, n_globals), ["a"] * n_globals
    )
    parts = GraphBatch.from_graphs(given).split(crystal)
    for part, some in zip(parts, (given[:crystal], given[crystal:]), strict=True):
        alone = GraphBatch.from_graphs(some)
        assert (part.global_features is None) == (n_globals == 0)
        for name, tensor in alone._asdict().items():
            if tensor is not None and name not in ("kind_features", "site_kinds"):
                assert torch.equal(getattr(part, name), tensor), name
        ours = part.kind_features[part.site_kinds.long()]
        assert torch.equal(ours, alone.kind_features[alone.site_kinds.long()])


def test_a_dataset_without_targets_or_weights(graphs):
    bare = GraphDataset(graphs)
    ((weighted, targets),) = GraphBatches(bare, batch_size=24, device="cpu")
    assert weighted.weights is None
    assert targets.tolist() == [[0.0]] * 24
    rows = np.array([5, 2])
    taken = GraphDataset(graphs, np.arange(24.0)[:, None], np.arange(24.0) + 1, list("ab") * 12)
    taken.y = np.array(taken.y)
    some = taken.take(rows)
    assert (len(some), some.encoded.tolist(), some.weights.tolist()) == (2, [[5], [2]], [6, 3])
    assert some.y.tolist() == ["b", "a"]
    assert some.X.ids.tolist() == graphs.ids[rows].tolist()
    assert bare.take(rows).weights is None
    np.testing.assert_array_equal(bare.take(rows).y, bare.take(rows).encoded)
