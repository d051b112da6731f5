"""``skcgcnn featurize``."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from skcgcnn._parameters import Parameters
from skcgcnn._text import crystals, for_terminals
from skcgcnn.cli._app import Jobs, Quiet, app, plain_errors

Ties = Literal["invariant", "official"]
Backend = Literal["loky", "dask", "ray"]


@app.command()
def featurize(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a glob pattern, a table (.csv, .tsv, .xlsx), an archive of CIFs (.tar, "
            ".zip), an ASE database (.db), or lines of JSON (.jsonl)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the store.")],
    properties: Annotated[
        Path | None,
        typer.Option(help="CSV file of properties, for a source that has none: id, then columns."),
    ] = None,
    crystal_column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table with paths, CIFs or Structures.", show_default="cif or so"
        ),
    ] = None,
    radius: Annotated[
        float, typer.Option(min=0.2, help="Initial cutoff of the neighbor search, in Å.")
    ] = Parameters.radius,
    max_num_nbr: Annotated[
        int, typer.Option(min=1, help="Neighbors per site.")
    ] = Parameters.max_num_nbr,
    neighbor_ties: Annotated[
        Ties, typer.Option(help="What decides between neighbors at the same distance.")
    ] = "invariant",
    n_jobs: Jobs = Parameters.n_jobs,
    backend: Annotated[
        Backend, typer.Option(help="What runs the workers: this machine, Dask, or Ray.")
    ] = "loky",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of the Dask scheduler or of the Ray cluster."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make a store anew that is complete.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Make a store of the graphs of SOURCE, for train and predict.

    A store is a folder that is read from the disk while a network trains, so that crystals need not
    fit into memory. A command that was interrupted goes on when it is repeated. Crystals that fail
    are left out; failures.csv in the store lists them, and remarks.csv what is odd about others.
    """
    with plain_errors(lambda: " Repeat the command to go on."), ExitStack() as stack:
        import joblib

        from skcgcnn.graphs import CrystalGraphTransformer
        from skcgcnn.stores import featurize as run

        if scheduler is not None and backend == "loky":
            raise ValueError("--scheduler is for --backend dask or ray")
        if backend != "loky":
            _connect(backend, scheduler, stack)
            stack.enter_context(joblib.parallel_config(backend=backend))
            # All workers of the cluster, unless there is a number.
            n_jobs = -1 if n_jobs is None else n_jobs
        transformer = CrystalGraphTransformer(
            radius=radius,
            max_num_nbr=max_num_nbr,
            neighbor_ties=neighbor_ties,
            n_jobs=n_jobs,
            verbose=int(not quiet),
        )
        done = run(
            source,
            output,
            transformer=transformer,
            properties=properties,
            crystal_column=crystal_column,
            overwrite=overwrite,
        )
        kept = f", {done.n_kept} of them read before" if done.n_kept else ""
        beside = f" with {', '.join(done.properties)}" if done.properties else ""
        typer.echo(for_terminals(f"{crystals(done.n_crystals)}{beside} in {output}{kept}"))


def _connect(backend: str, scheduler: str | None, stack: ExitStack) -> None:
    """Connect to a cluster, or start one on this machine."""
    try:
        if backend == "dask":
            from dask.distributed import Client

            # Workers of their own processes: reading holds Python's lock.
            options: dict[str, Any] = {} if scheduler else {"threads_per_worker": 1}
            stack.enter_context(Client(scheduler, **options))
        else:
            import ray
            from ray.util.joblib import register_ray

            register_ray()
            stack.enter_context(ray.init(address=scheduler))
    except ImportError as error:
        raise ValueError(f"--backend {backend} needs pip install 'skcgcnn[{backend}]'") from error
