"""How much every site contributes to a prediction."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skcgcnn.graphs import CrystalGraphs, expand_to_sites, matching_element_features
from skcgcnn.inspection._explained import Explained, explained, mean_of_networks, path_points
from skcgcnn.inspection._pooled import Pooled, pooled_crystals
from skcgcnn.nn import to_numpy

Values = npt.NDArray[np.float64]

# In the place of the symbol of a site that is of no single element.
MIXED = "mixed"


@dataclass(frozen=True, eq=False)
class Contributions:
    """What every site contributes to predictions.

    Attributes
    ----------
    sites : list of ndarray of shape (n_sites,)
        Contribution of every site of each crystal, in the unit of the target; for a class, to the
        logarithm of its odds. Without rows for crystals that could not be read.
    baselines : ndarray of shape (n_crystals,)
        What the contributions are added to: their sum and this are the prediction.
    predictions : ndarray of shape (n_crystals,)
        What is explained: the predicted number, or the logarithm of the odds of the class.
    elements : list of list of str
        Symbol of the element on every site of each crystal; "mixed" for a mixed site.
    """

    sites: list[Values]
    baselines: Values
    predictions: Values
    elements: list[list[str]]

    def by_element(self) -> dict[str, float]:
        """Return the mean contribution of a site of each element.

        Returns
        -------
        dict of str to float
            By symbol, from the lowest to the highest.
        """
        found = defaultdict(list)
        for values, elements in zip(self.sites, self.elements, strict=True):
            for value, element in zip(values, elements, strict=True):
                found[element].append(value)
        means = {element: float(np.mean(each)) for element, each in found.items()}
        return dict(sorted(means.items(), key=lambda pair: pair[1]))


def site_contributions(
    est: Any, X: Any, *, target: int | str = 0, label: Any = None, baseline: Any = None
) -> Contributions:
    """Return how much every site contributes to the predictions for some crystals.

    A prediction is a function of the mean over the features of the sites. Integrated gradients
    along the straight line from the mean of the baseline crystals to that of a crystal tell what
    each site adds (M. Sundararajan, A. Taly and Q. Yan, ICML 2017); they are complete, so that
    contributions and baseline sum to the prediction. With ``pooling="sum"`` the prediction is a sum
    over sites already, and the baseline is 0. What the ridge regression on the composition says
    (`composition_baseline`) is a sum over sites, too.

    Parameters
    ----------
    est : fitted CGCNNRegressor, CGCNNClassifier or CGCNNMultiTask
        The network. Of an ensemble, the mean over its networks is explained; for a class that is
        the mean of the logarithms of the odds, while `predict_proba` is that of probabilities.
    X : sequence of crystals, or CrystalGraphs
        The crystals.
    target : int or str, default=0
        Column of y, by position or name.
    label : object, optional
        The class whose odds are explained; by default the last. Not for numbers.
    baseline : sequence of crystals, or CrystalGraphs, optional
        The crystals whose mean is the baseline, for example those of the fit; by default X.

    Returns
    -------
    Contributions

    Raises
    ------
    ValueError
        If there is no such target or class, or no crystal can be read.

    Examples
    --------
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> found = site_contributions(est, cifs[:20])
    >>> [len(values) for values in found.sites[:3]]
    [8, 16, 4]
    >>> bool(abs(found.sites[0].sum() + found.baselines[0] - est.predict(cifs[:1])[0]) < 1e-3)
    True
    """
    function = explained(est, target, label)
    parts, graphs = pooled_crystals(est, X)
    bases = parts if baseline is None else pooled_crystals(est, baseline)[0]
    if not bases[0]:
        source = "X" if baseline is None else "the baseline"
        raise ValueError(f"{source} holds no crystal that can be read")
    found = [
        [_explain(crystals, _mean(base), function) for crystals in part]
        for part, base in zip(parts, bases, strict=True)
    ]
    sites, baselines, predictions = mean_of_networks(found, graphs)
    return Contributions(
        expand_to_sites(graphs, sites), baselines, predictions, element_names(est, graphs)
    )


def _mean(parts: list[Pooled]) -> tuple[Tensor, Tensor]:
    """Return the mean over crystals of the pooled features and of the baseline."""
    pooled, shares = [part.pooled for part in parts], [part.shares for part in parts]
    return torch.cat(pooled).mean(dim=0), torch.cat(shares).mean(dim=0)


def _explain(
    part: Pooled, base: tuple[Tensor, Tensor], function: Explained
) -> tuple[Values, Values, Values]:
    """Return contributions of a site of each class of sites, baselines and predictions."""
    if part.is_sum:
        outputs = part.outputs(part.sites, part.site_shares)
        zero = function(torch.zeros_like(outputs[:1]))
        each = function(outputs) - zero
        total = part.sum_over_sites(each)
        return to_numpy(each), to_numpy(zero.expand_as(total)), to_numpy(total + zero)
    start, start_shares = base
    gradients, share_gradients = torch.zeros_like(part.pooled), torch.zeros_like(part.shares)
    for node, weight in path_points():
        pooled = torch.lerp(start, part.pooled, node).requires_grad_()
        shares = torch.lerp(start_shares, part.shares, node).requires_grad_()
        total = function(part.outputs(pooled, shares)).sum()
        along = torch.autograd.grad(total, (pooled, shares))
        gradients = gradients + weight * along[0]
        share_gradients = share_gradients + weight * along[1]
    with torch.no_grad():
        by_row = part.site_weights * ((part.sites - start) * gradients[part.crystals]).sum(dim=1)
        shares = (part.site_shares - start_shares) * share_gradients[part.crystals]
        by_row = by_row + shares.sum(dim=1) / part.n_sites[part.crystals]
        predictions = function(part.outputs(part.pooled, part.shares))
        n = len(part.pooled)
        baselines = function(part.outputs(start.expand(n, -1), start_shares.expand(n, -1)))
    return to_numpy(by_row), to_numpy(baselines), to_numpy(predictions)


def element_names(est: Any, graphs: CrystalGraphs) -> list[list[str]]:
    """Return the symbols of the elements on the sites of graphs, as an estimator knows them.

    Parameters
    ----------
    est : fitted estimator
        Its `atom_features` tell which kind of site is which element.
    graphs : CrystalGraphs
        The crystals.

    Returns
    -------
    list of list of str
        For every crystal that of every site, such as "O"; "La/Ce" where elements have the same
        features, and "mixed" for mixed sites and unknown features.
    """
    from pymatgen.core import Element

    table = matching_element_features(est.atom_features, est.graph_options_.atom_features)
    n_kinds = len(graphs.kind_features)
    found = [set()] * n_kinds if table is None else table.pure(graphs.kind_features)
    kinds = ["/".join(Element.from_Z(z).symbol for z in sorted(own)) or MIXED for own in found]
    names = np.array(kinds, dtype=object)[graphs.site_kinds]
    return [list(each) for each in expand_to_sites(graphs, names)]
