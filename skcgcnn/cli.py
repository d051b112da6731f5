"""The command line: ``skcgcnn train``, ``predict``, ``info`` and ``make-vacancies``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

# Only Typer is imported here: `skcgcnn --help` should not wait for torch.

__all__ = ["main"]

app = typer.Typer(
    help="Crystal graph convolutional networks on folders of CIF files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Task(StrEnum):
    """What to learn."""

    regression = "regression"
    classification = "classification"
    multi = "multi"


class Optim(StrEnum):
    """Optimizers."""

    adamw = "adamw"
    adam = "adam"
    sgd = "sgd"


class OnError(StrEnum):
    """What to do with crystals that cannot be read."""

    raise_ = "raise"
    nan = "nan"


Ratio = Annotated[float, typer.Option(min=0.0, max=1.0)]
Positive = Annotated[int, typer.Option(min=1)]
Jobs = Annotated[int | None, typer.Option("--n-jobs", "-j", help="Workers that read crystals.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
DataHome = Annotated[
    Path | None,
    typer.Option(help="Folder of the official models.  [default: $SKCGCNN_DATA, or a cache]"),
]
BadCrystals = Annotated[
    OnError, typer.Option(help="Stop at crystals that cannot be read, or go on without them.")
]


@app.callback()
def _skcgcnn() -> None:
    """Crystal graph convolutional networks on folders of CIF files."""


@app.command()
def train(
    ctx: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with id_prop.csv and CIFs, or a bundled dataset: sample, li_vacancy."
        ),
    ],
    task: Annotated[Task, typer.Option(help="What to learn.")] = Task.regression,
    cls_weight: Annotated[
        float, typer.Option(min=0.0, help="Weight of the classification loss (--task multi).")
    ] = 1.0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training crystals.")] = 30,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", min=1)] = 64,
    lr: Annotated[float, typer.Option("--lr", min=0.0, help="Learning rate.")] = 0.001,
    optim: Annotated[Optim, typer.Option(help="Optimizer.")] = Optim.adamw,
    train_ratio: Ratio = 0.8,
    val_ratio: Ratio = 0.1,
    test_ratio: Ratio = 0.1,
    seed: Annotated[
        int, typer.Option(min=0, help="Decides split, initial weights and batches.")
    ] = 0,
    atom_fea_len: Annotated[int, typer.Option(min=1, help="Hidden features a site.")] = 64,
    n_conv: Annotated[int, typer.Option(min=0, help="Convolutions.")] = 3,
    h_fea_len: Annotated[int, typer.Option(min=1, help="Hidden features a crystal.")] = 128,
    n_h: Annotated[int, typer.Option(min=1, help="Hidden layers after pooling.")] = 1,
    radius: Annotated[
        float, typer.Option(min=0.2, help="Where the search for neighbours begins, in Å.")
    ] = 8.0,
    max_num_nbr: Annotated[int, typer.Option(min=1, help="Neighbours a site.")] = 12,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Model to begin from: a file or the name of an official model. Its sizes become "
            "the defaults."
        ),
    ] = None,
    freeze: Annotated[
        str,
        typer.Option(help="Layers of --init-from that stay as they are: none, convs or a number."),
    ] = "none",
    conv_lr_factor: Annotated[
        float, typer.Option(help="Learning rate of the convolutions as a share of --lr.")
    ] = 1.0,
    device: Device = "auto",
    n_jobs: Jobs = None,
    on_error: BadCrystals = OnError.raise_,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint.pth.tar.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the results.  [default: cgcnn_run]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Train on DATA, keep the best epoch by validation score, and test it.

    Writes checkpoint.pth.tar, model_best.pth.tar, test_results.csv and metrics.json.
    """
    with _plain_errors():
        from skcgcnn import experiment  # noqa: PLC0415 - imports torch

        settings = experiment.Settings(
            data=data,
            task=task.value,
            cls_weight=cls_weight,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optim=optim.value,
            train_ratio=train_ratio,
            val_ratio=val_ratio,
            test_ratio=test_ratio,
            seed=seed,
            atom_fea_len=atom_fea_len,
            n_conv=n_conv,
            h_fea_len=h_fea_len,
            n_h=n_h,
            radius=radius,
            max_num_nbr=max_num_nbr,
            on_error=on_error.value,
            init_from=init_from,
            freeze=freeze,
            conv_lr_factor=conv_lr_factor,
        )
        if resume is not None:
            settings = _settings_of(resume, settings, ctx)
        elif init_from is not None:
            settings = _sizes_of(init_from, settings, ctx)
        folder = output or (Path("cgcnn_run") if resume is None else resume.parent)
        report = experiment.train(
            settings, folder, resume=resume, device=device, n_jobs=n_jobs, progress=not quiet
        )
        _show(report, folder)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A model file, or the name of an official model.")],
    data: Annotated[
        list[Path], typer.Argument(help="A folder (with or without id_prop.csv), or CIF files.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV file; else to the terminal.")
    ] = None,
    device: Device = "auto",
    n_jobs: Jobs = None,
    on_error: BadCrystals = OnError.raise_,
    data_home: DataHome = None,
) -> None:
    """Predict for DATA with a trained MODEL.

    MODEL is what train wrote, a file of an estimator's save, a weight file of CGCNN, the name of an
    official model (it is fetched), or a joblib file. A joblib file can run code when it is loaded:
    open only those that you trust.
    """
    with _plain_errors():
        from skcgcnn.checkpoints import load_model  # noqa: PLC0415 - imports torch
        from skcgcnn.predictions import predict_targets, write_predictions  # noqa: PLC0415

        est, names = load_model(model, device, data_home)
        cif_ids, paths = _crystals(data)
        est.set_params(n_jobs=n_jobs, on_error=on_error.value)
        predictions = predict_targets(est, paths, names)
        write_predictions(output or sys.stdout, cif_ids, predictions)
        if output is not None:
            typer.echo(f"{len(paths)} predictions in {output}")


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A model file, or the name of an official model.")],
    data_home: DataHome = None,
) -> None:
    """Tell what a MODEL is, without running anything in it."""
    with _plain_errors():
        from skcgcnn.info import describe_model  # noqa: PLC0415 - imports torch

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
        int | None, typer.Option("--num-vac", "--num_vac", min=1, help="Vacancies a structure.")
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option(help="Share of the element to take out instead.  [default: 0.1]"),
    ] = None,
    supercell: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Multiples of the cell.  [default: until its edges are 8 Å long]"),
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
        typer.Option("--output", "-o", help="Folder of the files.  [default: that of CRYSTAL]"),
    ] = None,
) -> None:
    """Take Li out of CRYSTAL at random, and write <crystal>_aug0.cif, <crystal>_aug1.cif, ..."""
    with _plain_errors():
        from skcgcnn._vacancy_files import make_vacancy_files  # noqa: PLC0415 - imports NumPy

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
    app()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn errors about input into a paragraph and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        # DataError and StructureError are ValueErrors, as are scikit-learn's.
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error


def _settings_of(resume: Path, given: Any, ctx: typer.Context) -> Any:
    """Return the settings of a checkpoint, overruled by the options that were typed."""
    from skcgcnn.checkpoints import load_checkpoint  # noqa: PLC0415 - imports torch
    from skcgcnn.exceptions import DataError  # noqa: PLC0415

    _, run = load_checkpoint(resume, device="cpu")
    if "settings" not in run:
        raise DataError(f"{resume}: is a model, but not a checkpoint of a training run")
    typed = {name: getattr(given, name) for name in run["settings"] if _is_typed(ctx, name)}
    return replace(given, **{**run["settings"], **typed})


def _sizes_of(init_from: str, given: Any, ctx: typer.Context) -> Any:
    """Return the settings with the sizes of a model, where they were not typed."""
    from skcgcnn.checkpoints import architecture  # noqa: PLC0415 - imports torch

    sizes = architecture(init_from)
    return replace(
        given,
        **{
            name: value
            for name, value in sizes.items()
            if hasattr(given, name) and not _is_typed(ctx, name)
        },
    )


def _is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _crystals(data: list[Path]) -> tuple[list[str], list[str]]:
    """Return ids and paths of the crystals in a folder, or of the files that are named."""
    from skcgcnn.datasets import load_id_prop  # noqa: PLC0415 - imports NumPy
    from skcgcnn.exceptions import DataError  # noqa: PLC0415

    if len(data) == 1 and data[0].is_dir():
        if (data[0] / "id_prop.csv").is_file():
            bunch = load_id_prop(data[0])
            return bunch.cif_ids, bunch.data
        data = sorted(data[0].glob("*.cif"))
        if not data:
            raise DataError("the folder holds neither id_prop.csv nor CIF files")
    return [path.stem for path in data], [str(path) for path in data]


def _show(report: dict[str, Any], folder: Path) -> None:
    from rich.console import Console  # noqa: PLC0415 - with the results, not with --help
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    table = Table(title="Test results")
    for heading in ("target", "metric", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for name, metrics in report["test"].items():
        for metric, value in metrics.items():
            table.add_row(name, metric, "undefined" if value is None else f"{value:.4f}")
    console.print(table)
    sizes = "{n_train} crystals trained, {n_val} validated, {n_test} tested".format(**report)
    lines = [f"{sizes}; best epoch {report['best_epoch']}"]
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
