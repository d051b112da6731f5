"""``skcgcnn check``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from skcgcnn._files import check_folder, remove_old, user_path, write_text
from skcgcnn._text import for_terminals
from skcgcnn.cli._app import Jobs, Quiet, app, plain_errors

_SHOWN = 20


@app.command()
def check(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with or without id_prop.csv, a table of paths, a store, or a bundled "
            "dataset."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for check.html and check.csv.")
    ] = Path(),
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Name of a column to check, of numbers or labels; may be repeated.",
            show_default="all",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Train no networks to tell which targets are unexpected."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides networks and folds.")] = 0,
    n_jobs: Jobs = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Check whether DATA are sound: crystals that are there twice, odd labels, odd crystals.

    Writes check.html, which shows what was found and what the data cover, and check.csv, a row a
    finding. The exit code is 0 if the data are sound, 1 with findings (remarks do not count),
    and 2 if they cannot be read.
    """
    with plain_errors():
        from skcgcnn.datasets import write_table
        from skcgcnn.quality import open_data, survey
        from skcgcnn.reports import check_report
        from skcgcnn.training import alone, bundled_folder, refuse_inputs

        source = bundled_folder(data)
        opened = open_data(source, target)
        folder = user_path(output)
        check_folder(folder)
        page, rows = folder / "check.html", folder / "check.csv"
        for result in (page, rows) if folder.exists() else ():
            refuse_inputs(result, [source, *(opened.paths or [])])
        quiet = quiet or as_json
        with alone(folder):
            found = survey(
                opened.paths if opened.graphs is None else opened.graphs,
                opened.columns,
                ids=opened.ids,
                labels=not quick,
                random_state=seed,
                n_jobs=n_jobs,
                atom_features=opened.atom_features,
                n_left_out=opened.n_left_out,
                n_remarks=opened.n_remarks,
                verbose=int(not quiet),
                progress=None if quiet else _tell_step,
            )
            html = check_report(opened.name, found)
            table = found.findings.assign(ids=["; ".join(ids) for ids in found.findings["ids"]])
            write_text(page, html)
            # A disk that is full now leaves none of an earlier check beside the new page.
            remove_old(rows)
            write_table(rows, table.columns, table.itertuples(index=False))
        if as_json:
            typer.echo(json.dumps(_as_json(found), indent=2))
        else:
            _show(found, folder)
    raise typer.Exit(0 if found.is_sound else 1)


def _tell_step(text: str) -> None:
    typer.echo(for_terminals(f"{text} ..."), err=True)


def _as_json(found: Any) -> dict[str, Any]:
    return {
        "n_crystals": len(found.ids),
        "n_different": found.n_different,
        "is_sound": found.is_sound,
        "floors": {f.target: f.error for f in found.floors},
        "findings": found.findings.to_dict("records"),
    }


def _show(found: Any, folder: Path) -> None:
    for line in found.findings["severity"].str.cat(found.findings["message"], ": ")[:_SHOWN]:
        typer.echo(for_terminals(line))
    n = len(found.findings)
    if n > _SHOWN:
        typer.echo(f"and {n - _SHOWN} more")
    n_sound = "no findings" if not n else f"{n} finding{'s' if n > 1 else ''}"
    typer.echo(for_terminals(f"{found.counted()}; {n_sound} in {folder / 'check.csv'}"))
    typer.echo(for_terminals(f"All at a glance: {folder / 'check.html'}"))
