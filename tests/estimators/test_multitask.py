"""The multi-task estimator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import get_tags

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask


def test_it_learns_both(graphs, Y):
    est = CGCNNMultiTask(max_epochs=60, lr=0.005, random_state=0).fit(graphs, Y)
    predicted = est.predict(graphs)
    assert np.corrcoef(predicted[:, 0], Y[:, 0])[0, 1] > 0.9
    assert (predicted[:, 1] == Y[:, 1]).mean() > 0.9
    assert est.score(graphs, Y) > 0.8


def test_cls_weight_weighs_the_classification_loss(tiny, graphs, Y):
    losses = {
        weight: CGCNNMultiTask(**tiny, cls_weight=weight).fit(graphs, Y).history_[0, "train_loss"]
        for weight in (0.0, 1.0, 3.0)
    }
    # One step from the same initial weights: the loss is linear in cls_weight but for the later
    # batches of the epoch.
    entropy = losses[1.0] - losses[0.0]
    assert 0.3 < entropy < 2
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * entropy, rel=0.2)


def test_weight_zero_does_not_learn_the_classes(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny, cls_weight=0.0).set_params(max_epochs=30, lr=0.02)
    flipped = np.column_stack([Y[:, 0], 1 - Y[:, 1]])
    np.testing.assert_array_equal(
        est.fit(graphs, Y).predict_proba(graphs), est.fit(graphs, flipped).predict_proba(graphs)
    )


def test_score_is_the_mean_of_r2_and_accuracy(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny).fit(graphs, Y)
    predicted = est.predict(graphs)
    residual = ((predicted[:, 0] - Y[:, 0]) ** 2).sum() / ((Y[:, 0] - Y[:, 0].mean()) ** 2).sum()
    accuracy = (predicted[:, 1] == Y[:, 1]).mean()
    assert est.score(graphs, Y) == pytest.approx((1 - residual + accuracy) / 2)
    before = est.score(graphs, Y)
    assert est.set_params(cls_weight=7.0).score(graphs, Y) == before


def test_score_leaves_out_a_task_without_targets(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny).fit(graphs, Y)
    nothing = np.full_like(Y, np.nan)
    assert np.isnan(est.score(graphs, nothing))
    nothing[:, 1] = Y[:, 1]
    assert est.score(graphs, nothing) == (est.predict(graphs)[:, 1] == Y[:, 1]).mean()


def test_missing_targets(tiny, graphs, Y):
    partial = Y.copy()
    partial[::3, 0] = np.nan
    partial[1::3, 1] = np.nan
    est = CGCNNMultiTask(**tiny).fit(graphs, partial)
    assert est.target_mean_[0] == pytest.approx(np.nanmean(partial[:, 0]))
    assert not np.isnan(est.predict(graphs)).any()
    assert np.isfinite(est.score(graphs, partial))
    # What is missing does not matter: rows without any target are as good as absent.
    partial[5] = np.nan
    keep = np.arange(24) != 5
    np.testing.assert_array_equal(
        est.fit(graphs, partial).predict(graphs),
        est.fit(graphs[keep], partial[keep]).predict(graphs),
    )


def test_a_column_without_any_target(tiny, graphs, Y):
    empty = Y.copy()
    empty[:, 1] = np.nan
    with pytest.raises(ValueError, match="column 'y1' of y holds no target"):
        CGCNNMultiTask(**tiny).fit(graphs, empty)


def test_dataframe_with_texts(tiny, graphs, energies, labels):
    frame = pd.DataFrame({"energy": energies, "kind": np.array(["gap", "metal"])[labels]})
    frame.loc[3, "kind"] = None
    est = CGCNNMultiTask(**tiny).fit(graphs, frame)
    assert est.target_names_ == ["energy", "kind"]
    assert est.classes_.tolist() == ["gap", "metal"]
    predicted = est.predict(graphs)
    assert predicted.shape == (24, 2)
    assert predicted.dtype == object
    assert all(isinstance(value, float) for value in predicted[:, 0])
    assert set(predicted[:, 1]) <= {"gap", "metal"}
    assert est.score(graphs, frame) <= 1
    # The same from a list of rows.
    rows = [list(row) for row in frame.itertuples(index=False)]
    np.testing.assert_array_equal(
        CGCNNMultiTask(**tiny).fit(graphs, rows).predict(graphs), predicted
    )


def test_more_tasks_in_any_order(tiny, graphs, energies, labels):
    classes = np.digitize(energies, np.quantile(energies, [0.3, 0.6]))
    y = np.column_stack([classes, energies, labels, 2 * energies])
    tasks = ("classification", "regression", "classification", "regression")
    est = CGCNNMultiTask(**tiny, tasks=tasks).set_params(max_epochs=40, lr=0.02).fit(graphs, y)
    assert est.predict(graphs).shape == (24, 4)
    assert est.predict_proba(graphs).shape == (24, 3)
    assert est.classes_.tolist() == [0, 1, 2]
    assert est.score(graphs, y) > 0.5


def test_two_regressions(tiny, graphs, energies):
    est = CGCNNMultiTask(**tiny, tasks=("regression", "regression"))
    est.fit(graphs, np.column_stack([energies, -energies]))
    assert est.predict(graphs).shape == (24, 2)
    assert not hasattr(est, "predict_proba")


def test_y_must_fit_tasks(tiny, graphs, Y, energies):
    with pytest.raises(ValueError, match="y has one dimension, but tasks="):
        CGCNNMultiTask(**tiny).fit(graphs, energies)
    with pytest.raises(ValueError, match=r"tasks=\('regression', 'ranking'\); expected"):
        CGCNNMultiTask(**tiny, tasks=("regression", "ranking")).fit(graphs, Y)
    infinite = Y.copy()
    infinite[0, 0] = np.inf
    with pytest.raises(
        ValueError, match="column 'y0' of y holds inf, which is not a finite number"
    ):
        CGCNNMultiTask(**tiny).fit(graphs, infinite)


def test_continuous_numbers_are_no_classes(tiny, graphs, Y):
    with pytest.raises(ValueError, match="column 'y1' of y is a classification target, but holds"):
        CGCNNMultiTask(**tiny).fit(graphs, Y[:, ::-1])
    frame = pd.DataFrame(Y[:, ::-1], columns=["metal", "energy"])
    with pytest.raises(ValueError, match="column 'energy' of y"):
        CGCNNMultiTask(**tiny).fit(graphs, frame)


def test_numeric_labels_stay_numbers(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny).fit(graphs, Y)
    assert est.predict(graphs).dtype == np.float64
    assert est.classes_.tolist() == [0.0, 1.0]


def test_it_is_neither_regressor_nor_classifier():
    est = CGCNNMultiTask()
    assert not is_regressor(est)
    assert not is_classifier(est)
    assert get_tags(est).target_tags.multi_output
    assert is_classifier(CGCNNClassifier())


@pytest.mark.parametrize("n_h", [1, 2])
def test_heads_of_their_own(graphs, energies, labels, tiny, tmp_path, n_h):
    """What one task learns after pooling does not touch another's hidden layers."""
    Y = np.column_stack([energies, labels, -energies])
    tasks = ("regression", "classification", "regression")
    params = {
        **tiny,
        "n_h": n_h,
        "tasks": tasks,
        "net_params": {"heads": "separate"},
        "freeze": "none",
    }
    est = CGCNNMultiTask(**params).fit(graphs, Y)
    assert len(est.module_.head.conv_to_fc.weight) == 3 * est.h_fea_len
    # Without labels, the middle head stays as it was, since no loss depends on it.
    alone = CGCNNMultiTask(**{**params, "cls_weight": 0.0, "weight_decay": 0.0}).fit(graphs, Y)
    zero = CGCNNMultiTask(**{**params, "lr": 1e-12, "weight_decay": 0.0}).fit(graphs, Y)
    for layer in ("head.conv_to_fc", *(f"head.fcs.{i}" for i in range(n_h - 1))):
        ours, start = (
            e.module_.get_submodule(layer).weight.view(3, e.h_fea_len, -1) for e in (alone, zero)
        )
        changed = (ours - start).abs().amax(dim=(1, 2)) > 1e-6
        assert changed.tolist() == [True, False, True]
    est.save(tmp_path / "model")
    same = skcgcnn.load(tmp_path / "model")
    np.testing.assert_array_equal(same.predict(graphs), est.predict(graphs))
    near = CGCNNMultiTask(**{**params, "lr": 1e-12}, init_from=same).fit(graphs, Y)
    np.testing.assert_allclose(
        near.predict(graphs).astype(float), est.predict(graphs).astype(float), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("dtype", ["string", "boolean", "Int64"])
def test_missing_values_of_pandas(dtype, tiny, graphs, Y):
    values = {"string": ["a", "b"], "boolean": [False, True], "Int64": [3, 4]}[dtype]
    labels = [None, *(values[int(label)] for label in Y[1:, 1])]
    frame = pd.DataFrame({"energy": Y[:, 0], "label": pd.array(labels, dtype=dtype)})
    est = CGCNNMultiTask(**tiny).fit(graphs, frame)
    assert est.classes_.tolist() == values
    assert np.isfinite(est.score(graphs, frame))
    with pytest.raises(ValueError, match=r"first in row 0\. Leave such rows out"):
        CGCNNClassifier(**tiny).fit(graphs, frame["label"])


def test_probabilities_are_there_where_a_task_has_classes(tiny, graphs, Y):
    assert hasattr(CGCNNMultiTask(), "predict_proba")
    assert hasattr(CGCNNMultiTask(tasks=("other", "classification")), "predict_proba")
    assert not hasattr(CGCNNMultiTask(tasks=("regression", "other")), "predict_proba")
    est = CGCNNMultiTask(**{**tiny, "max_epochs": 1}, tasks=("regression",)).fit(graphs, Y[:, :1])
    assert not hasattr(est, "predict_proba")
    assert not hasattr(est.set_params(tasks=("classification",)), "predict_proba")
