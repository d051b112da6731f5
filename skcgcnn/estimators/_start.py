"""A new network, with what is fitted before it learns."""

from os import PathLike
from typing import Any

from skcgcnn._parameter_lists import made_with
from skcgcnn._parameters import SIZES
from skcgcnn._recipes import is_auto
from skcgcnn.estimators._baseline import fit_baseline
from skcgcnn.estimators._elements import elements_of, set_kinds, training_kinds
from skcgcnn.estimators._head_start import GENERAL, has_general_head, is_general, slower, start_head
from skcgcnn.estimators._net import make_net
from skcgcnn.estimators._scaling import scale, scale_numbers, warn_of_coarse_sums
from skcgcnn.estimators._training_data import TrainingData
from skcgcnn.estimators._transfer import start_outputs, transfer_weights
from skcgcnn.modelfiles import ModelState
from skcgcnn.tasks import TargetDecoder


def initialize(
    est: Any,
    data: TrainingData,
    whole: TrainingData,
    source: ModelState | None,
    seed: int,
    params: dict[str, Any],
) -> None:
    """Give an estimator a new network, and what it knows before the network learns."""
    options = data.graphs.options
    targets, starts = scale(whole, params)
    sizes = {
        "orig_atom_fea_len": options.n_features,
        **{name: params[name] for name in (*SIZES, "radius")},
        "composition_baseline": params.get("composition_baseline", False),
    }
    if source is not None:
        sizes["composition_baseline"] = source.network["composition_baseline"]
    separate = params["heads"] == "separate" and len(targets) > 1
    sizes["heads"] = [target.n_outputs for target in targets] if separate else None
    sizes["n_globals"] = len(options.global_features)
    learned = params["element_embedding"] or source is not None
    kinds = training_kinds(whole.graphs, source) if learned else None
    sizes["n_kinds"] = 0 if kinds is None else len(kinds)
    sizes["n_outputs"] = sum(target.n_outputs for target in targets)
    sizes["fixed_norm"] = has_general_head({**params, **sizes}, source)
    net = make_net(est, sizes, params, TargetDecoder(targets, data.y_ndim), seed).initialize()
    warn_of_coarse_sums(targets, starts, whole.graphs, net.precision)
    trained = net.module_.trained
    if kinds is not None:
        set_kinds(trained, kinds)
    scale_numbers(trained, whole.graphs)
    if sizes["composition_baseline"]:
        fit_baseline(trained, targets, data, extensive=starts is not None)
    elif starts is not None:
        start_outputs(trained, targets, starts)
    if source is not None:
        transfer_weights(trained, targets, source, est.init_from, options)
        start_head(est, trained, targets, source, data)
        params["lr"] = slower(est, net, source, params["lr"])
    net.module_.average.load_state_dict(trained.state_dict())
    _ = net.optimizer_  # raises if its options are wrong, before anything is fitted
    elements = elements_of(est, whole.graphs)
    if source is not None and not is_general(source) and elements is not None:
        known = source.provenance.elements
        elements = None if known is None else tuple(sorted({*known, *elements}))
    made = {name: params[name] for name in made_with(est)}
    if params["atom_features"] is not est.atom_features:
        made["atom_features"] = params["atom_features"]
    if is_auto(est.init_from):
        made["init_from"] = None if source is None else GENERAL
    elif est.init_from is None or isinstance(est.init_from, (str, PathLike)):
        made["init_from"] = est.init_from
    # At once: an interrupt leaves the estimator as it was, or with all that belongs to the network.
    vars(est).update(
        graph_options_=options,
        targets_=targets,
        y_ndim_=data.y_ndim,
        elements_=elements,
        fitted_params_=made,
        n_iter_=0,
        n_samples_fit_=len(data),
        net_=net,
        more_nets_=[],
    )
