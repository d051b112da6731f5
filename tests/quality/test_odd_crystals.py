"""What is odd about crystals: where it begins, and what it says."""

import numpy as np
import pytest
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs
from skcgcnn.datasets import LI_VACANCY_FOLDER, load_sample_regression
from skcgcnn.quality import check, survey

RADIUS = CovalentRadius.radius


def pair(one, other, distance):
    """Return a crystal of pairs of atoms far from each other."""
    lattice = Lattice.orthorhombic(distance + 30, 30, 30)
    return Structure(
        lattice, [one, other], [[0, 0, 0], [distance, 0, 0]], coords_are_cartesian=True
    )


def told(structures, kind):
    frame = check(structures, ids=[f"c{i}" for i in range(len(structures))])
    chosen = frame[frame["kind"] == kind]
    return list(chosen[["ids", "severity", "message"]].itertuples(index=False, name=None))


def test_atoms_that_are_too_close():
    radii = RADIUS["Na"] + RADIUS["Cl"]
    near = 0.59 * radii
    found = told([pair("Na", "Cl", near), pair("Na", "Cl", 0.61 * radii)], "atoms too close")
    text = (
        f"c0: two atoms are {near:.3g} Å apart, 59% of the sum of their covalent radii. Check the "
        "cell, and whether a site is there twice."
    )
    assert found == [(["c0"], "error", text)]


def test_atoms_that_are_too_far_apart():
    radii = RADIUS["Na"] + RADIUS["Cl"]
    far = 1.46 * radii
    found = told([pair("Na", "Cl", 1.44 * radii), pair("Na", "Cl", far)], "atoms too far apart")
    text = (
        f"c1: no two atoms are nearer than {far:.3g} Å, 1.5 times the sum of their covalent radii. "
        "Is the cell too large, or are atoms missing?"
    )
    assert found == [(["c1"], "warning", text)]


def test_noble_gases_are_far_apart():
    noble = ["He", "Ne", "Ar", "Kr", "Xe", "Rn"]
    solids = [Structure(Lattice.cubic(6), [each], [[0, 0, 0]]) for each in noble]
    assert told(solids, "atoms too far apart") == []
    others = [Structure(Lattice.cubic(6), [each], [[0, 0, 0]]) for each in ("Li", "F", "Br")]
    assert [ids for ids, *_ in told(others, "atoms too far apart")] == [["c0"], ["c1"], ["c2"]]
    # One of them alone does not make a crystal one of theirs.
    assert told([pair("Kr", "F", 6.0)], "atoms too far apart")


@pytest.mark.parametrize(
    ("length", "with_hydrogen", "is_told"),
    [(1.45, False, True), (1.25, False, False), (1.75, False, False), (1.45, True, False)],
)
def test_carbon_with_open_valences(length, with_hydrogen, is_told):
    ring = pair("C", "C", length)
    if with_hydrogen:
        ring.append("H", [0, 1.1, 0], coords_are_cartesian=True)
    text = (
        "1 crystal with carbon atoms with open valences and no hydrogen, such as c0: are hydrogen "
        "atoms missing?"
    )
    expected = [(["c0"], "remark", text)] if is_told else []
    assert told([ring], "missing hydrogen") == expected


@pytest.fixture(scope="module")
def sample():
    # Of these, each element is in several.
    return load_sample_regression().data


@pytest.mark.parametrize(("n", "is_told"), [(49, False), (50, True)])
def test_elements_in_one_crystal_alone(sample, n, is_told):
    lone = Structure(Lattice.cubic(3.4), ["Xe", "Rn"], [[0, 0, 0], [0.5] * 3])
    salts = [Structure.from_file(sample[0])] * (n - 1)
    text = "Elements in one crystal alone: Xe (c0), Rn (c0). Nothing can be learned about them."
    found = told([lone, *salts], "rare elements")
    assert found == ([(["c0"], "remark", text)] if is_told else [])


@pytest.mark.parametrize(("n", "is_told"), [(51, True), (50, False)])
def test_cells_that_are_very_large(n, is_told):
    chain = Lattice.orthorhombic(3.0 * n, 9, 9)
    large = Structure(chain, ["Na"] * n, [[i / n, 0, 0] for i in range(n)])
    small = [Structure(Lattice.cubic(3 + i / 50), ["Na"], [[0, 0, 0]]) for i in range(30)]
    text = (
        "c30 have more than 50 sites, ten times as many as most: they take most of the time and "
        "memory of a batch."
    )
    found = told([*small, large], "very large cells")
    assert found == ([(["c30"], "remark", text)] if is_told else [])
    # Where many are as large, they are not odd.
    assert told([*small[:9], large], "very large cells") == []


def test_sites_that_elements_share():
    mixed = Structure(Lattice.cubic(4.2), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0] * 3, [0.5] * 3])
    text = (
        "1 crystals have sites that several elements share, or whose elements are not known, such "
        "as c1. Such a site gets the mean of the features."
    )
    pure = Structure(Lattice.cubic(4.2), ["K", "Cl"], [[0] * 3, [0.5] * 3])
    assert told([pure, mixed], "mixed sites") == [(["c1"], "remark", text)]


@pytest.mark.parametrize(("n", "what"), [(1, "crystal has"), (2, "crystals have")])
def test_valences_that_atoms_cannot_have(n, what):
    pressed = [
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(4.2 + i / 10), ["K", "O"], [[0, 0, 0], [0.5] * 3]
        )
        for i in range(n)
    ]
    ((ids, severity, text),) = told(pressed, "unusual valences")
    names = [f"c{i}" for i in range(n)]
    assert (ids, severity) == (names, "remark")
    # O'Keeffe and Brese; potassium cannot have more than one.
    begin = (
        f"{n} {what} atoms with unusual valences, such as {', '.join(names)}: by its bond lengths, "
        "K in c0 has a valence of "
    )
    assert text.startswith(begin)
    assert text.endswith(", where 1 is the highest that it can have.")


def test_near_duplicates_and_what_their_targets_are(nacl):
    moved = nacl.copy()
    moved.translate_sites([0], [0.01, 0, 0], frac_coords=False)
    names = ["a", "b", "c"]
    found = survey([nacl, moved, nacl], {"y": [1.0, 1.5, np.nan], "k": ["s", "t", "s"]}, ids=names,
                   labels=False)  # fmt: skip
    frame = found.findings[found.findings["kind"] == "near duplicate"]
    ((ids, severity, text),) = frame[["ids", "severity", "message"]].to_numpy().tolist()
    assert (ids, severity) == (["a", "b"], "warning")
    assert text.startswith("a and b are one crystal but for small displacements (mean distances ")
    assert text.endswith(" Å); y differs by 0.5 (1 to 1.5); k is s and t.")
    twice = found.findings[found.findings["kind"] == "same crystal"]
    assert twice["message"].tolist() == ["a, c: one crystal, 2 times; keep one of them."]
    assert found.floors == []


def test_crystals_with_one_graph_that_differ():
    """By elements with one row of features, and by their order beyond the nearest neighbors."""
    lanthanum, cerium = (
        Structure(Lattice.cubic(4.1), [metal, "Cl"], [[0] * 3, [0.5] * 3]) for metal in ("La", "Ce")
    )
    vacancies = [LI_VACANCY_FOLDER / f"LNO_01_v2_{number}.cif" for number in (0, 2)]
    for crystals in ([lanthanum, cerium], vacancies):
        found = survey(crystals, {"y": [1.0, 2.0]}, ids=["a", "b"], labels=False).findings
        (text,) = found["message"][found["kind"] == "same graph, other target"]
        assert text.startswith("a, b: one graph, 2 times, and perhaps different crystals: ")
        assert not found["kind"].str.startswith("same crystal").any()
    # Graphs alone hold no positions.
    found = survey(CrystalGraphs.from_structures([cerium, cerium]), {}, labels=False).findings
    assert found["message"][found["kind"] == "same graph"].item().endswith("; compare their files.")


@pytest.mark.parametrize(("n_sites", "kind"), [(8, "same crystal"), (201, "same graph")])
def test_what_is_not_compared_leaves_time_for_other_crystals(nacl, monkeypatch, n_sites, kind):
    """It was counted as if it were: many crystals with one graph, and large ones."""
    monkeypatch.setattr("skcgcnn.quality._duplicates._MOST_PAIRS", 2)
    coords = [[i / n_sites, 0, 0] for i in range(n_sites)]
    chain = Structure(Lattice.orthorhombic(3 * n_sites, 9, 9), ["Na"] * n_sites, coords)
    other = Structure(Lattice.cubic(4.1), ["Cs", "Cl"], [[0] * 3, [0.5] * 3])
    found = survey([other] * 4 + [chain] * 2 + [nacl] * 2, labels=False).findings
    kinds = {ids[0]: kind for ids, kind in zip(found["ids"], found["kind"], strict=True) if ids}
    assert [kinds["0"], kinds["4"], kinds["6"]] == ["same graph", kind, "same crystal"]


def test_large_crystals_count_as_several_pairs(monkeypatch):
    """Of 200 sites, a pair takes as long as four of 100."""
    monkeypatch.setattr("skcgcnn.quality._duplicates._MOST_PAIRS", 5)
    monkeypatch.setattr("skcgcnn.quality._duplicates._USUAL_SITES", 1)
    cscl, near = (
        Structure(Lattice.cubic(4.1), ["Cs", "Cl"], [[0] * 3, [d] * 3]) for d in (0.5, 0.501)
    )
    nacl = Structure(Lattice.cubic(3.9), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
    found = survey([cscl, cscl, nacl, nacl, near], labels=False).findings
    kinds = found["kind"].tolist()
    assert kinds.count("same crystal") == 1
    assert kinds.count("same graph") == 1
    assert kinds.count("near duplicate") == 1


def test_floors_of_numbers_and_labels(nacl):
    other = Structure(Lattice.cubic(4.1), ["Cs", "Cl"], [[0] * 3, [0.5] * 3])
    columns = {"y": [1.0, 2.0, 4.0, 9.0, np.nan], "k": ["s", "s", "t", "u", "v"]}
    found = survey([nacl, nacl, nacl, other, other], columns, labels=False)
    number, label = found.floors
    # Medians are 2 and, where one value is known alone, nothing.
    assert tuple(number) == ("y", pytest.approx((1 + 0 + 2) / 3), 3, True)
    assert tuple(label) == ("k", pytest.approx(2 / 5), 5, False)
    said = found.findings["message"][found.findings["kind"] == "floor of the error"].tolist()
    of_numbers = (
        "y: no network can have a mean absolute error below 1 on the 3 rows whose graph is there "
        "again, for their values differ."
    )
    of_labels = (
        "k: no network can have more than 60.0% right on the 5 rows whose graph is there again, "
        "for their labels differ."
    )
    assert said == [of_numbers, of_labels]
    same = survey([nacl, nacl, other], {"y": [1.0, 1.0 + 5e-7, 2.0]}, labels=False)
    assert same.findings["kind"].tolist() == ["same crystal", "floor of the error"]
