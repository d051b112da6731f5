"""Crystals in dictionaries, texts, packed files and containers, as other programs hand them on."""

import bz2
import gzip
import json
import lzma

import numpy as np
import pandas as pd
import pytest
from comparison import ARRAYS, assert_equal
from pymatgen.alchemy.materials import TransformedStructure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.crystals import is_text, read_crystal
from skcgcnn.exceptions import StructureError

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def same(found, expected):
    np.testing.assert_allclose(found.lattice, expected.lattice, atol=1e-6)
    np.testing.assert_allclose(found.coords, expected.coords, atol=1e-6)
    assert found.species == expected.species


def forms(nacl):
    """Return the same crystal in dictionaries and texts."""
    structure, entry = nacl.as_dict(), ComputedStructureEntry(nacl, -1.0).as_dict()
    jarvis = {
        "lattice_mat": nacl.lattice.matrix.tolist(),
        "coords": nacl.frac_coords.tolist(),
        "elements": [site.specie.symbol for site in nacl],
        "cartesian": False,
    }
    return {
        "a row": {"id": "mp-1", "gap": 1.0, "structure": structure},
        "a row with an object": {"structure": nacl, "gap": 1.0},
        "an entry": entry,
        "a row of JARVIS": {"jid": "JVASP-1", "atoms": jarvis, "gap": None},
        "transformed": TransformedStructure(nacl),
        "transformed, as a dictionary": TransformedStructure(nacl).as_dict(),
        "JSON text": json.dumps(structure),
        "JSON text of an entry": json.dumps(entry, indent=1),
        "POSCAR text": nacl.to(fmt="poscar"),
    }


@pytest.mark.parametrize("form", range(9))
def test_dictionaries_and_texts(form, nacl):
    crystal = list(forms(nacl).values())[form]
    same(read_crystal(crystal), read_crystal(nacl))
    (graph,) = CrystalGraphTransformer().transform([crystal])
    assert graph.id == "0"


def test_a_dictionary_with_several_crystals_is_none(nacl):
    both = {"initial": nacl.as_dict(), "final": nacl.as_dict()}
    with pytest.raises(StructureError, match="holds 2 crystals; expected one"):
        read_crystal(both)
    with pytest.raises(TypeError, match=r"X\[0\] is of type dict"):
        CrystalGraphTransformer().transform([both])


def test_answers_of_optimade_and_json_of_others(nacl, tmp_path):
    entry, path = {"id": "a", "attributes": optimade(nacl)}, tmp_path / "a.json"
    for data in (entry, [entry]):
        path.write_text(json.dumps({"data": data, "meta": {}}))
        same(read_crystal(path), read_crystal(nacl))
    path.write_text(json.dumps({"data": [entry, entry]}))
    with pytest.raises(StructureError, match=r"Its data are 2; write each as a line of JSON \("):
        read_crystal(path)
    path.write_text(json.dumps([entry]))
    with pytest.raises(
        StructureError, match=r"write each of its items as a line of JSON \(\.jsonl"
    ):
        read_crystal(path)
    nacl.to_ase_atoms().write(path)
    with pytest.raises(
        StructureError, match=r"keep those of ASE in its database \(\.db\), or pass"
    ):
        read_crystal(path)


def optimade(structure):
    symbols = [site.specie.symbol for site in structure]
    return {
        "lattice_vectors": structure.lattice.matrix.tolist(),
        "cartesian_site_positions": structure.cart_coords.tolist(),
        "species_at_sites": symbols,
    }


@pytest.mark.parametrize(
    "name", ["a{b}.cif", "{x}", "a\nb.cif", "1\n2\n3\n4\n5\n6\n7", "", "POSCAR"]
)
def test_paths_are_no_texts(name):
    assert not is_text(name)


def test_broken_texts_are_named_by_their_place(nacl):
    text = json.dumps(nacl.as_dict()).replace("matrix", "other").replace('"a"', '"b"')
    poscar = nacl.to(fmt="poscar").replace("direct", "4 4\ndirect").replace("Na", "Qq")
    with pytest.raises(StructureError) as caught:
        CrystalGraphTransformer().transform([text, poscar])
    assert [what for what, _ in caught.value.failures] == ["X[0]", "X[1]"]


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("kind", ["cif", "POSCAR", "json"])
def test_packed_files(packed, kind, nacl, tmp_path):
    plain = tmp_path / ("POSCAR" if kind == "POSCAR" else f"nacl.{kind}")
    nacl.to(str(plain), fmt="poscar" if kind == "POSCAR" else kind)
    path = tmp_path / f"{plain.name}.{packed}"
    path.write_bytes(PACKERS[packed](plain.read_bytes()))
    same(read_crystal(path), read_crystal(plain))
    (graph,) = CrystalGraphTransformer().transform([path])
    assert graph.id == plain.stem
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StructureError):
        read_crystal(path)
    bomb = PACKERS[packed](b"#" * 200_000)
    path.write_bytes(bomb)
    with pytest.raises(StructureError, match="larger than"):
        read_crystal(path, max_bytes=100_000)


@pytest.mark.parametrize("packed", PACKERS)
def test_a_packed_file_of_several_streams(packed, nacl, tmp_path):
    """Python leaves out a later stream of .bz2 and .xz whose beginning is damaged."""
    text, pack, path = nacl.to(fmt="cif").encode(), PACKERS[packed], tmp_path / f"a.cif.{packed}"
    n = text.index(b" _atom_site_type_symbol")
    streams = [pack(text[:n]), pack(b""), pack(text[n:])]
    for content in (b"".join(streams), (b"\0" * 10_000).join([*streams, b""])):
        path.write_bytes(content)
        same(read_crystal(path), read_crystal(nacl))
    path.write_bytes(pack(b"# 1\n" * 500_000) + pack(text) + 3_000 * pack(b""))
    same(read_crystal(path), read_crystal(nacl))
    for rest in (b"x" + streams[-1][1:], b"rest", streams[-1][:-5]):
        path.write_bytes(pack(text) + rest)
        with pytest.raises(StructureError, match="cannot be read"):
            read_crystal(path)


def test_a_file_that_only_ase_reads(nacl, tmp_path):
    nacl.to_ase_atoms().write(tmp_path / "nacl.gen", format="gen")
    same(read_crystal(tmp_path / "nacl.gen"), read_crystal(nacl))


@pytest.mark.parametrize("container", ["list", "array", "series"])
def test_items_of_graphs(container, graphs, energies, tiny):
    items = [graphs[row] for row in range(len(graphs))]
    if container == "array":
        items = np.array([*items, None], dtype=object)[:-1]
    elif container == "series":
        items = pd.Series(items)
    assert_equal(CrystalGraphTransformer().transform(items), graphs)
    expected = CGCNNRegressor(**tiny).fit(graphs, energies).predict(graphs)
    np.testing.assert_array_equal(
        CGCNNRegressor(**tiny).fit(items, energies).predict(items), expected
    )


def test_items_keep_their_numbers_and_options(graphs):
    hot = graphs[:3].with_global_features([[1.0], [2.0], [3.0]], ["T"])
    found = CrystalGraphTransformer().transform([hot[2], hot[0]])
    assert found.global_features.tolist() == [[3.0], [1.0]]
    assert found.options == hot.options
    with pytest.raises(ValueError, match="made with max_num_nbr=12"):
        CrystalGraphTransformer(max_num_nbr=8).transform([hot[0]])


class Dataset:
    """A dataset as Hugging Face has them, whose columns are sequences without methods."""

    def __init__(self, columns):
        self.columns_ = columns
        self.column_names = list(columns)
        self.shape = len(next(iter(columns.values()))), len(columns)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, name):
        return tuple(self.columns_[name])


@pytest.mark.parametrize("kind", ["frame", "array", "dataset"])
@pytest.mark.parametrize("crystals", ["paths", "graphs"])
def test_crystals_and_numbers(kind, crystals, cifs, graphs):
    first = cifs[:3] if crystals == "paths" else [graphs[row] for row in range(3)]
    columns = {"crystal": first, "T": [300.0, 400.0, 500.0]}
    X = pd.DataFrame(columns) if kind != "dataset" else Dataset(columns)
    found = CrystalGraphTransformer().transform(X.to_numpy() if kind == "array" else X)
    assert found.global_features[:, 0].tolist() == columns["T"]
    names = ("column 1",) if kind == "array" else ("T",)
    assert found.options.global_features == names
    for name in ARRAYS:
        if name not in {"ids", "kind_features", "site_kinds"}:
            np.testing.assert_array_equal(getattr(found, name), getattr(graphs[:3], name))
