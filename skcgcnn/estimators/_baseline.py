"""The part of the targets that the composition tells, fitted before the network."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.graphs import mean_features
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Task, output_slices

_PENALTIES = np.logspace(-4, 3, 15)
# What is left is taken to be no smaller than this share of the target's scale.
_LEAST_LEFT = 0.1
# The features of more would take more memory than their graphs.
_MOST_CRYSTALS = 50_000


def fit_baseline(
    net: CrystalGraphConvNet, targets: Sequence[Task], data: TrainingData, *, extensive: bool
) -> None:
    """Fit the numbers among the targets by ridge regressions on the mean features of the sites.

    The penalties are chosen by generalized cross-validation. Of more than 50,000 crystals, that
    many are taken at random: a line has fewer coefficients than a hundred. `net` is changed in
    place; `extensive` tells whether the targets are sums over sites.
    """
    if len(data) > _MOST_CRYSTALS:
        chosen = np.random.default_rng(0).choice(len(data), _MOST_CRYSTALS, replace=False)
        data = data.take(np.sort(chosen))
    features = mean_features(data.graphs)
    n_sites = data.graphs.n_sites if extensive else np.ones(len(data))
    for values, target, outputs in zip(data.values.T, targets, output_slices(targets), strict=True):
        scaled = (values - target.mean) / target.scale
        known = ~np.isnan(scaled)
        if target.is_linear and known.sum() > 1:
            y, weights = scaled[known] / n_sites[known], data.weights[known] * n_sites[known] ** 2
            ridge = RidgeCV(_PENALTIES).fit(features[known], y, sample_weight=weights)
            if net.baseline is not None:
                net.baseline.weight[outputs.start] = torch.from_numpy(ridge.coef_)
                net.baseline.bias[outputs.start] = float(ridge.intercept_)
                if not extensive:  # sums are no better with it
                    # As leaving one out tells: few crystals are fitted too well by a line.
                    left = np.sqrt(-ridge.best_score_ / weights.mean())
                    net.baseline.scale[outputs.start] = float(np.clip(left, _LEAST_LEFT, 1.0))
