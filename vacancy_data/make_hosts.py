"""Write the CIFs of the pristine hosts, ``<host>_LiVac0.cif``, from ``hosts.csv``.

The table holds what is published of a layered oxide LiMO2 (space group R-3m, hexagonal axes, Li on
3b, M on 3a, O on 6c): the shares of the metals on M, the lattice constants and the height z of
oxygen. Running the script again gives the same bytes.
"""

import argparse
import csv
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

FOLDER = Path(__file__).parent


def read_hosts(path: Path = FOLDER / "hosts.csv") -> dict[str, dict[str, Any]]:
    """Read the table of the hosts.

    Parameters
    ----------
    path : path
        The table.

    Returns
    -------
    dict of str to dict
        By the name of the host: ``metals`` (element to `Fraction` of the M site), ``a`` and
        ``c`` in Å, ``z``, and ``formula`` and ``reference`` as in the table.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        row["host"]: {
            **row,
            "metals": _metals(row["formula"]),
            **{name: float(row[name]) for name in ("a", "c", "z")},
        }
        for row in rows
    }


def _metals(formula: str) -> dict[str, Fraction]:
    middle = formula.removeprefix("Li").removesuffix("O2")
    return {
        symbol: Fraction(share or 1)
        for symbol, share in re.findall(r"([A-Z][a-z]?)([\d./]*)", middle)
    }


def make_host(host: dict[str, Any]) -> Structure:
    """Build the conventional cell of a host, with partial occupancies.

    Parameters
    ----------
    host : dict
        A row of `read_hosts`.

    Returns
    -------
    Structure
        Three formula units.
    """
    metals = {symbol: float(share) for symbol, share in host["metals"].items()}
    return Structure.from_spacegroup(
        "R-3m",
        Lattice.hexagonal(host["a"], host["c"]),
        ["Li", metals, "O"],
        [[0, 0, 0.5], [0, 0, 0], [0, 0, host["z"]]],
    )


def main() -> None:
    """Write the CIFs."""
    parser = argparse.ArgumentParser(description="Write the CIFs of the pristine hosts.")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the CIFs")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for name, host in read_hosts().items():
        cif = CifWriter(make_host(host), symprec=1e-3, refine_struct=False)
        cif.write_file(output / f"{name}_LiVac0.cif")


if __name__ == "__main__":
    main()
