"""The report of a training run."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import crystals, for_figures, wrapped
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.inspection import element_names, nearest_training_crystals
from skcgcnn.plotting import (
    BLUE,
    crystal_sizes,
    interval_reliability,
    loss_curves,
    parity,
)
from skcgcnn.quality import PowerLaw
from skcgcnn.reports._advice import Facts, advice, flat_from
from skcgcnn.reports._held_out import HeldOut
from skcgcnn.reports._honesty import honesty, learning_section
from skcgcnn.reports._html import Figure, Section, Table, new_figure, page
from skcgcnn.reports._parts import (
    draw_values,
    element_table,
    formulas,
    known,
    name_classes,
    with_pictures,
)
from skcgcnn.tasks import Prediction, is_missing

_WORST = 10
# A confusion matrix of more classes cannot be read, and a calibration curve of fewer crystals is
# noise.
_MOST_CLASSES = 20
_CALIBRATION = 30
# Nearer looks take too long for more, and change little.
_MOST_TRAINING = 5_000


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a report of a training run tells of.

    Attributes
    ----------
    name : str
        Of the run.
    settings : mapping of str to str
        Its options and their values, as they are to be shown.
    est : BaseCGCNN
        The best epoch.
    graphs : dict of str to CrystalGraphs
        Of the parts "train", "val" and "test".
    y : dict of str to ndarray of shape (n_crystals, n_targets)
        Their targets.
    test : HeldOut
        The test crystals.
    folds : HeldOut or None
        All crystals in a cross-validation; None where there was none.
    n_unreadable : int
        Crystals that could not be read.
    losses : mapping of str to sequence of float
        Epoch by epoch: "training" and "validation".
    best_epoch : int
    start : str
        What the errors on the validation crystals were before and after a fine-tuning, where there
        was one.
    split : str
        By which rule the crystals were split, as a sentence.
    splits : mapping of str to mapping
        Errors on splits by other rules.
    curves : mapping of str to PowerLaw
        How the error of each target falls with more training crystals.
    """

    name: str
    settings: Mapping[str, str]
    est: BaseCGCNN
    graphs: Mapping[str, CrystalGraphs]
    y: Mapping[str, npt.NDArray[Any]]
    test: HeldOut
    folds: HeldOut | None
    n_unreadable: int
    losses: Mapping[str, Sequence[float]]
    best_epoch: int
    start: str = ""
    split: str = ""
    splits: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, PowerLaw] = field(default_factory=dict)

    @property
    def shown(self) -> HeldOut:
        """What the errors are looked at of: as many crystals as there are."""
        return self.test if self.folds is None else self.folds


def training_report(run: RunResult) -> str:
    """Return the report of a training run as HTML, complete in itself."""
    outside = _outside(run)
    sections = [
        _results(run),
        *([] if run.folds is None else [_cross_validation(run.folds)]),
        *_honesty(run, outside),
        _next(run, outside),
        _data(run),
        _learning(run),
        *(_target(run, index) for index in range(len(run.shown.predictions))),
        *_more_crystals(run),
        Section(
            "Settings",
            ["Values chosen for auto are in brackets."],
            [Table(["option", "value"], list(run.settings.items()))],
        ),
    ]
    return page(f"Training run: {run.name}", sections)


def _results(run: RunResult) -> Section:
    sizes = ", ".join(f"{len(run.graphs[part])} {word}" for part, word in _PARTS.items())
    best, total = run.best_epoch, len(run.losses["training"])
    of = f"of the first of {run.est.n_estimators} networks " if run.est.n_estimators > 1 else ""
    lines = [
        f"Crystals: {sizes}. The best epoch {of}was {best} of {total}.",
        *_errors(run.test),
        *([f"Fine-tuning, {run.start}."] if run.start else []),
        *_left_out(run),
    ]
    return Section("Test results", lines, _measures(run.test))


def _cross_validation(folds: HeldOut) -> Section:
    text = (
        f"Every crystal is predicted by one of {folds.n_folds} more fits, which was not trained on "
        "it. The error of all crystals is surer than that of a small test part."
    )
    return Section("Cross-validation", [text, *_errors(folds)], _measures(folds))


def _errors(held_out: HeldOut) -> Iterator[str]:
    yield from (f"{name}: {error}." for name, error in held_out.errors.items())


def _measures(held_out: HeldOut) -> list[Table | Figure]:
    rows = [
        [name, metric, "undefined" if value is None else float(value)]
        for name, found in held_out.metrics.items()
        for metric, value in found.items()
    ]
    return [Table(["target", "metric", "value"], rows)] if rows else []


def _left_out(run: RunResult) -> Iterator[str]:
    """Tell of what could not be read, and of targets that are missing."""
    if run.n_unreadable:
        yield f"Left out: {crystals(run.n_unreadable)} that could not be read."
    y = np.concatenate([run.y[part] for part in _PARTS])
    for index, prediction in enumerate(run.shown.predictions):
        if blank := int(is_missing(y[:, index]).sum()):
            yield f"{prediction.target.name}: no value for {crystals(blank)}."


_PARTS = {"train": "trained on", "val": "validated", "test": "tested"}


def _honesty(run: RunResult, outside: npt.NDArray[np.bool_] | None) -> Iterator[Section]:
    test = run.test
    if not test.predictions:
        return
    errors = {
        prediction.target.name: (
            prediction.target.misses(test.y[:, index], prediction.values),
            _error_name(prediction),
        )
        for index, prediction in enumerate(test.predictions)
    }
    yield honesty(run.split, errors, test.graphs, outside, run.splits, test.errors)


def _error_name(prediction: Prediction) -> str:
    target = prediction.target
    return f"{target.miss_name} ({target.unit})" if target.unit else target.miss_name


def _more_crystals(run: RunResult) -> Iterator[Section]:
    if run.curves:
        names = {p.target.name: wrapped(_error_name(p), 30) for p in run.test.predictions}
        yield learning_section(run.curves, names)


def _next(run: RunResult, outside: npt.NDArray[np.bool_] | None) -> Section:
    found = advice(_facts(run, outside))
    return Section("What to try next", found or ["Nothing looks wrong."])


def _facts(run: RunResult, outside: npt.NDArray[np.bool_] | None) -> Facts:
    place = run.best_epoch - 1
    losses = {name: values[place] for name, values in run.losses.items() if len(values) > place}
    by_target: dict[str, dict[str, float]] = defaultdict(dict)
    shown = run.shown
    for index, prediction in enumerate(shown.predictions):
        target, metrics = prediction.target, shown.metrics[prediction.target.name]
        tested, trained = known(shown.y[:, index]), known(run.y["train"][:, index])
        for fact, value in target.facts(dict(metrics), tested, trained).items():
            by_target[fact][target.name] = value
    return Facts(
        n_train=len(run.graphs["train"]),
        n_val=len(run.graphs["val"]),
        n_test=len(shown.ids),
        train_loss=losses.get("training"),
        val_loss=losses.get("validation"),
        from_scratch=run.est.fitted_params_.get("init_from", run.est.init_from) is None
        and not run.est.module_.architecture["fixed_norm"],
        flat_from=flat_from(run.losses["training"], run.losses["validation"]),
        r2=by_target["r2"],
        accuracy=by_target["accuracy"],
        most_frequent=by_target["most_frequent"],
        rarest=by_target["rarest"],
        outside=None if outside is None else float(outside.mean()),
        n_folds=shown.n_folds,
    )


def _outside(run: RunResult) -> npt.NDArray[np.bool_] | None:
    """Tell which test crystals are unlike the training crystals, where that can be told."""
    train, test = run.graphs["train"], run.graphs["test"]
    if len(train) < 2 or not len(test):
        return None
    if len(train) > _MOST_TRAINING:
        train = train[np.random.default_rng(0).permutation(len(train))[:_MOST_TRAINING]]
    return nearest_training_crystals(run.est, test, train, k=1).is_outside


def _data(run: RunResult) -> Section:
    figure, axes = new_figure(1 + len(run.shown.predictions), (9.5, 3.0))
    crystal_sizes(np.concatenate([graphs.n_sites for graphs in run.graphs.values()]), ax=axes[0])
    for index, (ax, prediction) in enumerate(zip(axes[1:], run.shown.predictions, strict=True)):
        target = prediction.target
        values = {part: known(run.y[part][:, index]) for part in _PARTS}
        draw_values[target.figures](ax, target, {_PARTS[p]: found for p, found in values.items()})
        ax.set(xlabel=wrapped(target.title, 34), ylabel="crystals")
        ax.set_ylim(top=1.35 * ax.get_ylim()[1])  # room for the legend
        ax.legend(frameon=False, fontsize="small", ncols=3, columnspacing=0.8, handlelength=1)
    names_of = [each for graphs in run.graphs.values() for each in element_names(run.est, graphs)]
    return Section(
        "Data",
        parts=[
            Figure(figure, "Sizes of the crystals, and targets by part of the split."),
            element_table(names_of),
        ],
    )


def _learning(run: RunResult) -> Section:
    losses = {name: np.asarray(v, dtype=float) for name, v in run.losses.items() if len(v)}
    figure, (ax,) = new_figure(1, (5.5, 3.6))
    loss_curves(losses, best_epoch=run.best_epoch, ax=ax)
    text = "Loss of the scaled targets; the validation loss is that of the averaged weights."
    return Section("Learning curve", parts=[Figure(figure, text)])


def _target(run: RunResult, index: int) -> Section:
    shown = run.shown
    prediction, truth = shown.predictions[index], shown.y[:, index]
    parts = _FIGURES[prediction.target.figures](prediction, truth, shown.what)
    errors = prediction.target.error_sizes(truth, prediction)
    wrong = np.isfinite(errors) & (errors > 0)
    order = np.argsort(-np.nan_to_num(errors, nan=-np.inf), kind="stable")
    worst = [int(row) for row in order if wrong[row]][:_WORST]
    if not worst:
        right = [f"All of {crystals(int(np.isfinite(errors).sum()))} are right."]
        return Section(f"Target: {prediction.target.name}", right if len(truth) else [], parts)
    names = formulas(run.est, shown.graphs[np.array(worst)])
    rows = [
        [shown.ids[row], name, *_worst_values(prediction, row, truth[row], errors[row])]
        for row, name in zip(worst, names, strict=True)
    ]
    head = ["crystal", "formula", "true", "predicted", prediction.target.error_name]
    paths = [shown.paths[row] for row in worst if len(shown.paths)]
    parts.append(with_pictures("Largest errors", head, rows, paths))
    return Section(f"Target: {prediction.target.name}", parts=parts)


def _numbers(prediction: Prediction, truth: npt.NDArray[Any], what: str) -> list[Table | Figure]:
    target, values = prediction.target, np.asarray(prediction.values, dtype=float)
    truth = truth.astype(float)
    std, errors = prediction.std, values - truth
    if not np.isfinite(errors).any():
        return []
    caption = f"Predicted against true values of {what}."
    figure, axes = new_figure(1 if std is None else 2, (5.0 if std is None else 9.5, 4.4))
    parity(truth, values, y_std=std, name=target.name, unit=target.unit, ax=axes[0])
    if std is not None:
        interval_reliability(errors, std, ax=axes[1])
        caption += (
            f" Bars are standard deviations, {target.calibration}; beside it, how many errors lie "
            "within intervals that should hold so many."
        )
    return [Figure(figure, caption)]


def _classes(prediction: Prediction, truth: npt.NDArray[Any], what: str) -> list[Table | Figure]:
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

    proba, classes = prediction.proba, np.asarray(prediction.target.classes)
    if proba is None:
        return []
    usable = np.array([label in classes for label in truth]) & np.isfinite(proba).all(axis=1)
    places = np.searchsorted(classes, truth[usable].astype(classes.dtype))
    names = [for_figures(prediction.target.cell(label)) for label in classes]
    if not usable.any() or len(names) > _MOST_CLASSES:
        return []
    binary = len(classes) == 2 and len(set(places)) == 2
    # Shares of a handful of crystals are noise.
    calibrated = binary and int(usable.sum()) >= _CALIBRATION
    figure, axes = new_figure(1 + binary + calibrated, (9.5 if binary else 5.0, 3.4))
    ConfusionMatrixDisplay.from_predictions(
        places,
        proba[usable].argmax(axis=1),
        labels=range(len(names)),
        display_labels=names,
        cmap="Blues",
        colorbar=False,
        ax=axes[0],
    )
    name_classes(axes[0], names)
    caption = f"Confusion matrix of {what}."
    if binary:
        RocCurveDisplay.from_predictions(
            places, proba[usable, 1], ax=axes[1], curve_kwargs={"color": BLUE}
        )
        axes[1].set(xlabel="false positive rate", ylabel="true positive rate")
        axes[1].legend(loc="lower right", fontsize="small")
        caption = f"Confusion matrix and ROC curve of {what}."
    if calibrated:
        CalibrationDisplay.from_predictions(
            places, proba[usable, 1], n_bins=5, ax=axes[2], color=BLUE
        )
        axes[2].set(
            xlabel=wrapped(f"predicted probability of {names[1]}", 34),
            ylabel=wrapped(f"share of {names[1]}", 34),
        )
        axes[2].get_legend().remove()
        caption = (
            f"Confusion matrix and ROC curve of {what}, and how often the second class is true "
            "where it is said to be so probable."
        )
    return [Figure(figure, caption)]


# What is drawn of a target, see `Task.figures`.
_FIGURES = {"numbers": _numbers, "classes": _classes}


def _worst_values(prediction: Prediction, row: int, truth: Any, error: float) -> list[Any]:
    target = prediction.target
    shown = float(target.shown_error(error))
    return [target.cell(truth), target.cell(prediction.values[row]), shown]
