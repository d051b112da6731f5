"""Files of graphs that are joined in little memory, and large selections of what lies in files."""

import pickle
import shutil

import numpy as np
import pytest
from joblib import Parallel, delayed
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import (
    _concatenate,
    _select,
    concatenate,
    crystals_in_memory,
    is_mapped,
    merge_files,
)


def same(found, expected):
    for name, value in expected.to_dict().items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)
        if isinstance(value, np.ndarray):
            assert getattr(found, name).dtype == value.dtype, name


@pytest.fixture
def cscl():
    return Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture
def parts(graphs, cscl, nacl):
    # Kinds of site in several orders, a part without crystals, ids of several lengths.
    others = CrystalGraphs.from_structures([nacl, cscl])
    return [graphs[20:30], others, graphs[:0], graphs[:7]]


@pytest.fixture
def files(parts, tmp_path):
    paths = [tmp_path / name for name in ("0.npz", "1.npz", "a folder", "another")]
    for part, path in zip(parts, paths, strict=True):
        part.save(path)
    return paths


@pytest.mark.parametrize("rows", [7, 10**6])
def test_merged_files_hold_what_joined_parts_hold(parts, files, tmp_path, monkeypatch, rows):
    # A million rows at a time are most of a gigabyte.
    monkeypatch.setattr(_concatenate, "_ROWS", rows)
    merged = merge_files(files, tmp_path / "all")
    same(merged, concatenate(parts))
    assert is_mapped(merged.distances)
    same(CrystalGraphs.load(tmp_path / "all"), concatenate(parts))


def test_the_same_parts_make_the_same_bytes(files, tmp_path):
    one, other = [merge_files(files, tmp_path / name) and tmp_path / name for name in "ab"]
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*"))
    for name in names:
        assert (one / name).is_dir() or (one / name).read_bytes() == (other / name).read_bytes()


def test_parts_that_differ_or_are_damaged(graphs, cscl, files, tmp_path):
    CrystalGraphs.from_structures([cscl], max_num_nbr=6).save(tmp_path / "other.npz")
    with pytest.raises(
        ValueError, match=r"other\.npz: .*different options .*=12 and max_num_nbr=6"
    ):
        merge_files([*files, tmp_path / "other.npz"], tmp_path / "all")
    files[1].write_bytes(files[1].read_bytes()[:-500])
    with pytest.raises(DataError, match=r"1\.npz: not a file of crystal graphs"):
        merge_files(files, tmp_path / "all")
    with pytest.raises(ValueError, match="at least one file"):
        merge_files([], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_large_selection_of_a_file_lies_in_a_file(graphs, tmp_path, monkeypatch, let_into_memory):
    graphs.save(tmp_path / "graphs")
    rows = np.random.default_rng(0).permutation(len(graphs))[:20]
    monkeypatch.setattr(_select, "_CRYSTALS_AT_ONCE", 6)  # not 20,000
    assert not is_mapped(graphs[rows].distances)
    mapped = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    assert not is_mapped(mapped[rows].distances)  # it is small
    let_into_memory(32_000_000, selection=100)
    chosen = mapped[rows]
    assert is_mapped(chosen.distances)
    same(chosen, graphs[rows])
    same(chosen[3:9], graphs[rows][3:9])
    same(pickle.loads(pickle.dumps(chosen)), graphs[rows])
    # The files have no names: nothing is left of them when the process ends, however it ends.
    assert [path.name for path in tmp_path.iterdir()] == ["graphs"]
    assert {path.name for path in tmp_path.rglob("*.*")} == {
        "store.json",
        *(f"{name}.npy" for name in graphs.to_dict() if name != "options"),
    }


def test_how_many_crystals_of_a_file_are_in_memory(graphs, tmp_path, let_into_memory):
    graphs.save(tmp_path / "graphs")
    mapped = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    assert crystals_in_memory(mapped) == len(graphs)  # they are few
    let_into_memory(mapped.__sizeof__() // 3)
    assert crystals_in_memory(mapped) == len(graphs) // 3 - 1
    let_into_memory(1)  # less than any crystal
    assert crystals_in_memory(mapped) == 1
    assert crystals_in_memory(graphs) == len(graphs)
    assert crystals_in_memory(graphs[:0]) == 1


def test_a_selection_where_the_folder_cannot_be_written(graphs, tmp_path, let_into_memory):
    graphs.save(tmp_path / "graphs")
    mapped = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    let_into_memory(32_000_000, selection=100)
    shutil.rmtree(tmp_path)
    same(mapped[5:15], graphs[5:15])


def test_what_joblib_maps_for_its_workers_counts_as_memory(graphs, let_into_memory):
    # Fits in workers are those of one process: graphs that came from memory are not cut in windows.
    let_into_memory(100)
    parallel = Parallel(n_jobs=2, max_nbytes=10)
    found = parallel(delayed(_kinds_of_memory)(graphs) for _ in range(2))
    assert found == [(True, False)] * 2


def _kinds_of_memory(graphs):
    return isinstance(graphs.distances, np.memmap), is_mapped(graphs.distances)
