"""A digest tells crystals from others, and nothing else."""

import numpy as np
import pytest
from pymatgen.core import Structure

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.graphs import digest_crystals


def test_where_crystals_come_from_does_not_count(cifs, graphs, tmp_path, let_into_memory):
    expected = digest_crystals(graphs)
    structures = [Structure.from_file(path) for path in cifs]
    assert digest_crystals(CrystalGraphTransformer().transform(structures)) == expected
    graphs.save(tmp_path / "graphs")
    let_into_memory(5_000)
    assert digest_crystals(CrystalGraphs.load(tmp_path / "graphs", mmap=True)) == expected
    # Their kinds of site are numbered by all of them.
    some = digest_crystals(CrystalGraphTransformer().transform(cifs[5:]))
    assert digest_crystals(graphs[5:]) == some != expected


@pytest.mark.parametrize("change", ["order", "element", "cell"])
def test_other_crystals_have_another_digest(graphs, cifs, change):
    structures = [Structure.from_file(path) for path in cifs[:3]]
    if change == "order":
        structures.reverse()
    elif change == "element":
        structures[1].replace(0, "Xe")
    elif change == "cell":
        structures[1].scale_lattice(1.001 * structures[1].volume)
    other = CrystalGraphTransformer().transform(structures)
    assert digest_crystals(other) != digest_crystals(graphs[:3])


def test_numbers_beside_crystals_have_no_part_in_their_digest(graphs):
    beside = graphs.with_global_features(np.arange(len(graphs))[:, np.newaxis], ["T"])
    assert digest_crystals(beside) == digest_crystals(graphs)
