"""Write the structures of the labeled set: ordered supercells of the hosts with Li vacancies.

A group is a host with one arrangement of its metals in one supercell. Of every group and number of
vacancies as many structures have a divacancy as have none, so that neither the formula nor the
group tells the label. Running the script again gives the same bytes.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from make_hosts import FOLDER, read_hosts
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from skcgcnn.vacancies import SYMPREC, order_sites, site_permutations, write_cif

SEED = 42
NUMBERS = (2, 3)  # of vacancies

# Supercells (m, n, layers, shift) with the vectors m a, n b, layers t + shift a, where t leads from
# one layer to the next. 12 formula units hold the composition of NCM111, 20 those of the others.
TWELVE = (
    (4, 3, 1, 0),
    (6, 2, 1, 1),
    (2, 2, 3, 0),
    (4, 3, 1, 2),
    (6, 2, 1, 3),
    (4, 3, 1, 1),
    (6, 2, 1, 5),
    (4, 3, 1, 3),
)
TWENTY = tuple((5, n, layers, shift) for shift in range(5) for n, layers in ((4, 1), (2, 2)))

# By host: supercells, one arrangement of the metals each, and the most structures with a divacancy
# (and as many without) of every arrangement and number of vacancies.
PLAN = {
    "NCM111": ((*TWELVE, *TWELVE[:2], *TWELVE[2:], *TWELVE[:4]), 5),
    "LNO": (TWELVE, 3),
    "LCO": (TWELVE, 3),
    "NCA": ((*TWENTY, *TWENTY), 3),
    "NCM811": (TWENTY, 2),
}

# Rhombohedral primitive vectors (obverse setting) in terms of the hexagonal ones.
_PRIMITIVE = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3


@dataclass(frozen=True)
class Group:
    """A host with one arrangement of its metals.

    Attributes
    ----------
    name : str
        Such as "NCA_03".
    host : str
        Such as "NCA".
    supercell : tuple of int
        Vectors along a and b, number of layers, shift of a layer.
    pristine : Structure
        The ordered supercell without vacancies, in the published cell of the host.
    """

    name: str
    host: str
    supercell: tuple[int, int, int, int]
    pristine: Structure


@dataclass(frozen=True)
class Member:
    """A structure of the set.

    Attributes
    ----------
    cif_id : str
        Such as "NCA_03_v2_1".
    group : Group
        What it was made from.
    removed : tuple of int
        The sites of ``group.pristine`` that are empty.
    label : int
        1 if two of them are nearest neighbors, else 0.
    """

    cif_id: str
    group: Group
    removed: tuple[int, ...]
    label: int

    def structure(self) -> Structure:
        """Return the structure as it is stored: unrelaxed."""
        structure = self.group.pristine.copy()
        structure.remove_sites(self.removed)
        return structure


def make_groups() -> list[Group]:
    """Return all groups, in the order of `PLAN`."""
    hosts = read_hosts()
    groups = []
    for number, (name, (supercells, _)) in enumerate(PLAN.items()):
        for index, supercell in enumerate(supercells):
            rng = np.random.default_rng([SEED, number, index])
            pristine = order_sites(make_supercell(hosts[name], supercell), rng)
            groups.append(Group(f"{name}_{index:02d}", name, supercell, pristine))
    return groups


def make_supercell(host: dict[str, Any], supercell: tuple[int, int, int, int]) -> Structure:
    """Build a supercell of a host, with partial occupancies.

    Parameters
    ----------
    host : dict
        A row of `make_hosts.read_hosts`.
    supercell : tuple of int
        See `TWELVE`.

    Returns
    -------
    Structure
        With m x n x layers formula units, sites sorted by element.
    """
    m, n, layers, shift = supercell
    metals = {symbol: float(share) for symbol, share in host["metals"].items()}
    z = host["z"]
    cell = Structure(
        Lattice(_PRIMITIVE @ Lattice.hexagonal(host["a"], host["c"]).matrix),
        ["Li", metals, "O", "O"],
        [[0.5] * 3, [0.0] * 3, [z] * 3, [1 - z] * 3],
    )
    # a, b and t of the hexagonal description in terms of the primitive vectors.
    a, b = np.array([1, -1, 0]), np.array([0, 1, -1])
    stacking = {1: [1, 0, 0], 2: [1, 1, 0], 3: [1, 1, 1]}[layers]
    cell.make_supercell([m * a, n * b, stacking + shift * a])
    return cell


def has_divacancy(pristine: Structure, removed: tuple[int, ...]) -> bool:
    """Tell whether two of the empty sites are nearest neighbors.

    The nearest Li neighbors of Li lie in its own layer (2.8 to 2.9 angstrom; the next layer is
    5 angstrom away).

    Parameters
    ----------
    pristine : Structure
        The supercell without vacancies.
    removed : tuple of int
        Its sites that are empty, all of them Li.

    Returns
    -------
    bool
    """
    lithium = [i for i, site in enumerate(pristine) if site.specie.symbol == "Li"]
    distances = pristine.distance_matrix
    nearest = distances[np.ix_(lithium, lithium)] + 1e9 * np.eye(len(lithium))
    return any(distances[i, j] < 1.1 * nearest.min() for i, j in itertools.combinations(removed, 2))


def make_members(group: Group) -> Iterator[Member]:
    """Choose the vacancies of a group: distinct by symmetry, half of them with a divacancy.

    Parameters
    ----------
    group : Group
        The group.

    Yields
    ------
    Member
    """
    lithium = [i for i, site in enumerate(group.pristine) if site.specie.symbol == "Li"]
    permutations = site_permutations(group.pristine, lithium)
    rng = np.random.default_rng([SEED, *group.name.encode()])
    for number in NUMBERS:
        orbits: dict[tuple[int, ...], tuple[int, ...]] = {}
        for places in itertools.combinations(range(len(lithium)), number):
            images = np.sort(permutations[:, list(places)], axis=1)
            orbits.setdefault(min(map(tuple, images.tolist())), places)
        classes: tuple[list[tuple[int, ...]], ...] = ([], [])
        for places in orbits.values():
            removed = tuple(lithium[i] for i in places)
            if len(permutations) == 1 or not _repeats(group.pristine, removed):
                classes[has_divacancy(group.pristine, removed)].append(removed)
        size = min(PLAN[group.host][1], *map(len, classes))
        chosen = [rng.permutation(len(found))[:size] for found in classes]
        # Labels take turns, so that a run that is cut short leaves them balanced.
        for index, (rank, label) in enumerate(itertools.product(range(size), (0, 1))):
            removed = classes[label][chosen[label][rank]]
            yield Member(f"{group.name}_v{number}_{index}", group, removed, label)


def _repeats(pristine: Structure, removed: tuple[int, ...]) -> bool:
    """Tell whether a smaller cell describes the crystal, which another supercell may hold too."""
    structure = pristine.copy()
    structure.remove_sites(removed)
    return len(SpacegroupAnalyzer(structure, SYMPREC).find_primitive()) < len(structure)


def main() -> None:
    """Write the CIFs and ``groups.csv``."""
    parser = argparse.ArgumentParser(description="Write the structures of the labeled set.")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the CIFs")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with (output / "groups.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cif_id", "group"])
        for group in make_groups():
            for member in make_members(group):
                write_cif(member.structure(), output / f"{member.cif_id}.cif")
                writer.writerow([member.cif_id, group.name])


if __name__ == "__main__":
    main()
