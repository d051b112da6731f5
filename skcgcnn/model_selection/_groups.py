"""Groups of crystals that are alike, for splitters that keep groups together."""

from collections import Counter
from collections.abc import Callable, Mapping
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skcgcnn.crystals import Crystal, list_sources, split_numbers, try_to_read
from skcgcnn.graphs import (
    TIE,
    CrystalGraphs,
    CrystalGraphTransformer,
    count_kinds,
    load_element_features,
    same_crystals,
)
from skcgcnn.tasks import checked_groups

# In Å: how far atoms may be from where a symmetry operation puts them.
_SYMPREC = 0.01

Labels = npt.NDArray[Any]


def group_by_structure(X: Any, *, tol: float = TIE) -> Labels:
    """Return a number for each crystal, the same for the same crystals.

    For the `groups` of any splitter that keeps groups together, such as scikit-learn's
    `GroupKFold`: a crystal that is written in another cell, or with other axes or another order of
    its sites, is then never on both sides.

    Parameters
    ----------
    X : sequence of crystals, or CrystalGraphs
        The crystals.
    tol : float, default=0.0001
        Distances that differ by no more, in Å, count as equal.

    Returns
    -------
    ndarray of shape (n_crystals,), int64
        See `skcgcnn.graphs.same_crystals`.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> cscl = Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> wider = Structure(Lattice.cubic(4.13), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> group_by_structure([cscl, wider, cscl * (2, 1, 1)]).tolist()
    [0, 1, 0]
    """
    return same_crystals(graphs_of(X), tol=tol)


def group_by_composition(X: Any) -> Labels:
    """Return the reduced composition of each crystal, such as ``Cl1 Na1``.

    Parameters
    ----------
    X : sequence of crystals, or CrystalGraphs
        The crystals.

    Returns
    -------
    ndarray of str of shape (n_crystals,)
        Elements with the same features are one kind of site: ``Ce/La``. A mixed site is one of its
        own.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_regression
    >>> group_by_composition(load_sample_regression().data[:2]).tolist()
    ['Ag1 Cl1', 'Ag1 Ga1 S2']
    """
    graphs = graphs_of(X)
    symbols = _symbols(graphs)
    found = []
    for counts in _counts(graphs):
        divisor = gcd(*counts.values())
        parts = sorted(f"{symbols[kind]}{n // divisor}" for kind, n in counts.items())
        found.append(" ".join(parts))
    return np.array(found, dtype=np.str_)


def group_by_elements(X: Any) -> Labels:
    """Return the elements of each crystal, such as ``Cl Na``: its chemical system.

    Parameters
    ----------
    X : sequence of crystals, or CrystalGraphs
        The crystals.

    Returns
    -------
    ndarray of str of shape (n_crystals,)
        See `group_by_composition`.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_regression
    >>> group_by_elements(load_sample_regression().data[:2]).tolist()
    ['Ag Cl', 'Ag Ga S']
    """
    return np.array([" ".join(sorted(found)) for found in element_sets(X)], dtype=np.str_)


def element_sets(X: Any) -> list[set[str]]:
    """Return the elements of each crystal.

    Returns
    -------
    list of set of str
        Symbols; see `group_by_composition`.
    """
    graphs = graphs_of(X)
    symbols = _symbols(graphs)
    return [{symbols[kind] for kind in counts} for counts in _counts(graphs)]


def anonymous_formulas(X: Any) -> Labels:
    """Return the reduced formula of each crystal without its elements, such as ``ABC3``.

    Returns
    -------
    ndarray of str of shape (n_crystals,)
    """
    return np.array([_anonymous(counts) for counts in _counts(graphs_of(X))], dtype=np.str_)


def group_by_prototype(X: Any, *, symprec: float = _SYMPREC) -> Labels:
    """Return the anonymous formula and space group of each crystal, such as ``ABC3 221``.

    Parameters
    ----------
    X : sequence of crystals
        Not graphs, which hold no positions.
    symprec : float, default=0.01
        How far atoms may be, in Å, from where a symmetry operation puts them.

    Returns
    -------
    ndarray of str of shape (n_crystals,)
        Space groups are those that spglib finds. Empty for crystals that cannot be read.

    Raises
    ------
    TypeError
        If X holds graphs.

    Examples
    --------
    >>> from skcgcnn.datasets import load_sample_regression
    >>> group_by_prototype(load_sample_regression().data[:2]).tolist()
    ['AB 225', 'ABC2 122']
    """
    if isinstance(X, CrystalGraphs):
        raise TypeError(
            "group_by_prototype needs positions, which graphs and stores do not hold; pass the "
            "crystals, or group by composition"
        )
    crystals = [try_to_read(source) for source in list_sources(split_numbers(X)[0], check=False)]
    found = [_prototype(c, symprec) if isinstance(c, Crystal) else "" for c in crystals]
    return np.array(found, dtype=np.str_)


def _prototype(crystal: Crystal, symprec: float) -> str:
    import spglib

    kinds: dict[Any, int] = {}
    numbers = [kinds.setdefault(species, len(kinds) + 1) for species in crystal.species]
    cell: Any = crystal.lattice, crystal.coords @ np.linalg.inv(crystal.lattice), numbers
    try:
        group = spglib.get_spacegroup(cell, symprec=symprec)
    except spglib.SpglibError:  # atoms that are too close, for example
        group = None
    number = "?" if group is None else group.rpartition("(")[2].rstrip(")")
    return f"{_anonymous(Counter(numbers))} {number}"


def _anonymous(counts: Mapping[int, int]) -> str:
    """Return a formula like ABC3 for numbers of sites by kind."""
    divisor = gcd(*counts.values())
    numbers = sorted(n // divisor for n in counts.values())
    letters = [chr(ord("A") + i) if i < 26 else f"[{i}]" for i in range(len(numbers))]
    return "".join(f"{a}{n if n > 1 else ''}" for a, n in zip(letters, numbers, strict=True))


def join_groups(*groupings: Any) -> npt.NDArray[np.int64]:
    """Return groups in which crystals are that any of several groupings puts together.

    Parameters
    ----------
    *groupings : array-like of shape (n_crystals,)
        The groupings.

    Returns
    -------
    ndarray of shape (n_crystals,), int64

    Raises
    ------
    ValueError
        If groupings are not of one length, or a group is missing.

    Examples
    --------
    >>> join_groups(["a", "a", "b", "c"], [0, 1, 1, 2]).tolist()
    [0, 0, 0, 1]
    """
    n = len(groupings[0])
    rows, columns, width = [], [], n
    for grouping in groupings:
        _, places = np.unique(checked_groups(grouping, n), return_inverse=True)
        rows.append(np.arange(n))
        columns.append(places.ravel() + width)
        width += int(places.max(initial=-1)) + 1
    ends = np.concatenate(rows), np.concatenate(columns)
    links = coo_array((np.ones(len(ends[0]), dtype=bool), ends), shape=(width, width))
    _, labels = connected_components(links, directed=False)
    _, found = np.unique(labels[:n], return_inverse=True)
    return np.asarray(found.ravel(), dtype=np.int64)


def graphs_of(X: Any) -> CrystalGraphs:
    """Return the graphs of crystals; one that cannot be read has no sites."""
    if isinstance(X, CrystalGraphs):
        return X
    graphs: CrystalGraphs = CrystalGraphTransformer(on_error="nan").fit_transform(X)
    return graphs


def _counts(graphs: CrystalGraphs) -> list[dict[int, int]]:
    """Return the number of sites of each kind, crystal by crystal."""
    found: list[dict[int, int]] = [{} for _ in range(len(graphs))]
    for crystal, kind, count in np.stack(count_kinds(graphs), axis=1).tolist():
        found[crystal][kind] = count
    return found


def _symbols(graphs: CrystalGraphs) -> list[str]:
    """Return a name for each kind of site."""
    from pymatgen.core import Element

    table = load_element_features()
    known = graphs.options.atom_features in {None, table.fingerprint}
    found = []
    for place, own in enumerate(table.pure(graphs.kind_features)):
        symbols = sorted(Element.from_Z(z).symbol for z in own if known)
        found.append("/".join(symbols) or f"(kind {place})")
    return found


# What `skcgcnn train --split` knows, beside crystals at random.
GROUPINGS: dict[str, Callable[[Any], Labels]] = {
    "structure": group_by_structure,
    "composition": group_by_composition,
    "elements": group_by_elements,
    "prototype": group_by_prototype,
}
