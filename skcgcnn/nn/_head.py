"""From the features of a crystal to the outputs."""

from collections.abc import Callable, Sequence

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

    def hidden(self, rows: Tensor, layer: torch.nn.Linear) -> Tensor:
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
        by_head = rows.view(len(rows), self.n_heads, -1).transpose(0, 1)
        weights = layer.weight.view(self.n_heads, -1, layer.weight.shape[1])
        out = torch.bmm(by_head, weights.transpose(1, 2)).transpose(0, 1)
        return out.flatten(1) + layer.bias

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
        seen = rows.view(len(rows), self.n_heads, -1)[:, self._head_of]
        out: Tensor = (seen * layer.weight).sum(dim=2) + layer.bias
        return out


def run_head(
    hidden: Tensor,
    layers: Sequence[torch.nn.Linear],
    last: torch.nn.Linear,
    activation: Callable[[Tensor], Tensor],
    heads: Heads | None,
) -> Tensor:
    """Return the outputs for the first hidden layer.

    Parameters
    ----------
    hidden : Tensor of shape (n_rows, h_fea_len) or (n_rows, n_heads * h_fea_len)
        The first hidden layer, after its activation.
    layers : sequence of Linear
        The other hidden layers.
    last : Linear
        The last layer.
    activation : callable
        Of the hidden layers.
    heads : Heads or None
        None where all tasks share the hidden layers.

    Returns
    -------
    Tensor of shape (n_rows, n_outputs)
    """
    for layer in layers:
        hidden = activation(layer(hidden) if heads is None else heads.hidden(hidden, layer))
    out: Tensor = last(hidden) if heads is None else heads.outputs(hidden, last)
    return out
