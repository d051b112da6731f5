"""What the figures of a report show."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from html_pages import collect_figures
from matplotlib.colors import to_hex
from pymatgen.core import Lattice, Structure

from skcgcnn.plotting import BLUE, ORANGE
from skcgcnn.quality import PowerLaw, survey
from skcgcnn.quality._residuals import Expected
from skcgcnn.reports import Trial, TuneResult, check_report, tune_report
from skcgcnn.reports._honesty import honesty, learning_section
from skcgcnn.reports._html import new_figure
from skcgcnn.reports._parts import draw_values
from skcgcnn.tasks import Classes


@pytest.fixture
def shown(monkeypatch):
    """Return the figures of the pages that are made, as they are written."""
    return collect_figures(monkeypatch)


def test_trials_by_number_and_by_value(shown):
    trials = [
        Trial(0, {}, (0.8, 0.6), "complete"),
        Trial(1, {"lr": 0.01}, (0.9,), "given up"),
        Trial(2, {"lr": 0.001}, (0.5, 0.5), "complete"),
        Trial(3, {"lr": 0.1}, (), "failed", "it diverged"),
    ]
    tune_report(TuneResult("a search", trials, trials[2], "", "", {}, {}))
    by_number, by_value = (figure.axes[0] for figure in shown)
    points = [np.array(each.get_offsets()).tolist() for each in by_number.collections]
    assert points == [[[1, 0.9]], [[0, 0.7], [2, 0.5]]]
    assert by_number.lines[0].get_xydata().tolist() == [[0, 0.7], [2, 0.5]]
    legend = [each.get_text() for each in by_number.get_legend().get_texts()]
    assert legend == ["given up", "complete", "lowest"]
    (points,) = by_value.collections
    assert np.array(points.get_offsets()).tolist() == [[0.01, 0.9], [0.001, 0.5]]
    assert [axes.get_xlabel() for axes in (by_number, by_value)] == ["trial", "lr"]
    for axes in (by_number, by_value):
        assert axes.get_ylabel() == "error / error of the simplest prediction"


def test_what_networks_expect_beside_what_is_given(graphs, shown):
    given = np.array([1.0, 2.0, 3.0, np.nan, 90.0])
    found = survey(graphs[:5], {"energy": given}, ids=list("abcde"), labels=False)
    alone = check_report("crystals", found)
    said = np.array([1.0, 2.5, 3.0, 2.0])
    known = Expected(np.array([0, 1, 2, 4]), said, np.ones(4))
    finding = {
        "kind": "unexpected label",
        "ids": ["e"],
        "message": "e: energy is 90",
        "severity": "",
    }
    findings = pd.concat([found.findings, pd.DataFrame([finding])])
    page = check_report("crystals", replace(found, expected={"energy": known}, findings=findings))
    assert "values that networks expect" in page
    assert "values that networks expect" not in alone
    narrow, figure = (each for each in shown if each.axes[0].get_xlabel() == "energy")
    assert figure.get_figwidth() > 1.5 * narrow.get_figwidth()
    _, beside = figure.axes
    assert (beside.get_xlabel(), beside.get_ylabel()) == ("expected energy", "given energy")
    usual, odd = beside.collections
    assert np.array(usual.get_offsets()).tolist() == [[1, 1], [2.5, 2], [3, 3]]
    assert np.array(odd.get_offsets()).tolist() == [[2, 4]]  # at the edge
    assert [to_hex(each.get_facecolor()) for each in (usual, odd)] == [to_hex(BLUE), to_hex(ORANGE)]


def test_the_most_frequent_types_of_crystal(nacl, shown):
    pytest.importorskip("ase")
    wider = nacl.copy()
    wider.scale_lattice(1.2 * nacl.volume)
    cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    lone = Structure(Lattice.cubic(3), ["Po"], [[0, 0, 0]])
    check_report("crystals", survey([nacl, wider, cscl, lone], {}, labels=False))
    bars = {
        axes.get_ylabel(): {
            text.get_text(): bar.get_width()
            for text, bar in zip(axes.get_yticklabels(), axes.patches, strict=False)
        }
        for axes in (axes for figure in shown for axes in figure.axes)
    }
    assert bars["formula type"] == {"A": 1, "AB": 3}
    assert bars["space group"] == {"221": 2, "225": 2}
    assert bars["formula type and space group"] == {"A 221": 1, "AB 221": 1, "AB 225": 2}


def test_classes_stand_side_by_side_in_each_part():
    _, (ax,) = new_figure(1, (4.0, 3.0))
    parts = {"training": np.array(["b", "a", "b"]), "test": np.array(["b"])}
    draw_values["classes"](ax, Classes("phase", classes=np.array(["a", "b"])), parts)
    bars = {each.get_label(): each for each in ax.containers}
    heights = {name: [bar.get_height() for bar in own] for name, own in bars.items()}
    assert heights == {"training": [1, 2], "test": [0, 1]}
    left, right = ([bar.get_x() for bar in own] for own in bars.values())
    np.testing.assert_allclose(np.subtract(right, left), bars["test"][0].get_width())
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    # The parts of a class stand around its name; one part alone has wider bars.
    np.testing.assert_allclose(np.mean([left, right], axis=0) + 0.27 / 2, [0, 1])
    _, (ax,) = new_figure(1, (4.0, 3.0))
    alone = {"": np.array(["b", "a", "b"])}
    draw_values["classes"](ax, Classes("phase", classes=np.array(["a", "b"])), alone)
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(-0.3, 0.6), (0.7, 0.6)]


def test_sizes_of_a_learning_curve_are_round_numbers():
    law = PowerLaw((10, 100), (2.0, 0.2), 20.0, 1.0, 0.9, 1.1)
    (figure,) = learning_section({"energy": law}, {"energy": "eV"}).parts
    (ax,) = figure.figure.axes
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    np.testing.assert_allclose(ticks, [10, 20, 50, 100, 200])


@pytest.mark.parametrize(
    ("is_outside", "said"),
    [
        ([True, True], "2.5 on 2 crystals unlike the training crystals, and none is like them."),
        ([True, False], "2 on 1 crystal unlike the training crystals, 3 on the 1 like them."),
        ([False, False], "no test crystal is unlike the training crystals."),
    ],
)
def test_errors_of_crystals_unlike_the_training_crystals(graphs, is_outside, said):
    errors = {"gap": (np.array([2.0, 3.0]), "error")}
    section = honesty("", errors, graphs[:2], np.array(is_outside), {}, {})
    assert any(line.endswith(said) for line in section.text)


def test_a_learning_curve_without_errors_is_drawn_without_a_warning(recwarn):
    none = PowerLaw((12, 25, 50), (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0)
    (figure,) = learning_section({"label": none}, {"label": "wrong labels"}).parts
    figure.figure.canvas.draw()
    assert not recwarn.list
