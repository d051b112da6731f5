"""The constraints of parameters, as scikit-learn has them."""

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import torch

from skcgcnn._declared import Choice, Number, Registered, declared
from skcgcnn._sklearn import N_JOBS, HasMethods, Interval, StrOptions
from skcgcnn.nn import CONVOLUTIONS, POOLINGS
from skcgcnn.tasks import LOSSES

_REGISTRIES: dict[str, Mapping[str, Any]] = {
    "convolutions": CONVOLUTIONS,
    "poolings": POOLINGS,
    "losses": LOSSES,
}


def constraints(parameters: Any) -> dict[str, Any]:
    """Return what scikit-learn checks of the parameters of an estimator."""
    return {
        name: "no_validation" if object in each.allowed else list(_of(each.allowed))
        for name, each in declared(parameters).items()
    }


def _of(allowed: tuple[Any, ...]) -> Iterator[Any]:
    words = [word for each in allowed if isinstance(each, Choice) for word in each]
    if words:
        yield StrOptions(set(words))
    for each in allowed:
        if isinstance(each, Number):
            kind = Integral if each.kind is int else Real
            yield Interval(kind, each.low, each.high, closed=each.closed)
        elif isinstance(each, Registered):
            # The view, not the names: others may come.
            yield StrOptions(_REGISTRIES[each.registry].keys())
        elif each is bool:
            yield "boolean"
        elif each == "n_jobs":
            yield from N_JOBS
        elif each == "device":
            yield torch.device
        elif each == "accelerator":
            yield HasMethods(["prepare", "reduce", "unwrap_model"])
        elif not isinstance(each, Choice):
            yield each
