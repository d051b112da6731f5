"""The symmetry operations that pymatgen takes for a crystal of a CIF, listed or not."""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np

from skcgcnn._warnings import ignored_warnings
from skcgcnn.crystals._cif_symmetry import FloatArray
from skcgcnn.crystals._cif_tags import GROUPS, HALL
from skcgcnn.exceptions import StructureError

# Decimals of rotations and translations: 0.33333 and 1/3 are one.
_DECIMALS = 3
_OPERATION_OF_MAGNETS = "_space_group_symop_magn_operation.xyz"
# Of a symmetry operation. For longer parts, pymatgen takes far longer, as the cube of their length.
_LONGEST_PART = 40
_MOST_GROUPS = 256
_BLANKS = re.compile(r"[\s_]")
_OTHER_LETTERS = re.compile("[^xyzXYZ0-9+*/.,\\s-]")
# A letter, or a number.
_TERM = r"(1?[xyz]|(\d+(\.\d*)?|\.\d+)(/\d+\.?)?)"
_PART = re.compile(rf"[+-]?{_TERM}([+-]{_TERM})*")


def taken_operations(data: dict[str, Any]) -> tuple[list[Any], bool]:
    """Return the operations that pymatgen takes, and whether it tells so; none where it fails."""
    from pymatgen.io.cif import CifBlock, CifParser

    for name in (data.get(tag) for tag in (*GROUPS, *HALL)):
        if isinstance(name, str):
            _hold_group(name)
    try:
        with ignored_warnings():
            parser = CifParser.from_str("data_x")
            taken = parser.get_symops(CifBlock(data, [], ""))
    except Exception:  # noqa: BLE001 - whatever the text provokes: who reads it will say so
        return [], False
    if any("Defaulting to P1" in message for message in parser.warnings):  # refused elsewhere
        return [], True
    return taken, bool(parser.warnings)


@lru_cache(maxsize=_MOST_GROUPS)
def _hold_group(name: str) -> Any:
    """Hold a space group, which takes pymatgen up to a second to make, and is gone once unused."""
    from pymatgen.symmetry.groups import SpaceGroup

    known = {_BLANKS.sub("", one): one for one in SpaceGroup.sg_encoding}
    with suppress(ValueError):
        if symbol := known.get(_BLANKS.sub("", name)):
            return SpaceGroup(symbol)
        return SpaceGroup.from_int_number(int(name))
    return None


def taken_of_magnets(text: str, place: int) -> FloatArray:
    """Return the operations of a magnetic block, each once, without the reversal of time.

    They are those that are listed, with each centering, or those of the group that is named.
    None where pymatgen fails, or takes none; both are told elsewhere.
    """
    from pymatgen.io.cif import CifBlock, CifParser

    try:
        with ignored_warnings():
            parser = CifParser.from_str(text)
            block = CifBlock(list(parser.as_dict().values())[place], [], "")
            taken = [one.affine_matrix for one in parser.get_magsymops(block)]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - as above
        return np.empty((0, 4, 4))
    if any("No magnetic symmetry" in message for message in parser.warnings):
        return np.empty((0, 4, 4))
    matrices = np.array(taken, dtype=np.float64)
    keys = np.round(matrices, _DECIMALS)
    keys[:, :3, 3] %= 1
    return matrices[np.unique(keys, axis=0, return_index=True)[1]]


def check_centerings(operations: FloatArray, centerings: FloatArray) -> None:
    """Refuse centerings of a magnetic group that pymatgen takes without their turns, or not at all.

    Raises
    ------
    StructureError
    """
    if (centerings[:, :3, :3] != np.eye(3)).any():
        raise StructureError(
            "a centering of its magnetic group turns the crystal, which is not read; list it as an "
            f"operation ({_OPERATION_OF_MAGNETS})"
        )
    if len(centerings) and not len(operations) and (centerings != np.eye(4)).any():
        raise StructureError(
            "lists centerings of its magnetic group, but no operations, beside which they would be "
            f"read; list them ({_OPERATION_OF_MAGNETS})"
        )


def check_letters(tag: str, cell: str) -> None:
    """Refuse what is not ASCII, of which ~ stands for each letter."""
    if "~" in cell:
        raise StructureError(
            f"{tag} holds {cell!r}, where ~ is a character that is not ASCII; write "
            "it with ASCII letters, digits and signs"
        )


def read_operation(operation: str) -> FloatArray:
    """Return the matrix of a symmetry operation, as pymatgen reads it; refuse what is none."""
    from pymatgen.core.operations import SymmOp

    check_letters("a symmetry operation", operation)
    what = f"a symmetry operation is {operation!r}"
    if operation.count(",") != 2:
        raise StructureError(f"{what}; write three parts with commas between them, in quotes")
    if _OTHER_LETTERS.search(operation):
        raise StructureError(f"{what}; write it in x, y and z")
    if not all(map(_is_plain, re.sub(r"\s", "", operation).lower().split(","))):
        raise StructureError(f"{what}, which is not understood; write it as -x,y+1/2,z-x")
    try:
        matrix = np.array(SymmOp.from_xyz_str(operation).affine_matrix, dtype=np.float64)
    except ArithmeticError as error:
        raise StructureError(f"{what}; there is no such number") from error
    # It would map the crystal to a plane or a point.
    if round(abs(np.linalg.det(matrix)), 6) != 1:
        raise StructureError(f"{what}, which no crystal has")
    return matrix


def _is_plain(part: str) -> bool:
    """Tell whether a part of an operation has each letter once, and one number at most."""
    if len(part) > _LONGEST_PART:
        return False
    terms = [term for term in re.split("[+-]", part) if term]
    kinds = [term[-1] if term[-1] in "xyz" else "number" for term in terms]
    # Of two numbers, pymatgen takes the last; what is multiplied, it leaves out.
    return _PART.fullmatch(part) is not None and len(set(kinds)) == len(kinds)
