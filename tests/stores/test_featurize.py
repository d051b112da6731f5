"""From every kind of source to a store, and on after an interruption."""

import csv
import errno
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparison import contents
from pymatgen.core import Structure
from typer.testing import CliRunner

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.cli import app
from skcgcnn.crystals import read_crystal
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError, StructureError
from skcgcnn.graphs import is_mapped
from skcgcnn.stores import featurize, open_store, read_folder
from skcgcnn.stores._items import Item, PackedCif
from skcgcnn.stores._shards import digest_items
from skcgcnn.stores._store import is_complete

FILES = {"failures.csv", "remarks.csv", "store.json"}


@pytest.fixture(scope="module")
def bundled():
    return load_sample_regression()


@pytest.fixture
def some(cifs):
    return cifs[:8]


@pytest.fixture
def structures(some):
    return [Structure.from_file(path) for path in some]


def made(tmp_path, source, **options):
    featurize(source, tmp_path / "store", **options)
    assert {path.name for path in (tmp_path / "store").iterdir()} >= FILES
    return open_store(tmp_path / "store")


def same(found, expected, *, but=("ids",)):
    for name, value in expected.to_dict().items():
        if name not in but:
            np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


def failures(store):
    with (store.folder / "failures.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_a_folder_with_a_table(bundled, tmp_path):
    store = made(tmp_path, Path(bundled.filename).parent)
    same(store.graphs, CrystalGraphTransformer().transform(bundled.data), but=())
    assert list(store.properties) == ["formation_energy", "is_metal"]
    np.testing.assert_array_equal(store.properties["formation_energy"], bundled.target)
    assert is_mapped(store.graphs.distances)
    assert is_mapped(store.properties["is_metal"])
    assert str(len(bundled.data)) in repr(store)


def test_files_in_folders_and_patterns(some, tmp_path):
    for i, path in enumerate(some):
        folder = tmp_path / "cifs" / f"part{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.cif").write_bytes(Path(path).read_bytes())
        (folder / f"{i}.txt").write_text("no crystal")
    ordered = some[::2] + some[1::2]
    expected = CrystalGraphs.from_structures(ordered)
    for source in (tmp_path / "cifs", tmp_path / "cifs" / "**" / "*.cif"):
        featurize(source, tmp_path / "store", overwrite=True)
        store = open_store(tmp_path / "store")
        same(store.graphs, expected)
        assert store.graphs.ids.tolist() == [
            *(f"part0/{i}" for i in range(0, 8, 2)),
            *(f"part1/{i}" for i in range(1, 8, 2)),
        ]
        assert store.properties == {}


def test_shards_that_cannot_be_removed_fail_nothing(some, tmp_path, monkeypatch):
    def refuse(*_, **__):  # as NFS, where somebody has a file of it open
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    (tmp_path / "paths.csv").write_text("\n".join(["structure", *some]))
    monkeypatch.setattr(os, "rmdir", refuse)
    same(made(tmp_path, tmp_path / "paths.csv").graphs, CrystalGraphs.from_structures(some))


@pytest.mark.parametrize("kind", ["paths", "texts", "json", "gz"])
def test_tables(kind, some, structures, tmp_path):
    cells = {
        "paths": [os.path.relpath(path, tmp_path) for path in some],
        "texts": [Path(path).read_text() for path in some],
        "json": [json.dumps(s.as_dict()) for s in structures],
    }
    cells["gz"] = cells["texts"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["material_id", "gap", "phase", "structure"])
    for i, cell in enumerate(cells[kind]):
        writer.writerow([f"mp-{i}", "" if i == 1 else i / 2, "ab"[i % 2], cell])
    name = tmp_path / ("table.csv.gz" if kind == "gz" else "table.csv")
    content = text.getvalue().encode()
    name.write_bytes(gzip.compress(content) if kind == "gz" else content)
    store = made(tmp_path, name)
    same(store.graphs, CrystalGraphs.from_structures(some if kind != "json" else structures))
    assert store.graphs.ids.tolist() == [f"mp-{i}" for i in range(8)]
    gap = [np.nan if i == 1 else i / 2 for i in range(8)]
    np.testing.assert_array_equal(store.properties["gap"], gap)
    assert store.properties["phase"].tolist() == list("abababab")
    featurize(name, tmp_path / "store", crystal_column="structure", overwrite=True)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "zip"])
def test_archives_with_properties_beside(suffix, some, tmp_path):
    archive = tmp_path / f"cifs.{suffix}"
    members = {f"set/{i}.cif": Path(path).read_bytes() for i, path in enumerate(some)}
    members["set/7.cif.gz"] = gzip.compress(members.pop("set/7.cif"))
    members["set/README"] = b"no crystal"
    members["set/._0.cif"] = b"of macOS"
    members["set/bad.cif"] = b"no CIF"
    members["set/bad.cif.gz"] = b"not packed"
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
    else:
        with tarfile.open(archive, f"w:{suffix.partition('.')[2]}") as file:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    table = tmp_path / "properties.csv"
    lines = ["id,energy", *(f"set/{i},{-i}" for i in range(1, 8)), "set/unknown,1"]
    table.write_text("\n".join(lines))
    with (
        pytest.warns(UserWarning, match=r"2 of 10 crystals could not become graphs"),
        pytest.warns(UserWarning, match=r"1 of 8 names are those of no crystal"),
    ):
        store = made(tmp_path, archive, properties=table)
    same(store.graphs, CrystalGraphs.from_structures(some))
    assert store.graphs.ids.tolist() == [f"set/{i}" for i in range(8)]
    np.testing.assert_array_equal(store.properties["energy"], [np.nan, *range(-1, -8, -1)])
    assert failures(store) == [
        ["path", "cause"],
        [f"{archive}: set/bad.cif", "is not a CIF"],
        [f"{archive}: set/bad.cif.gz", "cannot be unpacked (Not a gzipped file (b'no'))"],
    ]


def test_an_ase_database(structures, tmp_path):
    connect = pytest.importorskip("ase.db").connect
    path = tmp_path / "crystals.db"
    with connect(path) as database:
        for i, structure in enumerate(structures):
            database.write(structure.to_ase_atoms(), gap=i / 4, phase="cubic")
    store = made(tmp_path, path)
    atoms = [row.toatoms() for row in connect(path).select()]
    same(store.graphs, CrystalGraphs.from_structures(atoms))
    assert store.graphs.ids.tolist() == [str(i + 1) for i in range(8)]
    np.testing.assert_array_equal(store.properties["gap"], np.arange(8) / 4)
    assert set(store.properties["phase"]) == {"cubic"}


def test_energies_of_calculators_in_an_ase_database(structures, tmp_path):
    connect = pytest.importorskip("ase.db").connect
    from ase.calculators.singlepoint import SinglePointCalculator

    path = tmp_path / "crystals.db"
    with connect(path) as database:
        for i, structure in enumerate(structures):
            atoms = structure.to_ase_atoms()
            results = {"energy": -1.5 * i, "magmom": 0.25 * i} if i != 2 else {}
            atoms.calc = SinglePointCalculator(atoms, **results)
            database.write(atoms)
    store = made(tmp_path, path)
    expected = [np.nan if i == 2 else -1.5 * i for i in range(8)]
    np.testing.assert_array_equal(store.properties["energy"], expected)
    expected = [np.nan if i == 2 else 0.25 * i for i in range(8)]
    np.testing.assert_array_equal(store.properties["magmom"], expected)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_lines_of_json(suffix, some, structures, tmp_path):
    lines = [json.dumps(structure.as_dict()) for structure in structures[:3]]
    lines += [
        json.dumps({"material_id": f"mp-{i}", "gap": i, "stable": True, "s": s.as_dict()})
        for i, s in enumerate(structures[3:6])
    ]
    lines += [json.dumps({"cif": Path(path).read_text(), "gap": 9, "ID": 7}) for path in some[6:7]]
    lines += [json.dumps({"cif": Path(path).read_text(), "gap": 9}) for path in some[7:]]
    bad = ["{", "[1]", '{"gap": 1}', '{"lattice": {}, "sites": []}']
    content = "\n".join([*lines, "", *bad]).encode()
    path = tmp_path / f"crystals.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.warns(UserWarning, match="4 of 12 crystals"):
        store = made(tmp_path, path)
    same(store.graphs, CrystalGraphs.from_structures([*structures[:6], *some[6:]]))
    assert store.graphs.ids.tolist()[2:] == [
        *(f"{path}: line 3", "mp-0", "mp-1", "mp-2", "7", f"{path}: line 8")
    ]
    np.testing.assert_array_equal(store.properties["gap"], [np.nan, np.nan, np.nan, 0, 1, 2, 9, 9])
    np.testing.assert_array_equal(store.properties["stable"][2:5], [np.nan, 1, 1])
    assert [row[0] for row in failures(store)[1:]] == [f"{path}: line {i}" for i in range(10, 14)]
    assert all(row[1] for row in failures(store))


@pytest.mark.parametrize("missing", [None, float("nan"), "", "FAILED", {}])
def test_crystals_that_are_texts_of_json(structures, tmp_path, missing):
    """As pandas writes a column of what to_json returned; the first line tells the column."""
    one, two, other = (structure.to_json() for structure in structures[:3])
    lines = [
        {"id": "a", "structure": one, "crystal_system": None, "initial": missing},
        {"id": "b", "structure": two},
        {"id": "c", "structure": missing, "initial": other},
        {"id": "d", "initial": other},
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="2 of 4 crystals could not become graphs"):
        store = made(tmp_path, tmp_path / "c.jsonl")
    same(store.graphs, CrystalGraphs.from_structures(structures[:2]))


def test_two_crystals_in_a_line_that_are_texts_of_json(structures, tmp_path):
    one, two, other = (structure.to_json() for structure in structures[:3])
    lines = [{"initial": other, "final": None}, {"initial": one, "final": two}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="1 of 2 crystals could not become graphs"):
        store = made(tmp_path, tmp_path / "c.jsonl")
    [(name, why)] = failures(store)[1:]
    assert name.endswith("line 2")
    assert why.startswith("holds 2 crystals")


def test_a_crystal_counts_before_a_text_of_another(structures, tmp_path):
    one, other = structures[0].as_dict(), structures[1].to_json()
    lines = [{"structure": one, "initial": other}, {"structure": None, "initial": other}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="1 of 2 crystals could not become graphs"):
        store = made(tmp_path, tmp_path / "c.jsonl")
    same(store.graphs, CrystalGraphs.from_structures(structures[:1]))


def test_json_says_one_thing(structures, tmp_path):
    s = json.dumps(structures[0].as_dict())
    lines = {
        f'{{"gap": NaN, "s": {s}}}': "",
        f'{{"gap": 1, "s": {s}, "gap": 2}}': "the name 'gap' comes twice in an object",
        f'{{"gap": 1e999, "s": {s}}}': "the number 1e999 is not finite",
        f'{{"gap": -Infinity, "s": {s}}}': "the number -Infinity is not finite",
        s[:-1] + ', "lattice": {}}': "the name 'lattice' comes twice",
    }
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="4 of 5 crystals"):
        store = made(tmp_path, tmp_path / "c.jsonl")
    assert np.isnan(store.properties["gap"]).all()
    for (_, cause), message in zip(failures(store)[1:], list(lines.values())[1:], strict=True):
        assert message in cause
    for line, message in list(lines.items())[1:]:
        with pytest.raises(StructureError, match=message):
            read_crystal(line)


def test_no_folder_below_is_left_out_in_silence(some, tmp_path, monkeypatch):
    folder, other = tmp_path / "folder", tmp_path / "other"
    for place, cif in zip((folder / "a", other / "b"), some, strict=False):
        place.mkdir(parents=True)
        shutil.copy(cif, place / "one.cif")
    (folder / "link").symlink_to(other)
    for place, target in ((folder / "again", "a"), (folder / "up", ".."), (other / "loop", ".")):
        place.symlink_to(target)
    assert read_folder(folder).cif_ids == ["a/one", "link/b/one"]
    listed = os.scandir

    def scandir(path):
        if Path(path).name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="link/b"):
        read_folder(folder)


def test_what_is_no_source(tmp_path, some):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "texts.csv").write_text("a,b\n1,2\n")
    (tmp_path / "ragged.csv").write_text(f"path,b\n{some[0]}\n")
    (tmp_path / "no.zip").write_text("no archive")
    (tmp_path / "no.tar").write_text("no archive")
    (tmp_path / "no.jsonl.gz").write_text("no archive")
    (tmp_path / "no.db").write_text("no database, but a text")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    for name, message in {
        "nowhere": "no such file or folder; expected a folder of crystals, a glob pattern",
        "*.cif": "holds no files of crystals",
        "empty": "holds no files of crystals",
        "empty.csv": "holds no crystal",
        "texts.csv": r"not clear which column holds the crystals, of a, b; write 'path'",
        "ragged.csv": "the row that ends in line 2 has 1 cells, the header 2",
        "no.zip": "cannot be read",
        "no.tar": "cannot be read",
        "no.jsonl.gz": "cannot be read",
        "no.db": "not an ASE database",
        "bad.jsonl": "no crystal can become a graph; the first is .*line 1: holds no crystals",
    }.items():
        with pytest.raises(DataError, match=message):
            featurize(tmp_path / name, tmp_path / "store")
        assert not is_complete(tmp_path / "store")
    with pytest.raises(DataError, match="has no column 'c'"):
        featurize(tmp_path / "texts.csv", tmp_path / "store", crystal_column="c")
    with pytest.raises(DataError, match="is not a table, so it has no column 'c'"):
        featurize(tmp_path / "bad.jsonl", tmp_path / "store", crystal_column="c")


def test_what_is_no_store(some, tmp_path):
    folder = Path(some[0]).parent
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="holds other files"):
        featurize(folder, tmp_path / "full")
    with pytest.raises(DataError, match="is a file; name a folder"):
        featurize(folder, tmp_path / "full" / "thesis.tex")
    store = made(tmp_path, folder)
    with pytest.raises(DataError, match="complete store; choose another folder, or replace it"):
        featurize(folder, store.folder)
    with pytest.raises(DataError, match="full: is not a store"):
        open_store(tmp_path / "full")
    description = store.folder / "store.json"
    text = description.read_text()
    for change, message in (
        (text.replace('"format": 4', '"format": 9'), "a store of format 9; .* reads format 4"),
        (text.replace('"n_crystals": 2', '"n_crystals": 3'), "store.json is not as it was written"),
        ("{", "is a damaged store"),
    ):
        description.write_text(change)
        with pytest.raises(DataError, match=message):
            open_store(store.folder)


def test_the_graphs_are_made_as_asked_for(some, tmp_path):
    maker = CrystalGraphTransformer(max_num_nbr=6, radius=5.0, neighbor_ties="official")
    featurize(f"{Path(some[0]).parent}/*.cif", tmp_path / "store", transformer=maker)
    options = open_store(tmp_path / "store").graphs.options
    assert (options.max_num_nbr, options.radius, options.neighbor_ties) == (6, 5.0, "official")


def test_atom_features_of_the_folder_are_those_of_the_store(some, tmp_path):
    shutil.copytree(Path(some[0]).parent, tmp_path / "cifs")
    table = {z: [z / 100, 1.0] for z in range(1, 101)}
    (tmp_path / "cifs" / "atom_init.json").write_text(json.dumps(table))
    maker = CrystalGraphTransformer()
    graphs = made(tmp_path, tmp_path / "cifs", transformer=maker).graphs
    assert graphs.options.n_features == 2
    assert maker.atom_features is None


def test_only_the_columns_of_a_folder_that_are_asked_for_are_read(tmp_path):
    (tmp_path / "a.cif").touch()
    (tmp_path / "id_prop.csv").write_text("id,gap,energy\na,1,2\n")
    assert read_folder(tmp_path).names == ["gap", "energy"]
    assert read_folder(tmp_path, ["energy", "volume"]).names == ["energy"]


def interrupt(source, store):
    """Make a store up to where its shards are joined: a table of properties fits no crystal."""
    table = write_table(store.with_name("properties.csv"), ["id", "number"], ["no crystal", 1])
    with pytest.raises(DataError, match="no name in its column"):
        featurize(source, store, properties=table)


def test_what_a_run_left_that_was_killed_at_its_end_is_removed(some, tmp_path, monkeypatch):
    table = write_table(tmp_path / "ok.csv", ["path"], *([path] for path in some[:3]))
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        folder = made(tmp_path, table).folder
    (folder / f".data-{'0' * 32}.tmp").mkdir()
    left = [path.name for path in folder.glob(".*.tmp")]
    assert len(left) == 2
    assert any("shards" in name for name in left)
    with pytest.raises(DataError, match="is a complete store"):
        featurize(table, folder)
    assert not list(folder.glob(".*.tmp"))
    assert len(open_store(folder)) == 3


def test_shards_that_cannot_be_renamed_are_removed(some, tmp_path, monkeypatch):
    table = write_table(tmp_path / "ok.csv", ["path"], *([path] for path in some[:3]))
    rename = Path.rename

    def full(path, target):
        if "shards" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    folder = made(tmp_path, table).folder
    assert len(open_store(folder)) == 3
    assert not list(folder.glob(".skcgcnn-shards*"))


@pytest.mark.parametrize("damage", ["truncated", "of others", "too deep", "no facts", "a fact"])
def test_a_damaged_shard_is_made_again(damage, bundled, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for path in bundled.data[:120]:
        (folder / Path(path).name).symlink_to(path)
    featurize(folder, tmp_path / "whole")
    interrupt(folder, tmp_path / "store")
    first, second, _ = sorted((tmp_path / "store" / ".skcgcnn-shards").glob("*.npz"))
    facts = first.with_suffix(".json")
    if damage == "truncated":
        first.write_bytes(first.read_bytes()[:-100])
    elif damage == "of others":
        shutil.copy(second, first)
    elif damage == "too deep":
        facts.write_text("[" * 100_000)
    elif damage == "a fact":
        facts.write_text(facts.read_text().replace('"remarks": []', '"remarks": [["a", "b"]]'))
    else:
        facts.write_text("[]")
    assert featurize(folder, tmp_path / "store").n_kept == 70
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.parametrize("command", [["train"], ["check"], ["predict", "li-vacancy"]])
def test_commands_tell_a_store_that_is_not_complete(command, tmp_path):
    (tmp_path / "store" / ".skcgcnn-shards").mkdir(parents=True)
    found = CliRunner().invoke(app, [*command, str(tmp_path / "store")])
    assert found.exit_code != 0
    assert "repeat `skcgcnn featurize`" in found.stderr


@pytest.mark.slow
def test_workers_and_changes(bundled, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for path in bundled.data[:120]:
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    first = min(folder.iterdir())
    featurize(folder, tmp_path / "one")
    featurize(folder, tmp_path / "two", transformer=CrystalGraphTransformer(n_jobs=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")

    # A store that was interrupted before it was joined, and a crystal that changed since.
    interrupt(folder, tmp_path / "three")
    with pytest.raises(DataError, match="not complete; repeat `skcgcnn featurize`"):
        open_store(tmp_path / "three")
    first.write_bytes(Path(bundled.data[200]).read_bytes())
    done = featurize(folder, tmp_path / "three")
    assert (done.n_crystals, done.n_kept) == (120, 70)
    same(
        open_store(tmp_path / "three").graphs,
        CrystalGraphs.from_structures(sorted(map(str, folder.iterdir()))),
    )


def test_files_of_the_same_size_and_time_are_read_again(tmp_path):
    folder, (first, second) = tmp_path / "cifs", load_sample_regression().data[:2]
    folder.mkdir()

    def put(path):  # as it comes from an archive whose files all have one time
        (folder / "a.cif").write_text(Path(path).read_text().ljust(9_000))
        os.utime(folder / "a.cif", (1e9, 1e9))

    put(first)
    interrupt(folder, tmp_path / "store")
    put(second)
    assert featurize(folder, tmp_path / "store").n_kept == 0
    same(open_store(tmp_path / "store").graphs, CrystalGraphs.from_structures([second]))


def test_shards_of_another_version_are_made_again(some, tmp_path, monkeypatch):
    table = write_table(tmp_path / "table.csv", ["path"], [some[0]])
    with monkeypatch.context() as patched:
        patched.setattr("skcgcnn.stores._featurize.__version__", "0.0.1")
        interrupt(table, tmp_path / "store")
    assert featurize(table, tmp_path / "store").n_kept == 0


COMMAND = "import sys; from skcgcnn.cli import main; sys.argv[0] = 'skcgcnn'; main()"


@pytest.mark.slow
def test_killed_half_way_and_repeated(bundled, tmp_path):
    table = tmp_path / "cifs.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "path", "energy"])
        for i in range(1_200):
            row = i % len(bundled.data)
            writer.writerow([i, bundled.data[row], bundled.target[row]])
        writer.writerow(["missing", "nowhere.cif", 0])
    command = [sys.executable, "-c", COMMAND, "featurize", str(table), "--quiet"]
    store = tmp_path / "killed"
    with subprocess.Popen(
        [*command, "-o", str(store), "--n-jobs", "2"], start_new_session=True
    ) as process:
        deadline = time.monotonic() + 120
        # The facts of a shard are written last.
        while not list(store.glob(".skcgcnn-shards/0*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(store.glob(".skcgcnn-shards/0*.json"))
    assert not is_complete(store)
    again = subprocess.run(
        [*command, "-o", str(store), "--n-jobs", "2"], capture_output=True, text=True, check=True
    )
    assert "1200 crystals with energy in" in again.stdout
    assert "read before" in again.stdout
    assert "1 of 1201 crystals could not become graphs" in again.stderr
    with pytest.warns(UserWarning, match="1 of 1201"):
        featurize(table, tmp_path / "whole")
    assert contents(store) == contents(tmp_path / "whole")


def write_table(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_nothing_of_others_is_lost(some, tmp_path):
    table = write_table(tmp_path / "ok.csv", ["path"], *([path] for path in some[:3]))
    # A folder of the user's own that is called like a part of a store.
    mine = tmp_path / "mine" / "shards"
    mine.mkdir(parents=True)
    (mine / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="holds other files"):
        featurize(table, mine.parent)
    # A store that cannot be made anew stays, and so does what lies in it.
    store = made(tmp_path, table)
    (store.folder / "run").mkdir()
    before = contents(store.folder)
    bad = write_table(tmp_path / "bad.csv", ["path"], ["nowhere.cif"])
    for source, options in (
        (table, {"crystal_column": "nosuch"}),
        (bad, {}),
        (store.folder / "inner.csv", {}),
        (table, {"properties": store.folder / "inner.csv"}),
        (store.folder, {}),
    ):
        with pytest.raises(DataError):
            featurize(source, store.folder, overwrite=True, **options)
        # The shards of the run that failed stay, for the next one.
        after = contents(store.folder).items()
        assert {n: c for n, c in after if not n.startswith(".skcgcnn-shards/")} == before
    featurize(table, store.folder, overwrite=True)
    assert (store.folder / "run").is_dir()
    maker = CrystalGraphTransformer(atom_features={1: [1.0]})
    with pytest.raises(DataError, match="come from a file, not from a mapping"):
        featurize(table, tmp_path / "other", transformer=maker)


def test_without_locks_as_on_windows(some, tmp_path, monkeypatch):
    rename = Path.rename

    def as_on_windows(path, target):
        links = Path("/proc/self/fd").iterdir()
        opened = [link.readlink() for link in links if link.is_symlink() and link.exists()]
        assert not [name for name in opened if name.is_relative_to(path)]
        return rename(path, target)

    table = write_table(tmp_path / "ok.csv", ["path"], *([path] for path in some[:3]))
    # Windows has no such module.
    monkeypatch.setattr("skcgcnn._files.fcntl", None)
    monkeypatch.setattr(Path, "rename", as_on_windows)
    assert len(made(tmp_path, table)) == 3
    assert len(made(tmp_path, table, overwrite=True)) == 3


def test_one_process_makes_a_store(some, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    table = write_table(tmp_path / "ok.csv", ["path"], *([path] for path in some[:3]))
    shards = tmp_path / "store" / ".skcgcnn-shards"
    shards.mkdir(parents=True)
    number = os.open(shards, os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="another process makes this store"):
        featurize(table, tmp_path / "store")
    os.close(number)
    featurize(table, tmp_path / "store")


def test_names_of_crystals(some, tmp_path):
    rows = [["ID", "path"], ["1", some[0]], ["", some[1]], ["1", some[2]], ["é" * 300, some[3]]]
    with pytest.warns(UserWarning, match="1 crystals have the name of another one, .* is '1'"):
        store = made(tmp_path, write_table(tmp_path / "ok.csv", *rows))
    assert store.graphs.ids.tolist() == ["1", "row 2", "1", "é" * 200]


@pytest.mark.parametrize(
    ("header", "row"),
    [(["", "id", "T", "e", "path"], "1 300 0.5 {}"), (["", "id", "path", "n"], "1 {} 7 0.5")],
)
def test_a_shifted_header_above_the_crystals(header, row, some, tmp_path):
    table = write_table(
        tmp_path / "t.csv", header, [*row.format(some[0]).split(), ""][: len(header)]
    )
    with pytest.raises(DataError, match=r"not clear which column holds|no such file"):
        made(tmp_path, table)


def test_the_id_is_written_small_where_there_are_several(some, tmp_path):
    rows = [["ID", "material_id", "path"], ["0", "mp-1", some[0]]]
    store = made(tmp_path, write_table(tmp_path / "t.csv", *rows))
    assert (store.graphs.ids.tolist(), list(store.properties)) == (["mp-1"], ["ID"])
    featurize(
        write_table(tmp_path / "t.csv", ["name", "ID", "path"], ["salt", "0", some[0]]),
        tmp_path / "store",
        overwrite=True,
    )
    assert open_store(tmp_path / "store").graphs.ids.tolist() == ["0"]


def test_properties_of_no_crystal(some, tmp_path):
    table = write_table(tmp_path / "p.csv", ["id", "e"])
    with pytest.raises(DataError, match=r"p\.csv: holds no crystal"):
        made(tmp_path, Path(some[0]).parent, properties=table)


def test_a_zip_with_two_members_of_a_name(some, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
        file.writestr("a.cif", Path(some[0]).read_bytes())
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.cif", Path(some[1]).read_bytes())
    with pytest.warns(UserWarning, match="have the name of another"):
        store = made(tmp_path, tmp_path / "two.zip")
    same(store.graphs, CrystalGraphs.from_structures(some[:2]))


def test_headers(some, tmp_path):
    for header, message in {
        ("path", "e", "e"): "has several columns with the name 'e'",
        ("path", "e", " "): "column 3 has no name",
        (some[0], "1", "2"): "begins with a crystal; expected a header",
        ('"a": 3.9}, "sites": [] }', "1"): "begins with a crystal; expected a header",
        ("33, 0.0, 2.01559932]}]}", "1"): "begins with a crystal; expected a header",
        ('""]}', "1"): "begins with a crystal; expected a header",
    }.items():
        table = write_table(tmp_path / "t.csv", header, [some[1], 1, 2])
        with pytest.raises(DataError, match=message):
            featurize(table, tmp_path / "store")
    for name in (r"$\sqrt{E_{\mathrm{f}}}$", "n [10^{20}]", "T [K]]", "{hkl}"):
        table = write_table(tmp_path / "t.csv", ["path", name], [some[1], 2])
        assert list(made(tmp_path, table).properties) == [name]
        shutil.rmtree(tmp_path / "store")
    row = ["{'Na': 1}", '{"Na": 1}', json.dumps(Structure.from_file(some[1]).as_dict())]
    table = write_table(tmp_path / "t.csv", ["a", "composition", "structure"], row)
    assert list(made(tmp_path, table).properties) == ["a", "composition"]
    shutil.rmtree(tmp_path / "store")
    # The first crystal is none; what its column is called tells.
    table = write_table(tmp_path / "t.csv", ["id", "cif"], ["a", "no CIF"], ["b", some[1]])
    with pytest.warns(UserWarning, match="1 of 2 crystals could not become graphs"):
        store = made(tmp_path, table)
    assert store.graphs.ids.tolist() == ["b"]
    shutil.rmtree(tmp_path / "store")
    # The index of pandas; blanks; semicolons.
    table = write_table(tmp_path / "t.csv", ["", "path", " e "], [0, some[1], 2])
    assert list(made(tmp_path, table).properties) == ["e"]
    table = write_table(tmp_path / "t.csv", ["", "path", " e "], [0.5, some[1], 2])
    with pytest.warns(UserWarning, match=r"t\.csv: read with a column without a name left out"):
        featurize(table, tmp_path / "store", overwrite=True)
    table.write_text(f"path;e\n{some[1]};2.5\n")
    featurize(table, tmp_path / "store", overwrite=True)
    assert open_store(tmp_path / "store").properties["e"].tolist() == [2.5]


def test_properties_beside(some, tmp_path):
    folder = tmp_path / "cifs" / "sub"
    folder.mkdir(parents=True)
    for i in range(2):
        (folder / f"{i}.cif").write_bytes(Path(some[i]).read_bytes())
    (tmp_path / "cifs" / "groups.csv").write_text("cif_id,group\nsub/0,a\nsub/1,b\n")
    table = tmp_path / "p.csv"
    table.write_text("id;e\nsub/0.cif;1\nsub/1;2\n1;3\n")
    with pytest.warns(UserWarning, match=r"1 of 3 names are those of no crystal, .* is '1'"):
        store = made(tmp_path, tmp_path / "cifs", properties=table)
    assert store.properties["e"].tolist() == [1, 2]
    assert open_store(store.folder, with_groups=True).groups == {"sub/0": "a", "sub/1": "b"}
    table.write_text("id\nsub/0\n")
    with pytest.raises(DataError, match="has one column, 'id'"):
        featurize(tmp_path / "cifs", store.folder, properties=table, overwrite=True)
    own = write_table(tmp_path / "own.csv", ["id", "path", "e"], ["a", some[0], 1])
    table.write_text("id,e\na,1\n")
    with pytest.raises(DataError, match="have a property 'e' already; rename"):
        featurize(own, tmp_path / "other", properties=table)


def test_values_of_columns(structures, tmp_path, monkeypatch):
    values = [1234567, 1234568, "x", 0.1]
    lines = [
        json.dumps({"s": s.as_dict(), "code": v, "long": "y" * 2_000, "big": v})
        for s, v in zip(structures, values, strict=False)
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join([*lines, '{"gap": 1' + "0" * 400 + "}"]))
    with (
        pytest.warns(UserWarning, match="letters are left out: column 'long'"),
        pytest.warns(UserWarning, match="1 of 5 crystals"),
    ):
        store = made(tmp_path, path)
    assert store.properties["code"].tolist() == ["1234567", "1234568", "x", "0.1"]
    # The same in little memory, which is 256 MB of columns.
    monkeypatch.setattr("skcgcnn.stores._columns._AT_ONCE", 1)
    with pytest.warns(UserWarning, match="letters are left out"):
        featurize(path, tmp_path / "two")
    assert contents(tmp_path / "two") == contents(store.folder)


def test_names_with_bytes_that_are_no_letters(some, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.cif")).write_text("no crystal")
    except OSError:
        pytest.skip("the file system allows letters alone")
    (folder / "a.cif").write_bytes(Path(some[0]).read_bytes())
    with pytest.warns(UserWarning, match="1 of 2 crystals"):
        store = made(tmp_path, folder)
    assert failures(store)[1][0].endswith(r"caf\udce9.cif")


def test_a_changed_database_is_read_again(structures, tmp_path):
    connect = pytest.importorskip("ase.db").connect
    path = tmp_path / "crystals.db"
    with connect(path) as database:
        for structure in structures[:3]:
            database.write(structure.to_ase_atoms(), gap=1.0)

    interrupt(path, tmp_path / "store")
    connect(path).update(1, gap=2.0)
    assert featurize(path, tmp_path / "store").n_kept == 0
    assert open_store(tmp_path / "store").properties["gap"].tolist() == [2, 1, 1]


def test_rows_of_a_database_that_is_replaced_meanwhile_are_failures(
    structures, tmp_path, monkeypatch
):
    connect = pytest.importorskip("ase.db").connect
    for name in ("old", "new"):
        with connect(tmp_path / f"{name}.db") as database:
            for structure in structures[:3]:
                database.write(structure.to_ase_atoms())
    with connect(tmp_path / "new.db") as database:
        database.write(structures[4].to_ase_atoms())

    def replaced(items):
        (tmp_path / "new.db").replace(tmp_path / "old.db")
        return digest_items(items)

    monkeypatch.setattr("skcgcnn.stores._featurize.digest_items", replaced)
    with pytest.raises(DataError, match="row 1: is another crystal now; was the database replaced"):
        featurize(tmp_path / "old.db", tmp_path / "store")


def test_damaged_stores_and_packed_files(some, tmp_path):
    path = tmp_path / "c.jsonl.gz"
    packed = gzip.compress(b'{"a": 1}\n' * 1_000)
    path.write_bytes(packed[:30] + b"\0\0\0\0" + packed[34:])
    with pytest.raises(DataError, match=r"c\.jsonl\.gz: cannot be read"):
        featurize(path, tmp_path / "store")
    (tmp_path / "latin.csv").write_bytes("path,Größe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv: cannot be read"):
        featurize(tmp_path / "latin.csv", tmp_path / "store")
    store = made(tmp_path, write_table(tmp_path / "ok.csv", ["path"], [some[0]]))
    columns = next(store.folder.glob("data-*/properties/names.npy"))
    columns.write_bytes(columns.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"is a damaged store \(names\.npy"):
        open_store(store.folder)
    (store.folder / "store.json").write_text('{"format": 4}')
    with pytest.raises(DataError, match="is a damaged store"):
        open_store(store.folder)


class Zeros:
    """A file that does not end."""

    def read(self, size):
        return bytes(size)


def test_archives_that_are_odd(some, tmp_path):
    archive = tmp_path / "odd.tar"
    content = Path(some[0]).read_bytes()
    with tarfile.open(archive, "w") as file:
        for name, kind in (("a.cif", tarfile.REGTYPE), ("b.cif", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.cif"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            file.addfile(info, io.BytesIO(content))
    with pytest.warns(UserWarning, match="1 of 2 crystals"):
        store = made(tmp_path, archive)
    assert failures(store)[1] == [f"{archive}: b.cif", "is a link or a device, not a file"]
    with tarfile.open(tmp_path / "large.tar.gz", "w:gz", compresslevel=1) as file:
        info = tarfile.TarInfo("a.cif")
        info.size = 100_000_001
        file.addfile(info, Zeros())
    with pytest.raises(DataError, match="is larger than 100 MB"):
        featurize(tmp_path / "large.tar.gz", tmp_path / "two")


def test_a_spreadsheet_of_crystals(some, tmp_path):
    lines = ["path;energy (eV);note", f"{some[0]};-0,5;1,5 is no number", f"{some[1]};1,25;"]
    table = tmp_path / "t.csv"
    table.write_bytes("\n".join(lines).encode("utf-16"))
    with pytest.warns(UserWarning, match=r"t\.csv: read with decimal commas: -0,5 is -0\.5"):
        store = made(tmp_path, table)
    assert store.properties["energy (eV)"].tolist() == [-0.5, 1.25]
    assert store.properties["note"].tolist() == ["1,5 is no number", ""]


def test_crystals_have_the_names_of_their_paths(some, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(some[0], tmp_path / name / "x.cif")
    table = write_table(tmp_path / "t.csv", ["path"], ["a/x.cif"], ["b/x"], [some[1]])
    # Numbers as names of columns, and texts that begin with numbers.
    beside = write_table(tmp_path / "p.csv", ["id", "300", "doi"], ["b/x.cif", 1, "10.1/a"])
    store = made(tmp_path, table, properties=beside)
    assert list(store.graphs.ids) == ["a/x", "b/x", some[1].removesuffix(".cif")]
    np.testing.assert_array_equal(store.properties["300"], [np.nan, 1, np.nan])
    assert store.properties["doi"].tolist() == ["", "10.1/a", ""]


def test_properties_without_a_header(some, tmp_path):
    beside = write_table(tmp_path / "p.csv", [Path(some[0]).stem, 1])
    with pytest.raises(DataError, match=r"p\.csv: begins with numbers; expected a header"):
        featurize(Path(some[0]).parent, tmp_path / "store", properties=beside)


def test_numbers_and_texts_in_a_column_are_told(some, tmp_path):
    rows = [[some[0], 1.0], [some[1], "n.d."]]
    table = write_table(tmp_path / "t.csv", ["path", "e"], *rows)
    with pytest.warns(UserWarning, match=r"column 'e' holds numbers and texts, such as .*'n\.d\.'"):
        made(tmp_path, table)


def test_properties_of_other_names_than_the_crystals(some, tmp_path):
    archive = tmp_path / "folder.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(some[0], "folder/a.cif")
        (tmp_path / "id_prop.csv").write_text("a,1\n")
        tar.add(tmp_path / "id_prop.csv", "folder/id_prop.csv")
    beside = write_table(tmp_path / "p.csv", ["id", "e"], ["a", 1])
    with (
        pytest.warns(UserWarning, match=r"folder/id_prop\.csv in the archive is not read"),
        pytest.raises(DataError, match=r"names are such as 'a', those of .* as 'folder/a'"),
    ):
        featurize(archive, tmp_path / "store", properties=beside)
    write_table(beside, ["id", "e"], ["folder/a", 1])
    with pytest.warns(UserWarning, match="is not read"):
        assert featurize(archive, tmp_path / "store", properties=beside).n_kept == 1


def test_a_column_is_no_file_beside_the_table(some, tmp_path):
    (tmp_path / "e").write_text("not a crystal")
    beside = write_table(tmp_path / "p.csv", ["id", "e"], [some[0], 1])
    store = made(tmp_path, write_table(tmp_path / "t.csv", ["path"], [some[0]]), properties=beside)
    assert store.properties["e"].tolist() == [1]


def test_a_source_is_a_path(tmp_path):
    with pytest.raises(TypeError, match="source is a list; expected a path"):
        featurize(["a.cif"], tmp_path / "store")


@pytest.mark.parametrize("made", [str, lambda text: PackedCif(text.encode(), False)])
def test_texts_of_one_length_are_told_apart(made):
    """Else a shard of earlier texts would be taken for one of these."""
    texts = ["data_a\n_cell_length_a 4.0\n", "data_a\n_cell_length_a 4.1\n"]
    first, second = (digest_items([Item(made(text), "a", "a", {})]) for text in texts)
    assert first != second


@pytest.mark.parametrize("beside", [True, False])
def test_thousands_and_decimals_in_one_column(beside, some, tmp_path):
    """As in id_prop.csv: 1.234 beside 2,5 may be a thousand and more."""
    (tmp_path / "t.csv").write_text(f"path;e\n{some[0]};1.234\n{some[1]};2,5\n")
    (tmp_path / "p.csv").write_text(f"id;e\n{Path(some[0]).stem};1.234\nother;2,5\n")
    source = Path(some[0]).parent if beside else tmp_path / "t.csv"
    properties = tmp_path / "p.csv" if beside else None
    with pytest.raises(DataError, match=r"(t|p)\.csv:\n  line 2: '1\.234' may have .* '2,5' too"):
        featurize(source, tmp_path / "store", properties=properties)
    assert not (tmp_path / "store" / "store.json").exists()


@pytest.mark.parametrize("beside", [True, False])
def test_a_row_of_units_of_properties(beside, some, tmp_path):
    rows = [["id", "e", "note"], ["", "eV", ""], ["a", 1.5, "x"], ["b", "", "y"]]
    paths = [["path", "e"], ["-", "eV"], *([path, 1] for path in some[:2])]
    if beside:
        for path, name in zip(some, "ab", strict=False):
            shutil.copy(path, tmp_path / f"{name}.cif")
    table = write_table(tmp_path / "t.csv", *(rows if beside else paths))
    source, properties = (tmp_path / "*.cif", table) if beside else (table, None)
    with pytest.warns(UserWarning, match=r"t\.csv: read with a row of units"):
        store = made(tmp_path, source, properties=properties)
    assert store.units == {"e": "eV"}
    assert store.properties["e"].dtype == np.float64
    assert len(store.graphs) == 2


def test_a_header_that_is_shifted(some, tmp_path):
    rows = [[f"c{i}", i + 0.5, -20 - i, str(path)] for i, path in enumerate(some)]
    table = write_table(tmp_path / "t.csv", ["", "id", "gap", "energy"], *rows)
    with pytest.raises(
        DataError, match=r"line 2 has 'c0' in a column without a name, and '0.5' as"
    ):
        made(tmp_path, table)
    names = ["", "gap", "energy", "path"]
    pd.DataFrame([names, *([*row[:1], *row[2:], ""] for row in rows)]).to_excel(
        tmp_path / "t.xlsx", header=False, index=False
    )
    pd.DataFrame([["gap", "path", "energy"], *(row[1:] for row in rows)]).to_excel(
        tmp_path / "left.xlsx", header=False, index=False
    )
    for name in ("left", "t"):
        with pytest.raises(DataError, match="of path, energy; write 'path' or 'cif' above"):
            made(tmp_path, tmp_path / f"{name}.xlsx")


@pytest.mark.parametrize("cell", ["CIF", "JSON"])
def test_a_table_of_crystals_without_a_header(structures, tmp_path, cell):
    texts = [s.to(fmt="cif") if cell == "CIF" else json.dumps(s.as_dict()) for s in structures]
    table = write_table(tmp_path / "t.csv", *([f"c{i}", 1.5, t] for i, t in enumerate(texts)))
    with pytest.raises(DataError, match="begins with a crystal; expected a header"):
        made(tmp_path, table)


@pytest.mark.parametrize("index", [["0.0", "1.5"], ["x", "y"], [0, 1], ["c0", "c1"]])
def test_an_index_of_pandas_is_no_shifted_header(some, tmp_path, index):
    rows = [[name, f"c{i}", i - 0.5, str(some[i]), ""] for i, name in enumerate(index)]
    store = made(tmp_path, write_table(tmp_path / "t.csv", ["", "id", "e", "path", "note"], *rows))
    assert store.graphs.ids.tolist() == ["c0", "c1"]
    assert store.properties["e"].tolist() == [-0.5, 0.5]


def test_two_columns_of_one_name_beside_the_crystals_of_a_folder(some, tmp_path):
    shutil.copy(some[0], tmp_path / "a.cif")
    write_table(tmp_path / "id_prop.csv", ["id", "e", " e"], ["a", 1, 10])
    with pytest.raises(DataError, match="has several columns with the name 'e'"):
        made(tmp_path, tmp_path)


def test_an_index_column_of_properties_is_none_of_names(some, tmp_path):
    for path, name in zip(some, "34", strict=False):
        shutil.copy(path, tmp_path / f"{name}.cif")
    table = write_table(tmp_path / "p.csv", ["", "id", "e"], [4, 3, 1.5], [3, 4, -2])
    with pytest.warns(UserWarning, match=r"p\.csv: read with an index column"):
        store = made(tmp_path, tmp_path / "*.cif", properties=table)
    assert list(store.properties) == ["e"]
    assert dict(zip(store.graphs.ids, store.properties["e"], strict=True)) == {"3": 1.5, "4": -2}


def test_the_progress_counts_the_failures_of_all_shards(cifs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("skcgcnn.stores._featurize.SHARD", 10)
    folder = tmp_path / "cifs"
    folder.mkdir()
    for i in range(24):
        shutil.copy(cifs[i % 8], folder / f"c{i:02}.cif")
    for i in (3, 15):
        (folder / f"c{i:02}.cif").write_text("data_broken")
    with pytest.warns(UserWarning, match="2 of 24 crystals"):
        featurize(folder, tmp_path / "store", transformer=CrystalGraphTransformer(verbose=1))
    last = capsys.readouterr().err.splitlines()[-1]
    assert "24 of 24" in last
    assert "2 failed" in last
