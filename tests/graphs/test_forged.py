"""Files of graphs that are damaged or forged: a DataError, and nothing worse."""

import io
import json
import zipfile

import numpy as np
import pytest
from hostile import run_bounded

from skcgcnn import CrystalGraphs
from skcgcnn.exceptions import DataError

LOAD = """
try:
    skcgcnn.CrystalGraphs.load(sys.argv[1], mmap=sys.argv[2:] == ["mmap"])
    print("loaded")
except DataError as error:
    print("DataError", error)
"""


@pytest.fixture
def members(graphs, tmp_path):
    graphs[:5].save(tmp_path / "graphs.npz")
    with np.load(tmp_path / "graphs.npz") as archive:
        return dict(archive)


def refused(path, why):
    with pytest.raises(DataError, match=r"forged\.npz: not a file of crystal graphs") as error:
        CrystalGraphs.load(path)
    assert why in str(error.value)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


FORGED = {
    "neighbor of another crystal": lambda m: {
        "neighbors": changed(m["neighbors"].astype(np.int32), 0, 10**6)
    },
    "negative neighbor": lambda m: {"neighbors": changed(m["neighbors"].astype(np.int32), 0, -1)},
    "distance 0": lambda m: {"distances": changed(m["distances"], 2, 0)},
    "distance NaN": lambda m: {"distances": changed(m["distances"], 2, np.nan)},
    "distance without end": lambda m: {"distances": changed(m["distances"], 2, 1e30)},
    "huge feature": lambda m: {"kind_features": changed(m["kind_features"], (0, 0), 3e38)},
    "infinite feature": lambda m: {"kind_features": changed(m["kind_features"], (0, 0), np.inf)},
    "no such kind": lambda m: {"site_kinds": changed(m["site_kinds"], 0, 99)},
    "no bond of a kind": lambda m: {"bond_counts": changed(m["bond_counts"], 0, 0)},
    "more bonds than others": lambda m: {"bond_counts": changed(m["bond_counts"], 0, 200)},
    "counts that are no counts": lambda m: {"bond_counts": m["bond_counts"].astype(np.float32)},
    "class without sites": lambda m: {"site_counts": changed(m["site_counts"], 0, 0)},
    "class without sites beside one of more": lambda m: {
        "site_counts": changed(changed(m["site_counts"], 0, 0), 1, m["site_counts"][:2].sum())
    },
    "more sites than there are": lambda m: {"site_counts": changed(m["site_counts"], 0, 99)},
    "sites of another class": lambda m: {"site_classes": np.zeros_like(m["site_classes"])},
    "site of no class": lambda m: {"site_classes": changed(m["site_classes"], 0, 10**6)},
    "descending bond offsets": lambda m: {"bond_offsets": changed(m["bond_offsets"], 1, 10**9)},
    "fewer bond offsets": lambda m: {"bond_offsets": m["bond_offsets"][:-1]},
    "descending offsets": lambda m: {"offsets": changed(m["offsets"], 1, 10**9)},
    "offsets from 1": lambda m: {"offsets": changed(m["offsets"], 0, 1)},
    "too few offsets": lambda m: {"offsets": m["offsets"][:-1]},
    "no offsets": lambda m: {"offsets": m["offsets"][:0]},
    "other type": lambda m: {"neighbors": m["neighbors"].astype(np.float64)},
    "other shape": lambda m: {"distances": m["distances"][:-1]},
    "another axis": lambda m: {"site_kinds": m["site_kinds"][:, None]},
    "numbers as ids": lambda m: {"ids": np.arange(5)},
    "fewer ids": lambda m: {"ids": m["ids"][:-1]},
    "another array": lambda m: {"more": np.zeros(3)},
    "no distances": lambda m: {"distances": None},
    "no options": lambda m: {"options": None},
    "options that are none": lambda m: {"options": np.array("[]")},
    "other options": lambda m: {
        "options": np.array(json.dumps({"max_num_nbr": 3, "n_features": 1}))
    },
    "format that is none": lambda m: {"format": np.array("x")},
}

WHY = {
    "neighbor of another crystal": "neighbors must be classes of their crystal",
    "negative neighbor": "neighbors must be classes of their crystal",
    "distance 0": "distances must be above 0",
    "distance NaN": "distances must be finite numbers of at most 100000",
    "distance without end": "distances must be finite numbers of at most 100000",
    "huge feature": "kind_features must be finite numbers of at most 1e+15",
    "infinite feature": "kind_features must be finite numbers of at most 1e+15",
    "no such kind": "site_kinds must be rows of kind_features",
    "no bond of a kind": "sites have different numbers of neighbors",
    "more bonds than others": "sites have different numbers of neighbors",
    "counts that are no counts": "bond_counts is of float32 with 1 axes; expected int32 with 1",
    "class without sites": "site_classes and site_counts do not fit together",
    "class without sites beside one of more": "site_counts must be above 0",
    "more sites than there are": "site_classes and site_counts do not fit together",
    "sites of another class": "site_counts are not the numbers of sites in each class",
    "site of no class": "site_classes must be classes of their crystal",
    "descending bond offsets": "bond_offsets must ascend",
    "fewer bond offsets": "bond_offsets and site_kinds do not fit together",
    "descending offsets": "offsets must ascend",
    "offsets from 1": "offsets must begin with 0",
    "too few offsets": "ids and offsets do not fit together",
    "no offsets": "offsets must begin with 0",
    "other type": "neighbors is of float64 with 1 axes; expected int32 with 1",
    "other shape": "distances and neighbors do not fit together",
    "another axis": "site_kinds is of int32 with 2 axes; expected int32 with 1",
    "numbers as ids": "ids must be strings",
    "fewer ids": "ids and offsets do not fit together",
    "another array": "arrays missing: []; unexpected: ['more']",
    "no distances": "arrays missing: ['distances']; unexpected: []",
    "no options": "'options'",
    "options that are none": "must be a mapping, not list",
    "other options": "the arrays do not fit GraphOptions(max_num_nbr=3, n_features=1",
    "format that is none": "invalid literal for int",
}

OF_FILES = {
    "another array",
    "no options",
    "options that are none",
    "other options",
    "format that is none",
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_arrays(graphs, members, tmp_path, kind):
    content = {n: a for n, a in (members | FORGED[kind](members)).items() if a is not None}
    np.savez(tmp_path / "forged.npz", **content)
    refused(tmp_path / "forged.npz", WHY[kind])
    graphs[:5].save(tmp_path / "folder")
    data = next(tmp_path.glob("folder/data-*"))
    for name in members.keys() - {"format", "options"}:
        if name not in content:
            (data / f"{name}.npy").unlink()
        else:
            np.save(data / f"{name}.npy", content[name])
    if kind not in OF_FILES:
        for mmap in (False, True):
            with pytest.raises(DataError, match="folder"):
                CrystalGraphs.load(tmp_path / "folder", mmap=mmap)


def test_objects_do_not_crash_the_interpreter(members, tmp_path):
    members["ids"] = np.array(["a", 1, None, [], {}], dtype=object)
    np.savez(tmp_path / "forged.npz", **members)
    printed = run_bounded(LOAD, tmp_path / "forged.npz")
    assert printed.count("DataError") == 1
    assert "Python objects" in printed


def test_shapes_that_are_larger_than_the_file(members, tmp_path):
    path = tmp_path / "forged.npz"
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 12)}
    )
    np.savez(path, **{n: a for n, a in members.items() if n != "distances"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("distances.npy", buffer.getvalue())
    printed = run_bounded(LOAD, path, megabytes=500)
    assert printed.count("smaller than its shape says") == 1


@pytest.mark.slow
def test_compressed_archives_are_not_unpacked(members, tmp_path):
    members["distances"] = np.zeros((10**7, 12), np.float32)
    np.savez_compressed(tmp_path / "forged.npz", **members)
    assert run_bounded(LOAD, tmp_path / "forged.npz", megabytes=300).count("it is compressed") == 1


def test_folders_with_forged_headers(graphs, tmp_path):
    graphs[:5].save(tmp_path / "forged")
    path = next(tmp_path.glob("forged/data-*/distances.npy"))
    for content in (b"", b"\x93NUMPY", header((10**12,)), header((10**12, 12))):
        path.write_bytes(content)
        for options in ([], ["mmap"]):
            assert "DataError" in run_bounded(LOAD, tmp_path / "forged", *options, megabytes=500)
    index = tmp_path / "forged" / "store.json"
    nothing = "does not describe arrays"
    says = {"[]": nothing, "{}": nothing, '"format"': nothing, "": "", "[" * 10**5: ""}
    says['{"format": 4, "data": "../.."}'] = "names no data"
    for text, reason in says.items():
        index.write_text(text)
        with pytest.raises(DataError, match=f"not a folder of crystal graphs .*{reason}"):
            CrystalGraphs.load(tmp_path / "forged")
    with index.open("wb") as file:
        file.truncate(10**12)
    assert "is longer than" in run_bounded(LOAD, tmp_path / "forged", megabytes=500)


def header(shape):
    buffer = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_truncated(graphs, tmp_path, share):
    graphs.save(tmp_path / "forged.npz")
    data = (tmp_path / "forged.npz").read_bytes()
    (tmp_path / "forged.npz").write_bytes(data[: int(share * len(data))])
    refused(tmp_path / "forged.npz", "")


@pytest.mark.slow
def test_flipped_bytes_never_crash(graphs, tmp_path):
    graphs[:3].save(tmp_path / "forged.npz")
    code = """
import pathlib
path = pathlib.Path(sys.argv[1])
data = path.read_bytes()
rng = __import__("numpy").random.default_rng(0)
n = 0
for _ in range(300):
    forged = bytearray(data)
    for place in rng.integers(len(data), size=3):
        forged[place] = rng.integers(256)
    path.with_name("one.npz").write_bytes(forged)
    try:
        skcgcnn.CrystalGraphs.load(path.with_name("one.npz"))
    except DataError:
        n += 1
print(n)
"""
    assert int(run_bounded(code, tmp_path / "forged.npz")) > 50


def test_neighbors_of_crystals_that_are_looked_at_apart(members, tmp_path):
    """Of very many crystals, some are in memory at a time: all must have as many neighbors."""
    n = 600_000
    options = json.loads(str(members["options"])) | {"max_num_nbr": 3, "n_features": 1}
    content = members | {
        "options": np.array(json.dumps(options)),
        "offsets": np.arange(n + 1),
        "site_kinds": np.zeros(n, np.int32),
        "site_counts": np.ones(n, np.int32),
        "kind_features": np.ones((1, 1), np.float32),
        "bond_offsets": np.arange(n + 1),
        "neighbors": np.zeros(n, np.uint8),
        "distances": np.full(n, 2, np.float32),
        "bond_counts": np.full(n, 3, np.uint8),
        "site_classes": np.zeros(n, np.int32),
        "ids": np.arange(n).astype("U6"),
        "global_features": np.empty((n, 0)),
    }
    np.savez(tmp_path / "good.npz", **content)
    assert len(CrystalGraphs.load(tmp_path / "good.npz")) == n
    content["bond_counts"] = np.repeat(np.array([3, 4], np.uint8), [500_000, 100_000])
    np.savez(tmp_path / "forged.npz", **content)
    with pytest.raises(DataError, match="sites have different numbers of neighbors"):
        CrystalGraphs.load(tmp_path / "forged.npz")
