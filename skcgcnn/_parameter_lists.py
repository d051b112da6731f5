"""What is read from the table of parameters, see `_parameters`.

It imports neither torch nor scikit-learn.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from skcgcnn._declared import Parameter, declared, with_parameters
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


def with_net_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with those in `net_params` beside the others; in it stays what is skorch's.

    Parameters
    ----------
    params : mapping
        Parameters of an estimator.

    Returns
    -------
    dict
    """
    given = dict(params.get("net_params") or {})
    own = {each.name: given.pop(each.name, each.default) for each in fields(NetParameters)}
    return {**params, **own, "net_params": given or None}


def all_declared(parameters: Any) -> dict[str, Parameter]:
    """Return what is declared of the parameters of an estimator, those of `net_params` included."""
    return declared(parameters) | declared(NetParameters)


def made_with(parameters: Any) -> set[str]:
    """Return the names of the parameters that a fitted estimator keeps."""
    return {name for name, each in all_declared(parameters).items() if each.change is not None}


def documented(cls: type) -> type:
    """Put the parameters into the docstring of an estimator."""
    return with_parameters(cls, NetParameters, "net_params")


def may_be_in_file(name: str) -> bool:
    """Tell whether a model file may hold an entry of `net_params`."""
    own = declared(NetParameters)
    return own[name].in_file if name in own else name.startswith("optimizer__")
