"""Numbers that are written as text, wherever they come in."""

import numpy as np
import pandas as pd
import pytest

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn._numbers import as_floats, bin_edges, read_float, with_minus
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


def test_numbers_as_people_write_them():
    assert with_minus("\u22121 \u20132 -3 \u2014") == "-1 -2 -3 \u2014"
    for text, expected in {
        " 1.5e-3 ": 1.5e-3,
        "\u22122": -2.0,
        "\u20132": -2.0,
        "-inf": -np.inf,
        "1_0": None,
        "1,5": None,
        "": None,
    }.items():
        assert read_float(text) == expected
    assert np.isnan(read_float("nan"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1_0", "'1_0'"),
        (b"1", "b'1'"),
        (bytearray(b"1"), r"bytearray\(b'1'\)"),
        (1j, "1j"),
        (np.complex64(1), "1"),
        (np.datetime64("2020-01-01"), "2020-01-01"),
        (np.timedelta64(1, "s"), "1"),
        ([1.0, 2.0], r"\[1.0, 2.0\]"),
        (10**400, "1000"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_number_is_named(value, shown):
    array = np.empty(2, dtype=object)
    array[:] = [1.0, None]
    array[1] = value
    with pytest.raises(ValueError, match=f"{shown}.* is not a number"):
        as_floats(array)


@pytest.mark.parametrize(
    "values",
    [np.zeros(2, dtype="c8"), np.zeros(2, dtype="M8[s]"), np.zeros(2, dtype=[("a", "f8")])],
    ids=lambda values: values.dtype.kind,
)
def test_types_that_hold_no_numbers_are_named(values):
    with pytest.raises(ValueError, match="are not numbers") as caught:
        as_floats(values)
    assert str(caught.value) == f"values of type {values.dtype} are not numbers"


def test_numbers_of_any_type_and_shape():
    for values in (
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], dtype=np.uint8),
        np.array([["1", "2"], ["3", "4e0"]]),
        np.array([["1", 2], [np.float32(3), 4.0]], dtype=object),
        np.array([["1", "2"], ["3", "4"]], dtype=np.dtypes.StringDType()),
        np.ma.array([[1, 2], [3, 4]]),
    ):
        found = as_floats(values)
        assert type(found) is np.ndarray
        assert found.dtype == np.float64
        assert found.tolist() == [[1, 2], [3, 4]]
    texts = np.ma.array(["1", "x"], mask=[False, True])
    assert np.array_equal(as_floats(texts), [1, np.nan], equal_nan=True)


@pytest.mark.parametrize("values", [[1, 2.5, float("nan")], (1, 2), [2**70], [2**53 + 1], []])
def test_lists_of_numbers_are_read_at_once(values, monkeypatch):
    expected = np.array([float(value) for value in values])
    monkeypatch.setattr(np.ma, "asanyarray", None)  # looks for a mask of each number
    found = as_floats(values)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("low", [1e16, -1e16, 0.0, 1e-310, 1.7e308, -1.7e308])
@pytest.mark.parametrize("spread", [0.0, 2.0, 1e308])
def test_histograms_of_numbers_that_are_nearly_the_same(low, spread):
    values = np.array([low, min(low + spread, 1.79e308), low])
    for n_bins in (21, 40):
        edges = bin_edges(values, n_bins)
        assert len(edges) == n_bins + 1
        assert np.histogram(values, edges)[0].sum() == 3
    assert len(bin_edges(values[:0], 5)) == 6
