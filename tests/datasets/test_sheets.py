"""Rows of tables as they are read and written: units, separators, encodings, decimal commas."""

import gzip
import time
import warnings

import pytest

from skcgcnn.datasets import Sheet, write_table
from skcgcnn.exceptions import DataError


def test_a_table_that_is_written_as_a_whole(tmp_path):
    write_table(tmp_path / "t.csv", ["a", "b"], ([i, f"x{i}"] for i in range(3)))
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\n0,x0\n1,x1\n2,x2\n"
    write_table(tmp_path / "t.csv", ["a"], [])
    assert (tmp_path / "t.csv").read_bytes() == b"a\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["t.csv", "t.CSV.GZ"])
def test_texts_that_are_packed_or_not(tmp_path, name, encoding):
    text = '\u00e9;b\nx; "y;z"\n'
    content = ("\ufeff" if encoding == "utf-16-be" else "") + text
    packed = content.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(packed) if name.endswith("GZ") else packed)
    sheet = Sheet(tmp_path / name)
    assert list(sheet) == [(1, ["\u00e9", "b"]), (2, ["x", "y;z"])]
    assert sheet.separator == ";"
    assert sheet.encoding == ("utf-16" if "16" in encoding else "utf-8-sig")


def records(sheet):
    return list(sheet.records(lambda names: None))


def test_records_and_their_units(tmp_path):
    file = tmp_path / "t.csv"

    def sheet(text):
        file.write_text(text)
        return Sheet(file)

    own = sheet("id,e,k\nunits,eV,-\na,1,x\nb,2,y\n")
    assert records(own) == [
        (3, {"id": "a", "e": "1", "k": "x"}),
        (4, {"id": "b", "e": "2", "k": "y"}),
    ]
    assert (own.names, own.units, own.remarks) == (
        ["id", "e", "k"],
        {"e": "eV"},
        ["a row of units"],
    )
    for text in (
        "id,e\nx,eV\na,1\n",  # a crystal
        "id,e\n,5\na,1\n",  # a number
        "id,e\n,eV\na,b\n",  # no number below
        "id,e,k\n,eV,words\na,1,x\n",  # a text above a text
        "id,e\n,\na,1\n",
        "id,e\n,eV\n",
    ):
        own = sheet(text)
        assert len(records(own)) == len([one for one in text.split("\n")[1:] if one.strip(",")])
        assert (own.units, own.remarks) == ({}, [])
    own = sheet("id,e,k\n,eV,meV\na,1,n/a\n")
    assert len(records(own)) == 1
    assert own.units == {"e": "eV", "k": "meV"}
    for text, message in {
        "id,e,e\na,1,2\n": "has several columns with the name 'e'",
        "id,e,\na,1,2\n": "column 3 has no name; write one above it, or remove the column",
        "id,,e\na,,2\n": "column 2 has no name; write one above it, or remove the column",
        "id,e\na,1\nb\n": "the row that ends in line 3 has 1 cells, the header 2",
        **{
            f"id,e,g\na,1,2\n{again}\nb,3,4\n": "line 3 names columns again, others or in another "
            "order; make two tables of it"
            for again in ("id,g,e", "id,e,h", "ID,G,E", "cif_id,g,e")
        },
        "id,e\na,1\nb,2,5\n": "the row that ends in line 3 has 3 cells, the header 2",
    }.items():
        with pytest.raises(DataError) as error:
            records(sheet(text))
        assert str(error.value) == f"{file}: {message}"
    assert records(sheet(",e\na,1\n")) == [(2, {"": "a", "e": "1"})]
    for text in (
        ",id,e,g\n0,a,1,2\n,id,g,h\n0,b,3,4\n",
        "id,e,g\na,1,2\nid,g,\nb,3,\n",
        "sample,e,g\na,1,2\ncompound,e,g\nb,3,4\n",
    ):
        with pytest.raises(DataError, match="line 3 names columns again"):
            records(sheet(text))
    # What is no other header: crystals that are called as one, and the same names.
    assert len(records(sheet("id,e\na,1\nname,2\nfile,\nname,nan\nid,e\nb,3\n"))) == 6
    assert len(records(sheet("k,id,e\nx,a,1\ncrystal,mp-2,nan\nid,b,2\n"))) == 3
    # What is empty behind the last name.
    assert records(sheet("id,e,,\na,1,,\nb,2\nc,3,,,\n"))[1:] == [
        (3, {"id": "b", "e": "2"}),
        (4, {"id": "c", "e": "3"}),
    ]
    with pytest.raises(DataError, match="nothing of the kind"):
        sheet("id,e\na,1\n").records(refuse).__next__()


def test_many_columns_take_no_time_that_grows_with_their_square(tmp_path):
    file, n = tmp_path / "t.csv", 40_000
    file.write_text("".join(f"c{i}," for i in range(n)) + "z\n" + "1," * n + "1\n")
    start = time.perf_counter()
    assert len(records(Sheet(file))[0][1]) == n + 1
    assert time.perf_counter() - start < 5


def refuse(names):
    raise DataError(f"nothing of the kind: {names}")


def test_numbers_with_commas_and_zeros(tmp_path):
    file = tmp_path / "t.csv"

    def end(separator, *columns):
        file.write_text(f"a{separator}b\n1{separator}2\n")
        sheet = Sheet(file)
        list(sheet)
        mended = [
            [sheet.mended(cell, str(i), f"line {place}") for place, cell in enumerate(column, 1)]
            for i, column in enumerate(columns)
        ]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sheet.end()
        return mended, [str(one.message).removeprefix(f"{file}: read with ") for one in caught]

    assert end(",", ["1,5", "1.234"]) == ([["1,5", "1.234"]], [])
    assert end(";", ["1,5", "-2,25", "x,1"]) == (
        [["1.5", "-2.25", "x,1"]],
        ["decimal commas: 1,5 is 1.5"],
    )
    assert end(";", ["1,5", "x"], ["007", "0.5", "-01", "0", "0x"])[1] == [
        "decimal commas: 1,5 is 1.5, numbers that begin with zeros: 007 is 7"
    ]
    # What may be thousands, alone or in another column than the others.
    assert end(";", ["1.234", "2.5"], ["3,5"])[0] == [["1.234", "2.5"], ["3.5"]]
    assert end(";", ["1.234", "987.0"], ["5", "7"])[0] == [["1.234", "987.0"], ["5", "7"]]
    # Gaps and lengths of three decimals beside whole ones, and pairs beside points.
    for column in (["1.234", "0", "2"], ["293.000", "300", "298.150"], ["-1.234", "-2"]):
        assert end(";", column)[0] == [column]
        assert end("\t", column, ["1.5"], ["3,7"])[0][0] == column
    assert end(";", ["1.234", "2.345"])[0] == [["1.234", "2.345"]]
    assert end(",", ["1.234", "987"])[0] == [["1.234", "987"]]
    assert end(";", ["1,234", "2,5"])[0] == [["1.234", "2.5"]]
    assert end(";", ["1.23", "2,5"])[0] == [["1.23", "2.5"]]
    text = (
        "may have thousands or decimals behind its {}, for the column holds {!r} too; write all of "
        "its numbers with decimal points, and nothing between thousands"
    )
    for cells_, problem in {
        ("2,5", "3,5", "1.5", "1.234"): f"line 4: '1.234' {text.format('point', '2,5')}",
        ("1.5", "2.5", "1,234", "2.345"): f"line 3: '1,234' {text.format('comma', '1.5')}",
    }.items():
        with pytest.raises(DataError) as error:
            end(";", cells_)
        assert str(error.value) == f"{file}:\n  {problem}"


def test_a_cell_may_be_long(tmp_path):
    """As the text of a CIF, of more letters than `csv` takes by itself."""
    cell = "x" * 200_000
    (tmp_path / "t.csv").write_text(f"id,cif\na,{cell}\n")
    assert list(Sheet(tmp_path / "t.csv"))[1] == (2, ["a", cell])
