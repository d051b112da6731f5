"""One crystal graph, and graphs with every site and bond."""

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class CrystalGraph:
    """One crystal of a `CrystalGraphs`; its arrays are views. Its length is its number of sites.

    Attributes
    ----------
    site_kinds : ndarray of shape (n_classes,), int32
        Row of `kind_features` of each class of equal sites.
    site_counts : ndarray of shape (n_classes,), int32
        Number of sites in each class.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        Features of the distinct kinds of site.
    bond_offsets : ndarray of shape (n_classes + 1,), int64
        Class c owns the bonds ``bond_offsets[c]:bond_offsets[c + 1]``.
    neighbors : ndarray of shape (n_bonds,), integer
        Class at the other end of each bond.
    distances : ndarray of shape (n_bonds,), float32
        Length of each bond in Å, ascending within a class.
    bond_counts : ndarray of shape (n_bonds,), integer
        How many of the bonds of a site are this one.
    site_classes : ndarray of shape (n_sites,), int32
        Class of each site of the crystal.
    id : str
        File stem, or position in X.
    global_features : ndarray of shape (n_global_features,), float64
        Numbers that belong to the crystal.
    """

    site_kinds: npt.NDArray[np.int32]
    site_counts: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    bond_offsets: npt.NDArray[np.int64]
    neighbors: npt.NDArray[np.integer]
    distances: npt.NDArray[np.float32]
    bond_counts: npt.NDArray[np.integer]
    site_classes: npt.NDArray[np.int32]
    id: str
    global_features: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.site_classes)

    def __repr__(self) -> str:
        return f"CrystalGraph({self.id!r}, {len(self)} sites in {len(self.site_kinds)} classes)"

    def expand(self) -> ExpandedGraphs:
        """Return the graph with every site and bond, see `CrystalGraphs.expand`."""
        return expand(self, np.array([0, len(self.site_kinds)]), np.array([0, len(self)]))


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
