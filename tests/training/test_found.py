"""The crystals that predictions are asked for: their names, truth, and numbers beside them."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skcgcnn.datasets import read_table
from skcgcnn.exceptions import DataError, StructureError
from skcgcnn.features import POTENTIALS, PotentialOutput
from skcgcnn.stores import featurize, open_store
from skcgcnn.training import find_crystals
from skcgcnn.training._beside import add_potential, join_beside, join_to_graphs


@pytest.fixture
def folder(tmp_path, nacl):
    """Return what makes a folder of crystals with a table."""
    text = nacl.to(fmt="cif")

    def make(name, *lines):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        for line in lines:
            if line.partition(",")[0] not in ("id", ""):
                (path / f"{line.partition(',')[0]}.cif").write_text(text)
        (path / "id_prop.csv").write_text("\n".join(lines))
        return path

    return make


def find(*sources, **options):
    """Return what is found, and what was warned of besides rows of units."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = find_crystals([*sources], **options)
    said = [str(one.message) for one in caught]
    return found, [text for text in said if "row of units" not in text]


def message(call, *args, kind=DataError, **options):
    with pytest.raises(kind) as error:
        call(*args, **options)
    return str(error.value)


def test_names_of_crystals_of_several_sources(folder, tmp_path, nacl):
    one, two = folder("one", "a,1", "b,2"), folder("two", "b,3", "c,4")
    nacl.to(filename=str(tmp_path / "d.vasp"), fmt="poscar")
    (tmp_path / "t.csv").write_text("path\none/a\n")
    found, said = find(one, two, tmp_path / "d.vasp", tmp_path / "none.cif", tmp_path / "t.csv")
    assert said == []
    assert found.paths == [
        *(str(one / f"{n}.cif") for n in "ab"),
        *(str(two / f"{n}.cif") for n in "bc"),
        *(str(tmp_path / n) for n in ("d.vasp", "none.cif", "one/a.cif")),
    ]
    assert found.ids == ["a", str(one / "b.cif"), str(two / "b.cif"), "c", "d", "none", "one/a"]
    assert list(found.X) == found.paths
    assert found.truth == {}
    # The same file again is no other one.
    assert find(one, one / "a.cif")[0].ids == ["a", "b", "a"]


def test_what_is_no_source_of_crystals(folder, tmp_path):
    one = folder("one", "a,1")
    featurize(one, tmp_path / "store")
    for name in ("c.tar", "c.jsonl", "c.db"):
        (tmp_path / name).touch()
        path = tmp_path / name
        assert message(find_crystals, [path]) == (
            f"{path}: can hold many crystals; make a store of it first, with skcgcnn featurize "
            f"{path} --output STORE, and predict for that"
        )
    assert message(find_crystals, [one, tmp_path / "store"]) == (
        f"{tmp_path / 'store'}: is a store; name it alone"
    )
    for name in ("none", "none.csv"):
        assert message(find_crystals, [tmp_path / name]) == (
            f"{tmp_path / name}: no such file or folder"
        )


@pytest.mark.filterwarnings("ignore:.*a row of units")
def test_the_truth_of_targets(folder, tmp_path):
    one = folder("one", "id,e,k,same", "a,1,x,5", "b,2,,5")
    two = folder("two", "id,e", "c,3", "d,")
    units = {"e": "eV"}
    found, said = find(one, two, targets=["e", "k", "same", "none"], units=units)
    assert (list(found.truth), said) == (["e"], [])
    assert found.truth["e"][:3].tolist() == [1, 2, 3]
    assert np.isnan(found.truth["e"][3])
    both, _ = find(folder("one", "id,k", "a,x", "b,y"), two, targets=["k"])
    assert both.truth["k"][:2].tolist() == ["x", "y"]
    assert np.isnan([*both.truth["k"][2:]]).all()
    # In other units they are not compared.
    one = folder("one", "id,e,f", ",meV,m", "a,1,1", "b,2,2")
    two = folder("two", "id,e", ",kJ", "c,3", "d,4")
    found, said = find(one, two, targets=["e", "f"], units={"e": "eV", "f": ""})
    assert list(found.truth) == ["f"]
    assert said == ["predictions are not compared with e: they are in eV, the table says kJ, meV"]
    found, said = find(one, targets=["e"], units={"e": "m eV"})
    assert (found.truth["e"].tolist(), said) == ([1, 2], [])
    # What is predicted need not be right.
    bad = folder("bad", "id,e", "a,1", "b,x")
    found, said = find(bad, targets=["e"], units=units)
    assert (found.truth, len(found.ids)) == ({}, 2)
    (told,) = said
    assert told == (
        f"predictions are not compared with e: {bad / 'id_prop.csv'}:\n  line 3: 'x' is not a "
        "number"
    )
    (tmp_path / "t.csv").write_text("path,e,k\nbad/a,1,1\nbad/b,x,y\n")
    found, said = find(tmp_path / "t.csv", targets=["e", "k"], units=units)
    assert said[0].startswith("predictions are not compared with e, k: ")
    found, said = find(tmp_path / "t.csv", targets=["e"], units={})
    assert (found.truth["e"].tolist(), len(said)) == (["1", "x"], 1)
    assert "all are taken for texts" in said[0]


@pytest.mark.filterwarnings("ignore:.*a row of units")
def test_numbers_beside_crystals(folder, tmp_path):
    one = folder("one", "id,T,p", ",K,", "a,1,2", "b,3,4")
    two = folder("two", "id,p,T", ",,K", "c,5,6")
    (found, said) = find(one, two, beside=["T", "p"])
    assert said == []
    assert found.X.columns.tolist() == ["crystal", "T", "p"]
    assert found.X["crystal"].tolist() == found.paths
    assert found.X[["T", "p"]].to_numpy().tolist() == [[1, 2], [3, 4], [6, 5]]
    assert found.X.attrs == {"units": {"T": "K"}}
    three = folder("three", "id,T,p", ",C,", "d,1,2")
    assert message(find_crystals, [one, three], ["T"]) == (
        f"{three / 'id_prop.csv'}: column 'T' is in C, in {one / 'id_prop.csv'} in K; give both in "
        "one unit"
    )
    assert message(find_crystals, [one, two], ["T", "q", "p"]) == (
        f"{two / 'id_prop.csv'}: has no column 'q'; the model was trained with T, q, p beside each "
        "crystal: give a folder whose id_prop.csv has these columns, or a table or a store that "
        "has them"
    )
    bad = folder("bad", "id,T", "a,", "b,1")
    assert message(find_crystals, [bad], ["T"]) == (
        f"{bad / 'id_prop.csv'}: 'a' has no T; fill the cell"
    )
    found, _ = find(bad, beside=["T"], on_error="nan")
    np.testing.assert_array_equal(found.X["T"], [np.nan, 1])


def test_numbers_beside_the_crystals_of_a_store(folder, tmp_path):
    one = folder("one", "id,T,p,e", ",K,,eV", "a,1,2,7", "b,3,,8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        featurize(one, tmp_path / "store")
    found, said = find(tmp_path / "store", beside=["T"], targets=["e"], units={"e": "eV"})
    assert (list(found.ids), found.paths, said) == (["a", "b"], [], [])
    assert found.X.options.global_features == ("T",)
    assert found.X.global_features.tolist() == [[1], [3]]
    assert found.truth["e"].tolist() == [7, 8]
    plain, _ = find(tmp_path / "store")
    assert plain.X.options.global_features == ()
    assert message(find_crystals, [tmp_path / "store"], ["p"]) == (
        f"{tmp_path / 'store'}: 'b' has no p; fill the cell"
    )
    found, said = find(tmp_path / "store", beside=["p", "T"], on_error="nan")
    assert found.X.n_sites.tolist()[1] == 0
    assert found.X.global_features[0].tolist() == [2, 1]
    assert len(said) == 1
    assert "b: has no p" in said[0]
    assert "has no column 'q'" in message(find_crystals, [tmp_path / "store"], ["q"])


def test_numbers_joined_to_crystals(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = read_table(folder("one", "id,T", ",K", "a,1", "b,3"))
        featurize(tmp_path / "one", tmp_path / "store")
    joined = join_beside(["x", "y"], table, allow_missing=False)
    assert isinstance(joined, pd.DataFrame)
    assert joined.to_dict("list") == {"crystal": ["x", "y"], "T": [1, 3]}
    assert join_beside(["x"], table.choose([]), allow_missing=False) == ["x"]
    crystal = join_beside(["x", "y"], read_table(folder("two", "id,crystal", "a,1", "b,2")),
                          allow_missing=False)  # fmt: skip
    assert crystal.columns.tolist() == ["crystal", "crystal"]
    graphs = join_to_graphs(open_store(tmp_path / "store").graphs, table, allow_missing=False)
    assert graphs.global_features.tolist() == [[1], [3]]
    assert graphs.options.global_features == ("T",)


class Potential:
    """Stands for a potential that knows the number of sites, and nothing of crystals named bad."""

    name = "own potential"
    n_features = 1

    def compute(self, crystals):
        return [
            StructureError("nothing is known")
            if len(crystal.species) != 8
            else PotentialOutput(-2.0, np.array([0.5]), np.array([1.0]), np.array([3.0]))
            for crystal in crystals
        ]


def test_what_a_potential_says(folder, tmp_path, nacl, monkeypatch):
    monkeypatch.setitem(POTENTIALS, "chgnet", Potential)
    one = folder("one", "id,T", "a,1", "b,2")
    table = read_table(one)
    assert add_potential(table, None) is table
    nacl.make_supercell((1, 1, 2)).to(filename=str(one / "b.cif"))
    kind = message(add_potential, table, "chgnet", kind=StructureError)
    assert "nothing is known" in kind
    with pytest.warns(UserWarning, match="nothing is known"):
        found = add_potential(table, "chgnet", on_error="nan")
    assert found.names[:2] == ["T", "own_energy"]
    assert found.columns[0].tolist() == [1, 2]
    assert found.columns[1][0] == -2
    assert all(np.isnan(column[1]) for column in found.columns[1:])
    twice = read_table(folder("two", "id,own_energy", "a,1", "b,2"))
    assert message(add_potential, twice, "chgnet") == (
        f"{tmp_path / 'two' / 'id_prop.csv'}: column 'own_energy' has the name of a feature of "
        "chgnet; rename it"
    )
    featurize(folder("three", "id,T", "a,1"), tmp_path / "store")
    store = open_store(tmp_path / "store").table()
    assert message(add_potential, store, "chgnet") == (
        f"{tmp_path / 'store'}: is a store, which holds graphs and no crystals that chgnet could "
        "compute; give the folder or the files that it was made from"
    )
    assert add_potential(store.take(np.array([], int)), "chgnet").names[:2] == ["T", found.names[1]]
