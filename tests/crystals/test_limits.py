"""Files that are too large, never end, or fail for a reason that passes."""

import errno
import gzip
import os
import pickle
import time
import tracemalloc

import gemmi
import joblib
import numpy as np
import pytest
from hostile import run_bounded
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphTransformer
from skcgcnn.crystals import read_crystal
from skcgcnn.exceptions import StructureError, TransientReadError

READ = """
from skcgcnn.crystals import read_crystal
for path in sys.argv[1:]:
    try:
        read_crystal(path)
    except StructureError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_small_file_that_unpacks_to_a_large_one(tmp_path):
    (tmp_path / "bomb.cif.gz").write_bytes(1_000 * gzip.compress(b"#" * 10**6 + b"\n"))
    assert (tmp_path / "bomb.cif.gz").stat().st_size < 10**7
    assert "larger than 100 MB" in run_bounded(READ, tmp_path / "bomb.cif.gz", megabytes=600)


@pytest.mark.slow
def test_what_unpacks_to_far_more_than_its_size(tmp_path):
    """It would take half a minute: a few bytes in front of blanks, which pymatgen searches."""
    text = b"data_x\n_cell_length_a 4\n" + b" " * 6_000_000
    (tmp_path / "a.cif.gz").write_bytes(gzip.compress(text))
    assert "unpacks to over 300 times its size" in run_bounded(
        READ, tmp_path / "a.cif.gz", seconds=20
    )


def test_pipes_and_devices(tmp_path):
    os.mkfifo(tmp_path / "pipe.cif")
    (tmp_path / "zero.cif").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "POSCAR")
    paths = [tmp_path / name for name in ("pipe.cif", "zero.cif", "POSCAR")]
    assert run_bounded(READ, *paths).count("a pipe or a device") == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("POSCAR", "x\n1\n4 0 0\n0 4 0\n0 0 4\nNa\n1\nDirect\n0 0 0\n"),
        ("a.res", "CELL 1 4 4 4 90 90 90\nSFAC Na\nNa 1 0 0 0 1\nEND\n"),
        ("a.cif", "data_x\n_cell_length_a 4\n"),
        ("b.cif", "data_x\n_cell_length_a 4 # Å\n"),
    ],
)
def test_empty_lines_at_the_end_take_no_time(tmp_path, name, text):
    (tmp_path / name).write_text(text + 300_000 * "\n")
    told = "tells no symmetry" if name == "a.res" else "no structures" * name.endswith("cif")
    assert told in run_bounded(READ, tmp_path / name, seconds=30)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.vasp", "x\n1\n4 0 0\n0 4 0\n0 0 4\nNa\n{}\nDirect\n0 0 0\n"),
        ("b.vasp", "Na\n1\n4 0 0\n0 4 0\n0 0 4\n{}\nDirect\n0 0 0\n"),
        ("a.xsf", "CRYSTAL\nPRIMVEC\n4 0 0\n0 4 0\n0 0 4\nPRIMCOORD\n{} 1\n11 0 0 0\n"),
        ("a.xyz", "{}\nx\nVEC1 4 0 0\nVEC2 0 4 0\nVEC3 0 0 4\nNa 0 0 0\n"),
        ("a.extxyz", '1\n9\nNa 0 0 0\n{}\nLattice="4 0 0 0 4 0 0 0 4"\nNa 0 0 0\n'),
    ],
)
@pytest.mark.parametrize("count", ["1000000000", "1" * 5000])
def test_more_sites_than_lines(tmp_path, name, text, count):
    (tmp_path / name).write_text(text.format(count))
    told = f"has {int(count[:12])} sites, but fewer lines; perhaps it is truncated"
    assert told in run_bounded(READ, tmp_path / name, seconds=30, megabytes=500)


def test_more_columns_than_an_xyz_file_has(tmp_path):
    """Of a file that lost a part of its lines: R:3 and 00000000 were apart."""
    cell = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:300000000'
    (tmp_path / "a.extxyz").write_text(f"1\n{cell}\nNa 0 0 0\n")
    told = "tells 300000000 columns of its sites, which it does not have"
    assert told in run_bounded(READ, tmp_path / "a.extxyz", seconds=30, megabytes=500)


CUBIC = """data_x
_cell_length_a 40
_cell_length_b 40
_cell_length_c 40
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_symmetry_equiv_pos_as_xyz
{}
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{}
"""


@pytest.mark.parametrize(
    ("n_operations", "operation", "n_sites", "site", "told"),
    [
        (1, "x,y,z", 20_001, "0 0 0", "20001 sites and 1 symmetry op"),  # all with all: 3 GB
        (96, None, 1_000, "0 0 0", "lists 1000 sites and 96 symmetry operations: too many"),
        (96, None, 20_000, "0.1 0.2 0.3", "lists 20000 sites and 96 symmetry operations: too many"),
        (9_600, None, 1, "0 0 0", ""),
        (3_000, "x,y,z", 1, "0 0 0", ""),
        (5_000, "x+{}/5000,y,z", 1, "0 0 0", "lists 5000 shifts as symmetry operations"),
    ],
)
def test_images_that_are_too_many(tmp_path, n_operations, operation, n_sites, site, told):
    if operation is None:
        listed = [triplet.triplet() for triplet in gemmi.SpaceGroup("F m -3").operations()]
        listed *= n_operations // 96
    else:
        listed = [operation.format(i) for i in range(n_operations)]
    assert len(listed) == n_operations
    sites = "\n".join(f"Na{i} {site}" for i in range(n_sites))
    path = tmp_path / "a.cif"
    path.write_text(CUBIC.format("\n".join(f"'{one}'" for one in listed), sites))
    assert told in run_bounded(READ, path)


def test_the_limit_is_a_parameter(cifs, tmp_path):
    transformer = CrystalGraphTransformer(max_bytes=1000)
    with pytest.raises(StructureError, match=r"larger than 0\.001 MB; .* raise max_bytes"):
        transformer.transform(cifs[:1])
    with pytest.raises(StructureError, match="larger than"):
        CrystalGraphTransformer(max_bytes=1000, memory=tmp_path).transform(cifs[:1])
    assert len(transformer.set_params(max_bytes=10**6).transform(cifs[:1])) == 1


@pytest.mark.parametrize("size", [-9, 9])
def test_a_file_that_is_replaced_before_it_is_opened(nacl, tmp_path, monkeypatch, size):
    path = tmp_path / "a.cif"
    # Without occupancies, its beginning is a crystal too.
    text = nacl.to(fmt="cif").replace(" _atom_site_occupancy\n", "")
    path.write_text(text.replace("0000  1\n", "0000\n"))
    looked_at = path.stat().st_size + size
    monkeypatch.setattr("skcgcnn.crystals._packed.check_regular", lambda *_: looked_at)
    with pytest.raises(TransientReadError, match="was replaced while it was read"):
        read_crystal(path)


def fail_to_open(paths, error, patch):
    """Let Python's own `open` fail for some paths."""

    def opened(path, *args, _open=open, **kwargs):
        if path in paths:
            raise error
        return _open(path, *args, **kwargs)

    patch.setattr("builtins.open", opened)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM])
def test_what_passes_is_not_cached(cifs, tmp_path, monkeypatch, number):
    transformer = CrystalGraphTransformer(memory=tmp_path, on_error="nan")
    with monkeypatch.context() as patch:
        fail_to_open(cifs, OSError(number, os.strerror(number)), patch)
        with pytest.raises(TransientReadError):
            read_crystal(cifs[0])
        with pytest.warns(UserWarning, match="2 of 2"):
            assert not transformer.transform(cifs[:2]).n_sites.any()
    assert transformer.transform(cifs[:2]).n_sites.all()


def test_what_does_not_fit_into_memory_is_not_cached(cifs, tmp_path, monkeypatch):
    transformer = CrystalGraphTransformer(memory=tmp_path, on_error="nan")

    def fail(*args, **kwargs):
        raise MemoryError

    with monkeypatch.context() as patch:
        fail_to_open(cifs, MemoryError(), patch)
        with pytest.warns(UserWarning, match="not enough memory"):
            assert not transformer.transform(cifs[:2]).n_sites.any()
    # What the search needs cannot be made short without what reads need.
    with monkeypatch.context() as patch:
        patch.setattr("skcgcnn.graphs._build.find_neighbors", fail)
        with pytest.warns(UserWarning, match="not enough memory"):
            assert not transformer.transform(cifs[:2]).n_sites.any()
    assert transformer.transform(cifs[:2]).n_sites.all()


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("POSCAR", "pymatgen.core.Structure.from_str"),
        ("a.traj", "ase.io.trajectory.TrajectoryReader"),
        ("a.extxyz", "ase.io.read"),
        ("atoms", "pymatgen.io.ase.AseAtomsAdaptor.get_structure"),
        ("dictionary", "pymatgen.core.Structure.from_dict"),
    ],
)
def test_no_memory_in_other_libraries_says_nothing_of_the_crystal(
    source, place, nacl, tmp_path, monkeypatch
):
    atoms = nacl.to_ase_atoms()
    nacl.to(str(tmp_path / "POSCAR"), fmt="poscar")
    for name in ("a.traj", "a.extxyz"):
        atoms.write(tmp_path / name)
    objects = {"atoms": atoms, "dictionary": nacl.as_dict()}
    crystal = objects.get(source, tmp_path / source)
    transformer = CrystalGraphTransformer(memory=tmp_path / "cache", on_error="nan")

    def fail(*args, **kwargs):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        with pytest.warns(UserWarning, match="not enough memory to read it"):
            assert not transformer.transform([crystal]).n_sites.any()
    assert transformer.transform([crystal]).n_sites.all()


def test_a_damaged_entry_of_the_cache_is_made_again(cifs, tmp_path):
    transformer = CrystalGraphTransformer(memory=tmp_path)
    expected = transformer.transform(cifs[:3])
    (entry,) = tmp_path.rglob("output.pkl")
    graphs, *rest = joblib.load(entry)
    graphs.distances[4] += 0.25
    joblib.dump((graphs, *rest), entry)
    for _ in range(2):
        found = transformer.transform(cifs[:3])
        np.testing.assert_array_equal(found.distances, expected.distances)
    entry.write_bytes(pickle.dumps("nothing")[:-3])
    np.testing.assert_array_equal(transformer.transform(cifs[:3]).distances, expected.distances)


def test_an_entry_of_the_cache_that_is_that_of_other_crystals(cifs, tmp_path):
    transformer = CrystalGraphTransformer(memory=tmp_path)
    expected = transformer.transform(cifs[:3])
    (entry,) = tmp_path.rglob("output.pkl")
    transformer.transform(cifs[3:6])
    (other,) = set(tmp_path.rglob("output.pkl")) - {entry}
    entry.write_bytes(other.read_bytes())
    for _ in range(2):
        assert transformer.transform(cifs[:3]).ids.tolist() == expected.ids.tolist()
        np.testing.assert_array_equal(transformer.transform(cifs[:3]).distances, expected.distances)


def test_a_file_that_was_missing_and_is_too_large_is_not_missing(cifs, tmp_path):
    path, transformer = tmp_path / "one.cif", CrystalGraphTransformer(memory=tmp_path / "cache")
    with pytest.raises(StructureError, match="no such file"):
        transformer.transform([path])
    path.mkdir()
    with pytest.raises(StructureError, match="is a folder"):
        transformer.transform([path])
    path.rmdir()
    path.write_text("#" * 2000)
    with pytest.raises(StructureError, match="is larger than"):
        transformer.set_params(max_bytes=1000).transform([path])


def test_coordinates_far_outside_of_the_cell(cifs, nacl, tmp_path):
    nacl.to(filename=str(tmp_path / "far.cif"))
    text = (tmp_path / "far.cif").read_text().splitlines()
    words = text[-1].split()
    words[3] = "1e308"
    (tmp_path / "far.cif").write_text("\n".join([*text[:-1], " ".join(words)]))
    with pytest.raises(StructureError, match="far outside of the cell"):
        read_crystal(tmp_path / "far.cif")


def test_a_larger_limit_reads_what_was_cached_as_too_large(cifs, tmp_path):
    packed = tmp_path / "one.cif.gz"
    packed.write_bytes(gzip.compress(open(cifs[0], "rb").read() + b"#" * 10**5))  # noqa: PTH123, SIM115
    transformer = CrystalGraphTransformer(memory=tmp_path / "cache", max_bytes=50_000)
    with pytest.raises(StructureError, match="larger than"):
        transformer.transform([packed])
    assert len(transformer.set_params(max_bytes=10**6).transform([packed])) == 1
    (tmp_path / "POSCAR.gz").write_bytes(packed.read_bytes())
    with pytest.raises(StructureError, match="larger than"):
        read_crystal(tmp_path / "POSCAR.gz", 50_000)


def test_many_images_of_sites_that_the_fast_reader_is_sure_of(tmp_path):
    listed = [one.triplet() for one in gemmi.SpaceGroup("F m -3 m").operations()]
    # None near a mirror, which makes two images of one.
    places = np.random.default_rng(0).uniform((0.03, 0.13, 0.33), (0.10, 0.30, 0.48), (110, 3))
    sites = "\n".join(f"Na{i} " + " ".join(f"{x:.5f}" for x in at) for i, at in enumerate(places))
    path = tmp_path / "a.cif"
    for comment in ("", "# in Å\n"):
        text = comment + CUBIC.format("\n".join(f"'{one}'" for one in listed), sites)
        path.write_text(text, encoding="utf-8")
        assert len(read_crystal(path).species) == 110 * 192


LONG = 100_000


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (f"_chemical_formula_sum C{'1' * LONG}!\n", "letters, which no crystal has; remove it"),
        (f"_chemical_formula_sum '{'C1 ' * LONG}'\n", "letters, which no crystal has; remove it"),
        (
            f"loop_\n_space_group_symop_operation_xyz\nx,y,z\n{'1' * LONG}x,y,z\n",
            "which is not understood; write it as",
        ),
        (
            f"loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n{'1' * LONG}x,y,z\n",
            "which is not understood; write it as",
        ),
        (
            "".join(
                f"loop_\n_space_group_symop_magn_{kind}.xyz\n{'x,y,z,+1 ' * 250}\n"
                for kind in ("operation", "centering")
            ),
            "lists 1 sites and 62500 symmetry operations",
        ),
        ("data_a\n" * 20_000, "has 20001 times data_, too many to look for a crystal; split it"),
    ],
)
def test_long_texts_in_a_cif_take_no_time(tmp_path, more, told):
    path = tmp_path / "a.cif"
    site = "Na1 0 0 0"
    listed = CUBIC.format("'x,y,z'", site)
    path.write_text(listed.replace("loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n", more))
    said = run_bounded(READ, path, seconds=15)
    assert told in said
    assert len(said) < 1_500
    if "formula" in more:
        path.write_text(f"{listed}{more}")
        assert told in run_bounded(READ, path, seconds=15)


def test_a_long_symbol_of_a_site():
    """Of all symbols pymatgen makes a formula."""
    text = CUBIC.format("x,y,z", "Na1 0 0 0").replace("Na1", f"Na{'(C1)2' * 100}")
    with pytest.raises(StructureError, match="which names no single element"):
        read_crystal(f"{text}_space_group_magn.number_BNS 1.1\n")


def test_long_texts_are_not_repeated_in_remarks():
    text = CUBIC.format("x,y,z", "Na1 0 0 0")
    (remark,) = read_crystal(f"{text}_cell_volume 1.{'0' * LONG}").notes
    assert remark.startswith("its cell of 64000 Å³ does not have its volume")
    assert len(remark) < 1_000


_CELL = "lattice_vector 5 0 0\nlattice_vector 0 5 0\nlattice_vector 0 0 5\natom_frac 0 0 0 Na\n"


def test_constraints_of_a_geometry_are_not_read(tmp_path):
    """ASE makes a matrix of them: of 47 kB, one of 2 GB."""
    names = " ".join(f"a{i}" for i in range(9_000))
    more = [f"symmetry_lv a{i} , 0 , 0" for i in range(3)]
    lines = ["symmetry_n_params 9000 3 8997", f"symmetry_params {names}", *more]
    lines.append("  symmetry_frac 9**9**9 , 0 , 0")
    (tmp_path / "geometry.in").write_text(_CELL + "\n".join(lines))
    tracemalloc.start()
    try:
        crystal = read_crystal(tmp_path / "geometry.in")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(crystal.lattice, 5 * np.eye(3))
    assert peak < 100e6


@pytest.mark.parametrize("term", ["(" * 50_000 + "1" + ")" * 50_000, "+".join(["(0)"] * 30_000)])
def test_terms_of_coordinates_with_many_brackets(tmp_path, term):
    path = tmp_path / "a.pwi"
    text = (
        "&SYSTEM\nibrav=0, nat=1, ntyp=1\n/\nATOMIC_SPECIES\nNa 22.99 Na.UPF\n"
        "CELL_PARAMETERS angstrom\n4 0 0\n0 4 0\n0 0 4\nATOMIC_POSITIONS crystal\nNa {} 0 0\n"
    )
    path.write_text(text.format("1/2*3^(-1/2)"))
    assert len(read_crystal(path).species) == 1
    for name in ("a.pwi", "a.pwo"):
        (tmp_path / name).write_text(text.format(term))
        with pytest.raises(StructureError, match="letters; write its value") as error:
            read_crystal(tmp_path / name)
        assert len(str(error.value)) < 2_000


def test_runs_of_many_steps(tmp_path):
    path, step = tmp_path / "a.pwo", "ATOMIC_POSITIONS (\n!    total energy\n"
    for text, found in (
        (step * 30_000, "30000 steps, 30000 results and lists of 0 sites and k-points"),
        (step * 200 + "number of k points= 20000\n", "lists of 20000 sites and k-points"),
        ("number of atoms/cell = 200\n" * 200 + step * 200, "lists of 40000 sites and k-points"),
    ):
        path.write_text(text)
        with pytest.raises(StructureError, match=f"{found}, too many to be read; keep the last"):
            read_crystal(path)


def test_many_frames_without_sites(tmp_path):
    (tmp_path / "a.xyz").write_text("0\n\n" * 300_000)
    assert "has a frame without sites; remove it" in run_bounded(
        READ, tmp_path / "a.xyz", seconds=10
    )


def test_a_cell_that_is_told_many_times(tmp_path):
    (tmp_path / "a.xyz").write_text(f"1\n{100_000 * 'Lattice= '}\nNa 0 0 0\n")
    begin = time.perf_counter()
    with pytest.raises(StructureError, match="tells Lattice twice in a line; keep one"):
        read_crystal(tmp_path / "a.xyz")
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("n_frames", [1, 500])
def test_columns_of_frames_that_they_do_not_have(tmp_path, n_frames):
    more = "".join(f":a{i}:R:300" for i in range(20))
    frame = f'1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3{more}\nNa 0 0 0\n'
    (tmp_path / "a.extxyz").write_text(frame * n_frames)
    with pytest.raises(StructureError, match="tells 300 columns of its sites, which it does not"):
        read_crystal(tmp_path / "a.extxyz")


def test_the_last_of_many_frames(tmp_path, nacl):
    """One frame is in memory, of however many the directory of the file names."""
    from ase.io import Trajectory

    with Trajectory(tmp_path / "a.traj", "w") as file:
        for length in (5.0, 6.0, 7.0):
            atoms = nacl.to_ase_atoms()
            atoms.set_cell([length] * 3, scale_atoms=True)
            file.write(atoms)
    crystal = read_crystal(tmp_path / "a.traj")
    assert crystal.lattice[0, 0] == 7
    assert crystal.notes == ("holds several crystals; the last is taken",)


def test_many_atoms_that_are_held_in_place(nacl):
    from ase.constraints import FixAtoms

    atoms = nacl.to_ase_atoms().repeat(16)
    atoms.set_constraint(FixAtoms(range(len(atoms))))
    assert len(read_crystal(atoms).species) == len(atoms)
    assert len(atoms.constraints) == 1


def test_many_symbols_of_a_species_of_optimade():
    n = 10_000
    attributes = {
        "lattice_vectors": (30 * np.eye(3)).tolist(),
        "cartesian_site_positions": np.zeros((n, 3)).tolist(),
        "species_at_sites": ["a"] * n,
        "species": [{"name": "a", "chemical_symbols": ["H"] * n, "concentration": [1 / n] * n}],
    }
    assert len(read_crystal({"attributes": attributes}).species) == n


def test_a_cell_that_is_long_and_skewed(tmp_path):
    """Its sites are spread over many of the smaller cells that it is searched in."""
    cell = Lattice.from_parameters(1.3979, 6986.97, 18.8, 116.296, 66.549, 50.246)
    grid = np.stack(np.meshgrid(*[np.arange(5) / 5] * 3), axis=-1).reshape(-1, 3)
    tracemalloc.start()
    try:
        graphs = CrystalGraphTransformer().transform([Structure(cell, ["Na"] * len(grid), grid)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert graphs.n_sites[0] == len(grid)
    assert peak < 200e6


def test_names_of_properties_of_sites(tmp_path):
    """pymatgen compares each with each."""
    content = Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]]).as_dict()
    content["sites"][0]["properties"] = {f"p{i}": 0 for i in range(200_000)}
    assert read_crystal(content).species == [((11, 1.0),)]


@pytest.mark.parametrize("sign", ["'", '"'])
def test_quotation_marks_that_are_not_closed(sign):
    """pymatgen looks for the end of each in all of its line."""
    salt = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]).to(fmt="cif")
    begin = time.perf_counter()
    for n, lines in ((30_000, 1), (3_000, 30)):
        with pytest.raises(StructureError, match="quotation marks that are not closed in the line"):
            read_crystal(salt + f"_q {sign}a {n * f'{sign}a '}\n" * lines)
    assert time.perf_counter() - begin < 5
    twice = "_odd 1\n_odd 2\n"  # which pymatgen reads
    closed = "loop_\n_q\n" + 30_000 * f"{sign}a{sign} "
    few = ";\n" + 300 * f"{sign}a " + "\n;\n"
    for more in (closed, "_q\n" + few):
        assert len(read_crystal(salt + twice + more + "\n").species) == 2
