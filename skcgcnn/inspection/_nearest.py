"""Which training crystals are near to others, in the eyes of the network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

# A crystal that is farther from its nearest training crystal than this share of the training
# crystals are from theirs lies outside.
_INSIDE = 0.99


@dataclass(frozen=True, eq=False)
class NearestCrystals:
    """The training crystals that are nearest to some crystals.

    Attributes
    ----------
    indices : ndarray of shape (n_crystals, k), int64
        Their places among the training crystals, the nearest first; -1 for crystals that could not
        be read.
    distances : ndarray of shape (n_crystals, k)
        How far they are; NaN for crystals that could not be read.
    limit : float
        99 % of the training crystals have their nearest other one within this distance.
    is_outside : ndarray of shape (n_crystals,), bool
        Whether the nearest one is beyond the limit, so that a prediction is an extrapolation; also
        for crystals that could not be read.
    """

    indices: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    limit: float
    is_outside: npt.NDArray[np.bool_]


def nearest_training_crystals(est: Any, X: Any, X_train: Any, k: int = 5) -> NearestCrystals:
    """Return the training crystals that are nearest to some crystals.

    Distances are those of the embeddings (``est.transform``), whose features are first scaled by
    mean and standard deviation over the training crystals, divided by the root of their number.

    Parameters
    ----------
    est : fitted estimator
        The network.
    X : sequence of crystals, or CrystalGraphs
        The crystals.
    X_train : sequence of crystals, or CrystalGraphs
        Those that it was fitted on: an estimator does not keep them.
    k : int, default=5
        How many to return for each.

    Returns
    -------
    NearestCrystals

    Raises
    ------
    ValueError
        If there are fewer than `k` readable training crystals, or fewer than two.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs[:200], energies[:200])
    >>> near = nearest_training_crystals(est, cifs[200:], cifs[:200], k=3)
    >>> near.indices.shape
    (54, 3)
    """
    known, asked = (np.asarray(est.transform(crystals)) for crystals in (X_train, X))
    usable = np.flatnonzero(np.isfinite(known).all(axis=1))
    if len(usable) < max(k, 2) or k < 1:
        raise ValueError(f"k={k}, but {len(usable)} training crystals can be read")
    scaler = StandardScaler().fit(known[usable])
    root = np.sqrt(known.shape[1])
    search = NearestNeighbors().fit(scaler.transform(known[usable]) / root)
    among_themselves, _ = search.kneighbors(n_neighbors=1)
    limit = float(np.quantile(among_themselves, _INSIDE))
    distances = np.full((len(asked), k), np.nan)
    indices = np.full((len(asked), k), -1)
    readable = np.isfinite(asked).all(axis=1)
    if readable.any():
        rows = scaler.transform(asked[readable]) / root
        distances[readable], places = search.kneighbors(rows, n_neighbors=k)
        indices[readable] = usable[places]
    return NearestCrystals(indices, distances, limit, ~(distances[:, 0] <= limit))
