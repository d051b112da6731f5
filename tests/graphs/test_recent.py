"""Graphs of files that were read before: the same to the last bit, and never out of date."""

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs import _chunks, forget_files
from skcgcnn.graphs._recent import RecentGraphs


@pytest.fixture(autouse=True)
def reads(monkeypatch):
    """Forget everything, and list which CIFs are opened from here on."""
    found = []

    def listed(file, *args, _open=open, **kwargs):
        if str(file).endswith(".cif"):
            found.append(str(file))
        return _open(file, *args, **kwargs)

    forget_files()
    monkeypatch.setattr("builtins.open", listed)
    return found


@pytest.fixture
def later(monkeypatch):
    """Let the clock be ahead of that of the files: they have not changed for long."""
    now = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: now() + 10**10)


def assert_same(one, other):
    for name, value in one.to_dict().items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
        else:
            assert value == getattr(other, name)


def test_a_file_is_read_once_and_its_graph_stays_the_same(cifs, reads):
    transformer = CrystalGraphTransformer()
    whole = transformer.transform(cifs)
    some = [cifs[i] for i in (7, 3, 3, 20, 1)]
    again = transformer.transform(some)
    assert len(reads) == len(cifs)
    forget_files()
    assert_same(again, transformer.transform(some))
    assert_same(whole, transformer.transform(cifs))


def test_known_and_new_files_and_other_crystals_keep_their_places(cifs, nacl, reads):
    transformer = CrystalGraphTransformer()
    transformer.transform(cifs[4:8])
    X = [cifs[9], cifs[6], nacl, cifs[4], nacl, cifs[2]]
    mixed = transformer.transform(X)
    assert len(reads) == 4 + 2
    forget_files()
    assert_same(mixed, transformer.transform(X))
    assert_same(mixed, CrystalGraphTransformer(n_jobs=2).transform(X))


def test_a_file_that_changed_is_read_again(tmp_path, nacl, reads, later):
    path, text = tmp_path / "crystal.cif", nacl.to(fmt="cif")
    path.write_text(text)
    first = [CrystalGraphTransformer().transform([path]) for _ in range(2)]
    assert len(reads) == 1
    then = path.stat()
    # As many bytes, and the time of the last change set back.
    path.write_text(text.replace("5.64000000", "5.74000000"))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert path.stat().st_size == then.st_size
    second = CrystalGraphTransformer().transform([path])
    assert len(reads) == 2
    assert first[1].distances[0] != second.distances[0]


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path, nacl, reads):
    path = tmp_path / "crystal.cif"
    path.write_text(nacl.to(fmt="cif"))
    for _ in range(2):
        CrystalGraphTransformer().transform([path])
    assert len(reads) == 2


def test_what_the_caller_changes_stays_with_the_caller(cifs):
    transformer = CrystalGraphTransformer()
    for _ in range(2):
        graphs = transformer.transform(cifs[:3])
        assert graphs.distances.min() > 1
        assert graphs.kind_features.max() == 1
        graphs.distances[:] = 0
        graphs.kind_features[:] = 0


def test_a_cache_on_the_disk_gets_whole_chunks(cifs, tmp_path, reads):
    CrystalGraphTransformer().transform(cifs[:2])
    CrystalGraphTransformer(memory=tmp_path).transform(cifs[:6])
    forget_files()
    reads.clear()
    CrystalGraphTransformer().transform(cifs[:1])
    CrystalGraphTransformer(memory=tmp_path).transform(cifs[:6])
    assert len(reads) == 1


def test_a_smaller_limit_for_files_is_kept(cifs):
    CrystalGraphTransformer().transform(cifs[:1])
    with pytest.raises(StructureError, match="bytes"):
        CrystalGraphTransformer(max_bytes=10).transform(cifs[:1])


def test_other_options_make_other_graphs(cifs, reads):
    CrystalGraphTransformer().transform(cifs[:2])
    assert CrystalGraphTransformer(max_num_nbr=8).transform(cifs[:2]).options.max_num_nbr == 8
    assert len(reads) == 4


def test_failures_are_not_remembered_and_remarks_are(cifs, tmp_path, reads):
    odd = tmp_path / "odd.cif"
    text = Path(cifs[0]).read_text()
    odd.write_text(text + text.replace("data_", "data_again_"))  # a file of two crystals
    bad = tmp_path / "bad.cif"
    bad.write_text("no crystal")
    transformer = CrystalGraphTransformer(on_error="nan")
    said = []
    for _ in range(2):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            transformer.transform([bad, odd, cifs[0]])
        said.append(sorted(str(warning.message) for warning in found))
    assert said[0] == said[1]
    assert len(said[0]) == 2
    assert reads.count(str(bad)) == 2
    assert reads.count(cifs[0]) == 1


def test_the_oldest_go_where_memory_is_short(cifs):
    maker = CrystalGraphTransformer()._maker()
    chunks = [
        (some, _chunks.build_chunk(some, range(4), maker))
        for some in (cifs[:4], cifs[4:8], cifs[8:12])
    ]
    sizes = [chunk.graphs.__sizeof__() for _, chunk in chunks]
    memory = RecentGraphs(sum(sizes) - 1)
    for some, chunk in chunks:
        memory.remember(memory.look_up(some, maker, 10**9), chunk)
    assert memory.look_up(cifs[:4], maker, 10**9).unknown == [0, 1, 2, 3]
    assert memory.look_up(cifs[4:12], maker, 10**9).unknown == []


def test_a_search_on_paths_reads_every_crystal_once(tiny, cifs, energies, reads, monkeypatch):
    grid = {"lr": [0.001, 0.01]}
    search = GridSearchCV(CGCNNRegressor(**tiny), grid, cv=3).fit(cifs, energies)
    assert len(reads) == len(cifs)
    forget_files()
    monkeypatch.setattr("time.time_ns", lambda: 0)  # all files have changed just now
    fresh = GridSearchCV(CGCNNRegressor(**tiny), grid, cv=3).fit(cifs, energies)
    assert len(reads) == len(cifs) + 7 * len(cifs)
    scores = "mean_test_score"
    assert search.cv_results_[scores].tolist() == fresh.cv_results_[scores].tolist()
