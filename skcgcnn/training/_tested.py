"""Predictions for crystals that a run did not train on: a test part, or all folds together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._text import listed
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators import BaseCGCNN, predict_targets
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.metrics import held_out_error, simplest, target_metrics
from skcgcnn.reports import HeldOut
from skcgcnn.tasks import Prediction, is_missing
from skcgcnn.training._composition import predict_by_composition
from skcgcnn.training._data import Part, RunData

Column = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Said:
    """What a network and simpler models say of some crystals, target by target.

    Attributes
    ----------
    rows : ndarray of int
        Places of the crystals in the data.
    predictions : list of Prediction
        Of the network.
    simple : list of ndarray
        Of the simplest model, see `skcgcnn.metrics.simplest`.
    composition : list of ndarray or None
        Of extra trees on the composition; None where they cannot be fitted.
    """

    rows: npt.NDArray[np.int64]
    predictions: list[Prediction]
    simple: list[Column]
    composition: list[Column | None]


def predict_part(est: BaseCGCNN, train: Part, test: Part, *, composition: bool = True) -> Said:
    """Return what an estimator and simpler models say of crystals that it was not fitted on.

    Parameters
    ----------
    est : BaseCGCNN
        Fitted on `train`.
    train, test : Part
        Parts of the split.
    composition : bool, default=True
        Whether to fit extra trees on the composition.
    """
    said = Said(test.rows, predict_targets(est, test.graphs) if len(test.rows) else [], [], [])
    # Without test crystals there are no predictions.
    for prediction, trained in zip(said.predictions, train.table().T, strict=False):
        target = prediction.target
        said.simple.append(np.full(len(test.rows), simplest(trained, target), object))
        said.composition.append(
            predict_by_composition(train.graphs, trained, test.graphs, target, est.n_jobs)
            if composition
            else None
        )
    return said


def together(folds: Sequence[Said]) -> Said:
    """Return what is said of the crystals of all folds, in the data's order.

    Parameters
    ----------
    folds : sequence of Said
        At least one, each of other crystals and the same targets.
    """
    rows = np.concatenate([said.rows for said in folds])
    order = np.argsort(rows)

    def ordered(column: Column | None) -> Column | None:
        return None if column is None else column[order]

    simple, composition = [], []
    predictions = [
        Prediction(each.target, each.values[order], ordered(each.proba), ordered(each.std))
        for each in join_predictions([said.predictions for said in folds])
    ]
    for index in range(len(predictions)):
        simple.append(np.concatenate([said.simple[index] for said in folds])[order])
        composition.append(ordered(_join([said.composition[index] for said in folds])))
    return Said(rows[order], predictions, simple, composition)


def join_predictions(parts: Sequence[Sequence[Prediction]]) -> list[Prediction]:
    """Return the predictions for some crystals after those for others.

    Where models of several folds are calibrated on more and on fewer crystals, the fewest are told.

    Parameters
    ----------
    parts : sequence of sequence of Prediction
        At least one, each of the same targets.
    """
    return [
        Prediction(
            min((each.target for each in own), key=lambda t: getattr(t, "n_calibrated", 0)),
            np.concatenate([each.values for each in own]),
            _join([each.proba for each in own]),
            _join([each.std for each in own]),
        )
        for own in zip(*parts, strict=True)
    ]


def _join(parts: Sequence[Column | None]) -> Column | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def errors_of(predictions: Sequence[Prediction], truth: dict[str, Column]) -> list[str]:
    """Return sentences on how far off predictions are, where a table tells the truth.

    Parameters
    ----------
    predictions : sequence of Prediction
        Target by target.
    truth : dict of str to ndarray
        Columns of a table by their names.

    Warns
    -----
    UserWarning
        Where a table holds nothing that the model could predict.
    """
    found = []
    for prediction in predictions:
        target = prediction.target
        if target.name not in truth:
            continue
        column = truth[target.name]
        if (true := target.truth(column)) is None:
            classes: Any = [] if target.classes is None else target.classes
            labels = [str(target.cell(label)) for label in classes]
            what = listed(labels, most=5) if labels else "numbers"
            warn_caller(
                f"predictions are not compared with {target.name}: the model predicts {what}, the "
                f"table holds such as {str(column[~is_missing(column)][0])!r}"
            )
            continue
        if (error := held_out_error(true, prediction, None)) is not None:
            found.append(f"{target.name}: {replace(error, held_out=False)}")
    if found:
        found.append("The model may have been trained on some of them: then this is no test.")
    return found


def held_out(
    said: Said, data: RunData, graphs: CrystalGraphs, groups: Column | None, n_folds: int = 0
) -> HeldOut:
    """Return predictions with the truth and their errors.

    Parameters
    ----------
    said : Said
        The predictions.
    data : RunData
        The crystals and targets of the run.
    graphs : CrystalGraphs
        Of all crystals.
    groups : ndarray of shape (n_crystals,), or None
        What stays together in a split.
    n_folds : int, default=0
        Folds of the cross-validation; 0 for the test part.
    """
    rows = said.rows
    part = data.part(rows, graphs)
    groups = None if groups is None else groups[rows]
    metrics, errors = {}, {}
    columns = zip(said.predictions, said.simple, said.composition, part.table().T, strict=False)
    for prediction, simple, trees, true in columns:
        name = prediction.target.name
        metrics[name] = target_metrics(true, prediction)
        error = held_out_error(
            true, prediction, simple, composition=trees, groups=groups, n_folds=n_folds
        )
        if error is not None:
            errors[name] = error
    return HeldOut(
        graphs=part.graphs,
        y=part.table(),
        ids=[data.cif_ids[row] for row in rows],
        paths=[data.paths[row] for row in rows if data.paths],
        predictions=said.predictions,
        metrics=metrics,
        errors=errors,
        n_folds=n_folds,
    )
