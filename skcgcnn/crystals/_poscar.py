"""What pymatgen leaves out of a POSCAR, or takes for something else."""

import math
import re
from collections.abc import Sequence
from itertools import dropwhile, takewhile

import gemmi
import numpy as np

from skcgcnn.crystals._cif_claims import far_sites
from skcgcnn.crystals._crystal import Species
from skcgcnn.crystals._left_out import are_counts, check_count, cut_site, is_number, to_number
from skcgcnn.exceptions import StructureError

# Of an element, with a number, a charge or the name of a potential behind.
_SYMBOL = re.compile("[A-Z][a-z]?(?![A-Za-z])")
# Of the coordinates in a POSCAR. The first letter counts, so that Cirect is Cartesian.
_MODES = ("direct", "fractional", "cartesian", "kartesian")


def check_head_of_poscar(text: str) -> None:
    """Refuse a POSCAR whose factor, symbols and numbers of atoms are not understood.

    Raises
    ------
    StructureError
    """
    lines = [*text.splitlines(), *[""] * 7]
    scale = lines[1].partition("#")[0].split()
    if len(scale) > 1 and not math.isnan(sum(map(to_number, scale))):
        raise StructureError(
            f"has {len(scale)} factors of its lengths, {' '.join(scale)}; multiply x, y and z of "
            "its vectors and of Cartesian coordinates by them, and write 1"
        )
    # Without symbols, the next line says how coordinates are written.
    names, counts = (lines[place].split() for place in (5, 6))
    for line in lines[1 : 6 if is_number(names) else 7]:
        if "!" in line:
            raise StructureError(f"has the comment of {line.strip()!r} in its head; remove it")
    numbers = [name for name in names if not any(map(str.isalpha, name))]
    if are_counts(counts) and numbers and len(numbers) < len(names):
        raise StructureError(f"names the element {numbers[0]!r}; write its symbol")
    # In longer lists, each takes several lines.
    if are_counts(counts) and len(names) != len(counts):
        raise StructureError(
            f"has {len(names)} symbols of elements, but {len(counts)} numbers of atoms"
        )
    _check_counts(text)


def _check_counts(text: str) -> None:
    """Refuse more sites than lines: pymatgen makes a list of so many first."""
    words = [line.split() for line in text.splitlines()[5:]]
    counts = takewhile(are_counts, dropwhile(lambda names: not are_counts(names), words))
    check_count([count for line in counts for count in line], len(words))


def above_grid(text: str) -> str:
    """Return a POSCAR without the numbers on a grid that a CHGCAR or LOCPOT has below its sites."""
    lines = text.split("\n")
    for place, line in enumerate(lines[:-1]):
        # An empty title is none.
        if place > 0 and not line.strip():
            counts = lines[place + 1].split()
            is_grid = len(counts) == 3 and are_counts(counts) and "0" not in counts
            return "\n".join(lines[:place]) if is_grid else text
    return text


def with_factor(text: str) -> str:
    """Return a POSCAR with a factor in the place of a volume, which is below 0.

    With the volume itself, pymatgen multiplies Cartesian coordinates.
    """
    lines = text.split("\n")
    try:
        scale = float(lines[1].partition("#")[0])
        vectors = [[float(one) for one in line.partition("#")[0].split()] for line in lines[2:5]]
        factor = (-scale / abs(float(np.linalg.det(vectors)))) ** (1 / 3) if scale < 0 else 1.0
    except (LookupError, ValueError, ArithmeticError):  # who reads it will say so
        return text
    if scale >= 0:
        return text
    return "\n".join([lines[0], repr(factor), *lines[2:]])


def left_out_of_poscar(text: str, species: Sequence[Species]) -> tuple[str, ...]:
    """Return remarks on what is left out of a POSCAR, and on places that are far from its cell.

    More coordinates than atoms, a last site that is cut, numbers and other elements behind
    coordinates, and other crystals.

    Parameters
    ----------
    text : str
    species : sequence of Species
        Of the sites as they were read, in the order of the file.
    """
    n_sites = len(species)
    lines = [line.split() for line in re.split(r"\n\s*\n", text.rstrip())[0].splitlines()]
    # Behind the elements and their numbers stands how coordinates are written.
    texts = [place for place, words in enumerate(lines) if words and not is_number(words)]
    end = _end_of_counts(lines)
    modes = [place for place in texts if place >= end] or [place for place in texts if place > 5]
    if not modes:
        return ()
    has_flags = lines[modes[0]][0][0] in "sS"
    begin = modes[0] + (2 if has_flags else 1)
    places = [words for words in takewhile(is_number, lines[begin:]) if len(words) >= 3]
    remarks = []
    if (n_more := len(places) - n_sites) > 0:
        remarks.append(f"has more lines of coordinates than atoms: {n_more} left out")
    # Coordinates, flags and a symbol; a comment may come behind.
    remarks += cut_site([words[: 7 if has_flags else 4] for words in places[:n_sites]])
    if odd := [words for words in places[:n_sites] if is_number(words[3:4])]:
        remarks.append(f"has a number behind coordinates, which is left out: {' '.join(odd[0])}")
    for site, words in zip(species, places, strict=False):
        if (z := _element_behind(words)) and z not in dict(site):
            what = f"the symbol behind coordinates is not the element read there: {' '.join(words)}"
            remarks.append(f"{what}; check the order of the sites")
            break
    if _has_another_poscar(text):
        remarks.append("holds several crystals; the first is taken")
    mode = "".join(word for words in lines[begin - 1 : begin] for word in words[:1])
    if not _is_mode(mode):
        remarks.append(f"says {mode!r} of its coordinates; write Direct or Cartesian")
    if mode[:1] not in ("c", "C", "k", "K"):
        numbers = [to_number(word) for words in places[:n_sites] for word in words[:3]]
        remarks += far_sites(np.nan_to_num(numbers))
    return tuple(remarks)


def _end_of_counts(lines: Sequence[Sequence[str]]) -> int:
    """Return the place behind the numbers of atoms; VASP writes twenty of them in a line."""
    places = dropwhile(lambda place: not are_counts(lines[place]), range(5, len(lines)))
    return next((place for place in places if not are_counts(lines[place])), 6)


def _is_mode(word: str) -> bool:
    """Tell whether a word says how coordinates are written, in whole or by its first letters."""
    letters = "".join(takewhile(str.isalpha, word.lower()))
    return any(one.startswith(letters) or letters.startswith(one) for one in _MODES)


def _element_behind(words: Sequence[str]) -> int:
    """Return the atomic number of the symbol behind coordinates, or behind their flags, or 0."""
    symbol = _SYMBOL.match(words[-1]) if len(words) in (4, 7) else None
    return gemmi.Element(symbol[0]).atomic_number if symbol else 0


def _has_another_poscar(text: str) -> bool:
    """Tell whether vectors, symbols and as many numbers of atoms come behind the first ones."""
    lines = text.splitlines()
    for place, line in enumerate(lines[:-1]):
        if place < 8 or not line.lstrip()[:1].isalpha():
            continue
        *vectors, names, counts = (one.split() for one in lines[place - 3 : place + 2])
        are_vectors = (
            len(one) == 3 and not math.isnan(sum(map(to_number, one))) for one in vectors
        )
        if are_counts(counts) and len(names) == len(counts) and all(are_vectors):
            return True
    return False
