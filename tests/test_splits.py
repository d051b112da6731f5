"""Groups of crystals, and splits by what a model has not seen."""

import copy

import numpy as np
import pytest
from pymatgen.core import Element, Lattice, Structure
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.model_selection import (
    GROUPINGS,
    ExtrapolationSplit,
    LeaveOneClusterOut,
    LeaveOneElementOut,
    anonymous_formulas,
    element_sets,
    group_by_composition,
    group_by_elements,
    group_by_prototype,
    group_by_structure,
    join_groups,
)

SPLITTERS = [LeaveOneElementOut(min_crystals=2), LeaveOneClusterOut(3), ExtrapolationSplit()]


def rocksalt(a, b, length=5.6):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), [a, b], [[0] * 3, [0.5] * 3])


@pytest.fixture(scope="module")
def crystals():
    nacl = rocksalt("Na", "Cl")
    cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    other = Structure(Lattice.cubic(3.3), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return [nacl, nacl.get_primitive_structure(), cscl, other, rocksalt("K", "Cl", 6.3)]


def test_groups(crystals):
    assert group_by_structure(crystals).tolist() == [0, 0, 1, 2, 3]
    salts = ["Cl1 Na1", "Cl1 Na1", "Cl1 Cs1", "Cl1 Na1", "Cl1 K1"]
    assert group_by_composition(crystals).tolist() == salts
    assert group_by_elements(crystals).tolist() == [name.replace("1", "") for name in salts]
    prototypes = ["AB 225", "AB 225", "AB 221", "AB 221", "AB 225"]
    assert group_by_prototype(crystals).tolist() == prototypes
    assert element_sets(crystals)[0] == {"Na", "Cl"}


def test_groups_of_graphs_are_those_of_crystals(cifs, graphs):
    for name in ("structure", "composition", "elements"):
        np.testing.assert_array_equal(GROUPINGS[name](graphs), GROUPINGS[name](cifs))
    with pytest.raises(TypeError, match="needs positions"):
        group_by_prototype(graphs)


def test_mixed_sites_and_elements_with_the_same_features():
    mixed = Structure(Lattice.cubic(4.2), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0] * 3, [0.5] * 3])
    found = group_by_composition([mixed, rocksalt("La", "N")])
    assert found[0].endswith("Cl1")
    assert "kind" in found[0]
    assert found[1] == "Ce/La1 N1"


def test_crystals_that_cannot_be_read_have_no_prototype(tmp_path):
    assert group_by_prototype([tmp_path / "none.cif"]).tolist() == [""]


def test_crystals_that_cannot_be_read_are_groups_beside_the_others(crystals, tmp_path):
    X = [crystals[0], tmp_path / "none.cif", crystals[0]]
    first, unreadable, again = group_by_structure(X)
    assert first == again != unreadable
    assert group_by_elements(X).tolist() == ["Cl Na", "", "Cl Na"]


def test_small_displacements_do_not_change_the_prototype(nacl):
    displaced = nacl.copy()
    displaced.translate_sites([0], [0.0005, 0, 0])
    assert group_by_prototype([displaced]).tolist() == ["AB 225"]
    assert group_by_prototype([displaced], symprec=1e-5).tolist() != ["AB 225"]


def test_joined_groups():
    assert join_groups([0, 0, 1, 2], ["x", "y", "y", "z"]).tolist() == [0, 0, 0, 1]


def test_groupings_without_a_group_are_not_joined():
    own = [0, 1, 2]
    for groups in (
        np.ma.array([7, 7, 8], mask=[False, True, False]),
        [0.0, np.nan, np.nan],
        ["a", None, "b"],
    ):
        with pytest.raises(ValueError, match="groups are missing, the first in row 1"):
            join_groups(own, groups)
    with pytest.raises(ValueError, match="groups has shape"):
        join_groups(own, [0, 0], [0, 0, 1, 1])  # as many in all


@pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: type(cv).__name__)
def test_splitters_are_those_of_scikit_learn(cv, cifs, graphs, energies):
    groups = np.arange(len(graphs)) // 2
    assert repr(cv).startswith(type(cv).__name__)
    assert cv != copy.copy(cv)
    assert isinstance(hash(cv), int)
    assert cv.get_n_splits(graphs, energies) == len(list(cv.split(graphs, energies)))
    for X in (graphs, cifs):
        for train, test in cv.split(X, energies, groups):
            assert len(train)
            assert len(test)
            assert not set(groups[train]) & set(groups[test])
    # Of a dummy: what is trained does not matter here.
    scores = cross_validate(DummyRegressor(), graphs, energies, cv=cv)["test_score"]
    assert len(scores) == cv.get_n_splits(graphs, energies)
    search = GridSearchCV(DummyRegressor(), {"strategy": ["mean", "median"]}, cv=cv)
    search.fit(graphs, energies, groups=groups)
    assert search.n_splits_ >= 1


def test_a_network_is_validated_on_them(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny)
    scores = cross_val_score(est, graphs, energies, cv=ExtrapolationSplit(0.25))
    assert np.isfinite(scores).all()
    fitted = clone(est).fit(graphs, energies)
    cv = LeaveOneClusterOut(2, est=fitted)
    tests = [test for _, test in cv.split(graphs)]
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(graphs)))
    scores = cross_val_score(
        est, graphs, energies, groups=group_by_composition(graphs), cv=GroupKFold(3)
    )
    assert np.isfinite(scores).all()


def test_an_element_is_only_in_the_test(graphs):
    cv = LeaveOneElementOut(min_crystals=2)
    found = element_sets(graphs)
    for name, (train, test) in zip(cv.held_out(graphs), cv.split(graphs), strict=True):
        assert all(name in found[row] for row in test)
        assert not any(name in found[row] for row in train)


def test_the_highest_values_are_held_out():
    y = np.array([0.5, np.nan, 3.0, 2.0, 1.0, 2.5])
    ((train, test),) = ExtrapolationSplit(0.4).split(y, y)
    assert test.tolist() == [2, 5]
    assert train.tolist() == [0, 1, 3, 4]
    ((_, test),) = ExtrapolationSplit(0.2, end="low").split(y, y)
    assert test.tolist() == [0]


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (LeaveOneElementOut(["Xx"]), "no crystal contains Xx"),
        (LeaveOneElementOut(min_crystals=1000), "set min_crystals or max_share"),
        (LeaveOneClusterOut(1), "expected from 2 to"),
        (ExtrapolationSplit(1.5), "expected a share between 0 and 1"),
        (LeaveOneElementOut("Cl"), r"elements='Cl'; expected a list of symbols"),
        (LeaveOneElementOut([]), r"elements=\[\]; expected a list of symbols"),
        (ExtrapolationSplit(end="top"), 'expected "high" or "low"'),
    ],
)
def test_what_cannot_be_split(cv, message, graphs, energies):
    with pytest.raises(ValueError, match=message):
        list(cv.split(graphs, energies))


def test_elements_of_pymatgen_are_held_out(graphs):
    both = [LeaveOneElementOut([name]).split(graphs) for name in (Element("O"), "O")]
    for (train, test), (other_train, other_test) in zip(*both, strict=True):
        np.testing.assert_array_equal(train, other_train)
        np.testing.assert_array_equal(test, other_test)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, 2.0, 3.0], "inconsistent numbers"),
        (["1_0", "2", "3", "4"], "'1_0' is not a number"),
        (np.array(["2020-01-01"] * 4, dtype="datetime64[D]"), "are not numbers"),
    ],
)
def test_what_is_no_target_to_extrapolate(y, message):
    with pytest.raises(ValueError, match=message):
        list(ExtrapolationSplit(0.3).split(range(4), y))


def test_hidden_targets_are_not_tested():
    y = np.ma.masked_array([9.0, 1.0, 3.0, 2.0], mask=[True, False, False, False])
    ((train, test),) = ExtrapolationSplit(0.3).split(range(4), y)
    assert (train.tolist(), test.tolist()) == ([0, 1, 3], [2])


def test_extrapolation_needs_targets(graphs):
    with pytest.raises(ValueError, match="needs y"):
        list(ExtrapolationSplit().split(graphs))
    with pytest.raises(ValueError, match="needs X"):
        LeaveOneElementOut().get_n_splits()


def salts(n_of, pairs=(("Na", "Cl"), ("K", "Br"), ("Rb", "I"))):
    """Return so many different salts of each pair."""
    return [
        Structure(Lattice.cubic(4 + i / 100), pair, [[0] * 3, [0.5] * 3])
        for pair, n in zip(pairs, n_of, strict=True)
        for i in range(n)
    ]


def test_which_elements_are_held_out_by_default():
    """Those in at least five crystals, and in at most half of them."""
    expected = {(4, 5, 6): {"Br", "K", "I", "Rb"}, (5, 5, 0): {"Na", "Cl", "K", "Br"},
                (4, 4, 8): {"I", "Rb"}, (7, 5, 1): {"K", "Br"}}  # fmt: skip
    for n_of, names in expected.items():
        assert LeaveOneElementOut().held_out(salts(n_of)) == sorted(names)
    shown = "LeaveOneElementOut(elements=None, max_share=0.5, min_crystals=5)"
    assert repr(LeaveOneElementOut()) == shown  # as scikit-learn shows its own
    wide = LeaveOneElementOut(min_crystals=4, max_share=0.4)
    assert wide.held_out(salts((4, 5, 6))) == ["Br", "Cl", "I", "K", "Na", "Rb"]
    assert LeaveOneElementOut(max_share=0.39).held_out(salts((4, 5, 6))) == ["Br", "K"]
    assert LeaveOneElementOut(["K", "Cl"]).held_out(salts((4, 5, 6))) == ["K", "Cl"]


def test_clusters_are_those_of_their_elements():
    X = salts((3, 4, 2))
    tests = [test.tolist() for _, test in LeaveOneClusterOut(3).split(X)]
    assert sorted(tests) == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert LeaveOneClusterOut().get_n_splits(X + salts((1, 1), [("Li", "F"), ("Cs", "At")])) == 5
    # As many as there are crystals, and no more.
    lone = [
        Structure(Lattice.cubic(3.0 + i), [symbol], [[0] * 3]) for i, symbol in enumerate("WVY")
    ]
    tests = [test.tolist() for _, test in LeaveOneClusterOut(3).split(lone)]
    assert sorted(tests) == [[0], [1], [2]]
    with pytest.raises(ValueError, match="n_clusters=4; expected from 2 to the 3 crystals"):
        list(LeaveOneClusterOut(4).split(lone))


def test_the_seed_decides_the_clusters(graphs):
    def tests(**params):
        return [test.tolist() for _, test in LeaveOneClusterOut(6, **params).split(graphs)]

    assert tests() == tests(random_state=0)
    assert any(tests() != tests(random_state=seed) for seed in range(1, 6))


def test_how_many_are_held_out_at_an_end():
    y = np.arange(10.0)[::-1]
    for share, n in ((0.2, 2), (0.25, 2), (0.26, 3), (0.01, 1), (0.9, 9)):
        ((train, test),) = ExtrapolationSplit(share).split(y, y)
        assert test.tolist() == [*range(n)]
        assert train.tolist() == [*range(n, 10)]
        ((_, test),) = ExtrapolationSplit(share, end="low").split(y, y)
        assert test.tolist() == [*range(10 - n, 10)]
    ((_, test),) = ExtrapolationSplit().split(y, y)
    assert test.tolist() == [0, 1]
    assert ExtrapolationSplit().get_n_splits() == 1
    two = np.array([1.0, np.nan, 2.0])
    assert [test.tolist() for _, test in ExtrapolationSplit(0.5).split(two, two)] == [[2]]
    for few, share in ((two, 0.8), (two[:2], 0.2)):
        with pytest.raises(ValueError, match="crystals with a target are too few to split"):
            list(ExtrapolationSplit(share).split(few, few))


def test_of_equal_targets_the_last_crystals_are_held_out():
    y = np.repeat([1.0, 2.0, 3.0], 40)
    ((_, test),) = ExtrapolationSplit(0.1).split(y, y)
    assert test.tolist() == [*range(108, 120)]
    ((_, test),) = ExtrapolationSplit(0.1, end="low").split(y, y)
    assert test.tolist() == [*range(12)]


@pytest.mark.parametrize(
    ("end", "held_out"), [("high", range(84, 120, 3)), ("low", range(1, 36, 3))]
)
def test_equal_targets_among_others_stay_in_their_order(end, held_out):
    y = np.tile([3.0, 1.0, 2.0], 40)
    ((_, test),) = ExtrapolationSplit(0.1, end=end).split(y, y)
    assert test.tolist() == [*held_out]


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0])
def test_shares_that_leave_nothing(share):
    with pytest.raises(ValueError, match=f"test_size={share!r}; expected a share between 0 and 1"):
        list(ExtrapolationSplit(share).split(range(4), np.arange(4.0)))


def test_groups_of_test_crystals_are_not_trained_on():
    y = np.arange(10.0)
    groups = ["a", "b", "c", "a", "b", "c", "d", "d", "a", "e"]
    ((train, test),) = ExtrapolationSplit().split(y, y, groups)
    assert (train.tolist(), test.tolist()) == ([1, 2, 4, 5, 6, 7], [8, 9])
    # A fold that would have nothing to train on is left out.
    X = salts((2, 3, 0))
    folds = LeaveOneElementOut(["Na", "K"]).split(X, None, [0, 0, 1, 1, 0])
    assert [(train.tolist(), test.tolist()) for train, test in folds] == [([2, 3], [0, 1])]
    assert LeaveOneElementOut(["Na", "K"]).get_n_splits(X, None, [0, 0, 1, 1, 0]) == 1


class Embedded:
    """An estimator whose crystals are their embeddings."""

    def transform(self, X):
        return X


def test_clusters_of_embeddings_leave_out_what_cannot_be_read():
    """Features count by their spread, and what cannot be read is never tested."""
    near, far = np.arange(6) % 2, 1000.0 * (np.arange(6) >= 3)
    rows = np.column_stack([10 * near, np.full(6, 7.0), far / 1e6])
    rows = np.insert(rows, 2, np.nan, axis=0)
    cv = LeaveOneClusterOut(4, est=Embedded())
    tests = sorted(test.tolist() for _, test in cv.split(rows))
    assert tests == [[0, 3], [1], [4, 6], [5]]
    assert all(set(train) | set(test) == set(range(7)) for train, test in cv.split(rows))
    for n in (1, 7):
        message = f"n_clusters={n}; expected from 2 to the 6 crystals that can be read"
        with pytest.raises(ValueError, match=message):
            list(LeaveOneClusterOut(n, est=Embedded()).split(rows))


@pytest.mark.filterwarnings("ignore:.*cannot be turned into graphs")
def test_clusters_of_crystals_of_which_one_cannot_be_read(tmp_path):
    X = salts((3, 4, 2))
    X.insert(1, tmp_path / "none.cif")
    tests = sorted(test.tolist() for _, test in LeaveOneClusterOut(3).split(X))
    assert tests == [[0, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_formulas_without_elements():
    garnet = ["Al"] * 4 + ["O"] * 6
    many = [Element.from_Z(z).symbol for z in range(1, 28)]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for symbols, formula in (
        (garnet, "A2B3"),
        (["Na"], "A"),
        (["Na"] * 3, "A"),
        (["O", "Ti", "O", "O", "Sr"], "ABC3"),
        (many[:26], letters),
        (many, f"{letters}[26]"),
    ):
        sites = np.column_stack(
            [np.arange(len(symbols)) / len(symbols), *np.zeros((2, len(symbols)))]
        )
        chain = Structure(Lattice.orthorhombic(3.0 * len(symbols), 4, 5), symbols, sites)
        assert anonymous_formulas([chain]).tolist() == [formula]
        (prototype,) = group_by_prototype([chain])
        assert prototype.split()[0] == formula


def test_atoms_in_one_place_have_no_space_group():
    both = Structure(Lattice.cubic(4.0), ["Na", "Na"], [[0, 0, 0], [0, 0, 0]])
    assert group_by_prototype([both]).tolist() == ["A ?"]


def test_features_that_are_not_those_of_elements_have_numbers():
    table = {z: [float(z)] for z in range(1, 101)}
    graphs = CrystalGraphTransformer(atom_features=table).transform([rocksalt("Na", "Cl")])
    assert group_by_composition(graphs).tolist() == ["(kind 0)1 (kind 1)1"]
    assert group_by_elements(graphs).tolist() == ["(kind 0) (kind 1)"]


def test_distances_that_count_as_equal():
    near = [Structure(Lattice.cubic(a), ["Cs", "Cl"], [[0] * 3, [0.5] * 3]) for a in (4.0, 4.005)]
    assert group_by_structure(near).tolist() == [0, 1]
    assert group_by_structure(near, tol=0.1).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("groupings", "joined"),
    [
        ([["b", "a", "b", "c"]], [0, 1, 0, 2]),
        ([[0, 1, 2, 3], [5, 5, 6, 7], [1, 2, 2, 3]], [0, 0, 0, 1]),
        ([[0, 0, 1, 1], [2, 3, 2, 3]], [0, 0, 0, 0]),
        ([[], []], []),
    ],
)
def test_crystals_that_any_grouping_joins(groupings, joined):
    found = join_groups(*groupings)
    assert found.tolist() == joined
    assert found.dtype == np.int64


def test_groups_of_no_crystals_are_texts():
    for group in (group_by_elements, group_by_composition, group_by_prototype):
        assert group([]).dtype.kind == "U"


def test_atoms_may_be_a_hundredth_of_an_angstrom_off_their_prototype():
    def cscl(shift):
        return Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5 + shift]])

    ideal, near, far = group_by_prototype([cscl(shift / 4.12) for shift in (0, 0.004, 0.0075)])
    assert ideal == near != far
