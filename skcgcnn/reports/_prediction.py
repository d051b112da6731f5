"""The report of predictions for new crystals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skcgcnn._numbers import bin_edges
from skcgcnn._text import crystals, for_figures, wrapped
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.inspection import MIXED, element_names, nearest_training_crystals
from skcgcnn.metrics import HeldOutError
from skcgcnn.plotting import ORANGE, crystal_sizes
from skcgcnn.reports._html import Figure, Section, Table, new_figure, page
from skcgcnn.reports._parts import (
    draw_values,
    element_table,
    formulas,
    known,
    with_pictures,
)
from skcgcnn.tasks import Prediction

_MOST = 10
_UNLIKE = 20


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """What a report of predictions tells of.

    Attributes
    ----------
    name : str
        Of the model.
    est : BaseCGCNN
        The model.
    graphs : CrystalGraphs
        The crystals.
    ids, paths : list
        Their names, and where they come from.
    predictions : list of Prediction
        Target by target.
    training : CrystalGraphs or None
        The crystals that the model was trained on, where they are known.
    training_ids : list of str
        Their names.
    numbers : mapping of str to float
        What the model file tells of the quality of the model.
    """

    name: str
    est: BaseCGCNN
    graphs: CrystalGraphs
    ids: Sequence[str]
    paths: Sequence[Any]
    predictions: Sequence[Prediction]
    training: CrystalGraphs | None = None
    training_ids: Sequence[str] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


def prediction_report(run: PredictionResult) -> str:
    """Return the report of predictions as HTML, complete in itself."""
    sections = [
        _summary(run),
        _quality(run),
        _unlike(run),
        *(_target(run, prediction) for prediction in run.predictions),
        _data(run),
    ]
    return page(f"Predictions by {run.name}", sections)


def _summary(run: PredictionResult) -> Section:
    n_failed = int((run.graphs.n_sites == 0).sum())
    text = f"{crystals(len(run.ids) - n_failed)}."
    if n_failed:
        have = "has" if n_failed == 1 else "have"
        text += f" {n_failed} more could not be read, and {have} no prediction."
    rows: list[list[Any]] = []
    for prediction in run.predictions:
        rows += prediction.target.summary(known(prediction.values))
    return Section("Predictions", [text], [Table(["target", "", "value"], rows)])


def _quality(run: PredictionResult) -> Section:
    """Tell how far off the model was on crystals that it was not trained on."""
    lines = []
    for prediction in run.predictions:
        target = prediction.target
        for folds in (False, True):
            found = HeldOutError.from_numbers(target.name, target.unit, run.numbers, folds=folds)
            if found is not None:
                lines.append(f"{target.name}: {found}.")
    title = "How far off the model was in its test"
    if not lines:
        return Section(title, ["The model file does not tell it."])
    return Section(title, [*lines, "Crystals unlike those are predicted less well."])


def _unlike(run: PredictionResult) -> Section:
    """Tell which crystals are unlike what the model was trained on."""
    text, parts = [], []
    if run.est.elements_ is None:
        text.append("Which elements the model was trained on is not known.")
    else:
        found = _with_new_elements(run, run.est.elements_)
        text.append(
            "These crystals have elements that no training crystal had."
            if found
            else "All elements were in the training crystals."
        )
        if found:
            rows = [[run.ids[row], ", ".join(names)] for row, names in found.items()]
            parts.append(Table(["crystal", "new elements"], rows[:_UNLIKE]))
    if run.training is None:
        text.append(
            "With --training-data, crystals that are far from all training crystals are named here."
        )
        return Section("Unlike the training crystals", text, parts)
    if (run.training.n_sites > 0).sum() < 2:
        text.append("There are too few training crystals to tell which others are far from them.")
        return Section("Unlike the training crystals", text, parts)
    near = nearest_training_crystals(run.est, run.graphs, run.training, k=1)
    far = np.flatnonzero(near.is_outside & (run.graphs.n_sites > 0))
    far = far[np.argsort(-near.distances[far, 0], kind="stable")]
    n_readable = int((run.graphs.n_sites > 0).sum())
    text.append(
        f"{len(far) or 'None'} of {n_readable} crystals "
        f"{'is' if len(far) < 2 else 'are'} farther from the nearest training crystal than 99 % of "
        "those are from theirs"
        + (": predictions for them are extrapolations." if len(far) else ".")
    )
    if len(far):
        rows_far: list[list[Any]] = [
            [
                run.ids[row],
                float(near.distances[row, 0] / near.limit) if near.limit else np.inf,
                run.training_ids[near.indices[row, 0]],
            ]
            for row in far[:_UNLIKE]
        ]
        head = ["crystal", "distance as a multiple of the limit", "nearest training crystal"]
        parts.append(Table(head, rows_far))
    return Section("Unlike the training crystals", text, parts)


def _with_new_elements(run: PredictionResult, trained: Sequence[int]) -> dict[int, list[str]]:
    from pymatgen.core import Element

    old = {*(Element.from_Z(z).symbol for z in trained), MIXED}
    found = {}
    for row, names in enumerate(element_names(run.est, run.graphs)):
        if new := sorted({name for name in names if old.isdisjoint(name.split("/"))}):
            found[row] = new
    return found


def _target(run: PredictionResult, prediction: Prediction) -> Section:
    target = prediction.target
    values = known(prediction.values)
    uncertainty = target.uncertainty(prediction)
    spread = None if uncertainty is None else uncertainty[1]
    figure, axes = new_figure(1 if spread is None else 2, (9.5 if spread is not None else 5, 3.2))
    draw_values[target.figures](axes[0], target, {"": values})
    axes[0].set(xlabel=wrapped(f"predicted {target.title}", 40), ylabel="crystals")
    caption = "How the predictions are distributed"
    if uncertainty is None:
        text = (
            "A single network gives no standard deviations of numbers: train with --n-estimators 5 "
            "or --loss gaussian_nll."
        )
        return Section(f"Target: {target.name}", [text], [Figure(figure, f"{caption}.")])
    what, spread = uncertainty
    axes[1].hist(spread, bin_edges(spread[np.isfinite(spread)], 30), color=ORANGE)
    axes[1].set(xlabel=for_figures(what), ylabel="crystals")
    order = np.argsort(-np.nan_to_num(spread, nan=-1.0), kind="stable")[:_MOST]
    least = [row for row in order if np.isfinite(spread[row])]
    names = formulas(run.est, run.graphs[np.array(least, dtype=int)])
    rows: list[list[Any]] = [
        [run.ids[row], name, target.cell(prediction.values[row]), float(spread[row])]
        for row, name in zip(least, names, strict=True)
    ]
    head = ["crystal", "formula", f"predicted {target.title}", what]
    parts: list[Table | Figure] = [
        Figure(figure, f"{caption}, and how sure they are."),
        with_pictures(
            "Least certain", head, rows, [run.paths[row] for row in least if len(run.paths)]
        ),
    ]
    return Section(f"Target: {target.name}", parts=parts)


def _data(run: PredictionResult) -> Section:
    figure, (ax,) = new_figure(1, (5.0, 3.0))
    crystal_sizes(run.graphs.n_sites[run.graphs.n_sites > 0], ax=ax)
    return Section(
        "Data",
        parts=[
            Figure(figure, "Sizes of the crystals."),
            element_table(element_names(run.est, run.graphs)),
        ],
    )
