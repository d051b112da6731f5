"""The net of an estimator: making it, and changing it while training goes on."""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping

from skcgcnn._parameter_lists import all_declared
from skcgcnn._parameters import NetParameters, Parameters
from skcgcnn._recipes import is_auto
from skcgcnn._sklearn import validate_parameter_constraints
from skcgcnn.estimators._constraints import constraints
from skcgcnn.nn import (
    AcceleratedNet,
    AveragedNet,
    GraphNet,
    TaskLoss,
    accelerator_of,
    choose_device,
)
from skcgcnn.tasks import LOSSES, TargetDecoder

_LOGGER = logging.getLogger("skcgcnn")

# What a net takes under the same names, and what of it may change while training goes on.
_OF_NET = {name: each for name, each in all_declared(Parameters).items() if each.of_net}
_OF_TRAINING = [name for name, each in _OF_NET.items() if each.change == "free"]
_CALLBACKS = ("callbacks", "early_stopping", "n_iter_no_change")

# Whether values are learned with numbers of their own, which a network has or has not.
_LEARNS: dict[str, Callable[[Any], bool]] = {
    "loss": lambda loss: LOSSES[loss].has_variance,
    "cls_weight": is_auto,
}
_NET_CONSTRAINTS = constraints(NetParameters)

# What `net_params` may hold; the rest has a parameter of the estimator, or would have no effect.
_NET_OPTIONS = ("optimizer__", "callbacks__", "compile__")
_HAVE_PARAMETERS = {
    "optimizer__lr": "lr",
    "optimizer__weight_decay": "weight_decay",
    "criterion__loss": "loss",
    "criterion__cls_weight": "cls_weight",
    "callbacks__early_stopping__patience": "n_iter_no_change",
}

OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "adam": (torch.optim.Adam, {"fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True, "momentum": 0.9}),
}


def make_net(
    est: Any,
    sizes: dict[str, Any],
    params: Mapping[str, Any],
    decoder: TargetDecoder,
    seed: int,
    *,
    fall_back: bool = False,
) -> GraphNet:
    """Return a net that is not initialized.

    `sizes` are arguments of `CrystalGraphConvNet`, `params` the other parameters: of the estimator
    or of an earlier fit. `fall_back` uses the CPU where the device is not there.
    """
    optimizer: Any = params["optimizer"]
    options: dict[str, Any] = {}
    if isinstance(optimizer, str):
        optimizer, options = OPTIMIZERS[optimizer][0], dict(OPTIMIZERS[optimizer][1])
    if params["weight_decay"] is not None:
        options["weight_decay"] = params["weight_decay"]
    arguments = {
        "module": AveragedNet,
        "module__ema_decay": params["ema_decay"],
        "module__dropout": params["dropout"],
        "module__seed": seed,
        **{f"module__{name}": size for name, size in sizes.items()},
        "criterion": TaskLoss,
        "criterion__tasks": list(decoder.targets),
        "criterion__cls_weight": params.get("cls_weight", 1.0),
        "criterion__loss": params.get("loss", "mse"),
        "optimizer": optimizer,
        **{name: params[name] for name in _OF_NET},
        "callbacks": _callbacks(est, params),
        "train_split": None,
        "device": choose_device(est.device, fall_back=fall_back),
        "verbose": est.verbose,
        "seed": seed,
        "decay_biases": not isinstance(params["optimizer"], str),
        "decoder": decoder,
        **{f"optimizer__{name}": value for name, value in options.items()},
    }
    arguments |= params["net_params"] or {}
    if groups := _param_groups(params):
        arguments["optimizer__param_groups"] = groups
    if (accelerator := accelerator_of(est.device)) is None:
        return GraphNet(**arguments)
    return AcceleratedNet(accelerator=accelerator, **arguments)


def usual_weight_decay(optimizer: Any, usual: float) -> float | None:
    """Return the weight decay of a recipe for an optimizer, a name or a class.

    None is that of the optimizer: where it has no such option, and where the recipe's is for AdamW.
    In other optimizers it is a part of the gradient, and as much of it hinders learning.
    """
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[optimizer][0]
    if usual:
        is_adamw = isinstance(optimizer, type) and issubclass(optimizer, torch.optim.AdamW)
        return usual if is_adamw else None
    options = inspect.signature(optimizer).parameters.values()
    takes = any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in options)
    return usual if takes else None


def check_net_params(params: Mapping[str, Any], estimator: str) -> None:
    """Refuse what `net_params` is not for."""
    given = {str(name): value for name, value in (params["net_params"] or {}).items()}
    known = {name: given.pop(name) for name in _NET_CONSTRAINTS if name in given}
    validate_parameter_constraints(_NET_CONSTRAINTS, known, f"{estimator}'s net_params")
    for name in given:
        own = name if name in params else _HAVE_PARAMETERS.get(name)
        own = own if own in params else None
        if own is not None or not name.startswith(_NET_OPTIONS):
            advice = f"set {own}= of the estimator" if own else "see the estimator's parameters"
            raise ValueError(
                f"net_params holds {name!r}; it is for {', '.join(_NET_CONSTRAINTS)}, and options "
                f"of skorch ({', '.join(prefix + '...' for prefix in _NET_OPTIONS)}). Instead, "
                f"{advice}"
            )


def _callbacks(est: Any, params: Mapping[str, Any]) -> list[Any]:
    for callback in est.callbacks or []:
        bare = callback[1] if isinstance(callback, tuple) and len(callback) == 2 else callback
        kind = bare if isinstance(bare, type) else type(bare)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks holds {callback!r}; expected callbacks of skorch, or pairs of a name "
                "and a callback"
            )
    callbacks = list(est.callbacks or [])
    if params["early_stopping"]:
        patience = params["n_iter_no_change"]
        stopping = EarlyStopping(patience=patience, threshold=0, sink=_LOGGER.info)
        callbacks.append(("early_stopping", stopping))
    return callbacks


def update_net(est: Any, params: Mapping[str, Any]) -> None:
    """Give the net of an estimator the parameters that may change while training goes on."""
    made_with, parameters = est.fitted_params_, all_declared(est)
    of_graphs = est.graph_options_.parameters()
    for name in sorted(made_with):
        values = _plain(params[name]), _plain(made_with[name])
        if name == "max_num_nbr" and params[name] == of_graphs[name]:
            continue  # it now says what the graphs had been made with
        fixed = parameters[name].change == "never" or (
            name in _LEARNS and _LEARNS[name](values[0]) != _LEARNS[name](values[1])
        )
        if fixed and values[0] != values[1]:
            raise ValueError(
                f"{name} was {made_with[name]!r} when the network was made, and is "
                f"{params[name]!r} now; training cannot continue with another value. "
                "Set it back, or fit with warm_start=False"
            )
    net, module = est.net_, est.net_.module_
    net.set_params(verbose=est.verbose, **{name: params[name] for name in _OF_TRAINING})
    if params["weight_decay"] is None and made_with["weight_decay"] is not None:
        raise ValueError("weight_decay cannot become None while training goes on; give a number")
    set_lr(net, params["lr"])
    for group in net.optimizer_.param_groups:
        if params["weight_decay"] is not None and group.get("decays", True):
            group["weight_decay"] = params["weight_decay"]
    module.ema_decay = params["ema_decay"]
    module.trained.set_dropout(params["dropout"])
    net.criterion_.loss = params.get("loss", "mse")
    net.criterion_.cls_weight = params.get("cls_weight", 1.0)
    if any(params[name] != made_with[name] for name in _CALLBACKS):
        net.callbacks = _callbacks(est, params)
        net.initialize_callbacks()
    est.fitted_params_ = {name: params[name] for name in made_with}


def set_lr(net: GraphNet, lr: float) -> None:
    """Change the peak learning rate of a net, but where a group of parameters has its own."""
    net.set_params(lr=lr)
    for group in net.optimizer_.param_groups:
        peak = group.get("own_lr", lr * group.get("lr_factor", 1.0))
        group["lr"] = group["initial_lr"] = peak


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _param_groups(params: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return skorch's parameter groups: those of `net_params` first, then the convolutions."""
    own = (params["net_params"] or {}).get("optimizer__param_groups") or []
    groups = [(pattern, group | _own_values(group)) for pattern, group in own]
    if (factor := params["conv_lr_factor"]) != 1:
        rate = {"lr": params["lr"] * factor, "lr_factor": factor}
        groups += [(f"{part}.*", rate) for part in ("embedding", "bond_embedding", "convs")]
    return groups


def _own_values(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return marks of what a group has of its own, and keeps when `lr` or `weight_decay` change."""
    marks = {"own_lr": group["lr"]} if "lr" in group else {}
    return marks | ({"decays": False} if "weight_decay" in group else {})
