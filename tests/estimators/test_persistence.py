"""Estimators as files: pickle, safe files, skops."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import describe_model
from skcgcnn.modelfiles._json import from_plain, to_plain

KINDS = [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask]


@pytest.fixture(params=KINDS)
def fitted(request):
    return request.getfixturevalue(f"fitted_{request.param.__name__.removeprefix('CGCNN').lower()}")


@pytest.mark.slow
def test_a_fresh_process_predicts_the_same(
    fitted_regressor, fitted_classifier, fitted_multitask, graphs, tmp_path
):
    # All in one process: imports take most of the time.
    estimators = [fitted_regressor, fitted_classifier, fitted_multitask]
    joblib.dump((estimators, graphs), tmp_path / "models.joblib")
    with (tmp_path / "models.pkl").open("wb") as file:
        pickle.dump(estimators, file)
    for i, est in enumerate(estimators):
        est.save(tmp_path / f"{i}.safetensors")
    joblib.dump([est.predict(graphs) for est in estimators], tmp_path / "expected.joblib")
    code = (
        "import joblib, numpy as np, pickle\n"
        "others = pickle.load(open('models.pkl', 'rb'))\n"
        "estimators, graphs = joblib.load('models.joblib')\n"
        "import skcgcnn\n"
        "safe = [skcgcnn.load(f'{i}.safetensors', device='cpu') for i in range(3)]\n"
        "for models in (estimators, others, safe):\n"
        "    for est, expected in zip(models, joblib.load('expected.joblib'), strict=True):\n"
        "        np.testing.assert_array_equal(est.predict(graphs), expected)\n"
    )
    root = os.path.dirname(os.path.dirname(skcgcnn.__file__))  # noqa: PTH120 - the tested package
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


def test_pickles_are_small(graphs, energies):
    est = CGCNNRegressor(max_epochs=2, device="cpu", random_state=0).fit(graphs, energies)
    weights = sum(tensor.nbytes for tensor in est.module_.state_dict().values())
    assert len(pickle.dumps(est)) < weights + 20_000
    # A training that can go on needs the weights that are trained, and two moments of each.
    est.set_params(warm_start=True)
    assert len(pickle.dumps(est)) > 3.5 * weights


def test_warm_start_goes_on_to_the_bit_after_a_pickle(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny, warm_start=True).fit(graphs, energies)
    again = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(
        again.fit(graphs, energies).predict(graphs), est.fit(graphs, energies).predict(graphs)
    )
    assert again.n_iter_ == 4
    assert again.history_[:, "train_loss"] == est.history_[:, "train_loss"]


def test_partial_fit_goes_on_to_the_bit_after_a_pickle(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny).partial_fit(graphs, energies)
    for again in (pickle.loads(pickle.dumps(est)), copy.deepcopy(est)):
        np.testing.assert_array_equal(
            again.partial_fit(graphs, energies).predict(graphs),
            copy.deepcopy(est).partial_fit(graphs, energies).predict(graphs),
        )
    expected = est.partial_fit(graphs, energies).predict(graphs)
    np.testing.assert_array_equal(again.predict(graphs), expected)
    # A fit has an end: its optimizer stays behind.
    assert len(pickle.dumps(est.fit(graphs, energies))) < len(pickle.dumps(again))


def test_what_was_on_a_gpu_loads_without_one(fitted, graphs, tmp_path, monkeypatch):
    expected = fitted.predict(graphs)
    fitted = copy.deepcopy(fitted).set_params(device="cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    data = pickle.dumps(fitted)
    with pytest.warns(UserWarning, match="torch sees no such device: it goes to the CPU"):
        est = pickle.loads(data)
    np.testing.assert_array_equal(est.predict(graphs), expected)
    assert est.device == "cuda"
    fitted.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        skcgcnn.load(tmp_path / "model.safetensors").predict(graphs), expected
    )


def test_newer_major_versions_are_refused(fitted):
    def written_by(version):
        data = pickle.dumps(fitted, protocol=2)  # without frames, whose lengths would change
        ours, theirs = (
            b"X" + len(text).to_bytes(4, "little") + text.encode()
            for text in (skcgcnn.__version__, version)
        )
        assert data.count(ours) == 1
        return data.replace(ours, theirs)

    same, newer = written_by("0.999.0"), written_by("1000.1")
    assert pickle.loads(same).n_iter_ == 2
    with pytest.raises(DataError, match=r"written by skcgcnn 1000\.1, this is .*; update"):
        pickle.loads(newer)


def test_unfitted_estimators_pickle():
    est = pickle.loads(pickle.dumps(CGCNNRegressor(lr=0.5)))
    assert est.lr == 0.5
    assert not hasattr(est, "net_")


def test_save_and_load(fitted, graphs, tmp_path):
    path = tmp_path / "model.safetensors"
    names = ["a", "b"][: len(fitted.target_mean_)]
    fitted.save(path, targets=names, units=["eV", ""][: len(names)], metrics={"MAE": 0.5})
    est = skcgcnn.load(path, device="cpu")
    assert type(est) is type(fitted)
    assert est.get_params() == fitted.get_params()
    np.testing.assert_array_equal(est.predict(graphs), fitted.predict(graphs))
    if hasattr(fitted, "classes_"):
        np.testing.assert_array_equal(est.predict_proba(graphs), fitted.predict_proba(graphs))
    assert skcgcnn.load(path).target_names_ == names
    again = type(fitted).from_pretrained(path, device="cpu")
    np.testing.assert_array_equal(again.predict(graphs), fitted.predict(graphs))
    facts = describe_model(path)
    assert facts["trained on"] == "24 crystals"
    assert facts["MAE"] == "0.5"
    assert "a (eV)" in str(facts)


def test_save_needs_a_fit_and_matching_names(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**tiny)
    with pytest.raises(NotFittedError):
        est.save(tmp_path / "model")
    est.fit(graphs, energies)
    with pytest.raises(ValueError, match="targets has 2 entries; the model has 1"):
        est.save(tmp_path / "model", targets=["a", "b"])
    with pytest.raises(ValueError, match="units has 2 entries; the model has 1"):
        est.save(tmp_path / "model", units=["a", "b"])
    assert not list(tmp_path.iterdir())


def test_other_units_and_equal_names_in_a_file(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**tiny).fit(graphs, pd.Series(energies, name="E (eV)"))
    with pytest.warns(UserWarning, match=r"'E \(eV\)' was fitted in eV, but units says 'meV'.*not"):
        est.save(tmp_path / "model", units="meV")
    with warnings.catch_warnings(action="error"):
        est.save(tmp_path / "model", targets="E", units="e V")
    est.fit(graphs, np.column_stack([energies, energies]))
    with pytest.raises(ValueError, match="targets has 'E' several times"):
        est.save(tmp_path / "model", targets=["E", "E"])


def test_save_names_what_it_leaves_out(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**{**tiny, "random_state": np.random.RandomState(0)})
    est.fit(graphs, energies)
    with pytest.warns(UserWarning, match=r"left out of the file.*: random_state$"):
        est.save(tmp_path / "model")
    assert skcgcnn.load(tmp_path / "model").random_state is None


def test_saved_models_hold_their_element_features(tiny, cifs, energies, tmp_path):
    file = tmp_path / "atom_init.json"
    file.write_text(str({str(z): [z / 100, 1.0] for z in range(1, 101)}).replace("'", '"'))
    est = CGCNNRegressor(**tiny, atom_features=file).fit(cifs, energies)
    est.save(tmp_path / "model")
    expected = est.predict(cifs)
    file.unlink()
    np.testing.assert_array_equal(skcgcnn.load(tmp_path / "model").predict(cifs), expected)


def test_class_weights_and_double_precision_survive(tiny, graphs, labels, tmp_path):
    tiny["net_params"] = {"precision": "float64"}
    est = CGCNNClassifier(**tiny, class_weight={0: 1.0, 1: 2.5})
    est.fit(graphs, labels).save(tmp_path / "model")
    again = skcgcnn.load(tmp_path / "model", device="cpu")
    assert again.class_weight == {0: 1.0, 1: 2.5}
    np.testing.assert_array_equal(again.predict_proba(graphs), est.predict_proba(graphs))


def test_skops(fitted, graphs, tmp_path):
    skops = pytest.importorskip("skops.io")
    skops.dump(fitted, tmp_path / "model.skops")
    unknown = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert all(name.startswith("skcgcnn.") for name in unknown)
    est = skops.load(tmp_path / "model.skops", trusted=unknown)
    np.testing.assert_array_equal(est.predict(graphs), fitted.predict(graphs))


def test_pipelines_pickle(tiny, cifs, energies):
    pipe = make_pipeline(CrystalGraphTransformer(), CGCNNRegressor(**tiny)).fit(cifs, energies)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(pipe)).predict(cifs), pipe.predict(cifs)
    )


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.5, "a", [1, [2]], (1, (2,)), {1: "a", "b": (2,)}, {"dtype": "x"}],
    ids=str,
)
def test_plain_values_come_back(value):
    again = from_plain(to_plain(value))
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("value", [np.arange(3), np.array(["a", "b"]), np.array([None, 1], object)])
def test_arrays_come_back(value):
    again = from_plain(to_plain(value))
    np.testing.assert_array_equal(again, value)
    assert again.dtype == value.dtype


def test_what_is_not_plain():
    for value in (object(), print, {1: object()}):
        with pytest.raises(TypeError, match="not a plain value"):
            to_plain(value)
    for value in ({}, {"dtype": 1, "values": []}, {"call": "x"}):
        with pytest.raises(ValueError, match="unknown value"):
            from_plain(value)


@pytest.mark.parametrize("make", [list, tuple, np.array])
def test_features_of_any_container_come_back(tiny, cifs, energies, tmp_path, make):
    table = {z: make([z / 100, 1.0]) for z in range(1, 101)}
    est = CGCNNRegressor(**tiny, atom_features=table).fit(cifs, energies)
    est.save(tmp_path / "model")
    np.testing.assert_allclose(skcgcnn.load(tmp_path / "model").predict(cifs), est.predict(cifs))


def test_net_params_that_a_file_may_not_set_are_left_out(tiny, graphs, energies, tmp_path):
    params = {"optimizer__amsgrad": True, "callbacks__print_log": None}
    est = CGCNNRegressor(**{**tiny, "net_params": params}).fit(graphs, energies)
    with pytest.warns(UserWarning, match=r"left out of the file.*net_params\['callbacks__print"):
        est.save(tmp_path / "model")
    loaded = skcgcnn.load(tmp_path / "model")
    assert loaded.net_params == {"optimizer__amsgrad": True}
    np.testing.assert_array_equal(loaded.predict(graphs), est.predict(graphs))


def test_names_of_files(tiny, graphs, energies, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    est.save("~/model.safetensors", targets="energy", units="eV")
    assert skcgcnn.load("~/model.safetensors").targets_[0].unit == "eV"
    with pytest.raises(DataError, match="is a folder, not a model file; did you mean"):
        skcgcnn.load(tmp_path)
    with pytest.raises(ValueError, match=r"save writes a safetensors file.*or use joblib\.dump"):
        est.save(tmp_path / "model.joblib")
    with pytest.raises(ValueError, match="targets has 2 entries; the model has 1"):
        est.save(tmp_path / "model.safetensors", targets=["a", "b"])


def test_a_balance_that_was_learned(tiny, graphs, Y, tmp_path):
    est = CGCNNMultiTask(**tiny, cls_weight="auto").fit(graphs, Y)
    est.save(tmp_path / "model")
    again = skcgcnn.load(tmp_path / "model")
    assert again.cls_weight == "auto"
    np.testing.assert_array_equal(again.predict(graphs), est.predict(graphs))


def test_names_that_no_file_may_hold_are_refused_before_the_fit(tiny, graphs, energies, tmp_path):
    est = CGCNNRegressor(**tiny)
    with pytest.raises(ValueError, match="more than 1,000 characters: 'xxx"):
        est.fit(graphs, pd.Series(energies, name="x" * 1001))
    est.fit(graphs, pd.Series(energies, name="x" * 1000)).save(tmp_path / "m.safetensors")
    assert len(skcgcnn.load(tmp_path / "m.safetensors").target_names_[0]) == 1000
    for name in ("targets", "units"):
        with pytest.raises(ValueError, match="more than 1,000 characters"):
            est.save(tmp_path / "m.safetensors", **{name: "x" * 1001})
