"""What is wrong with parameters, targets and weights is said, and nothing is silently ignored."""

import warnings
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Molecule

from skcgcnn import (
    CGCNNClassifier,
    CGCNNMultiTask,
    CGCNNRegressor,
    CrystalGraphTransformer,
)
from skcgcnn.exceptions import StructureError
from skcgcnn.metrics import task_scorers
from skcgcnn.model_selection import TaskStratifiedKFold
from skcgcnn.quality import check


def test_an_ensemble_does_not_go_on_with_one_network(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny, n_estimators=2).fit(graphs, energies)
    est.set_params(warm_start=True)
    with pytest.raises(ValueError, match="set warm_start=False"):
        est.fit(graphs, energies)
    est.set_params(n_estimators=1)
    for go_on in (est.fit, est.partial_fit):
        with pytest.raises(ValueError, match="2 networks were fitted, and training can continue"):
            go_on(graphs, energies)
    assert not est.set_params(warm_start=False).fit(graphs, energies).more_nets_


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e306])
def test_only_ratios_of_weights_count(est, y, graphs, factor):
    weights = np.arange(len(graphs)) + 1.0
    expected = est.fit(graphs, y, sample_weight=weights).transform(graphs)
    found = est.fit(graphs, y, sample_weight=weights * factor).transform(graphs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_weight_of_zero_leaves_out_whatever_the_others_are(est, y, graphs):
    weights = np.r_[0.0, np.full(len(graphs) - 1, 7.0)]
    expected = est.fit(graphs[1:], y[1:]).transform(graphs)
    np.testing.assert_array_equal(
        est.fit(graphs, y, sample_weight=weights).transform(graphs), expected
    )


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("lr", "set lr="),
        ("optimizer__weight_decay", "set weight_decay="),
        ("criterion__loss", "set loss="),
        ("train_split", "see the estimator's parameters"),
    ],
)
def test_net_params_are_for_what_has_no_parameter(est, y, graphs, name, advice):
    if advice == "set loss=" and isinstance(est, CGCNNClassifier):
        advice = "see the estimator's parameters"
    with pytest.raises(ValueError, match=rf"net_params holds '{name}'.*{advice}"):
        est.set_params(net_params={name: 1}).fit(graphs, y)


def test_callbacks_are_those_of_skorch(est, y, graphs):
    with pytest.raises(TypeError, match="callbacks holds 1; expected callbacks of skorch"):
        est.set_params(callbacks=[1]).fit(graphs, y)


def test_an_optimizer_without_weight_decay(est, y, graphs):
    est.set_params(optimizer=torch.optim.LBFGS).fit(graphs, y)
    with pytest.raises(TypeError, match="weight_decay"):
        est.set_params(weight_decay=0.1).fit(graphs, y)


@pytest.mark.parametrize("column", [0, 1])
def test_a_column_without_a_target_to_train_on(tiny, graphs, Y, column):
    Y = Y.astype(float)
    Y[2:, column] = np.nan
    weights = np.r_[0, 0, np.ones(len(Y) - 2)]
    message = f"column 'y{column}' of y holds no target among the {len(Y) - 2} crystals"
    with pytest.raises(ValueError, match=message):
        CGCNNMultiTask(**tiny).fit(graphs, Y, sample_weight=weights)


def test_scorers_leave_out_crystals_that_cannot_be_read(tiny, cifs, Y):
    est = CGCNNMultiTask(**tiny, on_error="nan").fit(cifs, Y)
    for scorer in task_scorers(est).values():
        with pytest.warns(UserWarning, match="1 of 25 crystals could not be read: the score"):
            score = scorer(est, ["nowhere.cif", *cifs], np.concatenate([Y[:1], Y]))
        assert score == scorer(est, cifs, Y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tasks", ("regression", "regression")),
        ("max_num_nbr", 4),
    ],
)
def test_what_cannot_change_while_training_goes_on(tiny, cifs, Y, name, value):
    est = CGCNNMultiTask(**tiny, warm_start=True).fit(cifs, Y)
    with pytest.raises(ValueError, match=f"^{name} was .* when the network was made"):
        est.set_params(**{name: value}).fit(cifs, Y)


def test_lists_of_rows_are_like_arrays(tiny, graphs, Y):
    expected = CGCNNMultiTask(**tiny).fit(graphs, Y).predict(graphs)
    rows = [[float(energy), int(label)] for energy, label in Y]
    found = CGCNNMultiTask(**tiny).fit(graphs, rows).predict(graphs)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)
    rows[0][1] = None
    assert CGCNNMultiTask(**tiny).fit(graphs, rows).predict(graphs).dtype == np.float64


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1, "much"])
def test_class_weights_are_numbers(tiny, graphs, labels, weight):
    with pytest.raises(ValueError, match=r"the weight of 0 must be a number of at least 0"):
        CGCNNClassifier(**tiny, class_weight={0: weight, 1: 1}).fit(graphs, labels)


@pytest.mark.parametrize("key", [(1, 2), np.zeros((2, 2), dtype=int), (slice(2), 0)])
def test_graphs_have_one_dimension(graphs, key):
    with pytest.raises(IndexError, match="graphs have one dimension"):
        graphs[key]


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNMultiTask])
def test_columns_of_one_name(cls, tiny, graphs, Y):
    with pytest.raises(ValueError, match="y has several columns with the name 'a'"):
        cls(**tiny).fit(graphs, pd.DataFrame(Y, columns=["a", "a"]))


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNMultiTask])
def test_columns_in_another_order(cls, tiny, graphs, Y):
    frame = pd.DataFrame(Y, columns=["a", "b"])
    tasks = {"tasks": ("regression", "regression")} if cls is CGCNNMultiTask else {}
    est = cls(**tiny, **tasks).fit(graphs, frame)
    for use in (est.score, est.partial_fit):
        with pytest.raises(ValueError, match="y has the columns b, a, but those of the fit were a"):
            use(graphs, frame[["b", "a"]])
    expected = est.score(graphs, frame)
    assert est.score(graphs, Y) == est.score(graphs, frame.set_axis(["c", "d"], axis=1)) == expected


def test_scores_of_nothing(est, y, graphs):
    est.fit(graphs, y)
    with pytest.raises(ValueError, match="y"):
        est.score(graphs, None)
    with pytest.raises(ValueError, match="X holds 0 crystals"):
        est.score([], y[:0])


def test_nearly_all_crystals_held_out(est, y, graphs):
    est.set_params(early_stopping=True, n_iter_no_change=10, validation_fraction=0.99).fit(
        graphs, y
    )
    assert est.n_samples_fit_ == 1


@pytest.mark.parametrize("tasks", [("foo",), "regression", CGCNNRegressor()])
def test_scorers_of_no_tasks(tasks):
    with pytest.raises((TypeError, ValueError), match=r"^tasks"):
        task_scorers(tasks)


def test_folds_of_no_column(Y):
    with pytest.raises(ValueError, match="column=5, but y has 2 columns"):
        next(TaskStratifiedKFold(3, column=5).split(Y, Y))


@pytest.mark.parametrize("cls", [CGCNNClassifier, CGCNNMultiTask])
def test_one_class_is_told(cls, tiny, graphs, Y):
    Y = Y.copy()
    Y[:, 1] = 1
    y = Y[:, 1] if cls is CGCNNClassifier else Y
    with pytest.warns(UserWarning, match=r"of y holds one class, 1.*; all predictions are it"):
        cls(**tiny).fit(graphs, y)


def test_no_workers(est, y, graphs):
    with pytest.raises(ValueError, match="The 'n_jobs' parameter"):
        est.set_params(n_jobs=0).fit(graphs, y)


def test_parameters_may_become_what_the_graphs_were_made_with(tiny, cifs, energies):
    graphs = CrystalGraphTransformer(max_num_nbr=8).fit_transform(cifs)
    est = CGCNNRegressor(**tiny, warm_start=True).fit(graphs, energies)
    est.set_params(max_num_nbr=8).fit(cifs, energies)
    est = CGCNNMultiTask(**tiny, warm_start=True, tasks=["regression"])
    y = energies[:, np.newaxis]
    est.fit(graphs, y).set_params(tasks=("regression",)).fit(graphs, y)


def test_large_weights_of_both_kinds(tiny, graphs, labels):
    est = CGCNNClassifier(**tiny, class_weight={0: 1, 1: 100})
    expected = est.fit(graphs, labels).predict_proba(graphs)
    found = est.fit(graphs, labels, sample_weight=np.full(len(labels), 1e308))
    np.testing.assert_array_equal(found.predict_proba(graphs), expected)


def test_the_mask_of_an_array_means_missing(tiny, graphs, energies, labels, Y):
    mask = np.arange(len(Y)) % 4 == 1
    hidden = np.ma.array(Y.copy(), mask=np.column_stack([mask, ~mask & (mask == 2)]))
    hidden.data[mask, 0] = 1e20
    expected = np.where(hidden.mask, np.nan, Y)
    found = CGCNNMultiTask(**tiny).fit(graphs, hidden).predict(graphs)
    np.testing.assert_array_equal(
        found, CGCNNMultiTask(**tiny).fit(graphs, expected).predict(graphs)
    )
    for cls, column in ((CGCNNRegressor, energies), (CGCNNClassifier, labels)):
        masked = np.ma.array(column, mask=mask)
        with pytest.raises(ValueError, match=r"Input y contains NaN.* first in row 1"):
            cls(**tiny).fit(graphs, masked)
        # Nothing is hidden.
        cls(**tiny).fit(graphs, np.ma.array(column, mask=False))
    with pytest.raises(ValueError, match="column 'T', row 1: nan is not a finite number"):
        graphs.with_global_features(np.ma.array(energies, mask=mask)[:, np.newaxis], ["T"])


def test_0_and_its_text_are_one_name(tiny, cifs, graphs, Y):
    with pytest.raises(ValueError, match="y has several columns with the name '0'"):
        CGCNNRegressor(**tiny).fit(graphs, pd.DataFrame(Y, columns=[0, "0"]))
    with pytest.raises(ValueError, match="names holds '0' more than once"):
        graphs.with_global_features(Y, [0, "0"])
    frame = pd.DataFrame(Y, columns=[0, "0"]).assign(crystal=cifs)
    with pytest.raises(ValueError, match="X has several columns with the name 0"):
        CGCNNRegressor(**tiny).fit(frame, Y[:, 0])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("epochs", "max_epochs"),
        ("learning_rate", "lr"),
        ("max_epoch", "max_epochs"),
        ("schedule", r"it goes into net_params=\{'schedule': ...\}"),
        ("merge_tol", "it is one of CrystalGraphTransformer"),
        ("xyzzy", "Valid parameters are: atom_fea_len, "),
    ],
)
def test_names_that_are_no_parameter(cls, name, meant):
    message = f"Invalid parameter '{name}' for estimator {cls.__name__}.*{meant}"
    with pytest.raises(TypeError, match=message):
        cls(**{name: 3})
    with pytest.raises(ValueError, match=message):
        cls().set_params(**{name: 3})


def test_subclasses_take_what_they_like():
    class Mine(CGCNNRegressor):
        def __init__(self, own, **params):
            self.own = own
            super().__init__(**params)

    assert Mine(3, lr=0.1).lr == Mine(own=3, lr=0.1).lr == 0.1


def test_texts_are_no_numbers(tiny, graphs, labels):
    names = np.array(["gap", "metal"])[labels]
    with pytest.raises(
        ValueError, match=r"y holds no numbers .*'gap'.*CGCNNClassifier learns classes"
    ):
        CGCNNRegressor(**tiny).fit(graphs, names)
    rows = np.column_stack([names.astype(object), labels])
    with pytest.raises(ValueError, match=r"'y0' of y is a regression target: .*place in tasks"):
        CGCNNMultiTask(**tiny).fit(graphs, rows)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (["NaCl", "Fe2O3"], StructureError, "NaCl: no such file; a formula is no crystal"),
        (
            [Molecule("CO", [[0, 0, 0], [0, 0, 1]])] * 2,
            TypeError,
            r"no lattice: .* get_boxed_structure\(",
        ),
        ([1.5, 2], TypeError, "type float; .* Numbers tell no structure: pass the crystals"),
        (np.ones((2, 3)), ValueError, r"shape \(2, 3\); .* Numbers tell no structure"),
    ],
    ids=["formulas", "molecules", "numbers", "table"],
)
def test_what_is_no_crystal(est, y, X, error, message):
    with pytest.raises(error, match=message):
        est.fit(X, y[:2])


def test_one_column_for_several_tasks(tiny, graphs, energies):
    with pytest.raises(ValueError, match=r"y has one dimension, but tasks=.*np\.column_stack"):
        CGCNNMultiTask(**tiny).fit(graphs, energies)


def test_one_crystal_is_a_warning(est, y, graphs):
    with pytest.warns(UserWarning, match="is fitted on one crystal"):
        est.fit(graphs[:1], y[:1])


def test_a_missing_y_names_the_estimator(cls, graphs):
    with pytest.raises(ValueError, match=f"{cls.__name__} requires y to be passed"):
        cls().fit(graphs)


def test_a_target_of_one_value_is_a_warning(tiny, graphs):
    with pytest.warns(UserWarning, match="'target' of y holds one value, 2: there is nothing to"):
        est = CGCNNRegressor(**tiny).fit(graphs, np.full(len(graphs), 2.0))
    assert np.isfinite(est.predict(graphs)).all()


@pytest.mark.parametrize(
    "labels",
    [[b"a", b"b"], [Decimal(1), Decimal(2)], [Fraction(1), Fraction(2)], [date.min, date.max]],
    ids=["bytes", "Decimal", "Fraction", "date"],
)
def test_labels_that_no_score_and_no_file_takes(labels, tiny, graphs, energies):
    y = np.array([energies, labels * 12], dtype=object).T
    kind = type(labels[0]).__name__
    with pytest.raises(ValueError, match=f"column 'y1' of y .* of type {kind}; labels are texts"):
        CGCNNMultiTask(**tiny).fit(graphs, y)


def test_a_matrix_has_columns(tiny, graphs, Y):
    expected = CGCNNMultiTask(**tiny).fit(graphs, Y)
    found = CGCNNMultiTask(**tiny).fit(graphs, np.asmatrix(Y))
    np.testing.assert_array_equal(found.predict(graphs), expected.predict(graphs))


def test_rows_of_pandas_in_another_order_are_told(tiny, cifs, energies):
    X, y = pd.Series(cifs), pd.Series(energies)
    weights = pd.Series(np.ones(len(cifs)))
    for order, said in ((slice(None), 0), (slice(None, None, -1), 1)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            CGCNNRegressor(**tiny).fit(X, y[order], sample_weight=weights[order])
        told = [str(one.message) for one in caught if "in another order" in str(one.message)]
        assert len(told) == 2 * said
        assert not told or "pass y.loc[X.index]" in told[0]
    # Other labels say nothing.
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*in another order")
        est = CGCNNRegressor(loss="gaussian_nll", **tiny).fit(X, y.set_axis(range(7, 7 + len(y))))
    with pytest.warns(UserWarning, match="index of y is that of X in another order"):
        est.score(X, y[::-1])
    with pytest.warns(UserWarning, match="index of y is that of X in another order"):
        est.calibrate(X, y[::-1])
    # Those of a fold are those of X in part; whole numbers may be counted anew.
    names = [f"m{place}" for place in range(len(y))]
    with pytest.warns(UserWarning, match="index of y is that of X in another order"):
        est.score(X.set_axis(names)[:8], y.set_axis(names)[4:12])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*in another order")
        est.score(X[:8], y[4:12])
        est.score(X.set_axis(names)[:8], y.set_axis(names)[:8])
    with pytest.warns(UserWarning, match="index of y is that of X in another order"):
        check(X, y[::-1], labels=False)
    is_high = y > y.median()
    with pytest.warns(UserWarning, match="index of sample_weight is that of X in another order"):
        CGCNNClassifier(**tiny).fit(X, is_high).score(X, is_high, weights[::-1])
