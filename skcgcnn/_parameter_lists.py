"""What is read from the table of parameters, see `_parameters`.

It imports neither torch nor scikit-learn.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from skcgcnn._declared import Parameter, declared
from skcgcnn._parameters import (
    ClassifierParameters,
    MultiTaskParameters,
    NetParameters,
    NumberParameters,
    Parameters,
)

# The parameters by the name of their estimator.
OF_ESTIMATORS: Mapping[str, type[Parameters]] = {
    "CGCNNRegressor": NumberParameters,
    "CGCNNClassifier": ClassifierParameters,
    "CGCNNMultiTask": MultiTaskParameters,
}


# What parameters are called elsewhere.
_OTHER_NAMES = {
    "accelerator": "device",
    "alpha": "weight_decay",
    "batch": "batch_size",
    "epochs": "max_epochs",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "max_iter": "max_epochs",
    "n_epochs": "max_epochs",
    "num_epochs": "max_epochs",
    "optim": "optimizer",
    "patience": "n_iter_no_change",
    "seed": "random_state",
}


# Choices of graphs that only their transformer has.
_OF_GRAPHS = ("merge_tol", "neighbor_ties")


def unknown_parameter(name: str, estimator: str, known: Collection[str]) -> str:
    """Return what is wrong with a name that no parameter has, and which one may be meant."""
    what = f"Invalid parameter {name!r} for estimator {estimator}"
    if hasattr(NetParameters, name):
        return f"{what}; it goes into net_params={{{name!r}: ...}}"
    if name in _OF_GRAPHS:
        return f"{what}; it is one of CrystalGraphTransformer, whose graphs the estimator takes"
    candidates = [_OTHER_NAMES.get(name), *get_close_matches(name, known, 1)]
    if meant := next(filter(None, candidates), None):
        return f"{what}; {meant} is what you may mean"
    return f"{what}. Valid parameters are: {', '.join(known)}"


def with_net_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with those in `net_params` beside them; what is skorch's stays in it."""
    given = dict(params.get("net_params") or {})
    own = {each.name: given.pop(each.name, each.default) for each in fields(NetParameters)}
    return {**params, **own, "net_params": given or None}


def all_declared(parameters: Any) -> dict[str, Parameter]:
    """Return what is declared of the parameters of an estimator, those of `net_params` included."""
    return declared(parameters) | declared(NetParameters)


def made_with(parameters: Any) -> set[str]:
    """Return the names of the parameters that a fitted estimator keeps."""
    return {name for name, each in all_declared(parameters).items() if each.change is not None}


def may_be_in_file(name: str) -> bool:
    """Tell whether a model file may hold an entry of `net_params`."""
    own = declared(NetParameters)
    return own[name].in_file if name in own else name.startswith("optimizer__")
