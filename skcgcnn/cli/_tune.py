"""``skcgcnn tune``."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from skcgcnn._files import user_path
from skcgcnn._text import for_terminals, quoted
from skcgcnn.cli._app import app, is_typed, plain_errors
from skcgcnn.cli._options import with_estimator_options
from skcgcnn.training import Rule, Settings, Task

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
Ratio = Annotated[float, typer.Option(min=0.0, max=1.0)]


def _seconds(text: str) -> float:
    """Return a time as it is typed, in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|h)", text.strip().lower())
    if found is None or not float(found[1]):
        raise typer.BadParameter(f"--time {text!r}: expected a time such as 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


@app.command()
@with_estimator_options
def tune(
    ctx: typer.Context,
    data: Annotated[str, typer.Argument(help="As for train.")],
    seconds: Annotated[
        float,
        typer.Option(
            "--time", parser=_seconds, metavar="TIME", help="How long, such as 90s, 30m or 2h."
        ),
    ] = "30m",  # type: ignore[assignment] # read as if it were typed
    n_trials: Annotated[
        int | None, typer.Option(min=1, help="So many trials at most.", show_default="no limit")
    ] = None,
    task: Annotated[Task, typer.Option(help="What to learn.")] = Settings.task,
    target: Annotated[
        list[str] | None, typer.Option(help="As for train.", show_default="the only one")
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option(help="As for train.", show_default="that of the table")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="As for train.", show_default="the only one")
    ] = Settings.label,
    global_feature: Annotated[
        list[str] | None, typer.Option(help="As for train.", show_default="none")
    ] = None,
    train_ratio: Ratio = Settings.train_ratio,
    val_ratio: Ratio = Settings.val_ratio,
    test_ratio: Ratio = Settings.test_ratio,
    split: Annotated[Rule, typer.Option(help="As for train.")] = Settings.split,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the folder of --output.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "cgcnn_tune"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier search.")
    ] = False,
    remarks: Annotated[
        bool, typer.Option("--remarks", help="List all remarks about files.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
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

        given = {name: value for name, value in params.items() if value is not None}
        device, n_jobs = given.pop("device", "auto"), given.pop("n_jobs", None)
        own = ("target", "unit", "global_feature")
        options: dict[str, Any] = {
            "data": data,
            "task": task,
            "label": label,
            "train_ratio": train_ratio,
            "val_ratio": val_ratio,
            "test_ratio": test_ratio,
            "split": split,
            **{name: tuple(ctx.params[name] or ()) for name in own},
        }
        found = run(
            Settings(**options, params=given),
            folder,
            seconds=seconds,
            n_trials=n_trials,
            resume=resume,
            given={"data", *(name for name in options if is_typed(ctx, name))},
            overwrite=overwrite,
            device=device,
            n_jobs=n_jobs,
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
