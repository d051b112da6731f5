"""Which column has the ids, what is a header, an index or a row of units, and what tables say."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from skcgcnn.datasets import load_groups, load_id_prop, read_table
from skcgcnn.exceptions import DataError


@pytest.fixture
def read(tmp_path):
    """Return what reads a table beside files of some names, and what it warned of."""

    def load(text, files, **options):
        for name in files:
            (tmp_path / (name if "." in name else f"{name}.cif")).touch()
        (tmp_path / "id_prop.csv").write_text(text)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            table = read_table(tmp_path, **options)
        said = [str(one.message).removeprefix(f"{table.file}: read with ") for one in caught]
        return table, "".join(said)

    return load


def cells(table):
    return [list(column) for column in table.columns]


@pytest.mark.parametrize(
    ("text", "files", "ids", "said"),
    [
        # Two names of files in the first column are enough.
        ("a,x\nb,q\nnone,r\n", "abx", ["a", "b", "none"], ""),
        ("n,k\n1,a\n", "a", ["1"], ""),
        # By its name.
        ("n,jid\n1,a\n", "a", ["a"], "column 'jid' as that of the ids"),
        ("No,x,jid\n1,p,a\n2,q,b\n", "ab", ["a", "b"], "column 'jid' as that of the"),
        ("x,jid\n1,a\n2,b\n3,none\n", "ab1", ["a", "b", "none"], "column 'jid' as that of the"),
        ("structure,jid\ns,a\nt,b\nu,c\nv,d\nw,e\nx,f\n", "st", list("stuvwx"), ""),
        ("name,jid\na,a\nb,b\n", "ab", ["a", "b"], "column 'jid' as that of the"),
        ("name,jid\nNaCl,a\nKCl,b\n", "ab", ["a", "b"], "column 'jid' as that of the"),
        ("No.,x,id\n1,p,2\n2,q,3\n3,r,1\n", "123", ["2", "3", "1"], "column 'id' as that of"),
        ("x,id\n3,001\n1,002\n2,003\n", ["001", "002", "003"], ["001", "002", "003"], "column"),
    ],
)
def test_which_column_has_the_ids(read, text, files, ids, said):
    table, told = read(text, files, on_missing="keep", count_others=False)
    assert table.cif_ids == ids
    assert told.startswith(said) if said else not told


@pytest.mark.parametrize(
    ("text", "files", "ids", "names"),
    [
        # An index, by its name.
        (",id,e\n0,a,1\n1,b,2\n", "ab", ["a", "b"], ["e"]),
        ("Unnamed: 0,x,e\n0,a,1\n1,b,2\n", "ab", ["a", "b"], ["e"]),
        (",Unnamed: 0,x,e\n0,3,a,1\n1,9,b,2\n", "ab3", ["a", "b"], ["e"]),
        ("Unnamed: 0,Unnamed: 1,x,e\n0,0,2,.1\n1,1,3,.2\n2,2,1,.3\n", "123", list("231"), ["e"]),
        (",id,x\n0,3,p\n1,1,p\n2,0,p\n", ["000", "001", "003", "p"], ["3", "1", "0"], ["x"]),
        (",path,e\n7,/c/4.cif,1\n4,c/7.cif,2\n5,x/9.cif,3\n", "47", ["4", "7", "x/9"], ["e"]),
        # Of some rows, which are names of some crystals, where another column has others alone.
        (",x,e\n7,a,1\n4,b,2\n", "ab7", ["a", "b"], ["e"]),
        (",jid,e\n7,4,1\n4,7,2\n", "47", ["4", "7"], ["e"]),
        (",id,e\n0,a,1\n1,b,2\n2,a,1\n", "ab1", ["a", "b"], ["e"]),
        (",x,file,e\n7,4,4.cif,1\n4,7,7.cif,2\n", "47", ["4", "7"], ["x", "e"]),
        # A number before what is called id, and a host.
        ("rank,id,e\n2,1,.5\n1,2,.6\n", "12", ["1", "2"], ["rank", "e"]),
        ("host,id,e\nb,a,1\na,b,2\n", "ab", ["a", "b"], ["host", "e"]),
        # None.
        (",x,e\n7,7,1\n4,4,2\n", "74", ["7", "4"], ["e"]),
        (",x,e\nq7,a,1\nq4,p,2\n", ["a", "q7", "q4"], ["q7", "q4"], ["x", "e"]),
        (",x,e\n0,p,1\n1,q,2\n", "", ["p", "q"], ["e"]),
        ("0,5,1\n1,6,2\n2,7,3\n", "", ["0", "1", "2"], ["value", "label"]),
    ],
)
def test_an_index_is_left_out(read, text, files, ids, names):
    table, said = read(text, files, on_missing="keep", count_others=False)
    assert (table.cif_ids, table.names) == (ids, names)
    assert ("an index column" in said) == (len(names) < len(text.split("\n")[0].split(",")) - 1)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("index,x,e\n2,1,1\n1,2,2\n", "12"),
        ("x,jid\na,h\nb,k\n", "abhk"),
        ("id,file,e\n1,2.cif,1\n2,3.cif,2\n3,1.cif,3\n", "123"),
        ("x,jid,e\n5,3,1\n3,4,2\n4,5,3\n", "345"),
        ("Unnamed: 0,x,e\n0,a,1\n1,b,2\n", "ab01"),
        (",x,e\n7,a,1\n4,b,2\n", "ab74"),
        ("No,x,e\n1,3,.1\n2,1,.2\n3,2,.3\n", "123"),
        (",x,e\nq,a,1\np,b,2\n", "abqp"),
        ("host,x,e\nb,a,1\nc,b,2\na,c,3\n", "abc"),
        ("No.,x,e\n3,1,1\n1,2,2\n2,3,3\n", "123"),
        (",n,x,e\n0,3,2,1\n1,1,3,2\n2,2,1,3\n", "123"),
    ],
)
def test_an_index_and_another_column_that_name_crystals(read, text, files):
    with pytest.raises(DataError, match=r"columns .* both name crystals.* write 'id' above"):
        read(text, files, on_missing="keep")


@pytest.mark.parametrize("ids", ["3355", "35  "])
def test_numbers_of_rows_are_no_ids_beside_ids_that_come_again(read, ids):
    rows = (f"{n},{one.strip()},{n}.5" for n, one in enumerate(ids, 1))
    with pytest.raises(DataError, match=r"stands in line|both name crystals"):
        read("\n".join(["No,id,e", *rows]), "12345", on_missing="keep")


def test_an_index_of_names_of_crystals_is_told(read):
    for text in (",e\n0,.1\n1,.2\n2,.3\n", ",e\n1,.1\n0,.2\n2,.3\n"):
        table, said = read(text, "012")
        assert table.cif_ids == [line[0] for line in text.split()[1:]]
        assert "its index as the ids" in said


@pytest.mark.parametrize(
    ("text", "files", "column"),
    [
        # An index, also of ids that are numbers, and of such as do not begin where files do.
        ("0,a,1\n1,b,2\n2,c,3\n", "abc", 2),
        ("0,a,1\n1,b,2\n2,c,3\n", "abc012", 2),
        ("1,a,1\n2,b,2\n3,c,3\n", "abc123", 2),
        ("1,a\n1,b\n", "1ab", 2),
        # Two names for each crystal, and none.
        ("a,4,p\nb,5,q\nc,6,r\n", "abcpqr", 3),
        ("p,1,3\nq,2,none\nr,none,1\n", "123", 2),
        (",p,1,3\n,q,2,none\n,r,none,1\n", "123", 2),
    ],
)
def test_without_a_header_the_first_column_has_the_ids(read, text, files, column):
    with pytest.raises(DataError, match=f"column {column} names crystals, and the first should; b"):
        read(text, files, on_missing="keep")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        # Under an unknown name, not the first; so is an index of which the crystals are others.
        ("n,k\n1,a\n2,b\n3,c\n4,d\n", ("k", "n")),
        ("No,e,x\n1,p,a\n2,q,b\n", ("x", "No")),
        ("formula,e,cod_id\nNaCl,.1,7\nKCl,.2,8\n", ("cod_id", "formula")),
        ("energy,cif_file\n-1.5,a.cif\n-2.5,b.cif\n", ("cif_file", "energy")),
        (",gap,sample,e\n0,.1,a,.3\n1,.2,b,.4\n", ("sample", "gap")),
        ("name,e,x\nNaCl,.1,a\nKCl,.2,b\n", ("x", "name")),
    ],
)
def test_a_column_of_ids_that_is_neither_named_nor_the_first(read, text, columns):
    named, none = columns
    with pytest.raises(DataError, match=f"column '{named}' names crystals, and column '{none}' no"):
        read(text, "ab78", on_missing="keep")


@pytest.mark.parametrize(
    ("text", "files", "ids"),
    [
        # What has lost its zeros has a name of its own, also beside others that have theirs.
        ("No,sample,e\n1,003,.1\n2,001,.2\n3,002,.3\n", ["001", "002", "003"], None),
        ("n_sites,code,e\n1,003,.1\n2,001,.2\n1,002,.3\n", ["001", "002", "003"], None),
        ("host,id,e\n003,1,.1\n001,2,.2\n002,3,.3\n", ["001", "002", "003"], list("123")),
        ("similar,file,e\n003,1.cif,.1\n001,2.cif,.2\n", ["001", "002", "003"], None),
        # An index beside them is none, in spite of a row of units.
        (",sample,e\n0,001,.1\n1,000,.2\n", ["000", "001"], ["001", "000"]),
        (",sample,e\n,,eV\n0,a,.1\n1,b,.2\n", "ab", ["a", "b"]),
        # Paths name the files of their folders, and others by their last part.
        ("sample,path,e\nm1,relaxed/m1.cif,1\nm2,relaxed/m2.cif,2\n", ["m1", "m2"], None),
        ("No,cif_path,e\n1,cifs/8.cif,1\n2,cifs/9.cif,2\n", "1289", None),
        ("cif_path,e\ncifs/8.cif,.1\ncifs/9.cif,.2\n", "1289", list("89")),
        *(
            (f"path,e\n{above}m1.cif,.1\n{above}m2.cif,.2\n", ["m1", "m2"], ["x/m1", "x/m2"])
            for above in ("data/x/", "/home/me/data/x/", "x\\", "C:\\data\\x\\", "x/")
        ),
        # Numbers of rows beside names that are known, with their zeros.
        ("file,rank,e\n002.cif,1,.1\n001.cif,2,.2\n", ["001", "002"], ["002", "001"]),
    ],
)
def test_names_in_two_columns_by_their_numbers_and_paths(read, tmp_path, text, files, ids):
    for folder in ("relaxed", "x"):
        (tmp_path / folder).mkdir()
        for name in ("m1.cif", "m2.cif"):
            (tmp_path / folder / name).touch()
    if ids is not None:
        assert read(text, files, count_others=False)[0].cif_ids == ids
        return
    with pytest.raises(DataError, match="both name crystals, and not the same; write 'id' above"):
        read(text, files)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("x,jid\na,h\nb,h\n", "abh"),
        (",x,jid,e\n0,a,h,1\n1,b,h,2\n", "abh"),
        ("material_id,x\nh,a\nh,b\nh,c\n", "abch"),
    ],
)
def test_names_of_hosts_are_not_taken_for_those_of_the_crystals(read, text, files):
    with pytest.raises(DataError, match="both name crystals, and not the same; write 'id' above"):
        read(text, files, on_missing="keep")


def test_one_row_does_not_tell_which_column_has_the_ids(read):
    with pytest.raises(DataError, match=r"id_prop\.csv: holds no crystal$"):
        read("energy,id\n", ["a"])


def test_units_are_those_of_their_columns(read):
    table, said = read("id,e,n,gap\n,eV,,meV\na,1,2,3\nb,4,5,6\n", "ab")
    assert (table.units, said) == ({"e": "eV", "gap": "meV"}, "a row of units")
    assert cells(table) == [[1, 4], [2, 5], [3, 6]]
    assert table.choose(["gap"]).units == table.take(np.array([1])).units == table.units
    table, _ = read("e,id,gap\neV,,meV\n1,a,3\n4,b,6\n", "ab")
    assert (table.names, table.units) == (["e", "gap"], {"e": "eV", "gap": "meV"})
    table, said = read("id,e\na,1\nb,4\n", "ab")
    assert (table.units, said) == ({}, "")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("id,e\nunit,5\na,1\n", ["line 2: {}/unit.cif does not exist"]),
        ("id,kind\nunit,what\na,metal\n", ["line 2: {}/unit.cif does not exist"]),
        (
            "id,e\nunit,eV\nnone,1\na,2\n",
            [
                "line 2: {}/unit.cif does not exist",
                "line 3: {}/none.cif does not exist",
                "line 2: 'eV' is not a number",
            ],
        ),
        ("id,e\na,eV\nb,1\n", ["line 2: 'eV' is not a number"]),
        ("id,e\nunit,eV\n", ["line 2: {}/unit.cif does not exist"]),
    ],
)
def test_what_is_no_row_of_units(read, tmp_path, text, problems):
    with pytest.raises(DataError) as error:
        read(text, "ab")
    expected = [f"{tmp_path / 'id_prop.csv'}:", *(one.format(tmp_path) for one in problems)]
    assert str(error.value) == "\n  ".join(expected)


@pytest.mark.parametrize(
    ("text", "names", "ids"),
    [
        ("name\na\nb\n", [], ["a", "b"]),
        ("a\nb\n", [], ["a", "b"]),
        ("none\nb\n", [], ["none", "b"]),
        ("none,\nb,2\n", ["value"], ["none", "b"]),
        ("none,n/a\nb,2\n", ["value"], ["none", "b"]),
        ("none,3\nb,2\n", ["value"], ["none", "b"]),
        ("some,3,text\nb,2,gap\n", ["value", "label"], ["some", "b"]),
        ("id,3,text\nb,2,gap\n", ["3", "text"], ["b"]),
        (",3,text\nb,2,gap\n", ["3", "text"], ["b"]),
        ("none,3,gap\nb,2,gap\n", ["value", "label"], ["none", "b"]),
        ("none,1,gap,2\nb,2,gap,3\n", ["value", "label", "target_3"], ["none", "b"]),
        ("7,metal\nb,gap\n", ["value"], ["7", "b"]),
        ("a,1,2,3,4\nb,1,2,3,4\n", ["value", "label", "target_3", "target_4"], ["a", "b"]),
    ],
)
def test_what_is_a_header(read, text, names, ids):
    table, _ = read(text, "ab", on_missing="keep", columns=None if "," in text else ())
    assert (table.names, table.cif_ids) == (names, ids)


HINT = ". If these are decimal commas, write decimal points, or put semicolons between the columns"
OF_R = ". If the first ones are names of rows, as R writes them, name their column, too"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,e\na,1,5\nb,2,5\n",
            f"the header has 2 columns (id, e), but line 2 has 3 (a, 1, 5){HINT}{OF_R}",
        ),
        ("id;e\na;1;5\n", f"the header has 2 columns (id, e), but line 2 has 3 (a, 1, 5){OF_R}"),
        ("id\te\n1\ta\t5\n", f"the header has 2 columns (id, e), but line 2 has 3 (1, a, 5){OF_R}"),
        ("id,e,x\na,1\nb,2\n", "the header has 3 columns (id, e, x), but line 2 has 2 (a, 1)"),
        ("a,1\nb\n", "\n  line 2: has 1 columns, but the first crystal has 2"),
        ("a\nb\n", "\n  line 1: expected 'cif_id,value' or 'cif_id,value,label'"),
        (
            "a,2,125\nb,3,5\n",
            f"line 1 is 'a,2,125'{HINT}",
        ),
        ("a,-3,7689,2,8162\nb,4,5,3,0123\n", f"line 1 is 'a,-3,7689,2,8162'{HINT}"),
    ],
)
def test_rows_of_another_length(read, tmp_path, text, message):
    with pytest.raises(DataError) as error:
        read(text, "ab")
    space = "" if message.startswith("\n") else " "
    assert str(error.value) == f"{tmp_path / 'id_prop.csv'}:{space}{message}"


@pytest.mark.parametrize(
    "text", ["a;2;125\nb;3;5\n", "a,2,125,1\nb,3,5,1\n", "a,2,12\nb,3,5\n", "a,2,x125\nb,3,5\n"]
)
def test_rows_that_are_no_decimals_in_two_parts(read, text):
    try:
        table, _ = read(text, "ab")
    except DataError as error:
        assert "'x125' is not a number" in str(error)  # noqa: PT017
    else:
        assert cells(table)[0] == [2, 3]


@pytest.mark.parametrize(
    ("files", "cif_id", "name", "said"),
    [
        (["a.cif", "a.cif.gz"], "a", "a.cif", ""),
        (["a.cif.gz"], "a", "a.cif.gz", ""),
        (["a.CIF"], "a", "a.CIF", ""),
        (["a.cif"], "a.CIF.gz", "a.cif", ""),
        (["A.cif"], "a", "A.cif", "names of files in other case or with other accents"),
        (["007.cif"], "7", "007.cif", "ids without their leading zeros"),
        (["7.cif"], "007", "7.cif", "ids without their leading zeros"),
        (["7.cif", "007.cif"], "7", "7.cif", ""),
        (["7x.cif"], "07x", "07x.cif", ""),
        ([], "77", "77.cif", ""),
        ([], "s/" + "x" * 300, "s/" + "x" * 300 + ".cif", ""),
    ],
)
def test_the_file_of_a_crystal(read, tmp_path, files, cif_id, name, said):
    table, told = read(f"{cif_id},1\n", files, on_missing="keep", count_others=False)
    assert (table.paths, told) == ([str(tmp_path / name)], said)


def test_a_file_below_that_is_not_clear(read, tmp_path):
    (tmp_path / "s").mkdir()
    for name in ("x.cif", "x.cif.gz", "y.cif.gz"):
        (tmp_path / "s" / name).touch()
    table, said = read("s/y,1\na,2\n", "a")
    assert (table.paths[0], said) == (str(tmp_path / "s" / "y.cif.gz"), "")
    with pytest.raises(
        DataError, match=r"line 1: 's/x' could be any of x\.cif, x\.cif\.gz; rename the others"
    ):
        read("s/x,1\na,2\n", "a")


def test_what_is_unusual_is_said_once(read):
    _, said = read("7,1\n8,2\nA,3\nB,4\n", ["07", "08", "a", "b", "d", "c"])
    assert said == (
        "ids without their leading zeros, names of files in other case or with other accents, "
        "2 files left out that it does not list: c.cif, d.cif"
    )
    _, said = read("7,1\n8,2\n", ["7", "8"], count_others=False)
    assert not said


def test_columns_of_a_table_by_name(read, tmp_path):
    table, _ = read("id,e,d,gap,k\na,1,2,3,x\nb,4,5,,y\n", "ab")
    file = tmp_path / "id_prop.csv"
    assert cells(table.choose(["k", "gap"]))[0] == ["x", "y"]
    assert table.choose([]).names == []
    assert table.without(["e", "d", "k", "none"]).names == ["gap"]
    with pytest.raises(DataError) as error:
        table.choose(("gap", "f"))
    assert str(error.value) == f"{file}: has no column 'f'; it has e, d, gap, k"
    with pytest.raises(DataError, match=r"has no column 'f'; it has none$"):
        table.without(["e", "d", "gap", "k"]).choose(["f"])
    with pytest.raises(DataError) as error:
        table.numbers()
    assert str(error.value) == f"{file}: 'b' has no gap; fill the cell"
    with pytest.raises(DataError) as error:
        table.choose(["k"]).numbers(allow_missing=True)
    assert str(error.value) == f"{file}: column 'k' holds texts; it should hold numbers"
    numbers = table.without(["k"]).numbers(allow_missing=True)
    np.testing.assert_array_equal(numbers, [[1, 2, 3], [4, 5, np.nan]])
    assert table.without(["k"]).take(np.array([0])).numbers().tolist() == [[1, 2, 3]]
    assert table.choose([]).numbers().shape == (2, 0)


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        (",id,e", "column 4 has no name"),
        (",id,e,T", "line 2 has 'a' in a column without a name, and '0.5' as its id: is the head"),
        ("e,T,w,", "column 4 has no name"),
        ("id,,e,T", "column 2 has no name"),
        ("id,e,e,T", "has several columns with the name 'e'"),
        ("id,e,T,w", ""),
        (",e,T,w", ""),
    ],
)
def test_headers_that_are_shifted(header, cause, read):
    names = header + "," * (3 - header.count(","))
    text = f"{names}\na,0.5,300,1.5\nb,0.7,310,2.5\n"
    if not cause:
        table, _ = read(text, "ab")
        assert table.names == ["e", "T", "w"]
        return
    with pytest.raises(DataError, match=re.escape(cause)):
        read(text, "ab")


def test_ids_that_come_twice_beside_a_column_without_a_name(read):
    with pytest.raises(DataError, match="column 'id' has 'lo' twice: is the header shifted"):
        read(",id,kind,e\na,lo,0.5,\nb,lo,0.7,\n", "ab")
    with pytest.raises(DataError, match="there is nothing below 'e' in its last: is the header"):
        read(",id,T,e\na,300,0.5,\nb,310,0.7,\n", "ab")
    with pytest.raises(DataError, match="there is nothing below 'T' in its last: is the header"):
        read(",sample,e,T\n1,0.5,300,\n2,0.7,310,\n", "12")


@pytest.mark.parametrize("row", [",eV", "--", "^Z", ",eV,,eV"])
def test_a_row_below_the_header_that_is_not_as_long(row, read):
    with pytest.raises(DataError, match="line 2"):
        read(f"id,e,lab\n{row}\na,1.5,x\nb,2,y\n", "ab")
    table, _ = read(",id,e\na,,0.5\nb,,0.7\na,,0.5\n", "ab")  # one row again, no other ids
    assert (table.cif_ids, table.names) == (["a", "b"], ["id", "e"])


@pytest.mark.parametrize("name", ["id", "crystal", "file", "name"])
def test_a_shifted_header_above_whole_numbers_as_ids(name, read):
    with pytest.raises(DataError, match=f"{name}' holds numbers such as '0.5', and no names of cr"):
        read(f",{name},e,T\n1,0.5,300,1\n2,0.7,310,2\n", "12")


def test_an_index_of_texts_before_the_ids_is_left_out(read):
    text = ",cif_id,e,T\ns,,eV,K\ns,a,0.5,300\nt,b,0.7,310\n".replace("\ns,,eV,K", "\n,,eV,K")
    table, said = read(text, "ab")
    assert (table.cif_ids, table.names) == (["a", "b"], ["e", "T"])
    assert table.units == {"e": "eV", "T": "K"}
    assert "a column without a name left out" in said


@pytest.mark.parametrize("name", ["name", "uid", "mp_id"])
def test_a_column_without_a_name_beside_other_names_of_crystals(name, read):
    table, _ = read(f",{name},e\na,7,0.5\nb,8,0.7\n", "ab")
    assert (table.cif_ids, table.names) == (["a", "b"], [name, "e"])


def test_crystals_without_targets_are_left_out(read, tmp_path):
    table, _ = read("id,e,k\na,,\nb,4,\nc,,\nd,,x\n", "abcd")
    file = tmp_path / "id_prop.csv"
    with pytest.warns(UserWarning) as caught:  # noqa: PT030
        some, rows = table.with_targets()
    assert str(caught[0].message) == (
        f"{file}: 2 of 4 crystals have no e and no k and are left out, the first is 'a'"
    )
    assert rows.tolist() == [1, 3]
    assert some.cif_ids == ["b", "d"]
    assert some.paths == [str(tmp_path / "b.cif"), str(tmp_path / "d.cif")]
    assert some.columns[0].tolist()[0] == 4
    assert some.columns[1].tolist()[1] == "x"
    with pytest.raises(DataError) as error:
        table.take(np.array([0, 2])).with_targets()
    assert str(error.value) == f"{file}: no crystal has e or k"
    same, rows = some.with_targets()
    assert same is some
    assert rows.tolist() == [0, 1]


def test_frames_and_pairs(read, tmp_path):
    read("id,e,k\na,1,x\nb,2,y\n", "ab")
    data = load_id_prop(tmp_path, as_frame=True)
    assert data.frame.columns.tolist() == ["path", "e", "k"]
    assert data.frame["path"].tolist() == data.data
    assert data.target.columns.tolist() == ["e", "k"]
    assert data.target["e"].dtype == np.float64
    assert data.target["k"].tolist() == ["x", "y"]
    X, y = load_id_prop(tmp_path, target="e", as_frame=True, return_X_y=True)
    assert (X, y.name, y.tolist()) == (data.data, "e", [1, 2])
    described = data.DESCR
    assert described == f"2 crystals with e, k, read from {tmp_path}."
    assert data.filename == str(tmp_path / "id_prop.csv")
    assert load_id_prop(tmp_path, label="k").target.tolist() == ["x", "y"]
    assert load_id_prop(tmp_path, target=["e"]).target.dtype == np.float64
    two = load_id_prop(tmp_path).target
    assert (two.dtype, two.tolist()) == (object, [[1.0, "x"], [2.0, "y"]])


def test_a_folder_without_a_table(tmp_path):
    file = tmp_path / "id_prop.csv"
    text = f"{file}: no such file; expected lines of 'cif_id,value[,label]' in it"
    for name, hint in (
        ("", ""),
        ("one.csv", "; if it is one.csv, rename that to id_prop.csv"),
        ("two.csv", ""),
    ):
        if name:
            (tmp_path / name).touch()
        with pytest.raises(DataError) as error:
            load_id_prop(tmp_path)
        assert str(error.value) == text + hint
    file.touch()
    with pytest.raises(DataError) as error:
        load_id_prop(file)
    assert str(error.value) == f"{file}: is a file; name its folder, {tmp_path}"
    with pytest.raises(DataError) as error:
        load_id_prop(tmp_path / "none")
    assert str(error.value) == f"{tmp_path / 'none'}: no such folder"


@pytest.mark.parametrize(("count", "more"), [(20, []), (21, ["and 1 more"])])
def test_twenty_problems_are_shown(read, tmp_path, count, more):
    with pytest.raises(DataError) as error:
        read("".join(f"none{i},{i}\n" for i in range(count)), "")
    lines = str(error.value).split("\n  ")
    assert lines[0] == f"{tmp_path / 'id_prop.csv'}:"
    assert lines[21:] == more
    assert lines[20] == f"line 20: {tmp_path / 'none19.cif'} does not exist"


def test_what_a_crystal_that_is_there_twice_is_told(read, tmp_path):
    with pytest.raises(DataError) as error:
        read("none,1\na,2\nA,3\nnone,4\na.cif,5\n", "a")
    assert str(error.value).split("\n  ")[1:] == [
        f"line 1: {tmp_path / 'none.cif'} does not exist",
        "line 3: id 'A' has no file of its own: a.cif is that of 'a'",
        "line 4: id 'none' stands in line 1 already",
        "line 5: id 'a' stands in line 2 already",
    ]


def test_groups_by_the_names_of_crystals(read, tmp_path):
    file = tmp_path / "groups.csv"
    assert load_groups(tmp_path, ["a"]) is None
    file.write_text("id,group\na.cif,x\n# of later\n#b,y\nc,Na\n")
    assert load_groups(tmp_path, ["a"]) == {"a": "x", "#b": "y", "c": "Na"}
    read("a,1\n", "a")
    assert load_id_prop(tmp_path).groups.tolist() == ["x"]
    (tmp_path / "id_prop.csv").write_text("a,1\n#b,1\nd,2\ne,2\n")
    for name in ("#b", "d", "e"):
        (tmp_path / f"{name}.cif").touch()
    with pytest.raises(DataError) as error:
        load_id_prop(tmp_path)
    assert str(error.value) == f"{file}:\n  'd' has no group\n  'e' has no group"
    file.write_text("id,group\na,x,1\n,x\nb,\nc,x\nc.cif,y\n")
    with pytest.raises(DataError) as error:
        load_groups(tmp_path, [])
    assert str(error.value).split("\n  ") == [
        f"{file}:",
        "line 2: expected 'cif_id,group'",
        "line 3: expected 'cif_id,group'",
        "line 4: expected 'cif_id,group'",
        "line 6: id 'c.cif' comes twice",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1\nb,1,5\n", "line 2: has 3 columns, but the first crystal has 2"),
        ("a;1,5\nb;x\n", "line 2: 'x' is not a number"),
        ("a;1\nb;2,5 eV\n", "line 2: '2,5 eV' is not a number; write the number alone"),
        ('a,"1,5"\nb,1\n', "line 1: '1,5' is not a number; write a decimal point instead of the c"),
    ],
)
def test_cells_that_are_no_numbers(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text, "ab")


def test_columns_that_are_asked_for_alone_are_read(read):
    table, _ = read("id,e,bad\na,1,2\nb,2,x\n", "ab", columns=["e", "none"])
    assert (table.names, cells(table)) == (["e"], [[1, 2]])
    table, _ = read("a\nb\n", "ab", columns=["e"])
    assert (table.names, table.cif_ids) == ([], ["a", "b"])
    with pytest.raises(DataError, match="line 3: 'x' is not a number"):
        read("id,e,bad\na,1,2\nb,2,x\n", "ab")


def test_a_table_of_a_folder(tmp_path):
    folder = Path(tmp_path)
    (folder / "id_prop.xlsx").mkdir()
    with pytest.raises(DataError, match="no such file"):
        read_table(folder)


@pytest.mark.parametrize("word", ["none", "None", "NA", "null"])
def test_words_among_texts_that_count_as_missing_are_told(read, word):
    """Such as the class of crystals without a defect."""
    table, said = read(f"id,e,defect\na,1,{word}\nb,2,vacancy\nc,3,{word}\n", "abc")
    assert list(map(str, table.columns[1])) == ["nan", "vacancy", "nan"]
    assert f"2 cells such as {word!r} of 'defect' as missing" in said


@pytest.mark.parametrize("text", ["id,e\na,1\nb,none\n", "id,e,k\na,1,x\nb,2,\nc,3,nan\n"])
def test_what_means_missing_alone_is_not_told(read, text):
    assert "as missing" not in read(text, "abc", count_others=False)[1]


@pytest.mark.parametrize(
    "cell",
    [
        *("10.1021/acs.1", "5.4.4", "01.02.2024", "2D", "3-4", "2024-01-05", "1,4-BDC"),
        *("2,2'-bipyridine", "0.5-1.0", "5% Mn", "180\u00b0 wall", "(111)", "[100]", "<110>"),
        *("3-", "4 2 2", "P 1 21 1", "Fe(3)", "12 34", "float glass", "(1,1,0)", "[4,4,1]"),
        *("(10,0)", "[12,13]", "<50", ">0.1", "-1 1 0", "225 Fm-3m", "62 Pnma", "4 a", "6.3a"),
        *("2.0b1", "2101.12345v2", "4,4\u2032-bpy"),
    ],
)
def test_texts_that_begin_like_numbers(read, cell):
    table, _ = read(f'id,e,k\na,1,"{cell}"\nb,2,"{cell}"\n', "ab")
    assert table.columns[1].tolist() == [cell, cell]


def test_one_text_of_many_may_begin_like_a_number(read):
    table, _ = read("id,e,note\na,1,2.5 GPa\nb,2,ok\nc,3,relaxed\n", "abc")
    assert table.columns[1].tolist() == ["2.5 GPa", "ok", "relaxed"]


@pytest.mark.parametrize(
    "cell",
    [
        *("2.7 eV", "2.7eV", "2.7(3)", "1.234,5", "1.234,5 eV", "1.5%", "-2 eV", "2.7 +/- 1"),
        *(
            "1.23 [12]",
            "1.5\u00d710^-3",
            "1.5*",
            "90.5\u00b0",
            "1.5/1.7",
            "1.5\u20131.7",
            "12%",
            "30(5)",
            *("1 234,56", "2\u202f991", "1'234.5", "1\u2019234", "1,23,456.0", "(1.5)", "[1.5]"),
            *(
                "1.5-",
                "\u20ac 1,50",
                "~3",
                "np.float64(-1.2e-05)",
                "tensor([1.2000])",
                "\u20101.5",
                "- 1.5",
                "-1,234.5",
                "12 eV/atom",
                "3 GPa",
                "\uff11\uff0e\uff12",
            ),
        ),
    ],
)
def test_numbers_with_more_behind_them(read, cell):
    with pytest.raises(DataError, match="is not a number; write the number alone"):
        read(f'id,e,k\na,1,"{cell}"\nb,2,"{cell}"\n', "ab")


def test_a_long_text_takes_no_time(read):
    """Accents in no order, which take the square of their number to bring into one."""
    text = "a" + "\u0301\u0323" * 500_000
    table, _ = read(f"id,note,e\na,{text},1.5\nb,,2\n", "ab")
    assert len(table.columns[0][0]) == len(text)
