"""All that the page of a training run shows, from results that are made up."""

from dataclasses import replace

import numpy as np
import pytest
from html_pages import collect_figures, sections
from matplotlib.colors import to_hex
from pymatgen.core import Structure

from skcgcnn import CGCNNRegressor
from skcgcnn.inspection import nearest_training_crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.plotting import BLUE, ORANGE
from skcgcnn.quality import PowerLaw
from skcgcnn.reports import HeldOut, RunResult, training_report
from skcgcnn.reports._honesty import honesty
from skcgcnn.tasks import Classes, Number, Prediction

PARTS = {"train": slice(0, 12), "val": slice(12, 16), "test": slice(16, 24)}
NUMBER = Number("energy_of_formation_per_atom_at_one", "eV/atom", n_calibrated=4)
PHASE = Classes("phase", classes=np.array(["gap", "metal"]))
ERROR = HeldOutError("mae", 0.5, 0.25, 0.75, 8, 1.5, "eV/atom")
ENERGY = NUMBER.name


@pytest.fixture
def shown(monkeypatch):
    return collect_figures(monkeypatch)


@pytest.fixture
def formulas(cifs):
    found = [Structure.from_file(path).composition.reduced_formula for path in cifs]
    # To the network, lanthanum and cerium are one.
    return [each.replace("La", "(La/Ce)") for each in found]


@pytest.fixture
def made_up(fitted_regressor, graphs):
    """Return a function that makes the result of a run with predictions of 8 test crystals."""

    def make(columns, predictions, **more):
        table = np.array(columns, dtype=object).T
        names = [each.target.name for each in predictions]
        test = HeldOut(
            graphs=graphs[16:],
            y=table[16:],
            ids=[f"c{i}" for i in range(16, 24)],
            paths=[],
            predictions=predictions,
            metrics={name: {"mae": 0.5, "r2": None} for name in names},
            errors={ENERGY: ERROR} if ENERGY in names else {},
        )
        options = {
            "name": "run <1>",
            "settings": {"--epochs": "2", "--lr": "auto (0.01)"},
            "est": fitted_regressor,
            "graphs": {part: graphs[rows] for part, rows in PARTS.items()},
            "y": {part: table[rows] for part, rows in PARTS.items()},
            "test": test,
            "folds": None,
            "n_unreadable": 0,
            "losses": {"training": [1.0, 0.5, 0.4], "validation": [1.0, 0.6, 0.7]},
            "best_epoch": 2,
        }
        return RunResult(**options | more)

    return make


TRUE = np.linspace(0, 2.3, 24)
SAID = TRUE[16:] + np.array([0.1, -0.4, 0.2, 0.0, 0.3, -0.1, 0.5, np.nan])
STD = np.array([0.1, 0.2, np.nan, 0.1, 0.2, 0.1, 0.2, 0.1])


def bars(ax):
    return [(patch.get_x(), patch.get_width(), patch.get_height()) for patch in ax.patches]


def test_a_run_with_numbers_and_their_deviations(made_up, shown, graphs, formulas):
    y = TRUE.copy()
    y[[2, 18]] = np.nan
    run = made_up([y], [Prediction(NUMBER, SAID, std=STD)], n_unreadable=3, start="MAE 1 to 2")
    found = sections(training_report(run))
    assert list(found) == [
        "Test results",
        "What the test error means",
        "What to try next",
        "Data",
        "Learning curve",
        f"Target: {ENERGY}",
        "Settings",
    ]
    results = found["Test results"]
    assert results.lines == [
        "Crystals: 12 trained on, 4 validated, 8 tested. The best epoch was 2 of 3.",
        f"{ENERGY}: {ERROR}.",
        "Fine-tuning, MAE 1 to 2.",
        "Left out: 3 crystals that could not be read.",
        f"{ENERGY}: no value for 2 crystals.",
    ]
    rows = [[ENERGY, "mae", "0.5"], [ENERGY, "r2", "undefined"]]
    assert results.tables == [("", ["target", "metric", "value"], rows)]
    settings = [["--epochs", "2"], ["--lr", "auto (0.01)"]]
    assert found["Settings"].tables == [("", ["option", "value"], settings)]
    assert found["Settings"].lines == ["Values chosen for auto are in brackets."]

    target = found[f"Target: {ENERGY}"]
    (caption,) = target.captions
    assert caption == (
        "Predicted against true values of the test crystals. Bars are standard deviations, "
        "calibrated on 4 crystals; beside it, how many errors lie within intervals that should "
        "hold so many."
    )
    assert found["Learning curve"].captions == [
        "Loss of the scaled targets; the validation loss is that of the averaged weights."
    ]
    assert found["Data"].captions == [
        "Sizes of the crystals, and targets by part of the split.",
        "How many crystals have each element.",
    ]
    order = [22, 17, 20, 16, 21]
    expected = []
    for i in order:
        true, said = TRUE[i], SAID[i - 16]
        numbers = [f"{number:.4g}" for number in (true, said, abs(said - true))]
        expected.append([f"c{i}", formulas[i], *numbers])
    head = ["crystal", "formula", "true", "predicted", "absolute error"]
    assert target.tables == [("Largest errors", head, expected)]


def test_figures_of_errors_and_losses(made_up, shown):
    training_report(made_up([TRUE], [Prediction(NUMBER, SAID, std=STD)]))
    _, _, losses, errors = shown
    parity, reliability = errors.axes
    assert tuple(errors.get_size_inches()) == (9.5, 4.4)
    assert parity.get_xlabel().replace("\n", " ") == f"{ENERGY}, true (eV/atom)"
    points = parity.collections[-1].get_offsets()
    np.testing.assert_allclose(points, np.column_stack([TRUE[16:], SAID])[:7])
    assert len(parity.collections) == 2
    levels, shares = reliability.lines[1].get_data()
    known = [0, 1, 3, 4, 5, 6]
    ratios = np.abs(SAID - TRUE[16:])[known] / STD[known]
    assert shares[levels > 0.94].tolist() == [np.mean(ratios <= 1.95996)]
    assert tuple(losses.get_size_inches()) == (5.5, 3.6)
    (ax,) = losses.axes
    curves = [line.get_ydata().tolist() for line in ax.lines[:2]]
    assert curves == [[1, 0.5, 0.4], [1, 0.6, 0.7]]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["training", "validation", "best epoch, 2"]


def test_figures_of_the_data(made_up, shown, graphs, cifs):
    y = TRUE.copy()
    y[[2, 18]] = np.nan
    training_report(made_up([y], [Prediction(NUMBER, SAID)]))
    data, elements, *_ = shown
    assert tuple(data.get_size_inches()) == (9.5, 3.0)
    sizes, histogram = data.axes
    assert sum(patch.get_height() for patch in sizes.patches) == 24
    assert histogram.get_xlabel() == "energy_of_formation_per_atom_at_\none (eV/atom)"
    assert histogram.get_ylabel() == "crystals"
    legend = [text.get_text() for text in histogram.get_legend().get_texts()]
    assert legend == ["trained on", "validated", "tested"]
    found = histogram.get_legend()
    assert (found.columnspacing, found.handlelength, found.get_frame_on()) == (0.8, 1, False)
    assert found.get_texts()[0].get_fontsize() < 10
    # The three of them side by side.
    data.canvas.draw()
    assert len({round(text.get_window_extent().y0) for text in found.get_texts()}) == 1
    edges = np.histogram_bin_edges(np.delete(TRUE, [2, 18]), 25)
    colors = (BLUE, ORANGE, "0.3")
    for patch, part, color in zip(histogram.patches, PARTS.values(), colors, strict=True):
        steps = patch.get_path().vertices
        np.testing.assert_allclose(np.unique(steps[:, 0]), edges)
        assert to_hex(patch.get_edgecolor()) == to_hex(color)
        counts = np.histogram(y[part][np.isfinite(y[part])], edges)[0]
        np.testing.assert_array_equal(steps[1:-1:2, 1], counts)
    assert histogram.get_ylim()[1] == pytest.approx(1.35 * 1.05)  # room for the legend
    assert len(histogram.get_xticks()) <= 7
    # How many crystals have each element; cerium stands beside lanthanum.
    (image,) = elements.axes[0].images
    counts = image.get_array().compressed()
    names = [{e.symbol for e in Structure.from_file(path).composition} for path in cifs]
    n_pairs = sum(len(each) + ("La" in each or "Ce" in each) for each in names)
    assert counts[np.isfinite(counts)].sum() == n_pairs


def test_a_run_without_deviations(made_up, shown):
    page = training_report(made_up([TRUE], [Prediction(NUMBER, SAID)]))
    target = sections(page)[f"Target: {ENERGY}"]
    assert target.captions == ["Predicted against true values of the test crystals."]
    errors = shown[-1]
    assert tuple(errors.get_size_inches()) == (5.0, 4.4)
    assert len(errors.axes) == 1


def test_a_target_without_errors_and_one_that_is_right(made_up):
    right = made_up([TRUE], [Prediction(NUMBER, TRUE[16:].copy())])
    target = sections(training_report(right))[f"Target: {ENERGY}"]
    assert (target.lines, target.tables) == (["All of 8 crystals are right."], [])
    nothing = made_up([TRUE], [Prediction(NUMBER, np.full(8, np.nan), std=STD)])
    target = sections(training_report(nothing))[f"Target: {ENERGY}"]
    assert (target.lines, target.tables, target.captions) == (
        ["All of 0 crystals are right."], [], []
    )  # fmt: skip


def test_ten_errors_at_most_are_shown_and_equal_ones_in_their_order(made_up, graphs):
    run, true = made_up([TRUE], [Prediction(NUMBER, SAID)]), np.arange(24.0)
    said = true + np.where(np.arange(24) % 2, 0.5, 1.0)
    test = replace(
        run.test,
        graphs=graphs,
        y=true.astype(object)[:, np.newaxis],
        ids=[f"c{i}" for i in range(24)],
        predictions=[Prediction(NUMBER, said)],
        n_folds=4,
    )
    found = sections(training_report(replace(run, folds=test)))
    ((_, _, rows),) = found[f"Target: {ENERGY}"].tables
    assert [row[0] for row in rows] == [f"c{i}" for i in range(0, 20, 2)]
    assert found[f"Target: {ENERGY}"].captions == [
        "Predicted against true values of the crystals of 4 folds."
    ]
    assert list(found)[1] == "Cross-validation"
    first, second = found["Cross-validation"].lines
    assert first == (
        "Every crystal is predicted by one of 4 more fits, which was not trained on it. The error "
        "of all crystals is surer than that of a small test part."
    )
    assert second == f"{ENERGY}: {ERROR}."


def labels(n_metals):
    return np.array(["gap"] * 16 + ["metal"] * n_metals + ["gap"] * (8 - n_metals), dtype=object)


def classes(proba):
    proba = np.column_stack([1 - np.array(proba), proba])
    values = PHASE.classes[np.nan_to_num(proba).argmax(axis=1)].astype(object)
    return Prediction(PHASE, values, proba)


def test_a_run_with_classes(made_up, shown, formulas):
    proba = [0.9, 0.2, 0.8, 0.1, 0.6, 0.3, 0.4, 0.2]
    y = labels(3)
    y[23] = None
    found = sections(training_report(made_up([y], [classes(proba)])))
    target = found["Target: phase"]
    assert target.captions == ["Confusion matrix and ROC curve of the test crystals."]
    # The least probable first: the second metal, and the gap that is said to be a metal.
    head = ["crystal", "formula", "true", "predicted", "probability of the true class"]
    rows = [
        ["c17", formulas[17], "metal", "gap", "0.2"],
        ["c20", formulas[20], "gap", "metal", "0.4"],
    ]
    assert target.tables == [("Largest errors", head, rows)]
    figure = shown[-1]
    assert tuple(figure.get_size_inches()) == (9.5, 3.4)
    matrix, roc = figure.axes
    cells = [int(text.get_text()) for text in matrix.texts]
    assert cells == [3, 1, 1, 2]
    assert [text.get_text() for text in matrix.get_xticklabels()] == ["gap", "metal"]
    assert [text.get_text() for text in matrix.get_yticklabels()] == ["gap", "metal"]
    assert (roc.get_xlabel(), roc.get_ylabel()) == ("false positive rate", "true positive rate")
    assert "AUC = 0.75" in roc.get_legend().get_texts()[0].get_text()
    assert to_hex(roc.lines[0].get_color()) == to_hex(BLUE)
    # Where classes stand side by side in each part.
    bars_of_parts = shown[0].axes[1]
    assert [bar.get_height() for bar in bars_of_parts.patches] == [12, 0, 4, 0, 4, 3]
    assert bars_of_parts.get_xlabel() == "phase"


@pytest.mark.parametrize(("n_tested", "is_calibrated"), [(29, False), (30, True)])
def test_a_calibration_curve_needs_thirty_crystals(made_up, shown, graphs, n_tested, is_calibrated):
    rng = np.random.default_rng(0)
    proba = rng.uniform(size=n_tested)
    y = np.where(rng.uniform(size=n_tested) < proba, "metal", "gap").astype(object)
    run = made_up([labels(3)], [classes([0.5] * 8)])
    test = replace(
        run.test,
        graphs=graphs[np.arange(n_tested) % 24],
        y=y[:, np.newaxis],
        ids=[f"c{i}" for i in range(n_tested)],
        predictions=[classes(proba)],
    )
    run = replace(run, test=test, graphs={**run.graphs, "test": test.graphs})
    target = sections(training_report(run))["Target: phase"]
    begin = "Confusion matrix and ROC curve of the test crystals"
    more = (
        ", and how often the second class is true where it is said to be so probable"
        if is_calibrated
        else ""
    )
    assert target.captions == [f"{begin}{more}."]
    (figure,) = (each for each in shown if each.axes[0].get_xlabel() == "Predicted label")
    assert len(figure.axes) == 2 + is_calibrated
    if is_calibrated:
        ax = figure.axes[2]
        assert ax.get_xlabel() == "predicted probability of metal"
        assert ax.get_ylabel() == "share of metal"
        assert ax.get_legend() is None
        places = np.minimum((5 * proba).astype(int), 4)
        shares = [(y[places == i] == "metal").mean() for i in range(5)]
        np.testing.assert_allclose(ax.lines[-1].get_ydata(), shares)


@pytest.mark.parametrize(("n_metals", "n_axes", "width"), [(3, 2, 9.5), (0, 1, 5.0), (8, 1, 5.0)])
def test_one_class_has_no_roc_curve(made_up, shown, n_metals, n_axes, width):
    training_report(made_up([labels(n_metals)], [classes([0.6] * 8)]))
    assert (len(shown[-1].axes), shown[-1].get_figwidth()) == (n_axes, width)


@pytest.mark.parametrize(("n_classes", "is_drawn"), [(20, True), (21, False)])
def test_a_matrix_of_many_classes_is_not_drawn(made_up, shown, n_classes, is_drawn):
    names = np.array([f"class {i:02d}" for i in range(n_classes)])
    proba = np.eye(n_classes)[:8]
    said = Prediction(Classes("kind", classes=names), names[:8].astype(object), proba)
    y = np.append(np.resize(names, 16), names[7::-1]).astype(object)
    found = sections(training_report(made_up([y], [said])))["Target: kind"]
    assert bool(found.captions) == is_drawn
    assert found.lines == []
    if is_drawn:
        assert found.captions == ["Confusion matrix of the test crystals."]
        (ax,) = shown[-1].axes
        assert [text.get_text() for text in ax.get_xticklabels()] == names.tolist()
        assert ax.get_xticklabels()[0].get_rotation() == 60


def test_a_run_without_test_crystals(made_up, graphs):
    run = made_up([TRUE], [])
    empty = replace(run.test, graphs=graphs[:0], y=run.test.y[:0], ids=[], metrics={}, errors={})
    run = replace(run, test=empty, graphs={**run.graphs, "test": graphs[:0]})
    found = sections(training_report(run))
    assert list(found) == [
        "Test results", "What to try next", "Data", "Learning curve", "Settings"
    ]  # fmt: skip
    assert found["Test results"].lines == [
        "Crystals: 12 trained on, 4 validated, 0 tested. The best epoch was 2 of 3."
    ]
    assert found["Test results"].tables == []


@pytest.mark.slow
def test_what_to_try_next_depends_on_the_start(
    made_up, fitted_regressor, graphs, energies, tmp_path
):
    fitted_regressor.save(tmp_path / "m.safetensors")
    params = fitted_regressor.get_params() | {"init_from": str(tmp_path / "m.safetensors")}
    second = CGCNNRegressor(**params).fit(graphs, energies)
    losses = {"training": [1.0, 0.01], "validation": [1.0, 0.06]}
    for est, has_start in ((fitted_regressor, False), (second, True)):
        run = made_up([TRUE], [Prediction(NUMBER, SAID)], losses=losses, est=est)
        (line,) = (
            line
            for line in sections(training_report(run))["What to try next"].lines
            if "by heart" in line
        )
        more = "" if has_start else "; a model to start from (--init-from) helps with few"
        assert line == (
            "The validation loss (0.06) is 6 times the training loss (0.01): the network knows its "
            f"training crystals by heart. More crystals help most{more}."
        )


def test_what_is_unlike_the_training_crystals(made_up, fitted_regressor, graphs):
    run = made_up([TRUE], [Prediction(NUMBER, SAID)], split="Groups stay together.")
    far = nearest_training_crystals(fitted_regressor, graphs[16:], graphs[:12], k=1).is_outside
    found = sections(training_report(run))
    errors = np.abs(SAID - TRUE[16:])
    first, second = found["What the test error means"].lines
    assert first == "Groups stay together."
    assert second == unlike(errors, far)
    share = f"{far.mean():.0%} of the test crystals lie outside"
    assert any(share in line for line in found["What to try next"].lines) == (far.mean() > 0.05)


@pytest.mark.parametrize(("n_train", "n_test", "is_told"), [(2, 8, True), (1, 8, False)])
def test_two_training_crystals_tell_what_is_unlike_them(made_up, graphs, n_train, n_test, is_told):
    run = made_up([TRUE], [Prediction(NUMBER, SAID)])
    run = replace(run, graphs={**run.graphs, "train": graphs[:n_train]})
    lines = sections(training_report(run))["What the test error means"].lines
    assert [line.startswith(f"{ENERGY}: ") for line in lines] == [True] * is_told


def unlike(errors, far):
    known = np.isfinite(errors)
    near, far = known & ~far, known & far
    if far.any() and near.any():
        n = f"{far.sum()} crystal{'s' if far.sum() > 1 else ''}"
        return (
            f"{ENERGY}: mean absolute error (eV/atom) {errors[far].mean():.3g} on {n} unlike the "
            f"training crystals, {errors[near].mean():.3g} on the {near.sum()} like them."
        )
    return f"{ENERGY}: no test crystal is unlike the training crystals."


@pytest.mark.parametrize("far", [[], [0], [1, 2], [7]])
def test_errors_on_crystals_unlike_the_others(graphs, far):
    errors = np.abs(SAID - TRUE[16:])
    is_outside = np.isin(np.arange(8), far)
    what = "mean absolute error (eV/atom)"
    found = honesty("", {ENERGY: (errors, what)}, graphs[16:], is_outside, {}, {})
    assert found.text == [unlike(errors, is_outside)]
    assert found.title == "What the test error means"
    nothing = honesty("", {ENERGY: (np.full(8, np.nan), what)}, graphs[16:], is_outside, {}, {})
    assert nothing.text == []
    assert honesty("", {ENERGY: (errors, what)}, graphs[16:], None, {}, {}).text == []


def test_how_many_more_crystals_would_help(made_up, shown):
    law = PowerLaw((10, 100), (2.0, 0.2), 20.0, 1.0, 0.9, 1.1)
    flat = PowerLaw((10, 100), (2.0, 2.0), 2.0, 0.0, -0.1, 0.1)
    curves = {ENERGY: law, "phase": flat}
    predictions = [Prediction(NUMBER, SAID), classes([0.5] * 8)]
    run = made_up([TRUE, labels(3)], predictions, curves=curves)
    found = sections(training_report(run))["How many more crystals would help"]
    assert found.lines == [f"{ENERGY}: {law}", f"phase: {flat}"]
    (caption,) = found.captions
    assert caption == (
        "The test error after training on fewer crystals, and the power law through it. The circle "
        "is 10 % less error."
    )
    figure = shown[-1]
    assert tuple(figure.get_size_inches()) == (9.6, 3.4)
    one, other = figure.axes
    line, points, circle = one.lines
    assert line.get_xdata()[[0, -1]] == pytest.approx([10, 400])
    np.testing.assert_allclose(line.get_ydata(), 20 / line.get_xdata())
    assert points.get_xydata().tolist() == [[10, 2.0], [100, 0.2]]
    np.testing.assert_allclose(circle.get_xydata(), [[100 / 0.9, 0.18]])
    assert len(other.lines) == 2
    assert [ax.get_xlabel() for ax in (one, other)] == ["training crystals"] * 2
    assert one.get_ylabel().replace("\n", " ") == "mean absolute error (eV/atom)"
    assert other.get_ylabel() == "share of wrong labels"
    assert [ax.get_xscale() + ax.get_yscale() for ax in (one, other)] == ["loglog"] * 2
    assert one.xaxis.get_major_formatter()(100.0, 0) == "100"
    assert one.xaxis.get_minor_formatter()(30.0, 0) == ""
