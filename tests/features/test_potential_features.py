"""Features of crystals from a potential: a made-up one, and CHGNet where it is installed."""

import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import StructureError
from skcgcnn.features import PotentialFeatures, PotentialOutput, potential_of
from skcgcnn.features import _potential_features as module

MIXED = Structure(Lattice.cubic(3.6), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])


class Toy:
    """Knows the number of sites and the mean atomic number; refuses mixed sites."""

    name = "Toy 1.0"
    n_features = 2

    def __init__(self):
        self.n_computed = 0

    def compute(self, crystals):
        self.n_computed += len(crystals)
        return [self._one(crystal) for crystal in crystals]

    def _one(self, crystal):
        if any(len(site) > 1 for site in crystal.species):
            return StructureError("has mixed sites")
        z = np.array([site[0][0] for site in crystal.species], dtype=float)
        return PotentialOutput(z.mean(), np.array([len(z), z.max()]), z, z / 10)


@pytest.fixture(autouse=True)
def _forget():
    module._ROWS.clear()


@pytest.fixture(scope="module")
def data():
    bunch = load_sample_regression()
    return bunch.data[:12], bunch.target[:12]


def test_features_have_names_and_the_order_of_the_crystals(data):
    cifs, _ = data
    features = PotentialFeatures(Toy()).fit(cifs)
    rows = features.transform(cifs)
    names = ["toy_energy", "toy_moment_mean", "toy_moment_max", "toy_0", "toy_1"]
    assert list(features.get_feature_names_out()) == names
    assert rows.shape == (12, 5) == (12, features.n_features_out_)
    np.testing.assert_allclose(rows[:, 2], rows[:, 4] / 10)
    np.testing.assert_allclose(features.transform(cifs[::-1]), rows[::-1])


def test_a_crystal_is_computed_once_whatever_it_comes_as(data):
    cifs, _ = data
    toy = Toy()
    first = PotentialFeatures(toy).transform(cifs[:4])
    again = PotentialFeatures(toy).transform([Structure.from_file(cifs[2]), cifs[2], cifs[5]])
    assert toy.n_computed <= 6
    np.testing.assert_allclose(again[1], first[2])
    PotentialFeatures(toy).transform(cifs[:4])
    assert toy.n_computed <= 6


class Geometry(Toy):
    """Knows the volume and where the second atom is."""

    def _one(self, crystal):
        volume = np.linalg.det(crystal.lattice)
        return PotentialOutput(volume, np.array([*crystal.coords[1, :2]]), np.ones(2), np.ones(2))


def test_crystals_of_the_same_atoms_are_told_apart(tmp_path):
    def salt(a, x):
        return Structure(Lattice.cubic(a), ["Na", "Cl"], [[0, 0, 0], [x, x, x]])

    X = [salt(4, 0.5), salt(5, 0.4), salt(4, 0.25), salt(4, 0.5)]
    for memory in (None, tmp_path):
        module._ROWS.clear()
        rows = np.concatenate(
            [PotentialFeatures(Geometry(), memory=memory).transform([x]) for x in X]
        )
        np.testing.assert_allclose(rows[:, 0], [64, 125, 64, 64])
        np.testing.assert_allclose(rows[:, 3], [2, 2, 1, 2])


def test_features_are_of_a_potential_if_all_of_them_are():
    assert potential_of(["chgnet_energy", "chgnet_0"]) == "chgnet"
    assert potential_of(["chgnet_energy", "T"]) is potential_of(["T"]) is potential_of([]) is None


def test_a_folder_keeps_features_for_other_processes(data, tmp_path):
    cifs, _ = data
    toy = Toy()
    first = PotentialFeatures(toy, memory=tmp_path).transform(cifs)
    module._ROWS.clear()
    again = PotentialFeatures(toy, memory=tmp_path).transform(cifs)
    np.testing.assert_array_equal(first, again)
    assert toy.n_computed == 12


def test_what_the_potential_cannot_compute(data, tmp_path):
    cifs, _ = data
    X = [cifs[0], MIXED, "nowhere.cif"]
    with pytest.raises(
        StructureError, match=r"(?s)2 of 3 .*into features.*X.1.: has mixed sites.*no such file"
    ):
        PotentialFeatures(Toy()).transform(X)
    # Each has its own cause, also where nothing is known of either.
    (tmp_path / "empty.cif").touch()
    two = ["nowhere.cif", "elsewhere.cif"]
    with pytest.raises(StructureError) as caught:
        PotentialFeatures(Toy()).transform([*two, tmp_path / "empty.cif"])
    (_, first), (_, second), (_, third) = caught.value.failures
    assert len({first, second, third}) >= 2
    assert "no such file" in first
    assert "no such file" not in third
    with pytest.warns(UserWarning, match="2 of 3 crystals"):
        rows = PotentialFeatures(Toy(), on_error="nan").transform(X)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True]


def test_in_a_pipeline_and_beside_the_network(data):
    cifs, y = data
    model = make_pipeline(PotentialFeatures(Toy()), Ridge()).fit(cifs, y)
    assert model.predict(cifs[:3]).shape == (3,)
    beside = PotentialFeatures(Toy(), keep_crystals=True)
    frame = beside.transform(pd.DataFrame({"crystal": cifs, "kelvin": np.arange(12.0)}))
    assert list(frame.columns[:3]) == ["crystal", "kelvin", "toy_energy"]
    network = CGCNNRegressor(max_epochs=1, n_conv=1, random_state=0)
    fitted = make_pipeline(clone(beside), network).fit(cifs, y)
    assert np.isfinite(fitted.predict(cifs[:3])).all()
    assert fitted[-1].graph_options_.global_features[0] == "toy_energy"


def test_progress_is_told_if_asked_for(data, capsys):
    cifs, _ = data
    PotentialFeatures(Toy(), verbose=1).transform(cifs)
    assert "crystal 12 of 12" in capsys.readouterr().err
    PotentialFeatures(Toy()).transform(cifs)
    assert not capsys.readouterr().err


def test_numbers_beside_crystals_may_be_missing_where_crystals_may(data):
    beside = pd.DataFrame({"crystal": data[0][:2], "kelvin": [300.0, np.nan]})
    with pytest.raises(ValueError, match="column 'kelvin', row 1: nan is not a finite number"):
        PotentialFeatures(Toy(), keep_crystals=True).transform(beside)
    frame = PotentialFeatures(Toy(), keep_crystals=True, on_error="nan").transform(beside)
    np.testing.assert_array_equal(frame["kelvin"], [300, np.nan])
    assert np.isfinite(frame["toy_energy"]).all()


def test_workers_and_an_empty_list(data):
    cifs, _ = data
    with joblib.parallel_config("threading"):
        rows = PotentialFeatures(Toy(), n_jobs=2).transform(cifs)
    np.testing.assert_array_equal(rows, PotentialFeatures(Toy()).transform(cifs))
    assert PotentialFeatures(Toy()).transform([]).shape == (0, 5)


def test_without_chgnet_the_message_says_what_to_install(data, monkeypatch):
    from skcgcnn.features import _chgnet

    monkeypatch.setitem(sys.modules, "chgnet", None)
    monkeypatch.setitem(sys.modules, "chgnet.model", None)
    _chgnet._load.cache_clear()
    with pytest.raises(ImportError, match=r"pip install skcgcnn\[potentials\]"):
        PotentialFeatures("chgnet").transform(data[0])


def test_chgnet_says_what_it_says_itself(data):
    chgnet = pytest.importorskip("chgnet.model")
    cifs, _ = data
    rows = PotentialFeatures("chgnet").transform(cifs)
    own = chgnet.CHGNet.load(use_device="cpu", verbose=False)
    for row, cif in zip(rows, cifs, strict=True):
        said = own.predict_structure(Structure.from_file(cif), task="em", return_crystal_feas=True)
        assert row[0] == pytest.approx(float(said["e"]), abs=1e-5)
        assert row[1] == pytest.approx(float(said["m"].mean()), abs=1e-5)
        np.testing.assert_allclose(row[3:] * len(said["m"]), said["crystal_fea"], atol=1e-3)


def test_chgnet_refuses_mixed_sites_and_lonely_atoms():
    pytest.importorskip("chgnet.model")
    lonely = Structure(Lattice.cubic(20), ["Ar"], [[0, 0, 0]])
    with pytest.raises(StructureError, match=r"(?s)partially occupied.*within 6 Å"):
        PotentialFeatures("chgnet").transform([MIXED, lonely])


def test_what_it_is_made_with(data):
    assert repr(PotentialFeatures(on_error="nan")) == "PotentialFeatures(on_error='nan')"
    for params in ({"on_error": "skip"}, {"keep_crystals": "yes"}, {"potential": 3.5}):
        with pytest.raises((ValueError, TypeError), match="PotentialFeatures"):
            PotentialFeatures(**params).transform(data[0])


def test_causes_that_are_kept_are_each_crystal_s_own(tmp_path):
    made, told = PotentialFeatures(Toy(), memory=tmp_path / "memory"), []
    for name, content in (("a", ""), ("b", "no cif"), ("a", "")):
        (tmp_path / f"{name}.cif").write_text(content)
        with pytest.raises(StructureError) as caught:
            made.transform([tmp_path / f"{name}.cif"])
        told.append(caught.value.failures[0][1])
    assert told[0] == told[2] != told[1]
