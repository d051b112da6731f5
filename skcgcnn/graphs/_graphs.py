"""Crystal graphs, packed: many crystals in a few NumPy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import as_floats
from skcgcnn._text import repeated
from skcgcnn.exceptions import DataError
from skcgcnn.graphs._build import GraphMaker, build_from_structures
from skcgcnn.graphs._elements import load_element_features
from skcgcnn.graphs._expand import ExpandedGraphs, expand
from skcgcnn.graphs._options import GraphOptions
from skcgcnn.graphs._packing import count_by_kind, offsets_from_counts, small_integer, sum_members
from skcgcnn.graphs._pyg import to_pyg
from skcgcnn.graphs._saved import load_graphs, save_graphs
from skcgcnn.graphs._schema import MAX_NUMBER, PARTS, CrystalGraph, check_lengths
from skcgcnn.graphs._select import chosen_rows, select_crystals


@dataclass(frozen=True, eq=False, repr=False)
class CrystalGraphs:
    """Many crystal graphs in a few arrays: what `CrystalGraphTransformer` returns.

    It is a sequence: ``len(graphs)``, ``graphs[3]`` (a `CrystalGraph`), ``graphs[2:5]``,
    ``graphs[[7, 1]]``, ``graphs[mask]`` (a `CrystalGraphs` each), so scikit-learn splits it
    like an array. A crystal that could not be read (``on_error="nan"``) has no sites.

    Sites that no convolution can tell apart are one class, which is stored once with the number of
    its sites, and so are equal bonds: the graphs are *quotient graphs*. `expand` gives every site
    and bond.

    Attributes
    ----------
    offsets : ndarray of shape (n_crystals + 1,), int64
        Crystal i owns the classes ``offsets[i]:offsets[i + 1]``.
    site_kinds : ndarray of shape (n_classes,), int32
        Row of `kind_features` of each class of equal sites.
    site_counts : ndarray of shape (n_classes,), int32
        Number of sites in each class.
    kind_features : ndarray of shape (n_kinds, n_features), float32
        A pure element's features, or the occupancy-weighted mean of a mixed site.
    bond_offsets : ndarray of shape (n_classes + 1,), int64
        Class c owns the bonds ``bond_offsets[c]:bond_offsets[c + 1]``.
    neighbors : ndarray of shape (n_bonds,), integer
        Class at the other end of each bond, counted within its own crystal.
    distances : ndarray of shape (n_bonds,), float32
        Length of each bond in Å, ascending within a class.
    bond_counts : ndarray of shape (n_bonds,), uint8, or int32 for more than 255 neighbors per site
        How many of the bonds of a site are this one; their sum is `max_num_nbr` in each class.
    site_classes : ndarray of shape (n_sites,), int32
        Class of every site, counted within its own crystal, crystal after crystal.
    ids : ndarray of shape (n_crystals,), str
        File stem, or position in X.
    global_features : ndarray of shape (n_crystals, n_global_features), float64
        Numbers that belong to each crystal, such as a temperature; by default none. Their names
        are in `options`.
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
    >>> graphs
    CrystalGraphs(10 crystals, 87 sites in 21 classes, 12 neighbors)
    >>> graphs[2:5].shape
    (3,)
    """

    offsets: npt.NDArray[np.int64]
    site_kinds: npt.NDArray[np.int32]
    site_counts: npt.NDArray[np.int32]
    kind_features: npt.NDArray[np.float32]
    bond_offsets: npt.NDArray[np.int64]
    neighbors: npt.NDArray[np.integer]
    distances: npt.NDArray[np.float32]
    bond_counts: npt.NDArray[np.integer]
    site_classes: npt.NDArray[np.int32]
    ids: npt.NDArray[np.str_]
    global_features: npt.NDArray[np.float64] = field(default=None)  # type: ignore[arg-type]
    options: GraphOptions = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n_globals = self._complete_global_features()
        check_lengths(self.to_dict())
        if not np.issubdtype(self.bond_counts.dtype, np.integer):
            raise ValueError("bond_counts must be integers")
        n_classes = len(self.site_kinds)
        first = slice(0, self.bond_offsets[1] if n_classes else 0)
        max_num_nbr = int(self.bond_counts[first].sum())
        last = int(np.diff(self.offsets).max(initial=1)) - 1
        for name, largest in (("bond_counts", max_num_nbr), ("neighbors", last)):
            narrow = getattr(self, name).astype(small_integer(largest), copy=False)
            object.__setattr__(self, name, narrow)
        names = tuple(f"global_{i}" for i in range(n_globals))
        known = GraphOptions(max_num_nbr, self.kind_features.shape[1], global_features=names)
        if self.options is None:
            object.__setattr__(self, "options", known)  # type: ignore[unreachable]
        elif (
            (n_classes and known.max_num_nbr != self.options.max_num_nbr)
            or known.n_features != self.options.n_features
            or n_globals != len(self.options.global_features)
        ):
            raise ValueError(f"the arrays do not fit {self.options}")

    def _complete_global_features(self) -> int:
        if self.global_features is None or self.global_features.shape == (len(self.ids), 0):
            # Always with the same strides, so that equal graphs have equal hashes.
            none = np.empty(0, dtype=np.float64).reshape(len(self.ids), 0)
            object.__setattr__(self, "global_features", none)
        elif self.global_features.ndim != 2:
            raise ValueError("global_features must have two axes")
        exact = self.global_features.astype(np.float64, copy=False)
        object.__setattr__(self, "global_features", exact)
        return int(exact.shape[1])

    def __getstate__(self) -> dict[str, Any]:
        return self.to_dict()  # without what is only kept at hand

    def __setstate__(self, state: dict[str, Any]) -> None:
        if {one.name for one in fields(self)} - state.keys():
            raise DataError(
                "these graphs were pickled by an earlier version of skcgcnn; make them again from "
                "the crystals"
            )
        self.__dict__.update(state)

    @property
    def shape(self) -> tuple[int]:
        """Number of crystals, like the shape of a one-dimensional array."""
        return (len(self.ids),)

    @cached_property
    def site_offsets(self) -> npt.NDArray[np.int64]:
        """Crystal i has the sites ``site_offsets[i]:site_offsets[i + 1]`` of `site_classes`."""
        return offsets_from_counts(sum_members(self.site_counts, self.offsets))

    @property
    def n_sites(self) -> npt.NDArray[np.int64]:
        """Number of sites of every crystal, of shape (n_crystals,)."""
        return np.diff(self.site_offsets)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(getattr(array, "nbytes", 0) for array in self.to_dict().values())

    def __sizeof__(self) -> int:
        """Return the bytes of the arrays: Dask sends what is large to its workers once."""
        return self.nbytes

    def __repr__(self) -> str:
        return (
            f"CrystalGraphs({len(self)} crystals, {len(self.site_classes)} sites in "
            f"{len(self.site_kinds)} classes, {self.options.max_num_nbr} neighbors)"
        )

    @overload
    def __getitem__(self, key: int) -> CrystalGraph: ...

    @overload
    def __getitem__(self, key: Any) -> "CrystalGraphs": ...

    def __getitem__(self, key: Any) -> "CrystalGraph | CrystalGraphs":
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            # scikit-learn indexes whatever has a shape as `array[key, ...]`.
            key = key[0]
        if isinstance(key, (int, np.integer)):
            return self._one(int(key))
        return CrystalGraphs(**select_crystals(self, chosen_rows(len(self), key)))

    def expand(self) -> ExpandedGraphs:
        """Return the graphs with every site and bond.

        Returns
        -------
        ExpandedGraphs
            For the network they are the same graphs. Where nothing was merged, they are the graphs
            as they were found, neighbor by neighbor.

        Examples
        --------
        >>> from pymatgen.core import Lattice, Structure
        >>> cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        >>> graphs = CrystalGraphs.from_structures([cscl], max_num_nbr=8)
        >>> graphs.neighbors.tolist(), graphs.bond_counts.tolist()
        ([1, 0], [8, 8])
        >>> graphs.expand().neighbors.tolist()
        [[1, 1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
        """
        return expand(self, self.offsets, self.site_offsets)

    def to_pyg(self, structures: Sequence[Any] | None = None) -> list[Any]:
        """Return the graphs as data of PyTorch Geometric, with every site and bond.

        Parameters
        ----------
        structures : sequence of crystals, optional
            The crystals, sites in their order: graphs do not keep positions.

        Returns
        -------
        list of torch_geometric.data.Data
            `x`, `edge_index` (neighbor j, site i), `edge_attr` (Å), `id`, `u` (`global_features`);
            with structures also `pos`, `cell`, and `cell_offsets`, by which the vector of an edge
            is ``pos[j] + cell_offsets @ cell - pos[i]``.

        Raises
        ------
        ImportError, ValueError
            Without torch_geometric, or if a structure is not the crystal of its graph.
        """
        return to_pyg(self, structures)

    @classmethod
    def from_structures(
        cls,
        structures: Sequence[Any],
        *,
        max_num_nbr: int = 12,
        radius: float = 8.0,
        atom_features: Any = None,
        neighbor_ties: str = "invariant",
        merge_tol: float | None = 1e-5,
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
        merge_tol : float or None, default=1e-05
            Distances that differ by no more, in Å, count as equal; None merges nothing.

        Returns
        -------
        CrystalGraphs

        Raises
        ------
        StructureError
            If crystals cannot become graphs; the message lists them all.
        """
        features = load_element_features(atom_features)
        maker = GraphMaker(features, max_num_nbr, radius, neighbor_ties, merge_tol)
        return cls(**build_from_structures(structures, maker))

    def with_global_features(
        self, values: npt.ArrayLike, names: Sequence[str], units: Sequence[str] = ()
    ) -> "CrystalGraphs":
        """Return the same graphs with numbers beside each crystal.

        Parameters
        ----------
        values : array-like of shape (n_crystals, n_global_features)
            The numbers.
        names : sequence of str
            What they are.
        units : sequence of str, default=()
            Their units, each empty where it is unknown. A fitted estimator refuses numbers in
            other units than those of its fit.

        Returns
        -------
        CrystalGraphs

        Raises
        ------
        ValueError
            If the shapes do not fit, a name is there twice, or a number is missing, infinite or
            above 1e30.

        Examples
        --------
        >>> from skcgcnn.datasets import load_sample_regression
        >>> graphs = CrystalGraphs.from_structures(load_sample_regression().data[:2])
        >>> graphs.with_global_features([[300], [600]], ["temperature"]).options.global_features
        ('temperature',)
        """
        names = list(map(str, names))
        numbers = as_floats(values)
        if numbers.shape != (len(self), len(names)):
            raise ValueError(
                f"values has shape {numbers.shape}; expected {(len(self), len(names))}: a row for "
                "every crystal and a column for every name"
            )
        if twice := repeated(names):
            raise ValueError(f"names holds {twice[0]!r} more than once")
        for name, column in zip(names, numbers.T, strict=True):
            if not (finite := np.isfinite(column)).all():
                row = int(np.argmin(finite))
                raise ValueError(
                    f"column {name!r}, row {row}: {column[row]} is not a finite number"
                )
            if (large := np.abs(column) > MAX_NUMBER).any():
                row = int(np.argmax(large))
                raise ValueError(
                    f"column {name!r}, row {row}: {column[row]:g} is beyond {MAX_NUMBER:g}; give "
                    "the numbers in another unit"
                )
        if len(units) not in (0, len(names)):
            raise ValueError(f"units has {len(units)} entries for {len(names)} names")
        options = replace(
            self.options, global_features=tuple(names), global_units=tuple(map(str, units))
        )
        return replace(self, global_features=numbers, options=options)

    def used_features(self) -> npt.NDArray[np.float32]:
        """Return the features of the kinds of site that there are: a slice has those of the whole.

        Returns
        -------
        ndarray of shape (n_used_kinds, n_features), float32
        """
        return self.kind_features[self.sites_by_kind() > 0]

    def sites_by_kind(self) -> npt.NDArray[np.int64]:
        """Return the number of sites of each kind.

        Returns
        -------
        ndarray of shape (n_kinds,), int64
        """
        return count_by_kind(self.site_kinds, self.site_counts, len(self.kind_features))

    def to_dict(self) -> dict[str, Any]:
        """Return the arrays and options by name; ``CrystalGraphs(**content)`` undoes it.

        Returns
        -------
        dict
            The attributes of the class.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def save(self, path: str | PathLike[str]) -> None:
        """Write the graphs to a file or a folder.

        Both are written under a temporary name and moved, so that there is never half of one.

        Parameters
        ----------
        path : path
            A name that ends in ``.npz`` is an uncompressed archive, which NumPy opens too. Any
            other is a folder of ``.npy`` files, which can be memory-mapped.

        Raises
        ------
        DataError
            If the folder holds other files.
        """
        save_graphs(path, self.to_dict())

    @classmethod
    def load(cls, path: str | PathLike[str], *, mmap: bool = False) -> "CrystalGraphs":
        """Read graphs that `save` wrote.

        Parameters
        ----------
        path : path
            The ``.npz`` file or the folder, which may be a store of `skcgcnn featurize`.
        mmap : bool, default=False
            True leaves arrays on the disk until they are used, for more than fits into memory. It
            needs a folder.

        Returns
        -------
        CrystalGraphs

        Raises
        ------
        DataError
            If there are no graphs, or those of a later version of the format; or if a ``.npz`` file
            is to be memory-mapped.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from skcgcnn.datasets import load_sample_regression
        >>> graphs = CrystalGraphs.from_structures(load_sample_regression().data[:3])
        >>> with TemporaryDirectory() as folder:
        ...     graphs.save(f"{folder}/graphs")
        ...     CrystalGraphs.load(f"{folder}/graphs", mmap=True)
        CrystalGraphs(3 crystals, 28 sites in 7 classes, 12 neighbors)
        """
        content = load_graphs(path, mmap=mmap)
        try:
            return cls(**content)
        except ValueError as error:
            raise DataError(f"{path}: not a file of crystal graphs ({error})") from error

    def _one(self, index: int) -> CrystalGraph:
        if not -len(self) <= index < len(self):
            raise IndexError(f"crystal {index} of {len(self)}")
        index %= len(self)
        first, last = self.offsets[index], self.offsets[index + 1]
        ends = self.bond_offsets[first : last + 1]
        rows = {
            "class": slice(first, last),
            "bond": slice(ends[0], ends[-1]),
            "site": slice(self.site_offsets[index], self.site_offsets[index + 1]),
        }
        parts = {name: getattr(self, name)[rows[level]] for name, level in PARTS.items()}
        return CrystalGraph(
            **{**parts, "bond_offsets": ends - ends[0]},
            kind_features=self.kind_features,
            id=str(self.ids[index]),
            global_features=self.global_features[index],
            options=self.options,
        )
