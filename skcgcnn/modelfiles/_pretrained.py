"""Models by name: the official ones of CGCNN, which are fetched, and ours, which are here."""

import csv
import os
import time
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from skcgcnn._files import user_path
from skcgcnn._recipes import AUTO
from skcgcnn.exceptions import DataError

# One commit of the official repository, so that the files stay as they are.
COMMIT = "f42ab233c4ee0c416879d6bc2d22a264418413ad"
BASE_URL = f"https://raw.githubusercontent.com/txie-93/cgcnn/{COMMIT}/"
FOLDER = "pre-trained"
DATA_HOME_VARIABLE = "SKCGCNN_DATA"
# Of silence, and of all: an official file has less than a MB.
_SECONDS, _MOST_SECONDS, _MOST_BYTES = 30, 600, 10_000_000


class PretrainedModel(NamedTuple):
    """An official model.

    Attributes
    ----------
    task : {"regression", "classification"}
        What is predicted.
    unit : str
        Unit of the prediction; empty where it has none.
    meaning : str
        What the number or class is.
    sha256 : str
        Of the file.
    """

    task: str
    unit: str
    meaning: str
    sha256: str


def _read_table() -> dict[str, PretrainedModel]:
    table = (files("skcgcnn.modelfiles") / "pretrained.csv").read_text(encoding="utf-8")
    return {row.pop("name"): PretrainedModel(**row) for row in csv.DictReader(table.splitlines())}


PRETRAINED = _read_table()

# The files of our models, by name.
SHIPPED = {
    file.stem: file for file in sorted((Path(__file__).parent / "models").glob("*.safetensors"))
}


def is_start(init_from: Any) -> bool:
    """Tell whether a file may hold a value of `init_from`: the name of a pretrained model."""
    names = {AUTO, *SHIPPED, *PRETRAINED}
    return init_from is None or (isinstance(init_from, str) and init_from in names)


def model_card(name: str) -> str:
    """Return what is to be known of a model of ours: data, recipe, errors, limits.

    Parameters
    ----------
    name : {"chgnet-distilled", "li-vacancy", "perov5-heat-gap"}
        The model.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    DataError
        If there is no such model.

    Examples
    --------
    >>> print(model_card("perov5-heat-gap").splitlines()[0])
    # perov5-heat-gap
    """
    if name not in SHIPPED:
        raise DataError(f"{name!r} is not a model with a card; there are {', '.join(SHIPPED)}")
    return SHIPPED[name].with_suffix(".md").read_text(encoding="utf-8")


def fetch_pretrained(name: str, data_home: str | PathLike[str] | None = None) -> Path:
    """Return the file of an official model, fetched when it is first asked for.

    Parameters
    ----------
    name : str
        A key of `PRETRAINED`.
    data_home : path, optional
        Folder of the files, with the subfolder ``pre-trained`` as in a checkout of the official
        repository. By default the environment variable ``SKCGCNN_DATA``, else the folder that
        the system has for caches.

    Returns
    -------
    Path
        ``<data_home>/pre-trained/<name>.pth.tar``. Its SHA-256 is that of the official file.

    Raises
    ------
    DataError
        If there is no such model, or it is neither there nor can be fetched.

    References
    ----------
    T. Xie and J. C. Grossman, https://github.com/txie-93/cgcnn (MIT license).
    """
    import pooch

    if name not in PRETRAINED:
        raise DataError(f"{name!r} is not a pretrained model; there are {', '.join(PRETRAINED)}")
    home = Path(data_home or os.environ.get(DATA_HOME_VARIABLE) or pooch.os_cache("skcgcnn"))
    file = f"{FOLDER}/{name}.pth.tar"
    url, target = BASE_URL + file, user_path(home) / file
    source = pooch.create(
        target.parents[1], BASE_URL, registry={file: f"sha256:{PRETRAINED[name].sha256}"}
    )
    try:
        return Path(source.fetch(file, downloader=_download))
    except (OSError, ValueError) as error:  # no network, no such page, no room, another SHA-256
        raise DataError(
            f"{name}: could not be fetched from {url} ({error}). Fetch it by other means and put "
            f"it at {target}, or name its folder's parent as data_home or in the environment "
            f"variable {DATA_HOME_VARIABLE}"
        ) from error


def _download(url: str, output: str, _: Any) -> None:
    """Fetch a file as pooch does, within bounds: a server may send without end."""
    import requests

    end, size = time.monotonic() + _MOST_SECONDS, 0
    with requests.get(url, stream=True, timeout=_SECONDS) as answer, open(output, "wb") as file:  # noqa: PTH123
        answer.raise_for_status()
        # In small pieces, each of which is waited for.
        for piece in answer.iter_content(1 << 10):
            size += len(piece)
            if size > _MOST_BYTES:
                raise OSError(f"more than {_MOST_BYTES:,} bytes came")
            if time.monotonic() > end:
                raise OSError(f"it was not complete after {_MOST_SECONDS} s")
            file.write(piece)


def find_model(model: str | PathLike[str], data_home: str | PathLike[str] | None = None) -> Path:
    """Find the file of a model by path or by name.

    Parameters
    ----------
    model : str or path
        A path, a key of `SHIPPED` or of `PRETRAINED`; where both exist, the path.
    data_home : path, optional
        See `fetch_pretrained`.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If there is neither.
    """
    names = ", ".join([*SHIPPED, *PRETRAINED])
    if not str(model).strip():
        raise DataError(f"{str(model)!r} names no model; expected a path, or one of {names}")
    path = user_path(model)
    if path.is_file():
        return path
    if str(model) in SHIPPED:
        return SHIPPED[str(model)]
    if str(model) in PRETRAINED:
        return fetch_pretrained(str(model), data_home)
    if path.is_dir():
        return path  # which reading it refuses
    raise DataError(f"{path}: no such file, and none of the pretrained models: {names}")
