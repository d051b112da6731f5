"""``skcgcnn info`` and ``make-vacancies``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from skcgcnn._text import for_terminals
from skcgcnn.cli._app import DataHome, app, plain_errors, table_output


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a pretrained model.")],
    data_home: DataHome = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one object of JSON.")] = False,
) -> None:
    """Describe a MODEL file, without running anything in it."""
    with plain_errors():
        from skcgcnn.modelfiles import describe_model

        facts = describe_model(model, data_home)
        if as_json:
            typer.echo(json.dumps(facts, default=str, indent=2))
            return
        width = max(map(len, facts))
        for name, value in facts.items():
            typer.echo(for_terminals(f"{name:<{width}}  {value}"))


@app.command()
def make_vacancies(
    crystal: Annotated[Path, typer.Argument(help="A CIF file without vacancies.")],
    num_aug: Annotated[
        int, typer.Option("--num-aug", "--num_aug", "-n", min=1, help="Structures to make.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same files.")] = 0,
    element: Annotated[str, typer.Option(help="Which element to take out.")] = "Li",
    num_vac: Annotated[
        int | None, typer.Option("--num-vac", "--num_vac", min=1, help="Vacancies per structure.")
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option(help="Share of the element to take out instead.", show_default="0.1"),
    ] = None,
    supercell: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Multiples of the cell.", show_default="until its edges are 8 Å long"),
    ] = None,
    order: Annotated[
        bool, typer.Option("--order", help="First give each disordered site one element.")
    ] = False,
    distinct: Annotated[
        bool,
        typer.Option(
            "--distinct/--equivalent", help="Whether symmetry must tell the structures apart."
        ),
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the files.", show_default="that of CRYSTAL"),
    ] = None,
) -> None:
    """Take Li out of CRYSTAL at random, and write <crystal>_aug0.cif, <crystal>_aug1.cif, ..."""
    with plain_errors():
        from skcgcnn.vacancies import make_vacancy_files

        files = make_vacancy_files(
            crystal,
            output,
            n_structures=num_aug,
            element=element,
            n_vacancies=num_vac,
            fraction=fraction,
            supercell=supercell,
            order=order,
            distinct=distinct,
            random_state=seed,
        )
        for file in files:
            print(file, file=table_output())
