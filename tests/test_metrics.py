"""Metrics over a whole test set."""

import numpy as np
import pytest

from skcgcnn.metrics import (
    HeldOutError,
    TaskScorer,
    classification_metrics,
    held_out_error,
    regression_metrics,
    simplest,
    target_metrics,
    task_scorers,
)
from skcgcnn.tasks import Classes, Number, Prediction


def test_regression():
    found = regression_metrics([0.0, 2.0], [1.0, 2.0])
    assert found == {"mae": 0.5, "rmse": pytest.approx(0.5**0.5), "r2": 0.5}


def test_what_is_undefined_is_none():
    assert regression_metrics([], []) == {"mae": None, "rmse": None, "r2": None}
    assert regression_metrics([1.0], [1.5])["r2"] is None
    nothing = classification_metrics([], [], np.empty((0, 2)), [0, 1])
    alone = classification_metrics([0, 0], [0, 0], [[1], [1]], [0])
    assert alone == {"accuracy": 1.0, "f1": 1.0, "roc_auc": None}
    assert nothing == {"accuracy": None, "f1": None, "roc_auc": None}
    one_class = classification_metrics([1, 1], [1, 0], [[0, 1], [0.7, 0.3]], [0, 1])
    assert one_class == {"accuracy": 0.5, "f1": pytest.approx(2 / 3), "roc_auc": None}


def test_texts_and_the_second_class():
    found = classification_metrics(
        ["gap", "metal", "metal", "gap"],
        ["gap", "metal", "gap", "gap"],
        [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.5, 0.5]],
        ["gap", "metal"],
    )
    assert found == {"accuracy": 0.75, "f1": pytest.approx(2 / 3), "roc_auc": 0.75}


def test_texts_are_not_compared_with_numbers():
    proba = [[0.9, 0.1], [0.3, 0.7]]
    with pytest.raises(ValueError, match="true holds labels such as '0', but the classes are"):
        classification_metrics(["0", "1"], [0, 1], proba, [0, 1])
    with pytest.raises(ValueError, match="true holds labels such as 0, but the classes are"):
        classification_metrics([0, 1], ["0", "1"], proba, ["0", "1"])


def test_three_classes():
    proba = np.eye(3)[[0, 1, 2, 0]]
    found = classification_metrics([0, 1, 2, 2], [0, 1, 2, 0], proba, [0, 1, 2])
    assert found["accuracy"] == 0.75
    assert found["f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert 0.5 < found["roc_auc"] < 1


def test_a_label_that_training_never_saw():
    found = classification_metrics([0, 1, 5], [0, 1, 1], [[1, 0], [0, 1], [0, 1]], [0, 1])
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["roc_auc"] is None


def said(values, classes=None):
    target = Number("gap", unit="eV")
    if classes is not None:
        target = Classes("metal", classes=np.array(classes))
    return Prediction(target, np.asarray(values))


def test_the_interval_of_an_error_is_that_of_means():
    """For many crystals the bootstrap's interval is that of the central limit theorem."""
    rng = np.random.default_rng(0)
    true, predicted, trained = rng.normal(size=400), rng.normal(size=400), rng.normal(2, 1, 50)
    errors = np.abs(predicted - true)
    simple = simplest(trained, said(predicted).target)
    found = held_out_error(true, said(predicted), simple)
    assert (found.metric, found.unit, found.n_crystals) == ("mae", "eV", 400)
    assert found.value == pytest.approx(errors.mean())
    half = 1.96 * errors.std() / 20
    assert (found.low, found.high) == pytest.approx(
        (errors.mean() - half, errors.mean() + half), abs=0.2 * half
    )
    assert found.simple == pytest.approx(np.abs(true - np.median(trained)).mean())
    assert "400 test crystals); predicting the training median gives" in str(found)


def test_groups_are_drawn_as_a_whole():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 20)
    true = np.zeros(400)
    predicted = np.repeat(rng.uniform(0, 2, 20), 20)
    alone = held_out_error(true, said(predicted), 0.0)
    together = held_out_error(true, said(predicted), 0.0, groups=groups)
    assert together.value == alone.value
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_accuracy_beside_the_most_frequent_label():
    true = np.array([1.0, 0, 0, np.nan])
    prediction = said([1.0, 0, 1, 1], [0, 1])
    simple = simplest(np.array([1.0, 1, 0, np.nan]), prediction.target)
    found = held_out_error(true, prediction, simple)
    assert (found.metric, found.n_crystals) == ("accuracy", 3)
    assert found.value == pytest.approx(2 / 3)
    assert found.simple == pytest.approx(1 / 3)


def test_an_error_of_one_crystal_has_no_interval():
    found = held_out_error(np.array([1.0]), said([1.5]), 0.0)
    assert (found.low, found.high) == (None, None)
    assert str(found) == (
        "mean absolute error 0.5 eV (no interval, 1 test crystal); predicting the training median "
        "gives 1 eV"
    )
    assert held_out_error(np.array([np.nan]), said([1.5]), 0.0) is None


def test_nothing_known_of_the_training_crystals():
    nothing = simplest(np.array([np.nan]), said([0.0]).target)
    assert held_out_error(np.array([1.0]), said([1.5]), nothing) is None


def test_folds_and_the_composition_are_told():
    true, composition = np.array([1.0, 2.0]), np.array([1.0, 4.0])
    folds = np.array([0.0, 1.0])  # each fold has its own median
    found = held_out_error(true, said([1.5, 2.5]), folds, composition=composition, n_folds=2)
    assert (found.value, found.simple, found.composition) == (0.5, 1.0, 1.0)
    assert str(found) == (
        "mean absolute error 0.5 eV (95 % interval 0.5 to 0.5, 2 crystals in 2-fold "
        "cross-validation); predicting the training median gives 1 eV, extra trees on the "
        "composition 1 eV"
    )
    numbers = found.to_numbers("gap")
    assert numbers["cross-validated mae of gap"] == 0.5
    assert HeldOutError.from_numbers("gap", "eV", numbers, folds=True) == found
    assert HeldOutError.from_numbers("gap", "eV", numbers, folds=False) is None


@pytest.mark.parametrize("true", [[0, np.nan], [0, None], ["0", None]])
def test_labels_that_are_missing(true):
    with pytest.raises(ValueError, match=r"true\[1\] is missing"):
        classification_metrics(true, [0, 1], [[1, 0], [0, 1]], [0, 1])


@pytest.mark.parametrize(
    ("predicted", "proba", "message"),
    [
        ([0, None], np.eye(2), r"predicted\[1\] is missing"),
        ([0, 5], np.eye(2), r"predicted holds 5, but the classes are \[0, 1\]"),
        ([0, 1], [0.1, 0.9], r"proba has shape \(2,\); expected \(2, 2\), a row for each"),
        ([0, 1], np.eye(3), r"proba has shape \(3, 3\); expected \(2, 2\)"),
    ],
)
def test_predicted_labels_and_probabilities_that_are_none(predicted, proba, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics([0, 1], predicted, proba, [0, 1])


def test_labels_that_are_hidden_are_missing():
    hidden = np.ma.masked_array([0, 1], mask=[True, False])
    with pytest.raises(ValueError, match=r"true\[0\] is missing"):
        classification_metrics(hidden, [0, 1], np.eye(2), [0, 1])


def test_intervals_are_the_same_every_time():
    """Quantiles of 1000 means of groups that are drawn with replacement, by NumPy's generator."""
    errors, groups = np.array([0.0, 1.0, 2.0, 4.0, 7.0, 11.0]), np.array(list("aabcdd"))
    found = held_out_error(np.zeros(6), said(errors), 0.0, groups=groups)
    sums, counts = np.array([1.0, 2.0, 4.0, 18.0]), np.array([2, 1, 1, 2])
    rng = np.random.default_rng(0)
    means = []
    for _ in range(1000):
        drawn = rng.integers(4, size=4)
        means.append(sums[drawn].sum() / counts[drawn].sum())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert found.value == errors.mean()


def told(**fields):
    usual = {"value": 0.12345, "low": 0.1, "high": 0.2, "n_crystals": 7, "simple": 0.5}
    return HeldOutError(**{"metric": "mae", "unit": "eV", **usual, **fields})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            told(),
            (
                "mean absolute error 0.123 eV (95 % interval 0.1 to 0.2, 7 test crystals); "
                "predicting the training median gives 0.5 eV"
            ),
        ),
        (
            told(unit="", simple=None, held_out=False),
            "mean absolute error 0.123 (95 % interval 0.1 to 0.2, 7 crystals)",
        ),
        (
            told(metric="accuracy", composition=0.25),
            (
                "accuracy 0.123 (95 % interval 0.1 to 0.2, 7 test crystals); predicting the most "
                "frequent training label gives 0.5, extra trees on the composition 0.25"
            ),
        ),
        (
            told(low=None, n_crystals=1, simple=None, held_out=False),
            "mean absolute error 0.123 eV (no interval, 1 crystal)",
        ),
        (
            told(high=None, n_folds=5, simple=0.0, composition=0.0),
            (
                "mean absolute error 0.123 eV (no interval, 7 crystals in 5-fold "
                "cross-validation); predicting the training median gives 0 eV, extra trees on the "
                "composition 0 eV"
            ),
        ),
    ],
)
def test_an_error_in_words(error, expected):
    assert str(error) == expected


@pytest.mark.parametrize("metric", ["mae", "accuracy"])
@pytest.mark.parametrize("n_folds", [0, 5])
@pytest.mark.parametrize("known", [True, False])
def test_an_error_in_a_file_and_back(metric, n_folds, known):
    rest = {"composition": 0.25} if known else {"low": None, "high": None, "simple": None}
    error = told(metric=metric, n_folds=n_folds, **rest)
    numbers = error.to_numbers("gap")
    main = f"{'cross-validated' if n_folds else 'test'} {metric} of gap"
    expected = {main: 0.12345, f"{main}, crystals": 7.0}
    if known:
        expected |= {
            f"{main}, 95 % interval from": 0.1,
            f"{main}, 95 % interval to": 0.2,
            f"{main}, simplest prediction": 0.5,
            f"{main}, extra trees on the composition": 0.25,
        }
    if n_folds:
        expected[f"{main}, folds"] = 5.0
    assert numbers == expected
    assert all(type(number) is float for number in numbers.values())
    found = HeldOutError.from_numbers("gap", "eV", numbers, folds=n_folds > 0)
    assert found == error
    assert type(found.n_crystals) is type(found.n_folds) is int
    assert HeldOutError.from_numbers("gap", "eV", numbers, folds=not n_folds) is None
    assert HeldOutError.from_numbers("other", "eV", numbers, folds=n_folds > 0) is None
    for needed in (main, f"{main}, crystals"):
        left = {name: number for name, number in numbers.items() if name != needed}
        assert HeldOutError.from_numbers("gap", "eV", left, folds=n_folds > 0) is None


def test_errors_of_crystals_that_can_be_compared():
    true = np.array([1.0, np.nan, 3.0, 4.0])
    found = held_out_error(true, said([1.5, 2.0, np.nan, 3.0]), None)
    assert (found.value, found.n_crystals, found.simple) == (0.75, 2, None)
    folds = np.array([1.0, 1.0, 1.0, np.nan])
    found = held_out_error(true, said([1.5, 2.0, 3.5, 3.0]), folds, n_folds=2)
    assert (found.value, found.simple, found.n_crystals, found.n_folds) == (0.5, 1.0, 2, 2)
    assert held_out_error(true, said([np.nan, 1.0, np.nan, np.nan]), 1.0) is None
    # One group has no interval; where each is a group of its own it is that without groups.
    values = said([1.5, 2.0, 3.1, 3.0])
    one = held_out_error(true, values, 1.0, groups=np.array(["a"] * 4))
    assert (one.low, one.high) == (None, None)
    alone, same = (held_out_error(true, values, 1.0, groups=g) for g in (None, np.array([*"abcd"])))
    assert (alone.low, alone.high) == (same.low, same.high) == pytest.approx((0.1, 1.0))
    assert simplest(np.array([3.0, np.nan, 1.0, 2.0]), Number("gap")) == 2.0


def test_errors_are_compared_on_the_same_crystals():
    true, trees = [1.0, 2.0, 3.0, 4.0], np.array([1.5, np.nan, 3.0, 4.0])
    found = held_out_error(true, said([1.0, 9.0, 3.0, 4.5]), 1.0, composition=trees)
    assert (found.n_crystals, found.value, found.simple) == pytest.approx((3, 1 / 6, 5 / 3))
    assert found.composition == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": [0, 1, 1]}, r"groups has shape \(3,\); expected \(4,\)"),
        ({"groups": [0.0, np.nan, np.nan, 1.0]}, "2 of 4 groups are missing"),
        ({"composition": [1.0]}, "inconsistent numbers of samples"),
    ],
)
def test_errors_of_other_crystals(given, message):
    with pytest.raises(ValueError, match=message):
        held_out_error(np.ones(4), said([1.0, 2.0, 3.0, 4.0]), 1.0, **given)


def test_metrics_of_a_target_leave_out_what_is_missing():
    found = target_metrics([1.0, np.nan, 3.0], said([1.5, 2.0, np.nan]))
    assert found == {"mae": 0.5, "rmse": 0.5, "r2": None}


class Fixed:
    """Predicts two targets."""

    tasks = ("regression", "classification")

    def _predict_targets(self, X):
        labels = Classes("metal", classes=np.array([0, 1]))
        proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [np.nan] * 2])
        return [
            Prediction(Number("gap"), np.array([1.0, 2.0, 4.0, np.nan])),
            Prediction(labels, np.array([0, 1, 0, np.nan]), proba),
        ]


def test_scorers_of_each_task():
    scorers = task_scorers(Fixed())
    assert scorers == {
        "y0_neg_mae": TaskScorer(0, "neg_mae"),
        "y0_neg_rmse": TaskScorer(0, "neg_rmse"),
        "y0_r2": TaskScorer(0, "r2"),
        "y1_accuracy": TaskScorer(1, "accuracy"),
        "y1_f1": TaskScorer(1, "f1"),
        "y1_roc_auc": TaskScorer(1, "roc_auc"),
    }
    Y = np.array([[1.0, 0], [2.0, 1], [3.0, 1], [9.0, 1]])
    with pytest.warns(UserWarning, match="1 of 4 crystals could not be read: the score is that"):
        found = {name: scorer(Fixed(), None, Y) for name, scorer in scorers.items()}
    assert found == pytest.approx(
        {
            "y0_neg_mae": -1 / 3,
            "y0_neg_rmse": -((1 / 3) ** 0.5),
            "y0_r2": 0.5,
            "y1_accuracy": 2 / 3,
            "y1_f1": 2 / 3,
            "y1_roc_auc": 1.0,
        }
    )
    Y[:3, 1] = 1
    with pytest.warns(UserWarning, match="1 of 4 crystals"):
        assert np.isnan(scorers["y1_roc_auc"](Fixed(), None, Y))


@pytest.mark.parametrize(
    ("tasks", "names", "message"),
    [
        ("regression", None, "tasks='regression'; expected a CGCNNMultiTask, a list of kinds, or"),
        (3, None, "tasks=3; expected a CGCNNMultiTask"),
        (
            ["regression", "other"],
            None,
            "tasks holds 'other'; expected one of classification, regr",
        ),
        (["regression"], ["a", "b"], "2 target_names, but 1 tasks"),
    ],
)
def test_what_is_no_task(tasks, names, message):
    with pytest.raises((TypeError, ValueError), match=message):
        task_scorers(tasks, names)
