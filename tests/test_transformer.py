"""The transformer from crystals to graphs."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from comparison import assert_equal, assert_same_crystal
from pymatgen.core import Lattice, Structure
from sklearn.base import clone

from skcgcnn import CrystalGraphTransformer
from skcgcnn.exceptions import DataError, StructureError


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
    for name in ("offsets", "site_kinds", "kind_features", "neighbors", "distances"):
        np.testing.assert_array_equal(getattr(from_structures, name), getattr(graphs, name))


def test_n_jobs_changes_nothing(cifs, graphs):
    assert_equal(CrystalGraphTransformer(n_jobs=2).transform(cifs), graphs)


def test_graphs_pass_through(graphs):
    assert CrystalGraphTransformer().transform(graphs) is graphs
    with pytest.raises(ValueError, match="12 neighbors a site, but max_num_nbr=8"):
        CrystalGraphTransformer(max_num_nbr=8).transform(graphs)


def test_no_crystals():
    graphs = CrystalGraphTransformer().transform([])
    assert len(graphs) == 0
    assert graphs.neighbors.shape == (0, 12)
    assert graphs.kind_features.shape == (0, 92)


def test_all_failures_are_reported_at_once(cifs, bad):
    with pytest.raises(StructureError) as error:
        CrystalGraphTransformer(n_jobs=2).transform([cifs[0], *bad, cifs[1]])
    message = str(error.value)
    assert "3 of 5 crystals" in message
    assert "junk.cif: pymatgen cannot read it" in message
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


def test_files_that_are_fine_give_no_warnings(shared):
    files = sorted((shared / "reference" / "sample-cifs").glob("*.cif"))
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


def test_parameters_are_checked(cifs):
    for params in ({"radius": 0}, {"max_num_nbr": 0}, {"on_error": "ignore"}):
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


def test_progress_bar(cifs, capsys):
    CrystalGraphTransformer(verbose=1).transform(cifs)
    assert "crystal" in capsys.readouterr().err


def test_molecule_without_a_cell():
    with pytest.raises(StructureError, match=r"X\[0\]"):
        CrystalGraphTransformer().transform([Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])])
