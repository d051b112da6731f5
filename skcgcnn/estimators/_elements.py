"""The kinds of site that get learned features."""

import numpy as np
import numpy.typing as npt
import torch

from skcgcnn.graphs import CrystalGraphs
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import CrystalGraphConvNet

# Most are elements; there may be thousands of kinds of mixed site, each in few crystals.
_MOST_KINDS = 200


def training_kinds(graphs: CrystalGraphs, source: ModelState | None) -> npt.NDArray[np.float32]:
    """Return the features of the kinds of site that get learned features.

    Parameters
    ----------
    graphs : CrystalGraphs
        The crystals to train on.
    source : ModelState or None
        The model that training starts from.

    Returns
    -------
    ndarray of shape (n_kinds, n_features), float32
        Those of most sites; before them those of `source`. None at all where it has none.
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
    """Tell a network which kinds of site have learned features.

    Parameters
    ----------
    net : CrystalGraphConvNet
        Not trained yet; changed in place.
    kinds : ndarray of shape (n_kinds, n_features)
        See `training_kinds`.
    """
    if net.embedding.elements is not None:
        net.embedding.elements.kinds.copy_(torch.from_numpy(kinds))
