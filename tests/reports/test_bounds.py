"""Where lines, rows and figures of reports begin: on both sides of each bound."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from html_pages import collect_figures, sections
from matplotlib.colors import to_hex
from PIL import Image
from pymatgen.core import Lattice, Structure

from skcgcnn import CrystalGraphs
from skcgcnn.inspection import nearest_training_crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.plotting import BLUE, ORANGE
from skcgcnn.quality import survey
from skcgcnn.quality._residuals import Expected
from skcgcnn.reports import (
    TIME_UP,
    Facts,
    Figure,
    HeldOut,
    PredictionResult,
    Section,
    Table,
    Trial,
    TuneResult,
    advice,
    check_report,
    page,
    prediction_report,
    tune_report,
    usual_trial,
)
from skcgcnn.reports._advice import flat_from
from skcgcnn.reports._honesty import honesty
from skcgcnn.reports._html import new_figure
from skcgcnn.reports._parts import (
    draw_values,
    element_table,
    few_ticks,
    name_classes,
    with_pictures,
)
from skcgcnn.tasks import Number, Prediction


@pytest.fixture
def shown(monkeypatch):
    return collect_figures(monkeypatch)


# Advice

FACTS = Facts(
    n_train=800, n_val=100, n_test=100, train_loss=0.1, val_loss=0.2, from_scratch=True,
    flat_from=None, r2={}, accuracy={}, most_frequent={}, rarest={}, outside=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("training", "validation", "epoch"),
    [
        # Three epochs of ten are long enough, two are not.
        ([9.0] * 6 + [6, 5, 4, 3], [9.0] * 6 + [5.0] * 4, 7),
        ([9.0] * 6 + [6, 5, 4, 3], [9.0] * 7 + [5.0] * 3, None),
        # It has to fall to less than 0.7.
        ([10.0, 6.9], [1.0, 1.0], 1),
        ([10.0, 7.0], [1.0, 1.0], None),
        # Losses up to 1.03 times the lowest count as it.
        ([10.0, 9, 1], [2.06, 2.1, 2.0], 1),
        ([10.0, 9, 1], [2.07, 2.06, 2.0], 2),
        ([10.0, 9, 1], [np.nan, 2.0, 2.0], None),
        ([], [], None),
        ([1.0, 0.1], [1.0], None),
    ],
)
def test_from_when_a_validation_loss_is_flat(training, validation, epoch):
    assert flat_from(training, validation) == epoch


def test_a_loss_without_the_other_says_nothing():
    for losses in ({"train_loss": None}, {"val_loss": None}, {"train_loss": 0.0}):
        assert advice(replace(FACTS, **{"train_loss": 0.1, "val_loss": 9.0} | losses)) == []


def test_advice_stands_in_an_order():
    facts = replace(
        FACTS, n_val=29, n_test=1, flat_from=3, val_loss=0.6, r2={"a": 0.1}, outside=0.5,
        accuracy={"b": 0.5}, most_frequent={"b": 0.6}, rarest={"b": 0.01},
    )  # fmt: skip
    starts = [
        "29 validation",
        "1 test crystals",
        "From epoch 3",
        "The validation loss (0.6) is 6 t",
    ]
    starts += [
        "R² of a is 0.10",
        "50% of the labels of b",
        "The rarest class of b",
        "50% of the te",
    ]
    for found, start in zip(advice(facts), starts, strict=True):
        assert found.startswith(start)


# What the test error means


def salts(*names):
    """Return crystals of two elements each."""
    return CrystalGraphs.from_structures(
        [
            Structure(Lattice.cubic(4 + i / 50), name.split(), [[0] * 3, [0.5] * 3])
            for i, name in enumerate(names)
        ]
    )


@pytest.mark.parametrize(("n", "is_shown"), [(5, True), (4, False)])
def test_elements_of_five_crystals_have_a_row(n, is_shown):
    graphs = salts(*["Na Cl"] * 6, *["K Cl"] * n, "K Cl")
    errors = np.append(np.arange(6.0 + n), np.nan)
    found = honesty("", {"gap": (errors, "what")}, graphs, None, {}, {})
    (table,) = found.parts
    rows = [["K", n, 5.5 + n / 2], ["Cl", 6 + n, (5 + n) / 2], ["Na", 6, 2.5]]
    assert table.rows == (rows if is_shown else rows[1:])
    assert table.title == "gap: error by element"


@pytest.mark.parametrize(("n", "more"), [(12, ""), (13, ", the 12 largest")])
def test_twelve_rows_at_most_tell_of_elements(n, more):
    symbols = ["Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Au", "Tl", "In", "Ga", "H", "Fr"][:n]
    graphs = salts(*(f"{each} {each}" for each in symbols for _ in range(5)))
    found = honesty("", {"gap": (np.repeat(np.arange(n), 5) + 0.5, "what")}, graphs, None, {}, {})
    (table,) = found.parts
    assert table.title == f"gap: error by element{more}"
    assert [row[0] for row in table.rows] == symbols[::-1][:12]


def test_errors_of_splits_with_and_without_intervals():
    one = HeldOutError("mae", 0.1234, None, None, 8, None, "eV")
    own = {"a": one, "b": replace(one, low=0.1, high=0.2, unit=""), "c": replace(one, low=0.1)}
    found = honesty("", {}, salts("Na Cl"), None, {"x": {"a": vars(one)}}, own)
    (table,) = found.parts
    assert table.rows == [
        ["this one", "a", "0.123 eV", "", ""],
        ["this one", "b", "0.123", "0.1 to 0.2", ""],
        ["this one", "c", "0.123 eV", "", ""],
        ["x", "a", "0.123 eV", "", ""],
    ]
    assert honesty("", {}, salts("Na Cl"), None, {}, own).parts == []


def test_numbers_of_what_was_held_out(graphs):
    error = HeldOutError("mae", 0.5, 0.25, 0.75, 8, 1.5, "eV")
    test = HeldOut(
        graphs[:0], np.zeros((0, 1)), [], [], [], {"gap": {"mae": 0.5, "r2": None}}, {"gap": error}
    )
    numbers = {"mae of gap": 0.5, "r2 of gap": None}
    assert test.what == "the test crystals"
    assert test.numbers() == {f"test {n}": v for n, v in numbers.items()} | error.to_numbers("gap")
    folds = replace(test, n_folds=4, errors={})
    assert folds.what == "the crystals of 4 folds"
    assert folds.numbers() == {f"cross-validated {n}": v for n, v in numbers.items()}


# Pages


def test_numbers_far_from_zero_keep_their_digits():
    """A total energy of -9999.6 eV was -1e+04 beside an error of 0.5."""
    text = page("T", [Section("S", parts=[Table(["a"], [[-9999.6], [-9999.9], [512.34567]])])])
    assert re.findall('<td class="number">(.*?)</td>', text) == ["-9999.6", "-9999.9", "512.3"]


def test_pictures_of_a_page():
    figure, axes = new_figure(2, (4.0, 2.5))
    assert len(axes) == 2
    assert axes[0].get_position().x1 < axes[1].get_position().x0
    assert tuple(figure.get_size_inches()) == (4.0, 2.5)
    assert figure.get_layout_engine() is not None
    text = page("T", [Section("S", ["one", "two"], [Figure(figure, "a < b")])])
    (png,) = re.findall(r'src="data:image/png;base64,(.*?)"', text)
    assert Image.open(io.BytesIO(base64.b64decode(png))).size == (520, 325)
    assert 'alt="a &lt; b" width="384"' in text
    assert "<li>one</li>" in text
    assert "<p>one</p>" in page("T", [Section("S", ["one"])])
    cells = page("T", [Section("S", parts=[Table(["a", ""], [[1, 0.123456], ["x", 2]])])])
    assert '<td class="number">1</td><td class="number">0.1235</td>' in cells
    assert '<td>x</td><td class="number">2</td>' in cells


def test_a_table_without_rows_has_no_pictures(tmp_path):
    pytest.importorskip("ase")
    assert with_pictures("Worst", ["a"], [], []) == Table(["a"], [], "Worst")
    assert with_pictures("Worst", ["a"], [["x"]], []) == Table(["a"], [["x"]], "Worst")
    gone = with_pictures("Worst", ["a"], [["x"]], [tmp_path / "gone.cif"])
    assert gone == Table(["a", "picture"], [["x", ""]], "Worst")
    crystal = Structure(Lattice.cubic(4), ["Na"], [[0] * 3])
    ((_, figure),) = with_pictures("Worst", ["a"], [["x"]], [crystal]).rows
    assert tuple(figure.get_size_inches()) == (1.6, 1.6)


@pytest.mark.parametrize(("names", "rotation"), [(["a" * 12, "b"], 0), (["a" * 12, "b", "c"], 60)])
def test_names_of_classes_that_have_no_room_stand_upright(names, rotation):
    _, (ax,) = new_figure(1, (4, 3))
    name_classes(ax, names)
    assert ax.get_xticks().tolist() == list(range(len(names)))
    for label, name in zip(ax.get_xticklabels(), names, strict=True):
        assert (label.get_text(), label.get_rotation()) == (name, rotation)
        assert label.get_ha() == ("right" if rotation else "center")
        assert label.get_rotation_mode() == ("anchor" if rotation else "default")
        assert label.get_fontsize() < 10
    name_classes(ax, ["a name of two lines"])
    assert ax.get_xticklabels()[0].get_text() == "a name of two\nlines"
    name_classes(ax, [])
    assert len(ax.get_xticks()) == 0


def test_a_narrow_figure_has_few_numbers():
    _, (ax,) = new_figure(1, (4, 3))
    ax.set_xlim(0, 8)
    few_ticks(ax)
    assert ax.get_xticks().tolist() == [0, 2, 4, 6, 8]
    ax.set_xlim(0, 9)
    assert ax.get_xticks().tolist() == [0, 2.5, 5, 7.5, 10]


@pytest.mark.parametrize(("n_parts", "n_bins"), [(1, 30), (2, 25)])
def test_numbers_in_each_part(n_parts, n_bins):
    rng = np.random.default_rng(0)
    parts = {f"part {i}": rng.normal(size=50).astype(object) for i in range(n_parts)}
    _, (ax,) = new_figure(1, (4, 3))
    draw_values["numbers"](ax, Number("gap"), parts)
    edges = np.histogram_bin_edges(np.concatenate(list(parts.values())).astype(float), n_bins)
    if n_parts == 1:
        assert [bar.get_x() for bar in ax.patches] == pytest.approx(edges[:-1])
        assert {to_hex(bar.get_facecolor()) for bar in ax.patches} == {to_hex(BLUE)}
    else:
        assert [to_hex(each.get_edgecolor()) for each in ax.patches] == [
            to_hex(BLUE), to_hex(ORANGE)
        ]  # fmt: skip
        assert not any(each.get_fill() for each in ax.patches)
    assert list(ax.get_legend_handles_labels()[1]) == list(parts)


def test_crystals_with_each_element():
    found = element_table([["O", "O", "La/Ce"], ["O"], []])
    (image,) = (image for ax in found.figure.axes for image in ax.images)
    assert sorted(image.get_array().compressed()[np.isfinite(image.get_array().compressed())]) == [
        1, 1, 2
    ]  # fmt: skip
    assert tuple(found.figure.get_size_inches()) == (8.0, 4.0)
    bar = found.figure.axes[-1]
    assert bar.get_ylabel() == "crystals with the element"
    assert found.caption == "How many crystals have each element."


# Predictions


def test_ten_crystals_are_told_of_which_the_model_is_least_sure(fitted_regressor, graphs, shown):
    std = np.full(24, 0.5)
    std[[3, 20]] = 0.9, np.nan
    predictions = [Prediction(Number("gap"), np.linspace(0, 1, 24), std=std)]
    ids = [f"c{i}" for i in range(24)]
    run = PredictionResult("m", fitted_regressor, graphs, ids, [], predictions)
    found = sections(prediction_report(run))["Target: gap"]
    ((title, _, rows),) = found.tables
    assert title == "Least certain"
    # Of those that are equally sure the first.
    assert [row[0] for row in rows] == ["c3", "c0", "c1", "c2", *(f"c{i}" for i in range(4, 10))]
    few = replace(run, predictions=[replace(predictions[0], std=np.where(std > 0.6, std, np.nan))])
    ((_, _, rows),) = sections(prediction_report(few))["Target: gap"].tables
    assert [row[0] for row in rows] == ["c3"]


def test_twenty_crystals_at_most_are_told_that_are_far(fitted_regressor, graphs):
    near = nearest_training_crystals(fitted_regressor, graphs, graphs[:2], k=1)
    far = np.resize(np.flatnonzero(near.is_outside), 21)
    run = PredictionResult(
        "m", fitted_regressor, graphs[far], [f"c{i}" for i in range(21)], [], [],
        training=graphs[:2], training_ids=["a", "b"],
    )  # fmt: skip
    found = sections(prediction_report(run))["Unlike the training crystals"]
    assert found.lines[-1].startswith("21 of 21 crystals are farther")
    assert len(found.tables[-1][2]) == 20


# Searches


def test_the_trial_of_the_usual_parameters():
    usual, other = Trial(1, {}, (0.5,), "complete"), Trial(0, {"lr": 1}, (0.1,), "complete")
    given_up, failed = Trial(2, {}, (0.9,), "given up"), Trial(3, {}, (), "failed", TIME_UP)
    assert usual_trial([other, given_up, usual]) is usual
    assert usual_trial([other, given_up, failed]) is None
    assert np.isnan(failed.mean)
    assert Trial(0, {}, (0.5, 0.7), "complete").mean == pytest.approx(0.6)
    result = TuneResult("s", [other, given_up, usual], other, "", "", {}, {})
    assert result.usual_trial is usual
    assert "80% lower than with the usual parameters (0.100 instead of 0.500" in result.text
    late = replace(result, trials=[other, failed], chosen=None)
    assert "2 trials: the time was too short to try the usual parameters in all folds" in late.text
    broken = replace(late, trials=[failed, Trial(4, {"lr": 2}, (), "failed", "of lr"), other])
    assert "the time was too short" in broken.text
    broken = replace(late, trials=[failed, Trial(4, {}, (), "failed", "no room"), other])
    assert "usual parameters, which failed (no room); they were taken" in broken.text


def test_a_search_whose_trials_all_failed(shown):
    trials = [Trial(i, {"lr": i}, (), "failed", "x") for i in range(2)]
    found = sections(tune_report(TuneResult("s", trials, None, "", "", {}, {})))
    assert found["What was tried"].lines == ["2 failed, or ended with the time."]
    assert found["What was tried"].captions == []
    assert shown == []
    ((_, _, rows),) = found["What was tried"].tables
    assert rows == [[f"{i}", "", "0", "failed: x", f"lr = {i}"] for i in range(2)]


# Checks


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_shown"), [(20, 20), (21, 20)])
def test_twenty_findings_of_a_kind_are_shown(graphs, n, n_shown):
    y = np.where(np.arange(24) < n, np.inf, 1.5)
    found = survey(graphs[:24], {f"y{i}": y for i in range(n)}, labels=False)
    told = sections(check_report("data", found))["Infinite target"]
    ((_, _, rows),) = told.tables
    assert len(rows) == n_shown
    assert told.lines == ([f"The first 20 of {n}."] if n > 20 else [])


@pytest.mark.parametrize("n", [6, 7])
def test_six_findings_with_pictures_are_shown(n):
    pytest.importorskip("ase")
    close = [
        Structure(Lattice.cubic(4 + i / 10), ["Na", "Cl"], [[0] * 3, [0.1, 0, 0]]) for i in range(n)
    ]
    text = check_report("data", survey(close, labels=False))
    told = sections(text)["Atoms too close"]
    ((_, _, rows),) = told.tables
    assert len(rows) == 6
    assert text.count('alt="crystal"') == 6
    assert told.lines == ([f"The first 6 of {n}."] if n > 6 else [])


def test_twelve_types_of_formula_at_most_are_drawn(shown):
    crystals = [
        Structure(
            Lattice.orthorhombic(3.0 * (n + 1), 4, 5),
            ["Na", *["Cl"] * n],
            [[i / (n + 1), 0, 0] for i in range(n + 1)],
        )
        for n in range(1, 14)
        for _ in range(n)
    ]
    graphs = CrystalGraphs.from_structures(crystals)
    told = sections(check_report("data", survey(graphs, labels=False)))["Coverage"]
    ax = next(figure.axes[1] for figure in shown if len(figure.axes) == 2)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [f"AB{n}" for n in range(2, 14)]
    assert [bar.get_width() for bar in ax.patches] == list(range(2, 14))
    assert {to_hex(bar.get_facecolor()) for bar in ax.patches} == {to_hex(BLUE)}
    assert ax.get_yticklabels()[0].get_fontsize() < 10
    (image,) = (image for figure in shown for each in figure.axes for image in each.images)
    counts = image.get_array().compressed()
    assert counts[np.isfinite(counts)].tolist() == [91, 91]  # sodium and chlorine
    share = 13 / 91
    assert told.lines == [f"{share:.0%} of the crystals have one type of formula, AB13, of 13."]


def test_only_the_findings_of_a_column_are_orange(graphs, shown):
    given = np.array([1.0, 2.0, 3.0, 4.0])
    found = survey(graphs[:4], {"gap": given}, ids=list("abcd"), labels=False)
    told = [
        ("unexpected label", "a", "a: gap is 1, where"),
        ("label in another unit", "b", "b: gap is 2, where"),
        ("unexpected label", "c", "c: energy is 3, where"),
        ("no target", "d", "d: gap is 4, where"),
    ]
    rows = pd.DataFrame(
        [(kind, [name], "warning", text) for kind, name, text in told],
        columns=["kind", "ids", "severity", "message"],
    )
    expected = {"gap": Expected(np.arange(4), np.full(4, 2.0), np.ones(4))}
    check_report("data", replace(found, findings=rows, expected=expected))
    usual, odd = shown[0].axes[1].collections
    # Where all that is expected is one number, others are shown up to a half from it.
    assert np.array(usual.get_offsets()).tolist() == [[2, 2.5], [2, 2.5]]
    assert np.array(odd.get_offsets()).tolist() == [[2, 1.5], [2, 2]]
    assert (usual.get_sizes().tolist(), odd.get_sizes().tolist()) == ([10], [24])
    assert usual.get_alpha() == 0.6
    assert len(usual.get_edgecolors()) == 0
    assert {to_hex(each) for each in odd.get_edgecolors()} == {to_hex("black")}
    (line,) = shown[0].axes[1].lines
    assert (line.get_color(), line.get_linewidth()) == ("0.6", 1)
    assert line.get_xydata().tolist() == [[2, 2], [2, 2]]
