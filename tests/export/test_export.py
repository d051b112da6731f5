"""Programs that predict without the library give its predictions, for batches of any size."""

import io
import json
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, __version__
from skcgcnn.export import PredictingNetwork, export_onnx, export_program
from skcgcnn.nn import GraphBatch

CASES = {
    "default": (CGCNNRegressor, {}),
    "paper": (CGCNNRegressor, {"recipe": "paper"}),
    "sum": (CGCNNRegressor, {"n_conv": 1, "pooling": "sum"}),
    "attention": (CGCNNClassifier, {"n_conv": 1, "pooling": "attention", "n_h": 2}),
    "several": (CGCNNRegressor, {"n_conv": 1, "loss": "gaussian_nll", "n_estimators": 2}),
    "multi": (
        CGCNNMultiTask,
        {"n_conv": 1, "net_params": {"heads": "separate", "element_embedding": True}},
    ),
}


def expected(est, graphs):
    """Return what an estimator predicts, in the columns of its program."""
    if isinstance(est, CGCNNClassifier):
        return est.predict_proba(graphs)
    values = est.predict(graphs)
    if isinstance(est, CGCNNRegressor):
        return values[:, np.newaxis]
    return np.column_stack([values[:, 0], est.predict_proba(graphs)])


QUICK = ("paper", "multi")
ALL = [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in CASES]


@pytest.fixture(scope="module", params=ALL, ids=str)
def fitted(request, graphs, Y):
    cls, params = CASES[request.param]
    y = Y[:, 0] if cls is CGCNNRegressor else Y[:, 1]
    y = Y if cls is CGCNNMultiTask else y
    return cls(**params, max_epochs=1, random_state=0).fit(graphs, y)


@pytest.mark.slow
def test_an_exported_program_predicts_batches_of_other_sizes(fitted, graphs):
    file = io.BytesIO()
    torch.export.save(export_program(fitted), file)
    program = torch.export.load(io.BytesIO(file.getvalue())).module()
    for some in (graphs[-1:], graphs[:2], graphs):
        found = program(*GraphBatch.from_graphs(some).tensors()).numpy()
        np.testing.assert_allclose(found, expected(fitted, some), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "fitted",
    [
        pytest.param("paper", marks=pytest.mark.slow),
        "sum",
        pytest.param("multi", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_onnx_runtime_predicts_the_same(fitted, graphs, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    with warnings.catch_warnings(action="error"):
        export_onnx(fitted, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["graph_options"])["max_num_nbr"] == 12
    for some in (graphs[-1:], graphs):
        batch = GraphBatch.from_graphs(some)._asdict()
        feed = {one.name: batch[one.name].numpy() for one in session.get_inputs()}
        (found,) = session.run(["prediction"], feed)
        assert found.shape[1] == len(json.loads(facts["columns"]))
        np.testing.assert_allclose(found, expected(fitted, some), rtol=1e-5, atol=1e-5)


def test_onnx_keeps_the_digits_of_numbers_far_from_zero(graphs, energies, tmp_path, capfd):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    est = CGCNNRegressor(n_conv=1, max_epochs=1, random_state=0).fit(graphs, energies + 1e9)
    capfd.readouterr()
    with warnings.catch_warnings(action="error"):
        export_onnx(est, tmp_path / "model.onnx")
    assert capfd.readouterr().out == ""
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_modelmeta().custom_metadata_map == {
        "columns": '["target"]',
        "graph_options": json.dumps(vars(est.graph_options_)),
        "skcgcnn": __version__,
    }
    # Without numbers beside the crystals.
    assert [one.name for one in session.get_inputs()] == [*GraphBatch._fields[:-1]]
    assert [one.name for one in session.get_outputs()] == ["prediction"]
    batch = GraphBatch.from_graphs(graphs)._asdict()
    feed = {one.name: batch[one.name].numpy() for one in session.get_inputs()}
    (found,) = session.run(["prediction"], feed)
    np.testing.assert_allclose(found[:, 0], est.predict(graphs), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_onnx_runtime_opens_a_gated_network_of_float64(graphs, energies, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    est = CGCNNRegressor(
        conv="gated", n_conv=1, init_from=None, net_params={"precision": "float64"}, max_epochs=1
    ).fit(graphs, energies)
    export_onnx(est, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    tensors = GraphBatch.from_graphs(graphs, dtype=torch.float64).tensors()
    feed = {one.name: each.numpy() for one, each in zip(session.get_inputs(), tensors, strict=True)}
    np.testing.assert_allclose(session.run(None, feed)[0][:, 0], est.predict(graphs), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "scale"), [(1e-9, 1e-10), (0.3, 1.000004)])
def test_onnx_rounds_no_mean_and_no_scale(graphs, energies, tmp_path, mean, scale):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    y = mean + scale * (energies - energies.mean()) / energies.std()
    est = CGCNNRegressor(n_conv=1, max_epochs=1, random_state=0).fit(graphs, y)
    export_onnx(est, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    tensors = GraphBatch.from_graphs(graphs).tensors()
    inputs = {
        i.name: tensor.numpy() for i, tensor in zip(session.get_inputs(), tensors, strict=True)
    }
    (predicted,) = session.run(None, inputs)
    np.testing.assert_allclose(predicted[:, 0], est.predict(graphs), rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("factor", [1e-46, 1e-90])
def test_onnx_of_targets_that_are_too_small_is_refused(graphs, energies, tmp_path, factor):
    pytest.importorskip("onnxscript")
    est = CGCNNRegressor(n_conv=1, max_epochs=1, random_state=0).fit(graphs, energies * factor)
    with pytest.raises(ValueError, match="y is too small for ONNX"):
        export_onnx(est, tmp_path / "model.onnx")


def test_numbers_beside_crystals_go_with_the_batch(graphs, Y):
    hot = graphs.with_global_features(np.linspace(0, 1, len(graphs))[:, None], ["T"])
    est = CGCNNRegressor(max_epochs=1, random_state=0).fit(hot, Y[:, 0])
    found = export_program(est).module()(*GraphBatch.from_graphs(hot).tensors())
    np.testing.assert_allclose(found.numpy()[:, 0], est.predict(hot), rtol=1e-6, atol=1e-6)


def test_numbers_far_from_zero_keep_their_digits(graphs, energies):
    y = -5000 + 50 * energies
    est = CGCNNRegressor(max_epochs=1, random_state=0).fit(graphs, y)
    found = PredictingNetwork(est)(*GraphBatch.from_graphs(graphs).tensors())
    np.testing.assert_allclose(found.numpy()[:, 0], est.predict(graphs), rtol=0, atol=1e-4)


def test_columns_tell_what_they_are(graphs, Y):
    est = CGCNNMultiTask(max_epochs=1).fit(graphs, Y)
    assert PredictingNetwork(est).columns == ("y0", "y1=0", "y1=1")


def test_what_is_not_fitted_is_not_exported(tmp_path):
    path = tmp_path / "model.onnx"
    for export in (PredictingNetwork, export_program, lambda est: export_onnx(est, path)):
        with pytest.raises(NotFittedError):
            export(CGCNNRegressor())
    assert not path.exists()


def test_a_batch_needs_crystals_that_could_be_read(graphs):
    with pytest.raises(ValueError, match="at least one crystal"):
        GraphBatch.from_graphs(graphs[:0])


def test_precisions(graphs, energies):
    est = CGCNNRegressor(net_params={"precision": "float64"}, max_epochs=1, random_state=0).fit(
        graphs, energies
    )
    batch = GraphBatch.from_graphs(graphs)  # of float32
    with torch.no_grad():
        found = PredictingNetwork(est)(*batch.tensors())[:, 0]
    np.testing.assert_allclose(found, est.predict(graphs), rtol=1e-9)
    # A program takes tensors of the types that it was traced with.
    example = PredictingNetwork(est).example()
    assert {each.dtype for each in example} == {torch.float64, torch.int32}
    assert all(len(each) > 1 for each in example)


def test_a_batch_of_something_else(cifs, graphs):
    for other in (cifs, graphs[0]):
        with pytest.raises(TypeError, match="pass CrystalGraphs, for example"):
            GraphBatch.from_graphs(other)


def test_columns_stand_side_by_side_crystal_by_crystal(graphs, Y):
    """Of several numbers, and of a number and a label."""
    both = np.column_stack([Y[:, 0], -3 * Y[:, 0]])
    for est, y in ((CGCNNRegressor(max_epochs=1), both), (CGCNNMultiTask(max_epochs=1), Y)):
        est.set_params(random_state=0, n_estimators=2).fit(graphs, y)
        with torch.no_grad():
            found = PredictingNetwork(est)(*GraphBatch.from_graphs(graphs[:5]).tensors()).numpy()
        values = est.predict(graphs[:5])
        if y is Y:
            values = np.column_stack([values[:, 0], est.predict_proba(graphs[:5])])
        np.testing.assert_allclose(found, values.astype(float), rtol=1e-5, atol=1e-5)


def test_what_is_missing_for_onnx_is_named(graphs, energies, tmp_path, monkeypatch):
    est = CGCNNRegressor(max_epochs=1, random_state=0).fit(graphs, energies)
    for package in ("onnx", "onnxscript"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(ImportError, match=r"export_onnx needs onnx.*skcgcnn\[onnx\]"):
                export_onnx(est, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
