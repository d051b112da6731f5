"""``skcgcnn predict``."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from skcgcnn._files import remove_old, user_path
from skcgcnn._parameters import Parameters
from skcgcnn._text import for_terminals
from skcgcnn.cli._app import (
    BadCrystals,
    DataHome,
    Device,
    Jobs,
    app,
    expanded,
    plain_errors,
    table_output,
)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a pretrained model.")],
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Folders (with or without id_prop.csv), files of crystals, patterns, tables of "
            "paths, or a store; - reads paths, a line each."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="CSV (.csv, .csv.gz) or Parquet file.",
            show_default="CSV to the terminal, as is -",
        ),
    ] = None,
    device: Device = Parameters.device,
    n_jobs: Jobs = None,
    on_error: BadCrystals = Parameters.on_error,
    data_home: DataHome = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a joblib file, which can run code.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="HTML file: distribution, least certain, unlike training."),
    ] = None,
    training_data: Annotated[
        Path | None,
        typer.Option(
            "--training-data",
            help="Folder it was trained on: tells which crystals are unlike it.",
        ),
    ] = None,
) -> None:
    """Predict for DATA with a trained MODEL.

    MODEL is what train wrote, a file of an estimator's save, a weight file of CGCNN, the name of a
    pretrained model (an official one is fetched), or, with --trust, a joblib file. A joblib file
    can run code when it is loaded: trust only those whose origin you know.
    """
    with plain_errors():
        from skcgcnn.estimators import load_with_metrics, predict_target_chunks, predict_targets
        from skcgcnn.training import (
            check_ending,
            errors_of,
            find_crystals,
            join_predictions,
            refuse_inputs,
            write_prediction_chunks,
            write_predictions,
        )

        output = None if output is None or str(output) == "-" else user_path(output)
        report = None if report is None else user_path(report)
        training_data = None if training_data is None else user_path(training_data)
        check_ending(output)
        data = expanded(data)
        _check_files(report, training_data, output)
        est, numbers = load_with_metrics(model, device, data_home=data_home, trust_pickle=trust)
        est.set_params(n_jobs=n_jobs, on_error=on_error)
        beside = est.graph_options_.global_features
        find = partial(find_crystals, on_error=on_error, n_jobs=n_jobs)
        units = {target.name: target.unit for target in est.targets_ if target.is_number}
        found = find(data, beside, est.target_names_, units=units)
        training = None if training_data is None else find([training_data], beside)
        inputs: list[str | Path] = [model, *data, *found.paths]
        if training_data is not None and training is not None:
            inputs += [training_data, *training.paths]
        for file in (output, report):
            if file is not None:
                refuse_inputs(file, inputs)
        if report is None and training is None and output is not None:
            # The crystals are read while the network runs.
            chunks = _checked(predict_target_chunks(est, found.X), found)
            kept: list[Any] = []
            if found.truth:
                chunks = _keeping(chunks, kept)
            n = write_prediction_chunks(output, found.ids, chunks)
            predictions = join_predictions(kept)
        else:
            # A report, and the comparison with other crystals, need all graphs.
            graphs = est.get_transformer().transform(found.X)
            found.check_unchanged()
            predictions = predict_targets(est, graphs)
            trained, unlike = _compared(est, graphs, training)
            target = output or table_output()
            n = write_predictions(target, found.ids, predictions, unlike=unlike)
        if report is not None:
            from skcgcnn.training import write_prediction_report

            # A disk that is full now leaves none of an earlier prediction beside the new table.
            remove_old(report)
            write_prediction_report(
                report, model, est, graphs, found, predictions, trained, numbers
            )
        for line in errors_of(predictions, found.truth):
            typer.echo(for_terminals(line), err=output is None)
        if output is not None:
            failed = len(found.ids) - n
            empty = f"; empty cells for {failed} that could not be read" if failed else ""
            typer.echo(for_terminals(f"{n} predictions in {output}{empty}"))
        if report is not None:
            typer.echo(for_terminals(f"Report in {report}"))


def _compared(est: Any, graphs: Any, training: Any) -> tuple[Any, Any]:
    """Return training crystals and their names, and which others are unlike them."""
    from skcgcnn.inspection import nearest_training_crystals

    if training is None:
        return None, None
    trained = est.get_transformer().transform(training.X)
    training.check_unchanged()
    unlike = nearest_training_crystals(est, graphs, trained, k=1).is_outside.astype(object)
    unlike[graphs.n_sites == 0] = None  # could not be read
    return (trained, training.ids), unlike


def _checked(chunks: Iterator[Any], found: Any) -> Iterator[Any]:
    """Yield chunks, and refuse at the end files that changed: nothing is written then."""
    yield from chunks
    found.check_unchanged()


def _keeping(chunks: Iterator[Any], kept: list[Any]) -> Iterator[Any]:
    """Yield chunks, and keep them."""
    for chunk in chunks:
        kept.append(chunk)
        yield chunk


def _check_files(report: Path | None, training_data: Path | None, output: Path | None) -> None:
    """Refuse files that are not there, or do not go together."""
    if training_data is not None and not training_data.exists():
        raise ValueError(f"--training-data {training_data}: no such file or folder")
    if report is not None and output is not None and output.resolve() == report.resolve():
        raise ValueError(f"{report} cannot be both the predictions and the report")
