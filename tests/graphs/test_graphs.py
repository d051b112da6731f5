"""Packed graphs."""

import pickle

import joblib
import numpy as np
import pytest
from batches import unfolded
from comparison import ARRAYS, assert_equal, assert_same_crystal
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

from skcgcnn import CGCNNRegressor, CrystalGraph, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.exceptions import DataError, StructureError
from skcgcnn.graphs import GraphOptions, concatenate


def test_types_and_shapes(graphs):
    n_classes, n_bonds = graphs.offsets[-1], graphs.bond_offsets[-1]
    assert graphs.offsets.dtype == graphs.bond_offsets.dtype == np.int64
    assert graphs.neighbors.dtype == np.uint8  # a byte, where no crystal has more classes
    for name in ("site_kinds", "site_counts", "site_classes"):
        assert getattr(graphs, name).dtype == np.int32
    assert graphs.kind_features.dtype == graphs.distances.dtype == np.float32
    assert graphs.bond_counts.dtype == np.uint8
    assert graphs.site_kinds.shape == graphs.site_counts.shape == (n_classes,)
    for name in ("neighbors", "distances", "bond_counts"):
        assert getattr(graphs, name).shape == (n_bonds,)
    assert graphs.shape == (len(graphs),) == (24,)
    n_sites = graphs.n_sites.sum()
    assert n_sites == len(graphs.site_classes) == graphs.site_counts.sum() > n_classes
    assert repr(graphs) == (
        f"CrystalGraphs(24 crystals, {n_sites} sites in {n_classes} classes, 12 neighbors)"
    )


def test_kinds_are_stored_once(graphs):
    assert len(np.unique(graphs.kind_features, axis=0)) == len(graphs.kind_features)


def test_one_crystal(graphs):
    graph = graphs[3]
    assert isinstance(graph, CrystalGraph)
    assert graph.id == graphs.ids[3]
    assert len(graph) == graphs.n_sites[3]
    assert repr(graph) == (
        f"CrystalGraph({graph.id!r}, {len(graph)} sites in {len(graph.site_kinds)} classes)"
    )
    assert graph.neighbors.max() < len(graph)
    assert_same_crystal(graphs[-1], graphs[23])
    with pytest.raises(IndexError, match="crystal 24 of 24"):
        graphs[24]


@pytest.mark.parametrize(
    "key",
    [
        slice(2, 9, 3),
        [5, 2, 2, -1],
        np.array([7, 0]),
        np.arange(24) % 3 == 0,
        (np.array([4, 1]), ...),
        [],
        np.array([], dtype=int),
        slice(0, 0),
    ],
    ids=str,
)
def test_selection(graphs, key):
    chosen = graphs[key]
    assert isinstance(chosen, CrystalGraphs)
    plain = key[0] if isinstance(key, tuple) else key
    rows = np.arange(24)[plain] if len(np.shape(plain)) == 0 or len(plain) else []
    assert len(chosen) == len(rows)
    for new, old in enumerate(rows):
        assert_same_crystal(chosen[new], graphs[int(old)])


def test_iteration(graphs):
    assert [graph.id for graph in graphs] == graphs.ids.tolist()


def test_scikit_learn_splits_it(graphs):
    train, test, rows, _ = train_test_split(graphs, np.arange(24), random_state=0)
    assert len(train) + len(test) == 24
    assert_same_crystal(train[0], graphs[int(rows[0])])
    assert sorted(shuffle(graphs, random_state=0).ids) == sorted(graphs.ids)


def test_pickle_hash_and_memory_map(graphs, tmp_path):
    assert_equal(pickle.loads(pickle.dumps(graphs)), graphs)
    assert joblib.hash(graphs) == joblib.hash(pickle.loads(pickle.dumps(graphs)))
    assert joblib.hash(graphs) != joblib.hash(graphs[:-1])
    joblib.dump(graphs, tmp_path / "graphs")
    mapped = joblib.load(tmp_path / "graphs", mmap_mode="r")
    assert isinstance(mapped.distances, np.memmap)
    assert_equal(mapped, graphs)


def test_concatenate(graphs, cifs):
    joined = concatenate([graphs[:5], graphs[5:6], graphs[6:]])
    for i in range(24):
        assert_same_crystal(joined[i], graphs[i])
    transform = CrystalGraphTransformer().transform
    assert_equal(concatenate([transform(cifs[:7]), transform(cifs[7:])]), graphs)
    with pytest.raises(ValueError, match="cannot be joined: max_num_nbr=12 and max_num_nbr=8"):
        concatenate([graphs, CrystalGraphTransformer(max_num_nbr=8).transform(cifs[:1])])


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("rows", [slice(None), slice(0, 0)], ids=["all", "none"])
def test_save_and_load(graphs, tmp_path, mmap, rows):
    graphs[rows].save(tmp_path / "graphs.npz")
    assert_equal(CrystalGraphs.load(tmp_path / "graphs.npz"), graphs[rows])
    path = tmp_path / "graphs"
    graphs[rows].save(path)
    loaded = CrystalGraphs.load(path, mmap=mmap)
    assert_equal(loaded, graphs[rows])
    assert isinstance(loaded.distances, np.memmap) == mmap
    assert {file.name for file in tmp_path.iterdir()} == {"graphs.npz", "graphs"}
    if mmap and len(loaded):
        with pytest.raises(ValueError, match="read-only"):
            loaded.distances[0] = 1
        assert_equal(loaded[3:5], graphs[3:5])


def test_graphs_replace_those_in_their_folder(graphs, tmp_path):
    for some in (graphs[:3], graphs[3:5]):
        some.save(tmp_path / "graphs")
    assert_equal(CrystalGraphs.load(tmp_path / "graphs"), graphs[3:5])


def test_a_mapped_file_serves_an_estimator(graphs, energies, tmp_path, tiny):
    graphs.save(tmp_path / "graphs")
    mapped = CrystalGraphs.load(tmp_path / "graphs", mmap=True)
    est = CGCNNRegressor(**tiny).fit(mapped, energies)
    np.testing.assert_array_equal(
        est.predict(mapped), CGCNNRegressor(**tiny).fit(graphs, energies).predict(graphs)
    )


@pytest.mark.parametrize("mmap", [False, True])
def test_files_that_hold_no_graphs(graphs, tmp_path, mmap):
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "objects.npz", format=np.array([{}], dtype=object))
    np.savez(tmp_path / "newer.npz", **graphs.to_dict(), format=np.array(99))
    np.save(tmp_path / "array.npy", np.zeros(3))
    graphs.save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-500])
    graphs.save(tmp_path / "folder")
    next(tmp_path.glob("folder/data-*/ids.npy")).unlink()
    (tmp_path / "empty").mkdir()
    names = [
        "folder",
        "empty",
        "text.npz",
        "other.npz",
        "objects.npz",
        "newer.npz",
        "array.npy",
        "cut.npz",
        "none",
    ]
    for name in names:
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            CrystalGraphs.load(tmp_path / name, mmap=mmap)


def test_a_single_file_is_not_mapped_and_a_folder_of_others_not_replaced(graphs, tmp_path):
    graphs.save(tmp_path / "graphs.npz")
    with pytest.raises(DataError, match="cannot be memory-mapped; save the graphs in a folder"):
        CrystalGraphs.load(tmp_path / "graphs.npz", mmap=True)
    with pytest.raises(DataError, match="holds other files; choose another folder"):
        graphs.save(tmp_path)


def test_to_dict_and_back(graphs):
    assert tuple(graphs.to_dict()) == (*ARRAYS, "global_features", "options")
    assert_equal(CrystalGraphs(**graphs.to_dict()), graphs)


def test_from_structures(graphs, cifs, nacl, tmp_path):
    assert_equal(CrystalGraphs.from_structures(cifs), graphs)
    assert CrystalGraphs.from_structures(cifs).options == graphs.options
    assert CrystalGraphs.from_structures([nacl], max_num_nbr=6).bond_counts.tolist() == [6, 6]
    with pytest.raises(StructureError, match=r"1 of 2 crystals.*\n.*none\.cif: no such file"):
        CrystalGraphs.from_structures([nacl, tmp_path / "none.cif"])


def n_bytes(graphs):
    """Return the size of the arrays that grow with the crystals, but for the ids."""
    return sum(
        getattr(graphs, name).nbytes for name in ARRAYS if name not in {"ids", "kind_features"}
    )


def test_bytes(graphs):
    plain = sum(array.nbytes for array in graphs.expand())
    assert n_bytes(graphs) < 0.2 * plain
    assert n_bytes(unfolded(graphs)) < 1.3 * plain


def test_arrays_must_fit(graphs):
    parts = {name: getattr(graphs, name) for name in ARRAYS}
    with pytest.raises(ValueError, match="offsets"):
        CrystalGraphs(**{**parts, "offsets": graphs.offsets[:-1]})
    for name in ("distances", "neighbors", "bond_counts", "site_counts", "bond_offsets"):
        with pytest.raises(ValueError, match=name):
            CrystalGraphs(**{**parts, name: getattr(graphs, name)[:-1]})
    with pytest.raises(ValueError, match="site_classes"):
        CrystalGraphs(**{**parts, "site_classes": graphs.site_classes[:-1]})
    with pytest.raises(ValueError, match="must be integers"):
        CrystalGraphs(**{**parts, "bond_counts": graphs.bond_counts.astype(float)})
    with pytest.raises(ValueError, match="do not fit GraphOptions"):
        CrystalGraphs(**parts, options=GraphOptions(8, 92))


def test_counts_of_another_type_are_those_of_files(graphs, tmp_path):
    arrays = graphs.to_dict() | {"bond_counts": graphs.bond_counts.astype(np.int64)}
    CrystalGraphs(**arrays).save(tmp_path / "graphs.npz")
    assert_equal(CrystalGraphs.load(tmp_path / "graphs.npz"), graphs)


@pytest.mark.parametrize(
    "params",
    [
        *({"max_num_nbr": 0}, {"max_num_nbr": 10**9}),
        *({"radius": -1.0}, {"radius": "8"}, {"radius": 1e6}, {"neighbor_ties": "none"}),
    ],
)
def test_parameters_of_from_structures(params, nacl):
    with pytest.raises(ValueError, match=f"{next(iter(params))}=.*; expected"):
        CrystalGraphs.from_structures([nacl], **params)


def test_pickles_of_an_earlier_version_are_refused(graphs):
    state = {name: value for name, value in graphs.to_dict().items() if name != "site_classes"}
    with pytest.raises(DataError, match="pickled by an earlier version"):
        CrystalGraphs.__new__(CrystalGraphs).__setstate__(state)


def test_files_of_an_earlier_format_are_refused(graphs, tmp_path):
    np.savez(tmp_path / "old.npz", format=np.array(2), neighbors=np.zeros((3, 12), np.int32))
    with pytest.raises(DataError, match=r"format 2; .* reads format 5\. Make them again"):
        CrystalGraphs.load(tmp_path / "old.npz")


def test_a_folder_holds_what_was_saved_last(graphs, tmp_path):
    for some in (graphs, graphs[:3], graphs[:3], graphs[5:9]):
        some.save(tmp_path / "graphs")
        assert_equal(CrystalGraphs.load(tmp_path / "graphs"), some)
        (inside,) = tmp_path.glob("graphs/*data-*")
        assert {path.name for path in (tmp_path / "graphs").iterdir()} >= {
            inside.name,
            "store.json",
        }
