"""Read a file with ASE, and tell what it leaves out, or mistakes."""

from collections.abc import Callable
from typing import Any

from skcgcnn.crystals._ase_files import (
    check_counts_of_xyz,
    check_gen,
    check_terms,
    check_xyz,
    last_of_trajectory,
    numbers_of_frames,
    numbers_of_gen,
    why_unread,
)
from skcgcnn.crystals._ase_inputs import cut_cell, read_geometry, read_pwi, tells_fractions
from skcgcnn.crystals._ase_outputs import check_run, check_steps, volume_of_run
from skcgcnn.crystals._carriers import to_structure
from skcgcnn.crystals._cif_claims import far_sites, other_volume
from skcgcnn.crystals._left_out import cut_number, refuse_underscores
from skcgcnn.crystals._packed import cannot_be_read, is_passing, read_text
from skcgcnn.exceptions import StructureError

_AIMS = "geometry.in"
# With a cell; the others are those that pymatgen does not read.
OF_ASE = (".traj", ".xyz", ".extxyz", ".gen", ".pwi", ".pwo", _AIMS)
_BINARY, _XYZ = ("traj",), ("xyz", "extxyz")
# Before ASE reads it, which may take too long.
_BOUNDED: dict[str, Callable[[str], None]] = {
    **dict.fromkeys(_XYZ, check_counts_of_xyz),
    "pwi": check_terms,
    "pwo": check_steps,
}
_TOLD = {"pwo": check_run, "pwi": cut_cell, "gen": numbers_of_gen}
_CHECKED = {"xyz": check_xyz, "extxyz": check_xyz, "gen": check_gen}
# Read from their text, which is not given to ASE as it is.
_INPUTS = {"in": read_geometry, "pwi": read_pwi}


def read_with_ase(path: str, max_bytes: int) -> tuple[Any, list[str]]:
    """Return the last crystal of a file as a Structure of pymatgen, with remarks.

    Raises
    ------
    StructureError
        If it cannot be read, or not be told what counts.
    """
    ending = path.lower().rpartition(".")[2]
    text = "" if ending in _BINARY else read_text(path, max_bytes)
    if ending != "pwo":  # what is read of an output was written by a program
        refuse_underscores(numbers_of_frames(text) if ending in _XYZ else text.splitlines())
    if ending in _BOUNDED:
        _BOUNDED[ending](text)
    told = _TOLD[ending](text) if ending in _TOLD else ()
    frames = _frames(path, ending, text)
    if not frames:
        raise StructureError("holds no crystal")
    if ending in _CHECKED:
        _CHECKED[ending](text, [len(frame) for frame in frames])
    structure, remarks = to_structure(frames[-1])
    several = ["holds several crystals; the last is taken"] if len(frames) > 1 else []
    far = far_sites(structure.frac_coords) if tells_fractions(text, ending) else ()
    if ending == "pwo":
        cell = structure.lattice.matrix
        told = (*told, *other_volume(volume_of_run(text), cell, "unit-cell volume, in Å³,"))
    return structure, [*remarks, *several, *told, *far, *cut_number(text)]


def _frames(path: str, ending: str, text: str) -> list[Any]:
    try:
        from ase.io import read
    except ImportError as error:
        raise StructureError(
            "is read by ASE, which is not there: pip install skcgcnn[ase]"
        ) from error
    try:
        if ending in _INPUTS:
            return [_INPUTS[ending](text)]
        return last_of_trajectory(path) if ending in _BINARY else list(read(path, ":"))
    except (MemoryError, StructureError):  # the first says nothing of the file
        raise
    except Exception as error:  # ASE's parsers raise whatever the text provokes
        if is_passing(error):
            raise cannot_be_read(error) from error
        raise StructureError(why_unread(error, ending)) from error
