"""The crystals that a prediction is asked for: folders and files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skcgcnn.crystals import READABLE, source_id
from skcgcnn.datasets import read_table
from skcgcnn.exceptions import DataError
from skcgcnn.stores import MANY, crystal_files, is_store, open_store


def find_crystals(sources: Sequence[Path]) -> tuple[Sequence[str], Any]:
    """Return ids and paths of the crystals in folders, and of files; or the graphs of a store.

    Parameters
    ----------
    sources : sequence of Path
        A folder gives the crystals of its ``id_prop.csv``, whose targets are not needed, else all
        files in it and below that can hold a crystal; a file gives itself. Or one store alone.

    Returns
    -------
    ids : sequence of str
        Where several crystals would have one name, their paths.
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
        lower = source.name.lower()
        # A file of a crystal may be missing like any other; what else there is not was misspelled.
        if not source.exists() and not lower.endswith(READABLE):
            raise DataError(f"{source}: no such file or folder")
        if source.is_file() and lower.endswith(MANY):
            raise DataError(
                f"{source}: can hold many crystals; make a store of it first, with skcgcnn "
                f"featurize {source} --output STORE, and predict for that"
            )
        if not source.is_dir():
            found = [(source_id(source, 0), str(source))]
        elif (source / "id_prop.csv").is_file():
            table = read_table(source, on_missing="keep", targets=False)
            found = list(zip(table.cif_ids, table.paths, strict=True))
        else:
            found = crystal_files(source)
            if not found:
                raise DataError(f"{source}: holds neither id_prop.csv nor files of crystals")
        ids += [cif_id for cif_id, _ in found]
        paths += [path for _, path in found]
    # A file may be named twice; other files of that name are told apart.
    times = Counter(cif_id for cif_id, _ in set(zip(ids, paths, strict=True)))
    ids = [i if times[i] == 1 else path for i, path in zip(ids, paths, strict=True)]
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
