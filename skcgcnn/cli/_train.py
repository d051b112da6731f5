"""``skcgcnn train``."""

import os
import signal
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Annotated, Any, get_args

import typer

from skcgcnn._files import file_mark, user_path
from skcgcnn._lazy import needed
from skcgcnn._text import crystals, for_terminals
from skcgcnn.cli._app import Quiet, Remarks, app, n_processes, plain_errors
from skcgcnn.cli._options import DATA_HELP, typed_settings, with_run_options
from skcgcnn.exceptions import ProcessError
from skcgcnn.training import Rule, Settings

_PATIENCE = 60  # s, until a launcher answers


@app.command()
@with_run_options
def train(
    ctx: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            help=f"{DATA_HELP} With --resume that of the checkpoint.", show_default=False
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="INTEGER",
            help="Also predict every crystal by a network that was not trained on it, in so many "
            "folds.",
            show_default="none",
        ),
    ] = Settings.folds,
    splits: Annotated[
        str | None,
        typer.Option(
            help="Train and test on other splits as well: all, or rules separated by commas.",
            show_default="none",
        ),
    ] = None,
    learning_curve: Annotated[
        bool,
        typer.Option(
            "--learning-curve",
            help="Train on 1/8, 1/4 and 1/2 of the crystals as well, to tell how much more would "
            "help.",
        ),
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Continue from this checkpoint.pth.tar.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the results.",
            show_default="cgcnn_run, cgcnn_run_2, ...; with --resume that of the checkpoint",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
    ] = False,
    remarks: Remarks = False,
    quiet: Quiet = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    **params: Any,
) -> None:
    """Train on DATA, keep the best epoch by validation loss, and test it.

    Writes model.safetensors (the best epoch), checkpoint.pth.tar (the last one, to resume from),
    history.csv, test_results.csv, metrics.json and report.html, which shows them all;
    cv_predictions.csv with --folds; and model_best.pth.tar where the original CGCNN has such a
    network. Several processes share the
    batches of a training that `accelerate launch -m skcgcnn train ...` starts, or
    `torchrun -m skcgcnn train ...` on CPUs.
    """
    if data is None and resume is None:
        raise typer.BadParameter("name the data to train on", ctx, param_hint="DATA")
    resume = None if resume is None else user_path(resume)
    folder = _free_folder("cgcnn_run") if resume is None else resume.parent
    folder = folder if output is None else user_path(output)
    checkpoint = folder / "checkpoint.pth.tar"
    start = "skcgcnn" if n_processes() == 1 else "the launcher as before and -m skcgcnn"
    resuming = f"{start} train {data or ''} --resume {checkpoint}".replace("  ", " ")
    # That of an earlier run, which is replaced at the first epoch, is not what was interrupted.
    goes_on_there = resume is not None and resume.parent.resolve() == folder.resolve()
    begun = {None, None if goes_on_there else file_mark(checkpoint)}
    with plain_errors(
        lambda: "" if file_mark(checkpoint) in begun else f" Continue with: {resuming}"
    ):
        from skcgcnn.training import train as run

        settings, given, machine = typed_settings(ctx, params, goes_on=resume is not None)
        accelerator = _accelerator(machine["device"])
        machine["device"] = accelerator or machine["device"]
        results = run(
            settings,
            folder,
            resume=resume,
            given=given,
            overwrite=overwrite,
            **machine,
            progress=not quiet,
            remarks=remarks,
            report=report,
            splits=_rules(splits),
            learning_curve=learning_curve,
        )
        if accelerator is not None:
            accelerator.end_training()  # or threads that are left can abort a process at its end
        if results:
            _show(results, folder)


def _rules(typed: str | None) -> list[str]:
    """Return the rules of splits that are typed."""
    known = get_args(Rule)
    found = [rule.strip() for rule in (typed or "").split(",") if rule.strip()]
    if found == ["all"]:
        return list(known)
    if unknown := [rule for rule in found if rule not in known]:
        raise ValueError(f"--splits {unknown[0]}: expected all, or some of {', '.join(known)}")
    return found


def _accelerator(device: str) -> Any:
    """Return the processes that `accelerate launch` or `torchrun` started; None for one alone."""
    if n_processes() == 1:
        return None
    with needed("training on several processes needs Accelerate", "skcgcnn[accelerate]"):
        from accelerate import Accelerator, InitProcessGroupKwargs
    _end_with_parent()
    # The others wait while the main process validates.
    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))
    found = Accelerator(cpu=device == "cpu", kwargs_handlers=[patience])
    # Not before: a process that waits for one that ended calls no handler of Python, and would stay
    # until the launcher kills it, after half a minute.
    signal.signal(signal.SIGTERM, _lost)
    return found


def _end_with_parent() -> None:
    """End this process when the launcher that started it is gone, as after SIGKILL.

    Processes meet by their launcher; without it, those that have not met would wait for a day. A
    process that was started by hand outlives its shell.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            sleep(1)
        typer.echo("the launcher of this training ended, and so does this process", err=True)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":  # they meet without it
        return
    try:  # it may have ended before
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        socket.create_connection(place, timeout=_PATIENCE).close()
    except (OSError, LookupError, ValueError) as error:
        raise ProcessError(f"the launcher of this training is not there ({error})") from error


def _lost(*_: Any) -> None:
    """Say why this process ends: a launcher asks for it when another one ended."""
    raise ProcessError(
        "this process was asked to end (SIGTERM): by a time limit, or since another process of "
        "this training ended; see the first error that a process printed"
    )


def _free_folder(name: str) -> Path:
    """Return a folder for results that is not there yet: with a number, if need be."""
    folder = Path(name)
    number = 2
    while folder.exists():
        folder = Path(f"{name}_{number}")
        number += 1
    return folder


def _show(report: dict[str, Any], folder: Path) -> None:
    from rich.console import Console

    from skcgcnn.metrics import HeldOutError

    console = Console(markup=False)
    folds = report.get("cross_validation")
    if report["n_test"]:
        console.print(_table("Test results", report["test"]))
    lines = [f"{name}: {HeldOutError(**error)}" for name, error in report["errors"].items()]
    if folds is not None:
        console.print(_table(f"Cross-validation, {folds['n_folds']} folds", folds["metrics"]))
        lines += [f"{name}: {HeldOutError(**error)}" for name, error in folds["errors"].items()]
    if "fine_tuning" in report:
        lines.append(report["fine_tuning"])
    sizes = "{} trained, {n_val} validated, {n_test} tested".format(
        crystals(report["n_train"]), **report
    )
    n_val = crystals(report["n_val"]).replace(" ", " validation ")
    decided = f"by the loss of {n_val}" if report["n_val"] else "last"
    first = " of the first network" if report["n_networks"] > 1 else ""
    lines.append(f"{sizes}; best epoch{first} {report['best_epoch']} ({decided})")
    if report["n_groups"] is not None:
        groups = "{train} groups trained, {val} validated, {test} tested".format(
            **report["n_groups"]
        )
        lines.append(f"{groups}; none is in two parts")
    lines += _of_splits(report)
    lines.append(f"Model, predictions and metrics are in {folder}")
    if (folder / "report.html").exists():
        lines.append(f"All at a glance: {folder / 'report.html'}")
    for line in lines:
        console.print(for_terminals(line), highlight=False, soft_wrap=True)


def _table(title: str, measures: dict[str, dict[str, float | None]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title)
    for heading in ("target", "metric", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, metrics in measures.items():
        for metric, value in metrics.items():
            table.add_row(Text(for_terminals(name)), metric, _shown(value))
    return table


def _shown(value: float | None) -> str:
    """Return a measure as a text; small ones, of targets in other units, are not 0.0000."""
    if value is None:
        return "undefined"
    return f"{value:.4g}" if 0 < abs(value) < 0.01 else f"{value:.4f}"


def _of_splits(report: dict[str, Any]) -> Iterator[str]:
    """Yield by which rule crystals were split, and what other rules and numbers of them give."""
    from skcgcnn.metrics import HeldOutError
    from skcgcnn.quality import PowerLaw

    yield report["split"]["text"]
    for rule, found in report["splits"].items():
        if "cannot" in found:
            yield f"Split by {rule}: {found['cannot']}"
        else:
            each = (f"{name}: {HeldOutError(**error)}" for name, error in found.items())
            yield f"Split by {rule}: {'; '.join(each)}"
    for name, law in report["learning_curves"].items():
        yield f"{name}: {PowerLaw(**law)}"
