"""What a fine-tuning changed, on crystals that it was not trained on."""

import logging
from typing import Any

import numpy.typing as npt

from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._head_start import is_general, source_model
from skcgcnn.estimators._outputs import forward
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.estimators._transfer import pair_targets
from skcgcnn.modelfiles import ModelState
from skcgcnn.tasks import decode, is_missing, mean_score

_LOGGER = logging.getLogger("skcgcnn")


# What a fit with a start and validation crystals learns of it.
RESULTS = ("start_validation_score_", "start_comparison_")


def start_values(
    est: Any, source: ModelState | None, valid: TrainingData | None
) -> list[npt.NDArray[Any]] | None:
    """Return what the model of `init_from` says of crystals; None where it cannot tell."""
    for name in RESULTS:
        vars(est).pop(name, None)  # of an earlier fit
    if source is None or valid is None or is_general(source):
        return None  # the targets of a general model are others, whatever their kind
    places = pair_targets(est.targets_, source.targets)
    known, given = source.graph_options, valid.graphs.options
    if places is None or known.differences(given):
        return None
    predictions = decode(forward(source_model(est, source), valid.graphs), source.targets)
    return [predictions[place].values for place in places]


def compare(est: Any, start: list[npt.NDArray[Any]], valid: TrainingData) -> None:
    """Tell the validation errors before and after a fine-tuning; warn where they grew."""
    pairs = list(zip(est.targets_, valid.values.T, strict=True))
    true = [target.original(column) for target, column in pairs]
    end = [each.values for each in decode(forward(est, valid.graphs), est.targets_)]
    before, after = (mean_score(est.targets_, true, values) for values in (start, end))
    est.start_validation_score_ = before
    texts = [
        ", ".join(
            f"{target.name} {target.describe_error(column[known], guess[known])}"
            for target, column, guess in zip(est.targets_, true, values, strict=True)
            if (known := ~is_missing(column)).any()
        )
        for values in (start, end)
    ]
    what = f"validation crystals: {texts[0]} by init_from as it was, {texts[1]} after the fit"
    est.start_comparison_ = what
    _LOGGER.info(what)
    if before > after:
        warn_caller(
            f"{what}. The start was better: try freeze='convs', a smaller lr or fewer epochs, "
            "or use it as it is"
        )
