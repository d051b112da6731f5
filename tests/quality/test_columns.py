"""What is odd about a column: every kind of finding, where it begins, and what it says."""

import numpy as np
import pytest

from skcgcnn.quality._findings import Names
from skcgcnn.quality._labels import is_classes, odd_columns


def found(column):
    column = np.asarray(column)
    names = Names([f"c{row}" for row in range(len(column))])
    return [
        (one.kind, list(one.rows), one.severity, one.message)
        for one in odd_columns("y", column, names)
    ]


def numbers(n):
    """Return numbers of about one size with many decimals."""
    return np.random.default_rng(1).uniform(1, 2, n)


def test_a_column_of_different_numbers_is_not_odd():
    for n in (1, 2, 19, 20, 100, 1000):
        assert found(numbers(n)) == []
    assert found([]) == found(np.array([], dtype=object)) == found([3.5]) == []


def test_values_that_are_missing():
    column = numbers(40)
    column[[1, 5, 8, 9, 20, 30, 31]] = np.nan
    text = "7 of 40 crystals have no y, such as c1, c5, c8, c9, c20 and 2 more."
    assert found(column) == [("no target", [1, 5, 8, 9, 20, 30, 31], "remark", text)]
    labels = np.array(["a", "a", None, "b", "b"], dtype=object)
    text = "1 of 5 crystals have no y, such as c2."
    assert found(labels) == [("no target", [2], "remark", text)]


@pytest.mark.parametrize("value", [3.5, "a"])
def test_one_value_for_all(value):
    column = np.array([value, value], dtype=object if value == "a" else float)
    text = f"y is {value} for all 2 crystals: there is nothing to learn."
    assert found(column) == [("constant column", [], "warning", text)]
    assert "constant column" not in [one[0] for one in found(column[:1])]


def test_classes_of_one_crystal():
    for column in ([0, 1, 1, 0, 2], ["a", "b", "b", "a", "c"]):
        kind = float if column[0] == 0 else object
        shown = "2.0" if kind is float else "'c'"
        text = f"y: only c4 is {shown}; a class of one crystal can be trained or tested, not both."
        expected = [("class of one crystal", [4], "warning", text)]
        assert found(np.array(column, dtype=kind)) == expected


def test_spellings_of_one_label():
    labels = np.array(["Rock Salt", "rocksalt", "b", "rocksalt", "ROCK SALT", "b"], dtype=object)
    (first, *others) = found(labels)
    assert first[:3] == ("labels spelled differently", [0, 4], "warning")
    assert first[3] == (
        "y: 'Rock Salt', 'ROCK SALT' (c0, c4) and 'rocksalt' differ by case or blanks alone, and "
        "count as different classes."
    )
    assert [one[0] for one in others] == ["class of one crystal"] * 2


def test_spellings_are_named_in_the_order_of_the_crystals():
    spellings = ["Wurtzite", "WURTZITE", "wurt zite", "WurtZite", "wurtZITE", "wURTZITE"]
    first = found(np.array([*spellings, "wurtzite", "wurtzite"], dtype=object))[0]
    assert first[3].startswith(f"y: {', '.join(map(repr, spellings))} (c0, c1")


@pytest.mark.parametrize(
    ("n_different", "n", "are_classes"),
    [(20, 40, True), (21, 40, False), (30, 300, True), (31, 300, False)],
)
def test_names_and_comments_are_no_classes(n_different, n, are_classes):
    texts = [f"t{i % (n_different - 1)}" for i in range(n - 1)]
    assert bool(found(np.array([*texts, " T0"], dtype=object))) == are_classes


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.arange(20.0), True),
        (np.arange(21.0), False),
        (np.arange(20) + 0.5, False),
        (np.append(np.arange(20.0), np.nan), True),
        (np.full(3, np.nan), False),
        (np.array(["a"] * 50, dtype=object), True),
    ],
)
def test_few_whole_numbers_are_classes(column, expected):
    assert is_classes(column) is expected


def test_infinite_numbers():
    column = numbers(30)
    column[[3, 4]] = np.inf, -np.inf
    said = ("infinite target", [3, 4], "error", "y is infinite for c3, c4.")
    assert found(column) == [said]
    # Whole numbers beside them are no classes.
    column[:] = np.arange(30) % 5
    column[[3, 4]] = np.inf, -np.inf
    assert not is_classes(column)
    assert found(column) == [said]


@pytest.mark.parametrize(("value", "severity"), [(9.0, "warning"), (0.0, "remark")])
@pytest.mark.parametrize(
    ("n", "n_same", "is_told"),
    [
        (100, 5, True),
        (100, 4, False),
        (1000, 10, True),
        (1000, 9, False),
        (20, 10, True),  # half of them are there once
        (20, 11, False),
    ],
)
def test_a_value_that_many_have(value, severity, n, n_same, is_told):
    column = numbers(n)
    column[:n_same] = value
    said = [one for one in found(column) if one[0] == "repeated value"]
    assert len(said) == is_told
    if said:
        names = ", ".join(f"c{i}" for i in range(5))
        more = f" and {n_same - 5} more" if n_same > 5 else ""
        text = (
            f"y is {value:g} for {n_same} crystals ({names}{more}), while most values are there "
            "once: does it stand for a missing value?"
        )
        assert said == [("repeated value", list(range(n_same)), severity, text)]


@pytest.mark.parametrize(
    ("factor", "severity"), [(1000, "warning"), (96.485, "warning"), (300, "remark")]
)
@pytest.mark.parametrize(("n_large", "few"), [(50, "small"), (40, "large"), (60, "small")])
def test_values_of_two_sizes(factor, severity, n_large, few):
    column = numbers(100)
    column[:n_large] *= -factor
    low, high = 1.5 * np.array([1, factor])
    (said,) = [one for one in found(column) if one[0] == "values of two sizes"]
    rows = np.arange(n_large, 100) if few == "small" else np.arange(n_large)
    order = np.argsort(np.abs(column[rows]))
    assert said[1] == rows[order].tolist()
    assert said[2] == severity
    low, high = (np.median(np.abs(column[part])) for part in (range(n_large, 100), range(n_large)))
    names = ", ".join(f"c{row}" for row in said[1][:5])
    assert said[3] == (
        f"y: {100 - n_large} values are about {low:.2g}, {n_large} about {high:.2g}, and few "
        f"between: are they in two units? The fewer are those of {names} and {len(rows) - 5} more."
    )


@pytest.mark.parametrize(
    ("n", "n_large", "factor", "is_told"),
    [
        (100, 5, 1000, True),  # a twentieth
        (100, 3, 1000, False),
        (40, 5, 1000, True),  # five at least
        (40, 3, 1000, False),
        (10, 5, 1000, True),
        (9, 5, 1000, False),
        (100, 50, 90, True),
        (100, 50, 60, False),
    ],
)
def test_where_values_of_two_sizes_begin(n, n_large, factor, is_told):
    column = numbers(n)
    column[:n_large] *= factor
    kinds = [one[0] for one in found(column)]
    assert ("values of two sizes" in kinds) == is_told
    # Zeros and what is infinite have no size.
    column = np.append(column, [0.0] * 3 + [np.inf])
    kinds = [one[0] for one in found(column)]
    assert ("values of two sizes" in kinds) == is_told


def test_wide_columns_are_not_of_two_sizes():
    column = 10 ** np.random.default_rng(0).uniform(-3, 3, 200)
    assert "values of two sizes" not in [one[0] for one in found(column)]


@pytest.mark.parametrize(
    ("n", "n_rounded", "is_told"),
    [
        (100, 3, True),
        (100, 2, False),  # as by chance
        (100, 49, True),
        (100, 50, False),
        (20, 5, True),
        (19, 5, False),
    ],
)
def test_rounded_values(n, n_rounded, is_told):
    column = numbers(n)
    column[:n_rounded] = 1.01 + 0.01 * np.arange(n_rounded)
    text = (
        f"y has two decimals at most for {n_rounded} of {n} crystals "
        f"({', '.join(f'c{i}' for i in range(1, 1 + min(5, n_rounded)))}"
        f"{f' and {n_rounded - 5} more' if n_rounded > 5 else ''}), and more for the others: do "
        "they come from another source?"
    )
    # Zeros are neither; with a place before the others, rows are those of the column.
    said = [one for one in found(np.append(0.0, column)) if one[0] == "rounded values"]
    rows = list(range(1, 1 + n_rounded))
    assert said == ([("rounded values", rows, "remark", text)] if is_told else [])
