"""The symmetry operations that pymatgen takes for a crystal of a CIF, where it chooses them."""

import warnings
from typing import Any

import numpy as np

from skcgcnn.crystals._cif_symmetry import FloatArray

# Decimals of rotations and translations: 0.33333 and 1/3 are one.
_DECIMALS = 3


def taken_operations(data: dict[str, Any]) -> tuple[list[Any], bool]:
    """Return the operations that pymatgen takes, and whether it tells so; none where it fails."""
    from pymatgen.io.cif import CifBlock, CifParser

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            taken = CifParser.from_str("data_x").get_symops(CifBlock(data, [], ""))
    except Exception:  # noqa: BLE001 - whatever the text provokes: who reads it will say so
        return [], False
    if any("Defaulting to P1" in str(warning.message) for warning in caught):  # refused elsewhere
        return [], True
    return taken, bool(caught)


def taken_of_magnets(text: str, place: int) -> FloatArray:
    """Return the operations of a magnetic block, each once, without the reversal of time.

    They are those that are listed, with each centering, or those of the group that is named.
    None where pymatgen fails, or takes none; both are told elsewhere.
    """
    from pymatgen.io.cif import CifBlock, CifParser

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            parser = CifParser.from_str(text)
            block = CifBlock(list(parser.as_dict().values())[place], [], "")
            taken = [one.affine_matrix for one in parser.get_magsymops(block)]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - as above
        return np.empty((0, 4, 4))
    if any("No magnetic symmetry" in str(warning.message) for warning in caught):
        return np.empty((0, 4, 4))
    matrices = np.array(taken, dtype=np.float64)
    keys = np.round(matrices, _DECIMALS)
    keys[:, :3, 3] %= 1
    return matrices[np.unique(keys, axis=0, return_index=True)[1]]
