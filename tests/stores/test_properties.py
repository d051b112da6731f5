"""Names and properties of crystals in a store, and what is told of those that are odd."""

import csv
import errno
import gzip
import json
import math
import os
import warnings

import numpy as np
import pytest

from skcgcnn import CrystalGraphTransformer
from skcgcnn.exceptions import DataError
from skcgcnn.stores import as_in_tables, featurize, is_store, open_store, read_folder, read_paths


@pytest.fixture
def make(tmp_path):
    """Return what makes a store of a source: the store, and what was warned of."""

    def run(source, **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            featurize(source, tmp_path / "store", overwrite=True, **options)
        own = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
        return open_store(tmp_path / "store"), own

    return run


@pytest.fixture
def text(nacl):
    return nacl.to(fmt="cif")


def table(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def failed(store):
    with (store.folder / "failures.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def lines(tmp_path, nacl, *values):
    text = (json.dumps({"id": f"n{i}", "s": nacl.as_dict(), **v}) for i, v in enumerate(values))
    (tmp_path / "c.jsonl").write_text("\n".join(text))
    return tmp_path / "c.jsonl"


def test_numbers_texts_and_what_is_missing(make, nacl, tmp_path):
    source = lines(
        tmp_path,
        nacl,
        {"e": 1, "mixed": True, "long": "x" * 1001, "most": "y" * 1000, "n": None},
        {"e": "2.5", "mixed": "yes", "long": 3, "most": 0.5, "more": "z" * 1001},
        {"e": "nan", "mixed": 1234567.0, "most": "", "late": "k"},
    )
    store, said = make(source)
    text = "column {} holds numbers and texts, such as {} and {!r}: stored as strings; cannot be"
    assert said == [
        f"{text.format(repr('mixed'), 1.0, 'yes')} used as --target",
        f"{text.format(repr('most'), 0.5, 'y' * 1000)} used as --target",
        "texts of more than 1,000 letters are left out: column 'long', 'more'",
    ]
    assert list(store.properties) == ["e", "mixed", "most", "n", "late"]
    np.testing.assert_array_equal(store.properties["e"], [1, 2.5, np.nan])
    assert store.properties["mixed"].tolist() == ["1", "yes", "1234567"]
    assert store.properties["most"].tolist() == ["y" * 1000, "0.5", ""]
    np.testing.assert_array_equal(store.properties["n"], [np.nan] * 3)
    assert store.properties["late"].tolist() == ["", "", "k"]
    late = as_in_tables(store.properties["late"])
    assert late.dtype == object
    assert np.isnan(late[0])
    assert late[2] == "k"
    assert as_in_tables(store.properties["e"]) is store.properties["e"] or np.array_equal(
        as_in_tables(store.properties["e"]), store.properties["e"], equal_nan=True
    )
    # As those of a folder.
    own = store.table()
    assert (own.file, list(own.cif_ids), own.paths) == (store.folder, ["n0", "n1", "n2"], [])
    assert own.names == list(store.properties)
    assert repr(store) == (
        f"Store({str(store.folder)!r}, 3 crystals, ['e', 'mixed', 'most', 'n', 'late'])"
    )
    assert len(store) == 3


def test_names_in_lines_of_json(make, nacl, tmp_path):
    crystal = nacl.as_dict()
    content = [
        {"name": "last", "id": 7, "s": crystal},
        {"id": None, "jid": "J", "s": crystal},
        {"id": [1], "mp_id": 1.5, "s": crystal, "list": [1], "cif": None},
        {**crystal, "uid": "bare"},
    ]
    (tmp_path / "c.ndjson").write_text("\n".join(map(json.dumps, content)))
    store, said = make(tmp_path / "c.ndjson")
    assert store.graphs.ids.tolist() == ["7", "J", "1.5", "bare"]
    assert (list(store.properties), said) == (["name", "jid", "mp_id", "cif"], [])
    assert store.properties["name"].tolist()[0] == "last"  # of several ids, one is the id
    assert store.properties["jid"].tolist() == ["", "J", "", ""]
    (tmp_path / "c.ndjson").write_text(
        "\n".join(json.dumps({"id": one, "name": "n", "s": crystal}) for one in (None, 3, math.nan))
    )
    store, _ = make(tmp_path / "c.ndjson")
    assert store.graphs.ids.tolist() == ["n", "3", "n"]
    assert store.properties["name"].tolist() == ["n", "n", "n"]


@pytest.mark.parametrize("names", [["cif_id", "id"], ["id", "cif_id"], ["name", "uid"]])
def test_an_index_beside_several_columns_named_as_ids(make, text, names, tmp_path):
    """The crystals tell which of them has their names."""
    for n in range(1, 4):
        (tmp_path / f"{n}.cif").write_text(text)

    def run(others, place=0, first=""):
        rows = [[n, *((n + 1, o) if place == 0 else (o, n + 1)), n] for n, o in enumerate(others)]
        path = table(tmp_path / "p.csv", [first, *names, "e"], *rows)
        store, said = make(f"{tmp_path}/*.cif", properties=path)
        return list(store.properties), [one.removeprefix(f"{path}: ") for one in said], store

    for place, others in ((0, "xyz"), (1, "xyz"), (0, "xxx")):
        for first in ("", "Unnamed: 0"):
            properties, said, store = run(others, place, first)
            assert store.properties["e"].tolist() == [0, 1, 2]
            assert said == ["read with an index column"]
            assert properties == [names[1 - place], "e"]
    properties, said, store = run("xyz", 0, "No.")
    assert store.properties["e"].tolist() == [0, 1, 2]
    assert said == [f"read with column {names[0]!r} as the ids"]
    assert properties == ["No.", names[1], "e"]
    for others in ("331", "321"):
        with pytest.raises(DataError, match="both name crystals, and not the same; write 'id' abo"):
            run(others)
    # Numbers of the index are names of crystals, too.
    rows = [[n, f"mp-{n}", n / 4] for n in (3, 1, 2)]
    path = table(tmp_path / "p.csv", ["", "material_id", "e"], *rows)
    with pytest.raises(DataError, match="no name in its column 'material_id'"):
        make(f"{tmp_path}/*.cif", properties=path)
    for first in ("", "index"):
        rows = [[n, f"cifs/{e}.cif", e] for n, e in enumerate((3, 1, 2))]
        path = table(tmp_path / "p.csv", [first, "file", "e"], *rows)
        store, said = make(f"{tmp_path}/*.cif", properties=path)
        assert store.properties["e"].tolist() == [1, 2, 3]
        assert said == [f"{path}: read with an index column"]
    # The first column behind an index has them, else an index that does; it need not count up.
    for index, ids in (((0, 1, 2), (2, 3, 1)), ((7, 9, 5), (2, 3, 1))):
        rows = [[n, name, name / 4] for n, name in zip(index, ids, strict=True)]
        path = table(tmp_path / "p.csv", ["", "compound", "e"], *rows)
        store, said = make(f"{tmp_path}/*.cif", properties=path)
        assert store.properties["e"].tolist() == [0.25, 0.5, 0.75]
        assert f"{path}: read with an index column" in said
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        rows = [[n, f"x-{n}", n / 4] for n in order]
        path = table(tmp_path / "p.csv", ["", "sample", "e"], *rows)
        store, said = make(f"{tmp_path}/*.cif", properties=path)
        assert store.properties["e"].tolist() == [0.25, 0.5, 0.75]
        assert f"{path}: read with its index as the ids" in said
    for index in ((1, 2, 3), (3, 1, 2)):
        rows = [[n, name, 0.5] for n, name in zip(index, (2, 3, 1), strict=True)]
        path = table(tmp_path / "p.csv", ["", "compound", "e"], *rows)
        with pytest.raises(DataError, match="its columns '' and 'compound' both name crystals"):
            make(f"{tmp_path}/*.cif", properties=path)
    path = table(tmp_path / "p.csv", ["", "e", "compound"], [7, 0.5, 2], [9, 0.25, 1])
    with pytest.raises(DataError, match="column 'compound' names crystals, and column 'e' none"):
        make(f"{tmp_path}/*.cif", properties=path)
    path = table(tmp_path / "p.csv", ["", "same", "n_atoms"], *([n, n, 2] for n in (1, 2, 3)))
    assert make(f"{tmp_path}/*.cif", properties=path)[0].properties["n_atoms"].tolist() == [2] * 3


def test_a_shifted_header_of_properties(make, text, tmp_path):
    (tmp_path / "1.cif").write_text(text)
    for names in (["", "sample", "e", "T"], ["", "No.", "e", "T"]):
        path = table(tmp_path / "p.csv", names, [1, 0.5, 300, ""])
        with pytest.raises(DataError, match="nothing below 'T' in its last: is the header shifted"):
            make(f"{tmp_path}/*.cif", properties=path)


def test_names_that_several_crystals_have(make, text, tmp_path):
    (tmp_path / "a.cif").write_text(text)
    rows = [["id", "path"], *([name, "a.cif"] for name in "xyzyzz")]
    _, said = make(table(tmp_path / "t.csv", *rows))
    (told,) = said
    assert told == (
        "3 crystals have the name of another one, the first is 'y': properties and predictions do "
        "not tell them apart"
    )


def test_properties_of_a_table_beside(make, text, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.cif").write_text(text)
    beside = table(
        tmp_path / "p.csv", ["id", "e", "k"], ["", "eV", ""], ["c", 1.5, "x"], ["a.cif", "-", ""]
    )
    with pytest.raises(DataError) as error:
        make(tmp_path / "?.cif", properties=table(tmp_path / "q.csv", ["id", "e"], ["C", 1]))
    assert str(error.value) == (
        f"{tmp_path / 'q.csv'}: no name in its column 'id' is that of a crystal: the "
        "names are such as 'C', those of the crystals such as 'a'. Change the column and repeat "
        "the call: the crystals are not read again"
    )
    store, said = make(tmp_path / "?.cif", properties=beside)
    assert store.units == {"e": "eV"}
    told = "'-' of 'e' as a text (leave the cell empty, if nothing is known)"
    assert said[0] == f"{beside}: read with a row of units, {told}"
    assert store.properties["e"].tolist() == ["-", "", "1.5"]
    assert store.properties["k"].tolist() == ["", "", "x"]
    table(beside, ["id", "e"], ["none", 1], ["b", 2], ["c.cif", 3], ["other", 4])
    store, said = make(tmp_path / "?.cif", properties=beside)
    assert said == [
        f"{beside}: 2 of 4 names are those of no crystal, the first is 'none'",
        f"{beside}: 1 of 3 crystals have no row, one is 'a': their properties are missing",
    ]
    np.testing.assert_array_equal(store.properties["e"], [np.nan, 2, 3])
    expected = "expected names of crystals, then properties, with commas between them"
    for rows, message in (
        ([["id"], ["a"]], f"has one column, 'id'; {expected}"),
        ([["a", 1], ["b", 2]], "begins with numbers; expected a header, such as 'id,energy'"),
        ([["id", "1"], ["b", 2], ["b.cif", 3]], "line 3: 'b' comes twice in column 'id'"),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            make(tmp_path / "?.cif", properties=table(beside, *rows))
        assert str(error.value) == f"{beside}: {message}"
    # Names of columns that are numbers, beside such as are none, or of ids.
    for header in (["id", "1", "x"], ["id", "1", "2"], ["", "1", "2"]):
        store, _ = make(tmp_path / "?.cif", properties=table(beside, header, ["a", 1, 2]))
        assert list(store.properties) == header[1:]
    own = table(tmp_path / "own.csv", ["id", "path", "x"], ["a", "a.cif", 1])
    with pytest.raises(DataError) as error:
        make(own, properties=beside.rename(tmp_path / "b.csv") and table(beside, ["id", "x"], "a1"))
    assert str(error.value) == (
        f"{beside}: the crystals have a property 'x' already; rename the column"
    )


@pytest.mark.parametrize("cell", ["1 234,5", "2\u202f991", "6'265.75", "(1.5)", "np.float64(1.5)"])
def test_a_column_of_numbers_with_more_beside_is_told(make, text, tmp_path, cell):
    for name in "ab":
        (tmp_path / f"{name}.cif").write_text(text)
    path = table(tmp_path / "p.csv", ["id", "volume", "note"], ["a", cell, "x"], ["b", cell, "y"])
    _, (said,) = make(f"{tmp_path}/?.cif", properties=path)
    assert said.endswith(f"read with {cell!r} of 'volume' as a text (write the number alone)")


def test_a_table_of_properties_without_a_header(make, text, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.cif").write_text(text)
    for first, cell, what in (
        ("a", "z", "the crystal 'a'"),
        ("a.cif", "z", "the crystal 'a.cif'"),
        ("none", 1.5, "numbers"),
    ):
        beside = table(tmp_path / "p.csv", [first, cell, "x"], ["b", 2.5, "y"], ["c", 3.5, "x"])
        with pytest.raises(DataError, match=f"begins with {what}; expected a header, such as"):
            make(tmp_path / "?.cif", properties=beside)


def test_files_in_folders_name_the_crystals(make, text, tmp_path):
    """Those of one name are told apart, wherever the table was made."""
    for folder, name in ((".", "a"), ("new", "a"), ("new", "b"), ("new/old", "b")):
        (tmp_path / "d" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / folder / f"{name}.cif").write_text(text)
    names = ["new/a.cif", "/data/d/new/old/b.cif", r"C:\d\new\b", "./a.cif"]
    for column in ("path", "file"):
        beside = table(tmp_path / "p.csv", [column, "e"], *zip(names, range(4), strict=True))
        store, said = make(tmp_path / "d", properties=beside)
        found = dict(zip(store.graphs.ids.tolist(), store.properties["e"], strict=True))
        assert (found, said) == ({"a": 3, "new/a": 0, "new/b": 2, "new/old/b": 1}, [])
    table(beside, ["path", "e"], ["x/a.cif", 1], ["y/a.cif", 2])
    with pytest.raises(DataError, match="line 3: 'a' comes twice in column 'path'"):
        make(tmp_path / "d", properties=beside)


@pytest.mark.parametrize("name", ["material_id", "structure", "path"])
@pytest.mark.parametrize("index", [False, True])
def test_hosts_of_crystals_are_no_ids(make, text, tmp_path, name, index):
    """As of vacancies, beside the crystals that they are made of."""
    for stem in "abcdhk":
        (tmp_path / f"{stem}.cif").write_text(text)

    def run(hosts, first="defect"):
        rows = [[first, name, "e"], *([one, host, n] for n, (one, host) in enumerate(hosts))]
        rows = [[n - 1 if n else "", *row] for n, row in enumerate(rows)] if index else rows
        path = table(tmp_path / "p.csv", *rows)
        store, said = make(f"{tmp_path}/?.cif", properties=path)
        return store, [one.removeprefix(f"{path}: ") for one in said]

    with pytest.raises(DataError, match="both name crystals, and not the same; write 'id'"):
        run(["ah", "bh", "ck", "dk"])
    store, said = run(["ah", "bh", "ck", "dk"], "id")
    np.testing.assert_array_equal(store.properties["e"], [0, 1, 2, 3, np.nan, np.nan])
    assert list(store.properties) == [name, "e"]
    assert "2 of 6 crystals have no row, one is 'h': their properties are missing" in said
    store, _ = run(["ha", "hb", "kc", "kd"], "host")
    np.testing.assert_array_equal(store.properties["e"], [0, 1, 2, 3, np.nan, np.nan])
    # Of one for each, nothing tells.
    with pytest.raises(DataError, match=r"its columns 'defect' and .* both name crystals, and not"):
        run(["ah", "bk"])


@pytest.mark.parametrize("names", [["host", "sample"], ["No.", "mpid"], ["", "host", "sample"]])
def test_two_columns_of_unknown_names_that_name_crystals(make, text, tmp_path, names):
    for stem in ("3", "17", "25", "40"):
        (tmp_path / f"{stem}.cif").write_text(text)
    for pairs in (
        [["17", "3"], ["25", "17"], ["40", "25"], ["3", "40"]],
        # One name may be that of a crystal by chance.
        [["4", "3"], ["1", "17"], ["3", "25"], ["0", "40"]],
    ):
        rows = [[*([n] if names[0] == "" else []), *pair, n] for n, pair in enumerate(pairs)]
        path = table(tmp_path / "p.csv", [*names, "e"], *rows)
        with pytest.raises(DataError, match=r"'(host|No.)' and '(sample|mpid)' both name crystals"):
            make(f"{tmp_path}/*.cif", properties=path)


@pytest.mark.parametrize(
    "name",
    [
        "{}.cif",
        "{}/relaxed.cif",
        "x_{}.cif",
        "{}_relaxed.cif",
        "EntryWithCollCode{}.cif",
        "data_{}",
    ],
)
@pytest.mark.parametrize("first", ["mp-", ""])
def test_crystals_that_have_the_names_of_other_rows(make, text, tmp_path, name, first):
    """As where a column of a sheet was sorted alone."""
    ids = [f"{first}{number}" for number in (171, 182, 193, 204, 215)]
    name = name.replace("{", "_{") if first and name.startswith("Entry") else name
    cells = [name.format(one) for one in ids]
    for cell in cells:
        (tmp_path / cell).parent.mkdir(exist_ok=True)
        (tmp_path / cell).write_text(text)
    if name.startswith("data_"):
        cells = [text.replace("data_NaCl", cell) for cell in cells]

    def told(order):
        rows = [[one, cells[place], place] for one, place in zip(ids, order, strict=True)]
        _, said = make(table(tmp_path / "t.csv", ["id", "cif", "e"], *rows))
        return [one for one in said if "have the name of another row" in one]

    assert told([0, 1, 2, 3, 4]) == []
    (one,) = told([0, 2, 1, 3, 4])
    assert "2 crystals that have the name of another row" in one
    # All of another row: those of a database, for rows are not counted so far.
    assert len(told([1, 2, 3, 4, 0])) == 1


def test_columns_of_crystals_beside_ids(make, text, tmp_path):
    """Which may be in another row than the first, as of jobs that did not end."""
    for name in "ab":
        (tmp_path / f"{name}.cif").write_text(text)
        (tmp_path / f"{name}_end.cif").write_text(text)
    for other in ("b_end.cif", text):
        rows = [["id", "final", "e"], ["a", "", 1], ["b", other, 2]]
        with pytest.raises(DataError, match="of id, final; write 'path' or 'cif' above that one"):
            make(table(tmp_path / "t.csv", *rows))
        for column, n in (("id", 2), ("final", 1)):
            store, _ = make(table(tmp_path / "t.csv", *rows), crystal_column=column)
            assert len(store.graphs) == n
    rows = [["id", "path", "final"], ["a", "a.cif", ""], ["b", "b.cif", "b_end.cif"]]
    store, _ = make(table(tmp_path / "t.csv", *rows))
    assert len(store.graphs) == 2


def test_crystals_that_are_those_of_several_rows(make, text, tmp_path):
    """At several temperatures; beside folders and files with numbers; with a host or another."""
    for rows in (
        [["a", "a.cif"], ["a_600K", "a.cif"], ["b_600K", "b.cif"], ["b", "b.cif"]],
        [["1", "0.cif"], ["2", "1.cif"], ["3", "2.cif"]],
        [["mp-1", "a.cif"], ["mp-2", "c.cif"]],
        [[str(n), f"{n // 2}/mp-{n + 700}.cif"] for n in range(6)],
        [["Ba", "Ba_host.cif"], ["Ba_v1", "Ba/v1.cif"], ["Ba_v2", "Ba/v2.cif"]],
    ):
        for _, path in rows:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        _, said = make(table(tmp_path / "t.csv", ["id", "path"], *rows))
        assert not [one for one in said if "of another row" in one]


def test_what_is_called_id_counts_before_columns_of_unknown_names(make, text, tmp_path):
    for stem in "1234":
        (tmp_path / f"{stem}.cif").write_text(text)
    rows = [["rank", "id", "e"], [2, 4, 0.4], [4, 1, 0.1], [1, 3, 0.3], [3, 2, 0.2]]
    store, _ = make(f"{tmp_path}/?.cif", properties=table(tmp_path / "p.csv", *rows))
    assert store.properties["e"].tolist() == [0.1, 0.2, 0.3, 0.4]
    # One that is named names few of them, by chance.
    rows = [["uid", "sample", "e"], [1, 2, 0.2], [8, 1, 0.1], [9, 3, 0.3], [7, 4, 0.4]]
    with pytest.raises(DataError, match="'uid' and 'sample' both name crystals, and not the same"):
        make(f"{tmp_path}/?.cif", properties=table(tmp_path / "p.csv", *rows))
    # A count of sites is none of nearly as many crystals, beside all under an unknown name.
    rows = [["compound", "n", "e"], [4, 1, 0.4], [1, 2, 0.1], [3, 2, 0.3], [2, 8, 0.2]]
    store, _ = make(f"{tmp_path}/?.cif", properties=table(tmp_path / "p.csv", *rows))
    assert store.properties["e"].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_empty_columns_at_the_ends_of_a_table(make, text, tmp_path):
    for stem in "ab":
        (tmp_path / f"{stem}.cif").write_text(text)
    for rows in (
        [["", "id", "e", ""], ["", "a", 1, ""], ["", "b", 2, ""]],
        [["", "sample", "e"], ["", "a", 1], ["", "b", 2]],
        [["", "id", "e"], ["x", "a", 1], ["y", "b", 2]],
    ):
        path = table(tmp_path / "p.csv", *rows)
        store, said = make(f"{tmp_path}/*.cif", properties=path)
        assert {name: [*cells] for name, cells in store.properties.items()} == {"e": [1, 2]}
        told = "a column without a name left out"
        assert (told in "".join(said)) == (rows[1][0] == "x")


@pytest.mark.parametrize("index", [False, True])
def test_rows_that_repeat_another_one(make, text, tmp_path, index):
    for stem in "ab":
        (tmp_path / f"{stem}.cif").write_text(text)
    rows = [["id", "e"], ["a", 1], ["b", 2], ["a", 1]]
    rows = [[n or "", *row] for n, row in enumerate(rows)] if index else rows
    store, (said,) = make(f"{tmp_path}/*.cif", properties=table(tmp_path / "p.csv", *rows))
    assert (store.properties["e"].tolist(), list(store.properties)) == ([1, 2], ["e"])
    assert said.endswith("1 rows that repeat another one")
    rows[-1][-1] = 3
    with pytest.raises(DataError, match="line 4: 'a' comes twice in column 'id'"):
        make(f"{tmp_path}/*.cif", properties=table(tmp_path / "p.csv", *rows))


def test_names_that_come_again_before_ids(make, text, tmp_path):
    for stem in "abc":
        (tmp_path / f"{stem}.cif").write_text(text)
    rows = [["name", "material_id", "e"], ["TiO2", "a", 1], ["TiO2", "b", 2], ["NaCl", "c", 3]]
    path = table(tmp_path / "p.csv", *rows)
    store, (said,) = make(f"{tmp_path}/*.cif", properties=path)
    assert store.properties["e"].tolist() == [1, 2, 3]
    assert said == f"{path}: read with column 'material_id' as the ids"


def test_numbers_of_rows_are_no_ids_beside_ids_that_come_again(make, text, tmp_path):
    for n in range(1, 7):
        (tmp_path / f"{n}.cif").write_text(text)
    for first, ids in (("No", "335599"), ("rank", "335599"), ("No", ["3", "5", "", "", "", ""])):
        rows = [[n if first == "No" else 7 - n, one, n / 2] for n, one in enumerate(ids, 1)]
        path = table(tmp_path / "p.csv", [first, "id", "e"], *rows)
        with pytest.raises(DataError, match=r"comes twice in column 'id'|both name crystals"):
            make(f"{tmp_path}/*.cif", properties=path)


def test_ids_behind_numbers_with_decimal_commas(make, text, tmp_path):
    for stem in ("001", "002"):
        (tmp_path / f"{stem}.cif").write_text(text)
    (tmp_path / "p.csv").write_text("e;id\n0,25;001\n1,5;002\n")
    store, (said,) = make(f"{tmp_path}/*.cif", properties=tmp_path / "p.csv")
    assert store.properties["e"].tolist() == [0.25, 1.5]
    assert said.endswith("read with column 'id' as the ids, decimal commas: 0,25 is 0.25")


def test_names_of_crystals_that_end_like_files(make, nacl, tmp_path):
    source = lines(tmp_path, nacl, {"id": "a.cif"}, {"id": "b"})
    path = table(tmp_path / "p.csv", ["id", "e"], ["a.cif", 1], ["b.cif", 2])
    store, said = make(source, properties=path)
    assert (store.graphs.ids.tolist(), said) == (["a.cif", "b"], [])
    assert store.properties["e"].tolist() == [1, 2]


def test_units_of_properties_that_are_there(make, text, tmp_path):
    (tmp_path / "a.cif").write_text(text)
    rows = [["path", "e", "long"], ["", "eV", "m"], ["a.cif", 1, 5], ["a", 2, "x" * 2000]]
    store, _ = make(table(tmp_path / "t.csv", *rows))
    assert (store.units, list(store.properties)) == ({"e": "eV"}, ["e"])
    facts = json.loads((store.folder / "store.json").read_text())
    assert {n: facts[n] for n in ("units", "source", "n_crystals", "n_failures", "properties")} == {
        "units": {"e": "eV"},
        "source": str(tmp_path / "t.csv"),
        "n_crystals": 2,
        "n_failures": 0,
        "properties": ["e"],
    }
    assert store.n_failures == 0
    assert store.groups is None
    assert store.atom_features is None


def test_what_is_beside_the_crystals_of_a_folder_is_in_the_store(make, text, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.cif").write_text(text)
    (folder / "groups.csv").write_text("id,group\na,x\nb,y\n")
    features = {str(z): [z / 100, 1.0] for z in range(1, 101)}
    (folder / "atom_init.json").write_text(json.dumps(features))
    store, _ = make(folder)
    assert store.atom_features == features
    assert store.graphs.options.n_features == 2
    assert open_store(store.folder, with_groups=True).groups == {"a": "x", "b": "y"}
    # Features that are asked for come before those of the folder.
    other = tmp_path / "other.json"
    other.write_text(json.dumps({z: [*own, 2.0] for z, own in features.items()}))
    store, _ = make(folder, transformer=CrystalGraphTransformer(atom_features=str(other)))
    assert store.graphs.options.n_features == 3
    assert len(store.atom_features["7"]) == 3
    # A pattern has no folder.
    store, _ = make(f"{folder}/*.cif")
    assert store.graphs.options.n_features == 92
    assert open_store(store.folder, with_groups=True).groups is None
    (folder / "groups.csv").write_text("id,group\na,x\na,y\n")
    with pytest.raises(DataError, match="line 3: id 'a' comes twice"):
        featurize(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_remarks_are_listed(make, text, tmp_path):
    odd = text.replace("'Na4 Cl4'", "'Xe9 O1'").replace("Na4 Cl4", "'Xe9 O1'")
    (tmp_path / "a.cif").write_text(text)
    (tmp_path / "b.cif").write_text(odd)
    (tmp_path / "c.cif").write_text("no crystal")
    store, told = make(str(tmp_path / "?.cif"))
    first = f"1 of 3 crystals were read with remarks, the first with {tmp_path / 'b.cif'}: "
    assert told[-1].startswith(first)
    with (store.folder / "remarks.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "remark"]
    assert [path for path, _ in rows] == [str(tmp_path / "b.cif")] * len(rows)
    assert any("formula" in remark for _, remark in rows)
    assert [path for path, _ in failed(store)] == [str(tmp_path / "c.cif")]


def test_what_a_line_of_json_tells_is_compared_with_its_crystal(make, nacl, tmp_path):
    lines = [{"id": n, "nsites": n, "s": nacl.as_dict()} for n in (len(nacl), 9)]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    store, _ = make(tmp_path / "c.jsonl")
    assert store.properties["nsites"].tolist() == [len(nacl), 9]
    with (store.folder / "remarks.csv").open(newline="") as file:
        _, (path, remark) = csv.reader(file)
    assert path == f"{tmp_path / 'c.jsonl'}: line 2"
    assert remark == f"tells nsites = 9, but has {len(nacl)} sites"


@pytest.mark.parametrize("ending", ["csv", "json.csv", "jsonl", "db"])
def test_formulas_of_rows_are_compared_with_their_crystals(ending, make, text, nacl, tmp_path):
    """As where one column alone of a sheet was sorted."""
    others = ["rocksalt", "", "NaN", "NaCl(I)", "KBr I", "BCC", "Na Cl", "SiC 3C", "(Na)Cl "]
    others += ["KBr (ICSD)", "K2O HP", "KBr2 (HS)"]
    formulas, path = ["NaCl", "Na4 Cl4", "KCl", *others], tmp_path / f"c.{ending}"
    if ending == "db":
        ase_db = pytest.importorskip("ase.db")
        with ase_db.connect(path) as file:
            for formula in formulas:
                own = {"composition": formula} if formula not in ("", "NaN") else {}
                file.write(nacl.to_ase_atoms(), **own)
    elif ending.endswith("csv"):
        cell = text if ending == "csv" else json.dumps(nacl.as_dict())
        rows = [("cif", "Formula"), *((cell, formula) for formula in formulas)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    else:
        path.write_text("\n".join(json.dumps({"cif": text, "formula": f}) for f in formulas))
    store, _ = make(path)
    with (store.folder / "remarks.csv").open(newline="") as file:
        _, (where, remark) = csv.reader(file)
    assert where == f"{path}: {'line' if ending == 'jsonl' else 'row'} 3"
    assert remark.endswith("= KCl, but its sites are NaCl")


def test_what_lies_in_the_store_or_is_none(text, tmp_path):
    (tmp_path / "a.cif").write_text(text)
    source, store = tmp_path / "a*.cif", tmp_path / "store"
    inner = store / "sub" / "p.csv"
    for arguments, path in (
        ((inner, store), inner),
        ((store, store), store),
        ((store / ".." / "store" / "x", store), store / ".." / "store" / "x"),
    ):
        with pytest.raises(DataError) as error:
            featurize(*arguments)
        assert (
            str(error.value) == f"{path}: lies in the store {store}; choose another folder for it"
        )
    with pytest.raises(DataError, match=r"p\.csv: lies in the store"):
        featurize(source, store, properties=inner)
    with pytest.raises(TypeError) as error:
        featurize([1], store)
    assert str(error.value) == (
        "source is a list; expected a path. Crystals in memory become graphs by "
        "CrystalGraphTransformer().transform"
    )
    assert not store.exists()
    assert not is_store(store)
    store.mkdir()
    assert featurize(source, store).n_crystals == 1  # an empty folder is as good as none
    assert is_store(store)
    with pytest.raises(DataError) as error:
        open_store(tmp_path)
    assert str(error.value) == f"{tmp_path}: is not a store"


def test_files_that_a_killed_run_left_are_removed(make, text, tmp_path):
    (tmp_path / "a.cif").write_text(text)
    shards = tmp_path / "store" / ".skcgcnn-shards"
    (shards / ".dir.tmp").mkdir(parents=True)
    for path in (shards / ".0.npz.tmp", shards.parent / ".f.tmp", shards.parent / "mine.tmp"):
        path.touch()
    store, _ = make(tmp_path / "a*.cif")
    left = {path.name for path in store.folder.iterdir() if not path.name.startswith("data-")}
    assert left == {"store.json", "failures.csv", "remarks.csv", "mine.tmp"}


def test_a_crystal_that_can_be_read_the_next_time_is(text, tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / f"{name}.cif").write_text(text)
    none = table(tmp_path / "none.csv", ["id", "e"], ["none", 1])

    def busy(path, *args, _open=open, **kwargs):
        if str(path).endswith("b.cif"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return _open(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", busy)
        with pytest.raises(DataError, match="no name in it"):
            featurize(tmp_path / "?.cif", tmp_path / "store", properties=none)
    with pytest.raises(DataError, match="no name in it"):  # what was read is read again
        featurize(tmp_path / "?.cif", tmp_path / "store", properties=none)
    done = featurize(tmp_path / "?.cif", tmp_path / "store")
    assert (done.n_crystals, done.n_failures, done.n_kept) == (2, 0, 2)


def test_patterns_and_endings(make, text, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.cif", "sub/b.CIF.GZ", "sub/c.vasp", "[x].cif"):
        content = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    store, _ = make(tmp_path / "**" / "[ab].[cC][iI][fF]*")
    assert store.graphs.ids.tolist() == ["a", "sub/b"]
    # A file that has such a name is that file.
    table(tmp_path / "t[1].csv", ["path"], ["a.cif"])
    store, _ = make(tmp_path / "t[1].csv")
    assert store.graphs.ids.tolist() == ["a"]
    kinds = (
        "expected a folder of crystals, a glob pattern, a table (.csv, .tsv, .xlsx), an archive of "
        "CIFs (.tar, .zip), an ASE database (.db), or lines of JSON (.jsonl)"
    )
    for name, message in (
        ("a.cif", f"is an unsupported source; {kinds}"),
        ("none", f"no such file or folder; {kinds}"),
        ("*.none", "holds no files of crystals"),
    ):
        with pytest.raises(DataError) as error:
            make(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: {message}"
    for name in ("sub", "a.cif", "*.cif", "c.jsonl"):
        with pytest.raises(DataError) as error:
            make(tmp_path / name, crystal_column="x")
        assert str(error.value) == f"{tmp_path / name}: is not a table, so it has no column 'x'"


def test_folders_of_crystals(text, tmp_path):
    (tmp_path / "sub" / "none").mkdir(parents=True)
    for name in ("b.cif", "A.CIF", "sub/a.cif", "x.txt"):
        (tmp_path / name).write_text(text)
    found = read_folder(tmp_path)
    assert found.cif_ids == ["A", "b", "sub/a"]
    assert found.paths == [str(tmp_path / name) for name in ("A.CIF", "b.cif", "sub/a.cif")]
    assert (found.names, found.columns, found.file) == ([], [], tmp_path)
    with pytest.raises(DataError) as error:
        read_folder(tmp_path / "sub" / "none")
    folder = tmp_path / "sub" / "none"
    assert str(error.value) == f"{folder}: holds neither id_prop.csv nor files of crystals"


def test_columns_of_a_table_of_paths(text, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.cif").write_text(text)
    path = tmp_path / "t.csv"
    table(path, ["path", "e", "k", "m"], ["", "eV", "", ""], ["a", "1.5", "x", "n/a"],
          ["b.cif", "", "", 2])  # fmt: skip
    with pytest.warns(UserWarning, match="a row of units"):
        found = read_paths(path, ["e", "none"], ["k"])
    assert (found.names, found.units, found.cif_ids) == (["e", "k"], {"e": "eV"}, ["a", "b"])
    assert found.paths == [str(tmp_path / "a.cif"), str(tmp_path / "b.cif")]
    np.testing.assert_array_equal(found.columns[0], [1.5, np.nan])
    assert found.columns[1][0] == "x"
    assert np.isnan(found.columns[1][1])
    with pytest.warns(UserWarning, match="a row of units"):
        assert read_paths(path).names == []
    with pytest.warns(UserWarning, match="a row of units"):
        every = read_paths(path, others=None)
    assert every.names == ["e", "k", "m"]
    np.testing.assert_array_equal(every.columns[2], [np.nan, 2])
    table(path, ["path", "e"], ["a", "1.5"], ["b", "x"], ["a", ""])
    with pytest.raises(DataError) as error:
        read_paths(path, ["e"])
    assert str(error.value) == f"{path}: 'b' has 'x' for e; write a number"
    with pytest.warns(UserWarning) as caught:  # noqa: PT030
        mixed = read_paths(path, others=["e"]).columns[0]
    assert str(caught[0].message) == (
        "column 'e' holds numbers and texts, such as '1.5' and 'x': all are taken for texts"
    )
    assert mixed[:2].tolist() == ["1.5", "x"]
    assert np.isnan(mixed[2])
    table(path, ["path"], ["a"], [text])  # which begins with a comment
    with pytest.raises(DataError) as error:
        read_paths(path)
    assert str(error.value) == (
        f"{path}: row 2: holds no path of a crystal. A table with their content becomes a store "
        f"first, with skcgcnn featurize {path} --output STORE"
    )


def test_which_column_a_table_names(make, text, tmp_path):
    (tmp_path / "a.cif").write_text(text)
    path = tmp_path / "t.csv"
    message = (
        f"{path}: it is not clear which column holds the crystals, of x, y; write 'path' or 'cif' "
        "above that one alone, or name it (--crystal-column)"
    )
    for rows in ([["x", "y"], ["a.cif", "a.cif"]], [["x", "y"], ["p", "q"]]):
        table(path, *rows)
        with pytest.raises(DataError) as error:
            make(path)
        assert str(error.value) == message
    table(path, ["x", "y"], ["a.cif", "a.cif"])
    store, _ = make(path, crystal_column="y")
    assert store.properties["x"].tolist() == ["a.cif"]
    with pytest.raises(DataError) as error:
        make(path, crystal_column="z")
    assert str(error.value) == f"{path}: has no column 'z'; it has x, y"
    table(path, ["x", "jid", "path"], [1, "j", ""], [2, "", "a.cif"], [3, "k", "a"])
    store, _ = make(path, crystal_column="path")
    assert store.graphs.ids.tolist() == ["row 2", "k"]
    assert failed(store) == [[f"{path}: row 1", "names no crystal"]]


def test_a_store_that_is_not_complete(text, tmp_path):
    (tmp_path / "a.cif").write_text(text)
    none = table(tmp_path / "p.csv", ["id", "e"], ["none", 1])
    with pytest.raises(DataError, match="no name in it"):
        featurize(tmp_path / "a*.cif", tmp_path / "store", properties=none)
    assert is_store(tmp_path / "store")
    with pytest.raises(DataError) as error:
        open_store(tmp_path / "store")
    assert str(error.value) == (
        f"{tmp_path / 'store'}: is a store that is not complete; repeat `skcgcnn featurize` with "
        "the same arguments"
    )
    os.utime(tmp_path / "a.cif", ns=(1, 1))  # another time of change
    assert featurize(tmp_path / "a*.cif", tmp_path / "store").n_kept == 0


def test_few_columns_are_in_memory_at_a_time(make, nacl, tmp_path, monkeypatch):
    """The constant is patched: 256 MB of columns would take long to make."""
    import skcgcnn.stores._columns as module

    read = []
    own_columns = module.own_columns
    monkeypatch.setattr(
        "skcgcnn.stores._featurize.own_columns", lambda shard: read.append(1) or own_columns(shard)
    )
    source = lines(tmp_path, nacl, *({f"c{i}": float(i) for i in range(6)} for _ in range(3)))
    for n_bytes, times in ((24 * 3 - 1, 3), (24 * 3, 2), (1, 6)):
        read.clear()
        monkeypatch.setattr(module, "_AT_ONCE", n_bytes)
        store, _ = make(source)
        assert len(read) == 1 + times  # at first they are looked through
        assert [column.tolist() for column in store.properties.values()] == [
            [float(i)] * 3 for i in range(6)
        ]


def test_a_crystal_that_begins_with_a_comment_is_none(make, text, tmp_path):
    """As those of pymatgen do."""
    own = f"# of pymatgen\n{text.partition('data_')[1]}{text.partition('data_')[2]}"
    path = table(tmp_path / "t.csv", ["cif"], [own], ["# all of them"], [own])
    store, said = make(path)
    assert said == [f"{path}: read with 1 rows that begin with # as comments"]
    assert len(store) == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_small_file_does_not_make_a_store_of_millions_of_properties(n_jobs, text, tmp_path):
    lines = [{"cif": text} | {f"p{row}_{i}": 1 for i in range(1_001)} for row in range(10)]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="10,010 properties, such as 'p0_0'; a store can have 10,0"):
        featurize(path, tmp_path / "a", transformer=CrystalGraphTransformer(n_jobs=n_jobs))
