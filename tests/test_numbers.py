"""Numbers that are written as text, wherever they come in."""

import numpy as np
import pandas as pd
import pytest

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn._numbers import as_floats
from skcgcnn.datasets import load_sample_regression
from skcgcnn.graphs import CrystalGraphs, load_element_features
from skcgcnn.metrics import regression_metrics
from skcgcnn.tasks import Number, Prediction

TINY = {"max_epochs": 1, "random_state": 0, "atom_fea_len": 4, "n_conv": 1, "h_fea_len": 4}
TEXTS = ["1_0", "2", "3", "4", "5", "6"]
KINDS = ["gap", "metal"] * 3
# What NumPy reads as numbers without a word.
NO_NUMBERS = [
    np.array(TEXTS),
    np.array(TEXTS, dtype=object),
    np.array(TEXTS, dtype=bytes),
    pd.Series(TEXTS, dtype="string"),
    pd.Series(TEXTS).astype("category"),
    pd.date_range("2020-01-01", periods=6).to_series(),
    np.arange(6).astype("m8[s]"),
]


@pytest.fixture(scope="module")
def graphs():
    return CrystalGraphs.from_structures(load_sample_regression().data[:6])


@pytest.mark.parametrize("y", NO_NUMBERS, ids=lambda y: str(y.dtype))
def test_what_is_no_number_is_not_learned(graphs, y):
    fitted = CGCNNRegressor(**TINY).fit(graphs, np.arange(6.0))
    with pytest.raises(ValueError, match="y holds no numbers"):
        CGCNNRegressor(**TINY).fit(graphs, y)
    with pytest.raises(ValueError, match="y holds no numbers"):
        fitted.score(graphs, y)
    frame = pd.DataFrame({"e": np.asarray(y), "kind": KINDS})
    with pytest.raises(ValueError, match=r"column 'e' of y is a regression target: .* not "):
        CGCNNMultiTask(**TINY).fit(graphs, frame)
    both = CGCNNMultiTask(**TINY).fit(graphs, pd.DataFrame({"e": np.arange(6), "kind": KINDS}))
    with pytest.raises(ValueError, match=r"(is|are) not (a )?number"):
        both.score(graphs, frame)


def test_texts_of_numbers_are_learned_as_in_tables(graphs):
    texts, numbers = ["1e1", "\u22122", "3.5", "4", "5", "6"], [10, -2, 3.5, 4, 5, 6]
    assert CGCNNRegressor(**TINY).fit(graphs, texts).target_mean_ == np.mean(numbers)
    rows = np.column_stack([texts, KINDS])
    assert CGCNNMultiTask(**TINY).fit(graphs, rows).target_mean_[0] == np.mean(numbers)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(6) + 1j, "values of type complex128"),
        (np.arange(6).astype("m8[s]"), "values of type timedelta64"),
        ([1.0, 2.0, np.inf] * 2, "the label inf"),
        ([2.0**53, 2.0**53 + 1, 1.0] * 2, "do not tell one whole number from the next"),
    ],
)
def test_labels_are_texts_and_whole_numbers(graphs, labels, message):
    with pytest.raises(ValueError, match=message):
        CGCNNMultiTask(**TINY).fit(graphs, pd.DataFrame({"e": np.arange(6), "kind": labels}))


def test_labels_of_several_types_have_a_message(graphs):
    with pytest.raises(ValueError, match="labels are not texts or whole numbers alone"):
        CGCNNClassifier(**TINY).fit(graphs, np.array(["1_0", 10] * 3, dtype=object))


def test_labels_that_python_reads_as_one_number_are_two(graphs):
    labels = ["1_0", "10"] * 3
    assert CGCNNClassifier(**TINY).fit(graphs, labels).classes_.tolist() == ["10", "1_0"]
    halves = ["1_5.5", "2"] * 3  # as a number, no whole one
    assert CGCNNClassifier(**TINY).fit(graphs, halves).classes_.tolist() == ["1_5.5", "2"]


def test_weights_numbers_of_crystals_features_and_metrics(graphs):
    with pytest.raises(ValueError, match="'1_0' is not a number"):
        CGCNNRegressor(**TINY).fit(graphs, np.arange(6.0), sample_weight=TEXTS)
    with pytest.raises(ValueError, match="'1_0' is not a number"):
        graphs.with_global_features([[text] for text in TEXTS], ["T"])
    with pytest.raises(ValueError, match="complex128 are not numbers"):
        graphs.with_global_features(np.arange(6)[:, None] + 1j, ["T"])
    with pytest.raises(ValueError, match="'1_0' is not a number"):
        load_element_features({1: ["1_0", 2.0]})
    with pytest.raises(ValueError, match="'1_0' is not a number"):
        regression_metrics(TEXTS, np.arange(6))
    with pytest.raises(ValueError, match="'1_0' is not a number"):
        Number("e").metrics(np.array(TEXTS), Prediction(Number("e"), np.arange(6.0)))


def test_masked_and_missing_values_are_nan():
    hidden = np.ma.array([1.0, 1e20], mask=[False, True])
    assert np.array_equal(as_floats(hidden), [1.0, np.nan], equal_nan=True)
    assert np.array_equal(as_floats([None, pd.NA, 2]), [np.nan, np.nan, 2.0], equal_nan=True)
    assert as_floats(np.array([True, False])).tolist() == [1.0, 0.0]


def test_a_prediction_that_is_not_a_number_is_not_that_of_an_unreadable_crystal(graphs):
    est = CGCNNRegressor(**TINY).fit(graphs, np.arange(6.0))
    for weights in est.module_.parameters():
        weights.data.fill_(3.4e38)
    with pytest.raises(ValueError, match=r"prediction for .* is not a number|infinite"):
        est.predict(graphs)
