"""The split of a training run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcgcnn.exceptions import DataError
from skcgcnn.training import split_rows
from skcgcnn.training._split import fold_rows

RATIOS = {"train": 0.8, "val": 0.1, "test": 0.1}


@settings(derandomize=False)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=20),
    seed=st.integers(0, 100),
    data=st.data(),
)
def test_groups_stay_together_and_no_row_is_lost(sizes, seed, data):
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    labels = np.array(
        data.draw(st.lists(st.sampled_from("ab"), min_size=sum(sizes), max_size=sum(sizes)))
    )
    rows = np.arange(len(groups))
    parts = split_rows(rows, RATIOS, labels=labels, groups=groups, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), rows)
    of_parts = [set(groups[part]) for part in parts.values()]
    assert all(of_parts)
    assert sum(map(len, of_parts)) == len(sizes)


def test_groups_parts_have_about_their_sizes():
    groups = np.repeat(np.arange(60), 5).astype(str)
    parts = split_rows(np.arange(300), RATIOS, groups=groups, seed=0)
    assert {part: len(rows) for part, rows in parts.items()} == {
        "test": 30,
        "val": 30,
        "train": 240,
    }
    some = split_rows(np.arange(300), {"train": 0.3, "val": 0.1, "test": 0.2}, groups=groups)
    sizes = [len(some[part]) for part in ("train", "val", "test")]
    np.testing.assert_allclose(sizes, [90, 30, 60], atol=16)


def test_groups_with_labels_are_spread():
    groups = np.repeat(np.arange(40), 5).astype(str)
    labels = np.repeat(["a", "b"], 100)
    parts = split_rows(np.arange(200), RATIOS, labels=labels, groups=groups, seed=3)
    for rows in parts.values():
        assert (labels[rows] == "a").mean() == pytest.approx(0.5, abs=0.1)


def test_the_seed_decides():
    groups = np.repeat(np.arange(20), 3).astype(str)
    tests = [
        split_rows(np.arange(60), RATIOS, groups=groups, seed=seed)["test"].tolist()
        for seed in (0, 0, 1)
    ]
    assert tests[0] == tests[1] != tests[2]


def test_without_groups_the_seed_decides_too():
    rows = np.arange(10, 60)
    parts = [split_rows(rows, RATIOS, seed=seed) for seed in (0, 0, 1)]
    for split in parts:
        assert {part: len(chosen) for part, chosen in split.items()} == {
            "test": 5,
            "val": 5,
            "train": 40,
        }
        np.testing.assert_array_equal(np.sort(np.concatenate(list(split.values()))), rows)
    for part in RATIOS:
        first, same, other = (sorted(split[part]) for split in parts)
        assert first == same != other
    # They are drawn, not taken from an end.
    assert 15 < np.mean(parts[0]["test"]) < 55


@pytest.mark.parametrize("ratios", [(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.5, 0.1, 0.2)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_part_has_its_share_of_crystals_and_of_labels(ratios, seed):
    shares = dict(zip(("train", "val", "test"), ratios, strict=True))
    labels = np.array(["a"] * 140 + ["b"] * 40 + ["c"] * 20)
    parts = split_rows(np.arange(200), shares, labels=labels, seed=seed)
    for part, rows in parts.items():
        assert len(rows) == round(200 * shares[part])
        for label in "abc":
            expected = shares[part] * (labels == label).sum()
            assert abs((labels[rows] == label).sum() - expected) <= 1


def test_labels_that_are_too_rare_are_split_at_random():
    labels = np.array(["a"] * 19 + ["b"])
    parts = split_rows(np.arange(20), RATIOS, labels=labels, seed=0)
    assert [len(parts[part]) for part in ("train", "val", "test")] == [16, 2, 2]


def test_a_part_that_is_asked_for_is_never_empty():
    parts = split_rows(np.arange(3), {"train": 0.98, "val": 0.01, "test": 0.01})
    assert [len(parts[part]) for part in ("train", "val", "test")] == [1, 1, 1]
    parts = split_rows(np.arange(3), {"train": 1.0, "val": 0.0, "test": 0.0})
    assert [len(parts[part]) for part in ("train", "val", "test")] == [3, 0, 0]


@pytest.mark.parametrize("groups", [None, np.array(list("aabbc"))])
def test_so_many_folds_as_crystals_or_groups_and_no_more(groups):
    rows = np.arange(5)
    most = 5 if groups is None else 3
    folds = fold_rows(rows, most, 0.0, groups=groups)
    assert sorted(row for fold in folds for row in fold["test"]) == rows.tolist()
    with pytest.raises(DataError, match=f"at least {most + 1} .*, but there are {most}"):
        fold_rows(rows, most + 1, 0.0, groups=groups)


def test_too_few_groups():
    with pytest.raises(DataError, match=r"groups\.csv puts the crystals into 2 group"):
        split_rows(np.arange(6), RATIOS, groups=np.array(list("aaabbb")))


def test_a_part_that_is_not_asked_for_needs_no_group():
    ratios = {"train": 0.5, "val": 0.5, "test": 0.0}
    parts = split_rows(np.arange(6), ratios, groups=np.array(list("aaabbb")))
    assert [len(parts[part]) for part in ("train", "val", "test")] == [3, 3, 0]
