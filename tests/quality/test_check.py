"""What a check of data finds, and what it leaves alone."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.bond_valence import calculate_bv_sum
from pymatgen.core import Element, Lattice, Structure
from typer.testing import CliRunner

from skcgcnn import CrystalGraphs
from skcgcnn.cli import app
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import expand_to_sites
from skcgcnn.quality import check, open_data, survey
from skcgcnn.quality._findings import Names
from skcgcnn.quality._residuals import Expected, odd_labels, skill
from skcgcnn.quality._valences import bond_valence_sums
from skcgcnn.stores import featurize

ROCKSALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)


@pytest.fixture(scope="module")
def sample():
    return load_sample_regression()


def kinds(frame):
    return dict(zip(frame["kind"], frame["ids"], strict=True))


def test_sound_data_has_no_findings(sample):
    frame = check(sample.data[:60], sample.target[:60], labels=False)
    assert not (frame["severity"] != "remark").any(), frame["message"].tolist()


def test_an_infinite_target_of_a_crystal_that_is_there_twice(sample):
    X = [*sample.data[:6], *sample.data[:2]]
    y = np.array([1.0, 2.0, 3.25, 4.5, 5.5, 6.5, np.inf, 2.5])
    said = survey(X, y, labels=False)
    # Of the other crystal that is there twice.
    (floor,) = said.floors
    assert floor.error == pytest.approx(0.25)
    assert floor.n_crystals == 2
    found = said.findings
    assert found["message"][found["kind"] == "infinite target"].item().startswith("y is infinite")
    twice = found["message"][found["kind"] == "same crystal, other target"].tolist()
    assert any("y differs by inf (1 to inf)" in message for message in twice), twice
    y[[0, 6]] = np.inf
    assert "same crystal" in set(check(X, y, labels=False)["kind"])


def test_the_same_crystal_twice_and_its_floor(sample):
    again = Structure.from_file(sample.data[3]).make_supercell((2, 1, 1))
    X, y = [*sample.data[:5], again], [*sample.target[:5], sample.target[3] + 0.2]
    frame = check(X, y, ids=list("abcdef"), labels=False)
    found = frame[frame["kind"] == "same crystal, other target"]
    assert found["ids"].tolist() == [["d", "f"]]
    assert "differs by 0.2" in found["message"].item()
    (floor,) = survey(X, y, labels=False).floors
    assert floor.error == pytest.approx(0.1)
    frame = check(X, list("xyzxyz"), labels=False)
    message = frame["message"][frame["kind"] == "floor of the error"].item()
    assert "no network can have more than 50.0% right" in message
    # Numbers beside the crystals tell the same crystals apart.
    beside = pd.DataFrame({"crystal": X, "T": [300.0] * 5 + [600.0]})
    assert not check(beside, y, labels=False)["kind"].str.contains("same").any()


def test_a_small_displacement_is_a_near_duplicate(tmp_path):
    moved, strained = ROCKSALT.copy(), ROCKSALT.copy()
    moved.translate_sites([0], [0.01, 0, 0], frac_coords=False)
    strained.scale_lattice(1.1 * ROCKSALT.volume)
    frame = check([ROCKSALT, moved, strained], ids=["a", "b", "c"])
    assert kinds(frame) == {"near duplicate": ["a", "b"]}
    # Without positions, it cannot be confirmed.
    graphs = CrystalGraphs.from_structures([ROCKSALT, moved, strained])
    frame = check(graphs)
    assert kinds(frame) == {"near duplicates, unconfirmed": ["0", "1"]}
    assert frame["severity"].tolist() == ["remark"]


def test_bond_valences_are_those_of_pymatgen(sample):
    structures = [Structure.from_file(path) for path in sample.data[:40]]
    graphs = CrystalGraphs.from_structures(structures)
    found = survey(structures, labels=False)
    sums = expand_to_sites(graphs, bond_valence_sums(graphs, found.elements))
    n_compared = 0
    for structure, own in zip(structures, sums, strict=True):
        for site, value in zip(structure, own, strict=True):
            around = sorted(structure.get_neighbors(site, 9.0), key=lambda each: each.nn_distance)
            # Which of several at one distance are among the twelve is arbitrary.
            if around[12].nn_distance - around[11].nn_distance < 1e-3 or np.isnan(value):
                continue
            assert value == pytest.approx(calculate_bv_sum(site, around[:12]), abs=1e-4)
            n_compared += 1
    assert n_compared > 40


def test_unusual_valences_are_remarked():
    pressed = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.2), ["K", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    frame = check([ROCKSALT, pressed], ids=["salt", "pressed"])
    assert kinds(frame) == {"unusual valences": ["pressed"]}
    assert frame["severity"].tolist() == ["remark"]
    assert "K in pressed has a valence of" in frame["message"].item()


def test_crystals_that_cannot_be(tmp_path):
    close, empty = ROCKSALT.copy(), ROCKSALT.copy()
    close.append("Na", [0.02, 0.02, 0.02])
    empty.scale_lattice(8 * ROCKSALT.volume)
    missing = tmp_path / "missing.cif"
    frame = check([ROCKSALT, close, empty, missing], ids=list("abcd"))
    assert kinds(frame) == {
        "unreadable crystal": ["d"],
        "atoms too close": ["b"],
        "atoms too far apart": ["c"],
    }
    assert frame["severity"].tolist() == ["error", "error", "warning"]
    assert "no such file" in frame["message"][0]


def test_remarks_about_crystals(sample):
    mixed = Structure(Lattice.cubic(4.2), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0] * 3, [0.5] * 3])
    ring = Structure(Lattice.orthorhombic(4, 20, 20), ["C", "C"], [[0, 0, 0], [0.35, 0.02, 0]])
    large = Structure.from_file(sample.data[0]).make_supercell((3, 3, 3))
    large.replace(0, "Xe")
    X = [*sample.data[:60], mixed, ring, large]
    frame = check(X, ids=[f"c{i}" for i in range(63)])
    assert set(frame["severity"]) == {"remark"}
    found = kinds(frame)
    assert found["mixed sites"] == ["c60"]
    assert "c61" in found["missing hydrogen"]
    assert "c62" in found["rare elements"]
    assert found["very large cells"] == ["c62"]


Y = np.random.default_rng(0).normal(size=100)


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        (np.full(100, 3.5), "constant column", "nothing to learn"),
        (np.array(["a"] * 99 + ["b"]), "class of one crystal", "only c99"),
        (np.array(["a "] * 50 + ["A"] * 20 + ["b"] * 30), "labels spelled differently", "'A'"),
        (np.where(np.arange(100) < 8, 9999.0, Y), "repeated value", "9999 for 8 crystals"),
        (np.where(np.arange(100) < 20, Y.round(2), Y), "rounded values", "two decimals"),
        (np.where(np.arange(100) < 50, 1000, 1) * Y, "values of two sizes", "in two units?"),
        (Y.round(2) + 0.001 * (np.arange(100) >= 20), "rounded values", "for 20 of 100 crystals"),
        (np.where(np.arange(100) == 3, np.inf, Y), "infinite target", "c3"),
        (np.where(np.arange(100) == 3, np.nan, Y), "no target", "such as c3"),
    ],
)
def test_odd_columns(sample, column, kind, message):
    ids = [f"c{i}" for i in range(100)]
    frame = check(sample.data[:100], {"y": column}, ids=ids, labels=False)
    assert message in frame["message"][frame["kind"] == kind].item()


def test_zeros_are_no_numbers_with_more_decimals(sample):
    y = np.where(np.arange(100) < 75, 0, Y.round(2))
    frame = check(sample.data[:100], {"y": y}, labels=False)
    assert "rounded values" not in set(frame["kind"])


@pytest.mark.slow
def test_networks_that_learned_nothing_do_not_judge(sample, graphs_of_sample):
    rng = np.random.default_rng(3)
    columns = {
        "who": rng.choice(["ann", "bob"], 100).astype(object),
        "gap": np.where(rng.random(100) < 0.1, rng.uniform(1, 3, 100), 0),
        "noise": rng.normal(size=100),
    }
    frame = check(graphs_of_sample[:100], columns)
    assert not frame["kind"].isin(["unexpected label", "label in another unit"]).any()
    said = frame["message"][frame["kind"] == "not judged by networks"]
    assert sorted(text.partition(":")[0] for text in said) == ["gap", "noise", "who"]


def test_good_columns_and_comments_are_left_alone(sample):
    columns = {
        "energy": Y,
        "metal": np.arange(100) % 2,
        "comment": [f"from paper {i}" for i in range(100)],
    }
    frame = check(sample.data[:100], pd.DataFrame(columns), labels=False)
    assert not (frame["severity"] != "remark").any()


class ByAtomicNumber:
    """A regressor that knows the answer: it makes a test of the rules quick."""

    def fit(self, X, y):
        self.middle_ = float(np.median(y))
        return self

    def predict(self, X):
        return truth(X)

    def get_params(self, deep=True):
        return {}


def truth(graphs):
    """Return a number that the composition decides."""
    weights = np.random.default_rng(1).normal(size=graphs.kind_features.shape[1])
    owners = np.repeat(np.arange(len(graphs)), np.diff(graphs.offsets))
    values = graphs.kind_features[graphs.site_kinds] @ weights * graphs.site_counts
    return 5 + np.bincount(owners, values, len(graphs)) / np.maximum(graphs.n_sites, 1)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda y, n: 96.485 * y, "label in another unit", "kJ/mol"),
        (lambda y, n: y / 27.2114, "label in another unit", "hartree"),
        (lambda y, n: 1000 * y, "label in another unit", "thousandth"),
        (lambda y, n: n * y, "label in another unit", "number of atoms"),
        (lambda y, n: -y, "label in another unit", "other sign"),
        (lambda y, n: 1.7 * y, "unexpected label", "Is it of this crystal?"),
    ],
)
def test_labels_that_are_not_expected(sample, graphs_of_sample, change, kind, message):
    y = truth(graphs_of_sample) + np.random.default_rng(0).normal(scale=0.01, size=254)
    row = int(np.flatnonzero(graphs_of_sample.n_sites == 8)[0])
    y[row] = change(y[row], 8)
    frame = check(graphs_of_sample, y, estimator=ByAtomicNumber())
    found = frame[frame["kind"].isin(["label in another unit", "unexpected label"])]
    assert [sample.cif_ids[row]] in found["ids"].tolist()
    own = found[[ids == [sample.cif_ids[row]] for ids in found["ids"]]]
    assert own["kind"].item() == kind
    assert message in own["message"].item()
    assert len(found) <= 3


@pytest.mark.parametrize(
    ("given", "said", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 3.0], 0.75),
        (["a", "b", "b", "a"], ["a", "b", "a", "a"], 0.5),
        (["a", "a", "a", "b"], ["b", "a", "b", "b"], -1.0),
    ],
)
def test_skill_is_the_share_of_errors_that_goes(given, said, expected):
    found = Expected(np.arange(4), np.array(said), np.ones(4))
    assert skill(np.array(given), found) == expected


def test_labels_that_are_equally_unlikely_stay_in_their_order():
    spread = np.where(np.arange(60) % 2, 0.01, 0.001)
    found = Expected(np.arange(60), np.repeat("a", 60), spread)
    odd = odd_labels("kind", np.repeat("b", 60), found, Names(range(60)))
    assert [one.rows for one in odd] == [[i] for i in (*range(0, 60, 2), *range(1, 60, 2))]


@pytest.fixture(scope="module")
def graphs_of_sample(sample):
    return CrystalGraphs.from_structures(sample.data)


@pytest.mark.slow
def test_networks_tell_wrong_labels(sample, graphs_of_sample):
    some = np.arange(0, len(sample.target), 3)  # networks for all of them would take a minute more
    y = sample.target[some]
    # Labels near zero are as good in another unit.
    rows = np.flatnonzero(np.abs(y) > 1.0)[[2, 8, 14]]
    y[rows] *= 96.485
    metal = np.where(y < -0.5, "ionic", "other").astype(object)
    metal[7] = "other" if metal[7] == "ionic" else "ionic"
    metal[40:] = None
    ids = [sample.cif_ids[row] for row in some]
    frame = check(graphs_of_sample[some], {"energy": y, "kind": metal}, ids=ids)
    found = {i for ids in frame["ids"][frame["kind"] == "label in another unit"] for i in ids}
    assert {ids[row] for row in rows} <= found


def test_what_is_no_data(sample):
    with pytest.raises(ValueError, match="3 ids for 2 crystals"):
        check(sample.data[:2], ids=["a", "b", "c"])
    with pytest.raises(ValueError, match="y has 3 values for 2 crystals"):
        check(sample.data[:2], [1, 2, 3])
    with pytest.raises(DataError, match="neither a folder"):
        open_data("nowhere")


@pytest.fixture
def folder(tmp_path, sample):
    """Return a folder with a crystal that is there twice, and a text beside numbers."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["cif_id,energy,kind"]
    for path, energy in zip(sample.data[:12], sample.target[:12], strict=True):
        shutil.copy(path, folder)
        rows.append(f"{Path(path).stem},{energy},a")
    Structure.from_file(sample.data[2]).make_supercell((1, 2, 1)).to(str(folder / "again.cif"))
    (folder / "id_prop.csv").write_text("\n".join([*rows, "again,1.5,b"]) + "\n")
    return folder


def run(*words, code=0):
    found = CliRunner().invoke(app, ["check", *map(str, words)])
    assert found.exit_code == code, found.output
    return found.stdout


def test_the_command(folder, tmp_path):
    out = tmp_path / "out"
    text = run(folder, "--quick", "-o", out, "--quiet", code=1)
    assert "again: one crystal, 2 times" in text
    frame = pd.read_csv(out / "check.csv")
    assert list(frame) == ["kind", "ids", "severity", "message"]
    same = frame[frame["kind"] == "same crystal, other target"]
    assert same["ids"].tolist() == [f"{Path(load_sample_regression().data[2]).stem}; again"]
    page = (out / "check.html").read_text()
    assert "<h2>Coverage</h2>" in page
    assert "Same crystal, other target" in page
    found = json.loads(run(folder, "--json", "-o", out, code=1))
    assert found["n_crystals"] == 13
    assert found["n_different"] == 12
    assert found["floors"]["energy"] > 0
    assert found["findings"][0]["ids"][1] == "again"
    (folder / "again.cif").unlink()
    assert "unreadable crystal" in (run(folder, "--json", "-o", out, code=1))


def test_a_disk_that_fills_leaves_no_table_of_an_earlier_check(folder, tmp_path, monkeypatch):
    run(folder, "--quick", "-o", tmp_path, "-q", code=1)
    replace = os.replace

    def full(source, target):
        if Path(target).name == "check.csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    run(folder, "--quick", "-o", tmp_path, "-q", code=2)
    assert [path.name for path in tmp_path.glob("check.*")] == ["check.html"]


def test_some_columns_of_a_table(folder, tmp_path):
    arguments = ["check", str(folder), "--quick", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--target", "nothing"])
    assert result.exit_code == 2
    assert "has no column 'nothing'; it has " in result.output
    name = next(iter(open_data(folder).columns))
    assert list(open_data(folder, [name]).columns) == [name]


def test_many_findings_are_counted(folder, tmp_path):
    for number in range(23):
        (folder / f"broken{number}.cif").write_text("no crystal")
    (folder / "id_prop.csv").unlink()
    *shown, more, total, _ = run(folder, "--quick", "-o", tmp_path, "-q", code=1).splitlines()
    n = len(pd.read_csv(tmp_path / "check.csv"))
    assert (len(shown), more) == (20, f"and {n - 20} more")
    assert n >= 23
    assert f"; {n} findings in " in total


def test_sound_data_and_data_that_cannot_be_read(folder, tmp_path, sample):
    lines = (folder / "id_prop.csv").read_text().splitlines()[:-1]
    (folder / "id_prop.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    (folder / "again.cif").unlink()
    said = CliRunner().invoke(app, ["check", str(folder), "-o", str(tmp_path)]).stderr
    assert said.splitlines()[1:] == [
        "Looking for crystals that are there twice ...",
        "Training networks that say what they expect of energy ...",
    ]
    assert not CliRunner().invoke(app, ["check", str(folder), "-q", "-o", str(tmp_path)]).stderr
    run(tmp_path / "nowhere", code=2)
    (folder / "id_prop.csv").write_text("a,b,c\n1,2\n")
    run(folder, "-o", tmp_path, code=2)


def test_tables_folders_and_stores(folder, tmp_path):
    table = tmp_path / "table.csv"
    paths = sorted(folder.glob("*.cif"))
    rows = [f"{path.stem},{path},{i / 7},x" for i, path in enumerate(paths)]
    table.write_text("\n".join(["id,path,energy,kind", *rows]) + "\n")
    opened = open_data(table)
    assert opened.columns["energy"].dtype == float
    assert opened.columns["kind"].tolist() == ["x"] * 13
    store = tmp_path / "store"
    featurize(folder, store)
    opened = open_data(store)
    assert opened.paths is None
    assert set(opened.columns) == {"energy", "kind"}
    found = survey(opened.graphs, opened.columns, ids=opened.ids, labels=False)
    assert not found.is_sound
    (folder / "again.cif").write_text("no crystal")
    odd = sorted(folder.glob("*.cif"))[1]
    odd.write_text(re.sub("(?m)^_cell_volume.*", "_cell_volume 1", odd.read_text()))
    with (
        pytest.warns(UserWarning, match="1 of 13 crystals could not become graphs"),
        pytest.warns(UserWarning, match="1 of 13 crystals were read with remarks"),
    ):
        featurize(folder, store, overwrite=True)
    text = run(store, "--quick", "-o", tmp_path / "out", code=1)
    assert run(store, "--quick", "-o", tmp_path / "out", code=1) == text  # over the same files
    assert "1 crystal of its source could not become graphs" in text
    assert "there are remarks on 1 crystal of its source: see remarks.csv" in text
    assert pd.read_csv(tmp_path / "out" / "check.csv").kind[0] == "left out of the store"
    (folder / "id_prop.csv").unlink()
    opened = open_data(folder)
    assert opened.columns == {}
    assert len(opened.ids) == 13


def test_noble_gases_give_no_warnings_of_others(recwarn):
    from skcgcnn.quality import _valences

    _valences._parameters.cache_clear()
    for gas in ("He", "Ne", "Ar"):
        vars(Element(gas)).pop("X", None)  # as it is at first, when pymatgen warns
    gases = [Structure(Lattice.cubic(4.0), [gas], [[0, 0, 0]]) for gas in ("He", "Ne", "Xe")]
    assert "unusual valences" not in kinds(check(gases))
    assert not [each for each in recwarn if "electronegativity" in str(each.message)]


def test_one_crystal_is_counted_as_one(folder):
    (folder / "id_prop.csv").write_text(folder.joinpath("id_prop.csv").read_text().split("\n")[1])
    assert "1 crystal, 1 different; " in run(folder, "--quick", "-o", folder, code=1)


def test_the_table_that_is_checked_is_not_replaced(sample, tmp_path):
    table = tmp_path / "check.csv"
    lines = ["path,gap,kind", *(f"{cif},{i / 3},a" for i, cif in enumerate(sample.data[:4]))]
    table.write_text("\n".join(lines))
    words = ["check", str(table), "--quick", "-q", "-o", str(tmp_path)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 2
    assert "is read, and would be replaced" in " ".join(found.output.split())
    assert table.read_text() == "\n".join(lines)


def test_texts_among_the_numbers_of_a_table_are_not_lost(sample, tmp_path):
    table = tmp_path / "table.csv"
    kinds = ["a", "b", "1", "", "nan"]
    lines = ["path,kind", *(f"{cif},{kind}" for cif, kind in zip(sample.data, kinds, strict=False))]
    table.write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="column 'kind' holds numbers and texts, such as '1' and"):
        column = open_data(table).columns["kind"]
    assert column[:3].tolist() == ["a", "b", "1"]
    assert pd.isna(column[3:]).all()


def test_targets_are_taken_as_estimators_take_them(sample):
    hidden = np.ma.array([1.5, 2.5, np.inf], mask=[False, False, True])
    found = survey(sample.data[:3], hidden, labels=False)
    assert np.isnan(found.columns["y"][2])
    found = survey(sample.data[:2], [[0.5, "metal"], [1.5, "gas"]], labels=False)
    assert found.columns["y0"].dtype == float
    assert found.columns["y1"].tolist() == ["metal", "gas"]
    with pytest.raises(ValueError, match="X holds no crystals"):
        check([], [])
    with pytest.raises(ValueError, match="y has 3 dimensions"):
        check(sample.data[:2], np.zeros((2, 1, 1)))


def test_columns_stay_in_the_order_of_the_crystals(sample):
    one, other = pd.Series([0.5, 1.5], index=[1, 0]), pd.Series(["1", None], index=[0, 1])
    found = survey(sample.data[:2], {"gap": one, "kind": other}, labels=False).columns
    np.testing.assert_array_equal(found["gap"], [0.5, 1.5])
    np.testing.assert_array_equal(found["kind"], [1.0, np.nan])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (pd.DataFrame({1: [0.5, 1.5], "1": [2.0, 3.0]}), "several columns with the name '1'"),
        ({1: [0.5, 1.5], "1": [2.0, 3.0]}, "several columns with the name '1'"),
        (pd.Series([1j, 2.0], name="gap"), "gap holds complex numbers"),
    ],
)
def test_columns_that_would_be_lost(y, message, sample):
    with pytest.raises(ValueError, match=message):
        check(sample.data[:2], y)


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (pd.Series([0.5, 1.5], name="gap"), ["gap"]),
        (pd.Series([0.5, 1.5]), ["y"]),
        (pd.DataFrame({"gap": [0.5, 1.5], 7: [1, 2]}), ["gap", "7"]),
        ({"gap": [0.5, 1.5]}, ["gap"]),
        ([0.5, 1.5], ["y"]),
        (np.ones((2, 2)), ["y0", "y1"]),
        (None, []),
    ],
    ids=["series", "no name", "frame", "mapping", "list", "array", "nothing"],
)
def test_targets_have_the_names_that_they_are_given(sample, y, names):
    assert list(survey(sample.data[:2], y, labels=False).columns) == names
