"""Layers that draw random numbers from generators of their own.

torch's layers draw from a generator that all threads share, so that fits in two threads would
change each other.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

# Networks are made in this type, whatever torch's default is.
FLOAT = torch.float32


class Linear(nn.Linear):
    """A linear layer that draws its weights from a given generator of random numbers."""

    def __init__(
        self, n_in: int, n_out: int, generator: torch.Generator | None, *, bias: bool = True
    ) -> None:
        super().__init__(n_in, n_out, bias=bias, dtype=FLOAT)
        # As `torch.nn.Linear` draws them.
        bound = 1 / math.sqrt(n_in)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if bias:
            nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def reset_parameters(self) -> None:
        """Do nothing: the constructor draws."""


class Dropout(nn.Dropout):
    """Dropout that draws from a generator of its own."""

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.seed: int | None = None
        self._generator: torch.Generator | None = None

    def start(self, seed: int) -> None:
        """Start the random numbers anew."""
        self.seed, self._generator = seed, None

    def forward(self, rows: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.seed is None:
            return super().forward(rows)
        if self._generator is None:
            self._generator = torch.Generator(rows.device).manual_seed(self.seed)
        kept = torch.empty_like(rows).bernoulli_(1 - self.p, generator=self._generator)
        return rows * kept.div_(1 - self.p)

    def __getstate__(self) -> dict[str, Any]:
        # A generator can be neither copied nor pickled; an epoch starts a new one.
        return {**self.__dict__, "_generator": None}
