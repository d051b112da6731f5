"""Rows of tables and lines of JSON: their names, what fails, and what is said meanwhile."""

import csv
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from skcgcnn import CrystalGraphTransformer
from skcgcnn.exceptions import DataError
from skcgcnn.stores import _featurize as featurize_module
from skcgcnn.stores import featurize, open_store, read_paths
from skcgcnn.stores._sources import find_source


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.mark.filterwarnings("ignore:.*could not become graphs")
def test_what_is_in_the_cells_of_a_table(nacl, tmp_path):
    table, text = tmp_path / "t.csv", nacl.to(fmt="cif")
    (tmp_path / "salt.cif").write_text(text)
    cells = [text, nacl.to_json(), "", "salt", "salt.cif", "nowhere", "{", "sub/none.cif"]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["structure", "e"], *([c, i] for i, c in enumerate(cells))])
    done = featurize(table, tmp_path / "store", crystal_column="structure")
    assert (done.n_crystals, done.n_failures, done.n_kept, done.properties) == (4, 4, 0, ["e"])
    store = open_store(tmp_path / "store")
    assert store.graphs.ids.tolist() == ["0", "1", "salt", "salt"]
    assert store.properties["e"].tolist() == [0, 1, 3, 4]
    assert store.n_failures == 4
    failed = rows_of(tmp_path / "store" / "failures.csv")
    names = [f"{table}: row 3", tmp_path / "nowhere", f"{table}: row 7", tmp_path / "sub/none.cif"]
    assert [name for name, _ in failed] == list(map(str, names))
    causes = ["names no crystal", "no such file", "is not a line of JSON", "no such file"]
    assert all(cause in why for (_, why), cause in zip(failed, causes, strict=True)), failed
    # By the names that the table tells, where it does.
    with table.open("w", newline="") as file:
        lines = ([f"n{i}" if i else "", c, i] for i, c in enumerate(cells))
        csv.writer(file).writerows([["id", "structure", "e"], *lines])
    featurize(table, tmp_path / "store", crystal_column="structure", overwrite=True)
    store = open_store(tmp_path / "store")
    assert store.graphs.ids.tolist() == ["row 1", "n1", "n3", "n4"]
    assert rows_of(tmp_path / "store" / "failures.csv")[0] == [f"{table}: row 3", failed[0][1]]


def test_which_column_holds_the_crystals(nacl, tmp_path):
    table = tmp_path / "t.csv"

    def read(*lines):
        table.write_text("\n".join(lines))
        return read_paths(table, others=None)

    (tmp_path / "a.cif").write_text(nacl.to(fmt="cif"))
    for file in ("b.cif", "c.cif"):
        (tmp_path / file).touch()
    # Their names tell it, not their cells; that of an id where there is none of a file.
    assert read("id,x,path", "1,b.cif,a.cif", "2,c.cif,q").names == ["x"]
    assert read("x,id", "1,a", "2,b").names == ["x"]
    (tmp_path / "CONTCAR").touch()
    lost = ["id,path,x", "1,p,a.cif"], ["id,x", "1,a.cif"], ["id,x", "1,CONTCAR"]
    for lines in (["x,y", "1,a.cif"], ["x,path,file", "1,p,a.cif"], *lost):
        with pytest.raises(DataError, match="not clear which column holds the crystals, of "):
            read(*lines)
    with pytest.raises(DataError, match=r"t\.csv: holds no crystal$"):
        read("x,y")
    with pytest.raises(DataError, match="begins with a crystal; expected a header"):
        read("a.cif,1", "b.cif,2")


@pytest.mark.filterwarnings("ignore:.*could not become graphs")
def test_lines_that_hold_no_crystal_are_named(nacl, tmp_path):
    content = nacl.as_dict()
    lines = [
        {"jid": "own", "structure": content, "gap": 1.5, "kind": "salt", "note": None, "ok": True},
        content,
        {"structure": content, "other": content},
        {"gap": 1},
        [1],
    ]
    file = tmp_path / "c.jsonl"
    file.write_text("\n\n".join(map(json.dumps, lines)) + "\n{\n")
    done = featurize(file, tmp_path / "store")
    assert (done.n_crystals, done.n_failures) == (2, 4)
    store = open_store(tmp_path / "store")
    assert store.graphs.ids.tolist() == ["own", f"{file}: line 3"]
    assert {name: column.tolist() for name, column in store.properties.items()} == {
        "gap": [1.5, pytest.approx(np.nan, nan_ok=True)],
        "kind": ["salt", ""],
        "note": pytest.approx([np.nan, np.nan], nan_ok=True),
        "ok": [1, pytest.approx(np.nan, nan_ok=True)],
    }
    failed = rows_of(tmp_path / "store" / "failures.csv")
    assert [name for name, _ in failed] == [f"{file}: line {i}" for i in (5, 7, 9, 10)]
    expected = "; expected one Structure, or one beside its values"
    assert [why for _, why in failed][:3] == [
        f"holds 2 crystals{expected}",
        f"holds no crystals{expected}",
        "holds no object with a crystal",
    ]
    assert failed[3][1].startswith("is not a line of JSON (")


@pytest.mark.filterwarnings("ignore:.*could not become graphs")
def test_progress_is_counted(cifs, tmp_path, capfd):
    (tmp_path / "broken.cif").write_text("no crystal")
    (tmp_path / "paths.csv").write_text("\n".join(["path", *cifs[:3], "broken.cif"]))
    (tmp_path / "few").mkdir()
    for path in (*cifs[:2], tmp_path / "broken.cif"):
        shutil.copy(path, tmp_path / "few")
    for verbose in (0, 1):
        transformer = CrystalGraphTransformer(verbose=verbose)
        store = tmp_path / f"store{verbose}"
        featurize(tmp_path / "few", store, transformer=transformer)
        told = capfd.readouterr().err
        counted = re.search(r"^crystal 3 of 3, 1 failed, .* crystals/s$", told, re.MULTILINE)
        assert bool(counted) == bool(verbose)
    # How many rows a table has is not known before they are read.
    featurize(tmp_path / "paths.csv", store, transformer=transformer, overwrite=True)
    assert "of" not in capfd.readouterr().err.partition(",")[0]


@pytest.mark.parametrize("change", ["write_text", "rename", "same size and time"])
def test_a_table_that_changes_while_it_is_read(nacl, tmp_path, monkeypatch, change):
    """Its rows may be those of two states, or some of those that another program still writes."""
    table = tmp_path / "t.csv"
    nacl.to(str(tmp_path / "salt.cif"))
    table.write_text("id,path,e\na,salt.cif,1\nb,salt.cif,2\n")
    used = featurize_module.bytes_in_memory

    def changed_meanwhile(item):
        new = table if change == "write_text" else tmp_path / "new.csv"
        if change == "same size and time":
            new.write_text("id,path,e\na,salt.cif,3\nb,salt.cif,4\n")
            os.utime(new, ns=(0, table.stat().st_mtime_ns))
        else:
            new.write_text("id,path,e\na,salt.cif,3\nb,salt.cif,4\nc,salt.cif,5\n")
        new.rename(table)
        return used(item)

    with monkeypatch.context() as patch:
        patch.setattr(featurize_module, "bytes_in_memory", changed_meanwhile)
        with pytest.raises(DataError, match=r"t\.csv: was changed after the crystals were read"):
            featurize(table, tmp_path / "store")
    featurize(table, tmp_path / "store")
    expected = [3, 4] if change == "same size and time" else [3, 4, 5]
    assert open_store(tmp_path / "store").properties["e"].tolist() == expected


def test_two_columns_of_crystals(nacl, tmp_path):
    """One that is named as those counts, else neither."""
    text, path = nacl.to(fmt="cif").strip(), tmp_path / "t.csv"
    for names in (["before", "after"], ["cif", "structure"], ["x", "cif"]):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["e", *names], [1, text, text]])
        if "x" in names:
            assert [item.source for item in find_source(path).items] == [text]
            continue
        with pytest.raises(DataError, match="not clear which column holds the crystals, of e, "):
            list(find_source(path).items)


def test_a_long_name_of_brackets(tmp_path):
    (tmp_path / "t.csv").write_text(f"{']' * 300_000}a,id\n1,2\n")
    assert read_paths(tmp_path / "t.csv").cif_ids == ["2"]


def test_a_database_whose_rows_are_made_as_they_are_read(nacl, tmp_path):
    path = tmp_path / "a.db"
    with pytest.importorskip("ase.db").connect(path) as file:
        file.write(nacl.to_ase_atoms())
    assert find_source(path).n_crystals == 1
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "ALTER TABLE systems ADD COLUMN more BLOB GENERATED ALWAYS AS (zeroblob(9)) VIRTUAL"
        )
    with pytest.raises(DataError, match="its column more is made as it is read"):
        find_source(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("ALTER TABLE systems RENAME TO old")
        file.execute("CREATE VIEW systems AS SELECT * FROM old")
    with pytest.raises(DataError, match=r"is not an ASE database .*systems is no table"):
        find_source(path)
