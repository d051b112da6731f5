"""Reading one crystal, and what X may be."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from pymatgen.core import DummySpecies, Lattice, Structure

from skcgcnn import CrystalGraphTransformer
from skcgcnn.crystals import list_sources, read_crystal
from skcgcnn.exceptions import StructureError

NACL = "5.64 0 0\n0 5.64 0\n0 0 5.64\nNa Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"


def same(first, second):
    np.testing.assert_allclose(first.lattice, second.lattice, atol=1e-6)
    np.testing.assert_allclose(first.coords, second.coords, atol=1e-6)
    assert first.species == second.species


@pytest.mark.parametrize("name", ["nacl.cif", "POSCAR", "nacl.vasp", "nacl.json", "nacl.xsf"])
def test_file_formats_give_the_structure(tmp_path, nacl, name):
    nacl.to(filename=str(tmp_path / name), fmt="poscar" if name.endswith("vasp") else "")
    same(read_crystal(tmp_path / name), read_crystal(nacl))


def test_atoms(nacl):
    same(read_crystal(nacl.to_ase_atoms()), read_crystal(nacl))


def test_species_of_mixed_charged_and_heavy_sites():
    structure = Structure(
        Lattice.cubic(4),
        [{"Co3+": 0.2, "Ni3+": 0.3, "Ni2+": 0.5}, {"D": 0.9}],
        [[0, 0, 0], [0.5, 0.5, 0.5]],
    )
    assert read_crystal(structure).species == [((27, 0.2), (28, 0.8)), ((1, 0.9),)]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "pymatgen cannot read"),
        ("data_x\n_cell_length_a 4\n", "pymatgen cannot read"),
        ("\x00\xff\x13 binary junk \x01" * 50, "holds bytes of zero"),
        ("\x02\xff\x13 binary junk \x01" * 50, "not a well-formed CIF: line 1"),
    ],
)
def test_files_without_a_crystal(tmp_path, content, cause):
    file = tmp_path / "bad.cif"
    file.write_text(content)
    with pytest.raises(StructureError, match=cause):
        read_crystal(file)


def test_missing_file_folder_and_unknown_format(tmp_path):
    with pytest.raises(StructureError, match="no such file"):
        read_crystal(tmp_path / "none.cif")
    with pytest.raises(StructureError, match="is a folder"):
        read_crystal(tmp_path)
    (tmp_path / "crystal.docx").write_text("x")
    with pytest.raises(StructureError, match="is no kind of file that is read"):
        read_crystal(tmp_path / "crystal.docx")


def test_crystals_that_cannot_exist():
    with pytest.raises(StructureError, match="too small for 1 sites"):
        read_crystal(Structure(Lattice.cubic(0.1), ["Na"], [[0, 0, 0]]))
    with pytest.raises(StructureError, match="no sites"):
        read_crystal(Structure(Lattice.cubic(4), [], []))
    with pytest.raises(StructureError, match="site 0 holds X0\\+, which is not an element"):
        read_crystal(Structure(Lattice.cubic(4), [DummySpecies("X")], [[0, 0, 0]]))
    with pytest.raises(StructureError, match="finite"):
        read_crystal(Structure(Lattice.cubic(4), ["Na"], [[np.nan, 0, 0]]))
    with pytest.raises(StructureError):  # a molecule has no cell
        read_crystal(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]]))


PATHS = ["a.cif", Path("b.cif")]


@pytest.mark.parametrize(
    "X",
    [
        PATHS,
        tuple(PATHS),
        np.array(PATHS, dtype=object),
        np.array(PATHS, dtype=object).reshape(-1, 1),
        pd.Series(PATHS),
        pd.DataFrame({"path": PATHS}),
    ],
    ids=lambda X: f"{type(X).__name__}{getattr(X, 'shape', '')}",
)
def test_containers(X):
    assert list_sources(X) == PATHS


def test_string_array():
    assert list_sources(np.array(["a.cif", "b.cif"])) == ["a.cif", "b.cif"]


def test_structures_are_not_taken_apart(nacl):
    assert list_sources([nacl, "a.cif"]) == [nacl, "a.cif"]
    assert list_sources([nacl.to_ase_atoms()]) == [nacl.to_ase_atoms()]


@pytest.mark.parametrize(
    ("X", "cause"),
    [
        ("a.cif", r"single path 'a\.cif'.*\[path\]"),
        (Path("a.cif"), "single path"),
        ([1, 2], r"X\[0\] is of type int"),
        ([None], r"X\[0\] is of type NoneType"),
        (np.zeros(3), r"X\[0\] is of type float"),
        ({"a.cif"}, "of type set"),
        (None, "of type NoneType"),
        (3, "of type int"),
    ],
)
def test_what_x_may_not_be(X, cause):
    with pytest.raises(TypeError, match=cause):
        list_sources(X)


def test_single_structure_and_wide_arrays(nacl):
    with pytest.raises(TypeError, match=r"single Structure.*\[crystal\]"):
        list_sources(nacl)
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        list_sources(np.array([PATHS], dtype=object))


def test_structures_that_numpy_took_apart(nacl):
    with pytest.raises(ValueError, match="pass the list itself"):
        CrystalGraphTransformer().fit_transform(np.array([nacl, nacl], dtype=object))


HEAD = """data_x
_cell_length_a 5
_cell_length_b 5
_cell_length_c 5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_chemical_formula_sum 'Na1 Cl1'
{more}
loop_
_symmetry_equiv_pos_as_xyz
{operations}
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na Na1 0 0 0 {occupancy}
Cl Cl1 0.5 0.5 0.5 1
{site}
"""
PLAIN = {"more": "", "operations": "'x,y,z'\n'-x,-y,-z'", "occupancy": "1", "site": ""}
MAGNETIC = "_space_group_magn.number_BNS 1.1"  # pymatgen reads it
MONOCLINIC = "_cell_setting monoclinic"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"occupancy": "0,5"}, "_atom_site_occupancy holds '0,5'"),
        ({"occupancy": "50%"}, "_atom_site_occupancy holds '50%'"),
        ({"occupancy": "1/2", "more": MAGNETIC}, "_atom_site_occupancy holds '1/2'"),
        ({"occupancy": "."}, "_atom_site_occupancy holds '.'"),
        ({"occupancy": "nan"}, "_atom_site_occupancy holds 'nan'"),
        ({"occupancy": "-0.5"}, "_atom_site_occupancy holds '-0.5'"),
        ({"occupancy": "0.5("}, "holds the number '0.5[(]'"),
        ({"site": "H H1 0.2(3)0.4(5) 0.2 0.2 1"}, "without what is behind its bracket"),
        ({"site": "H H1 0.2(3) 0.2 0.2(3,0.4 1"}, "without what is behind its bracket"),
        ({"site": "H H1 0.2(3 0.2 0.2 1"}, "without what is behind its bracket"),
        ({"site": "H H1 0.(84909957) 0.2 0.2 1"}, "without what is behind its bracket"),
        ({"site": "Uani O1 0.2 0.2 0.2 1"}, "the symbol 'Uani', which names no"),
        ({"site": "H H1 . . . 1"}, "_atom_site_fract_x holds '[.]': the place of a site is not"),
        ({"site": "H H1 0.2 ? 0.2 1"}, "_atom_site_fract_y holds '[?]': the place of a site is"),
        ({"site": "Fe/Co Fe1 0.2 0.2 0.2 1"}, "the symbol 'Fe/Co', which names no single"),
        ({"site": "Fe0.5Co0.5 Fe1 0.2 0.2 0.2 1"}, "the symbol 'Fe0.5Co0.5', which"),
        ({"site": "SiAl Si1 0.2 0.2 0.2 1", "more": MAGNETIC}, "the symbol 'SiAl', which"),
        ({"operations": "x, y, z"}, "a symmetry operation is 'x,'"),
        ({"operations": "'x,y,z'\n'\u2212x,-y,-z'"}, "a symmetry operation holds '~x,-y,-z'"),
        ({"operations": "'x,y,z'\n'x,y,0'"}, "a symmetry operation is 'x,y,0', which no crystal"),
        ({"operations": "'x,y,z'\n'a,b,c'"}, "'a,b,c'; write it in x, y and z"),
        ({"operations": "'x,y,z'\n'-1*x,-1*y,-1*z'"}, "is '-1[*]x,-1[*]y,-1[*]z', which is not"),
        ({"operations": "'x,y,z'\n'x+1/2+1/4,y,z'"}, "is 'x[+]1/2[+]1/4,y,z', which is not"),
        ({"operations": "'-x,-y,-z'"}, "its symmetry operations are no group"),
        ({"operations": "'x,y,z'\n'-y,x,z'"}, "its symmetry operations are no group"),
        ({"operations": "'x,y,z'\n'-x,-y,-z'\n'x+.5,y,z'"}, "operations are no group"),
        ({"operations": "'x,y,z'\n'y,x,-z'", "more": MONOCLINIC}, "its cell has not the symmetry"),
        ({"site": "? O1 0.2 0.2 0.2 1", "more": MAGNETIC}, "the symbol '[?]', which names no"),
        ({"site": "13C C1 0.2 0.2 0.2 1", "more": MAGNETIC}, "the symbol '13C', which names no"),
        ({"site": "Vac V1 0.2 0.2 0.2 1"}, "the symbol 'Vac', which names no"),
        ({"site": "Va V1 0.2 0.2 0.2 1", "more": MAGNETIC}, "the symbol 'Va', which names no"),
        ({"site": "H2O O1 0.2 0.2 0.2 1"}, "the symbol 'H2O', which names no"),
        ({"more": "_atom_site_moment_label Na1"}, "holds '-x,-y,-z', but no symmetry operations"),
    ],
)
def test_values_that_pymatgen_takes_for_others(change, cause):
    assert len(read_crystal(HEAD.format(**PLAIN)).species) == 2
    text = HEAD.format(**{**PLAIN, **change})
    if MONOCLINIC in text:
        text = text.replace("_cell_length_b 5", "_cell_length_b 6")
    with pytest.raises(StructureError, match=cause):
        read_crystal(text)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("a 5", "a -5"), "_cell_length_a holds '-5'; write a number above 0"),
        (("alpha 90", "alpha 270"), "_cell_angle_alpha holds '270'; .* below 180"),
        # With the sine of an angle below 180.
        (("alpha 90", "alpha 450"), "_cell_angle_alpha holds '450'; .* below 180"),
        (("gamma 90", "gamma 270"), "_cell_angle_gamma holds '270'; .* below 180"),
        (("beta 90", "beta ."), "_cell_angle_beta holds '[.]'; write a number above 0"),
        (("_site_occupancy", "_site_Occupancy"), "holds _atom_site_Occupancy, which is not read"),
        (("_atom_site_occupancy\nNa", "_note\nNa"), "its sites are not in one table"),
    ],
)
def test_cells_and_columns_that_pymatgen_takes_for_others(change, cause, several):
    text = HEAD.format(**PLAIN)
    changed = text.replace(*change) + "loop_\n_atom_site_occupancy\n0.5\n" * ("_note" in change[1])
    changed += "data_y\n_note 1\n" * several
    assert changed != text
    with pytest.raises(StructureError, match=cause):
        read_crystal(changed)


def test_a_site_that_is_not_in_a_loop():
    """pymatgen takes its texts for their letters: Na1 for nitrogen."""
    text = HEAD.format(**PLAIN).partition("loop_\n_atom_site")[0]
    pairs = {"label": "Na1", "fract_x": "0.25", "fract_y": "0.25", "fract_z": "0.25"}
    text += "".join(f"_atom_site_{name} {value}\n" for name, value in pairs.items())
    with pytest.raises(StructureError, match="its sites are not in one table; put all"):
        read_crystal(text)


@pytest.mark.parametrize("several", [False, True])
def test_operations_that_are_listed_twice(several):
    text = HEAD.format(**{**PLAIN, "site": "O O1 0.1 0.2 0.3 1"}) + "data_y\n_note 1\n" * several
    other = "loop_\n_space_group_symop_operation_xyz\n'X, Y, Z'\n{}\nloop_\n_atom_site_type"
    same_ones = text.replace("loop_\n_atom_site_type", other.format("1-x,-y,-Z+1.0"))
    assert len(read_crystal(same_ones).species) == len(read_crystal(text).species) == 4
    with pytest.raises(StructureError, match="lists other symmetry operations in _symmetry_equiv"):
        read_crystal(text.replace("loop_\n_atom_site_type", other.format("")))


def test_a_place_of_silicon_is_no_tritium():
    text = HEAD.format(**PLAIN)
    assert read_crystal(text.replace("Na Na1", "T T1")).species[0] == ((1, 1.0),)
    labels = text.replace("_atom_site_type_symbol\n", "").replace("Cl Cl1", "Cl1")
    assert read_crystal(labels.replace("Na Na1", "TI1")).species[0] == ((22, 1.0),)
    for label in ("T1", "TR1", "REE2"):  # rare earths, also in the next two
        with pytest.raises(StructureError, match=f"'{label}', which names no single element"):
            read_crystal(labels.replace("Na Na1", label))


@pytest.mark.parametrize("half", ["1/2", ".5", "0.50000", "-1/2", " 1 / 2", "3/2"])
def test_operations_in_many_forms(half):
    sign = "" if half.startswith("-") else "+"
    text = HEAD.format(**{**PLAIN, "operations": f"'x,y,z'\n'X{sign}{half},1y,+z'"})
    crystal = read_crystal(text)
    assert len(crystal.species) == 4
    np.testing.assert_allclose(np.ptp(crystal.coords[:2, 0]), 2.5)


@pytest.mark.parametrize("several", [False, True])
def test_operations_that_are_not_those_of_the_group(several):
    """A crystal without its symmetry is remarked; a primitive cell has fewer translations."""
    for name, operations, is_odd in (
        ("F m -3 m", "'x,y,z'", True),
        ("2", "'x,y,z'", True),
        ("I -1", "'x,y,z'\n'-x,-y,-z'", True),
        ("A m m m", "'x,y,z'\n'-x,-y,-z'", True),
        ("P -1", "'x,y,z'\n'-x,-y,-z'", False),
        ("P 1", "'x,y,z'", False),
        ("I 2", "'x,y,z'\n'y,x,-z'", False),
    ):
        tag = "_space_group_IT_number" if name == "2" else "_symmetry_space_group_name_H-M"
        text = HEAD.format(**{**PLAIN, "operations": operations, "more": f"{tag} '{name}'"})
        if several:  # which pymatgen reads
            text += text.replace("data_x", "data_y")
        notes = read_crystal(text).notes
        assert any("its space group" in note for note in notes) == is_odd, name


GROUP = HEAD.replace("loop_\n_symmetry_equiv_pos_as_xyz\n{operations}", "")


def with_group(more, site="", cell="5 5 5 90 90 90"):
    lengths = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    text = GROUP.format(more=more, occupancy="1", site=site)
    for name, value in zip(lengths, cell.split(), strict=True):
        text = re.sub(rf"_cell_{name} .*", f"_cell_{name} {value}", text)
    return text


@pytest.mark.parametrize(
    "more",
    [
        "_space_group_name_H-M_alt 'F d -3 m :1'",
        "_space_group_name_Hall '-F 4vw 2vw 3'",
        "_space_group_IT_number 999",
        "_space_group_ssg_name 'Pnma(00g)'",
        "loop_\n_Symmetry_Equiv_Pos_as_xyz\n'x,y,z'\n'-x,-y,-z'\n",
    ],
)
def test_symmetry_that_is_not_understood_is_not_left_out(more):
    with pytest.raises(StructureError, match="no symmetry operations that are understood"):
        read_crystal(with_group(more))


def test_symmetry_that_is_understood_or_is_none():
    assert len(read_crystal(with_group("_space_group_name_H-M_alt 'F m -3 m'")).species) == 8
    for more in ("", "_space_group_name_H-M_alt 'P 1'\n_space_group_IT_number 1"):
        assert len(read_crystal(with_group(more)).species) == 2


@pytest.mark.parametrize("group", ["_space_group_IT_number 166", "_space_group_name_H-M_alt R-3m"])
def test_a_group_whose_symmetry_the_cell_has_not(group):
    assert len(read_crystal(with_group(group, cell="4 4 12 90 90 120")).species) > 2
    with pytest.raises(StructureError, match="its cell has not the symmetry of its space group"):
        read_crystal(with_group(group, cell="5 5 5 60 60 60"))


@pytest.mark.parametrize("group", ["P 1", "P -1"])
def test_blocks_without_a_crystal_and_byte_order_marks(group):
    journal = "data_global\n_journal_year 1999\n"
    for text in (HEAD.format(**PLAIN), with_group(f"_space_group_name_H-M_alt '{group}'")):
        expected = read_crystal(text).species
        second = text.replace("data_x", "data_y").replace("Na", "K")
        for whole in (f"{journal}\n{text}", f"{text}\n{journal}", f"{text}\n{second}", text):
            for mark in ("", "\ufeff"):
                assert read_crystal(mark + whole).species == expected


def test_of_several_crystals_it_is_the_first_that_counts():
    plain = HEAD.format(**PLAIN)
    second = plain.replace("data_x", "data_y").replace("Na", "K")
    without = with_group("_space_group_name_Hall '-F 4 2 3'").replace("data_x", "data_z")
    for others in (second, without):
        assert ((11, 1.0),) in read_crystal(f"{plain}\n{others}").species
    named = f"data_global\n_note 1\n{plain}\ndata_global\n_note 2\n{second}"
    assert ((11, 1.0),) in read_crystal(named).species
    broken = plain.replace("_cell_length_a 5\n", "") + second
    with pytest.raises(StructureError, match="pymatgen cannot read it"):
        read_crystal(broken)
    with pytest.raises(StructureError, match="its first crystal cannot be read"):
        read_crystal(f"{broken}_note 'open\n")
    with pytest.raises(StructureError, match="no symmetry operations that are understood"):
        read_crystal(f"{without}\n{second}")


@pytest.mark.parametrize(
    "more",
    [
        HEAD.format(**PLAIN),
        "_cell_length_a 9",
        "loop_\n_atom_site_label\n_atom_site_fract_x\nBr1 0.25\nBr2 0.75",
    ],
)
def test_what_is_there_twice_is_not_chosen_from(more):
    with pytest.raises(StructureError, match="; it is not clear which counts"):
        read_crystal(f"{HEAD.format(**PLAIN)}\n{more}")
    assert read_crystal(f"{HEAD.format(**PLAIN)}\n_note 1\n_note 2").notes


MAGNETS = """loop_
_space_group_symop_magn_operation.xyz
x,y,z,+1
{}
"""


def test_operations_of_magnets():
    site = "O O1 0.1 0.2 0.3 1"
    assert len(read_crystal(with_group(MAGNETS.format("-x,-y,-z,-1"), site)).species) == 4
    for operation in ("\u2212x,-y,-z,+1", "-x,-y,q,+1", "0,0,0,+1"):
        with pytest.raises(StructureError, match="a symmetry operation"):
            read_crystal(with_group(MAGNETS.format(operation), site))


CENTERING = """loop_
_space_group_symop_magn_centering.xyz
{}
"""


def test_lists_of_magnets_say_one_thing():
    site, other = "O O1 0.1 0.2 0.3 1", "_symmetry_equiv_pos_as_xyz 'x,y,z'"
    group = MAGNETS.format("-x,-y,-z,-1")
    centering = CENTERING.format("x,y,z,+1\nx+1/2,y+1/2,z,-1")
    assert len(read_crystal(with_group(group + centering, site)).species) == 8
    same = "loop_\n_space_group_symop_operation_xyz\n'x, y, z'\n'-x, -y, -z'"
    assert len(read_crystal(with_group(group + same, site)).species) == 4
    grey = MAGNETS.format("x,y,z,-1")
    assert len(read_crystal(with_group(grey + other, site)).species) == 3
    for more, what in (
        (MAGNETS.format("-y,x,z,+1"), "are no group"),
        (group + CENTERING.format("x+1/2,y+1/2,z,-1"), "are no group"),  # no identity
        (group + other, "lists other symmetry operations than those of its magnetic group"),
        (f"_space_group_magn.number_BNS 2.4\n{other}", "than those of its magnetic group"),
        (MAGNETS.format("") + CENTERING.format("x,y,z,+1\n-x,-y,z,+1"), "turns the crystal"),
        (f"_space_group_magn.number_BNS 1.1\n{centering}", "centerings .* but no operations"),
    ):
        with pytest.raises(StructureError, match=what):
            read_crystal(with_group(more, site))
    text = MAGNETS.format("-y,x,z,+1\n-x,-y,z,+1\ny,-x,z,+1")
    with pytest.raises(StructureError, match="its cell has not the symmetry of its operations"):
        read_crystal(with_group(text, site, cell="5 6 7 90 90 90"))


def test_sites_that_are_no_atoms():
    text = HEAD.format(**PLAIN).replace("_occupancy\n", "_occupancy\n_atom_site_calc_flag\n")
    text = text.replace("0 0 0 1", "0 0 0 1 d").replace("0.5 0.5 0.5 1", "0.5 0.5 0.5 1 {}")
    assert len(read_crystal(text.format("calc")).species) == 2
    with pytest.raises(StructureError, match="an atom site is a dummy"):
        read_crystal(text.format("dum"))


def test_labels_of_sites_in_minerals():
    for label, z in (("SiTm", 14), ("OA1", 8), ("FeM1", 26), ("Cval", 6)):
        text = HEAD.format(**PLAIN).replace("_atom_site_type_symbol\n", "").replace("Na Na1", label)
        assert ((z, 1.0),) in read_crystal(text.replace("Cl Cl1", "Cl1")).species


@pytest.mark.parametrize("more", ["", "_space_group_magn.number_BNS 2.4"])
def test_alternatives_that_are_all_there(more):
    text = HEAD.format(
        **{**PLAIN, "more": more, "site": "Br Br1 0.6 0.5 0.5 {} 2\nO O1 0 0 .3 1 ."}
    )
    text = text.replace("_occupancy\n", "_occupancy\n_atom_site_disorder_group\n")
    text = text.replace("0 0 0 1", "0 0 0 1 .").replace("0.5 0.5 0.5 1", "0.5 0.5 0.5 {} 1")
    assert len(read_crystal(text.format(0.6, 0.4)).species) > 3
    for full in (("1", "1"), ("?", "1.0(2)")):
        with pytest.raises(StructureError, match=r"alternatives \(_atom_site_disorder_group 1, 2"):
            read_crystal(text.format(*full))
    assert len(read_crystal(text.format(1, 1).replace(" 2\n", " 1\n")).species) > 3


@pytest.mark.parametrize("name", ["a.mcif", "a.cif.txt", "a.cif1", "a.mcif.gz"])
def test_all_names_of_cifs_are_those_of_cifs(tmp_path, name):
    opener = gzip.open if name.endswith(".gz") else open
    for z, cause in (("1_0", "the number '1_0'"), ("\u22120.5", "holds '~0.5'"), ("0.5", None)):
        with opener(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write(HEAD.format(**PLAIN).replace("0.5 0.5 0.5", f"0.5 0.5 {z}"))
        if cause is None:
            assert len(read_crystal(tmp_path / name).species) == 2
            continue
        with pytest.raises(StructureError, match=cause):
            read_crystal(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("Na Cl\n", ""), "names no elements"),
        (("Na Cl", "Na Cl Br"), "has 3 symbols of elements, but 2 numbers"),
        (("1 1", "2"), "has 2 symbols of elements, but 1 numbers"),
        (("Na Cl", "Na 1"), "names the element '1'; write its symbol"),
        (("Na Cl", "1.0 Cl"), "names the element '1.0'; write its symbol"),
        (("0.5 0.5 0.5", "0.5 0.5 1_0"), "the number '1_0'"),
        (("0.5 0.5 0.5", "0.5 0.5 5E-0_1"), "the number '5E-0_1'"),
        (("0.5 0.5 0.5", "0.5 0.5 0.#25"), "'0.5 0.5 0.#25'; write a blank before #, or"),
        (("0.5 0.5 0.5", "0.5 0.5 5E-0#1 # note"), "'0.5 0.5 5E-0#1 # note'; write a blank"),
        (("0.5 0.5 0.5", "0.5 0.5 0.#"), "'0.5 0.5 0.#'; write a blank before #"),
    ],
)
def test_a_poscar_whose_elements_and_numbers_are_unclear(tmp_path, change, cause):
    text = f"x_1_0 of 1_0\n1.0\n{NACL}"
    assert read_crystal(text).species == [((11, 1.0),), ((17, 1.0),)]
    text = text.replace(*change)
    for name in ("POSCAR", "a.vasp", "CONTCAR.gz"):
        opener = gzip.open if name.endswith(".gz") else open
        with opener(tmp_path / name, "wt") as file:
            file.write(text)
        with pytest.raises(StructureError, match=cause):
            read_crystal(tmp_path / name)
    with pytest.raises(StructureError, match=cause):
        read_crystal(text)


def test_a_poscar_that_is_a_trajectory():
    head, _, coords = f"x\n1.0\n{NACL}".partition("direct\n")
    steps = [f"Direct configuration= {n:5d}\n{coords}" for n in (1, 2)]
    assert len(read_crystal(head + steps[0]).species) == 2
    with pytest.raises(StructureError, match="is an XDATCAR of 2 crystals"):
        read_crystal(head + "".join(steps))


@pytest.mark.parametrize(
    ("name", "change", "cause"),
    [
        ("a.res", ("1.000000\nCl", "0.500000\nCl"), "a site has the occupancy 0.500000, which"),
        ("a.res", ("LATT -1", "LATT 1"), "has the symmetry 'LATT 1', which is not read"),
        ("a.cssr", (" Na ", " Na+ "), "has 8 sites, of which 4 can be read"),
        ("a.cssr", ("=  1 P 1", "=225 Fm-3m"), "has the space group 225, which is not read"),
        ("a.cssr", ("8 0", "8 1"), "has Cartesian coordinates"),
        ("a.cssr", ("0.5000\n", "1/2\n"), "has the site .* 1/2.; write its coordinates as 0.25"),
        ("a.cssr", ("0.5000 0.0000", "0. 5000 0.0000"), r"has the site '.* 0\. 5000 0.0000"),
        ("a.res", ("LATT -1\n", ""), "tells no symmetry, which means an inversion"),
        ("a.xsf", ("8 1", "9 1"), "has 9 sites, of which 8 can be read; perhaps it is truncated"),
        ("a.xsf", ("0.00000000000000\n", "0.#5\n"), "0.#5'; write a blank before #"),
    ],
)
def test_nothing_is_left_out_of_files(tmp_path, nacl, name, change, cause):
    nacl.to(filename=str(tmp_path / name))
    same(read_crystal(tmp_path / name), read_crystal(nacl))
    text = (tmp_path / name).read_text()
    changed = text.replace(*change)
    assert changed != text
    (tmp_path / name).write_text(changed)
    with pytest.raises(StructureError, match=cause):
        read_crystal(tmp_path / name)


@pytest.mark.parametrize("mode", ["direct", "Selective dynamics\nCartesian"])
def test_coordinates_of_a_poscar_that_are_left_out(mode):
    sites = NACL.replace("direct", mode).replace(
        "\n0 0 0\n0.5 0.5 0.5", "\n0 0 0 T T T\n0.5 0.5 0.5 T T F"
    )
    text = f"x\n1.0\n{sites}"
    velocities = f"{text}\n0 0 0\n0 0 0\n"
    for whole in (text, velocities):
        assert not read_crystal(whole).notes
        more = whole.replace("T T F", "T T F\n0.2 0.2 0.2 T T T\n0.3 0.3 0.3")
        crystal = read_crystal(more)
        assert len(crystal.species) == 2
        assert crystal.notes == ("has more lines of coordinates than atoms: 2 left out",)
    split = text.replace("0.5 0.5 0.5", "0.5 0.5 0. 5")
    told = "has a number behind coordinates, which is left out: 0.5 0.5 0. 5"
    assert any(note.startswith(told) for note in read_crystal(split).notes)


def test_underscores_in_files_of_ase(tmp_path, nacl):
    atoms = nacl.to_ase_atoms()
    atoms.info["name"] = "x_1_0"
    atoms.write(tmp_path / "a.extxyz")
    assert len(read_crystal(tmp_path / "a.extxyz").species) == len(nacl)
    text = (tmp_path / "a.extxyz").read_text()
    (tmp_path / "b.extxyz").write_text(f"{text}{text}\n  \n")
    assert read_crystal(tmp_path / "b.extxyz").notes == (
        "holds several crystals; the last is taken",
    )
    (tmp_path / "b.extxyz").write_text(f"{text}\n{text}")
    with pytest.raises(StructureError, match=r"read to its crystal 1 alone.*between crystals.*'8'"):
        read_crystal(tmp_path / "b.extxyz")
    (tmp_path / "a.extxyz").write_text(text.replace("0.00000000", "1_0.0000000", 2))
    with pytest.raises(StructureError, match="1_0"):
        read_crystal(tmp_path / "a.extxyz")


def test_values_of_blocks_and_tags_that_are_not_read_do_not_matter():
    other = "_symmetry_equiv_pos_as_xyz ?\n_atom_site_label ?\n_atom_site_occupancy full\n"
    crystal = HEAD.format(
        **{**PLAIN, "more": "_space_group_symop_operation_xyz ?\n_note 'M\u00fcller'"}
    )
    expected = read_crystal(HEAD.format(**PLAIN)).species
    for text in (crystal, f"data_global\n{other}\n{crystal}", f"{crystal}\ndata_y\n{other}"):
        assert read_crystal(text).species == expected


def test_what_is_not_well_formed_is_remarked():
    crystal = read_crystal(HEAD.format(**{**PLAIN, "more": "_note 'open"}))
    assert any("is not a well-formed CIF: line " in note for note in crystal.notes)
    assert len(crystal.species) == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", " # Å³\n"])
@pytest.mark.parametrize("mode", ["Direct", "Cartesian", "Selective\nCartesian"])
def test_a_volume_as_the_scale_of_a_poscar(mode, end, tmp_path):
    """Cartesian coordinates are in units of the vectors, as with a factor."""
    half = 0.5 if mode == "Direct" else 2
    flags = " T T T" if "Sel" in mode else ""
    body = "\n4 0 0\n0 4 0\n1 0 4\nCs Cl\n1 1\n" + f"{mode}\n0 0 0{flags}\n{half} 0 {half}{flags}\n"
    read = []
    for scale in ("-512", "2"):
        path = tmp_path / f"POSCAR{scale}"
        path.write_text(f"CsCl\n{scale}{body}".replace("\n", end, 2), encoding="utf-8", newline="")
        read.append(read_crystal(path))
    volume, factor = read
    np.testing.assert_allclose(volume.lattice, factor.lattice)
    np.testing.assert_allclose(volume.coords, factor.coords, atol=1e-9)


def test_a_volume_of_a_poscar_without_one():
    body = "-64\n4 0 0\n{}\n0 0 4\nCs\n1\nCart\n0 0 0\n"
    for row in ("4 0 0", "4 0", "a b c"):
        with pytest.raises(StructureError):
            read_crystal("Cs\n" + body.format(row))


def test_the_scale_of_a_poscar():
    """One factor; one of each direction is text of a POSCAR too, which pymatgen does not read."""
    body = "{}\n4 0 0\n0 4 0\n0 0 4\nCs Cl\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
    crystal = read_crystal("CsCl\n" + body.format("1.5"))
    np.testing.assert_allclose(crystal.lattice, 6 * np.eye(3))
    with pytest.raises(StructureError, match="has 3 factors of its lengths"):
        read_crystal("CsCl\n" + body.format("1.5 1.5 1.5"))
    for scale in ("1 1", "1 1 1 1", "one"):
        with pytest.raises(StructureError, match="no such file"):
            read_crystal("CsCl\n" + body.format(scale))
