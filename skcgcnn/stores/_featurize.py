"""From a source of crystals to a store, by several workers, and on after an interruption."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import (
    Mark,
    check_folder,
    file_mark,
    refuse_changed,
    take_folder,
    unlock_folder,
    user_path,
)
from skcgcnn._parallel import streaming_parallel, task
from skcgcnn._progress import Progress
from skcgcnn._text import for_terminals
from skcgcnn._version import __version__
from skcgcnn._warnings import warn_caller
from skcgcnn.datasets import find_features, load_groups, write_table
from skcgcnn.exceptions import DataError
from skcgcnn.graphs import (
    CrystalGraphTransformer,
    join_headers,
    joined_streams,
    map_arrays,
    remove_leftovers,
    replace_data,
    stream_arrays,
)
from skcgcnn.stores._columns import own_columns, write_columns
from skcgcnn.stores._items import Item, bytes_in_memory
from skcgcnn.stores._properties import JoinedProperties, Properties, read_properties
from skcgcnn.stores._shards import SHARD, ShardFiles, digest_items, write_shard
from skcgcnn.stores._sources import Source, find_source
from skcgcnn.stores._store import (
    COLUMNS,
    FAILURES,
    FEATURES,
    GROUPS,
    REMARKS,
    SHARDS,
    is_complete,
)

# Small sources are divided too, so that several workers have something to do.
_LEAST, _SHARE, _UNKNOWN = 50, 64, 1_000
# In bytes, of what archives and tables hold: several shards are in memory at a time.
_AT_ONCE = 16_000_000


@dataclass(frozen=True)
class Featurized:
    """What came of a call of `featurize`.

    Attributes
    ----------
    n_crystals, n_failures : int
        Crystals in the store, and crystals that could not become graphs.
    n_kept : int
        Crystals that an earlier, interrupted call had read.
    properties : list of str
        Names of the properties in the store.
    """

    n_crystals: int
    n_failures: int
    n_kept: int
    properties: list[str]


def featurize(
    source: str | PathLike[str],
    store: str | PathLike[str],
    *,
    transformer: CrystalGraphTransformer | None = None,
    properties: str | PathLike[str] | None = None,
    crystal_column: str | None = None,
    overwrite: bool = False,
) -> Featurized:
    """Make a store of the graphs of many crystals.

    Workers write shards of some thousand crystals, which are joined in the end. A store that is
    replaced stays readable until then, and a reader gets all of the old store or of the new one.

    A call that was interrupted goes on when it is repeated: shards are kept if their crystals have
    not changed since. The store is the same to the byte, whatever the number of workers and of
    interruptions.

    Parameters
    ----------
    source : path
        A folder with ``id_prop.csv`` and CIFs; a folder or a glob pattern of files of crystals; a
        table (``.csv``, ``.tsv``, also ``.gz``; ``.xlsx``) with a column of paths, CIF texts or
        Structures as JSON; a ``.tar`` (also packed) or ``.zip`` of CIFs; an ASE database (``.db``);
        or lines of JSON (``.jsonl``, also ``.gz``), each a Structure or an object that holds one
        beside its properties.
    store : path
        Folder for the store; made if need be.
    transformer : CrystalGraphTransformer, optional
        How to make the graphs, with how many workers, and whether to show progress. joblib's
        backends apply, so that ``with joblib.parallel_config(backend="dask")`` uses a cluster whose
        machines all see `source` and `store`.
    properties : path, optional
        A CSV file with a header, whose column ``id`` names crystals (or another one, as in
        `load_id_prop`): properties for sources that have none.
    crystal_column : str, optional
        Column of a table that holds the crystals; by default that which is called ``cif``,
        ``structure``, ``path``, ``file``, ``filename`` or ``crystal``, else that of the ids.
    overwrite : bool, default=False
        Whether a store that is complete may be made anew.

    Returns
    -------
    Featurized

    Raises
    ------
    DataError
        If the source cannot be read, or no crystal of it; or `store` is something else.

    Warns
    -----
    UserWarning
        If crystals failed: ``failures.csv`` in the store lists path and cause. If crystals were
        read with remarks, such as sites that do not have their formula, of the file or of a
        column ``formula``: ``remarks.csv`` lists them.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skcgcnn.datasets import load_sample_regression
    >>> from skcgcnn.stores import featurize, open_store
    >>> folder = Path(load_sample_regression().filename).parent
    >>> with TemporaryDirectory() as store:
    ...     print(featurize(folder, store).n_crystals)
    ...     print(open_store(store).graphs)
    254
    CrystalGraphs(254 crystals, 2429 sites in 498 classes, 12 neighbors)
    """
    folder = user_path(store)
    transformer = transformer or CrystalGraphTransformer()
    _check_arguments(source, folder, transformer, properties)
    path = user_path(source)
    mark = file_mark(path)
    found = find_source(source, crystal_column)
    if path.is_file() and path.suffix.lower() != ".db":  # rows of a database are read each alone
        found = replace(found, items=_while_unchanged(found.items, path, mark))
    beside = None if properties is None else read_properties(user_path(properties))
    features = None if found.folder is None else find_features(found.folder)
    if features is not None and transformer.atom_features is None:
        transformer = CrystalGraphTransformer(**transformer.get_params())
        transformer.set_params(atom_features=str(features))
    copied = _copied(found, transformer)
    if found.folder is not None:
        load_groups(found.folder, [])  # says what is wrong with it before anything is made
    _prepare(folder, overwrite=overwrite)
    with _alone(folder):
        remove_leftovers(folder)
        _clean(folder)
        return _featurize(found, folder, transformer, beside, copied)


def _featurize(
    source: Source,
    folder: Path,
    transformer: CrystalGraphTransformer,
    beside: Properties | None,
    copied: dict[str, tuple[Path, Mark]],
) -> Featurized:
    """Write the shards that are missing, and join all, with the files that are copied."""
    shards, kept = _write_shards(source, folder / SHARDS, transformer)
    if not shards:
        raise DataError(f"{source.name}: holds no crystal")
    n_failures = n_remarks = 0
    first = ""
    for shard in shards:
        told = shard.read()
        n_failures += len(told["failures"])
        n_remarks += len({path for path, _ in told["remarks"]})
        first = first or next(map(": ".join, told["remarks"]), "")
    if not any(len(shard.ids()) for shard in shards):
        path, why = shards[0].read()["failures"][0]
        raise DataError(f"{source.name}: no crystal can become a graph; the first is {path}: {why}")
    parts = [shard.graphs for shard in shards]
    with replace_data(folder) as new:
        read = own_columns if beside is None else JoinedProperties(beside, shards)
        columns = write_columns(new.path / COLUMNS, shards, read)
        units = source.units if beside is None else {**source.units, **beside.sheet.units}
        joint = join_headers(parts)
        stream_arrays(new.path, joined_streams(joint, parts))
        _warn_of_same_names(map_arrays(new.path, ["ids"])["ids"])
        for name, word, what in ((FAILURES, "cause", "failures"), (REMARKS, "remark", "remarks")):
            rows = (row for shard in shards for row in shard.read()[what])
            write_table(folder / name, ("path", word), rows)
        for name, (path, mark) in copied.items():
            if path.is_file():
                shutil.copyfile(path, new.path / name)
            refuse_changed([str(path)], [mark])
        new.facts = {
            "options": asdict(joint.options),
            "properties": columns,
            "units": {name: unit for name, unit in units.items() if name in columns},
            "source": source.name,
            "n_crystals": joint.n_crystals,
            "n_failures": n_failures,
            "n_remarks": n_remarks,
        }
    # Renamed first: another process may be about to use the name.
    done = folder / SHARDS
    with suppress(OSError):  # on Windows, while a shard is open; or a disk that fills
        done = done.rename(folder / f"{SHARDS}-{os.getpid()}.tmp")
    shutil.rmtree(done, ignore_errors=True)
    if n_failures:
        warn_caller(
            f"{n_failures} of {n_failures + joint.n_crystals} crystals could not become graphs and "
            f"are left out; {folder / FAILURES} lists them"
        )
    if n_remarks:
        warn_caller(
            f"{n_remarks} of {n_failures + joint.n_crystals} crystals were read with remarks, the "
            f"first with {for_terminals(first)}; {folder / REMARKS} lists all"
        )
    return Featurized(joint.n_crystals, n_failures, kept, columns)


def _check_arguments(
    source: str | PathLike[str],
    folder: Path,
    transformer: CrystalGraphTransformer,
    properties: str | PathLike[str] | None,
) -> None:
    """Refuse what would be noticed when all is read, or would be lost."""
    if not isinstance(source, (str, PathLike)):
        raise TypeError(
            f"source is a {type(source).__name__}; expected a path. Crystals in memory become "
            "graphs by CrystalGraphTransformer().transform"
        )
    if transformer.atom_features is not None and not isinstance(
        transformer.atom_features, (str, PathLike)
    ):
        raise DataError("atom_features of a store come from a file, not from a mapping")
    for path in (source, properties):
        if path is not None and folder.resolve() in (
            inside := user_path(path).resolve(),
            *inside.parents,
        ):
            raise DataError(f"{path}: lies in the store {folder}; choose another folder for it")


_BUSY = "{}: another process makes this store; wait for it, or end it"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making the same store."""
    try:
        number = take_folder(folder / SHARDS)
    except BlockingIOError:
        raise DataError(_BUSY.format(folder)) from None
    try:
        yield
    finally:
        unlock_folder(number)


def _clean(folder: Path) -> None:
    """Remove temporary files of a run that was killed, which nobody else can need."""
    for place in (folder, folder / SHARDS):
        for path in place.glob(".*.tmp"):
            if path.is_file():
                path.unlink()


def _warn_of_same_names(ids: npt.NDArray[np.str_]) -> None:
    """Warn of names that several crystals share."""
    # Hashes, for the names of many crystals take much memory.
    hashes = np.fromiter(map(hash, map(str, ids)), dtype=np.int64, count=len(ids))
    values, counts = np.unique(hashes, return_counts=True)
    if len(values) < len(ids):
        row = int(np.flatnonzero(np.isin(hashes, values[counts > 1]))[0])
        warn_caller(
            f"{len(ids) - len(values)} crystals have the name of another one, the first is "
            f"{str(ids[row])!r}: properties and predictions do not tell them apart"
        )


def _prepare(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, or see that it is a store that may be gone on with or replaced."""
    check_folder(folder, "the store")
    if (folder / SHARDS).is_symlink():  # temporary files there may be those of others
        raise DataError(f"{folder / SHARDS}: is a link; remove it, and repeat the command")
    if is_complete(folder):
        # What a killed run did not come to remove is as large as the store.
        remove_leftovers(folder)
        for path in folder.glob(f"{SHARDS}-*.tmp"):
            shutil.rmtree(path, ignore_errors=True)
        if not overwrite:
            raise DataError(
                f"{folder}: is a complete store; choose another folder, or replace it with "
                "overwrite=True (--overwrite)"
            )
    elif folder.is_dir() and any(folder.iterdir()) and not (folder / SHARDS).is_dir():
        raise DataError(f"{folder}: holds other files; choose another folder for the store")
    try:
        (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # it was there, and was removed before it was looked at
        raise DataError(_BUSY.format(folder)) from error


def _write_shards(
    source: Source, folder: Path, transformer: CrystalGraphTransformer
) -> tuple[list[ShardFiles], int]:
    """Write the shards that are missing; return all of them, and how many crystals were kept."""
    maker, max_bytes = transformer._maker(), transformer.max_bytes
    shards: list[ShardFiles] = []
    kept: list[int] = []
    errors: list[Exception] = []
    progress = Progress(source.n_crystals, "crystal", enabled=bool(transformer.verbose))

    def tasks() -> Iterator[Any]:
        try:
            for items in _batches(source):
                shard = ShardFiles.of(folder, len(shards))
                shards.append(shard)
                # Other versions may read them otherwise.
                digest = f"{digest_items(items)} {maker.options} {max_bytes} {__version__}"
                if shard.made_from(digest):
                    kept.append(len(items))
                    progress.update(len(items))
                    continue
                yield task(write_shard)(items, digest, maker, max_bytes, shard)
        except Exception as error:  # noqa: BLE001 - joblib would wait for ever
            errors.append(error)

    n_failures = 0
    with progress:
        try:
            parallel = streaming_parallel(transformer.n_jobs, ordered=False)
            for written in parallel(tasks()):
                n_failures += written.n_failures
                failed = f"{n_failures} failed" if n_failures else ""
                progress.update(written.n_crystals, failed)
        except BrokenExecutor as error:
            raise DataError(
                "a worker ended before its work was done; perhaps there was not enough memory. "
                "What is done is kept: repeat the command, with fewer workers, to go on"
            ) from error
    if errors:
        raise errors[0]
    return shards, sum(kept)


def _while_unchanged(items: Iterator[Item], path: Path, mark: Mark) -> Iterator[Item]:
    """Yield the crystals of a file; refuse it at the end if some may be of another state of it."""
    yield from items
    refuse_changed([str(path)], [mark])


def _batches(source: Source) -> Iterator[list[Item]]:
    n = source.n_crystals
    size = _UNKNOWN if n is None else min(max(n // _SHARE, _LEAST), SHARD)
    items, n_bytes = list[Item](), 0
    for item in source.items:
        items.append(item)
        n_bytes += bytes_in_memory(item)
        if len(items) == size or n_bytes > _AT_ONCE:
            yield items
            items, n_bytes = [], 0
    if items:
        yield items


def _copied(source: Source, transformer: CrystalGraphTransformer) -> dict[str, tuple[Path, Mark]]:
    """Return the files of a store that belong to its crystals, and what changes with them."""
    features, folder = transformer.atom_features, source.folder
    paths = {} if features is None else {FEATURES: user_path(features)}
    if folder is not None:
        paths[GROUPS] = folder / GROUPS
    return {name: (path, file_mark(path)) for name, path in paths.items()}
