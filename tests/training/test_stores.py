"""``train`` and ``predict`` on a store: what they do on the folder that it was made from."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

import skcgcnn
from skcgcnn.cli import app
from skcgcnn.datasets import SAMPLE_FOLDER
from skcgcnn.stores import open_store

WITH_REPORT = ["--epochs", 2, "--atom-fea-len", 8, "--n-conv", 1, "--h-fea-len", 8, "--quiet"]
QUICK = [*WITH_REPORT, "--no-report"]


def run(*args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)


def done(*args):
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.output


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "store"
    output = done("featurize", SAMPLE_FOLDER, "--output", folder, "--quiet")
    assert output == f"254 crystals with formation_energy, is_metal in {folder}\n"
    return folder


@pytest.fixture(scope="module")
def model(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    options = ("--task", "multi", "--target", "formation_energy", "--label", "is_metal")
    done("train", store, *options, *QUICK, "-o", folder)
    return folder / "model.safetensors"


@pytest.mark.slow
def test_a_run_is_that_of_the_folder(store, tmp_path):
    options = ("--target", "formation_energy")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "failures.csv").write_text("path,cause\n")  # of an earlier run
    done("train", store, *options, *WITH_REPORT, "-o", tmp_path / "store")
    assert not (tmp_path / "store" / "failures.csv").exists()
    assert (store / "failures.csv").exists()
    done("train", SAMPLE_FOLDER, *options, *QUICK, "-o", tmp_path / "folder")
    read = [(tmp_path / name / "test_results.csv").read_text() for name in ("store", "folder")]
    assert read[0] == read[1]
    assert "formation_energy" in (tmp_path / "store" / "report.html").read_text()
    # And goes on like any other.
    options = ("--epochs", "3", "--quiet", "--resume", tmp_path / "store" / "checkpoint.pth.tar")
    done("train", store, *options, "--no-report")
    assert len(rows(tmp_path / "store" / "history.csv")) == 3


def test_graphs_are_those_of_the_store(store, tmp_path):
    done("featurize", SAMPLE_FOLDER, "-o", tmp_path / "six", "--max-num-nbr", 6, "-q")
    args = ("--target", "formation_energy", *QUICK, "-o", tmp_path / "run")
    done("train", tmp_path / "six", *args)
    assert skcgcnn.load(tmp_path / "run" / "model.safetensors").max_num_nbr == 6
    result = run("train", store, *args, "--max-num-nbr", 6, "--overwrite")
    assert result.exit_code == 2
    assert "made with max_num_nbr=12, but this transformer has max_num_nbr=6" in result.output


def test_predictions_by_windows(store, model, tmp_path, let_into_memory):
    done("predict", model, SAMPLE_FOLDER, "-o", tmp_path / "folder.csv")
    done("predict", model, store, "-o", tmp_path / "store.csv")
    size = open_store(store).graphs.__sizeof__()
    let_into_memory(size // 9)
    done("predict", model, store, "-o", tmp_path / "windows.csv")
    expected = rows(tmp_path / "folder.csv")
    for name in ("store.csv", "windows.csv"):
        found = rows(tmp_path / name)
        assert [row["cif_id"] for row in found] == [row["cif_id"] for row in expected]
        for column in ("formation_energy_pred", "is_metal_pred", "is_metal_proba"):
            np.testing.assert_allclose(
                [float(row[column]) for row in found],
                [float(row[column]) for row in expected],
                atol=1e-5,
            )


def test_parquet(store, model, tmp_path, let_into_memory):
    parquet = pytest.importorskip("pyarrow.parquet")
    done("predict", model, store, "-o", tmp_path / "store.csv")
    let_into_memory(open_store(store).graphs.__sizeof__() // 9)
    done("predict", model, store, "-o", tmp_path / "predictions.parquet")
    file = parquet.ParquetFile(tmp_path / "predictions.parquet")
    assert file.num_row_groups >= 9
    table = file.read().to_pydict()
    expected = rows(tmp_path / "store.csv")
    assert table["cif_id"] == [row["cif_id"] for row in expected]
    np.testing.assert_allclose(
        table["formation_energy_pred"],
        [float(row["formation_energy_pred"]) for row in expected],
        rtol=1e-6,
        atol=1e-6,  # float32, in other batches
    )
    # Files of crystals as well.
    done("predict", model, SAMPLE_FOLDER, "-o", tmp_path / "folder.parquet")
    assert parquet.read_table(tmp_path / "folder.parquet").num_rows == 254


def test_reports(store, model, tmp_path):
    args = ("predict", model, store, "-o", tmp_path / "p.csv", "--report", tmp_path / "p.html")
    done(*args, "--training-data", store)
    assert "254 crystals" in (tmp_path / "p.html").read_text()


def test_training_by_windows(store, tmp_path, let_into_memory):
    size = open_store(store).graphs.__sizeof__()
    let_into_memory(size // 5, selection=size // 4)
    options = ("--target", "formation_energy", "--batch-size", "32", "--epochs", "20", "--lr")
    done("train", store, *options, "0.01", *QUICK[2:], "-o", tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["formation_energy"]["r2"] > 0.5


def test_what_goes_wrong(store, model, tmp_path):
    done("featurize", f"{SAMPLE_FOLDER}/A*.cif", "-o", tmp_path / "bare", "-q")
    for args, message in (
        (("train", tmp_path / "bare"), "bare: the store has no properties to learn"),
        (("train", store, "--target", "gap"), "store: has no column 'gap'"),
        (("predict", model, store, tmp_path), "is a store; name it alone"),
        (("predict", model, store, "-o", store / "store.json"), "predictions are written as .csv"),
        (("predict", model, store, "-o", store), "store: is a folder"),
        (("train", store, "-o", store), "store: is a store; name another folder for the results"),
        (("tune", SAMPLE_FOLDER, "-o", store), "store: is a store; name another folder"),
        (("featurize", SAMPLE_FOLDER, "-o", store), "is a complete store; choose another folder"),
        (
            ("featurize", SAMPLE_FOLDER, "-o", tmp_path / "s", "--scheduler", "tcp://a:1"),
            "--scheduler is for --backend dask or ray",
        ),
    ):
        result = run(*args)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.output.split()), result.output


def test_missing_and_infinite_values(store, tmp_path):
    with (SAMPLE_FOLDER / "id_prop.csv").open(newline="") as file:
        cif_ids = [row[0] for row in csv.reader(file)][1:41]
    lines = [
        json.dumps({"id": name, "cif": (SAMPLE_FOLDER / f"{name}.cif").read_text(), "e": value})
        for name, value in zip(cif_ids, [None, float("inf"), *range(38)], strict=True)
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    done("featurize", tmp_path / "c.jsonl", "-o", tmp_path / "store", "-q")
    failures = (tmp_path / "store" / "failures.csv").read_text()
    assert "c.jsonl: line 2,is not a line of JSON (the number Infinity is not finite)" in failures
    settings = skcgcnn.training.Settings(str(tmp_path / "store"), params={"max_epochs": 1})
    with pytest.warns(UserWarning, match="1 of 39 crystals have no e and are left out"):
        skcgcnn.training.train(settings, tmp_path / "run", progress=False, given={"data", "epochs"})


def test_parquet_with_a_crystal_that_fails(model, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "cifs"
    folder.mkdir()
    content = (SAMPLE_FOLDER / "NaCl_rocksalt.cif").read_bytes()
    for i in range(505):
        (folder / f"{i:03d}.cif").write_bytes(b"no crystal" if i == 502 else content)
    args = ("-o", tmp_path / "p.parquet", "--on-error", "nan")
    done("predict", model, folder, *args)
    table = parquet.read_table(tmp_path / "p.parquet").to_pydict()
    assert table["is_metal_pred"].count(None) == table["formation_energy_pred"].count(None) == 1


@pytest.mark.parametrize("classes", [["gap", "metal"], [3, 5], [1.0, 2.0], [False, True]], ids=str)
def test_parquet_where_the_first_crystals_fail(classes, cifs, labels, tiny, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    y = np.array(classes)[labels]
    skcgcnn.CGCNNClassifier(**tiny).fit(cifs, y).save(tmp_path / "model.safetensors")
    # More than the 500 that are read at a time.
    for number in range(501):
        (tmp_path / f"{number:03d}.cif").write_text("broken")
    broken = sorted(tmp_path.glob("*.cif"))
    args = ("-o", tmp_path / "p.parquet", "--on-error", "nan")
    done("predict", tmp_path / "model.safetensors", *broken, *cifs[:4], *args)
    table = parquet.read_table(tmp_path / "p.parquet")
    name = table.column_names[1]
    found = table.to_pydict()[name]
    assert found[:501] == [None] * 501
    assert len(found) == 505
    assert set(found[501:]) <= set(classes)
    assert type(found[501]) is type(classes[0])


@pytest.mark.parametrize("names", [("e", "e_pred"), ("cif_id", "e"), ("e", "e_std")], ids=str)
def test_targets_whose_results_would_have_one_name(names, tmp_path):
    with (SAMPLE_FOLDER / "id_prop.csv").open(newline="") as file:
        lines = list(csv.reader(file))[1:21]
    cells = [["id", *names], *([cif_id, value, value] for cif_id, value, _ in lines)]
    shutil.copytree(SAMPLE_FOLDER, tmp_path / "data")
    with (tmp_path / "data" / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(cells)
    targets = [part for name in names for part in ("--target", name)]
    result = run("train", tmp_path / "data", *targets, *QUICK, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "two columns of the results would have the name" in result.output
    assert not (tmp_path / "run").exists()


def test_a_row_of_units_is_that_of_a_store(tmp_path):
    with (SAMPLE_FOLDER / "id_prop.csv").open(newline="") as file:
        lines = [row[:2] for row in csv.reader(file)][1:31]
    shutil.copytree(SAMPLE_FOLDER, tmp_path / "data")
    for unit, factor in (("eV", 1), ("meV", 1000)):
        cells = [["id", "e"], ["", unit], *([i, factor * float(value)] for i, value in lines)]
        with (tmp_path / "data" / "id_prop.csv").open("w", newline="") as file:
            csv.writer(file).writerows(cells)
        done("featurize", tmp_path / "data", "-o", tmp_path / unit, "-q")
    assert open_store(tmp_path / "meV").units == {"e": "meV"}
    done("train", tmp_path / "eV", *QUICK, "-o", tmp_path / "run")
    model = tmp_path / "run" / "model.safetensors"
    assert skcgcnn.load(model).targets_[0].unit == "eV"
    for unit, compared in (("eV", True), ("meV", False)):
        told = " ".join(done("predict", model, tmp_path / unit, "-o", tmp_path / "p.csv").split())
        assert ("mean absolute error" in told) == compared


def test_a_target_whose_name_is_that_of_a_probability(tmp_path):
    with (SAMPLE_FOLDER / "id_prop.csv").open(newline="") as file:
        lines = list(csv.reader(file))[1:31]
    labelled = ([*row[:2], "abc"[i % 3]] for i, row in enumerate(lines))
    cells = [["id", "k_proba_a", "k"], *labelled]
    shutil.copytree(SAMPLE_FOLDER, tmp_path / "data")
    with (tmp_path / "data" / "id_prop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(cells)
    options = ("--task", "multi", *QUICK)
    result = run("train", tmp_path / "data", *options, "-o", tmp_path / "run")
    assert "the name 'k_proba_a'" in result.output
    assert not (tmp_path / "run").exists()  # before it is trained
