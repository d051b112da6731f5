"""What is kept in model files and told of them, and where what is refused begins."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import save_checkpoint
from models import safetensors_header
from safetensors.torch import save

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import GraphOptions
from skcgcnn.modelfiles import (
    SHIPPED,
    ModelState,
    Provenance,
    TrainingState,
    check_version,
    describe_model,
    find_model,
    read_model_file,
    rename_targets,
    write_checkpoint,
)
from skcgcnn.modelfiles._json import from_plain, to_plain
from skcgcnn.tasks import Number


@pytest.fixture(scope="module")
def est(graphs, energies):
    from conftest import TINY

    return CGCNNRegressor(**TINY, recipe="paper").fit(graphs, energies)


@pytest.fixture
def edited(est, tmp_path):
    """Return a function that edits what a saved model says of itself."""
    path = tmp_path / "model.safetensors"
    est.save(path)
    data = path.read_bytes()

    def edit(change):
        def apply(header):
            content = json.loads(header["__metadata__"]["skcgcnn"])
            change(content)
            header["__metadata__"]["skcgcnn"] = json.dumps(content)
            return header

        path.write_bytes(safetensors_header(data, apply))
        return path

    return edit


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_model_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)[len(f"{path}: ") :]


def test_a_description_of_all_that_a_file_tells(graphs, Y, tiny, tmp_path):
    hot = graphs.with_global_features(np.tile([[300.0, 1.0]], (24, 1)), ["T", "p"], ["K", ""])
    est = CGCNNMultiTask(**tiny).fit(hot, Y)
    path = tmp_path / "model.safetensors"
    est.save(path, targets=["gap", "metal"], units=["eV", ""], metrics={"test MAE": 0.1234567})
    n_weights = sum(tensor.numel() for tensor in read_model_file(path).weights.values())
    assert describe_model(path) == {
        "file": str(path),
        "size": f"{path.stat().st_size / 1e6:.2f} MB",
        "kind": "skcgcnn model",
        "version": f"skcgcnn {skcgcnn.__version__}",
        "estimator": "CGCNNMultiTask",
        "task": "regression and classification",
        "target 1": "gap (eV)",
        "target 2": "metal, classes 0, 1",
        "needs beside each crystal": "T (K), p",
        "trained on": "24 crystals",
        "epochs": "2",
        "started from": "scratch",
        "test MAE": "0.123457",
        "network": "conv=gated, pooling=mean, atom_fea_len=8, n_conv=1, h_fea_len=8, n_h=1, "
        "radius=8.0, max_num_nbr=12, neighbor_ties=invariant",
        "weights": str(n_weights),
    }


def test_a_description_of_an_official_file(est, tmp_path):
    path = tmp_path / "band.gap.pth.tar"
    est.save(path, layout="cgcnn")
    facts = describe_model(path)
    assert {name: facts.get(name) for name in ("kind", "task", "target", "epochs", "version")} == {
        "kind": "CGCNN weights",
        "task": "regression",
        "target": "band, unit not recorded",
        "epochs": "2",
        "version": None,
    }
    assert "official" not in facts
    assert "started from" not in facts
    pickled = tmp_path / "m.joblib"
    pickled.write_bytes(b"x" * 20_000)
    assert describe_model(pickled) == {
        "file": str(pickled),
        "size": "0.02 MB",
        "kind": "an estimator in a pickle: its content cannot be read without running it",
    }


def test_what_stands_in_an_official_file(est, graphs, energies, tmp_path):
    path = tmp_path / "gap.pth.tar"
    est.save(path, layout="cgcnn")
    content = torch.load(path, weights_only=True)
    assert set(content) == {"epoch", "state_dict", "best_mae_error", "normalizer", "args"}
    assert content["epoch"] == 2
    assert np.isnan(content["best_mae_error"])
    (target,) = est.targets_
    assert content["normalizer"] == {"mean": target.mean, "std": target.scale}
    assert content["args"] == {
        "task": "regression", "neighbor_ties": "invariant", "atom_fea_len": 8, "n_conv": 1,
        "h_fea_len": 8, "n_h": 1, "train_size": 24,
    }  # fmt: skip
    # The original's own files tell neither ties nor classes, and None of a share.
    own = {n: v for n, v in content["args"].items() if n != "neighbor_ties"}
    torch.save({**content, "args": {**own, "train_size": None}, "best_mae_error": 0.25}, path)
    state = read_model_file(path)
    assert state.graph_options == GraphOptions(
        12, 92, radius=8.0, neighbor_ties="official",
        atom_features=est.graph_options_.atom_features,
    )  # fmt: skip
    assert state.provenance == Provenance(
        "CGCNN weights", n_epochs=2, metrics={"validation MAE": 0.25}
    )
    assert (state.targets[0].name, state.y_ndim, state.training) == ("gap", 1, None)
    labels = np.arange(24) % 2
    kinds = CGCNNClassifier(
        recipe="paper", atom_fea_len=8, n_conv=1, h_fea_len=8, max_epochs=1, random_state=0
    ).fit(graphs, labels + 5)
    kinds.save(path, layout="cgcnn")
    content = torch.load(path, weights_only=True)
    assert content["args"]["classes"] == [5, 6]
    del content["args"]["classes"]
    torch.save({**content, "best_mae_error": 0.75}, path)
    state = read_model_file(path)
    assert state.targets[0].classes.tolist() == [0, 1]
    assert state.provenance.metrics == {"validation ROC AUC": 0.75}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_estimators": 2}, "the original CGCNN has one network, not an ensemble; leave layout"),
        ({"pooling": "sum"}, "pooling='sum', but the original CGCNN has pooling='mean' alone; fit"),
        ({"composition_baseline": True}, "composition_baseline=True, but the original CGCNN has c"),
        ({"net_params": {"element_embedding": True}}, "element_embedding=True, but the original"),
    ],
)
def test_what_the_original_code_cannot_have(params, message, graphs, energies, tmp_path):
    sizes = {"atom_fea_len": 8, "n_conv": 1, "h_fea_len": 8, "max_epochs": 1, "random_state": 0}
    est = CGCNNRegressor(recipe="paper", **sizes, **params).fit(graphs, energies)
    with pytest.raises(ValueError, match=message):
        est.save(tmp_path / "m.pth.tar", layout="cgcnn")
    assert not list(tmp_path.iterdir())


def test_numbers_beside_crystals_are_not_for_the_original_code(graphs, energies, tmp_path):
    hot = graphs.with_global_features(np.linspace(0, 1, 24)[:, None], ["T"])
    est = CGCNNRegressor(recipe="paper", n_conv=1, max_epochs=1, random_state=0).fit(hot, energies)
    with pytest.raises(ValueError, match=r"global_features=\('T',\), but the original CGCNN has"):
        est.save(tmp_path / "m.pth.tar", layout="cgcnn")


# Each on both sides of what is refused.
@pytest.mark.parametrize(
    ("within", "beyond", "message"),
    [
        (lambda c: c.update(y_ndim=2), lambda c: c.update(y_ndim=0), "y_ndim=0 with 1 targets"),
        (
            lambda c: c["params"].update(radius=8.19),
            lambda c: c["params"].update(radius=8.21),
            "size mismatch: radius=8.21, but the network has 8.0",
        ),
        (
            lambda c: c["params"].update(radius=7.81),
            lambda c: c["params"].update(radius=7.79),
            "size mismatch: radius=7.79, but the network has 8.0",
        ),
        (
            lambda c: c["params"].update(init_from="li-vacancy"),
            lambda c: c["params"].update(init_from="li-vacancy.pth"),
            "init_from of a file may be the name of a pretrained model alone",
        ),
        (
            lambda c: c["params"].update(callbacks=[]),
            lambda c: c["params"].update(callbacks=["x"]),
            "a file has no callbacks",
        ),
        (
            lambda c: c["params"].update(atom_features={"dict": [[z, [1.0]] for z in range(200)]}),
            lambda c: c["params"].update(atom_features={"dict": [[z, [1.0]] for z in range(201)]}),
            "atom_features of a file may be a table of elements alone",
        ),
        (
            None,
            lambda c: c["params"].update(atom_features={"dict": [[1, 1.0]]}),
            "atom_features: expected a list of numbers for every element",
        ),
        (
            lambda c: c["params"].update(net_params={"dict": [["optimizer__nesterov", True]]}),
            lambda c: c["params"].update(net_params={"dict": [["module__seed", 1]]}),
            "net_params of a file may not hold 'module__seed'",
        ),
        (
            lambda c: c["params"].update(lr=0.5),
            lambda c: c["params"].update(recipe="none"),
            "recipe='none'",
        ),
        (
            lambda c: c.update(auto={"dict": [["conv", "gated"]]}),
            lambda c: c.update(auto={"dict": [["conv", "auto"]]}),
            'a value of a fit is "auto"',
        ),
        (
            None,
            lambda c: c["targets"][0].update(
                kind="classification", classes={"dtype": "int64", "values": [0, 1]}
            ),
            "a CGCNNRegressor with targets of classification",
        ),
        (
            None,
            lambda c: c.update(targets=[]),
            "0 targets",
        ),
        (
            None,
            lambda c: c["network"].update(conv=1),
            "conv=1",
        ),
        (
            None,
            lambda c: c["network"].update(radius=True),
            "radius=True",
        ),
        (
            None,
            lambda c: c["network"].update(radius=0),
            "radius=0 Å is out of range",
        ),
        (
            None,
            lambda c: c["network"].update(h_fea_len=100_001),
            "h_fea_len=100001",
        ),
        (
            None,
            lambda c: c["network"].update(n_h=-1),
            "n_h=-1",
        ),
        (
            lambda c: c["network"].update(heads=[1]),
            lambda c: c["network"].update(heads=[100_001]),
            "heads=100001",
        ),
        (
            None,
            lambda c: c["graph_options"].update(n_features=100_001),
            "n_features=100001",
        ),
    ],
)  # fmt: skip
def test_where_what_is_refused_begins(edited, within, beyond, message):
    # What was changed is noticed, but by nothing before.
    if within is not None:
        assert refusal(edited(within)).startswith("is damaged")
    told = refusal(edited(beyond))
    assert told.startswith("not a model of CGCNN or skcgcnn (")
    assert message in told


def test_files_that_are_not_as_they_were_written(edited, est, tmp_path):
    path = edited(lambda c: None)
    header = safetensors_header(path.read_bytes(), lambda h: h)
    path.write_bytes(header)
    damaged = "is damaged, or of another version: it is not as it was written"
    assert read_model_file(path).estimator == "CGCNNRegressor"

    def without_digest(header):
        del header["__metadata__"]["blake2b"]
        return header

    path.write_bytes(safetensors_header(header, without_digest))
    assert refusal(path) == damaged
    for text, told in (("[]", "a safetensors file, but no model of skcgcnn"), ("{}", "version")):
        path.write_bytes(save({"a": torch.zeros(1)}, metadata={"skcgcnn": text}))
        assert told in refusal(path)
    missing = tmp_path / "missing"
    assert refusal(missing) == "no such file"
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path / "folder") == "is a folder, not a model file"
    inside = tmp_path / "folder" / "model.safetensors"
    inside.write_bytes(b"x")
    told = f"is a folder, not a model file; did you mean {inside}?"
    assert refusal(tmp_path / "folder") == told


@pytest.mark.parametrize(("n", "is_read"), [(100_000, False), (100_001, True)])
def test_tensors_that_are_too_many(n, is_read, tmp_path):
    path = tmp_path / "m.safetensors"
    one = save({"a": torch.zeros(1)}, metadata={"skcgcnn": "[]"})
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    names = {f"t{i}": empty for i in range(n - 1)}
    path.write_bytes(safetensors_header(one, lambda header: names | header))
    assert (f"holds {n} tensors, more than any model has" in refusal(path)) == is_read


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.a", "2.a"], None),
        (["2.a"], r"networks with the numbers [0, 2]"),
        (["1.a", "3.a"], r"networks with the numbers [0, 1, 3]"),
    ],
)
def test_networks_of_an_ensemble_that_are_left_out(est, tmp_path, names, message):
    path = tmp_path / "m.pth.tar"
    save_checkpoint(est, path)
    content = torch.load(path, weights_only=True)
    content["state_dict"] |= {name: torch.zeros(1) for name in names}
    torch.save(content, path)
    told = refusal(path)
    assert told.startswith("not a model of CGCNN or skcgcnn (ValueError(")
    assert ("weights missing" if message is None else message) in told


@pytest.mark.parametrize(
    ("version", "is_newer"), [("0.0.1", False), ("0.99", False), ("1.0", True)]
)
def test_versions(version, is_newer):
    assert skcgcnn.__version__.startswith("0.")
    if not is_newer:
        check_version(version, "the file")
        return
    told = f"the file was written by skcgcnn 1.0, this is {skcgcnn.__version__}; update skcgcnn"
    with pytest.raises(DataError) as caught:
        check_version(version, "the file")
    assert str(caught.value) == told


def test_models_by_path_and_by_name(tmp_path, monkeypatch):
    assert find_model("li-vacancy") == SHIPPED["li-vacancy"]
    monkeypatch.chdir(tmp_path)
    assert find_model(tmp_path) == tmp_path  # what reads it says that it is a folder
    Path("li-vacancy").mkdir()
    assert find_model("li-vacancy") == SHIPPED["li-vacancy"]
    Path("li-vacancy").rmdir()
    Path("li-vacancy").write_text("x")
    assert find_model("li-vacancy") == Path("li-vacancy")
    for name in ("", " "):
        with pytest.raises(
            DataError, match=f"^'{name}' names no model; expected a path, or one of"
        ):
            find_model(name)
    told = r"^nothing: no such file, and none of the pretrained models: chgnet-distilled, li-vac"
    with pytest.raises(DataError, match=told):
        find_model("nothing")


def test_targets_with_other_names_and_units():
    targets = (Number("gap", "eV", mean=2.0), Number("moment"))
    for given, expected in (
        ((["a", "b"],), [("a", "eV", 2.0), ("b", "", 0.0)]),
        ((None, ["meV", "mu"]), [("gap", "meV", 2.0), ("moment", "mu", 0.0)]),
        ((None,), [("gap", "eV", 2.0), ("moment", "", 0.0)]),
    ):
        renamed = rename_targets(targets, *given)
        assert [(each.name, each.unit, each.mean) for each in renamed] == expected
    (alone,) = rename_targets(targets[:1], "x", "y")
    assert (alone.name, alone.unit) == ("x", "y")
    for what, given in (("targets", (["a"], None)), ("units", (None, "eV"))):
        with pytest.raises(ValueError, match=f"{what} has [12] entries; the model has 2"):
            rename_targets(targets, *given)


def test_plain_values_of_every_kind(tmp_path):
    assert to_plain(np.float64(0.5)) == 0.5
    assert type(to_plain(np.int32(3))) is int
    assert to_plain(tmp_path) == str(tmp_path)
    assert to_plain(np.array([[1, 2]])) == {"dtype": "int64", "values": [[1, 2]]}
    assert from_plain({"dtype": "<U1", "values": []}).dtype.kind == "U"
    # Twenty levels; the values of an array are two below it.
    deep = to_plain(np.array([1.5]))
    for _ in range(18):
        deep = [deep]
    found = from_plain(deep)
    for _ in range(18):
        (found,) = found
    np.testing.assert_array_equal(found, [1.5])
    with pytest.raises(ValueError, match="too many times"):
        from_plain([deep])
    for value, message in (
        ({"dtype": "int64", "values": [[1, 2]]}, "an array holds more than numbers and texts"),
        ({"dtype": "M8[s]", "values": []}, r"arrays of 'M8\[s\]' are not read"),
        ({"dtype": "int641", "values": []}, "arrays of 'int641' are not read"),
        ({"dict": [[[1], 2]]}, "a key is neither a number nor a text"),
        ({"dict": [], "tuple": []}, r"unknown value with the keys \['dict', 'tuple'\]"),
        ({"dtype": "f8", "values": [], "x": 1}, "unknown value with the keys"),
        ({"tuple": [], "x": 1}, "unknown value with the keys"),
    ):
        with pytest.raises(ValueError, match=message):
            from_plain(value)
    for key in (None, True, 1, 0.5, "a"):
        assert from_plain({"dict": [[key, 1]]}) == {key: 1}
    texts = from_plain({"dtype": "<U3", "values": ["a", 1, None]})
    assert texts.tolist() == ["a", "1", "None"]
    assert from_plain({"dtype": "|b1", "values": [True]}).dtype == bool


def test_states_are_told_apart_and_do_not_change():
    plain = {"params": {}, "targets": (), "y_ndim": 1, "network": {}, "weights": {}}
    state = ModelState("x", graph_options=None, provenance=Provenance("x"), **plain)
    for one in (state, TrainingState({}, 1, {})):
        assert len({one, replace(one)}) == 2
    with pytest.raises(AttributeError):
        state.y_ndim = 2
    assert Provenance("x") == Provenance("x", None, 0, 0, None, None, {}, ())
    assert (state.training, state.more_weights, state.auto) == (None, (), {})


def test_reading_a_model_leaves_random_numbers_alone(est, tmp_path):
    est.save(tmp_path / "model.safetensors")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    skcgcnn.load(tmp_path / "model.safetensors")
    assert torch.equal(torch.rand(2), expected)


def test_sizes_of_a_search_over_numpy_s_numbers(graphs, energies, tmp_path):
    """As `GridSearchCV(est, {"n_conv": np.arange(1, 3)})` sets them."""
    sizes = {"n_conv": 1, "atom_fea_len": 8, "h_fea_len": 8, "n_h": 1}
    for kind in (np.int8, np.int64):
        numbers = {name: kind(size) for name, size in sizes.items()}
        est = CGCNNRegressor(recipe="paper", max_epochs=1, random_state=0, **numbers)
        est.fit(graphs, energies)
        for name, layout in (("m.safetensors", "full"), ("m.pth.tar", "cgcnn")):
            est.save(tmp_path / name, **({} if layout == "full" else {"layout": layout}))
            found = skcgcnn.load(tmp_path / name).predict(graphs)
            np.testing.assert_allclose(found, est.predict(graphs), rtol=1e-6)


def test_a_checkpoint_keeps_what_callbacks_noted(est, tmp_path):
    state = est._get_model_state(training=True)
    noted = [{**row, "score": np.float32(0.25), "n": np.int64(3)} for row in est.history_]
    known = replace(state.provenance, history=noted)
    write_checkpoint(replace(state, provenance=known), tmp_path / "checkpoint.pth.tar")
    read = read_model_file(tmp_path / "checkpoint.pth.tar").provenance.history
    assert [(row["score"], row["n"]) for row in read] == [(0.25, 3)] * len(noted)
