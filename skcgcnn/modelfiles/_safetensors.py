"""Models as safetensors files: weights as plain numbers, everything else as JSON in the header."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import IO

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from skcgcnn._files import atomic_write
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles._plain_state import join_members, state_from_plain, state_to_plain
from skcgcnn.modelfiles._state import ModelState

SAVED = "skcgcnn model"
_KEY, _DIGEST = "skcgcnn", "blake2b"
_MOST_TENSORS = 100_000
# In bytes, as in the format.
_LONGEST_HEADER = 100_000_000


def write_safetensors(state: ModelState, path: str | PathLike[str]) -> None:
    """Write a model that predicts; its history and what training needs stay out."""
    weights = {name: tensor.cpu() for name, tensor in join_members(state).items()}
    text = json.dumps(state_to_plain(state))
    content = save(weights, metadata={_KEY: text, _DIGEST: _digest(text, weights)})
    with atomic_write(path, "wb") as file:
        file.write(content)


def read_safetensors(path: Path) -> tuple[ModelState, bool]:
    """Read what `write_safetensors` wrote, and whether it is as it was written.

    Raises
    ------
    DataError
        If it is damaged or no model of this library.
    LookupError, TypeError, ValueError
        If its content is not what this library writes.
    """
    try:
        # Not mapped: a file that is replaced meanwhile would end the process, or be two in one.
        with path.open("rb") as file:
            begin = _read_header(file)
            described = json.loads(begin[8:])
            metadata = described.pop("__metadata__")
            content = json.loads(metadata[_KEY])
            few = len(described) <= _MOST_TENSORS
            # Those of others, which are large, are refused before they are in memory.
            weights = load(begin + file.read()) if few else {}
            # They come in another order each time.
            weights = {name: weights[name] for name in sorted(weights)}
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: cannot be loaded as a model file: it is damaged or of another kind ({error})"
        ) from error
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: a safetensors file, but no model of skcgcnn") from error
    if not few:
        raise DataError(f"{path}: holds {len(described)} tensors, more than any model has")
    if not isinstance(content, dict):
        raise DataError(f"{path}: a safetensors file, but no model of skcgcnn")
    is_whole = metadata.get(_DIGEST, "") == _digest(metadata[_KEY], weights)
    return state_from_plain(content, weights, SAVED), is_whole


def _read_header(file: IO[bytes]) -> bytes:
    """Return the length of a header, and the header, which is JSON."""
    begin = file.read(8)
    length = int.from_bytes(begin, "little")
    header = file.read(min(length, _LONGEST_HEADER))
    if len(header) < length:
        raise SafetensorError("its header is not complete")
    return begin + header


def digest_model(state: ModelState) -> str:
    """Return what tells the weights of a model from those of others."""
    return _digest(state.estimator, {name: v.cpu() for name, v in join_members(state).items()})


def _digest(text: str, weights: Mapping[str, Tensor]) -> str:
    """Return what tells a model from others: the format itself has no checksum."""
    digest = blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
