"""Outputs of the networks of a fitted estimator, in pieces where there are many crystals."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from skcgcnn.estimators._crystals import checked_chunks
from skcgcnn.estimators._elements import element_table, warn_of_elements
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.nn import GraphDataset
from skcgcnn.tasks import FloatArray, TargetDecoder


def member_outputs(est: Any, X: Any, *, warn: bool = True) -> FloatArray:
    """Return the outputs of each network, of shape (n_members, n_crystals, n_outputs)."""
    return np.concatenate(list(output_chunks(est, X, warn=warn)), axis=1)


def output_chunks(est: Any, X: Any, *, warn: bool = True) -> Iterator[FloatArray]:
    """Yield the outputs of each network for some crystals at a time, in one pass over all.

    It warns of elements that the training crystals do not have.
    """
    check_is_fitted(est, "net_")
    table = element_table(est) if est.elements_ is not None else None
    seen, unseen = set(est.elements_ or ()), set[int]()
    for graphs in checked_chunks(est, X):
        if table is not None:
            unseen |= table.elements_in(graphs.used_features())[0] - seen
        yield forward(est, graphs)
    if unseen and warn:
        warn_of_elements(est, unseen)


def predict_values(est: Any, X: Any, *, warn: bool = True) -> npt.NDArray[Any]:
    """Return what `predict` of an estimator returns."""
    outputs = member_outputs(est, X, warn=warn)  # says so where it is not fitted
    return TargetDecoder(est.targets_, est.y_ndim_).values(outputs)


def predict_proba(est: Any, X: Any) -> FloatArray:
    """Return the probabilities of the first classification."""
    outputs = member_outputs(est, X)
    return TargetDecoder(est.targets_, est.y_ndim_).proba(outputs)


def forward(est: Any, graphs: CrystalGraphs) -> FloatArray:
    """Return the outputs of each network; NaN for crystals that could not be read."""
    n_outputs = sum(target.n_outputs for target in est.targets_)
    nets = [est.net_, *est.more_nets_]
    outputs = np.full((len(nets), len(graphs), n_outputs), np.nan)
    readable = graphs.n_sites > 0
    if readable.any():
        usable = GraphDataset(graphs if readable.all() else graphs[readable])
        for index, net in enumerate(nets):
            outputs[index, readable] = net.outputs(usable)
        if (bad := readable & np.isnan(outputs).any(axis=(0, 2))).any():
            raise ValueError(
                f"the prediction for {str(graphs.ids[int(bad.argmax())])!r} is not a number: "
                "weights of the model are too large, or the crystal is far from those of the fit"
            )
    return outputs
