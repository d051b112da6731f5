"""Fits that start from a model of many targets: chgnet-distilled."""

import numpy as np
import pytest
import skorch
import torch
from pymatgen.core import Lattice, Structure
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_classification, load_sample_regression
from skcgcnn.estimators._head_start import first_to_choose, goes_to_end
from skcgcnn.modelfiles import SHIPPED, describe_model
from skcgcnn.training import Settings, train

MODEL = "chgnet-distilled"
# Steps too small to tell.
STILL = {"lr": 1e-30, "max_epochs": 1, "weight_decay": 0.0, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    bunch, metals = load_sample_regression(), load_sample_classification().target
    rows = np.random.default_rng(0).permutation(len(bunch.target))[:80]
    graphs = CrystalGraphTransformer().transform([bunch.data[i] for i in rows])
    return graphs[:60], bunch.target[rows][:60], metals[rows][:60], graphs[60:]


@pytest.fixture(scope="module")
def embeddings(data):
    model = CGCNNRegressor.from_pretrained(MODEL)
    return model.transform(data[0]), model.transform(data[3])


def test_embeddings_without_a_fit(embeddings):
    model = CGCNNRegressor.from_pretrained(MODEL)
    n_features = 128 + len(model.targets_)
    assert embeddings[0].shape == (60, n_features) == (60, len(model.get_feature_names_out()))
    assert model.target_names_[:2] == ["energy", "moment"]
    assert SHIPPED[MODEL].stat().st_size < 1e6


def test_numbers_start_as_a_ridge_regression_on_the_embeddings(data, embeddings):
    graphs, y, _, others = data
    penalties = np.logspace(0, 4, 13)
    ridge = make_pipeline(StandardScaler(), RidgeCV(penalties)).fit(embeddings[0], y)
    est = CGCNNRegressor(init_from=MODEL, **STILL).fit(graphs, y)
    np.testing.assert_allclose(est.predict(others), ridge.predict(embeddings[1]), atol=2e-3)


def test_classes_start_as_a_logistic_regression(data, embeddings):
    graphs, _, metals, others = data
    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    expected = logistic.fit(embeddings[0], metals).predict_proba(embeddings[1])
    est = CGCNNClassifier(init_from=MODEL, **STILL).fit(graphs, metals)
    np.testing.assert_allclose(est.predict_proba(others), expected, atol=5e-3)
    three = np.arange(60) % 3
    expected = logistic.fit(embeddings[0], three).predict_proba(embeddings[1])
    est = CGCNNClassifier(init_from=MODEL, **STILL).fit(graphs, three)
    np.testing.assert_allclose(est.predict_proba(others), expected, atol=5e-3)


def test_missing_targets_are_left_out(data, embeddings):
    graphs, y, metals, others = data
    Y = np.column_stack([y, metals]).astype(float)
    Y[::3, 0] = np.nan
    Y[1::3, 1] = np.nan
    est = CGCNNMultiTask(init_from=MODEL, **STILL).fit(graphs, Y)
    known = ~np.isnan(Y[:, 0])
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 13)))
    guessed = ridge.fit(embeddings[0][known], y[known]).predict(embeddings[1])
    # The scale of the features is that of all crystals, which matters to the penalty alone.
    np.testing.assert_allclose(est.predict(others)[:, 0].astype(float), guessed, atol=0.5)


def test_a_fit_is_short_and_keeps_the_batch_statistics(data):
    graphs, y, _, others = data
    est = CGCNNRegressor(init_from=MODEL, random_state=0).fit(graphs, y)
    assert (est.n_iter_, est.fitted_params_["dropout"], est.fitted_params_["lr"]) == (40, 0, 1e-3)
    source = CGCNNRegressor.from_pretrained(MODEL).module_.head.norm
    assert torch.equal(est.module_.head.norm.running_mean, source.running_mean)
    assert est.transform(others).shape == (20, 128)
    given = CGCNNRegressor(init_from=MODEL, max_epochs=2, dropout=0.2, batch_size=7).fit(graphs, y)
    assert (given.n_iter_, given.fitted_params_["batch_size"]) == (2, 7)


def test_the_start_is_worth_much(data):
    graphs, y, _, _ = data
    half = CGCNNRegressor(init_from=MODEL, random_state=0).fit(graphs[:40], y[:40])
    error = np.abs(half.predict(graphs[40:]) - y[40:]).mean()
    assert error < 0.6 * np.abs(y[40:] - y[:40].mean()).mean()


def test_saved_ensembled_and_continued(data, tmp_path):
    graphs, y, _, others = data
    several = CGCNNRegressor(init_from=MODEL, n_estimators=2, max_epochs=2, random_state=0)
    predicted, std = several.fit(graphs, y).predict(others, return_std=True)
    assert (std > 0).all()
    several.save(tmp_path / "model")
    loaded = skcgcnn.load(tmp_path / "model")
    assert loaded.init_from == MODEL
    np.testing.assert_array_equal(loaded.predict(others), predicted)
    one = CGCNNRegressor(init_from=MODEL, max_epochs=1, warm_start=True, random_state=0)
    first = one.fit(graphs, y).predict(others)
    norm = one.module_.head.norm.running_mean.clone()
    assert not np.array_equal(one.fit(graphs, y).predict(others), first)
    assert torch.equal(one.module_.head.norm.running_mean, norm)
    stopping = CGCNNRegressor(init_from=MODEL, max_epochs=2, random_state=0)
    stopping.fit(graphs, y, validation_data=(others, y[:20]))
    assert not hasattr(stopping, "start_validation_score_")


def test_where_the_head_does_not_fit_it_is_new(data):
    graphs, y, _, others = data
    for params in ({"h_fea_len": 16}, {"pooling": "sum"}):
        est = CGCNNRegressor(init_from=MODEL, max_epochs=1, random_state=0, **params)
        assert np.isfinite(est.fit(graphs, y).predict(others)).all()
    numbered = graphs.with_global_features(np.arange(60.0)[:, None], ("kelvin",))
    est = CGCNNRegressor(init_from=MODEL, max_epochs=1, random_state=0).fit(numbered, y)
    assert np.isfinite(est.predict(numbered)).all()


def test_the_recipe_of_the_paper_stays_as_it_is(data):
    graphs, y, _, _ = data
    est = CGCNNRegressor(recipe="paper", init_from=MODEL, max_epochs=1).fit(graphs, y)
    assert est.fitted_params_["lr"] == 0.01


def test_steps_are_small_where_crystals_are_alike():
    sizes = 5.64 * np.linspace(0.995, 1.005, 20)
    cubic = Lattice.cubic(1)
    one = Structure.from_spacegroup("Fm-3m", cubic, ["Na", "Cl"], [[0] * 3, [0.5] * 3])
    salt = [Structure(Lattice.cubic(a), one.species, one.frac_coords) for a in sizes]
    graphs = CrystalGraphTransformer().transform(salt)
    est = CGCNNRegressor(init_from=MODEL, random_state=0).fit(graphs[::2], sizes[::2])
    assert est.fitted_params_["lr"] < 1e-4
    assert est.net_.optimizer_.param_groups[0]["initial_lr"] == est.fitted_params_["lr"]
    error = np.abs(est.predict(graphs[1::2]) - sizes[1::2]).mean()
    assert error < 0.3 * sizes.std()
    given = CGCNNRegressor(init_from=MODEL, lr=1e-3, max_epochs=1).fit(graphs, sizes)
    assert given.fitted_params_["lr"] == 1e-3


def test_auto_is_the_general_model_where_that_fits(data, tmp_path):
    graphs, y, metals, others = data
    named = CGCNNRegressor(init_from=MODEL, max_epochs=1, random_state=0).fit(graphs, y)
    auto = CGCNNRegressor(init_from="auto", max_epochs=1, random_state=0).fit(graphs, y)
    np.testing.assert_array_equal(auto.predict(others), named.predict(others))
    assert auto.fitted_params_ == {**named.fitted_params_, "init_from": MODEL}
    assert auto._get_model_state().auto["init_from"] == MODEL
    auto.save(tmp_path / "model.safetensors")
    assert describe_model(tmp_path / "model.safetensors")["started from"] == MODEL
    small = CGCNNRegressor(n_conv=1, max_epochs=1).fit(graphs, y)
    small.save(tmp_path / "model.safetensors")
    assert describe_model(tmp_path / "model.safetensors")["started from"] == "scratch"
    loaded = skcgcnn.load(tmp_path / "model.safetensors")
    assert loaded.fitted_params_["init_from"] is None
    both = CGCNNMultiTask(init_from="auto", max_epochs=1, random_state=0)
    both.fit(graphs, np.column_stack([y, metals]))
    assert both.module_.architecture["fixed_norm"]


@pytest.mark.parametrize(
    "params",
    [
        {"recipe": "paper"},
        {"atom_fea_len": 16},
        {"pooling": "sum"},
        {"net_params": {"element_embedding": False}},
        {"net_params": {"heads": "separate"}},
    ],
    ids=str,
)
def test_auto_is_none_where_something_is_not_as_usual(data, params):
    graphs, y, _, others = data
    given = {"max_epochs": 1, "random_state": 0, **params}
    auto = CGCNNRegressor(init_from="auto", **given).fit(graphs, y)
    scratch = CGCNNRegressor(**given).fit(graphs, y)
    np.testing.assert_array_equal(auto.predict(others), scratch.predict(others))


def test_where_the_median_is_better_than_a_regression_it_is_the_start(data):
    graphs, _, _, others = data
    y = np.where(np.arange(60) % 20 == 0, 5.0, 0.0) + np.linspace(0, 0.02, 60)
    est = CGCNNRegressor(init_from=MODEL, **STILL).fit(graphs, y)
    np.testing.assert_allclose(est.predict(others), np.median(y), atol=1e-4)


def test_a_start_in_double_precision(data):
    graphs, y, _, others = data
    given = {"init_from": MODEL, "max_epochs": 1, "random_state": 0}
    single = CGCNNRegressor(**given).fit(graphs, y).predict(others)
    double = (
        CGCNNRegressor(**given, net_params={"precision": "float64"}).fit(graphs, y).predict(others)
    )
    np.testing.assert_allclose(double, single, atol=2e-3)


def test_targets_of_one_value_start_from_it_too(data):
    graphs, _, _, others = data
    with pytest.warns(UserWarning, match="holds one value"):
        est = CGCNNRegressor(init_from=MODEL, max_epochs=1).fit(graphs, np.full(60, 3.0))
    np.testing.assert_allclose(est.predict(others), 3.0, atol=0.1)


def test_auto_is_none_for_other_graphs(data):
    graphs, y, _, _ = data
    numbered = graphs.with_global_features(np.arange(60.0)[:, None], ("kelvin",))
    shorter = CrystalGraphTransformer(max_num_nbr=8).transform(load_sample_regression().data[:60])
    for other in (numbered, shorter):
        est = CGCNNRegressor(init_from="auto", max_epochs=1, random_state=0).fit(other, y)
        assert not est.module_.architecture["fixed_norm"]


def test_a_file_that_is_replaced_during_a_fit_is_not_mixed(data, tmp_path, monkeypatch):
    graphs, y, _, others = data
    path = tmp_path / "model.safetensors"
    first = CGCNNRegressor(max_epochs=1, random_state=0).fit(graphs, y)
    other = CGCNNRegressor(max_epochs=1, random_state=1).fit(graphs, y)
    first.save(path)
    given = {"max_epochs": 1, "random_state": 0, "n_estimators": 2}
    expected = CGCNNRegressor(init_from=first, **given).fit(graphs, y).predict(others)

    class Replaces(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            other.save(path)

    est = CGCNNRegressor(init_from=path, callbacks=[Replaces()], **given).fit(graphs, y)
    np.testing.assert_array_equal(est.predict(others), expected)


@pytest.mark.slow
def test_a_training_that_is_resumed_keeps_the_batch_statistics(tmp_path):
    given = {"init_from": MODEL, "schedule": "constant", "batch_size": 64}
    for epochs, output in ((2, "whole"), (1, "broken")):
        settings = Settings("sample-regression", params={**given, "max_epochs": epochs})
        train(settings, tmp_path / output, progress=False, report=False)
    broken = tmp_path / "broken"
    settings = Settings("sample-regression", params={**given, "max_epochs": 2})
    checkpoint = broken / "checkpoint.pth.tar"
    train(settings, broken, resume=checkpoint, given={"data"}, progress=False, report=False)
    for name in ("test_results.csv", "metrics.json"):
        assert (broken / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_auto_is_none_for_many_crystals_that_are_alike():
    sizes = 5.64 * np.linspace(0.98, 1.02, 130)
    # Primitive cells of rock salt.
    cells = [Lattice(a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])) for a in sizes]
    salt = [Structure(cell, ["Na", "Cl"], [[0] * 3, [0.5] * 3]) for cell in cells]
    graphs = CrystalGraphTransformer().transform(salt)
    given = {"max_epochs": 1, "random_state": 0}
    many = CGCNNRegressor(**given).fit(graphs, sizes)
    assert many.fitted_params_["init_from"] is None
    scratch = CGCNNRegressor(init_from=None, **given).fit(graphs, sizes)
    np.testing.assert_array_equal(many.predict(graphs), scratch.predict(graphs))
    few = CGCNNRegressor(**given).fit(graphs[:100], sizes[:100])
    assert few.fitted_params_["init_from"] == MODEL


def test_the_median_is_that_of_the_weights(data):
    graphs, _, _, others = data
    # Nearly all of the weight is at 1, and nothing else tells.
    y = np.random.default_rng(0).choice([5.0, 6.0], 60)
    y[::4] = 1.0
    weights = np.where(y == 1.0, 1e4, 1.0)
    est = CGCNNRegressor(init_from=MODEL, **STILL).fit(graphs, y, sample_weight=weights)
    np.testing.assert_allclose(est.predict(others), 1.0, atol=0.05)


def test_many_classes_are_told_once(data, recwarn):
    graphs, *_ = data
    labels = np.arange(60) % 40
    CGCNNClassifier(init_from=MODEL, **STILL).fit(graphs, labels)
    told = [each for each in recwarn if "number of unique classes" in str(each.message)]
    assert len(told) == 1


@pytest.mark.parametrize("n_crystals", [4, 24, 40])
def test_networks_that_begin_alike_do_not_agree_on_everything(data, n_crystals):
    graphs, y, _, others = data
    est = CGCNNRegressor(n_estimators=3, max_epochs=2, random_state=0)
    est.fit(graphs[:n_crystals], y[:n_crystals])
    predicted, deviations = est.predict(others, return_std=True)
    expected = CGCNNRegressor(random_state=0).fit(graphs, y).predict(others)
    assert deviations.mean() > 0.2 * np.abs(predicted - expected).mean()
    # With 20 errors or more they are calibrated.
    assert (est.targets_[0].n_calibrated > 0) == (n_crystals >= 20)


def test_networks_that_are_all_the_same_claim_no_certainty(data):
    X, y = data[0][:2], data[1][:2]
    est = CGCNNRegressor(n_estimators=2, max_epochs=2, random_state=0)
    with pytest.warns(UserWarning, match="of 2 crystals none can be left out"):
        est.fit(X, y)
    with pytest.raises(ValueError, match="3 crystals or more"):
        est.predict(X, return_std=True)


def test_deviations_that_are_not_calibrated_say_so(data):
    X, y = data[0][:4], data[1][:4]
    est = CGCNNRegressor(n_estimators=2, max_epochs=2, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match=r"deviations of target are not calibrated.*calibrate"):
        est.predict(X, return_std=True)


def test_epochs_are_chosen_where_steps_are_small(data):
    """And early stopping goes there: before, few validation crystals choose an epoch by luck."""
    graphs, y, _, _ = data
    est = CGCNNRegressor(max_epochs=12, early_stopping=True, validation_fraction=0.5)
    with pytest.warns(UserWarning, match="only keeps 30 of 60 crystals from being learned"):
        est.set_params(random_state=0).fit(graphs, y)
    losses = est.history_[:, "valid_loss"]
    assert len(losses) == 12
    best = dict(est.net_.callbacks_)["best_epoch"]
    assert best.best_loss_ == min(losses[9:])
    own = est.set_params(init_from=None).fit(graphs, y)
    losses = own.history_[:, "valid_loss"]
    assert dict(own.net_.callbacks_)["best_epoch"].best_loss_ == min(losses)


def test_from_which_epoch_on_one_is_chosen_and_what_early_stopping_stops(data, tiny):
    graphs, y, _, _ = data
    general = CGCNNRegressor(max_epochs=1, random_state=0).fit(graphs[:20], y[:20])
    scratch = CGCNNRegressor(**tiny).fit(graphs[:20], y[:20])
    for n_epochs, first in ((1, 1), (4, 4), (8, 7), (40, 31), (300, 226)):
        assert first_to_choose(general, n_epochs) == first
        assert first_to_choose(scratch, n_epochs) == 1
    for patience, is_auto in (("auto", True), (5, False)):
        assert goes_to_end(general.set_params(n_iter_no_change=patience)) == is_auto
        assert not goes_to_end(scratch.set_params(n_iter_no_change=patience))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n_conv": 2}, "n_conv=2 is not that model's"),
        ({"numbers": True}, r"that model takes no numbers beside crystals \(T\)"),
        ({"max_num_nbr": 8}, "max_num_nbr of the graphs is not that model's"),
    ],
)
def test_a_start_from_scratch_is_told(data, change, why):
    graphs, y = data[:2]
    change = dict(change)
    if change.pop("max_num_nbr", None):
        few = load_sample_regression().data[:5]
        graphs, y = CrystalGraphTransformer(max_num_nbr=8).transform(few), y[:5]
    if change.pop("numbers", None):
        graphs = graphs.with_global_features(np.arange(60.0).reshape(-1, 1), ("T",))
    est = CGCNNRegressor(max_epochs=1, random_state=0, **change)
    with pytest.warns(UserWarning, match=f"starts from scratch and not from .*{why}"):
        est.fit(graphs, y)
    assert est.fitted_params_["init_from"] is None


@pytest.mark.parametrize("params", [{"recipe": "paper"}, {"init_from": None, "n_conv": 2}])
def test_a_start_from_scratch_that_is_meant_is_not_told(data, params, recwarn):
    CGCNNRegressor(max_epochs=1, random_state=0, **params).fit(*data[:2])
    assert not [w for w in recwarn if "from scratch" in str(w.message)]


def test_a_model_that_began_with_the_general_one_teaches_other_targets_too(data, tmp_path):
    graphs, y, _, others = data
    own = CGCNNRegressor(random_state=0).fit(graphs, y)
    own.save(tmp_path / "own.safetensors")
    for source in (own, tmp_path / "own.safetensors"):
        est = CGCNNRegressor(init_from=source, **STILL).fit(graphs, 5 - 1000 * y)
        assert est.score(graphs, 5 - 1000 * y) > 0.95
        assert np.corrcoef(est.predict(others), own.predict(others))[0, 1] < -0.95
    short = CGCNNRegressor(init_from=own)._resolved_params(graphs)["max_epochs"]
    assert short == own.fitted_params_["max_epochs"]
