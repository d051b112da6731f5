"""Weight files of the original CGCNN code (Xie & Grossman 2018)."""

from collections import OrderedDict
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from skcgcnn.graphs import GraphOptions, load_element_features
from skcgcnn.modelfiles._json import to_plain
from skcgcnn.modelfiles._state import ModelState, Provenance
from skcgcnn.modelfiles._torch_file import save_content
from skcgcnn.nn import GAUSSIAN_STEP
from skcgcnn.tasks import Classes, Number, Task

OFFICIAL = "CGCNN weights"
# What the original code reads crystals with, whatever stands in a weight file.
_GRAPH = {"radius": 8.0, "max_num_nbr": 12}
_N_OUTPUTS = {"regression": 1, "classification": 2}
_SIZES = ("atom_fea_len", "n_conv", "h_fea_len", "n_h")
_ONLY = {
    "conv": "gated",
    "pooling": "mean",
    "composition_baseline": False,
    "element_embedding": False,
    "global_features": (),
}
# Of the names of weights there, this is what is here in the head.
_HEAD = ("conv_to_fc.", "fcs.", "fc_out.")


def write_cgcnn(state: ModelState, path: str | PathLike[str]) -> None:
    """Write a model as the original code reads it: float32, and under the original's names.

    Parameters
    ----------
    state : ModelState
        With one regression target or two classes.
    path : path
        Where to write.

    Raises
    ------
    ValueError
        If the original code cannot have such a model; it names the parameter.
    """
    if state.estimator not in {"CGCNNRegressor", "CGCNNClassifier"}:
        raise ValueError(
            f"the original CGCNN has no network like a {state.estimator}'s; leave layout out"
        )
    network = {**state.network, "element_embedding": bool(state.network["n_kinds"])}
    network["global_features"] = state.graph_options.global_features
    for name, value in _ONLY.items():
        if network[name] != value:
            raise ValueError(
                f"{name}={network[name]!r}, but the original CGCNN has {name}={value!r} alone; fit "
                'with it (recipe="paper"), or leave layout out'
            )
    if state.more_weights:
        raise ValueError("the original CGCNN has one network, not an ensemble; leave layout out")
    for name, value in _GRAPH.items():
        own = state.graph_value(name) if name == "max_num_nbr" else state.params[name]
        if own != value:
            raise ValueError(f"{name}={own}, but the original code reads crystals with {value}")
    target = state.targets[0]
    n_outputs = sum(each.n_outputs for each in state.targets)
    if n_outputs != _N_OUTPUTS[target.kind]:
        raise ValueError(
            f"the original CGCNN has 1 target or 2 classes, but the model has {n_outputs}; "
            "leave layout out"
        )
    args = {"task": target.kind, "neighbor_ties": state.graph_value("neighbor_ties")}
    args |= {name: state.network[name] for name in _SIZES}
    if state.provenance.n_samples is not None:
        args["train_size"] = state.provenance.n_samples
    if target.classes is not None:
        args["classes"] = to_plain(target.classes)["values"]
    weights = OrderedDict(
        (
            name.removeprefix("head."),
            tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.cpu(),
        )
        for name, tensor in state.weights.items()
        # Files from before torch 0.4.1 do not count batches; they stay as they were.
        if not (name.endswith("num_batches_tracked") and tensor == 0)
    )
    content = {
        "epoch": state.provenance.n_epochs,
        "state_dict": weights,
        "best_mae_error": float("nan"),  # not known here
        "normalizer": {"mean": target.mean, "std": target.scale},
        "args": args,
    }
    save_content(content, path)


def read_cgcnn(content: Mapping[str, Any], name: str) -> ModelState:
    """Return the model of a weight file.

    Parameters
    ----------
    content : mapping
        What stands in the file.
    name : str
        Name of its target; the file does not tell.

    Raises
    ------
    LookupError, TypeError, ValueError
        If it is not what the original code writes.
    """
    args, weights = dict(content["args"]), dict(content["state_dict"])
    network = _network(weights)
    graph = {"radius": network["radius"], "max_num_nbr": _GRAPH["max_num_nbr"]}
    if args["task"] == "classification":
        estimator, measure = "CGCNNClassifier", "validation ROC AUC"
        classes = args.get("classes", range(network["n_outputs"]))
        target: Task = Classes(name, classes=np.array(classes))
    else:
        estimator, measure = "CGCNNRegressor", "validation MAE"
        normalizer = content["normalizer"]
        mean, scale = float(normalizer["mean"]), float(normalizer["std"])
        target = Number(name, mean=mean, scale=scale)
    best = float(content.get("best_mae_error", np.nan))
    return ModelState(
        estimator=estimator,
        params={
            "conv": "gated",
            **{size: int(args[size]) for size in _SIZES},
            **graph,
        },
        targets=(target,),
        y_ndim=1,
        graph_options=GraphOptions(
            n_features=network["orig_atom_fea_len"],
            atom_features=_fingerprint(network["orig_atom_fea_len"]),
            neighbor_ties=args.get("neighbor_ties", "official"),
            **graph,
        ),
        network=network,
        weights={
            f"head.{name}" if name.startswith(_HEAD) else name: tensor
            for name, tensor in weights.items()
        },
        provenance=Provenance(
            source=OFFICIAL,
            n_epochs=int(content["epoch"]),
            # The original's own files have None where a share of the crystals was asked for.
            n_samples=None if args.get("train_size") is None else int(args["train_size"]),
            metrics={} if np.isnan(best) else {measure: best},
        ),
    )


def _network(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that make a network for weights: the original does not store them."""
    atom_fea_len, n_features = weights["embedding.weight"].shape
    n_conv = sum(name.endswith(".fc_full.weight") for name in weights)
    n_gaussians = weights["convs.0.fc_full.weight"].shape[1] - 2 * atom_fea_len
    return {
        "orig_atom_fea_len": n_features,
        "n_outputs": len(weights["fc_out.bias"]),
        "atom_fea_len": atom_fea_len,
        "n_conv": n_conv,
        "h_fea_len": weights["fc_out.weight"].shape[1],
        "n_h": 1 + sum(name.startswith("fcs.") and name.endswith(".weight") for name in weights),
        "radius": round((n_gaussians - 1) * GAUSSIAN_STEP, 6),
        "conv": "gated",
        "pooling": "mean",
        "composition_baseline": False,
        "n_kinds": 0,
        "n_globals": 0,
        "heads": None,
        "fixed_norm": False,
    }


def _fingerprint(n_features: int) -> str | None:
    """Return that of the built-in features, which are the official ones, if they can be it."""
    builtin = load_element_features()
    return builtin.fingerprint if n_features == builtin.n_features else None
