"""Loaders of data."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from skcgcnn.datasets import load_id_prop, load_sample_classification, load_sample_regression
from skcgcnn.exceptions import DataError


@pytest.fixture
def folder(tmp_path):
    for cif_id in ("a", "b", "c", "1"):
        (tmp_path / f"{cif_id}.cif").touch()

    def write(text, encoding="utf-8"):
        (tmp_path / "id_prop.csv").write_text(text, encoding=encoding)
        return tmp_path

    return write


def test_without_header(folder):
    data = load_id_prop(folder("a,1.5,0\nb,-2,1\n"))
    assert [Path(path).name for path in data.data] == ["a.cif", "b.cif"]
    np.testing.assert_array_equal(data.target, [[1.5, 0], [-2, 1]])
    assert data.target_names == ["value", "label"]
    assert data.cif_ids == ["a", "b"]
    assert data.frame is None
    assert data.atom_features is None


def test_with_header(folder):
    data = load_id_prop(folder("cif_id, formation_energy\na, 1.5\nb,2\n"))
    np.testing.assert_array_equal(data.target, [1.5, 2])
    assert data.target_names == ["formation_energy"]


def test_first_line_is_data_where_its_crystal_exists(folder):
    assert load_id_prop(folder("a,metal\nb,gap\n")).cif_ids == ["a", "b"]


def test_first_line_is_data_where_its_value_is_a_number(folder):
    with pytest.raises(DataError, match=r"line 1: .*missing\.cif does not exist"):
        load_id_prop(folder("missing,1.5\na,2\n"))


def test_first_line_is_data_where_its_label_comes_again(folder):
    with pytest.raises(DataError, match=r"line 1: .*missing\.cif does not exist"):
        load_id_prop(folder("missing,metal\na,metal\nb,gap\n"))
    assert load_id_prop(folder("name,class\na,metal\nb,gap\n")).target_names == ["class"]


def test_texts_quotes_blank_lines_and_byte_order_mark(folder):
    data = load_id_prop(folder('id,"E, eV",kind\n\n "a" ,1,metal\n\n1,2,gap\n', "utf-8-sig"))
    assert data.target_names == ["E, eV", "kind"]
    assert data.target.tolist() == [[1.0, "metal"], [2.0, "gap"]]


def test_missing_targets(folder):
    data = load_id_prop(folder("a,1.5,\nb,,1\nc,NaN,0\n"))
    np.testing.assert_array_equal(data.target, [[1.5, np.nan], [np.nan, 1], [np.nan, 0]])
    with pytest.warns(UserWarning, match="1 of 2 crystals have no value and .* first is 'b'"):
        data = load_id_prop(folder("a,1.5\nb,\n"))
    assert (data.cif_ids, data.target.tolist(), len(data.data)) == (["a"], [1.5], 1)
    with pytest.raises(DataError, match="no crystal has value"):
        load_id_prop(folder("a,\nb,n/a\n"))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "holds no crystal"),
        ("cif_id,value\n", "holds no crystal"),
        ("a,1\nb,2\na,3\n", "line 3: id 'a' stands in line 1 already"),
        ("a,1\nz,2\n", r"line 2: .*z\.cif does not exist"),
        ("id,e\na,1\n,1\n", r"line 3: has no id; write one, or remove it"),
        ("a,1\nb,x\nc,3\n", "line 2: 'x' is not a number"),
        ("id,value\na,1\nb,inf\n", "line 3: 'inf' is not a number"),
        ("a,1\nb\n", "line 2: has 1 columns, but the first crystal has 2"),
        ("a\nb\n", "line 1: expected 'cif_id,value'"),
    ],
)
def test_what_is_wrong_names_the_line(folder, text, cause):
    with pytest.raises(DataError, match=cause) as error:
        load_id_prop(folder(text))
    assert "id_prop.csv" in str(error.value)


def test_all_problems_are_reported_at_once(folder):
    with pytest.raises(DataError) as error:
        load_id_prop(folder("a,1\nz,2\na,x\n"))
    assert str(error.value).count("line ") >= 3
    many = "".join(f"no{i},1\n" for i in range(100))
    with pytest.raises(DataError, match="and 80 more"):
        load_id_prop(folder(many))


def test_no_folder_no_file_and_no_text(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_id_prop(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"id_prop\.csv: no such file"):
        load_id_prop(tmp_path)
    (tmp_path / "id_prop.csv").write_bytes(b"a,\xff\xfe\x00")
    with pytest.raises(DataError, match="not a CSV file"):
        load_id_prop(tmp_path)


def test_forms(folder):
    path = folder("a,1.5,0\nb,-2,1\n")
    (path / "atom_init.json").write_text("{}")
    X, y = load_id_prop(path, return_X_y=True)
    assert len(X) == len(y) == 2
    data = load_id_prop(path, as_frame=True)
    assert data.frame.columns.tolist() == ["path", "value", "label"]
    assert isinstance(data.target, pd.DataFrame)
    assert data.atom_features == str(path / "atom_init.json")
    series = load_id_prop(folder("a,1\nb,2\n"), as_frame=True).target
    assert isinstance(series, pd.Series)
    assert series.name == "value"


def test_sample_is_what_it_says():
    energies, metals = load_sample_regression(), load_sample_classification()
    assert energies.data == metals.data
    assert len(energies.data) >= 80
    assert all(Path(path).is_file() for path in energies.data)
    assert energies.target.dtype == np.float64
    assert np.isfinite(energies.target).all()
    assert (energies.target_names, metals.target_names) == (["formation_energy"], ["is_metal"])
    assert 0.35 < metals.target.mean() < 0.65
    assert "feature_names" not in energies
    for word in ("CHGNet 0.3.0", "eV/atom", "elements"):
        assert word in energies.DESCR
    X, y = load_sample_classification(return_X_y=True)
    assert len(X) == len(y)
    frame = load_sample_regression(as_frame=True).frame
    assert frame.columns.tolist() == ["path", "formation_energy"]


def test_sample_energies_are_near_experiment():
    # Standard formation enthalpies, eV/atom (CRC Handbook); a potential trained on DFT is off
    # by 0.1 to 0.3 eV/atom.
    data = load_sample_regression()
    energy = dict(zip(data.cif_ids, data.target, strict=True))
    known = {"NaCl_rocksalt": -2.13, "MgO_rocksalt": -3.12, "CaF2_fluorite": -4.24}
    for cif_id, expected in known.items():
        assert energy[cif_id] == pytest.approx(expected, abs=0.35)


@pytest.mark.slow
def test_script_regenerates_the_cifs(tmp_path):
    folder = Path(load_sample_regression().filename).parent
    script = Path(__file__).parents[2] / "tools" / "make_crystals.py"
    subprocess.run([sys.executable, str(script), "--output", str(tmp_path)], check=True)
    rows = list(csv.DictReader((folder / "crystals.csv").open()))
    assert [row["cif_id"] for row in rows] == load_sample_regression().cif_ids
    for row in rows[::9]:
        name = f"{row['cif_id']}.cif"
        new, kept = Structure.from_file(tmp_path / name), Structure.from_file(folder / name)
        assert new == kept
        assert new.composition.reduced_formula == kept.composition.reduced_formula


def test_groups(folder):
    path = folder("a,1\nb,2\nc,3\n")
    assert load_id_prop(path).groups is None
    (path / "groups.csv").write_text("cif_id,group\nc,y\na,x\nb,x\n1,z\n")
    assert load_id_prop(path).groups.tolist() == ["x", "x", "y"]
    # An index of pandas, and an empty column.
    (path / "groups.csv").write_text(",id,group,\n0,c,y,\n1,a,x,\n2,b,x,\n2,b,x,\n")
    assert load_id_prop(path).groups.tolist() == ["x", "x", "y"]
    (path / "groups.csv").write_text("Unnamed: 0,index,id,g\n0,1,c,y\n1,2,a,x\n2,3,b,x\n")
    assert load_id_prop(path).groups.tolist() == ["x", "x", "y"]
    (path / "groups.csv").write_text(",host,fold\na,x,1\nb,x,2\nc,y,1\n")
    with pytest.raises(DataError, match="line 2: expected 'cif_id,group'"):
        load_id_prop(path)


def test_groups_by_an_index_are_told(folder):
    path = folder("1,1\n0,2\n")
    for name in "01":
        (path / f"{name}.cif").touch()
    (path / "groups.csv").write_text(",group\n0,x\n1,y\n")
    with pytest.warns(UserWarning, match=r"groups\.csv: read with its index as the ids"):
        assert load_id_prop(path).groups.tolist() == ["y", "x"]


def test_groups_that_are_spelled_in_several_ways_are_told(folder):
    path = folder("a,1\nb,2\nc,3\n")
    (path / "groups.csv").write_text("cif_id,group\na,Caf\u00e9\nb,cafe\u0301\nc,x\n", "utf-8")
    with pytest.warns(UserWarning, match=r"groups\.csv: .* count as different groups"):
        assert len(set(load_id_prop(path).groups)) == 3


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("cif_id,group\na,x\nb,x\n", "'c' has no group"),
        ("cif_id,group\na,x\nb,x\nc\n", "line 4: expected 'cif_id,group'"),
        ("cif_id,group\na,x\nb,x\nc,\n", "line 4: expected 'cif_id,group'"),
        ("cif_id,group\na,x\nb,x\nc,None\n", "line 4: 'None' counts as missing"),
        ("cif_id,group\na,x\nb,x\nc,x\na,y\n", "line 5: id 'a' comes twice"),
        ("a,x\nb,x\nc,x\n", "begins with the crystal 'a'; write 'cif_id,group' above it"),
        ("id,k,group\na,1,x\nb,1,x\nc,1,x\n", "line 2: expected 'cif_id,group'"),
    ],
)
def test_groups_that_are_not_right(folder, text, cause):
    path = folder("a,1\nb,2\nc,3\n")
    (path / "groups.csv").write_text(text)
    with pytest.raises(DataError, match=rf"groups\.csv(.|\n)*{cause}"):
        load_id_prop(path)
