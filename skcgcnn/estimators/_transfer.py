"""Start from the weights of another model, and keep some of them as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from typing import Any

import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from skcgcnn._parameters import SIZES, NetParameters, Parameters
from skcgcnn.estimators._persistence import model_state
from skcgcnn.estimators._units import check_units_beside
from skcgcnn.graphs import GraphOptions
from skcgcnn.modelfiles import (
    PRETRAINED,
    SHIPPED,
    ModelState,
    find_model,
    read_model_file,
)
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import Task, output_slices

_SIZES = (*SIZES, "heads")
_GRAPH = ("radius", "max_num_nbr", "atom_features")
_DEFAULTS = {each.name: each.default for each in (*fields(Parameters), *fields(NetParameters))}
# What must be the same for the convolutions to be copied, as messages call it.
_MUST_FIT = {
    "conv": "conv",
    "atom_fea_len": "atom_fea_len",
    "n_conv": "n_conv",
    "orig_atom_fea_len": "the number of atom_features",
    "radius": "radius",
}
# The hidden layers of the head; its outputs are copied target by target.
_HIDDEN = ("head.norm.", "head.conv_to_fc.", "head.fcs.", "head.globals.")


def read_source(init_from: Any) -> ModelState:
    """Read what the parameter `init_from` names."""
    if isinstance(init_from, Parameters):
        if not hasattr(init_from, "net_"):
            raise NotFittedError(f"{_name(init_from, ' is a ')} that is not fitted; fit it first")
        return model_state(init_from)
    if isinstance(init_from, ModelState):
        return init_from
    expected = (
        "expected a fitted estimator of skcgcnn, a path, or one of "
        f"{', '.join([*SHIPPED, *PRETRAINED])}"
    )
    if not isinstance(init_from, (str, PathLike)):
        raise TypeError(f"{_name(init_from, ' is a ')}; {expected}")
    return read_model_file(find_model(init_from))


def sizes_of(state: ModelState) -> dict[str, Any]:
    """Return the parameters that an estimator shares with a model which it starts from."""
    sizes = dict(state.network)
    sizes["heads"] = "shared" if sizes["heads"] is None else "separate"
    # A file need not name what has its default value.
    graph = {name: state.params[name] for name in _GRAPH if name in state.params}
    graph["max_num_nbr"] = state.graph_value("max_num_nbr")
    return {name: sizes[name] for name in _SIZES} | graph


def with_architecture(params: dict[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of an estimator with the sizes of the model that it starts from.

    What has not its default was set, and stays. `found` are the sizes.
    """
    taken = {
        name: found[name]
        for name in (*_SIZES, *_GRAPH)
        if name in found and is_default(params[name], _DEFAULTS[name])
    }
    return params | taken


def is_default(value: Any, default: Any) -> bool:
    """Tell whether a parameter was not set; some hold arrays, which do not compare."""
    return type(value) is type(default) and bool(value == default)


def transfer_weights(
    net: CrystalGraphConvNet,
    targets: Sequence[Task],
    source: ModelState,
    init_from: Any,
    options: GraphOptions,
) -> None:
    """Give a network the weights of another model where they fit.

    Embedding and convolutions are copied, and must fit. The hidden layers of the head are
    copied if they are of the same size, and then the outputs of every target that the other
    model has too, of the same kind and number of classes; the rest of the head stays new. So does
    all of it where the numbers beside each crystal are not the same; in other units they are
    refused, for their scale is copied too.
    """
    _check_fit(net, source, _name(init_from, "="))
    own = net.state_dict()
    parts = ["embedding.weight", "embedding.bias", "bond_embedding.", "convs.", "pooling."]
    same_tasks = net.architecture["heads"] is None or (
        len(targets) == len(source.targets) and all(map(Task.same_outputs, targets, source.targets))
    )
    same_numbers = source.graph_options.global_features == options.global_features
    if same_tasks and same_numbers and _head_shape(own) == _head_shape(source.weights):
        check_units_beside(_name(init_from, "="), source.graph_options, options)
        parts += _HIDDEN
        _transfer_outputs(net, targets, source)
    with torch.no_grad():
        for name, tensor in own.items():
            # Files from before torch 0.4.1 do not count batches.
            if name.startswith(tuple(parts)) and name in source.weights:
                tensor.copy_(source.weights[name])
        if net.embedding.elements is not None:
            # Its kinds come first, those of the new crystals after them.
            learned = source.weights["embedding.elements.weight"]
            own_vectors = net.embedding.elements.weight
            own_vectors[: len(learned)] = learned.to(own_vectors)


def pair_targets(targets: Sequence[Task], known: Sequence[Task]) -> list[int] | None:
    """Return which target of another model each target is, in the order of the targets.

    Kind, classes and units decide; None where one of them is not there.
    """
    free, found = list(range(len(known))), []
    for target in targets:
        same = [i for i in free if target.same_values(known[i])]
        if not same:
            return None
        free.remove(same[0])
        found.append(same[0])
    return found


def start_outputs(
    net: CrystalGraphConvNet, targets: Sequence[Task], starts: Sequence[float]
) -> None:
    """Set the biases of the outputs with which training begins."""
    with torch.no_grad():
        for rows, start in zip(output_slices(targets), starts, strict=True):
            net.head.fc_out.bias[rows.start] = start


def n_frozen_layers(freeze: str | int, n_conv: int, *, begun: bool) -> int:
    """Return how many layers stay as they are, counted from the input.

    0 for none, 1 for the embedding, 1 + i for i convolutions as well. `begun` tells whether there
    are weights worth keeping: of another model, or of an earlier fit.
    """
    if not begun and freeze not in ("none", 0):
        raise ValueError(
            f"freeze={freeze!r} without init_from would keep random weights; pass the model to "
            "start from as init_from"
        )
    if isinstance(freeze, str):
        return {"none": 0, "convs": 1 + n_conv}[freeze]
    if freeze > 1 + n_conv:
        raise ValueError(
            f"freeze={freeze}, but with n_conv={n_conv} there are {1 + n_conv} layers to freeze: "
            "the embedding and the convolutions"
        )
    return freeze


def _name(init_from: Any, verb: str) -> str:
    """Return the name of the model in messages."""
    if isinstance(init_from, (str, PathLike)):
        return f"init_from{verb}{str(init_from)!r}"
    kind = init_from.estimator if isinstance(init_from, ModelState) else type(init_from).__name__
    return f"init_from{verb}{kind}"


def _check_fit(net: CrystalGraphConvNet, source: ModelState, name: str) -> None:
    own, other = net.architecture, source.network
    wrong = [
        f"{_MUST_FIT[size]} is {other[size]} there and {own[size]} here"
        for size in _MUST_FIT
        if other[size] != own[size]
    ]
    if wrong:
        raise ValueError(
            f"{name} does not fit: {'; '.join(wrong)}. Leave these out, to take them from the model"
        )


def _head_shape(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    shapes = {name: tensor.shape for name, tensor in weights.items() if name.startswith(_HIDDEN)}
    return shapes | {"h_fea_len": weights["head.fc_out.weight"].shape[1:]}


def _transfer_outputs(
    net: CrystalGraphConvNet, targets: Sequence[Task], source: ModelState
) -> None:
    free = list(zip(source.targets, output_slices(source.targets), strict=True))
    with torch.no_grad():
        for target, rows in zip(targets, output_slices(targets), strict=True):
            match = next((entry for entry in free if target.same_outputs(entry[0])), None)
            if match is None:
                continue
            free.remove(match)
            for own, name in (
                (net.head.fc_out.weight, "head.fc_out.weight"),
                (net.head.fc_out.bias, "head.fc_out.bias"),
            ):
                own[rows] = source.weights[name][match[1]].to(own)
