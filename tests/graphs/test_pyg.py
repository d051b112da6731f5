"""Graphs for PyTorch Geometric: the same numbers, and edges that are vectors."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs
from skcgcnn.datasets import load_li_vacancy

pytest.importorskip("torch_geometric")
pytestmark = pytest.mark.slow


def vectors(data):
    neighbor, center = data.edge_index
    return data.pos[neighbor] + data.cell_offsets @ data.cell[0] - data.pos[center]


def test_edges_are_vectors_to_the_image_of_the_neighbor(cifs):
    crystals = [*cifs, *load_li_vacancy().data[:2]]
    for data in CrystalGraphs.from_structures(crystals).to_pyg(crystals):
        lengths = vectors(data).norm(dim=1)
        np.testing.assert_allclose(lengths, data.edge_attr[:, 0], rtol=1e-5)
        # No edge stands twice.
        rows = np.column_stack([data.edge_index.T, data.cell_offsets])
        assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("neighbor_ties", ["invariant", "official"])
def test_skewed_cells_and_sites_outside_of_the_cell(neighbor_ties):
    lattice = np.array([[3.0, 0, 0], [90.0, 3.1, 0], [-60.0, 2.0, 4.0]])
    crystal = Structure(Lattice(lattice), ["Na", "Cl"], [[0, 0, 0], [2.5, -1.4, 3.5]])
    graphs = CrystalGraphs.from_structures([crystal], neighbor_ties=neighbor_ties)
    (data,) = graphs.to_pyg([crystal])
    np.testing.assert_allclose(vectors(data).norm(dim=1), data.edge_attr[:, 0], rtol=1e-4)


def test_without_structures_there_are_features_and_distances(graphs):
    hot = graphs.with_global_features(np.arange(len(graphs))[:, None], ["T"])
    for index, data in enumerate(hot.to_pyg()):
        assert data.num_nodes == len(graphs[index])
        assert data.num_edges == 12 * data.num_nodes
        assert data.u.tolist() == [[index]]
        assert "pos" not in data
        assert data.id == graphs.ids[index]


def test_a_layer_of_pyg_takes_them(graphs):
    from torch_geometric.loader import DataLoader
    from torch_geometric.nn import CGConv

    batch = next(iter(DataLoader(graphs.to_pyg(), batch_size=8)))
    assert CGConv(92, 1)(batch.x, batch.edge_index, batch.edge_attr).shape == batch.x.shape


def test_another_crystal_is_refused(graphs, cifs):
    with pytest.raises(ValueError, match="is another crystal"):
        graphs[:1].to_pyg([cifs[5]])
    with pytest.raises(ValueError, match="2 structures for 1 graphs"):
        graphs[:1].to_pyg(cifs[:2])
