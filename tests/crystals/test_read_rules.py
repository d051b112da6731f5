"""Where each rule of the readers of other formats begins and ends."""

import gzip
import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from pymatgen.core import Element, Lattice, Molecule, Structure

from skcgcnn.crystals import MAX_LENGTH, read_crystal, try_to_read
from skcgcnn.exceptions import StructureError, TransientReadError

OTHER = (
    "is no kind of file that is read (such as CIF, JSON, POSCAR, .xsf, .extxyz); read it with "
    "pymatgen or ASE, and pass the Structure or Atoms; of a run of VASP, pass the CONTCAR, "
    "and save a table as .csv"
)
CELL = (("a", "alpha"), ("b", "beta"), ("c", "gamma"))
NACL = "NaCl\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\ndirect\n0 0 0\n.5 .5 .5\n"


def refused(source, *args):
    """Return why a crystal is refused."""
    with pytest.raises(StructureError) as caught:
        read_crystal(source, *args)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "is_formula"),
    [("NaCl", 1), ("Fe2O3", 1), ("Ca(OH)2", 1), ("Li0.5CoO2", 1), ("nacl", 0), ("NaCl.x", 0)],
)
def test_formulas_are_no_files(name, is_formula):
    formula = "; a formula is no crystal: pass a file with its structure, such as a CIF"
    assert refused(name) == f"no such file{formula if is_formula else ''}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.cif.z", "is packed in a way that is not read; unpack it, or use .gz"),
        ("a.cif.Zst", "is packed in a way that is not read; unpack it, or use .gz"),
        ("POSCAR.lzma", "is packed in a way that is not read; unpack it, or use .gz"),
        ("a.yml", OTHER),
        ("atom.config", OTHER),
        ("CTRL", OTHER),
        ("input.xml", OTHER),
        ("vasprun.xml", OTHER),
        ("vasprun.xml.gz", OTHER),
        ("bestsqs.out", OTHER),
        ("a.mson", "is not well-formed JSON (Expecting value: line 1 column 1 (char 0))"),
        ("a.json.txt", "is not well-formed JSON (Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_names_of_formats(tmp_path, name, why):
    opener = gzip.open if name.endswith("gz") else open
    with opener(tmp_path / name, "wt") as file:
        file.write("x")
    assert refused(tmp_path / name) == why


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR_2", "my.poscar", "a.VASP", "contcar.gz"])
def test_names_of_poscars(tmp_path, name):
    opener = gzip.open if name.endswith("gz") else open
    with opener(tmp_path / name, "wt") as file:
        file.write(NACL)
    assert read_crystal(tmp_path / name).species == [((11, 1.0),), ((17, 1.0),)]


def test_how_large_files_may_be(tmp_path):
    text = 1000 * "x" + NACL
    (tmp_path / "POSCAR").write_text(text)
    (tmp_path / "POSCAR.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("POSCAR", "POSCAR.gz"):
        assert len(read_crystal(tmp_path / name, len(text)).species) == 2
        assert refused(tmp_path / name, len(text) - 1).startswith("is larger than 0.001058 MB;")
        error = try_to_read(tmp_path / name, len(text) - 1)
        assert isinstance(error, TransientReadError)


def test_how_large_cells_may_be():
    def cubic(length, n=1):
        return Structure(Lattice.cubic(length), ["Na"] * n, [[i / n, 0, 0] for i in range(n)])

    assert len(read_crystal(cubic(MAX_LENGTH)).species) == 1
    assert refused(cubic(MAX_LENGTH + 1)) == (
        "its cell of 1e+04 Å is larger than any crystal's; check the lattice parameters"
    )
    for n in (1, 8):
        edge = (0.1 * n) ** (1 / 3)
        assert len(read_crystal(cubic(edge * 1.001, n)).species) == n
        assert f"is too small for {n} sites; check the lattice" in refused(cubic(edge * 0.999, n))


def test_shares_of_a_site():
    def site(*shares):
        structure = Structure(Lattice.cubic(4), ["Na", "Na"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        content = structure.as_dict()
        pairs = zip(("Na", "K"), shares, strict=False)
        content["sites"][1]["species"] = [{"element": e, "occu": share} for e, share in pairs]
        return content

    assert read_crystal(site(0.6, 0.4)).species[1] == ((11, 0.6), (19, 0.4))
    assert read_crystal(site(0.01)).species[1] == ((11, 0.01),)
    for shares in ((0.6, 0.402), (1.5,), (0.0,), (-0.5,)):
        assert "occupancy" in refused(site(*shares)) or "no crystal in this" in refused(
            site(*shares)
        )


def test_remarks_of_pymatgen_come_once_and_thirds_not_at_all(tmp_path):
    hexagonal = Structure(Lattice.hexagonal(3, 5), ["Na"], [[1 / 3, 2 / 3, 0]])
    text = hexagonal.to(fmt="cif").replace("0.66666667", "0.6667")
    magnetic = text + "_space_group_magn.number_BNS 1.1\n"
    notes = read_crystal(magnetic).notes
    assert len(set(notes)) == len(notes)
    assert not any("rounded" in note for note in notes)


@pytest.mark.parametrize("names", [["Na+", "Cl-"], ["Na", "Cl"]])
@pytest.mark.parametrize("formula", ["", "_chemical_formula_sum ?"])
def test_a_cif_without_a_formula_gets_no_remark(formula, names):
    salt = Structure(Lattice.cubic(4), names, [[0, 0, 0], [0.5, 0.5, 0.5]])
    lines = salt.to(fmt="cif").splitlines()
    lines = [line for line in lines if not line.startswith("_chemical_formula")]
    text = "\n".join([*lines, "_space_group_magn.number_BNS 1.1", formula, ""])
    assert read_crystal(text).notes == ()


def test_frames_of_ase(tmp_path):
    atoms = Atoms("NaCl", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
    slab = atoms.copy()
    slab.pbc = (True, False, False)
    write(tmp_path / "one.traj", [atoms])
    write(tmp_path / "two.traj", [slab, atoms])
    write(tmp_path / "slab.traj", [slab])
    write(tmp_path / "none.traj", [])
    (tmp_path / "bad.xyz").write_text("x\n")
    several = "holds several crystals; the last is taken"
    part = "is periodic in 1 of three directions; it is taken as periodic in all three"
    for name, notes in (("one", ()), ("two", (several,)), ("slab", (part,))):
        crystal = read_crystal(tmp_path / f"{name}.traj")
        assert crystal.notes == notes
        np.testing.assert_allclose(crystal.coords, atoms.positions)
    assert refused(tmp_path / "bad.xyz").startswith("ASE cannot read it (")
    assert refused(Atoms("H", [[0, 0, 0]])) == "these Atoms have no cell; set it, with pbc=True"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (3, "is of type int, which carries no crystal"),
        (None, "is of type NoneType, which carries no crystal"),
        ({}, "is a dictionary that holds no crystals; expected one"),
        (Molecule(["H"], [[0, 0, 0]]), "is a Molecule, which has no lattice; pass a Structure"),
        ({"lattice": {}, "sites": [{}]}, "no crystal in this dictionary of pymatgen (KeyError('s"),
        ({"lattice_vectors": 1, "cartesian_site_positions": 1}, "no crystal in this dictionary of"),
    ],
)
def test_what_carries_no_crystal(source, why):
    assert refused(source).startswith(why)


def test_dictionaries_name_only_modules_of_crystals():
    content = Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]]).as_dict()
    content["@module"] = "of.others"  # who wrote it does not matter
    assert read_crystal(content).species == [((11, 1.0),)]
    for module in ("pymatgen.core.periodic_table", None):
        content["lattice"]["x"] = [{"@module": module, "y": 1}]
        assert len(read_crystal(content).species) == 1
    for module in ("pymatgen.io.cif", "pymatgen.core", "os"):
        content["lattice"]["x"] = ({"@module": module},)
        assert refused(content) == f"names the module {module!r}, which is not imported"


def test_coordinates_of_jarvis():
    content = {"lattice_mat": (4 * np.eye(3)).tolist(), "elements": ["Na", "Cl"]}
    for coords, cartesian in (([2, 2, 2], True), ([0.5] * 3, False), ([0.5] * 3, None)):
        more = {} if cartesian is None else {"cartesian": cartesian}
        crystal = read_crystal({**content, "coords": [[0, 0, 0], coords], **more})
        np.testing.assert_allclose(crystal.coords, [[0, 0, 0], [2, 2, 2]])
    for symbol in ("1_0", True, "13C", " 2H"):
        changed = {**content, "elements": ["Na", symbol], "coords": [[0, 0, 0], [0.5] * 3]}
        assert refused(changed) == f"{symbol!r} is no element; write its symbol"


def test_species_of_optimade():
    entry = {
        "lattice_vectors": (4 * np.eye(3)).tolist(),
        "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
        "species_at_sites": ["A", "Cl"],
        "species": [{"name": "A", "chemical_symbols": ["Na", "vacancy"]}],
    }
    entry["species"][0]["concentration"] = [0.75, 0.25]
    for source in (entry, {"attributes": entry}):
        assert read_crystal(source).species == [((11, 0.75),), ((17, 1.0),)]
    features = {
        "implicit_atoms": 1,
        "site_attachments": 1,
        "assemblies": 1,
        "disorder": 0,
        "unknown_positions": 0,
    }
    for name, is_told in features.items():
        notes = read_crystal({**entry, "structure_features": [name]}).notes
        assert notes == ((f"has {name}, which are not read",) if is_told else ())


RES = """TITL name 0 64 -1 0 0 (P1) n - 1
CELL 1.0 4 4 4 90 90 90
LATT -1
SFAC Na Cl
Na 1 0 0 0 {}
Cl 2 0.5 0.5 0.5 1.0
END
REM 2 0.5 0.5 0.5 0.5
"""


@pytest.mark.parametrize(
    ("share", "is_read"), [("1.0", 1), ("11.0", 1), ("0.9", 0), ("10.5", 0), ("2", 0)]
)
def test_shares_in_res_files(tmp_path, share, is_read):
    path = tmp_path / "a.res"
    path.write_text(RES.format(share))
    if is_read:
        assert read_crystal(path).species == [((11, 1.0),), ((17, 1.0),)]
    else:
        assert refused(path).startswith(f"a site has the occupancy {share}, which is not read")


def test_several_crystals_in_a_res_file(tmp_path):
    path, one = tmp_path / "a.res", RES.format("1.0").partition("REM")[0]
    path.write_text(one.replace("Na", "K") + one)
    crystal = read_crystal(path)
    assert crystal.species == [((11, 1.0),), ((17, 1.0),)]
    assert crystal.notes == ("holds several crystals; the last is taken",)
    cell, _, _ = one.partition("SFAC")
    path.write_text(one + cell)
    assert refused(path).startswith("has 2 cells (CELL), but 1 lists of sites (SFAC)")
    path.write_text(one + one.replace("LATT -1", "LATT 1"))
    assert refused(path).startswith("has the symmetry 'LATT 1', which is not read")


@pytest.mark.parametrize(
    ("title", "is_told"),
    [
        ("x 0.0 64.0 -1.5 0.0 0.0 2 (P1) n - 1", 0),
        ("x 0.0 64.0 -1.5 0.0 0.0 3 (P1) n - 1", 1),
        ("x 0.0 64.0 -1.5 0.0 0.0 (P1) n - 1", 0),
        ("x 0.0 64.0 -1.5 0.0 0.0", 0),
        ("x 0.0 0.0 -1.5 0.0 0.0 2 (P1) n - 1", 0),
    ],
)
def test_sites_in_the_title_of_a_res_file(tmp_path, title, is_told):
    path, text = tmp_path / "a.res", RES.format("1.0")
    path.write_text(f"TITL {title}\n" + text[text.index("CELL") :])
    told = "has 2 sites, but its title tells 3; some may be missing"
    assert read_crystal(path).notes == ((told,) if is_told else ())


@pytest.mark.parametrize(("volume", "is_told"), [("64.0", 0), ("64.1", 0), ("65.0", 1)])
def test_the_volume_in_the_title_of_a_res_file(tmp_path, volume, is_told):
    path, text = tmp_path / "a.res", RES.format("1.0")
    path.write_text(f"TITL x 0.0 {volume} -1.5 0.0 0.0 2 (P1) n - 1\n" + text[text.index("CELL") :])
    told = "its cell of 64 Å³ does not have its volume (of its title, 65.0)"
    assert read_crystal(path).notes == ((told,) if is_told else ())


def test_elements_of_a_res_file_without_a_site(tmp_path):
    path, text = tmp_path / "a.res", RES.format("1.0")
    path.write_text(text.replace("SFAC Na Cl", "SFAC Na Cl O"))
    told = "has no site of O, which SFAC names; some may be missing"
    assert read_crystal(path).notes == (told,)


@pytest.mark.parametrize("change", [("Cl 2", "Cl 1"), ("SFAC Na Cl", "SFAC Cl Na")])
def test_sites_of_a_res_file_that_say_two_elements(tmp_path, change):
    path, text = tmp_path / "a.res", RES.format("1.0")
    assert text.replace(*change) != text
    path.write_text(text.replace(*change))
    assert refused(path).endswith("it is not clear which counts")


def test_a_site_in_the_line_of_the_elements_of_a_res_file(tmp_path):
    path = tmp_path / "a.res"
    path.write_text(RES.format("1.0").replace("Na Cl\n", "Na Cl "))
    assert refused(path).endswith("write the symbols of elements alone")


def test_ends_of_lines_of_a_poscar_that_are_the_wrong_way_round(tmp_path):
    path, text = tmp_path / "POSCAR", NACL.replace("0 4 0", "0.0 4.0 0.0")
    path.write_text(text.replace("\n", "\n\r"), newline="")
    assert read_crystal(path).species == [((11, 1.0),), ((17, 1.0),)]


@pytest.mark.parametrize("n_lines", range(8))
def test_a_poscar_that_was_cut(tmp_path, n_lines):
    for name in ("CONTCAR", "a.vasp"):
        (tmp_path / name).write_text("\n".join(NACL.splitlines()[:n_lines]))
        assert "pymatgen cannot read it" in refused(tmp_path / name)


def test_numbers_with_underscores_in_poscars():
    for line in (1, 2, 8):
        lines = NACL.splitlines()
        lines[line] = (
            lines[line].replace("4", "4_0").replace("1.0", "1_0").replace("0 0 0", "0 1_0 0")
        )
        assert "write it without the underscore" in refused("\n".join(lines) + "\n")
    assert len(read_crystal(NACL.replace("NaCl", "run 1_0", 1)).species) == 2


@pytest.mark.parametrize("mode", ["direct", "Selective dynamics\ndirect"])
@pytest.mark.parametrize(
    ("names", "is_told"),
    [(("Na", "Cl"), 0), (("Cl", "Na"), 1), (("Na1", "Cl-"), 0), (("Na", "K"), 1), (("a", "!"), 0)],
)
def test_elements_behind_coordinates_of_a_poscar(mode, names, is_told):
    """pymatgen writes them; where lines change places, they tell it."""
    flags = " T T F" if mode.startswith("S") else ""
    sites = "".join(f"{x} {x} {x}{flags} {name}\n" for x, name in zip((0, 0.5), names, strict=True))
    head, _, _ = NACL.partition("direct")
    notes = read_crystal(f"{head}{mode}\n{sites}").notes
    assert [note.partition(":")[0] for note in notes] == [
        "the symbol behind coordinates is not the element read there"
    ] * is_told


@pytest.mark.parametrize("between", ["", "\n", "0 0 0\n0 0 0\n", "\n0 0 0\n0 0 0\n\n"])
def test_several_crystals_in_a_poscar(between):
    crystal = read_crystal(f"{NACL}{between}{NACL.replace('Na', 'K')}")
    assert [z for ((z, _),) in crystal.species] == [11, 17]
    assert crystal.notes[-1] == "holds several crystals; the first is taken"
    assert "holds several" not in " ".join(read_crystal(NACL + between).notes)


def test_lines_of_symbols_in_a_poscar():
    """VASP begins a new one behind twenty elements."""
    rng = np.random.default_rng(0)
    names = ["Si", "O", "Sn"] * 10
    counts = rng.integers(1, 3, 30)
    lattice = np.diag([30.0, 5, 5])
    places = [(k / counts.sum(), 0.5 * (k % 2), 0) for k in range(counts.sum())]
    head = ["x", "1.0", *(" ".join(map(str, row)) for row in lattice)]
    lists = [names[:20], names[20:], counts[:20].tolist(), counts[20:].tolist()]
    rows = [" ".join(map(str, row)) for row in (*lists, ["Direct"], *places)]
    crystal = read_crystal("\n".join([*head, *rows]) + "\n")
    assert crystal.notes == ()
    expected = np.repeat(names, counts)
    assert [Element.from_Z(z).symbol for ((z, _),) in crystal.species] == expected.tolist()
    rows[-1] += " 7"
    assert "number behind coordinates" in read_crystal("\n".join([*head, *rows]) + "\n").notes[0]


def test_counts_in_poscars():
    for symbols, counts in (("Na Cl", "1 1 1"), ("Na", "1 1"), ("Na Cl K", "1 1")):
        text = NACL.replace("Na Cl", symbols).replace("1 1\n", f"{counts}\n")
        n, m = len(symbols.split()), len(counts.split())
        assert refused(text) == f"has {n} symbols of elements, but {m} numbers of atoms"
    assert refused(NACL.replace("Na Cl\n", "")).startswith("names no elements; write a line with")


PWI_FAR = (
    "&SYSTEM\nibrav=0, nat=1, ntyp=1\n/\nATOMIC_SPECIES\nNa 22 Na.UPF\nCELL_PARAMETERS angstrom\n"
    "4 0 0\n0 4 0\n0 0 4\nATOMIC_POSITIONS {}\nNa 0 {} 0\n"
)
AIMS_FAR = "lattice_vector 4 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\n"
JARVIS_FAR = {"lattice_mat": [[4, 0, 0], [0, 4, 0], [0, 0, 4]], "elements": ["Na"]}


@pytest.mark.parametrize(("place", "is_told"), [("2.0", 0), ("-1.9", 0), ("2.9", 1), ("-29", 1)])
def test_fractions_of_other_files_that_may_be_lengths(tmp_path, place, is_told):
    poscar = "x\n1\n4. 0 0\n0 4. 0\n0 0 4.\nNa\n1\n{}\n0 " + place + " 0 T T F\n\n9 9 9\n"
    texts = {
        "a.vasp": poscar.format("Direct"),
        "b.vasp": poscar.format("Selective dynamics\nDirect"),
        "c.vasp": poscar.format("Selective dynamics\nCartesian"),
        "a.res": f"CELL 1 4 4 4 90 90 90\nLATT -1\nSFAC Na\nNa 1 0 {place} 0 1\nEND\n",
        "a.cssr": f"4 4 4\n90 90 90 SPGR = 1 P 1\n1 0\nx\n1 Na 0 {place} 0\n",
        "a.gen": f"1 F\nNa\n1 1 0 {place} 0\n0 0 0\n4 0 0\n0 4 0\n0 0 4\n",
        "c.gen": f"1 S\nNa\n1 1 0 {place}e1 0\n0 0 0\n4 0 0\n0 4 0\n0 0 4\n",
        "a.pwi": PWI_FAR.format("{crystal}", place),
        "c.pwi": PWI_FAR.format("angstrom", f"{place}e1"),
        "geometry.in": f"{AIMS_FAR}atom_frac 0 {place} 0 Na\n",
        "c_geometry.in": f"{AIMS_FAR}atom 0 {place}e1 0 Na\n",
        "a.json": json.dumps({**JARVIS_FAR, "coords": [[0, float(place), 0]]}),
        "c.json": json.dumps({**JARVIS_FAR, "coords": [[0, 99, 0]], "cartesian": True}),
    }
    told = f"has a fractional coordinate of {place.strip('-')}, far outside of its cell"
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        notes = read_crystal(tmp_path / name).notes
        expected = bool(is_told) and not name.startswith("c")
        assert [one.startswith(told) for one in notes] == [True] * expected, name
    (tmp_path / "flat.cssr").write_text(texts["a.cssr"].replace("4 4 4", "0 4 4"))
    assert refused(tmp_path / "flat.cssr")
    (tmp_path / "d.vasp").write_text(poscar.format("Direct").replace("\n", "\n\r"))
    assert read_crystal(tmp_path / "d.vasp").species == [((11, 1.0),)]


@pytest.mark.parametrize(
    ("properties", "row", "why"),
    [
        ("species:S:1:pos:R:3", "Na 0 0 0", None),
        ("species:S:1:pos:R:3:forces:R:3", "Na 0 0 0 1 2 3", None),
        ('"species:S:1:pos:R:3"', "Na 0 0 0 1", "the site 'Na 0 0 0 1', but tells 4 columns"),
        ("species:S:1:forces:R:3", "Na 0 0 0", "its sites have no place (pos) among Properties="),
        ("species:S:1:pos:R:3:Z:I:1", "Na 0 0 0 11", None),
        ("species:S:1:pos:R:3:Z:I:1", "na_up 0 0 0 11", None),
        ("species:S:1:pos:R:3:Z:I:1", "Na 0 0 0 +011", None),
        ("species:S:1:pos:R:3:positions:R:3", "Na 0 0 0 1 1 1", "has pos and positions, which are"),
        (
            "species:S:1:symbols:S:1:pos:R:3",
            "Na Cl 0 0 0",
            "has species and symbols, which are",
        ),
        ("Z:I:1:species:S:1:pos:R:3", "12 Na 0 0 0", "element Na, but of the atomic number 12"),
        ("symbols:S:1:pos:R:3:numbers:I:1", "Na 0 0 0 12", "of the atomic number 12"),
    ],
)
def test_columns_of_sites(tmp_path, properties, row, why):
    """ASE leaves out what stands behind them, and puts sites without a place at the origin."""
    path = tmp_path / "a.extxyz"
    frame = f'1\nLattice="4 0 0 0 4 0 0 0 4" Properties={properties}\n{row}\n'
    path.write_text(f'1\nLattice="4 0 0 0 4 0 0 0 4"\nNa 0 0 0 9\n{frame}')
    if why is None:
        assert read_crystal(path).species == [((11, 1.0),)]
    else:
        assert why in refused(path)


@pytest.mark.parametrize("name", ["Lattice", "Properties"])
def test_a_frame_that_tells_its_cell_or_columns_twice(tmp_path, name):
    path = tmp_path / "a.extxyz"
    told = {
        "Lattice": 'Lattice="4 0 0 0 4 0 0 0 4"',
        "Properties": "Properties=species:S:1:pos:R:3",
    }
    head = " ".join(told.values())
    for more in ("Origin_Lattice=1", f'comment="fcc, {name} = 5"', f"comment = 'of {name}=5'"):
        path.write_text(f"1\n{head} {more}\nNa 0 0 0\n")
        assert len(read_crystal(path).species) == 1
    for twice in (told[name], told[name].replace(name, f'"{name}"')):
        path.write_text(f"1\n{head}\nNa 0 0 0\n1\n{head} {twice}\nNa 0 0 0\n")
        assert refused(path) == f"tells {name} twice in a line; keep one"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.extxyz", '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3\n{} 0 0 0\n'),
        ("a.gen", "1 F\n{}\n1 1 0 0 0\n0 0 0\n4 0 0\n0 4 0\n0 0 4\n"),
        (
            "geometry.in",
            "lattice_vector 4 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\natom 0 0 0 {}\n",
        ),
    ],
)
def test_names_that_are_no_elements(tmp_path, name, text):
    (tmp_path / name).write_text(text.format("Na"))
    assert read_crystal(tmp_path / name).species == [((11, 1.0),)]
    (tmp_path / name).write_text(text.format("Xy"))
    assert refused(tmp_path / name) == "names the element 'Xy'; write its symbol"


@pytest.mark.parametrize(
    ("mode", "is_told"),
    [
        *(("Direct", 0), ("d", 0), ("Cart", 0), ("K", 0), ("direct configuration= 1", 0)),
        *(("Directly", 0), ("Fractional", 0), ("Cirect", 1), ("xdirect", 1)),
    ],
)
def test_how_coordinates_of_a_poscar_are_written(tmp_path, mode, is_told):
    """The first letter counts: a typing error changes the crystal."""
    for name, more in (("a.vasp", ""), ("b.vasp", "Selective\n")):
        (tmp_path / name).write_text(NACL.replace("direct", more + mode))
        notes = read_crystal(tmp_path / name).notes
        told = [one.partition(" of its")[0] for one in notes if one.startswith("says")]
        assert told == is_told * [f"says {mode!r}"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("1.0", "1 1.2 1", "has 3 factors of its lengths, 1 1.2 1; multiply x, y and z of its vec"),
        ("1.0", "1.0 ! the factor", "has the comment of '1.0 ! the factor' in its head; remove it"),
        ("1 1\n", "1 1 ! sites\n", "has the comment of '1 1 ! sites' in its head; remove it"),
        ("Na Cl", "Na Cl ! salt", "has the comment of 'Na Cl ! salt' in its head; remove it"),
        ("4 0 0", "4 0 0 !a", "has the comment of '4 0 0 !a' in its head; remove it"),
    ],
)
def test_what_is_not_understood_in_the_head_of_a_poscar(tmp_path, old, new, why):
    path = tmp_path / "POSCAR"
    path.write_text(NACL.replace(old, new))
    assert refused(path).startswith(why)
    old = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\n1 1\ndirect ! x\n0 0 0 Na\n.5 .5 .5 Cl\n"
    for text in (NACL.replace("NaCl", "NaCl !"), old):
        path.write_text(text)
        assert len(read_crystal(path).species) == 2


@pytest.mark.parametrize("name", ["CHGCAR", "locpot.x", "CHGCAR.vasp", "CHGCAR.gz"])
def test_numbers_on_a_grid_behind_a_poscar(tmp_path, name):
    opener = gzip.open if name.endswith("gz") else open

    def written(text):
        with opener(tmp_path / name, "wt") as file:
            file.write(text + " \n   2 2 2\n 1.0 2.0 3.0 4.0 5.0\n 6.0 7.0 8.0\n")
        return tmp_path / name

    same, crystal = read_crystal(NACL), read_crystal(written(NACL))
    assert crystal.species == same.species
    assert crystal.notes == ()
    np.testing.assert_array_equal(crystal.coords, same.coords)
    one_less = read_crystal(written(NACL.replace("1 1\n", "1\n").replace("Na Cl", "Na")))
    assert one_less.notes == ("has more lines of coordinates than atoms: 1 left out",)
    assert "pymatgen cannot read it" in refused(written(NACL.replace("1 1", "1 2")))


GEN = "2 F\nNa Cl\n1 1 0 0 0\n2 2 .5 .5 .5\n0 0 0\n4 0 0\n0 4 0\n0 0 4\n"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("2 2 .5", "2 2 0 .5", "has the line '2 2 0 .5 .5 .5' in the place of 5 columns"),
        ("2 2 .5", ".5 2 2", "has the line '.5 2 2 .5 .5' in the place of 5 columns"),
        (
            "Na Cl",
            "Na Cl O",
            "names the elements 'Na Cl O', of which one comes twice",
        ),
        ("Na Cl", "Na Na", "names the elements 'Na Na', of which one comes twice"),
        ("4\n", "4\n" + GEN, "has 10 lines of sites, of which 2 are counted; check the number"),
        ("\n0 4 0", "\n0 4 0 1", "has the line '0 4 0 1' in the place of 3 columns"),
        ("4\n", "4\n1 1 1\n", "has 3 lines of sites, of which 2 are counted; check the number"),
    ],
)
def test_what_is_left_out_of_a_gen_file(tmp_path, old, new, why):
    path = tmp_path / "a.gen"
    path.write_text(GEN)
    assert len(read_crystal(path).species) == 2
    path.write_bytes(GEN.replace("\n", "\r").encode())
    assert len(read_crystal(path).species) == 2
    path.write_text(GEN.replace("\n1 1", "\n01 1").replace("\n2 ", "\n02 "))
    assert read_crystal(path).notes == ()
    path.write_text(GEN.replace("\n2 ", "\n3 "))
    assert read_crystal(path).notes == ("numbers one of its 2 sites as 3; one may be lost",)
    # From 0, in another order, or not at all.
    for numbers in ("01", "21", "00", "99"):
        path.write_text(
            "\n{} 1".join(GEN.split("\n1 1")).format(numbers[0]).replace("\n2 ", f"\n{numbers[1]} ")
        )
        assert read_crystal(path).notes == ()
    path.write_text(new.join(GEN.rsplit(old, 1)))
    assert refused(path).startswith(why)
    path.write_text(GEN.replace("F", "C").partition("0 0 0\n0")[0])
    assert "no cell" in refused(path)


def test_sites_that_an_input_of_quantum_espresso_does_not_count(tmp_path):
    path = tmp_path / "a.pwi"
    atoms = Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=3 * [4], pbc=True)
    write(path, atoms, format="espresso-in", pseudopotentials={"Na": "Na.upf", "Cl": "Cl.upf"})
    assert len(read_crystal(path).species) == 2
    text = path.read_text()
    for card in ("", "K_POINTS automatic\n1 1 1 0 0 0\n", "! the end\n", "HUBBARD { atomic }\n"):
        path.write_text(text.replace(" 2.0000000000", " 4/2") + card)
        assert len(read_crystal(path).species) == 2
    for unit in ("angstrm", "nm", "{nm}", "crystal"):
        path.write_text(text.replace("CELL_PARAMETERS angstrom", f"CELL_PARAMETERS {unit}"))
        assert refused(path).startswith(f"has CELL_PARAMETERS in {unit.strip('{}')!r}; write angs")
    path.write_text(text.replace("CELL_PARAMETERS angstrom", "CELL_PARAMETERS ( Angstrom )"))
    assert len(read_crystal(path).species) == 2
    path.write_text(text.rstrip() + "\nNa .1 .1 .1\n")
    assert refused(path).startswith("has 3 lines of sites (ATOMIC_POSITIONS), but counts 2 (nat);")
    path.write_text("Na 0".join(text.rsplit("Cl 2", 1)))
    assert refused(path) == "names Cl (ATOMIC_SPECIES), which no site has"


PWI = """&CONTROL
/
&SYSTEM
 ibrav=0, nat=2, ntyp=1{length}
/
ATOMIC_SPECIES
Mg 24.3 Mg.upf ! of a library
CELL_PARAMETERS {unit}
{rows}
ATOMIC_POSITIONS crystal
Mg 0.3333333 0.6666667 0.25 ! the first
Mg 0.6666667 0.3333333 0.75
"""
ROWS = "3.0 0 0\n0 3.0 0\n0 0 5.0"


@pytest.mark.parametrize(
    ("length", "unit", "edge"),
    [
        *((", A=2.0", "", 6), (", a = 2.d0", "alat", 6), (", A=2.0", "(alat) ! of 2021", 6)),
        *(
            (", A=2.0", "angstrom", 3),
            ("", "Angstrom ! in angstrom", 3),
            (", A=0.0", "bohr ! of angstrom", 1.5875),
        ),
        *((", celldm (1)=2.0", "", 3.175), (", celldm = 2.0", "alat", 3.175), ("", "bohr", 1.5875)),
    ],
)
def test_lengths_of_an_input_of_quantum_espresso(tmp_path, length, unit, edge):
    """ASE does not know A, and takes bohr instead."""
    path = tmp_path / "a.pwi"
    path.write_text(PWI.format(length=length, unit=unit, rows=ROWS))
    crystal = read_crystal(path)
    assert crystal.lattice[0, 0] == pytest.approx(edge, abs=1e-4)
    assert crystal.species == 2 * [((12, 1.0),)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_an_input_of_quantum_espresso(tmp_path, end):
    text = "\ufeff" + PWI.format(length="", unit="angstrom", rows=ROWS)
    (tmp_path / "a.pwi").write_text(text.replace("\n", end), encoding="utf-8", newline="")
    assert read_crystal(tmp_path / "a.pwi").species == 2 * [((12, 1.0),)]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "angstrom",
            "angstrom ! from bohr",
            "! from bohr', in which Quantum ESPRESSO finds the unit bohr",
        ),
        ("angstrom", "! angstrom", "finds the unit angstrom, though it is in a comment; write"),
        (
            "crystal",
            "bohr # no crystal",
            "Quantum ESPRESSO finds the unit crystal, though it is in",
        ),
        ("0 3.0 0", "0 0 3.0 0", "has the row '0 0 3.0 0' in CELL_PARAMETERS; write three rows of"),
        ("0 0 5.0", "0 0 5.0\n0 0 6.0", "has 4 rows in CELL_PARAMETERS; write three of three num"),
        ("ntyp=1", "ntyp=1, A=2, celldm(1)=4", "tells its length as celldm(1) and as a; keep one"),
        ("ntyp=1", "ntyp=1, A=-2", "has -2 as its length (a); write a number above 0"),
        ("ntyp=1", "ntyp=1, A=x", "has 'x' as its length (a); write a number above 0"),
        ("nat=2", "nat=3", "has 2 lines of sites (ATOMIC_POSITIONS), but counts 3 (nat); one may"),
        ("0.25", "0,25", "'Mg 0.3333333 0.6666667 0,25', in which '0,25' is no number; write it"),
        ("0.25", "0" + 60 * "+1", "has the term '0+1+1"),
        ("0.25", "", "has the site 'Mg 0.3333333 0.6666667'; write a symbol and three numbers"),
        ("&SYSTEM", "&OTHER", "ASE cannot read it ('ibrav is required in &SYSTEM')"),
    ],
)
def test_what_is_unclear_in_an_input_of_quantum_espresso(tmp_path, old, new, why):
    path = tmp_path / "a.pwi"
    text = PWI.format(length="", unit="angstrom", rows=ROWS)
    path.write_text(text)
    assert len(read_crystal(path).species) == 2
    path.write_text(text.replace(old, new))
    assert why in refused(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nat=2, ntyp=1", "nat=2 ntyp = 1"),
        ("ibrav=0, nat=2, ntyp=1", "ibrav=0 nat=2  A=2.0 ntyp=1"),
        ("ntyp=1\n/", "ntyp=1\n &END"),
        ("0.25", "2.5D-1"),
    ],
)
def test_how_lists_of_an_input_of_quantum_espresso_are_written(tmp_path, old, new):
    text = PWI.format(length="", unit="angstrom", rows=ROWS)
    assert old in text
    (tmp_path / "a.pwi").write_text(text.replace(old, new))
    crystal = read_crystal(tmp_path / "a.pwi")
    assert crystal.lattice[0, 0] == 3
    assert crystal.species == 2 * [((12, 1.0),)]


@pytest.mark.parametrize(
    ("rows", "is_cut"),
    [
        ("5.95050000 0.00000000 0.\n-1.17354718 5.73638858 0\n0.00000000 0.00000000 4.", True),
        ("5.95050000 0.00000000 0.0\n-1.1735471 5.73638858 0.0\n0.0 0.0 4.0", False),
        ("5.950500 0.000000 0.0000\n-1.173547 5.736388 0.0000\n0.000000 0.000000 4.1234", False),
        ("5.950 0.000 0\n-1.173 5.736 0\n0.000 0.000 4", False),
    ],
)
def test_a_cell_of_quantum_espresso_that_is_cut_at_a_column(tmp_path, rows, is_cut):
    (tmp_path / "a.pwi").write_text(PWI.format(length="", unit="angstrom", rows=rows))
    notes = read_crystal(tmp_path / "a.pwi").notes
    told = "the last column of its CELL_PARAMETERS, such as 4., has fewer digits than the others"
    assert notes == ((f"{told}; is it cut?",) if is_cut else ())


@pytest.mark.parametrize(
    "older",
    ["!ATOMIC_POSITIONS bohr\n!Mg 0 0 0\n", "# ATOMIC_POSITIONS bohr\n", "!CELL_PARAMETERS\n"],
)
def test_a_card_of_quantum_espresso_in_a_comment_does_not_count(tmp_path, older):
    path = tmp_path / "a.pwi"
    text = PWI.format(length="", unit="angstrom", rows=ROWS)
    text = text.replace("&CONTROL", "&CONTROL\ntitle='of ATOMIC_POSITIONS bohr'")
    path.write_text(text.replace("ATOMIC_POSITIONS crystal", older + "ATOMIC_POSITIONS crystal"))
    assert read_crystal(path).lattice[0, 0] == 3


def test_a_last_site_that_is_cut(tmp_path):
    flags = " 0 0 1"
    atoms = Atoms("NaCl", [[0, 0, 0], [2, 2, 2.5]], cell=3 * [4], pbc=True)
    write(tmp_path / "a.pwi", atoms, pseudopotentials={"Na": "Na.upf", "Cl": "Cl.upf"})
    text = (tmp_path / "a.pwi").read_text()
    sites = "ATOMIC_POSITIONS"
    head, _, rows = text.rstrip().partition(sites)
    first, *places = rows.splitlines()
    whole = "\n".join([first, *(place + flags for place in places)])
    (tmp_path / "a.pwi").write_text(head + sites + whole)
    assert len(read_crystal(tmp_path / "a.pwi").species) == 2
    (tmp_path / "a.pwi").write_text(head + sites + whole.removesuffix(flags))
    assert len(read_crystal(tmp_path / "a.pwi").species) == 2
    (tmp_path / "a.pwi").write_text(head + sites + whole.removesuffix(flags)[:-9])
    assert refused(tmp_path / "a.pwi").startswith("its last site, Cl 2.0000000000 2.00")
    # One that ends as a line does is whole.
    (tmp_path / "a.pwi").write_text(head + sites + whole.removesuffix(flags)[:-9] + "\n")
    assert len(read_crystal(tmp_path / "a.pwi").species) == 2
    row = "{} Na 0.0 0.0 0.{}0 0 0 0 0 0 0 0 0 1.0\n"
    text = f"4 4 4\n90 90 90 SPGR = 1 P 1\n2 0\n0 Na2\n{row.format(1, 0)}{row.format(2, 55)}"
    (tmp_path / "a.cssr").write_text(text)
    assert len(read_crystal(tmp_path / "a.cssr").species) == 2
    (tmp_path / "a.cssr").write_text(text.replace("\n2 Na", "\n4 Na"))
    assert read_crystal(tmp_path / "a.cssr").notes[0].startswith("numbers one of its 2 sites as 4;")
    (tmp_path / "a.cssr").write_text(text.rpartition("50 0 0")[0])
    assert refused(tmp_path / "a.cssr") == (
        "its last site, 2 Na 0.0 0.0 0.5, has fewer words than the others; it may be truncated"
    )


@pytest.mark.parametrize(("old", "new"), [("4.0", "-1.0"), ("90.0", "200.0"), ("90.0", "0.0")])
def test_cells_that_no_crystal_has(tmp_path, old, new):
    path = tmp_path / "a.res"
    path.write_text(
        "TITL x\nCELL 1.0 4.0 4.0 4.0 90.0 90.0 90.0\nLATT -1\nSFAC Na\nNa 1 0 0 0 1\nEND\n"
    )
    assert len(read_crystal(path).species) == 1
    path.write_text(path.read_text().replace(old, new, 1))
    assert refused(path).startswith("has the cell ")
    path = tmp_path / "a.cssr"
    row = "1 Na 0.0000 0.0000 0.0000\n"
    path.write_text(f"4.0 4.0 4.0\n90.0 90.0 90.0 SPGR = 1 P 1 OPT = 1\n1 0\n0 Na1\n{row}")
    text = path.read_text()
    assert len(read_crystal(path).species) == 1
    path.write_text(text.replace(old, new, 1))
    assert refused(path).startswith("has the cell ")
    path.write_text(text + "2 Na.0000\n")
    assert refused(path).startswith("has the site '2 Na.0000'")


@pytest.mark.parametrize(("word", "n"), [("CRYSTAL", 3), ("SLAB", 2), ("polymer", 1)])
def test_an_xsf_file_that_repeats_in_part(tmp_path, word, n):
    Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]]).to(tmp_path / "a.xsf")
    path = tmp_path / "a.xsf"
    path.write_text(path.read_text().replace("CRYSTAL", word))
    notes = read_crystal(path).notes
    assert [f"is periodic in {n} of" in note for note in notes] == [True] * (n < 3)


def test_a_packed_xsf_file_is_checked_too(tmp_path):
    Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]]).to(tmp_path / "a.xsf")
    text = (tmp_path / "a.xsf").read_text().replace("\n 1 1\n", "\n 2 1\n")
    (tmp_path / "a.xsf.gz").write_bytes(gzip.compress(text.encode()))
    assert refused(tmp_path / "a.xsf.gz").startswith("has 2 sites, of which 1 can be read")


def test_several_cells_in_an_xsf_file(tmp_path):
    cell, sites = "PRIMVEC\n4 0 0\n0 4 0\n0 0 4\n", "PRIMCOORD\n1 1\n11 0 0 0\n"
    path = tmp_path / "a.xsf"
    path.write_text(f"CRYSTAL\n{cell}{sites}")
    assert read_crystal(path).species == [((11, 1.0),)]
    several = f"CRYSTAL\n{cell.replace('4', '9')}{cell}{sites}"
    for text in (several, several.lower()):
        path.write_text(text)
        assert refused(path).endswith("holds several cells (PRIMVEC); keep one")
    path.write_text(f"CRYSTAL\n{cell}{sites}".lower().replace("\n1 1\n", "\n2 1\n"))
    assert refused(path).startswith("has 2 sites, of which 1 can be read")


XSF = """CRYSTAL
PRIMVEC
4 0 0
0 4 0
0 0 4
PRIMCOORD
2 1
Na 0 0 0
Cl 2 2 2
"""
GRID = """BEGIN_BLOCK_DATAGRID_3D
of a density
BEGIN_DATAGRID_3D_x
2 2 2
0 0 0
4 0 0
0 4 0
0 0 4
1 2 3 4 5 6 7 8
END_DATAGRID_3D
END_BLOCK_DATAGRID_3D
"""
OF_PP = GRID.replace("of a density", "3D_PWSCF").replace(
    "BEGIN_DATAGRID_3D_x", "DATAGRID_3D_UNKNOWN"
)


@pytest.mark.parametrize(
    "text",
    [
        *(XSF + GRID, GRID + XSF, XSF + 2 * GRID, XSF + OF_PP, XSF + GRID.partition("1 2 3")[0]),
        *(XSF + GRID.replace("2 2 2", "99999 99999 99999"), (XSF + OF_PP).lower()),
        XSF + GRID.replace("DATA", "BAND").replace("2 2 2", "1\n99999 99999 99999"),
        XSF.replace("CRYSTAL", "DIM-GROUP\n 3   1"),
        XSF + "CONVCOORD\n2 1\n11 0 0 0\n17 1 1 1\n" + GRID,
        XSF.replace(
            "PRIMCOORD", "CONVVEC\n8 0 0\n0 8 0\n0 0 8\nCONVCOORD\n1 1\n11 0 0 0\nPRIMCOORD"
        ),
    ],
)
def test_what_an_xsf_file_may_hold_beside_its_crystal(tmp_path, text):
    path = tmp_path / "a.xsf"
    path.write_text(text.replace("na 0", "Na 0").replace("cl 2", "Cl 2"))
    crystal = read_crystal(path)
    assert crystal.species == [((11, 1.0),), ((17, 1.0),)]
    assert (crystal.lattice == 4 * np.eye(3)).all()
    assert crystal.notes == ()


def test_directions_of_an_xsf_file_by_their_number(tmp_path):
    path = tmp_path / "a.xsf"
    path.write_text(XSF.replace("CRYSTAL", "DIM-GROUP\n2 1"))
    (note,) = read_crystal(path).notes
    assert note.startswith("is periodic in 2 of three directions")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (GRID + XSF, "pymatgen cannot read it (XSF only supports a single structure"),
        (GRID + "PRIMVEC\n5 0 0\n0 5 0\n0 0 5\n", "holds several cells (PRIMVEC); keep one"),
        (GRID.replace("END", "") + XSF, "has PRIMVEC within a grid; keep one crystal"),
        (GRID.replace("END_", "PRIMCOORD\nEND_"), "has PRIMCOORD within a grid; keep one crystal"),
        ("CONVCOORD\n3 1\n11 0 0 0\n17 1\n", "pymatgen cannot read it (CONVCOORD section is not"),
    ],
)
def test_crystals_behind_the_grid_of_an_xsf_file(tmp_path, more, why):
    path = tmp_path / "a.xsf"
    path.write_text(XSF + more)
    assert refused(path).startswith(why)


@pytest.mark.parametrize(("flags", "n_cut"), [("", 3), ("", 6), (" T T F", 4)])
def test_a_poscar_that_is_cut_in_its_last_row(flags, n_cut):
    head, rows = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nSr Ti\n1 1\n", "0 0 0{0} Sr\n0.5 0.5 0.5123{0} Ti\n"
    head += "Selective dynamics\ndirect\n" if flags else "direct\n"
    text = head + rows.format(flags)
    assert read_crystal(text).notes == read_crystal(text.replace(" Sr\n", " Sr ! a\n")).notes == ()
    (note,) = read_crystal(text[:-n_cut]).notes
    assert note.startswith("its last site, 0.5 0.5 0.5")
    assert note.endswith(", has fewer words than the others; it may be truncated")


@pytest.mark.parametrize("ending", ["vasp", "xsf", "gen", "extxyz", "cif"])
@pytest.mark.parametrize("n_cut", [2, 5])
def test_a_last_number_that_is_cut(ending, n_cut, tmp_path):
    path, atoms = tmp_path / f"a.{ending}", Atoms("NaCl", cell=3 * [4.123456789], pbc=True)
    atoms.positions[1] = [1.23456789] * 3
    if ending == "cif":
        loop = "loop_\n_atom_site_label\n" + "".join(f"_atom_site_fract_{x}\n" for x in "xyz")
        text = f"{loop}Na1 0.00000 0.00000 0.00000\nCl1 0.41234 0.41234 0.41234\n"
        cell = "".join(f"_cell_length_{x} 4\n_cell_angle_{a} 90\n" for x, a in CELL)
        path.write_text(f"data_x\n{cell}_symmetry_Int_Tables_number 1\n{text}")
    else:
        write(path, atoms)
    text = path.read_text()
    if ending == "gen":  # its cell comes last
        text = text.replace("0.00000000E+00", "0.12345678E-08")
    whole = text.rstrip()
    path.write_text(whole)
    notes = read_crystal(path).notes
    path.write_text(whole[:-n_cut])
    *others, note = read_crystal(path).notes
    assert tuple(others) == notes
    assert note.startswith("ends with ")
    assert note.endswith(", which has fewer digits than the numbers above; is it cut?")
    path.write_text(whole[:-n_cut] + "\n")
    assert read_crystal(path).notes == notes


def test_sites_of_more_words_than_others_in_an_xyz_file(tmp_path):
    path = tmp_path / "a.xyz"
    text = '2\nLattice="4 0 0 0 4 0 0 0 4"\nNa 0.0 0.0 0.0\nCl 2.0 2.0 {}\n'
    path.write_text(text.format("2.0"))
    assert len(read_crystal(path).species) == 2
    path.write_text(text.format("1 2.0"))
    told = (
        "has the site 'Cl 2.0 2.0 1 2.0', of more words than another one; give all the same columns"
    )
    assert refused(path) == told
    told = "properties=species:S:1:mass:R:1:pos:R:3"
    path.write_text(f'1\nLattice="4 0 0 0 4 0 0 0 4" {told}\nNa 2.99 0 0 0\n')
    assert refused(path) == f"tells {told}; write Properties"


def test_zeros_left_out_by_hand():
    assert read_crystal(NACL[:-1].replace("0 0 0", ".25 .25 .25")).notes == ()
    sites = "0.1 0.2 0.3\n0.175257 0.857233 0.920692\n0.905016 0.159757 0.89814"
    text = NACL.partition("0 0 0")[0].replace("1 1", "1 2") + sites
    assert read_crystal(text).notes == ()
    text = text.replace("0.1 0.2 0.3", "0.100000 0.200000 0.300000")
    assert read_crystal(text).notes == ()
    (note,) = read_crystal(text[:-1]).notes
    assert note.startswith("ends with 0.8981,")


def test_fluorides_with_atoms_that_are_held():
    text = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nLi F\n1 1\nSelective\ndirect\n{}"
    for one, other in (("T T T", "F F F"), ("T T T", "T T T")):
        assert read_crystal(text.format(f"0 0 0 {one}\n.5 .5 .5 {other}\n")).notes == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.cssr", "{} 5.0 5.0\n90 90 90 SPGR = 1 P 1 OPT = 1\n1 0\n1_0\n1 Na 0.0 0.0 0.0\n"),
        (
            "a.res",
            "REM 1_0\nTITL 1_0\nCELL 1.0 {} 5 5 90 90 90\nLATT -1\nSFAC Na\nNa 1 0 0 0 1.0\nEND\n",
        ),
        ("a.gen", "1 F\nNa\n1 1 0 0 0\n0 0 0\n{} 0 0\n0 5.0 0\n0 0 5.0\n"),
        (
            "geometry.in",
            "lattice_vector {} 0 0\nlattice_vector 0 5 0\nlattice_vector 0 0 5\natom 0 0 0 Na\n",
        ),
        ("a.extxyz", "1\nLattice=[{},0,0,0,5,0,0,0,5] run=1_0\nNa 0 0 0\n"),
        ("a.vasp", "x\n1.0\n{} 0 0 # a=1\n0 5 0\n0 0 5\nNa\n1\ndirect\n0 0 0\n"),
        ("a.extxyz", '1\nrun=1_0 Lattice="{} 0 0 0 5 0 0 0 5"\nNa 0 0 0\n'),
        ("a.vasp", "x 1_0\n1.0 # 1_0\n{} 0 0\n0 5 0\n0 0 5\nNa\n1\ndirect\n0 0 0\n"),
    ],
)
def test_underscores_in_numbers_of_each_kind_of_file(tmp_path, name, text):
    (tmp_path / name).write_text(text.format("5.0"))
    assert read_crystal(tmp_path / name).lattice[0, 0] == 5
    (tmp_path / name).write_text(text.format("5_0.0"))
    assert refused(tmp_path / name) == "holds the number '5_0.0'; write it without the underscore"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_a_geometry(tmp_path, end):
    """Comments with other ends of lines, and a byte order mark before the first atom."""
    text = (
        "\ufeffatom_frac 0 0 0 Na #\u2028symmetry_frac\natom_frac 0.5 0.5 0.5 Cl #\x0bsymmetry_lv\n"
    )
    cell = "lattice_vector 4 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\n"
    path = tmp_path / "geometry.in"
    path.write_text((text + cell).replace("\n", end), encoding="utf-8", newline="")
    assert read_crystal(path).species == [((11, 1.0),), ((17, 1.0),)]


GEOMETRY = """lattice_vector 4 0 0
lattice_vector 0 4 0
lattice_vector 0 0 4
atom_frac 0 0 0 Na # the first
initial_moment 1.0
atom_frac 0.5 0.5 0.5 Cl
"""


@pytest.mark.parametrize(
    "more",
    [
        "constrain_relaxation .true.\n",
        "velocity 0 0 1\n",
        "empty 1 1 1 O\n",
        "symmetry_frac_change_threshold 1\n",
        "hessian_block 1 1 0 0 0 0 0 0 0 0 0\n",
        "  set_vacuum_level 3\n",
        "#atom_frac .1 .1 .1 O\n",
        "RT_TDDFT_initial_velocity 0 0 1\n",
    ],
)
def test_what_a_geometry_may_hold(tmp_path, more, recwarn):
    path = tmp_path / "geometry.in"
    # A cell may be kept, too, of which ASE would make sites that come twice.
    for text in (
        GEOMETRY + more,
        GEOMETRY.replace(" 4\n", f" 4\n{more}").replace("4 0\n", f"4 0\n{more}"),
    ):
        path.write_text(text)
        assert read_crystal(path).species == [((11, 1.0),), ((17, 1.0),)]
    assert not recwarn.list  # such as that of ASE on its plugin


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Atom_frac .1 .1 .1 O", "which no geometry.in has; write atom_frac"),
        ("atomfrac .1 .1 .1 O", "which no geometry.in has; write atom_frac"),
        ("//atom .1 .1 .1 O", "which no geometry.in has; write atom"),
        (
            ".1 .1 .1 O",
            "has the line '.1 .1 .1 O', which no geometry.in has; correct it, or",
        ),
        (
            "<<<<<<< HEAD",
            "has the line '<<<<<<< HEAD', which no geometry.in has; correct it",
        ),
        ("+atom_frac .1 .1 .1 O", "which no geometry.in has; write atom_frac"),
        ("atom_frac .1 .1 .1 O atom_frac .1 .1 .6 O", "write atom_frac with 4 words behind it"),
        ("atom_frac .1 .1 .1 # O", "write atom_frac with 4 words behind it, and what is a comment"),
        ("lattice_vector 0 0 4 4", "write lattice_vector with 3 words behind it"),
    ],
)
def test_lines_that_are_none_of_a_geometry(tmp_path, line, why):
    """ASE leaves out what it does not know, with the site that it was to be."""
    path = tmp_path / "geometry.in"
    path.write_text(GEOMETRY + line + "\n")
    assert why in refused(path)


PWO = """     Program PWSCF v.7.2 starts on  1Jan2024 at 10: 0: 0
     number of atoms/cell      =            2
     celldm(1)=   7.558904  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )
     atomic species   valence    mass     pseudopotential
        Na             9.00    22.98977     Na( 1.00)
        Cl             7.00    35.45300     Cl( 1.00)

     site n.     atom                  positions (alat units)
         1           Na  tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           Cl  tau(   2) = (   0.5000000   0.5000000   0.5000000  )

"""
PWO_ENERGY = "!    total energy              =     -22.82300000 Ry\n\n"
PWO_CELL = "CELL_PARAMETERS (angstrom)\n5.0 0.0 0.0\n0.0 5.0 0.0\n0.0 0.0 5.0\n\n"
PWO_SITES = "ATOMIC_POSITIONS (angstrom)\nNa 0.0 0.0 0.0\nCl 2.5 2.5 2.{}\n\n"
PWO_END = "   JOB DONE.\n"
LOST = "has 2 energies behind its last positions; newer may be lost"
PWO_DONE = (PWO_ENERGY, PWO_END)
PWO_FINAL = "Begin final coordinates\n"
NO_END = "the run did not end (JOB DONE. is missing); its last crystal with an energy is taken"
NEWER = "its newer positions, behind the last energy, have none and are not read"


@pytest.mark.parametrize(
    ("steps", "notes"),
    [
        ([PWO_ENERGY, PWO_END], []),
        ([PWO_ENERGY], [NO_END]),
        ([PWO_ENERGY, PWO_SITES.format(4)], [NO_END, NEWER]),
        ([PWO_ENERGY, PWO_FINAL, PWO_SITES.format(0), PWO_END], []),
        ([PWO_ENERGY, "Na 0.0 0.0 0.0\n", *PWO_DONE], [LOST]),
        (["EXX-fraction = 0.25\n", PWO_ENERGY, *PWO_DONE], []),
        ([PWO_ENERGY, PWO_SITES.format(4), PWO_END], [NEWER]),
        ([PWO_SITES.format(4), PWO_ENERGY, PWO_FINAL, PWO_SITES.format(4), PWO_END], []),
        ([PWO_SITES.format(4), PWO_ENERGY, PWO_FINAL, PWO_SITES.format(3), PWO_END], [NEWER]),
        ([PWO_CELL, PWO_SITES.format(4), PWO_ENERGY, PWO_END], []),
        ([PWO_CELL.replace("angstrom", "alat= 9.4"), PWO_SITES.format(4), *PWO_DONE], []),
        (
            [
                *(PWO_CELL, PWO_SITES.format(4), PWO_ENERGY),
                *(PWO_CELL.replace("5", "6"), PWO_SITES.format(4), PWO_END),
            ],
            [NEWER],
        ),
        (["no units specified in CELL_PARAMETERS card\n", PWO_SITES.format(4), *PWO_DONE], []),
        ([PWO_ENERGY, PWO_END, PWO, PWO_ENERGY], [NO_END, "several"]),
    ],
)
def test_runs_that_did_not_end_or_have_newer_positions(tmp_path, steps, notes):
    (tmp_path / "a.pwo").write_text(PWO + "".join(steps))
    found = read_crystal(tmp_path / "a.pwo").notes
    several = {"holds several crystals; the last is taken": "several"}
    assert sorted(several.get(note, note) for note in found) == sorted(notes)


@pytest.mark.parametrize("cell", ["", PWO_CELL])
def test_the_volume_that_a_run_tells(tmp_path, cell):
    """In bohr³, of its start and of each newer cell."""
    path = tmp_path / "a.pwo"
    newer = f"new unit-cell volume =    843.541 a.u.^3 (   125.0 Ang^3 )\n{cell}" if cell else ""
    text = PWO.replace(
        "     celldm", "     unit-cell volume          =     431.893 (a.u.)^3\n     celldm"
    )
    text += newer + PWO_SITES.format(4) + PWO_ENERGY + PWO_END
    path.write_text(text)
    assert read_crystal(path).notes == ()
    old, new = ("5.0 0.0 0.0", "6.0 0.0 0.0") if cell else ("(1)=   7.5", "(1)=   9.5")
    path.write_text(text.replace(old, new))
    told = "125" if cell else "63.9999"
    found = f"does not have its volume (unit-cell volume, in Å³, {told})"
    assert read_crystal(path).notes[0].endswith(found)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("CELL_PARAMETERS (angstrom)\n", "", "has no CELL_PARAMETERS with three rows right above"),
        ("0.0 5.0 0.0\n", "", "has no CELL_PARAMETERS with three rows right above"),
        ("0.0 5.0 0.0\n", "0.5 0.0 5.0 0.0\n", "has other rows than of three numbers in its las"),
        ("0.0 5.0 0.0\n", "0.0 5.0 0.0\n" * 2, "has no CELL_PARAMETERS with three rows right abo"),
        ("Cl 2.5", "Na 0.0 0.0 0.0\nCl 2.5", "has 3 lines of sites, but tells 2 (number of atoms"),
        ("Na 0.0 0.0 0.0\n", "", "has 1 lines of sites, but tells 2 (number of atoms/cell)"),
        ("         2  ", PWO.splitlines()[-3] + "\n        2  ", "has 3 lines of sites, but tells"),
        (
            "Cl 2.5",
            "Ca 2.5",
            "has the site 'Ca 2.5 2.5 2.4' in the place of Cl, with which it begin",
        ),
        ("POSITIONS (angstrom", "POSITIONS (agstrom", "has ATOMIC_POSITIONS in 'agstrom'; write"),
        ("POSITIONS (angstrom)", "POSITIONS", "has ATOMIC_POSITIONS without a unit, as no run"),
        ("PARAMETERS (angstrom", "PARAMETERS (angstrm", "has CELL_PARAMETERS in 'angstrm'; write"),
        (
            PWO.splitlines()[5] + "\n",
            PWO.splitlines()[5] * 0,
            "has not the axes a(1), a(2) and a(3)",
        ),
        ("Cl  tau", "O   tau", "has the species Cl, Na, but sites of Na, O; it is damaged"),
        ("a(2)", "a(1)", "has not the axes a(1), a(2) and a(3), each once, as its cell"),
        ("=            2", "=            1", "has 2 lines of sites, but tells 1 (number of atoms"),
    ],
)
def test_runs_that_lost_lines(tmp_path, old, new, why):
    path = tmp_path / "a.pwo"
    text = PWO + PWO_ENERGY + PWO_CELL + PWO_SITES.format(4) + PWO_ENERGY + PWO_END
    path.write_text(text)
    assert read_crystal(path).lattice[0, 0] == 5
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert refused(path).startswith(why)
