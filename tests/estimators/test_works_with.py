"""What people do with an estimator, on paths and on graphs; docs/guide/works_with.rst lists it."""

import joblib
import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imbalanced_pipeline
from mapie.regression import SplitConformalRegressor
from scipy.stats import uniform
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    get_scorer,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    LearningCurveDisplay,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    permutation_test_score,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import estimator_html_repr, resample, shuffle

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.metrics import task_scorers
from skcgcnn.model_selection import TaskStratifiedKFold

CV = KFold(2, shuffle=True, random_state=0)
GROUPS = np.arange(24) // 4


@pytest.fixture(params=["paths", "graphs"])
def X(request, cifs, graphs):
    return cifs if request.param == "paths" else graphs


@pytest.fixture
def regressor(tiny):
    return CGCNNRegressor(**tiny)


@pytest.fixture
def classifier(tiny):
    return CGCNNClassifier(**tiny)


@pytest.fixture
def multi(tiny):
    return CGCNNMultiTask(**tiny)


def test_representations(regressor, classifier, multi):
    for est in (regressor, classifier, multi):
        assert repr(est).startswith(type(est).__name__)
        assert type(est).__name__ in estimator_html_repr(est)


def test_pipeline_with_memory(regressor, cifs, energies, tmp_path):
    pipeline = make_pipeline(CrystalGraphTransformer(), regressor, memory=str(tmp_path))
    expected = clone(regressor).fit(cifs, energies).predict(cifs)
    for _ in range(2):
        np.testing.assert_array_equal(pipeline.fit(cifs, energies).predict(cifs), expected)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grid_search(regressor, X, energies, n_jobs):
    search = GridSearchCV(regressor, {"n_conv": [1, 2]}, cv=CV, n_jobs=n_jobs).fit(X, energies)
    assert search.predict(X).shape == (24,)
    assert np.isfinite(search.best_score_)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grid_search_over_cls_weight_without_scoring(multi, X, Y, n_jobs, tmp_path):
    search = GridSearchCV(multi, {"cls_weight": [0.1, 0.5, 1.0]}, cv=CV, n_jobs=n_jobs).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(X).shape == (24, 2)


def test_best_estimator_predicts_paths_after_joblib(multi, cifs, Y, tmp_path):
    search = GridSearchCV(multi, {"cls_weight": [0.1, 0.5]}, cv=CV).fit(cifs, Y)
    joblib.dump(search.best_estimator_, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict(cifs), search.predict(cifs))


def test_randomized_search(regressor, X, energies):
    search = RandomizedSearchCV(
        regressor, {"lr": uniform(1e-4, 1e-2)}, n_iter=2, cv=CV, random_state=0
    ).fit(X, energies)
    assert np.isfinite(search.best_score_)


def test_halving_search_over_epochs(regressor, X, energies):
    search = HalvingGridSearchCV(
        regressor,
        {"lr": [1e-3, 1e-2, 1e-1]},
        resource="max_epochs",
        min_resources=1,
        max_resources=4,
        cv=CV,
        random_state=0,
    ).fit(X, energies)
    assert search.best_estimator_.n_iter_ == search.n_resources_[-1] > 1


def test_cross_validate(regressor, classifier, multi, X, energies, labels, Y):
    for est, y in ((regressor, energies), (classifier, labels), (multi, Y)):
        assert np.isfinite(cross_validate(est, X, y, cv=CV)["test_score"]).all()


def test_cross_val_predict(regressor, classifier, X, energies, labels):
    assert cross_val_predict(regressor, X, energies, cv=CV).shape == (24,)
    proba = cross_val_predict(classifier, X, labels, cv=3, method="predict_proba")
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_groups(regressor, X, energies):
    scores = cross_validate(regressor, X, energies, cv=GroupKFold(2), groups=GROUPS)
    assert np.isfinite(scores["test_score"]).all()


def test_permutation_test(classifier, X, labels):
    score, permuted, p = permutation_test_score(
        classifier, X, labels, cv=CV, n_permutations=2, random_state=0
    )
    assert 0 <= score <= 1
    assert len(permuted) == 2
    assert 0 < p <= 1


def test_splitting_and_resampling(X, energies):
    train, test, y_train, _ = train_test_split(X, energies, random_state=0)
    assert len(train) == len(y_train) == 18
    assert len(test) == 6
    assert len(shuffle(X, random_state=0)) == 24
    assert len(resample(X, n_samples=30, random_state=0)) == 30


def test_stacking(regressor, X, energies):
    stack = StackingRegressor(
        [("a", regressor), ("b", clone(regressor).set_params(random_state=1))],
        final_estimator=LinearRegression(),
        cv=CV,
    )
    assert stack.fit(X, energies).predict(X).shape == (24,)


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_voting(classifier, X, labels, voting):
    vote = VotingClassifier(
        [("a", classifier), ("b", clone(classifier).set_params(random_state=1))], voting=voting
    )
    assert vote.fit(X, labels).predict(X).shape == (24,)


def test_bagging_takes_a_column_of_paths(regressor, cifs, energies):
    column = np.array(cifs, dtype=object).reshape(-1, 1)
    bag = BaggingRegressor(regressor, n_estimators=2, random_state=0).fit(column, energies)
    assert bag.predict(column).shape == (24,)


def test_a_column_of_paths_for_those_who_want_a_table(regressor, cifs, energies):
    column = np.array(cifs, dtype=object).reshape(-1, 1)
    boosted = AdaBoostRegressor(regressor, n_estimators=2, random_state=0).fit(column, energies)
    assert boosted.predict(column).shape == (24,)
    found = permutation_importance(
        regressor.fit(column, energies), column, energies, n_repeats=2, random_state=0
    )
    assert found.importances_mean.shape == (1,)


def test_intervals_of_mapie(regressor, cifs, energies):
    column = np.array(cifs, dtype=object).reshape(-1, 1)
    conformal = SplitConformalRegressor(regressor, confidence_level=0.8, prefit=False)
    conformal.fit(column[:12], energies[:12]).conformalize(column[12:], energies[12:])
    values, intervals = conformal.predict_interval(column)
    assert values.shape == (24,)
    assert (intervals[:, 0, 0] <= values).all()
    assert (values <= intervals[:, 1, 0]).all()


def test_rare_classes_drawn_more_often_by_imbalanced_learn(classifier, cifs, labels):
    column = np.array(cifs, dtype=object).reshape(-1, 1)
    rare = np.flatnonzero(labels == labels.max())[:3]
    chosen = np.r_[np.flatnonzero(labels != labels.max()), rare]
    sampler = RandomOverSampler(random_state=0)
    drawn, drawn_labels = sampler.fit_resample(column[chosen], labels[chosen])
    assert len(set(np.unique(drawn_labels, return_counts=True)[1])) == 1
    assert classifier.fit(drawn, drawn_labels).predict(column).shape == (24,)
    pipeline = make_imbalanced_pipeline(sampler, classifier).fit(column[chosen], labels[chosen])
    np.testing.assert_array_equal(pipeline.predict(column), classifier.predict(column))


def test_calibration(classifier, X, labels):
    calibrated = CalibratedClassifierCV(classifier, cv=2).fit(X, labels)
    assert calibrated.predict_proba(X).shape == (24, 2)
    frozen = CalibratedClassifierCV(FrozenEstimator(classifier.fit(X, labels)), cv=2)
    assert frozen.fit(X, labels).predict_proba(X).shape == (24, 2)


def test_frozen_estimator(regressor, X, energies):
    frozen = FrozenEstimator(regressor.fit(X, energies))
    before = frozen.predict(X)
    np.testing.assert_array_equal(frozen.fit(X, -energies).predict(X), before)


def test_tuned_threshold(classifier, X, labels):
    tuned = TunedThresholdClassifierCV(classifier, cv=2, scoring="f1").fit(X, labels)
    assert 0 <= tuned.best_threshold_ <= 1
    assert tuned.predict(X).shape == (24,)


def test_transformed_target(regressor, X, energies):
    est = TransformedTargetRegressor(regressor, func=np.cbrt, inverse_func=lambda y: y**3)
    assert est.fit(X, energies).predict(X).shape == (24,)


def test_multi_output(regressor, X, energies):
    y = np.column_stack([energies, 2 * energies])
    assert MultiOutputRegressor(regressor).fit(X, y).predict(X).shape == (24, 2)


def test_one_vs_rest(classifier, X, energies):
    classes = np.digitize(energies, np.quantile(energies, [0.3, 0.6]))
    est = OneVsRestClassifier(classifier).fit(X, classes)
    assert est.predict_proba(X).shape == (24, 3)


@pytest.fixture
def axes():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_prediction_error_display(regressor, multi, X, energies, Y, axes):
    PredictionErrorDisplay.from_estimator(regressor.fit(X, energies), X, energies, ax=axes)
    PredictionErrorDisplay.from_estimator(multi.fit(X, Y).regressor_, X, energies, ax=axes)


def test_classification_displays(classifier, multi, X, labels, Y, axes):
    for est in (classifier.fit(X, labels), multi.fit(X, Y).classifier_):
        ConfusionMatrixDisplay.from_estimator(est, X, labels, ax=axes)
        RocCurveDisplay.from_estimator(est, X, labels, ax=axes)


def test_learning_curve_display(regressor, X, energies, axes):
    LearningCurveDisplay.from_estimator(
        regressor, X, energies, cv=CV, train_sizes=[0.5, 1.0], ax=axes
    )


def test_views(multi, X, Y, energies, labels):
    with pytest.raises(AttributeError, match="only a fitted estimator"):
        _ = multi.regressor_
    multi.fit(X, Y)
    regressor, classifier = multi.regressor_, multi.classifier_
    assert is_classifier(classifier)
    np.testing.assert_array_equal(regressor.predict(X), multi.predict(X)[:, 0])
    np.testing.assert_array_equal(classifier.predict(X), multi.predict(X)[:, 1])
    assert regressor.score(X, energies) + classifier.score(X, labels) == pytest.approx(
        2 * multi.score(X, Y)
    )
    assert get_scorer("neg_mean_absolute_error")(regressor, X, energies) < 0
    assert 0 <= get_scorer("roc_auc")(classifier, X, labels) <= 1
    calibrated = CalibratedClassifierCV(FrozenEstimator(classifier), cv=2).fit(X, labels)
    assert calibrated.predict_proba(X).shape == (24, 2)
    with pytest.raises(NotImplementedError, match="fit that instead"):
        regressor.fit(X, energies)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_sample_weight_is_routed(routing, regressor, X, energies):
    weights = np.where(np.arange(24) < 12, 1.0, 1000.0)
    search = GridSearchCV(
        regressor.set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
        {"lr": [0.001, 0.01]},
        cv=CV,
    )
    weighted = search.fit(X, energies, sample_weight=weights).best_estimator_
    assert weighted.target_mean_[0] == pytest.approx(np.average(energies, weights=weights))
    refused = regressor.set_fit_request(sample_weight=False)
    plain = GridSearchCV(refused, {"lr": [0.001]}, cv=CV).fit(X, energies)
    assert plain.best_estimator_.target_mean_[0] == pytest.approx(energies.mean())


def test_groups_are_routed(routing, multi, X, Y):
    search = GridSearchCV(
        multi, {"cls_weight": [0.5]}, cv=TaskStratifiedKFold(2, shuffle=True, random_state=0)
    )
    assert np.isfinite(search.fit(X, Y, groups=GROUPS).best_score_)


def test_sample_weight_through_a_pipeline(regressor, X, energies):
    pipeline = Pipeline([("graphs", CrystalGraphTransformer()), ("net", regressor)])
    weights = np.linspace(0, 1, 24)
    pipeline.fit(X, energies, net__sample_weight=weights)
    direct = clone(regressor).fit(X, energies, sample_weight=weights)
    np.testing.assert_array_equal(pipeline.predict(X), direct.predict(X))


@pytest.mark.parametrize("transform", ["default", "pandas"])
def test_set_output(regressor, X, energies, transform):
    pipeline = make_pipeline(CrystalGraphTransformer(), regressor).set_output(transform=transform)
    assert pipeline.fit(X, energies).predict(X).shape == (24,)


def test_scorers_of_tasks_in_a_search(multi, X, Y):
    scorers = task_scorers({"energy": "regression", "metal": "classification"})
    search = GridSearchCV(
        multi, {"cls_weight": [0.1, 1.0]}, scoring=scorers, refit="metal_roc_auc", cv=CV
    ).fit(X, Y)
    assert {f"mean_test_{name}" for name in scorers} <= set(search.cv_results_)
    assert (search.cv_results_["mean_test_energy_neg_mae"] < 0).all()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_predictions_do_not_depend_on_the_call(regressor, X, energies, order):
    regressor.fit(X, energies)
    together = regressor.predict(X)
    np.testing.assert_allclose(regressor.predict(X[order]), together[order], atol=1e-5)
    for size in (1, 5):
        parts = [regressor.predict(X[i : i + size]) for i in range(0, 24, size)]
        np.testing.assert_allclose(np.concatenate(parts), together, atol=1e-5)
    again = regressor.set_params(batch_size=3).predict(X)
    np.testing.assert_allclose(again, together, atol=1e-5)
