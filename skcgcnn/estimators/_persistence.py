"""Estimators as plain data and back: pickles, files, and what other models start from."""

from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from skorch.history import History

from skcgcnn._parameter_lists import made_with, with_net_params
from skcgcnn._parameters import NetParameters
from skcgcnn._recipes import is_auto, resolve
from skcgcnn._sklearn import clone_parametrized
from skcgcnn._version import __version__
from skcgcnn.estimators._net import make_net
from skcgcnn.modelfiles import (
    ModelState,
    Provenance,
    TrainingState,
    check_version,
)
from skcgcnn.nn import lasting_device
from skcgcnn.tasks import TargetDecoder

# Under this name a pickle holds the state of a fitted estimator.
_STATE = "_skcgcnn_model"
_LOSS = "loss."


def model_state(est: Any, *, training: bool = False) -> ModelState:
    """Return what a fitted estimator is; `training` adds what training needs to go on."""
    # Also while several processes train, which wrap the network.
    net, module = est.net_, est.net_.network
    # What was fitted, even if the parameters were changed since.
    params = est.get_params(deep=False) | {"device": lasting_device(est.device)}
    auto: dict[str, Any] = {}
    given, flat = dict(params["net_params"] or {}), with_net_params(params)
    for name, value in est.fitted_params_.items():
        if is_auto(flat[name]):
            # For some it is a value that stands for itself.
            auto |= {} if is_auto(value) else {name: value}
        elif name == "net_params":
            given |= value or {}
        elif not hasattr(NetParameters, name):
            params[name] = value
        elif value != flat[name]:
            given[name] = value
    params["net_params"] = given or None
    return ModelState(
        estimator=type(est).__name__,
        params=params,
        targets=est.targets_,
        y_ndim=est.y_ndim_,
        graph_options=est.graph_options_,
        network=module.average.architecture,
        weights=module.average.state_dict(),
        auto=auto,
        provenance=Provenance(
            source="estimator",
            version=__version__,
            seed=net.seed,
            n_epochs=est.n_iter_,
            n_samples=getattr(est, "n_samples_fit_", None),
            elements=est.elements_,
            history=list(net.history),
        ),
        more_weights=tuple(net.module_.average.state_dict() for net in est.more_nets_),
        training=TrainingState(
            {**module.trained.state_dict(), **_loss_state(net)},
            int(module.n_steps),
            net.optimizer_.state_dict(),
        )
        if training
        else None,
    )


def set_model_state(est: Any, state: ModelState) -> None:
    """Make an estimator the fitted one of a state; the parameters stay as they are."""
    provenance, training = state.provenance, state.training
    weights = _tensors(state.weights)
    params = resolve(with_net_params(state.params), provenance.n_samples or 1) | state.auto
    nets = []
    for member in (weights, *map(_tensors, state.more_weights)):
        net = make_net(
            est,
            state.network,
            params,
            TargetDecoder(state.targets, state.y_ndim),
            provenance.seed,
            fall_back=True,
        ).initialize()
        # The counts of batches, which nothing here needs, are new in torch 0.4.1.
        missing, unexpected = net.module_.average.load_state_dict(member, strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing or unexpected:
            raise ValueError(f"weights missing: {missing}; unexpected: {unexpected}")
        nets.append(net)
    net = nets[0]
    if training is None:
        net.module_.trained.load_state_dict(net.module_.average.state_dict())
    else:
        trained = _tensors(training.weights)
        loss = {name: trained.pop(_LOSS + name) for name in net.criterion_.state_dict()}
        net.criterion_.load_state_dict(loss)
        net.module_.trained.load_state_dict(trained)
        net.module_.n_steps.fill_(training.n_steps)
        net.optimizer_.load_state_dict(_tensors(training.optimizer))
        if isinstance(params["optimizer"], str):
            _check_optimizer(net.optimizer_)
    net.history = History(provenance.history)
    if provenance.n_samples is not None:
        est.n_samples_fit_ = provenance.n_samples
    # At once, as in a fit.
    vars(est).update(
        targets_=state.targets,
        y_ndim_=state.y_ndim,
        graph_options_=state.graph_options,
        n_iter_=provenance.n_epochs,
        elements_=provenance.elements,
        fitted_params_={
            # What training started from is known where it was "auto".
            name: params[name]
            for name in {*made_with(est) & params.keys(), *({"init_from"} & state.auto.keys())}
        },
        net_=net,
        more_nets_=nets[1:],
    )


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Check that an optimizer keeps of each weight what has its shape: torch does not look."""
    for weight in (each for group in optimizer.param_groups for each in group["params"]):
        for name, kept in optimizer.state.get(weight, {}).items():
            if not isinstance(kept, torch.Tensor):
                continue  # such as None, for no momentum so far
            is_like = kept.numel() == 1 if name == "step" else kept.shape == weight.shape
            if not is_like or not kept.is_contiguous():
                raise ValueError(
                    f"{name} of the optimizer is {tuple(kept.shape)} for a weight that is "
                    f"{tuple(weight.shape)}"
                )


def pickled(state: dict[str, Any], est: Any) -> dict[str, Any]:
    """Return the attributes of a fitted estimator as a pickle holds them."""
    state = {name: value for name, value in state.items() if name not in ("net_", "more_nets_")}
    # What goes on needs the weights that are trained, and the state of their optimizer.
    model = model_state(est, training=est.warm_start or est._in_parts)
    training = model.training and replace(
        model.training,
        weights=_arrays(model.training.weights),
        optimizer=_arrays(model.training.optimizer),
    )
    # NumPy arrays, not tensors: they load where there is no GPU, through skops too.
    state[_STATE] = replace(
        model,
        weights=_arrays(model.weights),
        more_weights=tuple(map(_arrays, model.more_weights)),
        training=training,
    )
    return state


def unpickled(state: dict[str, Any], name: str) -> tuple[dict[str, Any], ModelState | None]:
    """Return the plain attributes that a pickle holds, and the model; `name` is for messages."""
    state = dict(state)
    model = state.pop(_STATE, None)
    if model is not None:
        check_version(model.provenance.version, f"this {name}")
    return state, model


def cloned(est: Any) -> Any:
    """Return an estimator with the same parameters that is not fitted."""
    # A model to start from must stay fitted, and processes are there once; scikit-learn would
    # clone them. Callbacks have a state of their own, which fits must not share.
    kept = {"init_from": est.init_from, "device": est.device}
    kept["callbacks"] = _copied(est.callbacks)
    bare = object.__new__(type(est))
    bare.__dict__.update(est.__dict__ | dict.fromkeys(kept))
    return clone_parametrized(bare).set_params(**kept)


def _copied(callbacks: Any) -> Any:
    """Return copies of callbacks; those that belong together still do."""
    if not isinstance(callbacks, list):
        return callbacks
    copies, memo = [], dict[int, Any]()
    for callback in callbacks:
        try:
            copies.append(deepcopy(callback, memo))
        except Exception:  # noqa: BLE001 - a writer of log files, say, cannot be copied
            copies.append(copy(callback))
    return copies


def _loss_state(net: Any) -> dict[str, torch.Tensor]:
    """Return what the loss has learned, under names of its own."""
    loss = getattr(net.criterion_, "module", net.criterion_)
    return {_LOSS + name: value for name, value in loss.state_dict().items()}


def _arrays(value: Any) -> Any:
    """Return nested tensors as NumPy arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    return value


def _tensors(value: Any) -> Any:
    """Return nested NumPy arrays as tensors."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value, device="cpu")
    if isinstance(value, dict):
        return {key: _tensors(item) for key, item in value.items()}
    return value
