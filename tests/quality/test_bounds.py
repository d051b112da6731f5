"""Where findings begin and end, and what they say: on both sides of each bound."""

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.bond_valence import calculate_bv_sum
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
from pymatgen.core import Lattice, Structure

from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphs
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.quality import (
    PowerLaw,
    check,
    fit_power_law,
    open_data,
    suggest,
    survey,
    uncertainty,
)
from skcgcnn.quality._findings import Names
from skcgcnn.quality._residuals import Expected, _ensemble, _folds, is_mostly_one, odd_labels


def told(structures, kind, y=None, ids=None):
    ids = ids or [f"c{i}" for i in range(len(structures))]
    frame = check(structures, y, ids=ids, labels=False)
    chosen = frame[frame["kind"] == kind]
    return list(chosen[["ids", "severity", "message"]].itertuples(index=False, name=None))


def pair(one, other, distance):
    lattice = Lattice.orthorhombic(distance + 30, 30, 30)
    return Structure(
        lattice, [one, other], [[0, 0, 0], [distance, 0, 0]], coords_are_cartesian=True
    )


def chain(n, length=3.0):
    return Structure(
        Lattice.orthorhombic(length * n, 9, 9), ["Na"] * n, [[i / n, 0, 0] for i in range(n)]
    )


# Distances


def test_elements_of_which_no_radius_is_known():
    """They have the largest one of a usual atom."""
    assert "Bk" not in CovalentRadius.radius
    near, far = pair("Bk", "Bk", 0.59 * 3.4), pair("Bk", "Bk", 0.61 * 3.4)
    assert [ids for ids, *_ in told([near, far], "atoms too close")] == [["c0"]]
    lone = CovalentRadius.radius["O"] + 1.7
    near, far = pair("O", "Bk", 1.44 * lone), pair("O", "Bk", 1.46 * lone)
    assert [ids for ids, *_ in told([near, far], "atoms too far apart")] == [["c1"]]


def test_sites_that_are_mixed_are_not_too_far_apart():
    half = {"Na": 0.5, "K": 0.5}
    assert told([pair(half, half, 9.0), pair(half, "Na", 9.0)], "atoms too far apart") == []
    # One that is too close is that of two pure sites.
    crystal = pair(half, "Na", 9.0)
    crystal.append("Na", [9.0, 1.0, 0], coords_are_cartesian=True)
    ((ids, _, text),) = told([crystal], "atoms too close")
    assert ids == ["c0"]
    assert text.startswith("c0: two atoms are 1 Å apart, 30% of the sum")


@pytest.mark.parametrize(
    ("length", "is_told"), [(1.29, False), (1.31, True), (1.69, True), (1.71, False)]
)
def test_which_bonds_of_carbon_are_single(length, is_told):
    assert bool(told([pair("C", "C", length)], "missing hydrogen")) == is_told


def ring(n_around):
    """Return a carbon atom with so many oxygen atoms around it."""
    places = 1.4 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])[:n_around]
    return Structure(
        Lattice.cubic(30), ["C", *["O"] * n_around], [[0, 0, 0], *places], coords_are_cartesian=True
    )


def test_how_many_bonds_of_carbon_are_open():
    crystals = [ring(n) for n in range(1, 5)] + [pair("N", "N", 1.4)]
    ((ids, severity, text),) = told(crystals, "missing hydrogen")
    assert (ids, severity) == (["c0", "c1"], "remark")
    assert text == (
        "2 crystals with carbon atoms with open valences and no hydrogen, such as c0, c1: are "
        "hydrogen atoms missing?"
    )
    # Hydrogen in one crystal says nothing of the others.
    crystals[0].append("H", [1.0, 1.0, 1.0], coords_are_cartesian=True)
    assert [ids for ids, *_ in told(crystals, "missing hydrogen")] == [["c1"]]


# Elements and sizes


def test_elements_of_one_crystal_and_of_two():
    salts = [Structure.from_file(load_sample_regression().data[0])] * 47
    lone, twice = (Structure(Lattice.cubic(5), [each], [[0] * 3]) for each in ("Xe", "Kr"))
    mixed = Structure(Lattice.cubic(5), [{"Na": 0.5, "K": 0.5}], [[0] * 3])
    found = told([*salts, lone, twice, twice, mixed], "rare elements")
    text = "Elements in one crystal alone: Xe (c47). Nothing can be learned about them."
    assert found == [(["c47"], "remark", text)]


@pytest.mark.parametrize(
    ("n_sites", "n_usual", "is_told"), [(81, 20, True), (80, 20, False), (81, 19, False)]
)
def test_cells_that_are_ten_times_as_large_as_most(n_sites, n_usual, is_told):
    usual = [chain(8, 3 + i / 50) for i in range(n_usual)]
    found = told([*usual, chain(n_sites)], "very large cells")
    text = (
        f"c{n_usual} have more than 80 sites, ten times as many as most: they take most of the "
        "time and memory of a batch."
    )
    assert found == ([([f"c{n_usual}"], "remark", text)] if is_told else [])


def test_the_valence_that_is_told_is_that_of_the_worst_atom():
    made = {
        length: Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(length), ["K", "O"], [[0, 0, 0], [0.5] * 3]
        )
        for length in (4.6, 4.2)
    }
    sums = {
        length: calculate_bv_sum(
            crystal[0],
            sorted(crystal.get_neighbors(crystal[0], 9.0), key=lambda n: n.nn_distance)[:12],
        )
        for length, crystal in made.items()
    }
    assert sums[4.2] > sums[4.6] > 2
    ((ids, severity, text),) = told(list(made.values()), "unusual valences")
    assert (ids, severity) == (["c0", "c1"], "remark")
    assert text == (
        "2 crystals have atoms with unusual valences, such as c0, c1: by its bond lengths, K in c1 "
        f"has a valence of {sums[4.2]:.1f}, where 1 is the highest that it can have."
    )


# Duplicates


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("apart", "is_other"), [(9e-7, False), (1.1e-6, True)])
def test_targets_that_are_nearly_the_same(nacl, sign, apart, is_other):
    y = sign * np.array([1001.0, 1001.0 + apart, 1000.0])  # of values from 1000 to 1001
    kinds = ["same crystal, other target" if is_other else "same crystal"]
    other = nacl.copy().apply_strain(0.05)
    frame = check([nacl, nacl, other], y, labels=False)
    assert frame["kind"].tolist()[:1] == kinds
    low, high = ("1001", "1001") if sign > 0 else ("-1001", "-1001")
    if is_other:
        assert (
            frame["message"][0]
            == f"0, 1: one crystal, 2 times; y differs by 1.1e-06 ({low} to {high})."
        )


@pytest.mark.parametrize("stand_in", [-9999.0, 1e10, np.nan])
def test_a_value_far_outside_does_not_decide_which_targets_are_the_same(nacl, stand_in):
    others = [nacl.copy().apply_strain(0.05 * n) for n in range(1, 6)]
    y = [1.0, 1.002, 0.5, 2.0, 3.0, 0.1, stand_in]
    text = "0, 1: one crystal, 2 times; y differs by 0.002 (1 to 1.002)."
    assert text in check([nacl, nacl, *others], y, labels=False)["message"].tolist()


def test_near_duplicates_among_graphs(nacl):
    moved = nacl.copy()
    moved.translate_sites([0], [0.01, 0, 0], frac_coords=False)
    graphs = CrystalGraphs.from_structures([nacl, moved])
    text = (
        "1 pairs have one composition and distances that differ by less than 0.05 Å, such as a, b. "
        "Graphs hold no positions to confirm it: check the files."
    )
    found = told(graphs, "near duplicates, unconfirmed", ids=["a", "b"])
    assert found == [(["a", "b"], "remark", text)]


@pytest.mark.parametrize(
    ("length", "is_near"), [(5.62, True), (5.67, True), (5.675, False), (5.8, False)]
)
def test_how_near_distances_of_near_duplicates_are(length, is_near):
    """By 0.05 Å at most; those of the 12 neighbors in rocksalt are up to 0.71 of the cell."""
    first, second = (
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
        for a in (5.6, length)
    )
    assert (
        bool(told(CrystalGraphs.from_structures([first, second]), "near duplicates, unconfirmed"))
        == is_near
    )


def test_cells_that_are_too_large_to_be_compared():
    large = chain(201)
    moved = large.copy()
    moved.translate_sites([0], [0, 0.01, 0], frac_coords=False)
    text = "1 more pairs of similar crystals were not looked at: they are too many."
    assert told([large, moved], "near duplicates, unconfirmed") == [([], "remark", text)]
    assert told([large, moved], "near duplicate") == []


# Tables and folders


def test_what_is_opened(tmp_path, nacl):
    folder = tmp_path / "crystals"
    folder.mkdir()
    nacl.to(str(folder / "salt.cif"))
    (folder / "id_prop.csv").write_text("cif_id,gap,kind\nsalt,1.5,a\n")
    found = open_data(folder)
    assert (found.name, list(found.ids), found.paths) == (
        "crystals", ["salt"], [str(folder / "salt.cif")]
    )  # fmt: skip
    assert (found.graphs, found.atom_features, found.n_left_out) == (None, None, 0)
    assert {name: column.tolist() for name, column in found.columns.items()} == {
        "gap": [1.5], "kind": ["a"]
    }  # fmt: skip
    assert list(open_data(folder, ["kind", "gap"]).columns) == ["kind", "gap"]
    with pytest.raises(DataError, match=r"^crystals: has no column 'x'; it has gap, kind$"):
        open_data(folder, ["gap", "x"])
    (folder / "atom_init.json").write_text("{}")
    assert open_data(folder).atom_features == folder / "atom_init.json"
    (folder / "id_prop.csv").unlink()
    with pytest.raises(DataError, match=r"^crystals: has no column 'x'; it has none$"):
        open_data(folder, ["x"])
    table = tmp_path / "Table.CSV"
    table.write_text("path,gap\ncrystals/salt.cif,1.5\n")
    assert open_data(table).columns["gap"].tolist() == [1.5]
    for other in (tmp_path / "none.csv", folder / "salt.cif"):
        with pytest.raises(
            DataError, match=r"neither a folder, nor a table of paths, nor a store$"
        ):
            open_data(other)
    (tmp_path / "crystals.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"make a store of it first, .* STORE, and check that$"):
        open_data(tmp_path / "crystals.tar.gz")


# Which to compute next


def test_uncertainty_is_a_multiple_of_the_mean(tiny, graphs, Y):
    est = CGCNNMultiTask(**tiny, n_estimators=2).fit(graphs, Y)
    deviations = est.predict(graphs, return_std=True)[1]
    std = np.asarray(deviations, dtype=float).reshape(24, -1)[:, 0]
    unsure = 1 - est.predict_proba(graphs).max(axis=1)
    expected = (std / std.mean() + unsure / unsure.mean()) / 2
    np.testing.assert_allclose(uncertainty(est, graphs), expected, rtol=1e-6)
    # A single network knows of classes alone.
    single = CGCNNMultiTask(**tiny).fit(graphs, Y)
    unsure = 1 - single.predict_proba(graphs).max(axis=1)
    np.testing.assert_allclose(uncertainty(single, graphs), unsure / unsure.mean())


def test_an_estimator_that_knows_nothing_is_refused_with_a_way_out(tiny, graphs, energies):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    text = (
        "CGCNNRegressor is a single network, which does not know how sure it is of numbers; fit "
        'n_estimators=5, or with loss="gaussian_nll"'
    )
    for call in (lambda: suggest(est, graphs, 1), lambda: uncertainty(est, graphs)):
        with pytest.raises(ValueError, match="is a single network") as caught:
            call()
        assert str(caught.value) == text
    nll = CGCNNRegressor(**tiny, loss="gaussian_nll").fit(graphs, energies)
    assert uncertainty(nll, graphs).mean() == pytest.approx(1)


def test_the_most_unsure_crystal_comes_first(tiny, graphs, labels):
    est = CGCNNClassifier(**tiny).fit(graphs, labels)
    unsure = 1 - est.predict_proba(graphs).max(axis=1)
    assert suggest(est, graphs, 1).tolist() == [int(unsure.argmax())]
    assert suggest(est, graphs, np.int64(30)).dtype == np.int64
    assert len(suggest(est, graphs, 30)) == 24
    assert suggest(est, graphs, 3, known=graphs).tolist() == []
    groups = ["a"] * 24
    assert len(suggest(est, graphs, 3, groups=groups)) == 1


# Learning curves


def test_the_interval_of_the_exponent_is_that_of_a_bootstrap():
    rng = np.random.default_rng(1)
    sizes = [10, 20, 40]
    errors = np.array(sizes)[:, np.newaxis] ** -0.5 * rng.uniform(0.5, 1.5, (3, 12))
    errors[2, 3] = 0
    groups = np.array(["a", "b", "b", "c", "c", "c", "d", "d", "e", "e", "f", "f"])
    for given in (groups, None):
        names = groups if given is not None else np.arange(12)
        members = [np.flatnonzero(names == name) for name in np.unique(names)]
        drawing, exponents = np.random.default_rng(0), []
        for _ in range(500):
            rows = [members[i] for i in drawing.integers(len(members), size=len(members))]
            means = errors[:, np.concatenate(rows)].mean(axis=1)
            exponents.append(-np.polyfit(np.log(sizes), np.log(means), 1)[0])
        law = fit_power_law(sizes, errors, given)
        assert (law.low, law.high) == pytest.approx(tuple(np.quantile(exponents, [0.025, 0.975])))
        slope, start = np.polyfit(np.log(sizes), np.log(errors.mean(axis=1)), 1)
        assert (law.scale, law.exponent) == pytest.approx((np.exp(start), -slope))


def test_labels_none_of_which_is_wrong():
    # No error has no logarithm: it counts as half a label, also in the bootstrap.
    sizes, wrong = [12, 25, 50, 100], [1, 2, 4, 0]
    rows = np.array([[1.0] * n + [0.0] * (15 - n) for n in wrong])
    law = fit_power_law(sizes, rows)
    slope, start = np.polyfit(np.log(sizes), np.log(np.array([1, 2, 4, 0.5]) / 15), 1)
    assert (law.scale, law.exponent) == pytest.approx((np.exp(start), -slope))
    assert law.low < law.exponent < law.high < 2
    assert law.more() == (np.inf, np.inf, np.inf)
    assert str(law).startswith("No test crystal is wrong: they cannot tell")
    some = fit_power_law(sizes, rows[::-1])
    assert some.error(100) == pytest.approx(4 / 15, rel=0.7)
    assert some.high < 2
    assert fit_power_law(sizes, 0 * rows).error(100) == 0


@pytest.mark.parametrize(
    ("exponent", "share", "factor"),
    [
        (0.5, 0.1, 1 / 0.81 - 1),
        (0.02, 0.01, 0.99**-50 - 1),
        (0.0199, 0.01, np.inf),
        (-0.5, 0.1, np.inf),
        (1.0, 0.98, 49),
        (1.0, 0.9901, np.inf),
    ],
)
def test_how_many_more_crystals_lower_the_error(exponent, share, factor):
    law = PowerLaw((100, 400), (1.0, 0.5), 10.0, exponent, exponent, exponent)
    assert law.more(share) == pytest.approx((400 * factor,) * 3)


def test_sentences_about_more_crystals():
    def law(exponent, low, high):
        return PowerLaw((100, 4000), (1.0, 0.5), 10.0, exponent, low, high)

    assert law(0.5, 0.25, 1.0).more() == pytest.approx(
        (4000 * (1 / 0.81 - 1), 4000 / 9, 4000 * (0.9**-4 - 1))
    )
    assert str(law(0.5, 0.25, 1.0)) == (
        "About 940 more training crystals for 10 % less error (95 % interval 444 to 2,097)."
    )
    assert str(law(0.5, -0.1, 1.0)) == (
        "About 940 more training crystals for 10 % less error (95 % interval 444 to no number at "
        "all)."
    )
    assert str(law(0.01, -0.1, 1.0)) == "The error does not fall with more crystals of this kind."
    assert law(0.5, 0.25, 1.0).error(25) == pytest.approx(2)


@pytest.mark.parametrize(
    ("sizes", "shape"), [([10], (1, 5)), ([10, 20], (2,)), ([10, 20], (3, 5)), ([10, 20], (2, 0))]
)
def test_errors_that_make_no_learning_curve(sizes, shape):
    message = r"errors has shape \(.*\); expected a row for each of at least two sizes"
    with pytest.raises(ValueError, match=message):
        fit_power_law(sizes, np.ones(shape))


# What a check is given


def test_names_of_crystals_and_features_of_ones_own(nacl, tmp_path):
    nacl.to(str(tmp_path / "salt.cif"))
    found = survey([tmp_path / "salt.cif", nacl], labels=False)
    assert next(iter(found.ids)) == "salt"
    assert found.elements.tolist() == [11, 17]
    assert (found.n_different, found.columns, found.floors) == (1, {}, [])
    table = {z: [float(z)] for z in range(1, 101)}
    own = survey([nacl], labels=False, atom_features=table)
    assert own.elements.tolist() == [11, 17]
    assert own.graphs.kind_features.ravel().tolist() == [11, 17]
    # Of graphs that are made with other features, elements are not known.
    assert survey(own.graphs, labels=False).elements.tolist() == [0, 0]


@pytest.mark.filterwarnings("error")
def test_files_that_cannot_be_read_are_findings_and_no_warnings(tmp_path, nacl):
    (tmp_path / "bad.cif").write_text("no crystal")
    frame = check([tmp_path / "bad.cif", nacl, tmp_path / "none.cif"], labels=False)
    assert frame["ids"].tolist() == [["bad"], ["none"]]
    assert frame["message"][0].startswith("bad: ")
    assert "no such file" in frame["message"][1]
    assert set(frame["severity"]) == {"error"}


def test_findings_stand_with_the_worst_first(nacl):
    y = pd.DataFrame({"a": [1.0, np.inf, 2.5, 0.25], "b": ["x", "y", "y", None]})
    frame = check([nacl] * 4, y, labels=False)
    order = [["error", "warning", "remark"].index(each) for each in frame["severity"]]
    assert order == sorted(order)
    assert frame["kind"][0] == "infinite target"
    assert list(frame) == ["kind", "ids", "severity", "message"]


@pytest.mark.parametrize(
    ("n", "batch_size", "n_epochs"),
    [(1000, 32, 51), (1001, 64, 102), (6000, 64, 17), (20_000, 64, 10)],
)
def test_networks_take_a_third_of_the_usual_steps(n, batch_size, n_epochs):
    graphs = CrystalGraphs.from_structures([chain(1)])[np.zeros(n, dtype=int)]
    est = _ensemble(graphs, 7)
    assert (est.n_estimators, est.init_from, est.random_state) == (3, "auto", 7)
    assert (est.batch_size, est.max_epochs) == (batch_size, n_epochs)


def test_few_crystals_take_the_usual_epochs():
    graphs = CrystalGraphs.from_structures([chain(1)])[np.zeros(50, dtype=int)]
    usual = CGCNNRegressor(n_estimators=3, init_from="auto", batch_size=32)
    assert _ensemble(graphs, 0).max_epochs == usual._resolved_params(graphs)["max_epochs"] < 1024


@pytest.mark.parametrize(("n_groups", "n_folds"), [(3, 3), (5, 5), (60, 5)])
def test_folds_keep_groups_together(n_groups, n_folds):
    groups = np.arange(60) % n_groups
    folds = list(_folds(groups, 3))
    assert len(folds) == n_folds
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(60))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(60))
        assert train.tolist() == sorted(train)
        assert not set(groups[train]) & set(groups[test])
    again, other = (np.concatenate([test for _, test in _folds(groups, seed)]) for seed in (3, 4))
    np.testing.assert_array_equal(np.concatenate([test for _, test in folds]), again)
    if n_groups == 60:
        assert again.tolist() != other.tolist()


@pytest.mark.parametrize(("n", "n_trained"), [(6250, 5000), (6300, 5000), (6000, 4800)])
def test_five_thousand_crystals_are_trained_on_at_most(n, n_trained):
    for train, test in _folds(np.arange(n), 0):
        assert len(train) == len(set(train)) == n_trained
        assert not set(train) & set(test)


def test_what_is_mostly_one_value():
    for share, is_one in ((0.24, False), (0.8, True)):
        column = np.arange(100.0)
        column[: int(100 * share)] = 0
        assert is_mostly_one(np.append(column, [np.nan, np.inf])) is is_one
    assert is_mostly_one(np.append(np.zeros(30), [-1.0] * 9 + [1.0] * 9))


def test_labels_that_are_unlikely_are_told_from_the_least_likely_on():
    column = np.array(["a", "b", "a", "b"], dtype=object)
    said = Expected(
        np.arange(4), np.array(["b", "b", "b", "a"]), np.array([0.0199, 0.9, 0.02, 0.001])
    )
    found = [
        (one.rows, one.severity, one.message)
        for one in odd_labels("kind", column, said, Names("wxyz"))
    ]
    text = "{}: kind is {}, where networks that were not trained on it expect {}, and give {} {}."
    assert found == [
        ([3], "warning", text.format("z", "b", "a", "b", "0.1%")),
        ([0], "warning", text.format("w", "a", "b", "a", "2.0%")),
    ]
