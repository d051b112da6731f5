"""Outputs of a network as linear functions of features, fitted before it learns."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV

from skcgcnn.tasks._columns import FloatArray

# Of ridge regressions. Smaller ones follow crystals that are nearly there twice, such as one
# supercell with its vacancies elsewhere, and fail on others.
_PENALTIES = np.logspace(0, 4, 13)
# What they leave is taken to be no smaller than this share of the scale.
_LEAST_LEFT = 0.1
# Of the logistic regression: the inverse of its penalty.
_C = 0.1


class LinearOutputs(NamedTuple):
    """Outputs of a target as linear functions of features.

    Attributes
    ----------
    places : sequence of int
        Which of its outputs.
    coefficients : ndarray of shape (n_places, n_features)
        What features are multiplied by.
    starts : ndarray of shape (n_places,)
        What is added.
    left : float
        How large the errors are that they leave, of scaled values.
    """

    places: Sequence[int]
    coefficients: FloatArray
    starts: FloatArray
    left: float = 1.0


def fit_number(rows: FloatArray, y: FloatArray, weights: FloatArray) -> LinearOutputs | None:
    """Return a ridge regression, or the median where that is better; None for one crystal alone.

    Numbers that are one value but for a few crystals, such as gaps of metals, are better guessed
    by their median than by a regression.
    """
    if len(y) < 2:
        return None
    ridge = RidgeCV(_PENALTIES, store_cv_results=True).fit(rows, y, sample_weight=weights)
    squares = ridge.cv_results_[:, np.flatnonzero(ridge.alpha_ == _PENALTIES)[0]]
    # They are those of crystals times their weights.
    errors, median = np.sqrt(squares / weights), weighted_median(y, weights)
    if np.average(errors, weights=weights) >= np.average(np.abs(y - median), weights=weights):
        return LinearOutputs([0], np.zeros((1, rows.shape[1])), np.array([median]))
    left = float(np.clip(np.sqrt(squares.sum() / weights.sum()), _LEAST_LEFT, 1.0))
    return LinearOutputs([0], ridge.coef_[np.newaxis], np.array([ridge.intercept_]), left)


def fit_classes(rows: FloatArray, places: FloatArray, weights: FloatArray) -> LinearOutputs | None:
    """Return a logistic regression for indices of classes; None for one class alone."""
    if len(found := np.unique(places)) < 2:
        return None
    with warnings.catch_warnings(action="ignore"):  # those on y were told before
        model = LogisticRegression(C=_C, max_iter=1000).fit(rows, places, sample_weight=weights)
    coefficients, starts = model.coef_, model.intercept_
    if len(found) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        starts = np.concatenate([-starts, starts]) / 2
    return LinearOutputs(found.astype(int).tolist(), coefficients, starts)


def weighted_median(y: FloatArray, weights: FloatArray) -> float:
    """Return the median of weighted numbers."""
    order = np.argsort(y)
    sums = np.cumsum(weights[order])
    # Where half of the weight is reached exactly, between two numbers, the mean of both.
    middle = [np.searchsorted(sums, sums[-1] / 2, side) for side in ("left", "right")]
    return float(y[order][np.minimum(middle, len(y) - 1)].mean())
