"""Training and predicting from graphs that lie in a file, a window in memory at a time."""

import numpy as np
import pytest
import torch

from skcgcnn import CGCNNRegressor, CrystalGraphs
from skcgcnn.graphs import is_mapped
from skcgcnn.nn import GraphBatches, GraphDataset, WindowedBatches


@pytest.fixture
def mapped(graphs, tmp_path):
    graphs.save(tmp_path / "graphs")
    return CrystalGraphs.load(tmp_path / "graphs", mmap=True)


@pytest.fixture
def small_windows(graphs, let_into_memory):
    """Let about seven crystals into memory at a time."""
    let_into_memory(graphs.__sizeof__() * 7 // len(graphs))


def dataset(graphs):
    n = np.arange(len(graphs), dtype=np.float64)
    return GraphDataset(graphs, n[:, None], weights=n + 1, y=n)


def test_where_all_fit_a_fit_is_the_same_to_the_bit(graphs, mapped, energies, tiny):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    other = CGCNNRegressor(**tiny).fit(mapped, energies)
    assert is_mapped(mapped.distances)
    np.testing.assert_array_equal(other.predict(mapped), est.predict(graphs))


def test_an_epoch_has_every_crystal_once(graphs, mapped, small_windows):
    batches = WindowedBatches(dataset(mapped), batch_size=4, device="cpu", seed=3)
    orders = []
    for _ in range(2):
        rows = []
        for weighted, targets in batches:
            assert len(weighted) <= 4
            # Rows, targets, weights and graphs belong together.
            np.testing.assert_array_equal(targets[:, 0], weighted.rows)
            np.testing.assert_array_equal(weighted.weights, weighted.rows + 1)
            np.testing.assert_array_equal(weighted.batch.n_sites, graphs.n_sites[weighted.rows])
            rows += weighted.rows.tolist()
        assert sorted(rows) == list(range(len(graphs)))
        orders.append(rows)
    assert orders[0] != orders[1] != sorted(orders[1])


def test_the_order_depends_on_seed_and_epoch_alone(mapped, small_windows):
    def order(**options):
        batches = WindowedBatches(dataset(mapped), batch_size=4, device="cpu", **options)
        return np.concatenate([weighted.rows for weighted, _ in batches]).tolist()

    assert order(seed=1, epoch=2) == order(seed=1, epoch=2)
    assert order(seed=1, epoch=2) != order(seed=1, epoch=1) != order(seed=2, epoch=1)
    assert order() == list(range(len(mapped)))


def test_neighbors_in_the_file_are_spread_over_the_windows(mapped, small_windows):
    # 24 crystals in windows of some 7: with runs of one crystal, no window is a part of the file.
    batches = WindowedBatches(dataset(mapped), batch_size=100, device="cpu", seed=0)
    windows = [np.sort(weighted.rows) for weighted, _ in batches]
    assert len(windows) > 2
    assert all(np.ptp(rows) > len(rows) for rows in windows)


def test_batches_of_one_window_are_those_of_memory(graphs, mapped):
    options = {"batch_size": 5, "device": "cpu", "seed": 7, "epoch": 1}
    pairs = zip(
        WindowedBatches(dataset(mapped), **options),
        GraphBatches(dataset(graphs), **options),
        strict=True,
    )
    for (one, _), (other, _) in pairs:
        np.testing.assert_array_equal(one.rows, other.rows)
        for a, b in zip(one.batch.tensors(), other.batch.tensors(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.slow
def test_fit_and_predict_by_windows(graphs, mapped, energies, tiny, small_windows):
    params = tiny | {"max_epochs": 60, "batch_size": 4, "lr": 0.01}
    est = CGCNNRegressor(**params).fit(mapped, energies)
    other = CGCNNRegressor(**params).fit(graphs, energies)
    # The batches are others, what is learned is the same.
    assert est.score(mapped, energies) > 0.8
    assert abs(est.score(mapped, energies) - other.score(graphs, energies)) < 0.15
    np.testing.assert_allclose(est.predict(mapped), est.predict(graphs), atol=1e-5)
