"""The numbers beside crystals: columns of their table, and what a potential says of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import Table
from skcgcnn.exceptions import DataError, describe_failures
from skcgcnn.graphs import Beside, CrystalGraphs


def add_potential(
    table: Table,
    potential: str | None,
    *,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Table:
    """Return numbers beside crystals, followed by what a potential says of these.

    Parameters
    ----------
    table : Table
        The crystals, and columns of numbers.
    potential : str or None
        Its name, see `PotentialFeatures`; None for nothing.
    on_error : {"raise", "nan"}, default="raise"
        What to do with crystals of which it says nothing.
    n_jobs, verbose : int, optional
        For `PotentialFeatures`.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If there are no crystals, for a store holds graphs, or a column has the name of a feature.
    ImportError
        If the package of the potential is not installed.
    StructureError
        If the potential says nothing of a crystal and ``on_error="raise"``.
    """
    if potential is None:
        return table
    if not table.paths and len(table.cif_ids):
        raise DataError(
            f"{table.file}: is a store, which holds graphs and no crystals that {potential} could "
            "compute; give the folder or the files that it was made from"
        )
    from skcgcnn.features import PotentialFeatures

    features = PotentialFeatures(potential, on_error=on_error, n_jobs=n_jobs, verbose=verbose)
    own = features.get_feature_names_out().tolist()
    if twice := sorted({*table.names} & {*own}):
        raise DataError(
            f"{table.file}: column {twice[0]!r} has the name of a feature of {potential}; rename it"
        )
    columns = features.transform(table.paths).T
    return replace(table, names=[*table.names, *own], columns=[*table.columns, *columns])


def join_to_graphs(graphs: CrystalGraphs, beside: Table, *, allow_missing: bool) -> CrystalGraphs:
    """Return graphs of a store with the numbers beside them; a crystal that lacks one fails.

    Parameters
    ----------
    graphs : CrystalGraphs
    beside : Table
        The numbers.
    allow_missing : bool
        Whether numbers may be missing.
    """
    numbers, failures = beside.numbers(allow_missing=allow_missing), list[tuple[str, str]]()
    own = Beside(graphs.ids, numbers, tuple(beside.names), beside.units)
    joined = own.join(graphs, 0, failures)
    if failures:
        warn_caller(describe_failures(failures, len(graphs)))
    return joined


def join_beside(paths: Sequence[str], beside: Table, *, allow_missing: bool) -> Any:
    """Return crystals with the numbers beside them as estimators take them.

    Parameters
    ----------
    paths : sequence of str
        The crystals.
    beside : Table
        The numbers.
    allow_missing : bool
        Whether numbers may be missing.

    Returns
    -------
    sequence of str or DataFrame
        The paths alone where there are no numbers.
    """
    if not beside.names:
        return paths
    import pandas as pd

    numbers = beside.numbers(allow_missing=allow_missing)
    X = pd.DataFrame(numbers, columns=list(beside.names))
    X.insert(0, "crystal", list(paths), allow_duplicates=True)
    X.attrs["units"] = beside.units
    return X
