"""Quotient graphs: what is merged, and what is not."""

import numpy as np
import pytest
from batches import unfolded
from comparison import assert_equal, assert_same_crystal
from hypothesis import assume, given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from skcgcnn import CGCNNRegressor, CrystalGraphs, CrystalGraphTransformer
from skcgcnn.graphs import _quotient
from skcgcnn.graphs._quotient import fold

# Space groups of each crystal system, as few operations as there are.
GROUPS = {
    "triclinic": ["P-1"],
    "orthorhombic": ["P222", "Pmm2", "P2_12_12_1"],
    "tetragonal": ["P4", "P4/n", "I4"],
    "cubic": ["P23", "Pm-3", "F23", "Pm-3m"],
}


@st.composite
def symmetric_crystals(draw):
    """Return a crystal of a random space group, its sites on special and general positions."""
    system = draw(st.sampled_from(sorted(GROUPS)))
    group = draw(st.sampled_from(GROUPS[system]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a, b, c = rng.uniform(4, 8, 3)
    lattice = {
        "triclinic": lambda: Lattice.from_parameters(a, b, c, *rng.uniform(80, 100, 3)),
        "orthorhombic": lambda: Lattice.orthorhombic(a, b, c),
        "tetragonal": lambda: Lattice.tetragonal(a, c),
        "cubic": lambda: Lattice.cubic(a),
    }[system]()
    coords = [rng.choice([0, 0.5, 0.25, rng.uniform(0, 1)], 3) for _ in range(2)]
    crystal = Structure.from_spacegroup(group, lattice, ["Na", "Cl"], coords, tol=1e-3)
    assume(crystal.is_valid(tol=0.8) and len(crystal) <= 60)
    return crystal


def signatures(graphs, classes):
    """Return for every site its kind and its bonds: distance and class at the other end."""
    return [
        (kind, sorted(zip(row.tolist(), classes[others].tolist(), strict=True)))
        for kind, row, others in zip(
            graphs.site_kinds, graphs.distances, graphs.neighbors, strict=True
        )
    ]


@given(crystal=symmetric_crystals())
def test_sites_of_a_class_have_the_same_bonds_and_others_do_not(crystal):
    graphs = CrystalGraphs.from_structures([crystal])
    plain, classes = graphs.expand(), graphs.site_classes
    found = signatures(plain, classes)
    for site, own in enumerate(classes):
        assert found[site] == found[int(np.flatnonzero(classes == own)[0])]
    # Unlike classes are unlike in their kind or bonds, or further refinement would be needed.
    firsts = [found[int(np.flatnonzero(classes == own)[0])] for own in range(classes.max() + 1)]
    assert len({repr(one) for one in firsts}) == len(firsts)


@given(crystal=symmetric_crystals(), merge_tol=st.sampled_from([1e-5, 1e-3, 1e-2]))
def test_no_distance_changes_by_more_than_merge_tol(crystal, merge_tol):
    folded, plain = (
        CrystalGraphs.from_structures([crystal], merge_tol=one).expand()
        for one in (merge_tol, None)
    )
    np.testing.assert_array_equal(folded.site_kinds, plain.site_kinds)
    assert np.abs(folded.distances - plain.distances).max() <= merge_tol + 1e-6
    assert (np.diff(folded.distances, axis=1) >= 0).all()


@given(crystal=symmetric_crystals(), seed=st.integers(0, 99))
def test_the_order_of_sites_does_not_change_the_classes(crystal, seed):
    order = np.random.default_rng(seed).permutation(len(crystal))
    other = Structure.from_sites([crystal[int(i)] for i in order])
    first, second = CrystalGraphs.from_structures([crystal, other])
    assert sorted(first.site_counts) == sorted(second.site_counts)
    assert len(first.neighbors) == len(second.neighbors)
    pairs = set(zip(first.site_classes[order], second.site_classes, strict=True))
    assert len(pairs) == len(first.site_counts)


@given(crystal=symmetric_crystals(), size=st.sampled_from([(2, 1, 1), (2, 2, 2), (1, 1, 3)]))
def test_a_supercell_has_the_quotient_of_its_cell(crystal, size):
    large = crystal.make_supercell(size, in_place=False)
    first, second = CrystalGraphs.from_structures([crystal, large])
    times = np.prod(size)
    assert len(second) == times * len(first)
    assert sorted(second.site_counts) == sorted(times * first.site_counts)
    assert len(first.neighbors) == len(second.neighbors)


def test_predictions_for_supercells(sample, graphs, energies):
    est = CGCNNRegressor(max_epochs=5, random_state=0, device="cpu").fit(graphs, energies)
    cells = [Structure.from_file(path).get_primitive_structure() for path in sample[0]]
    large = [cell.make_supercell(2, in_place=False) for cell in cells]
    np.testing.assert_allclose(est.predict(large), est.predict(cells), atol=1e-6)


def test_textbook_structures(nacl):
    fluorite = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.46), ["Ca", "F"], [[0, 0, 0], [0.25, 0.25, 0.25]]
    )
    graphs = CrystalGraphs.from_structures([nacl, fluorite])
    assert graphs.n_sites.tolist() == [8, 12]
    assert graphs.site_counts.tolist() == [4, 4, 4, 8]
    # Rock salt: six of the other kind, six of the own.
    assert graphs[0].bond_counts.tolist() == [6, 6, 6, 6]
    assert graphs[0].neighbors.tolist() == [1, 0, 0, 1]
    assert repr(graphs[0]) == "CrystalGraph('0', 8 sites in 2 classes)"


def test_nothing_is_merged_without_merge_tol(nacl, graphs):
    plain = CrystalGraphs.from_structures([nacl], merge_tol=None)
    assert plain.site_counts.tolist() == [1] * 8
    assert plain.bond_counts.tolist() == [1] * 96
    assert plain.options.merge_tol == 0
    expanded = plain.expand()
    np.testing.assert_array_equal(expanded.neighbors.ravel(), plain.neighbors)
    assert_equal(unfolded(plain), plain)
    np.testing.assert_array_equal(unfolded(graphs).expand().distances, graphs.expand().distances)


def test_chains_of_distances_do_not_run_together():
    rng = np.random.default_rng(0)
    distances = np.sort(2 + np.cumsum(rng.uniform(0, 6e-6, (50, 12)), axis=None).reshape(50, 12))
    sites = np.zeros(50, dtype=int)
    groups = _quotient._group_distances(sites, distances, 1e-5)
    for group in range(groups.max() + 1):
        assert np.ptp(distances[groups == group]) <= 1e-5
    # Distances that are equal but for rounding stay together, also within a chain.
    twice = np.concatenate([distances, distances + 1e-12])
    groups = _quotient._group_distances(np.zeros(100, dtype=int), twice, 1e-5)
    np.testing.assert_array_equal(groups[:50], groups[50:])


def test_crystals_do_not_depend_on_those_beside_them(cifs, graphs):
    for i in (0, 7, 23):
        assert_same_crystal(CrystalGraphs.from_structures(cifs[i : i + 1])[0], graphs[i])


def ring(n_sites):
    """Return the bonds of a ring of equal sites, of which one bond is longer."""
    neighbors = np.array([[(i - 1) % n_sites, (i + 1) % n_sites] for i in range(n_sites)])
    distances = np.full((n_sites, 2), 2.0)
    distances[0, 0] = distances[-1, 1] = 2.5
    order = np.argsort(distances, axis=1)
    return tuple(np.take_along_axis(a, order, axis=1) for a in (neighbors, distances))


@pytest.mark.parametrize("n_sites", [6, 20, 200])
def test_refinement_goes_as_far_as_it_must(n_sites):
    """In a ring with one longer bond, only mirror images are equal."""
    zeros = np.zeros(n_sites, dtype=int)
    found = fold(zeros, zeros, *ring(n_sites), 1e-5)
    assert len(found.site_counts) == n_sites // 2
    np.testing.assert_array_equal(found.site_classes, found.site_classes[::-1])


def test_where_refinement_would_take_too_long_the_sites_stay_apart():
    n_sites = 4_000
    zeros = np.zeros(n_sites, dtype=int)
    apart = fold(zeros, zeros, *ring(n_sites), 1e-5)
    assert apart.site_classes.tolist() == list(range(n_sites))
    assert apart.bond_counts.sum() == 2 * n_sites


def test_a_collision_of_hashes_merges_nothing(monkeypatch):
    # Of 64 bits: no crystals are known whose hashes collide.
    monkeypatch.setattr(_quotient, "_hash", np.zeros_like)
    crystals, kinds = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])
    neighbors = np.array([[1, 1], [0, 0], [3, 3], [2, 2]])
    found = fold(crystals, kinds, neighbors, np.full((4, 2), 3.0), 1e-5)
    assert found.site_classes.tolist() == [0, 1, 2, 3]


def test_no_sites():
    empty = np.zeros(0, dtype=int)
    found = fold(empty, empty, empty.reshape(0, 12), np.zeros((0, 12)), 1e-5)
    assert [len(array) for array in found] == [0] * 7


@pytest.mark.parametrize("merge_tol", [0, -1e-5, 1, "1e-5", float("nan"), float("inf")])
def test_tolerances_that_are_none(merge_tol, nacl):
    with pytest.raises(ValueError, match="merge_tol"):
        CrystalGraphs.from_structures([nacl], merge_tol=merge_tol)
    with pytest.raises(ValueError, match="merge_tol"):
        CrystalGraphTransformer(merge_tol=merge_tol).fit([nacl])


def test_graphs_of_another_merge_tol_can_be_mixed(nacl, cifs, energies, tiny):
    transform = {t: CrystalGraphTransformer(merge_tol=t).transform for t in (1e-5, 1e-3, None)}
    est = CGCNNRegressor(**tiny).fit(transform[1e-3](cifs), energies)
    assert est.graph_options_.merge_tol == est.get_transformer().merge_tol == 1e-3
    expected = est.predict(cifs)
    for one in transform.values():
        np.testing.assert_allclose(est.predict(one(cifs)), expected, atol=1e-3)
    unmerged = CGCNNRegressor(**tiny).fit(transform[None](cifs), energies)
    assert unmerged.graph_options_.merge_tol == 0
    assert unmerged.get_transformer().merge_tol is None


def test_more_neighbors_than_a_byte_counts():
    graphs = CrystalGraphs.from_structures(
        [Structure(Lattice.cubic(3), ["Po"], [[0, 0, 0]])], max_num_nbr=300
    )
    assert graphs.bond_counts.dtype == np.int32
    assert graphs.bond_counts.sum() == 300


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_kinds_of_site_are_told_apart_as_long_as_others_of_their_crystal_are(order):
    """Two chains that end at one site, alike; each link has a site of another kind beside it."""
    n_links = 6
    link, beside = (np.arange(2 * n_links).reshape(2, -1) + 1 + n * 2 * n_links for n in (0, 1))
    neighbors = np.zeros((1 + 4 * n_links, 3), dtype=int)
    neighbors[0, :2] = link[:, 0]
    for own, others in zip(link, beside, strict=True):
        before, after = [0, *own[:-1]], [*own[1:], others[-1]]
        neighbors[own] = np.column_stack([before, after, others])
        neighbors[others] = own[:, np.newaxis]
    kinds = np.repeat(order, [1, 2 * n_links, 2 * n_links])
    distances = np.full(neighbors.shape, 2.5)
    found = fold(np.zeros(len(kinds), dtype=int), kinds, neighbors, distances, 1e-5)
    assert np.bincount(found.site_classes).tolist() == [1, *[2] * (2 * n_links)]
    np.testing.assert_array_equal(found.site_classes[link[0]], found.site_classes[link[1]])
