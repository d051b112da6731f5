"""What is expected of targets, and which errors are odd."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.quality import Expected, check, fit_power_law, suggest, survey, uncertainty
from skcgcnn.quality._findings import Names
from skcgcnn.quality._residuals import odd_numbers
from skcgcnn.quality._suggest import _greedy


class Known(BaseEstimator):
    """A regressor that knows the answer for each crystal, by the name of it."""

    def __init__(self, answers=None):
        self.answers = answers

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.array([self.answers[name] for name in X.ids])


@pytest.fixture(scope="module")
def many():
    return CrystalGraphTransformer().transform(load_sample_regression().data)


def looked_at(graphs, y, said):
    est = Known(dict(zip(graphs.ids, said, strict=True)))
    return survey(graphs, y, estimator=est)


@pytest.mark.parametrize("unit", [1, 1e-4, 1e4])
def test_expected_errors_are_standard_deviations(many, unit):
    rng = np.random.default_rng(0)
    said = rng.normal(size=len(many))
    errors = 0.1 * rng.uniform(-(3**0.5), 3**0.5, len(many))
    errors[::50] = 3.0  # a few that are odd do not count
    found = looked_at(many, unit * (said + errors), unit * said)
    expected = found.expected["y"]
    np.testing.assert_array_equal(expected.rows, np.arange(len(many)))
    np.testing.assert_allclose(expected.values, unit * said)
    assert np.mean(expected.spread) == pytest.approx(0.1 * unit, rel=0.25)
    assert expected.spread.max() < 0.3 * unit
    odd = found.findings[found.findings["kind"].isin(["unexpected label", "label in another unit"])]
    assert {name for ids in odd["ids"] for name in ids} == set(many.ids[::50])


def test_networks_judge_what_they_were_not_trained_on(many):
    fits = []

    class Looking(Known):
        def fit(self, X, y):
            fits.append((list(X.ids), list(y)))
            return self

        def predict(self, X):
            assert not set(fits[-1][0]) & set(X.ids)
            fits[-1] += (list(X.ids),)
            return super().predict(X)

    y = np.random.default_rng(0).normal(size=60)
    graphs = many[np.append(np.arange(59), 0)]  # one of them is there twice
    answers = dict(zip(graphs.ids, y, strict=True))
    survey(graphs, y, estimator=Looking(answers))
    assert len(fits) == 5
    for trained, _, tested in fits:
        assert sorted([*trained, *tested]) == sorted(graphs.ids)  # each as often as it is there
    assert sorted(name for *_, tested in fits for name in tested) == sorted(graphs.ids)
    # Values far outside count as five standard deviations.
    y[7] = 1e6
    fits.clear()
    survey(graphs, y, estimator=Looking(answers))
    low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
    most = middle + 5 * (high - low) / 1.349
    assert max(max(values) for _, values, _ in fits) == pytest.approx(most)


def test_trees_know_where_errors_are_large(many):
    rng = np.random.default_rng(0)
    said = rng.normal(size=len(many))
    y = said + np.where(said > 0, 0.5, 0.1) * rng.normal(size=len(many))
    spread = looked_at(many, y, said).expected["y"].spread
    few, much = (np.median(spread[part]) for part in (said < -0.2, said > 0.2))
    assert much > 1.4 * few


@pytest.mark.parametrize(("unit", "start"), [(1.6e-19, 0.0), (1e30, 0.0), (1.0, 1e6)])
def test_expected_errors_are_the_same_in_any_unit(many, unit, start):
    rng = np.random.default_rng(2)
    said = rng.normal(size=len(many))
    errors = rng.normal(size=len(many)) * np.where(said > 0, 1.0, 0.1)
    usual = looked_at(many, said + errors, said).expected["y"].spread
    other = looked_at(many, unit * (said + errors) + start, unit * said + start)
    np.testing.assert_allclose(other.expected["y"].spread / unit, usual, rtol=0.02)


def test_without_errors_nothing_is_odd(many):
    said = np.random.default_rng(0).normal(size=len(many))
    found = looked_at(many, said, said)
    low, high = np.quantile(said, [0.25, 0.75])
    np.testing.assert_allclose(found.expected["y"].spread, 0.5 * (high - low) / 1.349)
    assert "unexpected label" not in set(found.findings["kind"])


@pytest.mark.parametrize(
    ("values", "n", "kinds", "is_judged"),
    [
        ([0.5, 1.5], 50, set(), True),
        ([0.5, 1.5], 49, set(), False),
        ([0.5], 50, {"constant column"}, False),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.5], 50, {"not judged by networks"}, False),
    ],
)
def test_which_columns_of_numbers_are_judged(many, values, n, kinds, is_judged):
    graphs = many[:n]
    y = np.resize(values, n).astype(float)
    found = looked_at(graphs, y, y + 0.01)
    assert (list(found.expected) == ["y"]) == is_judged
    said = found.findings[
        found.findings["kind"].isin(["constant column", "not judged by networks"])
    ]
    assert set(said["kind"]) == kinds
    if "not judged by networks" in kinds:
        text = "y: most values are the same; networks do not judge such a column."
        assert said["message"].tolist() == [text]
        assert said["severity"].tolist() == ["remark"]


@pytest.mark.parametrize(("share", "is_judged"), [(0.5, True), (0.79, True), (0.81, False)])
def test_networks_that_are_hardly_better_than_one_answer(many, share, is_judged):
    y = np.random.default_rng(0).uniform(0, 1, len(many))
    found = looked_at(many, y, np.median(y) + (1 - share) * (y - np.median(y)))
    assert bool(found.expected) == is_judged
    said = found.findings["message"][found.findings["kind"] == "not judged by networks"].tolist()
    text = (
        "y: networks expect it hardly better than one answer for all crystals does "
        f"({1 - share:.0%} less error), so that they say nothing about its values."
    )
    assert said == ([] if is_judged else [text])


def test_what_networks_cannot_learn_is_told(many):
    class Refusing(Known):
        def fit(self, X, y):
            raise ValueError("it is too much")

    y = np.random.default_rng(0).normal(size=60)
    found = survey(many[:60], {"gap": y}, estimator=Refusing())
    last = found.findings[found.findings["kind"] == "not judged by networks"]
    assert last["message"].tolist() == ["gap: networks cannot learn it: it is too much"]
    assert last["severity"].tolist() == ["warning"]
    told = []
    survey(many[:60], {"gap": y, "e": y}, estimator=Refusing(), progress=told.append)
    assert told == [
        "Looking for crystals that are there twice",
        "Training networks that say what they expect of gap",
        "Training networks that say what they expect of e",
    ]
    assert survey(many[:60], {"gap": y}, labels=False).expected == {}


@pytest.mark.parametrize(("value", "is_told"), [(-7.0, False), (-19.0, False), (-407.4, True)])
def test_a_number_in_another_unit_of_a_crystal_at_the_edge(value, is_told):
    """It was held against what is left of it within five standard deviations: -5."""
    y = np.append(np.linspace(-1.349, 1.349, 60), value)
    expected = Expected(np.arange(61), np.append(y[:60], -4.2), np.full(61, 0.7))
    found = list(odd_numbers("e", y, expected, np.ones(61, dtype=int), Names(range(61))))
    assert [one.rows for one in found] == [[60]] * is_told
    assert all("-4.222 would fit: divided by 96.485" in one.message for one in found)


@pytest.mark.parametrize(("n_far", "n_told"), [(1, 1), (2, 2), (3, 0)])
def test_a_long_tail_is_no_mistake(n_far, n_told):
    y = np.append(np.linspace(-1.349, 1.349, 400), np.full(n_far, 407.4))
    n = len(y)
    expected = Expected(np.arange(n), np.clip(y, -5, 4.5), np.full(n, 0.7))
    found = list(odd_numbers("modulus", y, expected, np.ones(n, dtype=int), Names(range(n))))
    assert len(found) == n_told


def test_what_would_explain_a_number(many):
    ways = {
        (-1.5 * 27.2114, -1.5): "-1.5 would fit: divided by 27.2114, as between hartree and eV",
        (-1.5 / 27.2114, -1.5): "-1.5 would fit: times 27.2114, as between hartree and eV",
        (1.5 * 96.485, 1.5): "1.5 would fit: divided by 96.485, as between eV and kJ/mol",
        (1.5 / 1000, 1.5): "1.5 would fit: times 1000, as between a unit and a thousandth of it",
        (12.0, 1.5): "1.5 would fit: divided by 8, its number of atoms: it is a total",
        (0.25, 2.0): "2 would fit: times 8, its number of atoms: the others are totals",
        (-1.5, 1.5): "1.5 would fit: with the other sign",
        (4.2, 1.5): None,
    }
    rng = np.random.default_rng(0)
    expected = rng.uniform(-2, 2, len(many))
    rows = np.flatnonzero(many.n_sites == 8)[: len(ways)]
    y = expected + rng.uniform(-0.02, 0.02, len(many))
    y[rows], expected[rows] = np.array(list(ways)).T
    found = looked_at(many, y, expected)
    frame = found.findings
    frame = frame[frame["kind"].isin(["unexpected label", "label in another unit"])]
    told = {ids[0]: rest for ids, *rest in frame[["ids", "kind", "severity", "message"]].to_numpy()}
    assert set(told) == set(many.ids[rows])
    for row, ((value, said), why) in zip(rows, ways.items(), strict=True):
        kind = "unexpected label" if why is None else "label in another unit"
        text = (
            f"{many.ids[row]}: y is {value:.4g}, where networks that were not trained on it "
            f"expect {said:.4g} ± {found.expected['y'].spread[row]:.2g}"
        )
        text += ". Is it of this crystal?" if why is None else f"; {why}."
        assert told[many.ids[row]] == [kind, "warning", text]


def test_crystals_without_sites_are_named(nacl, tmp_path):
    transformer = CrystalGraphTransformer(on_error="nan")
    with pytest.warns(UserWarning, match="cannot be turned into graphs"):
        graphs = transformer.transform([nacl, tmp_path / "none.cif"])
    found = survey(graphs, ids=["salt", "none"], n_left_out=2)
    assert found.findings["message"].tolist() == [
        "none: has no sites",
        "2 crystals of its source could not become graphs: see failures.csv",
    ]
    assert found.findings["severity"].tolist() == ["error", "warning"]
    assert found.findings["ids"].tolist() == [["none"], []]
    assert found.counted() == "2 crystals, 1 different, 1 unreadable"
    assert not found.is_sound
    sound = survey(CrystalGraphs.from_structures([nacl]))
    assert (sound.is_sound, sound.counted()) == (True, "1 crystal, 1 different")
    assert check([nacl]).empty


def test_a_model_that_is_not_fitted_suggests_nothing(graphs):
    for call in (lambda est: suggest(est, graphs, 1), lambda est: uncertainty(est, graphs)):
        with pytest.raises(NotFittedError):
            call(CGCNNRegressor())


@pytest.mark.parametrize(
    ("rows", "unsure", "known", "chosen"),
    [
        # Twice the median distance of neighbors is far: 0.2 here.
        ([0.0, 0.1], [1.0, 0.9], [-0.3], [0, 1]),
        ([0.0, 0.1], [1.0, 0.9], [-0.05], [1, 0]),
        ([0.0], [1.0], [0.0], [0]),
        ([0.0, 0.0], [0.5, 1.0], [], [1, 0]),
        ([0.0, 0.1, 0.3, 1.0], [1.0, 1.0, 0.8, 0.6], [], [0, 2, 3, 1]),
    ],
)
def test_what_is_far_from_what_is_known_comes_first(rows, unsure, known, chosen):
    rows, known = (np.array(each).reshape(-1, 1) for each in (rows, known))
    free, alone = np.ones(len(rows), dtype=bool), [np.arange(len(rows))]
    before = free.copy()
    assert _greedy(np.array(unsure), rows, known, free, alone, 9).tolist() == chosen
    assert _greedy(np.array(unsure), rows, known, free, alone, 1).tolist() == chosen[:1]
    np.testing.assert_array_equal(free, before)
    assert _greedy(np.array(unsure), rows, known, ~free, alone, 9).tolist() == []
    # Those that could not be read say nothing.
    unread = np.full((1, 1), np.nan)
    assert (
        _greedy(np.array(unsure), rows, np.concatenate([known, unread]), free, alone, 9).tolist()
        == chosen
    )


def test_errors_of_any_size_and_sizes_in_any_order():
    sizes, rng = [100, 200, 400], np.random.default_rng(1)
    errors = np.array(sizes)[:, np.newaxis] ** -0.5 * rng.uniform(0.5, 1, 30)
    law = fit_power_law(sizes, errors)
    joules = fit_power_law(sizes, 1.6e-19 * errors)
    assert joules.scale == pytest.approx(1.6e-19 * law.scale, rel=1e-9)
    ends = (law.exponent, law.low, law.high)
    assert (joules.exponent, joules.low, joules.high) == pytest.approx(ends)
    assert fit_power_law(sizes[::-1], errors[::-1]) == law
    assert fit_power_law(sizes, np.zeros((3, 5))).exponent == 0


@pytest.mark.parametrize(
    ("sizes", "errors", "groups", "message"),
    [
        ([100, 200], [[1.0, np.nan], [1.0, 1.0]], None, "expected absolute errors"),
        ([100, 200], [[1.0, np.inf], [1.0, 1.0]], None, "expected absolute errors"),
        ([100, 200], [[1.0, -2.0], [0.5, -1.0]], None, "expected absolute errors"),
        ([100, 100], [[1.0, 2.0], [0.5, 1.0]], None, "expected different numbers"),
        ([0, 100], [[1.0, 2.0], [0.5, 1.0]], None, "expected different numbers"),
        ([100, 200], [[1.0, 2.0], [0.5, 1.0]], [0, 1, 1], r"groups has shape \(3,\)"),
        ([100, 200], [[1.0, 2.0], [0.5, 1.0]], [0.0, np.nan], "groups are missing"),
    ],
)
def test_what_is_no_learning_curve(sizes, errors, groups, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(sizes, errors, groups)


@pytest.mark.parametrize("groups", [None, ["a", "a", "a"]])
def test_one_crystal_or_group_has_no_interval(groups):
    errors = np.outer([0.4, 0.3, 0.2], np.ones(1 if groups is None else 3))
    law = fit_power_law([10, 20, 40], errors, groups)
    assert (law.low, law.high) == (None, None)
    assert law.more()[0] > 0
    assert np.isnan(law.more()[1:]).all()
    assert str(law) == "About 9 more training crystals for 10 % less error (no interval)."


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, 10])
def test_an_error_falls_by_a_share_of_itself(share):
    law = fit_power_law([100, 200], [[1.0, 2.0], [0.5, 1.0]])
    with pytest.raises(ValueError, match="share="):
        law.more(share)


def test_how_many_more_crystals_would_help():
    sizes, rng = [100, 200, 400], np.random.default_rng(0)
    errors = np.array(sizes)[:, np.newaxis] ** -0.5 * np.ones(30)
    law = fit_power_law(sizes, errors)
    assert (law.sizes, law.errors) == ((100, 200, 400), pytest.approx(errors[:, 0]))
    assert (law.scale, law.exponent) == (pytest.approx(1), pytest.approx(0.5))
    assert (law.low, law.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert law.error(1600) == pytest.approx(0.025)
    # 0.9 of the error of 400 takes 400 / 0.81.
    assert law.more() == pytest.approx((93.8, 93.8, 93.8), abs=0.1)
    assert law.more(0.5) == pytest.approx((1200, 1200, 1200))
    assert str(law) == (
        "About 94 more training crystals for 10 % less error (95 % interval 94 to 94)."
    )
    noisy = fit_power_law(sizes, errors * rng.uniform(0, 2, (3, 30)))
    assert noisy.low < noisy.exponent < noisy.high
    best, low, high = noisy.more()
    assert low < best < high
    assert fit_power_law(sizes, np.ones((3, 30))).more() == (np.inf, np.inf, np.inf)
    # Errors of one group are drawn together: two groups tell less than thirty crystals.
    groups = np.arange(30) % 2
    wide = errors * np.array([1 + 0.5 * groups, np.ones(30), 1 + 0.1 * groups])
    alone, together = (fit_power_law(sizes, wide, each) for each in (None, groups))
    assert together.exponent == alone.exponent
    assert together.high - together.low > 2 * (alone.high - alone.low)
    for size, exponent, n in ((4000, 0.5, "940"), (4000, 0.05, "29,000"), (100, 1.0, "11")):
        many = fit_power_law(
            [size // 4, size // 2, size],
            np.outer(np.array([size // 4, size // 2, size]) ** -exponent, np.ones(5)),
        )
        assert str(many).startswith(f"About {n} more training crystals")
