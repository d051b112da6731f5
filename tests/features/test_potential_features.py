"""Features of crystals from a potential: a made-up one, and CHGNet where it is installed."""

import errno
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
from skcgcnn.crystals import read_crystal
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import StructureError
from skcgcnn.features import CHGNetPotential, PotentialFeatures, PotentialOutput, potential_of
from skcgcnn.features import _potential_features as module
from skcgcnn.features._chgnet_graph import make_graph

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


def test_crystals_of_the_same_places_are_told_apart(tmp_path):
    def salt(*species):
        return Structure(Lattice.cubic(4), species, [[0, 0, 0], [0.5, 0.5, 0.5]])

    X = [salt("Na", "Cl"), salt("K", "Cl"), salt("Cl", "K"), salt({"Na": 0.5, "K": 0.5}, "Cl")]
    for memory in (None, tmp_path):
        module._ROWS.clear()
        features = PotentialFeatures(Toy(), memory=memory, on_error="nan")
        with pytest.warns(UserWarning, match="1 of 1 crystals"):
            rows = np.concatenate([features.transform([x]) for x in X])
        np.testing.assert_allclose(rows[:, 0], [14, 18, 18, np.nan])


def test_parameters_are_checked_at_the_fit(data):
    with pytest.raises(ValueError, match="on_error"):
        PotentialFeatures(Toy(), on_error="ignore").fit(data[0])


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


def metal(a, symbol="Na"):
    return Structure(Lattice.cubic(a), [symbol], [[0, 0, 0]])


class Volume(Toy):
    """Knows the volume; gives each call's crystals away."""

    def _one(self, crystal):
        if crystal.species[0][0][0] == 2:
            return StructureError("is helium")
        volume = abs(np.linalg.det(crystal.lattice))
        return PotentialOutput(volume, np.array([1.0, 2.0]), np.ones(2), np.array([0.5, -1.5]))


def test_many_crystals_keep_their_places(capsys):
    """They are computed some at a time, whose failures are named by their places in X."""
    edges = np.linspace(3, 6, 205)
    X = [metal(a, "He" if i in (99, 100, 203) else "Na") for i, a in enumerate(edges)]
    with pytest.warns(UserWarning, match="3 of 205 crystals") as caught:
        rows = PotentialFeatures(Volume(), on_error="nan", verbose=1).transform(X)
    lines = str(caught[0].message).splitlines()[1:]
    assert lines == [f"  X[{i}]: is helium" for i in (99, 100, 203)]
    assert rows.shape == (205, 5)
    assert np.flatnonzero(np.isnan(rows).all(axis=1)).tolist() == [99, 100, 203]
    sound = ~np.isnan(rows[:, 0])
    np.testing.assert_allclose(rows[sound, 0], edges[sound] ** 3)
    np.testing.assert_allclose(rows[sound, 1:], np.tile([-0.5, 0.5, 1, 2], (202, 1)))
    assert "crystal 205 of 205" in capsys.readouterr().err


def test_what_failed_is_asked_of_again_and_what_did_not_is_not(tmp_path):
    X = [metal(3), metal(4, "He"), metal(3), metal(5)]
    toy = Volume()
    made = PotentialFeatures(toy, on_error="nan")
    for n_computed in (4, 5):
        with pytest.warns(UserWarning, match="1 of 4 crystals"):
            rows = made.transform(X)
        np.testing.assert_allclose(rows[[0, 2, 3], 0], [27, 27, 125])
        assert np.isnan(rows[1]).all()
        assert toy.n_computed == n_computed


def test_rows_of_one_potential_are_not_those_of_another():
    other = Volume()
    other.name = "Other 2.0"
    assert PotentialFeatures(Toy()).transform([metal(3)])[0, 0] == 11
    assert PotentialFeatures(other).transform([metal(3)])[0, 0] == pytest.approx(27)
    assert PotentialFeatures(other).get_feature_names_out()[0] == "other_energy"


def test_only_so_many_rows_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "_MOST_ROWS", 3)
    toy = Volume()
    made = PotentialFeatures(toy)
    made.transform([metal(a) for a in (3, 4, 5, 6)])
    made.transform([metal(6), metal(5), metal(4)])
    assert toy.n_computed == 4
    made.transform([metal(3)])
    assert toy.n_computed == 5


def test_what_may_be_read_tomorrow_is_not_kept(data, tmp_path, monkeypatch):
    path = data[0][0]

    def opened(name, *args, _open=open, **kwargs):
        if name == path:
            raise OSError(errno.EMFILE, "Too many open files")
        return _open(name, *args, **kwargs)

    made = PotentialFeatures(Toy(), memory=tmp_path, on_error="nan")
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", opened)
        with pytest.warns(UserWarning, match="Too many open files"):
            assert np.isnan(made.transform([path])).all()
    assert not list(tmp_path.rglob("output.pkl"))
    assert np.isfinite(made.transform([path])).all()
    assert list(tmp_path.rglob("output.pkl"))


def test_frames_keep_crystals_and_units(data):
    X = pd.DataFrame({"T": [1.0, 2.0], "crystal": [metal(3), data[0][0]]})
    X.attrs["units"] = {"T": "K"}
    frame = PotentialFeatures(Toy(), keep_crystals=True).fit_transform(X)
    names = ["toy_energy", "toy_moment_mean", "toy_moment_max", "toy_0", "toy_1"]
    assert list(frame.columns) == ["crystal", "T", *names]
    assert frame["crystal"][0] is X["crystal"][0]
    assert frame["crystal"][1] == data[0][0]
    assert frame["T"].tolist() == [1, 2]
    assert frame.attrs["units"] == {"T": "K"}
    rows = PotentialFeatures(Toy()).transform(X)
    np.testing.assert_array_equal(frame[names], rows)
    alone = PotentialFeatures(Toy(), keep_crystals=True).transform([metal(3)])
    assert list(alone.columns) == ["crystal", *names]
    assert alone.attrs["units"] == {}


def test_what_is_no_crystal():
    with pytest.raises(TypeError, match=r"X\[1\] is of type NoneType"):
        PotentialFeatures(Toy()).transform([metal(3), None])
    with pytest.warns(UserWarning, match="1 of 2 crystals"):
        rows = PotentialFeatures(Toy(), on_error="nan").transform([metal(3), None])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True]


@pytest.fixture
def chgnet():
    pytest.importorskip("chgnet.model")
    return CHGNetPotential()


def test_chgnet_of_many_crystals_at_once(chgnet, data):
    """They go by size, some at a time, and come back in their order; sites keep theirs."""
    cifs = load_sample_regression().data[:20]
    crystals = [read_crystal(cif) for cif in cifs]
    together = chgnet.compute(crystals)
    for crystal, found in zip(crystals, together, strict=True):
        (alone,) = chgnet.compute([crystal])
        assert found.features.shape == (64,)
        assert len(found.site_energies) == len(found.moments) == len(crystal.species)
        assert found.energy == pytest.approx(alone.energy, abs=1e-5)
        assert found.site_energies.mean() == pytest.approx(found.energy, abs=1e-4)
        for name in ("features", "site_energies", "moments"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=1e-4)


def test_which_crystals_chgnet_knows(chgnet):
    def told(structure):
        (found,) = chgnet.compute([read_crystal(structure)])
        return str(found) if isinstance(found, StructureError) else found.energy

    assert np.isfinite(told(metal(4, "Pu")))
    assert told(metal(4, "Am")) == "holds an element that CHGNet 0.3.0 does not know"
    assert told(MIXED).startswith("has partially occupied sites, which CHGNet 0.3.0 does not know")
    missing = Structure(Lattice.cubic(4), [{"Na": 0.9}], [[0, 0, 0]])
    assert told(missing) == told(MIXED)
    assert np.isfinite(told(metal(5.9)))
    lonely = "has an atom without a neighbor within 6 Å, of which CHGNet 0.3.0 can say nothing"
    assert told(metal(6.1)) == lonely
    apart = Structure(Lattice.cubic(20), ["Na", "Na", "Na"], [[0, 0, 0], [0.1, 0, 0], [0.5] * 3])
    assert told(apart) == lonely
    assert chgnet.compute([]) == []


def test_chgnet_is_quiet(chgnet, capsys):
    from skcgcnn.features import _chgnet

    _chgnet._load.cache_clear()
    CHGNetPotential()
    assert capsys.readouterr().out == ""


def test_graphs_for_chgnet_are_its_own(chgnet, data):
    graph = pytest.importorskip("chgnet.graph")
    converter = graph.CrystalGraphConverter(
        atom_graph_cutoff=6, bond_graph_cutoff=3, algorithm="legacy"
    )
    for structure in (*map(Structure.from_file, data[0][:4]), metal(2.9), metal(2.7, "Fe")):
        own, made = converter(structure), make_graph(read_crystal(structure))
        assert made.atomic_number.tolist() == own.atomic_number.tolist()
        assert (made.atom_graph_cutoff, made.bond_graph_cutoff) == (6, 3)
        for name in ("lattice", "atom_frac_coord"):
            np.testing.assert_allclose(getattr(made, name), getattr(own, name).detach(), atol=1e-6)
        for name in (
            "atomic_number",
            "atom_frac_coord",
            "atom_graph",
            "neighbor_image",
            "directed2undirected",
            "undirected2directed",
            "bond_graph",
            "lattice",
        ):
            assert getattr(made, name).dtype == getattr(own, name).dtype, name
            assert getattr(made, name).shape == getattr(own, name).shape, name
        # Which directed bonds are one undirected bond, whatever their numbers.
        bonds = np.column_stack([made.atom_graph.numpy(), made.neighbor_image.numpy()]).astype(int)
        for number, first in enumerate(made.undirected2directed.tolist()):
            there, back = bonds[np.flatnonzero(made.directed2undirected.numpy() == number)]
            assert there.tolist() == bonds[first].tolist()
            assert back.tolist() == [there[1], there[0], *-there[2:]]

        def angles(one):
            ends = np.column_stack([one.atom_graph.numpy(), one.neighbor_image.numpy()])
            rows = one.bond_graph.numpy()
            assert (one.directed2undirected.numpy()[rows[:, 2]] == rows[:, 1]).all()
            assert (one.directed2undirected.numpy()[rows[:, 4]] == rows[:, 3]).all()
            return sorted(
                (center, *ends[left].tolist(), *ends[right].tolist())
                for center, _, left, _, right in rows.tolist()
            )

        assert angles(made) == angles(own)
