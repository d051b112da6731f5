"""Tables as spreadsheets write them: read where it is certain, else refused with a hint."""

import numpy as np
import pytest

from skcgcnn.datasets import load_id_prop
from skcgcnn.exceptions import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.cif", "b.CIF", "c.cif.gz", "0018517.cif", "Quartz.cif", "18517x.cif"):
        (tmp_path / name).touch()

    def write(text, encoding="utf-8"):
        (tmp_path / "id_prop.csv").write_bytes(text.encode(encoding))
        return tmp_path

    return write


READ = {
    "semicolons": ("id;energy\na;1.5\nb;-2\n", "semicolons between"),
    "tabs": ("id\tenergy\na\t1.5\nb\t-2\n", "tabs between"),
    "decimal commas": ("id;energy\na;1,5\nb;-2\n", "semicolons .*, decimal commas"),
    "sep=": ("sep=;\nid;energy\na;1,5\nb;-2,0\n", "decimal commas"),
    "pandas index": (",id,energy\n0,a,1.5\n1,b,-2\n", "an index column"),
    "unit row": ("id,energy\n,eV/atom\na,1.5\nb,-2\n", "a row of units"),
    "UTF-16": ("id,energy\na,1.5\nb,-2\n", "UTF-16"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read_with_a_remark(folder, kind):
    text, remark = READ[kind]
    path = folder(text, "utf-16" if kind == "UTF-16" else "utf-8")
    with pytest.warns(UserWarning, match=rf"id_prop\.csv: read with .*{remark}") as caught:
        data = load_id_prop(path)
    assert len([w for w in caught if "id_prop" in str(w.message)]) == 1
    assert data.cif_ids == ["a", "b"]
    np.testing.assert_array_equal(data.target, [1.5, -2])


@pytest.mark.parametrize(
    "text",
    [
        "id,energy,,\na,1.5,,\nb,-2,,\n",
        "# made by a program\nid,energy\na,1.5\n# half-way\nb,-2\n",
        "a.cif,1.5\nb.CIF,\u22122\n",
        "\ufeffid,energy\r\na,1.5\r\nb,-2\r\n",
        'id,energy\n"a","1.5"\n"b","-2"\n',
    ],
    ids=["empty columns", "comments", "minus sign", "byte order mark", "quotes"],
)
@pytest.mark.filterwarnings("ignore:.*other case")
def test_what_is_read_as_it_is(folder, text):
    data = load_id_prop(folder(text))
    assert data.cif_ids == ["a", "b"]
    np.testing.assert_array_equal(data.target, [1.5, -2])


def test_files_by_other_names(folder):
    path = folder("A,1\nb,2\nc,3\n18517,4\nquartz,5\n")
    with pytest.warns(UserWarning, match=r"other case.*without their leading zeros"):
        data = load_id_prop(path)
    assert [name.rpartition("/")[2] for name in data.data] == [
        "a.cif", "b.CIF", "c.cif.gz", "0018517.cif", "Quartz.cif",
    ]  # fmt: skip
    (path / "A.cif").touch()
    assert load_id_prop(folder("A,1\n")).data[0].endswith("A.cif")
    (path / "018517.cif").touch()
    with pytest.raises(DataError, match=r"'18517' could be any of 0018517\.cif, 018517\.cif"):
        load_id_prop(folder("18517,1\n"))


REFUSED = {
    "18517x,2,7092\na,-1,125\n": "'18517x,2,7092'. If these are decimal commas, write decimal",
    "18517x,2,7\na,-1,05\n": "If these are decimal commas",
    "id,energy\n18517x,2,7092\na,3,5\n": r"header has 2 columns \(id, energy\), but line 2 has 3",
    "id,energy,label,more\na,1,0\n": "header has 4 columns",
    'a,"2,7092"\nb,3\n': "line 1: '2,7092' is not a number; write a decimal point",
    "a,2.7 eV\nb,3.1 eV\n": "line 1: '2.7 eV' is not a number; write the number alone",
    "a,2.7092(3)\nb,3.1\n": "line 1: .* is not a number",
    "18517,n/a\na,1.5\n": "no value|does not exist",
    "a,1\na.cif,2\n": "line 2: id 'a' stands in line 1 already",
    "a,1\nA,2\n": None,
}


@pytest.mark.parametrize("text", REFUSED, ids=repr)
@pytest.mark.filterwarnings("ignore:.*other case")
def test_what_is_refused_with_a_hint(folder, text):
    path = folder(text)
    if REFUSED[text] is None:  # on a file system that tells upper from lower case
        assert load_id_prop(path).cif_ids == ["a", "A"]
        return
    if text.startswith("18517,n/a"):
        (path / "0018517.cif").unlink()
    with pytest.raises(DataError, match=REFUSED[text]):
        load_id_prop(path)


@pytest.mark.parametrize("encoding", ["gbk", "latin-1"])
def test_other_encodings_are_named_with_a_remedy(folder, encoding):
    letter = {"gbk": "\u80fd", "latin-1": "\u00e9"}[encoding]
    with pytest.raises(DataError, match=r"line 1 holds the byte 0x.*Save it as 'CSV UTF-8'"):
        load_id_prop(folder(f"id,{letter}nergie\na,1\n", encoding))


def test_labels_that_begin_with_a_digit_are_texts(folder):
    data = load_id_prop(folder("a,2D\nb,3D\n"))
    assert data.target.tolist() == ["2D", "3D"]


def test_point_groups_are_texts_and_folders_in_ids_are_found(folder):
    assert load_id_prop(folder("a,-43m\nb,m-3m\n")).target.tolist() == ["-43m", "m-3m"]
    path = folder("s/x,1\na,2\n")
    (path / "s").mkdir()
    (path / "s" / "x.cif").touch()
    assert load_id_prop(path).data[0].endswith("s/x.cif")


def test_targets_by_name(folder):
    path = folder("id,nsites,energy,kind\na,2,1.5,metal\nb,3,-2,gap\n")
    assert load_id_prop(path).target_names == ["nsites", "energy", "kind"]
    assert load_id_prop(path, target="energy").target.tolist() == [1.5, -2]
    both = load_id_prop(path, target=["energy", "nsites"], label="kind")
    assert both.target.tolist() == [[1.5, 2, "metal"], [-2, 3, "gap"]]
    with pytest.raises(DataError, match="has no column 'gap'; it has nsites, energy, kind"):
        load_id_prop(path, target="gap")


def test_missing_files_can_be_kept(folder):
    data = load_id_prop(folder("a,1\nnowhere,2\n"), on_missing="keep")
    assert data.data[1].endswith("nowhere.cif")
