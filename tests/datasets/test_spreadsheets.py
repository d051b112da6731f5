"""Tables as spreadsheets write them: read where it is certain, else refused with a hint."""

import csv
import gzip
import io
import sys
import warnings
import zipfile
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest

from skcgcnn.datasets import Sheet, load_id_prop, write_rows
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
    "pandas index of some rows": (",id,energy\n17,a,1.5\n4,b,-2\n", "an index column"),
    "pandas index of joined frames": (",id,energy\n0,a,1.5\n0,b,-2\n", "an index column"),
    "pandas index like a name": (",id,energy\n18517,a,1.5\n4,b,-2\n", "an index column"),
    "pandas index, and ids at the end": (",energy,id\n2,1.5,a\n1,-2,b\n", "an index column"),
    "an empty column before": (";id;energy\n;a;1.5\n;b;-2\n", "semicolons between"),
    "units and decimal commas": ("id;energy\n;eV\na;1,5\nb;-2,0\n", "a row of units"),
    "unit row": ("id,energy\n,eV/atom\na,1.5\nb,-2\n", "a row of units"),
    "zeros": ("id,energy\na,01.5\nb,-2\n", r"numbers that begin with zeros: 01\.5 is 1\.5"),
    "UTF-16": ("id,energy\na,1.5\nb,-2\n", "UTF-16"),
    "UTF-16 and tabs": ("id\tenergy\na\t1.5\nb\t-2\n", "UTF-16, tabs between"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read_with_a_remark(folder, kind):
    text, remark = READ[kind]
    path = folder(text, "utf-16" if kind.startswith("UTF-16") else "utf-8")
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


@pytest.mark.parametrize("first", ["", "index"])
def test_an_index_whose_numbers_are_names_of_crystals_too(first, folder):
    """As of rows that were chosen from a frame: the column that is called so has the ids."""
    path = folder(f"{first},id,energy\n4,3,1.5\n3,4,-2\n")
    for name in ("3.cif", "4.cif"):
        (path / name).touch()
    with pytest.warns(UserWarning, match="index column|column 'id' as that of the ids"):
        data = load_id_prop(path, target="energy")
    assert data.cif_ids == ["3", "4"]
    assert data.target.tolist() == [1.5, -2]


def test_two_columns_that_name_crystals_need_a_header(folder):
    """As of a frame whose rows were drawn, written with its index and without its header."""
    rows = "5,3,1.5\n3,4,-2\n4,5,1\n"
    path = folder(rows)
    for name in ("3.cif", "4.cif", "5.cif"):
        (path / name).touch()
    with pytest.raises(DataError, match="column 2 names crystals, and the first should; beg"):
        load_id_prop(path)
    with pytest.raises(DataError, match="its columns 'n' and 'jid' both name crystals, and not"):
        load_id_prop(folder("n,jid,energy\n" + rows), target="energy")
    with pytest.warns(UserWarning, match="column 'id' as that of the ids"):
        data = load_id_prop(folder("n,id,energy\n" + rows), target="energy")
    assert data.cif_ids == ["3", "4", "5"]
    with pytest.warns(UserWarning, match="an index column"):
        data = load_id_prop(folder(",id,energy\n" + rows), target="energy")
    assert data.cif_ids == ["3", "4", "5"]
    folder(rows.replace("5,3", "6,3"))
    with pytest.raises(DataError, match="column 2 names crystals, and the first should; begin"):
        load_id_prop(path)


@pytest.mark.parametrize(
    ("rows", "is_clear"),
    [
        # An index, of which one row has no file, or without the zeros of the files.
        ("1,0003,.1\n2,0004,.2\n4,0002,.3\n", False),
        ("3,0001,.1\n1,0004,.2\n4,0002,.3\n", False),
        ("1,3,.1\n2,4,.2\n4,9,.3\n", False),
        ("1,3,.1\n2,4,.2\n2,4,.2\n4,1,.3\n", False),
        # Numbers of sites, classes and hosts are no ids.
        ("0001,2,.1\n0002,3,.2\n0003,2,.3\n0004,9,.4\n", True),
        ("1,2,.1\n2,1,.2\n3,2,.3\n4,1,.4\n", True),
        ("3,2,.1\n1,4,.2\n4,9,.3\n", True),
    ],
)
def test_whole_numbers_behind_the_first_column(folder, rows, is_clear):
    path = folder(rows)
    width = 4 if "000" in rows else 1
    for number in (1, 2, 3, 4):
        (path / f"{number:0{width}}.cif").touch()
    if is_clear:
        assert load_id_prop(path, target="label").cif_ids == [
            row.partition(",")[0] for row in rows.split()
        ]
        return
    with pytest.raises(DataError, match="column 2 names crystals, and the first should; begin"):
        load_id_prop(path)


def test_an_index_is_no_name_without_its_zeros(folder):
    path = folder(",id,e\n0,0002,1.5\n1,0000,-2\n2,0001,3\n")
    for name in ("0000.cif", "0001.cif", "0002.cif"):
        (path / name).touch()
    with pytest.warns(UserWarning, match="an index column"):
        data = load_id_prop(path)
    assert data.cif_ids == ["0002", "0000", "0001"]
    assert data.target.tolist() == [1.5, -2, 3]
    with pytest.raises(DataError, match="column 2 names crystals, and the first should; begin"):
        load_id_prop(folder("0,0002,1.5\n1,0000,-2\n2,0001,3\n"))


def test_files_by_other_names(folder):
    path = folder("A,1\nb,2\nc,3\n18517,4\nquartz,5\n")
    with pytest.warns(UserWarning, match=r"other case.*without their leading zeros"):
        data = load_id_prop(path)
    assert [name.rpartition("/")[2] for name in data.data] == [
        "a.cif", "b.CIF", "c.cif.gz", "0018517.cif", "Quartz.cif",
    ]  # fmt: skip
    (path / "A.cif").touch()
    assert load_id_prop(folder("A,1\n")).data[0].endswith("A.cif")
    if not (path / "a.cif").samefile(path / "A.cif"):
        assert load_id_prop(folder("a,1\nA,2\n")).cif_ids == ["a", "A"]
    (path / "018517.cif").touch()
    with pytest.raises(DataError, match=r"'18517' could be any of 0018517\.cif, 018517\.cif"):
        load_id_prop(folder("18517,1\n"))


@pytest.mark.parametrize("accents", ["NFC", "NFD"])
def test_accents_are_one_character_or_two(folder, accents):
    path = folder(normalize(accents, "\u00e9-1,1\n\u00e9-2,2\n"))
    other = {"NFC": "NFD", "NFD": "NFC"}[accents]
    for name in ("\u00e9-1.cif", "\u00e9-2.cif"):
        (path / normalize(other, name)).touch()
    with pytest.warns(UserWarning, match="with other accents"):
        data = load_id_prop(path)
    assert [name.rpartition("/")[2] for name in data.data] == [
        normalize(other, f"\u00e9-{i}.cif") for i in (1, 2)
    ]


REFUSED = {
    "18517x,2,7092\na,-1,125\n": "'18517x,2,7092'. If these are decimal commas, write decimal",
    "a,2,7\nb,3,125\n": "line 1 is 'a,2,7'. If these are decimal commas",
    "18517x,2,7\na,-1,05\n": "If these are decimal commas",
    "id,energy\n18517x,2,7092\na,3,5\n": r"header has 2 columns \(id, energy\), but line 2 has 3",
    "id,energy,label,more\na,1,0\n": "header has 4 columns",
    'a,"2,7092"\nb,3\n': "line 1: '2,7092' is not a number; write a decimal point",
    "id;energy\na;1.234\nb;2,5\n": "line 2: '1.234' may have thousands .* holds '2,5' too",
    "id\tenergy\na\t-1,234\nb\t2.5\n": "line 2: '-1,234' may have thousands .* '2.5' too",
    # As spreadsheets show whole numbers in Germany, alone or beside decimal commas.
    "id;V\na;1.234\nb;987\n": "line 2: '1.234' may have thousands .* column holds '987' too",
    "id;e;V\na;1,5;1.234\nb;2,5;12.345\n": "line 2: '1.234' may have .* table holds '1,5' too",
    "id;V;m\na;1.234;7.954,2\nb;2.345;21.234,5\n": "'1.234' may .* table holds '7.954,2' too",
    "id;V;e\na;1.234;2,345\nb;2.345;3,456\n": "'1.234' may have .* table holds '2,345' too",
    # And in England.
    "id\tV\na\t1,234\nb\t987\n": "line 2: '1,234' may have thousands .* column holds '987' too",
    "id\te\tV\na\t1.5\t1,234\nb\t2.5\t2,345\n": "'1,234' may have .* table holds '1.5' too",
    "a,2.7 eV\nb,3.1 eV\n": "line 1: '2.7 eV' is not a number; write the number alone",
    "a,2.7092(3)\nb,3.1\n": "line 1: .* is not a number",
    "18517,n/a\na,1.5\n": "no value|does not exist",
    "a,1\na.cif,2\n": "line 2: id 'a' stands in line 1 already",
    "a,1\nA,2\n": r"line 2: id 'A' has no file of its own: a\.cif is that of 'a'",
    "18517,1\na,2\n18517.cif,3\n018517,4\n": "line 4: id '018517' has no file of its own",
}


@pytest.mark.parametrize("text", REFUSED, ids=repr)
@pytest.mark.filterwarnings("ignore:.*other case")
def test_what_is_refused_with_a_hint(folder, text):
    path = folder(text)
    if text.startswith("18517,n/a"):
        (path / "0018517.cif").unlink()
    with pytest.raises(DataError, match=REFUSED[text]):
        load_id_prop(path)


@pytest.mark.parametrize("encoding", ["gbk", "latin-1"])
def test_other_encodings_are_named_with_a_remedy(folder, encoding):
    letter = {"gbk": "\u80fd", "latin-1": "\u00e9"}[encoding]
    with pytest.raises(DataError, match=r"line 1 holds the byte 0x.*Save it as 'CSV UTF-8'"):
        load_id_prop(folder(f"id,{letter}nergie\na,1\n", encoding))


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("a,2,0\nb,3,10\n", [0, 10]),
        ("a,2,99\nb,3,1\n", [99, 1]),
        ("a,2.5,05\nb,3,125\n", [5, 125]),
        ("a,2,-05\nb,3,125\n", [-5, 125]),
        ("id,x,y\na,2,125\nb,3,05\n", [125, 5]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*begin with zeros")
def test_two_columns_that_are_no_decimals_in_two_parts(folder, text, second):
    assert load_id_prop(folder(text)).target[:, 1].tolist() == second


def test_labels_that_begin_with_a_digit_are_texts(folder):
    data = load_id_prop(folder("a,2D\nb,3D\n"))
    assert data.target.tolist() == ["2D", "3D"]


def test_sodium_is_not_missing(folder):
    path = folder("id,cation\na,Na\nb,\n18517x,Cs\nQuartz,NA\n")
    with pytest.warns(UserWarning, match="2 of 4 crystals have no cation"):
        assert load_id_prop(path).target.tolist() == ["Na", "Cs"]
    path = folder("a,1\nb,2\n")
    (path / "groups.csv").write_text("id,group\na,Na\nb,K\n")
    assert load_id_prop(path).groups.tolist() == ["Na", "K"]


@pytest.mark.filterwarnings("ignore:.*(other case|left out)")
@pytest.mark.parametrize("cell", ["nan", "NA", "None"])
def test_a_group_that_is_missing_is_none(folder, cell):
    path = folder("a,1\nb,2\n")
    (path / "groups.csv").write_text(f"id,group\na,{cell}\nb,{cell}\n")
    with pytest.raises(DataError, match=f"line 3: '{cell}' counts as missing"):
        load_id_prop(path)


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


@pytest.fixture
def load(tmp_path):
    """Return what loads a table beside files of some names, with the warnings."""

    def read(text, names, **options):
        for name in names:
            (tmp_path / f"{name}.cif").touch()
        (tmp_path / "id_prop.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = load_id_prop(tmp_path, **options)
        return data, " ".join(str(one.message) for one in caught)

    return read


def test_ends_of_lines_in_cells_do_not_tear_rows(tmp_path):
    written = [["id", "value"], ["a\rb", "1"], ["c\nd\r\n", "2"], ["e", ""]]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        write_rows(file, written)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == written
    assert (tmp_path / "t.csv").read_bytes().endswith(b",2\ne,\n")


def test_underscores_are_no_part_of_numbers(load):
    data, _ = load("a,1_0\nb,2_0\n", "ab")
    assert data.target.tolist() == ["1_0", "2_0"]
    with pytest.raises(DataError, match="line 1: '1_0' is not a number"):
        load("a,1_0\nb,10\n", "ab")


@pytest.mark.parametrize("labels", [("metal", "metal"), ("metal", "gap")])
def test_a_first_crystal_that_is_missing_makes_no_header(load, labels):
    with pytest.raises(DataError, match=r"line 1: .*x\.cif does not exist"):
        load("x,metal\na,{}\nb,{}\n".format(*labels), "ab")
    data, _ = load("id,kind\na,{}\nb,{}\n".format(*labels), "ab")
    assert data.target.tolist() == [*labels]


def test_ids_that_begin_like_comments(load):
    ids = ["#a", "b", "#c"]
    data, said = load("# made, by a program\n#a,1\nb,2\n#c,3\n# half-way\n", ids)
    assert data.cif_ids == ids
    assert "1 rows that begin with # as comments" in said
    # Later ones are rows, whatever files there are.
    with pytest.raises(DataError, match=r"line 3: .*#d\.cif does not exist"):
        load("#a,1\nb,2\n#d,3\n", ids)


def test_texts_that_spreadsheets_run_are_written_and_read_back(tmp_path):
    cells = ["=1+1", "+cmd|' /C calc'!A0", "-x", "@sum", "'=x", "''-y", "'a", "-1.5", "+2", "a=b"]
    cells += ["\uff1d1+1", "\uff20x"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        write_rows(file, [["id", "value"], *([cell, -1.5] for cell in cells)])
    text = (tmp_path / "t.csv").read_text()
    assert all(
        line[0] not in "=+@\uff1d\uff20" for line in text.splitlines() if not line.startswith("+2,")
    )
    assert "'=1+1,-1.5\n" in text
    assert "\n-1.5,-1.5\n" in text
    assert [row[0] for _, row in Sheet(tmp_path / "t.csv")][1:] == cells


def test_an_id_that_spreadsheets_run_names_its_file(load):
    data, _ = load("id,energy\n'=a,1\n'-b,2\n", ["=a", "-b"])
    assert data.cif_ids == ["=a", "-b"]


def test_an_id_column_that_is_not_the_first_is_found(load):
    data, said = load("n,energy,ID\n1,1.5,a\n1,-2,b.cif\n", ["a", "b", "1"])
    assert data.cif_ids == ["a", "b"]
    assert data.target_names == ["n", "energy"]
    assert "column 'ID' as that of the ids" in said
    with pytest.raises(DataError, match="column 2 names crystals, and the first should; begin"):
        load("1.5,a\n-2,b\n", "ab")
    # Half of the ids are enough to know the column, and the others are what is missing.
    with pytest.raises(DataError, match=r"line 4: .*c\.cif does not exist\n.*line 5: .*d\.cif"):
        load("n,energy,ID\n1,1.5,a\n1,-2,b\n1,3,c\n1,4,d\n", "ab")
    # Values that happen to be names of files are none.
    with pytest.raises(DataError, match=r"x\.cif does not exist"):
        load("id,label\nx,1\ny,1\nz,1\n", "1")


def test_rows_that_repeat_others_and_files_that_are_not_listed(load):
    data, said = load("id,e\na,1\nb,2\na,1\na,1\n", "abcdefg")
    assert data.cif_ids == ["a", "b"]
    assert "2 rows that repeat another one, which are left out" in said
    assert "5 files left out that it does not list: c.cif, d.cif, e.cif and 2 more" in said
    with pytest.raises(DataError, match="line 4: id 'a' stands in line 2 already"):
        load("id,e\na,1\nb,2\na,3\n", "ab")


def test_lines_are_those_of_the_file(load):
    with pytest.raises(DataError, match="line 6: 'x' is not a number"):
        load('id,note,e\r\n"a","of\r\ntwo lines",1\r\n\r\nb,,2\r\nc,,x\r\n', "abc")


@pytest.mark.parametrize(
    ("before", "n_lines"),
    [("", 0), ("\n", 1), ("# one\n,;\n# two\n", 3), ("sep=;\n", 1), ("#\n\nsep=;\n", 3)],
)
def test_lines_are_counted_from_the_first_of_the_file(load, before, n_lines):
    with pytest.raises(DataError, match=f"line {n_lines + 3}: 'x' is not a number"):
        load(f"{before}id;e\na;1\nb;x\n", "ab")
    with pytest.raises(DataError, match=f"in the row of line {n_lines + 2} is not closed"):
        load(f'{before}id;e\na;"1\nb;2\n', "ab")


def test_what_parts_the_cells_of_every_row(load):
    # A semicolon in some rows is a part of a text, before or after the others.
    for rows in (["a,p;q", "b,r"], ["a,p", "b,q;r"]):
        data, said = load("\n".join(rows), "ab")
        assert (data.target.tolist(), said) == ([row[2:] for row in rows], "")
    # Comments and rows without cells do not count; neither do lines far below.
    data, said = load("id;e\n# all of them\n;\na;1\n\nb;2\n", "ab")
    assert data.target.tolist() == [1, 2]
    assert "read with semicolons between the columns" in said


@pytest.mark.parametrize(("n_lines", "separator"), [(99, ","), (100, ";")])
def test_a_hundred_lines_tell_what_parts_the_cells(tmp_path, n_lines, separator):
    (tmp_path / "t.csv").write_text("# a comment\n" + "a,p;q\n" * n_lines + "b,r\n")
    sheet = Sheet(tmp_path / "t.csv")
    assert len(list(sheet)) == n_lines + 1
    assert sheet.separator == separator


@pytest.mark.parametrize("content", [b"a,1\nb,\x002\n", "a,1\nb,2\n".encode("utf-16-le")])
def test_bytes_of_no_text(load, content):
    with pytest.raises(DataError, match=r"not a CSV file in UTF-8: line [12] holds the byte 0x00"):
        load(content, "ab")


@pytest.mark.parametrize("name", ["id_prop.xlsx", "id_prop.csv"])
def test_a_workbook(name, tmp_path):
    pytest.importorskip("openpyxl")
    for cif_id in ("a", "18517"):
        (tmp_path / f"{cif_id}.cif").touch()
    table = pd.DataFrame({"id": ["a", 18517], "energy": [1.5, None], "kind": ["gap", "metal"]})
    with pd.ExcelWriter(tmp_path / "book.xlsx") as book:
        table.to_excel(book, index=False)
        pd.DataFrame({"note": [1]}).to_excel(book, sheet_name="notes")
    (tmp_path / "book.xlsx").rename(tmp_path / name)
    with pytest.warns(UserWarning, match="read with its first sheet, 'Sheet1', alone"):
        data = load_id_prop(tmp_path)
    assert data.cif_ids == ["a", "18517"]
    assert data.filename == str(tmp_path / name)
    assert data.target.tolist()[0] == [1.5, "gap"]
    table.assign(energy=["much", 1]).to_excel(tmp_path / name.replace("csv", "xlsx"), index=False)
    (tmp_path / name.replace("csv", "xlsx")).rename(tmp_path / name)
    with pytest.raises(DataError, match="line 2: 'much' is not a number"):
        load_id_prop(tmp_path)


def test_a_workbook_of_numbers(tmp_path):
    pytest.importorskip("openpyxl")
    for cif_id in ("1000041", "1000050"):
        (tmp_path / f"{cif_id}.cif").touch()
    table = pd.DataFrame([[1000041, 1.5, 0], [1000050, -2, None]])
    table.to_excel(tmp_path / "id_prop.xlsx", index=False, header=False)
    data = load_id_prop(tmp_path)
    assert data.cif_ids == ["1000041", "1000050"]
    np.testing.assert_array_equal(data.target, [[1.5, 0], [-2, np.nan]])


ROW = '<row r="{}"><c r="{}" t="n"><v>1</v></c></row>'
FAR = {
    "far right": ("".join(ROW.format(i, f"XFD{i}") for i in range(1, 3000)), "2999 rows and 16384"),
    "far down": (ROW.format(1, "AZ1") + ROW.format(1_000_000, "A1000000"), "1000000 rows and 52"),
    "without names": ("<row>" + "<c/>" * 10_000 + "</row>" + "<row/>" * 9_999, "and 10000 columns"),
    "one row many times": (ROW.format(1, "XFD1") * 3000, "3000 rows and 16384"),
    "a negative row": ('<row r="-9"/>', "a row '-9'"),
    "no such row": ('<row r="999999999"/>', "a cell in row 999999999"),
    "no such column": (ROW.format(1, "ZZZ1"), "column 18278"),
    "no such cell": (ROW.format(1, "a-1"), "it has a cell 'a-1'"),
    "many styles": ("<xf/>" * 200_001, "more than 200,000 elements 'xf'"),
    "many sheets": ("<sheet/>" * 1_001, "more than 1,000 elements 'sheet'"),
    "many parts of texts": ("<r/>" * 500_001, "more than 500,000 elements 'r'"),
    "many rules": ("<cfRule/>" * 50_001, "more than 50,000 elements 'cfRule'"),
}


@pytest.mark.parametrize("kind", FAR)
def test_cells_far_away_are_refused_before_anything_is_made(kind, tmp_path, monkeypatch):
    rows, message = FAR[kind]
    sheet = f'<worksheet xmlns="m"><sheetData>{rows}</sheetData></worksheet>'
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/media/picture.png", b"\x89PNG")
        archive.writestr("any/name.xml", sheet)
    monkeypatch.setattr(pd, "ExcelFile", lambda *args, **kwargs: pytest.fail("it is opened"))
    with pytest.raises(DataError, match=message):
        list(Sheet(tmp_path / "t.xlsx"))


def test_what_is_no_workbook_to_read(load, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(DataError, match=r"id_prop\.csv: cannot be read \(File is not a zip file"):
        load(packed.getvalue()[:-30], "a")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ImportError, match=r"id_prop\.csv: workbooks need openpyxl: pip install"):
        load(packed.getvalue(), "a")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.infolist()[0].file_size = 10**9  # so it claims
    with pytest.raises(DataError, match="is too large a workbook"):
        load(packed.getvalue(), "a")


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_quotation_mark_that_is_not_closed_takes_no_crystals_away(load, separator):
    rows = ["a,1,gap", 'b,2,"metal', "c,3,gap"]
    with pytest.raises(DataError, match="a quotation mark in the row of line 2 is not closed"):
        load("\n".join(rows).replace(",", separator) + "\n", "abc")
    data, _ = load('a,1,"of two\nlines"\nb,2,"quo""ted"', "ab")
    assert data.target[:, 1].tolist() == ["of two\nlines", 'quo"ted']


def test_a_frame_has_one_column_of_paths(folder):
    path = folder("id,path,energy\na,1,2\nb,3,4\n")
    with pytest.raises(DataError, match=r"id_prop\.csv: a frame has a column 'path' of its own"):
        load_id_prop(path, as_frame=True)
    assert load_id_prop(path, target="energy", as_frame=True).frame.shape == (2, 2)


@pytest.mark.parametrize("before", ["", "id,energy\na,1\n"])
def test_a_packed_table_of_empty_lines_takes_no_minutes(tmp_path, before):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write(before + "\n" * 3_000_000)
    with pytest.raises(DataError, match=r"1,000,000 lines up to line .* are empty; remove them"):
        list(Sheet(tmp_path / "t.csv.gz"))


@pytest.mark.parametrize(
    ("last", "is_told"),
    [("1.0", True), ("1", True), ("-", False), ("1.024", False), ("1.0249", False)],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_table_that_ends_within_its_last_number(tmp_path, last, is_told, end):
    rows = "\n".join(f"c{i},{i}.2815" for i in range(4))
    (tmp_path / "t.csv").write_text(f"id,e\n{rows}\nc9,{last}{end}")
    sheet = Sheet(tmp_path / "t.csv")
    assert len(list(sheet)) == 6
    told = [f"{last} at its end, with fewer digits than others; is it cut?"]
    assert sheet.remarks == (told if is_told and not end else [])


CUT = ["1.2815624312", "-0.28719823", "3.90123"]


@pytest.mark.parametrize(
    ("cells", "last", "is_told"),
    [
        (CUT, "-3", True),
        ([*CUT, ""], "-3", True),
        ([*4 * CUT, "0"], "-3", True),
        ([*CUT, "0"], "-3", False),
        ([cell.replace(".", ",") for cell in CUT], "-3", True),
        ([cell.replace(".", ",") for cell in CUT], "-3,1", True),
        ([f"{cell}e-05" for cell in CUT], "-3.28151e-0", True),
        ([f"{cell}e-05" for cell in CUT], "-3.28151e-05", False),
        ([f"{cell}e-5" for cell in CUT], "-3.28151e-7", False),
    ],
)
def test_numbers_of_all_their_digits_may_be_cut(tmp_path, cells, last, is_told):
    rows = "\n".join(f"c{i};{cell}" for i, cell in enumerate([*cells, last]))
    (tmp_path / "t.csv").write_text(f"id;e\n{rows}")
    sheet = Sheet(tmp_path / "t.csv")
    list(sheet)
    told = [f"{last} at its end, with fewer digits than others; is it cut?"]
    assert sheet.remarks == (told if is_told else [])


def test_numbers_of_various_digits_are_not_cut(tmp_path):
    for rows in ("a,1.25\nb,1.5\nc,2.25\nd,7", "a,1.25\nb,7", "a,1\nb,2\nc,3\nd,4"):
        (tmp_path / "t.csv").write_text(f"id,e\n{rows}")
        sheet = Sheet(tmp_path / "t.csv")
        list(sheet)
        assert sheet.remarks == []


@pytest.mark.slow
def test_a_table_of_comments(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("# x\n" * 1_000_001 + "id,e\na,1\n")
    with pytest.raises(DataError, match="its first 1,000,001 lines are empty or comments; remove"):
        list(Sheet(tmp_path / "t.csv.gz"))
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("id,e\na,1\n" + "#\n" * 1_000_002)
    with pytest.raises(DataError, match="1,000,001 rows are comments; remove them"):
        list(Sheet(tmp_path / "t.csv.gz"))
