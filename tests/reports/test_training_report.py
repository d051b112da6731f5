"""What the report of a training run says, from results that are made up."""

import re
from collections import defaultdict

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs
from skcgcnn.estimators import predict_targets
from skcgcnn.metrics import HeldOutError
from skcgcnn.reports import HeldOut, RunResult, training_report
from skcgcnn.reports._honesty import honesty
from skcgcnn.reports._html import Table

TEST = slice(16, 24)


def made_up(est, graphs, y, tested=TEST, **more):
    """Return the result of a run that ended with an estimator of one target."""
    (prediction,) = predictions = predict_targets(est, graphs[tested])
    name = prediction.target.name
    table = np.asarray(y, dtype=object)[:, np.newaxis]
    parts = {"train": slice(0, 12), "val": slice(12, 16), "test": tested}
    test = HeldOut(
        graphs=graphs[tested],
        y=table[tested],
        ids=[f"crystal{i}" for i in range(len(graphs))][tested],
        paths=[],
        predictions=predictions,
        metrics={name: {}},
        errors={name: HeldOutError("mae", 0.5, 0.25, 0.75, 8, 1.5, "eV")},
    )
    return RunResult(
        name="run",
        settings={"--epochs": "2"},
        est=est,
        graphs={part: graphs[rows] for part, rows in parts.items()},
        y={part: table[rows] for part, rows in parts.items()},
        test=test,
        folds=None,
        n_unreadable=0,
        losses={"training": [1.0, 0.5], "validation": [1.0, 0.6]},
        best_epoch=2,
        **more,
    )


def table_below(page, title):
    """Return the cells of a table, row by row."""
    assert title in re.findall("<h3>(.*?)</h3>", page)
    text = page[page.index(f"<h3>{title}</h3>") :].split("</table>")[0]
    return [re.findall("<td.*?>(.*?)</td>", row) for row in text.split("<tr>")[2:]]


def test_errors_of_other_splits_stand_below_those_of_this_one(fitted_regressor, graphs, energies):
    other = {"metric": "mae", "value": 2.0, "low": None, "high": None, "n_crystals": 1}
    splits = {
        "elements": {"target": {**other, "simple": None, "unit": "eV"}},
        "prototype": {"cannot": "needs positions"},
    }
    page = training_report(made_up(fitted_regressor, graphs, energies, splits=splits))
    rows = table_below(page, "Other splits of the same crystals")
    (name,) = fitted_regressor.target_names_
    assert rows[0][:4] == ["this one", name, "0.5 eV", "0.25 to 0.75"]
    assert float(rows[0][4]) == 1.5
    assert rows[1:] == [
        ["elements", "target", "2 eV", "", ""],
        ["prototype", "", "needs positions", "", ""],
    ]


@pytest.mark.parametrize(("n_metals", "is_told"), [(0, False), (3, True), (8, False)])
def test_a_roc_curve_needs_both_classes(fitted_classifier, graphs, labels, n_metals, is_told):
    y = np.array(["gap", "metal"], dtype=object)[labels]
    y[TEST] = ["metal"] * n_metals + ["gap"] * (8 - n_metals)
    page = training_report(made_up(fitted_classifier, graphs, y))
    assert "Confusion matrix" in page
    assert ("ROC curve" in page) is is_told
    # Of so few crystals a calibration curve is noise.
    assert "so probable" not in page


def test_errors_by_element(fitted_regressor, graphs, energies, cifs):
    rows = np.tile(np.arange(24), 3)  # elements of few crystals are not told
    y = energies[rows] + np.linspace(0, 1, len(rows))
    y[::5] = np.nan
    page = training_report(made_up(fitted_regressor, graphs[rows], y, slice(0, None)))
    (name,) = fitted_regressor.target_names_
    told = table_below(page, f"{name}: error by element")
    errors, by_element = np.abs(fitted_regressor.predict(graphs[rows]) - y), defaultdict(list)
    for row, error in zip(rows, errors, strict=True):
        for element in Structure.from_file(cifs[row]).composition:
            by_element[element.symbol].append(error)
    known = {e: np.array(each)[np.isfinite(each)] for e, each in by_element.items()}
    means = {e: each.mean() for e, each in known.items() if len(each) >= 5}
    largest = sorted(means, key=lambda e: -means[e])
    assert [row[0] for row in told] == largest
    assert [int(row[1]) for row in told] == [len(known[e]) for e in largest]
    np.testing.assert_allclose(
        [float(row[2]) for row in told], [means[e] for e in largest], rtol=1e-2
    )


def test_errors_by_family_and_of_other_splits(graphs):
    many = graphs[np.arange(240) % 24]
    errors = np.arange(240) % 24 / 10
    own = {
        "energy": HeldOutError("mae", 0.5, 0.25, 0.75, 8, 1.5, "eV"),
        "phase": HeldOutError("accuracy", 0.9, None, 0.75, 8, None, "x"),
    }
    splits = {"elements": {"cannot": "no"}, "structure": {"energy": vars(own["energy"])}}
    found = honesty("", {"energy": (errors, "error")}, many, None, splits, own)
    table, *others = found.parts
    assert table.title == "Other splits of the same crystals"
    assert list(table.head) == ["split", "target", "error", "95 % interval", "simplest prediction"]
    assert table.rows == [
        ["this one", "energy", "0.5 eV", "0.25 to 0.75", 1.5],
        ["this one", "phase", "0.9 right", "", ""],
        ["elements", "", "no", "", ""],
        ["structure", "energy", "0.5 eV", "0.25 to 0.75", 1.5],
    ]
    elements, families = others
    assert elements.title == "energy: error by element, the 12 largest"
    assert families.title == "energy: error by family"
    for part, head in ((elements, "element"), (families, "family")):
        assert list(part.head) == [head, "test crystals", "error"]
        values = [row[2] for row in part.rows]
        assert values == sorted(values, reverse=True)
    assert len(elements.rows) == 12
    assert sum(row[1] for row in families.rows) == 240


def test_errors_by_kind_need_two_kinds():
    """A table of one line would only repeat the error."""
    zeros = [[0, 0, 0], [0.5, 0.5, 0.5]]
    for symbols, titles in (
        (["Si", "Si"], []),
        (["Na", "Cl"], ["energy: error by element"]),
    ):
        crystals = [Structure(Lattice.cubic(4 + i / 50), symbols, zeros) for i in range(12)]
        graphs = CrystalGraphs.from_structures(crystals)
        found = honesty("", {"energy": (np.ones(12), "error")}, graphs, None, {}, {})
        assert [part.title for part in found.parts if isinstance(part, Table)] == titles
