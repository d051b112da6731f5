"""Features of the elements, and their mean over a site that several elements share."""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import as_floats
from skcgcnn.crystals import load_json
from skcgcnn.exceptions import DataError

# The one-hot blocks of the built-in table, in order, with their numbers of slots. The script
# `tools/make_element_features.py` writes the slots from element properties.
BLOCKS = {
    "group": 19,
    "period": 7,
    "electronegativity": 10,
    "covalent_radius": 10,
    "valence_electrons": 12,
    "ionization_energy": 10,
    "electron_affinity": 10,
    "block": 4,
    "atomic_volume": 10,
}

# Squares of larger ones are infinite in a network.
MAX_FEATURE = 1e15
_MOST_ELEMENT = 118
# Of a file: thousands of features of each element are some MB. JSON takes many times its size.
_MOST_BYTES = 20_000_000

FloatArray = npt.NDArray[np.float32]


class ElementFeatures:
    """One feature vector for every element.

    Parameters
    ----------
    rows : mapping of int to array-like of shape (n_features,)
        Features by atomic number.
    source : str, default="the element table"
        Where the rows come from; error messages name it.

    Attributes
    ----------
    fingerprint : str
        What distinguishes this table from others: 16 hexadecimal digits.

    Raises
    ------
    DataError
        If there is no row, a row is not numeric, or the rows differ in length.

    Examples
    --------
    >>> from skcgcnn.graphs import load_element_features
    >>> table = load_element_features()
    >>> table.n_features
    92
    >>> float(table.mean([(3, 0.5), (28, 0.5)]).sum())  # half Li, half Ni: nine blocks each
    9.0
    """

    def __init__(self, rows: Mapping[int, Any], source: str = "the element table") -> None:
        try:
            self._rows = {int(z): as_floats(row).astype(np.float32) for z, row in rows.items()}
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{source}: expected atomic numbers with lists of numbers ({error})"
            ) from error
        shapes = {row.shape for row in self._rows.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or next(iter(shapes)) == (0,):
            raise DataError(
                f"{source}: every element needs a list of numbers of the same length; "
                f"found shapes {sorted(shapes)}"
            )
        if not all((np.abs(row) <= MAX_FEATURE).all() for row in self._rows.values()):
            raise DataError(
                f"{source}: a feature is not a finite number of at most {MAX_FEATURE:g}"
            )
        self.source = source
        self.n_features: int = next(iter(shapes))[0]
        # Not on first use: caches know a table by all that it holds.
        self.fingerprint = self._fingerprint()

    def _fingerprint(self) -> str:
        digest = blake2b(digest_size=8)
        for z in sorted(self._rows):
            digest.update(z.to_bytes(2, "little") + self._rows[z].tobytes())
        return digest.hexdigest()

    def elements_in(self, kind_features: FloatArray) -> tuple[set[int], set[int]]:
        """Return the elements that kinds of site surely are, and those that they may hold.

        Parameters
        ----------
        kind_features : ndarray of shape (n_kinds, n_features)
            Features of kinds of site, made with this table.

        Returns
        -------
        pure, possible : set of int
            Atomic numbers: of kinds with the features of one element; and, with these, of
            elements that a mixed kind may hold, since it has all their features.
        """
        found = self.pure(kind_features)
        pure = set[int]().union(*found)
        mixed = [row != 0 for row, own in zip(kind_features, found, strict=True) if not own]
        possible = {
            z for z, row in self._rows.items() if any((has | (row == 0)).all() for has in mixed)
        }
        return pure, pure | possible

    def pure(self, kind_features: FloatArray) -> list[set[int]]:
        """Return the elements that each kind of site can be; none where it is mixed or unknown."""
        by_row: dict[bytes, set[int]] = {}
        for z, row in self._rows.items():
            by_row.setdefault(row.tobytes(), set()).add(z)
        rows = np.ascontiguousarray(kind_features, dtype=np.float32)
        return [by_row.get(row.tobytes(), set()) for row in rows]

    def __contains__(self, atomic_number: int) -> bool:
        return atomic_number in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def mean(self, species: Sequence[tuple[int, float]]) -> FloatArray:
        """Return the features of a site: the occupancy-weighted mean over its elements.

        Parameters
        ----------
        species : sequence of (int, float)
            Atomic numbers with their occupancies. They need not sum to 1: the rest is vacant,
            and vacancies do not count in the mean.

        Returns
        -------
        ndarray of shape (n_features,), float32
        """
        if len(species) == 1:
            return self._rows[species[0][0]]
        total = sum(occupancy for _, occupancy in species)
        mean = sum(self._rows[z].astype(np.float64) * (occ / total) for z, occ in species)
        return np.asarray(mean, dtype=np.float32)


def load_element_features(
    source: "str | PathLike[str] | Mapping[Any, Any] | ElementFeatures | None" = None,
) -> ElementFeatures:
    """Return the element features that `source` stands for.

    Parameters
    ----------
    source : None, path, mapping or ElementFeatures, default=None
        None is the built-in table of 92 features (Xie & Grossman, Phys. Rev. Lett. 120, 145301
        (2018), supplemental material). A path names a JSON file in the layout of CGCNN's
        ``atom_init.json``. A mapping gives a vector for every atomic number or element symbol.

    Returns
    -------
    ElementFeatures

    Raises
    ------
    DataError
        If the file is missing or not such a JSON file, or a key is not an element.
    """
    if source is None:
        return _builtin_table()
    if isinstance(source, ElementFeatures):
        return source
    if isinstance(source, Mapping):
        return ElementFeatures(_by_atomic_number(source, "atom_features"), "atom_features")
    path = Path(source)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise DataError(f"{path}: is larger than {_MOST_BYTES / 1e6:g} MB")
        rows = load_json(content.decode())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file of element features ({error})") from error
    if not isinstance(rows, dict):
        raise DataError(f"{path}: expected a JSON object from atomic numbers to lists of numbers")
    return ElementFeatures(_by_atomic_number(rows, str(path)), str(path))


def matching_element_features(source: Any, fingerprint: str | None) -> ElementFeatures | None:
    """Return the element features that graphs were made with, if `source` stands for them.

    Parameters
    ----------
    source : None, path, mapping or ElementFeatures
        See `load_element_features`.
    fingerprint : str or None
        Of the features of the graphs, see `GraphOptions.atom_features`.
    """
    table = None if fingerprint is None else load_element_features(source)
    return table if table is not None and table.fingerprint == fingerprint else None


def _by_atomic_number(rows: Mapping[Any, Any], source: str) -> dict[int, Any]:
    from pymatgen.core import Element

    by_number: dict[int, Any] = {}
    for key, row in rows.items():
        try:
            z = int(key) if str(key).isdigit() else Element(str(key)).Z
        except ValueError as error:
            raise DataError(
                f"{source}: {key!r} is neither an atomic number nor an element symbol"
            ) from error
        # Isotopes may be beside their element, with the same features.
        if z in by_number and not np.array_equal(by_number[z], row):
            raise DataError(f"{source}: element {z} is there twice, with other features as {key!r}")
        if z > _MOST_ELEMENT:
            raise DataError(f"{source}: {str(key)[:20]} is not the atomic number of an element")
        by_number[z] = row
    return by_number


@cache
def _builtin_table() -> ElementFeatures:
    text = (files("skcgcnn.graphs") / "element_features.csv").read_text(encoding="utf-8")
    starts = np.cumsum([0, *BLOCKS.values()])
    rows = {}
    for z, slots in enumerate(csv.DictReader(text.splitlines()), start=1):
        row = np.zeros(starts[-1], dtype=np.float32)
        for start, name in zip(starts, BLOCKS, strict=False):
            if slots[name]:
                row[start + int(slots[name])] = 1.0
        rows[z] = row
    return ElementFeatures(rows, "the built-in element table")
