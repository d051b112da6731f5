"""Between classes of equal sites, sites and crystals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._graphs import CrystalGraphs

IntArray = npt.NDArray[np.int64]


def expand_to_sites(graphs: CrystalGraphs, rows: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return values of classes of equal sites as those of every site, crystal by crystal.

    Parameters
    ----------
    graphs : CrystalGraphs
        The crystals.
    rows : ndarray of shape (n_classes, ...)
        A value for every class.

    Returns
    -------
    list of ndarray of shape (n_sites, ...)
    """
    if not len(graphs):
        return []
    starts = np.repeat(graphs.offsets[:-1], graphs.n_sites)
    return np.split(rows[starts + graphs.site_classes], graphs.site_offsets[1:-1])


def crystals_of_classes(graphs: CrystalGraphs) -> IntArray:
    """Return the place of the crystal of every class of equal sites.

    Returns
    -------
    ndarray of shape (n_classes,), int64
    """
    return np.repeat(np.arange(len(graphs)), np.diff(graphs.offsets))


def ends_of_bonds(graphs: CrystalGraphs) -> IntArray:
    """Return the class at the other end of every bond, counted over all crystals.

    Returns
    -------
    ndarray of shape (n_bonds,), int64
    """
    starts = np.repeat(graphs.offsets[:-1], np.diff(graphs.offsets))
    starts = np.repeat(starts, np.diff(graphs.bond_offsets))
    return np.asarray(graphs.neighbors + starts, dtype=np.int64)


def count_kinds(graphs: CrystalGraphs) -> tuple[IntArray, IntArray, IntArray]:
    """Return how many sites of each kind every crystal has.

    Returns
    -------
    crystals, kinds, counts : ndarray of shape (n_pairs,), int64
        The pairs of a crystal and a kind that there are, by crystal and then by kind.
    """
    n_kinds = len(graphs.kind_features)
    pairs, places = np.unique(
        crystals_of_classes(graphs) * n_kinds + graphs.site_kinds, return_inverse=True
    )
    counts = np.bincount(places.ravel(), graphs.site_counts).astype(np.int64)
    crystals, kinds = np.divmod(pairs, max(n_kinds, 1))
    return crystals, kinds, counts


def mean_features(graphs: CrystalGraphs) -> npt.NDArray[np.float64]:
    """Return the mean of the features over the sites of each crystal.

    Returns
    -------
    ndarray of shape (n_crystals, n_features)
    """
    # There are fewer kinds than sites.
    crystals, kinds, counts = count_kinds(graphs)
    sums = np.zeros((len(graphs), graphs.kind_features.shape[1]))
    weighted = graphs.kind_features[kinds] * counts[:, np.newaxis].astype(np.float64)
    np.add.at(sums, crystals, weighted)
    means: npt.NDArray[np.float64] = sums / graphs.n_sites[:, np.newaxis]
    return means
