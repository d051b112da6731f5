"""Neighbors in large and crowded cells: a tree, whose time grows with the number of sites alone."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

# From this many sites on, a tree is faster than boxes.
LARGE = 5_000
# Neighbors that are looked for at first, and the most that are kept: sites with more within the
# radius are crowded, and have their nearest ones alone.
_AT_FIRST, MOST_PAIRS = 64, 256
# Sites that are looked at together.
_SITES_AT_ONCE = 100_000
# Over more cells than these, sites are moved into one: there are fewer images to look at.
CELLS = 2
# A site nearer to itself than this, in Å, is itself, not its periodic image.
_ITSELF = 1e-8

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Found = tuple[IntArray, IntArray, FloatArray, FloatArray]


def search_tree(lattice: FloatArray, coords: FloatArray, centers: IntArray, radius: float) -> Found:
    """Find the neighbors of some sites within a radius.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3)
        Lattice vectors as rows, in Å.
    coords : ndarray of shape (n_sites, 3)
        Cartesian coordinates in Å.
    centers : ndarray of int of shape (n_centers,)
        The sites whose neighbors are wanted.
    radius : float
        In Å.

    Returns
    -------
    center, neighbor : ndarray of int of shape (n_pairs,)
    distance : ndarray of shape (n_pairs,)
        In Å.
    cutoff : ndarray of shape (n_centers,)
        Up to where the neighbors of each center are complete: the radius, or less where there are
        more than 256 within it.
    """
    points, owners = _with_images(lattice, coords, radius)
    tree, own = cKDTree(points), points[centers]
    cutoff = np.full(len(centers), radius)
    parts = []
    for start in range(0, len(centers), _SITES_AT_ONCE):
        rows = np.arange(start, min(start + _SITES_AT_ONCE, len(centers)))
        for found_rows, distance, index in _nearest(tree, own, rows, radius):
            full = np.isfinite(distance[:, -1])
            cutoff[found_rows[full]] = distance[full, -1]
            # Beyond the radius stands no point. A site finds itself too.
            kept = np.isfinite(distance)
            owner = owners[np.where(kept, index, 0)]
            kept &= (owner != centers[found_rows][:, np.newaxis]) | (distance > _ITSELF)
            center = np.broadcast_to(centers[found_rows][:, np.newaxis], kept.shape)
            parts.append((center[kept], owner[kept], distance[kept]))
    center, neighbor, distance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return center, neighbor, distance, cutoff


def _nearest(
    tree: cKDTree, coords: FloatArray, rows: IntArray, radius: float
) -> Iterator[tuple[IntArray, FloatArray, IntArray]]:
    """Yield rows with distances and indices of their points; crowded ones with more of them."""
    for count in (_AT_FIRST, MOST_PAIRS):
        distance, index = tree.query(
            coords[rows], k=count, distance_upper_bound=np.nextafter(radius, np.inf)
        )
        full = np.isfinite(distance[:, -1])
        if count == MOST_PAIRS:
            full[:] = False
        if not full.all():
            yield rows[~full], distance[~full], index[~full]
        rows = rows[full]
        if not len(rows):
            return


def crowding(lattice: FloatArray, coords: FloatArray, radius: float) -> float:
    """Return how many times the average the fullest box of a cell holds, each a radius thick."""
    inverse = np.linalg.inv(lattice)
    boxes = np.maximum(1, 1 / (max(radius, 1.0) * np.linalg.norm(inverse, axis=0))).astype(np.int64)
    places = np.minimum((coords @ inverse % 1) * boxes, boxes - 1).astype(np.int64)
    _, counts = np.unique(np.ravel_multi_index(tuple(places.T), tuple(boxes)), return_counts=True)
    return float(counts.max() * boxes.prod() / len(coords))


def in_one_cell(lattice: FloatArray, coords: FloatArray) -> FloatArray:
    """Return sites that are far from each other in one cell; of them, others are near."""
    fractional = coords @ np.linalg.inv(lattice)
    is_far = np.ptp(fractional, axis=0).max() > CELLS
    return np.ascontiguousarray((fractional % 1) @ lattice) if is_far else coords


def _with_images(
    lattice: FloatArray, coords: FloatArray, radius: float
) -> tuple[FloatArray, IntArray]:
    """Return the sites, then their images within a radius of the cell, and whose they are.

    Sites that are far from each other are moved into one cell.
    """
    coords = in_one_cell(lattice, coords)
    inverse = np.linalg.inv(lattice)
    fractional = coords @ inverse
    lowest, highest = fractional.min(axis=0), fractional.max(axis=0)
    # The distance of two faces of the cell is the length of the reciprocal vector, inverted.
    reach = radius * np.linalg.norm(inverse, axis=0) + 1e-9
    counts = [
        math.ceil(r + high - low) for r, low, high in zip(reach, lowest, highest, strict=True)
    ]
    points, owners = [coords], [np.arange(len(coords))]
    for shift in product(*(range(-n, n + 1) for n in counts)):
        if not any(shift):
            continue
        moved = fractional + shift
        near = ((moved >= lowest - reach) & (moved <= highest + reach)).all(axis=1)
        if near.any():
            points.append(coords[near] + np.asarray(shift) @ lattice)
            owners.append(np.flatnonzero(near))
    return np.concatenate(points), np.concatenate(owners)


def count_pairs(
    lattice: FloatArray, coords: FloatArray, centers: IntArray, radius: float
) -> IntArray:
    """Return how many points each center has within a radius, itself included."""
    points, _ = _with_images(lattice, coords, radius)
    counts = cKDTree(points).query_ball_point(points[centers], radius, return_length=True)
    return np.asarray(counts, dtype=np.int64)
