"""What a run is asked for and takes from its table: settings, columns, units; what is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from skcgcnn import CrystalGraphTransformer
from skcgcnn.datasets import SAMPLE_FOLDER
from skcgcnn.exceptions import DataError
from skcgcnn.stores import featurize
from skcgcnn.training import Settings, default_of, option_of, run_parameters
from skcgcnn.training._data import load_run_data


def test_the_arguments_that_give_these_settings():
    settings = Settings(
        "d",
        "multi",
        ("e", "my gap"),
        "k",
        ("eV",),
        ("T",),
        train_ratio=0.5,
        folds=3,
        split="elements",
        params={"lr": 0.01, "net_params": {"schedule": "constant"}, "freeze": None, "n_conv": 2},
    )
    assert " ".join(settings.typed()) == (
        "d --task multi --target e --target 'my gap' --label k --unit eV --global-feature T "
        "--train-ratio 0.5 --folds 3 --split elements --lr 0.01 --n-conv 2"
    )
    assert Settings("d").typed() == ["d"]
    assert Settings("d", features="chgnet", val_ratio=0.1).typed() == ["d", "--features", "chgnet"]


def test_options_as_a_report_shows_them():
    settings = Settings("d", target=("e", "f"), params={"lr": 0.01, "n_conv": 2, "radius": 7.0})
    found = settings.described({"lr": 0.02, "max_epochs": 40, "n_conv": 2, "dropout": 0.1})
    assert {name: found[name] for name in ("data", "--task", "--target", "--label", "--unit")} == {
        "data": "d",
        "--task": "regression",
        "--target": "e, f",
        "--label": "not given",
        "--unit": "not given",
    }
    assert {name: found.get(name) for name in ("--folds", "--features", "--split")} == {
        "--folds": "0",
        "--features": "not given",
        "--split": "random",
    }
    assert (found["--lr"], found["--n-conv"], found["--radius"]) == ("0.02", "2", "7.0")
    assert (found["--max-epochs"], found["--dropout"]) == ("auto (40)", "auto (0.1)")
    assert "--weight-decay" not in found
    assert "params" not in found
    assert "--params" not in found


@pytest.mark.parametrize(
    ("given", "ratios", "expected"),
    [
        (None, (0.5, 0.1, 0.1), (0.5, 0.1, 0.1)),
        ((), (0.8, 0.1, 0.1), (0.8, 0.1, 0.1)),
        (("train_ratio",), (0.5, 0.1, 0.1), (0.5, 0.25, 0.25)),
        (("test_ratio",), (0.8, 0.1, 0.28), (0.64, 0.08, 0.28)),
        (("train_ratio", "val_ratio"), (0.5, 0.2, 0.1), (0.5, 0.2, 0.3)),
        (("train_ratio", "val_ratio", "test_ratio"), (0.5, 0.2, 0.1), (0.5, 0.2, 0.1)),
        (("train_ratio", "val_ratio"), (0.9, 0.3, 0.1), (0.9, 0.3, 0.0)),
    ],
)
def test_ratios_share_what_is_left(given, ratios, expected):
    settings = Settings("d", train_ratio=ratios[0], val_ratio=ratios[1], test_ratio=ratios[2])
    found = settings.with_ratios(given).ratios()
    assert list(found) == ["train", "val", "test"]
    assert tuple(found.values()) == pytest.approx(expected)


def test_parameters_of_the_estimator():
    settings = Settings("d", params={"lr": 0.1, "schedule": "constant", "net_params": {"lr2": 1}})
    before = dict(settings.params)
    assert settings.parameters() == {
        "random_state": 0,
        "lr": 0.1,
        "net_params": {"lr2": 1, "schedule": "constant"},
    }
    assert settings.params == before
    assert Settings("d").parameters() == {"random_state": 0}
    assert Settings("d", params={"random_state": 3}).parameters() == {"random_state": 3}
    assert (Settings("d").seed, Settings("d", params={"random_state": 3}).seed) == (0, 3)
    assert Settings("d").on_error == "raise"
    assert Settings("d", params={"on_error": "nan"}).on_error == "nan"
    assert (default_of("random_state"), default_of("on_error")) == (0, "raise")
    assert option_of("max_num_nbr") == "--max-num-nbr"
    assert all(each.option for each in run_parameters().values())
    assert "net_params" not in run_parameters()


@pytest.fixture
def load(tmp_path):
    """Return what reads the data of a run from a table beside six crystals."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abcdef":
        shutil.copy(SAMPLE_FOLDER / "NaCl_rocksalt.cif", folder / f"{name}.cif")

    def read(header, *columns, task="regression", units=None, **options):
        lines = [f"id,{header}"] if header else []
        lines += [f",{units}"] if units else []
        lines += [
            ",".join([name, *map(str, row)])
            for name, row in zip("abcdef", zip(*columns, strict=True), strict=True)
        ]
        (folder / "id_prop.csv").write_text("\n".join(lines))
        return load_run_data(Settings(str(folder), task, **options))

    read.folder = folder
    return read


def message(call, *args, **options):
    with pytest.raises(DataError) as error:
        call(*args, **options)
    return str(error.value)


SIX = range(6)


@pytest.mark.filterwarnings("ignore:.*row of units")
def test_targets_and_their_units(load):
    data = load("e,T,k", SIX, range(10, 16), "xyxyxy", task="multi", units="eV,K,",
                target=("e",), label="k", global_feature=("T",))  # fmt: skip
    assert (data.names, data.units) == (["e", "k"], {"e": "eV", "T": "K"})
    assert data.y[:2].tolist() == [[0, "x"], [1, "y"]]
    assert data.labels.tolist() == list("xyxyxy")
    assert (data.beside.names, data.beside.columns[0].tolist()) == (["T"], [*range(10, 16)])
    assert (data.groups, data.graphs, data.potential, data.atom_features) == (None,) * 4
    assert (data.cif_ids, len(data.paths)) == (list("abcdef"), 6)
    own = load("e,f", SIX, SIX, units="eV,", target=("f", "e"), unit=("m", "meV"))
    assert (own.names, own.units) == (["f", "e"], {"f": "m", "e": "meV"})
    assert own.labels is None
    assert message(load, "e,f", SIX, SIX, target=("f",), unit=("m", "s")) == (
        "--unit is given 2 times, but there are 1 columns of numbers: f"
    )
    assert message(load, "k", "xyxyxy", task="classification", unit=("m",)) == (
        "--unit is given 1 times, but there are 0 columns of numbers: none"
    )


@pytest.mark.parametrize(
    ("cells", "labels", "kind"),
    [
        ([0.0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2], np.int64),
        (list("xyxyxy"), list("xyxyxy"), np.str_),
        ([0, 1, 0, 1, 0, 2**53], [0, 1, 0, 1, 0, 2**53], np.float64),
        ([-(2**53), 1, 0, 1, 0, 1], [-(2**53), 1, 0, 1, 0, 1], np.float64),
        ([-(2**53) + 1, 1, 0, 1, 0, 1], [-(2**53) + 1, 1, 0, 1, 0, 1], np.int64),
    ],
)
def test_classes_are_integers_or_texts(load, cells, labels, kind):
    data = load("k", cells, task="classification")
    assert data.y.tolist() == labels
    assert np.issubdtype(data.y.dtype, kind)
    assert data.stratify_labels().tolist() == [str(label) for label in data.labels]
    readable = np.array([True] * 3 + [False] * 3)
    assert data.classes(readable).tolist() == sorted(set(data.labels[:3]))


@pytest.mark.filterwarnings("ignore:.*are left out")
def test_values_that_are_missing_or_infinite(load):
    file = load.folder / "id_prop.csv"
    assert message(load, "e,f", ["", *range(5)], SIX, target=("e", "f")) == (
        f"{file}: 1 of 6 crystals have no e, the first is 'a'; fill the cells, or delete the rows"
    )
    assert message(load, "e,f", SIX, [0, 1, "", 3, "", 5], target=("e", "f")) == (
        f"{file}: 2 of 6 crystals have no f, the first is 'c'; fill the cells, or delete the rows"
    )
    data = load("e,k", ["", *range(5)], ["", "", *"yxyx"], task="multi")
    assert data.cif_ids == list("bcdef")
    assert data.beside.cif_ids == list("bcdef")
    assert data.classes(np.ones(5, bool)).tolist() == ["x", "y"]
    assert load("e", ["", *range(5)]).y.tolist() == [*range(5)]


def test_infinite_values_of_a_store(load, tmp_path):
    load("e,k", [0, 1, 2, 3, 4, 5], "xyxyxy", target=("e",))
    featurize(load.folder, tmp_path / "store")
    (column,) = (tmp_path / "store").glob("data-*/properties/column_0.npy")
    facts = json.loads((tmp_path / "store" / "store.json").read_text())
    del facts["digests"], facts["own"]
    (tmp_path / "store" / "store.json").write_text(json.dumps(facts))
    np.save(column, [0.0, 1, np.inf, 3, 4, -np.inf])
    settings = Settings(str(tmp_path / "store"), target=("e",))
    assert message(load_run_data, settings) == f"{tmp_path / 'store'}: 'c' has an infinite e"


NEEDS = (
    "--task {} needs {}, but the columns are {}; of {} are {}. Choose with {} NAME, or another "
    "--task"
)
BOTH = "a column of numbers and one of classes"
TWICE = "'e' is chosen twice; leave one --target or --label out"
COPIED = "a network that is given what it is to predict would only copy it"
SAME = "two columns of the results would have the name {!r}; rename the target"
CLASSES, MULTI = {"task": "classification"}, {"task": "multi"}
HALVES = [0.5] * 6
CHOICES = [
    ("e,f", (SIX, HALVES), {},
     "several columns could be the target: e, f; choose with --target NAME"),
    ("k,l,m", ("xyxyxy",) * 3, CLASSES,
     "several columns could be the label: k, l, m; choose with --label NAME"),
    ("e", (HALVES,), CLASSES, NEEDS.format("classification", "a column of classes", "e", "classes",
                                           "none", "--label")),
    ("k", ("xyxyxy",), {}, NEEDS.format("regression", "a column of numbers", "k", "numbers", "none",
                                        "--target")),
    ("e", (SIX,), MULTI, NEEDS.format("multi", BOTH, "e", "numbers", "e", "--target")),
    ("e,k", (SIX, "xyxyxy"), {"target": ("k",)}, "--target k: the column holds texts"),
    ("e,f", (HALVES, SIX), {**CLASSES, "label": "e"},
     "--label e: the column holds numbers that are not classes"),
    ("e", (SIX,), {"target": ("e", "e")}, TWICE),
    ("e,k", (SIX, SIX), {**MULTI, "target": ("e",), "label": "e"}, TWICE),
    ("e", (SIX,), {"target": ("e",), "global_feature": ("e",)},
     f"'e' is a target and a --global-feature: {COPIED}"),
    ("e,e_pred", (SIX, SIX), {"target": ("e", "e_pred")}, SAME.format("e_pred")),
    ("k_proba_y,k", (SIX, "xyxyxy"), MULTI, SAME.format("k_proba_y")),
]  # fmt: skip


@pytest.mark.parametrize(("header", "columns", "options", "why"), CHOICES)
def test_columns_that_cannot_be_targets(load, header, columns, options, why):
    assert message(load, header, *columns, **options) == f"{load.folder / 'id_prop.csv'}: {why}"


def test_a_target_where_the_task_has_none(load):
    assert message(load, "e,k", SIX, "xyxyxy", task="classification", target=("e",)) == (
        "--target e names a column of numbers, but the task is classification; name the column of "
        "classes with --label"
    )


@pytest.mark.parametrize(
    ("header", "columns", "options", "names"),
    [
        ("n,k", (SIX, SIX), {"task": "classification"}, ["k"]),
        ("k,l", ("xyxyxy", SIX), {"task": "multi", "label": "k"}, ["l", "k"]),
        ("k,l", ("xyxyxy", [0.5] * 6), {"task": "multi"}, None),
        ("k,l", ("xyxyxy", [0.5] * 6), {"task": "classification"}, None),
        ("a,b,c", (SIX, [0.5] * 6, "xyxyxy"), {"task": "multi", "target": ("a",)}, ["a", "c"]),
        ("a,b,c", ([0.5] * 6, [0.5] * 6, SIX), {"task": "multi", "target": ("b",)}, ["b", "c"]),
        ("T,e", (SIX, SIX), {"global_feature": ("T",)}, ["e"]),
        ("e", (SIX,), {"task": "classification"}, ["e"]),
    ],
)
def test_columns_that_are_chosen(load, header, columns, options, names):
    try:
        found = load(header, *columns, **options).names
    except DataError:
        found = None
    assert found == names


def test_bundled_columns():
    for name, task, names in (
        ("sample", "regression", ["formation_energy"]),
        ("sample-classification", "classification", ["is_metal"]),
        ("sample-regression", "multi", ["formation_energy", "is_metal"]),
        ("li_vacancy", "multi", ["formation_energy", "defect_label"]),
    ):
        data = load_run_data(Settings(name, task))
        assert data.names == names
        assert (data.groups is None) == (name != "li_vacancy")
    assert load_run_data(Settings("sample", target=("is_metal",))).names == ["is_metal"]
    for name in ("none", "li-vacancy"):
        assert message(load_run_data, Settings(name)) == (
            f"{name}: neither a folder, nor a store, nor a bundled dataset (sample, "
            "sample-regression, sample-classification, li_vacancy)"
        )


def test_a_file_of_many_crystals_is_not_trained_on(tmp_path):
    table = tmp_path / "crystals.zip"
    table.write_bytes(b"")
    assert message(load_run_data, Settings(str(table))).endswith(
        f"with skcgcnn featurize {table} --output STORE, and train on that"
    )


def test_what_tells_crystals_and_targets_from_others(load):
    def one(header="e,T", *columns, **options):
        columns = columns or (SIX, SIX)
        return load(header, *columns, **{"target": ("e",), **options}).fingerprint()

    base = one()
    assert one() == one("e,U") == base
    assert one("e,T", range(1, 7), SIX) != base
    assert one("f,T", target=("f",)) != base
    beside = one(global_feature=("T",))
    assert beside != base
    assert one("e,T", SIX, range(1, 7), global_feature=("T",)) != beside
    assert one("e,U", global_feature=("U",)) != beside
    (load.folder / "groups.csv").write_text("id,g\n" + "\n".join(f"{i},x" for i in "abcdef"))
    grouped = one()
    assert grouped != base
    (load.folder / "groups.csv").write_text("id,g\n" + "\n".join(f"{i},{i}" for i in "abcdef"))
    assert one() not in (base, grouped)
    assert load("e", SIX).groups.tolist() == list("abcdef")


def test_parts_of_a_run(load, graphs):
    both = load("e,k", SIX, "xyxyxy", task="multi")
    rows = np.array([4, 1])
    part = both.part(rows, graphs[:6])
    assert part.rows.tolist() == [4, 1]
    assert part.y.tolist() == [[4, "x"], [1, "y"]]
    np.testing.assert_array_equal(part.graphs.n_sites, graphs[:6].n_sites[rows])
    assert part.table().shape == (2, 2)
    arguments = part.arguments()
    assert isinstance(arguments["y"], pd.DataFrame)
    assert arguments["y"].columns.tolist() == ["e", "k"]
    assert arguments["X"] is part.graphs
    alone = load("e,f", SIX, SIX, target=("f",), unit=("eV",)).part(rows, graphs[:6])
    assert alone.table().tolist() == [[4], [1]]
    y = alone.arguments()["y"]
    assert (y.name, y.attrs, y.tolist()) == ("f", {"units": {"f": "eV"}}, [4, 1])


def test_a_store_of_a_run(load, tmp_path):
    (load.folder / "groups.csv").write_text("id,g\n" + "\n".join(f"{i},{i}" for i in "abcdef"))
    load("e,k", [*range(5), ""], ["x", "", *"xyxy"], task="multi")
    maker = CrystalGraphTransformer(max_num_nbr=6, radius=5.0)
    featurize(load.folder, tmp_path / "store", transformer=maker)
    data = load_run_data(Settings(str(tmp_path / "store"), "multi"))
    assert (data.names, data.paths) == (["e", "k"], [])
    assert data.y[0].tolist() == [0, "x"]
    assert np.isnan(data.y[1][1])
    assert data.groups.tolist() == list("abcdef")
    parameters = data.graph_parameters()
    assert (parameters["max_num_nbr"], parameters["radius"]) == (6, 5.0)
    with pytest.warns(UserWarning, match="1 of 6 crystals have no e and are left out"):
        some = load_run_data(Settings(str(tmp_path / "store"), target=("e",)))
    assert list(some.cif_ids) == list("abcde")
    assert len(some.graphs) == 5
    assert some.groups.tolist() == list("abcde")
    assert load("e", SIX).graph_parameters() == {}
    (tmp_path / "store" / "groups.csv").touch()
    assert message(load_run_data, Settings(str(tmp_path / "store"), target=("e",))) == (
        f"{tmp_path / 'store' / 'groups.csv'}: groups beside a store are not read; put the file "
        "beside the crystals, and make the store again"
    )


def test_crystals_whose_file_is_missing(load):
    (load.folder / "c.cif").unlink()
    assert message(load, "e", SIX) == (
        f"{load.folder / 'id_prop.csv'}:\n  line 4: {load.folder / 'c.cif'} does not exist"
    )
    assert load("e", SIX, params={"on_error": "nan"}).cif_ids == list("abcdef")
    with pytest.raises(ValueError, match="'c' has no T; fill the cell"):
        load("e,T", SIX, [0, 1, "", 3, 4, 5], global_feature=("T",), target=("e",),
             params={"on_error": "nan"}).crystals("raise")  # fmt: skip
