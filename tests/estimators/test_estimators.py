"""What the three estimators have in common."""

import pickle
import random
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, LRScheduler

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.exceptions import StructureError
from skcgcnn.nn import CrystalGraphConvNet


def outputs(est, X):
    return est.predict(X) if isinstance(est, CGCNNRegressor) else est.predict_proba(X)


def test_paths_and_graphs_give_the_same_fit(est, y, cifs, graphs):
    from_paths = outputs(clone(est).fit(cifs, y), cifs)
    np.testing.assert_array_equal(from_paths, outputs(est.fit(graphs, y), graphs))


def test_fitted_attributes(est, y, graphs):
    with pytest.raises(NotFittedError):
        est.predict(graphs)
    assert est.fit(graphs, y) is est
    assert est.n_iter_ == 2
    assert [set(epoch) >= {"train_loss", "dur"} for epoch in est.history_] == [True, True]
    assert isinstance(est.module_, CrystalGraphConvNet)


def test_clone_and_parameters(est):
    assert clone(est).get_params() == est.get_params()
    est.set_params(lr=0.5, n_conv=2)
    assert (est.lr, est.n_conv) == (0.5, 2)
    assert repr(est).startswith(type(est).__name__ + "(")
    with pytest.raises(TypeError, match="positional"):
        type(est)(64)


@pytest.mark.parametrize(
    "params",
    [
        {"n_conv": -1},
        {"lr": 0.0},
        {"batch_size": 0},
        {"optimizer": "lbfgs"},
        {"validation_fraction": 1.0},
        {"dropout": 1.0},
        {"on_error": "ignore"},
        {"max_epochs": 2.5},
    ],
    ids=str,
)
def test_bad_parameters_are_named(est, y, graphs, params):
    name = next(iter(params))
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {type(est).__name__}"):
        est.set_params(**params).fit(graphs, y)


def test_repeatable_to_the_bit(est, y, graphs):
    est.set_params(dropout=0.2)
    first = outputs(clone(est).fit(graphs, y), graphs)
    torch.manual_seed(99)
    np.testing.assert_array_equal(outputs(clone(est).fit(graphs, y), graphs), first)
    est.set_params(random_state=1)
    assert np.abs(outputs(est.fit(graphs, y), graphs) - first).max() > 1e-4


def test_global_random_numbers_are_left_alone(est, y, graphs):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    est.set_params(dropout=0.2, early_stopping=True, n_iter_no_change=10).fit(graphs, y).predict(
        graphs
    )
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


def test_warm_start_and_partial_fit_go_on(est, y, graphs):
    straight = outputs(clone(est).set_params(max_epochs=4).fit(graphs, y), graphs)
    warm = clone(est).set_params(warm_start=True).fit(graphs, y).fit(graphs, y)
    assert warm.n_iter_ == 4
    np.testing.assert_array_equal(outputs(warm, graphs), straight)
    for _ in range(4):
        est.partial_fit(graphs, y)
    assert est.n_iter_ == 4
    # Only a fit has an end, at which it takes the statistics anew.
    for name in ("trained", "average"):
        ours, theirs = (getattr(each.net_.module_, name).parameters() for each in (est, warm))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert est.fit(graphs, y).n_iter_ == 2  # without warm_start a fit begins anew


def test_early_stopping_keeps_the_best(est, y, graphs):
    est.set_params(early_stopping=True, max_epochs=60, lr=0.05, n_iter_no_change=3)
    est.fit(graphs, y)
    losses = est.history_[:, "valid_loss"]
    assert est.n_iter_ == len(losses) < 60
    assert len(losses) - 1 - int(np.argmin(losses)) >= 3 - 1
    best = clone(est).set_params(max_epochs=int(np.argmin(losses)) + 1).fit(graphs, y)
    np.testing.assert_array_equal(outputs(est, graphs), outputs(best, graphs))


def test_pickle_and_joblib(est, y, graphs, tmp_path):
    # test_persistence.py does it in another process.
    expected = outputs(est.fit(graphs, y), graphs)
    np.testing.assert_array_equal(outputs(pickle.loads(pickle.dumps(est)), graphs), expected)
    joblib.dump(est, tmp_path / "model.joblib")
    assert (tmp_path / "model.joblib").stat().st_size < 100_000
    joblib.dump(graphs, tmp_path / "graphs.joblib")
    again, same = (joblib.load(tmp_path / f"{name}.joblib") for name in ("model", "graphs"))
    np.testing.assert_array_equal(outputs(again, same), expected)


@pytest.mark.parametrize(
    "make", [list, tuple, np.array, pd.Series, lambda p: pd.DataFrame({"p": p})]
)
def test_containers_of_paths(tiny, cifs, energies, graphs, make):
    est = CGCNNRegressor(**tiny).fit(make(cifs), energies)
    np.testing.assert_allclose(est.predict(make(cifs)), est.predict(graphs), atol=1e-6)


def test_pipeline_and_search(est, y, cifs):
    pipeline = make_pipeline(CrystalGraphTransformer(), est)
    search = GridSearchCV(pipeline, {f"{type(est).__name__.lower()}__lr": [0.001, 0.01]}, cv=2)
    search.fit(cifs, y)
    assert search.predict(cifs).shape == np.shape(y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_search_over_cls_weight_needs_no_scoring(tiny, cifs, Y):
    search = GridSearchCV(CGCNNMultiTask(**tiny), {"cls_weight": [0.1, 0.5, 1.0]}, cv=2)
    search.fit(cifs, Y)
    assert search.best_params_["cls_weight"] in {0.1, 0.5, 1.0}
    assert search.best_estimator_.predict(cifs).shape == Y.shape


def test_cross_val_predict(tiny, graphs, energies):
    assert cross_val_predict(CGCNNRegressor(**tiny), graphs, energies, cv=3).shape == (24,)


def test_zero_weight_leaves_a_crystal_out(est, y, graphs):
    weights = np.ones(24)
    weights[[3, 7]] = 0
    kept = weights > 0
    left_out = outputs(clone(est).fit(graphs, y, sample_weight=weights), graphs)
    np.testing.assert_array_equal(left_out, outputs(est.fit(graphs[kept], y[kept]), graphs))


def test_weights_weigh(tiny, graphs, energies):
    weights = np.where(np.arange(24) == 5, 1e4, 1.0)
    est = CGCNNRegressor(**tiny, composition_baseline=False).set_params(lr=0.01, max_epochs=20)
    errors = [
        np.abs(est.fit(graphs, energies, sample_weight=w).predict(graphs) - energies)[5]
        for w in (None, weights)
    ]
    assert errors[1] < errors[0]
    assert est.target_mean_[0] == pytest.approx(np.average(energies, weights=weights))


def test_unreadable_crystals_are_left_out_and_predicted_as_nan(est, y, cifs, tmp_path, graphs):
    (tmp_path / "junk.cif").write_text("junk")
    X = [*cifs[:4], tmp_path / "junk.cif", *cifs[5:]]
    with pytest.raises(StructureError, match=r"1 of 24 crystals.*\n.*junk\.cif"):
        clone(est).fit(X, y)
    est.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="1 of 24"):
        est.fit(X, y)
    keep = np.arange(24) != 4
    expected = outputs(clone(est).fit(graphs[keep], y[keep]), graphs)
    with pytest.warns(UserWarning, match="1 of 24"):
        predicted = outputs(est, X)
    assert np.isnan(predicted[4]).all()
    # Another table of kinds rounds otherwise, and training makes more of it.
    np.testing.assert_allclose(predicted[keep], expected[keep], atol=1e-3)
    with pytest.warns(UserWarning, match="1 of 24"):
        values = np.asarray(est.predict(X), dtype=float)
    assert np.isnan(values[4]).all()
    assert not np.isnan(values[keep]).any()
    with (
        pytest.warns(UserWarning, match="1 of 1"),
        pytest.raises(ValueError, match="no crystal is left"),
    ):
        est.fit([tmp_path / "junk.cif"], y[:1])


def test_empty_x(est, y, graphs):
    with pytest.raises(ValueError, match="0 crystals"):
        est.fit([], y[:0])
    est.fit(graphs, y)
    assert est.predict([]).shape == (0, *np.shape(y)[1:])
    if hasattr(est, "predict_proba"):
        assert est.predict_proba([]).shape == (0, 2)


def test_y_must_fit_x(est, y, graphs):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        est.fit(graphs, y[:-1])
    with pytest.raises(ValueError, match="requires y to be passed"):
        est.fit(graphs, None)


def test_graphs_of_another_layout(est, y, cifs, graphs):
    est.fit(graphs, y)
    other = CrystalGraphTransformer(max_num_nbr=8).transform(cifs)
    with pytest.raises(ValueError, match=r"with max_num_nbr=8, but .* with max_num_nbr=12;"):
        est.predict(other)
    assert outputs(clone(est).fit(other, y), other).shape[0] == 24


def test_one_crystal(est, y, cifs):
    est.set_params(max_epochs=100, lr=0.05).fit(cifs[:1], y[:1])
    np.testing.assert_allclose(np.asarray(est.predict(cifs[:1]), float), y[:1], atol=0.02)


def test_one_crystal_of_one_site(est, y):
    copper = Structure(Lattice.cubic(2.5), ["Cu"], [[0, 0, 0]])
    est.set_params(max_epochs=100, lr=0.05).fit([copper], y[:1])
    np.testing.assert_allclose(np.asarray(est.predict([copper]), float), y[:1], atol=0.02)


@pytest.mark.parametrize(("n_crystals", "batch_size"), [(9, 8), (17, 16), (3, 1), (2, 64)])
def test_odd_batch_sizes(est, y, graphs, n_crystals, batch_size):
    chosen = slice(n_crystals)
    est.set_params(batch_size=batch_size).fit(graphs[chosen], y[chosen])
    assert np.isfinite(outputs(est, graphs)).all()


def test_callbacks_and_net_params(est, y, graphs):
    seen = []

    class Count(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(net.optimizer_.param_groups[0]["eps"])

    schedule = LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.1)
    est.set_params(
        callbacks=[Count(), schedule], net_params={"schedule": "constant", "optimizer__eps": 0.5}
    )
    est.fit(graphs, y)
    assert seen == [0.5, 0.5]
    assert est.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(4e-3 * 0.1**2)
    assert clone(est).get_params()["net_params"] == {"schedule": "constant", "optimizer__eps": 0.5}


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop])
def test_optimizers_learn(tiny, graphs, energies, optimizer):
    est = CGCNNRegressor(**tiny).set_params(optimizer=optimizer, max_epochs=15, lr=0.01)
    losses = est.fit(graphs, energies).history_[:, "train_loss"]
    assert losses[-1] < losses[0]


def test_silent_by_default(est, y, graphs, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.set_params(init_from=None).fit(graphs, y).predict(graphs)
    assert capfd.readouterr() == ("", "")


def test_early_stopping_needs_two_crystals(est, y, graphs):
    with pytest.raises(ValueError, match="at least 2 crystals"):
        est.set_params(early_stopping=True, n_iter_no_change=10).fit(graphs[:1], y[:1])


def test_keyboard_interrupt_gets_through(est, y, graphs, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("skcgcnn.nn.CrystalGraphConvNet.forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        est.fit(graphs, y)


def test_a_callback_can_stop_the_training(est, y, graphs):
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt  # skorch's way

    assert est.set_params(callbacks=[Stop()]).fit(graphs, y).n_iter_ == 1


def test_precision(est, y, graphs):
    found = {
        precision: outputs(
            clone(est).set_params(net_params={"precision": precision}).fit(graphs, y), graphs
        )
        for precision in ("float32", "float64", "bfloat16")
    }
    assert {predicted.dtype for predicted in found.values()} == {np.dtype("float64")}
    np.testing.assert_allclose(found["float64"], found["float32"], atol=1e-3)
    np.testing.assert_allclose(found["bfloat16"], found["float32"], atol=0.2)
    double = clone(est).set_params(net_params={"precision": "float64"}).fit(graphs, y)
    alone = [outputs(double, graphs[[i]])[0] for i in range(24)]
    np.testing.assert_allclose(alone, outputs(double, graphs), rtol=1e-11, atol=1e-11)


def test_predictions_are_those_of_the_averaged_weights(est, y, graphs):
    last = clone(est).set_params(net_params={**est.net_params, "ema_decay": 0.0})
    last = outputs(last.fit(graphs, y), graphs)
    averaged = est.fit(graphs, y)
    assert np.abs(outputs(averaged, graphs) - last).max() > 1e-6
    # The training itself is the same.
    module = averaged.net_.module_
    module.average.load_state_dict(module.trained.state_dict())
    np.testing.assert_array_equal(outputs(averaged, graphs), last)


def test_warm_start_takes_a_new_learning_rate(est, y, graphs):
    est.set_params(warm_start=True).fit(graphs, y)
    before = outputs(est, graphs)
    est.set_params(lr=1e-12, batch_size=24).fit(graphs, y)
    assert est.net_.optimizer_.param_groups[0]["lr"] == 1e-12
    assert est.history_[-1, "train_batch_count"] == 1
    # Nothing moves any more, but the average comes closer to the last weights.
    assert np.abs(outputs(est, graphs) - before).max() < 0.5


@pytest.mark.parametrize(
    ("device", "cause"),
    [("quantum", "unknown torch device"), ("cuda", "torch sees no such device")],
)
def test_device_that_is_not_there(est, y, graphs, monkeypatch, device, cause):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=cause):
        est.set_params(device=device).fit(graphs, y)


def test_partial_fit_has_nothing_to_stop(graphs, energies, tiny):
    est = CGCNNRegressor(**tiny, early_stopping=True, n_iter_no_change=10)
    with pytest.raises(
        ValueError, match="partial_fit supports neither early_stopping=True nor n_estimators>1"
    ):
        est.partial_fit(graphs, energies)


def test_a_wrong_option_of_the_optimizer_leaves_nothing_fitted(tiny, graphs, energies):
    tiny["net_params"] = {"optimizer__epsilon": 0.1}
    est = CGCNNRegressor(**tiny, warm_start=True)
    with pytest.raises(TypeError, match="epsilon"):
        est.fit(graphs, energies)
    with pytest.raises(NotFittedError):
        est.predict(graphs)
    est.set_params(net_params={"optimizer__eps": 0.1}).fit(graphs, energies)


@pytest.mark.parametrize(
    "cls", [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask, CrystalGraphTransformer]
)
def test_a_notebook_links_to_the_documentation(cls):
    page = f"https://skcgcnn.github.io/skcgcnn/generated/skcgcnn.{cls.__name__}.html"
    assert page in cls()._repr_html_()


def test_a_missing_target_is_named_by_its_row(tiny, graphs, energies):
    y = energies.copy()
    y[[5, 9]] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN, first in row 5\. Leave such rows out"):
        CGCNNRegressor(**tiny).fit(graphs, y)


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask])
def test_an_unknown_parameter_is_told_with_the_name_of_the_class(cls):
    with pytest.raises(TypeError, match=f"'epochs' for estimator {cls.__name__}; max_epochs"):
        cls(epochs=3)


def test_crystals_that_cannot_be_read_are_left_out_of_a_score(est, cifs, y, tmp_path):
    (tmp_path / "bad.cif").write_text("data_x\n")
    est.set_params(on_error="nan").fit(cifs, y)
    with pytest.warns(UserWarning, match="1 of 25 crystals could not be read: the score is that"):
        score = est.score([tmp_path / "bad.cif", *cifs], np.concatenate([y[:1], y]))
    assert score == est.score(cifs, y)
    with (
        pytest.warns(UserWarning, match="1 of 1"),
        pytest.raises(ValueError, match="no crystal of X could be read"),
    ):
        est.score([tmp_path / "bad.cif"], y[:1])


@pytest.mark.parametrize("cls", [CGCNNRegressor, CGCNNMultiTask])
def test_targets_in_another_order_are_refused(cls, tiny, graphs, Y):
    frame = pd.DataFrame(Y, columns=["energy", "metal"])
    est = cls(**tiny, loss="gaussian_nll").partial_fit(graphs, frame)
    swapped = frame[["metal", "energy"]]
    for use in (est.score, est.calibrate, est.partial_fit):
        with pytest.raises(ValueError, match=r"columns metal, energy, but .* were energy, metal"):
            use(graphs, swapped)
    assert est.score(graphs, frame) == est.score(graphs, Y)
