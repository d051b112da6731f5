"""Intervals that hold: MAPIE, crepes and `calibrate`; probabilities that mean what they say.

Usage: ``python examples/07_uncertainty.py``. Needs ``pip install skcgcnn[uncertainty]``. Takes
about a minute.

Every crystal of the bundled sample is predicted once, by cross-validation: in each fold, a quarter
of the other crystals is held back to calibrate. Of the intervals that are to hold 90 % of the
energies, the share that does is counted.
"""

import warnings

import numpy as np
from crepes import ConformalRegressor
from mapie.regression import SplitConformalRegressor
from scipy.stats import norm
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from skcgcnn import CGCNNClassifier, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_classification, load_sample_regression

# Elements that no training crystal has, and what MAPIE looks for in estimators that are fitted.
warnings.filterwarnings("ignore", message=".*such predictions are extrapolations")
warnings.filterwarnings("ignore", message="Estimator does not appear")

CONFIDENCE = 0.9
PARAMS = {"batch_size": 32, "max_epochs": 40, "random_state": 0}

cifs, energies = load_sample_regression(return_X_y=True)
is_metal = load_sample_classification().target
graphs = CrystalGraphTransformer(n_jobs=2).fit_transform(cifs)

# Energies: half-widths of the intervals by every method.
names = ["as fitted", "calibrate", "MAPIE, split conformal", "crepes, scaled by the deviation"]
halves = {name: np.empty(len(energies)) for name in names}
predicted = np.empty(len(energies))
for rows, test in KFold(5, shuffle=True, random_state=0).split(energies):
    train, held_back = train_test_split(rows, test_size=0.25, random_state=0)
    est = CGCNNRegressor(loss="gaussian_nll", **PARAMS).fit(graphs[train], energies[train])
    predicted[test], std = est.predict(graphs[test], return_std=True)
    halves["as fitted"][test] = norm.ppf((1 + CONFIDENCE) / 2) * std

    # MAPIE: one width for all crystals. It indexes X as a table, so pass rows of positions or an
    # (n, 1) array of paths; the estimator is fitted already.
    mapie = SplitConformalRegressor(est, confidence_level=CONFIDENCE, prefit=True)
    paths = np.array(cifs, dtype=object).reshape(-1, 1)
    mapie.conformalize(paths[held_back], energies[held_back])
    _, intervals = mapie.predict_interval(paths[test])
    halves["MAPIE, split conformal"][test] = (intervals[:, 1, 0] - intervals[:, 0, 0]) / 2

    # crepes: wide where the network says that it does not know.
    fitted, deviation = est.predict(graphs[held_back], return_std=True)
    crepes = ConformalRegressor().fit(energies[held_back] - fitted, sigmas=deviation)
    ends = crepes.predict_int(predicted[test], sigmas=std, confidence=CONFIDENCE)
    halves["crepes, scaled by the deviation"][test] = (ends[:, 1] - ends[:, 0]) / 2

    # The estimator's own way, which also stays with it in files.
    est.calibrate(graphs[held_back], energies[held_back])
    _, std = est.predict(graphs[test], return_std=True)
    halves["calibrate"][test] = norm.ppf((1 + CONFIDENCE) / 2) * std

print(f"energies: intervals that are to hold {CONFIDENCE:.0%} of {len(energies)}")
errors = np.abs(predicted - energies)
for name, half in halves.items():
    print(
        f"  {name:32} coverage {np.mean(errors <= half):5.1%}, mean width "
        f"{2 * half.mean():.3f} eV/atom"
    )

# Classes: a temperature, found on crystals that were held back, divides the logits.
proba = {"as fitted": np.empty(len(is_metal)), "temperature": np.empty(len(is_metal))}
for rows, test in StratifiedKFold(5, shuffle=True, random_state=0).split(cifs, is_metal):
    train, held_back = train_test_split(
        rows, test_size=0.25, stratify=is_metal[rows], random_state=0
    )
    clf = CGCNNClassifier(**PARAMS).fit(graphs[train], is_metal[train])
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf), method="temperature")
    calibrated.fit(graphs[held_back], is_metal[held_back])
    proba["as fitted"][test] = clf.predict_proba(graphs[test])[:, 1]
    proba["temperature"][test] = calibrated.predict_proba(graphs[test])[:, 1]

print("metals: probabilities (lower is better but for the accuracy)")
for name, values in proba.items():
    print(
        f"  {name:12} accuracy {accuracy_score(is_metal, values > 0.5):.3f}, log loss "
        f"{log_loss(is_metal, values):.3f}, Brier score {brier_score_loss(is_metal, values):.3f}"
    )
