"""What a fitted network makes of crystals, for other models and for maps."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skcgcnn.estimators._crystals import checked_chunks
from skcgcnn.graphs import expand_to_sites
from skcgcnn.nn import CrystalGraphConvNet, GraphBatch, run_batches, to_numpy, weighted_sum

Features = npt.NDArray[np.float64]


def crystal_features(est: Any, X: Any) -> Features:
    """Return the last hidden layer for every crystal; NaN where it could not be read."""
    check_is_fitted(est, "net_")
    width, found = est.module_.head.conv_to_fc.out_features, []
    for graphs in checked_chunks(est, X):
        runs = run_batches(est.net_, graphs)
        rows = [to_numpy(_embeddings(module, batch)) for module, batch in runs]
        features = np.full((len(graphs), width), np.nan)
        features[graphs.n_sites > 0] = np.concatenate([np.empty((0, width)), *rows])
        found.append(features)
    return np.concatenate(found)


def site_features(est: Any, X: Any) -> list[Features]:
    """Return the features of every site after the convolutions, crystal by crystal."""
    check_is_fitted(est, "net_")
    width, found = est.module_.head.conv_to_fc.in_features, list[Features]()
    for graphs in checked_chunks(est, X):
        runs = run_batches(est.net_, graphs)
        rows = [to_numpy(module.convolve(batch)) for module, batch in runs]
        found += expand_to_sites(graphs, np.concatenate([np.empty((0, width)), *rows]))
    return found


def _embeddings(module: CrystalGraphConvNet, batch: GraphBatch) -> Tensor:
    hidden, weights = module.hidden(module.convolve(batch), batch)
    return hidden if weights is None else weighted_sum(hidden, weights, batch)
