"""Crystal-level features, such as a temperature, for the head."""

from typing import Any

import torch
from torch import Tensor, nn

from skcgcnn.nn._layers import Linear


class GlobalFeatures(nn.Module):
    """What the numbers beside a crystal add to the first hidden layer of the head.

    Parameters
    ----------
    n_globals : int
        Numbers per crystal.
    h_fea_len : int
        Length of the hidden layer.
    generator : torch.Generator, optional
        Draws the initial weights.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, n_globals: int, h_fea_len: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.linear = Linear(n_globals, h_fea_len, generator, bias=False)
        self.register_buffer("mean", torch.zeros(n_globals))
        self.register_buffer("scale", torch.ones(n_globals))

    def set_scaling(self, values: Any) -> None:
        """Take mean and standard deviation of training crystals, by which numbers are scaled.

        Parameters
        ----------
        values : ndarray of shape (n_crystals, n_globals)
            Their numbers.
        """
        # Sums of many large numbers in float32 would be rough.
        exact = values.astype("float64")
        deviation, constant = exact.std(axis=0), exact.max(axis=0) == exact.min(axis=0)
        deviation[constant] = 1.0
        self.mean.copy_(torch.from_numpy(exact.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(deviation))
        # Nothing is learned from numbers that are all the same, so they must not have an effect.
        with torch.no_grad():
            self.linear.weight[:, torch.from_numpy(constant)] = 0.0

    def forward(self, values: Tensor) -> Tensor:
        """Return what to add to the hidden layer.

        Parameters
        ----------
        values : Tensor of shape (n_crystals, n_globals)

        Returns
        -------
        Tensor of shape (n_crystals, h_fea_len)
        """
        out: Tensor = self.linear((values - self.mean) / self.scale)
        return out
