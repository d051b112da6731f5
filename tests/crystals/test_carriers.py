"""Crystals in the objects of other libraries, and what is none."""

import json
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.spacegroup import crystal
from pymatgen.core import Composition, Lattice, Molecule, Structure

from skcgcnn import CGCNNMultiTask, CrystalGraphTransformer
from skcgcnn.crystals import list_sources, read_crystal
from skcgcnn.crystals._carriers import to_structure
from skcgcnn.exceptions import StructureError


@pytest.fixture
def carriers(nacl):
    """Return the same crystal in the objects of many libraries."""
    atoms = nacl.to_ase_atoms()
    lattice, frac = nacl.lattice.matrix.tolist(), nacl.frac_coords.tolist()
    symbols = [site.specie.symbol for site in nacl]
    optimade = {
        "lattice_vectors": lattice,
        "cartesian_site_positions": nacl.cart_coords.tolist(),
        "species_at_sites": symbols,
        "species": [
            {"name": s, "chemical_symbols": [s], "concentration": [1.0]} for s in ("Na", "Cl")
        ],
    }
    jarvis = {"lattice_mat": lattice, "coords": frac, "elements": symbols, "cartesian": False}
    return {
        "Structure": nacl,
        "Atoms": atoms,
        "entry": SimpleNamespace(structure=nacl, energy=-1.0),
        "pymatgen dict": nacl.as_dict(),
        "OPTIMADE": {"id": "x", "attributes": optimade},
        "OPTIMADE attributes": optimade,
        "JARVIS dict": jarvis,
        "CIF text": nacl.to(fmt="cif"),
    }


def same(first, second):
    """Check that two crystals have the same graph, whatever the order of their sites."""
    a, b = (graph.expand() for graph in CrystalGraphTransformer().transform([first, second]))
    np.testing.assert_allclose(
        np.sort(a.distances, axis=0), np.sort(b.distances, axis=0), atol=1e-4
    )
    assert a.offsets.tolist() == b.offsets.tolist()


@pytest.mark.parametrize(
    "kind",
    [
        "Atoms",
        "entry",
        "pymatgen dict",
        "OPTIMADE",
        "OPTIMADE attributes",
        "JARVIS dict",
        "CIF text",
    ],
)
def test_carriers(carriers, nacl, kind):
    same(carriers[kind], nacl)
    assert len(list_sources([carriers[kind]])) == 1


def test_computed_entries_and_rows_of_databases(nacl, tmp_path):
    entries = pytest.importorskip("pymatgen.entries.computed_entries")
    same(entries.ComputedStructureEntry(nacl, -1.0), nacl)
    db = pytest.importorskip("ase.db")
    with db.connect(tmp_path / "atoms.db") as database:
        database.write(nacl.to_ase_atoms())
    with db.connect(tmp_path / "atoms.db") as database:
        same(next(database.select()), nacl)


def test_jarvis_and_phonopy(nacl):
    jarvis = pytest.importorskip("jarvis.core.atoms")
    phonopy = pytest.importorskip("phonopy.structure.atoms")
    arguments = nacl.lattice.matrix, nacl.frac_coords, [s.specie.symbol for s in nacl]
    same(jarvis.Atoms(arguments[0], arguments[1], arguments[2], cartesian=False), nacl)
    atoms = phonopy.PhonopyAtoms(
        cell=arguments[0], scaled_positions=arguments[1], symbols=arguments[2]
    )
    same(atoms, nacl)


def test_files_of_ase(nacl, tmp_path, monkeypatch):
    atoms = nacl.to_ase_atoms()
    for name in ("nacl.traj", "nacl.extxyz"):
        atoms.write(tmp_path / name)
        same(str(tmp_path / name), nacl)
    io = pytest.importorskip("ase.io")
    io.write(tmp_path / "run.traj", [atoms * (1, 1, 2), atoms])
    assert "several crystals; the last" in read_crystal(tmp_path / "run.traj").notes[0]
    same(str(tmp_path / "run.traj"), nacl)
    same(io.Trajectory(tmp_path / "run.traj")[1], nacl)
    assert len(list_sources(io.Trajectory(tmp_path / "run.traj"))) == 2
    monkeypatch.setenv("HOME", str(tmp_path))
    same("~/nacl.traj", nacl)
    Atoms("H2", [[0, 0, 0], [0, 0, 1]]).write(tmp_path / "molecule.xyz")
    with pytest.raises(StructureError, match="have no cell"):
        read_crystal(tmp_path / "molecule.xyz")


def test_slabs_are_told(nacl):
    slab = nacl.to_ase_atoms()
    slab.pbc = (True, True, False)
    with pytest.warns(UserWarning, match="periodic in 2 of three directions"):
        CrystalGraphTransformer().transform([slab])
    flat = Structure(Lattice(nacl.lattice.matrix, (True, True, False)), ["Na"], [[0, 0, 0]])
    assert any("periodic in 2 of three" in note for note in read_crystal(flat.as_dict()).notes)


def test_what_optimade_says_beside_the_sites(carriers):
    entry = dict(carriers["OPTIMADE attributes"])
    assert read_crystal(entry).notes == ()
    entry["dimension_types"] = [1, 1, 0]
    entry["structure_features"] = ["disorder", "site_attachments"]
    found = read_crystal(entry).notes
    assert any("periodic in 2 of three" in note for note in found)
    assert any("has site_attachments, which are not read" in note for note in found)
    isotopes = {"name": "Cl", "chemical_symbols": ["Cl"] * 2, "concentration": [0.7, 0.2]}
    entry["species"] = [*entry["species"][:1], isotopes]
    assert read_crystal(entry).species[-1] == ((17, pytest.approx(0.9)),)


def test_dictionaries_that_say_two_things(nacl):
    content = nacl.as_dict()
    content["sites"][0]["species"] = [{"element": "Na", "occu": 0.5}] * 2
    with pytest.raises(StructureError, match="one element twice"):
        read_crystal(content)
    jarvis = {"lattice_mat": np.eye(3) * 4, "coords": [[0, 0, 0]], "elements": ["Na"]}
    with pytest.raises(StructureError, match="cartesian is 'False'"):
        read_crystal({**jarvis, "cartesian": "False"})


def test_dictionaries_of_optimade_that_say_two_things(carriers):
    entry = carriers["OPTIMADE attributes"]
    n_sites = len(entry["species_at_sites"])
    assert len(read_crystal({**entry, "nsites": n_sites}).species) == n_sites
    with pytest.raises(StructureError, match="but says that it has 9"):
        read_crystal({**entry, "nsites": 9})
    other = {"name": "Cl", "chemical_symbols": ["Br"], "concentration": [1.0]}
    with pytest.raises(StructureError, match="two of its species have one name"):
        read_crystal({**entry, "species": [*entry["species"], other]})


@pytest.mark.parametrize("odd", ["1_0", True])
def test_what_is_no_number_in_dictionaries(nacl, odd):
    jarvis = {"lattice_mat": [[5, 0, 0], [0, 5, 0], [0, 0, 5]], "coords": [[0, 0, 0]]}
    jarvis |= {"elements": ["Na"], "cartesian": False}
    shares = [{"name": "Na", "chemical_symbols": ["Na"], "concentration": [1.0]}]
    optimade = {"lattice_vectors": jarvis["lattice_mat"], "species": shares}
    optimade |= {"cartesian_site_positions": [[0, 0, 0]], "species_at_sites": ["Na"]}
    for content, *places in (
        (nacl.as_dict(), ("lattice", "matrix", 0, 0), ("sites", 0, "abc", 0)),
        (nacl.as_dict(), ("sites", 0, "species", 0, "occu")),
        (jarvis, ("lattice_mat", 0, 0), ("coords", 0, 0), ("elements", 0)),
        (optimade, ("lattice_vectors", 0, 0), ("cartesian_site_positions", 0, 0)),
        (optimade, ("species", 0, "concentration", 0), ("species", 0, "chemical_symbols", 0)),
    ):
        read_crystal(content)
        for *way, last in places:
            changed = inner = deepcopy(content)
            for step in way:
                inner = inner[step]
            inner[last] = odd
            with pytest.raises(StructureError, match=f"{odd}.* (not a number|no element)"):
                read_crystal(json.dumps(changed))


def test_json_imports_nothing(nacl, tmp_path):
    content = nacl.as_dict()
    named = {"@module": "os", "@class": "system", "command": "true"}
    files = [tmp_path / name for name in ("nacl.json", "nacl.mson", "nacl.json.txt")]
    for hidden in ({"x": named}, {"x": [1, [named]]}, {"x": {"y": {"z": named}}}):
        for place in (content["sites"][0], content["lattice"]):
            place["more"] = hidden
            for file in files:
                file.write_text(json.dumps(content))
            for source in (*files, content):
                with pytest.raises(StructureError, match="the module 'os', which is not imported"):
                    read_crystal(source)
            del place["more"]
    (tmp_path / "nacl.yaml").write_text(json.dumps(content))
    with pytest.raises(StructureError, match="is no kind of file that is read"):
        read_crystal(tmp_path / "nacl.yaml")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(StructureError, match="not well-formed JSON"):
        read_crystal(tmp_path / "deep.json")


def test_properties_of_a_structure_are_not_decoded(tmp_path, monkeypatch):
    """They say nothing of the crystal, and pymatgen would import what they name."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "harm.py").write_text(f"open({str(tmp_path / 'harmed')!r}, 'w')\n")
    structure = Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]])
    content, other = structure.as_dict(), {"@module": "numpy", "@class": "array", "data": [1.0]}
    content["properties"] = {"x": [{"@module": "harm", "@class": "Harm"}], "stress": other}
    content["sites"][0]["properties"] = {"x": {"@module": "harm", "@class": "Harm"}, "f": other}
    (tmp_path / "a.json").write_text(json.dumps(content))
    for source in (tmp_path / "a.json", content):
        assert read_crystal(source).species == [((11, 1.0),)]
    assert not (tmp_path / "harmed").exists()


def test_containers(cifs, graphs):
    def transformed(X):
        return CrystalGraphTransformer().transform(X)

    containers = [(p for p in cifs[:3]), pd.Index(cifs[:3]), iter(cifs[:3])]
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    containers += [
        polars.Series(cifs[:3]),
        polars.DataFrame({"path": cifs[:3]}),
        arrow.array(cifs[:3]),
        arrow.chunked_array([cifs[:2], cifs[2:3]]),
        arrow.table({"path": cifs[:3]}),
    ]
    for X in containers:
        np.testing.assert_array_equal(transformed(X).distances, graphs[:3].distances)
    with pytest.raises(TypeError, match="columns a, b; expected one with crystals and numbers"):
        transformed(polars.DataFrame({"a": cifs[:3], "b": cifs[:3]}))


def test_hints(nacl, cifs, energies, labels, tiny):
    with pytest.raises(ValueError, match="takes structures apart into their sites; pass the list"):
        list_sources(np.array([nacl, nacl], dtype=object))
    with pytest.raises(ValueError, match=r"np\.column_stack"):
        CGCNNMultiTask(**tiny).fit(cifs, (energies, labels))
    for mapping in ({}, {"a": 1}, {1, 2}):
        with pytest.raises(TypeError, match="X is of type"):
            list_sources(mapping)


def test_what_is_none_becomes_nan(nacl, cifs, tmp_path):
    bad = [
        None,
        float("nan"),
        Molecule(["H"], [[0, 0, 0]]),
        "a\0b.cif",
        "x" * 5000 + ".cif",
        "data_x\nloop_\n_a\n1 2\n",
        tmp_path / "none.cif",
        {"lattice": 1, "sites": []},
        3,
    ]
    transformer = CrystalGraphTransformer(on_error="nan")
    with pytest.warns(UserWarning, match=f"{len(bad)} of {len(bad) + 2} crystals") as caught:
        graphs = transformer.transform([cifs[0], *bad, nacl])
    assert (graphs.n_sites > 0).tolist() == [True, *[False] * len(bad), True]
    message = str(caught[0].message)
    assert len(message.splitlines()) == len(bad) + 1
    assert "Molecule" in message
    with pytest.raises(TypeError, match=r"X\[1\] is of type NoneType"):
        CrystalGraphTransformer().transform([cifs[0], None])


def test_atoms_of_a_cif_with_shared_sites(tmp_path):
    shared = [{"Fe": 0.5, "Co": 0.5}, {"Na": 0.7}]
    alloy = Structure(Lattice.cubic(2.9), shared, [[0, 0, 0], [0.5, 0.5, 0.5]])
    alloy.to(filename=tmp_path / "alloy.cif")
    atoms = read(tmp_path / "alloy.cif")
    assert to_structure(atoms)[0].matches(alloy)
    assert to_structure(atoms * (2, 1, 1))[0].matches(alloy * (2, 1, 1))
    atoms[0].symbol = "Ni"  # what the CIF said of this site holds no more
    composition = to_structure(atoms)[0].composition
    assert composition == Composition("NiNa0.7")


def test_a_damaged_trajectory_asks_for_no_memory(tmp_path):
    path = tmp_path / "a.traj"
    bulk("NaCl", "rocksalt", 5.6).write(path)
    content = bytearray(path.read_bytes())
    places = [32, 40, content.index(b'{"version"') - 8]  # of frames, where they stand, how long
    for place in places:
        damaged = content.copy()
        damaged[place : place + 8] = (1 << 40).to_bytes(8, "little")
        path.write_bytes(damaged)
        if place == places[-1]:  # a text is read to its end
            assert len(read_crystal(path).species) == 2
            continue
        with pytest.raises(StructureError, match="ASE cannot read it"):
            read_crystal(path)


def test_shares_of_sites_that_atoms_lost(tmp_path):
    places, cell = [(0, 0, 0), (0.5, 0.5, 0.5)], [5.6] * 3 + [90] * 3
    half = crystal(["Na", "Cl"], places, [0.5, 1], 225, cellpar=cell)
    half.write(tmp_path / "half.traj")  # it keeps what sites hold, but not which is which
    with pytest.raises(StructureError, match="no array 'spacegroup_kinds' says which"):
        read_crystal(tmp_path / "half.traj")
    half.info["occupancy"] = {"0": {"Na": 1.0}, "1": {"Cl": 1.0}}
    half.write(tmp_path / "whole.traj")
    assert len(read_crystal(tmp_path / "whole.traj").species) == 8
    whole = bulk("NaCl", "rocksalt", 5.6)
    for shares, is_read in ([1.0, 1.0], True), ([0.0, 0.0], True), ([0.5, 1.0], False):
        whole.set_array("occupancy", np.array(shares))
        if is_read:
            assert len(read_crystal(whole).species) == 2
            continue
        with pytest.raises(StructureError, match="its array 'occupancy' holds shares of sites"):
            read_crystal(whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: None, ()),
        (lambda d: d["lattice"].update(a=5.7), ("tells a = 5.7, but its matrix",)),
        (lambda d: d["lattice"].update(a=d["lattice"]["a"] * 1.001), ()),
        (lambda d: d["lattice"].update(volume="90"), ("tells volume = 90, but its matrix",)),
        (lambda d: d["lattice"].update(a=None), ()),
        (lambda d: d["sites"][1].update(xyz=[1, 1, 1]), ("has an xyz of site 1 that is not",)),
        (lambda d: d["sites"][0].update(xyz=d["lattice"]["matrix"][0]), ()),  # the next cell
        (lambda d: d["sites"][1].update(xyz=None), ("has no xyz of site 1, but of others",)),
        (
            lambda d: (d["sites"][0].pop("xyz"), d["sites"][1].update(xyz=[1, 1, 1])),
            ("has no xyz of site 0", "has an xyz of site 1"),
        ),
        (lambda d: [site.pop("xyz") for site in d["sites"]], ()),
    ],
)
def test_dictionaries_that_tell_another_crystal_beside(nacl, change, told):
    content = nacl.as_dict()
    change(content)
    notes = read_crystal(content).notes
    assert len(notes) == len(told)
    assert all(note.startswith(one) for note, one in zip(notes, told, strict=True))


@pytest.mark.parametrize(
    ("place", "change", "told"),
    [
        ("JARVIS dict", {"abc": [5.7, 5.7, 5.7], "angles": [90, 90, 90]}, "tells a = 5.7, but its"),
        ("JARVIS dict", {"angles": [90, 60, 90]}, "tells beta = 60, but its matrix"),
        ("OPTIMADE attributes", {"elements": ["Cl", "K"]}, "tells the elements Cl, K, but its"),
        ("OPTIMADE", {"chemical_formula_reduced": "ClNa2"}, "tells chemical_formula_reduced = Cl"),
        ("entry", {"nat": 9}, "tells nat = 9, but has 2 sites"),
        ("entry", {"nsites": "9"}, "tells nsites = 9, but has 2 sites"),
        ("entry", {"formula_pretty": "Na2Cl"}, "tells formula_pretty = Na2Cl, but its sites are"),
        ("entry", {"composition_reduced": {"Na": 1}}, "tells composition_reduced = {'Na': 1}"),
        ("entry", {"elements": ["Na", "F-"]}, None),  # of texts that are no elements
        ("entry", {"formula": "salt", "composition": "NaCl.5H2O", "nsites": None}, None),
        ("entry", {"formula": "(" * 10**6, "elements": [{}], "nat": float("nan")}, None),
        ("entry", {"formula": "Na2 Cl2", "elements": ["Na", "Cl"], "nsites": 2}, None),
    ],
)
def test_entries_that_tell_another_crystal_beside(carriers, nacl, place, change, told):
    nacl = nacl.get_primitive_structure()
    content = {"structure": nacl.as_dict()} if place == "entry" else deepcopy(carriers[place])
    assert read_crystal(content).notes == ()
    content.get("attributes", content).update(change)
    notes = read_crystal(json.dumps(content)).notes
    assert len(notes) == (told is not None)
    assert all(note.startswith(told) for note in notes)


def test_a_site_that_is_no_element_beside_a_formula():
    atoms = {"lattice_mat": (4 * np.eye(3)).tolist(), "coords": [[0, 0, 0], [0.5] * 3]}
    atoms |= {"elements": ["Na", "X"], "cartesian": False}
    with pytest.raises(StructureError, match=r"site 1 holds X0.*, which is not an element"):
        read_crystal({"jid": "J", "formula": "NaCl", "atoms": atoms})


@pytest.mark.parametrize(
    ("formula", "is_told"),
    [
        ("K Cl1", True),
        ("(NaCl)4", False),
        ("Li(Na2Cl)3", True),
        ("Ba (Ti O3)", True),
        ("K4[Fe(CN)6]", True),
        ("LiFe(PO4)", True),
        (" KCl ", True),
        ("Ba TiO3", True),
        ("KBr I", False),
        ("KBr(I)", False),
        ("NaBr (B1)", False),
        ("NaBr B1", False),
        ("NaBr@225", False),
    ],
)
def test_how_formulas_are_written(nacl, formula, is_told):
    notes = read_crystal({"structure": nacl, "formula": formula}).notes
    assert len(notes) == is_told


def test_formulas_of_shared_sites_are_rounded(nacl):
    nacl = nacl.copy()
    nacl.replace(0, {"Na": 1 / 3, "K": 0.6543})
    formula = nacl.composition.reduced_formula
    assert read_crystal({"structure": nacl, "formula_pretty": formula}).notes == ()
    told = read_crystal({"structure": nacl, "formula_pretty": "Na0.9KCl3"}).notes
    assert len(told) == 1
