"""What the constructor parameters that the estimators share may be."""

from numbers import Integral, Real
from typing import Any

import torch

from skcgcnn._recipes import RECIPES
from skcgcnn._sklearn import N_JOBS, HasMethods, Interval, StrOptions
from skcgcnn.estimators._net import OPTIMIZERS
from skcgcnn.graphs import MAX_MERGE_TOL

_AUTO = StrOptions({"auto"})

CONSTRAINTS: dict[str, Any] = {
    "recipe": [StrOptions(set(RECIPES))],
    "conv": [StrOptions({"auto", "edge", "gated"})],
    "pooling": [StrOptions({"mean", "sum", "attention"})],
    "reference": ["boolean", _AUTO],
    "element_embedding": ["boolean", _AUTO],
    "atom_fea_len": [Interval(Integral, 1, None, closed="left")],
    "n_conv": [Interval(Integral, 0, None, closed="left")],
    "h_fea_len": [Interval(Integral, 1, None, closed="left")],
    "n_h": [Interval(Integral, 1, None, closed="left")],
    "heads": [StrOptions({"shared", "separate"})],
    "dropout": [Interval(Real, 0, 1, closed="left"), _AUTO],
    "radius": [Interval(Real, 0, None, closed="neither")],
    "max_num_nbr": [Interval(Integral, 1, None, closed="left")],
    "atom_features": "no_validation",  # the transformer tells what is wrong with it
    "neighbor_ties": [StrOptions({"invariant", "official"})],
    "merge_tol": [Interval(Real, 0, MAX_MERGE_TOL, closed="right"), None],
    "lr": [Interval(Real, 0, None, closed="neither"), _AUTO],
    "schedule": [StrOptions({"auto", "one_cycle", "constant"})],
    "max_epochs": [Interval(Integral, 1, None, closed="left"), _AUTO],
    "batch_size": [Interval(Integral, 1, None, closed="left"), _AUTO],
    "max_batch_sites": [Interval(Integral, 1, None, closed="left"), None],
    "optimizer": [StrOptions({"auto", *OPTIMIZERS}), callable],
    "weight_decay": [Interval(Real, 0, None, closed="left"), _AUTO, None],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), _AUTO, None],
    "loss": [StrOptions({"auto", "mse", "mae", "huber", "gaussian_nll"})],
    "ema_decay": [Interval(Real, 0, 1, closed="left"), _AUTO],
    "callbacks": [list, None],
    "device": [str, torch.device],
    "accelerator": [HasMethods(["prepare", "reduce", "unwrap_model"]), None],
    "precision": [StrOptions({"float32", "bfloat16", "float64"})],
    "compile": ["boolean"],
    "net_params": [dict, None],
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "init_from": "no_validation",  # read_source tells what is wrong with it
    "freeze": [StrOptions({"none", "convs"}), Interval(Integral, 0, None, closed="left")],
    "conv_lr_factor": [Interval(Real, 0, None, closed="neither")],
    "warm_start": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "random_state": ["random_state"],
    "n_jobs": N_JOBS,
    "on_error": [StrOptions({"raise", "nan"})],
    "verbose": ["verbose"],
}
