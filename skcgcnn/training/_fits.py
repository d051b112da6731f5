"""The estimator of a run, from its settings or a checkpoint, and its fit."""

import shutil
import warnings
from collections.abc import Collection
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from skcgcnn._files import atomic_write
from skcgcnn._recipes import is_auto
from skcgcnn._warnings import warn_caller
from skcgcnn.estimators import (
    BaseCGCNN,
    CGCNNClassifier,
    CGCNNMultiTask,
    CGCNNRegressor,
)
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles import ModelState, digest_model, find_model, read_model_file
from skcgcnn.nn import BestEpoch
from skcgcnn.training._checkpoint import RunCheckpoint
from skcgcnn.training._data import Part, RunData
from skcgcnn.training._folder import CHECKPOINT, RESULTS, remove_results
from skcgcnn.training._settings import Settings, default_of, option_of

_ESTIMATORS: dict[str, type[BaseCGCNN]] = {
    "regression": CGCNNRegressor,
    "classification": CGCNNClassifier,
    "multi": CGCNNMultiTask,
}
# How None is typed.
SCRATCH = "none"
# What may change when a run is resumed.
_FREE = {"data", "folds", "max_epochs", "on_error"}


def read_start(
    settings: Settings, resume: Path | None, given: Collection[str] | None
) -> tuple[ModelState | str | None, Settings]:
    """Read the model to go on or to start from, and complete the settings by it.

    Parameters
    ----------
    settings : Settings
        The run.
    resume : Path or None
        A checkpoint to go on from.
    given : collection of str or None
        Names of the settings that were asked for; None is all.

    Returns
    -------
    state : ModelState, "auto" or None
    settings : Settings

    Raises
    ------
    DataError
        If the checkpoint is none.
    """
    own = {each.name for each in fields(settings)} - {"params"}
    if resume is not None:
        state = read_model_file(resume)
        run = {} if state.training is None else state.training.run
        is_run = {"settings", "best_epoch"} <= run.keys() and isinstance(run["settings"], dict)
        if not is_run or not isinstance(run["settings"].get("params"), dict):
            raise DataError(f"{resume}: is a model, but not a checkpoint of a training run")
        then = _settings_then(run)
        taken = {name: then[name] for name in own - set(own if given is None else given)}
        params = {**then["params"], **settings.params}
        return state, replace(settings, **taken, params=params)
    source = settings.params.get("init_from", default_of("init_from"))
    if source in (None, SCRATCH):
        return None, settings
    if is_auto(source):
        return source, settings
    return read_model_file(find_model(source)), settings


def check_params(settings: Settings) -> None:
    """Refuse parameters, before anything is read.

    Raises
    ------
    ValueError
        If a parameter is not for the task, or has no value that it may have.
    """
    cls = _ESTIMATORS[settings.task]
    params = settings.parameters()
    if unknown := sorted(params.keys() - {each.name for each in fields(cls)}):
        raise ValueError(f"{option_of(unknown[0])} is not for --task {settings.task}")
    cls(**params)._validate_params()


def new_estimator(settings: Settings, data: RunData, start: ModelState | str | None) -> BaseCGCNN:
    """Return the estimator of a run, before its fit."""
    params = {
        **data.graph_parameters(),
        **settings.parameters(),
        "init_from": start,
        "atom_features": data.atom_features,
    }
    if settings.task == "multi":
        params["tasks"] = ("regression",) * (len(data.names) - 1) + ("classification",)
    return _ESTIMATORS[settings.task](**params)


def begun_estimator(
    state: ModelState | str | None, settings: Settings, data: RunData
) -> tuple[BaseCGCNN, dict[str, Any], BestEpoch]:
    """Return the estimator of a new run, what its checkpoints keep of the run, and no epoch yet."""
    run = {
        "settings": asdict(settings),
        "fingerprint": data.fingerprint(),
        "start": digest_start(state),
    }
    return new_estimator(settings, data, state), run, BestEpoch()


def fit_parts(
    est: BaseCGCNN,
    run: dict[str, Any],
    parts: dict[str, Part],
    classes: npt.NDArray[Any] | None,
    output: Path | None = None,
    resume: Path | None = None,
    best: BestEpoch | None = None,
) -> None:
    """Fit as `est.fit` does with validation data; write every epoch where there is a folder.

    Parameters
    ----------
    est : estimator
        The one to fit.
    run : dict
        What checkpoints keep of the run.
    parts : dict of str to Part
        "train" and "val".
    classes : ndarray or None
        Labels that the training crystals may lack.
    output : Path, optional
        Folder of the results.
    resume : Path, optional
        The checkpoint that `est` is from.
    best : BestEpoch, optional
        The best epoch that it holds.

    Raises
    ------
    DataError
        If no epoch could be done.
    """
    val = parts["val"].arguments()
    validates, best = len(parts["val"].rows) > 0, best or BestEpoch()
    callbacks: list[tuple[str, Any]] = [("best_epoch", best)] if validates else []
    if output is not None:
        if resume is not None and resume.parent.resolve() != output.resolve():
            remove_results(output, RESULTS)  # of another run
            with resume.open("rb") as source, atomic_write(output / CHECKPOINT, "wb") as target:
                shutil.copyfileobj(source, target)
        callbacks.append(("checkpoint", RunCheckpoint(est, run, output, best)))
        if est.n_estimators > 1:
            (output / CHECKPOINT).unlink(missing_ok=True)  # that of an earlier run
    with warnings.catch_warnings():
        # The estimator ends with the run, which tells its files.
        warnings.filterwarnings("ignore", "the fit was interrupted")
        est._fit(
            **parts["train"].arguments(),
            validation_data=(val["X"], val["y"]) if validates else None,
            classes=classes,
            callbacks=callbacks,
            resume=resume is not None,
        )
    if not est.history_:
        raise DataError("training diverged in the first epoch; use a smaller --lr")


def _as_typed(value: Any) -> str:
    """Return the value of an option as it is typed; several with blanks between them."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def resumed_estimator(
    state: Any, settings: Settings, data: RunData, file: Path, device: Any, *, starts: bool
) -> tuple[BaseCGCNN, dict[str, Any], BestEpoch]:
    """Return the estimator of a checkpoint, what that keeps of the run, and its best epoch.

    Parameters
    ----------
    state : ModelState
        The checkpoint.
    settings : Settings
        The run that goes on.
    data : RunData
        Its crystals and targets.
    file : Path
        Name of the checkpoint, for errors.
    device : str or accelerate.Accelerator
        Where to train.
    starts : bool
        Whether other networks start from the same model, as those of folds.

    Returns
    -------
    est : estimator
    run : dict
    best : BestEpoch

    Raises
    ------
    DataError
        If settings, crystals or targets are others than then, or the best epoch is not there.
    """
    run = state.training.run
    then, now = _settings_then(run), asdict(settings)
    before, asked = then.pop("params"), now.pop("params")
    then |= {name: before.get(name, default_of(name)) for name in asked}
    for name, value in (now | asked).items():
        was = tuple(then[name]) if isinstance(then[name], list) else then[name]
        if name not in _FREE and value != was:
            raise DataError(
                f"{file}: was trained with {option_of(name)} {_as_typed(was)}, not "
                f"{_as_typed(value)}; leave the option as it was, or begin a new run without "
                "--resume"
            )
    if run["fingerprint"] != data.fingerprint():
        raise DataError(
            f"{file}: was trained on other crystals or targets than those in {settings.data}; "
            "restore them, or begin a new run without --resume"
        )
    if data.atom_features not in (None, state.params.get("atom_features")):
        raise DataError(
            f"{file}: was trained with other features of the elements than the atom_init.json in "
            f"{settings.data} has; restore it, or begin a new run without --resume"
        )
    cls = _ESTIMATORS[settings.task]
    est = cls._from_model_state(state, str(file), device)
    est.set_params(init_from=_read_start_again(run, settings, file, is_needed=starts))
    return est, run, _best_so_far(state, file)


def _best_so_far(state: Any, file: Path) -> BestEpoch:
    """Return the best epoch that a checkpoint holds."""
    losses = [row.get("valid_loss") for row in state.provenance.history]
    if all(loss is None for loss in losses):
        return BestEpoch()  # no crystals validate
    epoch, weights = state.training.run["best_epoch"], state.training.best
    if not isinstance(epoch, int) or not 0 < epoch <= len(losses):
        raise DataError(f"{file}: has {len(losses)} epochs, but names {epoch!r} as the best")
    if weights is None or not isinstance(losses[epoch - 1], float):
        raise DataError(f"{file}: lacks its best epoch, {epoch}; begin a new run without --resume")
    return BestEpoch(epoch, losses[epoch - 1], weights)


def _read_start_again(
    run: dict[str, Any], settings: Settings, file: Path, *, is_needed: bool
) -> ModelState | str | None:
    """Read what a run that is resumed started from; None, with a warning, where it is not there."""
    source = settings.params.get("init_from")
    try:
        start = read_start(settings, None, None)[0]
        if digest_start(start) != run.get("start", digest_start(start)):
            raise DataError(f"{source}: is not the model that {file} started from")
    except (OSError, ValueError) as error:
        if is_needed:
            raise DataError(
                f"{error}. Folds, other splits and learning curves start from it too: restore it, "
                "or begin a new run without --resume"
            ) from error
        warn_caller(f"{error}. Whether the start was better than what is trained is not told")
        return None
    return start


def _settings_then(run: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that is resumed; an older one lacks those that are new."""
    then: dict[str, Any] = asdict(Settings("")) | run["settings"]
    return then


def digest_start(start: Any) -> str:
    """Return what tells the model that a run starts from; empty where there is none."""
    return digest_model(start) if isinstance(start, ModelState) else ""
