"""The command line: ``skcgcnn train``, ``predict``, ``info`` and ``make-vacancies``."""

import errno
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

# Nothing heavy is imported here: `skcgcnn --help` should not wait for torch.
from skcgcnn._parameters import OnError, Parameters
from skcgcnn._recipes import AUTO
from skcgcnn._version import __version__
from skcgcnn.training import Conv, Optimizer, Pooling, Recipe, Schedule, Settings, Task

__all__ = ["main"]

app = typer.Typer(
    help="Crystal graph convolutional networks on folders of CIF files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Ratio = Annotated[float, typer.Option(min=0.0, max=1.0)]
Jobs = Annotated[int | None, typer.Option("--n-jobs", "-j", help="Workers that read crystals.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
DataHome = Annotated[
    Path | None,
    typer.Option(help="Folder of the official models.", show_default="$SKCGCNN_DATA, or a cache"),
]
BadCrystals = Annotated[
    OnError, typer.Option(help="Stop at crystals that cannot be read, or continue without them.")
]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"skcgcnn {__version__}")
        raise typer.Exit


@app.callback()
def _skcgcnn(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Crystal graph convolutional networks on folders of CIF files."""


@app.command()
def train(
    ctx: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with id_prop.csv and CIFs, or a bundled dataset: sample-regression, "
            "sample-classification, li_vacancy."
        ),
    ],
    task: Annotated[Task, typer.Option(help="What to learn.")] = Settings.task,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of numbers to learn; may be repeated.", show_default="the only one"
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Column of classes to learn.", show_default="the only one"),
    ] = Settings.label,
    cls_weight: Annotated[
        float, typer.Option(min=0.0, help="Weight of the classification loss (--task multi).")
    ] = Settings.cls_weight,
    recipe: Annotated[
        Recipe,
        typer.Option(help="What options with the default auto stand for; paper is the original's."),
    ] = Settings.recipe,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the training crystals.", show_default="auto"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            *("--batch-size", "-b"),
            min=1,
            help="Maximum number of crystals per batch.",
            show_default="auto",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", min=0.0, help="Learning rate.", show_default="auto"),
    ] = None,
    schedule: Annotated[
        Schedule, typer.Option(help="Course of the learning rate over the epochs.")
    ] = Settings.schedule,
    optim: Annotated[Optimizer, typer.Option(help="Optimizer.")] = Settings.optim,
    train_ratio: Ratio = Settings.train_ratio,
    val_ratio: Ratio = Settings.val_ratio,
    test_ratio: Ratio = Settings.test_ratio,
    seed: Annotated[
        int, typer.Option(min=0, help="Decides split, initial weights and batches.")
    ] = Settings.seed,
    conv: Annotated[
        Conv, typer.Option(help="Convolution; gated is that of CGCNN.")
    ] = Settings.conv,
    pooling: Annotated[Pooling, typer.Option(help="From sites to crystals.")] = Settings.pooling,
    atom_fea_len: Annotated[
        int, typer.Option(min=1, help="Hidden features per site.")
    ] = Settings.atom_fea_len,
    n_conv: Annotated[int, typer.Option(min=0, help="Number of convolutions.")] = Settings.n_conv,
    h_fea_len: Annotated[
        int, typer.Option(min=1, help="Hidden features per crystal.")
    ] = Settings.h_fea_len,
    n_h: Annotated[
        int, typer.Option(min=1, help="Number of hidden layers after pooling.")
    ] = Settings.n_h,
    radius: Annotated[
        float, typer.Option(min=0.2, help="Initial cutoff of the neighbor search, in Å.")
    ] = Settings.radius,
    max_num_nbr: Annotated[
        int, typer.Option(min=1, help="Neighbors per site.")
    ] = Settings.max_num_nbr,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Model to start from: a file or the name of a pretrained model. Its sizes become "
            "the defaults."
        ),
    ] = Settings.init_from,
    freeze: Annotated[
        str,
        typer.Option(help="Layers of --init-from that stay as they are: none, convs or a number."),
    ] = Settings.freeze,
    conv_lr_factor: Annotated[
        float, typer.Option(help="Learning rate of the convolutions as a multiple of --lr.")
    ] = Settings.conv_lr_factor,
    device: Device = Parameters.device,
    n_jobs: Jobs = Parameters.n_jobs,
    on_error: BadCrystals = Settings.on_error,
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
    remarks: Annotated[
        bool, typer.Option("--remarks", help="List all remarks about files.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
) -> None:
    """Train on DATA, keep the best epoch by validation loss, and test it.

    Writes model.safetensors and model_best.pth.tar (the best epoch), checkpoint.pth.tar (the last
    one, to resume from), history.csv, test_results.csv, metrics.json and report.html, which shows
    them all.
    """
    folder = output or (_free_folder("cgcnn_run") if resume is None else resume.parent)
    checkpoint = folder / "checkpoint.pth.tar"
    resuming = f"skcgcnn train {data} --resume {checkpoint}"
    with _plain_errors(lambda: f" Continue with: {resuming}" if checkpoint.exists() else ""):
        from skcgcnn.training import train as run

        for name in ("label", "cls_weight"):
            wanted = "multi or classification" if name == "label" else "multi"
            # A run that is resumed has the task of its checkpoint.
            if _is_typed(ctx, name) and task not in wanted and resume is None:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option} needs --task {wanted}, but the task is {task}")
        options = {field.name: ctx.params[field.name] for field in fields(Settings)}
        options["target"] = tuple(target or ())
        for name in ("epochs", "batch_size", "lr"):
            options[name] = AUTO if options[name] is None else options[name]
        results = run(
            Settings(**options),
            folder,
            resume=resume,
            given={"data", *(name for name in options if _is_typed(ctx, name))},
            overwrite=overwrite,
            device=device,
            n_jobs=n_jobs,
            progress=not quiet,
            remarks=remarks,
            report=report,
        )
        _show(results, folder)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a pretrained model.")],
    data: Annotated[
        list[Path],
        typer.Argument(help="Folders (with or without id_prop.csv), or files of crystals."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="CSV file.", show_default="to the terminal"),
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
        typer.Option("--training-data", help="Folder it was trained on, for the report."),
    ] = None,
) -> None:
    """Predict for DATA with a trained MODEL.

    MODEL is what train wrote, a file of an estimator's save, a weight file of CGCNN, the name of a
    pretrained model (an official one is fetched), or, with --trust, a joblib file. A joblib file
    can run code when it is loaded: trust only those whose origin you know.
    """
    with _plain_errors():
        from skcgcnn.estimators import load_model, predict_targets
        from skcgcnn.training import find_crystals, refuse_inputs, write_predictions

        cif_ids, paths = find_crystals(data)
        if training_data is not None and report is None:
            raise ValueError("--training-data is for a report: name its file with --report")
        if training_data is not None and not training_data.exists():
            raise ValueError(f"--training-data {training_data}: no such file or folder")
        if report is not None and output == report:
            raise ValueError(f"{report} cannot be both the predictions and the report")
        training = None if training_data is None else find_crystals([training_data])
        inputs: list[str | Path] = [model, *data, *paths]
        if training_data is not None and training is not None:
            inputs += [training_data, *training[1]]
        for file in (output, report):
            if file is not None:
                refuse_inputs(file, inputs)
        est = load_model(model, device, data_home, trust=trust)
        est.set_params(n_jobs=n_jobs, on_error=on_error)
        # A report needs all graphs; without it, the crystals are read while the network runs.
        graphs = None if report is None else est.get_transformer().transform(paths)
        predictions = predict_targets(est, paths if graphs is None else graphs)
        write_predictions(output or sys.stdout, cif_ids, predictions)
        if report is not None and graphs is not None:
            from skcgcnn.training import write_prediction_report

            write_prediction_report(
                report, model, est, graphs, cif_ids, paths, predictions, training
            )
        if output is not None:
            typer.echo(f"{len(paths)} predictions in {output}")
        if report is not None:
            typer.echo(f"Report in {report}")


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a pretrained model.")],
    data_home: DataHome = None,
) -> None:
    """Describe a MODEL file, without running anything in it."""
    with _plain_errors():
        from skcgcnn.modelfiles import describe_model

        facts = describe_model(model, data_home)
        width = max(map(len, facts))
        for name, value in facts.items():
            typer.echo(f"{name:<{width}}  {value}")


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
    with _plain_errors():
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
            typer.echo(file)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8
    app()


@contextmanager
def _plain_errors(interrupted: Callable[[], str] = str) -> Iterator[None]:
    """Turn errors about input into a paragraph and exit code 2; print warnings as lines.

    `interrupted` returns what to say after Ctrl-C.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except KeyboardInterrupt:
            typer.echo(f"Interrupted.{interrupted()}", err=True)
            raise typer.Exit(130) from None
        except OSError as error:
            if error.errno == errno.ENOSPC:
                typer.echo("Error: no space left on the disk; old files stay as they are", err=True)
                raise typer.Exit(2) from error
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from error
        except (ValueError, MemoryError) as error:
            # DataError and StructureError are ValueErrors, as are scikit-learn's.
            typer.echo(f"Error: {_in_options(str(error) or repr(error))}", err=True)
            raise typer.Exit(2) from error


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    if issubclass(category, DeprecationWarning):
        return  # of libraries, to their developers
    typer.echo(f"Warning: {_in_options(str(message))}", err=True)


def _in_options(message: str) -> str:
    """Name options of the command instead of parameters of Python."""
    names = {"max_epochs": "epochs", "optimizer": "optim", "random_state": "seed"}
    message = re.sub(
        r"'(\w+)' parameter of \w+",
        lambda found: "option --" + names.get(found[1], found[1]).replace("_", "-"),
        message,
    )
    message = message.replace("on_error='nan'", "--on-error nan").replace(
        "init_from", "--init-from"
    )
    return message.replace("freeze=", "--freeze ")


def _free_folder(name: str) -> Path:
    """Return a folder for results that is not there yet: with a number, if need be."""
    folder = Path(name)
    number = 2
    while folder.exists():
        folder = Path(f"{name}_{number}")
        number += 1
    return folder


def _is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _show(report: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Test results")
    for heading in ("target", "metric", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, metrics in report["test"].items():
        for metric, value in metrics.items():
            table.add_row(name, metric, "undefined" if value is None else f"{value:.4f}")
    console.print(table)
    sizes = "{n_train} crystals trained, {n_val} validated, {n_test} tested".format(**report)
    decided = f"by the loss of {report['n_val']} validation crystals" if report["n_val"] else "last"
    lines = [f"{sizes}; best epoch {report['best_epoch']} ({decided})"]
    if report["n_groups"] is not None:
        groups = "{train} groups trained, {val} validated, {test} tested".format(
            **report["n_groups"]
        )
        lines.append(f"{groups}; none is in two parts (groups.csv)")
    lines.append(f"Model, predictions and metrics are in {folder}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
