"""Recipes, ensembles, and what the network consists of beside the convolutions of CGCNN."""

import pickle

import numpy as np
import pytest
import torch
from pymatgen.core import Structure
from sklearn.base import clone

import skcgcnn
from skcgcnn import RECIPES, CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn._parameter_lists import with_net_params
from skcgcnn._recipes import resolve
from skcgcnn.estimators._outputs import member_outputs
from skcgcnn.nn import one_cycle

SMALL = {"atom_fea_len": 8, "n_conv": 2, "h_fea_len": 8, "max_epochs": 3, "random_state": 0}


def test_every_auto_parameter_is_in_both_recipes():
    params = with_net_params(CGCNNRegressor().get_params())
    auto = {name for name, value in params.items() if value == "auto"}
    # Of these, the second follows from max_epochs, and the third from crystals and sizes.
    auto -= {"device", "n_iter_no_change", "init_from"}
    assert auto - {"batch_size", "max_epochs", "element_embedding"} <= set(RECIPES["default"])
    assert auto <= set(RECIPES["paper"])
    assert set(RECIPES["default"]) | set(RECIPES["paper"]) <= set(params)
    params |= {"device": "cpu", "init_from": None}
    assert "auto" not in resolve(params, 100).values()


@pytest.mark.parametrize("n_crystals", [1, 10, 60, 300, 3000, 100_000])
def test_few_crystals_get_enough_steps(n_crystals):
    found = resolve(with_net_params(CGCNNRegressor().get_params()), n_crystals)
    steps = found["max_epochs"] * -(-n_crystals // found["batch_size"])
    assert steps >= min(4800, 300 * -(-n_crystals // 32))
    assert found["element_embedding"] == (n_crystals >= 500)
    assert 60 <= found["max_epochs"] <= 300


@pytest.mark.parametrize("n_crystals", [30, 1000, 1001, 2000, 2001, 5000])
def test_fits_from_a_general_model_are_shorter_and_have_enough_steps(n_crystals):
    params = with_net_params(CGCNNRegressor(init_from=None).get_params())
    usual, found = (resolve(params, n_crystals, general=each) for each in (False, True))
    assert found["dropout"] == 0
    assert found["lr"] < usual["lr"]
    assert found["max_epochs"] < usual["max_epochs"]
    # Half the passes over few crystals, more steps over many.
    steps = found["max_epochs"] * -(-n_crystals // found["batch_size"])
    assert steps >= min(1000, 40 * -(-n_crystals // 32))


def resolved(n_crystals, general=False, **params):
    return resolve(
        with_net_params(CGCNNRegressor(**params).get_params()), n_crystals, general=general
    )


def test_batches_and_epochs_by_the_number_of_crystals():
    names = ("batch_size", "max_epochs", "n_iter_no_change", "element_embedding")
    for n, expected in {
        1: (8, 300, 100, False),
        100: (8, 300, 100, False),
        101: (32, 300, 100, False),
        499: (32, 300, 100, False),
        500: (32, 300, 100, True),
        1000: (32, 150, 50, True),
        1001: (64, 300, 100, True),
        3787: (64, 80, 27, True),
        5000: (64, 61, 21, True),
        5121: (64, 60, 20, True),
        10**6: (64, 60, 20, True),
    }.items():
        found = resolved(n, init_from=None)
        assert tuple(found[name] for name in names) == expected
    assert resolved(60, init_from=None, max_epochs=20)["n_iter_no_change"] == 10
    assert resolved(60, init_from=None, max_epochs=31)["n_iter_no_change"] == 11
    assert resolved(60, init_from=None, batch_size=60, max_epochs="auto")["max_epochs"] == 300
    assert resolved(64_000, init_from=None, batch_size=1000)["max_epochs"] == 75


def test_a_start_from_a_general_model_by_the_number_of_crystals():
    names = ("lr", "batch_size", "max_epochs", "n_iter_no_change", "dropout")
    for n, expected in {
        1: (1e-3, 32, 40, 40, 0),
        1000: (1e-3, 32, 40, 40, 0),
        1001: (2e-3, 64, 80, 80, 0),
        2000: (2e-3, 64, 80, 80, 0),
        2001: (2e-3, 64, 56, 56, 0),
    }.items():
        found = resolved(n, general=True)
        assert tuple(found[name] for name in names) == expected
    # The recipe of the paper knows no general model.
    assert resolved(60, general=True, recipe="paper")["max_epochs"] == 30


def test_weights_that_were_trained_go_on_with_small_steps():
    assert resolved(60, init_from=None)["lr"] == 0.004
    assert resolved(60, init_from="own.safetensors")["lr"] == 0.001
    assert resolved(60, init_from="own.safetensors", freeze="convs")["lr"] == 0.004
    assert resolved(60, init_from="own.safetensors", freeze=2)["lr"] == 0.001
    assert resolved(60, init_from="own.safetensors", recipe="paper")["lr"] == 0.01


def test_recipes_in_numbers():
    """The second is that of the original code."""
    assert RECIPES == {
        "default": {
            "conv": "edge", "composition_baseline": True, "dropout": 0.1, "lr": 0.004,
            "schedule": "one_cycle", "optimizer": "adamw", "weight_decay": 0.1,
            "max_grad_norm": 5.0, "loss": "mae", "ema_decay": 0.995,
        },
        "paper": {
            "conv": "gated", "composition_baseline": False, "element_embedding": False,
            "dropout": 0.0, "lr": 0.01, "schedule": "constant", "optimizer": "sgd",
            "weight_decay": 0.0, "max_grad_norm": None, "loss": "mse", "ema_decay": 0.0,
            "batch_size": 256, "max_epochs": 30,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "kind", "expected"),
    [
        ({"recipe": "paper"}, torch.optim.SGD, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0}),
        ({"init_from": None}, torch.optim.AdamW, {"lr": 0.004, "weight_decay": 0.1}),
        ({"optimizer": "adam", "lr": 0.5, "weight_decay": 0.2}, torch.optim.Adam, {
            "lr": 0.5, "weight_decay": 0.2,
        }),
        ({"optimizer": "adam"}, torch.optim.Adam, {"lr": 0.004, "weight_decay": 0}),
        ({"optimizer": "sgd"}, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0}),
        ({"optimizer": torch.optim.Adadelta}, torch.optim.Adadelta, {"weight_decay": 0}),
        ({"optimizer": torch.optim.Rprop}, torch.optim.Rprop, {"lr": 0.004}),
    ],
)  # fmt: skip
def test_optimizers(params, kind, expected, graphs, energies):
    size = {"atom_fea_len": 8, "n_conv": 1, "h_fea_len": 8, "max_epochs": 1, "random_state": 0}
    est = CGCNNRegressor(**{"init_from": None, **size, **params}).fit(graphs[:4], energies[:4])
    assert type(est.net_.optimizer_) is kind
    first = est.net_.optimizer_.param_groups[0]
    rate = {"lr": first.get("initial_lr", first["lr"])}
    assert {name: {**first, **rate}[name] for name in expected} == expected


def test_what_is_set_by_hand_stays(graphs, energies):
    est = CGCNNRegressor(recipe="paper", **SMALL, lr=0.5, batch_size=7).fit(graphs, energies)
    fitted = est.fitted_params_
    assert (fitted["lr"], fitted["batch_size"], fitted["optimizer"]) == (0.5, 7, "sgd")
    assert (est.module_.architecture["conv"], est.module_.baseline) == ("gated", None)
    assert est.optimizer == "auto"
    assert clone(est).get_params() == est.get_params()


def test_auto_stays_auto_in_files(graphs, energies, tmp_path):
    est = CGCNNRegressor(**SMALL).fit(graphs, energies)
    est.save(tmp_path / "model")
    for same in (skcgcnn.load(tmp_path / "model"), pickle.loads(pickle.dumps(est))):
        assert same.lr == same.batch_size == same.conv == "auto"
        assert same.fitted_params_ == est.fitted_params_
        np.testing.assert_array_equal(same.predict(graphs), est.predict(graphs))


def test_the_learning_rate_rises_and_falls(graphs, energies):
    from skorch.callbacks import Callback

    class See(Callback):
        seen = []  # noqa: RUF012 - copies of the callback share it

        def on_grad_computed(self, net, **kwargs):
            self.seen.append(net.optimizer_.param_groups[0]["lr"])

    params = {**SMALL, "max_epochs": 10, "batch_size": 24, "lr": 0.01, "callbacks": [See()]}
    est = CGCNNRegressor(**params).fit(graphs, energies)
    np.testing.assert_allclose(See.seen, [0.01 * one_cycle(i / 10) for i in range(10)])
    # Its end is not known to a training epoch by epoch.
    See.seen.clear()
    est.partial_fit(graphs, energies)
    assert See.seen == [0.01]


def test_few_crystals_are_learned(cifs, energies):
    est = CGCNNRegressor(max_epochs=60, random_state=0).fit(cifs[:10], energies[:10])
    assert est.score(cifs[:10], energies[:10]) > 0.95


# The reference


def test_the_composition_is_fitted_before_the_network(cifs, energies):
    graphs = skcgcnn.CrystalGraphTransformer().transform(cifs)
    with_it, without = (
        CGCNNRegressor(**{**SMALL, "lr": 1e-9}, composition_baseline=baseline).fit(graphs, energies)
        for baseline in (True, False)
    )
    assert with_it.score(graphs, energies) > without.score(graphs, energies) + 0.2


def test_the_reference_is_not_trained(graphs, energies):
    est = CGCNNRegressor(**SMALL, warm_start=True).fit(graphs, energies)
    before = est.module_.baseline.weight.clone()
    est.fit(graphs, energies)
    assert (est.module_.baseline.weight == before).all()
    assert (est.net_.module_.trained.baseline.weight == before).all()


# Learned features of elements

LEARNED = {**SMALL, "net_params": {"element_embedding": True}}


def test_elements_learn_features_of_their_own(graphs, energies, tmp_path):
    est = CGCNNRegressor(**LEARNED).fit(graphs, energies)
    elements = est.module_.embedding.elements
    kinds = {row.tobytes() for row in graphs.used_features()}
    assert {row.tobytes() for row in elements.kinds.numpy()} == kinds
    assert (elements.weight != 0).any(dim=1).all()
    est.save(tmp_path / "model")
    same = skcgcnn.load(tmp_path / "model")
    np.testing.assert_array_equal(same.predict(graphs), est.predict(graphs))
    bare = CGCNNRegressor(**SMALL, net_params={"element_embedding": False}).fit(graphs, energies)
    assert bare.module_.embedding.elements is None


def test_elements_that_were_not_there_have_the_features_of_the_table_alone(cifs, energies, nacl):
    est = CGCNNRegressor(**LEARNED).fit(cifs, energies)
    nacl.replace_species({"Na": "Pu"})
    kinds = est.get_transformer().transform([nacl]).used_features()
    learned = est.module_.embedding.elements(torch.from_numpy(kinds))
    assert sorted((learned != 0).any(dim=1).tolist()) == [False, True]
    with pytest.warns(UserWarning, match="contains Pu:"):
        assert np.isfinite(est.predict([nacl])).all()


def test_learned_features_are_taken_over(graphs, energies):
    first, more = graphs[:10], graphs
    source = CGCNNRegressor(**LEARNED).fit(first, energies[:10])
    est = CGCNNRegressor(**{**LEARNED, "lr": 1e-9}, init_from=source).fit(more, energies)
    old, new = source.module_.embedding.elements, est.module_.embedding.elements
    assert len(new.kinds) > len(old.kinds)
    torch.testing.assert_close(new.kinds[: len(old.kinds)], old.kinds)
    torch.testing.assert_close(new.weight[: len(old.kinds)], old.weight)
    assert new.weight[len(old.kinds) :].abs().max() < 1e-6
    bare = CGCNNRegressor(**SMALL, net_params={"element_embedding": False}).fit(
        first, energies[:10]
    )
    assert (
        CGCNNRegressor(**LEARNED, init_from=bare).fit(more, energies).module_.embedding.elements
        is None
    )


def test_mixed_sites_without_number(nacl):
    """Each mixed site is a kind of its own: only the most frequent get features."""
    crystals = []
    for share in np.linspace(0.1, 0.9, 230):
        crystal = nacl.copy()
        crystal.replace_species({"Na": {"Na": share, "K": 1 - share}})
        crystals.append(crystal)
    est = CGCNNRegressor(**{**LEARNED, "max_epochs": 1}).fit(crystals, np.arange(230.0))
    assert len(est.module_.embedding.elements.kinds) == 200


# Pooling


def test_a_sum_is_extensive(cifs, graphs, energies):
    totals = energies * graphs.n_sites
    cell = Structure.from_file(cifs[0])
    params = {**SMALL, "max_epochs": 20, "pooling": "sum"}
    for baseline in (True, False):
        est = CGCNNRegressor(**params, composition_baseline=baseline).fit(graphs, totals)
        one, two = est.predict([cell, cell.make_supercell([2, 1, 1], in_place=False)])
        assert two == pytest.approx(2 * one, rel=1e-5)
        assert est.score(graphs, totals) > 0.2


def test_the_scale_of_sums_obeys_weights(graphs, energies):
    """A crystal of weight 2 is like two of weight 1."""
    total, weights = energies * graphs.n_sites, 1.0 + np.arange(len(energies)) % 2
    twice = np.repeat(np.arange(len(energies)), weights.astype(int))
    params = {**SMALL, "pooling": "sum", "max_epochs": 1}
    weighted = CGCNNRegressor(**params).fit(graphs, total, sample_weight=weights)
    repeated = CGCNNRegressor(**params).fit(graphs[twice], total[twice])
    np.testing.assert_allclose(weighted.target_scale_, repeated.target_scale_)


def test_sums_are_not_for_classes(graphs, labels):
    with pytest.raises(ValueError, match='pooling="sum" is for numbers'):
        CGCNNClassifier(**SMALL, pooling="sum").fit(graphs, labels)


@pytest.mark.parametrize("pooling", ["sum", "attention"])
def test_pooling_in_files(pooling, graphs, energies, tmp_path):
    est = CGCNNRegressor(**SMALL, pooling=pooling).fit(graphs, energies)
    est.save(tmp_path / "model")
    same = skcgcnn.load(tmp_path / "model")
    assert same.pooling == pooling
    np.testing.assert_array_equal(same.predict(graphs), est.predict(graphs))


# Ensembles


@pytest.fixture(scope="module")
def ensemble(cifs, energies):
    return CGCNNRegressor(**SMALL, n_estimators=3, loss="gaussian_nll").fit(cifs, energies)


def test_an_ensemble_knows_how_sure_it_is(ensemble, cifs, energies):
    predicted, total = ensemble.predict(cifs, return_std=True)
    parts = ensemble.predict_uncertainty(cifs)
    np.testing.assert_array_equal(predicted, ensemble.predict(cifs))
    np.testing.assert_allclose(total, np.hypot(parts.aleatoric, parts.epistemic))
    assert (parts.aleatoric > 0).all()
    assert (parts.epistemic > 0).all()
    nets = [ensemble.net_, *ensemble.more_nets_]
    assert len(nets) == 3


def test_an_ensemble_predicts_the_mean(cifs, energies):
    est = CGCNNRegressor(**SMALL, n_estimators=3).fit(cifs, energies)
    outputs = member_outputs(est, cifs)[:, :, 0] * est.target_scale_ + est.target_mean_
    predicted, std = est.predict(cifs, return_std=True)
    np.testing.assert_allclose(predicted, outputs.mean(axis=0))
    np.testing.assert_allclose(std, outputs.std(axis=0))
    assert (est.predict_uncertainty(cifs).aleatoric == 0).all()


def test_an_ensemble_in_files(ensemble, cifs, tmp_path):
    ensemble.save(tmp_path / "model")
    for same in (skcgcnn.load(tmp_path / "model"), pickle.loads(pickle.dumps(ensemble))):
        for ours, theirs in zip(
            same.predict(cifs, return_std=True),
            ensemble.predict(cifs, return_std=True),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_an_ensemble_repeats_and_does_not_depend_on_workers(cifs, energies):
    first, second = (
        CGCNNRegressor(**SMALL, n_estimators=2, n_jobs=n).fit(cifs, energies).predict(cifs)
        for n in (None, 2)
    )
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_probabilities_of_an_ensemble_are_means(graphs, labels):
    est = CGCNNClassifier(**SMALL, n_estimators=2).fit(graphs, labels)
    from scipy.special import softmax

    mean = softmax(member_outputs(est, graphs), axis=2).mean(axis=0)
    np.testing.assert_allclose(est.predict_proba(graphs), mean, atol=1e-12)


def test_standard_deviations_of_several_tasks(graphs, Y):
    est = CGCNNMultiTask(**SMALL, n_estimators=2, cls_weight="auto").fit(graphs, Y)
    predicted, std = est.predict(graphs, return_std=True)
    assert predicted.shape == std.shape == Y.shape
    assert (std[:, 0] > 0).all()
    assert np.isnan(std[:, 1]).all()


def test_what_ensembles_cannot_do(ensemble, graphs, energies, tmp_path):
    single = CGCNNRegressor(**SMALL).fit(graphs, energies)
    with pytest.raises(ValueError, match="return_std needs n_estimators > 1"):
        single.predict(graphs, return_std=True)
    with pytest.raises(ValueError, match="n_estimators>1"):
        CGCNNRegressor(**SMALL, n_estimators=2).partial_fit(graphs, energies)
    with pytest.raises(ValueError, match="several networks are fitted anew each time"):
        CGCNNRegressor(**SMALL, n_estimators=2, warm_start=True).fit(graphs, energies)
    with pytest.raises(ValueError, match="the original CGCNN has"):
        single.save(tmp_path / "model", layout="cgcnn")


# Balanced tasks


def test_the_balance_of_tasks_is_learned_and_goes_on(graphs, Y, tmp_path):
    est = CGCNNMultiTask(**SMALL, cls_weight="auto", warm_start=True).fit(graphs, Y)
    scales = est.net_.criterion_.log_scales.detach().clone()
    assert (scales != 0).all()
    same = pickle.loads(pickle.dumps(est))
    assert (same.net_.criterion_.log_scales == scales).all()
    for model in (est, same):
        model.partial_fit(graphs, Y)
    np.testing.assert_array_equal(same.predict(graphs), est.predict(graphs))


def test_calibrated_deviations_hold_on_what_was_held_back(cifs, energies, tmp_path):
    X, y = cifs * 4, np.tile(energies, 4) + np.random.default_rng(0).normal(size=4 * len(cifs))
    est = CGCNNRegressor(**SMALL, loss="gaussian_nll", n_estimators=2).fit(X[:48], y[:48])
    predicted, before = est.predict(X[48:], return_std=True)
    same, after = est.calibrate(X[48:], y[48:]).predict(X[48:], return_std=True)
    np.testing.assert_array_equal(same, predicted)
    np.testing.assert_allclose(after, before * (after[0] / before[0]))
    # 34 of 48 errors: (48 + 1) * 0.68, rounded up.
    assert (np.abs(predicted - y[48:]) <= after * (1 - 5e-3)).sum() == 34
    assert est.targets_[0].calibration == "calibrated on 48 crystals"
    est.save(tmp_path / "model")
    loaded = skcgcnn.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X[48:], return_std=True)[1], after)
    with pytest.raises(ValueError, match="10 crystals have a target 'target' and a prediction; 20"):
        est.calibrate(X[:10], y[:10])
    with pytest.raises(ValueError, match="return_std needs n_estimators"):
        CGCNNRegressor(**SMALL).fit(X, y).calibrate(X, y)


def test_fine_tuning_has_a_smaller_learning_rate(graphs, energies, tmp_path):
    source = CGCNNRegressor(**SMALL).fit(graphs, energies)
    for more, lr in (({}, 0.001), ({"freeze": "convs"}, 0.004), ({"lr": 0.1}, 0.1)):
        est = CGCNNRegressor(**SMALL, init_from=source, **more).fit(graphs, energies)
        assert est.fitted_params_["lr"] == lr
        est.save(tmp_path / "model")
        assert skcgcnn.load(tmp_path / "model").fitted_params_["lr"] == lr
