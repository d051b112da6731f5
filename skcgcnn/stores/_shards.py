"""The parts of a store while it is made: each is written by one worker, whole or not at all."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._files import atomic_write, file_state
from skcgcnn._text import encodable
from skcgcnn.crystals import Crystal
from skcgcnn.exceptions import DataError, TransientReadError
from skcgcnn.graphs import GraphMaker, build_graphs, read_arrays
from skcgcnn.stores._items import DatabaseRow, Item, JsonLine, PackedCif, Values, open_item

# Crystals in a shard: what an interruption may cost, by worker, and what a worker holds at a time.
SHARD = 2_000
# Of the name of a crystal: all names of a store take as much room as the longest.
MOST_LETTERS = 200
# Of the properties of crystals: each is a file of the store, with a cell for every crystal. A small
# file can hold millions of names, other ones for each crystal.
_MOST_PROPERTIES = 10_000


@dataclass(frozen=True)
class ShardFiles:
    """The two files of a shard.

    Attributes
    ----------
    graphs : Path
        The graphs of the crystals that could be read.
    facts : Path
        JSON: failures, remarks and values, and digests of the graphs and of itself; it is written
        last.
    """

    graphs: Path
    facts: Path

    @classmethod
    def of(cls, folder: Path, number: int) -> "ShardFiles":
        """Return the files of a shard in a folder."""
        return cls(folder / f"{number:07d}.npz", folder / f"{number:07d}.json")

    def read(self) -> dict[str, Any]:
        """Return the facts."""
        facts: dict[str, Any] = json.loads(self.facts.read_text(encoding="utf-8"))
        return facts

    def ids(self) -> npt.NDArray[np.str_]:
        """Return the names of the crystals that could be read."""
        names: npt.NDArray[np.str_] = read_arrays(self.graphs, ["ids"])["ids"]
        return names

    def made_from(self, digest: str) -> bool:
        """Tell whether the shard is there, whole, and made from crystals with this digest."""
        try:
            facts = self.read()
            is_whole = facts.pop("own") == _own_digest(facts)
            is_same = facts["digest"] == digest and facts["graphs"] == self.digest()
            return bool(is_whole and is_same)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return False

    def digest(self) -> str:
        """Return what tells its graphs from others."""
        return blake2b(self.graphs.read_bytes(), digest_size=16).hexdigest()


class Written(NamedTuple):
    """What a shard holds."""

    n_crystals: int
    n_failures: int


def digest_items(items: Sequence[Item]) -> str:
    """Return what tells crystals from others: names, values, texts, and the states of files."""
    digest = blake2b(digest_size=16)
    for item in items:
        source: Any = item.source
        if isinstance(source, DatabaseRow):
            source = source, file_state(source.path)
        elif isinstance(source, str) and "\n" not in source:
            source = source, file_state(source)
        elif isinstance(source, (str, JsonLine, PackedCif)):
            # Not as `repr` writes it, which takes a multiple of its memory.
            content, *facts = (source,) if isinstance(source, str) else source
            if isinstance(content, str):
                content = content.encode("utf-8", "surrogatepass")
            digest.update(content)
            source = type(source).__name__, len(content), facts
        digest.update(repr((source, item.id, item.name, item.values)).encode())
    return digest.hexdigest()


def write_shard(
    items: Sequence[Item], digest: str, maker: GraphMaker, max_bytes: int, files: ShardFiles
) -> Written:
    """Read some crystals, make their graphs, and write both files.

    Parameters
    ----------
    items : sequence of Item
        The crystals.
    digest : str
        See `digest_items`.
    maker : GraphMaker
        How to make graphs.
    max_bytes : int
        Maximum size of a file of a crystal.
    files : ShardFiles
        Where to write.
    """
    opened = [open_item(item, max_bytes) for item in items]
    graphs, failures = build_graphs([one.crystal for one in opened], maker)
    ids = [
        encodable(one.id or item.name)[:MOST_LETTERS]
        for one, item in zip(opened, items, strict=True)
    ]
    kept = np.flatnonzero(graphs.n_sites > 0)
    passing = any(isinstance(one.crystal, TransientReadError) for one in opened)
    replace(graphs, ids=np.array(ids, dtype=np.str_))[kept].save(files.graphs)
    facts = {
        "graphs": files.digest(),
        # A call that is repeated reads it anew where a failure may be gone.
        "digest": "" if passing else digest,
        "failures": [[encodable(items[i].name), encodable(why)] for i, why in failures],
        "remarks": [
            [encodable(item.name), note]
            for item, one in zip(items, opened, strict=True)
            if isinstance(one.crystal, Crystal)
            for note in one.crystal.notes
        ],
        "values": _columns([opened[i].values for i in kept]),
    }
    with atomic_write(files.facts) as file:
        json.dump({**facts, "own": _own_digest(facts)}, file)
    return Written(len(items), len(failures))


def _own_digest(facts: dict[str, Any]) -> str:
    return blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def check_properties(names: Collection[str]) -> None:
    """Refuse more properties than a store can have.

    Parameters
    ----------
    names : collection of str
        Names of the properties of some crystals.

    Raises
    ------
    DataError
        If they are too many.
    """
    if len(names) > _MOST_PROPERTIES:
        raise DataError(
            f"the crystals have {len(names):,} properties, such as {next(iter(names))!r}; a store "
            f"can have {_MOST_PROPERTIES:,}. Keep those that you need, under the same names for "
            "all crystals"
        )


def _columns(rows: Sequence[Values]) -> dict[str, list[float | str | None]]:
    """Return values by name, None where a crystal has none."""
    names = dict.fromkeys(name for values in rows for name in values)
    check_properties(names)
    return {name: [values.get(name) for values in rows] for name in names}
