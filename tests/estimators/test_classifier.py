"""The classifier."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.exceptions import DataConversionWarning

from skcgcnn import CGCNNClassifier, CGCNNMultiTask


def test_it_learns(graphs, labels):
    est = CGCNNClassifier(max_epochs=40, lr=0.005, random_state=0).fit(graphs, labels)
    assert est.score(graphs, labels) > 0.9


@pytest.mark.parametrize(
    "names",
    [
        ["metal", "insulator"],
        [7, -3],
        [True, False],
        [2.0, 1.0],
        np.array(["a", "b"], dtype=object),
    ],
    ids=str,
)
def test_labels_of_any_kind(tiny, graphs, labels, names):
    y = np.array([names[label] for label in labels])
    est = CGCNNClassifier(**tiny).set_params(max_epochs=40, lr=0.02).fit(graphs, y)
    assert est.classes_.tolist() == sorted(names)
    predicted = est.predict(graphs)
    assert predicted.dtype == y.dtype
    assert set(predicted.tolist()) <= set(names)
    np.testing.assert_array_equal(predicted, est.classes_[est.predict_proba(graphs).argmax(axis=1)])
    assert est.score(graphs, y) > 0.7


def test_more_than_two_classes(tiny, graphs, energies):
    y = np.digitize(energies, np.quantile(energies, [0.25, 0.5, 0.75]))
    est = CGCNNClassifier(**tiny).set_params(max_epochs=60, lr=0.02).fit(graphs, y)
    proba = est.predict_proba(graphs)
    assert proba.shape == (24, len(set(y)))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert est.score(graphs, y) > 0.5


def test_one_class(tiny, graphs):
    est = CGCNNClassifier(**tiny).fit(graphs, ["metal"] * 24)
    assert set(est.predict(graphs)) == {"metal"}
    np.testing.assert_array_equal(est.predict_proba(graphs), np.ones((24, 1)))


def test_the_loss_moves(tiny, graphs, labels):
    losses = CGCNNClassifier(**tiny).set_params(max_epochs=20, lr=0.01).fit(graphs, labels).history_
    assert losses[0, "train_loss"] > 0.3
    assert losses[-1, "train_loss"] < losses[0, "train_loss"]


def test_class_weight(tiny, graphs, labels):
    rare = np.where(np.arange(24) < 3, 1, 0)
    est = CGCNNClassifier(**tiny)
    plain = est.fit(graphs, rare).predict_proba(graphs)[:, 1].mean()
    balanced = est.set_params(class_weight="balanced").fit(graphs, rare)
    assert balanced.predict_proba(graphs)[:, 1].mean() > plain
    heavy = est.set_params(class_weight={0: 1, 1: 1000}).fit(graphs, rare)
    assert heavy.predict_proba(graphs)[:, 1].mean() > plain
    as_weights = est.set_params(class_weight=None).fit(
        graphs, rare, sample_weight=np.where(rare, 1000, 1)
    )
    np.testing.assert_array_equal(heavy.predict_proba(graphs), as_weights.predict_proba(graphs))


def test_partial_fit_with_classes_to_come(tiny, graphs, labels):
    est = CGCNNClassifier(**tiny).partial_fit(graphs[:4], [0] * 4, classes=[0, 1])
    est.partial_fit(graphs, labels)
    assert est.predict_proba(graphs).shape == (24, 2)
    est.partial_fit(graphs, labels, classes=[1, 0])
    with pytest.raises(ValueError, match=r"classes=\[0, 1, 2\] are not those of the first fit"):
        est.partial_fit(graphs, labels, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"not among the classes .* \[5\]"):
        est.partial_fit(
            graphs,
            labels
            + 5 * (np.arange(24) == 0) * (labels == labels[0])
            - labels * (np.arange(24) == 0),
        )


def test_numbers_that_are_no_labels(tiny, graphs, energies):
    with pytest.raises(ValueError, match="Unknown label type"):
        CGCNNClassifier(**tiny).fit(graphs, energies)


def test_it_is_a_classifier():
    assert is_classifier(CGCNNClassifier())


def test_large_whole_numbers_stay_the_labels_that_they_are(tiny, cifs, energies):
    """Two of them may be one float, as which they would stand beside NaN or numbers."""
    labels = np.where(energies > np.median(energies), 2**60, 2**60 + 1)
    est = CGCNNClassifier(**tiny, on_error="nan").fit(cifs, labels)
    alone = est.predict(cifs).tolist()
    with pytest.warns(UserWarning, match="cannot be turned into graphs"):
        *beside, missing = est.predict([*cifs, "none.cif"]).tolist()
    assert beside == alone
    assert set(alone) <= {2**60, 2**60 + 1}
    assert missing != missing  # noqa: PLR0124
    y = pd.DataFrame({"energy": energies, "label": labels})
    both = CGCNNMultiTask(**tiny).fit(cifs, y).predict(cifs)
    assert set(both[:, 1].tolist()) <= {2**60, 2**60 + 1}


def test_what_is_left_out_has_no_part_in_the_balance(tiny, cifs, labels):
    est = CGCNNClassifier(**tiny, class_weight="balanced", on_error="nan")
    alone = est.fit(cifs[:20], labels[:20]).predict_proba(cifs)
    weights = np.arange(24) < 20
    np.testing.assert_array_equal(
        est.fit(cifs, [*labels[:20], 1, 1, 1, 1], weights).predict_proba(cifs), alone
    )
    more = [*cifs[:20], *["none.cif"] * 9]
    with pytest.warns(UserWarning, match="cannot be turned into graphs"):
        est.fit(more, [*labels[:20], *[1] * 9])
    np.testing.assert_array_equal(est.predict_proba(cifs), alone)
    with (
        pytest.warns(UserWarning, match="cannot be turned into graphs"),
        pytest.raises(ValueError, match="no crystal is left to fit"),
    ):
        est.fit(more[20:22], [0, 1])
    # Classes of such crystals alone may have a weight all the same.
    with pytest.warns(UserWarning, match="cannot be turned into graphs"):
        est.set_params(class_weight={1: 2, 7: 3}).fit(more[:21], [*labels[:20], 7])


def test_truth_values_among_objects_are_truth_values(cifs, Y, tiny):
    labels = np.array([bool(value) for value in Y[:, 1]])
    est = CGCNNClassifier(**tiny).fit(cifs, labels.astype(object))
    assert est.classes_.tolist() == [False, True]
    expected = CGCNNClassifier(**tiny).fit(cifs, labels).predict_proba(cifs)
    np.testing.assert_array_equal(est.predict_proba(cifs), expected)
    assert 0 <= est.score(cifs, labels.astype(object)) <= 1


@pytest.mark.parametrize("classes", [np.ma.array([0, 1, 2], mask=[0, 0, 1]), [0, 1, np.nan]])
def test_classes_to_come_are_none_that_are_missing(classes, tiny, graphs, labels):
    with pytest.raises(ValueError, match=r"classes\[2\] is missing; leave it out"):
        CGCNNClassifier(**tiny).partial_fit(graphs, labels, classes=classes)


def test_scores_of_other_columns_and_hidden_weights(fitted_classifier, graphs, labels):
    with pytest.raises(ValueError, match="y has 2 columns, but 1 are predicted"):
        fitted_classifier.score(graphs, np.column_stack([labels, labels]))
    hidden = np.ma.masked_array(np.ones(len(labels)), mask=np.arange(len(labels)) == 0)
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        fitted_classifier.score(graphs, labels, hidden)


def test_a_column_of_labels_is_taken_and_told(tiny, graphs, labels):
    est = CGCNNClassifier(**{**tiny, "max_epochs": 1})
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        found = est.fit(graphs, labels[:, np.newaxis]).predict(graphs)
    assert found.shape == (24,)
    np.testing.assert_array_equal(found, est.fit(graphs, labels).predict(graphs))


def test_a_score_of_labels_that_are_missing(fitted_classifier, graphs, labels):
    with pytest.raises(ValueError, match="Input y contains NaN or None, first in row 3"):
        fitted_classifier.score(graphs, [*labels[:3], None, *labels[4:]])


@pytest.mark.parametrize("classes", [2, "ab", [[0, 1]]])
def test_classes_to_come_are_a_list(classes, tiny, graphs, labels):
    with pytest.raises(ValueError, match="pass a list of all labels"):
        CGCNNClassifier(**tiny).partial_fit(graphs, labels, classes=classes)


def test_parts_are_not_balanced_alone(tiny, graphs, labels):
    with pytest.raises(ValueError, match="would balance each part alone"):
        CGCNNClassifier(**tiny, class_weight="balanced").partial_fit(graphs, labels)
