"""Where each rule of the readers of CIFs begins and ends."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pymatgen.core import Element, Structure
from pymatgen.symmetry.groups import SpaceGroup

from skcgcnn.crystals import _cif, parse_cif, read_crystal
from skcgcnn.exceptions import StructureError

CELL = """data_{name}
_cell_length_a 4
_cell_length_b 5
_cell_length_c 5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
NACL = ("Na1 Na 0.1 0.2 0.3", "Cl1 Cl 0.6 0.7 0.8")
# pymatgen reads what has it.
MAGNETIC = "_space_group_magn.number_BNS 1.1\n"
IDENTITY = ("x,y,z",)


def cif(*rows, more="", columns=(), operations=IDENTITY, name="x", tag=None):
    """Return the text of a CIF with a label, a symbol and coordinates for each site."""
    text = CELL.format(name=name) + more
    if operations:
        tag = tag or "_symmetry_equiv_pos_as_xyz"
        text += f"loop_\n{tag}\n" + "".join(f"'{one}'\n" for one in operations)
    names = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", *columns)
    text += "loop_\n" + "".join(f"_atom_site_{name}\n" for name in names)
    return text + "".join(f"{row}\n" for row in rows or NACL)


def fractions(crystal):
    return crystal.coords @ np.linalg.inv(crystal.lattice)


def refused(text):
    """Return why a text is refused."""
    with pytest.raises(StructureError) as caught:
        read_crystal(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("formula", "is_told"),
    [
        ("'Na1 Cl1'", False),
        ("'Na Cl'", False),
        ("'Na2 Cl2'", False),
        ("'Na3 Cl3'", False),
        ("'Na0.5 Cl.5'", False),
        ("'Na Na Cl Cl'", False),
        ("'Na1.5 Cl1.5'", True),
        ("'Na2 Cl1'", True),
        ("'Na1 Cl1 O1'", True),
        ("Na1", True),
        ("'Na1.005 Cl1'", False),
        ("'Na1.02 Cl1'", True),
        ("'Na0.2505 Cl0.2505'", False),
        ("'Na0.247 Cl0.247'", True),
        ("'Na4.02 Cl4.02'", False),
        ("'Na4.06 Cl4.06'", True),
        ("'(Na Cl)2'", False),
        ("'Na1 Cl1 Xx1'", False),
        ("'Na0 Cl1'", False),
        ("'Na. Cl'", False),  # no formula
        ("NaCl", False),
        ("Na3Cl3", False),
        ("Na2Cl1.5", True),
        ("'Na1Cl1'", False),
        ("'Na1 Cl1O1'", True),
        ("'Na1 Cl1 NO3'", True),
        ("'Na1 CL'", False),  # perhaps chlorine
        ("'Na2Cl3 B'", False),  # perhaps a phase
        ("'O Na2Cl3'", True),
        ("NaClO", True),
        ("Na0.5Cl1.5", True),
        ("'NaCl.2H2O'", False),  # a hydrate
        ("NaCl2.2H2O", False),
        ("NACL", False),  # perhaps of other elements
        ("CO", False),
        ("Na(Cl)", False),
        ("?", False),
        (".", False),
    ],
)
def test_formulas(formula, is_told):
    notes = parse_cif(cif(more=f"_chemical_formula_sum {formula}\n")).notes
    told = f"its sites do not have its formula ({formula.strip(chr(39))}); some may be missing"
    assert notes == ((told,) if is_told else ())


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("formula", "units", "told"),
    [
        ("'Na1 Cl1'", "1", ""),
        ("'Na1 Cl1'", "2", "its sites are 1 units of its formula (Na1 Cl1), not 2"),
        ("'Na1 Cl1'", "'2'", "its sites are 1 units of its formula (Na1 Cl1), not '2'"),
        ("'Na0.5 Cl0.5'", "2", ""),
        ("'Na0.25 Cl0.25'", "4(1)", ""),
        ("'Na0.25 Cl0.25'", "?", ""),
        ("'Na0.25 Cl0.25'", "2", "its sites are 4 units of its formula (Na0.25 Cl0.25), not 2"),
        ("'Na2 Cl2'", "?", ""),
        ("'Na2 Cl2'", "0.5", ""),
        ("'Na2 Cl2'", "2", "its sites are 0.5 units of its formula (Na2 Cl2), not 2"),
        ("'Na1.5 Cl1.5'", "1", "its sites do not have its formula (Na1.5 Cl1.5)"),
    ],
)
def test_units_of_the_formula(formula, units, told, more):
    tags = f"_chemical_formula_sum {formula}\n_cell_formula_units_Z {units}\n"
    text = cif(more=f"{more}{tags}")
    assert (parse_cif(text) is None) == bool(more)
    notes = [note for note in read_crystal(text).notes if note.startswith("its sites")]
    assert len(notes) == bool(told)
    assert all(note.startswith(told) for note in notes)


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("old", "new", "shortest"),
    [
        ("angle_alpha 90", "angle_alpha 4.9", "0.427"),
        ("angle_alpha 90", "angle_alpha 20", ""),
        ("length_c 5", "length_c 400", ""),
        ("length_c 5", "length_c 0.9", "0.9"),
    ],
)
def test_lattices_that_repeat_after_less_than_a_distance_of_atoms(old, new, shortest, more):
    """As where an angle and a length are in each other's place."""
    text = cif(more=more)
    assert not read_crystal(text).notes
    assert old in text
    told = f"its lattice repeats after {shortest} Å, less than any distance of atoms; check that no"
    notes = [one for one in read_crystal(text.replace(old, new)).notes if "repeats" in one]
    assert [one.startswith(told) for one in notes] == [True] * bool(shortest)


@pytest.mark.parametrize("formula", ["'CaSO4·2H2O'", "Na₂Cl₃", "'Na1–x Cl'"])
def test_formulas_with_letters_that_are_not_ascii(formula):
    """Of the others alone, they are another formula."""
    assert read_crystal(cif(more=f"_chemical_formula_sum {formula}\n")).notes == ()
    value = formula.strip("'")
    for odd in (f"\n;\n{value}\n;", f"\n;{value}\n;", f"\n# é\n {formula}", f" {formula} # é"):
        for tag in ("_chemical_formula_sum", "\t_chemical_formula_sum"):
            assert read_crystal(cif(more=f"{tag}{odd}\n")).notes == ()
    notes = read_crystal(cif(more=f"_chemical_formula_sum Na2Cl # of {formula}\n")).notes
    assert notes == ("its sites do not have its formula (Na2Cl); some may be missing",)


@pytest.mark.parametrize(
    "above",
    [
        "CIF file written using JARVIS-Tools package.\n",
        "\n\nof a program\n \n",
        "Überschrift\n# a comment\n#\n",
        "Created by VESTA 3 on 12 5 2020\nT 300 K p 1 bar Z 4\r",
    ],
)
def test_text_above_the_first_block(above):
    text = above + cif(more="_chemical_formula_sum 'Na1 Cl1'\n")
    assert read_crystal(text).notes == ()
    lost = text.replace("Na1 Cl1", "Na1 Cl2")
    assert read_crystal(lost).notes == (
        "its sites do not have its formula (Na1 Cl2); some may be missing",
    )
    # Perhaps of another crystal.
    sites = ("Na1 Na 0 .5 0\n", "Na1 Na 0.1(1) 0.2(1) 0\n", "Na1 1/4 0 ?\n", "Na1 Cl1 1.98(2) .\n")
    sites += ("Na1 Na 0. 0. 1e-05\n", "Na1 .5 -0.0e+00 1/3\n", "Na1 Cl1 90 2_555 3_655\n")
    for other in ("_cell_volume 9\n", "loop_\n", *sites):
        try:
            told = str(read_crystal(other + text).notes)
        except StructureError as error:
            told = str(error)
        assert "is not a well-formed CIF" in told


def test_a_loop_without_values(tmp_path):
    """As pymatgen writes of a magnetic crystal whose moments are 0."""
    loop = "loop_\n _atom_site_moment_label\n _atom_site_moment_crystalaxis_x\n"
    ends = ("\n\n", "#END\n", "\n# of a program\nloop_\n_x\n1\n", "_cell_volume 100\n")
    loops = (loop, loop.replace("loop_", " LOOP_ # none"))
    ends += ("", " # none", "  ")  # without the end of the last line
    texts = [cif() + one.rstrip() + end for one in loops for end in ends]
    file = tmp_path / "old.cif"
    for text in (cif(more=loop), *texts):
        file.write_bytes(text.replace("\n", "\r").encode())
        assert read_crystal(file).notes == ()
        crystal = read_crystal(text)
        assert len(crystal.species) == 2
        assert crystal.notes == ()
    lost = cif(operations=("",)).replace("''\n", "")  # no moments
    assert refused(lost).startswith("has a loop without values (_symmetry_equiv_pos_as_xyz, ...);")


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
def test_spins_behind_symbols(more):
    """As pymatgen writes them."""
    text = cif("Mn1 Mn2+,spin=5 0.1 0.2 0.3", "O1 O2-,spin=-0.5 .6 .7 .8", more=more)
    assert read_crystal(text).species == [((25, 1.0),), ((8, 1.0),)]
    assert "names no single element" in refused(text.replace(",spin=5", ",Fe"))


def test_a_magnetic_crystal_without_symmetry():
    loop = "loop_\n_atom_site_moment_label\n_atom_site_moment_crystalaxis_x\n"
    moments = loop + "Na1 2.0\nCl1 0.0\n"
    more = f"{loop}_atom_site_other\nNa1 2.0 1\nCl1 0.0 2\n"
    for text in (cif() + moments, cif() + more, cif(more=more)):
        crystal = read_crystal(text)
        assert len(crystal.species) == 2
        assert crystal.notes == ()
    comment = "# _symmetry_equiv_pos_as_xyz\n"
    notes = read_crystal(cif(more=comment, operations=()) + moments).notes
    assert "No magnetic symmetry detected" in notes[0]


@pytest.mark.parametrize("tag", ["_symmetry_space_group_name_Hall", "_space_group_name_Hall"])
@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
def test_the_identity_beside_a_hall_symbol(tag, more):
    assert read_crystal(cif(more=f"{tag} 'P 1'\n{more}")).notes == ()
    assert read_crystal(cif(more=f"{tag} 'none'\n{more}")).notes == ()
    for symbol, n in (("-F 4 2 3", 192), ("C 1", 2), ("C -2yc (x+y,y,z)", 4), ("P_2ac_2ab", 4)):
        notes = read_crystal(cif(more=f"{tag} '{symbol}'\n{more}")).notes
        told = f"lists 1 symmetry operation, but its Hall symbol {symbol!r} has {n}; check them"
        assert told in notes


@pytest.mark.parametrize("name", ["'F m -3 m'", "Fm-3m", "225"])
def test_a_group_that_is_named_is_made_once(name, monkeypatch):
    """It takes pymatgen a second."""
    tag = "_space_group_IT_number" if name.isdecimal() else "_symmetry_space_group_name_H-M"
    rows = ("Na1 Na 0 0 0", "Cl1 Cl .5 .5 .5")
    text = cif(*rows, more=f"{tag} {name}\n", operations=()).replace("_a 4", "_a 5")
    made, made_once = [], SpaceGroup._generate_full_symmetry_ops
    monkeypatch.setattr(
        SpaceGroup, "_generate_full_symmetry_ops", lambda group: made.append(1) or made_once(group)
    )
    for _ in range(3):
        assert len(read_crystal(text).species) == 8
    assert len(made) <= 1  # none where another test has named it


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
def test_all_sites_beside_a_hall_symbol(more):
    """As many as the formula says, though the symmetry is that of the identity."""
    more += "_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 1\n"
    more += "_symmetry_space_group_name_Hall '-P 1'\n"
    assert read_crystal(cif(more=more)).notes == ()
    assert len(read_crystal(cif(more=more.replace("Z 1", "Z 2"))).notes) >= 1
    assert read_crystal(cif(more=more).replace("\n", "\r")).notes == ()


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize("symbol", ["He", "Ne", "Ar"])
def test_noble_gases_have_no_electronegativity(symbol, more):
    """It is computed once in a process, and here anew."""
    Element(symbol).__dict__.pop("X", None)
    _cif._sort_key.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_crystal(cif(f"{symbol}1 {symbol} 0 0 0", more=more)).notes == ()


def test_threads_do_not_take_each_other_s_warnings():
    """Which tell that a group that is named is not known."""
    name = "_symmetry_space_group_name_H-M"
    texts = [cif("Na1 Na 0 0 0", more=f"{name} {one}\n", operations=()) for one in ("Pmmm", "Zz9")]

    def read(text):
        try:
            crystal = read_crystal(text)
        except StructureError as error:
            return str(error)
        return len(crystal.species), crystal.notes

    expected = [read(text) for text in texts] * 40
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(read, texts * 40)] == expected
    assert "no symmetry operations that are understood" in expected[1]


def test_formulas_where_every_site_is_nearly_empty():
    """As where occupancies and displacements are in each other's place."""
    more = "_chemical_formula_sum 'Na1 Cl1'\n"
    for share, is_told in ((".0071", True), (".0062", True), (".0100", True), (".25", False)):
        notes = read_crystal(
            cif(
                f"Na1 Na .1 .2 .3 {share}",
                f"Cl1 Cl .6 .7 .8 {share}",
                columns=("occupancy",),
                more=more,
            )
        ).notes
        assert any("formula" in note for note in notes) == is_told


@pytest.mark.parametrize("quote", ["{}", "'{}'", '"{}"', "\n;{}\n;\n"])
def test_claims_in_quotes(quote):
    for tag, value in (("_cell_volume", "99.5(2)"), ("_exptl_crystal_density_diffrn", "99")):
        notes = read_crystal(cif(more=f"{tag} {quote.format(value)}\n")).notes
        assert any(tag in note for note in notes)


def test_sites_off_their_axis_have_more_images_than_the_formula_says():
    more = "_chemical_formula_sum 'Na1 Cl1'\n_cell_formula_units_Z 1\n"

    def notes(*rows):
        return read_crystal(cif(*rows, more=more, operations=("x,y,z", "-x,-y,z"))).notes

    assert notes("Na1 Na 0 0 .2", "Cl1 Cl .5 .5 .7") == ()
    (note,) = notes("Na1 Na .2 0 0", "Cl1 Cl .7 .5 .5")  # columns in each other's place
    assert note.startswith("its sites are 2 units of its formula (Na1 Cl1), not 1 (_cell_formula_")


def test_formulas_count_shares_of_sites():
    rows = ("Na1 Na 0 0 0 0.6", "K1 K 0 0 0 0.4", "Na2 Na .5 .5 .5 0.4", "K2 K .5 .5 .5 .6")
    for formula, n_notes in (("'K1 Na1'", 0), ("'K2 Na1'", 1), ("'K1 Na1 Cl1'", 1)):
        text = cif(*rows, columns=("occupancy",), more=f"_chemical_formula_sum {formula}\n")
        assert len(parse_cif(text).notes) == n_notes


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("volume", "is_told"),
    [("100.0", 0), ("100.3", 0), ("100.31(2)", 1), ("99.71", 0), ("99.69", 1), ("1", 1)],
)
def test_volumes(volume, is_told, more):
    text = cif(more=f"{more}_cell_volume {volume}\n")
    assert (parse_cif(text) is None) == bool(more)
    told = f"its cell of 100 Å³ does not have its volume (_cell_volume {volume})"
    assert (told in read_crystal(text).notes) == bool(is_told)


def test_the_volume_of_a_cell_in_a_table():
    tags = [f"_cell_length_{one}" for one in "abc"]
    tags += [f"_cell_angle_{one}" for one in ("alpha", "beta", "gamma")]
    lines = [line for line in cif().splitlines() if not line.startswith(tuple(tags))]
    for values, is_told in (("4 5 5 90 90 90", False), ("4 5 6 90 90 90", True)):
        table = "\n".join(["loop_", *tags, values, "_cell_volume 100.0"])
        notes = read_crystal("\n".join([lines[0], table, *lines[1:]])).notes
        assert any("does not have its volume" in one for one in notes) == is_told


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("lengths", "angles", "is_told"),
    [
        ((90, 90, 120), (3.2, 3.2, 5.1), 1),
        ((3.2, 3.2, 5.1), (90, 90, 120), 0),
        ((90,) * 3, (60,) * 3, 0),
        ((71.07,) * 3, (41.83,) * 3, 0),  # the primitive cell of MOF-210
    ],
)
def test_angles_in_the_place_of_lengths(lengths, angles, is_told, more):
    text = cif("Na1 Na 0 0 0", more=more)
    tags = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
    tags += ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
    for tag, value in zip(tags, (*lengths, *angles), strict=True):
        text = re.sub(rf"{tag} \S+", f"{tag} {value}", text)
    assert (parse_cif(text) is None) == bool(more)
    told = [note for note in read_crystal(text).notes if "in each other's place" in note]
    assert len(told) == is_told


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("place", "is_told"), [("2.0", 0), ("-1.9(2)", 0), ("2.05", 1), ("-2.05(3)", 1), ("25", 1)]
)
def test_coordinates_that_may_be_lengths_or_percent(place, is_told, more):
    text = cif("Na1 Na 0 0 0", f"Cl1 Cl 0.5 {place} 0.3", more=more)
    assert (parse_cif(text) is None) == bool(more)
    told = f"has a fractional coordinate of {abs(float(place.partition('(')[0])):g}, far outside"
    assert any(note.startswith(told) for note in read_crystal(text).notes) == bool(is_told)


def test_what_pymatgen_says_of_a_long_line_is_short():
    text = cif(more=MAGNETIC).replace("_cell_length_b", f"{1000 * 'w'}\n_cell_length_b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is odd is a note, and no warning without a name
        notes = read_crystal(text).notes
    assert any("www" in note for note in notes)
    assert max(map(len, notes)) <= 300


@pytest.mark.parametrize("axis", "yz")
def test_sites_without_one_of_their_coordinates(axis):
    text = cif().replace(f"_atom_site_fract_{axis}", f"_atom_site_Cartn_{axis}")
    assert refused(text).startswith(f"its sites have no _atom_site_fract_{axis}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.33331", 1 / 3),
        ("0.3332", 0.3332),
        ("0.3335", 0.3335),
        ("0.66661", 2 / 3),
        ("0.66672(3)", 2 / 3),
        ("0.6665", 0.6665),
        ("-0.33331", 1 - 0.33331),
        ("1.25", 0.25),
        ("-7.75", 0.25),
    ],
)
def test_coordinates_near_to_thirds(written, meant):
    crystal = parse_cif(cif(f"Na1 Na {written} 0 0"))
    np.testing.assert_allclose(fractions(crystal), [[meant, 0, 0]], rtol=0, atol=1e-9)


def test_coordinates_far_outside():
    assert parse_cif(cif("Na1 Na 10000 0 0")) is not None
    for far in ("10001", "-10001"):
        expected = f"a coordinate of {far} is far outside of the cell; check it"
        assert refused(cif(f"Na1 Na 0 {far} 0")) == expected
    assert parse_cif(cif("Na1 Na inf 0 0")) is None
    lattice = 4 * np.eye(3)
    assert len(read_crystal(Structure(lattice, ["Na"], [[0, 10_000, 0]])).species) == 1
    with pytest.raises(StructureError, match="a coordinate is far outside of the cell; check the"):
        read_crystal(Structure(lattice, ["Na"], [[0, -10_001, 0]]))


@pytest.mark.parametrize(
    ("column", "values", "is_read"),
    [
        ("calc_flag", ("d", "calc"), True),
        ("calc_flag", ("d", "dum"), False),
        ("disorder_group", (".", "?"), True),
        ("disorder_group", (".", "1"), False),
        ("symmetry_multiplicity", ("4", "?"), True),
        ("symmetry_multiplicity", ("4.0", "."), True),
        ("symmetry_multiplicity", ("4", "0.3"), False),
        ("site_symmetry_multiplicity", ("4", "-1"), False),
        ("occupancy", ("?", "1"), True),
        ("occupancy", ("1", "-0.1"), False),
        ("occupancy", ("1", "nan"), False),
        ("occupancy", ("1.01", "1"), False),
        ("U_iso_or_equiv", ("dum", "1"), True),
    ],
)
def test_columns_of_which_the_fast_reader_is_sure(column, values, is_read):
    rows = [f"{row} {value}" for row, value in zip(NACL, values, strict=True)]
    crystal = parse_cif(cif(*rows, columns=(column,)))
    assert (crystal is not None) == is_read
    if is_read:
        assert crystal.species == [((11, 1.0),), ((17, 1.0),)]


def test_sites_that_the_fast_reader_leaves():
    alone = cif()[: cif().index("loop_\n_atom")]
    for tag, value in (("label", "Na1"), ("fract_x", 0), ("fract_y", 0), ("fract_z", 0)):
        alone += f"_atom_site_{tag} {value}\n"
    assert parse_cif(alone) is None
    for axis in "xyz":
        assert parse_cif(cif().replace(f"_fract_{axis}", f"_Cartn_{axis}")) is None
    for row in ("Na1 'Na # 1' 0 0 0", "Na1 'Na + K' 0 0 0"):
        assert parse_cif(cif(row)) is None
    assert parse_cif(cif("Na1 'Na 1' 0 0 0")).species == [((11, 1.0),)]


def test_symbols_and_labels():
    """A type symbol counts before a label, its first two letters before its first."""
    for symbol, z in (("CO2-", 27), ("cL", 17), ("N5-", 7), ("Uxyz", 92), ("Cval", 6), ("bi", 83)):
        (species,) = parse_cif(cif(f"K1 {symbol} 0 0 0")).species
        assert species == ((z, 1.0),), symbol
    for implied in ("Hw", "Ow", "Wat", "wat", "NO3", "O-H"):
        assert parse_cif(cif(f"O1 {implied} 0 0 0")) is None


def test_elements_with_two_oxidation_numbers():
    states = "loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nFe2+ 2\nFe3+ 3\n"
    assert parse_cif(cif("A1 Fe2+ 0 0 0", "B1 Fe3+ .5 .5 .5", more=states)) is None
    assert parse_cif(cif("A1 Fe2+ 0 0 0", "B1 Fe3+ .5 .5 .5")) is not None
    assert parse_cif(cif("A1 Fe2+ 0 0 0", "B1 Fe2+ .5 .5 .5", more=states)) is not None


@pytest.mark.parametrize(
    ("tag", "is_read"),
    [
        ("_symmetry_equiv_pos_as_xyz", True),
        ("_symmetry_equiv_pos_as_xyz_", True),
        ("_space_group_symop_operation_xyz", True),
        ("_space_group_symop_operation_xyz_", True),
        ("_Symmetry_equiv_pos_as_xyz", False),
        ("_symmetry_equiv_pos_as", False),
    ],
)
def test_names_of_symmetry_operations(tag, is_read):
    crystal = parse_cif(cif(operations=("x,y,z", "-x,-y,-z"), tag=tag))
    assert (crystal is not None) == is_read
    if is_read:
        assert len(crystal.species) == 4
        expected = [[0.1, 0.2, 0.3], [0.9, 0.8, 0.7], [0.6, 0.7, 0.8], [0.4, 0.3, 0.2]]
        np.testing.assert_allclose(fractions(crystal), expected, atol=1e-12)


def test_the_case_of_tags_counts():
    """pymatgen does not know others, and neither does the fast reader."""
    assert parse_cif(cif().replace("_cell_length_a", "_Cell_Length_A")) is None


def test_the_order_of_sites_where_it_is_not_clear():
    column = ("occupancy",)
    rows = "Cu1 Cu 0 0 0 0.5001", "Cu2 Cu .5 .5 .5 {}"
    for share, is_read in (("0.5002", False), ("0.5001", True), ("0.51", True)):
        found = parse_cif(cif(rows[0], rows[1].format(share), columns=column))
        assert (found is not None) == is_read
    # A noble gas has no electronegativity: alone it needs none.
    assert parse_cif(cif("Ar1 Ar 0 0 0", "Ar2 Ar .5 .5 .5")) is not None
    assert parse_cif(cif("Ar1 Ar 0 0 0", "Na1 Na .5 .5 .5")) is None


def test_shares_of_one_element_at_one_place_are_added():
    rows = "Na1 Na 0 0 0 0.25", "Na2 Na 0 0 0 0.5", "K1 K 0 0 0 0.25", "Cl1 Cl .5 .5 .5 1"
    assert parse_cif(cif(*rows, columns=("occupancy",))).species == [
        ((11, 0.75), (19, 0.25)),
        ((17, 1.0),),
    ]


def test_a_crystal_whose_sites_are_all_empty():
    text = cif("Na1 Na 0 0 0 0", columns=("occupancy",))
    assert "no sites" in refused(text) or "cannot read" in refused(text)


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("group", "n_operations"),
    [
        ("_symmetry_space_group_name_H-M 'F m -3 m'", 192),
        ("_space_group_name_H-M_alt F_m_-3_m", 192),
        ("_space_group_name_H-M Fm-3m", 192),
        ("_space_group_IT_number 2", 2),
        ("_symmetry_Int_Tables_number 225", 192),
        ("_symmetry_space_group_name_H-M ?\n_space_group_IT_number 2", 2),
        ("_symmetry_space_group_name_H-M 'P 1'\n_space_group_IT_number 225", None),
        ("_space_group_IT_number 1", None),
        ("_space_group_IT_number 999", None),
        ("_space_group_name_H-M_alt 'no group'", None),
    ],
)
def test_groups_with_more_operations_than_are_listed(group, n_operations, more):
    text = cif(more=f"{more}{group}\n")
    assert (parse_cif(text) is None) == bool(more)
    notes = [note for note in read_crystal(text).notes if "its space group" in note]
    if n_operations is None:
        assert notes == []
        return
    (note,) = notes
    assert re.fullmatch(
        rf"lists 1 symmetry operations, but its space group '.*' has {n_operations}; "
        "check that no site is missing",
        note,
    )


@pytest.mark.parametrize(
    ("shifts", "is_group"),
    [
        (("1/3", "2/3"), True),
        (("0.3333", "0.6667"), True),
        (("0.331", "0.662"), True),
        (("0.329", "0.658"), False),
        (("0.336", "0.672"), True),
        (("0.35", "0.70"), False),
        (("1/3",), False),
    ],
)
def test_translations_that_are_rounded(shifts, is_group):
    text = cif("Na1 Na 0.1 0.2 0.3", operations=("x,y,z", *(f"x+{s},y,z" for s in shifts)))
    if is_group:
        assert len(read_crystal(text).species) == 3
    else:
        assert "its symmetry operations are no group" in refused(text)


@pytest.mark.parametrize(
    "operation",
    ["x,y", "x,y,z,x", "x,y,2z", "x,x,z", "x,y,z+1/2+1/3", "x+x,y,z", "x,y,1/0", "x y,z,x", "x,,z"],
)
def test_operations_that_are_none(operation):
    assert "a symmetry operation is" in refused(cif(operations=("x,y,z", operation)))


@pytest.mark.parametrize("operation", ["-x,-y,-z", "1/2-x, 1/2-y ,1/2-z", ".5-x,.5-y,.50-z"])
def test_operations_that_are_some(operation):
    assert len(read_crystal(cif(operations=("x,y,z", operation))).species) == 4


def alternatives(*rows, columns=("occupancy", "disorder_group")):
    return cif(*rows, columns=columns)


@pytest.mark.parametrize(
    ("first", "second", "is_read"),
    [
        ("1 1", "1 2", False),
        ("? 1", "1.0(3) 2", False),
        ("0.995 1", "1 2", False),
        ("0.99 1", "1 2", True),
        ("0.5 1", "0.5 2", True),
        ("1 1", "1 1", True),
        ("1 1", "1 .", True),
        ("1 -1", "1 2", True),
        ("1 1", "0.5 2", True),
    ],
)
def test_alternatives_of_which_one_is_there(first, second, is_read):
    text = alternatives(f"{NACL[0]} {first}", f"{NACL[1]} {second}")
    if is_read:
        assert len(read_crystal(text).species) == 2
    else:
        assert "are alternatives (_atom_site_disorder_group 1, 2)" in refused(text)


def test_alternatives_in_different_assemblies():
    columns = ("disorder_group", "disorder_assembly")
    for letters, is_read in (("AB", True), ("AA", False)):
        rows = [f"{row} {i + 1} {letters[i]}" for i, row in enumerate(NACL)]
        text = cif(*rows, columns=columns)
        if is_read:
            assert len(read_crystal(text).species) == 2
        else:
            assert "are alternatives" in refused(text)


def test_symmetry_that_is_told_without_operations():
    for more in (
        "_space_group_name_Hall 'P 1'",
        "_symmetry_space_group_name_H-M P1",
        "_space_group_IT_number 1",
        "_symmetry_Int_Tables_number ?",
        "_space_group_crystal_system cubic",
    ):
        assert len(read_crystal(cif(more=f"{more}\n", operations=())).species) == 2
    for more in ("_space_group_name_Hall '-F 4 2 3'", "_space_group.name_ssg 'Pnma'"):
        told = refused(cif(more=f"{more}\n", operations=()))
        assert told.startswith(more.split()[0] + " holds ")
        assert "no symmetry operations that are understood" in told


def test_the_cell_of_a_group_without_operations():
    """It is the cell of the symmetry, or another setting than that of its name."""
    cubic = "_symmetry_space_group_name_H-M 'P m -3 m'\n"
    assert "its cell has not the symmetry of its space group, 'P m -3 m'" in refused(
        cif("Na1 Na 0 0 0", more=cubic, operations=())
    )
    tetragonal = cubic.replace("P m -3 m", "P m m m")
    assert len(read_crystal(cif("Na1 Na 0 0 0", more=tetragonal, operations=())).species) == 1
    assert "'~ m m m'" in refused(
        cif("Na1 Na 0 0 0", more=tetragonal.replace("P", "\u0420"), operations=())
    )


def test_blocks_before_and_behind_a_crystal():
    """Powder patterns and journals are no crystals; a cell without sites is the first one's."""
    plain = cif()
    for other in (
        plain.replace("data_x", "data_powder_pattern_1"),
        "data_journal\n_journal_year 1999\n",
    ):
        assert parse_cif(f"{other}\n{plain}").notes == ()
        assert parse_cif(f"{plain}\n{other}").notes == ()
    cell = CELL.format(name="cut")
    assert parse_cif(f"{plain}\n{cell}").notes == ()
    assert parse_cif(f"{cell}\n{plain}") is None
    remark = "a cell before that of its crystal has no sites"
    assert remark in read_crystal(f"{cell}\n{plain}").notes
    second = plain.replace("data_x", "data_y").replace("Na", "K")
    for text, is_told in ((f"{plain}\n{second}", True), (f"{cell}\n{plain}", False)):
        notes = read_crystal(text).notes
        assert ("holds several crystals; the first is taken" in notes) == is_told


@pytest.mark.parametrize("before", ["", "data_journal\n_journal_year 1999\n"])
def test_a_text_within_a_crystal_is_not_the_next_block(before):
    """The name of the group behind it counts, and so do the sites."""
    group = "_symmetry_space_group_name_H-M 'F m m m'\n"
    told = "_note\n;\ndata_of_the_sample\n  data_x\n;\n"
    expected = read_crystal(cif("Na1 Na 0 0 0", more=group, operations=()))
    assert len(expected.species) == 4
    for more in (told + group, group + told):
        found = read_crystal(before + cif("Na1 Na 0 0 0", more=more, operations=()))
        assert found.species == expected.species
        np.testing.assert_array_equal(found.coords, expected.coords)
        assert not any("several crystals" in note for note in found.notes)


def test_errors_of_syntax_are_told_with_their_lines():
    text = cif()
    n_lines = text.count("\n")
    (note,) = read_crystal(f"{text}_note 'open\n").notes
    assert note.startswith(f"is not a well-formed CIF: line {n_lines + 1}: ")
    short = text.replace("0.6 0.7 0.8", "0.6 0.7")
    assert refused(short).startswith("is not a well-formed CIF: line ")
    assert "values in loop" in refused(short)


@pytest.mark.parametrize("more", ["", MAGNETIC])
def test_the_least_lengths_and_angles_of_a_cell(more):
    text = cif(more=more)
    short = read_crystal(text.replace("length_a 4", "length_a 0.9"))
    np.testing.assert_allclose(short.lattice, np.diag([0.9, 5, 5]), atol=1e-12)
    narrow = read_crystal(text.replace("alpha 90", "alpha 0.5"))
    assert np.linalg.det(narrow.lattice) == pytest.approx(100 * np.sin(np.radians(0.5)))
    assert "not a finite number" in refused(text.replace("alpha 90", "alpha 1e-323"))
    assert "is too small for 2 sites" in refused(text.replace("alpha 90", "alpha 1e-300"))


@pytest.mark.parametrize(
    ("names", "is_read"),
    [
        # pymatgen does not know the name, and takes P 1 21/c 1.
        ("_symmetry_space_group_name_H-M P21/n\n_symmetry_Int_Tables_number 14\n", False),
        ("_space_group_name_H-M_alt 'P 2_1/a'\n_space_group_IT_number 14\n", False),
        ("_symmetry_space_group_name_H-M 'P 1 21/n 1'\n_symmetry_Int_Tables_number 14\n", True),
        ("_space_group_name_H-M P21/c\n_space_group_IT_number 14\n", True),
        ("_space_group_name_Hall '-P 2yn'\n_space_group_IT_number 14\n", False),
        ("_symmetry_space_group_name_Hall '-P 2ybc'\n_space_group_IT_number 14\n", True),
        ("_space_group_name_Hall 'what'\n_space_group_IT_number 14\n", True),
        ("_space_group_name_H-M_alt 'P 4/n:2'\n_space_group_IT_number 85\n", False),
        ("_space_group_name_H-M_alt 'P 4/n Z'\n_space_group_IT_number 85\n", False),
        ("_space_group_name_H-M_alt 'P 4/n S'\n_space_group_IT_number 85\n", True),
        ("_space_group_name_H-M_alt 'P 4/n'\n_space_group_IT_number 85\n", True),
        ("_space_group_name_H-M_alt 'A b m a'\n_space_group_IT_number 64\n", False),
        ("_space_group_name_H-M_alt ?\n_space_group_IT_number 14\n", True),
    ],
)
def test_the_setting_that_a_name_tells_is_that_of_the_crystal(names, is_read):
    text = cif(more=names, operations=()).replace("length_a 4", "length_a 5")
    if is_read:
        notes = " ".join(read_crystal(text).notes)
        assert "No _symmetry_equiv_pos_as_xyz" in notes or "in the usual setting" in notes
    else:
        message = refused(text)
        assert "whose symmetry operations are not those that are taken" in message
        assert "list the symmetry operations" in message


def test_one_operation_needs_no_list():
    assert read_crystal(cif(more="_space_group_IT_number 1\n", operations=())).notes == ()


@pytest.mark.parametrize("second", ["", cif(name="y")], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(("numbers", "is_told"), [(("0", "."), False), (("0", "2"), True)])
def test_hydrogens_without_coordinates_are_told(numbers, is_told, second):
    head, _, rows = cif().partition("_atom_site_fract_z\n")
    rows = [f"{row} {n}" for row, n in zip(rows.split("\n"), numbers, strict=False)]
    tags = "_atom_site_fract_z\n_atom_site_attached_hydrogens\n"
    notes = read_crystal("\n".join([head + tags + rows[0], *rows[1:], ""]) + second).notes
    assert sum("implicit hydrogens" in note for note in notes) == is_told


@pytest.mark.parametrize("second", ["", cif(name="y")], ids=["fast", "by pymatgen"])
def test_crystals_without_a_period_are_told(second):
    for tags, words in (
        ("", ""),
        ("_cell_modulation_dimension 0\n_cell_subsystems_number 1\n", ""),
        ("_cell_modulation_dimension 1\n", "is modulated"),
        ("_cell_subsystems_number 2\n", "is composed of 2 crystals"),
    ):
        notes = read_crystal(cif(more=tags) + second).notes
        told = [note for note in notes if "_cell_" in note]
        assert len(told) == bool(words)
        assert all(note.startswith(words) for note in told)


@pytest.mark.parametrize("reader", ["fast", "by pymatgen", "by its number"])
@pytest.mark.parametrize(
    ("place", "told", "is_told"),
    [
        ("0 0 0", ("2", "4"), False),
        ("0 0 0", ("2.", "?"), False),
        ("0 0 0", ("2", "1"), False),  # how many operations leave the sites where they are
        ("0 0 0", ("1", "2"), False),  # in a primitive cell
        ("0 0 0", ("4", "4"), True),
        ("0 0.1 0", ("2", "4"), True),
    ],
)
def test_multiplicities(place, told, is_told, reader):
    """A digit that is lost moves a site away from a mirror, and gives it images."""
    rows = [
        f"{row} {n}" for row, n in zip((f"C1 C {place}", "C2 C 0.6 0.7 0.8"), told, strict=True)
    ]
    operations = ("x,y,z", "x,-y,z", "x+1/2,y+1/2,z", "x+1/2,-y+1/2,z")
    text = cif(
        *rows,
        columns=("symmetry_multiplicity",),
        operations=() if reader == "by its number" else operations,
        more="_symmetry_Int_Tables_number 8\n" if reader == "by its number" else "",
    )
    if reader == "by pymatgen":
        text += cif(name="y")
    assert (parse_cif(text) is not None) == (reader == "fast")
    crystal = read_crystal(text)
    assert len(crystal.species) == (8 if "0.1" in place else 6)
    n_images = 4 if "0.1" in place else 2
    expected = f"site 1 of its list has the multiplicity {n_images}, not {told[0]} as it tells"
    assert any(note.startswith(expected) for note in crystal.notes) == is_told, crystal.notes
    assert any("multiplicity" in note for note in crystal.notes) == is_told


@pytest.mark.parametrize(("told", "n_told"), [(2, 0), (4, 1)])
def test_multiplicities_beside_an_atom_that_is_not_there(told, n_told):
    rows = ("C1 C 0.6 0.7 0.8 0 2", f"C2 C 0.1 0.2 0.3 1 {told}")
    columns = ("occupancy", "symmetry_multiplicity")
    crystal = parse_cif(cif(*rows, columns=columns, operations=("x,y,z", "x,-y,z")))
    assert len(crystal.species) == 2
    assert sum("multiplicity" in note for note in crystal.notes) == n_told


# gemmi does not read it.
TWICE = "_odd 1\n_odd 2\n"
SLASHES_LOST = ("x,y,z", "-x,-y,z", "x+12,y+12,z", "-x+12,-y+12,z")


@pytest.mark.parametrize("more", ["", TWICE], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("groups", "operations", "told"),
    [
        (
            ("'C 1 1 2'",),
            SLASHES_LOST,
            "lists 2 different symmetry operations, but its",
        ),
        (("'C 1 1 2'",), [one.replace("12", "1/2") for one in SLASHES_LOST], ""),
        (("'P 1 1 2'",), ("x,y,z",), "lists 1 symmetry operations, but its space group 'P 1 1 2' "),
        (("odd", "3"), ("x,y,z",), "lists 1 symmetry operations, but its space group '3' has 2"),
        (("odd", "?"), ("x,y,z",), ""),
        (("odd", "999999999999"), ("x,y,z",), ""),
        (("odd", "3"), [one.replace("12", "1/2") for one in SLASHES_LOST], ""),
    ],
)
def test_operations_that_are_not_those_of_the_group(groups, operations, told, more):
    tags = ("_symmetry_space_group_name_H-M", "_symmetry_Int_Tables_number")
    lines = "".join(f"{tag} {group}\n" for tag, group in zip(tags, groups, strict=False))
    text = cif("Na1 Na 0 0 .2", "Cl1 Cl 0 0 .7", more=more + lines, operations=operations)
    notes = [note for note in read_crystal(text).notes if note.startswith("lists")]
    assert len(notes) == bool(told)
    assert all(note.startswith(told) for note in notes)


@pytest.mark.parametrize("more", ["", TWICE, MAGNETIC], ids=["fast", "by pymatgen", "magnetic"])
@pytest.mark.parametrize(
    ("structural", "total", "units", "is_told"),
    [
        *(("NaCl", "Na2Cl2", "2", 0), ("?", "'Na Cl'", "2", 0), ("?", "NaCl", "2", 0)),
        *(("?", "'Na Cl'", "?", 1), ("?", "'Na Cl'", "4", 1), ("?", "'Na2 Cl2'", "2", 1)),
        *(("NaBr", "?", "2", 1), ("Na", "?", "2", 1), ("?", "?", "2", 1), ("NaCl", "?", "0", 1)),
    ],
)
def test_all_sites_where_the_identity_alone_is_listed(structural, total, units, is_told, more):
    """As JARVIS-Tools writes it, beside the name of the space group."""
    tags = f"_symmetry_space_group_name_H-M 'P 1 1 2'\n_cell_formula_units_Z {units}\n"
    tags += f"_chemical_formula_structural {structural}\n_chemical_formula_sum {total}\n"
    sites = ("Na1 Na 0 0 .2", "Na2 Na .5 .5 .2", "Cl1 Cl 0 0 .7", "Cl2 Cl .5 .5 .7")
    notes = read_crystal(cif(*sites, more=more + tags)).notes
    assert any(note.startswith("lists 1 symmetry operations") for note in notes) == is_told


@pytest.mark.parametrize("group", ["", "_symmetry_space_group_name_H-M 'P 1 1 21'\n"])
@pytest.mark.parametrize("more", ["", TWICE], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("operation", "is_told"), [("-x,-y,z+12", True), ("-x,-y,z+1/2", False), ("1-x,-y,z", False)]
)
def test_operations_without_slashes_that_are_another_group(operation, is_told, more, group):
    text = cif("Na1 Na 0 0 .2", more=more + group, operations=("x,y,z", operation))
    told = "has a symmetry operation that shifts by 12 cells; check that no slash is missing"
    assert any(note.startswith(told) for note in read_crystal(text).notes) == is_told


@pytest.mark.parametrize("more", ["", TWICE], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("name", "operation", "number"),
    [
        ("'P 21/m'", "-x,y,-z", 0),  # told by their number
        ("'P 1 21 1'", "-x,y+1/2,-z", 0),
        ("'P 1 1 21'", "-x+1/2,y+1/2,-z+1/4", 0),  # other axes and origin
        ("'P 1 21 1'", "-x,y,-z", 3),
        ("?", "-x,y,-z", 0),
    ],
)
def test_operations_of_another_group_as_many(name, operation, number, more):
    group = f"_symmetry_space_group_name_H-M {name}\n"
    text = cif("Na1 Na .1 .3 .2", more=more + group, operations=("x,y,z", operation))
    told = f"lists the symmetry operations of 'P2', number {number}, but its space group is {name}"
    notes = [note for note in read_crystal(text).notes if note.startswith("lists the symmetry")]
    assert len(notes) == bool(number)
    assert all(note.startswith(told) for note in notes)


@pytest.mark.parametrize("more", ["", MAGNETIC], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("density", "is_told"),
    [("0.97", 0), ("0.6(1)", 1), ("0.66", 0), ("1.5", 1), ("1.45", 0), ("?", 0), ("0", 0)],
)
def test_densities(density, is_told, more):
    told = f"_chemical_formula_sum 'Na1 Cl1'\n_exptl_crystal_density_diffrn {density}\n"
    notes = read_crystal(cif(*NACL, more=more + told)).notes
    remark = f"its sites have a density of 0.97 g/cm³, not {density} (_exptl_crystal_density_dif"
    assert sum(note.startswith(remark) for note in notes) == is_told


def test_no_group_has_the_number_0():
    names = "_symmetry_space_group_name_H-M 0\n_symmetry_Int_Tables_number 225\n"
    told = "lists 1 symmetry operations, but its space group '225' has 192"
    assert read_crystal(cif(*NACL, more=names)).notes[0].startswith(told)


@pytest.mark.parametrize("more", ["", TWICE], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        (("", ""), False),
        (("_b 5", "_b 5.01"), False),
        (("_b 5", "_b 5.1"), True),
        (("_gamma 90", "_gamma 91"), True),
        (("_alpha 90", "_alpha 91"), True),
        (("_a 4", "_a 4.1"), False),  # a is no other length
    ],
)
def test_cells_with_the_symmetry_of_their_operations_roughly(change, is_told, more):
    four = ("x,y,z", "x,-y,-z", "x,-z,y", "x,z,-y")
    text = cif("Na1 Na 0 0 0", "Cl1 Cl .5 0 0", more=more, operations=four).replace(*change)
    told = "its cell has the symmetry of its operations only roughly"
    assert any(note.startswith(told) for note in read_crystal(text).notes) == is_told


@pytest.mark.parametrize("more", ["", TWICE], ids=["fast", "by pymatgen"])
@pytest.mark.parametrize(
    ("label", "symbol", "share", "is_told"),
    [
        ("K1", "K", "1", False),
        ("Zr1", "Ti", "1", True),
        ("'Zr1'", "Ti4+", "1.000", True),
        ("Zr1", "Zr4+", "?", False),
        ("O1", "S", "?", True),
        ("Zr1", "Ti", "0.5", False),  # of elements that share a site
        ("Ca1", "C", "1", False),
        ("W1", "O", "1", False),
        ("K1", "Na", "1", True),
        ("P1", "Si", "1", True),
        ("U1", "Th", "1", True),
        ("Na1", "OW", "1.00(1)", True),
        ("Na1", "Unk", "1", True),
        ("O1", "Wat", "1", False),
        ("B1", "Ti", "1", False),
        ("V1", "O", "1", False),
        ("FeM1", "Mg", "1", False),
        ("D1", "H", "1", False),
        ("Si1", "T1", "1", True),  # a place of silicon, in the columns of each other
        ("H1", "T", "1", False),
    ],
)
def test_labels_that_name_another_element(label, symbol, share, is_told, more):
    """The symbol counts: who puts another element into a CIF may change the label alone."""
    text = cif(f"{label} {symbol} .1 .2 .3 {share}", columns=("occupancy",), more=more)
    told = [note for note in read_crystal(text).notes if note.startswith("a site has the label")]
    assert len(told) == is_told


@pytest.mark.parametrize("more", ["", TWICE], ids=["fast", "by pymatgen"])
def test_symbols_that_lost_their_capital(more):
    text = cif("Si1 Si .1 .2 .3", "O1 O .6 .7 .8", more=more)
    assert not any("capital" in note for note in read_crystal(text).notes)
    alone = re.sub("(?m)^(Si|O)1 ", "", text).replace("_atom_site_label\n", "", 1)
    alone = alone.replace("type_symbol", "label")  # symbols in the place of labels
    for broken in (text.replace(" Si ", " i "), text.replace(" O ", " o ")):
        assert any("without a capital" in note for note in read_crystal(broken).notes)
    assert not any("capital" in note for note in read_crystal(alone).notes)
    notes = read_crystal(alone.replace("\nSi ", "\ni1 ")).notes
    assert any(note.startswith("a site has the symbol i1, without a capital") for note in notes)


def test_the_number_of_a_group_beyond_all_bounds():
    text = cif(operations=(), more="_symmetry_Int_Tables_number 999999999999\n")
    assert "_symmetry_Int_Tables_number holds '999999999999'" in refused(text)


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        (
            "occupation",
            (1, 0.5),
            "holds _atom_site_occupation, which is not read; write _atom_site_",
        ),
        (
            "calc_flag",
            ("d", "0.25"),
            "_atom_site_calc_flag holds '0.25'; check whether its columns",
        ),
        ("disorder_group", (".", "0.25"), "_atom_site_disorder_group holds '0.25'; check whether"),
        ("disorder_group", (".", "-1"), None),
        ("calc_flag", ("d", "x"), None),
        ("occ_note", (1, 2), "holds _atom_site_occ_note, which is not read; write _atom_site_occ"),
    ],
)
def test_columns_that_were_shifted_or_have_another_name(column, values, why):
    rows = [f"{row} {value}" for row, value in zip(NACL, values, strict=True)]
    text = cif(*rows, columns=(column,))
    if why is None:
        assert len(read_crystal(text).species) == 2
    else:
        assert why in refused(text)
