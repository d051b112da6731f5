"""Write ``element_features.csv``: the built-in features of the elements 1 to 100.

Usage: ``python make_element_features.py [--output FILE]``. Needs ``pip install skcgcnn[elements]``.

Each of nine properties is one one-hot block (Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018),
supplemental material, table I). A row holds the slot of every block, counted from 0, and nothing
where the property is unknown: its block is then all zeros. Properties come from the `mendeleev`
package; what the original features take otherwise stands below, with the reason.
"""

import argparse
import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N_SLOTS = 10
LAST = 100

# The original counts lanthanum to ytterbium and actinium to nobelium as the f-block, so that
# lutetium heads group 3; `mendeleev` has La and Ac in group 3. Of the f-block's electrons only the
# two outer s electrons are counted as valence electrons, and it has no group (slot 0).
F_BLOCK = {*range(57, 71), *range(89, 103)}
LUTETIUM = 71

# Palladium: the original counts 4d10 and 5s2, though the atom's ground state is 4d10 5s0.
VALENCE_ELECTRONS = {46: 12}

# Atomic volumes in cm³/mol. `mendeleev` has the gas where the element is one; the original has the
# liquid at its boiling point. It has other values for bromine and neptunium, and none for elements
# whose density was not known well.
GASES = {1: 14.1, 2: 31.8, 7: 17.3, 8: 14.0, 9: 17.1, 10: 16.8, 17: 18.7, 18: 24.2, 36: 32.2}
ATOMIC_VOLUME: dict[int, float | None] = {
    **GASES,
    54: 42.9,
    35: 23.5,
    93: 21.1,
    **dict.fromkeys((61, 85, 86, 87, 94, 97, 98, 99, 100)),
}

# Actinium's 0.35 eV lies on the edge between two slots; the original has it above.
ELECTRON_AFFINITY = {89: 0.36}


def bin_slot(value: float | None, low: float, high: float) -> int | None:
    """Return which of ten equal bins, closed on the right, a value falls into.

    Parameters
    ----------
    value : float or None
        The property, None where it is unknown.
    low, high : float
        Ends of the range; a value outside has no slot.

    Returns
    -------
    int or None
    """
    if value is None or not low <= value <= high:
        return None
    # As computed, an edge may lie a rounding error beside its value, and several elements sit on
    # edges (Mn and Xe above, Si and Cu below): the original's slots come of these very edges.
    edges = np.linspace(low, high, N_SLOTS + 1)
    return max(0, int(np.searchsorted(edges, value, side="left")) - 1)


def slots(element: Any) -> dict[str, int | str | None]:
    """Return the row of one element of `mendeleev`."""
    z = element.atomic_number
    f_block = z in F_BLOCK
    volume = ATOMIC_VOLUME.get(z, element.atomic_volume)
    valence = 2 if f_block else 3 if z == LUTETIUM else element.nvalence()
    block = "f" if f_block else "d" if z == LUTETIUM else element.block
    group = 0 if f_block else 3 if z == LUTETIUM else element.group_id
    return {
        "symbol": element.symbol,
        "group": group,
        "period": element.period - 1,
        "electronegativity": bin_slot(element.en_pauling, 0.5, 4.0),
        "covalent_radius": bin_slot(element.covalent_radius_pyykko, 25, 250),
        "valence_electrons": VALENCE_ELECTRONS.get(z, valence) - 1,
        "ionization_energy": bin_slot(math.log(element.ionenergies[1]), 1.3, 3.3),
        "electron_affinity": bin_slot(ELECTRON_AFFINITY.get(z, element.electron_affinity), -3, 3.7),
        "block": "spdf".index(block),
        "atomic_volume": bin_slot(volume and math.log(volume), 1.5, 4.3),
    }


def load_mendeleev() -> Callable[[int], Any]:
    """Return mendeleev's `element`, or say how to get it."""
    try:
        from mendeleev import element  # noqa: PLC0415 - an extra, needed by this script alone
    except ImportError as error:
        raise SystemExit("this script needs mendeleev: pip install skcgcnn[elements]") from error
    return element


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Write the built-in element features.")
    default = Path(__file__).with_name("element_features.csv")
    parser.add_argument("--output", type=Path, default=default)
    output = parser.parse_args().output
    element = load_mendeleev()
    rows = [slots(element(z)) for z in range(1, LAST + 1)]
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} elements in {output}")


if __name__ == "__main__":
    main()
