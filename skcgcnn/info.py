"""What a model file is, told without running anything in it: ``skcgcnn info``."""

import hashlib
from os import PathLike
from pathlib import Path
from typing import Any

from skcgcnn.modelfile import OFFICIAL, PICKLES, ModelFile, read_model_file, tasks_of
from skcgcnn.pretrained import PRETRAINED, find_model

__all__ = ["describe_model"]

_SIZES = ("atom_fea_len", "n_conv", "h_fea_len", "n_h", "radius", "max_num_nbr", "neighbor_ties")


def describe_model(
    model: str | PathLike[str], data_home: str | PathLike[str] | None = None
) -> dict[str, str]:
    """Tell what a model file is.

    Parameters
    ----------
    model : path or str
        A model file, or the name of an official model.
    data_home : path, optional
        See `skcgcnn.pretrained.fetch_pretrained`.

    Returns
    -------
    dict of str to str
        File, kind, version, task, targets with units, training size, metrics and network, as
        far as they stand in the file.

    Raises
    ------
    DataError
        If there is no such file, or it is no model.
    """
    path, _ = find_model(model, data_home)
    facts = {"file": str(path), "size": f"{path.stat().st_size / 1e6:.2f} MB"}
    if path.suffix in PICKLES:
        note = "an estimator in a pickle: its content cannot be read without running it"
        return facts | {"kind": note}
    file = read_model_file(path)
    facts["kind"] = file.kind
    if file.version is not None:
        facts["version"] = f"skcgcnn {file.version}"
    facts["estimator"] = file.estimator
    facts.update(_targets(file))
    for name, key in (("trained on", "n_samples_fit_"), ("epochs", "n_iter_")):
        if key in file.fitted:
            facts[name] = f"{file.fitted[key]} crystals" if "on" in name else str(file.fitted[key])
    facts.update({name: f"{value:.6g}" for name, value in file.metrics.items()})
    facts["network"] = ", ".join(
        f"{name}={file.params[name]}" for name in _SIZES if name in file.params
    )
    facts["weights"] = str(sum(tensor.numel() for tensor in file.weights.values()))
    return facts


def _targets(file: ModelFile) -> dict[str, str]:
    official = _official_name(file)
    tasks = tasks_of(file.fitted)
    facts = {"task": " and ".join(dict.fromkeys(task.kind for task in tasks))}
    if official is not None:
        known = PRETRAINED[official]
        unit = f" ({known.unit})" if known.unit else ""
        return facts | {"target": f"{official}{unit}: {known.meaning}", "official": "yes, SHA-256"}
    classes = _classes(file.fitted, len(tasks))
    units = file.units or [""] * len(tasks)
    names = file.targets or [""] * len(tasks)
    for index, (name, unit, labels) in enumerate(zip(names, units, classes, strict=True), 1):
        what = f"{name} ({unit})" if unit else name
        if labels is not None:
            what += f", classes {', '.join(map(str, labels))}"
        elif not unit:
            what += ", unit not recorded"
        facts["target" if len(tasks) == 1 else f"target {index}"] = what
    return facts


def _official_name(file: ModelFile) -> str | None:
    """Recognise an official file by its content, whatever its name."""
    if file.kind != OFFICIAL:
        return None
    found = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
    return next((name for name, model in PRETRAINED.items() if model.sha256 == found), None)


def _classes(fitted: dict[str, Any], n_tasks: int) -> list[Any]:
    if "task_classes_" in fitted:
        return list(fitted["task_classes_"])
    return [fitted["classes_"]] if "classes_" in fitted else [None] * n_tasks
