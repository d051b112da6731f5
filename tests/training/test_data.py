"""Which columns of a table are the targets of a run."""

import pytest

from skcgcnn.exceptions import DataError
from skcgcnn.training import Settings
from skcgcnn.training._data import load_run_data

TABLES = {
    "an id and a class": "cif_id,uid,is_metal\na,1,0\nb,2,1\n",
    "more ids": "id,uid,name,energy,kind\na,1,p,1.5,x\nb,2,q,2.5,y\n",
    "value": "id,energy\na,1.5\nb,-2\n",
    "layout": "id,x,y\na,1.5,0\nb,-2,1\n",
    "no header": "a,1.5,0\nb,-2,1\n",
    "integers": "id,x,y\na,1,0\nb,-2,1\n",
    "texts": "id,energy,kind\na,1.5,metal\nb,-2,gap\n",
    "two numbers": "id,nsites,energy\na,2,1.5\nb,3,-2.5\n",
    "many": "id,nsites,energy,kind\na,2,1.5,metal\nb,3,-2.5,gap\n",
    "continuous": "id,energy\na,1.5\nb,-2.5\n",
    "kind alone": "id,kind\na,metal\nb,gap\n",
}
R, C, M = "regression", "classification", "multi"


@pytest.fixture
def load(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.cif").touch()

    def names(table, task, target=(), label=None):
        (tmp_path / "id_prop.csv").write_text(TABLES[table])
        return load_run_data(Settings(str(tmp_path), task, tuple(target), label)).names

    return names


@pytest.mark.parametrize(
    ("table", "task", "options", "expected"),
    [
        ("value", R, {}, ["energy"]),
        ("layout", R, {}, ["x"]),
        ("layout", C, {}, ["y"]),
        ("layout", M, {}, ["x", "y"]),
        ("no header", M, {}, ["value", "label"]),
        ("integers", M, {}, ["x", "y"]),
        ("integers", R, {}, ["x"]),
        ("texts", R, {}, ["energy"]),
        ("texts", C, {}, ["kind"]),
        ("two numbers", R, {"target": ["energy"]}, ["energy"]),
        ("two numbers", R, {"target": ["energy", "nsites"]}, ["energy", "nsites"]),
        ("two numbers", C, {"label": "nsites"}, ["nsites"]),
        ("many", M, {"target": ["energy"], "label": "kind"}, ["energy", "kind"]),
        (
            "many",
            M,
            {"target": ["nsites", "energy"], "label": "kind"},
            ["nsites", "energy", "kind"],
        ),
        ("kind alone", C, {}, ["kind"]),
        ("more ids", M, {}, ["energy", "kind"]),
        ("more ids", C, {"label": "name"}, ["name"]),
        ("an id and a class", C, {}, ["is_metal"]),
    ],
)
def test_chosen(load, table, task, options, expected):
    assert load(table, task, **options) == expected


@pytest.mark.parametrize(
    ("table", "task", "options", "message"),
    [
        ("two numbers", R, {}, "could be the target: nsites, energy; choose with --target"),
        ("two numbers", C, {}, "needs a column of classes"),
        ("two numbers", M, {}, "could be the target|needs a column"),
        ("many", R, {}, "could be the target: nsites, energy; choose with --target"),
        ("many", C, {}, "could be the label: nsites, kind; choose with --label"),
        ("continuous", C, {}, "needs a column of classes, but the columns are energy"),
        ("two numbers", C, {"label": "energy"}, "--label energy: .* numbers that are not classes"),
        ("texts", R, {"target": ["kind"]}, "--target kind: the column holds texts"),
        ("texts", R, {"target": ["gap"]}, "no column 'gap'; it has energy, kind"),
        ("texts", R, {"target": ["energy", "energy"]}, "'energy' is chosen twice"),
        ("value", M, {}, "needs a column of numbers and one of classes"),
    ],
)
def test_refused(load, table, task, options, message):
    with pytest.raises(DataError, match=message):
        load(table, task, **options)


@pytest.mark.parametrize(("task", "options"), [(R, {"target": ("x",)}), (C, {"label": "x"})])
def test_a_target_is_not_its_own_input(load, tmp_path, task, options):
    load("layout", R)
    with pytest.raises(DataError, match="'x' is a target and a --global-feature"):
        load_run_data(Settings(str(tmp_path), task, **options, global_feature=("x",)))
