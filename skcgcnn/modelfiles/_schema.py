"""What a model file may hold: everything is checked before anything is built from it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skcgcnn._declared import Choice, Parameter, declared
from skcgcnn._parameter_lists import OF_ESTIMATORS, all_declared, may_be_in_file
from skcgcnn._parameters import NetParameters
from skcgcnn._recipes import is_auto
from skcgcnn.crystals import MAX_LENGTH
from skcgcnn.graphs import check_options
from skcgcnn.modelfiles._pretrained import is_start
from skcgcnn.modelfiles._state import ModelState
from skcgcnn.nn import CrystalGraphConvNet

_MOST_FEATURES = 100_000
_MOST_TARGETS = 10_000
_MOST_ELEMENTS = 200


def check_state(state: ModelState) -> None:
    """Check a state that comes from a file.

    Raises
    ------
    TypeError, ValueError
        If a value cannot be right.
    """
    if state.estimator not in OF_ESTIMATORS:
        raise ValueError(f"holds a {state.estimator!r}, which this version does not know")
    parameters = OF_ESTIMATORS[state.estimator]
    known = declared(parameters)
    _check_params(state.params, known)
    _check_features(state.params.get("atom_features"))
    _check_training(state.params)
    _check_params(state.auto, all_declared(parameters))
    if any(map(is_auto, state.auto.values())):
        raise ValueError('a value of a fit is "auto"')
    _check_targets(state)
    _check_architecture(state.network)
    check_options(state.graph_options)
    _check_integer("n_features", state.graph_options.n_features, _MOST_FEATURES)
    for weights in (state.weights, *state.more_weights):
        check_tensors(weights)
    if state.training is not None:
        check_tensors(state.training.weights)
        _check_best(state.training.best, state.weights)


def _check_params(params: Mapping[str, Any], known: Mapping[str, Parameter]) -> None:
    if unknown := sorted(set(params) - known.keys()):
        raise ValueError(f"unknown parameters: {', '.join(unknown)}")
    for name, value in params.items():
        parameter = known[name]
        if parameter.most is not None:
            _check_integer(name, value, parameter.most)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}={value}")
        if all(isinstance(each, Choice) for each in parameter.allowed):
            words = {word for each in parameter.allowed for word in each}
            if not isinstance(value, str) or value not in words:
                raise ValueError(f"{name}={value!r}")
    if "radius" in params:
        _check_radius(params["radius"])


def _check_architecture(network: Mapping[str, Any]) -> None:
    expected = CrystalGraphConvNet(1, seed=0).architecture
    if set(network) != set(expected):
        raise ValueError(f"a network with {sorted(network)}")
    for name, value in network.items():
        if name == "radius":
            _check_radius(value)
        elif name == "heads":
            for n_outputs in value or ():
                _check_integer(name, n_outputs, _MOST_FEATURES)
        elif isinstance(expected[name], int) and not isinstance(expected[name], bool):
            _check_integer(name, value, _MOST_FEATURES)
        elif type(value) is not type(expected[name]):
            raise TypeError(f"{name}={value!r}")


def _check_training(params: Mapping[str, Any]) -> None:
    given = params.get("net_params") or {}
    for name in given:
        if not may_be_in_file(name):
            raise ValueError(f"net_params of a file may not hold {name!r}")
    own = declared(NetParameters)
    _check_params({name: value for name, value in given.items() if name in own}, own)
    if params.get("callbacks"):
        raise ValueError("a file has no callbacks")
    if not is_start(params.get("init_from")):
        raise ValueError("init_from of a file may be the name of a pretrained model alone")


def _check_features(features: Any) -> None:
    if features is None:
        return
    if not isinstance(features, Mapping) or len(features) > _MOST_ELEMENTS:
        raise ValueError("atom_features of a file may be a table of elements alone")
    if not all(isinstance(row, list) and len(row) <= _MOST_FEATURES for row in features.values()):
        raise ValueError("atom_features: expected a list of numbers for every element")


def _check_targets(state: ModelState) -> None:
    if not 1 <= len(state.targets) <= _MOST_TARGETS:
        raise ValueError(f"{len(state.targets)} targets")
    kinds = {target.kind for target in state.targets}
    single = {"CGCNNRegressor": "regression", "CGCNNClassifier": "classification"}
    if state.estimator in single and kinds != {single[state.estimator]}:
        raise ValueError(f"a {state.estimator} with targets of {' and '.join(sorted(kinds))}")
    if state.y_ndim not in {1, 2} or (state.y_ndim == 1 and len(state.targets) > 1):
        raise ValueError(f"y_ndim={state.y_ndim} with {len(state.targets)} targets")
    for target in state.targets:
        target.check()


def _check_integer(name: str, value: Any, most: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= (most or 0):
        raise ValueError(f"{name}={value!r}")


def _check_best(best: Mapping[str, Tensor] | None, weights: Mapping[str, Tensor]) -> None:
    """Check that the network of the best epoch is like that of the last one."""
    if best is None:
        return
    check_tensors(best)
    kinds = [{name: (t.shape, t.dtype) for name, t in each.items()} for each in (best, weights)]
    if kinds[0] != kinds[1]:
        raise ValueError("the network of the best epoch has other layers than that of the last one")


def _check_radius(radius: Any) -> None:
    if isinstance(radius, bool) or not isinstance(radius, (int, float)):
        raise TypeError(f"radius={radius!r}")
    if not 0 < radius <= MAX_LENGTH:
        raise ValueError(f"radius={radius:g} Å is out of range")


def check_tensors(weights: Mapping[str, Any]) -> None:
    """Check that weights are finite real numbers, and no more than the file holds.

    Raises
    ------
    TypeError, ValueError
        If they are not.
    """
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise TypeError(f"{name} is not a tensor of numbers")
        size = tensor.numel() * tensor.element_size()
        if not tensor.is_contiguous() or tensor.untyped_storage().nbytes() < size:
            raise ValueError(f"{name} is smaller in the file than its shape says")
        if name.endswith("num_batches_tracked"):
            continue
        if not tensor.is_floating_point():
            raise TypeError(f"{name} is of {tensor.dtype}, not of real numbers")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds a number that is not finite")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ValueError(f"{name} holds a negative variance")
