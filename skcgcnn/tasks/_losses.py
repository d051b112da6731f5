"""Losses of numbers by name: what the parameter `loss` of the estimators may be."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Logarithms of variances stay within these bounds.
_LEAST_LOG, _MOST_LOG = -10.0, 10.0

Errors = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """How far a prediction is from the truth.

    Attributes
    ----------
    errors : callable
        Takes the outputs, of shape (n_crystals,), and the scaled true values; returns a number for
        each crystal. With `has_variance`, the outputs are of shape (n_crystals, 2).
    has_variance : bool
        Whether the network learns the logarithm of the variance as a second output.
    log_share : float
        How much of the logarithm of a learned scale is added to an error over that scale: 1 for
        absolute errors, 0.5 for squares. 0 for a likelihood, which has a scale of its own.
    """

    errors: Errors
    has_variance: bool = False
    log_share: float = 0.5


class Losses(dict[str, Loss]):
    """Losses by name."""

    def register(
        self, name: str, *, has_variance: bool = False, log_share: float = 0.5
    ) -> Callable[[Errors], Errors]:
        """Return a decorator that adds a function under a name; the rest is as for `Loss`."""

        def add(errors: Errors) -> Errors:
            self[name] = Loss(errors, has_variance, log_share)
            return errors

        return add


LOSSES = Losses()


@LOSSES.register("mse")
def _squared(output: Tensor, value: Tensor) -> Tensor:
    return (output - value).square()


@LOSSES.register("mae", log_share=1.0)
def _absolute(output: Tensor, value: Tensor) -> Tensor:
    return (output - value).abs()


@LOSSES.register("huber", log_share=1.0)
def _huber(output: Tensor, value: Tensor) -> Tensor:
    return functional.huber_loss(output, value, reduction="none")


@LOSSES.register("gaussian_nll", has_variance=True, log_share=0.0)
def _gaussian_nll(outputs: Tensor, value: Tensor) -> Tensor:
    """Return the negative log likelihood of a normal distribution, weighted by its deviation.

    The weight keeps crystals with large errors from being given up (the beta-NLL of M. Seitzer et
    al., ICLR 2022, with beta = 0.5).
    """
    log_variance = outputs[:, 1].clamp(_LEAST_LOG, _MOST_LOG)
    squares = (outputs[:, 0] - value).square()
    likelihood = (log_variance + squares * torch.exp(-log_variance)) / 2
    return likelihood * torch.exp(log_variance.detach() / 2)
