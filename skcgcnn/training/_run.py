"""One training run from a data folder to test results: what ``skcgcnn train`` does."""

import json
import math
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import write_rows
from skcgcnn.estimators import (
    BaseCGCNN,
    CGCNNClassifier,
    CGCNNMultiTask,
    CGCNNRegressor,
    from_model_state,
    predict_targets,
    read_source,
)
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs, CrystalGraphTransformer, concatenate, digest_crystals
from skcgcnn.metrics import HeldOutError, target_metrics
from skcgcnn.modelfiles import ModelState, read_model_file
from skcgcnn.nn import BestEpoch, choose_device
from skcgcnn.quality import PowerLaw
from skcgcnn.reports import RunResult, training_report
from skcgcnn.tasks import Prediction
from skcgcnn.training._checkpoint import (
    BEST,
    CHECKPOINT,
    ORIGINAL,
    RunCheckpoint,
    write_model,
    write_original,
)
from skcgcnn.training._data import Part, RunData, load_run_data
from skcgcnn.training._learning import learning_curves, no_curves
from skcgcnn.training._predictions import write_predictions
from skcgcnn.training._rules import (
    Grouping,
    compare_rules,
    find_groups,
    held_out_errors,
    split_parts,
)
from skcgcnn.training._settings import Settings, default_of, option_of

# The epochs, a line each; and everything at a glance.
HISTORY, REPORT = "history.csv", "report.html"
# Crystals that could not be read, where a run goes on without them.
FAILURES = "failures.csv"

_ESTIMATORS: dict[str, type[BaseCGCNN]] = {
    "regression": CGCNNRegressor,
    "classification": CGCNNClassifier,
    "multi": CGCNNMultiTask,
}
# What may change when a run is resumed.
_FREE = {"data", "max_epochs", "on_error"}


def train(
    settings: Settings,
    output: Path,
    *,
    resume: Path | None = None,
    given: Collection[str] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    accelerator: Any = None,
    n_jobs: int | None = None,
    progress: bool = True,
    remarks: bool = False,
    report: bool = True,
    splits: Sequence[str] = (),
    learning_curve: bool = False,
) -> dict[str, Any]:
    """Train on a folder of crystals, keep the best epoch, and test it.

    The same crystals, however they are written, are in one part of the split, and so are those of a
    group where the folder has a ``groups.csv``.

    Writes ``checkpoint.pth.tar`` (last epoch, from which training can go on),
    ``model.safetensors`` (the epoch with the lowest loss on the validation crystals, as
    ``est.save`` writes it), ``model_best.pth.tar`` (the same for the original code, where it has
    such a network), ``history.csv`` (losses epoch by epoch), ``test_results.csv``,
    ``metrics.json`` and ``report.html``, which shows them all; and ``failures.csv``, if crystals
    failed and the run goes on without them. The training is that of
    ``est.fit`` with `validation_data`.

    Parameters
    ----------
    settings : Settings
        The run. `max_epochs` may be more than that of a run that is resumed.
    output : Path
        Folder for the files; made if need be.
    resume : Path, optional
        A ``checkpoint.pth.tar`` to go on from.
    given : collection of str, optional
        Names of the settings that were asked for; the others come from `resume`. By default all
        were asked for. Of the parameters it is those in ``settings.params``.
    overwrite : bool, default=False
        Whether results of an earlier run in `output` may be replaced.
    device : str, default="auto"
        Where to train.
    accelerator : accelerate.Accelerator, optional
        Processes to train on, each of which calls this function; the main one writes the results.
    n_jobs : int, optional
        Number of workers that read crystals.
    progress : bool, default=True
        Whether to show progress bars.
    remarks : bool, default=False
        Whether to list all remarks about files.
    report : bool, default=True
        Whether to write the report.
    splits : sequence of str, default=()
        Other rules, as for ``settings.split``, by which to split, train and test as well.
    learning_curve : bool, default=False
        Whether to train on 1/8, 1/4 and 1/2 of the training crystals as well.

    Returns
    -------
    dict
        What stands in ``metrics.json``; empty in processes that are not the main one.

    Raises
    ------
    DataError
        If the data or the checkpoint is not as it should be.
    StructureError
        If crystals cannot be read.
    ValueError
        If the device is not there.
    """
    if output.exists() and not output.is_dir():
        raise DataError(f"{output}: is a file; name a folder for the results")
    choose_device(device)  # raises before anything is read
    is_main = accelerator is None or accelerator.is_main_process
    elsewhere = resume is None or resume.parent.resolve() != output.resolve()
    if is_main and elsewhere and not overwrite:
        _refuse_results(output)
    state, settings = _read_start(settings, resume, given)
    if resume is None:
        settings = settings.with_ratios(given)
        _check_params(settings)
    data = load_run_data(settings)
    if resume is None:
        est, run = _new_estimator(settings, data, state), _new_run(settings, data)
    else:
        est, run = _resumed(state, settings, data, resume, device, accelerator)
    progress = progress and is_main
    est.set_params(
        device=device,
        accelerator=accelerator,
        n_jobs=n_jobs,
        on_error=settings.on_error,
        max_epochs=settings.params.get("max_epochs", est.max_epochs),
        verbose=int(progress),
    )
    verbose = 2 if remarks and is_main else int(progress)
    transformer = est.get_transformer().set_params(verbose=verbose)
    graphs = data.with_numbers(_read(transformer, data, output if is_main else None))
    _check_same(run, graphs, settings, resume)
    grouping = find_groups(settings.split, data, graphs)
    parts = split_parts(settings, data, graphs, grouping)
    classes = data.classes(graphs.n_sites > 0)
    if resume is not None and est.n_iter_ >= est._resolve(len(parts["train"].rows))["max_epochs"]:
        raise DataError(
            f"{resume}: has {est.n_iter_} epochs already; ask for more than that with --max-epochs "
            "to continue"
        )
    if is_main:
        output.mkdir(parents=True, exist_ok=True)
        if resume is not None and elsewhere:
            shutil.copyfile(resume.with_name(BEST), output / BEST)
    best = _fit(est, run, parts, classes, output if is_main else None, resume)
    if not is_main:
        return {}
    validated = [row["valid_loss"] for row in est.history_ if "valid_loss" in row]
    losses = {"training": est.loss_curve_, "validation": validated}
    _write_history(output / HISTORY, est, losses)
    best_epoch = best.best_epoch_ if validated else est.n_iter_
    loss = best.best_loss_ if validated and math.isfinite(best.best_loss_) else None
    found, predictions = _evaluate(est, best_epoch, loss, parts, data, output, grouping)
    refit = partial(_fit_again, run, classes)
    rules = [rule for rule in splits if rule != settings.split]
    found["splits"] = dict(compare_rules(est, rules, settings, data, graphs, refit))
    ask = learning_curves if learning_curve else no_curves
    curves = ask(est, parts, predictions, grouping, settings.seed, refit)
    _write_metrics(output, found, curves)
    if report:
        result = RunResult(
            name=output.resolve().name,
            settings=settings.described(est.fitted_params_),
            est=est,
            graphs={name: part.graphs for name, part in parts.items()},
            y={name: part.y.reshape(len(part.y), len(data.names)) for name, part in parts.items()},
            ids=[data.cif_ids[row] for row in parts["test"].rows],
            paths=[data.paths[row] for row in parts["test"].rows if data.paths],
            predictions=predictions,
            metrics=found["test"],
            errors={name: HeldOutError(**each) for name, each in found["errors"].items()},
            n_unreadable=int((graphs.n_sites == 0).sum()),
            losses=losses,
            best_epoch=best_epoch,
            split=grouping.text,
            splits=found["splits"],
            curves=curves,
        )
        with atomic_write(output / REPORT) as file:
            file.write(training_report(result))
    return found


def _fit_again(run: dict[str, Any], classes: Any, est: BaseCGCNN, parts: dict[str, Part]) -> None:
    """Fit on other parts of the crystals, and write nothing."""
    _fit(est, run, parts, classes, None, None)


def _refuse_results(folder: Path) -> None:
    """Refuse to replace the results of an earlier run."""
    for name in (CHECKPOINT, BEST, ORIGINAL, "metrics.json", "test_results.csv", HISTORY, REPORT):
        if (folder / name).exists():
            raise DataError(
                f"{folder} holds the results of an earlier run ({name}); choose another folder "
                "with --output, replace them with --overwrite, or continue with --resume"
            )


def _read_start(
    settings: Settings, resume: Path | None, given: Collection[str] | None
) -> tuple[ModelState | None, Settings]:
    """Read the model to go on or to start from, and complete the settings by it."""
    own = {each.name for each in fields(settings)} - {"params"}
    if resume is not None:
        state = read_model_file(resume)
        if state.training is None or "settings" not in state.training.run:
            raise DataError(f"{resume}: is a model, but not a checkpoint of a training run")
        then = state.training.run["settings"]
        missing = own - set(own if given is None else given)
        # Checkpoints of earlier versions lack what is new.
        taken = {name: then[name] for name in missing if name in then}
        params = {**then["params"], **settings.params}
        return state, replace(settings, **taken, params=params)
    if (source := settings.params.get("init_from")) is not None:
        return read_source(source), settings
    return None, settings


def _check_params(settings: Settings) -> None:
    """Refuse parameters, before anything is read."""
    cls = _ESTIMATORS[settings.task]
    params = settings.parameters()
    if unknown := sorted(params.keys() - {each.name for each in fields(cls)}):
        raise ValueError(f"{option_of(unknown[0])} is not for --task {settings.task}")
    cls(**params)._validate_params()


def _new_estimator(settings: Settings, data: RunData, start: ModelState | None) -> BaseCGCNN:
    params = {
        **data.graph_parameters(),
        **settings.parameters(),
        "init_from": start,
        "atom_features": data.atom_features,
    }
    if settings.task == "multi":
        params["tasks"] = ("regression",) * (len(data.names) - 1) + ("classification",)
    return _ESTIMATORS[settings.task](**params)


def _new_run(settings: Settings, data: RunData) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "fingerprint": data.fingerprint(),
    }


def _fit(
    est: BaseCGCNN,
    run: dict[str, Any],
    parts: dict[str, Part],
    classes: npt.NDArray[Any] | None,
    output: Path | None,
    resume: Path | None,
) -> BestEpoch:
    """Fit as `est.fit` does with validation data; write every epoch where there is a folder."""
    val = parts["val"].arguments()
    best = BestEpoch()
    if resume is not None and len(parts["val"].rows):
        losses = [row["valid_loss"] for row in est.history_]
        best = BestEpoch.among(losses, read_model_file(resume.with_name(BEST)).weights)
    callbacks: list[tuple[str, Any]] = [("best_epoch", best)] if len(parts["val"].rows) else []
    if output is not None:
        callbacks.append(("checkpoint", RunCheckpoint(est, run, output, best)))
    est._fit(
        **parts["train"].arguments(),
        validation_data=(val["X"], val["y"]) if len(parts["val"].rows) else None,
        classes=classes,
        callbacks=callbacks,
        resume=resume is not None,
    )
    if not est.history_:
        raise DataError("training diverged in the first epoch; use a smaller --lr")
    return best


def _resumed(
    state: Any, settings: Settings, data: RunData, file: Path, device: str, accelerator: Any
) -> tuple[BaseCGCNN, dict[str, Any]]:
    run = state.training.run
    # Checkpoints of earlier versions lack what is new.
    then, now = {"split": Settings.split, **run["settings"]}, asdict(settings)
    before, asked = then.pop("params"), now.pop("params")
    then |= {name: before.get(name, default_of(name)) for name in asked}
    for name, value in (now | asked).items():
        was = tuple(then[name]) if isinstance(then[name], list) else then[name]
        if name not in _FREE and value != was:
            raise DataError(
                f"{file}: was trained with {option_of(name)} {was}, not {value}; leave the option "
                "as it was, or begin a new run without --resume"
            )
    if run["fingerprint"] != data.fingerprint():
        raise DataError(f"{file}: was trained on other crystals or targets than {settings.data}")
    return from_model_state(state, str(file), device, accelerator), run


def _read(
    transformer: CrystalGraphTransformer, data: RunData, output: Path | None
) -> CrystalGraphs:
    """Return the graphs of a run; write a table of crystals that failed, if there is a folder."""
    if data.graphs is not None:
        return transformer.transform(data.graphs)
    failures: list[tuple[str, str]] = []
    graphs = concatenate(list(transformer.stream(data.paths, failures=failures)))
    if output is not None:
        (output / FAILURES).unlink(missing_ok=True)  # that of an earlier run
        if failures:
            output.mkdir(parents=True, exist_ok=True)
            _write_table(output / FAILURES, ("path", "cause"), failures)
            warn_caller(f"{output / FAILURES} lists the {len(failures)} crystals that failed")
    return graphs


def _check_same(
    run: dict[str, Any], graphs: CrystalGraphs, settings: Settings, file: Path | None
) -> None:
    """Refuse to go on with other crystals; keep with a new run what its crystals are."""
    digest = digest_crystals(graphs)
    if run.setdefault("crystals", digest) != digest:
        raise DataError(
            f"{file}: was trained on other crystals than those in {settings.data} now, under the "
            "same names; restore them, or begin a new run without --resume"
        )


def _evaluate(
    est: BaseCGCNN,
    best_epoch: int,
    loss: float | None,
    parts: dict[str, Part],
    data: RunData,
    output: Path,
    grouping: Grouping,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Test the model, and write it with what came out."""
    test = parts["test"]
    predictions = predict_targets(est, test.graphs) if len(test.rows) else []
    truth = test.y.reshape(len(test.y), len(data.names))
    cif_ids = [data.cif_ids[row] for row in test.rows]
    write_predictions(output / "test_results.csv", cif_ids, predictions, truth)
    report: dict[str, Any] = {
        "best_epoch": best_epoch,
        "best_validation_loss": loss,
        **{f"n_{name}": len(part.rows) for name, part in parts.items()},
        "split": {"rule": grouping.rule, "text": grouping.text},
        "splits": {},
        "n_groups": None
        if grouping.groups is None
        else {name: len(np.unique(grouping.groups[part.rows])) for name, part in parts.items()},
        "test": {
            prediction.target.name: target_metrics(truth[:, i], prediction)
            for i, prediction in enumerate(predictions)
        },
    }
    errors = dict(held_out_errors(predictions, parts, grouping))
    report["errors"] = {name: asdict(error) for name, error in errors.items()}
    # The model file itself tells how good it is: see `skcgcnn info`.
    metrics = {
        f"test {metric} of {name}": value
        for name, found in report["test"].items()
        for metric, value in found.items()
    }
    write_model(est, output, {"validation loss": loss, **metrics})
    write_original(est, output)
    # Also before fits on other splits, which may be interrupted.
    _write_metrics(output, report, {})
    return report, predictions


def _write_metrics(output: Path, found: dict[str, Any], curves: dict[str, PowerLaw]) -> None:
    found["learning_curves"] = {name: asdict(law) for name, law in curves.items()}
    with atomic_write(output / "metrics.json") as file:
        json.dump(found, file, indent=2)
        file.write("\n")


def _write_history(path: Path, est: BaseCGCNN, losses: dict[str, list[float]]) -> None:
    """Write what happened, an epoch a line."""
    columns: list[Iterable[Any]] = [
        range(1, len(losses["training"]) + 1),
        losses["training"],
        losses["validation"] or [""] * len(losses["training"]),
        [row["dur"] for row in est.history_],
    ]
    header = ["epoch", "training_loss", "validation_loss", "seconds"]
    _write_table(path, header, zip(*columns, strict=True))


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    with atomic_write(path) as file:
        write_rows(file, [header])
        write_rows(file, rows)
