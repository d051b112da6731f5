"""The networks of an estimator as one torch module that predicts in the units of y."""

import copy
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skcgcnn.estimators import BaseCGCNN
from skcgcnn.nn import GraphBatch
from skcgcnn.tasks import output_slices

# The tensors of a batch that hold row numbers.
_INDICES = ("site_kinds", "crystals", "centers", "neighbors")
# Of tensors that have not the type of the network. ONNX counts rows in int64 alone.
_TYPES = {**dict.fromkeys(_INDICES, torch.int64), "global_features": torch.float64}


class PredictingNetwork(nn.Module):
    """What a fitted estimator predicts, as a torch module: from a batch to values in units of y.

    Parameters
    ----------
    est : fitted estimator
        Its networks are copied, to the CPU.

    Attributes
    ----------
    columns : tuple of str
        What the columns of the output are: the name of a number; ``"name=label"`` for the
        probability of a class.

    Examples
    --------
    >>> import torch
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.datasets import load_sample_regression
    >>> from skcgcnn.nn import GraphBatch
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> est = CGCNNRegressor(max_epochs=2, random_state=0).fit(cifs, energies)
    >>> batch = GraphBatch.from_graphs(est.get_transformer().transform(cifs[:3]))
    >>> network = PredictingNetwork(est)
    >>> with torch.no_grad():
    ...     network(*batch.tensors()).shape
    torch.Size([3, 1])
    """

    def __init__(self, est: BaseCGCNN) -> None:
        super().__init__()
        check_is_fitted(est, "net_")
        nets = [est.net_, *est.more_nets_]
        copies = [copy.deepcopy(net.module_.average).cpu().eval() for net in nets]
        self.networks = nn.ModuleList(copies).requires_grad_(requires_grad=False)
        self._targets = est.targets_
        self.columns = tuple(name for target in est.targets_ for name in target.output_names)

    def forward(self, *batch: Tensor) -> Tensor:
        """Predict for a batch of crystals.

        Parameters
        ----------
        *batch : Tensor
            The tensors of a `GraphBatch`, in its order; `global_features` only if the network
            takes some.

        Returns
        -------
        Tensor of shape (n_crystals, n_columns), float64
            Numbers in units of y, and probabilities of classes; of an ensemble their means.
        """
        named = dict(zip(GraphBatch._fields, batch, strict=False))
        first: Any = self.networks[0]
        dtype = first.embedding.weight.dtype
        numbers = GraphBatch(
            **{name: tensor.to(_TYPES.get(name, dtype)) for name, tensor in named.items()}
        )
        outputs = torch.stack([network(numbers) for network in self.networks])
        # Numbers far from zero need more digits than the network has.
        own = zip(self._targets, output_slices(self._targets), strict=True)
        found = [target.in_units(outputs[:, :, columns].double()) for target, columns in own]
        return torch.cat([each.mean(dim=0) for each in found], dim=1)

    def example(self) -> tuple[Tensor, ...]:
        """Return a small made-up batch, to trace the network with.

        Returns
        -------
        tuple of Tensor
            All of different lengths above 1, so that none is taken for another or for a constant.
        """
        first: Any = self.networks[0]
        dtype = first.embedding.weight.dtype
        n_kinds, n_features = 3, first.embedding.in_features
        batch = GraphBatch(
            kind_features=torch.rand(n_kinds, n_features, dtype=dtype),
            site_kinds=torch.tensor([0, 1, 2, 1, 0]),
            site_counts=torch.ones(5, dtype=dtype),
            crystals=torch.tensor([0, 0, 0, 1, 1]),
            n_sites=torch.tensor([3, 2], dtype=dtype),
            centers=torch.tensor([0, 1, 1, 2, 3, 4, 4]),
            neighbors=torch.tensor([1, 0, 2, 1, 4, 3, 3]),
            distances=torch.linspace(2.0, 4.0, 7, dtype=dtype),
            bond_counts=torch.ones(7, dtype=dtype),
        )
        batch = batch._replace(**{name: getattr(batch, name).int() for name in _INDICES})
        tensors = batch[:-1]
        if first.head.globals is None:
            return tensors
        n_globals = first.head.globals.linear.in_features
        return (*tensors, torch.zeros(2, n_globals, dtype=torch.float64))
