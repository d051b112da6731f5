"""Batches for the network, from rectangles of neighbors."""

from dataclasses import replace

import numpy as np
import torch

from skcgcnn import CrystalGraphs
from skcgcnn.nn import GraphBatch
from skcgcnn.nn._bonds import Bonds


def batch_of(kind_features, site_kinds, neighbors, distances, n_sites, site_counts=None):
    """Return a batch in which every row has equally many bonds, each of which counts once."""
    n_rows, max_num_nbr = neighbors.shape
    dtype = kind_features.dtype
    n_rows_of = torch.as_tensor(n_sites)
    counts = torch.ones(n_rows, dtype=dtype) if site_counts is None else site_counts
    crystals = torch.arange(len(n_rows_of)).repeat_interleave(n_rows_of)
    return GraphBatch(
        kind_features=kind_features,
        site_kinds=site_kinds,
        site_counts=counts,
        crystals=crystals,
        n_sites=torch.zeros(len(n_rows_of), dtype=dtype).index_add(0, crystals, counts),
        centers=torch.arange(n_rows).repeat_interleave(max_num_nbr),
        neighbors=neighbors.flatten(),
        distances=distances.flatten(),
        bond_counts=torch.ones(n_rows * max_num_nbr, dtype=dtype),
    )


def cscl(distances=None, dtype=torch.float32):
    """Return a batch of one crystal: two sites, eight bonds each."""
    kinds, neighbors = torch.eye(2, 92, dtype=dtype), torch.tensor([[1] * 8, [0] * 8])
    distances = torch.full((2, 8), 3.57, dtype=dtype) if distances is None else distances
    return batch_of(kinds, torch.arange(2), neighbors, distances, [2])


def unfolded(graphs):
    """Return graphs in which each site is a class of its own, with the same numbers."""
    plain = graphs.expand()
    n_sites, max_num_nbr = plain.neighbors.shape
    return CrystalGraphs(
        offsets=plain.offsets,
        site_kinds=plain.site_kinds,
        site_counts=np.ones(n_sites, dtype=np.int32),
        kind_features=graphs.kind_features,
        bond_offsets=np.arange(n_sites + 1) * max_num_nbr,
        neighbors=plain.neighbors.ravel(),
        distances=plain.distances.ravel(),
        bond_counts=np.ones(n_sites * max_num_nbr, dtype=np.uint8),
        site_classes=np.arange(n_sites, dtype=np.int32)
        - np.repeat(plain.offsets[:-1], np.diff(plain.offsets)).astype(np.int32),
        ids=graphs.ids,
        options=graphs.options,
    )


def bonds_of(neighbors, features, counts=None, site_counts=None):
    """Return the bonds of rows with equally many of them."""
    n_rows, n_neighbors = neighbors.shape
    counts = features.new_ones(n_rows * n_neighbors) if counts is None else counts
    site_counts = features.new_ones(n_rows) if site_counts is None else site_counts
    centers = torch.arange(n_rows).repeat_interleave(n_neighbors)
    return Bonds(centers, neighbors.flatten(), counts, features, slice(None), site_counts)


def plain(kind):
    """Return a convolution with torch's own operations and gradients."""

    class Plain(kind):
        def forward(self, sites, edges, bonds):
            return super().forward(sites, edges, replace(bonds, is_fused=False))

    return Plain
