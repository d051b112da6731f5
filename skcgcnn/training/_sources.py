"""The crystals that a prediction is asked for: folders and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skcgcnn.crystals import READABLE, source_id
from skcgcnn.datasets import read_table
from skcgcnn.exceptions import DataError
from skcgcnn.stores import is_store, open_store


def find_crystals(sources: Sequence[Path]) -> tuple[Sequence[str], Any]:
    """Return ids and paths of the crystals in folders, and of files; or the graphs of a store.

    Parameters
    ----------
    sources : sequence of Path
        A folder gives the crystals of its ``id_prop.csv``, whose targets are not needed, else all
        files in it that can hold a crystal; a file gives itself. Or one store alone.

    Returns
    -------
    ids : sequence of str
    crystals : list of str, or CrystalGraphs

    Raises
    ------
    DataError
        If a folder holds no crystals, or there is a store among others.
    """
    stores = [source for source in sources if is_store(source)]
    if stores:
        if len(sources) > 1:
            raise DataError(f"{stores[0]}: is a store; name it alone")
        graphs = open_store(stores[0]).graphs
        names: Any = graphs.ids
        return names, graphs
    ids: list[str] = []
    paths: list[str] = []
    for source in sources:
        # A file of a crystal may be missing like any other; what else there is not was misspelled.
        if not source.exists() and not source.name.lower().endswith(READABLE):
            raise DataError(f"{source}: no such file or folder")
        if not source.is_dir():
            found = [str(source)]
        elif (source / "id_prop.csv").is_file():
            table = read_table(source, on_missing="keep", targets=False)
            ids += table.cif_ids
            paths += table.paths
            continue
        else:
            found = [str(p) for p in sorted(source.iterdir()) if p.name.lower().endswith(READABLE)]
            if not found:
                raise DataError(f"{source}: holds neither id_prop.csv nor files of crystals")
        ids += [source_id(path, 0) for path in found]
        paths += found
    return ids, paths


def refuse_inputs(output: Path, inputs: Sequence[str | Path]) -> None:
    """Refuse an output that would replace an input, or that cannot be written.

    Parameters
    ----------
    output : Path
        Where the results go.
    inputs : sequence of str or Path
        The files that are read.

    Raises
    ------
    DataError
        If it is one of them, or its folder does not exist.
    """
    if output.is_dir():
        raise DataError(f"{output}: is a folder; name a file for the results")
    if not output.parent.is_dir():
        raise DataError(f"{output}: its folder does not exist")
    if not output.exists():
        return
    for path in map(Path, inputs):
        beside = (path / "id_prop.csv", path.parent / "id_prop.csv")
        inside = path.iterdir() if is_store(path) else ()
        for file in (path, *beside, *inside):
            if file.is_file() and file.samefile(output):
                raise DataError(f"{output}: is read, and would be replaced; choose another file")
