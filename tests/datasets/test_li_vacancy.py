"""The Li-vacancy dataset: what is committed is what the scripts make, and it is sound."""

import csv
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from skcgcnn.crystals import read_crystal
from skcgcnn.datasets import load_li_vacancy

FOLDER = Path(__file__).parents[2] / "vacancy_data"


@pytest.fixture(scope="module")
def data():
    return load_li_vacancy()


@pytest.fixture(scope="module")
def structures(data):
    # pymatgen's own reader takes ten times as long, and reads the same (test_cif.py).
    found = []
    for crystal in map(read_crystal, data.data):
        elements = [z for ((z, _),) in crystal.species]
        lattice = Lattice(crystal.lattice)
        found.append(Structure(lattice, elements, crystal.coords, coords_are_cartesian=True))
    return found


@pytest.fixture
def script(monkeypatch):
    """Return a function that imports a script of the folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


@pytest.fixture
def log():
    with (FOLDER / "labels_log.csv").open(newline="") as lines:
        return {row["id"]: row for row in csv.DictReader(lines)}


@pytest.mark.slow
def test_scripts_make_the_committed_files_again(script, tmp_path, monkeypatch):
    # One arrangement of every host; .ci/run makes all of them.
    monkeypatch.setattr("sys.argv", ["script", "--output", str(tmp_path)])
    script("make_hosts").main()
    maker = script("make_dataset")
    groups = {group.host: group for group in maker.make_groups()}.values()
    for group in groups:
        for member in maker.make_members(group):
            maker.write_cif(member.structure(), tmp_path / f"{member.cif_id}.cif")
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(made) >= 5 * 4
    names = {f"{group.name}_v" for group in groups}
    committed = {
        file.name for file in FOLDER.glob("*.cif") if file.name.split("v")[0] + "v" in names
    }
    assert committed <= made.keys()
    assert [name for name in made if made[name] != (FOLDER / name).read_bytes()] == []


def test_labels_are_balanced_within_every_composition(data, structures):
    labels = data.target[:, 1]
    assert len(labels) >= 300
    assert 0.35 <= labels.mean() <= 0.65
    of_formula = defaultdict(Counter)
    for structure, label in zip(structures, labels, strict=True):
        of_formula[structure.composition.formula][label] += 1
    assert len(of_formula) == 10
    for counts in of_formula.values():
        assert 0.35 <= counts[1] / counts.total() <= 0.65


def test_high_and_low_energies_are_balanced_too(data, structures):
    # Neither kind of defect is always the dearer one: the tasks are not the same task.
    energies, labels = data.target.T
    above = energies > np.median(energies)
    for label in (0, 1):
        assert 0.35 <= above[labels == label].mean() <= 0.65
    assert ((energies > 2) & (energies < 5)).all()


def test_structures_are_supercells_with_two_or_three_vacancies(data, structures):
    for structure in structures:
        assert structure.is_ordered
        formula = structure.composition.get_el_amt_dict()
        metals = sum(formula.values()) - formula["Li"] - formula["O"]
        assert 2 * metals == formula["O"]
        assert metals - formula["Li"] in (2, 3)
        assert 48 <= 4 * metals <= 108
        if formula.get("Al"):
            assert (formula["Ni"], formula["Co"], formula["Al"]) == (16, 3, 1)


def test_label_is_what_the_oxygens_see(data, structures):
    # Two Li sites share an oxygen if and only if they are nearest neighbors. Each oxygen of the
    # pristine crystal has three Li, so with a divacancy, and only then, one has lost two of them.
    for structure, label in zip(structures, data.target[:, 1], strict=True):
        symbols = np.array([site.specie.symbol for site in structure])
        center, point, _, _ = structure.get_neighbor_list(2.3)
        bonds = (symbols[center] == "O") & (symbols[point] == "Li")
        counts = np.bincount(center[bonds], minlength=len(symbols))[symbols == "O"]
        assert counts.max() <= 3
        assert (counts.min() <= 1) == (label == 1)


def test_groups_are_host_and_arrangement(data, structures):
    assert list(data.groups) == ["_".join(cif_id.split("_")[:2]) for cif_id in data.cif_ids]
    assert len(set(data.groups)) >= 20
    of_group = defaultdict(list)
    for structure, group, label in zip(structures, data.groups, data.target[:, 1], strict=True):
        of_group[group].append((structure.lattice, label))
    for members in of_group.values():
        assert {lattice for lattice, _ in members} == {members[0][0]}
        assert np.mean([label for _, label in members]) == 0.5


@pytest.mark.slow
def test_no_two_structures_are_the_same(structures):
    # Equal crystals have equal sorted distances between the same elements; where those differ,
    # StructureMatcher need not be asked. By it alone, all pairs take half an hour.
    of_formula = defaultdict(list)
    for structure in structures:
        ends_i, ends_j, _, lengths = structure.get_neighbor_list(7.0)
        numbers = np.array([site.specie.Z for site in structure])
        # The elements of a pair and its distance in one number.
        distances = np.sort(1e3 * (numbers[ends_i] + 100 * numbers[ends_j]) + lengths)
        member = distances.sum(), distances, structure
        of_formula[structure.composition.reduced_formula].append(member)
    matcher = StructureMatcher()
    for members in of_formula.values():
        # Sorted by their sums: those that differ in it are not compared.
        members.sort(key=lambda member: member[0])
        for first, (total, of_one, one) in enumerate(members):
            for other_total, of_other, other in members[first + 1 :]:
                if other_total > total + 1e-3 * len(of_one):
                    break
                alike = len(of_one) == len(of_other) and np.allclose(of_one, of_other, atol=1e-3)
                assert not (alike and matcher.fit(one, other))


def test_energies_follow_from_the_log(data, log):
    lithium = float(log["Li_bcc"]["energy"]) / 2
    for cif_id, group, energy in zip(data.cif_ids, data.groups, data.target[:, 0], strict=True):
        n = int(cif_id.split("_v")[1][0])
        gain = float(log[cif_id]["energy"]) - float(log[group]["energy"])
        assert energy == pytest.approx((gain + n * lithium) / n, abs=6e-5)


def test_all_relaxations_converged(log):
    assert max(float(row["max_force"]) for row in log.values()) <= 0.05


def test_potential_gives_the_energies_again(script, data, log, tmp_path):
    pytest.importorskip("chgnet")
    make_dataset, label_dataset = script("make_dataset"), script("label_dataset")
    group = next(group for group in make_dataset.make_groups() if group.name == "LCO_00")
    members = list(make_dataset.make_members(group))[:3]
    keep = ("Li_bcc", *make_dataset.PLAN)
    path = tmp_path / "labels_log.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, label_dataset.LOG_COLUMNS)
        writer.writeheader()
        writer.writerows(log[name] for name in keep)
    label_dataset.Labeller(path).compute_group(group, members)
    again = label_dataset.read_log(path)
    for member in members:
        energy = label_dataset.formation_energy(member, again)
        assert energy == pytest.approx(data.target[data.cif_ids.index(member.cif_id), 0], abs=1e-3)


def test_frame():
    bunch = load_li_vacancy(as_frame=True)
    assert list(bunch.frame.columns) == ["path", "formation_energy", "defect_label"]
    assert len(bunch.frame) == len(bunch.groups)
    X, y = load_li_vacancy(return_X_y=True)
    assert len(X) == len(y)
    assert "CHGNet" in bunch.DESCR
