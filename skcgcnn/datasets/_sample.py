"""The bundled textbook crystals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skcgcnn.datasets._id_prop import make_bunch, read_table

SAMPLE_FOLDER = Path(__file__).parent / "sample"


def load_sample_regression(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the bundled textbook crystals with their formation energies.

    Elements and compounds in the structures of the textbooks, from published lattice constants.
    The energies come from the CHGNet potential, not from experiment; see ``DESCR``.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Give ``target`` as a pandas Series, and ``frame`` with paths and target.

    Returns
    -------
    Bunch, or (data, target)
        ``data`` : list of str
            Paths of the CIFs.
        ``target`` : ndarray of shape (n_crystals,)
            Formation energy in eV/atom.
        ``target_names``, ``filename``, ``frame``, ``DESCR`` : list, str, DataFrame or None, str
            As everywhere in scikit-learn.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs, energies = load_sample_regression(return_X_y=True)
    >>> len(cifs) == len(energies) >= 80
    True
    """
    return _load("formation_energy", np.float64, return_X_y=return_X_y, as_frame=as_frame)


def load_sample_classification(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the bundled textbook crystals with the label metal or not.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Give ``target`` as a pandas Series, and ``frame`` with paths and target.

    Returns
    -------
    Bunch, or (data, target)
        ``data`` : list of str
            Paths of the CIFs.
        ``target`` : ndarray of shape (n_crystals,)
            1 for a metal, 0 for a semiconductor or insulator.
        ``target_names``, ``filename``, ``frame``, ``DESCR`` : list, str, DataFrame or None, str
            As everywhere in scikit-learn.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_classification
    >>> sorted(set(load_sample_classification().target.tolist()))
    [0, 1]
    """
    return _load("is_metal", np.int64, return_X_y=return_X_y, as_frame=as_frame)


def _load(name: str, dtype: type, *, return_X_y: bool, as_frame: bool) -> Any:
    table = read_table(SAMPLE_FOLDER).choose([name])
    return make_bunch(
        replace(table, columns=[table.columns[0].astype(dtype)]),
        return_X_y=return_X_y,
        as_frame=as_frame,
        DESCR=(SAMPLE_FOLDER / "README.md").read_text(encoding="utf-8"),
    )
