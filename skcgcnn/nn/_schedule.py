"""The course of the learning rate."""

import math

# The cycle of the learning rate: share of the warm-up, and the first and the last factor.
_WARM_UP = 0.1
_FIRST_LR = 0.04
_LAST_LR = 1e-4


def one_cycle(done: float) -> float:
    """Return the learning rate of a training, as a share of its peak.

    It rises in the first tenth, and then falls along a half cosine to nearly nothing (L. N. Smith
    and N. Topin, arXiv:1708.07120).

    Parameters
    ----------
    done : float
        Share of the training that is done; above 1 where it goes on.

    Examples
    --------
    >>> [round(one_cycle(done), 2) for done in (0, 0.1, 0.55, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if done < _WARM_UP:
        return _FIRST_LR + (1 - _FIRST_LR) * done / _WARM_UP
    fallen = min(1.0, (done - _WARM_UP) / (1 - _WARM_UP))
    return max(_LAST_LR, (1 + math.cos(math.pi * fallen)) / 2)
