"""Write one CIF per row of ``crystals.csv``.

The table holds what a textbook prints: a prototype, which element sits on which of its sites, the
lattice constants and the free coordinates. The prototypes below add the space group and the
Wyckoff positions. Running the script again gives the same bytes.
"""

import argparse
import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from pymatgen.core import Composition, Lattice, Structure, SymmOp
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.groups import SpaceGroup

FOLDER = Path(__file__).parents[1] / "skcgcnn" / "datasets" / "sample"

# Space group (":2" is origin choice 2), then sites: the letter counts the species of a row, the
# number after it the sites of that species. Rhombohedral crystals are on hexagonal axes.
PROTOTYPES: dict[str, tuple[str, dict[str, str]]] = {
    "a15": ("Pm-3n", {"A": "0,0,0", "B": "1/4,0,1/2"}),
    "alb2": ("P6/mmm", {"A": "0,0,0", "B": "1/3,2/3,1/2"}),
    "alpha_boron": ("R-3m", {"A1": "x,2x,z", "A2": "x,2x,z"}),
    "alpha_manganese": ("I-43m", {"A1": "0,0,0", "A2": "x,x,x", "A3": "x,x,z", "A4": "x,x,z"}),
    "alpha_nitrogen": ("Pa-3", {"A": "x,x,x"}),
    "alpha_sulfur": ("Fddd:2", {"A1": "x,y,z", "A2": "x,y,z", "A3": "x,y,z", "A4": "x,y,z"}),
    "anatase": ("I4_1/amd", {"A": "0,0,0", "B": "0,0,z"}),
    "arsenic": ("R-3m", {"A": "0,0,z"}),
    "bcc": ("Im-3m", {"A": "0,0,0"}),
    "beta_oxygen": ("R-3m", {"A": "0,0,z"}),
    "beta_si3n4": ("P6_3/m", {"A": "x,y,1/4", "B1": "1/3,2/3,1/4", "B2": "x,y,1/4"}),
    "black_phosphorus": ("Cmce", {"A": "0,y,z"}),
    "c16": ("I4/mcm", {"A": "0,0,1/4", "B": "x,x+1/2,0"}),
    "cab6": ("Pm-3m", {"A": "0,0,0", "B": "x,1/2,1/2"}),
    "cacu5": ("P6/mmm", {"A": "0,0,0", "B1": "1/3,2/3,0", "B2": "1/2,0,1/2"}),
    "calcite": ("R-3c", {"A": "0,0,0", "B": "0,0,1/4", "C": "x,0,1/4"}),
    "cdcl2": ("R-3m", {"A": "0,0,0", "B": "0,0,z"}),
    "cdi2": ("P-3m1", {"A": "0,0,0", "B": "1/3,2/3,z"}),
    "cementite": ("Pnma", {"A1": "x,y,z", "A2": "x,1/4,z", "B": "x,1/4,z"}),
    "chalcopyrite": ("I-42d", {"A": "0,0,0", "B": "0,0,1/2", "C": "x,1/4,1/8"}),
    "corundum": ("R-3c", {"A": "0,0,z", "B": "x,0,1/4"}),
    "covellite": (
        "P6_3/mmc",
        {"A1": "1/3,2/3,3/4", "A2": "1/3,2/3,z", "B1": "1/3,2/3,1/4", "B2": "0,0,z"},
    ),
    "cscl": ("Pm-3m", {"A": "0,0,0", "B": "1/2,1/2,1/2"}),
    "cuprite": ("Pn-3m", {"A": "0,0,0", "B": "1/4,1/4,1/4"}),
    "d019": ("P6_3/mmc", {"A": "1/3,2/3,1/4", "B": "x,2x,1/4"}),
    "d022": ("I4/mmm", {"A": "0,0,0", "B1": "0,0,1/2", "B2": "0,1/2,1/4"}),
    "delafossite": ("R-3m", {"A": "0,0,0", "B": "0,0,1/2", "C": "0,0,z"}),
    "dhcp": ("P6_3/mmc", {"A1": "0,0,0", "A2": "1/3,2/3,1/4"}),
    "diamond": ("Fd-3m", {"A": "0,0,0"}),
    "fcc": ("Fm-3m", {"A": "0,0,0"}),
    "fesi": ("P2_13", {"A": "x,x,x", "B": "x,x,x"}),
    "fluorite": ("Fm-3m", {"A": "0,0,0", "B": "1/4,1/4,1/4"}),
    "gallium": ("Cmce", {"A": "0,y,z"}),
    "graphite": ("P6_3/mmc", {"A1": "0,0,1/4", "A2": "1/3,2/3,1/4"}),
    "half_heusler": ("F-43m", {"A": "0,0,0", "B": "1/2,1/2,1/2", "C": "1/4,1/4,1/4"}),
    "hcp": ("P6_3/mmc", {"A": "1/3,2/3,1/4"}),
    "heusler": ("Fm-3m", {"A": "0,0,0", "B": "1/2,1/2,1/2", "C": "1/4,1/4,1/4"}),
    "hexagonal_bn": ("P6_3/mmc", {"A": "1/3,2/3,1/4", "B": "1/3,2/3,3/4"}),
    "indium": ("I4/mmm", {"A": "0,0,0"}),
    "iodine": ("Cmce", {"A": "0,y,z"}),
    "k2nif4": ("I4/mmm", {"A": "0,0,z", "B": "0,0,0", "C1": "0,1/2,0", "C2": "0,0,z"}),
    "k2ptcl6": ("Fm-3m", {"A": "1/4,1/4,1/4", "B": "0,0,0", "C": "x,0,0"}),
    "l10": ("P4/mmm", {"A": "0,0,0", "B": "1/2,1/2,1/2"}),
    "l12": ("Pm-3m", {"A": "0,0,0", "B": "0,1/2,1/2"}),
    "laves_c14": ("P6_3/mmc", {"A": "1/3,2/3,z", "B1": "0,0,0", "B2": "x,2x,1/4"}),
    "laves_c15": ("Fd-3m:2", {"A": "1/8,1/8,1/8", "B": "1/2,1/2,1/2"}),
    "licoo2": ("R-3m", {"A": "0,0,1/2", "B": "0,0,0", "C": "0,0,z"}),
    "litharge": ("P4/nmm", {"A": "0,1/2,z", "B": "0,0,0"}),
    "molybdenite": ("P6_3/mmc", {"A": "1/3,2/3,1/4", "B": "1/3,2/3,z"}),
    "mosi2": ("I4/mmm", {"A": "0,0,0", "B": "0,0,z"}),
    "natl": ("Fd-3m", {"A": "0,0,0", "B": "1/2,1/2,1/2"}),
    "nickel_arsenide": ("P6_3/mmc", {"A": "0,0,0", "B": "1/3,2/3,1/4"}),
    "niobium_diselenide": ("P6_3/mmc", {"A": "0,0,1/4", "B": "1/3,2/3,z"}),
    "pds_cooperite": ("P4_2/mmc", {"A": "0,1/2,0", "B": "0,0,1/4"}),
    "perovskite": ("Pm-3m", {"A": "0,0,0", "B": "1/2,1/2,1/2", "C": "1/2,1/2,0"}),
    "pyrite": ("Pa-3", {"A": "0,0,0", "B": "x,x,x"}),
    "quartz": ("P3_221", {"A": "x,0,2/3", "B": "x,y,z"}),
    "rhenium_trioxide": ("Pm-3m", {"A": "0,0,0", "B": "1/2,0,0"}),
    "rocksalt": ("Fm-3m", {"A": "0,0,0", "B": "1/2,1/2,1/2"}),
    "rutile": ("P4_2/mnm", {"A": "0,0,0", "B": "x,x,0"}),
    "scheelite": ("I4_1/a", {"A": "0,0,1/2", "B": "0,0,0", "C": "x,y,z"}),
    "selenium": ("P3_121", {"A": "x,0,1/3"}),
    "sns": ("Pnma", {"A": "x,1/4,z", "B": "x,1/4,z"}),
    "spinel": ("Fd-3m:2", {"A": "1/8,1/8,1/8", "B": "1/2,1/2,1/2", "C": "x,x,x"}),
    "tetradymite": ("R-3m", {"A": "0,0,z", "B1": "0,0,0", "B2": "0,0,z"}),
    "thcr2si2": ("I4/mmm", {"A": "0,0,0", "B": "0,1/2,1/4", "C": "0,0,z"}),
    "tungsten_carbide": ("P-6m2", {"A": "0,0,0", "B": "1/3,2/3,1/2"}),
    "white_tin": ("I4_1/amd", {"A": "0,0,0"}),
    "wurtzite": ("P6_3mc", {"A": "1/3,2/3,0", "B": "1/3,2/3,z"}),
    "zincblende": ("F-43m", {"A": "0,0,0", "B": "1/4,1/4,1/4"}),
}


def read_crystals(file: Path = FOLDER / "crystals.csv") -> Iterator[dict[str, str]]:
    """Read the rows of the table.

    Parameters
    ----------
    file : path
        The table.

    Yields
    ------
    dict of str to str
        A row by its column names.
    """
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def make_structure(row: dict[str, str]) -> Structure:
    """Build the conventional cell of a row.

    Parameters
    ----------
    row : dict of str to str
        A row of the table.

    Returns
    -------
    Structure
        The crystal.

    Raises
    ------
    ValueError
        If the sites do not add up to the formula of the row.
    """
    symbol, sites = PROTOTYPES[row["prototype"]]
    elements = row["species"].split()
    free = {site: [0.0, 0.0, 0.0] for site in sites}
    for item in row["parameters"].split():
        name, value = item.split("=")
        site, axis = name.split(".")
        free[site]["xyz".index(axis)] = float(value)
    species, coords = [], []
    for site, xyz in sites.items():
        orbit = _space_group(symbol).get_orbit(SymmOp.from_xyz_str(xyz).operate(free[site]))
        species += [elements["ABC".index(site[0])]] * len(orbit)
        coords += orbit
    structure = Structure(_lattice(_space_group(symbol), row), species, coords)
    if structure.composition.reduced_composition != Composition(row["formula"]).reduced_composition:
        raise ValueError(f"{row['cif_id']} has come out as {structure.composition}")
    return structure


@cache
def _space_group(symbol: str) -> SpaceGroup:
    return SpaceGroup(symbol)  # its operations take a second to generate


def _lattice(space_group: SpaceGroup, row: dict[str, str]) -> Lattice:
    a = float(row["a"])
    match space_group.crystal_system:
        case "cubic":
            return Lattice.cubic(a)
        case "orthorhombic":
            return Lattice.orthorhombic(a, float(row["b"]), float(row["c"]))
        case "tetragonal":
            return Lattice.tetragonal(a, float(row["c"]))
        case _:
            return Lattice.hexagonal(a, float(row["c"]))


def _shift_thirds(structure: Structure) -> Structure:
    # pymatgen warns of each 1/3 and 2/3 that it reads; -2/3 and -1/3 are the same places
    coords = structure.frac_coords
    is_third = np.isclose(abs(coords - 0.5), 1 / 6, atol=1e-4)
    return Structure(structure.lattice, structure.species, coords - is_third)


def main() -> None:
    """Write the CIFs."""
    parser = argparse.ArgumentParser(description="Write one CIF per row of crystals.csv.")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the CIFs")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for row in read_crystals():
        cif = CifWriter(_shift_thirds(make_structure(row)), symprec=1e-3, refine_struct=False)
        cif.write_file(output / f"{row['cif_id']}.cif")


if __name__ == "__main__":
    main()
