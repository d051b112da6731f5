"""Outputs for new targets, fitted to what a pretrained network says of the training crystals."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skcgcnn._parameter_lists import with_net_params
from skcgcnn._parameters import SIZES, NetParameters
from skcgcnn._recipes import is_auto
from skcgcnn._text import listed
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators._features import MANY_TARGETS, embeddings
from skcgcnn.estimators._net import set_lr
from skcgcnn.estimators._persistence import set_model_state
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.estimators._transfer import is_default, read_source
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import CrystalGraphConvNet
from skcgcnn.tasks import FloatArray, Task, output_slices

# What `init_from="auto"` starts from, and the parameters that must be as usual for it.
GENERAL = "chgnet-distilled"
_AS_USUAL = ("recipe", *SIZES, "heads", "composition_baseline", "element_embedding")
# With more crystals, a network learns differences that the general model hardly sees: between
# polymorphs of carbon, or supercells with vacancies, whose embeddings have standard deviations of
# 0.09 and 0.05, where those of perovskites have 0.3 (benchmarks/results/pretrained.md).
_MOST_ALIKE, _ALIKE, _SAMPLE = 120, 0.2, 300
# Where crystals are much alike, the outputs need large weights, with which every step of the layers
# before them changes much: above this norm, steps are smaller.
_LARGEST_NORM = 3.0


def choose_start(est: Any, graphs: CrystalGraphs) -> ModelState | None:
    """Return the model that a new fit starts from; None where it starts from scratch.

    It is read once for all of a fit, so that a file which is replaced meanwhile is not mixed with
    another. "auto" is the general model, where its head fits too, with graphs and sizes as usual,
    and where it tells the crystals apart, or they are too few to learn that.
    """
    if not is_auto(est.init_from):
        return None if est.init_from is None else read_source(est.init_from)
    params = with_net_params(est.get_params(deep=False))
    usual = {each.name: each.default for each in (*fields(est), *fields(NetParameters))}
    if others := [n for n in _AS_USUAL if n in usual and not is_default(params[n], usual[n])]:
        if "recipe" not in others:  # the paper's is from scratch
            _say_from_scratch(f"{others[0]}={params[others[0]]!r} is not that model's")
        return None
    source = read_source(GENERAL)
    if graphs.options.global_features:
        numbers = listed(graphs.options.global_features, most=3)
        _say_from_scratch(f"that model takes no numbers beside crystals ({numbers})")
        return None
    others = [n for n in source.graph_options.differences(graphs.options) if n != "neighbor_ties"]
    if others:
        _say_from_scratch(f"{others[0]} of the graphs is not that model's")
        return None
    if len(graphs) > _MOST_ALIKE:
        rows = np.sort(np.random.default_rng(0).permutation(len(graphs))[:_SAMPLE])
        spread = _source_embeddings(est, source, graphs[rows]).std(axis=0)
        if np.median(spread) < _ALIKE:
            return None
    return source


def _say_from_scratch(why: str) -> None:
    warn_caller(
        f"training starts from scratch and not from {GENERAL!r}, because {why}: with few crystals "
        "errors are often larger. init_from=None (--init-from none) is the same without this "
        "warning",
        once=True,
    )


def _source_embeddings(est: Any, source: ModelState, graphs: CrystalGraphs) -> FloatArray:
    """Return the embeddings of crystals by the model that training starts from."""
    model = source_model(est, source)
    model.graph_options_ = graphs.options  # of which the ties of neighbors may differ
    return embeddings(model, graphs, with_targets=True)


def first_to_choose(est: Any, n_epochs: int) -> int:
    """Return the first of the epochs, from 1, among which validation crystals choose one.

    From a general model networks hardly overfit, and the luck of few validation crystals while
    steps are large costs 2 to 7 % (benchmarks/results/best_epoch.md).
    """
    return 1 + (3 * n_epochs // 4 if _has_general_net(est) else 0)


def goes_to_end(est: Any) -> bool:
    """Tell whether a fit is so short that early stopping lets it go to its end."""
    return _has_general_net(est) and is_auto(est.n_iter_no_change)


def _has_general_net(est: Any) -> bool:
    return bool(est.net_.module_.trained.architecture["fixed_norm"])


def is_general(source: ModelState | None) -> bool:
    """Tell whether a model was trained on so many targets that any other may follow from them."""
    if source is None:
        return False
    return len(source.targets) >= MANY_TARGETS and not source.more_weights


def descends(source: ModelState | None) -> bool:
    """Tell whether a model is a general one, or began with one, as that of a default fit."""
    return is_general(source) or (source is not None and source.network["fixed_norm"])


def has_general_head(sizes: Mapping[str, Any], source: ModelState | None) -> bool:
    """Tell whether a network has the hidden layers of a general model, and pools as that does."""
    names = (*SIZES, "n_globals", "heads")
    if source is None or not descends(source):
        return False
    return all(sizes[name] == source.network[name] for name in names)


def source_model(est: Any, source: ModelState) -> Any:
    """Return an estimator like another, with the model that this starts from."""
    model = clone(est).set_params(init_from=None, callbacks=None)
    set_model_state(model, source)
    return model


def start_head(
    est: Any,
    net: CrystalGraphConvNet,
    targets: Sequence[Task],
    source: ModelState,
    data: TrainingData,
) -> None:
    """Give a network outputs that are linear functions of a general model's embeddings.

    They are those of `Task.linear_outputs`. From another model nothing changes.

    Parameters
    ----------
    est : estimator
        Whose network it is.
    net : CrystalGraphConvNet
        With the convolutions and the hidden layers of the pretrained network; changed in place.
    targets : sequence of Task
        Its targets.
    source : ModelState
        The model that training starts from.
    data : TrainingData
        The crystals.
    """
    if not has_general_head(net.architecture, source):
        return
    rows = _source_embeddings(est, source, data.graphs)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    features = (rows - mean) / deviation
    for values, target, outputs in zip(data.values.T, targets, output_slices(targets), strict=True):
        known = ~np.isnan(values)
        weights = data.weights[known]
        if (found := target.linear_outputs(features[known], values[known], weights)) is None:
            continue
        places = [outputs.start + place for place in found.places]
        per_output = found.coefficients / deviation
        starts = found.starts - per_output @ mean
        _set_outputs(net, source, places, per_output, starts, found.left)


def slower(est: Any, net: Any, source: ModelState, lr: float) -> float:
    """Lower the learning rate of a net, if it is "auto", where the outputs have large weights.

    Parameters
    ----------
    est : estimator
        Whose network it is.
    net : GraphNet
        Initialized, with its outputs.
    source : ModelState
        The model that training starts from.
    lr : float
        Its learning rate.

    Returns
    -------
    float
        The new one.
    """
    trained = net.module_.trained
    if not is_auto(est.lr) or not has_general_head(trained.architecture, source):
        return lr
    scale = 1.0 if trained.baseline is None else trained.baseline.scale.unsqueeze(1)
    norm = float((trained.head.fc_out.weight.detach() * scale).norm(dim=1).max())
    found = lr * _LARGEST_NORM / max(norm, _LARGEST_NORM)
    set_lr(net, found)
    return found


def _set_outputs(
    net: CrystalGraphConvNet,
    source: ModelState,
    places: list[int],
    coefficients: FloatArray,
    starts: FloatArray,
    left: float,
) -> None:
    """Make outputs of a network linear functions of the embeddings of the pretrained one.

    Its outputs are linear functions of its last hidden layer and of the composition.
    """
    kind = net.head.fc_out.weight.dtype
    known = {name: tensor.double() for name, tensor in source.weights.items()}
    weights, bias = known["head.fc_out.weight"], known["head.fc_out.bias"]
    n_hidden = weights.shape[1]
    of_hidden = torch.from_numpy(coefficients[:, :n_hidden])
    combined = torch.from_numpy(coefficients[:, n_hidden:])
    start = torch.from_numpy(starts)
    baseline: Any = net.baseline
    with torch.no_grad():
        if baseline is None:
            net.head.fc_out.weight[places] = (combined @ weights + of_hidden).to(kind)
            net.head.fc_out.bias[places] = (combined @ bias + start).to(kind)
            return
        scaled = combined * known["baseline.scale"]
        net.head.fc_out.weight[places] = ((scaled @ weights + of_hidden) / left).to(kind)
        net.head.fc_out.bias[places] = (scaled @ bias / left).to(kind)
        baseline.weight[places] = (combined @ known["baseline.weight"]).to(kind)
        baseline.bias[places] = (combined @ known["baseline.bias"] + start).to(kind)
        baseline.scale[places] = left
