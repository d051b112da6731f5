"""Quotient graphs: sites that no convolution can tell apart are stored once, with their number."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn.graphs._packing import distinct_numbers

# Color refinement ends after so many rounds over all sites, and so many sites besides, which takes
# seconds. Few crystals need more than ten rounds, and thousands only chains of thousands of sites.
_MOST_ROUNDS = 64
_MOST_SITES = 5_000_000
# Sites whose bonds are looked at together, which bounds the memory for large cells.
_SITES_AT_ONCE = 100_000

# Constants of SplitMix64 (Steele, Lea & Flood 2014), which turns numbers into hashes.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


class Quotient(NamedTuple):
    """Classes of equal sites of some crystals, and the bonds of each class.

    Attributes
    ----------
    representatives : ndarray of shape (n_classes,), int64
        The first site of each class. Classes are in the order of these sites.
    site_classes : ndarray of shape (n_sites,), int64
        Class of each site.
    site_counts : ndarray of shape (n_classes,), int64
        Number of sites in each class.
    degrees : ndarray of shape (n_classes,), int64
        Number of different bonds of each class.
    neighbors : ndarray of shape (n_bonds,), int64
        Class at the other end of each bond.
    distances : ndarray of shape (n_bonds,), float32
        In Å, ascending within a class.
    bond_counts : ndarray of shape (n_bonds,), int64
        How many of the bonds of a site are this one.
    """

    representatives: IntArray
    site_classes: IntArray
    site_counts: IntArray
    degrees: IntArray
    neighbors: IntArray
    distances: npt.NDArray[np.float32]
    bond_counts: IntArray


def fold(
    crystals: IntArray,
    kinds: IntArray,
    neighbors: IntArray,
    distances: FloatArray,
    merge_tol: float | None,
) -> Quotient:
    """Return the quotient graphs of some crystals.

    Two sites are in one class if they are of one kind and their bonds agree in distance and in
    the class at the other end. The coarsest such partition is found by color refinement (Weisfeiler
    & Leman 1968). Convolutions give all sites of a class the same features, so that the network on
    the classes is the network on the sites. A crystal that needs thousands of rounds of refinement
    keeps its sites apart; only its equal bonds are merged.

    Parameters
    ----------
    crystals : ndarray of shape (n_sites,)
        Crystal of each site, ascending.
    kinds : ndarray of shape (n_sites,)
        Kind of each site.
    neighbors : ndarray of shape (n_sites, max_num_nbr)
        Site at the other end of each bond.
    distances : ndarray of shape (n_sites, max_num_nbr)
        In Å, ascending along each row.
    merge_tol : float or None
        Distances in one crystal that differ by no more, in Å, can count as equal. A merged bond has
        the mean of its distances. None merges nothing.

    Examples
    --------
    >>> import numpy as np
    >>> chain = np.array([[1, 3], [0, 2], [1, 3], [2, 0]])  # A B A B, in a ring
    >>> found = fold(np.zeros(4, int), np.array([0, 1, 0, 1]), chain, np.full((4, 2), 2.5), 1e-5)
    >>> found.site_classes.tolist(), found.neighbors.tolist(), found.bond_counts.tolist()
    ([0, 1, 0, 1], [1, 0], [2, 2])
    """
    n_sites, max_num_nbr = neighbors.shape
    if merge_tol is None:
        sites = np.arange(n_sites)
        ones, degrees = np.ones(n_sites, dtype=np.int64), np.full(n_sites, max_num_nbr)
        flat = neighbors.ravel().astype(np.int64), distances.ravel().astype(np.float32)
        return Quotient(sites, sites, ones, degrees, *flat, np.ones(len(flat[0]), dtype=np.int64))
    lengths = _group_distances(crystals, distances, merge_tol)
    classes = _refine(crystals, kinds, neighbors, lengths)
    representatives = _first_sites(classes)
    keys, columns = _sorted_bonds(classes, neighbors, lengths)
    first = representatives[classes]
    unlike = (keys != keys[first]).any(axis=1)
    unlike |= (kinds != kinds[first]) | (crystals != crystals[first])
    if unlike.any():
        # A crystal that needs more rounds, or a collision of hashes: its sites stay apart.
        classes = _apart(classes, np.isin(crystals, crystals[unlike]))
        representatives = _first_sites(classes)
        keys, columns = _sorted_bonds(classes, neighbors, lengths)
    return _merge_bonds(classes, representatives, keys, columns, distances)


def _group_distances(crystals: IntArray, distances: FloatArray, merge_tol: float) -> IntArray:
    """Return a number for each distance, the same for equal ones, ascending within a crystal.

    Distances are separated where the next one is further away than a tolerance. It is `merge_tol`
    at first, and is halved for groups that are wider than `merge_tol`, so that chains of nearly
    equal distances do not run together, while distances that are equal but for rounding never part.
    """
    flat = distances.ravel()
    owners = np.repeat(crystals.astype(np.int32), distances.shape[1])
    order = np.lexsort((flat, owners))
    ordered = flat[order]
    gaps = np.diff(ordered, prepend=-np.inf)
    gaps[np.flatnonzero(np.diff(owners[order], prepend=-1))] = np.inf
    tolerance = merge_tol
    first = gaps > tolerance
    while True:
        starts = np.flatnonzero(first)
        sizes = np.diff(starts, append=len(flat))
        wide = ordered[starts + sizes - 1] - ordered[starts] > merge_tol
        if not wide.any():
            break
        tolerance /= 2
        first |= np.repeat(wide, sizes) & (gaps > tolerance)
    groups = np.empty(len(flat), dtype=np.int64)
    groups[order] = np.cumsum(first) - 1
    return groups.reshape(distances.shape)


def _refine(
    crystals: IntArray, kinds: IntArray, neighbors: IntArray, lengths: IntArray
) -> IntArray:
    """Return the class of each site, numbered in the order of their first sites."""
    colors = _hash(_hash(crystals.astype(np.uint64)) + kinds.astype(np.uint64))
    hashed_lengths = _hash(np.arange(_count(lengths), dtype=np.uint64))
    n_sites = np.bincount(crystals)
    n_classes = np.zeros_like(n_sites)
    sites = np.arange(len(crystals))
    seen, most = 0, _MOST_ROUNDS * len(crystals) + _MOST_SITES
    while seen <= most:
        before = n_classes
        firsts = sites[np.unique(colors[sites], return_index=True)[1]]
        n_classes = np.bincount(crystals[firsts], minlength=len(n_sites))
        # A crystal is done when a round tells no more sites apart, or all are.
        going_on = (n_classes > before) & (n_classes < n_sites)
        sites = sites[going_on[crystals[sites]]]
        if not len(sites):
            break
        seen += len(sites)
        new = np.empty(len(sites), dtype=np.uint64)
        for start in range(0, len(sites), _SITES_AT_ONCE):
            some = sites[start : start + _SITES_AT_ONCE]
            bonds = colors[neighbors[some]]
            bonds += hashed_lengths[lengths[some]]
            # One round of mixing is enough for numbers that are hashes already.
            bonds *= _FIRST_FACTOR
            bonds ^= bonds >> np.uint64(32)
            new[start : start + _SITES_AT_ONCE] = bonds.sum(axis=1)
        colors[sites] = _hash(_hash(colors[sites]) + new)
    return distinct_numbers(colors)


def _count(classes: IntArray) -> int:
    return int(classes.max(initial=-1)) + 1


def _hash(numbers: Hashes) -> Hashes:
    hashed = numbers + _INCREMENT
    for shift, factor in ((30, _FIRST_FACTOR), (27, _SECOND_FACTOR)):
        hashed ^= hashed >> np.uint64(shift)
        hashed *= factor
    hashed ^= hashed >> np.uint64(31)
    return hashed


def _first_sites(classes: IntArray) -> IntArray:
    """Return the first site of each class; classes are numbered by these."""
    return np.flatnonzero(np.diff(np.maximum.accumulate(classes), prepend=-1))


def _apart(classes: IntArray, sites: npt.NDArray[np.bool_]) -> IntArray:
    """Return classes in which each of some sites is alone."""
    return distinct_numbers(np.where(sites, _count(classes) + np.arange(len(classes)), classes))


def _sorted_bonds(
    classes: IntArray, neighbors: IntArray, lengths: IntArray
) -> tuple[IntArray, IntArray]:
    """Return what each bond is, sorted along each row, and the order that sorts them."""
    keys = lengths * _count(classes) + classes[neighbors]
    columns = np.argsort(keys, axis=1, kind="stable")
    return np.take_along_axis(keys, columns, axis=1), columns


def _merge_bonds(
    classes: IntArray,
    representatives: IntArray,
    keys: IntArray,
    columns: IntArray,
    distances: FloatArray,
) -> Quotient:
    n_classes, max_num_nbr = len(representatives), keys.shape[1]
    site_counts = np.bincount(classes, minlength=n_classes)
    # The same column is the same bond in all rows of a class.
    places = classes[:, np.newaxis] * max_num_nbr + np.arange(max_num_nbr)
    sums = np.bincount(
        places.ravel(),
        np.take_along_axis(distances, columns, axis=1).ravel(),
        n_classes * max_num_nbr,
    )
    own = keys[representatives]
    new = np.ones(own.shape, dtype=bool)
    new[:, 1:] = own[:, 1:] != own[:, :-1]
    starts = np.flatnonzero(new)
    bond_counts = np.diff(starts, append=own.size)
    centers = starts // max_num_nbr
    totals = np.add.reduceat(sums, starts) if len(starts) else sums
    merged = (totals / (bond_counts * site_counts[centers])).astype(np.float32)
    ends = own.ravel()[starts] % max(n_classes, 1)
    # Bonds stand by distance but for those that were equal before the means were taken. Positive
    # numbers are in the order of their bits.
    order = np.argsort((centers << 32) | merged.view(np.int32), kind="stable")
    return Quotient(
        representatives,
        classes,
        site_counts,
        new.sum(axis=1),
        ends[order],
        merged[order],
        bond_counts[order],
    )
