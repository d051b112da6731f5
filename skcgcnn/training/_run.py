"""One training run from a data folder to test results: what ``skcgcnn train`` does."""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skcgcnn._files import check_folder, write_text
from skcgcnn._progress import Progress
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import write_table
from skcgcnn.estimators import BaseCGCNN
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import CrystalGraphs, CrystalGraphTransformer, concatenate, digest_crystals
from skcgcnn.modelfiles import ModelState
from skcgcnn.nn import choose_device, lasting_device
from skcgcnn.quality import PowerLaw
from skcgcnn.reports import HeldOut, RunResult, training_report
from skcgcnn.stores import is_store
from skcgcnn.training._checkpoint import write_model, write_original
from skcgcnn.training._data import Part, RunData, load_run_data
from skcgcnn.training._fits import (
    begun_estimator,
    check_params,
    fit_parts,
    new_estimator,
    read_start,
    resumed_estimator,
)
from skcgcnn.training._folder import (
    FAILURES,
    FOLDS,
    HISTORY,
    METRICS,
    ORIGINAL,
    REPORT,
    RESULTS,
    SEARCHED,
    TESTED,
    TOLD,
    alone,
    refuse_results,
    remove_results,
)
from skcgcnn.training._learning import learning_curves
from skcgcnn.training._predictions import write_predictions
from skcgcnn.training._rules import (
    Grouping,
    compare_rules,
    cross_validation_rows,
    find_groups,
    split_parts,
)
from skcgcnn.training._settings import Settings
from skcgcnn.training._split import Rows
from skcgcnn.training._tested import Said, held_out, predict_part, together


@dataclass(frozen=True, eq=False)
class Read:
    """What a run reads before its first epoch.

    Parameters
    ----------
    data : RunData
        The crystals and their targets.
    graphs : CrystalGraphs
        Of all crystals.
    failures : list of tuple of str
        Path and cause of those that failed.
    grouping : Grouping
        Which of them stay together in the split.
    start : ModelState, "auto" or None
        What the networks start from.
    """

    data: RunData
    graphs: CrystalGraphs
    failures: list[tuple[str, str]]
    grouping: Grouping
    start: ModelState | str | None


def train(
    settings: Settings,
    output: Path,
    *,
    resume: Path | None = None,
    given: Collection[str] | None = None,
    overwrite: bool = False,
    device: Any = "auto",
    n_jobs: int | None = None,
    progress: bool = True,
    remarks: bool = False,
    report: bool = True,
    splits: Sequence[str] = (),
    learning_curve: bool = False,
    read: Read | None = None,
) -> dict[str, Any]:
    """Train on a folder of crystals, keep the best epoch, and test it.

    The same crystals, however they are written, are in one part of the split, and so are those of a
    group where the folder has a ``groups.csv``.

    Writes ``checkpoint.pth.tar`` (last epoch and best, from which training can go on),
    ``model.safetensors`` (the epoch with the lowest loss on the validation crystals, as
    ``est.save`` writes it), ``model_best.pth.tar`` (the same for the original code, where it has
    such a network), ``history.csv`` (losses epoch by epoch), ``test_results.csv``,
    ``metrics.json`` and ``report.html``, which shows them all; ``cv_predictions.csv`` where there
    are `folds`; and ``failures.csv``, if crystals failed and the run goes on without them. The
    training is that of ``est.fit`` with `validation_data`. Of several networks (`n_estimators`)
    there is no checkpoint.

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
    device : str or accelerate.Accelerator, default="auto"
        Where to train. Each process of an Accelerator calls this function; the main one writes the
        results.
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
    read : Read, optional
        What was read before, and is not read again.

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
    check_asked(settings, output, device)
    is_main = getattr(device, "is_main_process", True)
    elsewhere = resume is None or resume.parent.resolve() != output.resolve()
    with alone(output) if is_main else nullcontext(False) as is_whole:
        if is_main and elsewhere and not overwrite:
            refuse_results(output, [*RESULTS, *SEARCHED])
        state, settings = (
            read_start(settings, resume, given) if read is None else (read.start, settings)
        )
        if resume is None:
            settings = settings.with_ratios(given)
            check_params(settings)
        data = load_run_data(settings) if read is None else read.data
        more = bool(settings.folds or splits or learning_curve)
        if resume is None:
            est, run, best = begun_estimator(state, settings, data)
        else:
            est, run, best = resumed_estimator(state, settings, data, resume, device, starts=more)
        # What every fit of the run has.
        machine = {
            "device": device,
            "n_jobs": n_jobs,
            "on_error": settings.on_error,
            "max_epochs": settings.params.get("max_epochs", est.max_epochs),
            "verbose": int(progress and is_main),
        }
        est.set_params(**machine)
        transformer = est.get_transformer()
        transformer.set_params(verbose=2 if remarks and is_main else machine["verbose"])
        graphs, failures = (
            read_graphs(transformer, data) if read is None else (read.graphs, read.failures)
        )
        _check_same(run, graphs, settings, resume)
        _write_failures(output if is_main else None, failures)
        grouping = find_groups(settings.split, data, graphs) if read is None else read.grouping
        parts = split_parts(settings, data, graphs, grouping)
        readable = np.flatnonzero(graphs.n_sites > 0)
        folds = cross_validation_rows(settings, data, grouping, readable, settings.folds)
        classes = data.classes(graphs.n_sites > 0)
        if resume is not None and not more:
            _check_epochs_left(est, parts["train"], resume, report=report)
        remove_results(output, SEARCHED if is_whole and elsewhere else ())
        fit_parts(est, run, parts, classes, output if is_main else None, resume, best)
        said = _cross_validate(folds, settings, data, graphs, classes, est.init_from, machine)
        if not is_main:
            return {}
        test = predict_part(est, parts["train"], parts["test"])
        tested = [held_out(test, data, graphs, grouping.groups)]
        if said:
            tested.append(held_out(together(said), data, graphs, grouping.groups, len(said)))
        found = _evaluate(est, parts, tested, output, grouping)
        refit = partial(_fit_again, run, classes)
        others = [rule for rule in splits if rule != settings.split]
        found["splits"] = dict(compare_rules(est, others, settings, data, graphs, refit))
        again = refit if learning_curve else None
        curves = learning_curves(est, parts, test.predictions, grouping, settings.seed, again)
        _write_metrics(output, found, curves)
        if report:
            result = RunResult(
                name=output.resolve().name,
                settings=settings.described(est.fitted_params_),
                est=est,
                graphs={name: part.graphs for name, part in parts.items()},
                y={name: part.table() for name, part in parts.items()},
                test=tested[0],
                folds=tested[1] if said else None,
                n_unreadable=int((graphs.n_sites == 0).sum()),
                losses=_losses(est),
                best_epoch=found["best_epoch"],
                start=found.get("fine_tuning", ""),
                split=grouping.text,
                splits=found["splits"],
                curves=curves,
            )
            write_text(output / REPORT, training_report(result))
        return found


def check_asked(settings: Settings, output: Path, device: Any) -> None:
    """Refuse what can be refused before anything is read.

    Raises
    ------
    DataError
        If `output` is a file, a link to nothing, or a store, of which results would replace files.
    ValueError
        If the device or the number of folds is not possible.
    """
    check_folder(output)
    if is_store(output):
        raise DataError(f"{output}: is a store; name another folder for the results with --output")
    if settings.folds < 0 or settings.folds == 1:
        raise ValueError(f"--folds {settings.folds}: at least 2 are needed, or 0 for none")
    choose_device(device)  # raises where there is none


def _check_epochs_left(est: BaseCGCNN, train: Part, file: Path, *, report: bool) -> None:
    """Refuse to go on with a training that is at its end, and was not ended before its results."""
    results = [file.with_name(name) for name in ([METRICS, REPORT] if report else [METRICS])]
    is_told = all(p.exists() and p.stat().st_mtime >= file.stat().st_mtime for p in results)
    if is_told and est.n_iter_ >= est._resolved_params(train.graphs, reset=False)["max_epochs"]:
        raise DataError(
            f"{file}: has {est.n_iter_} epochs already; ask for more than that with "
            "--max-epochs to continue"
        )


def _fit_again(run: dict[str, Any], classes: Any, est: BaseCGCNN, parts: dict[str, Part]) -> None:
    """Fit on other parts of the crystals, in this process alone, and write nothing."""
    est.set_params(device=lasting_device(est.device))
    fit_parts(est, run, parts, classes)


def read_graphs(
    transformer: CrystalGraphTransformer, data: RunData
) -> tuple[CrystalGraphs, list[tuple[str, str]]]:
    """Return the graphs of a run, and path and cause of crystals that failed.

    Returns
    -------
    graphs : CrystalGraphs
        Of all crystals, with the numbers beside them.
    failures : list of tuple of str

    Raises
    ------
    DataError
        If files change meanwhile.
    StructureError
        If crystals cannot be read, or lack a number, and the run does not go on without them.
    """
    crystals = data.crystals(
        on_error=transformer.on_error, n_jobs=transformer.n_jobs, verbose=transformer.verbose
    )
    failures: list[tuple[str, str]] = []
    if data.graphs is not None:
        return transformer.transform(crystals), failures
    graphs = concatenate(list(transformer.stream(crystals, failures=failures)))
    data.check_unchanged()  # what a potential says of a crystal is of another reading
    return graphs, failures


def _write_failures(folder: Path | None, failures: Sequence[tuple[str, str]]) -> None:
    """Write a table of crystals that failed, if there are some, and a folder."""
    if folder is None:
        return
    file = folder / FAILURES
    file.unlink(missing_ok=True)  # that of an earlier run
    if failures:
        write_table(file, ("path", "cause"), failures)
        warn_caller(f"{file} lists the {len(failures)} crystals that failed")


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


def _cross_validate(
    folds: Sequence[dict[str, Rows]],
    settings: Settings,
    data: RunData,
    graphs: CrystalGraphs,
    classes: Any,
    start: Any,
    machine: dict[str, Any],
) -> list[Said]:
    """Return what is said of the crystals of each fold by a model that is not fitted on them."""
    if not folds:
        return []
    said = []
    with Progress(len(folds), "fold", enabled=bool(machine["verbose"])) as shown:
        for rows in folds:
            fold = {name: data.part(own, graphs) for name, own in rows.items()}
            est = new_estimator(settings, data, start)
            fit_parts(est.set_params(**machine), {}, fold, classes)
            said.append(predict_part(est, fold["train"], fold["test"]))
            shown.update(1)
    return said


def _evaluate(
    est: BaseCGCNN,
    parts: dict[str, Part],
    tested: Sequence[HeldOut],
    output: Path,
    grouping: Grouping,
) -> dict[str, Any]:
    """Write the model with what came out, and all predictions."""
    # Of several networks, the first one's.
    loss = est.history_[est.best_epoch_ - 1].get("valid_loss", math.nan)
    loss = loss if math.isfinite(loss) else None
    report: dict[str, Any] = {
        "n_networks": est.n_estimators,
        "best_epoch": est.best_epoch_,
        "best_validation_loss": loss,
        **{f"n_{name}": len(part.rows) for name, part in parts.items()},
        "split": {"rule": grouping.rule, "text": grouping.text},
        "splits": {},
        "n_groups": None
        if grouping.groups is None
        else {name: len(np.unique(grouping.groups[part.rows])) for name, part in parts.items()},
        "test": tested[0].metrics,
        "errors": {name: asdict(error) for name, error in tested[0].errors.items()},
    }
    metrics: dict[str, float | None] = {"validation loss": loss}
    for each in tested:
        metrics |= each.numbers()
        if each.n_folds:
            report["cross_validation"] = {
                "n_folds": each.n_folds,
                "metrics": each.metrics,
                "errors": {name: asdict(error) for name, error in each.errors.items()},
            }
    if hasattr(est, "start_comparison_"):
        report["fine_tuning"] = est.start_comparison_
    # Those of an earlier run, so that a disk that fills leaves none beside this model.
    remove_results(output, (ORIGINAL, *TOLD))
    # The model file itself tells how good it is: see `skcgcnn info`.
    write_model(est, output, metrics)
    write_original(est, output)
    _write_history(output / HISTORY, est)
    for each in tested:
        target = output / (FOLDS if each.n_folds else TESTED)
        write_predictions(target, each.ids, list(each.predictions), each.y)
    # Also before fits on other splits, which may be interrupted.
    _write_metrics(output, report, {})
    return report


def _write_metrics(output: Path, found: dict[str, Any], curves: dict[str, PowerLaw]) -> None:
    found["learning_curves"] = {name: asdict(law) for name, law in curves.items()}
    write_text(output / METRICS, json.dumps(found, indent=2) + "\n")


def _losses(est: BaseCGCNN) -> dict[str, list[float]]:
    """Return the losses epoch by epoch."""
    validated = [row["valid_loss"] for row in est.history_ if "valid_loss" in row]
    return {"training": est.loss_curve_, "validation": validated}


def _write_history(path: Path, est: BaseCGCNN) -> None:
    """Write what happened, an epoch a line."""
    losses = _losses(est)
    columns: list[Iterable[Any]] = [
        range(1, len(losses["training"]) + 1),
        losses["training"],
        losses["validation"] or [""] * len(losses["training"]),
        [row["dur"] for row in est.history_],
    ]
    header = ["epoch", "training_loss", "validation_loss", "seconds"]
    write_table(path, header, zip(*columns, strict=True))
