"""What a run and predictions write, word by word and number by number."""

import gzip
import io

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from skcgcnn.exceptions import DataError
from skcgcnn.graphs import mean_features
from skcgcnn.metrics import held_out_error
from skcgcnn.tasks import Classes, Number, Prediction
from skcgcnn.training import (
    check_ending,
    errors_of,
    join_predictions,
    refuse_inputs,
    write_prediction_chunks,
    write_predictions,
)
from skcgcnn.training._composition import predict_by_composition
from skcgcnn.training._folder import alone, refuse_results
from skcgcnn.training._journal import Journal
from skcgcnn.training._predictions import check_names

NAN = float("nan")


def message(call, *args, kind=DataError, **options):
    with pytest.raises(kind) as error:
        call(*args, **options)
    return str(error.value)


def number(values, std=None, name="e", **options):
    return Prediction(Number(name, **options), np.array(values), None, std)


def classes(values, proba, names=("gap", "metal")):
    return Prediction(Classes("k", classes=np.array(names)), np.array(values, object), proba)


def test_a_table_of_predictions(tmp_path):
    proba = np.array([[0.25, 0.75], [NAN, NAN]])
    predictions = [number([1.0, NAN], np.array([0.5, NAN])), classes(["metal", NAN], proba)]
    truth = np.array([[2, "gap"], [NAN, "=x"]], dtype=object)
    told = predictions[0].target.calibration
    expected = (
        "cif_id,e,e_pred,e_std,e_calibration,k,k_pred,k_proba,unlike_training\n"
        f"a,2,1,0.5,{told},gap,metal,0.75,True\n"
        f"'=b,,,,{told},'=x,,,\n"
    )
    unlike = np.array([True, None], dtype=object)
    out = io.StringIO()
    assert write_predictions(out, ["a", "=b"], predictions, truth, unlike=unlike) == 1
    assert out.getvalue() == expected
    for name in ("p.csv", "p.CSV.GZ"):
        n = write_predictions(tmp_path / name, ["a", "=b"], predictions, truth, unlike=unlike)
        assert n == 1
        content = (tmp_path / name).read_bytes()
        found = gzip.decompress(content) if name.endswith("GZ") else content
        assert found.decode() == expected
    assert write_predictions(io.StringIO(), [], []) == 0
    same = number([1.0], name="unlike_training")
    for target in (Number("cif_id"), Number("e")):
        two = [Prediction(target, np.ones(1)), Prediction(Number("e"), np.ones(1))]
        assert "two columns of the results would have the name" in message(
            write_predictions, io.StringIO(), ["a"], two, np.ones((1, 2))
        )
    assert write_predictions(io.StringIO(), ["a"], [same], unlike=np.array([True])) == 1
    assert message(
        write_predictions, io.StringIO(), ["a"], [same], np.ones((1, 1)), unlike=np.array([True])
    ) == ("two columns of the results would have the name 'unlike_training'; rename the target")


def test_predictions_that_come_in_chunks(tmp_path):
    chunks = ([number(values)] for values in ([0.5, NAN], [2.0], [3e-5]))
    assert write_prediction_chunks(tmp_path / "p.csv", list("abcd"), chunks) == 3
    assert (tmp_path / "p.csv").read_text() == "cif_id,e_pred\na,0.5\nb,\nc,2\nd,3e-05\n"


def test_parquet_has_types_and_what_is_missing(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    proba = np.array([[0.25, 0.75], [NAN, NAN]])
    chunks = (
        [number([one, NAN]), classes([label, NAN], proba)]
        for one, label in ((1.0, "metal"), (2.0, "gap"))
    )
    ids = ["a", "b", "c\udce9", "d"]
    assert write_prediction_chunks(tmp_path / "p.PARQUET", ids, chunks) == 2
    table = parquet.read_table(tmp_path / "p.PARQUET")
    assert table.to_pydict() == {
        "cif_id": ["a", "b", "c\\udce9", "d"],
        "e_pred": [1.0, None, 2.0, None],
        "k_pred": ["metal", None, "gap", None],
        "k_proba": [0.75, None, 0.75, None],
    }
    assert [str(field.type) for field in table.schema] == ["string", "double", "string", "double"]


@pytest.mark.parametrize(
    ("name", "plain", "refused"),
    [
        ("p.csv", False, False),
        ("p.csv.gz", False, False),
        ("p.parquet", False, False),
        ("p.txt", False, False),
        ("p.XLSX", False, True),
        ("p.csv.bz2", False, True),
        ("p.csv", True, False),
        ("p.csv.gz", True, True),
        ("p.Parquet", True, True),
        ("p.json", True, True),
    ],
)
def test_endings_of_files_of_predictions(name, plain, refused, tmp_path):
    path = tmp_path / name
    if refused:
        what = "the crystals" if plain else "predictions"
        kinds = ".csv" if plain else ".csv, .csv.gz or .parquet"
        assert message(check_ending, path, plain=plain) == f"{path}: {what} are written as {kinds}"
    else:
        check_ending(path, plain=plain)
    check_ending(io.StringIO(), plain=plain)


def test_names_of_results(tmp_path):
    check_names(["e", "f"], tmp_path)
    check_names(["e", "k_proba_z", "k"], tmp_path, "k", {"x", "y"})
    for names, label, labels, twice in (
        (["cif_id"], "", (), "cif_id"),
        (["e", "e_calibration"], "", (), "e_calibration"),
        (["e", "e_proba"], "", (), "e_proba"),
        (["k_proba_1", "k"], "k", {1.0, 2.0}, "k_proba_1"),
    ):
        assert message(check_names, names, tmp_path, label, labels) == (
            f"{tmp_path}: two columns of the results would have the name {twice!r}; rename the "
            "target"
        )


def test_errors_where_a_table_tells_the_truth():
    predictions = [
        number([1.0, 2.0, NAN], unit="eV"),
        classes(["gap", "metal", "gap"], None),
        number([1.0, 2.0, 3.0], name="other"),
    ]
    truth = {"e": np.array([1.5, 2.0, 4.0], object), "k": np.array(["gap", "gap", NAN], object)}
    found = errors_of(predictions, truth)
    assert found[0].startswith("e: mean absolute error 0.25 eV (")
    assert found[0].endswith("2 crystals)")
    assert found[1].startswith("k: accuracy 0.5 (")
    assert found[2:] == ["The model may have been trained on some of them: then this is no test."]
    assert errors_of(predictions, {}) == []
    assert errors_of(predictions[:1], {"e": np.array([NAN, NAN, 1.0], object)}) == []
    many = Classes("k", classes=np.arange(7))
    said = Prediction(many, np.zeros(3))
    with pytest.warns(UserWarning, match="not compared") as caught:
        assert errors_of([said], {"k": np.array([NAN, "x", "y"], object)}) == []
    assert str(caught[0].message) == (
        "predictions are not compared with k: the model predicts 0, 1, 2, 3, 4 and 2 more, the "
        "table holds such as 'x'"
    )


def test_predictions_of_several_parts_are_joined():
    proba = np.array([[0.5, 0.5]])
    parts = [
        [number([float(i)], np.array([i / 2])), classes(["gap"], proba if i else None)]
        for i in range(3)
    ]
    first, second = join_predictions(parts)
    assert (first.target, first.values.tolist(), first.std.tolist()) == (
        parts[0][0].target, [0, 1, 2], [0, 0.5, 1],
    )  # fmt: skip
    assert (second.values.tolist(), second.proba, first.proba) == (["gap"] * 3, None, None)
    assert join_predictions(parts[1:])[1].proba.tolist() == [[0.5, 0.5]] * 2


def test_folds_are_said_to_be_calibrated_no_better_than_the_least():
    std = np.array([0.5])
    folds = [[number([1.0], std, n_calibrated=n)] for n in (24, 0, 22)]
    assert join_predictions(folds)[0].target.calibration == "not calibrated"
    assert join_predictions(folds[::2])[0].target.calibration == "calibrated on 22 crystals"


@pytest.mark.parametrize("kind", ["numbers", "texts", "integers"])
def test_what_the_composition_tells(kind, graphs, energies, labels):
    y = {"numbers": energies, "integers": labels.astype(object)}.get(kind)
    y = np.array(["gap", "metal"], object)[labels] if y is None else y
    trained = y[:16].astype(object)
    trained[[2, 5]] = NAN
    known = np.delete(np.arange(16), [2, 5])
    target = Number("e") if kind == "numbers" else Classes("k", classes=np.unique(y))
    found = predict_by_composition(graphs[:16], trained, graphs[16:], target)
    own = ExtraTreesRegressor if kind == "numbers" else ExtraTreesClassifier
    mean, std = (energies[known].mean(), energies[known].std()) if kind == "numbers" else (0, 1)
    learned = (y[known] - mean) / std if kind == "numbers" else y[known].tolist()
    trees = own(200, random_state=0).fit(mean_features(graphs[known]), learned)
    expected = trees.predict(mean_features(graphs[16:]))
    if kind == "numbers":
        np.testing.assert_allclose(found, mean + std * expected)
    else:
        assert found.tolist() == expected.tolist()
    nothing = np.full(16, NAN, object)
    assert predict_by_composition(graphs[:16], nothing, graphs[16:], target) is None
    assert predict_by_composition(graphs[:16], trained, graphs[:0], target) is None


@pytest.mark.parametrize(("unit", "start"), [(1.6e-19, 0.0), (1e30, 0.0), (1.0, 1e9)])
def test_the_composition_tells_the_same_in_any_unit(unit, start, graphs, energies):
    usual, other = (
        predict_by_composition(graphs[:16], y[:16], graphs[16:], Number("e"))
        for y in (energies, unit * energies + start)
    )
    # Which of two splits that part the crystals alike is taken, rounding decides.
    np.testing.assert_allclose((other - start) / unit, usual, atol=0.2)


def test_threads_do_not_decide_what_the_composition_tells(graphs, energies):
    found = {
        predict_by_composition(
            graphs[:16], energies[:16], graphs[16:], Number("e"), n_jobs
        ).tobytes()
        for n_jobs in (None, 2, 3, 4, 5)
    }
    assert len(found) == 1


def test_no_more_than_twenty_thousand_crystals_tell_of_the_composition(graphs, monkeypatch):
    fitted = []
    fit = ExtraTreesRegressor.fit
    monkeypatch.setattr(
        ExtraTreesRegressor, "fit", lambda *args: fitted.append(args[1:]) or fit(*args)
    )
    monkeypatch.setattr("skcgcnn.training._composition._TREES", 1)
    for n in (20_000, 20_001):
        X = graphs[np.arange(n) % 4]
        predict_by_composition(X, np.arange(n, dtype=float), graphs[:4], Number("e"))
    (_, all_), (some_X, some) = fitted
    # They are scaled: 20,000 whole numbers of 20,001.
    all_, some = (np.rint((y - y[0]) / np.diff(y).min()) for y in (all_, some))
    assert all_.tolist() == [*range(20_000)]
    assert len(set(some)) == 20_000
    assert (np.diff(some) > 0).all()
    np.testing.assert_array_equal(some_X, mean_features(graphs[:4])[some.astype(int) % 4])


def test_a_folder_of_results_is_for_one_run(tmp_path):
    outer, inner = tmp_path / "new", tmp_path / "new" / "inner"
    with alone(inner):
        assert inner.is_dir()
        with alone(inner / ".." / "inner"):  # a part of the same run
            (inner / "kept").touch()
    assert (inner / "kept").exists()
    with alone(outer / "empty" / "one"):
        pass
    assert [path.name for path in outer.iterdir()] == ["inner"]
    with pytest.raises(KeyError), alone(outer / "again"):
        raise KeyError
    assert not (outer / "again").exists()


def test_results_of_an_earlier_run_are_refused(tmp_path):
    refuse_results(tmp_path, ["a", "b"])
    (tmp_path / "b").touch()
    (tmp_path / "c").touch()
    refuse_results(tmp_path, ["a"])
    assert message(refuse_results, tmp_path, ["a", "b", "c"]) == (
        f"{tmp_path} holds the results of an earlier run (b); choose another folder with --output, "
        "replace them with --overwrite, or continue with --resume"
    )


def test_outputs_that_would_replace_inputs(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("model", "data/id_prop.csv", "data/a.cif", "other"):
        (tmp_path / name).touch()
    model, data = tmp_path / "model", tmp_path / "data"
    (tmp_path / "link").symlink_to(model)
    inputs = [str(model), data / "a.cif"]
    for output in (tmp_path / "other", tmp_path / "none", data / "b.csv"):
        refuse_inputs(output, inputs)
    for output in (model, tmp_path / "link", data / "a.cif", data / "id_prop.csv"):
        assert message(refuse_inputs, output, inputs) == (
            f"{output}: is read, and would be replaced; choose another file"
        )
    assert "would be replaced" in message(refuse_inputs, data / "id_prop.csv", [data])
    refuse_inputs(data / "a.cif", [data])
    assert message(refuse_inputs, data, inputs) == (
        f"{data}: is a folder; name a file for the results"
    )
    missing = tmp_path / "none" / "p.csv"
    assert message(refuse_inputs, missing, inputs) == f"{missing}: its folder does not exist"
    (tmp_path / "store").mkdir()
    for name in ("store.json", "x.csv"):
        (tmp_path / "store" / name).touch()
    assert "would be replaced" in message(
        refuse_inputs, tmp_path / "store" / "x.csv", [tmp_path / "store"]
    )


def test_a_journal_has_whole_lines(tmp_path):
    pytest.importorskip("optuna")
    file = tmp_path / "tune.log"
    journal = Journal(file)
    journal.append_logs([{"op": 1}, {"op": 2}])
    content = file.read_bytes()
    assert [each["op"] for each in journal.read_logs(0)] == [1, 2]
    assert [each["op"] for each in journal.read_logs(1)] == [2]
    for half, kept in ((b'{"op"', content), (b"", content)):
        file.write_bytes(content + half)
        assert [each["op"] for each in Journal(file).read_logs(0)] == [1, 2]
        assert file.read_bytes() == kept
    file.write_bytes(b"half")
    assert [*Journal(file).read_logs(0)] == []
    assert file.read_bytes() == b""
    journal = Journal(file)
    journal.append_logs([{"op": 1}])
    with pytest.raises(TypeError):
        journal.append_logs([{"op": 2}, {"op": object()}])
    assert [each["op"] for each in Journal(file).read_logs(0)] == [1]


def test_an_error_of_the_folds_is_that_of_all_crystals():
    said = number([1.0, 2.0, 4.0])
    error = held_out_error(np.array([1.5, 2.0, 3.0]), said, np.array([0.0, 1.0, 5.0]), n_folds=3)
    assert error.value == pytest.approx(0.5)
    assert error.simple == pytest.approx((1.5 + 1 + 2) / 3)
    assert (error.n_crystals, error.n_folds) == (3, 3)
