"""The report of a training run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import for_figures, wrapped
from skcgcnn._version import __version__
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.inspection import element_names, nearest_training_crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.plotting import (
    BLUE,
    ORANGE,
    crystal_sizes,
    interval_reliability,
    loss_curves,
    parity,
)
from skcgcnn.quality import PowerLaw
from skcgcnn.reports._advice import Facts, advice, flat_from
from skcgcnn.reports._honesty import absolute_errors, honesty, learning_section
from skcgcnn.reports._html import Figure, Section, Table, new_figure, page
from skcgcnn.reports._parts import (
    crystals,
    element_table,
    few_ticks,
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
    ids, paths : list
        Of the test crystals: their names, and where they come from.
    predictions : list of Prediction
        For the test crystals, target by target.
    metrics : mapping of str to mapping
        Their measures, target by target.
    errors : mapping of str to HeldOutError
        Their errors, target by target.
    n_unreadable : int
        Crystals that could not be read.
    losses : mapping of str to sequence of float
        Epoch by epoch: "training" and "validation".
    best_epoch : int
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
    ids: Sequence[str]
    paths: Sequence[Any]
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Mapping[str, float | None]]
    errors: Mapping[str, HeldOutError]
    n_unreadable: int
    losses: Mapping[str, Sequence[float]]
    best_epoch: int
    split: str = ""
    splits: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, PowerLaw] = field(default_factory=dict)


def training_report(run: RunResult) -> str:
    """Return the report of a training run as HTML, complete in itself.

    Parameters
    ----------
    run : RunResult
        The run.

    Returns
    -------
    str
    """
    outside = _outside(run)
    sections = [
        _results(run),
        *_honesty(run, outside),
        _next(run, outside),
        _data(run),
        _learning(run),
        *(_target(run, index) for index in range(len(run.predictions))),
        *_more_crystals(run),
        Section(
            "Settings",
            ["Values chosen for auto are in brackets."],
            [Table(["option", "value"], list(run.settings.items()))],
        ),
    ]
    return page(f"Training run: {run.name}", sections, f"Made by skcgcnn {__version__}.")


def _results(run: RunResult) -> Section:
    rows = [
        [name, metric, "undefined" if value is None else float(value)]
        for name, found in run.metrics.items()
        for metric, value in found.items()
    ]
    sizes = ", ".join(f"{len(run.graphs[part])} {word}" for part, word in _PARTS.items())
    text = (
        f"Crystals: {sizes}. The best epoch was {run.best_epoch} of {len(run.losses['training'])}."
    )
    lines = [text, *(f"{name}: {error}." for name, error in run.errors.items()), *_left_out(run)]
    return Section("Test results", lines, [Table(["target", "metric", "value"], rows)])


def _left_out(run: RunResult) -> Iterator[str]:
    """Tell of what could not be read, and of targets that are missing."""
    if run.n_unreadable:
        yield f"Left out: {crystals(run.n_unreadable)} that could not be read."
    y = np.concatenate([run.y[part] for part in _PARTS])
    for index, prediction in enumerate(run.predictions):
        if blank := int(is_missing(y[:, index]).sum()):
            yield f"{prediction.target.name}: no value for {crystals(blank)}."


_PARTS = {"train": "trained on", "val": "validated", "test": "tested"}


def _honesty(run: RunResult, outside: npt.NDArray[np.bool_] | None) -> Iterator[Section]:
    if not run.predictions:
        return
    errors = {
        prediction.target.name: (
            absolute_errors(prediction, run.y["test"][:, index]),
            _error_name(prediction),
        )
        for index, prediction in enumerate(run.predictions)
    }
    yield honesty(run.split, errors, run.graphs["test"], outside, run.splits, run.errors)


def _error_name(prediction: Prediction) -> str:
    target = prediction.target
    if not target.is_number:
        return "share of wrong labels"
    return f"mean absolute error{f' ({target.unit})' if target.unit else ''}"


def _more_crystals(run: RunResult) -> Iterator[Section]:
    if run.curves:
        names = {p.target.name: wrapped(_error_name(p), 30) for p in run.predictions}
        yield learning_section(run.curves, names)


def _next(run: RunResult, outside: npt.NDArray[np.bool_] | None) -> Section:
    found = advice(_facts(run, outside))
    return Section("What to try next", found or ["Nothing looks wrong."])


def _facts(run: RunResult, outside: npt.NDArray[np.bool_] | None) -> Facts:
    place = run.best_epoch - 1
    losses = {name: values[place] for name, values in run.losses.items() if len(values) > place}
    r2, accuracy, frequent, rarest = {}, {}, {}, {}
    for index, prediction in enumerate(run.predictions):
        target, metrics = prediction.target, run.metrics[prediction.target.name]
        if target.classes is None:
            if metrics.get("r2") is not None:
                r2[target.name] = float(metrics["r2"] or 0.0)
            continue
        labels = known(run.y["test"][:, index])
        if len(labels) and metrics.get("accuracy") is not None:
            accuracy[target.name] = float(metrics["accuracy"] or 0.0)
            frequent[target.name] = max(Counter(labels).values()) / len(labels)
        trained = known(run.y["train"][:, index])
        if len(trained):
            shares = [np.mean(trained == label) for label in target.classes]
            rarest[target.name] = float(min(shares))
    return Facts(
        **{f"n_{part}": len(run.graphs[part]) for part in _PARTS},
        train_loss=losses.get("training"),
        val_loss=losses.get("validation"),
        flat_from=flat_from(run.losses["training"], run.losses["validation"]),
        r2=r2,
        accuracy=accuracy,
        most_frequent=frequent,
        rarest=rarest,
        outside=None if outside is None else float(outside.mean()),
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
    figure, axes = new_figure(1 + len(run.predictions), (9.5, 3.0))
    crystal_sizes(np.concatenate([graphs.n_sites for graphs in run.graphs.values()]), ax=axes[0])
    for index, (ax, prediction) in enumerate(zip(axes[1:], run.predictions, strict=True)):
        target = prediction.target
        values = {part: known(run.y[part][:, index]) for part in _PARTS}
        if target.classes is None:
            everything = np.concatenate([v.astype(float) for v in values.values()])
            bins = np.histogram_bin_edges(everything, 25)
            for (part, found), color in zip(values.items(), (BLUE, ORANGE, "0.3"), strict=True):
                ax.hist(found.astype(float), bins, histtype="step", color=color, label=_PARTS[part])
            few_ticks(ax)
        else:
            names = [target.cell(label) for label in target.classes]
            width = 0.27
            for step, ((part, found), color) in enumerate(
                zip(values.items(), (BLUE, ORANGE, "0.3"), strict=True)
            ):
                counts = [int((found == label).sum()) for label in target.classes]
                places = np.arange(len(names)) + (step - 1) * width
                ax.bar(places, counts, width, color=color, label=_PARTS[part])
            name_classes(ax, names)
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
    prediction, truth = run.predictions[index], run.y["test"][:, index]
    parts: list[Table | Figure]
    if prediction.target.classes is None:
        parts, errors = _numbers(prediction, truth.astype(float))
    else:
        parts, errors = _classes(prediction, truth)
    wrong = np.isfinite(errors) & (errors > 0)
    if not prediction.target.is_number:
        wrong &= prediction.values != truth  # right ones are not worst, however unsure
    order = np.argsort(-np.nan_to_num(errors, nan=-np.inf), kind="stable")
    worst = [int(row) for row in order if wrong[row]][:_WORST]
    if not worst:
        right = [f"All of {crystals(int(np.isfinite(errors).sum()))} are right."]
        return Section(f"Target: {prediction.target.name}", right if len(truth) else [], parts)
    names = formulas(run.est, run.graphs["test"][np.array(worst)])
    rows = [
        [run.ids[row], name, *_worst_values(prediction, row, truth[row], errors[row])]
        for row, name in zip(worst, names, strict=True)
    ]
    head = ["crystal", "formula", "true", "predicted", prediction.target.error_name]
    paths = [run.paths[row] for row in worst if len(run.paths)]
    parts.append(with_pictures("Largest errors", head, rows, paths))
    return Section(f"Target: {prediction.target.name}", parts=parts)


def _numbers(
    prediction: Prediction, truth: npt.NDArray[np.float64]
) -> tuple[list[Table | Figure], npt.NDArray[np.float64]]:
    target, values = prediction.target, np.asarray(prediction.values, dtype=float)
    std, errors = prediction.std, values - truth
    if not np.isfinite(errors).any():
        return [], np.abs(errors)
    caption = "Predicted against true values of the test crystals."
    figure, axes = new_figure(1 if std is None else 2, (5.0 if std is None else 9.5, 4.4))
    parity(truth, values, y_std=std, name=target.name, unit=target.unit, ax=axes[0])
    if std is not None:
        usable = np.isfinite(errors) & np.isfinite(std)
        interval_reliability(errors[usable], std[usable], ax=axes[1])
        caption += (
            " Bars are standard deviations; beside it, how many errors lie within intervals that "
            "should hold so many."
        )
    return [Figure(figure, caption)], np.abs(errors)


def _classes(
    prediction: Prediction, truth: npt.NDArray[Any]
) -> tuple[list[Table | Figure], npt.NDArray[np.float64]]:
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

    proba, classes = prediction.proba, prediction.target.classes
    errors = np.full(len(truth), np.nan)
    if proba is None or classes is None:
        return [], errors
    usable = np.array([label in classes for label in truth]) & np.isfinite(proba).all(axis=1)
    places = np.searchsorted(classes, truth[usable].astype(classes.dtype))
    errors[usable] = 1 - proba[usable, places]
    if not usable.any():
        return [], errors
    names = [for_figures(prediction.target.cell(label)) for label in classes]
    if len(names) > _MOST_CLASSES:
        return [], errors
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
    caption = "Confusion matrix of the test crystals."
    if binary:
        RocCurveDisplay.from_predictions(
            places, proba[usable, 1], ax=axes[1], curve_kwargs={"color": BLUE}
        )
        axes[1].set(xlabel="false positive rate", ylabel="true positive rate")
        axes[1].legend(loc="lower right", fontsize="small")
        caption = "The test crystals: confusion matrix and ROC curve."
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
            "The test crystals: confusion matrix; ROC curve; and how often the second class is "
            "true where it is said to be so probable."
        )
    return [Figure(figure, caption)], errors


def _worst_values(prediction: Prediction, row: int, truth: Any, error: float) -> list[Any]:
    target = prediction.target
    shown = error if target.is_number else 1 - error
    return [target.cell(truth), target.cell(prediction.values[row]), float(shown)]
