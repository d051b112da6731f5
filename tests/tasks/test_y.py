"""The columns of y: what is missing in them, their names, their order, and groups of crystals."""

import numpy as np
import pandas as pd
import pytest

from skcgcnn.tasks import (
    Classes,
    Number,
    check_names,
    check_order,
    checked_groups,
    column_names,
    is_missing,
    split_columns,
    without_mask,
)
from skcgcnn.tasks._columns import check_length, fits_floats, refuse_infinite
from skcgcnn.tasks._y import split_at_random, stack_columns

NAN = float("nan")


def test_columns_keep_their_types():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    for y, kinds in (
        (frame, "iO"),
        (frame["a"], "i"),
        ([[1, "x"], [2, "y"]], "OO"),
        ([1.0, 2.0], "O"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "ff"),
        (np.array([1, 2]), "i"),
    ):
        columns = split_columns(y)
        assert "".join(each.dtype.kind for each in columns).replace("T", "O") == kinds
        assert all(len(each) == 2 for each in columns)
        assert columns[0].tolist() == [np.asarray(y, dtype=object).ravel()[0], columns[0][1]]
    assert [each.tolist() for each in split_columns([[1, "x"], [2, "y"]])] == [[1, 2], ["x", "y"]]
    for y, n in ((np.zeros((2, 1, 1)), 3), (np.float64(1.0), 0)):
        with pytest.raises(ValueError, match=f"y has {n} dimensions; expected one row of targets"):
            split_columns(y)


def test_what_is_masked_is_missing():
    plain = np.array([1.0, 2.0])
    assert without_mask(plain) is plain
    whole = without_mask(np.ma.array([1, 2], mask=False))
    assert (type(whole), whole.dtype.kind) == (np.ndarray, "i")
    np.testing.assert_array_equal(without_mask(np.ma.array(plain, mask=[True, False])), [NAN, 2])
    assert without_mask(np.ma.array(np.float32([1, 2]), mask=[0, 1])).dtype == np.float32
    for values in ([1, 2**60], ["a", "b"]):
        found = without_mask(np.ma.array(values, mask=[True, False]))
        assert found.dtype == object
        assert np.isnan(found[0])
        assert found[1] == values[1]
    assert split_columns(np.ma.array([[1, 2]], mask=[[False, True]]))[0].tolist() == [1]


def test_what_is_missing():
    for values, expected in (
        (np.array([1.0, NAN]), [False, True]),
        (np.array([1, 2]), [False, False]),
        (np.array([None, "a", NAN, pd.NA, pd.NaT, 0], dtype=object), [1, 0, 1, 1, 1, 0]),
        (np.array(["a", "nan"]), [False, False]),
        (np.array([], dtype=object), []),
    ):
        found = is_missing(values)
        assert found.dtype == bool
        assert found.tolist() == [bool(each) for each in expected]


def test_columns_side_by_side():
    numbers = stack_columns([np.array([1, 2]), np.array([0.5, NAN])])
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [[1, 0.5], [2, NAN]])
    for other in (np.array(["a", "b"]), np.array([2**53, 1]), np.array([True, False])):
        stacked = stack_columns([np.array([1.0, 2.0]), other])
        assert stacked.dtype == object
        assert stacked.tolist() == [[1.0, other[0]], [2.0, other[1]]]
    assert fits_floats(np.array([2**53 - 1]))
    assert not fits_floats(np.array([-(2**53)]))
    assert fits_floats(np.array([2.0**60]))


class Arrow:
    """Has columns as Arrow has them."""

    column_names = ("c", "d")
    columns = ((1,), (2,))


def test_names_of_columns():
    frame = pd.DataFrame([[1, 2]], columns=["a", 7])
    assert column_names(frame, ["x", "y"]) == ["a", "7"]
    assert column_names(frame["a"], ["x"]) == ["a"]
    assert column_names(pd.Series([1]), ["x"]) == ["x"]
    assert column_names(np.zeros(2), ("x", "y")) == ["x", "y"]
    assert column_names(Arrow(), []) == ["c", "d"]


def test_columns_of_one_name_are_refused():
    check_names(pd.DataFrame([[1, 2]], columns=["a", "b"]))
    check_names(np.zeros((2, 2)))
    for columns, twice in ((["b", "a", "b", "a"], "a"), (["1", 1], "1")):
        with pytest.raises(ValueError, match=f"y has several columns with the name '{twice}'; ren"):
            check_names(pd.DataFrame([[0] * len(columns)], columns=columns))


def test_columns_in_other_places_than_in_the_fit_are_refused():
    targets = [Number("a"), Classes("b")]
    for columns in (["a", "b"], ["a", "other"], ["others", "b"], ["x", "y"]):
        check_order(pd.DataFrame([[1, 2]], columns=columns), targets)
    check_order(np.zeros((1, 2)), targets)
    check_order(pd.Series([1], name="b"), targets)
    for columns in (["b", "a"], ["x", "a"], ["b", "x"]):
        with pytest.raises(ValueError, match="pass them in the same order") as caught:
            check_order(pd.DataFrame([[1, 2]], columns=columns), targets)
        assert str(caught.value) == (
            f"y has the columns {', '.join(columns)}, but those of the fit were a, b: pass them in "
            "the same order"
        )


def test_groups_divide_all_crystals():
    for groups in (["a", "b", "a"], [1, 2, 3], np.ma.array([1, 2, 3])):
        assert checked_groups(groups, 3).tolist() == np.asarray(groups).tolist()
    for groups, message in (
        (["a", "b"], r"groups has shape \(2,\); expected \(3,\)"),
        ([[1], [2], [3]], r"groups has shape \(3, 1\); expected \(3,\)"),
        ([1.0, NAN, NAN], "2 of 3 groups are missing, the first in row 1; give such a crystal a"),
        (np.ma.array([1, 2, 3], mask=[0, 0, 1]), "1 of 3 groups are missing, the first in row 2"),
        (np.array(["a", 1, "b"], dtype=object), "groups are of types that cannot be compared"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_groups(groups, 3)


@pytest.mark.parametrize("size", [3, 5])
def test_parts_at_random_have_both_labels_where_that_is_possible(size):
    rows, labels = np.arange(10, 20), np.array([0] * 8 + [1] * 2)
    parts = split_at_random(rows, size, 0, labels)
    assert [len(part) for part in parts] == [10 - size, size]
    assert sorted(np.concatenate(parts)) == rows.tolist()
    for seed in range(5):
        _, some = split_at_random(rows, size, seed, labels)
        assert np.isin([18, 19], some).sum() == 1
    again = split_at_random(rows, size, 0, labels)
    assert all(map(np.array_equal, parts, again))
    for impossible in (np.arange(10), np.array([0] * 9 + [1]), None):
        assert len(split_at_random(rows, size, 0, impossible)[1]) == size
    assert len(split_at_random(rows, 1, 0, labels)[1]) == 1
    assert len(split_at_random(rows, 9, 0, labels)[1]) == 9


def test_infinite_predictions_and_long_names_are_refused():
    refuse_infinite(np.array([1.0, NAN]), "prediction of 'gap'")
    for infinite in (np.inf, -np.inf):
        with pytest.raises(ValueError, match="the prediction of 'gap' for crystal 1 is infinite: "):
            refuse_infinite(np.array([1.0, infinite, infinite]), "prediction of 'gap'")
    check_length("a" * 1000)
    with pytest.raises(ValueError, match=f"more than 1,000 characters: '{'a' * 50}'; use a"):
        check_length("a" * 1001)
