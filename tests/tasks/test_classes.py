"""Labels as numbers for a network, and what its outputs say of them."""

import warnings

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from torch.nn import functional

from skcgcnn.tasks import Classes, Prediction, classification_metrics, typed_labels

NAN = float("nan")
LETTERS = Classes("kind", classes=np.array(["a", "b", "c"]))


def column(*values):
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def test_classes_are_learned_from_a_column():
    fresh = Classes("kind")
    assert fresh.labels.size == fresh.n_outputs == 0
    with warnings.catch_warnings(action="error"):
        learned = fresh.learn(column("b", None, "a", "b", NAN))
        wider = fresh.learn(column("b", "b"), labels=["c", "b", "c", "a"])
        numbers = fresh.learn(column(2, None, 0))
        hidden = fresh.learn(column("a", "b"), labels=np.ma.array(["a", "b"], mask=False))
    assert learned.labels.tolist() == hidden.labels.tolist() == ["a", "b"]
    assert (learned.n_outputs, learned.name, fresh.classes) == (2, "kind", None)
    assert wider.labels.tolist() == ["a", "b", "c"]
    assert numbers.labels.dtype.kind == "i"
    with pytest.warns(UserWarning, match="column 'kind' of y holds one class, 'a'; all predict"):
        assert fresh.learn(column("a", "a")).n_outputs == 1


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        ((None, NAN), None, "column 'kind' of y holds no target: every label is missing"),
        (("a", "b"), ["a", None], r"classes\[1\] is missing; leave it out"),
        (("a", "b"), np.ma.array(["a", "b"], mask=[True, False]), r"classes\[0\] is missing"),
        (("a", 1), None, "the labels are of types that cannot be compared"),
        ((1.0, 2.5), None, "holds continuous numbers such as 2.5; check the order of tasks"),
        ((1.0, -(2.0**53)), None, r"with the label -9\.0072e\+15: floats as large as that"),
        (("a", (1, 2)), None, r"holds \(1, 2\), of type tuple; labels are texts"),
    ],
)
def test_labels_that_are_none(values, labels, message):
    with pytest.raises(ValueError, match=message):
        Classes("kind").learn(column(*values), labels)


def test_large_integers_and_texts_of_numbers_are_labels():
    for values in ((2**53, 2**53 + 1), ("1.0", "2"), (True, False), (2.0**53 - 1, 0.0)):
        assert Classes("kind").learn(column(*values)).n_outputs == 2


def test_later_classes_are_those_of_the_first_fit():
    LETTERS.check_classes(["c", "a", "b", "b"])
    for others in (["a", "b"], ["a", "b", "d"], ["a", "b", "c", "d"]):
        with pytest.raises(ValueError, match=r"are not those of the first fit, \['a', 'b', 'c'\]"):
            LETTERS.check_classes(others)


def test_labels_are_their_places_and_back():
    values = column("c", None, "a", NAN, "b")
    encoded = LETTERS.encode(values)
    np.testing.assert_array_equal(encoded, [2, NAN, 0, NAN, 1])
    back = LETTERS.original(encoded).tolist()
    assert [back[i] for i in (0, 2, 4)] == ["c", "a", "b"]
    assert np.isnan([back[1], back[3]]).all()
    np.testing.assert_array_equal(LETTERS.stratify_labels(encoded), [2, -1, 0, -1, 1])
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is told below
        LETTERS.encode(column("d", "a", "A"))
    assert str(caught.value) == (
        "y holds labels that are not among the classes of the first fit, ['a', 'b', 'c']: "
        "['A', 'd']"
    )
    with pytest.raises(ValueError, match="types that cannot be compared"):
        LETTERS.encode(column("d", 1))
    whole = Classes("n", classes=np.array([3, 5]))
    assert whole.original(np.array([1.0, 0.0])).dtype.kind == "i"
    np.testing.assert_array_equal(whole.original(np.array([1.0, NAN])), [5, NAN])


def test_numbers_among_objects_are_numbers():
    assert typed_labels(column(1, 2.0)).dtype.kind == "f"
    assert typed_labels(column(True, np.bool_(False))).dtype.kind == "b"
    mixed, texts = column(1, "a"), np.array(["1", "2"])
    assert typed_labels(mixed) is mixed
    assert typed_labels(texts) is texts


def test_losses_and_probabilities_are_those_of_torch():
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    expected = functional.cross_entropy(outputs, labels.long(), reduction="none")
    torch.testing.assert_close(LETTERS.errors(outputs, labels, "mse"), expected)
    torch.testing.assert_close(LETTERS.in_units(outputs), functional.softmax(outputs, dim=1))
    assert LETTERS.output_names == ["kind=a", "kind=b", "kind=c"]
    with pytest.raises(ValueError, match='pooling="sum" is for numbers, but there are classes'):
        LETTERS.scaled_by_site(np.zeros(2), np.ones(2), np.ones(2))


def test_predictions_of_one_network_and_of_several():
    outputs = np.random.default_rng(0).normal(size=(3, 5, 3))
    outputs[:, 2] = NAN
    combined = LETTERS.combine(outputs)
    mean = softmax(outputs, axis=2).mean(axis=0)
    np.testing.assert_allclose(np.exp(combined), mean)
    said = LETTERS.decode(combined)
    assert said.target is LETTERS
    np.testing.assert_allclose(said.proba, mean)
    known = [0, 1, 3, 4]
    assert said.values[known].tolist() == LETTERS.labels[mean[known].argmax(axis=1)].tolist()
    assert np.isnan(said.values[2])
    assert LETTERS.deviations(outputs) is None
    plain = LETTERS.decode(outputs[0][known])
    assert plain.values.dtype.kind == "U"


def test_the_odds_that_are_explained():
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    proba = softmax(outputs.numpy(), axis=1)
    for label, place in ((None, 2), ("a", 0), ("b", 1)):
        odds = proba[:, place] / (1 - proba[:, place])
        np.testing.assert_allclose(LETTERS.explanation(label)(outputs), np.log(odds))
    with pytest.raises(ValueError, match="label='d' is not one of the classes a, b, c"):
        LETTERS.explanation("d")


def test_the_score_and_other_metrics():
    true = column("a", "b", None, "c", "a")
    proba = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0, 0, 1], [NAN] * 3])
    said = Prediction(LETTERS, column("a", "a", "b", "c", NAN), proba)
    known = [0, 1, 3]
    assert LETTERS.score(true[known], said.values[known]) == pytest.approx(2 / 3)
    assert LETTERS.score(true[known], said.values[known], [1, 2, 1]) == pytest.approx(0.5)
    found = LETTERS.metrics(true, said)
    assert found == classification_metrics(
        true[known], said.values[known], proba[known], LETTERS.labels
    )
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert LETTERS.describe_error(true[known], said.values[known]) == "accuracy 0.667"
    np.testing.assert_array_equal(LETTERS.misses(true, said.values), [0, 1, NAN, 0, NAN])
    assert LETTERS.as_metric(0.25) == 0.75
    assert LETTERS.simplest(column("b", "a", "b", "c")) == "b"


def test_columns_of_a_file():
    proba = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    said = Prediction(LETTERS, column("a", "b"), proba)
    names, values = zip(*LETTERS.columns(said), strict=True)
    assert names == ("kind_pred", "kind_proba_a", "kind_proba_b", "kind_proba_c")
    np.testing.assert_array_equal(np.column_stack(values[1:]), proba)
    two = Classes("metal", classes=np.array([0.0, 1.0]))
    names, values = zip(
        *two.columns(Prediction(two, np.array([0.0, 1.0]), proba[:, :2])), strict=True
    )
    assert names == ("metal_pred", "metal_proba")
    np.testing.assert_array_equal(values[1], proba[:, 1])
    whole = Classes("n", classes=np.array([0, 1]))
    ((name, values),) = whole.columns(Prediction(whole, np.array([1.0, NAN])))
    assert (name, values) == ("n_pred", [1, None])
    assert type(values[0]) is int


def test_classes_in_tables_and_words():
    said = Prediction(LETTERS, column("a", "b"), np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]))
    name, unsure = LETTERS.uncertainty(said)
    assert name == "uncertainty (1 - p_max)"
    np.testing.assert_allclose(unsure, [0.4, 0.3])
    assert LETTERS.summary(column("a", "b", "a")) == [
        ["kind", "a (count)", 2],
        ["kind", "b (count)", 1],
        ["kind", "c (count)", 0],
    ]
    assert LETTERS.describe() == "kind, classes a, b, c"
    floats = Classes("n", classes=np.array([1.0, 2.5]))
    assert [floats.cell(value) for value in (1.0, 2.5, np.float32(3), 4, "5.0")] == [
        "1", "2.5", "3", "4", "5.0",
    ]  # fmt: skip


def test_the_same_classes():
    assert LETTERS.same_values(Classes("other", classes=np.array(["a", "b", "c"])))
    assert not LETTERS.same_values(Classes("other", classes=np.array(["a", "b", "d"])))
    assert not LETTERS.same_values(Classes("other", classes=np.array(["a", "b"])))
    assert LETTERS.same_outputs(Classes("other", classes=np.array([1, 2, 3])))
    assert not LETTERS.same_outputs(Classes("other", classes=np.array(["a", "b"])))


def test_what_classes_may_be():
    for classes in (["a"], ["a", "b"], [0, 1], [True, False]):
        Classes("kind", classes=np.array(classes)).check()
    for classes in ([], ["a", "a"], [["a", "b"]], [["a"]], "a"):
        with pytest.raises(ValueError, match="classes of a target must be unique"):
            Classes("kind", classes=np.array(classes)).check()
    for classes in (None, ["a", "b"]):
        with pytest.raises(TypeError, match="a target of classification with classes="):
            Classes("kind", classes=classes).check()


def test_logarithms_of_probabilities_do_not_overflow():
    outputs = np.array([[[1000.0, 0.0, -1000.0]], [[1000.0, 0.0, -1000.0]]])
    found = LETTERS.combine(outputs)
    np.testing.assert_allclose(found, outputs[0] - logsumexp(outputs[0]))
    np.testing.assert_allclose(LETTERS.decode(found).proba, [[1, 0, 0]], atol=1e-300)
