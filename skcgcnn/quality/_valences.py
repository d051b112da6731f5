"""Bond valences: what distances say of the valences of atoms."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skcgcnn._warnings import ignored_warnings
from skcgcnn.graphs import CrystalGraphs, crystals_of_classes, ends_of_bonds
from skcgcnn.quality._findings import Finding, Names

# In Å: how fast a bond valence falls with the distance.
_SOFTNESS = 0.31
# A sum is unusual beyond so many times the highest oxidation state of an element.
_TOO_MANY = 2.0

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class _Parameters(NamedTuple):
    """Parameters of O'Keeffe and Brese by atomic number; NaN where there are none."""

    r: FloatArray
    c: FloatArray
    electronegativity: FloatArray
    is_anion: npt.NDArray[np.bool_]
    # The largest positive and negative oxidation states.
    highest: FloatArray
    lowest: FloatArray


@cache
def _parameters() -> _Parameters:
    from pymatgen.analysis.bond_valence import BV_PARAMS, ELECTRONEG
    from pymatgen.core import Element

    r, c, x, high, low = np.full((5, 119), np.nan)
    is_anion = np.zeros(119, dtype=bool)
    for element, own in BV_PARAMS.items():
        z = Element(str(element)).Z
        with ignored_warnings():  # noble gases have no electronegativity
            r[z], c[z], x[z] = own["r"], own["c"], Element(str(element)).X
        states = Element(str(element)).oxidation_states
        high[z], low[z] = max(states, default=np.nan), min(states, default=np.nan)
    is_anion[[Element(str(element)).Z for element in ELECTRONEG]] = True
    return _Parameters(r, c, x, is_anion, high, low)


def bond_valence_sums(graphs: CrystalGraphs, elements: IntArray) -> FloatArray:
    """Return the sum of the bond valences of each class of equal sites.

    Parameters
    ----------
    graphs : CrystalGraphs
    elements : ndarray of shape (n_kinds,)
        Atomic number of each kind of site; 0 where it is mixed or unknown.

    Returns
    -------
    ndarray of shape (n_classes,)
        Positive for cations; 0 without a bond to or of an electronegative element; NaN where there
        are no parameters. Neighbors beyond those of the graph count for little.

    References
    ----------
    M. O'Keeffe and N. E. Brese, J. Am. Chem. Soc. 113, 3226 (1991), with pymatgen's parameters.
    """
    own = _parameters()
    numbers = elements[graphs.site_kinds]
    ends = np.repeat(np.arange(len(numbers)), np.diff(graphs.bond_offsets))
    one, two = numbers[ends], numbers[ends_of_bonds(graphs)]
    r1, r2, c1, c2 = own.r[one], own.r[two], own.c[one], own.c[two]
    lengths = r1 + r2 - r1 * r2 * (np.sqrt(c1) - np.sqrt(c2)) ** 2 / (c1 * r1 + c2 * r2)
    valences = np.exp((lengths - graphs.distances) / _SOFTNESS)
    signs = np.where(own.electronegativity[one] < own.electronegativity[two], 1.0, -1.0)
    counts = (own.is_anion[one] | own.is_anion[two]) & (one != two)
    weighted = np.where(counts, signs * valences, 0.0) * graphs.bond_counts
    weighted[np.isnan(r1) | np.isnan(r2)] = np.nan
    return np.asarray(np.bincount(ends, weighted, minlength=len(numbers)), dtype=np.float64)


def odd_valences(graphs: CrystalGraphs, elements: IntArray, names: Names) -> Iterator[Finding]:
    """Yield that atoms of some crystals have more valences than their element can have.

    Parameters
    ----------
    graphs : CrystalGraphs
    elements : ndarray of shape (n_kinds,)
    names : Names
    """
    from pymatgen.core import Element

    if not len(graphs.neighbors):
        return
    own, numbers = _parameters(), elements[graphs.site_kinds]
    sums = bond_valence_sums(graphs, elements)
    most = np.where(sums > 0, own.highest[numbers], -own.lowest[numbers])
    # What is never an ion of that sign tells nothing.
    most = np.where((most > 0) & ((sums > 0) | own.is_anion[numbers]), most, np.nan)
    excess: Any = np.abs(sums) / most
    odd = np.flatnonzero(excess > _TOO_MANY)  # False for NaN
    if not len(odd):
        return
    owners = crystals_of_classes(graphs)
    worst = odd[np.argmax(excess[odd])]
    rows = np.unique(owners[odd]).tolist()
    element = Element.from_Z(int(numbers[worst])).symbol
    what = "crystal has" if len(rows) == 1 else "crystals have"
    text = (
        f"{len(rows)} {what} atoms with unusual valences, such as {names.some(rows)}: by its bond "
        f"lengths, {element} in {names[int(owners[worst])]} has a valence of "
        f"{abs(sums[worst]):.1f}, where {most[worst]:.0f} is the highest that it can have."
    )
    yield Finding("unusual valences", rows, "remark", text)
