"""Crystals with numbers beside them, such as a temperature."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline

import skcgcnn
from skcgcnn import CGCNNMultiTask, CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer

SMALL = {"atom_fea_len": 8, "n_conv": 1, "h_fea_len": 16, "max_epochs": 60, "random_state": 0}


@pytest.fixture(scope="module")
def measured(cifs, energies):
    """Return crystals at temperatures, and what depends on both."""
    temperatures = np.random.default_rng(0).uniform(200, 900, 3 * len(cifs))
    frame = pd.DataFrame({"T": temperatures, "crystal": cifs * 3})
    return frame, np.tile(energies, 3) + 0.01 * temperatures


@pytest.fixture(scope="module")
def source(measured):
    return CGCNNRegressor(**{**SMALL, "max_epochs": 5}).fit(*measured)


@pytest.mark.slow
def test_they_are_learned_from(measured):
    frame, y = measured
    est = CGCNNRegressor(**SMALL).fit(frame, y)
    assert est.score(frame, y) > 0.9
    assert CGCNNRegressor(**SMALL).fit(frame["crystal"], y).score(frame["crystal"], y) < 0.6
    hotter = frame.assign(T=frame["T"] + 100)
    assert (est.predict(hotter) - est.predict(frame)).mean() == pytest.approx(1, abs=0.3)


def test_their_unit_does_not_matter(measured):
    frame, y = measured
    params = SMALL | {"max_epochs": 5}
    kelvin = CGCNNRegressor(**params).fit(frame, y).predict(frame)
    hot = frame.assign(T=frame["T"] * 1000 - 5)
    np.testing.assert_allclose(CGCNNRegressor(**params).fit(hot, y).predict(hot), kelvin, rtol=1e-3)


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"]
)
def test_frames(make, cifs):
    columns = {"pressure": [0.5 * i for i in range(3)], "crystal": cifs[:3], "kind": [1, 2, 3]}
    graphs = CrystalGraphTransformer().transform(make(columns))
    assert graphs.options.global_features == ("pressure", "kind")
    np.testing.assert_array_equal(graphs.global_features, [[0, 1], [0.5, 2], [1, 3]])
    assert len(graphs.n_sites) == 3


def test_they_stay_with_their_crystals(measured, tmp_path):
    graphs = CrystalGraphTransformer().transform(measured[0])
    chosen = graphs[[5, 1]]
    np.testing.assert_array_equal(chosen.global_features, graphs.global_features[[5, 1]])
    np.testing.assert_array_equal(graphs[5].global_features, graphs.global_features[5])
    chosen.save(tmp_path / "graphs.npz")
    same = CrystalGraphs.load(tmp_path / "graphs.npz")
    np.testing.assert_array_equal(same.global_features, chosen.global_features)
    assert same.options == chosen.options
    parts = list(CrystalGraphTransformer().stream(pd.concat([measured[0]] * 8)))
    assert len(parts) > 1
    np.testing.assert_array_equal(
        np.concatenate([part.global_features for part in parts])[:, 0],
        np.tile(measured[0]["T"].to_numpy(), 8),
    )


def test_everything_that_takes_crystals_takes_them(measured, tmp_path):
    frame, y = measured
    params = {**SMALL, "max_epochs": 2}
    est = CGCNNRegressor(**params).fit(frame, y)
    expected = est.predict(frame)
    est.save(tmp_path / "model")
    for same in (skcgcnn.load(tmp_path / "model"), pickle.loads(pickle.dumps(est))):
        np.testing.assert_array_equal(same.predict(frame), expected)
    pipe = make_pipeline(CrystalGraphTransformer(), CGCNNRegressor(**params)).fit(frame, y)
    np.testing.assert_array_equal(pipe.predict(frame), expected)
    assert cross_val_predict(est, frame, y, cv=2).shape == y.shape
    search = GridSearchCV(est, {"n_conv": [0, 1]}, cv=2).fit(frame, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    Y = np.column_stack([y, y > y.mean()])
    for pooling in ("mean", "attention"):
        multi = CGCNNMultiTask(**params, pooling=pooling).fit(frame, Y)
        assert multi.predict(frame).shape == Y.shape
    total = CGCNNRegressor(**params, pooling="sum").fit(frame, y)
    assert np.isfinite(total.predict(frame)).all()


def test_a_model_to_start_from(measured, source):
    frame, y = measured
    est = CGCNNRegressor(**{**SMALL, "max_epochs": 1, "lr": 1e-9}, init_from=source).fit(frame, y)
    np.testing.assert_allclose(est.predict(frame), source.predict(frame), rtol=1e-3, atol=0.05)
    without = CGCNNRegressor(**{**SMALL, "max_epochs": 1}, init_from=source)
    assert without.fit(frame["crystal"], y).module_.head.globals is None


def test_a_model_for_other_numbers(measured, source):
    """Scaling goes with the weights; the head is new for numbers of another name."""
    frame, y = measured
    near = {**SMALL, "max_epochs": 1, "lr": 1e-9, "init_from": source}
    few = frame.iloc[:20].assign(T=300 + 0.01 * np.arange(20.0))
    est = CGCNNRegressor(**near).fit(few, y[:20])
    torch.testing.assert_close(est.module_.head.globals.mean, source.module_.head.globals.mean)
    torch.testing.assert_close(est.module_.head.globals.scale, source.module_.head.globals.scale)
    renamed = CGCNNRegressor(**near).fit(frame.rename(columns={"T": "pressure"}), y)
    ours, theirs = (e.module_.head.conv_to_fc.weight for e in (renamed, source))
    assert not torch.allclose(ours, theirs, atol=1e-3)


def test_numbers_that_are_all_the_same_have_no_effect(cifs, energies):
    frame = pd.DataFrame({"crystal": cifs, "T": 300.0, "p": np.linspace(0, 1, len(cifs))})
    with pytest.warns(UserWarning, match="the same for all: T;"):
        est = CGCNNRegressor(**{**SMALL, "max_epochs": 3}).fit(frame, energies)
    np.testing.assert_array_equal(est.predict(frame.assign(T=900.0)), est.predict(frame))
    assert (est.predict(frame.assign(p=0.5)) != est.predict(frame)).any()


def test_numbers_far_from_zero_keep_their_differences(cifs, tmp_path):
    """All of a time stamp is in its last digits."""
    flags = np.arange(len(cifs)) % 2.0
    frame = pd.DataFrame({"crystal": cifs, "t": flags})
    late = frame.assign(t=1e9 + flags)
    params = {**SMALL, "max_epochs": 5}
    expected = CGCNNRegressor(**params).fit(frame, flags).predict(frame)
    est = CGCNNRegressor(**params).fit(late, flags)
    np.testing.assert_allclose(est.predict(late), expected, rtol=1e-5)
    est.save(tmp_path / "model")
    np.testing.assert_array_equal(skcgcnn.load(tmp_path / "model").predict(late), est.predict(late))


def test_numbers_that_differ_by_too_little(cifs, energies):
    frame = pd.DataFrame({"crystal": cifs, "t": np.linspace(0, 1e-40, len(cifs))})
    with pytest.raises(ValueError, match="column 't' of X: its numbers differ by less than 1e-30"):
        CGCNNRegressor(**SMALL).fit(frame, energies)


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"T": [1.0, np.nan]}, ValueError, "column 'T', row 1: nan is not a finite number"),
        ({"T": [np.inf, 1]}, ValueError, "column 'T', row 0: inf is not"),
        ({"T": [0, 1e200]}, ValueError, r"column 'T', row 1: 1e\+200 is beyond 1e\+30"),
        ({"T": [None, 1]}, ValueError, "column 'T', row 0: "),
        ({"name": ["a", "b"]}, TypeError, "crystal, name are not numbers. Drop columns"),
    ],
)
def test_what_is_wrong_with_columns(columns, error, message, cifs):
    frame = pd.DataFrame({"crystal": cifs[:2], **columns})
    with pytest.raises(error, match=message):
        CGCNNRegressor(**SMALL).fit(frame, [0.0, 1.0])


def test_a_frame_without_crystals():
    with pytest.raises(TypeError, match="but none holds crystals"):
        CrystalGraphTransformer().transform(pd.DataFrame({"a": [1.0], "b": [2.0]}))


def test_frames_at_the_edge(cifs):
    twice = pd.DataFrame([[cifs[0], 1.0, 2.0]], columns=["crystal", "T", "T"])
    with pytest.raises(ValueError, match="several columns with the name T"):
        CrystalGraphTransformer().transform(twice)
    with pytest.raises(ValueError, match="a frame without rows"):
        CrystalGraphTransformer().transform(twice.iloc[:0, :2])


def test_other_columns_than_in_the_fit(measured):
    frame, y = measured
    est = CGCNNRegressor(**{**SMALL, "max_epochs": 1}).fit(frame, y)
    for other in (frame["crystal"], frame.rename(columns={"T": "pressure"})):
        with pytest.raises(ValueError, match="with these numbers beside each crystal: T; X has "):
            est.predict(other)


def test_values_that_do_not_fit(graphs):
    with pytest.raises(ValueError, match=r"values has shape \(2, 1\); expected \(24, 1\)"):
        graphs.with_global_features([[1], [2]], ["T"])


def test_one_name_for_two_columns(graphs):
    with pytest.raises(ValueError, match="names holds 'T' more than once"):
        graphs.with_global_features(np.ones((len(graphs), 2)), ["T", "T"])


def test_features_of_a_potential_say_how_to_make_them(cifs, energies, tiny):
    names = [f"chgnet_{i}" for i in range(20)]
    numbers = np.random.default_rng(0).normal(size=(24, 20))
    X = pd.DataFrame(numbers, columns=names).assign(crystal=cifs)
    est = CGCNNRegressor(**tiny).fit(X, energies)
    message = r"chgnet_7 and 12 more; X has none.*PotentialFeatures\('chgnet', keep_crystals=True\)"
    with pytest.raises(ValueError, match=message):
        est.predict(cifs)


@pytest.mark.parametrize("as_items", [False, True])
def test_a_missing_number_is_a_crystal_that_cannot_be_read(cifs, energies, tiny, as_items):
    crystals = list(CrystalGraphTransformer().transform(cifs)) if as_items else cifs
    X = pd.DataFrame({"crystal": pd.Series(crystals, dtype=object), "T": np.arange(24.0)})
    est = CGCNNRegressor(**tiny).fit(X, energies)
    expected = est.predict(X)
    X.loc[[3, 20], "T"] = np.nan
    with pytest.raises(ValueError, match="column 'T', row 3: nan is not a finite number"):
        est.predict(X)
    est.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="2 of 24 crystals .*\n.*has no T"):
        predicted = est.predict(X)
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [3, 20]
    kept = np.isfinite(predicted)
    np.testing.assert_allclose(predicted[kept], expected[kept], rtol=1e-5, atol=1e-6)
    with pytest.warns(UserWarning, match="has no T"):
        graphs = CrystalGraphTransformer(on_error="nan").transform(X)
    whole = CrystalGraphTransformer().transform(cifs)
    for row in (2, 4, 19, 23):
        np.testing.assert_array_equal(graphs[row].distances, whole[row].distances)
        np.testing.assert_array_equal(graphs[row].site_classes, whole[row].site_classes)
    assert graphs.n_sites[[3, 20]].tolist() == [0, 0]
    with pytest.warns(UserWarning, match="has no T"):
        est.fit(X, energies)


@pytest.mark.parametrize(
    "numbers", [pd.array([1, None, 2], dtype="Int64"), pl.Series([1.0, None, 2.0])]
)
def test_numbers_that_other_libraries_call_missing(cifs, numbers):
    frame = pl.DataFrame if isinstance(numbers, pl.Series) else pd.DataFrame
    X = frame({"crystal": cifs[:3], "T": numbers})
    with pytest.raises(ValueError, match="column 'T', row 1"):
        CrystalGraphTransformer().transform(X)
    with pytest.warns(UserWarning, match="has no T"):
        graphs = CrystalGraphTransformer(on_error="nan").transform(X)
    assert np.flatnonzero(graphs.n_sites == 0).tolist() == [1]
    with pytest.warns(UserWarning, match="has no T"):
        none = CrystalGraphTransformer(on_error="nan").transform(X[1:2])
    assert none.n_sites.tolist() == [0]


def test_units_of_the_numbers(cifs, energies):
    """A frame tells them in `attrs`; the same numbers in another unit are refused."""
    X = pd.DataFrame({"crystal": cifs, "T": np.arange(len(cifs), dtype=float)})
    X.attrs["units"] = {"T": "K"}
    est = CGCNNRegressor(max_epochs=1, atom_fea_len=8, init_from=None, random_state=0)
    est.fit(X, energies)
    assert est.graph_options_.global_units == ("K",)
    expected = est.predict(X)
    X.attrs["units"] = {"T": "°C"}
    with pytest.raises(ValueError, match="was fitted with T in K; X has T in °C"):
        est.predict(X)
    graphs = est.get_transformer().transform(X.drop(columns="T"))
    for units in ((), [""], ["K"]):  # unknown ones are taken for those of the fit
        same = graphs.with_global_features(X[["T"]], ["T"], units)
        np.testing.assert_allclose(est.predict(same), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="units has 2 entries for 1 names"):
        graphs.with_global_features(X[["T"]], ["T"], ["K", "K"])
