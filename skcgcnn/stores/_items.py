"""Crystals that are to be read: light to send to a worker, which opens them."""

import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

from skcgcnn.crystals import (
    MAX_BYTES,
    NO_MEMORY,
    READABLE,
    TOO_PACKED,
    Crystal,
    is_bare_crystal,
    is_cif_text,
    is_too_packed,
    load_json,
    other_composition,
    source_id,
    try_to_read,
)
from skcgcnn.datasets import id_columns, is_missing_cell
from skcgcnn.exceptions import StructureError, TransientReadError

# What is known of a crystal besides its structure.
Values = dict[str, float | str | None]


class JsonLine(NamedTuple):
    """A line of JSON: a crystal, or an object with one, which is a text under `name`, if told."""

    text: str
    name: str = ""


class DatabaseRow(NamedTuple):
    """A row of an ASE database; `unique_id` is its own among those of all databases."""

    path: str
    row: int
    unique_id: str


class PackedCif(NamedTuple):
    """The content of a CIF file in an archive; `is_gzip` where it is packed once more."""

    content: bytes
    is_gzip: bool


class Refused(NamedTuple):
    """What is not even opened, and why."""

    reason: str


TOO_LARGE = Refused(f"is larger than {MAX_BYTES / 1e6:g} MB")


class Item(NamedTuple):
    """A crystal that is to be read.

    Attributes
    ----------
    source : path, text of a CIF, JsonLine, DatabaseRow, PackedCif or Refused
        Where it is.
    id : str
        Its name; empty where the source itself tells it.
    name : str
        How messages name it.
    values : dict
        What is known of it.
    """

    source: Any
    id: str
    name: str
    values: Values


def bytes_in_memory(item: Item) -> int:
    """Return about how much memory an item takes until it is read."""
    source: Any = item.source[0] if isinstance(item.source, (JsonLine, PackedCif)) else item.source
    texts = (source, item.id, item.name, *item.values, *item.values.values())
    return sum(len(text) for text in texts if isinstance(text, (str, bytes)))


class Opened(NamedTuple):
    """A crystal that was read, or why it could not be."""

    crystal: Crystal | StructureError
    id: str
    values: Values


def open_item(item: Item, max_bytes: int) -> Opened:
    """Read a crystal."""
    source, own_id, values = item.source, "", Values()
    try:
        if isinstance(source, JsonLine):
            source, own_id, values = _from_json(source)
        elif isinstance(source, DatabaseRow):
            source, own_id, values = _from_database(source)
        elif isinstance(source, PackedCif):
            source = _text(source, max_bytes)
        refused = isinstance(source, Refused)
        crystal = StructureError(source.reason) if refused else try_to_read(source, max_bytes)
        if isinstance(crystal, Crystal):
            # A dictionary was compared with what stands in it.
            told = item.values if isinstance(source, Mapping) else {**values, **item.values}
            known = {n: v for n, v in told.items() if not is_missing_cell(str(v))}
            remarks = other_composition(known, crystal.species)
            crystal = replace(crystal, notes=(*crystal.notes, *remarks)) if remarks else crystal
    except StructureError as error:
        crystal = type(error)(str(error))  # as in `try_to_read`
    except MemoryError:
        crystal = TransientReadError(NO_MEMORY)
    except Exception as error:  # noqa: BLE001 - one bad item must not end the run
        crystal = StructureError(f"cannot be read ({error!r})")
    return Opened(crystal, item.id or own_id, {**values, **item.values})


def without_ending(name: str) -> str:
    """Return the name of a crystal for that of its file."""
    if not name.lower().endswith(READABLE):
        return name
    return PurePosixPath(name).with_name(source_id(name, 0)).as_posix()


def bounded_lines(file: IO[str]) -> Iterator[str | Refused]:
    """Yield the lines of a file; those that are too long are not kept in memory."""
    while line := file.readline(MAX_BYTES):
        if len(line) < MAX_BYTES or line.endswith("\n"):
            yield line
            continue
        while (more := file.readline(MAX_BYTES)) and not more.endswith("\n"):
            pass
        yield TOO_LARGE


def _text(source: PackedCif, max_bytes: int) -> str:
    content = source.content
    if source.is_gzip:
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(max_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise StructureError(f"cannot be unpacked ({error})") from error
    if len(content) > max_bytes:
        raise StructureError(f"is larger than {max_bytes / 1e6:g} MB")
    if source.is_gzip and is_too_packed(len(content), len(source.content)):
        raise StructureError(TOO_PACKED)
    text = content.decode("utf-8", errors="replace")
    if not is_cif_text(text):
        raise StructureError("is not a CIF")
    return text


def name_of_crystals(line: str) -> str | None:
    """Return under which name the lines of a file hold their crystals as texts of JSON, if they do.

    Returns
    -------
    str or None
        Nothing if they are crystals, or hold them otherwise; None if this line does not tell.
    """
    try:
        content = load_json(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, Mapping):
        return None
    if is_bare_crystal(content) or any(map(_is_crystal, content.values())):
        return ""
    names = [name for name, value in content.items() if is_bare_crystal(_object(value))]
    return names[0] if len(names) == 1 else None


def _is_crystal(value: Any) -> bool:
    return is_bare_crystal(value) or is_cif_text(value)


def _from_json(line: JsonLine) -> tuple[Any, str, Values]:
    try:
        content = load_json(line.text)
    except (ValueError, RecursionError) as error:
        raise StructureError(f"is not a line of JSON ({error})") from error
    if not isinstance(content, Mapping):
        raise StructureError("holds no object with a crystal")
    named = id_columns(content)
    own_id = next((str(content[name]) for name in named if _is_told(content[name])), "")
    if is_bare_crystal(content):
        return content, own_id, {}
    inner = [*filter(_is_crystal, content.values())]
    if line.name or not inner:
        objects = {name: _object(value) for name, value in content.items()}
        texts = {name: one for name, one in objects.items() if is_bare_crystal(one)}
        # Where the crystal of a line is missing, another one beside it is none; two are refused.
        if line.name in texts or len(texts) > 1:
            content = {**content, **texts}
            inner = [*filter(_is_crystal, content.values())]
    if len(inner) != 1:
        raise StructureError(
            f"holds {len(inner) or 'no'} crystals; expected one Structure, or one beside its values"
        )
    values = {
        str(name): _plain(value)
        for name, value in content.items()
        if (value is None or _is_plain(value)) and not is_cif_text(value)
        # Of several ids, the others are values: those of one name, in every line.
        if name not in named[:1]
    }
    # What is told beside a dictionary is compared with it.
    return content if is_bare_crystal(inner[0]) else inner[0], own_id, values


def _object(value: Any) -> Any:
    """Return the crystal that a text holds as JSON, as pandas writes a column of such texts."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        found = load_json(value)
    except (ValueError, RecursionError):
        return value
    return found if is_bare_crystal(found) else value


def _from_database(source: DatabaseRow) -> tuple[Any, str, Values]:
    try:
        row = _connect(source.path).get(id=source.row)
        values = {name: _plain(value) for name, value in row.key_value_pairs.items()}
        for name in ("energy", "magmom"):  # of a calculator
            if name in row and name not in values:
                values[name] = float(row[name])
    except MemoryError:
        raise
    except Exception as error:  # whatever the database provokes
        raise StructureError(f"cannot be read from the database ({error!r})") from error
    if row.unique_id != source.unique_id:
        raise StructureError("is another crystal now; was the database replaced?")
    return row, str(source.row), values


@lru_cache(maxsize=8)
def _connect(path: str) -> Any:
    from ase.db import connect

    return connect(path)


def _is_told(value: Any) -> bool:
    return _is_plain(value) and value != "" and not (isinstance(value, float) and math.isnan(value))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _plain(value: Any) -> float | str | None:
    """Return a value as a number or a text; truth values are 0 and 1."""
    return value if value is None or isinstance(value, str) else float(value)
