"""What a fitted network makes of crystals, for other models and for maps."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skcgcnn.estimators._persistence import Persistent
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn import CrystalGraphConvNet, GraphBatch, GraphDataset, weighted_sum

Features = npt.NDArray[np.float64]

# A model of so many targets was trained for what others can make of them.
MANY_TARGETS = 16


class FeatureMaker(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Persistent):
    """Gives an estimator the features that its network learned."""

    def transform(self, X: Any) -> Features:
        """Return the embeddings of crystals: the last hidden layer, from which outputs come.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        ndarray of shape (n_crystals, n_features)
            NaN for crystals that could not be read. `h_fea_len` features, so many for each target
            with ``heads="separate"``. After them, where there are 16 targets or more, as those of
            "chgnet-distilled", the scaled targets, which are features too. Those of the first
            network of an ensemble.

        Examples
        --------
        >>> from sklearn.ensemble import RandomForestRegressor
        >>> from sklearn.frozen import FrozenEstimator
        >>> from sklearn.pipeline import make_pipeline
        >>> from skcgcnn import CGCNNRegressor
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs, energies = load_sample_regression(return_X_y=True)
        >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
        >>> est.transform(cifs[:3]).shape
        (3, 128)
        >>> forest = make_pipeline(FrozenEstimator(est), RandomForestRegressor(10))
        >>> forest.fit(cifs, energies).predict(cifs[:3]).shape
        (3,)
        """
        check_is_fitted(self, "net_")
        found = []
        with closing(self._graph_chunks(X)) as chunks:
            for graphs in chunks:
                features = np.full((len(graphs), self._n_features_out), np.nan)
                features[graphs.n_sites > 0] = self._embed(graphs)
                found.append(features)
        return np.concatenate(found)

    def site_features(self, X: Any) -> list[Features]:
        """Return the features of every site after the convolutions.

        Parameters
        ----------
        X : sequence of crystals, or CrystalGraphs
            See `fit`.

        Returns
        -------
        list of ndarray of shape (n_sites, atom_fea_len)
            One for every crystal, its sites in their order; without rows for crystals that could
            not be read.

        Examples
        --------
        >>> from skcgcnn import CGCNNRegressor
        >>> from skcgcnn.datasets import load_sample_regression
        >>> cifs, energies = load_sample_regression(return_X_y=True)
        >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
        >>> [features.shape for features in est.site_features(cifs[:3])]
        [(8, 64), (16, 64), (4, 64)]
        """
        check_is_fitted(self, "net_")
        found: list[Features] = []
        with closing(self._graph_chunks(X)) as chunks:
            for graphs in chunks:
                rows = [to_numpy(module.convolve(batch)) for module, batch in self._runs(graphs)]
                width = self.module_.head.conv_to_fc.in_features
                found += expand_to_sites(graphs, np.concatenate([np.empty((0, width)), *rows]))
        return found

    @property
    def _n_features_out(self) -> int:
        head = self.module_.head
        n_hidden = int(head.conv_to_fc.out_features)
        return n_hidden + (head.fc_out.out_features if self._embeds_targets else 0)

    @property
    def _embeds_targets(self) -> bool:
        return len(self.targets_) >= MANY_TARGETS

    def _check_same_options(self, graphs: CrystalGraphs) -> None:
        fitted = self.graph_options_
        wanted, given = fitted.global_features, graphs.options.global_features
        if len(graphs) and wanted != given:
            raise ValueError(
                f"{type(self).__name__} was fitted with these numbers beside each crystal: "
                f"{', '.join(wanted) or 'none'}; X has {', '.join(given) or 'none'}. Give a frame "
                "with the columns of the fit, in their order"
            )
        if len(graphs) and (different := fitted.differences(graphs.options)):
            raise ValueError(
                f"X holds graphs that were made with {graphs.options.describe(different)}, but "
                f"{type(self).__name__} was fitted on graphs with {fitted.describe(different)}; "
                "make them with get_transformer() of the fitted estimator"
            )

    def _embed(self, graphs: CrystalGraphs) -> Features:
        with_targets = self._embeds_targets
        parts = [
            to_numpy(_embeddings(module, batch, with_targets=with_targets))
            for module, batch in self._runs(graphs)
        ]
        return np.concatenate([np.empty((0, self._n_features_out)), *parts])

    def _runs(self, graphs: CrystalGraphs) -> Iterator[tuple[CrystalGraphConvNet, GraphBatch]]:
        self._check_same_options(graphs)
        return run_batches(self.net_, graphs)


def run_batches(
    net: Any, graphs: CrystalGraphs
) -> Iterator[tuple[CrystalGraphConvNet, GraphBatch]]:
    """Yield the network that predicts, and batches of the readable crystals in their order.

    Parameters
    ----------
    net : GraphNet
    graphs : CrystalGraphs

    Yields
    ------
    module : CrystalGraphConvNet
    batch : GraphBatch
    """
    readable = graphs[graphs.n_sites > 0]
    device = torch.device(net.device).type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        for weighted, _ in net.get_iterator(GraphDataset(readable)) if len(readable) else ():
            yield net.module_.average, weighted.batch


def to_numpy(tensor: Tensor) -> Features:
    """Return a tensor as an array of float64."""
    return tensor.cpu().double().numpy()


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


def _embeddings(module: CrystalGraphConvNet, batch: GraphBatch, *, with_targets: bool) -> Tensor:
    hidden, weights = module.hidden(module.convolve(batch), batch)
    found = hidden if weights is None else weighted_sum(hidden, weights, batch)
    if not with_targets:
        return found
    return torch.cat([found, module.finish(hidden, weights, batch)], dim=1)
