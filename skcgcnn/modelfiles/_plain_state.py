"""All of a model's state but its tensors, as JSON has it: what our two kinds of file share."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from skcgcnn._declared import declared
from skcgcnn._parameter_lists import OF_ESTIMATORS, may_be_in_file
from skcgcnn._version import __version__
from skcgcnn._warnings import warn_caller
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import load_element_features, options_from_plain
from skcgcnn.modelfiles._json import from_plain, to_plain
from skcgcnn.modelfiles._pretrained import is_start
from skcgcnn.modelfiles._state import ModelState, Provenance, TrainingState
from skcgcnn.tasks import TASKS, Task


def state_to_plain(state: ModelState) -> dict[str, Any]:
    """Return all of a state but its weights, history and training as plain values.

    Returns
    -------
    dict
        See `skcgcnn.modelfiles.to_plain`.

    Warns
    -----
    UserWarning
        Names parameters that are left out since they are not plain values, such as callbacks.
    """
    provenance = state.provenance
    return {
        "version": __version__,
        "estimator": state.estimator,
        "params": _plain_params(state.params, state.estimator),
        "auto": to_plain(state.auto),
        "targets": [_target_to_plain(target) for target in state.targets],
        "y_ndim": state.y_ndim,
        "graph_options": asdict(state.graph_options),
        "network": dict(state.network),
        "seed": provenance.seed,
        "n_epochs": provenance.n_epochs,
        "n_samples": provenance.n_samples,
        "elements": None if provenance.elements is None else list(provenance.elements),
        "metrics": {name: float(value) for name, value in provenance.metrics.items()},
    }


def state_from_plain(
    plain: Mapping[str, Any],
    weights: dict[str, Tensor],
    source: str,
    *,
    history: list[dict[str, Any]] | None = None,
    training: TrainingState | None = None,
) -> ModelState:
    """Return the state that `state_to_plain` was given.

    Parameters
    ----------
    plain : mapping
        What `state_to_plain` returned.
    weights : dict of str to Tensor
        The network that predicts.
    source : str
        What kind of file it comes from.
    history : list of dict, optional
        Epoch by epoch.
    training : TrainingState, optional
        What training needs to go on.

    Raises
    ------
    DataError
        If a newer major version wrote it.
    LookupError, TypeError, ValueError
        If it is not what `state_to_plain` returns.
    """
    version = str(plain["version"])
    check_version(version, "the file")
    first, *more = split_members(weights)
    n_samples, elements = plain["n_samples"], plain["elements"]
    return ModelState(
        estimator=str(plain["estimator"]),
        params={str(name): from_plain(value) for name, value in plain["params"].items()},
        auto=dict(from_plain(plain.get("auto", {"dict": []}))),
        targets=tuple(_target_from_plain(target) for target in plain["targets"]),
        y_ndim=int(plain["y_ndim"]),
        graph_options=options_from_plain(plain["graph_options"]),
        network=_network(plain),
        weights=first,
        more_weights=tuple(more),
        provenance=Provenance(
            source=source,
            version=version,
            seed=int(plain["seed"]),
            n_epochs=int(plain["n_epochs"]),
            n_samples=None if n_samples is None else int(n_samples),
            elements=None if elements is None else tuple(int(z) for z in elements),
            metrics={str(name): float(value) for name, value in plain["metrics"].items()},
            history=history or (),
        ),
        training=training,
    )


def join_members(state: ModelState) -> dict[str, Tensor]:
    """Return the weights of all networks; names of those after the first begin with a number."""
    joined = dict(state.weights)
    for number, weights in enumerate(state.more_weights, 1):
        joined |= {f"{number}.{name}": tensor for name, tensor in weights.items()}
    return joined


def split_members(joined: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return what `join_members` joined: the weights of each network.

    Raises
    ------
    ValueError
        If numbers are left out.
    """
    members: dict[int, dict[str, Tensor]] = {0: {}}
    for name, tensor in joined.items():
        number, _, rest = name.partition(".")
        if number.isdecimal():
            members.setdefault(int(number), {})[rest] = tensor
        else:
            members[0][name] = tensor
    if sorted(members) != list(range(len(members))):
        raise ValueError(f"networks with the numbers {sorted(members)}")
    return [members[number] for number in range(len(members))]


def _network(plain: Mapping[str, Any]) -> dict[str, Any]:
    if "network" not in plain:
        raise DataError("was written before files held the network; fit and save it again")
    return dict(plain["network"])


def check_version(version: str, what: str) -> None:
    """Refuse what a newer major version wrote.

    Parameters
    ----------
    version : str
        The version that wrote it.
    what : str
        What it is, for the message.

    Raises
    ------
    DataError
        If its first number is higher than this version's.
    """
    theirs, ours = (int(text.partition(".")[0]) for text in (version, __version__))
    if theirs > ours:
        raise DataError(
            f"{what} was written by skcgcnn {version}, this is {__version__}; update skcgcnn"
        )


def _plain_params(params: Mapping[str, Any], estimator: str) -> dict[str, Any]:
    parameters = declared(OF_ESTIMATORS[estimator])
    plain, left_out = {}, []
    for name, value in params.items():
        if not parameters[name].in_file:
            continue
        kept = value
        if name == "init_from" and not is_start(value):
            kept = None  # it may reveal the name of a folder
        if name == "atom_features":
            kept = _embedded(value)
        elif name == "net_params" and value:
            # A file may set no more of a net: see the schema.
            kept = {key: v for key, v in value.items() if may_be_in_file(key)}
            left_out += [f"net_params[{key!r}]" for key in value if key not in kept]
        try:
            plain[name] = to_plain(kept)
        except TypeError:
            left_out.append(name)
    if left_out:
        warn_caller(f"left out of the file, since they are not plain values: {', '.join(left_out)}")
    return plain


def _embedded(atom_features: Any) -> Any:
    """Return the features themselves for a path: a model file is complete."""
    if isinstance(atom_features, (str, PathLike)):
        load_element_features(atom_features)  # says what is wrong with the file
        return json.loads(Path(atom_features).read_text(encoding="utf-8"))
    if isinstance(atom_features, Mapping):
        return {z: np.asarray(row, dtype=float).tolist() for z, row in atom_features.items()}
    return atom_features


def _target_to_plain(target: Task) -> dict[str, Any]:
    return {name: to_plain(value) for name, value in target.to_plain().items()}


def _target_from_plain(plain: Mapping[str, Any]) -> Task:
    kind = plain["kind"]
    if kind not in TASKS:
        raise ValueError(f"unknown kind of target {kind!r}")
    found: Task = TASKS[kind].from_plain({name: from_plain(v) for name, v in plain.items()})
    return found
