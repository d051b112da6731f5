"""Crystal graphs, packed: many crystals in a few NumPy arrays."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from typing import Any, overload
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from skcgcnn.exceptions import DataError
from skcgcnn.graphs._archive import map_arrays, write_arrays
from skcgcnn.graphs._check import check_arrays
from skcgcnn.graphs._options import GraphOptions

# Version of the file format; it grows with each change that older versions cannot read.
_FORMAT = 2
# Errors raised while reading a malformed file.
_READ_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, MemoryError),
    *(ArithmeticError, SyntaxError, RecursionError, NotImplementedError, RuntimeError, BadZipFile),
)


@dataclass(frozen=True, eq=False)
class CrystalGraph:
    """One crystal of a `CrystalGraphs`; its arrays are views.

    Attributes
    ----------
    site_kinds : ndarray of shape (n_sites,), int32
        Row of `kind_features` of each site.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        Features of the distinct kinds of site.
    neighbors : ndarray of shape (n_sites, max_num_nbr), int32
        Index of each neighbor of each site.
    distances : ndarray of shape (n_sites, max_num_nbr), float32
        Their distances in Å, ascending.
    id : str
        File stem, or position in X.
    """

    site_kinds: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    neighbors: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    id: str

    def __len__(self) -> int:
        return len(self.site_kinds)

    def __repr__(self) -> str:
        return f"CrystalGraph({self.id!r}, {len(self)} sites, {self.neighbors.shape[1]} neighbors)"


@dataclass(frozen=True, eq=False, repr=False)
class CrystalGraphs:
    """Many crystal graphs in a few arrays: what `CrystalGraphTransformer` returns.

    It is a sequence: ``len(graphs)``, ``graphs[3]`` (a `CrystalGraph`), ``graphs[2:5]``,
    ``graphs[[7, 1]]``, ``graphs[mask]`` (a `CrystalGraphs` each), so scikit-learn splits it
    like an array. A crystal that could not be read (``on_error="nan"``) has no sites.

    Attributes
    ----------
    offsets : ndarray of shape (n_crystals + 1,), int64
        Crystal i owns the sites ``offsets[i]:offsets[i + 1]``.
    site_kinds : ndarray of shape (n_sites,), int32
        Row of `kind_features` of each site.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        A pure element's features, or the occupancy-weighted mean of a mixed site.
    neighbors : ndarray of shape (n_sites, max_num_nbr), int32
        Index of each neighbor, counted within its own crystal.
    distances : ndarray of shape (n_sites, max_num_nbr), float32
        In Å, ascending along each row.
    ids : ndarray of shape (n_crystals,), str
        File stem, or position in X.
    options : GraphOptions
        How the graphs were made; by default only what the shapes of the arrays tell is known.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    Examples
    --------
    >>> from skcgcnn import CrystalGraphTransformer
    >>> from skcgcnn.datasets import load_sample_regression
    >>> cifs = load_sample_regression().data
    >>> graphs = CrystalGraphTransformer().fit_transform(cifs[:10])
    >>> len(graphs), graphs.neighbors.shape[1], graphs.kind_features.shape[1]
    (10, 12, 92)
    >>> graphs[2:5].shape
    (3,)
    """

    offsets: npt.NDArray[np.int64]
    site_kinds: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    neighbors: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    ids: npt.NDArray[np.str_]
    options: GraphOptions = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        shape = GraphOptions(self.neighbors.shape[1], self.kind_features.shape[1])
        if self.options is None:
            object.__setattr__(self, "options", shape)  # type: ignore[unreachable]
        elif shape.differences(self.options):
            raise ValueError(f"the arrays do not fit {self.options}")
        n_sites = len(self.site_kinds)
        if len(self.offsets) != len(self.ids) + 1 or self.offsets[-1] != n_sites:
            raise ValueError("offsets, ids and site_kinds do not fit together")
        if self.neighbors.shape != self.distances.shape or len(self.neighbors) != n_sites:
            raise ValueError("neighbors, distances and site_kinds do not fit together")

    @property
    def shape(self) -> tuple[int]:
        """Number of crystals, like the shape of a one-dimensional array."""
        return (len(self.ids),)

    @property
    def n_sites(self) -> npt.NDArray[np.int64]:
        """Number of sites of every crystal, of shape (n_crystals,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        n_sites, max_num_nbr = self.neighbors.shape
        return f"CrystalGraphs({len(self)} crystals, {n_sites} sites, {max_num_nbr} neighbors)"

    @overload
    def __getitem__(self, key: int) -> CrystalGraph: ...

    @overload
    def __getitem__(self, key: Any) -> "CrystalGraphs": ...

    def __getitem__(self, key: Any) -> "CrystalGraph | CrystalGraphs":
        if isinstance(key, tuple):
            # scikit-learn indexes whatever has a shape as `array[key, ...]`.
            key = key[0]
        if isinstance(key, (int, np.integer)):
            return self._one(int(key))
        if isinstance(key, list) and not key:
            key = slice(0)
        chosen = np.arange(len(self))[key]
        sites = site_index(self.offsets, chosen)
        return CrystalGraphs(
            offsets=offsets_from_counts(self.n_sites[chosen]),
            site_kinds=self.site_kinds[sites],
            kind_features=self.kind_features,
            neighbors=self.neighbors[sites],
            distances=self.distances[sites],
            ids=self.ids[chosen],
            options=self.options,
        )

    @classmethod
    def from_structures(
        cls,
        structures: Sequence[Any],
        *,
        max_num_nbr: int = 12,
        radius: float = 8.0,
        atom_features: Any = None,
        neighbor_ties: str = "invariant",
    ) -> "CrystalGraphs":
        """Make the graphs of some crystals: `CrystalGraphTransformer` without scikit-learn.

        Parameters
        ----------
        structures : sequence of pymatgen Structures, ASE Atoms or paths
            The crystals.
        max_num_nbr : int, default=12
            Neighbors per site.
        radius : float, default=8.0
            Initial cutoff of the neighbor search, in Å.
        atom_features : None, path or mapping, default=None
            Features of the elements; see `load_element_features`.
        neighbor_ties : {"invariant", "official"}, default="invariant"
            What decides between neighbors at the same distance.

        Returns
        -------
        CrystalGraphs

        Raises
        ------
        StructureError
            If crystals cannot become graphs; the message lists them all.
        """
        # The container does not depend on its maker.
        from skcgcnn.graphs._build import build_from_structures

        return build_from_structures(
            structures,
            max_num_nbr=max_num_nbr,
            radius=radius,
            atom_features=atom_features,
            neighbor_ties=neighbor_ties,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the arrays and options by name; ``CrystalGraphs(**content)`` undoes it.

        Returns
        -------
        dict
            `offsets`, `site_kinds`, `kind_features`, `neighbors`, `distances`, `ids`, `options`.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graphs to one file.

        It is an uncompressed ``.npz`` archive, which NumPy opens too. It is written under a
        temporary name and moved, so that there is never half a file.

        Parameters
        ----------
        path : path
            Where to write; ``.npz`` is the usual suffix.
        """
        options = np.array(json.dumps(asdict(self.options)))
        write_arrays(path, {"format": np.array(_FORMAT), **self.to_dict(), "options": options})

    @classmethod
    def load(cls, path: str | PathLike[str], *, mmap: bool = False) -> "CrystalGraphs":
        """Read graphs that `save` wrote.

        Parameters
        ----------
        path : path
            The file.
        mmap : bool, default=False
            True leaves the arrays on the disk until they are used: for more graphs than fit into
            memory, or for several processes that share them.

        Returns
        -------
        CrystalGraphs

        Raises
        ------
        DataError
            If it is not such a file, or one of a later version of the format.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from skcgcnn.datasets import load_sample_regression
        >>> graphs = CrystalGraphs.from_structures(load_sample_regression().data[:3])
        >>> with TemporaryDirectory() as folder:
        ...     graphs.save(f"{folder}/graphs.npz")
        ...     CrystalGraphs.load(f"{folder}/graphs.npz")
        CrystalGraphs(3 crystals, 28 sites, 12 neighbors)
        """
        try:
            arrays = map_arrays(path)
            found = int(arrays.pop("format"))
            if found == _FORMAT:
                options = GraphOptions(**json.loads(str(arrays.pop("options"))))
                check_arrays(arrays)
                if not mmap:
                    arrays = {name: np.array(array) for name, array in arrays.items()}
                return cls(**arrays, options=options)
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such file") from error
        except _READ_ERRORS as error:
            raise DataError(f"{path}: not a file of crystal graphs ({error})") from error
        raise DataError(
            f"{path}: graphs of format {found}; this version of skcgcnn reads format {_FORMAT}"
        )

    def _one(self, index: int) -> CrystalGraph:
        if not -len(self) <= index < len(self):
            raise IndexError(f"crystal {index} of {len(self)}")
        index %= len(self)
        sites = slice(self.offsets[index], self.offsets[index + 1])
        return CrystalGraph(
            self.site_kinds[sites],
            self.kind_features,
            self.neighbors[sites],
            self.distances[sites],
            str(self.ids[index]),
        )


def offsets_from_counts(counts: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return where each crystal's sites begin, and where those of the last one end."""
    return np.concatenate([[0], np.cumsum(np.fromiter(counts, dtype=np.int64))]).astype(np.int64)


def site_index(
    offsets: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the indices of all sites of the chosen crystals, crystal after crystal.

    Parameters
    ----------
    offsets : ndarray of shape (n_crystals + 1,)
        Crystal i owns the sites ``offsets[i]:offsets[i + 1]``.
    chosen : ndarray of shape (n_chosen,)
        Indices of crystals.

    Returns
    -------
    ndarray of shape (n_chosen_sites,), int64

    Examples
    --------
    >>> site_index(np.array([0, 2, 5, 6]), np.array([1, 0])).tolist()
    [2, 3, 4, 0, 1]
    """
    counts = offsets[chosen + 1] - offsets[chosen]
    shift = offsets[chosen] - (np.cumsum(counts) - counts)
    return np.asarray(np.arange(counts.sum()) + np.repeat(shift, counts))


def concatenate(parts: Sequence[CrystalGraphs]) -> CrystalGraphs:
    """Join graphs end to end; kinds of site that several parts have are stored once.

    Parameters
    ----------
    parts : sequence of CrystalGraphs
        At least one; all made with the same options.

    Returns
    -------
    CrystalGraphs

    Raises
    ------
    ValueError
        If there is no part, or the parts were made with different options.
    """
    if not parts:
        raise ValueError("expected at least one part")
    options = parts[0].options
    distinct = list(dict.fromkeys(part.options for part in parts))
    for one in distinct:
        for other in distinct:
            if different := one.differences(other):
                raise ValueError(
                    "graphs that were made with different options cannot be joined: "
                    f"{one.describe(different)} and {other.describe(different)}"
                )
        # What is unknown of one part is unknown of all.
        options = options.common(one)
    if len(parts) == 1:
        return parts[0]
    features, kind_of = distinct_rows([row for part in parts for row in part.kind_features])
    starts = np.cumsum([0, *(len(part.kind_features) for part in parts)])
    kinds = [kind_of[s + part.site_kinds] for s, part in zip(starts, parts, strict=False)]
    return CrystalGraphs(
        offsets=offsets_from_counts(np.concatenate([part.n_sites for part in parts])),
        site_kinds=np.concatenate(kinds),
        kind_features=features.reshape(-1, options.n_features),
        neighbors=np.concatenate([part.neighbors for part in parts]),
        distances=np.concatenate([part.distances for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        options=options,
    )


def distinct_rows(
    rows: Sequence[npt.NDArray[np.float32]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return the distinct rows in order of their first appearance, and which each row is.

    It is the one rule for kinds of site, so that graphs do not depend on how they were put
    together: sites with the same features are of one kind.

    Parameters
    ----------
    rows : sequence of ndarray of shape (n_features,)
        The features.

    Returns
    -------
    distinct : ndarray of shape (n_distinct, n_features), float32
    which : ndarray of shape (n_rows,), int32
    """
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(np.asarray(row).tobytes(), len(numbers)) for row in rows]
    distinct = np.array([np.frombuffer(row, dtype=np.float32) for row in numbers], dtype=np.float32)
    return distinct, np.array(which, dtype=np.int32)
