"""Which crystals to compute next."""

import csv
import io
import shutil

import numpy as np
import pytest
from pymatgen.core import Structure
from typer.testing import CliRunner

from skcgcnn import CGCNNClassifier, CGCNNRegressor
from skcgcnn.cli import app
from skcgcnn.quality import suggest, uncertainty
from skcgcnn.quality._suggest import _greedy


@pytest.fixture
def fitted(tiny, graphs, energies):
    return CGCNNRegressor(**tiny, n_estimators=2).fit(graphs[:12], energies[:12])


def test_what_is_known_or_the_same_is_not_chosen(fitted, cifs):
    again = Structure.from_file(cifs[0]).make_supercell((2, 1, 1))
    twice = Structure.from_file(cifs[13]).make_supercell((1, 1, 2))
    pool = [again, *cifs[12:], twice]
    chosen = suggest(fitted, pool, 100, known=cifs[:12])
    assert len(set(chosen)) == len(chosen) == 12
    assert 0 not in chosen
    assert len({2, 13} & set(chosen)) == 1
    groups = np.arange(14) // 7
    assert len(suggest(fitted, pool, 100, known=cifs[:12], groups=groups)) == 2
    first = suggest(fitted, pool, 3, known=cifs[:12])
    np.testing.assert_array_equal(first, chosen[:3])
    for k in (0, 1.5, np.nan, "3", None):
        with pytest.raises(ValueError, match=r"k=.*expected a number of crystals"):
            suggest(fitted, pool, k)
    with pytest.raises(ValueError, match="the pool holds no crystals"):
        suggest(fitted, [], 3)
    with pytest.raises(ValueError, match="groups has shape"):
        suggest(fitted, pool, 3, groups=[1, 2])


def test_unsure_ones_come_first_and_near_ones_later():
    rows = np.array([[0.0], [0.01], [5.0], [9.0]])
    unsure = np.array([3.0, 2.9, 1.0, 0.5])
    free, alone = np.ones(4, dtype=bool), [np.arange(4)]
    chosen = _greedy(unsure, rows, rows[:0], free, alone, 4)
    assert chosen.tolist() == [0, 2, 3, 1]
    known = np.array([[5.0]])
    assert _greedy(unsure, rows, known, free, alone, 3).tolist() == [0, 3, 1]


def test_models_of_classes_and_those_that_do_not_know(tiny, graphs, cifs, energies, labels):
    classifier = CGCNNClassifier(**tiny).fit(graphs, labels)
    assert uncertainty(classifier, graphs).mean() == pytest.approx(1)
    assert len(suggest(classifier, graphs, 4)) == 4
    single = CGCNNRegressor(**tiny).fit(graphs, energies)
    with pytest.raises(ValueError, match="is a single network, which does not know"):
        suggest(single, graphs, 4)


def test_crystals_that_cannot_be_read(fitted, cifs, tmp_path):
    fitted.set_params(on_error="nan")
    with pytest.warns(UserWarning, match="cannot be turned into graphs"):
        assert suggest(fitted, [*cifs[12:14], tmp_path / "none.cif"], 9).max() < 2
    with (
        pytest.warns(UserWarning, match="cannot be turned into graphs"),
        pytest.raises(ValueError, match="no crystal of the pool can be read"),
    ):
        suggest(fitted, [tmp_path / "none.cif"], 1)
    fitted.set_params(on_error="raise")


def test_the_command(fitted, cifs, tmp_path):
    model, table = tmp_path / "model.safetensors", tmp_path / "next.csv"
    fitted.save(model)
    words = ["suggest", model, *cifs[12:], "-n", 3, "-o", table]
    found = CliRunner().invoke(app, list(map(str, words)))
    assert found.exit_code == 0, found.output
    assert "3 of 12 crystals" in found.stdout
    rows = list(csv.DictReader(table.open()))
    assert [row["path"] for row in rows] == [cifs[12 + i] for i in suggest(fitted, cifs[12:], 3)]
    found = CliRunner().invoke(app, list(map(str, words[:-2])))
    assert list(csv.DictReader(io.StringIO(found.stdout))) == rows
    words = [*words[:-2], "--training-data", cifs[12]]
    found = CliRunner().invoke(app, list(map(str, words)))
    assert cifs[12] not in found.stdout


def test_a_pool_is_named_as_for_predict_and_what_is_read_stays(fitted, cifs, tmp_path):
    model, table = tmp_path / "model.safetensors", tmp_path / "known.csv"
    fitted.save(model)
    for place, cif in enumerate(cifs[12:15]):
        shutil.copy(cif, tmp_path / f"c{place}.cif")
    (tmp_path / "c3.cif").write_text("data_broken")  # left out, as the help says
    for words, given in (([tmp_path / "c*.cif"], None), (["-"], f"{tmp_path / 'c0.cif'}\n")):
        found = CliRunner().invoke(app, list(map(str, ["suggest", model, *words])), input=given)
        assert len(found.stdout.splitlines()) == (4 if given is None else 2), found.output
    table.write_text("path\nc0.cif\n")
    words = ["suggest", model, tmp_path / "c1.cif", "--training-data", table, "-o", table]
    found = CliRunner().invoke(app, list(map(str, words)))
    assert found.exit_code == 2
    assert "is read, and would be replaced" in " ".join(found.output.split())
    assert table.read_text() == "path\nc0.cif\n"
