"""The networks of an estimator as one torch module that predicts in the units of y."""

import copy
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skcgcnn.estimators import BaseCGCNN
from skcgcnn.nn import INDICES, LEVELS, GraphBatch
from skcgcnn.tasks import output_slices

# Of tensors that have not the type of the network. ONNX counts rows in int64 alone.
_TYPES = {**dict.fromkeys(INDICES, torch.int64), "global_features": torch.float64}
# Of a made-up batch: all different, so that no length is taken for another or for a constant.
_LENGTHS = {"crystal": 2, "kind": 3, "row": 5, "bond": 7}


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
            Those that the networks take, see `GraphBatch.tensors`.
        """
        first: Any = self.networks[0]
        dtype = first.embedding.weight.dtype
        batch = {}
        for name, level in LEVELS.items():
            length = _LENGTHS[level]
            if name in INDICES:
                # Ascending, over all rows that there are.
                batch[name] = torch.arange(length).mul(_LENGTHS[INDICES[name]]).div(length).int()
            else:
                batch[name] = torch.ones(length, dtype=_TYPES.get(name, dtype))
        widths = {"kind_features": first.embedding.in_features}
        if first.head.globals is None:
            del batch["global_features"]
        else:
            widths["global_features"] = first.head.globals.linear.in_features
        for name, width in widths.items():
            batch[name] = batch[name].unsqueeze(1).repeat(1, width)
        return GraphBatch(**batch).tensors()
