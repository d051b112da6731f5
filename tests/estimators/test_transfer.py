"""Begin from another model, and keep layers as they are."""

import copy
import hashlib
import pickle

import numpy as np
import pytest
import torch
from checkpoints import load_checkpoint, save_checkpoint
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import _pretrained as pretrained

SIZES = {"atom_fea_len": 8, "n_conv": 2, "h_fea_len": 8}
# A network and a training without what recipes add.
PLAIN = {"weight_decay": None}


@pytest.fixture
def params(tiny):
    return {**tiny, **SIZES, **PLAIN}


@pytest.fixture
def source(params, graphs, energies):
    alone = {"random_state": 7, "composition_baseline": False}
    return CGCNNRegressor(**{**params, **alone}).fit(graphs, energies)


def weights(est, *parts):
    """Return copies of the weights and buffers that predict, of the parts named."""
    return {
        name: tensor.clone()
        for name, tensor in est.module_.state_dict().items()
        if name.startswith(parts)
    }


def assert_equal(first, second):
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def untrained(est, X, y):
    """Fit in steps too small to tell."""
    return est.set_params(
        lr=1e-30, net_params={**est.net_params, "ema_decay": 0.0}, max_epochs=1
    ).fit(X, y)


CONVS = ("embedding.", "convs.")
HIDDEN = ("head.conv_to_fc.", "head.fcs.")


@pytest.mark.parametrize("way", ["estimator", "saved", "official", "checkpoint", "name"])
def test_weights_are_taken_over(
    way, source, params, graphs, energies, Y, labels, tmp_path, monkeypatch
):
    model = source
    if way != "estimator":
        model = tmp_path / "pre-trained" / "band-gap.pth.tar"
        model.parent.mkdir()
        write = {"saved": source.save, "checkpoint": lambda file: save_checkpoint(source, file)}
        write.get(way, lambda file: source.save(file, layout="cgcnn"))(model)
    if way == "name":
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        entry = pretrained.PRETRAINED["band-gap"]._replace(sha256=digest)
        monkeypatch.setitem(pretrained.PRETRAINED, "band-gap", entry)
        monkeypatch.setenv("SKCGCNN_DATA", str(tmp_path))
        model = "band-gap"
    for kind, y in ((CGCNNRegressor, energies), (CGCNNClassifier, labels), (CGCNNMultiTask, Y)):
        est = untrained(kind(**params, init_from=model, freeze="convs"), graphs, y)
        assert_equal(weights(est, *CONVS), weights(source, *CONVS))
        assert_equal(weights(est, *HIDDEN), weights(source, *HIDDEN))
        assert est.init_from is model


def test_outputs_of_the_same_task_are_taken_over(source, params, graphs, energies, Y, labels):
    out = source.module_.head.fc_out.weight
    same = untrained(CGCNNRegressor(**params, init_from=source, freeze="convs"), graphs, energies)
    assert torch.equal(same.module_.head.fc_out.weight, out)
    np.testing.assert_array_equal(same.predict(graphs), source.predict(graphs))
    multi = untrained(CGCNNMultiTask(**params, init_from=source, freeze="convs"), graphs, Y)
    assert torch.equal(multi.module_.head.fc_out.weight[:1], out)
    assert multi.module_.head.fc_out.weight.shape == (3, 8)
    # Added to it is a classification, whatever the order of the targets.
    swapped = CGCNNMultiTask(**params, init_from=multi, tasks=("classification", "regression"))
    untrained(swapped, graphs, Y[:, ::-1])
    assert torch.equal(swapped.module_.head.fc_out.weight[2:], out)
    assert torch.equal(swapped.module_.head.fc_out.weight[:2], multi.module_.head.fc_out.weight[1:])
    classifier = untrained(CGCNNClassifier(**params, init_from=source), graphs, labels)
    assert classifier.module_.head.fc_out.weight.shape == (2, 8)


@pytest.mark.parametrize("head", [{"h_fea_len": 5}, {"n_h": 2}])
def test_head_of_another_size_is_new(head, source, params, graphs, energies):
    est = CGCNNRegressor(**{**params, **head}, init_from=source, freeze="convs")
    untrained(est, graphs, energies)
    assert_equal(weights(est, *CONVS), weights(source, *CONVS))
    new = untrained(CGCNNRegressor(**{**params, **head}), graphs, energies)
    assert_equal(weights(est, *HIDDEN, "head.fc_out."), weights(new, *HIDDEN, "head.fc_out."))


def test_targets_are_scaled_anew(source, params, graphs, energies):
    est = CGCNNRegressor(**params, init_from=source).fit(graphs, 100 * energies + 7)
    np.testing.assert_allclose(est.target_mean_, 100 * energies.mean() + 7)
    np.testing.assert_allclose(est.target_scale_, 100 * energies.std())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"atom_fea_len": 9}, "atom_fea_len is 8 there and 9 here"),
        ({"n_conv": 4}, "n_conv is 2 there and 4 here"),
        ({"n_conv": 0}, "n_conv is 2 there and 0 here"),
        ({"radius": 6.0}, r"radius is 8\.0 there and 6\.0 here"),
        ({"atom_features": {z: [float(z)] for z in range(1, 101)}}, "number of atom_features is"),
    ],
)
def test_mismatches_name_the_parameter(change, match, source, params, cifs, energies):
    est = CGCNNRegressor(**{**params, **change}, init_from=source)
    with pytest.raises(ValueError, match=match):
        est.fit(cifs, energies)
    assert not hasattr(est, "net_")


def test_architecture_is_what_must_be_the_same(source, params, graphs, Y, tmp_path):
    source.save(tmp_path / "model")
    for model in (source, tmp_path / "model"):
        est = CGCNNMultiTask(**{**params, **SIZES}, init_from=model, freeze="convs")
        assert_equal(weights(untrained(est, graphs, Y), *CONVS), weights(source, *CONVS))


def test_what_cannot_be_begun_from(params, graphs, energies, tmp_path):
    with pytest.raises(NotFittedError, match="init_from is a CGCNNRegressor that is not fitted"):
        CGCNNRegressor(**params, init_from=CGCNNRegressor()).fit(graphs, energies)
    with pytest.raises(DataError, match="nowhere: no such file"):
        CGCNNRegressor(**params, init_from="nowhere").fit(graphs, energies)
    (tmp_path / "model.joblib").touch()
    with pytest.raises(DataError, match="a pickle can run code"):
        CGCNNRegressor(**params, init_from=tmp_path / "model.joblib").fit(graphs, energies)
    with pytest.raises(ValueError, match="without init_from would keep random weights"):
        CGCNNRegressor(**params, freeze="convs").fit(graphs, energies)
    for model in (3, Ridge()):
        with pytest.raises(TypeError, match=r"init_from is a .*; expected a fitted estimator"):
            CGCNNRegressor(**params, init_from=model).fit(graphs, energies)


@pytest.mark.parametrize(
    ("freeze", "match"),
    [("all", "'freeze' parameter"), (-1, "'freeze' parameter"), (4, "freeze=4, but with n_conv=2")],
)
def test_freeze_that_cannot_be(freeze, match, source, params, graphs, energies):
    with pytest.raises(ValueError, match=match):
        CGCNNRegressor(**params, init_from=source, freeze=freeze).fit(graphs, energies)


LAYERS = ("embedding.", "convs.0.", "convs.1.")


@pytest.mark.parametrize(
    ("freeze", "n"), [("none", 0), (0, 0), (1, 1), (2, 2), (3, 3), ("convs", 3)]
)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_frozen_layers_are_equal_to_the_bit(freeze, n, optimizer, source, params, graphs, Y):
    # Weight decay moves what has no gradient, unless it is left alone altogether.
    params |= {"optimizer": optimizer, "weight_decay": 0.1}
    est = CGCNNMultiTask(**params, init_from=source, freeze=freeze, lr=0.01).fit(graphs, Y)
    for index, layer in enumerate(LAYERS):
        before, after = weights(source, layer), weights(est, layer)
        if index < n:
            assert_equal(after, before)
            assert_equal(
                {k: v for k, v in est.net_.module_.trained.state_dict().items() if k in before},
                before,
            )
        else:
            floats = [name for name in before if "num_batches" not in name]
            same = {name for name in floats if torch.equal(before[name], after[name])}
            # The normalization takes out what the bias before it adds.
            assert {name.split(".", 2)[-1] for name in same} <= {"fc_full.bias"}
    parameters = list(est.net_.module_.trained.named_parameters())
    frozen = [name for name, parameter in parameters if parameter.grad is None]
    assert frozen == [name for name, _ in parameters if name.startswith(LAYERS[:n])] * bool(n)
    assert not torch.equal(est.module_.head.fc_out.weight[:1], source.module_.head.fc_out.weight)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_frozen_through_warm_starts_and_partial_fits(precision, source, params, graphs, energies):
    params["net_params"] = {**params["net_params"], "precision": precision}
    est = CGCNNRegressor(**params, init_from=source, freeze="convs", warm_start=True, lr=0.01).fit(
        graphs, energies
    )
    before = weights(est, *CONVS)
    est.fit(graphs, energies)
    est.partial_fit(graphs, energies)
    pickle.loads(pickle.dumps(est)).partial_fit(graphs, energies)
    assert_equal(weights(est, *CONVS), before)


def test_frozen_with_early_stopping(source, params, graphs, energies):
    est = CGCNNRegressor(
        **params,
        init_from=source,
        freeze="convs",
        lr=0.01,
        early_stopping=True,
        n_iter_no_change=10,
    )
    est.fit(graphs, energies)
    assert_equal(weights(est, *CONVS), weights(source, *CONVS))


def test_freezing_later_and_letting_go_again(params, graphs, energies):
    est = CGCNNRegressor(**params, lr=0.01, warm_start=True).fit(graphs, energies)
    before, head = weights(est, *CONVS), weights(est, "head.fc_out.")
    # The average lags behind the weights that are trained; frozen is what predicts.
    est.set_params(freeze="convs").fit(graphs, energies)
    assert_equal(weights(est, *CONVS), before)
    last = "head.fc_out.weight"
    assert not torch.equal(weights(est, last)[last], head[last])
    est.set_params(freeze="none").fit(graphs, energies)
    after = weights(est, *CONVS)
    assert not torch.equal(after["convs.0.bn1.running_mean"], before["convs.0.bn1.running_mean"])
    assert not torch.equal(after["embedding.weight"], before["embedding.weight"])


def test_frozen_after_a_checkpoint(source, params, graphs, Y, tmp_path):
    est = CGCNNMultiTask(**params, init_from=source, freeze="convs").fit(graphs, Y)
    save_checkpoint(est, tmp_path / "model", {})
    again, _ = load_checkpoint(tmp_path / "model", device="cpu")
    for model in (est, again):
        model.partial_fit(graphs, Y)
    assert_equal(weights(again, ""), weights(est, ""))
    assert_equal(weights(again, *CONVS), weights(source, *CONVS))


def test_smaller_learning_rate_of_the_convolutions(source, params, graphs, energies):
    def change(**more):
        est = CGCNNRegressor(**{**params, **more}, init_from=source, optimizer="sgd")
        est.fit(graphs, energies)
        old, new = weights(source, ""), weights(est, "")
        return {
            part: (old[part] - new[part]).norm().item()
            for part in ("embedding.weight", "convs.1.fc_full.weight", "head.fc_out.weight")
        }

    full, less = change(), change(net_params={"conv_lr_factor": 0.01})
    for part in ("embedding.weight", "convs.1.fc_full.weight"):
        assert less[part] < 0.1 * full[part]
    assert less["head.fc_out.weight"] > 0.3 * full["head.fc_out.weight"]


@pytest.mark.parametrize(("factor", "rates"), [(1, {0.01}), (2, {0.01, 0.02})])
def test_learning_rates_of_the_parts(factor, rates, params, graphs, energies):
    net_params = {"schedule": "constant", "conv_lr_factor": factor}
    est = CGCNNRegressor(**{**params, "net_params": net_params, "lr": 0.01, "max_epochs": 1})
    groups = est.fit(graphs, energies).net_.optimizer_.param_groups
    assert {group["lr"] for group in groups} == rates


def test_what_a_fit_told_of_its_start_goes_with_the_next_fit(source, params, graphs, energies):
    valid = {"validation_data": (graphs, energies)}
    est = CGCNNRegressor(**{**params, "max_epochs": 1}, init_from=source)
    est.fit(graphs, energies, **valid)
    assert {"start_comparison_", "start_validation_score_"} < {*vars(est)}
    est.set_params(init_from=None).fit(graphs, energies, **valid)
    assert not {"start_comparison_", "start_validation_score_"} & {*vars(est)}


def test_the_features_of_the_elements_are_those_of_the_start(params, cifs, energies, tmp_path):
    known = {z: [z / 100, z % 7, 1.0] for z in range(1, 101)}
    start = CGCNNRegressor(**params, atom_features=known).fit(cifs, energies)
    start.save(tmp_path / "start.safetensors")
    for source in (start, tmp_path / "start.safetensors"):
        est = untrained(CGCNNRegressor(**params, init_from=source), cifs, energies)
        assert est.graph_options_.n_features == 3
        assert "atom_features" in est.fitted_params_
        assert np.isfinite(est.predict(cifs)).all()
        est.save(tmp_path / "own.safetensors")
        again = skcgcnn.load(tmp_path / "own.safetensors")
        np.testing.assert_allclose(again.predict(cifs), est.predict(cifs), rtol=1e-6)
    plain = CGCNNRegressor(**params).fit(cifs, energies)
    assert "atom_features" not in plain.fitted_params_


def test_learning_rates_of_warm_starts_and_pickles(params, graphs, energies):
    est = CGCNNRegressor(
        **{**params, "net_params": {"schedule": "constant", "conv_lr_factor": 0.1}}, warm_start=True
    ).fit(graphs, energies)
    for model in (est, pickle.loads(pickle.dumps(est)), copy.deepcopy(est)):
        model.set_params(lr=0.02).fit(graphs, energies)
        groups = [group for group in model.net_.optimizer_.param_groups if group["params"]]
        assert {group["lr"] for group in groups} == {0.02, 0.02 * 0.1}
        slow = {id(p) for group in groups if group["lr"] < 0.01 for p in group["params"]}
        for name, parameter in model.net_.module_.trained.named_parameters():
            assert (id(parameter) in slow) == name.startswith(CONVS)


def test_source_stays_as_it_is(source, params, graphs, Y):
    before, predicted = weights(source, ""), source.predict(graphs)
    CGCNNMultiTask(**params, init_from=source, lr=0.1).fit(graphs, Y)
    assert_equal(weights(source, ""), before)
    np.testing.assert_array_equal(source.predict(graphs), predicted)


def test_clone_keeps_the_model_to_begin_from(source, params, graphs, energies):
    est = CGCNNRegressor(**params, init_from=source, freeze="convs")
    copied = clone(est)
    assert copied.init_from is source
    assert copied is not est
    assert not hasattr(clone(est.fit(graphs, energies)), "net_")
    assert copied.get_params(deep=False) == est.get_params(deep=False)
    np.testing.assert_array_equal(copied.fit(graphs, energies).predict(graphs), est.predict(graphs))
    again = pickle.loads(pickle.dumps(est))
    assert_equal(weights(again.init_from, ""), weights(source, ""))


def test_an_estimator_does_not_begin_from_itself(params, graphs, energies):
    est = CGCNNRegressor(**params).fit(graphs, energies)
    with pytest.raises(ValueError, match=r"is the estimator itself.*warm_start=True"):
        est.set_params(init_from=est)
    assert "init_from=CGCNN" not in repr(est)


@pytest.mark.slow
def test_searches(source, params, graphs, energies, tmp_path):
    source.save(tmp_path / "model")
    est = CGCNNRegressor(**params, init_from=tmp_path / "model", freeze="convs")
    scores = cross_val_score(est, graphs, energies, cv=2)
    same = cross_val_score(est.set_params(init_from=source), graphs, energies, cv=2)
    np.testing.assert_array_equal(scores, same)
    grid = {"freeze": ["none", "convs", 1]}
    search = GridSearchCV(est, grid, cv=2).fit(graphs, energies)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # A search clones the values of its grid, estimators too; paths it leaves alone.
    grid = {"freeze": ["none"], "init_from": [None, tmp_path / "model"]}
    search = GridSearchCV(est, grid, cv=2).fit(graphs, energies)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_saved_models_do_not_tell_where_they_came_from(source, params, graphs, energies, tmp_path):
    source.save(tmp_path / "secret")
    est = CGCNNRegressor(**params, init_from=tmp_path / "secret").fit(graphs, energies)
    est.save(tmp_path / "model")
    assert b"secret" not in (tmp_path / "model").read_bytes()
    assert skcgcnn.load(tmp_path / "model").init_from is None


def test_a_start_that_was_better_is_a_warning(source, params, graphs, energies):
    """The validation crystals are those that the source knows."""
    est = CGCNNRegressor(**{**params, "max_epochs": 1}, init_from=source, lr=1.0)
    held_out = graphs, source.predict(graphs)
    with pytest.warns(UserWarning, match=r"target MAE 0 by init_from as it was, target MAE .*The"):
        est.fit(graphs[:8], energies[:8], validation_data=held_out)
    assert est.start_validation_score_ == pytest.approx(1)
    assert est.score(*held_out) < 1


def test_a_start_that_was_worse_is_none(source, params, graphs, energies, recwarn):
    est = CGCNNRegressor(**{**params, "max_epochs": 30}, init_from=source, lr=0.01)
    y = 100 - 50 * energies
    est.fit(graphs, y, validation_data=(graphs, y))
    assert est.start_validation_score_ < est.score(graphs, y)
    assert not recwarn


def test_a_start_with_other_targets_cannot_be_compared(source, params, graphs, labels):
    est = CGCNNClassifier(**params, init_from=source)
    est.fit(graphs, labels, validation_data=(graphs, labels))
    assert not hasattr(est, "start_validation_score_")


def test_a_start_without_a_name(graphs, energies):
    with pytest.raises(ValueError, match="'' names no model; expected a path"):
        CGCNNRegressor(init_from="").fit(graphs, energies)
