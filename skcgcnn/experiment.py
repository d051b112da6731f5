"""One training run from a data folder to test results: what ``skcgcnn train`` does."""

import hashlib
import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from skcgcnn._base import BaseCGCNN
from skcgcnn._files import atomic_write
from skcgcnn._labels import is_missing
from skcgcnn._splits import split_rows
from skcgcnn.checkpoints import architecture, load_checkpoint, save_checkpoint
from skcgcnn.classifier import CGCNNClassifier
from skcgcnn.datasets import load_id_prop
from skcgcnn.datasets._li_vacancy import LI_VACANCY_FOLDER
from skcgcnn.datasets._sample import SAMPLE_FOLDER
from skcgcnn.elements import load_element_features
from skcgcnn.exceptions import DataError
from skcgcnn.metrics import classification_metrics, regression_metrics
from skcgcnn.multitask import CGCNNMultiTask
from skcgcnn.predictions import Prediction, predict_targets, write_predictions
from skcgcnn.regressor import CGCNNRegressor
from skcgcnn.transformer import CrystalGraphTransformer

__all__ = ["BUNDLED", "Settings", "train"]

BUNDLED = {"sample": SAMPLE_FOLDER, "li_vacancy": LI_VACANCY_FOLDER}
CHECKPOINT, BEST = "checkpoint.pth.tar", "model_best.pth.tar"


@dataclass(frozen=True)
class Settings:
    """What decides the result of a run; the names are those of the command's options."""

    data: str
    task: str = "regression"
    cls_weight: float = 1.0
    epochs: int = 30
    batch_size: int = 64
    lr: float = 0.001
    optim: str = "adamw"
    train_ratio: float = 0.8
    val_ratio: float = 0.1
    test_ratio: float = 0.1
    seed: int = 0
    atom_fea_len: int = 64
    n_conv: int = 3
    h_fea_len: int = 128
    n_h: int = 1
    radius: float = 8.0
    max_num_nbr: int = 12
    on_error: str = "raise"
    init_from: str | None = None
    freeze: str = "none"
    conv_lr_factor: float = 1.0


@dataclass(frozen=True)
class _Data:
    cif_ids: list[str]
    paths: list[str]
    y: npt.NDArray[Any]
    names: list[str]
    atom_features: Any
    groups: npt.NDArray[np.str_] | None

    def fingerprint(self) -> str:
        content = [self.cif_ids, self.y.tolist(), self.names]
        if self.groups is not None:
            content.append(self.groups.tolist())
        text = json.dumps(content)
        return hashlib.sha256(text.encode()).hexdigest()


def train(
    settings: Settings,
    output: Path,
    *,
    resume: Path | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train on a folder of crystals, keep the best epoch, and test it.

    Where the folder has a ``groups.csv``, crystals of a group are in one part of the split.

    Writes ``checkpoint.pth.tar`` (last epoch), ``model_best.pth.tar`` (the epoch with the best
    `score` on the validation crystals), ``test_results.csv`` and ``metrics.json``.

    Parameters
    ----------
    settings : Settings
        The run. `epochs` may be more than those of a run that is resumed.
    output : Path
        Folder for the files; made if need be.
    resume : Path, optional
        A ``checkpoint.pth.tar`` to go on from.
    device : str, default="auto"
        Where to train.
    n_jobs : int, optional
        Number of workers that read crystals.
    progress : bool, default=True
        Whether to show progress bars.

    Returns
    -------
    dict
        What stands in ``metrics.json``.

    Raises
    ------
    DataError
        If the data or the checkpoint is not as it should be.
    StructureError
        If crystals cannot be read.
    """
    data = _load(settings)
    if data.atom_features is None and settings.init_from is not None:
        features = architecture(settings.init_from).get("atom_features")
        data = replace(data, atom_features=features)
    if resume is None:
        est, run = _estimator(settings, data), _new_run(settings, data)
    else:
        est, run = load_checkpoint(resume, device=device)
        _check_resume(run, settings, data, resume)
    est.set_params(device=device, n_jobs=n_jobs, on_error=settings.on_error, verbose=0)
    graphs = CrystalGraphTransformer(
        radius=settings.radius,
        max_num_nbr=settings.max_num_nbr,
        atom_features=data.atom_features,
        n_jobs=n_jobs,
        on_error=settings.on_error,
        verbose=int(progress),
    ).transform(data.paths)
    rows = np.flatnonzero(graphs.n_sites > 0)
    parts = split_rows(
        rows,
        {part: getattr(settings, f"{part}_ratio") for part in ("train", "val", "test")},
        labels=_stratum(settings, data.y),
        groups=data.groups,
        seed=settings.seed,
    )

    output.mkdir(parents=True, exist_ok=True)
    if resume is not None and resume.parent.resolve() != output.resolve():
        shutil.copyfile(resume.with_name(BEST), output / BEST)
    done = getattr(est, "n_iter_", 0)
    epochs = tqdm(
        range(done, settings.epochs),
        initial=done,
        total=settings.epochs,
        unit="epoch",
        disable=not progress,
    )
    first = parts["train"]
    for _ in epochs:
        est.partial_fit(graphs[first], data.y[first], **_classes(settings, data.y[rows]))
        score = _validation_score(est, graphs[parts["val"]], data.y[parts["val"]])
        improved = run["best_score"] is None or score > run["best_score"]
        if improved:
            run = {**run, "best_score": score, "best_epoch": est.n_iter_}
            save_checkpoint(est, output / BEST, run)
        save_checkpoint(est, output / CHECKPOINT, run)
        epochs.set_postfix(loss=f"{est.history_[-1, 'train_loss']:.4f}", val_score=f"{score:.3f}")

    # Rows in the data's order, whatever the split's.
    test = np.sort(parts["test"])
    best, run = load_checkpoint(output / BEST, device=device)
    predictions = predict_targets(best, graphs[test], data.names)
    truth = data.y[test].reshape(len(test), -1)
    write_predictions(
        output / "test_results.csv", [data.cif_ids[i] for i in test], predictions, truth
    )
    report = {
        "best_epoch": run["best_epoch"],
        "best_validation_score": run["best_score"] if math.isfinite(run["best_score"]) else None,
        "n_train": len(parts["train"]),
        "n_val": len(parts["val"]),
        "n_test": len(test),
        "n_groups": _count_groups(parts, data.groups),
        "test": {
            prediction.name: _metrics(truth[:, i], prediction)
            for i, prediction in enumerate(predictions)
        },
    }
    # The model file itself tells how good it is: see `skcgcnn info`.
    save_checkpoint(best, output / BEST, {**run, "test": report["test"]})
    with atomic_write(output / "metrics.json") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    return report


def _metrics(true: npt.NDArray[Any], prediction: Prediction) -> dict[str, Any]:
    known = ~is_missing(true)
    values = prediction.values[known]
    if prediction.proba is None:
        return dict(regression_metrics(true[known], values))
    return dict(
        classification_metrics(true[known], values, prediction.proba[known], prediction.classes)
    )


def _load(settings: Settings) -> _Data:
    folder = BUNDLED.get(settings.data, Path(settings.data))
    if not folder.is_dir():
        raise DataError(
            f"{settings.data}: neither a folder nor a bundled dataset ({', '.join(BUNDLED)})"
        )
    bunch = load_id_prop(folder)
    columns = bunch.target.reshape(len(bunch.data), -1)
    if settings.task == "multi" and columns.shape[1] != 2:  # noqa: PLR2004
        raise DataError(
            f"{bunch.filename}: --task multi needs lines of 'cif_id,value,label', "
            f"but these have {columns.shape[1]} target(s)"
        )
    # The value comes first and the label last; with one target they are the same column.
    chosen = {"regression": [0], "classification": [-1], "multi": [0, 1]}[settings.task]
    y = columns[:, chosen]
    if settings.task == "regression" and y.dtype == object:
        raise DataError(
            f"{bunch.filename}: the values are texts ({y[0, 0]!r}); use --task classification"
        )
    names = [bunch.target_names[i] for i in chosen]
    missing = is_missing(y[:, 0])
    if settings.task != "multi" and missing.any():
        cif_id = bunch.cif_ids[int(missing.argmax())]
        raise DataError(f"{bunch.filename}: {cif_id!r} has no {names[0]}")
    if settings.task == "classification":
        y = _whole(y)
    return _Data(
        bunch.cif_ids,
        bunch.data,
        y if settings.task == "multi" else y[:, 0],
        names,
        _read_features(bunch.atom_features),
        bunch.groups,
    )


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels such as 0.0 and 1.0 as integers."""
    if labels.dtype == object or not (labels == np.round(labels)).all():
        return labels.astype(np.str_)
    return labels.astype(np.int64)


def _read_features(path: str | None) -> Any:
    if path is None:
        return None
    load_element_features(path)  # says what is wrong with the file
    # The features themselves, not their path, become a parameter: a model file is complete.
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _estimator(settings: Settings, data: _Data) -> BaseCGCNN:
    params: dict[str, Any] = {
        "max_epochs": settings.epochs,
        "optimizer": settings.optim,
        "random_state": settings.seed,
        "atom_features": data.atom_features,
        "init_from": settings.init_from,
        "freeze": int(settings.freeze) if settings.freeze.isdecimal() else settings.freeze,
        "conv_lr_factor": settings.conv_lr_factor,
    }
    same = ("batch_size", "lr", "atom_fea_len", "n_conv", "h_fea_len", "n_h", "radius")
    params.update({name: getattr(settings, name) for name in (*same, "max_num_nbr")})
    if settings.task == "multi":
        return CGCNNMultiTask(cls_weight=settings.cls_weight, **params)
    return (CGCNNRegressor if settings.task == "regression" else CGCNNClassifier)(**params)


def _new_run(settings: Settings, data: _Data) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "fingerprint": data.fingerprint(),
        "target_names": data.names,
        "best_score": None,
        "best_epoch": None,
    }


def _check_resume(run: dict[str, Any], settings: Settings, data: _Data, file: Path) -> None:
    if "settings" not in run:
        raise DataError(f"{file}: is a model, but not a checkpoint of a training run")
    for name, value in asdict(settings).items():
        was = run["settings"].get(name, getattr(Settings("data"), name))
        if name not in ("data", "epochs", "on_error") and value != was:
            option = "--" + name.replace("_", "-")
            raise DataError(
                f"{file}: was trained with {option} {was}, not {value}; leave the option as it "
                "was, or begin a new run without --resume"
            )
    if run["fingerprint"] != data.fingerprint():
        raise DataError(f"{file}: was trained on other crystals or targets than {settings.data}")


def _stratum(settings: Settings, y: npt.NDArray[Any]) -> npt.NDArray[np.str_] | None:
    """Return the labels that every part of the split should hold alike."""
    if settings.task == "regression":
        return None
    return np.array([str(label) for label in (y if y.ndim == 1 else y[:, 1])])


def _count_groups(
    parts: dict[str, npt.NDArray[np.int64]], groups: npt.NDArray[np.str_] | None
) -> dict[str, int] | None:
    if groups is None:
        return None
    return {part: len(np.unique(groups[parts[part]])) for part in ("train", "val", "test")}


def _classes(settings: Settings, y: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the labels of all parts: a rare class may be missing among the training crystals."""
    if settings.task == "regression":
        return {}
    labels = y if y.ndim == 1 else y[:, 1]
    return {"classes": np.unique(labels[~is_missing(labels)])}


def _validation_score(est: Any, graphs: Any, y: npt.NDArray[Any]) -> float:
    score = float(est.score(graphs, y))
    return score if math.isfinite(score) else -math.inf
