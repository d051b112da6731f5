"""Stores and folders of graphs that are replaced while others read them, or whose writer dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from skcgcnn import CrystalGraphs
from skcgcnn.datasets import load_groups, load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.stores import featurize, open_store
from skcgcnn.stores._columns import read_columns

WRITE = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from skcgcnn import CrystalGraphs
graphs = CrystalGraphs.load(sys.argv[1])
while Path(sys.argv[3]).exists():
    graphs.save(sys.argv[2])
"""
FEATURIZE = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from skcgcnn.exceptions import DataError
from skcgcnn.stores import featurize
while Path(sys.argv[3]).exists():
    for source in sys.argv[4:]:
        try:
            featurize(source, sys.argv[2], overwrite=True)
        except DataError as error:  # one process makes a store at a time
            assert "another process" in str(error), error
"""


@pytest.fixture
def running(tmp_path):
    """Start writers, and end them."""
    flag = tmp_path / "go"
    flag.touch()
    writers = []

    def start(code, *arguments):
        command = [sys.executable, "-c", code, arguments[0], arguments[1], flag, *arguments[2:]]
        writers.append(subprocess.Popen([str(one) for one in command]))

    yield start
    flag.unlink()
    assert [writer.wait(60) for writer in writers] == [0] * len(writers)


def reads(read, seconds):
    """Read until there was time and something of each kind; return how often what was read."""
    found, stop = {}, time.monotonic() + 30
    until = None
    while time.monotonic() < (until or stop):
        what = read()
        found[what] = found.get(what, 0) + 1
        if len(found) > 1 and until is None:
            until = time.monotonic() + seconds
    return found


@pytest.mark.slow
def test_two_writers_and_a_reader_of_graphs(graphs, tmp_path, running):
    kinds = {}
    for name, part in (("a", graphs[:7]), ("b", graphs[5:24])):
        some = CrystalGraphs(**part.to_dict() | {"ids": np.full(len(part), name)})
        some.save(tmp_path / f"{name}.npz")
        kinds[name] = float(some.distances.sum())
    CrystalGraphs.load(tmp_path / "a.npz").save(tmp_path / "graphs")
    for name in "ab":
        running(WRITE, tmp_path / f"{name}.npz", tmp_path / "graphs")

    def read():
        opened = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
        (name,) = set(opened.ids.tolist())
        assert float(opened.distances.sum()) == kinds[name]
        return name

    assert set(reads(read, 3)) == {"a", "b"}
    assert len(list((tmp_path / "graphs").glob("data-*"))) >= 1


@pytest.mark.slow
def test_ids_and_properties_of_a_store_belong_together(tmp_path, running):
    cifs = load_sample_regression().data
    sources = []
    for number, count in ((1, 3), (2, 4)):
        path = tmp_path / f"{number}.csv"
        rows = [f"{number},{cifs[number * 10 + i]},{number}" for i in range(count)]
        path.write_text("\n".join(["id,path,value", *rows]))
        sources.append(path)
    with pytest.warns(UserWarning, match="have the name of another"):
        featurize(sources[0], tmp_path / "store")
    for _ in range(2):
        running(FEATURIZE, "-", tmp_path / "store", *sources)

    def read():
        store = open_store(tmp_path / "store")
        (name,) = set(store.graphs.ids.tolist())
        assert set(store.properties["value"].tolist()) == {float(name)}
        return name

    assert set(reads(read, 3)) == {"1", "2"}


def test_what_a_killed_writer_leaves_is_removed_at_the_next_start(graphs, tmp_path):
    graphs.save(tmp_path / "graphs")
    code = """
import os, signal, sys
from pathlib import Path
from skcgcnn.graphs import replace_data
with replace_data(Path(sys.argv[1])) as new:
    (new.path / "half.npy").write_bytes(bytes(1000))
    print(new.path.name, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "graphs")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as writer:
        left = tmp_path / "graphs" / writer.stdout.readline().strip()
        graphs.save(tmp_path / "graphs")
        assert left.is_dir()  # its writer lives
        os.kill(writer.pid, signal.SIGKILL)
    assert left.is_dir()
    graphs.save(tmp_path / "graphs")
    assert not left.exists()
    index = json.loads((tmp_path / "graphs" / "store.json").read_text())
    names = {path.name for path in (tmp_path / "graphs").iterdir()}
    assert names == {"store.json", index["data"]}


@pytest.fixture
def data(tmp_path):
    """Return a folder of two crystals with groups, of which there is a store beside."""
    folder = tmp_path / "data"
    folder.mkdir()
    for place, path in enumerate(load_sample_regression().data[:2]):
        shutil.copy(path, folder / f"{place}.cif")
    (folder / "groups.csv").write_text("id,group\n0,a\n1,b\n")
    featurize(folder, tmp_path / "store")
    return folder


def test_groups_are_replaced_with_the_crystals_or_not_at_all(data, tmp_path, monkeypatch):
    (data / "groups.csv").unlink()

    def killed(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("skcgcnn.graphs._folder._digests", killed)
        with pytest.raises(KeyboardInterrupt):
            featurize(data, tmp_path / "store", overwrite=True)
    assert open_store(tmp_path / "store", with_groups=True).groups == {"0": "a", "1": "b"}
    (data / "groups.csv").write_text("id,group\n0,a\n1,c\n")
    featurize(data, tmp_path / "store", overwrite=True)  # of the same crystals
    assert open_store(tmp_path / "store", with_groups=True).groups == {"0": "a", "1": "c"}


def test_groups_of_a_store_that_is_replaced_while_it_is_opened(data, tmp_path, monkeypatch):
    (data / "groups.csv").write_text("id,group\n0,a\n1,c\n")

    def replaced(path, _read=read_columns):
        columns = _read(path)
        with monkeypatch.context() as patched:
            patched.setattr("skcgcnn.stores._store.read_columns", _read)
            featurize(data, tmp_path / "store", overwrite=True)
        monkeypatch.setattr("skcgcnn.stores._store.read_columns", _read)
        return columns

    monkeypatch.setattr("skcgcnn.stores._store.read_columns", replaced)
    assert open_store(tmp_path / "store", with_groups=True).groups == {"0": "a", "1": "c"}


@pytest.mark.parametrize("name", ["groups.csv", "atom_init.json"])
def test_a_store_that_is_moved_while_it_is_opened_lacks_nothing(data, tmp_path, monkeypatch, name):
    (data / "atom_init.json").write_text(json.dumps({str(z): [z] for z in range(1, 101)}))
    store = tmp_path / "of features"
    featurize(data, store)

    def moved(path, _read=read_columns):
        columns = _read(path)
        (path.parent / name).rename(tmp_path / name)
        return columns

    monkeypatch.setattr("skcgcnn.stores._store.read_columns", moved)
    with pytest.raises(DataError, match=f"{name} is missing"):
        open_store(store, with_groups=True)


@pytest.mark.parametrize("becomes", ["id,group\n0,a\n1,a\n2,a\n", None])
def test_groups_that_change_while_a_store_is_made(data, tmp_path, monkeypatch, becomes):
    def changed(folder, *_, _load=load_groups):
        _load(folder, [])
        (folder / "groups.csv").unlink()
        if becomes:
            (folder / "groups.csv").write_text(becomes)

    monkeypatch.setattr("skcgcnn.stores._featurize.load_groups", changed)
    with pytest.raises(DataError, match=r"groups\.csv: was changed after"):
        featurize(data, tmp_path / "store", overwrite=True)
    assert open_store(tmp_path / "store", with_groups=True).groups == {"0": "a", "1": "b"}


def test_a_damaged_store_is_made_again_and_one_that_lacks_a_file_is_told(data, tmp_path):
    (inside,) = (tmp_path / "store").glob("data-*")
    (inside / "groups.csv").unlink()
    with pytest.raises(DataError, match=r"groups\.csv is missing"):
        open_store(tmp_path / "store")
    featurize(data, tmp_path / "store", overwrite=True)
    assert open_store(tmp_path / "store", with_groups=True).groups == {"0": "a", "1": "b"}
    (data / "groups.csv").write_text("id,group\n0,a\n0,b\n")
    with pytest.raises(DataError, match="id '0' comes twice"):
        featurize(data, tmp_path / "other")
