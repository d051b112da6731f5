"""Labels that networks which were not trained on them do not expect."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import GroupKFold

from skcgcnn.estimators import CGCNNClassifier, CGCNNRegressor
from skcgcnn.graphs import CrystalGraphs, mean_features
from skcgcnn.quality._findings import Finding, Names
from skcgcnn.quality._labels import UNITS

# Fewer crystals say nothing about each other; a network learns no more from more than that for
# this purpose.
FEWEST, _MOST_TRAINED = 50, 5_000
_FOLDS = 5
# Values are clipped so many robust standard deviations from the median before networks see them.
_CLIP = 5.0
# What is so many of them off is judged as it is, where few are: one, or a share of all.
_FAR, _FEW = 20.0, 0.005
# An error is odd beyond so many standard deviations that are expected, and may be explained by
# another unit where that brings it below the second number.
_ODD, _EXPLAINED = 4.2, 2.5
# Larger errors count as so many robust standard deviations where trees learn what to expect.
_BOUND = 4.0
_NETWORKS, _STEPS, _FEWEST_EPOCHS = 3, 1600, 10
# Networks whose errors are not by this share less than those of one answer have learned nothing.
LEAST_SKILL = 0.2
# A label with a lower probability is odd.
_UNLIKELY = 0.02

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Expected(NamedTuple):
    """What networks expect of a column that they were not trained on.

    Attributes
    ----------
    rows : ndarray of shape (n_known,)
        The crystals with a value.
    values : ndarray of shape (n_known,)
        Predicted numbers, or labels.
    spread : ndarray of shape (n_known,)
        The standard deviation that is expected of their errors; of labels, the probability of
        the given one.
    """

    rows: IntArray
    values: npt.NDArray[Any]
    spread: FloatArray


def expect_numbers(
    column: FloatArray, graphs: CrystalGraphs, groups: IntArray, estimator: Any, seed: int
) -> Expected:
    """Predict each number of a column by networks that were trained on other crystals.

    Parameters
    ----------
    column : ndarray of shape (n_crystals,)
    graphs : CrystalGraphs
    groups : ndarray of shape (n_crystals,)
        Crystals of a group are predicted together.
    estimator : estimator or None
        By default an ensemble of three networks.
    seed : int
    """
    rows = np.flatnonzero(np.isfinite(column) & (graphs.n_sites > 0))
    y = _clipped(column[rows])
    values, stds = np.empty(len(rows)), np.zeros(len(rows))
    for train, test in _folds(groups[rows], seed):
        known = graphs[rows[train]]
        est = _ensemble(known, seed) if estimator is None else clone(estimator)
        est.fit(known, y[train])
        values[test] = est.predict(graphs[rows[test]])
        if estimator is None:
            stds[test] = est.predict_uncertainty(graphs[rows[test]]).epistemic
    # Trees take numbers for the same that differ by less than 1e-7, as energies in joules do.
    middle, unit = _robust(y)
    unit = unit or 1.0
    features = np.column_stack([mean_features(graphs[rows]), (values - middle) / unit, stds / unit])
    spread = _expected_errors(features, np.abs(y - values) / unit, groups[rows], seed)
    return Expected(rows, values, unit * spread)


def _ensemble(graphs: CrystalGraphs, seed: int) -> CGCNNRegressor:
    """Return some networks that take a third of the usual steps each, or fewer."""
    batch_size = 32 if len(graphs) <= 1000 else 64
    est = CGCNNRegressor(
        n_estimators=_NETWORKS, init_from="auto", batch_size=batch_size, random_state=seed
    )
    n_epochs = max(_FEWEST_EPOCHS, round(_STEPS * batch_size / len(graphs)))
    return est.set_params(max_epochs=min(n_epochs, est._resolved_params(graphs)["max_epochs"]))


def _expected_errors(
    features: FloatArray, errors: FloatArray, groups: IntArray, seed: int
) -> FloatArray:
    """Return the error that is to be expected of each crystal, as a standard deviation.

    Trees learn from the other crystals where networks are good, and where they are not.
    """
    scale = 1.4826 * float(np.median(errors)) or float(errors.max()) or 1.0
    bounded = np.minimum(errors, _BOUND * scale)
    expected = np.empty(len(errors))
    for train, test in _folds(groups, seed):
        trees = ExtraTreesRegressor(
            100, min_samples_leaf=10, max_features=0.3, random_state=seed
        ).fit(features[train], bounded[train])
        # Of the normal distribution: from the mean error to the standard deviation.
        expected[test] = 1.2533 * trees.predict(features[test])
    return np.maximum(expected, 0.5 * scale)


def _clipped(values: FloatArray) -> FloatArray:
    """Return values without those far outside: a few in another unit would decide everything."""
    middle, spread = _robust(values)
    return np.clip(values, middle - _CLIP * spread, middle + _CLIP * spread)


def expect_labels(
    column: npt.NDArray[Any], known: IntArray, graphs: CrystalGraphs, groups: IntArray, seed: int
) -> Expected:
    """Predict each label of a column by networks that were trained on other crystals.

    Parameters
    ----------
    column : ndarray of shape (n_crystals,)
    known : ndarray of int
        Where there are labels of readable crystals.
    graphs : CrystalGraphs
    groups : ndarray of shape (n_crystals,)
    seed : int
    """
    labels = column[known].astype(str)
    values, probabilities = labels.copy(), np.ones(len(known))
    for train, test in _folds(groups[known], seed):
        if len(set(labels[train])) < 2:
            continue
        fitted = CGCNNClassifier(init_from="auto", random_state=seed).fit(
            graphs[known[train]], labels[train]
        )
        proba = fitted.predict_proba(graphs[known[test]])
        values[test] = fitted.classes_[proba.argmax(axis=1)]
        matches = labels[test][:, np.newaxis] == fitted.classes_
        probabilities[test] = np.where(matches.any(axis=1), (proba * matches).sum(axis=1), 1.0)
    return Expected(known, values, probabilities)


def _folds(groups: IntArray, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    n_folds = min(_FOLDS, len(np.unique(groups)))
    rng = np.random.default_rng(seed)
    folds = GroupKFold(n_folds, shuffle=True, random_state=seed)
    for train, test in folds.split(groups, groups=groups):
        most = min(len(train), _MOST_TRAINED)
        yield np.sort(rng.choice(train, most, replace=False)), test


def _robust(values: FloatArray) -> tuple[float, float]:
    """Return the median, and the standard deviation by the quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float((high - low) / 1.349) or float(values.std())


def is_mostly_one(column: FloatArray) -> bool:
    """Tell whether so many values are one that its spread says nothing, as of gaps of metals."""
    low, high = np.quantile(column[np.isfinite(column)], [0.25, 0.75])
    return bool(low == high)


def skill(column: npt.NDArray[Any], expected: Expected) -> float:
    """Return by which share errors are less than those of one answer for all crystals.

    Parameters
    ----------
    column : ndarray of shape (n_crystals,)
        Numbers or labels.
    expected : Expected
        What networks expect.
    """
    given = column[expected.rows]
    if expected.values.dtype.kind == "f":
        given = _clipped(given)
        wrong, simplest = np.abs(given - expected.values), np.abs(given - np.median(given))
    else:
        labels, counts = np.unique(given.astype(str), return_counts=True)
        usual = labels[counts.argmax()]
        wrong, simplest = given.astype(str) != expected.values, given.astype(str) != usual
    return float(1 - wrong.mean() / (simplest.mean() or 1.0))


def odd_numbers(
    name: str, column: FloatArray, expected: Expected, n_sites: IntArray, names: Names
) -> Iterator[Finding]:
    """Yield numbers that are far from what is expected, and what may explain them.

    Parameters
    ----------
    name : str
        Of the column.
    column : ndarray of shape (n_crystals,)
    expected : Expected
    n_sites : ndarray of shape (n_crystals,)
    names : Names
    """
    rows = expected.rows
    middle, unit = _robust(column[rows])
    # Networks do not see how far outside values are, so that it is no error of theirs. Of few, it
    # is one of the values; many are the tail of a distribution, such as that of moduli.
    is_far = np.abs(column[rows] - middle) > _FAR * unit
    are_few = is_far.sum() <= max(1, _FEW * len(rows))
    judged = np.where(is_far & are_few, column[rows], _clipped(column[rows]))
    errors = np.abs(judged - expected.values) / expected.spread
    for place in np.argsort(-errors, kind="stable"):
        if errors[place] <= _ODD:
            break
        row, value = int(rows[place]), float(column[rows[place]])
        said, spread = float(expected.values[place]), float(expected.spread[place])
        why = _explanation(value, said, spread, int(n_sites[row]))
        text = (
            f"{names[row]}: {name} is {value:.4g}, where networks that were not trained on it "
            f"expect {said:.4g} ± {spread:.2g}"
        )
        if why:
            yield Finding("label in another unit", [row], "warning", f"{text}; {why}.")
        else:
            yield Finding("unexpected label", [row], "warning", f"{text}. Is it of this crystal?")


def _explanation(value: float, said: float, spread: float, n_sites: int) -> str:
    """Return what would bring a value near to what is expected."""
    ways = [(1 / unit, f"times {unit:g}, as between {what}") for unit, what in UNITS.items()]
    ways += [(unit, f"divided by {unit:g}, as between {what}") for unit, what in UNITS.items()]
    if n_sites > 1:
        ways += [
            (float(n_sites), f"divided by {n_sites}, its number of atoms: it is a total"),
            (1 / n_sites, f"times {n_sites}, its number of atoms: the others are totals"),
        ]
    ways.append((-1.0, "with the other sign"))
    found = min(ways, key=lambda way: abs(value / way[0] - said))
    changed = value / found[0]
    if abs(changed - said) > _EXPLAINED * spread:
        return ""
    return f"{changed:.4g} would fit: {found[1]}"


def odd_labels(
    name: str, column: npt.NDArray[Any], expected: Expected, names: Names
) -> Iterator[Finding]:
    """Yield labels that networks find very unlikely.

    Parameters
    ----------
    name : str
        Of the column.
    column : ndarray of shape (n_crystals,)
    expected : Expected
    names : Names
    """
    for place in np.argsort(expected.spread, kind="stable"):
        if expected.spread[place] >= _UNLIKELY:
            break
        row = int(expected.rows[place])
        text = (
            f"{names[row]}: {name} is {column[row]}, where networks that were not trained on it "
            f"expect {expected.values[place]}, and give {column[row]} {expected.spread[place]:.1%}."
        )
        yield Finding("unexpected label", [row], "warning", text)
