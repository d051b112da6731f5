"""Make crystals for a teacher to label: prototypes with other elements, in many chemistries.

Usage: ``python tools/make_pretraining_crystals.py crystals.npz [--n 120000] [--seed 0] [--table
carbon24_val.csv.gz]``. The crystals are perovskites of all chemistries, the AFLOW prototypes that
pymatgen carries, the crystals of the package, layered oxides with vacancies, and carbon. Their
elements are drawn by charge balance, by order of electronegativity or at random; their volumes
come from the radii of the atoms; some are strained, displaced, or have a vacancy. A table adds
structures of its column ``cif`` to those of carbon, always strained and displaced; nothing else of
it is read. The order is random, so that the first crystals are a sample of all.
"""

import argparse
import csv
import gzip
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Element, Lattice, Structure

from skcgcnn.datasets import load_sample_regression


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


FAMILIES = ("perovskite", "prototype", "package", "layered", "carbon")
SHARES = (0.48, 0.36, 0.08, 0.03, 0.05)
MAX_SITES = 14
# Shorter than this share of the sum of the radii, two atoms overlap.
CLOSEST = 0.62
# More room than this, as a multiple of a rough volume of the atoms, is mostly empty.
MOST_ROOM = 2.2
SYMBOLS = words(
    "H Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb "
    "Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er "
    "Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th Pa U Np Pu"
)
RARE = set(words("H Tc Pm Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Th Pa U Np Pu"))
NONMETALS = set(words("H C N O F P S Cl Se Br I"))
NOBLE_GASES = {"He": 1.2, "Ne": 1.5, "Ar": 1.9, "Kr": 2.0, "Xe": 2.2}  # half of a distance, Å
RADII = np.full(100, 1.5)
for _element in map(Element, SYMBOLS):
    RADII[_element.Z] = float(_element.atomic_radius)
for _symbol, _radius in NOBLE_GASES.items():
    RADII[Element(_symbol).Z] = _radius
NUMBERS = {symbol: Element(symbol).Z for symbol in (*SYMBOLS, *NOBLE_GASES)}
CHARGES = {symbol: Element(symbol).common_oxidation_states for symbol in SYMBOLS}
AFFINITY = {symbol: Element(symbol).X for symbol in SYMBOLS}
WEIGHTS = np.array([0.35 if symbol in RARE else 1.0 for symbol in SYMBOLS])
METALS = [symbol for symbol in SYMBOLS if symbol not in NONMETALS]
METAL_WEIGHTS = np.array([0.35 if symbol in RARE else 1.0 for symbol in METALS])
# The anions of a perovskite.
COMMON_ANIONS = ("O O O", "N N N", "O O N", "O N N", "O O F", "O N F", "O O S")
ALL_ANIONS = words("O N F S Cl Br I Se H C P Te")
LAYERED_METALS = words("Co Ni Mn Al Fe Ti V Cr Mg Ru Sn Zr Nb Cu")


@dataclass
class Cell:
    """A crystal as plain numbers: its lattice, atomic numbers and fractional coordinates."""

    lattice: np.ndarray
    numbers: np.ndarray
    coords: np.ndarray


class Prototype:
    """A structure whose elements are to be exchanged.

    Parameters
    ----------
    structure : Structure
        Without mixed sites.
    """

    def __init__(self, structure: Structure) -> None:
        self.lattice = np.array(structure.lattice.matrix)
        self.coords = np.array(structure.frac_coords)
        self.symbols = [site.specie.symbol for site in structure]
        self.kinds = sorted(set(self.symbols), key=lambda symbol: Element(symbol).X)
        self.counts = [self.symbols.count(kind) for kind in self.kinds]
        self.own = np.array([self.kinds.index(symbol) for symbol in self.symbols])
        self.nearest = nearest_distances(structure)

    def with_elements(self, symbols: list[str], stretch: float) -> Cell:
        """Return the crystal with other elements; atoms touch where `stretch` is 1."""
        numbers = np.array([NUMBERS[symbols[kind]] for kind in self.own])
        radii = RADII[numbers]
        scale = ((radii[:, None] + radii) / self.nearest).max() * stretch
        return Cell(self.lattice * scale, numbers, self.coords)


def nearest_distances(structure: Structure) -> np.ndarray:
    """Return the least distance between any two sites and their images, infinity if far."""
    n = len(structure)
    found = np.full((n, n), np.inf)
    radius = 1.6 * (structure.volume / n) ** (1 / 3) + 1.5
    first, second, _, distances = structure.get_neighbor_list(radius)
    np.minimum.at(found, (first, second), distances)
    return found


def draw_elements(kinds: list[str], counts: list[int], rng: np.random.Generator) -> list[str]:
    """Draw an element for every kind of site, which are in the order of electronegativity."""
    how = rng.choice(3, p=[0.55, 0.3, 0.15])
    if how == 2:
        return list(rng.choice(SYMBOLS, len(kinds), replace=False, p=WEIGHTS / WEIGHTS.sum()))
    metallic = how == 1 and all(kind not in NONMETALS for kind in kinds)
    pool, weights = (METALS, METAL_WEIGHTS) if metallic else (SYMBOLS, WEIGHTS)
    drawn: list[str] = []
    for _ in range(60):
        drawn = sorted(
            rng.choice(pool, len(kinds), replace=False, p=weights / weights.sum()),
            key=AFFINITY.__getitem__,
        )
        if metallic or len(kinds) == 1 or is_neutral(drawn, counts):
            break
    return drawn


def is_neutral(symbols: list[str], counts: list[int]) -> bool:
    """Tell whether common charges of the elements add up to none."""
    charges = product(*(CHARGES[symbol] for symbol in symbols))
    return any(np.dot(each, counts) == 0 for each in charges)


def disturb(cell: Cell, rng: np.random.Generator, calm: float) -> Cell:
    """Leave a share of the crystals as they are; strain others, displace atoms, take one out."""
    if rng.random() < calm:
        return cell
    lattice, numbers, coords = cell.lattice, cell.numbers, cell.coords
    how = rng.random()
    if how < 0.65:
        lattice = lattice @ strain(rng)
    if how > 0.4 and len(numbers) > 1:
        shifts = rng.normal(0, rng.uniform(0.02, 0.15), coords.shape)
        coords = coords + shifts @ np.linalg.inv(lattice)
    if how > 0.85 and len(numbers) > 3:
        kept = np.arange(len(numbers)) != rng.integers(len(numbers))
        numbers, coords = numbers[kept], coords[kept]
    return Cell(lattice, numbers, coords)


def strain(rng: np.random.Generator) -> np.ndarray:
    """Return a random strain of a few percent, which keeps the volume."""
    change = rng.normal(0, rng.uniform(0.01, 0.05), (3, 3))
    matrix = np.eye(3) + (change + change.T) / 2
    return matrix / np.linalg.det(matrix) ** (1 / 3)


def perovskite(rng: np.random.Generator) -> Cell:
    """Return a cubic ABX3 of any elements, with up to three anions."""
    if rng.random() < 0.65:
        anions = rng.choice(COMMON_ANIONS).split()
    elif rng.random() < 0.6:
        anions = [rng.choice(ALL_ANIONS)] * 3
    else:
        anions = list(rng.choice(ALL_ANIONS, 3))
    a, b = rng.choice(METALS, 2, p=METAL_WEIGHTS / METAL_WEIGHTS.sum())
    if rng.random() < 0.05:  # antiperovskites, and what nobody made
        a, b = rng.choice(SYMBOLS, 2)
        anions = [rng.choice(SYMBOLS)] * 3
    numbers = np.array([NUMBERS[symbol] for symbol in (a, b, *rng.permutation(anions))])
    radii = RADII[numbers]
    contacts = radii[:2] + radii[2:].mean()
    # A line through the lattice constants of cubic perovskites in Å, and some scatter.
    length = 2.0 + 0.76 * contacts[1] + 0.24 * contacts[0] + rng.normal(0, 0.22)
    coords = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / 2
    return disturb(Cell(np.eye(3) * length, numbers, coords), rng, 0.85)


def exchange(prototypes: list[Prototype], rng: np.random.Generator) -> Cell:
    """Return a prototype with other elements."""
    prototype = prototypes[rng.integers(len(prototypes))]
    symbols = draw_elements(prototype.kinds, prototype.counts, rng)
    return disturb(prototype.with_elements(symbols, rng.normal(0.98, 0.06)), rng, 0.6)


def package(prototypes: list[Prototype], rng: np.random.Generator) -> Cell:
    """Return a crystal of the package, changed, or with other elements."""
    if rng.random() < 0.6:
        return exchange(prototypes, rng)
    prototype = prototypes[rng.integers(len(prototypes))]
    numbers = np.array([NUMBERS[symbol] for symbol in prototype.symbols])
    cell = Cell(prototype.lattice * rng.normal(1, 0.03), numbers, prototype.coords)
    return disturb(cell, rng, 0.4)


def layered(rng: np.random.Generator) -> Cell:
    """Return a layered oxide AMO2 of 12 or 24 sites, with up to three atoms of A missing."""
    a, c, z = rng.normal(2.87, 0.06), rng.normal(14.2, 0.3), rng.normal(0.24, 0.006)
    alkali = rng.choice(["Li", "Na", "K"], p=[0.8, 0.15, 0.05])
    a, c = a + 0.03 * (alkali != "Li"), c + {"Li": 0, "Na": 1.8, "K": 3.6}[alkali]
    structure = Structure.from_spacegroup(
        "R-3m", Lattice.hexagonal(a, c), [alkali, "Co", "O"], [[0, 0, 0.5], [0, 0, 0], [0, 0, z]]
    )
    structure.make_supercell([int(rng.integers(1, 3)), 1, 1])
    symbols = np.array([site.specie.symbol for site in structure])
    metals = rng.choice(LAYERED_METALS, int(rng.integers(1, 4)), replace=False)
    symbols[symbols == "Co"] = rng.choice(metals, (symbols == "Co").sum())
    missing = rng.permutation(np.flatnonzero(symbols == alkali))[: rng.integers(0, 4)]
    kept = np.setdiff1d(np.arange(len(symbols)), missing)
    numbers = np.array([NUMBERS[symbol] for symbol in symbols[kept]])
    return disturb(Cell(structure.lattice.matrix, numbers, structure.frac_coords[kept]), rng, 0.3)


def carbon(
    prototypes: list[Prototype], structures: list[Structure], rng: np.random.Generator
) -> Cell:
    """Return a crystal of carbon: a prototype with carbon alone, or a changed structure."""
    if structures and rng.random() < 0.6:
        structure = structures[rng.integers(len(structures))]
        numbers, coords = np.array(structure.atomic_numbers), np.array(structure.frac_coords)
        lattice = structure.lattice.matrix @ strain(rng) * rng.normal(1, 0.03)
        shifts = rng.normal(0, rng.uniform(0.02, 0.12), coords.shape)
        return Cell(lattice, numbers, coords + shifts @ np.linalg.inv(lattice))
    prototype = prototypes[rng.integers(len(prototypes))]
    cell = prototype.with_elements(["C"] * len(prototype.kinds), rng.uniform(0.97, 1.15))
    return disturb(cell, rng, 0.3)


def is_possible(cell: Cell) -> bool:
    """Tell whether no atoms overlap, none is alone, and there is not too much room."""
    structure = Structure(cell.lattice, cell.numbers, cell.coords)
    first, second, _, distances = structure.get_neighbor_list(4.5)
    radii = RADII[cell.numbers]
    if structure.volume > MOST_ROOM * np.maximum(10, 5 * radii**3).sum():
        return False
    if len(set(first)) < len(structure) or len(distances) > 80 * len(structure):
        return False
    return bool((distances / (radii[first] + radii[second])).min() > CLOSEST)


def read_prototypes() -> list[Prototype]:
    """Return the AFLOW prototypes that pymatgen carries, without the large ones."""
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    found = (entry["snl"].structure for entry in AFLOW_PROTOTYPE_LIBRARY)
    return [Prototype(structure) for structure in found if len(structure) <= MAX_SITES]


def read_package() -> list[Prototype]:
    """Return the crystals of the package in their primitive cells, without the large ones."""
    structures = [Structure.from_file(path) for path in load_sample_regression().data]
    cells = [structure.get_primitive_structure() for structure in structures]
    return [Prototype(cell) for cell in cells if len(cell) <= MAX_SITES]


def read_table(path: Path | None) -> list[Structure]:
    """Return the structures of a table, without the large ones."""
    if path is None:
        return []
    csv.field_size_limit(10**9)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        cells = [Structure.from_str(row["cif"], fmt="cif") for row in csv.DictReader(file)]
    return [cell for cell in cells if len(cell) <= MAX_SITES]


def make(n: int, seed: int, makers: list[Callable[[Any], Cell]]) -> Iterable[tuple[int, Cell]]:
    """Yield families and crystals; each follows from the seed and its place alone."""
    families = np.random.default_rng(seed).choice(len(FAMILIES), n, p=SHARES)
    for place, family in enumerate(families):
        rng = np.random.default_rng([seed, place])
        cell = makers[family](rng)
        while not is_possible(cell):
            cell = makers[family](rng)
        yield int(family), cell


def main() -> None:
    """Make the crystals and write them to one file."""
    parser = argparse.ArgumentParser(description="Make crystals for a teacher to label.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--n", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="CSV.gz with a column cif, of carbon crystals")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    prototypes, own = read_prototypes(), read_package()
    structures = read_table(arguments.table)
    print(f"{len(prototypes)} prototypes, {len(own)} crystals of the package", flush=True)
    makers: list[Callable[[Any], Cell]] = [
        perovskite,
        lambda rng: exchange(prototypes, rng),
        lambda rng: package(own, rng),
        layered,
        lambda rng: carbon(prototypes + own, structures, rng),
    ]
    families, cells = [], []
    for family, cell in make(arguments.n, arguments.seed, makers):
        families.append(family)
        cells.append(cell)
        if len(cells) % 5000 == 0:
            print(f"{len(cells):,} of {arguments.n:,}", flush=True)
    np.savez_compressed(
        arguments.output,
        families=np.array(families, dtype=np.uint8),
        family_names=np.array(FAMILIES),
        offsets=np.cumsum([0, *(len(cell.numbers) for cell in cells)]),
        lattices=np.array([cell.lattice for cell in cells], dtype=np.float32),
        numbers=np.concatenate([cell.numbers for cell in cells]).astype(np.uint8),
        coords=np.concatenate([cell.coords for cell in cells]).astype(np.float32),
        seed=arguments.seed,
    )


if __name__ == "__main__":
    main()
