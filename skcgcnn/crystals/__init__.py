"""One crystal as plain arrays, and reading it, whatever it comes as."""

from skcgcnn.crystals._carriers import is_bare_crystal
from skcgcnn.crystals._cif import parse_cif
from skcgcnn.crystals._crystal import Crystal, Species, cell_volume
from skcgcnn.crystals._entries import other_composition
from skcgcnn.crystals._json import load_json
from skcgcnn.crystals._packed import TOO_PACKED, is_too_packed
from skcgcnn.crystals._read import (
    MAX_BYTES,
    MAX_LENGTH,
    NO_MEMORY,
    READABLE,
    read_crystal,
    try_to_read,
)
from skcgcnn.crystals._sources import (
    describe_source,
    is_cif_text,
    is_text,
    list_sources,
    source_id,
    split_numbers,
    told_units,
)

__all__ = [
    "MAX_BYTES",
    "MAX_LENGTH",
    "NO_MEMORY",
    "READABLE",
    "TOO_PACKED",
    "Crystal",
    "Species",
    "cell_volume",
    "describe_source",
    "is_bare_crystal",
    "is_cif_text",
    "is_text",
    "is_too_packed",
    "list_sources",
    "load_json",
    "other_composition",
    "parse_cif",
    "read_crystal",
    "source_id",
    "split_numbers",
    "told_units",
    "try_to_read",
]
