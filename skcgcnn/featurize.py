"""From sources to graphs, a chunk at a time, with what went wrong; cached if asked for."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib.metadata import version
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np

from skcgcnn.crystal import Crystal
from skcgcnn.elements import ElementFeatures
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs import CrystalGraphs
from skcgcnn.packing import pack
from skcgcnn.structures import describe_source, source_id, try_to_read

# Positions in a chunk, and what there is to say of them.
_Told = list[tuple[int, str]]

__all__ = ["Chunk", "GraphOptions", "featurize", "read_ahead"]


@dataclass(frozen=True)
class GraphOptions:
    """What a graph depends on besides the crystal.

    Attributes
    ----------
    features : ElementFeatures
        Features of the elements.
    n_neighbors : int, default=12
        Neighbours a site.
    radius : float, default=8.0
        Where the search for neighbours begins, in Å.
    neighbor_ties : {"invariant", "official"}, default="invariant"
        What decides between neighbours at the same distance.
    """

    features: ElementFeatures
    n_neighbors: int = 12
    radius: float = 8.0
    neighbor_ties: str = "invariant"


class Chunk(NamedTuple):
    """The graphs of some sources, and what there is to say about them.

    Attributes
    ----------
    graphs : CrystalGraphs
        One for every source, without sites where it failed.
    failures, notes : list of (str, str)
        What failed, or was odd, and why.
    """

    graphs: CrystalGraphs
    failures: list[tuple[str, str]]
    notes: list[tuple[str, str]]


def featurize(
    sources: Sequence[Any], first: int, options: GraphOptions, memory: joblib.Memory | None = None
) -> Chunk:
    """Read some crystals and make their graphs.

    Parameters
    ----------
    sources : sequence of paths, Structures or Atoms
        The crystals.
    first : int
        Position of the first of them in X.
    options : GraphOptions
        How to make graphs.
    memory : joblib.Memory, optional
        Where to look for graphs made before. The key is what the sources hold, not where they
        are.

    Returns
    -------
    Chunk
    """
    if memory is None:
        graphs, failures, notes = _make_graphs(sources, options)
    else:
        made = memory.cache(_cached_graphs, ignore=["sources"], verbose=0)
        keys = [_content_key(source) for source in sources]
        graphs, failures, notes = made(sources, keys, options, version("skcgcnn"))
    ids = np.array([source_id(s, first + i) for i, s in enumerate(sources)], dtype=np.str_)

    def name(told: _Told) -> list[tuple[str, str]]:
        return [(describe_source(sources[i], first + i), why) for i, why in told]

    return Chunk(replace(graphs, ids=ids), name(failures), name(notes))


def _make_graphs(
    sources: Sequence[Any], options: GraphOptions
) -> tuple[CrystalGraphs, _Told, _Told]:
    crystals = [try_to_read(source) for source in sources]
    notes = [
        (i, note)
        for i, crystal in enumerate(crystals)
        if isinstance(crystal, Crystal)
        for note in crystal.notes
    ]
    arrays, failures = pack(
        crystals,
        options.features,
        n_neighbors=options.n_neighbors,
        radius=options.radius,
        neighbor_ties=options.neighbor_ties,
    )
    nameless = np.zeros(len(crystals), dtype="U1")
    return CrystalGraphs(**arrays, ids=nameless), failures, notes


def _cached_graphs(
    sources: Sequence[Any],
    keys: list[Any],  # noqa: ARG001 - with the next, what joblib looks the graphs up by
    options: GraphOptions,
    release: str,  # noqa: ARG001
) -> tuple[CrystalGraphs, _Told, _Told]:
    return _make_graphs(sources, options)


def _content_key(source: Any) -> Any:
    """Return what the graph of a source depends on."""
    if not isinstance(source, (str, PathLike)):
        crystal = try_to_read(source)
        if isinstance(crystal, StructureError):
            return str(crystal)
        return crystal.lattice, crystal.coords, crystal.species
    name = Path(fspath(source)).name
    # The name tells the format; a CIF is one whatever it is called.
    kind = ".cif" if name.lower().endswith(".cif") else name
    try:
        return kind, blake2b(Path(source).read_bytes(), digest_size=20).hexdigest()
    except OSError as error:
        return kind, str(error)


def read_ahead(chunks: Iterator[CrystalGraphs]) -> Iterator[CrystalGraphs]:
    """Yield chunks, the next of which is read meanwhile.

    Parameters
    ----------
    chunks : iterator of CrystalGraphs
        Taken from in another thread, but for the first: by then joblib has its settings, which
        are those of a thread.

    Yields
    ------
    CrystalGraphs
    """
    chunk = next(chunks, None)
    with ThreadPoolExecutor(1) as reader:
        while chunk is not None:
            coming = reader.submit(next, chunks, None)
            yield chunk
            chunk = coming.result()
