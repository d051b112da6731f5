"""``skcgcnn suggest``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from skcgcnn._files import user_path
from skcgcnn._parameters import Parameters
from skcgcnn._text import crystals, for_terminals
from skcgcnn.cli._app import DataHome, Device, Jobs, app, expanded, plain_errors, table_output


@app.command()
def suggest(
    model: Annotated[str, typer.Argument(help="A model file: an ensemble, or one of classes.")],
    pool: Annotated[
        list[Path], typer.Argument(help="The crystals to choose from, as for predict.")
    ],
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="How many crystals to choose.")
    ] = 20,
    training_data: Annotated[
        Path | None,
        typer.Option("--training-data", help="What the model was trained on: not to choose again."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV file.", show_default="the terminal"),
    ] = None,
    device: Device = Parameters.device,
    n_jobs: Jobs = None,
    data_home: DataHome = None,
) -> None:
    """Say which crystals of POOL to compute next, so that MODEL learns most from them.

    They are those of which the model is least sure, and that are unlike each other and what is
    known. Writes a row for each, the most useful first: its name, its file, and its uncertainty as
    a multiple of the mean over the pool. Crystals that cannot be read are left out.
    """
    with plain_errors():
        from skcgcnn.datasets import write_rows, write_table
        from skcgcnn.estimators import load
        from skcgcnn.quality import suggest as choose
        from skcgcnn.quality import uncertainty
        from skcgcnn.training import check_ending, find_crystals, refuse_inputs

        output = None if output is None else user_path(output)
        check_ending(output, plain=True)
        est = load(model, device, data_home=data_home)
        est.set_params(n_jobs=n_jobs, on_error="nan")
        beside = est.graph_options_.global_features
        pool = expanded(pool)
        find = partial(find_crystals, on_error="nan", n_jobs=n_jobs)
        found = find(pool, beside)
        inputs: list[str | Path] = [model, *pool, *found.paths]
        known = None
        if training_data is not None:
            training_data = user_path(training_data)
            trained = find([training_data], beside)
            known = trained.X
            inputs += [training_data, *trained.paths]
        if output is not None:
            refuse_inputs(output, inputs)
        graphs = est.get_transformer().transform(found.X)
        found.check_unchanged()
        chosen = choose(est, graphs, number, known=known)
        unsure = uncertainty(est, graphs)
        rows = [
            [found.ids[row], found.paths[row] if found.paths else "", f"{unsure[row]:.3g}"]
            for row in chosen
        ]
        header = ["cif_id", "path", "uncertainty"]
        if output is None:
            write_rows(table_output(), [header, *rows])
            return
        write_table(output, header, rows)
        typer.echo(for_terminals(f"{len(rows)} of {crystals(len(found.ids))} in {output}"))
