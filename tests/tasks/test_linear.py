"""Outputs that are fitted before a network learns, and what a table tells of a target."""

import numpy as np
import pytest

from skcgcnn.tasks import Classes, Number, Task
from skcgcnn.tasks._columns import mark_missing
from skcgcnn.tasks._linear import weighted_median

ROWS = np.random.default_rng(0).normal(size=(40, 3))
ONES = np.ones(40)


def test_the_median_with_weights():
    assert weighted_median(np.array([4.0, 1.0, 2.0, 9.0]), np.ones(4)) == 3.0
    assert weighted_median(np.array([4.0, 1.0, 2.0]), np.ones(3)) == 2.0
    assert weighted_median(np.array([4.0, 1.0, 2.0]), np.array([9.0, 1.0, 1.0])) == 4.0


def test_a_number_is_linear_in_its_scale():
    values = 3.0 + 2.0 * ROWS @ [1.0, 0.0, -1.0]
    task = Number("gap", mean=values.mean(), scale=values.std())
    found = task.linear_outputs(ROWS, values, ONES)
    scaled = ROWS @ found.coefficients.T + found.starts
    np.testing.assert_allclose(scaled[:, 0] * task.scale + task.mean, values, atol=0.3)
    assert list(found.places) == [0]
    assert 0.1 <= found.left < 0.3


def test_a_number_that_hardly_varies_is_its_median():
    values = np.where(np.arange(40) == 7, 1.0, 0.0)
    found = Number("gap").linear_outputs(ROWS, values, ONES)
    assert not found.coefficients.any()
    assert (found.starts.tolist(), found.left) == ([0.0], 1.0)
    assert Number("gap").linear_outputs(ROWS[:1], values[:1], ONES[:1]) is None
    two = Number("gap").linear_outputs(ROWS[:2], np.array([1.0, 3.0]), ONES[:2])
    assert (two.coefficients @ ROWS[:2].mean(axis=0) + two.starts).tolist() == pytest.approx([2])


@pytest.mark.parametrize("present", [[0, 1], [0, 2], [0, 1, 2]])
def test_classes_have_an_output_each(present):
    best = (ROWS[:, : len(present)]).argmax(axis=1)
    task = Classes("kind", classes=np.array(["a", "b", "c"]))
    found = task.linear_outputs(ROWS, np.array(present)[best].astype(float), ONES)
    assert list(found.places) == present
    outputs = ROWS @ found.coefficients.T + found.starts
    assert (outputs.argmax(axis=1) == best).mean() > 0.8
    assert task.linear_outputs(ROWS, np.zeros(40), ONES) is None


def test_another_kind_has_none():
    """What its outputs mean is not known: they need not be linear in its values."""
    assert Task("counts").linear_outputs(ROWS, ROWS[:, 0], ONES) is None


def test_the_truth_of_a_table():
    numbers = np.array([1.5, np.nan], dtype=object)
    assert Number("gap").truth(numbers) is numbers
    assert Number("gap").truth(np.array([1.5, "large"], dtype=object)) is None
    whole = Classes("label", classes=np.array([0, 1])).truth(np.array([1.0, np.nan], dtype=object))
    assert [type(value) for value in whole] == [int, float]
    texts = np.array(["a", np.nan], dtype=object)
    assert Classes("label", classes=np.array(["a", "b"])).truth(texts)[0] == "a"


@pytest.mark.parametrize(
    ("classes", "column", "expected"),
    [
        ([False, True], ["False", "true", "FALSE", "TRUE"], [False, True, False, True]),
        ([False, True], [0.0, 1.0, 1.0, 0.0], [False, True, True, False]),
        (["0", "1"], [0.0, 1.0, 1.0, 2.0], ["0", "1", "1", 2.0]),
        ([0, 1], [0.0, 1.0, 1.7, 2.0], [0, 1, 1.7, 2.0]),
        ([0, 1], ["no", "yes", "no", "no"], None),
        ([0, 1], [0.5, 1.7, 0.5, 1.7], None),
        (["a", "b"], ["c", "d", "c", "c"], None),
    ],
)
def test_labels_of_a_table_are_the_classes_that_they_name(classes, column, expected):
    found = Classes("label", classes=np.array(classes)).truth(np.array(column, dtype=object))
    assert (found if found is None else found.tolist()) == expected


def test_labels_with_gaps_are_floats_only_if_none_becomes_another():
    for large, kind in ((2**53 - 1, np.float64), (2**53, object)):
        marked = mark_missing(np.array([1, large, 3]), np.array([False, False, True]))
        assert marked.dtype == kind
        assert marked[:2].tolist() == [1, large]
        assert np.isnan(marked[2])
