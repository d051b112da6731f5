"""Element features."""

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

import skcgcnn
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import load_element_features, matching_element_features


def test_builtin_table_equals_the_official(shared):
    official = json.loads((shared / "reference" / "atom_init.json").read_text())
    table = load_element_features()
    assert len(official) == len(table) == 100
    for z, row in official.items():
        np.testing.assert_array_equal(table.mean([(int(z), 1.0)]), row, err_msg=f"element {z}")


def test_digest_of_the_builtin_table_is_that_of_the_official():
    """The official file is not in the repository; its 100 rows of 92 zeros and ones are hashed."""
    table = load_element_features()
    rows = np.array([table.mean([(z, 1.0)]) for z in range(1, 101)])
    digest = hashlib.sha256(rows.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "9ecb6fb85c41291d8eeb69c2138769957bb432172952af43f1c8ac7a5af2dbb4"


@pytest.mark.parametrize("z", [1, 2, 14, 25, 46, 54, 57, 71, 89, 94])
def test_script_gives_the_rows_of_the_table(z):
    element = pytest.importorskip("mendeleev").element
    script = Path(__file__).parents[2] / "tools" / "make_element_features.py"
    slots = runpy.run_path(str(script))["slots"]
    table = Path(skcgcnn.__file__).parent / "graphs" / "element_features.csv"
    row = table.read_text().splitlines()[z]
    assert ",".join("" if x is None else str(x) for x in slots(element(z)).values()) == row


def test_mixed_site_is_the_weighted_mean_and_a_vacancy_weighs_nothing():
    table = load_element_features()
    nickel, cobalt = table.mean([(28, 1.0)]), table.mean([(27, 1.0)])
    np.testing.assert_allclose(
        table.mean([(27, 0.25), (28, 0.75)]), 0.25 * cobalt + 0.75 * nickel, atol=1e-7
    )
    # A tenth of the site is empty: the elements on it count as before.
    np.testing.assert_allclose(
        table.mean([(27, 0.225), (28, 0.675)]), 0.25 * cobalt + 0.75 * nickel, atol=1e-7
    )
    np.testing.assert_array_equal(table.mean([(28, 0.5)]), nickel)


def test_mapping_by_symbol_or_number():
    table = load_element_features({"Na": [1, 2], 17: [3, 4]})
    assert table.n_features == 2
    assert 11 in table
    assert 12 not in table
    np.testing.assert_array_equal(table.mean([(17, 1.0)]), [3, 4])


def test_json_file(tmp_path):
    (tmp_path / "atom_init.json").write_text('{"11": [1, 0], "17": [0, 1]}')
    assert load_element_features(tmp_path / "atom_init.json").n_features == 2


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ({}, "same length"),
        ({"Na": [1, 2], "Cl": [1]}, "same length"),
        ({"Na": ["x"]}, "lists of numbers"),
        ({"Xx": [1]}, "'Xx' is neither"),
        ({"Na": [float("nan")]}, "finite"),
    ],
)
def test_bad_mapping(rows, cause):
    with pytest.raises(DataError, match=cause):
        load_element_features(rows)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "not a JSON"),
        ("[1, 2]", "JSON object"),
        pytest.param("[" * 100_000, "not a JSON", id="deep"),
        ('{"1": [1], "1": [2]}', "the name '1' comes twice"),
        ('{"1": [1], "H": [2]}', "element 1 is there twice, with other features as 'H'"),
        ('{"70000": [1]}', "70000 is not the atomic number"),
        pytest.param('{"1": [' + "1," * 10_000_000 + "1]}", "larger than 20 MB", id="large"),
    ],
)
def test_bad_file(tmp_path, text, cause):
    file = tmp_path / "atom_init.json"
    file.write_text(text)
    with pytest.raises(DataError, match=cause) as error:
        load_element_features(file)
    assert str(file) in str(error.value)


def test_missing_file():
    with pytest.raises(DataError, match=r"nowhere\.json: cannot be read"):
        load_element_features("nowhere.json")


def test_features_are_those_of_graphs_only_by_their_fingerprint():
    own = {z: [float(z)] for z in range(1, 4)}
    for source in (None, own):
        fingerprint = load_element_features(source).fingerprint
        assert matching_element_features(source, fingerprint).fingerprint == fingerprint
        assert matching_element_features(source, "of another table") is None
        assert matching_element_features(source, None) is None
