"""Outputs of networks as predictions, in the shape of y, and the score of those that are there."""

import warnings

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import norm
from sklearn.metrics import r2_score

from skcgcnn.tasks import (
    Classes,
    Number,
    NumberWithVariance,
    Prediction,
    TargetDecoder,
    combine,
    decode,
    deviations,
    encode,
    mean_score,
    output_slices,
    readable,
    score_readable,
)

NAN = float("nan")
GAP = Number("gap", unit="eV", mean=1.0, scale=2.0)
KIND = Classes("kind", classes=np.array(["a", "b", "c"]))
SURE = NumberWithVariance("energy", mean=-1.0, scale=0.5)
TARGETS = (GAP, KIND, SURE)


@pytest.fixture
def outputs():
    """Return the outputs of three networks for five crystals, of which the fourth is not read."""
    found = np.random.default_rng(0).normal(size=(3, 5, 6))
    found[:, 3] = NAN
    return found


def test_each_target_has_its_outputs(outputs):
    assert output_slices(TARGETS) == [slice(0, 1), slice(1, 4), slice(4, 6)]
    assert combine(outputs[:1], TARGETS) is not outputs
    np.testing.assert_array_equal(combine(outputs[:1], TARGETS), outputs[0])
    together = combine(outputs, TARGETS)
    assert together.shape == (5, 6)
    np.testing.assert_allclose(together[:, 0], outputs[:, :, 0].mean(axis=0))
    proba = softmax(outputs[:, :, 1:4], axis=2).mean(axis=0)
    np.testing.assert_allclose(np.exp(together[:, 1:4]), proba)
    np.testing.assert_allclose(together[:, 4], outputs[:, :, 4].mean(axis=0))
    np.testing.assert_allclose(np.exp(together[:, 5]), np.exp(outputs[:, :, 5]).mean(axis=0))


def test_predictions_and_their_deviations(outputs):
    gap, kind, energy = decode(outputs, TARGETS)
    assert [each.target for each in (gap, kind, energy)] == [*TARGETS]
    np.testing.assert_allclose(gap.values, outputs[:, :, 0].mean(axis=0) * 2 + 1)
    np.testing.assert_allclose(gap.std, outputs[:, :, 0].std(axis=0) * 2)
    np.testing.assert_allclose(kind.proba, softmax(outputs[:, :, 1:4], axis=2).mean(axis=0))
    assert gap.proba is energy.proba is kind.std is None
    np.testing.assert_allclose(energy.values, outputs[:, :, 4].mean(axis=0) * 0.5 - 1)
    aleatoric = np.sqrt(np.exp(outputs[:, :, 5]).mean(axis=0)) * 0.5
    epistemic = outputs[:, :, 4].std(axis=0) * 0.5
    np.testing.assert_allclose(energy.std, np.sqrt(aleatoric**2 + epistemic**2))
    found = deviations(outputs, TARGETS)
    np.testing.assert_allclose(found[0], np.column_stack([0 * epistemic, [NAN] * 5, aleatoric]))
    np.testing.assert_allclose(found[1], np.column_stack([gap.std, [NAN] * 5, epistemic]))
    single = decode(outputs[:1], TARGETS)
    assert single[0].std is None
    np.testing.assert_allclose(single[2].std, np.exp(outputs[0, :, 5] / 2) * 0.5)
    np.testing.assert_array_equal(deviations(outputs[:1], (KIND, SURE))[0][:, 0], [NAN] * 5)
    with pytest.raises(ValueError, match="return_std needs n_estimators > 1, and 3 crystals or m"):
        deviations(outputs[:1], (GAP, KIND))


def test_the_decoder_has_the_shape_of_y(outputs):
    table = TargetDecoder(TARGETS, 2)
    for given in (outputs, outputs[0]):
        said = decode(given if given.ndim == 3 else given[np.newaxis], TARGETS)
        values = table.values(given)
        assert (values.shape, values.dtype) == ((5, 3), object)
        np.testing.assert_array_equal(values[:, 0].astype(float), said[0].values)
        np.testing.assert_array_equal(table.proba(given), said[1].proba)
    vector = TargetDecoder((GAP,), 1)
    np.testing.assert_array_equal(vector.values(outputs[0, :, :1]), outputs[0, :, 0] * 2 + 1)
    assert TargetDecoder((GAP,), 2).values(outputs[0, :, :1]).shape == (5, 1)
    assert TargetDecoder((KIND,), 1).classes.tolist() == ["a", "b", "c"]
    for decoder in (vector, TargetDecoder((KIND,), 2), table):
        with pytest.raises(AttributeError, match="this net does not predict classes alone"):
            _ = decoder.classes
    with pytest.raises(AttributeError, match="there are no probabilities without a classification"):
        vector.proba(outputs[0, :, :1])
    encoded = np.array([[1.5, 2.0], [NAN, NAN]])
    back = TargetDecoder((GAP, KIND), 2).original(encoded)
    assert back[0].tolist() == [1.5, "c"]
    assert np.isnan(back[1].astype(float)).all()


def test_errors_of_each_target_as_text():
    outputs = np.array([[0.0, 9.0, 0, 0], [1.0, 0, 9, 0], [2.0, 0, 0, 9]])
    Y = np.array([[2.0, "a"], [3.0, "a"], [NAN, "c"]], dtype=object)
    both = TargetDecoder((GAP, KIND), 2)
    assert both.describe_errors(outputs, Y) == "gap MAE 0.5 eV, kind accuracy 0.667"
    assert both.score(outputs, Y) == pytest.approx((r2_score([2, 3], [1, 3]) + 2 / 3) / 2)
    Y[:, 0] = NAN
    assert both.describe_errors(outputs, Y) == "kind accuracy 0.667"
    alone = TargetDecoder((Number("gap"),), 1)
    assert alone.describe_errors(outputs[:, :1], np.array([0.0, 1.0, 3.0])) == "MAE 0.333"


def test_columns_become_numbers_and_targets():
    columns = [np.array([1.0, NAN, 3.0]), np.array(["b", "a", None], dtype=object)]
    fresh = (Number("gap"), Classes("kind"))
    encoded, learned = encode(columns, fresh, None, first=True)
    np.testing.assert_array_equal(encoded, [[1, 1], [NAN, 0], [3, NAN]])
    assert [target.name for target in learned] == ["gap", "kind"]
    assert learned[1].labels.tolist() == ["a", "b"]
    # Classes that are given are those of the first classification.
    two = (Classes("x"), Classes("y"))
    _, learned = encode([columns[1], columns[1]], two, ["a", "b", "c"], first=True)
    assert [each.labels.tolist() for each in learned] == [["a", "b", "c"], ["a", "b"]]
    encoded, again = encode([columns[1]] * 2, learned, ["c", "b", "a"], first=False)
    np.testing.assert_array_equal(encoded, [[1, 1], [0, 0], [NAN, NAN]])
    assert again == learned
    with pytest.raises(ValueError, match="are not those of the first fit"):
        encode([columns[1]] * 2, learned, ["a", "b"], first=False)


def test_the_mean_over_targets_of_what_is_known():
    columns = [np.array([1.0, 2.0, NAN]), np.array(["a", "b", None], dtype=object)]
    predicted = [np.array([1.0, 1.0, 5.0]), np.array(["a", "a", "a"], dtype=object)]
    found = mean_score((GAP, KIND), columns, predicted)
    assert found == pytest.approx((r2_score([1, 2], [1, 1]) + 0.5) / 2)
    weights = np.array([1.0, 3.0, 100.0])
    found = mean_score((GAP, KIND), columns, predicted, weights)
    expected = r2_score([1, 2], [1, 1], sample_weight=[1, 3])
    assert found == pytest.approx((expected + 0.25) / 2)
    # R² of one crystal is not defined; nor is the score where nothing is known.
    columns[0][1] = NAN
    assert mean_score((GAP, KIND), columns, predicted) == 0.5
    assert np.isnan(mean_score((GAP,), columns[:1], predicted[:1]))
    columns[0][:] = NAN
    assert np.isnan(mean_score((GAP,), columns[:1], predicted[:1]))


def test_crystals_without_a_prediction_are_left_out_of_scores():
    predicted, y = np.array([1.0, NAN, 3.0]), [1.0, 2.0, 4.0]
    with pytest.warns(UserWarning, match="1 of 3 crystals could not be read: the score is that of"):
        known, weights = readable(predicted, y, [1, 2, "3"])
    assert (known.tolist(), weights.tolist()) == ([True, False, True], [1, 3])
    with warnings.catch_warnings(action="error"):
        known, weights = readable(predicted[::2], y[::2], None)
        table = readable(np.array([[1.0, NAN], [2.0, 3.0]]), y[:2], None)
    assert (known.tolist(), weights, table[0].tolist()) == ([True, True], None, [True, True])
    for given, truth, message in (
        (predicted, None, "y is None; a score needs the true targets"),
        (predicted[:0], [], "X holds 0 crystals; at least 1 is needed for a score"),
        (np.array([NAN]), [1.0], "no crystal of X could be read, so there is nothing to score"),
        (predicted, y[:2], "inconsistent numbers of samples"),
    ):
        with pytest.raises(ValueError, match=message):
            readable(given, truth, None)
    columns = [np.array([1.0, 2.0, 4.0])]
    with pytest.warns(UserWarning, match="1 of 3"):
        found = score_readable((GAP,), predicted, columns, [1.0, 9.0, 2.0])
    assert found == pytest.approx(r2_score([1, 4], [1, 3], sample_weight=[1, 2]))
    with pytest.raises(ValueError, match="y has 2 columns, but 1 are predicted"):
        score_readable((GAP,), predicted, columns * 2)
    both = np.array([[1.0, "a"], [3.0, "b"]], dtype=object)
    truth = [np.array([1.0, 3.0]), np.array(["a", "a"])]
    assert score_readable((GAP, KIND), both, truth) == 0.75


@pytest.mark.parametrize("kind", [Number, NumberWithVariance])
def test_deviations_are_calibrated_by_crystals_outside_of_the_fit(kind):
    """Of errors that are normal, the factor is their deviation over that which was told."""
    rng = np.random.default_rng(0)
    n, task = 4000, kind("gap", mean=3.0, scale=2.0)
    outputs = np.zeros((2, n, task.n_outputs))
    outputs[0, :, 0] = 0.3
    if kind is NumberWithVariance:
        outputs[:, :, 1] = np.log(0.25)
    left_out = np.zeros((2, n), dtype=bool)
    left_out[1, : n // 2] = left_out[0, n // 2 : -100] = True
    own = np.where(left_out[1], 0.0, 0.3)
    encoded = (own + rng.normal(0, 1.5, n)) * 2 + 3
    encoded[:10] = NAN
    found = task.calibrated_out_of_bag(outputs, left_out, encoded)
    assert found.n_calibrated == n - 110
    assert (found.mean, found.scale) == (3.0, 2.0)
    disagreement = 0.15**2
    if kind is Number:
        assert found.spread == pytest.approx(np.sqrt(1.5**2 - disagreement), rel=0.05)
        assert found.std_factor == 1
    else:
        assert found.std_factor == pytest.approx(1.5 / np.sqrt(0.25 + disagreement), rel=0.05)
        assert found.spread == 0
    # Networks that disagree more than they err.
    outputs[0, :, 0] = 1e3
    if kind is Number:
        left_out[:] = [[False], [True]]
        assert task.calibrated_out_of_bag(outputs, left_out, encoded).spread == 0
    few = np.zeros((2, n), dtype=bool)
    for n_few, expected in ((19, 0), (20, 20)):
        few[1, 100 : 100 + n_few] = True
        assert task.calibrated_out_of_bag(outputs, few, encoded).n_calibrated == expected


def test_the_rank_of_split_conformal_prediction():
    """Of n errors, that of rank ⌈0.68 (n + 1)⌉, at most the largest."""
    task = Number("gap")
    for n in (20, 24, 49):
        errors = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
        found = task.calibrated(Prediction(task, errors), np.zeros(n), np.ones(n))
        rank = min(int(np.ceil(0.68 * (n + 1))), n)
        assert found.std_factor == pytest.approx(rank / norm.ppf(0.84))
        doubled = found.calibrated(Prediction(task, errors), np.zeros(n), np.full(n, 2.0))
        assert doubled.std_factor == pytest.approx(found.std_factor**2 / 2)
    errors = np.concatenate([errors, [NAN, np.inf]])
    again = task.calibrated(Prediction(task, errors), np.zeros(n + 2), np.ones(n + 2))
    assert (again.std_factor, again.n_calibrated) == (found.std_factor, n)


def test_a_number_in_files_tables_and_words():
    said = Prediction(GAP, np.array([1.0, 2.0]))
    assert GAP.columns(said) == [("gap_pred", said.values)]
    assert GAP.uncertainty(said) is None
    with_std = Prediction(GAP, said.values, std=np.array([0.1, 0.2]))
    names, values = zip(*GAP.columns(with_std), strict=True)
    assert names == ("gap_pred", "gap_std", "gap_calibration")
    assert values[2] == ["not calibrated"] * 2
    assert GAP.uncertainty(with_std)[0] == "standard deviation (eV), not calibrated"
    once = Number("gap", n_calibrated=1)
    assert once.uncertainty(with_std)[0] == "standard deviation, calibrated on 1 crystal"
    assert (GAP.title, Number("gap").title) == ("gap (eV)", "gap")
    for name in ("gap (eV)", "gap [eV]", "(eV) gap"):
        assert Number(name, unit="eV").title == name
    assert Number("gap (PBE)", unit="eV").title == "gap (PBE) (eV)"
    assert GAP.describe() == "gap (eV)"
    assert Number("gap (eV)").describe() == "gap (eV), unit not recorded"
    assert GAP.cell(np.float32(0.5)) == 0.5
    assert GAP.output_names == ["gap"]
    assert GAP.simplest(np.array([3, 1, 2], dtype=object)) == 2.0
    assert GAP.shown_error(0.5) == GAP.as_metric(0.5) == 0.5
    true, values = np.array([1.0, 4.0], dtype=object), np.array([1.5, 2.0])
    assert GAP.error_sizes(true, Prediction(GAP, values)).tolist() == [0.5, 2]
    outputs = torch.tensor([[0.5, 7.0], [1.0, 8.0]])
    assert GAP.explanation()(outputs).tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="label='a', but gap is a number, not a class"):
        GAP.explanation("a")


def test_numbers_as_files_have_them():
    for task in (GAP, SURE, Number("x", std_factor=2.0, spread=0.5, n_calibrated=30)):
        plain = task.to_plain()
        again = Number.from_plain({**plain, "more": 1})
        assert type(again) is type(task)
        assert again.to_plain() == plain
        assert plain["has_variance"] == (task is SURE)
        assert plain["kind"] == "regression"
    for field, value, error in (
        ("name", 3, "must be strings"),
        ("unit", None, "must be strings"),
        ("mean", True, "mean and scale of a target must be numbers"),
        ("scale", "1", "mean and scale of a target must be numbers"),
        ("mean", NAN, "mean nan and scale 2.0 of a target"),
        ("scale", -1.0, r"mean 1.0 and scale -1.0 of a target"),
        ("scale", float("inf"), "scale inf of a target"),
        ("std_factor", True, "std_factor True of a target"),
        ("spread", NAN, "spread nan of a target"),
        ("n_calibrated", 2.0, "n_calibrated 2.0 of a target"),
    ):
        with pytest.raises((TypeError, ValueError), match=error):
            Number.from_plain({**GAP.to_plain(), field: value})


def test_what_numbers_are_alike():
    assert GAP.same_values(Number("x", unit=" eV"))
    assert GAP.same_values(Number("x"))
    assert not GAP.same_values(Number("x", unit="meV"))
    assert not GAP.same_values(KIND)
    assert GAP.same_outputs(Number("x", unit="K"))
    assert not GAP.same_outputs(SURE)
    assert type(GAP.for_loss("gaussian_nll")) is NumberWithVariance
    assert GAP.for_loss("mae") is GAP
    assert [GAP.log_share(loss) for loss in ("mse", "mae", "huber", "gaussian_nll")] == [
        0.5, 1, 1, 0,
    ]  # fmt: skip
    assert KIND.log_share("mae") == 0.5
