"""Models as safetensors files: weights as plain numbers, everything else as JSON in the header."""

import json
from os import PathLike
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from skcgcnn._files import atomic_write
from skcgcnn.exceptions import DataError
from skcgcnn.modelfiles._plain_state import join_members, state_from_plain, state_to_plain
from skcgcnn.modelfiles._state import ModelState

SAVED = "skcgcnn model"
_KEY = "skcgcnn"
_MOST_TENSORS = 100_000


def write_safetensors(state: ModelState, path: str | PathLike[str]) -> None:
    """Write a model that predicts; its history and what training needs stay out."""
    weights = {name: tensor.cpu() for name, tensor in join_members(state).items()}
    content = save(weights, metadata={_KEY: json.dumps(state_to_plain(state))})
    with atomic_write(path, "wb") as file:
        file.write(content)


def read_safetensors(path: Path) -> ModelState:
    """Read what `write_safetensors` wrote.

    Raises
    ------
    DataError
        If it is damaged or no model of this library.
    LookupError, TypeError, ValueError
        If its content is not what this library writes.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata, names = file.metadata() or {}, file.keys()
            few = len(names) <= _MOST_TENSORS
            weights = {name: file.get_tensor(name) for name in names} if few else {}
        content = json.loads(metadata[_KEY])
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: cannot be loaded as a model file: it is damaged or of another kind ({error})"
        ) from error
    except (KeyError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: a safetensors file, but no model of skcgcnn") from error
    if not few:
        raise DataError(f"{path}: holds {len(names)} tensors, more than any model has")
    if not isinstance(content, dict):
        raise DataError(f"{path}: a safetensors file, but no model of skcgcnn")
    return state_from_plain(content, weights, SAVED)
