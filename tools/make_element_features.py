"""Write ``element_features.csv``: the built-in features of the elements 1 to 100.

Usage: ``python make_element_features.py [--output FILE]``. Needs ``pip install skcgcnn[elements]``.

Each of nine properties is one one-hot block (Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018),
supplemental material, table I). A row holds the slot of every block, counted from 0, and nothing
where the property is unknown: its block is then all zeros. Properties come from the `mendeleev`
package; what the original features take otherwise stands below, with the reason.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N_SLOTS = 10
LAST = 100

# The original features equal the conventions and atomic volumes of `mendeleev` up to 0.4. There the
# f-block is La to Yb and Ac to No, without a group (slot 0) and with the two outer s electrons as
# its valence electrons; Lu heads group 3 of the d-block.
F_BLOCK = {*range(57, 71), *range(89, 103)}
LUTETIUM = {"group": 3, "valence_electrons": 3 - 1, "block": "spdf".index("d")}

# A d-block element's valence electrons were those in ns and (n-1)d, n being the highest shell that
# holds any. In Pd, [Kr] 4d10, that is shell 4: 4s2 and 3d10 were counted.
PALLADIUM = {"valence_electrons": 12 - 1}

# Atomic volumes in cm³/mol. Today's are atomic weight over density, for gases that of the gas; the
# earlier ones were tabulated, for gases as liquid or solid, and missing for some radioactive
# elements. (Rn and Fr were missing as well; today's values lie beyond the last bin.)
ATOMIC_VOLUME: dict[int, float | None] = {
    1: 14.1,
    2: 31.8,
    7: 17.3,
    8: 14.0,
    9: 17.1,
    10: 16.8,
    17: 18.7,
    18: 24.2,
    35: 23.5,
    36: 32.2,
    54: 42.9,
    93: 21.1,
    **dict.fromkeys((61, 85, 94, 97, 98, 99, 100)),
}


def bin_slot(value: float | None, low: float, high: float) -> int | None:
    """Return which of ten equal bins a value falls into.

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
    if value is None or not low <= value < high:
        return None
    # Several elements sit on an edge (Mn, Cu, Ac, ...), where rounding decides: dividing by the
    # range gives the original's slot for each, comparing with `np.linspace` edges does not.
    return int((value - low) / (high - low) * N_SLOTS)


def slots(element: Any) -> dict[str, int | str | None]:
    """Return the row of one element of `mendeleev`."""
    z = element.atomic_number
    f_block = z in F_BLOCK
    volume = ATOMIC_VOLUME.get(z, element.atomic_volume)
    row = {
        "symbol": element.symbol,
        "group": 0 if f_block else element.group_id,
        "period": element.period - 1,
        "electronegativity": bin_slot(element.en_pauling, 0.5, 4.0),
        "covalent_radius": bin_slot(element.covalent_radius_pyykko, 25, 250),
        "valence_electrons": (2 if f_block else element.nvalence()) - 1,
        "ionization_energy": bin_slot(np.log(element.ionenergies[1]), 1.3, 3.3),
        "electron_affinity": bin_slot(element.electron_affinity, -3, 3.7),
        "block": "spdf".index("f" if f_block else element.block),
        "atomic_volume": bin_slot(volume and np.log(volume), 1.5, 4.3),
    }
    return row | {46: PALLADIUM, 71: LUTETIUM}.get(z, {})


def load_mendeleev() -> Callable[[int], Any]:
    """Return mendeleev's `element`, or say how to get it."""
    try:
        from mendeleev import element
    except ImportError as error:
        raise SystemExit("this script needs mendeleev: pip install skcgcnn[elements]") from error
    found: Callable[[int], Any] = element
    return found


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="Write the built-in element features.")
    default = Path(__file__).parents[1] / "skcgcnn" / "graphs" / "element_features.csv"
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
