"""The expansion of distances in Gaussians."""

import math

import numpy as np
import torch
from torch import Tensor, nn

# In Å: distance between the centers of the Gaussians, and their width, as in the original code.
GAUSSIAN_STEP = 0.2
_LOWEST_EXPONENT = -60.0
ALL = slice(None)


class GaussianDistance(nn.Module):
    """Expand distances in Gaussians with centers from 0 to `radius`.

    Parameters
    ----------
    radius : float, default=8.0
        Last center, in Å.
    step : float, default=0.2
        Distance between centers, and width of each Gaussian, in Å.

    Examples
    --------
    >>> import torch
    >>> GaussianDistance()(torch.tensor([2.8])).shape
    torch.Size([1, 41])
    """

    centers: Tensor

    def __init__(self, radius: float = 8.0, step: float = GAUSSIAN_STEP) -> None:
        super().__init__()
        self.step = step
        # The last center, whatever multiple of the step it was to be.
        self.radius = round(round(radius / step) * step, 6)
        # By NumPy: on the meta device, on which files are checked, torch.arange imports torch's
        # compiler, which takes 2 s.
        centers = torch.tensor(np.arange(round(radius / step) + 1) * step, dtype=torch.float32)
        self.register_buffer("centers", centers, persistent=False)

    def forward(self, distances: Tensor, active: slice = ALL) -> Tensor:
        """Return exp(-(d - center)² / step²).

        Parameters
        ----------
        distances : Tensor
            In Å, of any shape.
        active : slice, default=all
            Centers to use.

        Returns
        -------
        Tensor
            Of the shape of `distances`, with another axis for the centers.
        """
        scaled = (distances / self.step).unsqueeze(-1) - self.centers[active] / self.step
        # Far from a center, the Gaussian would be a denormal number, which is slow to compute with.
        return scaled.square_().clamp_(max=-_LOWEST_EXPONENT).neg_().exp_()

    def active_centers(self, distances: Tensor) -> slice:
        """Return the centers that are near any of the distances: Gaussian above 1e-26.

        Parameters
        ----------
        distances : Tensor
            In Å, at least one.

        Returns
        -------
        slice
            At least one center; all of them if a distance is not a finite number.
        """
        least, most = (float(d) / self.step for d in torch.aminmax(distances.detach()))
        if not math.isfinite(least + most):
            return ALL
        width = math.sqrt(-_LOWEST_EXPONENT)
        first = min(max(0, math.ceil(least - width)), len(self.centers) - 1)
        return slice(first, max(first, math.floor(most + width)) + 1)
