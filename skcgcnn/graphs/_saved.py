"""Graphs in a ``.npz`` file, or in a folder that can be memory-mapped."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from skcgcnn._files import user_path
from skcgcnn._parameters import MAX_MERGE_TOL, MAX_NEIGHBORS, MAX_RADIUS
from skcgcnn.exceptions import DataError
from skcgcnn.graphs._archive import Stream, map_arrays, read_arrays, stream_arrays, write_arrays
from skcgcnn.graphs._check import check_arrays
from skcgcnn.graphs._folder import check_digests, holds_other_files, read_data, replace_data
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._schema import FILE_FORMAT, NAMES

# Errors raised while reading a malformed file.
READ_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, MemoryError),
    *(ArithmeticError, SyntaxError, RecursionError, NotImplementedError, RuntimeError, BadZipFile),
)


def save_graphs(path: str | PathLike[str], content: dict[str, Any]) -> None:
    """Write graphs: see `CrystalGraphs.save`; `content` is that of `CrystalGraphs.to_dict`."""
    target, options = user_path(path), asdict(content["options"])
    arrays = {name: np.asarray(content[name]) for name in NAMES}
    if target.suffix.lower() == ".npz":
        facts = {"format": np.array(FILE_FORMAT), "options": np.array(json.dumps(options))}
        write_arrays(target, facts | arrays)
        return
    if target.exists() and not target.is_dir():
        raise DataError(f"{path}: is a file; name a folder, or a file that ends in .npz")
    if holds_other_files(target):
        raise DataError(f"{path}: holds other files; choose another folder")
    with replace_data(target) as new:
        stream_arrays(new.path, {n: Stream(a.dtype, a.shape, [a]) for n, a in arrays.items()})
        new.facts["options"] = options


def load_graphs(path: str | PathLike[str], *, mmap: bool) -> dict[str, Any]:
    """Return the arguments of `CrystalGraphs`: see `CrystalGraphs.load`."""
    source = user_path(path)
    is_folder = source.is_dir()
    if mmap and source.is_file():
        raise DataError(
            f"{path}: a single file cannot be memory-mapped; save the graphs in a folder, under a "
            "name without .npz"
        )
    try:
        content = read_data(source, graphs_in) if is_folder else _read_file(source)
        if content is not None:
            check_content(content)
            if is_folder and not mmap:
                content |= {name: np.array(content[name]) for name in NAMES}
            return content
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        what = f"{missing} is missing in the folder" if is_folder else "no such file"
        raise DataError(f"{path}: {what}") from error
    except READ_ERRORS as error:
        what = "folder" if is_folder else "file"
        raise DataError(f"{path}: not a {what} of crystal graphs ({error})") from error
    found = int(read_arrays(source, ["format"])["format"])
    raise DataError(
        f"{path}: graphs of format {found}; this version of skcgcnn reads format {FILE_FORMAT}. "
        "Make them again from the crystals"
    )


def check_content(content: dict[str, Any]) -> dict[str, Any]:
    """Check the arguments of `CrystalGraphs` that come from a file, and return them."""
    check_arrays({name: array for name, array in content.items() if name != "options"})
    return content


def graphs_in(data: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the memory-mapped arrays and the options in a folder of data: see `read_data`."""
    check_digests(data, facts)
    return map_arrays(data, NAMES) | {"options": options_from_plain(facts["options"])}


def _read_file(path: Path) -> dict[str, Any] | None:
    """Return what a file holds; None for another format."""
    arrays: dict[str, Any] = read_arrays(path)
    if int(arrays.pop("format")) != FILE_FORMAT:
        return None
    return arrays | {"options": options_from_plain(json.loads(str(arrays.pop("options"))))}


def options_from_plain(plain: Mapping[str, Any]) -> GraphOptions:
    """Return the options that a file holds, of the types that they have."""
    options = GraphOptions(**plain)
    check_options(options)
    return options


def check_options(options: GraphOptions) -> None:
    """Refuse options that no graphs have, whoever wrote them into a file."""
    numbers = (options.radius, MAX_RADIUS), (options.merge_tol, MAX_MERGE_TOL)
    features = () if options.atom_features is None else (options.atom_features,)
    texts = (*features, *options.global_features, *options.global_units)
    if not (
        type(options.max_num_nbr) is type(options.n_features) is int
        and 0 <= options.max_num_nbr <= MAX_NEIGHBORS
        and all(v is None or (type(v) in {int, float} and 0 <= v <= most) for v, most in numbers)
        and options.neighbor_ties in {None, "invariant", "official"}
        and all(isinstance(text, str) for text in texts)
        and len(options.global_units) in {0, len(options.global_features)}
    ):
        raise ValueError("the options of the graphs cannot be right")
