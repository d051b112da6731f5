"""Files of graphs and of arrays, and what parameters may be."""

import json
import threading

import joblib
import numpy as np
import pytest
from comparison import ARRAYS, assert_equal
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn._parameters import MAX_MERGE_TOL, MAX_NEIGHBORS, MAX_RADIUS
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import (
    ElementFeatures,
    GraphMaker,
    Stream,
    concatenate,
    is_mapped,
    map_arrays,
    read_ahead,
    read_arrays,
    stream_arrays,
)


def refused(path, **kwargs):
    """Return why graphs cannot be loaded, without the path."""
    with pytest.raises(DataError) as caught:
        CrystalGraphs.load(path, **kwargs)
    before, _, why = str(caught.value).partition(": ")
    assert before == str(path)
    return why


def test_mapped_arrays_stay_in_their_files(graphs, tmp_path):
    graphs.save(tmp_path / "graphs")
    mapped = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    loaded = CrystalGraphs.load(tmp_path / "graphs")
    for name in ARRAYS:
        assert is_mapped(getattr(mapped, name)), name
        assert type(getattr(loaded, name)) is np.ndarray, name
        assert getattr(mapped, name).dtype == getattr(graphs, name).dtype
    beside = graphs.with_global_features(np.ones((24, 1)), ["T"])
    beside.save(tmp_path / "beside")
    mapped = CrystalGraphs.load(tmp_path / "beside", mmap=True)
    assert is_mapped(mapped.global_features)
    assert mapped.options == beside.options


def test_arrays_in_pieces(tmp_path):
    whole = np.arange(12, dtype=np.float32).reshape(6, 2)
    pieces = [whole[:1], whole[1:1], whole[1:].astype(np.float64)]
    streams = {
        "b": Stream(np.float32, (6, 2), iter(pieces)),
        "a": Stream("U3", (2,), [np.array(["x"]), np.array(["yes"])]),
        "none": Stream(np.int64, (0,), []),
    }
    stream_arrays(tmp_path / "new", streams)
    found = map_arrays(tmp_path / "new")
    assert list(found) == ["a", "b", "none"]
    np.testing.assert_array_equal(found["b"], whole)
    assert found["b"].dtype == np.float32
    assert found["a"].tolist() == ["x", "yes"]
    assert found["none"].shape == (0,)
    assert list(map_arrays(tmp_path / "new", ["b"])) == ["b"]
    with pytest.raises(FileNotFoundError):
        map_arrays(tmp_path / "new", ["c"])
    (tmp_path / "new" / "c.npy").write_text("no array")
    with pytest.raises(ValueError, match=r"c\.npy is not an array"):
        map_arrays(tmp_path / "new")
    for n_rows in (5, 7):
        with pytest.raises(ValueError, match=rf"b: 12 numbers do not fill \({n_rows}, 2\)"):
            stream_arrays(tmp_path / "new", {"b": Stream(np.float32, (n_rows, 2), [whole])})


def test_some_arrays_of_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.ones((2, 2)))
    assert list(read_arrays(tmp_path / "a.npz")) == ["x", "y"]
    (found,) = read_arrays(tmp_path / "a.npz", ["y"]).values()
    np.testing.assert_array_equal(found, np.ones((2, 2)))
    with pytest.raises(KeyError):
        read_arrays(tmp_path / "a.npz", ["z"])
    np.savez_compressed(tmp_path / "b.npz", x=np.arange(3))
    with pytest.raises(ValueError, match="it is compressed"):
        read_arrays(tmp_path / "b.npz")


def test_where_graphs_cannot_be(graphs, tmp_path):
    some = graphs[:2]
    some.save(tmp_path / "A.NPZ")
    assert_equal(CrystalGraphs.load(tmp_path / "A.NPZ"), some)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"is a file; name a folder, or a file that ends in \.npz"):
        some.save(tmp_path / "file")
    assert refused(tmp_path / "none.npz") == "no such file"
    assert refused(tmp_path / "none", mmap=True) == "no such file"
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == "store.json is missing in the folder"
    assert refused(tmp_path / "A.NPZ", mmap=True).startswith("a single file cannot be memory-map")
    np.savez(tmp_path / "new.npz", format=np.array(6))
    assert refused(tmp_path / "new.npz").startswith("graphs of format 6; this version of skcgcnn ")
    some.save(tmp_path / "empty")
    assert_equal(CrystalGraphs.load(tmp_path / "empty"), some)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": 5}, "a store of format 5; this version of skcgcnn reads format 4"),
        ({"format": 3}, "a store of format 3; this version of skcgcnn reads format 4"),
        ({"data": "data-" + "0" * 31}, "store.json names no data"),
        ({"data": "../data-" + "0" * 32}, "store.json names no data"),
        ({"data": None}, "store.json names no data"),
        ({"options": {"max_num_nbr": -1, "n_features": 92}}, "the options of the graphs cannot be"),
        ({"digests": {"ids.npy": "0"}}, "bond_counts.npy does not belong to it"),
        ({"digests": {"ids.npy": "0" * 32}}, "bond_counts.npy does not belong to it"),
    ],
)
def test_folders_that_say_what_is_not_so(graphs, tmp_path, change, why):
    graphs[:2].save(tmp_path / "graphs")
    index = tmp_path / "graphs" / "store.json"
    facts = json.loads(index.read_text())
    index.write_text(json.dumps({**facts, "n_failed": 1}))
    assert "(store.json is not as it was written)" in refused(tmp_path / "graphs")
    del facts["own"]  # those that others wrote
    index.write_text(json.dumps({**facts, **change}))
    told = refused(tmp_path / "graphs")
    assert told.startswith(f"not a folder of crystal graphs ({why}")
    index.write_text(json.dumps({**facts, "digests": {}}))
    assert_equal(CrystalGraphs.load(tmp_path / "graphs"), graphs[:2])
    for text in ("[]", "{}"):
        index.write_text(text)
        assert "store.json does not describe arrays" in refused(tmp_path / "graphs")
    index.write_text(json.dumps(facts) + " " * 2**24)
    assert "store.json is longer than 16777216 bytes" in refused(tmp_path / "graphs")


def test_arrays_that_changed_or_went(graphs, tmp_path):
    graphs[:2].save(tmp_path / "graphs")
    (data,) = tmp_path.glob("graphs/data-*")
    keep = (data / "ids.npy").read_bytes()
    np.save(data / "ids.npy", graphs[:2].ids[::-1])
    assert refused(tmp_path / "graphs") == (
        "not a folder of crystal graphs (ids.npy is not as it was written)"
    )
    (data / "ids.npy").unlink()
    assert "ids.npy is missing" in refused(tmp_path / "graphs")
    (data / "ids.npy").write_bytes(keep)
    (data / "more.txt").write_text("of others")
    assert len(CrystalGraphs.load(tmp_path / "graphs")) == 2
    (data / "more.npy").write_bytes(keep)
    assert "more.npy does not belong to it" in refused(tmp_path / "graphs")


@pytest.mark.parametrize("beyond", [0, 1])
def test_arrays_of_64_mb_are_compared(graphs, tmp_path, beyond):
    graphs[:2].save(tmp_path / "graphs")
    index = tmp_path / "graphs" / "store.json"
    (data,) = tmp_path.glob("graphs/data-*")
    size = sum(path.stat().st_size for path in data.iterdir())
    with (data / "z.npy").open("wb") as file:
        file.truncate(2**26 - size + beyond)
    facts = json.loads(index.read_text())
    del facts["own"]
    index.write_text(json.dumps({**facts, "digests": {**facts["digests"], "z.npy": "0" * 32}}))
    if beyond:
        assert len(CrystalGraphs.load(tmp_path / "graphs")) == 2
    else:
        assert "(z.npy is not as it was written)" in refused(tmp_path / "graphs")


@pytest.mark.parametrize(
    ("name", "most"),
    [("distances", 10 * MAX_RADIUS), ("kind_features", 1e15), ("global_features", 1e30)],
)
def test_how_large_numbers_of_files_may_be(graphs, tmp_path, name, most):
    beside = graphs[:2].with_global_features([[1.0], [2.0]], ["T"])
    beside.save(tmp_path / "graphs.npz")
    with np.load(tmp_path / "graphs.npz") as archive:
        content = dict(archive)
    for factor in (0.999, 1.001, -1.001, np.nan):
        content[name] = getattr(beside, name).copy()
        content[name].flat[-1] = most * factor
        np.savez(tmp_path / "changed.npz", **content)
        if factor == 0.999:
            loaded = CrystalGraphs.load(tmp_path / "changed.npz")
            assert getattr(loaded, name).flat[-1] == pytest.approx(most * factor)
        else:
            why = f"{name} must be finite numbers of at most {most:g}"
            assert why in refused(tmp_path / "changed.npz")


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        ({"max_num_nbr": 1}, True),
        ({"max_num_nbr": MAX_NEIGHBORS}, True),
        ({"max_num_nbr": MAX_NEIGHBORS + 1}, False),
        ({"max_num_nbr": -3}, False),
        ({"max_num_nbr": 12.0}, False),
        ({"radius": MAX_RADIUS}, True),
        ({"radius": 1}, True),
        ({"radius": np.nextafter(MAX_RADIUS, np.inf)}, False),
        ({"radius": 0}, False),
        ({"radius": None}, False),
        ({"merge_tol": MAX_MERGE_TOL}, True),
        ({"merge_tol": None}, True),
        ({"merge_tol": 2 * MAX_MERGE_TOL}, False),
        ({"merge_tol": 0}, False),
        ({"neighbor_ties": "official"}, True),
        ({"neighbor_ties": None}, False),
    ],
)
def test_parameters_of_graphs(change, is_right):
    features = ElementFeatures({1: [1.0, 2.0]})
    ((name, value),) = change.items()
    if not is_right:
        with pytest.raises(ValueError, match=f"^{name}=.*; expected "):
            GraphMaker(features, **change)
        return
    options = GraphMaker(features, **change).options
    assert getattr(options, name) == (0 if value is None else value)
    assert options.n_features == 2
    assert options.atom_features == features.fingerprint


def test_what_chooses_crystals(graphs):
    for key in (([0], [1]), np.zeros((2, 2), int), [[0, 1]], (0, 1)):
        with pytest.raises(IndexError, match="graphs have one dimension: take an index, a slice"):
            graphs[key]
    for key in (24, -25):
        with pytest.raises(IndexError, match=f"crystal {key} of 24"):
            graphs[key]
    with pytest.raises(IndexError):
        graphs[[24]]
    assert graphs[np.int64(-24)].id == graphs[(np.int64(0), ...)].id == graphs.ids[0]
    assert graphs[[-1, 0]].ids.tolist() == [graphs.ids[-1], graphs.ids[0]]


def test_parts_of_different_width(graphs):
    """Of a large cell, neighbors are counted in more than a byte."""
    rng = np.random.default_rng(0)
    cell = Structure(Lattice.cubic(16), ["Na"] * 300, rng.random((300, 3)))
    cell.merge_sites(0.5, mode="delete")
    large = CrystalGraphs.from_structures([cell])
    assert (large.neighbors.dtype, graphs.neighbors.dtype) == (np.int32, np.uint8)
    for parts in ([large, graphs], [graphs, large]):
        joined = concatenate(parts)
        assert joined.neighbors.dtype == np.int32
        start = 0
        for part in parts:
            for one, other in zip(joined[start : start + len(part)], part, strict=True):
                assert one.id == other.id
                assert one.neighbors.tolist() == other.neighbors.tolist()
                assert one.site_counts.tolist() == other.site_counts.tolist()
            start += len(part)
    assert concatenate([graphs]) is graphs
    with pytest.raises(ValueError, match="expected at least one part"):
        concatenate([])


def test_chunks_of_a_stream(cifs):
    transformer = CrystalGraphTransformer(n_jobs=3)
    with joblib.parallel_config("threading"):
        assert [len(some) for some in transformer.stream(cifs[:10])] == [4, 4, 2]
    assert [len(some) for some in CrystalGraphTransformer().stream(cifs[:10])] == [10]
    assert [len(some) for some in CrystalGraphTransformer().stream([])] == [0]


def test_reading_ahead(graphs):
    """The first chunk is read by the thread that asks, the others by one beside it."""
    readers = []

    def chunks():
        for start in range(0, 9, 3):
            readers.append(threading.current_thread())
            yield graphs[start : start + 3]
        raise ValueError("no more")

    found = []
    with pytest.raises(ValueError, match="no more"):
        found.extend(chunk.ids.tolist() for chunk in read_ahead(chunks()))
    assert [name for names in found for name in names] == graphs.ids[:9].tolist()
    assert readers[0] is threading.current_thread()
    assert readers[1] is readers[2] is not readers[0]
    assert list(read_ahead(iter([]))) == []


def test_a_cache_is_silent(cifs, tmp_path, capfd):
    transformer = CrystalGraphTransformer(memory=tmp_path)
    for _ in range(2):
        transformer.transform(cifs[:2])
    assert capfd.readouterr() == ("", "")
