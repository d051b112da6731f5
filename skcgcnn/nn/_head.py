"""Hidden layers of their own for every task."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Heads:
    """Hidden layers for every task of its own, in matrices that hold those of all tasks.

    Parameters
    ----------
    n_outputs : sequence of int
        Outputs of each task.
    """

    def __init__(self, n_outputs: Sequence[int]) -> None:
        self.n_heads = len(n_outputs)
        self._head_of = [head for head, n in enumerate(n_outputs) for _ in range(n)]

    def hidden(self, rows: Tensor, layer: Any) -> Tensor:
        """Apply a hidden layer: each head sees its own features.

        Parameters
        ----------
        rows : Tensor of shape (n_rows, n_heads * h_fea_len)
        layer : Linear
            With weights of shape (n_heads * h_fea_len, h_fea_len).

        Returns
        -------
        Tensor of shape (n_rows, n_heads * h_fea_len)
        """
        by_head = rows.view(rows.shape[0], self.n_heads, -1).transpose(0, 1)
        weights = layer.weight.view(self.n_heads, -1, layer.weight.shape[1])
        out = torch.bmm(by_head, weights.transpose(1, 2)).transpose(0, 1)
        added: Tensor = out.flatten(1) + layer.bias
        return added

    def outputs(self, rows: Tensor, layer: torch.nn.Linear) -> Tensor:
        """Apply the last layer: each output sees the features of its head.

        Parameters
        ----------
        rows : Tensor of shape (n_rows, n_heads * h_fea_len)
        layer : Linear
            With weights of shape (n_outputs, h_fea_len).

        Returns
        -------
        Tensor of shape (n_rows, n_outputs)
        """
        seen = rows.view(rows.shape[0], self.n_heads, -1)[:, self._head_of]
        out: Tensor = (seen * layer.weight).sum(dim=2) + layer.bias
        return out
