"""All that the pages of predictions, searches and checks show, from results that are made up."""

from dataclasses import replace

import numpy as np
import pytest
from html_pages import collect_figures, sections
from matplotlib.colors import to_hex
from pymatgen.core import Structure

from skcgcnn import CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.inspection import nearest_training_crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.plotting import BLUE, ORANGE
from skcgcnn.quality import survey
from skcgcnn.reports import (
    PredictionResult,
    Trial,
    TuneResult,
    check_report,
    prediction_report,
    tune_report,
)
from skcgcnn.tasks import Classes, Number, Prediction

NUMBER = Number("energy", "eV/atom")
PHASE = Classes("phase", classes=np.array(["gap", "metal"]))


@pytest.fixture
def shown(monkeypatch):
    return collect_figures(monkeypatch)


@pytest.fixture(scope="module")
def learned(graphs, energies):
    """Return an estimator of eight crystals: many others have new elements, or are far."""
    from conftest import TINY

    return CGCNNRegressor(**TINY).fit(graphs[:8], energies[:8])


def predictions_of(est, graphs, predictions, **more):
    ids = [f"c{i}" for i in range(len(graphs))]
    return PredictionResult("m.safetensors", est, graphs, ids, [], predictions, **more)


def test_a_page_of_predictions(learned, graphs, cifs, shown):
    values, std = np.linspace(-1, 1, 24), np.linspace(0.1, 1, 24)
    values[3], std[[3, 7]] = np.nan, np.nan
    proba = np.linspace(0.05, 0.9, 24)
    proba = np.column_stack([1 - proba, proba])
    labels = PHASE.classes[proba.argmax(axis=1)].astype(object)
    error = HeldOutError("mae", 0.5, 0.25, 0.75, 8, 1.5, "eV/atom")
    folds = replace(error, value=0.6, n_folds=5)
    run = predictions_of(
        learned,
        graphs,
        [Prediction(NUMBER, values, std=std), Prediction(PHASE, labels, proba)],
        numbers=error.to_numbers("energy") | folds.to_numbers("energy"),
    )
    page = prediction_report(run)
    found = sections(page)
    assert "<h1>Predictions by m.safetensors</h1>" in page
    assert list(found) == [
        *("Predictions", "How far off the model was in its test", "Unlike the training crystals"),
        *("Target: energy", "Target: phase", "Data"),
    ]
    assert found["Predictions"].lines == ["24 crystals."]
    ((_, head, rows),) = found["Predictions"].tables
    assert head == ["target", "", "value"]
    assert rows[-2:] == [
        ["phase", "gap (count)", str((labels == "gap").sum())],
        ["phase", "metal (count)", str((labels == "metal").sum())],
    ]
    assert found["How far off the model was in its test"].lines == [
        f"energy: {error}.",
        f"energy: {folds}.",
        "Crystals unlike those are predicted less well.",
    ]
    formulas = [Structure.from_file(path).composition.reduced_formula for path in cifs]
    formulas = [each.replace("La", "(La/Ce)") for each in formulas]
    order = [row for row in range(23, -1, -1) if row not in (3, 7)][:10]
    deviation = "standard deviation (eV/atom), not calibrated"
    assert found["Target: energy"].tables == [
        (
            "Least certain",
            ["crystal", "formula", "predicted energy (eV/atom)", deviation],
            [[f"c{i}", formulas[i], f"{values[i]:.4g}", f"{std[i]:.4g}"] for i in order],
        )
    ]
    unsure = 1 - proba.max(axis=1)
    order = np.argsort(-unsure, kind="stable")[:10]
    ((_, head, rows),) = found["Target: phase"].tables
    assert head == ["crystal", "formula", "predicted phase", "uncertainty (1 - p_max)"]
    assert rows == [[f"c{i}", formulas[i], labels[i], f"{unsure[i]:.4g}"] for i in order]
    for title in ("Target: energy", "Target: phase"):
        assert found[title].captions == [
            "How the predictions are distributed, and how sure they are."
        ]
    numbers, classes, sizes, _ = shown
    assert [tuple(each.get_size_inches()) for each in (numbers, classes, sizes)] == [
        (9.5, 3.2), (9.5, 3.2), (5.0, 3.0)
    ]  # fmt: skip
    one, other = numbers.axes
    assert sum(patch.get_height() for patch in one.patches) == 23
    assert len(one.patches) == 30
    assert sum(patch.get_height() for patch in other.patches) == 22
    assert len(other.patches) == 30
    assert {to_hex(patch.get_facecolor()) for patch in other.patches} == {to_hex(ORANGE)}
    assert (one.get_xlabel(), one.get_ylabel()) == ("predicted energy (eV/atom)", "crystals")
    assert (other.get_xlabel(), other.get_ylabel()) == (deviation, "crystals")
    assert [patch.get_height() for patch in classes.axes[0].patches] == [
        (labels == "gap").sum(), (labels == "metal").sum()
    ]  # fmt: skip
    assert sum(patch.get_height() for patch in sizes.axes[0].patches) == 24
    assert found["Data"].captions == [
        "Sizes of the crystals.", "How many crystals have each element."
    ]  # fmt: skip


def test_a_single_network_says_how_to_get_deviations(learned, graphs, shown):
    run = predictions_of(learned, graphs, [Prediction(NUMBER, np.linspace(0, 1, 24))])
    found = sections(prediction_report(run))
    assert found["Target: energy"].lines == [
        (
            "A single network gives no standard deviations of numbers: train with --n-estimators 5 "
            "or --loss gaussian_nll."
        )
    ]
    assert found["Target: energy"].captions == ["How the predictions are distributed."]
    assert tuple(shown[0].get_size_inches()) == (5.0, 3.2)
    assert len(shown[0].axes) == 1
    assert found["How far off the model was in its test"].lines == [
        "The model file does not tell it."
    ]


def test_elements_that_the_model_does_not_know(learned, graphs, cifs):
    run = predictions_of(learned, graphs, [])
    text, hint = sections(prediction_report(run))["Unlike the training crystals"].lines
    assert text == "These crystals have elements that no training crystal had."
    assert hint == (
        "With --training-data, crystals that are far from all training crystals are named here."
    )
    of_crystals = [{e.symbol for e in Structure.from_file(path).composition} for path in cifs]
    old = set.union(*of_crystals[:8])
    rows = [
        [f"c{i}", ", ".join(sorted(each - old)).replace("La", "La/Ce")]
        for i, each in enumerate(of_crystals)
        if each - old
    ]
    ((_, head, told),) = sections(prediction_report(run))["Unlike the training crystals"].tables
    assert head == ["crystal", "new elements"]
    assert told == rows[:20]
    few = predictions_of(learned, graphs[:8], [])
    found = sections(prediction_report(few))["Unlike the training crystals"]
    assert found.lines[0] == "All elements were in the training crystals."
    assert found.tables == []
    # At most twenty are named.
    many = predictions_of(learned, graphs[np.full(30, int(rows[0][0][1:]))], [])
    ((_, _, told),) = sections(prediction_report(many))["Unlike the training crystals"].tables
    assert len(told) == 20


@pytest.mark.parametrize("n", [0, 1, 2, 24])
def test_crystals_that_are_far_from_the_training_crystals(learned, graphs, n):
    names = [f"known {i}" for i in range(8)]
    near = nearest_training_crystals(learned, graphs, graphs[:8], k=1)
    far = np.flatnonzero(near.is_outside)
    assert len(far) > 3
    far = far[np.argsort(-near.distances[far, 0], kind="stable")]
    chosen = np.sort(np.concatenate([np.arange(8), far[:n]]))
    run = predictions_of(learned, graphs[chosen], [], training=graphs[:8], training_ids=names)
    found = sections(prediction_report(run))["Unlike the training crystals"]
    count = min(n, len(far))
    assert found.lines[-1] == (
        f"{count or 'None'} of {len(chosen)} crystals {'is' if count < 2 else 'are'} farther from "
        "the nearest training crystal than 99 % of those are from theirs"
        + (": predictions for them are extrapolations." if count else ".")
    )
    tables = [table for table in found.tables if "new elements" not in table[1]]
    assert len(tables) == bool(count)
    if count:
        ((_, head, rows),) = tables
        assert head == [
            *("crystal", "distance as a multiple of the limit", "nearest training crystal"),
        ]
        expected = [
            [
                f"c{chosen.tolist().index(row)}",
                f"{near.distances[row, 0] / near.limit:.4g}",
                names[near.indices[row, 0]],
            ]
            for row in far[:count][:20]
        ]
        assert rows == expected
    lone = replace(run, training=graphs[:1], training_ids=names[:1])
    assert sections(prediction_report(lone))["Unlike the training crystals"].lines[-1] == (
        "There are too few training crystals to tell which others are far from them."
    )


@pytest.mark.filterwarnings("ignore:.*cannot be turned into graphs")
@pytest.mark.parametrize("n", [1, 2])
def test_crystals_that_could_not_be_read_are_counted(learned, cifs, tmp_path, n):
    transformer = CrystalGraphTransformer(on_error="nan")
    graphs = transformer.transform([*cifs[:3], *([tmp_path / "none.cif"] * n)])
    run = predictions_of(learned, graphs, [Prediction(NUMBER, np.append(np.ones(3), [np.nan] * n))])
    have = "has" if n == 1 else "have"
    assert sections(prediction_report(run))["Predictions"].lines == [
        f"3 crystals. {n} more could not be read, and {have} no prediction."
    ]


TRIALS = [
    Trial(0, {}, (0.8, 0.6), "complete"),
    Trial(1, {"lr": 0.01, "init_from": "none"}, (0.9,), "given up"),
    Trial(2, {"lr": 0.001}, (0.5, 0.5), "complete"),
    Trial(3, {"lr": 0.1}, (), "failed", "it diverged"),
    Trial(4, {"init_from": "a $"}, (0.65, 0.65), "complete"),
]
USUAL = {"energy": HeldOutError("mae", 0.5, 0.25, 0.75, 8, 1.5, "eV")}
TESTED = {"energy": HeldOutError("mae", 0.4, 0.2, 0.6, 8, 1.5, "eV")}


def test_a_page_of_a_search(shown):
    result = TuneResult("s", TRIALS, TRIALS[2], "train x", "fit(x)", TESTED, USUAL)
    page = tune_report(result)
    found = sections(page)
    assert "<h1>Search of parameters: s</h1>" in page
    assert list(found) == ["Summary", "To train so again", "Test crystals", "What was tried"]
    first, second = found["Summary"].lines
    assert first == (
        "5 trials: the error of the cross-validation is 29% lower than with the usual parameters "
        "(0.500 instead of 0.700 of the error of the simplest prediction). It is the best of many, "
        "and so it looks better than it is: the test crystals tell what was gained."
    )
    assert second == "Changed: lr = 0.001"
    again = found["To train so again"]
    assert again.lines == ["On the command line and in Python:"]
    assert again.tables == [("", [], [["command", "train x"], ["Python", "fit(x)"]])]
    assert found["Test crystals"].lines == ["The search did not look at them."]
    assert found["Test crystals"].tables == [
        (
            "",
            ["target", "parameters", "error"],
            [
                ["energy", "usual", str(USUAL["energy"])],
                ["energy", "chosen", str(TESTED["energy"])],
            ],
        )
    ]
    tried = found["What was tried"]
    assert tried.lines == [
        (
            "3 in all folds; 1 given up early, since half of the others were better; 1 failed, or "
            "ended with the time."
        )
    ]
    assert tried.captions == [
        (
            "The error of each trial, complete (blue) or given up (gray), and the lowest so far. "
            "Errors of few folds are less certain."
        ),
        "The error by init_from; trials without a value have the usual one.",
        "The error by lr; trials without a value have the usual one.",
    ]
    assert tried.tables == [
        (
            "Trials",
            ["trial", "error", "folds", "outcome", "parameters"],
            [
                ["2", "0.5", "2", "complete", "lr = 0.001"],
                ["4", "0.65", "2", "complete", "init_from = a $"],
                ["0", "0.7", "2", "complete", "as usual"],
                ["1", "0.9", "1", "given up", "lr = 0.01, init_from = none"],
                ["3", "", "0", "failed: it diverged", "lr = 0.1"],
            ],
        )
    ]
    by_number, by_start, by_rate = shown
    assert [tuple(each.get_size_inches()) for each in shown] == [(7.0, 3.2), (5.0, 3.0), (5.0, 3.0)]
    (step,) = by_number.axes[0].lines
    assert step.get_xydata().tolist() == [[0, 0.7], [2, 0.5], [4, 0.5]]
    colors = [to_hex(each.get_facecolor()[0]) for each in by_number.axes[0].collections]
    assert colors == [to_hex("0.7"), to_hex(BLUE)]
    assert to_hex(step.get_color()) == to_hex(ORANGE)
    assert step.get_drawstyle() == "steps-post"
    (points,) = by_start.axes[0].collections
    assert np.array(points.get_offsets()).tolist() == [[1, 0.9], [0, 0.65]]
    assert [to_hex(each) for each in points.get_facecolor()] == [to_hex("0.7"), to_hex(BLUE)]
    labels = [text.get_text() for text in by_start.axes[0].get_xticklabels()]
    assert labels == [r"a \$", "none"]
    assert by_rate.axes[0].get_xscale() == "log"


@pytest.mark.parametrize(
    ("values", "scale"), [((1.0, 5.0), "linear"), ((1.0, 5.1), "log"), ((0.0, 5.0), "linear")]
)
def test_values_far_apart_are_on_a_logarithmic_scale(values, scale, shown):
    trials = [Trial(i, {"dropout": v}, (0.5,), "complete") for i, v in enumerate(values)]
    tune_report(TuneResult("s", trials, None, "", "", {}, {}))
    assert shown[-1].axes[0].get_xscale() == scale


def test_a_search_that_took_the_usual_parameters_or_compared_nothing(shown):
    usual = TuneResult("s", TRIALS[:2], TRIALS[0], "", "", TESTED, USUAL)
    found = sections(tune_report(usual))
    assert found["Summary"].lines == [
        "2 trials: none was better than the usual parameters by more than chance; they were taken."
    ]
    ((_, _, rows),) = found["Test crystals"].tables
    assert rows == [["energy", "usual", str(USUAL["energy"])]]
    late = TuneResult("s", [Trial(0, {}, (), "failed", "the time was up")], None, "", "", {}, {})
    found = sections(tune_report(late))
    assert found["Summary"].lines == [
        (
            "1 trial: the time was too short to try the usual parameters in all folds, so that "
            "nothing could be compared; they were taken."
        )
    ]
    assert found["Test crystals"].lines == ["There are none."]
    assert found["What was tried"].captions == []
    failed = replace(late, trials=[Trial(0, {}, (), "failed", "it diverged")])
    assert "which failed (it diverged); they were taken" in failed.text


def test_thirty_trials_at_most_are_listed():
    trials = [Trial(i, {}, (1.0 - i / 100,), "complete") for i in range(31)]
    for n, title in ((30, "Trials"), (31, "The best 30 of 31 trials")):
        found = sections(tune_report(TuneResult("s", trials[:n], None, "", "", {}, {})))
        ((told, _, rows),) = found["What was tried"].tables
        assert told == title
        assert [row[0] for row in rows] == [str(i) for i in range(n - 1, n - 31, -1)]


def test_a_page_of_a_check(graphs, shown):
    energy = np.linspace(-1, 1, 24)
    energy[[2, 5]] = np.nan, np.inf
    kind = np.array(["a"] * 12 + ["b"] * 11 + [None], dtype=object)
    columns = {"energy": energy, "kind": kind, "nothing": np.full(24, np.nan)}
    found = survey(graphs, columns, ids=[f"c{i}" for i in range(24)], labels=False)
    page = check_report("data", found)
    told = sections(page)
    assert "<h1>Check of data</h1>" in page
    assert list(told)[-4:] == ["Column: energy", "Column: kind", "Column: nothing", "Coverage"]
    summary = told["Summary"]
    assert summary.lines[:2] == ["24 crystals, 24 different.", "See the findings below."]
    ((_, head, rows),) = summary.tables
    assert head == ["severity", "what", "findings"]
    assert [row for row in rows if row[1] in ("infinite target", "no target")] == [
        ["error", "infinite target", "1"], ["remark", "no target", "3"]
    ]  # fmt: skip
    assert told["Infinite target"].tables == [("", [], [["energy is infinite for c5."]])]
    assert told["No target"].lines == []
    assert told["Column: nothing"].lines == ["It is empty."]
    assert told["Column: energy"].captions == ["How the values are distributed."]
    numbers, classes, coverage, _ = shown
    assert [tuple(each.get_size_inches()) for each in (numbers, classes, coverage)] == [
        (5.0, 3.2), (5.0, 3.2), (9.5, 3.4)
    ]  # fmt: skip
    (ax,) = numbers.axes
    assert (len(ax.patches), sum(patch.get_height() for patch in ax.patches)) == (40, 22)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("energy", "crystals", "log")
    (ax,) = classes.axes
    assert [patch.get_height() for patch in ax.patches] == [12, 11]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("kind", "crystals")
    sizes, families = coverage.axes
    assert sum(patch.get_height() for patch in sizes.patches) == 24
    widths = [patch.get_width() for patch in families.patches]
    assert widths == sorted(widths)
    assert len(widths) <= 12
    assert (families.get_xlabel(), families.get_ylabel()) == ("crystals", "formula type")
    names = [text.get_text() for text in families.get_yticklabels()]
    assert (
        told["Coverage"]
        .lines[0]
        .startswith(
            f"{widths[-1] / 24:.0%} of the crystals have one type of formula, {names[-1]}, of "
        )
    )
    sound = survey(graphs[:3], {}, labels=False)
    assert sections(check_report("data", sound))["Summary"].lines[1] == "Nothing looks wrong."
    none = survey(CrystalGraphTransformer(on_error="nan").transform([None]), {}, labels=False)
    assert sections(check_report("data", none))["Coverage"].lines == ["No crystal could be read."]


def test_twenty_classes_at_most_are_drawn(graphs, shown):
    many = graphs[np.arange(63) % 24]
    kind = np.array([f"k{min(i // 3, 20):02d}" for i in range(63)], dtype=object)
    check_report("data", survey(many, {"kind": kind}, labels=False))
    assert len(shown[0].axes[0].patches) == 20
