"""``skcgcnn tune``."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from skcgcnn._files import user_path
from skcgcnn._text import for_terminals, quoted
from skcgcnn.cli._app import Quiet, Remarks, app, plain_errors
from skcgcnn.cli._options import DATA_HELP, typed_settings, with_run_options

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(text: str) -> float:
    """Return a time as it is typed, in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|h)", text.strip().lower())
    if found is None or not float(found[1]):
        raise typer.BadParameter(f"--time {text!r}: expected a time such as 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


@app.command()
@with_run_options
def tune(
    ctx: typer.Context,
    data: Annotated[str, typer.Argument(help=DATA_HELP)],
    seconds: Annotated[
        float,
        typer.Option(
            "--time", parser=_seconds, metavar="TIME", help="How long, such as 90s, 30m or 2h."
        ),
    ] = "30m",  # type: ignore[assignment] # read as if it were typed
    n_trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many trials at most, with --resume so many more.",
            show_default="no limit",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the folder of --output.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "cgcnn_tune"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier search.")
    ] = False,
    remarks: Remarks = False,
    quiet: Quiet = False,
    **params: Any,
) -> None:
    """Search parameters on DATA for some time, and train with the best.

    Parameters that are given are not searched. The usual ones are tried first, and taken unless
    others are better by more than chance. Writes what train writes, and tune.html, which shows what
    was tried and how to train so again, trials.csv, tune.json, and tune.log, from which a search
    that was interrupted goes on with --resume.
    """
    folder = user_path(output)
    again = f"skcgcnn tune {quoted(data)} --resume --output {quoted(str(output))}"
    again += ", and the other options as they were"
    with plain_errors(lambda: f" Continue with: {again}" if (folder / "tune.log").exists() else ""):
        from skcgcnn.training import tune as run

        settings, given, machine = typed_settings(ctx, params)
        found = run(
            settings,
            folder,
            seconds=seconds,
            n_trials=n_trials,
            resume=resume,
            given=given,
            overwrite=overwrite,
            **machine,
            progress=not quiet,
            remarks=remarks,
        )
        _show(found, folder)


def _show(found: dict[str, Any], folder: Path) -> None:
    from skcgcnn.metrics import HeldOutError

    lines = [f"{found['text']}."]
    for name in found["test"]["chosen"]:
        for which in ("usual", "chosen") if found["params"] else ("usual",):
            error = HeldOutError(**found["test"][which][name])
            lines.append(f"{name}, {which} parameters: {error}")
    lines.append(f"To train so again: {found['command']}")
    lines.append(f"In Python: {found['python']}")
    lines.append(f"Model, predictions and metrics are in {folder}")
    lines.append(f"All at a glance: {folder / 'tune.html'}")
    for line in lines:
        typer.echo(for_terminals(line))
