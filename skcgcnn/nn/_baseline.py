"""The linear composition baseline."""

import torch
from torch import Tensor, nn

from skcgcnn.nn._layers import FLOAT


class CompositionBaseline(nn.Module):
    """A linear function of the features of a site, which is not trained with the network.

    It is fitted before: a crystal's prediction is that of its composition, and the network learns
    what is left.

    Parameters
    ----------
    orig_atom_fea_len : int
        Features per kind of site.
    n_outputs : int
        Outputs of the network.
    """

    weight: Tensor
    bias: Tensor
    scale: Tensor

    def __init__(self, orig_atom_fea_len: int, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_outputs, orig_atom_fea_len, dtype=FLOAT))
        self.register_buffer("bias", torch.zeros(n_outputs, dtype=FLOAT))
        # How large what is left is: the network's own outputs are multiplied by it.
        self.register_buffer("scale", torch.ones(n_outputs, dtype=FLOAT))

    def forward(self, kind_features: Tensor) -> Tensor:
        """Return the share of every kind of site.

        Parameters
        ----------
        kind_features : Tensor of shape (n_kinds, orig_atom_fea_len)

        Returns
        -------
        Tensor of shape (n_kinds, n_outputs)
        """
        with torch.autocast(kind_features.device.type, enabled=False):
            return nn.functional.linear(kind_features, self.weight, self.bias)
