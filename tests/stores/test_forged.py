"""Stores that are damaged or forged: a DataError, and nothing worse."""

import json
import shutil

import numpy as np
import pytest

from skcgcnn.exceptions import DataError
from skcgcnn.stores import featurize, open_store


@pytest.fixture(scope="module")
def good(cifs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    lines = ["path,e,s", *(f"{path},{i},x{i}" for i, path in enumerate(cifs[:5]))]
    (folder / "t.csv").write_text("\n".join(lines))
    featurize(folder / "t.csv", folder / "store")
    return folder / "store"


def column(array):
    return lambda data: np.save(data / "properties" / "column_0.npy", array)


def names(text):
    return lambda data: np.save(data / "properties" / "names.npy", np.array(text))


def facts(**changes):
    def change(data):
        path = data.parent / "store.json"
        known = json.loads(path.read_text()) | {"own": None} | changes
        path.write_text(json.dumps({n: v for n, v in known.items() if v is not None}))

    return change


def entry(name, place, value):
    def change(data):
        array = np.load(data / f"{name}.npy")
        array[place] = value
        np.save(data / f"{name}.npy", array)

    return change


OPTIONS = {"max_num_nbr": 12, "n_features": 92}
FORGED = {
    "names too deep": names("[" * 100_000),
    "facts too deep": lambda data: (data.parent / "store.json").write_text("[" * 100_000),
    "a number": column(np.array(1.0)),
    "a table": column(np.zeros((5, 2))),
    "complex numbers": column(np.zeros(5, complex)),
    "other numbers": column(np.zeros(5, np.float16)),
    "records": column(np.zeros(5, [("a", float)])),
    "a short column": column(np.zeros(4)),
    "doubled names": names('["e", "e"]'),
    "names that are numbers": names("[1, 2]"),
    "names of an object": names('{"e": 1, "s": 2}'),
    "other names": names('["e", "t"]'),
    "no number of crystals": facts(n_crystals=None),
    "a list of crystals": facts(n_crystals=[5]),
    "no options": facts(options=None),
    "options of texts": facts(options={**OPTIONS, "radius": "8"}),
    "deep options": facts(options={**OPTIONS, "radius": {"a": 1}}),
    "names of no columns": facts(options={**OPTIONS, "global_features": 3}),
    "units that are a list": facts(units=["eV"]),
    "units that are numbers": facts(units={"e": 1}),
    "far neighbors": entry("distances", 0, 1e30),
    "large features": entry("kind_features", (0, 0), 3e38),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_forged_stores(forge, good, tmp_path):
    folder = shutil.copytree(good, tmp_path / "forged")
    (data,) = folder.glob("data-*")
    facts(digests=None)(data)  # who forges a store leaves them out
    assert len(open_store(folder)) == 5
    forge(data)
    with pytest.raises(DataError, match="forged: is a damaged store"):
        open_store(folder)


def test_shards_elsewhere_are_not_followed(good, tmp_path):
    folder, other = shutil.copytree(good, tmp_path / "forged"), tmp_path / "other"
    other.mkdir()
    (other / ".own.tmp").write_text("of somebody else")
    (folder / ".skcgcnn-shards").symlink_to(other)
    with pytest.raises(DataError, match="skcgcnn-shards: is a link; remove it"):
        featurize(good.parent / "t.csv", folder, overwrite=True)
    assert [path.name for path in other.iterdir()] == [".own.tmp"]


@pytest.mark.parametrize("name", ["ids", "properties/column_0", "properties/column_1"])
def test_names_and_properties_of_other_crystals_are_told(name, good, tmp_path):
    folder = shutil.copytree(good, tmp_path / "other")
    (data,) = folder.glob("data-*")
    path = data / f"{name}.npy"
    np.save(path, np.load(path)[::-1])
    with pytest.raises(
        DataError, match=r"is a damaged store \((ids|column_.)\.npy is not as it was"
    ):
        open_store(folder)
