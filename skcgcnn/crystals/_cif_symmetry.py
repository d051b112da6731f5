"""Symmetry operations of a CIF: applying them, and finding the images that coincide."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from skcgcnn._warnings import ignored_warnings
from skcgcnn.exceptions import StructureError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
# Rotations (n, 3, 3) and translations (n, 3).
Operations = tuple[FloatArray, FloatArray]

IDENTITY: Operations = np.eye(3)[np.newaxis], np.zeros((1, 3))

# pymatgen's tolerance in fractional coordinates: closer images are one site.
_SITE_TOLERANCE = 1e-4
# Up to this many images, comparing all pairs is faster than building a tree.
_FEW = 60
# Of more, pairs in one place are counted first: they may be the square of that.
_MANY = 5_000
_MOST_PAIRS = 3_000_000

# Sites of a list times operations. The first takes some seconds; pymatgen compares all with all,
# which takes a minute for the second.
MOST_IMAGES = 1_000_000
MOST_OF_PYMATGEN = 20_000

# Of the point groups, m-3m has most.
_MOST_TURNS = 48
# Of cells that are several of the crystal's, in each direction up to 6 and centered.
_MOST_SHIFTS = 1_000

# How far lengths and angles of a cell may be from the symmetry of its operations, relatively.
_METRIC_TOLERANCE = 0.05
# The same of cells that were written with three digits: 0.25 % of a length, 0.3° of an angle.
_EXACT_METRIC = 0.005
# Of translations that are one: 0.33333 and 1/3.
_DECIMALS = 3
# How far translations may differ: decimals such as .6667 are not exact.
_TRANSLATION_TOLERANCE = 0.01
# No list of operations shifts by so many cells: 12 was 1/2.
_SHIFT = 2

_TRIPLET = re.compile(r"[xyzXYZ0-9+\-/, ]+")


class UnsureError(Exception):
    """A CIF holds something that pymatgen should decide."""


def refuse_many(n_sites: int, n_operations: int, most: int) -> None:
    """Refuse a list of sites with more images than can be compared.

    Raises
    ------
    StructureError
    """
    if n_sites * n_operations > most:
        raise StructureError(
            f"lists {n_sites} sites and {n_operations} symmetry operations: too many to compare "
            "their images; check the list, or write all sites of one cell as a POSCAR"
        )


@lru_cache(maxsize=256)
def parse_triplets(triplets: tuple[str, ...]) -> Operations | None:
    """Return rotations (n, 3, 3) and translations (n, 3); None for the identity alone."""
    operations = []
    for value in triplets:
        triplet = gemmi.cif.as_string(value)
        # gemmi rounds decimals to 24ths.
        if not _TRIPLET.fullmatch(triplet):
            raise UnsureError
        operations.append(gemmi.Op(triplet))
    rotations, translations = _arrays(operations)
    if not np.isin(rotations, (-1, 0, 1)).all() or (abs(np.linalg.det(rotations)) < 0.5).any():
        raise UnsureError
    if len(operations) == 1 and operations[0] == gemmi.Op():
        return None
    if not is_group(rotations, translations):
        raise UnsureError
    return rotations, translations


def is_group(rotations: FloatArray, translations: FloatArray) -> bool:
    """Tell whether whatever two operations do one after the other is one of them too.

    That is so if the shifts, which are the operations that turn nothing, are a group; each turn
    has one operation and its sums with the shifts, and makes shifts of shifts; and so are the
    operations of two turns one after the other.

    Raises
    ------
    StructureError
        If there are more shifts than can be compared.
    """
    rotations, translations = _each_once(rotations, translations)
    turns, turn_of = np.unique(rotations, axis=0, return_inverse=True)
    counts = np.bincount(turn_of.ravel())
    names = {turn.tobytes(): place for place, turn in enumerate(turns)}
    one = names.get(np.eye(3).tobytes())
    if one is None or len(turns) > _MOST_TURNS or len(set(counts.tolist())) > 1:
        return False
    by_turn = [translations[turn_of.ravel() == place] for place in range(len(turns))]
    shifts = by_turn[one]
    if len(shifts) > _MOST_SHIFTS:
        raise StructureError(f"lists {len(shifts)} shifts as symmetry operations; check them")
    firsts = np.array([members[0] for members in by_turn])
    products = np.matmul(turns[:, np.newaxis], turns).reshape(-1, 3, 3) + 0.0
    product_of = [names.get(product.tobytes(), -1) for product in products]
    if min(product_of) < 0:
        return False
    one_after_other = firsts[:, np.newaxis] + np.einsum("kij,lj->kli", turns, firsts)
    differences = [
        *(members - members[0] for members in by_turn),
        *(shifts @ turn.T for turn in turns),
        *(shifts + shift for shift in shifts),
        one_after_other.reshape(-1, 3) - firsts[product_of],
    ]
    tree = cKDTree(_within_cell(shifts), boxsize=1.0)
    distances, _ = tree.query(_within_cell(np.vstack(differences)), p=np.inf)
    return bool(distances.max() <= _TRANSLATION_TOLERANCE)


def _each_once(rotations: FloatArray, translations: FloatArray) -> Operations:
    """Return operations without repetitions, and without negative zeros."""
    every = np.unique(np.hstack([rotations.reshape(-1, 9), translations]), axis=0) + 0.0
    return every[:, :9].reshape(-1, 3, 3), every[:, 9:]


def _within_cell(coords: FloatArray) -> FloatArray:
    """Return fractional coordinates from 0 to below 1, as cKDTree wants them."""
    inside = coords - np.floor(coords)
    return np.where(inside >= 1.0, 0.0, inside)


def fits_cell(rotations: FloatArray, lattice: FloatArray) -> bool:
    """Tell whether a cell, its vectors as rows, is the same after all rotations."""
    return _misfit(rotations, lattice) <= _METRIC_TOLERANCE


def strained(operations: Operations | None, lattice: FloatArray) -> tuple[str, ...]:
    """Return a remark if a cell has the symmetry of its operations roughly: a digit is another."""
    if operations is None or _misfit(operations[0], lattice) <= _EXACT_METRIC:
        return ()
    return (
        "its cell has the symmetry of its operations only roughly; check the lengths and angles",
    )


def _misfit(rotations: FloatArray, lattice: FloatArray) -> float:
    metric = lattice @ lattice.T
    lengths = np.sqrt(np.diag(metric))
    changed = np.swapaxes(rotations, 1, 2) @ metric @ rotations - metric
    return float(np.abs(changed / np.outer(lengths, lengths)).max())


@dataclass(frozen=True, eq=False)
class Group:
    """A space group: its rotations, how many operations it has, and its number."""

    rotations: FloatArray
    n_operations: int
    number: int


@lru_cache(maxsize=1024)
def find_group(name: str) -> Group | None:
    """Return the space group with a name or number in its usual setting; None if there is none."""
    try:
        group: Any = (
            gemmi.find_spacegroup_by_number(int(name) or -1)  # to gemmi, 0 is P 1
            if name.isdecimal()
            else gemmi.find_spacegroup_by_name(re.sub(r"[\s_]", "", name))
        )
    except (ValueError, RuntimeError, TypeError):  # the last of a number beyond those of C
        return None
    if group is None:
        return None
    operations = group.operations()
    rotations = np.array([op.rot for op in operations.sym_ops], dtype=np.float64) / gemmi.Op.DEN
    return Group(rotations, len(list(operations)), group.number)


def find_settings(name: str, is_hall: bool = False) -> list[frozenset[bytes]]:
    """Return the operations of each setting that a name of a space group may stand for.

    Without its origin or axes, a name may stand for several; what is not known, for none.
    """
    try:
        if is_hall:
            return [operation_keys(*_arrays(list(gemmi.symops_from_hall(name))))]
        # With the letter of the ICSD, gemmi knows no origin.
        name = re.sub(r"[\s_]", "", name)
        name = re.sub("S$", ":1", re.sub("Z$", ":2", name))
        group: Any = gemmi.find_spacegroup_by_name(name)
    except (ValueError, RuntimeError):
        return []
    if group is None:
        return []
    is_told = ":" in name or name[-1:] in "HR"
    same = [one for one in gemmi.spacegroup_table() if one.hm == group.hm and not is_told]
    return [operation_keys(*_arrays(list(one.operations()))) for one in same or [group]]


def operation_keys(rotations: FloatArray, translations: FloatArray) -> frozenset[bytes]:
    """Return what is the same for two lists of operations, whatever their order."""
    rows = np.hstack([rotations.reshape(-1, 9), np.rint(24 * translations) % 24])
    return frozenset(row.tobytes() for row in np.rint(rows).astype(np.int8))


def _arrays(operations: list[Any]) -> Operations:
    rotations = np.array([op.rot for op in operations], dtype=np.float64) / gemmi.Op.DEN
    return rotations, np.array([op.tran for op in operations], dtype=np.float64) / gemmi.Op.DEN


@lru_cache(maxsize=256)
def hall_beside_identity(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return a remark if a Hall symbol has more operations than the identity, which is listed."""
    for symbol in symbols:
        with suppress(ValueError, RuntimeError):  # what is none says nothing
            n_operations = len(list(gemmi.symops_from_hall(symbol.replace("_", " "))))
            if n_operations > 1:
                what = "lists 1 symmetry operation, but its Hall symbol"
                return (f"{what} {symbol!r} has {n_operations}; check them",)
    return ()


def other_group(names: tuple[str, ...], rotations: FloatArray, translations: FloatArray) -> str:
    """Return a remark if the operations of a crystal are not those of its group, or shift far.

    Its cell may be another one, and so may its axes and its origin. The first of its names that is
    known counts; that of an odd setting may not be.
    """
    known = ((name, find_group(name)) for name in names)
    name, group = next(((name, one) for name, one in known if one is not None), ("", None))
    if group is not None:
        remark = _other_number(name, name == names[0], group, rotations, translations)
        if remark:
            return remark
    farthest = np.abs(translations).max(initial=0.0)
    if farthest >= _SHIFT:
        shift = f"has a symmetry operation that shifts by {farthest:.6g} cells"
        return f"{shift}; check that no slash is missing, as in x+12 for x+1/2"
    if group is None or len(rotations) == 1:
        return ""
    number, symbol = _find_type(rotations, translations)
    if number in {0, group.number}:
        return ""
    listed = f"lists the symmetry operations of {symbol!r}, number {number}"
    return f"{listed}, but its space group is {name!r}, number {group.number}; check them"


def _find_type(rotations: FloatArray, translations: FloatArray) -> tuple[int, str]:
    """Return number and symbol of the group of operations in any cell; 0 if it is not found."""
    import spglib

    rotations, translations = _each_once(np.rint(rotations), translations)
    with ignored_warnings():  # that errors will be raised one day
        try:
            found = spglib.get_spacegroup_type_from_symmetry(
                rotations.astype(np.intc), translations, symprec=_TRANSLATION_TOLERANCE
            )
        except spglib.SpglibError:
            found = None
    return (0, "") if found is None else (found.number, found.international_short)


def _other_number(
    name: str,
    is_first: bool,
    group: Group,
    rotations: FloatArray,
    translations: FloatArray,
) -> str:
    """Return a remark if the operations of a crystal are not as many as its group has.

    Its cell may be another one: then those count that differ by more than a translation. So it is
    where the first of its names, perhaps that of an odd setting, is not known. What is listed
    twice counts once: ``x+12`` is ``x``, and a slash was lost.
    """
    kinds = {rotation.tobytes() for rotation in rotations + 0.0}
    shifts = np.round(translations, _DECIMALS) % 1
    n_operations = len(np.unique(np.hstack([rotations.reshape(-1, 9), shifts]), axis=0))
    if len(kinds) == len(group.rotations) and (
        n_operations == group.n_operations
        or not is_first
        or kinds != {rotation.tobytes() for rotation in group.rotations + 0.0}
    ):
        return ""
    listed = f"{n_operations}{' different' if n_operations < len(rotations) else ''}"
    return (
        f"lists {listed} symmetry operations, but its space group {name!r} has "
        f"{group.n_operations}; check that no site is missing"
    )


def expand(coords: FloatArray, operations: Operations | None) -> tuple[FloatArray, IntArray]:
    """Apply every operation to every atom listed; return the images, and the atom of each."""
    refuse_many(len(coords), len((operations or IDENTITY)[0]), MOST_IMAGES)
    records = np.arange(len(coords))
    if operations is not None:
        rotations, translations = operations
        coords = (np.einsum("oij,sj->soi", rotations, coords) + translations).reshape(-1, 3)
        records = np.repeat(records, len(rotations))
    return coords - np.floor(coords), records


def distinct(images: FloatArray, records: IntArray) -> tuple[IntArray, list[tuple[int, int]]]:
    """Find images that coincide.

    Returns
    -------
    kept : ndarray of int
        The first image at each place.
    merged : list of (int, int)
        Atoms at the place of an earlier one, and that one.
    """
    everywhere = np.arange(len(images))
    pairs = _close_pairs(images)
    if not len(pairs):
        return everywhere, []
    difference = np.abs(images[pairs[:, 0]] - images[pairs[:, 1]])
    difference = np.minimum(difference, 1 - difference)
    if difference.max() > _SITE_TOLERANCE / 2:
        raise UnsureError
    first = everywhere.copy()
    np.minimum.at(first, pairs[:, 1], pairs[:, 0])
    counts = np.bincount(first)
    if (counts * (counts - 1)).sum() != 2 * len(pairs):
        raise UnsureError  # a chain: its ends do not coincide
    places = first.reshape(records[-1] + 1, -1)
    owners = records[places]
    merged = []
    for record in np.flatnonzero(owners[:, 0] != np.arange(len(owners))).tolist():
        target = int(owners[record, 0])
        if set(places[record].tolist()) != set(places[target].tolist()):
            raise UnsureError  # only some images of one atom lie upon those of the other
        merged.append((record, target))
    if (owners != owners[:, :1]).any():
        raise UnsureError
    return np.flatnonzero(first == everywhere), merged


def site_orders(coords: FloatArray, operations: Operations) -> IntArray:
    """Return how many operations leave each site where it is."""
    rotations, translations = operations
    moves = np.einsum("oij,sj->soi", rotations, coords) + translations - coords[:, np.newaxis]
    moves -= np.rint(moves)
    return np.asarray((np.abs(moves) <= _SITE_TOLERANCE).all(axis=2).sum(axis=1))


def _close_pairs(images: FloatArray) -> IntArray:
    """Return pairs (i, j), i < j, of images within twice the tolerance of each other."""
    reach = 2 * _SITE_TOLERANCE
    if len(images) <= _FEW:
        difference = images[:, np.newaxis] - images
        difference -= np.rint(difference)
        close = (np.abs(difference) <= reach).all(axis=2)
        if np.count_nonzero(close) == len(images):
            return np.empty((0, 2), dtype=np.int64)
        return np.argwhere(np.triu(close, 1))
    if len(images) > _MANY:
        cubes = np.unique((images / reach).astype(np.int64), axis=0, return_counts=True)
        if (cubes[1] ** 2).sum() > _MOST_PAIRS:
            raise UnsureError
    tree = cKDTree(_within_cell(images), boxsize=1.0)
    return np.asarray(tree.query_pairs(reach, p=np.inf, output_type="ndarray"))
