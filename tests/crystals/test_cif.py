"""The fast reader of CIFs: what pymatgen reads, or nothing."""

import csv
import gzip
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutants import mutate
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from skcgcnn import CrystalGraphTransformer
from skcgcnn.crystals import parse_cif, read_crystal
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import StructureError

P1 = """data_test
_cell_length_a 4.1
_cell_length_b 4.2(1)
_cell_length_c 4.3
_cell_angle_alpha 90
_cell_angle_beta 95.5(12)
_cell_angle_gamma 90
loop_
_symmetry_equiv_pos_as_xyz
{operations}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


def cif(*sites, operations=("x,y,z",)):
    return P1.format(
        operations="\n".join(f"'{operation}'" for operation in operations), sites="\n".join(sites)
    )


def by_pymatgen(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_crystal(Structure.from_str(text, fmt="cif"))


def assert_same(fast, slow):
    np.testing.assert_allclose(fast.lattice, slow.lattice, rtol=0, atol=1e-9)
    np.testing.assert_allclose(fast.coords, slow.coords, rtol=0, atol=1e-8)
    assert [[z for z, _ in site] for site in fast.species] == [
        [z for z, _ in site] for site in slow.species
    ]
    occupancies = [
        [occupancy for site in crystal.species for _, occupancy in site] for crystal in (fast, slow)
    ]
    np.testing.assert_allclose(*occupancies, atol=1e-9)


def test_bundled_crystals():
    for path in load_sample_regression().data[::6]:
        text = Path(path).read_text()
        assert_same(parse_cif(text), by_pymatgen(text))


def test_cod_crystals(reference):
    for path in (reference / "sample-cifs").glob("*.cif"):
        assert_same(parse_cif(path.read_text()), by_pymatgen(path.read_text()))


@pytest.mark.parametrize("name", ["perov5_val", "carbon24_val"])
def test_one_in_forty_of(shared, name):
    text = gzip.decompress((shared / "data" / f"{name}.csv.gz").read_bytes()).decode()
    for row in list(csv.DictReader(io.StringIO(text)))[::40]:
        assert_same(parse_cif(row["cif"]), by_pymatgen(row["cif"]))


@given(
    group=st.sampled_from(["P-1", "P2_1/c", "Cmcm", "I4/mmm", "R-3m", "P6_3/mmc", "Fd-3m", "Pnma"]),
    x=st.sampled_from([0.0, 0.1234, 0.25, 1 / 3, 0.5]),
    y=st.sampled_from([0.0, 0.25, 2 / 3, 0.777]),
    occupancy=st.sampled_from([1, 0.5, 0.25]),
    order=st.permutations(["Li", "Co", "O"]),
)
def test_space_groups_and_occupancies(group, x, y, occupancy, order):
    lattice = {
        "P-1": Lattice.from_parameters(5, 6, 7, 80, 95, 100),
        "P2_1/c": Lattice.monoclinic(5, 6, 7, 100),
        "I4/mmm": Lattice.tetragonal(4, 9),
        "R-3m": Lattice.hexagonal(4, 15),
        "P6_3/mmc": Lattice.hexagonal(4, 9),
        "Fd-3m": Lattice.cubic(8),
    }.get(group, Lattice.orthorhombic(5, 6, 7))
    coords = [[0, 0, 0], [x, y, 0.41], [0.5, 0.5, 0.5]]
    species = [{order[0]: occupancy}, order[1], {order[2]: 0.75, "Al": 0.25}]
    structure = Structure.from_spacegroup(group, lattice, species, coords, tol=1e-3)
    text = str(CifWriter(structure, symprec=1e-3 if occupancy == 1 else None))
    fast = parse_cif(text)
    try:
        slow = by_pymatgen(text)
    except (StructureError, ValueError):
        assert fast is None
    else:
        if fast is not None:
            assert_same(fast, slow)


@pytest.mark.parametrize(
    ("site", "species"),
    [
        ("Fe1 Fe3+ 0 0 0 1", [((26, 1.0),)]),
        ("'Na 1' Na1+ 0.1 0.2 0.3 1.0", [((11, 1.0),)]),
        ("D1 D 0 0 0 0.5", [((1, 0.5),)]),
        ("O1 O2- 0.3333 0.6667 0 ?", [((8, 1.0),)]),
        ("co1 CO 0.25(3) 0.5 0 0.8(1)", [((27, 0.8),)]),
        ("C1 . 0 0 0 1", None),
    ],
)
def test_symbols_labels_and_uncertainties(site, species):
    text = cif(site)
    if species is None:
        with pytest.raises(StructureError, match="names no single element"):
            parse_cif(text)
        return
    fast = parse_cif(text)
    assert fast.species == species
    assert_same(fast, by_pymatgen(text))


def test_records_on_one_site_share_it():
    text = cif("Ni1 Ni 0 0 0 0.5", "O1 O .5 .5 .5 1", "Co1 Co 0 0 0 0.3", "Al1 Al 0 0 0 0.2")
    assert_same(parse_cif(text), by_pymatgen(text))
    assert ((13, 0.2), (27, 0.3), (28, 0.5)) in parse_cif(text).species
    centerd = cif(
        "Ni1 Ni 0 0 0 .5", "Co1 Co .5 .5 .5 .5", operations=("x,y,z", "x+1/2,y+1/2,z+1/2")
    )
    assert_same(parse_cif(centerd), by_pymatgen(centerd))
    assert parse_cif(centerd).species == [((27, 0.5), (28, 0.5))] * 2


def test_empty_records_are_left_out():
    text = cif("Ni1 Ni 0 0 0 0", "O1 O .5 .5 .5 1", "Co1 Co 0.1 0 0 0.0")
    assert parse_cif(text).species == [((8, 1.0),)]
    assert_same(parse_cif(text), by_pymatgen(text))


def test_full_and_partial_sites_of_an_element_have_the_order_of_pymatgen():
    # Their electronegativities are the same: names make the order, and those have occupancies.
    text = cif("Cu1 Cu 0 0 0 0.5", "Cu2 Cu .5 .5 .5 1", "Cu3 Cu 0 .5 0 0.25")
    assert_same(parse_cif(text), by_pymatgen(text))
    assert parse_cif(text).species == [((29, 1.0),), ((29, 0.25),), ((29, 0.5),)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no cif",
        cif("Na1 Na 0 0 0 1") + cif("Na1 Na 0 0 0 1"),
        cif("Na1 Na 0 0 0 1").replace("_symmetry_equiv_pos_as_xyz", "_nothing"),
        cif("Na1 Na 0 0 0 1", operations=("x,y,z", "x+0.123,y,z")),
        cif("Na1 Na 0 0 0 1", "Cl1 Cl 0.00012 0 0 1"),
        cif("Ow1 Ow 0 0 0 1"),
        cif("Na1 Na 0 0 0 1.2"),
        cif("Na1 Na zero 0 0 1"),
        cif("Na1 Na 0 0 0 1").replace("90", "0"),
        cif("Na1 Na 0 0 0 1") + "_space_group_magn.number_BNS 1.1\n",
        cif("Fe1 Fe2+ 0 0 0 1", "Fe2 Fe3+ .5 .5 .5 1")
        + "loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nFe2+ 2\nFe3+ 3\n",
    ],
)
def test_what_it_is_not_sure_of_it_leaves(text):
    assert parse_cif(text) is None


def test_a_formula_that_the_sites_do_not_have():
    whole = cif("Na1 Na 0 0 0 1", "Cl1 Cl .5 .5 .5 1") + "_chemical_formula_sum 'Na2 Cl2'\n"
    assert parse_cif(whole).notes == ()
    (note,) = parse_cif(whole.replace("Cl1 Cl .5 .5 .5 1\n", "")).notes
    assert "Na2 Cl2" in note


@pytest.mark.parametrize(("formula", "is_told"), [("C2", 0), ("C", 0), ("C6", 0), ("C3", 1)])
def test_a_formula_of_one_element_of_which_sites_are_missing(formula, is_told):
    """One of several units or a part of one may be meant, but not 3 atoms for 2."""
    notes = parse_cif(cif("C1 C 0 0 0 1", "C2 C .5 .5 .5 1") + f"_chemical_formula_sum {formula}\n")
    assert len(notes.notes) == is_told


@pytest.mark.parametrize("several", [False, True], ids=["fast", "by pymatgen"])
def test_a_cell_that_does_not_have_its_volume(several):
    """A length of another file is seen where both are told."""
    text = cif("Na1 Na 0.1 0.2 0.3 1", "Cl1 Cl 0.6 0.7 0.8 1")
    volume = "_cell_volume {}\n" + several * "_space_group_magn.number_BNS 1.1\n"
    assert (parse_cif(text + volume.format("73.71(5)")) is None) == several
    for told in ("73.71(5)", "?", "unknown"):
        assert not any("volume" in note for note in read_crystal(text + volume.format(told)).notes)
    found = read_crystal(text + volume.format(74.1)).notes
    assert "its cell of 73.7051 Å³ does not have its volume (_cell_volume 74.1)" in found


def test_a_column_of_multiplicities_that_are_none():
    """Names of columns in each other's place give other coordinates."""
    text = cif("Na1 Na 0.1 0.2 0.3 1", "Cl1 Cl 0.6 0.7 0.8 1")
    sound = text.replace(" 1\n", " 1 1\n").replace("pancy\n", "pancy\n{}\n")
    name = "_atom_site_symmetry_multiplicity"
    assert parse_cif(sound.format(name)).notes == ()
    swapped = sound.replace("_fract_z", "_fract_{0}").replace("{}", "_atom_site_fract_z")
    swapped = swapped.replace("_atom_site_fract_{0}", name)
    with pytest.raises(StructureError, match=f"{name} holds '0.3'; write a whole number"):
        read_crystal(swapped)


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", "\0" * 9), ("utf-16", "")])
def test_bytes_of_zero(tmp_path, encoding, end):
    """A disk that failed leaves them behind a file; they take no time."""
    path = tmp_path / "a.cif"
    path.write_text(cif("Na1 Na 0.1 0.2 0.3 1") + end, encoding=encoding)
    with pytest.raises(StructureError, match="holds bytes of zero"):
        read_crystal(path)


def test_a_crystal_that_was_cut_before_another():
    """The other is not taken for it without a remark; blocks without a cell do not matter."""
    text = cif("Na1 Na 0.1 0.2 0.3 1", "Cl1 Cl 0.6 0.7 0.8 1")
    cut = text[: text.index("_atom_site_type")].replace("_test", "_cut")
    (note,) = read_crystal(f"{cut.removesuffix('_atom_site_label' + chr(10))[:-6]}\n{text}").notes
    assert "a cell before that of its crystal has no sites" in note
    assert parse_cif(f"data_journal\n_journal_year 2020\n{text}").notes == ()


def outcome(path, text):
    """Return the graphs of a file with this text, or its failure."""
    path.write_text(text, encoding="utf-8", newline="")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return CrystalGraphTransformer().transform([path])
        except StructureError as error:
            return error


PLAIN = cif("Na1 Na 0.1 0.2 0.3 1", "Cl1 Cl 0.6 0.7 0.8 1")
ALTERED = {
    "a length": ("4.1", "4_0.1", "'4_0.1'; write it without the underscore"),
    "a coordinate": ("0.6", "0.6_1", "'0.6_1'"),
    "a minus sign": ("0.6", "\u22120.6", "_atom_site_fract_x holds '~0.6'"),
    "digits of other scripts": ("0.6", "0.\uff166", "'0.~6'"),
    "a letter of another script": (" Cl ", " \u0421u ", "_atom_site_type_symbol holds '~u'"),
}


@pytest.mark.parametrize("several", [False, True], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize("kind", ALTERED)
def test_no_character_is_left_out_of_numbers_and_symbols(kind, several):
    before, after, message = ALTERED[kind]
    more = "\n" + PLAIN.replace("data_test", "data_more") if several else ""
    assert (parse_cif(PLAIN + more) is None) == several
    read_crystal(PLAIN + more)
    with pytest.raises(StructureError, match=re.escape(message)):
        read_crystal(PLAIN.replace(before, after, 1) + more)


def test_a_label_counts_where_no_symbol_is_given():
    plain = re.sub(r"(?m)^_atom_site_type_symbol\n| (Na|Cl)(?= )", "", PLAIN)
    assert_same(read_crystal(plain), read_crystal(PLAIN))
    with pytest.raises(StructureError, match="_atom_site_label holds '~u1'"):
        read_crystal(plain.replace("Cl1", "\u0421u1"))


def test_characters_elsewhere_change_nothing():
    text = PLAIN.replace("data_test", "data_test\n_author 'M\u00fcller 1_555'\n_id_ 1_000")
    text = "\ufeff" + text.replace("0.6 ", "0.6\u00a0 ").replace("Cl1", "Cl1\u2032")
    assert_same(read_crystal(text), read_crystal(PLAIN))


@pytest.mark.slow
def test_mutants_give_a_graph_or_a_structure_error(tmp_path, cifs):
    texts = [Path(path).read_text() for path in cifs]
    outcomes = [
        outcome(tmp_path / "mutant.cif", mutate(texts[seed % len(texts)], seed))
        for seed in range(200)
    ]
    failed = [result for result in outcomes if isinstance(result, StructureError)]
    assert 20 < len(failed) < 180
    assert all("mutant.cif" in str(error) for error in failed)
    for graphs in outcomes:
        if not isinstance(graphs, StructureError):
            assert graphs.n_sites[0] > 0
            assert np.isfinite(graphs.distances).all()


def test_mutants_are_read_as_pymatgen_reads_them(cifs):
    texts = [Path(path).read_text() for path in cifs]
    compared = 0
    for seed in range(1000, 1300):
        text = mutate(texts[seed % len(texts)], seed)
        try:
            fast = parse_cif(text)
            slow = fast and by_pymatgen(text)
        except (StructureError, ValueError):
            continue
        if fast is not None:
            assert_same(fast, slow)
            compared += 1
    assert compared > 20


@pytest.mark.parametrize("gap", [2e-5, 4e-5, 6e-5, 9e-5, 1.1e-4, 1.5e-4, 1.9e-4, 2.1e-4, 3e-4])
@pytest.mark.parametrize("n_more", [0, 70])
def test_sites_that_nearly_coincide(gap, n_more):
    """What is read is what pymatgen reads, or nothing: also where many images take the tree."""
    more = [f"O{i} O .5 {0.1 + i / 100:.3f} .5 1" for i in range(n_more)]
    text = cif("Na1 Na 0 0 0 .5", f"K1 K {1 - gap:.6f} 0 0 .5", *more)
    fast = parse_cif(text)
    assert (fast is not None) == (gap < 5e-5 or gap > 2e-4)
    if fast is not None:
        assert_same(fast, by_pymatgen(text))
        assert len(fast.species) == n_more + (1 if gap < 1e-4 else 2)


@pytest.mark.parametrize("lengths", [(4, 5, 6), (0.03, 5, 6), (4, 0.03, 6), (4, 5, 0.03)])
@pytest.mark.parametrize(
    "angles", [(90, 90, 90), (70, 80, 95), (120, 119.9, 119.9), (90, 29, 90), (29, 90, 90)]
)
def test_thin_cells(lengths, angles):
    """Cells that may be thinner than 0.02 Å are left to pymatgen; others have its lattice."""
    text = cif("Na1 Na 0 0 0 1")
    values = {"a": 4.1, "b": "4.2(1)", "c": 4.3, "alpha": 90, "beta": "95.5(12)", "gamma": 90}
    kinds = ("length", "length", "length", "angle", "angle", "angle")
    for (name, old), kind, new in zip(values.items(), kinds, (*lengths, *angles), strict=True):
        text = text.replace(f"_cell_{kind}_{name} {old}", f"_cell_{kind}_{name} {new}")
    lattice = Lattice.from_parameters(*lengths, *angles)
    thickness = min(
        lattice.volume / np.linalg.norm(np.cross(*pair))
        for pair in (lattice.matrix[[0, 1]], lattice.matrix[[1, 2]], lattice.matrix[[2, 0]])
    )
    fast = parse_cif(text)
    if thickness < 0.015:
        assert fast is None
    if angles == (90, 90, 90):
        assert fast is not None
    if fast is not None:
        np.testing.assert_allclose(fast.lattice, lattice.matrix, atol=1e-12)


@pytest.mark.parametrize("angles", [(50, 50, 170), (50, 50, 101), (20, 60, 10), (179, 1, 90)])
def test_angles_that_no_cell_has(angles):
    text = cif("Na1 Na 0 0 0 1")
    old = (("alpha", "90"), ("beta", "95.5(12)"), ("gamma", "90"))
    for (name, value), angle in zip(old, angles, strict=True):
        text = text.replace(f"_cell_angle_{name} {value}", f"_cell_angle_{name} {angle}")
    assert parse_cif(text) is None
    with pytest.raises(StructureError):
        read_crystal(text)


@pytest.mark.parametrize(("b", "is_read"), [("4.1", True), ("4.195", True), ("4.215", False)])
def test_how_much_a_cell_may_differ_under_its_operations(b, is_read):
    """By a twentieth of squared lengths: files round, and some are nearly symmetric."""
    text = cif("Na1 Na .1 .2 .3 1", operations=("x,y,z", "-y,x,z", "-x,-y,z", "y,-x,z"))
    text = text.replace("95.5(12)", "90").replace("4.2(1)", b)
    if is_read:
        assert len(read_crystal(text).species) == 4
    else:
        with pytest.raises(StructureError, match="cell"):
            read_crystal(text)
