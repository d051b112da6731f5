"""Where each rule of making vacancies begins and ends."""

import errno
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from skcgcnn.exceptions import StructureError
from skcgcnn.vacancies import (
    _files,
    _make,
    fit_supercell,
    make_vacancies,
    make_vacancy_files,
    order_sites,
    site_permutations,
    write_cif,
)


def chain(n, symbols=("Li", "O")):
    """Return n sites of the first element in a row, and as many of the second beside them."""
    coords = [[(i + shift) / n, shift, shift] for shift in (0, 0.5) for i in range(n)]
    species = [symbol for symbol in symbols for _ in range(n)]
    return Structure(Lattice.orthorhombic(3 * n, 5, 7), species, coords)


@pytest.mark.parametrize(
    ("edges", "repeats"),
    [
        ((3, 5, 9), (3, 2, 1)),
        ((8, 4, 2), (1, 2, 4)),
        ((8.001, 7.999, 2.666), (1, 2, 4)),
        ((16, 80, 0.5), (1, 1, 16)),
    ],
)
def test_repeats_of_each_vector(edges, repeats):
    assert fit_supercell(Lattice.orthorhombic(*edges)) == repeats


def test_repeats_to_a_length():
    assert fit_supercell(Lattice.cubic(4), 12) == (3, 3, 3)
    # Of three tenths, 0.1 is a third, whatever the rounding.
    assert fit_supercell(Lattice.cubic(0.1), 0.1 * 3) == (3, 3, 3)
    assert fit_supercell(Lattice.cubic(1), 3 + 0.5e-9) == (3, 3, 3)
    assert fit_supercell(Lattice.cubic(1), 3 + 1.5e-9) == (4, 4, 4)


@pytest.mark.parametrize(
    ("options", "n_left"),
    [
        ({"n_vacancies": 1}, 9),
        ({"n_vacancies": 10}, 0),
        ({"fraction": 1}, 0),
        ({"fraction": 0.24}, 8),
        ({"fraction": 0.26}, 7),
        ({"fraction": 0.04}, 9),
        ({}, 9),
    ],
)
def test_numbers_of_vacancies(options, n_left):
    (made,) = make_vacancies(chain(10), supercell=1, random_state=0, **options)
    assert made.composition["Li"] == n_left
    assert made.composition["O"] == 10


@pytest.mark.parametrize(
    ("supercell", "n_lithium"),
    [
        (2, 16),
        (np.int64(2), 16),
        ([3, 1, 2], 12),
        ([[2, 0, 0], [0, 1, 0], [0, 0, 1]], 4),
        ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], 2),
    ],
)
def test_supercells(supercell, n_lithium):
    (made,) = make_vacancies(chain(2), n_vacancies=1, supercell=supercell)
    assert made.composition["Li"] == n_lithium - 1


@pytest.mark.parametrize(
    "supercell",
    [0, 1.0, True, "2", (2, 2), (1, 2, 3, 4), (1, 0, 1), [[1, 0], [0, 1]], np.ones((3, 3), int)],
)
def test_what_is_no_supercell(supercell):
    told = (
        "supercell must be an int, three of them or a (3, 3) array of them that spans a cell, but "
        f"is {supercell!r}"
    )
    with pytest.raises(ValueError, match=re.escape(told)):
        make_vacancies(chain(2), supercell=supercell)


def test_only_sites_of_the_element_alone_are_emptied():
    host = chain(4, ("Li+", "O2-"))
    host.replace(0, {"Li+": 0.5, "Na+": 0.5})
    (made,) = make_vacancies(host, n_vacancies=3, supercell=1)
    assert made.composition.get_el_amt_dict() == {"Li": 0.5, "Na": 0.5, "O": 4}
    with pytest.raises(StructureError, match="4 vacancies are asked for, but the cell holds 3 Li"):
        make_vacancies(host, n_vacancies=4, supercell=1)


def test_a_crystal_of_the_element_alone_keeps_an_atom():
    alone = Structure(Lattice.cubic(3), ["Li"], [[0, 0, 0]]) * (3, 1, 1)
    assert len(make_vacancies(alone, n_vacancies=2, supercell=1)[0]) == 1
    with pytest.raises(StructureError, match="3 vacancies would leave no atom in the cell"):
        make_vacancies(alone, n_vacancies=3, supercell=1)


def test_the_sites_that_are_left_keep_their_order():
    host = chain(6)
    for distinct in (True, False):
        for made in make_vacancies(
            host, 3, n_vacancies=2, supercell=1, distinct=distinct, random_state=1
        ):
            places = [host.index(site) for site in made]
            assert places == sorted(places)
            assert len(places) == 10


def test_all_structures_share_one_arrangement():
    host = Structure(Lattice.cubic(3), [{"Ni": 0.5, "Co": 0.5}, "Li"], [[0, 0, 0], [0.5] * 3])
    options = {"n_vacancies": 1, "supercell": (4, 2, 1), "order": True, "distinct": False}
    first, *others = make_vacancies(host, 4, **options, random_state=3)
    metals = {site.species_string: None for site in first}.keys()
    assert metals == {"Ni", "Co", "Li"}

    def arrangement(made):
        return [
            (site.species_string, *site.frac_coords.round(6).tolist())
            for site in made
            if site.species_string != "Li"
        ]

    assert all(arrangement(other) == arrangement(first) for other in others)
    assert first.composition["Ni"] == first.composition["Co"] == 4
    (another,) = make_vacancies(host, 1, **options, random_state=4)
    assert arrangement(another) != arrangement(first)


def test_each_sublattice_keeps_its_own_composition():
    mixed = [{"Ni": 0.75, "Co": 0.25}, {"O": 0.5, "F": 0.5}, {"Li": 0.5}, "Na"]
    coords = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    host = Structure(Lattice.cubic(6), mixed, coords) * (2, 2, 1)
    for seed in range(3):
        ordered = order_sites(host, np.random.default_rng(seed))
        assert ordered.is_ordered
        expected = {"Ni": 3, "Co": 1, "O": 2, "F": 2, "Li": 2, "Na": 4}
        assert ordered.composition.get_el_amt_dict() == expected
        for site in ordered:
            offset = tuple(np.round(site.frac_coords * [2, 2, 1] % 1, 3))
            assert (
                site.species_string
                in {
                    (0, 0, 0): {"Ni", "Co"},
                    (0.5, 0, 0): {"O", "F"},
                    (0, 0.5, 0): {"Li"},
                    (0, 0, 0.5): {"Na"},
                }[offset]
            )
    assert host.composition["Li"] == 2
    assert not host.is_ordered


@pytest.mark.parametrize(
    ("share", "fits"),
    [(0.5, True), (0.5024, True), (0.4976, True), (0.5026, False), (0.4974, False), (0.51, False)],
)
def test_shares_that_are_nearly_whole_numbers(share, fits):
    host = Structure(Lattice.cubic(3), [{"Ni": share}], [[0, 0, 0]]) * (2, 2, 1)
    if fits:
        assert order_sites(host, np.random.default_rng(0)).composition["Ni"] == 2
        return
    multiple = {0.51: 100}.get(share, "[0-9]+")
    told = (
        f"4 sites cannot hold the composition Ni{share:g} exactly; choose a supercell in which "
        f"their number is a multiple of {multiple}"
    )
    with pytest.raises(StructureError, match=told):
        order_sites(host, np.random.default_rng(0))


def test_seeds():
    def removed(seed):
        made = make_vacancies(chain(12), 2, n_vacancies=3, supercell=1, random_state=seed)
        return [[tuple(site.frac_coords) for site in one] for one in made]

    assert removed(5) == removed(5) != removed(6)
    assert removed(None) != removed(None) or removed(None) != removed(None)


def test_coordinates_in_files(tmp_path):
    third = Structure(Lattice.cubic(4), ["Li"], [[1 / 3, -0.25, 1 - 1e-10]])
    write_cif(third, tmp_path / "a.cif")
    text = (tmp_path / "a.cif").read_text()
    assert "0.33333333" in text
    assert "0.75000000" in text
    assert re.search(r"0\.0+\s", text)
    read = Structure.from_file(tmp_path / "a.cif")
    np.testing.assert_allclose(read.frac_coords, [[1 / 3, 0.75, 0]], atol=1e-8)


def test_files_and_their_names(tmp_path):
    source = tmp_path / "host.x.cif"
    chain(6).to(filename=str(source))
    options = {"n_vacancies": 1, "supercell": 1, "random_state": 0}
    folder = tmp_path / "new" / "inner"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = make_vacancy_files(source, folder, n_structures=2, distinct=False, **options)
    assert files == [folder / "host.x_aug0.cif", folder / "host.x_aug1.cif"]
    expected = make_vacancies(Structure.from_file(source), 2, distinct=False, **options)
    for file, one in zip(files, expected, strict=True):
        assert Structure.from_file(file).matches(one)
    assert make_vacancy_files(str(source), **options) == [tmp_path / "host.x_aug0.cif"]
    with pytest.raises(FileExistsError, match=r"aug0\.cif exists already; remove it or choose"):
        make_vacancy_files(source, **options)
    for path in (tmp_path / "none.cif", tmp_path):
        with pytest.raises(StructureError, match=f"{re.escape(str(path))}: no such file"):
            make_vacancy_files(path)
    with pytest.raises(StructureError, match=r"host\.x\.cif: .* holds no K"):
        make_vacancy_files(source, element="K")
    with pytest.raises(ValueError, match=r"^n_vacancies must be at least 1, but is 0"):
        make_vacancy_files(source, n_vacancies=0)


def test_what_pymatgen_repairs_is_not_warned_of(tmp_path):
    """It rounds thirds, which the documentation says."""
    host = Structure(Lattice.hexagonal(3, 9), ["Li", "O"], [[1 / 3, 2 / 3, 0], [0, 0, 0.5]])
    host.to(filename=str(tmp_path / "a.cif"))
    text = (tmp_path / "a.cif").read_text()
    (tmp_path / "a.cif").write_text(re.sub(r"0\.3333\d+", "0.3333", text))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        (file,) = make_vacancy_files(tmp_path / "a.cif", supercell=2, n_vacancies=1)
    assert Structure.from_file(file).formula == "Li7 O8"


def test_supercells_that_take_gigabytes_are_refused(monkeypatch):
    lithium = Structure.from_spacegroup("Im-3m", Lattice.cubic(3.51), ["Li"], [[0, 0, 0]])
    with pytest.raises(ValueError, match="would hold 2000000000 sites, and may hold 100,000"):
        make_vacancies(lithium, supercell=1000)
    monkeypatch.setattr(_make, "_MOST_PLACES", 96 * 8 * 16)
    (made,) = make_vacancies(lithium, n_vacancies=2, supercell=2)
    assert len(made) == 14
    monkeypatch.setattr(_make, "_MOST_PLACES", 96 * 8 * 16 - 1)
    with pytest.raises(StructureError, match=r"768 symmetry operations of 16 .*--equivalent"):
        make_vacancies(lithium, n_vacancies=2, supercell=2)
    (made,) = make_vacancies(lithium, n_vacancies=2, supercell=2, distinct=False)
    assert len(made) == 14


def test_few_places_are_in_memory_at_a_time():
    lithium = Structure.from_spacegroup("Im-3m", Lattice.cubic(3.51), ["Li"], [[0, 0, 0]])
    lithium.make_supercell(4)
    tracemalloc.start()
    places = site_permutations(lithium, range(128))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert places.shape == (96 * 64, 128)
    assert (np.sort(places) == np.arange(128)).all()
    assert most < 40e6


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("  1\n  O", "  .\n  O", "_atom_site_occupancy holds '[.]'"),
        ("  Li  Li0", "  Vac  Va0", "the symbol 'Vac', which names no single element"),
        ("'x, y, z'", "x,y,0", "a symmetry operation is 'x,y,0', which no crystal has"),
    ],
)
def test_what_is_refused_elsewhere_is_refused_here(old, new, cause, tmp_path):
    """A CIF of vacancies would hide what pymatgen took for something else."""
    file = tmp_path / "a.cif"
    host = Structure(Lattice.cubic(4), ["Li", "Li", "O"], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0]])
    host.to(filename=str(file))
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    options = {"supercell": 2, "n_vacancies": 1}
    with pytest.raises(StructureError, match=rf"a\.cif: .*{cause}"):
        make_vacancy_files(file, **options)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_of_which_pymatgen_reads_another_crystal(tmp_path):
    """It does not see the first block behind a byte order mark, and multiplies places."""
    file = tmp_path / "a.cif"
    texts = [str(CifWriter(chain(*a))).partition("\n")[2] for a in ((6,), (8, ("Li", "F")))]
    file.write_text("\ufeff" + "".join(texts), encoding="utf-8")
    with pytest.raises(StructureError, match=r"a\.cif: pymatgen reads another crystal from it"):
        make_vacancy_files(file)
    file = tmp_path / "POSCAR"
    file.write_text("a\n-64\n4 0 0\n0 4 0\n0 0 4\nLi\n2\nCartesian\n0 0 0\n0.5 0.5 0.5\n")
    with pytest.raises(StructureError, match="POSCAR: pymatgen reads another crystal from it"):
        make_vacancy_files(file)


def test_files_are_written_all_or_none(tmp_path, monkeypatch):
    write = _files.write_cif

    def full(structure, file):
        if "aug2" in file.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        write(structure, file)

    host = tmp_path / "host.cif"
    chain(6).to(filename=str(host))
    options = {"n_structures": 3, "n_vacancies": 1, "supercell": 1, "distinct": False}
    with monkeypatch.context() as patched:
        patched.setattr(_files, "write_cif", full)
        with pytest.raises(OSError, match="No space"):
            make_vacancy_files(host, **options)
    assert list(tmp_path.iterdir()) == [host]
    assert len(make_vacancy_files(host, **options)) == 3
