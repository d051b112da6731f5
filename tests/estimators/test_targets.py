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
