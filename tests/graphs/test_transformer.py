"""The transformer from crystals to graphs."""

import gzip
import shutil
import warnings

import joblib
import numpy as np
import pytest
import torch
from ase import Atoms
from comparison import ARRAYS, assert_equal, assert_same_crystal
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import SequentialBackend
from pymatgen.core import Lattice, Structure
from sklearn.base import clone

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.crystals import read_crystal
from skcgcnn.exceptions import DataError, StructureError, describe_notes
from skcgcnn.graphs import ElementFeatures, _chunks
from skcgcnn.nn import CrystalGraphConvNet


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "junk.cif").write_text("no crystal here")
    on_top = Structure(Lattice.cubic(4), ["Na", "Na"], [[0, 0, 0], [0.001, 0, 0]])
    return [tmp_path / "junk.cif", tmp_path / "missing.cif", on_top]


def test_sources_mix_and_order_stays(cifs):
    structure = Structure.from_file(cifs[2])
    mixed = [cifs[0], structure, structure.to_ase_atoms()]
    graphs = CrystalGraphTransformer().fit_transform(mixed)
    assert graphs.ids.tolist() == [graphs.ids[0], "1", "2"]
    np.testing.assert_allclose(graphs[1].distances, graphs[2].distances, atol=1e-5)


def test_cif_and_structure_give_the_same_graph(cifs, graphs):
    from_structures = CrystalGraphTransformer().transform([Structure.from_file(p) for p in cifs])
    for name in set(ARRAYS) - {"ids"}:
        np.testing.assert_array_equal(getattr(from_structures, name), getattr(graphs, name))


def test_n_jobs_changes_nothing(cifs, graphs):
    assert_equal(CrystalGraphTransformer(n_jobs=2).transform(cifs), graphs)


def test_graphs_pass_through(graphs):
    assert CrystalGraphTransformer().transform(graphs) is graphs
    with pytest.raises(ValueError, match=r"made with max_num_nbr=12, but .* has max_num_nbr=8;"):
        CrystalGraphTransformer(max_num_nbr=8).transform(graphs)


def test_no_crystals():
    graphs = CrystalGraphTransformer().transform([])
    assert len(graphs) == 0
    assert graphs.expand().neighbors.size == len(graphs.neighbors) == 0
    assert graphs.kind_features.shape == (0, 92)


def test_all_failures_are_reported_at_once(cifs, bad):
    with pytest.raises(StructureError) as error:
        CrystalGraphTransformer(n_jobs=2).transform([cifs[0], *bad, cifs[1]])
    message = str(error.value)
    assert "3 of 5 crystals" in message
    assert "junk.cif: is not a well-formed CIF: line 1: expected block header" in message
    assert "missing.cif: no such file" in message
    assert "X[3]: sites 0 and 1 are 0.004 Å apart" in message
    assert "on_error='nan'" in message


def test_nan_keeps_order_and_length(cifs, bad, graphs):
    with pytest.warns(UserWarning, match="3 of 5 crystals") as caught:
        found = CrystalGraphTransformer(on_error="nan").transform([cifs[0], *bad, cifs[1]])
    assert len(caught) == 1
    assert found.n_sites.tolist()[1:4] == [0, 0, 0]
    assert_same_crystal(found[0], graphs[0])
    assert_same_crystal(found[4], graphs[1])


def test_files_that_are_fine_give_no_warnings(reference):
    files = sorted((reference / "sample-cifs").glob("*.cif"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CrystalGraphTransformer().transform(files)


def test_unknown_element(nacl):
    with pytest.raises(StructureError, match="atomic number 17, for which atom_features has no"):
        CrystalGraphTransformer(atom_features={"Na": [1.0]}).transform([nacl])


def test_atom_features(nacl):
    graphs = CrystalGraphTransformer(atom_features={"Na": [1.0, 0], "Cl": [0, 2.0]}).transform(
        [nacl]
    )
    assert graphs.kind_features.tolist() == [[1, 0], [0, 2]]
    with pytest.raises(DataError, match="cannot be read"):
        CrystalGraphTransformer(atom_features="nowhere.json").transform([nacl])


def test_partial_occupancy():
    layered = Structure(
        Lattice.cubic(4), [{"Ni": 0.8, "Co": 0.15}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    pure = [Structure(Lattice.cubic(4), [element], [[0, 0, 0]]) for element in ("Ni", "Co")]
    transform = CrystalGraphTransformer().transform
    nickel, cobalt = (graph.kind_features[graph.site_kinds[0]] for graph in transform(pure))
    mixed = transform([layered])
    np.testing.assert_allclose(
        mixed.kind_features[mixed.site_kinds[0]], (0.8 * nickel + 0.15 * cobalt) / 0.95, atol=1e-6
    )


def test_memory_is_keyed_on_content(cifs, graphs, tmp_path):
    transform = CrystalGraphTransformer(memory=tmp_path / "cache").transform
    assert_equal(transform(cifs), graphs)
    copies = [shutil.copy(path, tmp_path / f"copy_{i}.cif") for i, path in enumerate(cifs)]
    renamed = CrystalGraphTransformer().transform(copies)

    def entries():
        return len(list((tmp_path / "cache").rglob("output.pkl")))

    assert entries() == 1
    assert_equal(transform(cifs), graphs)
    assert_equal(transform(copies), renamed)  # the same content, other names
    assert entries() == 1
    for params in ({"radius": 7.0}, {"max_num_nbr": 8}, {"neighbor_ties": "official"}):
        CrystalGraphTransformer(memory=str(tmp_path / "cache"), **params).transform(cifs)
    assert entries() == 4
    shutil.copy(cifs[1], copies[0])  # the same path, another content
    found = transform(copies)
    assert entries() == 5
    np.testing.assert_array_equal(found[0].distances, found[1].distances)


def test_memory_takes_no_file_for_one_that_replaced_it(cifs, tmp_path, monkeypatch):
    transform = CrystalGraphTransformer(memory=tmp_path / "cache").transform
    path, read = shutil.copy(cifs[0], tmp_path / "a.cif"), _chunks.read_and_build

    def replaced(*args):
        shutil.copy(cifs[1], path)
        return read(*args)

    with monkeypatch.context() as patch:
        patch.setattr(_chunks, "read_and_build", replaced)
        other = transform([path])
    np.testing.assert_array_equal(other.distances, transform([cifs[1]]).distances)
    shutil.copy(cifs[0], path)
    expected = CrystalGraphTransformer().transform([path])
    assert_equal(transform([path]), expected)


def test_all_calls_of_a_process_share_their_entries(cifs, tmp_path):
    table = ElementFeatures({z: [float(z), 1.0] for z in range(1, 100)})
    transformer = CrystalGraphTransformer(memory=tmp_path / "cache", atom_features=table)
    for _ in range(3):
        transformer.transform(cifs)
    assert len(list((tmp_path / "cache").rglob("output.pkl"))) == 1


def test_memory_remembers_structures_and_failures(nacl, tmp_path, bad):
    transformer = CrystalGraphTransformer(memory=joblib.Memory(tmp_path, verbose=0), on_error="nan")
    for _ in range(2):
        with pytest.warns(UserWarning, match="3 of 4"):
            assert transformer.transform([nacl, *bad]).n_sites.tolist() == [8, 0, 0, 0]
    bad[1].write_text(nacl.to(fmt="cif"))
    with pytest.warns(UserWarning, match="2 of 4"):
        assert transformer.transform([nacl, *bad]).n_sites.tolist() == [8, 0, 8, 0]


def test_remarks_make_one_line(nacl, tmp_path):
    text = nacl.to(fmt="cif")
    paths = [tmp_path / f"{i}.cif" for i in range(3)]
    for path in paths[:2]:
        path.write_text(text + text.replace("data_NaCl", "data_again"))
    paths[2].write_text(text)
    with pytest.warns(UserWarning, match="2 of 3 crystals were read with remarks") as caught:
        graphs = CrystalGraphTransformer().transform(paths)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "\n" not in message
    assert "0.cif: holds several crystals; the first is taken" in message
    assert graphs.n_sites.tolist() == [8, 8, 8]


def test_remarks_by_cause():
    notes = [(f"{row}.cif", f"has {row} sites too many") for row in range(200)]
    notes += [(f"{row}.cif", f"is odd {'a' * row}") for row in range(1, 5)]
    message = describe_notes(notes, 300)
    assert message.startswith("200 of 300 crystals were read with remarks: 0.cif: has 0 sites")
    assert "(and 199 more such); 1.cif: is odd a; 2.cif: is odd aa; and 2 other causes" in message
    assert len(message) < 300
    assert describe_notes(notes, 300, complete=True).count("\n") == 204


# pymatgen reads it, for it has no operations of symmetry, and rounds a third and two.
ROUNDED = """data_ZnO
_cell_length_a 3.25
_cell_length_b 3.25
_cell_length_c 5.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'P 6_3 m c'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Zn 0.3333 0.6667 0
O 0.3333 0.6667 0.375
"""


def test_a_remark_that_nearly_every_file_has_is_none(tmp_path):
    path = tmp_path / "rounded.cif"
    path.write_text(ROUNDED)
    with pytest.warns(UserWarning, match="4 fractional coordinates rounded to ideal values"):
        Structure.from_file(path)
    assert not [note for note in read_crystal(path).notes if "rounded" in note]


def test_gzipped_files(nacl, tmp_path):
    text = nacl.to(fmt="cif")
    (tmp_path / "nacl.cif").write_text(text)
    with gzip.open(tmp_path / "nacl.cif.gz", "wt") as file:
        file.write(text)
    (tmp_path / "broken.cif.gz").write_bytes(b"no archive")
    plain, zipped = CrystalGraphTransformer().transform(
        [tmp_path / "nacl.cif", tmp_path / "nacl.cif.gz"]
    )
    assert_same_crystal(plain, zipped)
    with pytest.raises(StructureError, match=r"broken\.cif\.gz: cannot be read"):
        CrystalGraphTransformer().transform([tmp_path / "broken.cif.gz"])


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "no structures"),
        ("data_x\nloop_\n_a\n_b\n1 2 3\n", "line 2: Wrong number of values"),
        ("data_x\n_cell_length_a 4\n", "no structures"),
        (b"\x00\xff binary junk \x01" * 50, "holds bytes of zero: it is damaged"),
        (b"\x02\xff binary junk \x01" * 50, "line 1"),
    ],
)
def test_causes_name_file_and_line(tmp_path, content, cause):
    file = tmp_path / "bad.cif"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StructureError, match=f"bad\\.cif: .*{cause}"):
        CrystalGraphTransformer().transform([file])


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("5.64000000", "56400000"), "larger than any crystal"),
        (("5.64000000", "0.1"), "too small for 8 sites"),
        (("5.64000000", "0"), "_cell_length_a holds .0.; write a number above 0"),
        (("  1\n", "  1.5\n"), "Occupancy 1.5 exceeded"),
        (("  Na  Na0", "  Xx  Xx0"), "Xx.*not an element"),
        (("  Na  Na0", "  ?  ?"), "names no single element"),
    ],
)
def test_cells_and_sites_that_cannot_be(nacl, tmp_path, change, cause):
    file = tmp_path / "bad.cif"
    file.write_text(nacl.to(fmt="cif").replace(*change))
    with pytest.raises(StructureError, match=cause):
        CrystalGraphTransformer().transform([file])


def test_five_thousand_sites():
    lattice = Lattice.cubic(4.12 * 14)
    cell = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    large = cell.make_supercell(14, in_place=False)
    assert abs(large.lattice.a - lattice.a) < 1e-9
    for ties in ("invariant", "official"):
        graphs = CrystalGraphTransformer(neighbor_ties=ties).transform([large])
        assert graphs.n_sites.tolist() == [5488]
        distances = graphs.expand().distances
        np.testing.assert_allclose(distances[:, :8], 4.12 * 3**0.5 / 2, rtol=1e-6)
        if ties == "invariant":
            assert len(graphs.site_kinds) == 2


def test_pristine_disordered_cathode(cifs, tmp_path, tiny):
    nca = Structure.from_spacegroup(
        "R-3m",
        Lattice.hexagonal(2.86, 14.18),
        ["Li", {"Ni": 0.8, "Co": 0.15, "Al": 0.05}, "O"],
        [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.2585]],
    )
    path = tmp_path / "nca.cif"
    nca.to(filename=str(path))
    est = CGCNNRegressor(**tiny).fit([path, *cifs[:3]], [-1.0, 0.0, 1.0, 2.0])
    from_file, from_structure = est.predict([path, nca])
    assert len(nca) == 12
    assert np.isfinite(from_file)
    assert abs(from_file - from_structure) < 1e-5


def test_stream(cifs, graphs, bad):
    transformer = CrystalGraphTransformer(verbose=0)
    parts = list(transformer.stream(cifs * 30))
    assert [len(part) for part in parts] == [500, 220]
    assert_same_crystal(parts[1][-1], graphs[-1])
    with pytest.raises(StructureError, match="3 of 723 crystals"):
        list(transformer.stream([*bad, *cifs * 30]))
    with pytest.warns(UserWarning, match="3 of 723 crystals"):
        parts = list(transformer.set_params(on_error="nan").stream([*cifs * 30, *bad]))
    assert parts[-1].n_sites.tolist()[-3:] == [0, 0, 0]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_estimators_predict_a_stream(cifs, graphs, energies, bad, tiny, n_jobs):
    est = CGCNNRegressor(**tiny, n_jobs=n_jobs).fit(graphs, energies)
    once = est.predict(graphs)
    np.testing.assert_allclose(est.predict(cifs * 30), np.tile(once, 30), rtol=1e-5, atol=1e-6)
    with pytest.raises(StructureError, match="3 of 723 crystals"):
        est.predict([*cifs * 30, *bad])
    with pytest.warns(UserWarning, match="3 of 723 crystals"):
        predicted = est.set_params(on_error="nan").predict([*cifs * 30, *bad])
    assert np.isnan(predicted[-3:]).all()
    assert np.isfinite(predicted[:-3]).all()


@pytest.fixture
def two_threads():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.usefixtures("two_threads")
def test_a_stream_gives_the_threads_back(cifs, graphs, energies, bad, tiny, monkeypatch):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    est.predict(cifs * 22)
    assert torch.get_num_threads() == 2
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(
            CrystalGraphConvNet,
            "forward",
            lambda *_: seen.append(torch.get_num_threads()) or 1 / 0,
        )
        with pytest.raises(ZeroDivisionError) as caught:  # which keeps the frames
            est.predict(cifs * 22)
    assert seen == [1]
    assert torch.get_num_threads() == 2, caught
    with pytest.raises(StructureError) as caught:
        est.predict([*cifs * 22, *bad])
    assert torch.get_num_threads() == 2, caught


def test_a_stream_has_the_settings_of_the_thread_that_asks(cifs, graphs, energies, tiny):
    est = CGCNNRegressor(**tiny).fit(graphs, energies)
    asked = []

    class Backend(SequentialBackend):
        def effective_n_jobs(self, n_jobs):
            asked.append(n_jobs)
            return super().effective_n_jobs(n_jobs)

    register_parallel_backend("asked", Backend)
    with parallel_config("asked", n_jobs=1):
        assert len(est.predict(cifs * 22)) == 22 * 24
    assert len(asked) > 1


def test_parameters_are_checked(cifs):
    for params in (
        *({"radius": 0}, {"radius": 1e5}, {"max_num_nbr": 0}, {"max_num_nbr": 1001}),
        {"on_error": "ignore"},
    ):
        with pytest.raises(ValueError, match=next(iter(params))):
            CrystalGraphTransformer(**params).fit(cifs)


def test_scikit_learn_manners(cifs):
    transformer = CrystalGraphTransformer(radius=6.0, n_jobs=2)
    assert clone(transformer).get_params() == transformer.get_params()
    assert transformer.fit(cifs) is transformer
    tags = transformer.__sklearn_tags__()
    assert tags.input_tags.string
    assert tags.input_tags.one_d_array
    assert not tags.input_tags.two_d_array
    assert not tags.requires_fit


def test_molecule_without_a_cell():
    with pytest.raises(StructureError, match=r"X\[0\]"):
        CrystalGraphTransformer().transform([Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])])


def test_pickles_of_an_earlier_version(nacl):
    transformer = CrystalGraphTransformer(max_num_nbr=8)
    state = dict(transformer.__getstate__())
    del state["merge_tol"]
    old = CrystalGraphTransformer.__new__(CrystalGraphTransformer)
    old.__setstate__(state)
    assert_equal(old.fit_transform([nacl]), transformer.fit_transform([nacl]))
