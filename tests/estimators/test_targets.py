"""Predictions of every target, in one pass of the network."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.estimators import predict_targets
from skcgcnn.metrics import task_scorers
from skcgcnn.nn import CrystalGraphConvNet


@pytest.fixture
def passes(monkeypatch):
    """Return a list that grows by the number of crystals of each pass of a network."""
    seen, forward = [], CrystalGraphConvNet.forward

    def counted(net, batch):
        seen.append(len(batch.n_sites))
        return forward(net, batch)

    monkeypatch.setattr(CrystalGraphConvNet, "forward", counted)
    return seen


@pytest.mark.parametrize("kind", [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask])
def test_the_network_runs_once(kind, tiny, graphs, energies, labels, Y, passes):
    y = {CGCNNRegressor: energies, CGCNNClassifier: labels, CGCNNMultiTask: Y}[kind]
    est = kind(**tiny).fit(graphs, y)
    passes.clear()
    predictions = predict_targets(est, graphs)
    assert passes == [24]
    together = np.column_stack([each.values for each in predictions])
    np.testing.assert_array_equal(together, est.predict(graphs).reshape(24, -1))
    for each in predictions:
        assert (each.proba is not None) == (each.target.kind == "classification")
        if each.proba is not None:
            np.testing.assert_array_equal(each.proba, est.predict_proba(graphs))


def test_scores_run_the_network_once(tiny, graphs, Y, passes):
    est = CGCNNMultiTask(**tiny).fit(graphs, Y)
    for score in (est.score, lambda X, y: task_scorers(est)["y1_roc_auc"](est, X, y)):
        passes.clear()
        score(graphs, Y)
        assert passes == [24]


def test_a_multi_task_model_of_regressions_alone(tiny, cifs, graphs, energies):
    est = CGCNNMultiTask(**tiny, tasks=("regression", "regression"))
    pipeline = make_pipeline(CrystalGraphTransformer(), est)
    pipeline.fit(cifs, np.column_stack([energies, -energies]))
    for model, X in ((est, graphs), (pipeline, cifs)):
        first, second = predict_targets(model, X)
        assert first.proba is second.proba is None
        np.testing.assert_array_equal(
            np.column_stack([first.values, second.values]), est.predict(graphs)
        )


@pytest.mark.parametrize("pooling", ["mean", "sum"])
@pytest.mark.parametrize("number", [1e200, 1e-170, 1e300])
@pytest.mark.parametrize("constant", [True, False])
def test_numbers_whose_squares_are_none_are_refused(
    tiny, graphs, energies, number, constant, pooling
):
    y = np.full(len(graphs), number) if constant else energies * number
    with pytest.raises(ValueError, match=r"column 'target' of y: .* outside of 1e-100 to 1e\+100"):
        CGCNNRegressor(**tiny, pooling=pooling).fit(graphs, y)


@pytest.mark.parametrize("pooling", ["mean", "sum"])
@pytest.mark.parametrize("factor", [1e-90, 1e90])
def test_numbers_of_any_other_size_are_learned_alike(tiny, graphs, energies, factor, pooling):
    est = CGCNNRegressor(**tiny, pooling=pooling)
    expected = est.fit(graphs, energies).predict(graphs)
    found = est.fit(graphs, energies * factor).predict(graphs) / factor
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("by_site", "precision", "is_told"),
    [(-1e6, "float32", True), (-1e6, "float64", False), (-1e3, "float32", False)],
)
def test_sums_that_32_bits_hardly_hold_are_told(
    tiny, graphs, energies, by_site, precision, is_told, recwarn
):
    y = energies + by_site * graphs.n_sites
    own = {"pooling": "sum", "net_params": {"precision": precision}, "init_from": None}
    own["n_estimators"] = 1 + is_told  # once for all of them
    CGCNNRegressor(**tiny | own).fit(graphs, y)
    told = [str(one.message) for one in recwarn if "-1e+06 per site" in str(one.message)]
    assert len(told) == is_told
    assert all("Subtract a number per site from y" in one for one in told)


def test_a_small_constant_is_predicted_in_its_size(tiny, graphs):
    y = np.full(len(graphs), 1e-50)
    found = CGCNNRegressor(**tiny).fit(graphs, y).predict(graphs)
    np.testing.assert_allclose(found, y, rtol=0.5)


def test_infinity_names_its_row(tiny, graphs, energies):
    y = np.where(np.arange(len(graphs)) == 5, np.inf, energies)
    with pytest.raises(ValueError, match=r"Input y contains infinity .*, first in row 5\."):
        CGCNNRegressor(**tiny).fit(graphs, y)
    y[2] = np.nan
    with pytest.raises(ValueError, match=r"column 'y0' of y holds inf, .*, first in row 5"):
        CGCNNMultiTask(**tiny, tasks=("regression",)).fit(graphs, y.reshape(-1, 1))
