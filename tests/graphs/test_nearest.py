"""The nearest neighbors."""

import itertools
import math

import numpy as np
import pytest
from hostile import run_bounded
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphTransformer
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs import TIE, find_neighbors, nearest_neighbors
from skcgcnn.graphs._large import search_tree
from skcgcnn.graphs._neighbor_list import _search


def nearest(lattice, coords, max_num_nbr=12, radius=8.0):
    """Return the neighbors of a crystal of one element; the two orders must agree on them."""
    official = nearest_neighbors(find_neighbors(lattice, coords, max_num_nbr, radius), max_num_nbr)
    pairs = find_neighbors(lattice, coords, max_num_nbr, radius, margin=TIE)
    invariant = nearest_neighbors(pairs, max_num_nbr, np.ones(len(coords)))
    np.testing.assert_allclose(invariant[1], official[1], atol=1.1 * TIE)
    return official


def brute_force(lattice, coords, max_num_nbr, images=4):
    """Return the distances to the nearest neighbors, from all images within a block."""
    shifts = np.array(list(itertools.product(range(-images, images + 1), repeat=3))) @ lattice
    points = (coords[np.newaxis] + shifts[:, np.newaxis]).reshape(-1, 3)
    distances = np.linalg.norm(coords[:, np.newaxis] - points[np.newaxis], axis=2)
    distances[distances < 1e-8] = np.inf
    return np.sort(distances, axis=1)[:, :max_num_nbr]


@given(
    lengths=st.tuples(*[st.floats(2.5, 7)] * 3),
    angles=st.tuples(*[st.floats(65, 115)] * 3),
    n_sites=st.integers(1, 5),
    max_num_nbr=st.integers(1, 16),
    radius=st.floats(0.5, 8),
    seed=st.integers(0, 1000),
)
def test_nearest_of_all_whatever_the_radius(lengths, angles, n_sites, max_num_nbr, radius, seed):
    lattice = Lattice.from_parameters(*lengths, *angles).matrix
    coords = (np.arange(n_sites) / n_sites)[:, np.newaxis] * lattice.sum(axis=0)
    coords = coords + np.random.default_rng(seed).uniform(-0.2, 0.2, coords.shape)
    expected = brute_force(lattice, coords, max_num_nbr)
    if expected.min() < 0.2:
        return
    indices, distances = nearest(lattice, coords, max_num_nbr, radius)
    np.testing.assert_allclose(distances, expected, atol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert indices.min() >= 0
    assert indices.max() < n_sites


@given(
    empty=st.floats(0, 30),
    n_sites=st.integers(1, 8),
    max_num_nbr=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_official_order_is_that_of_a_stable_sort(empty, n_sites, max_num_nbr, seed):
    """Also where the sites crowd in a corner of an empty cell; equal distances as they come."""
    lattice = np.diag([4.0, 4.0, 4.0 * n_sites + empty])
    coords = np.zeros((n_sites, 3))
    coords[:, 2] = 4.0 * np.random.default_rng(seed).permutation(n_sites)
    pairs = find_neighbors(lattice, coords, max_num_nbr, 8.0)
    indices, distances = nearest_neighbors(pairs, max_num_nbr)
    for site in range(n_sites):
        own = np.flatnonzero(pairs.center == site)
        first = own[np.argsort(pairs.distance[own], kind="stable")][:max_num_nbr]
        np.testing.assert_array_equal(indices[site], pairs.neighbor[first])
        np.testing.assert_array_equal(distances[site], pairs.distance[first])


def test_indices_belong_to_their_distances():
    rng = np.random.default_rng(0)
    lattice = np.diag([5.0, 6.0, 7.0])
    coords = rng.uniform(0, 5, (6, 3))
    indices, distances = nearest(lattice, coords, 12)
    shifts = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ lattice
    for site in range(6):
        for index, distance in zip(indices[site], distances[site], strict=True):
            to_images = np.linalg.norm(coords[index] + shifts - coords[site], axis=1)
            assert np.abs(to_images - distance).min() < 1e-5


def test_how_near_sites_may_be():
    """As near as 0.1 Å, be it in the cell or by a lattice whose long vectors hide a short one."""
    for gap in (0.1, 0.0999):
        cells = (
            (10 * np.eye(3), [[0, 0, 0], [gap, 0, 0]], "sites 0 and 1 are 0.100 Å apart, on top"),
            ([[30, 0, 0], [30, gap, 0], [0, 0, 30]], [[0, 0, 0]], "its lattice repeats every"),
        )
        for lattice, coords, why in cells:
            cell = np.array(lattice, dtype=float), np.array(coords, dtype=float)
            if gap < 0.1:
                with pytest.raises(StructureError, match=why):
                    find_neighbors(*cell, max_num_nbr=1, radius=3.0)
            else:
                pairs = find_neighbors(*cell, max_num_nbr=1, radius=3.0)
                assert pairs.distance.min() == pytest.approx(gap)


def test_lone_atom_in_a_large_box():
    indices, distances = nearest(60.0 * np.eye(3), np.zeros((1, 3)), 12)
    assert (indices == 0).all()
    np.testing.assert_allclose(distances[0], [60] * 6 + [60 * 2**0.5] * 6, rtol=1e-6)


def test_flat_and_skewed_cells():
    flat = np.diag([2.5, 2.5, 200.0])
    _, distances = nearest(flat, np.zeros((1, 3)), 12)
    assert distances.max() < 5.1
    # The same lattice, described by very skewed vectors.
    cubic = 3.0 * np.eye(3)
    skewed = np.array([[1, 0, 0], [7, 1, 0], [-5, 9, 1]]) @ cubic
    np.testing.assert_allclose(
        nearest(skewed, np.zeros((1, 3)), 12)[1],
        nearest(cubic, np.zeros((1, 3)), 12)[1],
        atol=1e-5,
    )


def test_only_short_sites_are_searched_again():
    # A dense pair far from a lone atom: both get exactly their nearest.
    lattice = np.diag([40.0, 40.0, 40.0])
    coords = np.array([[0.0, 0, 0], [1.0, 0, 0], [20.0, 20, 20]])
    _, distances = nearest(lattice, coords, 4)
    np.testing.assert_allclose(distances, brute_force(lattice, coords, 4, 2), rtol=1e-6)


def test_sites_on_top_of_each_other():
    with pytest.raises(StructureError, match=r"sites 0 and 1 are 0\.010 Å apart"):
        nearest(4 * np.eye(3), np.array([[0.0, 0, 0], [0.01, 0, 0]]))


@given(seed=st.integers(0, 10_000), n_sites=st.integers(1, 40), length=st.floats(2.5, 30))
def test_a_tree_finds_what_the_boxes_find(seed, n_sites, length):
    rng = np.random.default_rng(seed)
    lattice = length * (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    coords = rng.uniform(-0.5, 1.5, (n_sites, 3)) @ lattice
    for centers in (np.arange(n_sites), np.arange(0, n_sites, 3)):
        boxes = _search(lattice, coords, centers, 4.0)
        tree = search_tree(lattice, coords, centers, 4.0)
        if len(boxes[0]) and np.bincount(boxes[0]).max() >= 250:
            continue  # so crowded that the tree keeps the nearest alone
        for found in (boxes, tree):
            assert (found[3] == 4.0).all()
        order = [np.lexsort((f[2].round(9), f[1], f[0])) for f in (boxes, tree)]
        for a, b in zip(boxes[:3], tree[:3], strict=True):
            np.testing.assert_allclose(a[order[0]], b[order[1]], atol=1e-9)


FAR = """
import numpy as np
from skcgcnn.graphs import find_neighbors
coords = np.array([[0.0, 0, 0], [1202.0, 1202.0, 1202.5]])
print(np.sort(find_neighbors(4 * np.eye(3), coords, 12, 8.0, ordered={}).distance)[:24].sum())
"""


@pytest.mark.parametrize("ordered", [False, True])
def test_sites_far_outside_of_their_cell(ordered):
    """In as many boxes as they reach over they would take gigabytes."""
    near = find_neighbors(4 * np.eye(3), np.array([[0.0, 0, 0], [2, 2, 2.5]]), 12, 8.0)
    found = float(run_bounded(FAR.format(ordered), megabytes=500))
    np.testing.assert_allclose(found, np.sort(near.distance)[:24].sum(), rtol=1e-9)


@pytest.mark.parametrize("angle", [60, 90])
def test_sites_that_are_crowded_in_a_long_cell(angle):
    """Of which the mean density tells nothing: all within the boxes would take gigabytes."""
    lattice = np.array(Lattice.from_parameters(6, 9000, 6, angle, angle, angle).matrix)
    places = np.stack(np.meshgrid(np.arange(16), [0], np.arange(16)), -1).reshape(-1, 3)
    coords = (places / [16, 1, 16]) @ lattice
    found = find_neighbors(lattice, coords, 12, 8.0, ordered=False)
    assert len(found.center) <= 256 * len(coords)
    shifts = np.stack(np.meshgrid([-1, 0, 1], [0], [-1, 0, 1]), -1).reshape(-1, 3) @ lattice
    images = (coords + shifts[:, np.newaxis]).reshape(-1, 3)
    for site in (0, 100):
        expected = np.sort(np.linalg.norm(images - coords[site], axis=1))[1:13]
        distances = np.sort(found.distance[found.center == site])[:12]
        np.testing.assert_allclose(distances, expected, atol=1e-9)


@pytest.mark.parametrize("ties", ["invariant", "official"])
def test_large_cells_have_the_graphs_of_small_ones(cifs, ties):
    """Cells of 5,000 sites or more are searched in another way."""
    transform = CrystalGraphTransformer(neighbor_ties=ties).transform
    for path in (cifs[1], cifs[10], cifs[17], cifs[23]):
        cell = Structure.from_file(path)
        times = math.ceil((5_000 / len(cell)) ** (1 / 3))
        found = transform([cell.make_supercell(times, in_place=False)])
        expected = transform([cell])
        assert found.n_sites[0] >= 5_000
        np.testing.assert_array_equal(found.site_counts, expected.site_counts * times**3)
        np.testing.assert_array_equal(found.site_kinds, expected.site_kinds)
        np.testing.assert_array_equal(found.bond_counts, expected.bond_counts)
        np.testing.assert_array_equal(found.neighbors, expected.neighbors)
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-6)


LARGE_CELLS = """
import numpy as np, time
from skcgcnn.crystals import Crystal
from skcgcnn.graphs import GraphMaker, build_graphs, load_element_features
grid = np.array(np.meshgrid(*[np.arange(25)] * 3)).reshape(3, -1).T
rng = np.random.default_rng(0)
cells = {
    "crowded": (np.eye(3) * 100, 50 + 1.2 * grid[:15_625] - 15, None),
    "cluster in a void": (np.eye(3) * 9_999, 5_000 + 2.5 * grid, None),
    "a cube": (np.eye(3) * 70.0, grid * 2.8 + rng.normal(0, 0.05, grid.shape), None),
}
maker = GraphMaker(load_element_features())
for name, (lattice, coords, _) in cells.items():
    crystal = Crystal(lattice, coords.astype(float), [((11, 1.0),)] * len(coords))
    graphs, failures = build_graphs([crystal], maker)
    print(name, len(graphs[0]), failures)
"""


@pytest.mark.slow
def test_crowded_and_large_cells_take_bounded_memory_and_time():
    printed = run_bounded(LARGE_CELLS, seconds=100, megabytes=2_000).splitlines()
    assert [line.split(" 15625 ")[1] for line in printed] == ["[]"] * 3


# A simple cubic cell of 5,832 sites.
GRID = 3.0 * np.array(np.meshgrid(*[np.arange(18)] * 3)).reshape(3, -1).T


@pytest.mark.parametrize(
    ("length", "coords", "radius"),
    [
        (0.6, np.zeros((1, 3)), 300.0),
        pytest.param(54.0, GRID, 62.0, marks=pytest.mark.slow),
    ],
    ids=["small cell", "large cell"],
)
def test_too_many_pairs_for_the_official_order(length, coords, radius):
    with pytest.raises(StructureError, match="too many for neighbor_ties='official'"):
        find_neighbors(length * np.eye(3), coords, 12, radius)


def test_many_neighbors_in_large_cells():
    for count in (128, 129):  # found by a tree, and found as in small cells
        pairs = find_neighbors(54 * np.eye(3), GRID, count, 8.0, margin=TIE, ordered=False)
        indices, distances = nearest_neighbors(pairs, count, np.ones(len(GRID)))
        assert indices.shape == (len(GRID), count)
        assert (np.diff(distances[[0, -1]]) >= 0).all()
        np.testing.assert_allclose(distances[0], distances[-1], rtol=1e-9)


@pytest.mark.parametrize("permute", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_large_cells_that_are_skewed(permute):
    """The lattice is that of the cube, so that all sites have the neighbors of one in a cube."""
    lattice = 54.0 * np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]])[:, permute]
    pairs = find_neighbors(lattice, GRID, 18, 4.5, margin=TIE, ordered=False)
    _, distances = nearest_neighbors(pairs, 18, np.ones(len(GRID)))
    expected = 3 * np.repeat([1, math.sqrt(2)], [6, 12])
    np.testing.assert_allclose(distances, np.tile(expected, (len(GRID), 1)), atol=1e-9)


def test_pairs_that_are_found_in_several_parts():
    """As all of a large radius: each site of a lattice has what that of its smallest cell has."""
    cell = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0]], dtype=np.float64)
    one = find_neighbors(cell, np.zeros((1, 3)), 12, 33.0)
    for n in (5, 6, 8):  # one, two and three parts
        coords = np.array(list(itertools.product(range(n), repeat=3))) @ cell
        pairs = find_neighbors(n * cell, coords, 12, 33.0)
        np.testing.assert_array_equal(np.bincount(pairs.center), len(one.center))
        last = np.sort(pairs.distance[pairs.center == n**3 - 1])
        np.testing.assert_allclose(last, np.sort(one.distance), atol=1e-9)
