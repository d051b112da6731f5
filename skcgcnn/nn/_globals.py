"""Crystal-level features, such as a temperature, for the head."""

from typing import Any

import torch
from torch import Tensor, nn

from skcgcnn.nn._layers import FLOAT, Linear


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
    rest: Tensor
    scale: Tensor

    def __init__(
        self, n_globals: int, h_fea_len: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.linear = Linear(n_globals, h_fea_len, generator, bias=False)
        self.register_buffer("mean", torch.zeros(n_globals, dtype=FLOAT))
        # What float32 leaves of the mean: that of time stamps has more digits.
        self.register_buffer("rest", torch.zeros(n_globals, dtype=FLOAT))
        self.register_buffer("scale", torch.ones(n_globals, dtype=FLOAT))

    def set_scaling(self, values: Any) -> None:
        """Take mean and standard deviation of training crystals, by which numbers are scaled.

        Parameters
        ----------
        values : ndarray of shape (n_crystals, n_globals), float64
            Their numbers.
        """
        deviation, constant = values.std(axis=0), values.max(axis=0) == values.min(axis=0)
        deviation[constant] = 1.0
        mean = torch.from_numpy(values.mean(axis=0))
        self.mean.copy_(mean)
        self.rest.copy_(mean - self.mean)
        self.scale.copy_(torch.from_numpy(deviation))
        # Nothing is learned from numbers that are all the same, so they must not have an effect.
        with torch.no_grad():
            self.linear.weight[:, torch.from_numpy(constant)] = 0.0

    def forward(self, values: Tensor) -> Tensor:
        """Return what to add to the hidden layer.

        Parameters
        ----------
        values : Tensor of shape (n_crystals, n_globals)
            Of float64, where the device has it: differences of large numbers are small.

        Returns
        -------
        Tensor of shape (n_crystals, h_fea_len)
        """
        scaled = (values - self.mean - self.rest) / self.scale
        out: Tensor = self.linear(scaled.to(self.linear.weight.dtype))
        return out
