"""What a fitted network makes of crystals, for other models and for maps."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skcgcnn.estimators._crystals import checked_chunks
from skcgcnn.graphs import CrystalGraphs, expand_to_sites
from skcgcnn.nn import CrystalGraphConvNet, GraphBatch, run_batches, to_numpy, weighted_sum
from skcgcnn.tasks import refuse_infinite

Features = npt.NDArray[np.float64]


# A model of so many targets was trained for what others can make of them.
MANY_TARGETS = 16


def crystal_features(est: Any, X: Any) -> Features:
    """Return the embedding of every crystal; NaN where it could not be read."""
    check_is_fitted(est, "net_")
    found = []
    for graphs in checked_chunks(est, X):
        features = np.full((len(graphs), n_crystal_features(est)), np.nan)
        known = graphs.n_sites > 0
        features[known] = embeddings(est, graphs, with_targets=_embeds_targets(est))
        odd = known & ~np.isfinite(features).all(axis=1)
        refuse_infinite(np.where(odd, np.inf, 0.0), "embedding")
        found.append(features)
    return np.concatenate(found)


def n_crystal_features(est: Any) -> int:
    """Return how many numbers an embedding has."""
    head = est.module_.head
    n_hidden = int(head.conv_to_fc.out_features)
    return n_hidden + (head.fc_out.out_features if _embeds_targets(est) else 0)


def embeddings(est: Any, graphs: CrystalGraphs, *, with_targets: bool) -> Features:
    """Return the last hidden layer of crystals that could be read, with the targets behind it."""
    rows = [
        to_numpy(_embedding(module, batch, with_targets=with_targets))
        for module, batch in run_batches(est.net_, graphs)
    ]
    return np.concatenate(rows) if rows else np.empty((0, n_crystal_features(est)))


def _embeds_targets(est: Any) -> bool:
    return len(est.targets_) >= MANY_TARGETS


def site_features(est: Any, X: Any) -> list[Features]:
    """Return the features of every site after the convolutions, crystal by crystal."""
    check_is_fitted(est, "net_")
    width, found = est.module_.head.conv_to_fc.in_features, list[Features]()
    for graphs in checked_chunks(est, X):
        runs = run_batches(est.net_, graphs)
        rows = [to_numpy(module.convolve(batch)) for module, batch in runs]
        found += expand_to_sites(graphs, np.concatenate([np.empty((0, width)), *rows]))
    return found


def _embedding(module: CrystalGraphConvNet, batch: GraphBatch, *, with_targets: bool) -> Tensor:
    hidden, weights = module.hidden(module.convolve(batch), batch)
    found = hidden if weights is None else weighted_sum(hidden, weights, batch)
    if not with_targets:
        return found
    return torch.cat([found, module.finish(hidden, weights, batch)], dim=1)
