"""Crystals with vacancies: atoms of one element taken out at random, by a seed."""

import math
from collections.abc import Sequence
from fractions import Fraction
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._files import write_text
from skcgcnn.exceptions import StructureError

# More sites take minutes and gigabytes; so do more places that operations take sites to.
_MOST_SITES, _MOST_PLACES = 100_000, 100_000_000
# In Å: minimum distance of a vacancy and its periodic images, where no supercell is given.
MIN_IMAGE_DISTANCE = 8.0

SYMPREC = 1e-3  # Å

# A number of sites this near to an integer is that integer: 0.3333 of 12 sites are 4.
_COUNT_TOLERANCE = 0.01

# Random draws in a row without a new result after which the search for structures ends.
_MOST_REPEATS = 2000


def make_vacancies(
    structure: Any,
    n_structures: int = 1,
    *,
    element: str = "Li",
    n_vacancies: int | None = None,
    fraction: float | None = None,
    supercell: int | Sequence[int] | npt.ArrayLike | None = None,
    order: bool = False,
    distinct: bool = True,
    random_state: int | None = None,
) -> list[Any]:
    """Take atoms of one element out of a crystal at random.

    Parameters
    ----------
    structure : pymatgen Structure
        The crystal without vacancies; it is not changed.
    n_structures : int, default=1
        Number of structures to make. No two have their vacancies on the same sites.
    element : str, default="Li"
        Symbol of the element to take out. A site counts as the element's if no other element
        shares it.
    n_vacancies : int, optional
        Number of vacancies per structure.
    fraction : float, optional
        Share of the element's sites to empty, above 0 and at most 1, instead of `n_vacancies`;
        at least one site is. By default a tenth.
    supercell : int, sequence of 3 ints or (3, 3) array of int, optional
        Multiples of the lattice vectors, or the transformation matrix. By default each vector is
        multiplied until it is 8 Å long; 1 leaves the cell as it is.
    order : bool, default=False
        Whether to give every site of a disordered sublattice one element first, at random and
        with the composition kept. All structures of a call share the arrangement.
    distinct : bool, default=True
        Whether no symmetry operation of the supercell may turn one structure into another. Where
        the supercell has fewer than the crystal, two may still be one crystal, turned.
    random_state : int, optional
        Seed. The same seed gives the same structures.

    Returns
    -------
    list of pymatgen Structure
        With the sites in the order of the supercell, those of vacancies left out.

    Raises
    ------
    StructureError
        If the crystal does not hold the element, or fewer sites of it than vacancies are asked
        for; if the supercell cannot hold the composition; or if there are fewer distinct
        structures than asked for.
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    Symmetry is found by spglib, to 0.001 Å.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> rocksalt = Structure.from_spacegroup(
    ...     "Fm-3m", Lattice.cubic(4.02), ["Li", "F"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ... )
    >>> made = make_vacancies(rocksalt, 3, n_vacancies=2, supercell=2, random_state=0)
    >>> [each.formula for each in made]
    ['Li30 F32', 'Li30 F32', 'Li30 F32']
    """
    from pymatgen.core import Element

    if n_structures < 1:
        raise ValueError(f"n_structures must be at least 1, but is {n_structures}")
    if not Element.is_valid_symbol(element):
        raise ValueError(f"element must be the symbol of an element, but is {element!r}")
    rng = np.random.default_rng(random_state)
    host = structure.copy()
    scaling = _scaling(host.lattice, supercell)
    n_sites = len(host) * abs(np.linalg.det(scaling))
    if n_sites > _MOST_SITES:
        raise ValueError(
            f"the supercell would hold {n_sites:.0f} sites, and may hold {_MOST_SITES:,}; choose a "
            "smaller one"
        )
    host.make_supercell(scaling)
    if order:
        host = order_sites(host, rng)
    sites = _sites_of(host, element)
    n = _count(len(sites), n_vacancies, fraction, element)
    if n == len(host):
        raise StructureError(f"{n} vacancies would leave no atom in the cell; ask for fewer")
    permutations = site_permutations(host, sites) if distinct else None
    chosen = _draw(len(sites), n, n_structures, permutations, rng)
    return [_without(host, sites[list(removed)]) for removed in chosen]


def fit_supercell(lattice: Any, length: float = MIN_IMAGE_DISTANCE) -> tuple[int, int, int]:
    """Return how often to repeat each lattice vector to make it `length` long.

    Parameters
    ----------
    lattice : pymatgen Lattice
        The lattice.
    length : float, default=8.0
        In Å.

    Returns
    -------
    tuple of 3 ints

    Examples
    --------
    >>> from pymatgen.core import Lattice
    >>> fit_supercell(Lattice.hexagonal(2.82, 14.05))
    (3, 3, 1)
    """
    a, b, c = (math.ceil(length / edge - 1e-9) for edge in lattice.abc)
    return a, b, c


def order_sites(structure: Any, rng: np.random.Generator) -> Any:
    """Give every site of a disordered sublattice one element, with the composition kept.

    Parameters
    ----------
    structure : pymatgen Structure
        The crystal. Sites with the same species and occupancies are one sublattice. What is
        missing to an occupancy of 1 becomes empty sites.
    rng : numpy Generator
        Decides the arrangement.

    Returns
    -------
    pymatgen Structure

    Raises
    ------
    StructureError
        If the number of sites does not hold the composition exactly.

    Examples
    --------
    >>> import numpy as np
    >>> from pymatgen.core import Lattice, Structure
    >>> alloy = Structure(Lattice.cubic(3.6), [{"Cu": 0.75, "Au": 0.25}], [[0, 0, 0]])
    >>> order_sites(alloy * (2, 2, 1), np.random.default_rng(0)).formula
    'Cu3 Au1'
    """
    ordered = structure.copy()
    sublattices: dict[Any, list[int]] = {}
    for index, site in enumerate(ordered):
        if not site.is_ordered:
            sublattices.setdefault(site.species, []).append(index)
    empty = []
    for species, sites in sublattices.items():
        places = rng.permutation(sites).tolist()
        for specie, count in _whole_counts(species, len(sites)).items():
            for index in places[:count]:
                ordered.replace(index, specie)
            places = places[count:]
        empty += places
    ordered.remove_sites(empty)
    return ordered


def site_permutations(structure: Any, sites: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return how the symmetry operations of a crystal permute some of its sites.

    Parameters
    ----------
    structure : pymatgen Structure
        The crystal.
    sites : array-like of int of shape (n_sites,)
        Sites that symmetry maps onto each other, such as all those of an element.

    Returns
    -------
    ndarray of shape (n_operations, n_sites)
        In each row, the place in `sites` that every site goes to.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> chain = Structure(Lattice.tetragonal(3, 9), ["Li"] * 3, [[0, 0, i / 3] for i in range(3)])
    >>> sorted(set(map(tuple, site_permutations(chain, [0, 1, 2]).tolist())))
    [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    """
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
    from scipy.spatial import cKDTree

    operations = SpacegroupAnalyzer(structure, symprec=SYMPREC).get_symmetry_operations()
    coords = structure.frac_coords[np.asarray(sites)]
    if len(operations) * len(coords) > _MOST_PLACES:
        raise StructureError(
            f"{len(operations)} symmetry operations of {len(coords)} sites are too many to tell "
            "structures apart; choose a smaller supercell, or allow equivalent structures "
            "(distinct=False, --equivalent)"
        )
    # On the torus of fractional coordinates; 1.0 is 0.0, and the box is open above.
    tree = cKDTree(_wrap(coords), boxsize=1.0)
    return np.stack([tree.query(_wrap(each.operate_multi(coords)))[1] for each in operations])


def write_cif(structure: Any, path: str | PathLike[str]) -> None:
    """Write a CIF in P1; the same structure gives the same bytes.

    Parameters
    ----------
    structure : pymatgen Structure
        The crystal.
    path : path
        Where to write it.
    """
    from pymatgen.core import Structure
    from pymatgen.io.cif import CifWriter

    # No -0.0 and no 1.0, whatever the rounding of the machine.
    coords = np.mod(np.round(structure.frac_coords, 8), 1.0) + 0.0
    tidy = Structure(structure.lattice, structure.species_and_occu, coords)
    write_text(path, str(CifWriter(tidy)))


def _wrap(coords: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    wrapped = np.mod(coords, 1.0)
    return np.where(wrapped >= 1.0, 0.0, wrapped)


def _scaling(lattice: Any, supercell: Any) -> npt.NDArray[np.int64]:
    scaling = np.array(fit_supercell(lattice) if supercell is None else supercell)
    if scaling.shape in {(), (1,), (3,)}:
        scaling = np.diag(np.broadcast_to(scaling, 3))
    if scaling.shape != (3, 3) or scaling.dtype.kind != "i" or round(np.linalg.det(scaling)) == 0:
        raise ValueError(
            "supercell must be an int, three of them or a (3, 3) array of them that spans a cell, "
            f"but is {supercell!r}"
        )
    return scaling


def _sites_of(structure: Any, element: str) -> npt.NDArray[np.int64]:
    symbols = [{specie.symbol for specie in site.species} for site in structure]
    sites = [i for i, found in enumerate(symbols) if found == {element}]
    if not sites:
        formula = structure.composition.reduced_formula
        if any(element in found for found in symbols):
            raise StructureError(
                f"{formula} holds {element} only on sites that it shares with other elements; "
                "give each site one element first (order=True, --order)"
            )
        raise StructureError(
            f"{formula} holds no {element}; name an element that it holds "
            f"({', '.join(sorted(set().union(*symbols)))})"
        )
    return np.array(sites)


def _count(n_sites: int, n_vacancies: int | None, fraction: float | None, element: str) -> int:
    if n_vacancies is not None and fraction is not None:
        raise ValueError("give the number of vacancies or their fraction, not both")
    if n_vacancies is None:
        fraction = 0.1 if fraction is None else fraction
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be above 0 and at most 1, but is {fraction}")
        return max(1, round(fraction * n_sites))
    if n_vacancies < 1:
        raise ValueError(f"n_vacancies must be at least 1, but is {n_vacancies}")
    if n_vacancies > n_sites:
        raise StructureError(
            f"{n_vacancies} vacancies are asked for, but the cell holds {n_sites} {element}; "
            "ask for fewer, or for a larger supercell"
        )
    return n_vacancies


def _whole_counts(species: Any, n_sites: int) -> dict[Any, int]:
    """Return how many of the sites each element takes."""
    counts = {}
    for specie, occupancy in species.items():
        count = round(occupancy * n_sites)
        if abs(count - occupancy * n_sites) > _COUNT_TOLERANCE:
            multiple = math.lcm(
                *(Fraction(o).limit_denominator(100).denominator for o in species.values())
            )
            raise StructureError(
                f"{n_sites} sites cannot hold the composition {_describe(species)} exactly; "
                f"choose a supercell in which their number is a multiple of {multiple}"
            )
        counts[specie] = count
    return counts


def _describe(species: Any) -> str:
    return " ".join(f"{specie}{occupancy:g}" for specie, occupancy in species.items())


def _draw(
    n_sites: int,
    n: int,
    n_structures: int,
    permutations: npt.NDArray[np.int64] | None,
    rng: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Draw different sets of sites, none of which a permutation turns into another."""
    chosen: list[tuple[int, ...]] = []
    seen: set[tuple[int, ...]] = set()
    repeats = 0
    while len(chosen) < n_structures:
        drawn = np.sort(rng.choice(n_sites, n, replace=False))
        if permutations is None:
            key = tuple(drawn.tolist())
        else:
            key = min(map(tuple, np.sort(permutations[:, drawn], axis=1).tolist()))
        if key not in seen:
            seen.add(key)
            chosen.append(tuple(drawn.tolist()))
            repeats = 0
            continue
        repeats += 1
        if repeats > _MOST_REPEATS:
            kind = "" if permutations is None else " that symmetry keeps apart"
            raise StructureError(
                f"{n_structures} structures are asked for, but only {len(chosen)}{kind} were found "
                f"with {n} of {n_sites} sites empty; ask for fewer, for another number of "
                "vacancies, or for a larger supercell"
            )
    return chosen


def _without(host: Any, removed: npt.NDArray[np.int64]) -> Any:
    structure = host.copy()
    structure.remove_sites(removed.tolist())
    return structure
