"""The elements of crystals: which a model knows, and which get learned features."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from skcgcnn._warnings import is_called_by, warn_caller
from skcgcnn.exceptions import UnseenElementsWarning
from skcgcnn.graphs import CrystalGraphs, ElementFeatures, matching_element_features
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import CrystalGraphConvNet

# Most are elements; there may be thousands of kinds of mixed site, each in few crystals.
_MOST_KINDS = 200


def training_kinds(graphs: CrystalGraphs, source: ModelState | None) -> npt.NDArray[np.float32]:
    """Return the features of the kinds of site that get learned features, a row each.

    Those of most sites; before them those of `source`, the model that training starts from. None
    at all where it has none.
    """
    n_sites = graphs.sites_by_kind()
    kinds = graphs.kind_features[np.argsort(-n_sites, kind="stable")][: np.count_nonzero(n_sites)]
    most = _MOST_KINDS
    if source is not None:
        known = source.weights.get("embedding.elements.kinds")
        if known is None or known.shape[1] != kinds.shape[1]:
            return kinds[:0]
        kinds = np.concatenate([np.asarray(known, dtype=np.float32), kinds])
        most = max(most, len(known))
    _, first = np.unique(kinds, axis=0, return_index=True)
    found: npt.NDArray[np.float32] = kinds[np.sort(first)[:most]]
    return found


def set_kinds(net: CrystalGraphConvNet, kinds: npt.NDArray[np.float32]) -> None:
    """Tell a network which kinds of site have learned features."""
    if net.embedding.elements is not None:
        net.embedding.elements.kinds.copy_(torch.from_numpy(kinds))


def element_table(est: Any) -> ElementFeatures | None:
    """Return the features of the elements, if the graphs of the fit are made with them."""
    return matching_element_features(est.atom_features, est.graph_options_.atom_features)


def elements_of(est: Any, graphs: CrystalGraphs) -> tuple[int, ...] | None:
    """Return atomic numbers of the elements that graphs may hold; None if that is not known."""
    table = matching_element_features(est.atom_features, graphs.options.atom_features)
    return None if table is None else tuple(sorted(table.elements_in(graphs.used_features())[1]))


def warn_of_elements(est: Any, elements: set[int]) -> None:
    """Warn that predictions for crystals with these elements are extrapolations."""
    from pymatgen.core import Element

    names = ", ".join(Element.from_Z(z).symbol for z in sorted(elements))
    text = f"no training crystal of {type(est).__name__} contains {names}"
    searched = is_called_by("sklearn.model_selection")
    if searched:
        text = "some crystals contain elements that the training crystals of their fold do not"
    warn_caller(
        f"{text}: such predictions are extrapolations", UnseenElementsWarning, once=searched
    )
