"""Splits by what a model has not seen: an element, a cluster of crystals, high values."""

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.model_selection import BaseCrossValidator
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length

from skcgcnn._numbers import as_floats
from skcgcnn.graphs import mean_features
from skcgcnn.model_selection._groups import element_sets, graphs_of
from skcgcnn.tasks import checked_groups

Rows = npt.NDArray[np.int64]


class _CrystalSplitter(BaseCrossValidator):
    """A splitter whose test crystals are decided by what they are; groups stay on one side."""

    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Yield the rows to train and to test on, fold by fold.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            The crystals.
        y : array-like of shape (n_crystals,), optional
            The targets.
        groups : array-like of shape (n_crystals,), optional
            No crystal is trained on that has the group of a test crystal.

        Yields
        ------
        train, test : ndarray of int
            Rows.

        Raises
        ------
        ValueError
            If there is nothing to split.
        """
        names, n_folds = None, 0
        if groups is not None:
            names = np.unique(checked_groups(groups, len(X)), return_inverse=True)[1]
        for mask in self._test_masks(X, y, groups):
            training = ~mask
            if names is not None:
                training &= ~np.isin(names, names[mask])
            if training.any():
                n_folds += 1
                yield np.flatnonzero(training), np.flatnonzero(mask)
        if not n_folds:
            raise ValueError(
                "no fold has a crystal to train on: every group has a crystal of each test part"
            )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            The crystals.
        y, groups : array-like of shape (n_crystals,), optional
            As for `split`.

        Returns
        -------
        int
        """
        if X is None:
            raise ValueError(f"{type(self).__name__} needs X to know its number of folds")
        return sum(1 for _ in self.split(X, y, groups))

    def _test_masks(self, X: Any, y: Any, groups: Any) -> Iterator[npt.NDArray[np.bool_]]:
        raise NotImplementedError


@dataclass(eq=False, repr=False)
class LeaveOneElementOut(_CrystalSplitter):
    """Folds that each hold out all crystals with one element.

    They tell how good a model is on chemistry that it has not seen.

    Parameters
    ----------
    elements : sequence of str, optional
        Symbols of the elements to hold out; by default all that are in enough crystals.
    min_crystals : int, default=5
        Elements in fewer crystals are not held out.
    max_share : float, default=0.5
        Elements in a larger share of the crystals are not held out: too few would be left.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs = load_sample_regression().data
    >>> cv = LeaveOneElementOut(["O", "Cl"])
    >>> [(len(train), len(test)) for train, test in cv.split(cifs)]
    [(208, 46), (243, 11)]
    """

    elements: Sequence[str] | None = None
    _: KW_ONLY
    min_crystals: int = 5
    max_share: float = 0.5

    def held_out(self, X: Any) -> list[str]:
        """Return the elements that the folds hold out, in their order.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            The crystals.

        Returns
        -------
        list of str
        """
        return list(self._masks(X))

    def _test_masks(self, X: Any, y: Any, groups: Any) -> Iterator[npt.NDArray[np.bool_]]:
        yield from self._masks(X).values()

    def _masks(self, X: Any) -> dict[str, npt.NDArray[np.bool_]]:
        found = element_sets(X)
        there = sorted(set().union(*found))
        masks = {name: np.array([name in each for each in found]) for name in there}
        if self.elements is not None:
            if isinstance(self.elements, str) or not len(self.elements):
                raise ValueError(
                    f"elements={self.elements!r}; expected a list of symbols, such as ['O', 'Cl']"
                )
            names = [str(element) for element in self.elements]
            if absent := [name for name in names if name not in masks]:
                raise ValueError(f"no crystal contains {absent[0]}; it cannot be held out")
            return {name: masks[name] for name in names}
        most = self.max_share * len(found)
        chosen = {n: mask for n, mask in masks.items() if self.min_crystals <= mask.sum() <= most}
        if not chosen:
            raise ValueError(
                f"no element is in at least {self.min_crystals} crystals and in at most "
                f"{self.max_share:.0%} of them; set min_crystals or max_share"
            )
        return chosen


@dataclass(eq=False, repr=False)
class LeaveOneClusterOut(_CrystalSplitter):
    """Folds that each hold out a cluster of similar crystals.

    Parameters
    ----------
    n_clusters : int, default=5
        Number of clusters, and of folds.
    est : fitted estimator, optional
        Clusters are those of its embeddings (``est.transform``); by default those of the mean
        features of the elements, which need no network.
    random_state : int, RandomState instance or None, default=0
        Seed of k-means.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs = load_sample_regression().data
    >>> LeaveOneClusterOut(4).get_n_splits(cifs)
    4
    """

    n_clusters: int = 5
    _: KW_ONLY
    est: Any = None
    random_state: Any = 0

    def _test_masks(self, X: Any, y: Any, groups: Any) -> Iterator[npt.NDArray[np.bool_]]:
        rows = _mean_features(X) if self.est is None else np.asarray(self.est.transform(X))
        readable = np.isfinite(rows).all(axis=1)
        if self.n_clusters < 2 or readable.sum() < self.n_clusters:
            raise ValueError(
                f"n_clusters={self.n_clusters!r}; expected from 2 to the {readable.sum()} crystals "
                "that can be read"
            )
        scaled = StandardScaler().fit_transform(rows[readable])
        means = KMeans(self.n_clusters, n_init=10, random_state=self.random_state)
        labels = np.full(len(rows), -1)
        labels[readable] = means.fit_predict(scaled)
        for cluster in range(self.n_clusters):
            yield labels == cluster


@dataclass(eq=False, repr=False)
class ExtrapolationSplit(_CrystalSplitter):
    """One fold that holds out the crystals with the highest targets.

    Parameters
    ----------
    test_size : float, default=0.2
        Share of the crystals to hold out.
    end : {"high", "low"}, default="high"
        Which.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([3.0, 1.0, 5.0, 2.0, 4.0])
    >>> [test.tolist() for _, test in ExtrapolationSplit().split(y, y)]
    [[2]]
    """

    test_size: float = 0.2
    _: KW_ONLY
    end: str = "high"

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds, which is 1.

        Parameters
        ----------
        X, y, groups : object, optional
            Ignored.

        Returns
        -------
        int
        """
        return 1

    def _test_masks(self, X: Any, y: Any, groups: Any) -> Iterator[npt.NDArray[np.bool_]]:
        if not 0 < self.test_size < 1:
            raise ValueError(f"test_size={self.test_size!r}; expected a share between 0 and 1")
        if self.end not in {"high", "low"}:
            raise ValueError(f'end={self.end!r}; expected "high" or "low"')
        values = None if y is None else as_floats(y)
        if values is None or values.ndim != 1:
            raise ValueError("ExtrapolationSplit needs y: one number for each crystal")
        check_consistent_length(X, values)
        known = np.flatnonzero(~np.isnan(values))
        n_test = max(1, round(self.test_size * len(known)))
        if n_test >= len(known):
            raise ValueError(f"{len(known)} crystals with a target are too few to split")
        order = known[np.argsort(values[known], kind="stable")]
        mask = np.zeros(len(values), dtype=bool)
        mask[order[-n_test:] if self.end == "high" else order[:n_test]] = True
        yield mask


def _mean_features(X: Any) -> npt.NDArray[np.float64]:
    """Return the mean features of the elements of each crystal; NaN if it cannot be read."""
    graphs = graphs_of(X)
    rows = np.full((len(graphs), graphs.kind_features.shape[1]), np.nan)
    readable = np.flatnonzero(graphs.n_sites > 0)
    if len(readable):
        rows[readable] = mean_features(graphs[readable])
    return rows
