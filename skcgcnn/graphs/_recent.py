"""A small memory of the graphs of files, so that a search on paths reads each file once.

Every fit of a grid search gets paths, and every score again. A file is known by its path, its size
and the time of its last change; what is kept is bounded in bytes, the oldest goes first. Every
process has a memory of its own.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from skcgcnn._files import user_path
from skcgcnn.crystals import describe_source, is_text
from skcgcnn.graphs._build import GraphMaker
from skcgcnn.graphs._chunks import Chunk
from skcgcnn.graphs._concatenate import concatenate
from skcgcnn.graphs._graphs import CrystalGraphs
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._packing import distinct_numbers

# About 100,000 crystals of ten different sites.
MAX_BYTES = 100_000_000

# In nanoseconds. Clocks of file systems can be as coarse: a file that was changed so lately may
# change again without a trace.
_SETTLED = 2_000_000_000

_Key = tuple[str, int, int, int, int, int, GraphOptions]


@dataclass(frozen=True, eq=False)
class Plan:
    """What of some crystals is known, and what is to be read.

    Attributes
    ----------
    keys : list
        Of every crystal; None for a source that is not a file.
    unknown : list of int
        Places of the crystals that are to be read.
    names : list of str
        How messages name these.
    known : list of (list of int, CrystalGraphs)
        Places of other crystals, and their graphs.
    notes : list of (str, str)
        What there is to say about these.
    """

    keys: list[_Key | None]
    unknown: list[int]
    names: list[str]
    known: list[tuple[list[int], CrystalGraphs]]
    notes: list[tuple[str, str]]

    def join(self, read: Chunk) -> Chunk:
        """Return all crystals in their order, as if all had been read."""
        if not self.known:
            return read
        parts = [*self.known, (self.unknown, read.graphs)]
        places = np.concatenate([np.array(rows, dtype=np.int64) for rows, _ in parts])
        graphs = concatenate([graphs for _, graphs in parts])[np.argsort(places)]
        notes = [*self.notes, *read.notes]
        return Chunk(in_order_of_kinds(graphs), read.failures, notes)


def all_unknown(sources: Sequence[Any]) -> Plan:
    """Return the plan of reading all crystals, and remembering none."""
    n = len(sources)
    return Plan([None] * n, list(range(n)), [""] * n, [], [])


class _Part(NamedTuple):
    graphs: CrystalGraphs
    keys: list[_Key]
    n_bytes: int


class RecentGraphs:
    """Graphs of files that were read lately.

    Parameters
    ----------
    max_bytes : int
        How much memory they may take.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._parts: OrderedDict[int, _Part] = OrderedDict()
            self._places: dict[_Key, tuple[int, int]] = {}
            self._notes: dict[_Key, list[tuple[str, str]]] = {}
            self._n_bytes = self._n_parts = 0

    def look_up(self, sources: Sequence[Any], maker: GraphMaker, max_bytes: int) -> Plan:
        """Return which of some crystals are known.

        Parameters
        ----------
        sources : sequence of crystals
            The crystals.
        maker : GraphMaker
            How their graphs are made.
        max_bytes : int
            Size of a file above which it is not read.
        """
        options = maker.options
        keys = [_key(source, options, max_bytes) for source in sources]
        unknown: list[int] = []
        found: dict[int, tuple[list[int], list[int]]] = {}
        notes: list[tuple[str, str]] = []
        with self._lock:
            for place, key in enumerate(keys):
                if key is None or key not in self._places:
                    unknown.append(place)
                    continue
                part, row = self._places[key]
                places, rows = found.setdefault(part, ([], []))
                places.append(place)
                rows.append(row)
                notes += self._notes.get(key, [])
            parts = [(places, self._parts[p].graphs, rows) for p, (places, rows) in found.items()]
        names = [describe_source(sources[place], place) for place in unknown]
        known = [(places, graphs[rows]) for places, graphs, rows in parts]
        return Plan(keys, unknown, names, known, notes)

    def remember(self, plan: Plan, read: Chunk) -> None:
        """Keep what was read."""
        with self._lock:
            own: list[_Key] = []
            rows: list[int] = []
            for row, place in enumerate(plan.unknown):
                key = plan.keys[place]
                if key is None or key in self._places or not read.graphs.n_sites[row]:
                    continue
                self._places[key] = (self._n_parts, len(rows))
                own.append(key)
                rows.append(row)
                notes = [note for note in read.notes if note[0] == plan.names[row]]
                if notes:
                    self._notes[key] = list(dict.fromkeys(notes))
            if not own:
                return
            # A copy: the caller may change what it gets.
            graphs = read.graphs[rows]
            graphs = replace(graphs, kind_features=graphs.kind_features.copy())
            part = _Part(graphs, own, graphs.__sizeof__())
            self._parts[self._n_parts] = part
            self._n_parts += 1
            self._n_bytes += part.n_bytes
            while self._n_bytes > self.max_bytes:
                _, oldest = self._parts.popitem(last=False)
                self._n_bytes -= oldest.n_bytes
                for key in oldest.keys:
                    del self._places[key]
                    self._notes.pop(key, None)


# Of this process.
RECENT = RecentGraphs()


def forget_files() -> None:
    """Forget the graphs of files that this process has read, which take up to 100 MB.

    Examples
    --------
    >>> from skcgcnn import CrystalGraphTransformer
    >>> from skcgcnn.datasets import load_sample_regression
    >>> graphs = CrystalGraphTransformer().transform(load_sample_regression().data[:3])
    >>> forget_files()  # the next call reads them again
    """
    RECENT.clear()


def _key(source: Any, options: GraphOptions, max_bytes: int) -> _Key | None:
    """Return what the graph of a file depends on; None if it cannot be read."""
    if not isinstance(source, (str, PathLike)) or is_text(source):
        return None
    try:
        path = user_path(source).absolute()
        stat = path.stat()
    except (OSError, ValueError):
        return None
    changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    if stat.st_size > max_bytes or time.time_ns() - changed < _SETTLED:
        return None
    # What a packed file holds is limited too, so the limit is a part of the key.
    times = stat.st_mtime_ns, stat.st_ctime_ns
    return str(path), *times, stat.st_size, stat.st_ino, max_bytes, options


def in_order_of_kinds(graphs: CrystalGraphs) -> CrystalGraphs:
    """Return graphs with the kinds of their own sites alone, in order of their first appearance.

    So are those that are read, and fits are the same to the bit.
    """
    kinds = graphs.site_kinds
    firsts = np.sort(np.unique(kinds, return_index=True)[1])
    numbers = distinct_numbers(kinds).astype(np.int32)
    return replace(graphs, kind_features=graphs.kind_features[kinds[firsts]], site_kinds=numbers)
