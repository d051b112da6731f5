"""Values of classes of equal sites as those of every site."""

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
