"""Recipes: what parameters with the value "auto" stand for.

It imports neither torch nor scikit-learn, so that the command line can show the values at once.
"""

import math
from collections.abc import Mapping
from typing import Any

AUTO = "auto"

RECIPES: dict[str, dict[str, Any]] = {
    # Chosen by trials on perovskites and Li vacancies; benchmarks/accuracy.py measures it.
    "default": {
        "conv": "edge",
        "composition_baseline": True,
        "dropout": 0.1,
        "lr": 0.004,
        "schedule": "one_cycle",
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "max_grad_norm": 5.0,
        "loss": "mae",
        "ema_decay": 0.995,
    },
    # Xie & Grossman (2018): the defaults of the original code.
    "paper": {
        "conv": "gated",
        "composition_baseline": False,
        "element_embedding": False,
        "dropout": 0.0,
        "lr": 0.01,
        "schedule": "constant",
        "optimizer": "sgd",
        "weight_decay": 0.0,
        "max_grad_norm": None,
        "loss": "mse",
        "ema_decay": 0.0,
        "batch_size": 256,
        "max_epochs": 30,
    },
}

# What stands for "auto" in the default recipe where training starts from a general model, up to
# these numbers of crystals: longer fits are no better, and dropout, which the model does not know,
# hinders (benchmarks/results/pretrained.md).
_FROM_GENERAL: tuple[tuple[dict[str, Any], float], ...] = (
    ({"dropout": 0.0, "lr": 1e-3, "max_epochs": 40, "batch_size": 32}, 1000),
    ({"dropout": 0.0, "lr": 2e-3, "max_epochs": 80}, 2000),
    ({"dropout": 0.0, "lr": 2e-3, "max_epochs": 56}, math.inf),
)
# The learning rate of the default recipe from weights that were trained before: with the one for
# new weights they forget much of what they know (examples/06_fine_tuning.py).
_FINE_TUNING_LR = 0.001
# Crystals per batch, up to these numbers of crystals.
_BATCH_SIZES = ((8, 100), (32, 1000), (64, math.inf))
# Steps of a fit, and the epochs that they may take.
_STEPS = 4800
_FEWEST_EPOCHS, _MOST_EPOCHS = 60, 300
# Epochs without a lower validation loss before training stops: a share, and no fewer than.
_PATIENCE, _LEAST_PATIENCE = 1 / 3, 10
# With fewer crystals, most elements are in too few of them to learn features of their own.
_FEWEST_FOR_ELEMENTS = 500


def is_auto(value: Any) -> bool:
    """Tell whether a parameter has the value "auto"; some hold arrays, which do not compare."""
    return isinstance(value, str) and value == AUTO


def _goes_on(params: Mapping[str, Any]) -> bool:
    """Tell whether convolutions that were trained before are trained on."""
    return params.get("init_from") is not None and params.get("freeze") != "convs"


def resolve(params: Mapping[str, Any], n_crystals: int, *, general: bool = False) -> dict[str, Any]:
    """Return parameters with values in the place of "auto".

    Parameters
    ----------
    params : mapping
        Parameters of an estimator, with `recipe`.
    n_crystals : int
        Number of crystals to train on.
    general : bool, default=False
        Whether training starts from a general model.

    Examples
    --------
    >>> params = {"recipe": "default", "lr": 0.001, "batch_size": "auto", "max_epochs": "auto"}
    >>> resolve(params, 60)
    {'recipe': 'default', 'lr': 0.001, 'batch_size': 8, 'max_epochs': 300}
    """
    recipe = RECIPES[params["recipe"]]
    general = general and params["recipe"] == "default"
    if general:
        recipe = recipe | next(values for values, most in _FROM_GENERAL if n_crystals <= most)
    elif params["recipe"] == "default" and _goes_on(params):
        recipe = recipe | {"lr": _FINE_TUNING_LR}
    found = {
        name: recipe.get(name, value) if is_auto(value) else value for name, value in params.items()
    }
    if is_auto(found.get("batch_size")):
        # Small batches where there are few crystals: it is steps that they lack.
        found["batch_size"] = next(size for size, most in _BATCH_SIZES if n_crystals <= most)
    if is_auto(found.get("max_epochs")):
        steps = math.ceil(n_crystals / found["batch_size"])
        found["max_epochs"] = min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, math.ceil(_STEPS / steps)))
    if is_auto(found.get("n_iter_no_change")):
        patience = max(_LEAST_PATIENCE, math.ceil(found["max_epochs"] * _PATIENCE))
        # From a general model errors fall to the end.
        found["n_iter_no_change"] = found["max_epochs"] if general else patience
    if is_auto(found.get("element_embedding")):
        found["element_embedding"] = n_crystals >= _FEWEST_FOR_ELEMENTS
    return found
