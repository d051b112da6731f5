"""Graphs with every site and bond."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class ExpandedGraphs(NamedTuple):
    """Crystal graphs with every site and bond, as the network of Xie & Grossman (2018) has them.

    Attributes
    ----------
    offsets : ndarray of shape (n_crystals + 1,), int64
        Crystal i owns the sites ``offsets[i]:offsets[i + 1]``.
    site_kinds : ndarray of shape (n_sites,), int32
        Row of `kind_features` of each site.
    neighbors : ndarray of shape (n_sites, max_num_nbr), int32
        Index of each neighbor, counted within its own crystal. Of several equal sites it is the
        first.
    distances : ndarray of shape (n_sites, max_num_nbr), float32
        In Å, ascending along each row.
    """

    offsets: npt.NDArray[np.int64]
    site_kinds: npt.NDArray[np.int32]
    neighbors: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]


def expand(
    graphs: Any,
    offsets: npt.NDArray[np.int64],
    site_offsets: npt.NDArray[np.int64],
) -> ExpandedGraphs:
    """Return the graphs with every site and bond: see `CrystalGraphs.expand`."""
    classes = graphs.site_classes + np.repeat(offsets[:-1], np.diff(site_offsets))
    firsts = np.unique(classes, return_index=True)[1]
    crystals = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    # Indices within the crystal of the first site of each class.
    firsts -= site_offsets[crystals]
    starts = np.repeat(offsets[crystals], np.diff(graphs.bond_offsets))
    bonds = np.repeat(np.arange(len(graphs.neighbors)), graphs.bond_counts)
    shape = len(firsts), len(bonds) // max(len(firsts), 1)
    neighbors = firsts[graphs.neighbors + starts][bonds].reshape(shape)
    return ExpandedGraphs(
        offsets=site_offsets,
        site_kinds=graphs.site_kinds[classes],
        neighbors=neighbors[classes].astype(np.int32),
        distances=graphs.distances[bonds].reshape(shape)[classes],
    )
