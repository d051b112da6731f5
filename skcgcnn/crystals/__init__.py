"""One crystal as plain arrays, and reading it, whatever it comes as."""

from skcgcnn.crystals._cif import parse_cif, syntax_error
from skcgcnn.crystals._crystal import Crystal, Species, cell_volume
from skcgcnn.crystals._read import (
    MAX_LENGTH,
    READABLE,
    describe_source,
    list_sources,
    read_crystal,
    source_id,
    try_to_read,
)

__all__ = [
    "MAX_LENGTH",
    "READABLE",
    "Crystal",
    "Species",
    "cell_volume",
    "describe_source",
    "list_sources",
    "parse_cif",
    "read_crystal",
    "source_id",
    "syntax_error",
    "try_to_read",
]
