"""Which crystals to compute or measure next."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skcgcnn.estimators import predict_targets
from skcgcnn.graphs import CrystalGraphs, fingerprints, group_fingerprints
from skcgcnn.tasks import checked_groups

FloatArray = npt.NDArray[np.float64]


def suggest(
    est: Any, pool: Any, k: int, *, known: Any = None, groups: Any = None
) -> npt.NDArray[np.int64]:
    """Return which crystals of a pool to compute next, the most useful first.

    They are taken one after another: that of which the model is least sure, counting less the
    nearer it is to one that was taken or is known. A crystal that is known, or was taken, is not
    taken again, whatever cell it is written in.

    Parameters
    ----------
    est : fitted estimator
        An ensemble (``n_estimators=5``) or a network with ``loss="gaussian_nll"``, which know how
        sure they are of numbers; or one of classes.
    pool : sequence of crystals, or CrystalGraphs
        The crystals to choose from.
    k : int
        How many to choose.
    known : sequence of crystals, or CrystalGraphs, optional
        Those that the model was trained on.
    groups : array-like of shape (n_pool,), optional
        Of each group one crystal is chosen at most.

    Returns
    -------
    ndarray of int
        Places in the pool: k of them, or fewer where there are no more.

    Raises
    ------
    ValueError
        If k is not above 0, no crystal of the pool can be read, or the estimator does not know how
        sure it is.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(n_estimators=2, max_epochs=2, random_state=0)
    >>> est = est.fit(cifs[:50], energies[:50])
    >>> len(suggest(est, cifs[50:100], 5, known=cifs[:50]))
    5
    """
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k={k!r}; expected a number of crystals above 0")
    _check_knows(est)
    transformer = est.get_transformer()
    graphs: CrystalGraphs = transformer.transform(pool)
    if not len(graphs):
        raise ValueError("the pool holds no crystals")
    trained = graphs[:0] if known is None else transformer.transform(known)
    unsure = uncertainty(est, graphs)
    rows = _scaled(est, graphs, trained)
    if groups is not None:
        groups = checked_groups(groups, len(graphs))
    free = np.isfinite(unsure) & np.isfinite(rows[: len(graphs)]).all(axis=1)
    if not free.any():
        raise ValueError("no crystal of the pool can be read")
    same = _same(graphs, trained)
    own, others = same[: len(graphs)], same[len(graphs) :]
    free &= ~np.isin(own, others)
    members = [own] if groups is None else [own, groups]
    return _greedy(unsure, rows[: len(graphs)], rows[len(graphs) :], free, members, k)


def uncertainty(est: Any, X: Any) -> FloatArray:
    """Return how unsure an estimator is of each crystal, as a multiple of the mean.

    Returns
    -------
    ndarray of shape (n_crystals,)
        The mean over its targets that have one. NaN for crystals that could not be read.

    Raises
    ------
    ValueError
        If it is a single network of numbers, which does not know.
    """
    _check_knows(est)
    found = []
    for prediction in predict_targets(est, X):
        how = prediction.target.uncertainty(prediction)
        if how is not None:
            mean = float(np.nanmean(how[1])) if np.isfinite(how[1]).any() else 1.0
            found.append(how[1] / (mean or 1.0))
    return np.asarray(np.mean(found, axis=0))


def _check_knows(est: Any) -> None:
    """Refuse an estimator that does not know how sure it is."""
    check_is_fitted(est, "net_")
    if not est.more_nets_ and not any(t.has_variance or not t.is_number for t in est.targets_):
        raise ValueError(
            f"{type(est).__name__} is a single network, which does not know how sure it is of "
            'numbers; fit n_estimators=5, or with loss="gaussian_nll"'
        )


def _scaled(est: Any, graphs: CrystalGraphs, trained: CrystalGraphs) -> FloatArray:
    """Return embeddings of the pool and of what is known, on one scale."""
    parts = [np.asarray(est.transform(some)) for some in (graphs, trained) if len(some)]
    rows = np.concatenate(parts)
    usable = np.isfinite(rows).all(axis=1)
    scaled = np.full(rows.shape, np.nan)
    if usable.any():
        scaled[usable] = StandardScaler().fit_transform(rows[usable]) / np.sqrt(rows.shape[1])
    return scaled


def _same(graphs: CrystalGraphs, trained: CrystalGraphs) -> npt.NDArray[np.int64]:
    """Return the same number for the same crystals of the pool and of what is known."""
    parts = zip(fingerprints(graphs), fingerprints(trained), strict=True)
    joined = [np.concatenate(arrays) for arrays in parts]
    return group_fingerprints(type(fingerprints(graphs[:0]))(*joined))


def _greedy(
    unsure: FloatArray,
    rows: FloatArray,
    known: FloatArray,
    free: npt.NDArray[np.bool_],
    members: list[npt.NDArray[Any]],
    k: int,
) -> npt.NDArray[np.int64]:
    free = free.copy()
    places = np.flatnonzero(free)
    if not len(places):
        return places
    distances = np.full(len(rows), np.inf)
    usable = known[np.isfinite(known).all(axis=1)] if len(known) else known
    if len(usable):
        search = NearestNeighbors(n_neighbors=1).fit(usable)
        distances[places] = search.kneighbors(rows[places])[0][:, 0]
    # Beyond the usual distance between neighbors, crystals are simply different.
    usual = _usual_distance(rows[places])
    chosen: list[int] = []
    while len(chosen) < k and free.any():
        gain = np.where(free, unsure * np.minimum(1.0, distances / usual), -np.inf)
        best = int(gain.argmax())
        chosen.append(best)
        for groups in members:
            free &= groups != groups[best]
        new = np.linalg.norm(rows[places] - rows[best], axis=1)
        distances[places] = np.minimum(distances[places], new)
    return np.array(chosen, dtype=np.int64)


def _usual_distance(rows: FloatArray) -> float:
    if len(rows) < 2:
        return 1.0
    nearest = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors()[0][:, 0]
    return 2 * float(np.median(nearest)) or 1.0
