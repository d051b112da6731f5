"""Rows of the parts of a split, of folds, and of shares of the training crystals."""

import numpy as np
import pytest

from skcgcnn import CGCNNRegressor
from skcgcnn.estimators import predict_targets
from skcgcnn.exceptions import DataError
from skcgcnn.training import split_rows
from skcgcnn.training._data import Part
from skcgcnn.training._learning import learning_curves
from skcgcnn.training._rules import Grouping
from skcgcnn.training._split import fold_rows


def shares(train, val, test):
    return {"train": train, "val": val, "test": test}


def sizes(n, *ratios, **options):
    parts = split_rows(np.arange(n), shares(*ratios), **options)
    return tuple(len(parts[name]) for name in ("train", "val", "test"))


def message(call, *args, **options):
    with pytest.raises(DataError) as error:
        call(*args, **options)
    return str(error.value)


@pytest.mark.parametrize(
    "ratios", [(0, 0.5, 0.5), (0.5, -0.1, 0.1), (0.5, 0.1, -0.1), (0.8, 0.1, 0.11), (-1, 1, 1)]
)
def test_ratios_that_make_no_sense(ratios):
    assert message(split_rows, np.arange(20), shares(*ratios)) == (
        "--train-ratio must be above 0, --val-ratio and --test-ratio 0 or more, and all sum to 1 "
        f"at most, but they are {ratios[0]:g}, {ratios[1]:g}, {ratios[2]:g}"
    )


@pytest.mark.parametrize(
    ("n", "ratios", "expected"),
    [
        (10, (0.8, 0.1, 0.1), (8, 1, 1)),
        (10, (0.7, 0.2, 0.1 + 1e-10), (7, 2, 1)),
        (10, (0.5, 0.2, 0.1), (5, 2, 1)),
        (10, (0.5, 0.0, 0.1), (5, 0, 1)),
        (10, (0.01, 0.2, 0.1), (1, 2, 1)),
        (10, (0.4, 0.0, 0.0), (4, 0, 0)),
        (10, (1.0, 0.0, 0.0), (10, 0, 0)),
        (4, (0.9, 0.05, 0.05), (2, 1, 1)),
        (2, (0.5, 0.5, 0.0), (1, 1, 0)),
        (3, (0.34, 0.33, 0.33), (1, 1, 1)),
        (7, (0.5, 0.25, 0.25), (3, 2, 2)),
    ],
)
def test_sizes_of_parts(n, ratios, expected):
    assert sizes(n, *ratios) == expected
    parts = split_rows(np.arange(n) * 3, shares(*ratios), seed=4)
    found = np.concatenate(list(parts.values()))
    assert len(set(found)) == len(found) == sum(expected)
    assert set(found) <= set(range(0, 3 * n, 3))


def test_too_few_crystals_and_groups():
    few = "{} crystals are too few to {}; at least {} are needed"
    for n, ratios, what, least in (
        (2, (0.8, 0.1, 0.1), "train, validate and test", 3),
        (1, (0.8, 0.2, 0), "train and validate or test", 2),
        (0, (1, 0, 0), "train", 1),
    ):
        assert message(sizes, n, *ratios) == few.format(n, what, least)
    groups = np.array(list("aabb"))
    assert message(sizes, 4, 0.6, 0.2, 0.2, groups=groups, grouped_by="--split elements") == (
        "--split elements puts the crystals into 2 group(s), which stay together; to train, "
        "validate and test at least 3 are needed"
    )
    assert sizes(4, 0.5, 0.5, 0, groups=groups) == (2, 2, 0)
    assert sizes(4, 1, 0, 0, groups=np.array(list("aaaa"))) == (4, 0, 0)


def test_a_large_part_of_groups():
    """More than half of the rows are those outside of a fold."""
    groups = np.repeat(np.arange(10), 3)
    assert sizes(30, 0.2, 0.0, 0.8, groups=groups) == (6, 0, 24)
    assert sizes(30, 0.5, 0.0, 0.5, groups=groups) == (15, 0, 15)
    assert sizes(30, 0.1, 0.8, 0.1, groups=groups) == (3, 24, 3)
    labels = np.array(["a"] * 29 + ["b"])  # too rare to be in all parts
    assert sum(sizes(30, 0.8, 0.1, 0.1, groups=groups, labels=labels)) == 30


def test_folds_have_the_labels_in_the_same_shares():
    labels = np.array(["a"] * 15 + ["b"] * 5)
    rows = np.arange(20) + 100
    labels_of = np.concatenate([np.full(100, "x"), labels])
    folds = fold_rows(rows, 5, 0.25, labels=labels_of, seed=1)
    for fold in folds:
        assert (labels_of[fold["test"]] == "b").sum() == 1
        assert fold["test"].tolist() == sorted(fold["test"])
        assert (len(fold["train"]), len(fold["val"])) == (12, 4)
        assert sorted(np.concatenate(list(fold.values()))) == rows.tolist()
    again = fold_rows(rows, 5, 0.25, labels=labels_of, seed=1)
    other = fold_rows(rows, 5, 0.25, labels=labels_of, seed=2)
    tests = [[fold["test"].tolist() for fold in each] for each in (folds, again, other)]
    assert tests[0] == tests[1] != tests[2]
    assert message(fold_rows, rows, 21, 0.0) == (
        "--folds 21: at least 21 crystals are needed, but there are 20"
    )
    groups = np.concatenate([np.full(100, -1), np.arange(20) // 5])
    assert message(fold_rows, rows, 5, 0.0, groups=groups, grouped_by="--split prototype") == (
        "--folds 5: at least 5 groups (--split prototype) are needed, but there are 4"
    )
    for fold in fold_rows(rows, 4, 0.0, groups=groups):
        assert len(set(groups[fold["test"]])) == 1


@pytest.mark.filterwarnings("ignore:no training crystal of", "ignore:training starts from scratch")
def test_curves_that_cannot_be_drawn(tiny, graphs, energies):
    def parts(n_train, n_test=4):
        cut = {"train": np.arange(n_train), "test": np.arange(n_train, n_train + n_test)}
        X, y = graphs[np.arange(40) % 24], energies[np.arange(40) % 24]
        return {n: Part(rows, X[rows], y[rows], ["e"], {}) for n, rows in cut.items()}

    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    alone = Grouping("random", None, "", "")
    fitted = []

    def curves(own, fit=lambda est, parts: est.fit(**parts["train"].arguments())):
        said = predict_targets(est, own["test"].graphs) if len(own["test"].rows) else []
        fitted.clear()
        return learning_curves(
            est, own, said, alone, 1, lambda *given: fitted.append(given[1]) or fit(*given)
        )

    for own, why in (
        (parts(14), "14 crystals to train on: half of them are fewer than 8"),
        (parts(1), "1 crystal to train on: half of them are fewer than 8"),
        (parts(16, 0), "16 crystals to train on: none is tested"),
    ):
        with pytest.warns(UserWarning, match=f"^no learning curve for {why}$"):
            assert curves(own) == {}
        assert fitted == []
    found = curves(parts(16))
    assert found["target"].sizes == (8, 16)
    assert [len(each["train"].rows) for each in fitted] == [8]
    assert fitted[0]["test"].rows.tolist() == [16, 17, 18, 19]
    assert fitted[0]["train"].rows.tolist() == sorted(
        np.random.default_rng(1).permutation(16).argsort()[:8]
    )

    def refuse(est, parts):
        raise ValueError("there is one value")

    with pytest.warns(UserWarning, match=r"curve: with 8 of the training crystals, there is one v"):
        assert curves(parts(16), refuse) == {}
