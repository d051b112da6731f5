"""Numbers as a network sees them, and their deviations in the unit of the target."""

import warnings

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.preprocessing import StandardScaler

from skcgcnn.tasks import Number, NumberWithVariance, Prediction

VALUES = np.array([-2.0, 0.5, 0.5, np.nan, 7.0, 3.0])
WEIGHTS = np.array([1.0, 2.0, 0.5, 9.0, 1.0, 0.0])


def test_numbers_are_scaled_as_scikit_learn_scales_them():
    with warnings.catch_warnings(action="error"):
        task = Number("gap").scaled(VALUES, WEIGHTS)
    known = ~np.isnan(VALUES)
    scaler = StandardScaler().fit(VALUES[known, np.newaxis], sample_weight=WEIGHTS[known])
    assert (task.mean, task.scale) == pytest.approx((scaler.mean_[0], scaler.scale_[0]))


def test_equal_numbers_are_told_but_a_single_one_is_not():
    with pytest.warns(UserWarning, match="column 'gap' of y holds one value, 2: "):
        assert Number("gap").scaled(np.array([2.0, 2.0]), np.ones(2)).mean == 2
    with pytest.warns(UserWarning, match="column 'gap' of y holds one value, 0.3: "):
        Number("gap").scaled(np.array([0.3, 0.1 + 0.2]), np.ones(2))
    with warnings.catch_warnings(action="error"):
        assert Number("gap").scaled(np.array([2.0, np.nan]), np.ones(2)).mean == 2


@pytest.mark.parametrize(
    ("value", "scale"), [(5.0, 1.0), (-5.0, 1.0), (1.0, 1.0), (-0.25, 0.25), (0.0, 1.0)]
)
def test_equal_numbers_have_their_size_as_scale_and_at_most_1(value, scale):
    assert Number("gap").scaled(np.full(1, value), np.ones(1)).scale == scale
    # Differences that are rounding noise are none.
    noise = np.array([1, -1]) * 10 * np.finfo(float).eps
    with pytest.warns(UserWarning, match="holds one value"):
        assert Number("gap").scaled(1 + noise, np.ones(2)).scale == 1
    assert Number("gap").scaled(1 + 1.2 * noise, np.ones(2)).scale == 1.2 * noise[0]


def test_what_sums_over_sites_leave_has_no_mean_and_the_scale_as_deviation():
    n_sites = np.array([2, 4, 1, 3, 8, 5])
    totals = -3.0 * n_sites + np.array([0.1, -0.2, 0.4, np.nan, 0.3, -0.9])
    task, start = Number("energy").scaled_by_site(totals, WEIGHTS, n_sites)
    known = ~np.isnan(totals)
    left, weights = (totals - start * task.scale * n_sites)[known], WEIGHTS[known]
    assert np.average(left, weights=weights) == pytest.approx(0)
    assert np.sqrt(np.average(left**2, weights=weights)) == pytest.approx(task.scale)


def test_deviations_are_in_the_unit_and_of_the_errors_that_were_found():
    task = Number("gap", scale=2.0, std_factor=1.5, spread=0.3, n_calibrated=9)
    assert task.uncalibrated().to_plain() == Number("gap", scale=2.0).to_plain()
    outputs = np.array([[[1.0], [0.5], [np.nan]], [[2.0], [0.5], [np.nan]]])
    aleatoric, epistemic = task.deviations(outputs)
    np.testing.assert_allclose(aleatoric, [0.3 * 2 * 1.5] * 2 + [np.nan])
    np.testing.assert_allclose(epistemic, [0.5 * 2 * 1.5, 0, np.nan])
    assert task.uncalibrated().deviations(outputs[:1]) is None
    learned = NumberWithVariance("gap", scale=2.0, std_factor=1.5)
    both = np.concatenate([outputs, np.log([[[4.0]] * 3, [[16.0]] * 3])], axis=2)
    aleatoric, epistemic = learned.deviations(both)
    np.testing.assert_allclose(aleatoric, [10**0.5 * 2 * 1.5] * 2 + [np.nan])
    np.testing.assert_allclose(epistemic, [0.5 * 2 * 1.5, 0, np.nan])


def test_numbers_whose_squares_are_none_are_refused():
    task = Number("gap")
    for size in (1e100, 1e-100):
        within, outside = size ** np.array([0.999, 1.001])
        np.testing.assert_array_equal(task.encode(np.array([0.0, within])), [0, within])
        with pytest.raises(ValueError, match=r"in row 1, is outside of 1e-100 to 1e\+100"):
            task.encode(np.array([0.0, outside]))
    assert task.encode(np.zeros(2)).tolist() == [0, 0]
    # Nothing at all is no number that is too large.
    assert np.isnan(task.encode(np.array([np.nan, np.nan]))).all()
    assert task.encode(np.array([])).tolist() == []


def test_a_deviation_beyond_all_numbers_is_refused_and_nothing_else_is_said():
    task = NumberWithVariance("gap", scale=1e10)
    outputs = np.array([[[0.0, 1.0]], [[0.0, 700.0]]])
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(ValueError, match="standard deviation of 'gap'"),
    ):
        task.deviations(outputs * [1, 1.1])


def test_predictions_in_a_few_numbers():
    task = Number("gap", unit="eV")
    rows = task.summary(np.array([1.0, 4.0, -2.0], dtype=object))
    assert rows == [["gap (eV)", "mean", 1], ["gap (eV)", "lowest", -2], ["gap (eV)", "highest", 4]]
    assert task.summary(np.array([])) == []


def test_a_factor_of_nothing_is_refused():
    task, truth = Number("gap"), np.arange(30.0)
    said = Prediction(task, truth + 1.0)
    found = task.calibrated(said, truth, np.full(30, 2.0))
    assert found.std_factor == pytest.approx(0.5 / np.sqrt(chi2.ppf(0.68, 1)))
    assert found.n_calibrated == 30
    for errors, deviations in ((0.0, 2.0), (1.0, 0.0)):
        with (
            np.errstate(divide="ignore"),
            pytest.raises(ValueError, match="errors or deviations of 'gap' are 0"),
        ):
            task.calibrated(Prediction(task, truth + errors), truth, np.full(30, deviations))
    with pytest.raises(ValueError, match=r"19 crystals have a target 'gap'.*; 20 are needed"):
        task.calibrated(Prediction(task, truth[:19]), truth[:19] + 1, np.ones(19))
    task.calibrated(Prediction(task, truth[:20]), truth[:20] + 1, np.ones(20))


def test_what_a_number_may_be():
    for name in ("std_factor", "spread"):
        Number("gap", **{name: 1e30}).check()
        with pytest.raises(ValueError, match=name):
            Number("gap", **{name: 1.01e30}).check()
    Number("gap", spread=0.0).check()
    for field in ({"std_factor": 0.0}, {"spread": -1e-9}, {"n_calibrated": -1}, {"scale": 0.0}):
        with pytest.raises(ValueError, match=f"{next(iter(field))} .*of a target"):
            Number("gap", **field).check()
