"""From every kind of source to a store, and on after an interruption."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import is_mapped
from skcgcnn.stores import featurize, is_store, open_store

FILES = {"graphs.npz", "properties.npz", "failures.csv", "remarks.csv", "store.json"}


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
        [f"{archive}: set/bad.cif", "is no CIF"],
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


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_lines_of_json(suffix, some, structures, tmp_path):
    lines = [json.dumps(structure.as_dict()) for structure in structures[:3]]
    lines += [
        json.dumps({"material_id": f"mp-{i}", "gap": i, "stable": True, "s": s.as_dict()})
        for i, s in enumerate(structures[3:6])
    ]
    lines += [json.dumps({"cif": Path(path).read_text(), "gap": 9}) for path in some[6:]]
    bad = ["{", "[1]", '{"gap": 1}', '{"lattice": {}, "sites": []}']
    content = "\n".join([*lines, "", *bad]).encode()
    path = tmp_path / f"crystals.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.warns(UserWarning, match="4 of 12 crystals"):
        store = made(tmp_path, path)
    same(store.graphs, CrystalGraphs.from_structures([*structures[:6], *some[6:]]))
    assert store.graphs.ids.tolist()[2:5] == [f"{path}: line 3", "mp-0", "mp-1"]
    np.testing.assert_array_equal(store.properties["gap"], [np.nan, np.nan, np.nan, 0, 1, 2, 9, 9])
    np.testing.assert_array_equal(store.properties["stable"][2:5], [np.nan, 1, 1])
    assert [row[0] for row in failures(store)[1:]] == [f"{path}: line {i}" for i in range(10, 14)]
    assert all(row[1] for row in failures(store))


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
        "texts.csv": r"not clear which column holds the crystals, of a, b; name it",
        "ragged.csv": "line 2 has not the 2 cells of the header",
        "no.zip": "cannot be read",
        "no.tar": "cannot be read",
        "no.jsonl.gz": "cannot be read",
        "no.db": "no ASE database",
        "bad.jsonl": "no crystal can become a graph; the first is .*line 1: holds no crystals",
    }.items():
        with pytest.raises(DataError, match=message):
            featurize(tmp_path / name, tmp_path / "store")
        assert not is_store(tmp_path / "store")
    with pytest.raises(DataError, match="has no column 'c'"):
        featurize(tmp_path / "texts.csv", tmp_path / "store", crystal_column="c")
    with pytest.raises(DataError, match="is no table, so that it has no column 'c'"):
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
    with pytest.raises(DataError, match="complete store; choose another folder, or --overwrite"):
        featurize(folder, store.folder)
    with pytest.raises(DataError, match="full: is no store"):
        open_store(tmp_path / "full")
    description = store.folder / "store.json"
    text = description.read_text()
    for change, message in (
        (text.replace('"format": 1', '"format": 9'), "a store of format 9; .* reads format 1"),
        (text.replace('"n_crystals": 2', '"n_crystals": 3'), "not of the same length"),
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


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_workers_and_changes(bundled, tmp_path, monkeypatch):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for path in bundled.data[:120]:
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    first = min(folder.iterdir())
    featurize(folder, tmp_path / "one")
    featurize(folder, tmp_path / "two", transformer=CrystalGraphTransformer(n_jobs=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")

    # A store that was interrupted before it was joined, and a crystal that changed since.
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("skcgcnn.stores._featurize.merge_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            featurize(folder, tmp_path / "three")
    with pytest.raises(DataError, match="not complete; repeat `skcgcnn featurize`"):
        open_store(tmp_path / "three")
    first.write_bytes(Path(bundled.data[200]).read_bytes())
    done = featurize(folder, tmp_path / "three")
    assert (done.n_crystals, done.n_kept) == (120, 70)
    same(
        open_store(tmp_path / "three").graphs,
        CrystalGraphs.from_structures(sorted(map(str, folder.iterdir()))),
    )


COMMAND = "import sys; from skcgcnn.cli import main; sys.argv[0] = 'skcgcnn'; main()"


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
        while not list(store.glob("shards/*.npz")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(store.glob("shards/*.npz"))
    assert not is_store(store)
    again = subprocess.run(
        [*command, "-o", str(store), "--n-jobs", "2"], capture_output=True, text=True, check=True
    )
    assert "1200 crystals with energy in" in again.stdout
    assert "read before" in again.stdout
    assert "1 of 1201 crystals could not become graphs" in again.stderr
    with pytest.warns(UserWarning, match="1 of 1201"):
        featurize(table, tmp_path / "whole")
    assert contents(store) == contents(tmp_path / "whole")
