"""Vacancies at random, in a crystal and from file to file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from typer.testing import CliRunner

from skcgcnn.cli import app
from skcgcnn.exceptions import StructureError
from skcgcnn.vacancies import (
    fit_supercell,
    make_vacancies,
    order_sites,
    site_permutations,
    write_cif,
)

DATA = Path(__file__).parents[2] / "vacancy_data"


def layered(metals="Ni"):
    return Structure.from_spacegroup(
        "R-3m",
        Lattice.hexagonal(2.86, 14.2),
        ["Li", metals, "O"],
        [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.259]],
    )


def texts(structures):
    return [each.to(fmt="cif") for each in structures]


@settings(derandomize=False)
@given(n=st.integers(1, 4), seed=st.integers(0, 2**32 - 1), a=st.integers(1, 3))
def test_only_the_element_goes_and_only_so_often(n, seed, a):
    host = layered() * (a, 2, 1)
    (made,) = make_vacancies(host, n_vacancies=n, supercell=1, random_state=seed)
    lost = host.composition - made.composition
    assert lost.get_el_amt_dict() == {"Li": n}
    # Every atom that is left stands where it stood.
    tree = {tuple(np.round(site.frac_coords % 1, 6)): site.species for site in host}
    assert all(tree[tuple(np.round(site.frac_coords % 1, 6))] == site.species for site in made)


def test_the_seed_decides():
    options = {"n_vacancies": 2, "order": True, "supercell": (5, 4, 1)}
    host = layered({"Ni": 0.8, "Co": 0.15, "Al": 0.05})
    first = texts(make_vacancies(host, 3, **options, random_state=1))
    assert first == texts(make_vacancies(host, 3, **options, random_state=1))
    assert first != texts(make_vacancies(host, 3, **options, random_state=2))
    assert len(set(first)) == 3


def test_structures_are_distinct_by_symmetry():
    made = make_vacancies(layered(), 5, n_vacancies=2, supercell=(3, 3, 1), random_state=0)
    matcher = StructureMatcher()
    assert len(matcher.group_structures(made)) == 5


def test_the_search_finds_every_distinct_structure_and_then_stops():
    # In a ring of six sites two can be empty in three ways: 1, 2 or 3 apart.
    lattice, coords = Lattice.orthorhombic(18, 5, 7), [[i / 6, 0, 0] for i in range(6)]
    ring = Structure(lattice, ["Li"] * 6, coords)
    assert len(make_vacancies(ring, 3, n_vacancies=2, supercell=1, random_state=0)) == 3
    with pytest.raises(StructureError, match="only 3 that symmetry keeps apart were found"):
        make_vacancies(ring, 4, n_vacancies=2, supercell=1, random_state=0)
    # Equivalent structures are allowed on request, the same sites twice are not: 15 pairs.
    made = make_vacancies(ring, 15, n_vacancies=2, supercell=1, distinct=False, random_state=0)
    assert len(set(texts(made))) == 15
    with pytest.raises(StructureError, match="only 15 were found"):
        make_vacancies(ring, 16, n_vacancies=2, supercell=1, distinct=False)


def test_permutations_are_those_of_the_lattice():
    host = layered() * (2, 2, 1)
    lithium = [i for i, site in enumerate(host) if site.specie.symbol == "Li"]
    permutations = site_permutations(host, lithium)
    assert (np.sort(permutations, axis=1) == np.arange(len(lithium))).all()
    distances = host.distance_matrix[np.ix_(lithium, lithium)]
    for permutation in permutations:
        np.testing.assert_allclose(
            distances[np.ix_(permutation, permutation)], distances, atol=1e-4
        )


@pytest.mark.parametrize(("off", "n_alike"), [(0.0, 6), (0.0004, 6), (0.0007, 1), (0.01, 1)])
def test_symmetry_is_that_to_a_thousandth_of_an_angstrom(off, n_alike):
    coords = [[i / 6, 0, 0] for i in range(6)]
    ring = Structure(Lattice.orthorhombic(18, 5, 7), ["Li"] * 6, coords)
    # A mirror takes it to where it is twice as far from.
    ring.translate_sites([0], [off, 0, 0], frac_coords=False)
    alike = {int(row[0]) for row in site_permutations(ring, range(6))}
    assert len(alike) == n_alike


def test_sites_at_the_edge_of_the_cell_are_found():
    # -1e-17 modulo 1 is 1.0 in floating point.
    coords = [[-1e-17, 0, 0], [0.5, 1 - 1e-17, 0], [0, 0.5, -1e-17], [0.5, 0.5, 1e-17]]
    square = Structure(Lattice.tetragonal(6, 9), ["Li"] * 4, coords)
    permutations = site_permutations(square, range(4))
    assert (np.sort(permutations, axis=1) == np.arange(4)).all()
    assert {int(row[0]) for row in permutations} == {0, 1, 2, 3}


def test_equal_crystals_have_equal_files(tmp_path):
    written = []
    for coords in ([[0, 0.25, 0], [0.5, 0.5, 0.5]], [[-1e-12, 1.25, 1 - 1e-12], [0.5, -0.5, 2.5]]):
        write_cif(Structure(Lattice.cubic(4), ["Li", "O"], coords), tmp_path / "a.cif")
        written.append((tmp_path / "a.cif").read_text())
    assert written[0] == written[1]
    np.testing.assert_array_equal(
        Structure.from_str(written[0], fmt="cif").frac_coords, [[0, 0.25, 0], [0.5, 0.5, 0.5]]
    )


def test_fraction_and_default_number():
    host = layered()  # 3 Li; 27 of them in the default supercell
    assert make_vacancies(host)[0].composition["Li"] == 24
    assert make_vacancies(host, fraction=1 / 3)[0].composition["Li"] == 18
    assert make_vacancies(host, fraction=1e-6)[0].composition["Li"] == 26


def test_default_supercell_is_8_angstrom_wide():
    assert fit_supercell(Lattice.cubic(4)) == (2, 2, 2)
    assert fit_supercell(Lattice.cubic(3.99)) == (3, 3, 3)
    assert fit_supercell(Lattice.orthorhombic(8, 9, 100)) == (1, 1, 1)


def test_supercell_matrix():
    (made,) = make_vacancies(layered(), n_vacancies=1, supercell=[[1, 1, 0], [0, 2, 0], [0, 0, 1]])
    assert made.composition["Li"] == 5


def test_ordering_keeps_the_composition():
    host = layered({"Ni": 0.8, "Co": 0.15, "Al": 0.05}) * (5, 4, 1)
    ordered = order_sites(host, np.random.default_rng(0))
    assert ordered.is_ordered
    assert ordered.composition.almost_equals(host.composition)
    # Nothing but the metals has changed place.
    oxygen = [i for i, site in enumerate(host) if site.species_string == "O"]
    assert all(ordered[i].species_string == "O" for i in oxygen)


def test_ordering_rounds_thirds_and_empties_partial_sites():
    thirds = layered({"Ni": 0.3333, "Co": 0.3333, "Mn": 0.3334})
    ordered = order_sites(thirds, np.random.default_rng(0))
    assert {ordered.composition[metal] for metal in ("Ni", "Co", "Mn")} == {1}
    half = Structure(Lattice.cubic(3), [{"Li": 0.5}, "F"], [[0, 0, 0], [0.5] * 3]) * (2, 2, 1)
    assert order_sites(half, np.random.default_rng(0)).composition.formula == "Li2 F4"


def test_structure_is_left_alone():
    host = layered()
    before = host.to(fmt="cif")
    make_vacancies(host, 2, random_state=0)
    assert host.to(fmt="cif") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"element": "Na"}, r"holds no Na; name an element that it holds \(Li, Ni, O\)"),
        ({"n_vacancies": 4, "supercell": 1}, "4 vacancies are asked for, but the cell holds 3 Li"),
        ({"element": "Qq"}, "element must be the symbol of an element, but is 'Qq'"),
        ({"n_vacancies": 0}, "n_vacancies must be at least 1"),
        ({"fraction": 0}, "fraction must be above 0 and at most 1"),
        ({"fraction": 1.5}, "fraction must be above 0 and at most 1"),
        ({"fraction": 0.5, "n_vacancies": 2}, "not both"),
        ({"n_structures": 0}, "n_structures must be at least 1"),
        ({"supercell": 0}, "supercell must be an int"),
        ({"supercell": 1.5}, "supercell must be an int"),
        ({"supercell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, "supercell must be an int"),
    ],
)
def test_bad_requests(options, message):
    with pytest.raises(ValueError, match=message):
        make_vacancies(layered(), **options)


def test_sites_that_share_the_element():
    mixed = Structure(Lattice.cubic(4), [{"Li": 0.5, "Ni": 0.5}, "O"], [[0, 0, 0], [0.5] * 3])
    with pytest.raises(StructureError, match=r"shares with other elements.*--order"):
        make_vacancies(mixed)
    (made,) = make_vacancies(mixed, n_vacancies=1, order=True)
    assert made.composition.formula == "Li3 Ni4 O8"


def test_composition_that_does_not_fit():
    host = layered({"Ni": 0.8, "Co": 0.15, "Al": 0.05})
    with pytest.raises(StructureError, match="their number is a multiple of 20"):
        make_vacancies(host, order=True)


def test_the_last_atom_stays():
    with pytest.raises(StructureError, match="leave no atom"):
        make_vacancies(Structure(Lattice.cubic(3.5), ["Li"], [[0, 0, 0]]), fraction=1)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["make-vacancies", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_command_writes_the_same_bytes_again(tmp_path):
    host = DATA / "NCA_LiVac0.cif"
    options = [host, "--num-aug", 3, "--seed", 42]
    listed = run(*options, "-o", tmp_path / "a").splitlines()
    run(*options, "-o", tmp_path / "b")
    names = [f"NCA_LiVac0_aug{i}.cif" for i in range(3)]
    assert [Path(line).name for line in listed] == names
    contents = [(tmp_path / "a" / name).read_bytes() for name in names]
    assert contents == [(tmp_path / "b" / name).read_bytes() for name in names]
    assert len(set(contents)) == 3
    for name in names:
        made = Structure.from_file(tmp_path / "a" / name)
        assert made.composition["Li"] == 24
        assert made.composition["Al"] == pytest.approx(1.35)


def test_script_does_the_same_as_the_command(tmp_path):
    options = ["--num-vac", "2", "--seed", "7", "--order", "--supercell", "5", "2", "2"]
    run(DATA / "NCA_LiVac0.cif", *options, "-o", tmp_path / "a")
    # The script looks beside itself for a file that is not in the working folder.
    script = [sys.executable, str(DATA / "make_li_vac.py"), "NCA_LiVac0.cif", "--num_aug", "1"]
    subprocess.run([*script, *options, "--output", str(tmp_path / "b")], check=True, cwd=tmp_path)
    name = "NCA_LiVac0_aug0.cif"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_command_writes_beside_the_input_and_overwrites_nothing(tmp_path):
    layered().to(filename=str(tmp_path / "host.cif"))
    (tmp_path / "host_aug1.cif").write_text("precious")
    message = run(tmp_path / "host.cif", "--num-aug", 2, code=2)
    assert "host_aug1.cif exists already" in message
    assert not (tmp_path / "host_aug0.cif").exists()
    assert (tmp_path / "host_aug1.cif").read_text() == "precious"
    (tmp_path / "host_aug1.cif").unlink()
    run(tmp_path / "host.cif", "--num-aug", 2)
    assert (tmp_path / "host_aug1.cif").exists()


def test_another_element_of_another_crystal(tmp_path, nacl):
    nacl.to(filename=str(tmp_path / "salt.cif"))
    run(tmp_path / "salt.cif", "--element", "Na", "--num-vac", 3, "--supercell", 2, 2, 1)
    assert Structure.from_file(tmp_path / "salt_aug0.cif").formula == "Na13 Cl16"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, [], "no such file"),
        ("nonsense", [], "crystal.cif: is not a well-formed CIF"),
        ("NCA", ["--element", "Na"], "holds no Na"),
        ("NCA", ["--num-vac", "99"], "99 vacancies are asked for"),
        ("NCA", ["--order"], "multiple of 20"),
    ],
)
def test_command_explains_what_is_wrong(tmp_path, text, options, message):
    file = tmp_path / "crystal.cif"
    if text is not None:
        file.write_text((DATA / "NCA_LiVac0.cif").read_text() if text == "NCA" else text)
    output = run(file, *options, code=2)
    assert "crystal.cif" in output
    assert message in output
    assert "Traceback" not in output
