"""Cross-validation of multi-task estimators."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer
from skcgcnn.metrics import TaskScorer, task_scorers
from skcgcnn.model_selection import (
    ExtrapolationSplit,
    LeaveOneElementOut,
    TaskStratifiedKFold,
    cross_val_predict_tasks,
)


@pytest.fixture
def multi(tiny):
    return CGCNNMultiTask(**tiny)


def test_every_crystal_is_predicted_by_a_net_that_has_not_seen_it(multi, graphs, Y):
    cv = KFold(3, shuffle=True, random_state=1)
    found = cross_val_predict_tasks(multi, graphs, Y, cv=cv)
    assert found.predictions.shape == (24, 2)
    for train, test in cv.split(Y):
        fold = clone(multi).fit(graphs[train], Y[train])
        np.testing.assert_allclose(found.predictions[test], fold.predict(graphs[test]), atol=1e-6)
        np.testing.assert_allclose(found.proba[test], fold.predict_proba(graphs[test]), atol=1e-6)
    assert found.classes.tolist() == [0, 1]


def test_texts_frames_paths_groups_and_pipelines(multi, cifs, energies, labels):
    frame = pd.DataFrame({"energy": energies, "kind": np.array(["gap", "metal"])[labels]})
    pipeline = make_pipeline(CrystalGraphTransformer(), multi)
    groups = np.arange(24) // 3
    with joblib.parallel_config("threading"):
        found = cross_val_predict_tasks(
            pipeline, cifs, frame, groups=groups, cv=TaskStratifiedKFold(2), n_jobs=2
        )
    assert set(found.predictions[:, 1]) <= {"gap", "metal"}
    np.testing.assert_allclose(found.proba.sum(axis=1), 1)


def test_a_class_that_a_fold_lacks_has_probability_zero(multi, graphs, Y):
    rare = Y.copy()
    rare[:, 1] = 0
    rare[:4, 1] = 2
    rare[4:, 1] += np.arange(20) % 2
    found = cross_val_predict_tasks(multi, graphs, rare, cv=KFold(6))
    assert found.classes.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.proba[:4, 2], 0)
    assert (found.proba[4:, 2] > 0).all()


def test_without_a_classification(tiny, graphs, energies):
    est = CGCNNMultiTask(**tiny, tasks=("regression", "regression"))
    y = np.column_stack([energies, -energies])
    assert "proba" not in cross_val_predict_tasks(est, graphs, y, cv=KFold(2))


def test_folds_must_be_a_partition(multi, graphs, Y):
    rows = np.arange(len(Y))
    some, one_twice = [(rows, rows[:-1])], [(rows, np.maximum(rows, 1))]
    for cv in (some, one_twice, ShuffleSplit(3, random_state=0)):
        with pytest.raises(ValueError, match="every crystal exactly once"):
            cross_val_predict_tasks(multi, graphs, Y, cv=cv)


def test_folds_hold_the_labels_alike():
    y = np.column_stack([np.arange(40.0), np.arange(40) % 4 == 0])
    y[0, 1] = np.nan
    for train, test in TaskStratifiedKFold(4, shuffle=True, random_state=0).split(y, y):
        assert np.nansum(y[test, 1]) in {2, 3}
        assert not set(train) & set(test)


@pytest.mark.slow
def test_by_default_predictions_are_those_of_five_shuffled_folds(multi, graphs, Y):
    cv = TaskStratifiedKFold(5, shuffle=True, random_state=0)
    found, expected = (cross_val_predict_tasks(multi, graphs, Y, cv=each) for each in (None, cv))
    np.testing.assert_array_equal(found.predictions, expected.predictions)


def test_by_default_they_are_scikit_learn_s_five_folds_of_the_last_column():
    labels = np.random.default_rng(0).integers(0, 3, 50)
    y = np.column_stack([np.arange(50) % 2, labels])
    ours = [test.tolist() for _, test in TaskStratifiedKFold().split(y, y)]
    assert ours == [test.tolist() for _, test in StratifiedKFold(5).split(y, labels)]
    groups = np.arange(50) // 3
    ours = [test.tolist() for _, test in TaskStratifiedKFold().split(y, y, groups)]
    theirs = StratifiedGroupKFold(5).split(y, labels, groups)
    assert ours == [test.tolist() for _, test in theirs]


def test_the_seed_shuffles_folds():
    y = np.column_stack([np.arange(40.0), np.arange(40) % 4 == 0])
    for groups in (None, np.arange(40) // 2):
        folds = [
            [test.tolist() for _, test in splitter.split(y, y, groups)]
            for splitter in (
                *(TaskStratifiedKFold(4, shuffle=True, random_state=seed) for seed in (0, 0, 1)),
                TaskStratifiedKFold(4),
            )
        ]
        assert folds[0] == folds[1] != folds[2]
        assert folds[3] not in folds[:3]


def test_groups_stay_together():
    y = np.column_stack([np.arange(40.0), np.arange(40) % 4 == 0])
    groups = np.arange(40) // 4
    for train, test in TaskStratifiedKFold(4).split(y, y, groups):
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == 40
    assert TaskStratifiedKFold(4).get_n_splits(y, y, groups) == 4


def test_column_of_the_labels():
    y = np.column_stack([np.arange(12) % 2, np.arange(12.0)])
    for _, test in TaskStratifiedKFold(3, column=0).split(y, y):
        assert y[test, 0].mean() == 0.5


def test_scorers(multi, graphs, Y):
    multi.fit(graphs, Y)
    predicted, proba = multi.predict(graphs), multi.predict_proba(graphs)
    scores = {name: scorer(multi, graphs, Y) for name, scorer in task_scorers(multi).items()}
    assert set(scores) == {
        "y0_neg_mae", "y0_neg_rmse", "y0_r2", "y1_accuracy", "y1_f1", "y1_roc_auc",
    }  # fmt: skip
    assert scores["y0_neg_mae"] == pytest.approx(-np.abs(predicted[:, 0] - Y[:, 0]).mean())
    assert scores["y1_accuracy"] == (predicted[:, 1] == Y[:, 1]).mean()
    pairs = proba[Y[:, 1] == 1, 1][:, None] - proba[Y[:, 1] == 0, 1][None]
    assert scores["y1_roc_auc"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_scorers_leave_missing_targets_out(multi, graphs, Y):
    multi.fit(graphs, Y)
    partial = Y.copy()
    partial[10:, 0] = np.nan
    partial[:12, 1] = np.nan
    first, second = TaskScorer(0, "neg_mae"), TaskScorer(1, "accuracy")
    assert first(multi, graphs, partial) == pytest.approx(first(multi, graphs[:10], Y[:10]))
    assert second(multi, graphs, partial) == second(multi, graphs[12:], Y[12:])
    partial[:, 1] = np.nan
    assert np.isnan(TaskScorer(1, "roc_auc")(multi, graphs, partial))


def test_names_of_scorers(multi, graphs, energies, labels):
    frame = pd.DataFrame({"energy": energies, "metal": labels})
    assert "metal_f1" in task_scorers(multi.fit(graphs, frame))
    assert "e_r2" in task_scorers(("regression", "classification"), ["e", "l"])
    assert set(task_scorers(("regression",))) == {"y0_neg_mae", "y0_neg_rmse", "y0_r2"}
    assert {"y0_f1", "y1_f1"} <= set(task_scorers(("classification", "classification")))
    with pytest.raises(ValueError, match="1 target_names, but 2 tasks"):
        task_scorers(("regression", "classification"), ["e"])


@pytest.mark.parametrize("cv", [LeaveOneElementOut(min_crystals=2), TaskStratifiedKFold(2)])
def test_groups_that_are_none_are_refused(cv, graphs, energies):
    n, labels = len(graphs), np.arange(len(graphs)) % 2
    missing = np.array(["a", None] * (n // 2), dtype=object)
    for groups, message in (
        (np.arange(n - 1), "groups has shape"),
        (missing, f"{n // 2} of {n} groups are missing, the first in row 1"),
        (np.where(np.arange(n) == 3, np.nan, 1.0), "first in row 3"),
    ):
        with pytest.raises(ValueError, match=message):
            list(cv.split(graphs, labels, groups))


def test_a_single_group_leaves_nothing_to_train_on(graphs):
    with pytest.raises(ValueError, match="no fold has a crystal to train on"):
        list(LeaveOneElementOut(min_crystals=2).split(graphs, None, np.zeros(len(graphs))))


def test_targets_of_fewer_crystals_are_not_split():
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[5, 4\]"):
        list(TaskStratifiedKFold(2).split(range(5), np.zeros((4, 1))))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.ma.masked_array([1, 1, 2, 2], mask=[1, 0, 0, 0]), "1 of 4 groups are missing"),
        (np.array([1, "a", "b", 2], dtype=object), "groups are of types that cannot be compared"),
    ],
)
def test_groups_that_are_hidden_or_cannot_be_compared(groups, message):
    for cv in (TaskStratifiedKFold(2), ExtrapolationSplit(0.3)):
        with pytest.raises(ValueError, match=message):
            list(cv.split(range(4), np.arange(4.0), groups))


@pytest.mark.parametrize("column", [-3, 2])
def test_columns_that_are_not_there(column):
    y = np.zeros((6, 2))
    with pytest.raises(ValueError, match=f"column={column}, but y has 2 columns"):
        list(TaskStratifiedKFold(2, column=column).split(y, y))


@pytest.mark.parametrize("column", [-2, 0, -1, 1])
def test_columns_from_both_ends(column):
    y = np.empty((12, 2), dtype=object)
    y[:, column] = ["b", None, "a"] * 4
    y[:, 1 - column % 2] = np.arange(12)
    # Those without a label are a class of their own.
    labels = np.where(np.arange(12) % 3 == 1, "", y[:, column].astype(str))
    ours = TaskStratifiedKFold(4, column=column).split(y, y)
    theirs = StratifiedKFold(4).split(y, labels)
    assert [test.tolist() for _, test in ours] == [test.tolist() for _, test in theirs]


def test_labels_of_texts_and_groups_of_a_splitter(multi, graphs, energies, labels):
    frame = pd.DataFrame({"energy": energies, "kind": np.array(["gap", "metal"])[labels]})
    frame.loc[:3, "kind"] = "glass"
    groups = np.arange(24) // 4
    found = cross_val_predict_tasks(multi, graphs, frame, groups=groups, cv=GroupKFold(2))
    assert found.classes.tolist() == ["gap", "glass", "metal"]
    for train, test in GroupKFold(2).split(energies, groups=groups):
        fold = clone(multi).fit(graphs[train], frame.iloc[train])
        proba = np.zeros((len(test), 3))
        proba[:, np.searchsorted(found.classes, fold.classes_)] = fold.predict_proba(graphs[test])
        np.testing.assert_allclose(found.proba[test], proba, atol=1e-6)
        assert found.predictions[test, 1].tolist() == fold.predict(graphs[test])[:, 1].tolist()
    assert not hasattr(multi, "net_")
