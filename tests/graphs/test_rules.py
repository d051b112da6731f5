"""Graphs against plain loops over every site and bond, and where rules begin and end."""

import math
from hashlib import blake2b

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.exceptions import DataError, StructureError
from skcgcnn.graphs import (
    ElementFeatures,
    GraphOptions,
    check_options,
    count_kinds,
    crystals_of_classes,
    ends_of_bonds,
    expand_to_sites,
    find_neighbors,
    fingerprints,
    group_fingerprints,
    load_element_features,
    mean_features,
    member_index,
    options_from_plain,
)


def salt(a=4.0, symbols=("Na", "Cl")):
    return Structure(Lattice.cubic(a), symbols, [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_sites_classes_and_kinds(graphs):
    crystals, kinds, counts = count_kinds(graphs)
    pairs = list(zip(crystals.tolist(), kinds.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    found = dict(zip(pairs, counts.tolist(), strict=True))
    owners, ends = crystals_of_classes(graphs).tolist(), ends_of_bonds(graphs)
    by_site = expand_to_sites(graphs, graphs.site_kinds)
    means = mean_features(graphs)
    for i, graph in enumerate(graphs):
        assert owners[graphs.offsets[i] : graphs.offsets[i + 1]] == [i] * len(graph.site_kinds)
        every = graph.site_kinds[graph.site_classes]
        assert by_site[i].tolist() == every.tolist()
        for kind in range(len(graphs.kind_features)):
            assert found.get((i, kind), 0) == (every == kind).sum()
        np.testing.assert_allclose(means[i], graphs.kind_features[every].mean(axis=0), atol=1e-6)
        bonds = slice(*graphs.bond_offsets[graphs.offsets[[i, i + 1]]])
        assert ends[bonds].tolist() == (graph.neighbors + graphs.offsets[i]).tolist()
    assert graphs.sites_by_kind().tolist() == np.bincount(np.concatenate(by_site)).tolist()
    assert expand_to_sites(graphs[[]], np.empty(0)) == []
    some = graphs[3:4]
    used = np.unique(some.site_kinds)
    np.testing.assert_array_equal(some.used_features(), graphs.kind_features[used])


def test_members_of_owners():
    offsets = np.array([0, 2, 2, 5, 6])
    assert member_index(offsets, np.array([2, 1, 0, 2])).tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert member_index(offsets, np.array([1])).tolist() == []


def test_bytes_of_all_arrays(graphs):
    arrays = [one for one in graphs.to_dict().values() if isinstance(one, np.ndarray)]
    assert len(arrays) == 11
    assert graphs.nbytes == graphs.__sizeof__() == sum(one.nbytes for one in arrays)


def test_fingerprints_are_means_over_all_sites(graphs):
    found = fingerprints(graphs)
    assert found.distances.shape == (24, 12)
    assert found.colors.shape == (24, 8)
    for i, graph in enumerate(graphs):
        expected = graph.expand().distances.mean(axis=0)
        np.testing.assert_allclose(found.distances[i], expected, atol=1e-5)
    assert np.abs(found.colors).max() <= 3
    # Colors tell crystals with the same distances apart.
    rows = [salt(), salt(symbols=("Na", "Br")), salt(symbols=("Cl", "Na")), salt() * (3, 1, 1)]
    cscl = fingerprints(CrystalGraphs.from_structures(rows))
    np.testing.assert_allclose(cscl.distances, cscl.distances[[0]].repeat(4, axis=0), atol=1e-6)
    np.testing.assert_allclose(cscl.colors[[2, 3]], cscl.colors[[0, 0]], atol=1e-9)
    assert np.abs(cscl.colors[1] - cscl.colors[0]).max() > 1e-2
    assert cscl.compositions[0] == cscl.compositions[2] == cscl.compositions[3]
    assert cscl.compositions[0] != cscl.compositions[1]


def test_colors_are_refined_over_all_sites(graphs):
    """The reference goes bond by bond; equal sites and bonds are not merged in it."""
    found = fingerprints(graphs).colors
    numbers = [
        int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest(), "little") / 2**64
        for row in graphs.kind_features
    ]
    for i in (0, 5, 11):
        plain = graphs[i].expand()
        own = np.array([2 * math.pi * numbers[kind] for kind in plain.site_kinds])
        colors, means = own, []
        for _ in range(4):
            seen = np.zeros(len(own))
            for site, (ends, lengths) in enumerate(
                zip(plain.neighbors, plain.distances, strict=True)
            ):
                for end, length in zip(ends, lengths.astype(float), strict=True):
                    seen[site] += 1.5 / 12 * math.sin(2 * length + 2 * colors[end])
            colors = own + seen
            means += [np.sin(colors).mean(), np.cos(colors).mean()]
        np.testing.assert_allclose(found[i], 3 * np.array(means), atol=1e-6)


def test_compositions_are_reduced_and_no_more():
    def crystal(*symbols):
        coords = [[i / len(symbols), 0, 0] for i in range(len(symbols))]
        return Structure(Lattice.orthorhombic(3 * len(symbols), 4, 5), symbols, coords)

    rows = [
        crystal("Na", "Na", "Cl"),
        crystal("Na", "Cl", "Na", "Na", "Cl", "Na"),
        crystal("Na", "Cl", "Cl"),
        crystal("Na", "Cl"),
        crystal("Na"),
        crystal("Na", "Na", "Na"),
    ]
    numbers = fingerprints(CrystalGraphs.from_structures(rows)).compositions.tolist()
    assert numbers[0] == numbers[1]
    assert numbers[4] == numbers[5]
    assert len(set(numbers)) == 4


def test_groups_are_parted_at_gaps():
    one = fingerprints(CrystalGraphs.from_structures([salt()]))
    many = type(one)(*(np.repeat(array, 5, axis=0) for array in one))
    assert group_fingerprints(many).tolist() == [0] * 5
    many.distances[:, 3] += [0, 0.9e-4, 3e-4, 1.8e-4, 0.3]
    # From one to the next it is no more than the tolerance.
    assert group_fingerprints(many).tolist() == [0, 0, 1, 0, 2]
    assert group_fingerprints(many, 2e-4).tolist() == [0, 0, 0, 0, 1]
    many.compositions[1] += np.uint64(1)
    assert group_fingerprints(many).tolist() == [0, 1, 2, 3, 4]
    many.compositions[:] = 0
    assert group_fingerprints(many).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"max_num_nbr": 8}, ["max_num_nbr"]),
        ({"n_features": 3, "radius": 7.0}, ["n_features", "radius"]),
        ({"radius": None, "neighbor_ties": None, "atom_features": None}, []),
        ({"neighbor_ties": "official"}, ["neighbor_ties"]),
        ({"atom_features": "b"}, ["atom_features"]),
        ({"merge_tol": 1e-3}, []),
        ({"global_features": ("T", "p"), "global_units": ()}, ["global_features"]),
        ({"global_units": ("°C",)}, ["global_units"]),
        ({"global_units": ()}, []),
        ({"global_units": ("",)}, []),
    ],
)
def test_options_that_differ(change, names):
    own = {
        "max_num_nbr": 12,
        "n_features": 92,
        "radius": 8.0,
        "neighbor_ties": "invariant",
        "atom_features": "a",
        "merge_tol": 1e-5,
        "global_features": ("T",),
        "global_units": ("K",),
    }
    first, second = GraphOptions(**own), GraphOptions(**{**own, **change})
    assert first.differences(second) == second.differences(first) == names
    if not names:
        common = {n: v for n, v in {**own, **change}.items() if n != "merge_tol"}
        common["merge_tol"] = None if "merge_tol" in change else 1e-5
        common["global_units"] = () if "global_units" in change else ("K",)
        assert first.common(second) == GraphOptions(**common)


def test_options_as_parameters_and_as_text():
    assert GraphOptions(12, 92).parameters() == {"max_num_nbr": 12}
    unmerged = GraphOptions(8, 92, radius=6.0, neighbor_ties="official", merge_tol=0.0)
    assert unmerged.parameters() == {
        "max_num_nbr": 8,
        "radius": 6.0,
        "neighbor_ties": "official",
        "merge_tol": None,
    }
    assert unmerged.describe(["radius", "neighbor_ties"]) == "radius=6.0, neighbor_ties='official'"
    kelvin = GraphOptions(8, 92, global_features=["T", "p"], global_units=["K", ""])
    assert (kelvin.global_features, kelvin.global_units) == (("T", "p"), ("K", ""))
    assert GraphOptions(8, 92, global_features=["T"], global_units=[""]).global_units == ()
    other = GraphOptions(8, 92, global_features=["T", "p"], global_units=["°C", "Pa"])
    assert kelvin.in_other_units(other) == ["T"]


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        ({}, True),
        ({"max_num_nbr": 0}, True),
        ({"max_num_nbr": -1}, False),
        ({"max_num_nbr": 12.0}, False),
        ({"n_features": True}, False),
        ({"n_features": "92"}, False),
        ({"radius": 0}, True),
        ({"radius": -1.0}, False),
        ({"radius": 1e9}, False),
        ({"radius": math.nan}, False),
        ({"radius": "8"}, False),
        ({"radius": None, "merge_tol": None}, True),
        ({"merge_tol": 0.0}, True),
        ({"merge_tol": 10.0}, False),
        ({"neighbor_ties": "official"}, True),
        ({"neighbor_ties": "other"}, False),
        ({"atom_features": 3}, False),
        ({"atom_features": "x"}, True),
        ({"global_features": ["T"], "global_units": ["K"]}, True),
        ({"global_features": ["T"]}, True),
        ({"global_features": [3]}, False),
        ({"global_features": ["T"], "global_units": [3]}, False),
        ({"global_features": ["T", "p"], "global_units": ["K"]}, False),
    ],
)
def test_options_of_files(change, is_right):
    plain = {"max_num_nbr": 12, "n_features": 92, "radius": 8.0, "merge_tol": 1e-5, **change}
    if is_right:
        check_options(options_from_plain(plain))
    else:
        with pytest.raises(ValueError, match="the options of the graphs cannot be right"):
            options_from_plain(plain)


@pytest.mark.parametrize(
    ("values", "names", "units", "why"),
    [
        ([[1.0]], ["T"], (), r"values has shape \(1, 1\); expected \(2, 1\): a row for every"),
        ([1.0, 2.0], ["T"], (), r"values has shape \(2,\); expected \(2, 1\)"),
        ([[1.0], [2.0]], ["T", "p"], (), r"values has shape \(2, 1\); expected \(2, 2\)"),
        ([[1, 2, 3]] * 2, ["a", "b", "b"], (), "names holds 'b' more than once"),
        ([[1, 2], [3, None]], ["a", "b"], (), "column 'b', row 1: nan is not a finite number"),
        ([[math.inf, 2], [3, 4]], ["a", "b"], (), "column 'a', row 0: inf is not a finite"),
        ([[1, 2], [3, -2e30]], ["a", "b"], (), r"column 'b', row 1: -2e\+30 is beyond 1e\+30"),
        ([[1, 2], [3, 4]], ["a", "b"], ["K"], "units has 1 entries for 2 names"),
    ],
)
def test_numbers_that_cannot_stand_beside_crystals(graphs, values, names, units, why):
    with pytest.raises(ValueError, match=why):
        graphs[:2].with_global_features(values, names, units)


def test_numbers_beside_crystals(graphs):
    beside = graphs[:2].with_global_features([["1e30", 2], [-1e30, 4]], ["a", 5], ["K", ""])
    np.testing.assert_array_equal(beside.global_features, [[1e30, 2], [-1e30, 4]])
    assert beside.options.global_features == ("a", "5")
    assert beside.options.global_units == ("K", "")
    assert beside[1].global_features.tolist() == [-1e30, 4]
    assert beside[[1]].global_features.tolist() == [[-1e30, 4]]
    none = beside.with_global_features(np.empty((2, 0)), [])
    assert none.global_features.shape == (2, 0)
    assert none.options == graphs.options
    arrays = graphs[:2].to_dict() | {"options": None}
    assert CrystalGraphs(**arrays | {"global_features": np.ones((2, 2))}).options == GraphOptions(
        12, 92, global_features=("global_0", "global_1")
    )
    with pytest.raises(ValueError, match="global_features must have two axes"):
        CrystalGraphs(**arrays | {"global_features": np.ones(2)})
    for change in ({"global_features": np.ones((2, 1))}, {"kind_features": np.ones((9, 3))}):
        with pytest.raises(ValueError, match="do not fit"):
            CrystalGraphs(**graphs[:2].to_dict() | change)


def test_elements_that_kinds_of_sites_are():
    """One kind can be of several elements, and a mixed one of those whose features it has."""
    table = ElementFeatures({1: [1, 0, 0], 2: [0, 1, 0], 3: [0, 1, 0], 4: [0, 0, 1]})
    assert table.pure(np.array([[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]])) == [{2, 3}, {1}, set()]
    assert table.elements_in(np.array([[1, 0, 0]])) == ({1}, {1})
    assert table.elements_in(np.array([[0.5, 0.5, 0]])) == (set(), {1, 2, 3})
    assert table.elements_in(np.array([[0.5, 0.5, 0], [0, 0, 1]])) == ({4}, {1, 2, 3, 4})
    assert table.elements_in(np.empty((0, 3))) == (set(), set())


@pytest.mark.parametrize("value", [1e15, -1e15])
def test_features_of_elements_may_be_large_and_not_larger(value):
    assert load_element_features({"H": [value, 0]}).n_features == 2
    told = r"^atom_features: a feature is not a finite number of at most 1e\+15"
    with pytest.raises(DataError, match=told):
        load_element_features({"H": [0, 1], "He": [value * 1.01, 0]})


@pytest.mark.parametrize("rows", [{"H": 1.0}, {"H": []}, {"H": [[1]]}, {"H": [1], "He": [1, 2]}])
def test_features_of_elements_have_one_length(rows):
    with pytest.raises(DataError, match="every element needs a list of numbers of the same length"):
        load_element_features(rows)


def test_keys_of_features():
    table = load_element_features({"H": [1, 2], "D": [1, 2], "118": [3, 4], 2: [5, 6]})
    assert len(table) == 3
    assert table.mean([(118, 1.0)]).tolist() == [3, 4]
    assert table.mean([(1, 0.3), (2, 0.1)]).tolist() == [2, 3]
    with pytest.raises(DataError, match="119 is not the atomic number of an element"):
        load_element_features({119: [1]})
    with pytest.raises(DataError, match="element 1 is there twice, with other features as 'D'"):
        load_element_features({"H": [1, 2], "D": [1, 3]})
    same = {11: [1, 0], 17: [0, 1]}
    assert (
        load_element_features(same).fingerprint
        == load_element_features({"Cl": [0, 1], "Na": [1, 0]}).fingerprint
    )
    assert (
        load_element_features({11: [0, 1], 17: [1, 0]}).fingerprint
        != load_element_features(same).fingerprint
    )
    with pytest.raises(StructureError, match="site 1 holds the element with atomic number 17, for"):
        CrystalGraphs.from_structures([salt()], atom_features={11: [1.0]})


def test_a_site_on_top_of_another():
    """Below a tenth of an Å two sites are one; the message names them in their order."""
    lattice = Lattice.cubic(5)

    def crystal(gap):
        coords = [[0.5, 0, 0], [0.1, 0, 0], [0.5, 0, gap / 5]]
        return Structure(lattice, ["Na", "K", "Cl"], coords)

    assert len(CrystalGraphs.from_structures([crystal(0.101)])) == 1
    with pytest.raises(StructureError, match=r"sites 0 and 2 are 0\.099 Å apart, on top of each"):
        CrystalGraphs.from_structures([crystal(0.099)])


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_neighbor_lists_are_complete_to_their_cutoffs(margin):
    rng = np.random.default_rng(0)
    lattice = np.diag([5.0, 6.0, 7.0]) + rng.uniform(-1, 1, (3, 3))
    coords = rng.random((3, 3)) @ lattice
    found = find_neighbors(lattice, coords, 10, 3.0, margin=margin)
    shifts = np.array(np.meshgrid(*[np.arange(-4, 5)] * 3)).reshape(3, -1).T @ lattice
    for site in range(3):
        vectors = coords[np.newaxis] + shifts[:, np.newaxis] - coords[site]
        lengths = np.linalg.norm(vectors, axis=2)
        inside = (lengths <= found.cutoff[site]) & (lengths > 1e-8)
        own = found.center == site
        np.testing.assert_allclose(np.sort(found.distance[own]), np.sort(lengths[inside]))
        for other in range(3):
            assert (found.neighbor[own] == other).sum() == inside[:, other].sum()
        assert np.sort(lengths[inside])[9] <= found.cutoff[site] - margin
        # The radius grows by half of itself, and no further than it must.
        steps = np.log(found.cutoff[site] / 3) / np.log(1.5)
        assert steps == pytest.approx(round(steps))
        shorter = found.cutoff[site] / 1.5 - margin
        assert found.cutoff[site] == 3 or (lengths[lengths > 1e-8] <= shorter).sum() < 10


def test_failures_and_remarks_keep_their_places(tmp_path):
    (tmp_path / "bad.cif").write_text("")
    odd = Structure(Lattice(4 * np.eye(3), (True, True, False)), ["Na"], [[0, 0, 0]])
    X = [salt(), tmp_path / "bad.cif", odd, salt(symbols=("Na", "Lr")), salt(5.0)]
    with pytest.warns(UserWarning, match="of 5 crystals") as caught:
        graphs = CrystalGraphTransformer(on_error="nan").transform(X)
    failures, remarks = sorted((str(one.message) for one in caught), key=lambda text: text[0])
    assert failures.startswith("1 of 5 crystals were read with remarks: X[2]: is periodic in 2")
    assert remarks.startswith("2 of 5 crystals cannot be turned into graphs:\n  ")
    assert [line.split(": ")[0].strip() for line in remarks.splitlines()[1:]] == [
        str(tmp_path / "bad.cif"),
        "X[3]",
    ]
    assert "site 1 holds the element with atomic number 103" in remarks
    assert graphs.n_sites.tolist() == [2, 0, 1, 0, 2]
    assert graphs.ids.tolist() == ["0", "bad", "2", "3", "4"]
    np.testing.assert_allclose(graphs[4].distances[0], 5 * 0.75**0.5, rtol=1e-6)


def test_parameters_have_names():
    with pytest.raises(TypeError, match="positional"):
        CrystalGraphTransformer(8.0)


def test_missing_crystals_beside_numbers_fail():
    X = pd.DataFrame({"crystal": [salt(), None], "T": [1.0, 2.0]})
    with pytest.warns(UserWarning, match=r"X\[1\]: is of type NoneType, which carries no crystal"):
        graphs = CrystalGraphTransformer(on_error="nan").transform(X)
    assert graphs.n_sites.tolist() == [2, 0]
    assert graphs.options.global_features == ("T",)


def test_a_crystal_without_its_number_fails():
    X = pd.DataFrame(
        {"crystal": [salt(4), salt(5), salt(6)], "T": [1.0, np.nan, 3.0], "p": [np.nan, np.nan, 2]}
    )
    X.attrs["units"] = {"T": "K"}
    failures = []
    transformer = CrystalGraphTransformer(on_error="nan")
    with pytest.warns(UserWarning, match="2 of 3 crystals"):
        (graphs,) = transformer.stream(X, failures=failures)
    assert failures == [("X[0]", "has no p"), ("X[1]", "has no T")]
    assert graphs.n_sites.tolist() == [0, 0, 2]
    assert graphs.global_features.tolist() == [[1, 0], [0, 0], [3, 2]]
    assert graphs.options.global_units == ("K", "")
    assert graphs.ids.tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(
        graphs[2].distances, CrystalGraphs.from_structures([salt(6)]).distances
    )
