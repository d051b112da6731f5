"""The same crystal, described otherwise, has the same prediction."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.core.operations import SymmOp

from skcgcnn import CGCNNRegressor, CrystalGraphs

ELEMENTS = ["Li", "Ni", "Co", "Al", "O", "Na", "Cl"]


@st.composite
def crystals(draw):
    """Return a crystal without symmetry, so that no unlike neighbors are equally far."""
    n_sites = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lattice = Lattice.from_parameters(*rng.uniform(3, 6, 3), *rng.uniform(70, 110, 3))
    structure = Structure(lattice, rng.choice(ELEMENTS, n_sites), rng.uniform(0, 1, (n_sites, 3)))
    assume(structure.is_valid(tol=0.8))
    return structure


@pytest.fixture(scope="module")
def predict(graphs, energies):
    """Return the predictions of a network that has seen a little of the world."""
    est = CGCNNRegressor(max_epochs=3, lr=0.01, random_state=0, device="cpu")
    est.fit(graphs, energies)
    return lambda *structures: est.predict(list(structures))


def close(first, second):
    assert abs(first - second) < 1e-4


@given(crystal=crystals(), seed=st.integers(0, 99))
def test_order_of_sites(predict, crystal, seed):
    order = np.random.default_rng(seed).permutation(len(crystal))
    close(*predict(crystal, Structure.from_sites([crystal[int(i)] for i in order])))


@given(
    crystal=crystals(),
    axis=st.sampled_from([(1, 0, 0), (1, 1, 0), (1, 2, 3)]),
    angle=st.floats(1, 359),
)
def test_rotation(predict, crystal, axis, angle):
    turned = crystal.copy()
    turned.apply_operation(SymmOp.from_axis_angle_and_translation(axis, angle))
    close(*predict(crystal, turned))


@given(crystal=crystals(), shift=st.tuples(*[st.floats(-2, 2)] * 3))
def test_translation(predict, crystal, shift):
    moved = crystal.copy()
    moved.translate_sites(range(len(moved)), shift, to_unit_cell=False)
    close(*predict(crystal, moved))


@given(crystal=crystals(), size=st.sampled_from([(2, 1, 1), (1, 2, 2), (1, 1, 3)]))
def test_supercell(predict, crystal, size):
    close(*predict(crystal, crystal.make_supercell(size, in_place=False)))


def test_batch_and_order_of_crystals_do_not_matter(predict, cifs, graphs, energies):
    est = CGCNNRegressor(max_epochs=1, random_state=0, device="cpu").fit(graphs, energies)
    together = est.predict(graphs)
    np.testing.assert_allclose(
        [est.predict(graphs[[i]])[0] for i in range(24)], together, atol=1e-5
    )
    np.testing.assert_allclose(est.predict(graphs[::-1]), together[::-1], atol=1e-5)
    np.testing.assert_allclose(est.predict(cifs), together, atol=1e-6)


def test_predictions_do_not_depend_on_the_number_of_threads(graphs, energies):
    est = CGCNNRegressor(max_epochs=1, random_state=0, device="cpu").fit(graphs, energies)
    alone = est.predict(graphs)
    torch.set_num_threads(2)
    try:
        np.testing.assert_allclose(est.predict(graphs), alone, atol=1e-5)
    finally:
        torch.set_num_threads(1)


MIXED = [
    ({"Gd": 0.5}, {"S": 1}),
    ({"Be": 0.5, "S": 0.5}, {"F": 1}),
    ({"H": 0.5, "F": 0.5}, {"Be": 1}),
]


@pytest.mark.parametrize(("first", "second"), MIXED, ids=str)
def test_the_order_of_mixed_sites(first, second):
    """A shell of three pairs of neighbors, of which two are taken."""
    species = [{"C": 1}, first, second, second]
    places = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    found = set()
    for order in itertools.permutations(range(4)):
        chosen = [species[i] for i in order], [places[i] for i in order]
        graph = CrystalGraphs.from_structures(
            [Structure(Lattice.cubic(4), *chosen)], max_num_nbr=2
        ).expand()
        center = order.index(0)
        found.add(tuple(sorted(species[order[i]] == first for i in graph.neighbors[center])))
    assert len(found) == 1
