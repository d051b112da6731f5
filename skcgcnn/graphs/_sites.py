"""Between classes of equal sites, sites and crystals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._graphs import CrystalGraphs


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


def mean_features(graphs: CrystalGraphs) -> npt.NDArray[np.float64]:
    """Return the mean of the features over the sites of each crystal.

    Parameters
    ----------
    graphs : CrystalGraphs
        None of them empty.

    Returns
    -------
    ndarray of shape (n_crystals, n_features)
    """
    crystals = np.repeat(np.arange(len(graphs)), np.diff(graphs.offsets))
    kinds = len(graphs.kind_features)
    # Sites of each kind in each crystal, then one product: there are fewer kinds than sites.
    pairs, places = np.unique(crystals * kinds + graphs.site_kinds, return_inverse=True)
    counts = np.bincount(places, graphs.site_counts)
    owners, kinds_of = np.divmod(pairs, kinds)
    sums = np.zeros((len(graphs), graphs.kind_features.shape[1]))
    np.add.at(sums, owners, graphs.kind_features[kinds_of] * counts[:, np.newaxis])
    means: npt.NDArray[np.float64] = sums / graphs.n_sites[:, np.newaxis]
    return means
