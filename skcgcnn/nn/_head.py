"""From the features of a crystal to the outputs."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skcgcnn.nn._globals import GlobalFeatures
from skcgcnn.nn._layers import Dropout, Linear
from skcgcnn.nn._normalization import BatchNorm


class Head(nn.Module):
    """The hidden layers after the pooling, and the outputs.

    With `heads`, the hidden layers of all tasks are one matrix each, in which every task sees its
    own features alone.

    Parameters
    ----------
    atom_fea_len : int
        Features per crystal.
    n_outputs : int
        Number of outputs.
    h_fea_len : int
        Width of the hidden layers.
    n_h : int
        Number of hidden layers.
    n_globals : int
        Numbers that belong to each crystal, see `GlobalFeatures`.
    heads : sequence of int or None
        Outputs of each task, where every task has hidden layers of its own.
    activation : callable
        Activation of the hidden layers.
    normalizes : bool
        Whether it begins with batch normalization, not with the activation.
    dropout : float
        Dropout probability of the first hidden layer.
    generator : torch.Generator or None
        Draws the initial weights.
    """

    def __init__(
        self,
        atom_fea_len: int,
        n_outputs: int,
        *,
        h_fea_len: int,
        n_h: int,
        n_globals: int,
        heads: Sequence[int] | None,
        activation: Callable[[Tensor], Tensor],
        normalizes: bool,
        dropout: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.norm = BatchNorm(atom_fea_len) if normalizes else None
        self.n_heads = 1 if heads is None else len(heads)
        # The head of each output.
        self._head_of = [head for head, n in enumerate(heads or ()) for _ in range(n)]
        width = h_fea_len * self.n_heads
        self.conv_to_fc = Linear(atom_fea_len, width, generator)
        self.globals = GlobalFeatures(n_globals, width, generator) if n_globals else None
        self.dropout = Dropout(dropout)
        self.fcs = nn.ModuleList(Linear(h_fea_len, width, generator) for _ in range(n_h - 1))
        self.fc_out = Linear(h_fea_len, n_outputs, generator)

    def forward(self, rows: Tensor, weights: Tensor, global_features: Tensor | None) -> Tensor:
        """Return the outputs.

        Parameters
        ----------
        rows : Tensor of shape (n_rows, atom_fea_len)
            Features of crystals, or of sites.
        weights : Tensor of shape (n_rows,)
            Of the rows, for batch statistics.
        global_features : Tensor of shape (n_rows, n_globals), optional
            Numbers that belong to their crystals.

        Returns
        -------
        Tensor of shape (n_rows, n_outputs)
        """
        return self.outputs(self.hidden(rows, weights, global_features))

    def hidden(self, rows: Tensor, weights: Tensor, global_features: Tensor | None) -> Tensor:
        """Return the last hidden layer, of shape (n_rows, h_fea_len) a head; see `forward`."""
        # What tells crystals apart may be a few sites of many: the mean hides it.
        rows = self.activation(rows) if self.norm is None else self.norm(rows, weights)
        first = self.conv_to_fc(rows)
        if self.globals is not None:
            first = first + self.globals(global_features)
        hidden: Tensor = self.dropout(self.activation(first))
        for layer in self.fcs:
            hidden = self.activation(self._layer(hidden, layer))
        return hidden

    def outputs(self, hidden: Tensor) -> Tensor:
        """Return the outputs for the last hidden layer."""
        layer = self.fc_out
        if not self._head_of:
            out: Tensor = layer(hidden)
            return out
        seen = hidden.view(hidden.shape[0], self.n_heads, -1)[:, self._head_of]
        return (seen * layer.weight).sum(dim=2) + layer.bias

    def _layer(self, hidden: Tensor, layer: Any) -> Tensor:
        if not self._head_of:
            out: Tensor = layer(hidden)
            return out
        by_head = hidden.view(hidden.shape[0], self.n_heads, -1).transpose(0, 1)
        weights = layer.weight.view(self.n_heads, -1, layer.weight.shape[1])
        out = torch.bmm(by_head, weights.transpose(1, 2)).transpose(0, 1).flatten(1)
        added: Tensor = out + layer.bias
        return added
