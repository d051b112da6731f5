"""Files of torch that hold tensors and plain values only, and run nothing when they are opened."""

import io
import pickle
import re
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skcgcnn._files import atomic_write
from skcgcnn._text import repeated
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles._pickle_size import check_tuples

# What a file may hold besides tensors and plain containers: NumPy's scalars, in the official
# classification weights. NumPy 1 knew their constructor by another name.
_scalar = np.float64(0).__reduce__()[0]
_SAFE_GLOBALS: list[Any] = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]
# The mark of a folder in the attributes of a member of a zip archive.
_FOLDER = 0x10


def save_content(content: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write a torch file."""
    # In memory first: torch's own errors do not tell that the disk is full.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path, "wb") as file:
        file.write(buffer.getbuffer())


def load_content(path: Path) -> dict[str, Any]:
    """Read a torch file of tensors and plain values, without running anything in it.

    Raises
    ------
    DataError
        If it is damaged, of another kind, or holds anything else.
    """
    refusal = f"{path}: cannot be loaded as a model file: "
    # Once: what is checked is what is loaded, also where the file is replaced meanwhile.
    whole = path.read_bytes()
    if whole.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(whole)) as archive:
                members = archive.filelist
                packed = any(item.compress_type != zipfile.ZIP_STORED for item in members)
                # torch itself does not look whether numbers are those that were written, and takes
                # what happens to be in memory for those of a member that is marked as a folder.
                # Of names that differ in capitals alone it takes the first, of which others do not.
                folders = (one.filename for one in members if one.external_attr & _FOLDER)
                twice = repeated(one.filename.lower() for one in members)
                odd = next(folders, None) or next(iter(twice), None)
                damaged = None if packed else odd or archive.testzip()
        # Names that are no letters are a ValueError.
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
            raise DataError(f"{refusal}it is damaged or of another kind") from error
        if damaged is not None:
            raise DataError(f"{refusal}it is damaged or of another kind (in {damaged!r})")
        if packed:  # torch never packs; what is packed may unpack to any size
            raise DataError(f"{refusal}it is a compressed archive")
    try:
        _check_pickles(whole)
    except Exception as error:  # pickletools raises whatever the bytes provoke
        raise DataError(f"{refusal}it is damaged or of another kind ({error})") from error
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            content = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+) ", str(error))
        why = f"it holds {found[1]}" if found else "it is damaged, of another kind, or holds"
        more = ", which is" if found else ""
        raise DataError(
            f"{refusal}{why}{more} more than tensors and plain values, which is not loaded for "
            "safety"
        ) from error
    except Exception as error:  # torch's unpickler raises whatever the bytes provoke
        raise DataError(f"{refusal}it is damaged or of another kind") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not a model")
    return content


def _check_pickles(whole: bytes) -> None:
    """Look through the pickles of a file before they are loaded."""
    if not whole.startswith(b"PK"):
        # A magic number, the version, the system, the content; storages follow.
        check_tuples(io.BufferedReader(io.BytesIO(whole)), 4)
        return
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        for name in archive.namelist():
            if name.lower().endswith("data.pkl"):
                with io.BufferedReader(archive.open(name)) as file:  # type: ignore[type-var]
                    check_tuples(file)
