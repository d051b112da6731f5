"""Chunks of crystal graphs with what went wrong, cached if asked for."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import joblib
import numpy as np

from skcgcnn._files import user_path
from skcgcnn._version import __version__
from skcgcnn.crystals import MAX_BYTES, Crystal, is_text, try_to_read
from skcgcnn.exceptions import StructureError, TransientReadError
from skcgcnn.graphs._build import (
    GraphMaker,
    Messages,
    build_arrays,
    name_sources,
    read_and_build,
    source_ids,
)
from skcgcnn.graphs._graphs import CrystalGraphs


class Chunk(NamedTuple):
    """The graphs of some crystals, and what there is to say about them.

    Attributes
    ----------
    graphs : CrystalGraphs
        One for every crystal; without sites where it failed.
    failures, notes : list of (str, str)
        Name of the crystal, and why it failed or what is odd about it.
    """

    graphs: CrystalGraphs
    failures: list[tuple[str, str]]
    notes: list[tuple[str, str]]


def build_chunk(
    sources: Sequence[Any],
    positions: Sequence[int],
    maker: GraphMaker,
    max_bytes: int = MAX_BYTES,
    memory: joblib.Memory | None = None,
) -> Chunk:
    """Read some crystals and make their graphs.

    Parameters
    ----------
    sources : sequence of paths, Structures or Atoms
        The crystals.
    positions : sequence of int
        Their positions in X.
    maker : GraphMaker
        How to make graphs.
    max_bytes : int, default=100_000_000
        Maximum size of a file.
    memory : joblib.Memory, optional
        Cache of graphs. The key is the content of the sources, not their paths.
    """
    if memory is None:
        built = read_and_build(sources, maker, max_bytes)
        graphs, failures, notes = CrystalGraphs(**built.arrays), built.failures, built.notes
    else:
        graphs, failures, notes = _cached_or_built(sources, maker, max_bytes, memory)
    return Chunk(
        replace(graphs, ids=source_ids(sources, positions)),
        name_sources(failures, sources, positions),
        name_sources(notes, sources, positions),
    )


def build_graphs(
    crystals: Sequence[Crystal | StructureError], maker: GraphMaker
) -> tuple[CrystalGraphs, Messages]:
    """Turn crystals into graphs.

    Parameters
    ----------
    crystals : sequence of Crystal or StructureError
        What was read; an error stands for a crystal that could not be.
    maker : GraphMaker
        How to make graphs.

    Returns
    -------
    graphs : CrystalGraphs
        Without ids; a failure is a crystal without sites.
    failures : list of (int, str)
        Positions that failed, and why.
    """
    arrays, failures = build_arrays(crystals, maker)
    return CrystalGraphs(**arrays), failures


def _cached_or_built(
    sources: Sequence[Any], maker: GraphMaker, max_bytes: int, memory: joblib.Memory
) -> tuple[CrystalGraphs, Messages, Messages]:
    made = memory.cache(_cached, ignore=["sources", "max_bytes"], verbose=0)
    keys = [_content_key(source, max_bytes) for source in sources]
    arguments = sources, keys, maker, __version__, max_bytes
    try:
        graphs, failures, notes, digest = made(*arguments)
        # An entry that was damaged on the disk, or that of other crystals in its place.
        if digest != _digest(graphs, failures, notes, keys):
            made.call_and_shelve(*arguments).clear()
            graphs, failures, notes, _ = made(*arguments)
    except _NotCachedError as error:
        graphs, failures, notes = error.result
    return graphs, failures, notes


def _cached(
    sources: Sequence[Any],
    keys: list[Any],  # with the next two, what joblib looks the graphs up by
    maker: GraphMaker,
    release: str,
    max_bytes: int,
) -> tuple[CrystalGraphs, Messages, Messages, str]:
    arrays, failures, notes, transient = read_and_build(sources, maker, max_bytes)
    graphs = CrystalGraphs(**arrays)
    # Of files that were replaced before they were read, the keys are those of others.
    is_same = all(
        _content_key(source, max_bytes) == key
        for source, key in zip(sources, keys, strict=True)
        if isinstance(source, (str, PathLike))
    )
    if transient or not is_same:
        raise _NotCachedError((graphs, failures, notes))
    return graphs, failures, notes, _digest(graphs, failures, notes, keys)


class _NotCachedError(Exception):
    """Carries a result past the cache."""

    def __init__(self, result: Any) -> None:
        super().__init__("the result of this time alone")
        self.result = result


def _digest(graphs: CrystalGraphs, failures: Messages, notes: Messages, keys: list[Any]) -> str:
    digest = blake2b(repr((failures, notes, joblib.hash(keys))).encode(), digest_size=20)
    for value in graphs.to_dict().values():
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


def _content_key(source: Any, max_bytes: int) -> Any:
    """Return what the graph of a source depends on, as a key for the cache."""
    if is_text(source):
        return "text", blake2b(source.encode(), digest_size=20).hexdigest()
    if isinstance(source, (str, PathLike)):
        return _file_key(user_path(source), max_bytes)
    crystal = try_to_read(source)
    if isinstance(crystal, TransientReadError):
        return uuid4().hex  # nothing is known of what it holds
    if isinstance(crystal, StructureError):
        return str(crystal)
    return crystal.lattice, crystal.coords, crystal.species


def _file_key(path: Path, max_bytes: int) -> Any:
    # The format follows from the name; all CIFs are of one format.
    kind = ".cif" if path.name.lower().endswith(".cif") else path.name
    try:
        if not path.is_file():
            return kind, "no file", str(path), path.exists()
        if path.stat().st_size <= max_bytes:
            return kind, blake2b(path.read_bytes(), digest_size=20).hexdigest()
        return kind, "too large", str(path)
    except OSError:
        return uuid4().hex  # likewise
    except ValueError as error:
        return kind, str(error)
