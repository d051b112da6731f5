"""The regressor."""

import numpy as np
import pytest
from sklearn.base import is_regressor
from sklearn.utils import get_tags

from skcgcnn import CGCNNRegressor


def test_it_learns(graphs, energies):
    est = CGCNNRegressor(max_epochs=60, lr=0.005, random_state=0).fit(graphs, energies)
    assert est.score(graphs, energies) > 0.8


def test_units_of_the_target_do_not_matter(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny)
    predicted = est.fit(graphs, energies).predict(graphs)
    scaled = est.fit(graphs, 1000 * energies + 5).predict(graphs)
    np.testing.assert_allclose(scaled, 1000 * predicted + 5, rtol=1e-4, atol=1e-2)


def test_scaling_is_that_of_the_training_rows(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    assert est.target_mean_[0] == pytest.approx(energies.mean())
    assert est.target_scale_[0] == pytest.approx(energies.std())
    # With a validation split, its rows are not looked at.
    y = energies.copy()
    held_back = CGCNNRegressor(
        **tiny, early_stopping=True, n_iter_no_change=10, validation_fraction=0.25
    )
    means = set()
    for row in range(len(y)):
        changed = y.copy()
        changed[row] += 100
        means.add(round(float(held_back.fit(graphs, changed).target_mean_[0]), 6))
    assert len(means) == 2  # six rows change nothing, eighteen shift the mean alike


@pytest.mark.parametrize("value", [3.0, 0.0, 0.1, -1e9])
def test_constant_target(tiny, graphs, value):
    est = CGCNNRegressor(**tiny).set_params(max_epochs=30, lr=0.02).fit(graphs, np.full(24, value))
    np.testing.assert_allclose(est.predict(graphs), value, atol=0.5)


def test_several_targets(tiny, graphs, energies):
    y = np.column_stack([energies, 100 * energies, -energies])
    est = CGCNNRegressor(**tiny).set_params(max_epochs=60, lr=0.02).fit(graphs, y)
    assert est.predict(graphs).shape == (24, 3)
    assert est.n_outputs_ == 3
    assert est.score(graphs, y) > 0.5
    with pytest.raises(ValueError, match="2 targets, but the first fit had 3"):
        est.set_params(warm_start=True).fit(graphs, y[:, :2])


def test_a_column_stays_a_column(tiny, graphs, energies):
    assert CGCNNRegressor(**tiny).fit(graphs, energies[:, None]).predict(graphs).shape == (24, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_must_be_finite(tiny, graphs, energies, bad):
    y = energies.copy()
    y[3] = bad
    with pytest.raises(ValueError, match="Input y contains"):
        CGCNNRegressor(**tiny).fit(graphs, y)


def test_texts_are_no_targets(tiny, graphs):
    with pytest.raises(ValueError, match=r"y holds no numbers \('a' is not a number\)"):
        CGCNNRegressor(**tiny).fit(graphs, ["a"] * 24)


def test_it_is_a_regressor():
    assert is_regressor(CGCNNRegressor())
    tags = get_tags(CGCNNRegressor())
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert tags.target_tags.required
