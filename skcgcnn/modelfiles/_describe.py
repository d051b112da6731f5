"""Describe a model file without running anything in it: ``skcgcnn info``."""

import hashlib
from os import PathLike
from pathlib import Path

from skcgcnn._parameters import SIZES
from skcgcnn._text import crystals, for_terminals, listed
from skcgcnn.modelfiles._cgcnn import OFFICIAL
from skcgcnn.modelfiles._pretrained import PRETRAINED, find_model
from skcgcnn.modelfiles._read import PICKLES, read_model_file
from skcgcnn.modelfiles._state import ModelState


def describe_model(
    model: str | PathLike[str], data_home: str | PathLike[str] | None = None
) -> dict[str, str]:
    """Describe a model file.

    Parameters
    ----------
    model : path or str
        A model file, or the name of a pretrained model.
    data_home : path, optional
        See `fetch_pretrained`.

    Returns
    -------
    dict of str to str
        File, kind, version, task, targets with units, numbers that it needs beside each crystal,
        training size, metrics and network, as far as they stand in the file.

    Raises
    ------
    DataError
        If there is no such file, or it is not a model.
    """
    path = find_model(model, data_home)
    facts = {"file": str(path), "size": f"{path.stat().st_size / 1e6:.2f} MB"}
    if path.suffix in PICKLES:
        note = "an estimator in a pickle: its content cannot be read without running it"
        return facts | {"kind": note}
    state = read_model_file(path)
    provenance = state.provenance
    facts["kind"] = provenance.source
    if provenance.version is not None:
        facts["version"] = f"skcgcnn {provenance.version}"
    facts["estimator"] = state.estimator
    facts.update(_targets(state, path))
    if beside := state.graph_options.global_features:
        units = state.graph_options.global_units or [""] * len(beside)
        told = [f"{n} ({u})" if u else n for n, u in zip(beside, units, strict=True)]
        facts["needs beside each crystal"] = listed(told)
    if provenance.n_samples is not None:
        facts["trained on"] = crystals(provenance.n_samples)
    facts["epochs"] = str(provenance.n_epochs)
    if "init_from" in state.auto:
        facts["started from"] = str(state.auto["init_from"] or "scratch")
    elif state.params.get("init_from") is not None:
        facts["started from"] = str(state.params["init_from"])
    facts.update({name: f"{value:.6g}" for name, value in provenance.metrics.items()})
    # What was made, not the parameters: these may be "auto".
    shown = {name: state.network[name] for name in (*SIZES, "radius")}
    shown |= {name: state.graph_value(name) for name in ("max_num_nbr", "neighbor_ties")}
    facts["network"] = ", ".join(f"{name}={value}" for name, value in shown.items())
    facts["weights"] = str(sum(tensor.numel() for tensor in state.weights.values()))
    return {for_terminals(n, kept=""): for_terminals(v, kept="") for n, v in facts.items()}


def _targets(state: ModelState, path: Path) -> dict[str, str]:
    official = _official_name(path) if state.provenance.source == OFFICIAL else None
    facts = {"task": " and ".join(dict.fromkeys(target.kind for target in state.targets))}
    if official is not None:
        known = PRETRAINED[official]
        unit = f" ({known.unit})" if known.unit else ""
        return facts | {"target": f"{official}{unit}: {known.meaning}", "official": "yes, SHA-256"}
    for index, target in enumerate(state.targets, 1):
        facts["target" if len(state.targets) == 1 else f"target {index}"] = target.describe()
    return facts


def _official_name(path: Path) -> str | None:
    """Recognize an official file by its content, whatever its name."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    return next((name for name, model in PRETRAINED.items() if model.sha256 == found), None)
