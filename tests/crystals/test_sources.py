"""What X may be, and what its elements and columns are called."""

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from pymatgen.core import IStructure, Lattice, Molecule, Structure

from skcgcnn.crystals import (
    cell_volume,
    describe_source,
    is_bare_crystal,
    is_cif_text,
    is_text,
    list_sources,
    load_json,
    source_id,
    split_numbers,
    told_units,
)

POSCAR = "NaCl\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\ndirect\n0 0 0\n.5 .5 .5\n"


def refused(call, *args, **kwargs):
    """Return the text of the error that a call raises."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_units_of_columns():
    frame = pd.DataFrame({"crystal": ["a.cif"], "T": [1.0]})
    assert told_units(frame, "X") == told_units(["a.cif"], "X") == told_units(None, "y") == {}
    frame.attrs["units"] = {"T": "K", "p": "", "n": None, 3: "eV"}
    assert told_units(frame, "X") == {"T": "K", "3": "eV"}
    frame.attrs["units"] = "K"
    assert "y.attrs[\"units\"] is 'K'; expected a dictionary" in refused(told_units, frame, "y")


@pytest.mark.parametrize(
    "X", [["a.cif"], pd.DataFrame({"crystal": ["a.cif"]}), pd.Series(["a.cif"]), np.ones((2, 1))]
)
def test_what_has_no_columns_of_numbers(X):
    same, numbers, names = split_numbers(X)
    assert same is X
    assert numbers.shape == (0, 0)
    assert names == ()


def test_columns_of_numbers_and_their_names():
    frame = pd.DataFrame(
        {"T": [1, 2], "crystal": ["a.cif", "b.cif"], 7: [0.5, 1.5], "is": [True, False]}
    )
    crystals, numbers, names = split_numbers(frame)
    assert crystals == ["a.cif", "b.cif"]
    assert names == ("T", "7", "is")
    np.testing.assert_array_equal(numbers, [[1, 0.5, 1], [2, 1.5, 0]])
    assert numbers.dtype == np.float64


def test_arrays_with_a_column_of_crystals():
    table = np.array([["a.cif", 1.0, 4], ["b.cif", 2.0, 5]], dtype=object)
    crystals, numbers, names = split_numbers(table)
    assert (crystals, names) == (["a.cif", "b.cif"], ("column 1", "column 2"))
    assert numbers.tolist() == [[1, 4], [2, 5]]
    # Without a number in the first row it is no table of numbers, and neither is one column.
    for other in (
        np.array([["a.cif", "b.cif"]], dtype=object),
        np.array([["a.cif"], [1.0]], dtype=object),
        np.array([["a.cif", "1"]]),
        np.array(["a.cif", 1.0], dtype=object),
    ):
        assert split_numbers(other)[0] is other


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": ["x.cif"], "b": ["y.cif"]}, "but a, b are not numbers. Drop columns"),
        ({"a": [1.0], "b": [2.0]}, "but none holds crystals. Drop columns"),
        ({"a": ["x.cif", "y.cif"], "b": [1.0, math.inf]}, "X: column 'b', row 1: inf is not a"),
        ({"a": ["x.cif", "y.cif"], "b": [math.nan, 1.0]}, "X: column 'b', row 0: nan is not a"),
        ({"a": ["x.cif", "y.cif"], "b": [1.0, "two"]}, "X: column 'b', row 1: 'two' is not a"),
        ({"a": ["x.cif", "y.cif"], "b": [None, 1]}, "X: column 'b', row 0: nan is not a finite"),
    ],
)
def test_columns_that_are_not_clear(columns, words):
    assert words in refused(split_numbers, pd.DataFrame(columns))


def test_frames_without_rows_and_with_one_name_twice():
    empty = pd.DataFrame({"a": [], "b": []})
    assert "X is a frame without rows" in refused(split_numbers, empty)
    twice = pd.DataFrame([["a.cif", 1.0, 2.0, 3.0]], columns=["a", 0, "0", "b"])
    assert refused(split_numbers, twice) == "X has several columns with the name 0"


def test_many_names_of_columns_take_no_time():
    begin = time.perf_counter()
    frame = pd.DataFrame(np.zeros((1, 30_001)), columns=[*range(30_000), 7])
    assert refused(split_numbers, frame) == "X has several columns with the name 7"
    assert time.perf_counter() - begin < 5


def test_numbers_that_may_be_missing():
    columns = {"a": ["x.cif", None, "z.cif"], "b": [None, math.nan, 2], "c": [pd.NA, 1, 2]}
    frame = pd.DataFrame(columns, dtype=object)
    crystals, numbers, names = split_numbers(frame, allow_missing=True)
    assert names == ("b", "c")
    np.testing.assert_array_equal(numbers, [[np.nan, np.nan], [np.nan, 1], [2, 2]])
    assert crystals == ["x.cif", None, "z.cif"]
    frame.loc[2, "b"] = math.inf
    assert "row 2: inf is not a finite" in refused(split_numbers, frame, allow_missing=True)
    assert split_numbers(frame[["a", "b"]][:2], allow_missing=True)[1].shape == (2, 1)
    frame["a"] = ["x.cif", math.nan, "z.cif"]
    assert split_numbers(frame[["a", "c"]], allow_missing=True)[2] == ("c",)
    assert "column 'a', row 0: 'x.cif' is not" in refused(split_numbers, frame[["a", "c"]])


def test_containers_that_are_none():
    assert "X has shape (1, 1, 1); expected" in refused(list_sources, np.full((1, 1, 1), "a"))
    assert "X has shape (); expected" in refused(list_sources, np.array("a.cif"))
    wide = pd.DataFrame({"a": ["x"], "b": ["y"]})
    assert "X has 2 columns; expected a list" in refused(list_sources, wide)
    for source in (b"a.cif", "a.cif", Path("a.cif")):
        assert f"X is the single path {source!r}; " in refused(list_sources, source)
    for X in ({"a": 1}, {"a"}, frozenset("a"), 5):
        assert f"X is of type {type(X).__name__}; expected" in refused(list_sources, X)


def test_elements_that_are_no_crystals():
    crystal = Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]])
    number = refused(list_sources, [crystal, 4.5])
    assert number.startswith("X[1] is of type float; expected")
    assert number.endswith(". Numbers tell no structure: pass the crystals that they describe.")
    molecule = refused(list_sources, [Molecule(["H"], [[0, 0, 0]])])
    assert molecule.endswith("put it into one with get_boxed_structure(a, b, c).")
    assert refused(list_sources, ["a.cif", None]).endswith("or CrystalGraphs.")
    assert list_sources(["a.cif", 4.5, None], check=False) == ["a.cif", 4.5, None]
    table = refused(list_sources, np.ones((2, 3)))
    assert table.endswith(" Numbers tell no structure: pass the crystals that they describe.")
    sites = refused(list_sources, np.array([crystal * (2, 1, 1)] * 3, dtype=object))
    assert sites.endswith(" NumPy takes structures apart into their sites; pass the list itself.")
    assert refused(list_sources, np.empty((0, 2), dtype=object)).endswith("or CrystalGraphs.")


def test_single_crystals_and_lists_of_them():
    crystal = Structure(Lattice.cubic(4), ["Na"], [[0, 0, 0]])
    row = {"id": 1, "structure": crystal}
    for one in (crystal, IStructure.from_sites(crystal), crystal.as_dict(), row):
        name = type(one).__name__
        expected = f"X is a single {name}; for one crystal pass [crystal]."
        assert refused(list_sources, one) == expected
        assert list_sources([one])[0] is one
    assert is_bare_crystal(Atoms("H", cell=[3, 3, 3]))
    assert is_bare_crystal(crystal.as_dict())
    assert not is_bare_crystal(row)
    for other in (None, "a.cif", {}, {"lattice": 1}, Molecule(["H"], [[0, 0, 0]]), [crystal]):
        assert not is_bare_crystal(other)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("data_x\n", True),
        ("loop_\n_a\n1", True),
        ("_cell_length_a 4\n_b", True),
        ("data_x", False),
        ("\n\n", False),
        (None, False),
        (Path("data_x\n"), False),
    ],
)
def test_texts_of_cifs(text, is_one):
    assert is_cif_text(text) is is_one
    assert is_text(text) is is_one


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('{"a": 1}', True),
        ('  {"a": 1}\n', True),
        ("{}", False),
        ('"a"}', False),
        ('{"a"', False),
        ('["a"]', False),
        (3, False),
        (POSCAR, True),
        ("\n".join(POSCAR.splitlines()[:7]), True),
        ("\n".join(POSCAR.splitlines()[:6]), False),
        (POSCAR.replace("1.0", "1 1 1"), True),
        (POSCAR.replace("1.0", "1 1"), False),
        (POSCAR.replace("1.0", ""), False),
        (POSCAR.replace("1.0", "x"), False),
        (POSCAR.replace("4 0 0", "4 0"), False),
        (POSCAR.replace("0 4 0", "0 4 0 0"), False),
        (POSCAR.replace("0 0 4", "0 0 d"), False),
    ],
)
def test_texts_of_json_and_poscars(text, is_one):
    assert is_text(text) is is_one


def test_names_of_crystals():
    for path, name in (
        ("folder/a.cif", "a"),
        (Path("folder/a.b.cif"), "a.b"),
        ("a.cif.gz", "a"),
        ("a.cif.BZ2", "a"),
        ("a.cif.xz", "a"),
        ("a.cif.zip", "a.cif"),
        ("POSCAR", "POSCAR"),
        (POSCAR, "4"),
        (None, "4"),
    ):
        assert source_id(path, 4) == name
    assert describe_source("folder/a.cif", 4) == "folder/a.cif"
    assert describe_source(Path("b/a.cif"), 4) == str(Path("b/a.cif"))
    assert describe_source("a\nb'.cif", 4) == "a\\nb'.cif"
    assert describe_source(POSCAR, 4) == describe_source(Atoms(), 4) == "X[4]"


def test_json_that_says_one_thing():
    assert load_json('{"a": [1, 2.5, {"b": null}], "c": "1e999"}') == {
        "a": [1, 2.5, {"b": None}],
        "c": "1e999",
    }
    assert math.isnan(load_json("NaN"))
    for text, number in (("1e999", "1e999"), ("[-1e400]", "-1e400"), ("-Infinity", "-Infinity")):
        assert refused(load_json, text) == f"the number {number} is not finite"
    assert load_json(str(-(10**300))) == -(10**300)
    assert refused(load_json, f"[{10**400}]") == f"the number 1{'0' * 49} is not finite"
    twice = '{"x": {"a": 1, "bc": 2, "d": 3, "bc": 2}}'
    assert refused(load_json, twice) == "the name 'bc' comes twice in an object"
    assert refused(load_json, '{"a": 1, "b": 2, "b": 3, "c": 4, "b": 5, "a": 1}').startswith(
        "the name 'b' comes"
    )
    with pytest.raises(RecursionError):
        load_json("[" * 100_000)


def test_volumes_of_cells():
    rng = np.random.default_rng(0)
    for lattice in rng.normal(size=(20, 3, 3)):
        assert cell_volume(lattice) == pytest.approx(abs(np.linalg.det(lattice)))
