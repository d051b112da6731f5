"""One crystal, put in many ways, has one prediction, whatever ties there are."""

import csv
import gzip
import io
from dataclasses import replace

import numpy as np
import pytest
import spglib
from conftest import SHARED
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.core.operations import SymmOp
from sklearn.base import clone

import skcgcnn
from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.graphs import fingerprints, group_fingerprints, same_crystals

WAYS = ["permuted", "rotated", "translated", "supercell", "primitive", "conventional"]


def other_way(structure, way, seed=0):
    rng = np.random.default_rng(seed)
    if way == "permuted":
        return Structure.from_sites([structure[int(i)] for i in rng.permutation(len(structure))])
    if way in {"primitive", "conventional"}:
        return standard_cell(structure, primitive=way == "primitive")
    other = structure.copy()
    if way == "rotated":
        other.apply_operation(SymmOp.from_axis_angle_and_translation((1, 2, 3), 37))
    elif way == "translated":
        other.translate_sites(range(len(other)), rng.uniform(-1, 1, 3), to_unit_cell=False)
    else:
        other.make_supercell((2, 1, 1))
    return other


def standard_cell(structure, *, primitive):
    """Return another cell of the same crystal, its atoms where they were."""
    kinds = list(dict.fromkeys(site.species for site in structure))
    numbers = [kinds.index(site.species) + 1 for site in structure]
    found = spglib.standardize_cell(
        (structure.lattice.matrix, structure.frac_coords, numbers),
        to_primitive=primitive,
        no_idealize=True,
        symprec=1e-5,
    )
    return Structure(found[0], [kinds[number - 1] for number in found[2]], found[1])


def largest_changes(predict, structures):
    """Return the largest change of a prediction for every other way."""
    first = predict(structures)
    return {
        way: float(np.abs(predict([other_way(s, way) for s in structures]) - first).max())
        for way in WAYS
    }


@pytest.fixture(scope="module")
def fitted(graphs, energies):
    return CGCNNRegressor(max_epochs=3, lr=0.01, random_state=0, device="cpu").fit(graphs, energies)


def decorated(seed):
    """Return a simple cubic crystal with three elements at random: nothing but ties.

    Six neighbors are nearest, twelve share the second shell, and twelve are taken.
    """
    species = np.random.default_rng(seed).choice(["Li", "Ni", "O"], 27)
    coords = np.array(np.meshgrid(*[np.arange(3) / 3] * 3)).reshape(3, -1).T
    return Structure(Lattice.cubic(7.5), species, coords)


@given(seed=st.integers(0, 10_000), way=st.sampled_from(["permuted", "rotated", "translated"]))
def test_nothing_but_ties(fitted, seed, way):
    crystal = decorated(seed)
    first, second = fitted.predict([crystal, other_way(crystal, way, seed)])
    assert abs(first - second) < 1e-4


def test_the_official_order_depends_on_the_order_of_sites(fitted):
    crystals = [decorated(seed) for seed in range(5)]
    transform = CrystalGraphTransformer(neighbor_ties="official").transform
    official = clone(fitted).fit(transform(crystals), range(5))
    first = official.predict(transform(crystals))
    second = official.predict(transform([other_way(c, "permuted") for c in crystals]))
    assert np.abs(first - second).max() > 1e-3


def test_a_cut_shell_is_filled_with_the_same_elements():
    crystal = decorated(3)
    order = np.random.default_rng(1).permutation(len(crystal))
    permuted = Structure.from_sites([crystal[int(i)] for i in order])
    # Rank 10 cuts the shell of twelve.
    transform = CrystalGraphTransformer(max_num_nbr=10).transform
    graph, other = (graph.expand() for graph in transform([crystal, permuted]))
    numbers = np.array([site.specie.Z for site in crystal])
    np.testing.assert_array_equal(
        np.sort(numbers[graph.neighbors], axis=1)[order],
        np.sort(numbers[order][other.neighbors], axis=1),
    )


def rows_of(name):
    text = gzip.decompress((SHARED / "data" / f"{name}.csv.gz").read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def real(reference):
    """Ten crystals; where they are, 300 perovskites and 100 carbons as well."""
    texts = []
    if SHARED.is_dir():
        predictions = SHARED / "reference" / "official_predictions_perov5.csv"
        perov5 = {row["cif_id"] for row in csv.DictReader(predictions.open())}
        texts += [row["cif"] for row in rows_of("perov5_val") if row["material_id"] in perov5]
        texts += [row["cif"] for row in rows_of("carbon24_val")[:100]]
    cod = sorted((reference / "sample-cifs").glob("*.cif"))
    return [
        *(Structure.from_str(text, fmt="cif") for text in texts),
        *(Structure.from_file(path) for path in cod),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["official", "fitted"])
def test_real_crystals(reference, real, fitted, model):
    assert len(real) == (410 if SHARED.is_dir() else 10)
    est = fitted
    if model == "official":
        weights = "formation-energy-per-atom.pth.tar"
        est = skcgcnn.load(reference / "pre-trained" / weights)
    transform = CrystalGraphTransformer().transform

    def predict(structures):
        # The official model refuses graphs that are known to be made in another way.
        return est.predict(replace(transform(structures), options=None))

    changes = largest_changes(predict, real)
    assert max(changes.values()) < 1e-4, changes


def random_crystal(seed):
    """Return a crystal without symmetry, of one to eight sites, some of them mixed."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    lengths = rng.uniform(0.8, 1.4, 3) * (20 * n) ** (1 / 3)
    lattice = Lattice.from_parameters(*lengths, *rng.uniform(70, 110, 3))
    kinds = ["Na", "Cl", "O", {"Li": 0.5, "Ni": 0.5}]
    return Structure(lattice, [kinds[i] for i in rng.integers(4, size=n)], rng.random((n, 3)))


@given(seed=st.integers(0, 10_000), data=st.data())
def test_a_crystal_is_the_same_however_it_is_written(seed, data):
    crystal, other = random_crystal(seed), random_crystal(seed + 1)
    again = crystal
    for way in data.draw(st.lists(st.sampled_from(WAYS), min_size=1, max_size=3)):
        again = other_way(again, way, seed)
    graphs = CrystalGraphTransformer().transform([other, crystal, again])
    assert same_crystals(graphs).tolist() == [0, 1, 1]


@given(seed=st.integers(0, 10_000), shift=st.floats(-6e-6, 6e-6))
def test_no_rounding_boundary_parts_a_crystal(seed, shift):
    crystal = decorated(seed)
    again = crystal.copy()
    again.scale_lattice(crystal.volume * (1 + shift) ** 3)
    assert same_crystals(CrystalGraphTransformer().transform([crystal, again])).tolist() == [0, 0]


def test_a_shorter_bond_another_order_or_element_is_another_crystal():
    crystal = decorated(0)
    closer, swapped, changed = crystal.copy(), crystal.copy(), crystal.copy()
    closer.translate_sites([3], [0.001, 0, 0], frac_coords=False)
    first = crystal[0].specie
    other = next(i for i, site in enumerate(crystal) if site.specie != first)
    swapped.replace(0, crystal[other].specie)
    swapped.replace(other, first)
    changed.replace(0, "Mn")
    graphs = CrystalGraphTransformer().transform([crystal, closer, swapped, changed])
    assert same_crystals(graphs).tolist() == [0, 1, 2, 3]


def test_crystals_of_several_containers_and_unreadable_ones(tmp_path):
    crystals = [decorated(0), decorated(1), tmp_path / "missing.cif", tmp_path / "none.cif"]
    transform = CrystalGraphTransformer(on_error="nan").transform
    with pytest.warns(UserWarning, match="cannot be turned into graphs"):
        graphs = transform(crystals)
    assert same_crystals(graphs).tolist() == [0, 1, 2, 3]
    alone = [fingerprints(transform([crystals[i]])) for i in (1, 0)]
    joined = type(alone[0])(*(np.concatenate(arrays) for arrays in zip(*alone, strict=True)))
    np.testing.assert_array_equal(joined.compositions, fingerprints(graphs[[1, 0]]).compositions)
    assert group_fingerprints(joined).tolist() == [0, 1]
    with pytest.raises(ValueError, match="expected a number above 0"):
        same_crystals(graphs, tol=0)
    assert same_crystals(graphs[[]]).tolist() == []


def test_graphs_on_the_disk_give_the_same_groups(tmp_path):
    crystals = [decorated(seed) for seed in range(4)]
    again = [other_way(crystal, "permuted") for crystal in crystals]
    graphs = CrystalGraphTransformer().transform(crystals + again)
    graphs.save(tmp_path / "graphs")
    mapped = type(graphs).load(tmp_path / "graphs", mmap=True)
    expected = [0, 1, 2, 3, 0, 1, 2, 3]
    assert same_crystals(mapped).tolist() == same_crystals(graphs).tolist() == expected


@pytest.mark.slow
def test_ten_thousand_crystals_are_ten_thousand():
    """They differ in nothing but the elements on the sites of a lattice."""
    graphs = CrystalGraphTransformer().transform([decorated(seed) for seed in range(10_000)])
    assert same_crystals(graphs).max() == 9_999


@pytest.mark.slow
def test_real_crystals_are_the_same_in_all_ways(real):
    for way in WAYS:
        graphs = CrystalGraphTransformer().transform([*real, *(other_way(s, way) for s in real)])
        groups = same_crystals(graphs)
        np.testing.assert_array_equal(groups[: len(real)], groups[len(real) :])
        assert len(np.unique(groups)) == len(real)
