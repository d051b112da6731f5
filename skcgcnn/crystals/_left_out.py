"""What pymatgen and ASE leave out of files that are no CIFs, or take for something else."""

import math
import re
from collections.abc import Sequence
from itertools import dropwhile, takewhile

import gemmi
import numpy as np

from skcgcnn.crystals._cif_claims import far_sites
from skcgcnn.crystals._cif_words import no_number
from skcgcnn.crystals._crystal import Species
from skcgcnn.exceptions import StructureError

_WRITE = "which is not read from such a file; write the crystal as a CIF"
# Of SHELX: no centering and no center of symmetry; a whole atom, whether it is refined or not.
_NO_SYMMETRY, _WHOLE = "-1", (1.0, 11.0)
# A number of a .cssr file, of which pymatgen reads as much as is written in these letters.
_DIGITS = re.compile(r"[\d.-]+")
# The columns of an extended .xyz file: name, kind and number of each, as species:S:1:pos:R:3.
_COLUMNS = r"[^:\s]+:[A-Z]:\d{1,3}"
_PROPERTIES = re.compile(rf"""\bproperties\s*=\s*["']?({_COLUMNS}(:{_COLUMNS})*)""", re.IGNORECASE)
# Of an element, with a number, a charge or the name of a potential behind.
_SYMBOL = re.compile("[A-Z][a-z]?(?![A-Za-z])")
# Of the coordinates in a POSCAR. The first letter counts, so that Cirect is Cartesian.
_MODES = ("direct", "fractional", "cartesian", "kartesian")
# Among Properties= of an .xyz file, behind a name and a kind.
_COUNT_OF_COLUMNS = re.compile(r":[A-Z]:(\d+)")
# In Quantum ESPRESSO, as Fe1 or O_h.
_LONGEST_SYMBOL = 3
_UNDERSCORE = re.compile(r"(?<!\S)[+-]?[\d.]*\d_\d[\d._]*([eE][+-]?\d+)?(?!\S)")


def check_res(text: str, n_sites: int) -> tuple[str, ...]:
    """Refuse a .res file with a symmetry, or with occupancies other than 1.

    Of several crystals in one file, as ``cat *.res`` makes it, pymatgen takes the last: the last
    cell, and the last sites.

    Returns
    -------
    tuple of str
        Remarks, if there are several, or not as many sites as its title says.

    Raises
    ------
    StructureError
    """
    if not any(line.split()[:1] == ["LATT"] for line in text.splitlines()):
        raise StructureError("tells no symmetry, which means an inversion; write LATT -1 for none")
    elements: list[str] | None = None
    without_site = set[str]()
    n_cells = n_lists = 0
    told = str(n_sites)
    for line in text.splitlines():
        words = line.split()
        begin = words[0] if words else ""
        if begin == "TITL":  # of AIRSS: name, pressure, volume, enthalpy, spins, sites, (group)
            is_told = "".join(words[8:9]).startswith("(") and words[7].isdecimal()
            told = words[7] if is_told else str(n_sites)
        if begin == "LATT" and words[1:2] != [_NO_SYMMETRY]:
            raise StructureError(f"has the symmetry {' '.join(words)!r}, {_WRITE}")
        if begin == "SFAC" and not all(map(str.isalpha, words[1:])):
            raise StructureError(f"holds {line.strip()!r}; write the symbols of elements alone")
        if elements is not None and len(words) > 5:
            _check_res_site(words, elements)
            without_site.discard(elements[int(float(words[1])) - 1])
        n_cells += begin == "CELL"
        n_lists += begin == "SFAC"
        elements = words[1:] if begin == "SFAC" else None if begin == "END" else elements
        without_site = set(words[1:]) if begin == "SFAC" else without_site
    if n_cells != n_lists:
        raise StructureError(
            f"has {n_cells} cells (CELL), but {n_lists} lists of sites (SFAC); perhaps it is "
            "truncated"
        )
    remarks = ["holds several crystals; the last is taken"] if n_cells > 1 else []
    if told != str(n_sites):
        remarks.append(f"has {n_sites} sites, but its title tells {told}; some may be missing")
    if without_site:
        names = ", ".join(sorted(without_site))
        remarks.append(f"has no site of {names}, which SFAC names; some may be missing")
    return tuple(remarks)


def _check_res_site(words: Sequence[str], elements: Sequence[str]) -> None:
    """Refuse a site that is not whole, or of another element than its number tells."""
    if _number(words[5]) not in _WHOLE:
        raise StructureError(f"a site has the occupancy {words[5]}, {_WRITE}")
    place = _number(words[1])
    told = elements[int(place) - 1] if 1 <= place <= len(elements) else "none"
    # Behind the letters stands a number or a charge.
    if len({re.split("[^a-z]", name.lower())[0] for name in (words[0], told)}) > 1:
        raise StructureError(
            f"a site has the name {words[0]!r}, but the element {words[1]} of SFAC is {told}; it "
            "is not clear which counts"
        )


def check_cssr(text: str, n_sites: int) -> None:
    """Refuse a .cssr file with a symmetry, Cartesian coordinates, or what is read in part.

    Raises
    ------
    StructureError
    """
    _, angles, counts = ([*text.splitlines(), "", "", ""])[:3]
    _, _, group = angles.partition("SPGR")
    number = group.replace("=", " ").split()[:1]
    if number and number != ["1"]:
        raise StructureError(f"has the space group {number[0]}, {_WRITE}")
    numbers = counts.split()
    if numbers[1:2] not in ([], ["0"]):
        raise StructureError(f"has Cartesian coordinates, {_WRITE}")
    if numbers and _number(numbers[0]) != n_sites:
        raise StructureError(
            f"has {numbers[0]} sites, of which {n_sites} can be read; their symbols must be those "
            "of elements, without charges and shares"
        )
    for line in text.split("\n")[4:]:
        words = line.split()
        # Behind the coordinates come the numbers of neighbors.
        if not all(map(_DIGITS.fullmatch, words[2:5])) or "." in "".join(words[5:6]):
            raise StructureError(f"has the site {line.strip()!r}; write its coordinates as 0.25")


def check_xsf(text: str, n_sites: int) -> None:
    """Refuse an .xsf file with fewer sites than it says, or with several cells.

    Raises
    ------
    StructureError
    """
    text = text.upper()  # pymatgen takes both
    if text.count("PRIMVEC") > 1:
        raise StructureError("holds several cells (PRIMVEC); keep one")
    _, _, rest = text.partition("PRIMCOORD")
    numbers = "\n".join(rest.splitlines()[1:]).split(maxsplit=1)[:1]
    if numbers and _is_number(numbers) and _number(numbers[0]) != n_sites:
        raise StructureError(
            f"has {numbers[0]} sites, of which {n_sites} can be read; perhaps it is truncated"
        )


def check_xyz(text: str, n_sites: Sequence[int]) -> None:
    """Refuse an .xyz file of which ASE read a part: it ends where a number of atoms should be.

    Parameters
    ----------
    text : str
    n_sites : sequence of int
        Of each crystal that was read.

    Raises
    ------
    StructureError
    """
    lines = text.split("\n")
    _check_properties(lines, n_sites)
    cells = sum(line.startswith("VEC") for line in lines)
    behind = [line for line in lines[sum(n_sites) + 2 * len(n_sites) + cells :] if line.strip()]
    if behind:
        raise StructureError(
            f"is read to its crystal {len(n_sites)} alone, and holds more behind that; remove "
            f"empty lines between crystals, and what is none: {behind[0].strip()[:60]!r}"
        )


def _check_properties(lines: Sequence[str], n_sites: Sequence[int]) -> None:
    """Refuse sites with other columns than are told: ASE leaves out what is more."""
    place = 0
    for n in n_sites:
        place += 2
        told = _PROPERTIES.search("".join(lines[place - 1 : place]))
        if told is not None:
            names = told[1].split(":")
            if not {"pos", "positions"} & set(names[::3]):
                raise StructureError(f"its sites have no place (pos) among {told[0]}")
            n_columns = sum(map(int, names[2::3]))
            for line in lines[place : place + n]:
                if len(line.split()) != n_columns:
                    raise StructureError(
                        f"has the site {line.strip()!r}, but tells {n_columns} columns in {told[0]}"
                    )
        place += n + _n_vectors(lines[place + n :])


def check_gen(text: str, n_sites: Sequence[int]) -> None:
    """Refuse a .gen file with more or other columns than ASE reads, or with lines behind its cell.

    Parameters
    ----------
    text : str
    n_sites : sequence of int
        Of its one crystal.

    Raises
    ------
    StructureError
    """
    head, _, *lines = re.split("\r\n?|\n", text.rstrip())
    [n] = n_sites
    if head.split()[1] == "C":  # without a cell, which is refused later
        return
    # Number, element and place of each site; then an origin and three vectors.
    for line, n_columns in zip(lines, [5] * n + [3] * 4, strict=False):
        words = line.split()
        if len(words) != n_columns or (n_columns == 5 and not words[0].isdecimal()):
            raise StructureError(
                f"has the line {line.strip()!r} in the place of {n_columns} columns"
            )
    if len(lines) != n + 4:
        raise StructureError(
            f"has {len(lines) - 4} lines of sites, of which {n} are counted; check the number"
        )


def check_pwi(text: str, n_sites: Sequence[int]) -> None:
    """Refuse an input of Quantum ESPRESSO with more sites than it counts (nat), which are left out.

    Parameters
    ----------
    text : str
    n_sites : sequence of int
        Of its one crystal.

    Raises
    ------
    StructureError
    """
    _, _, rest = text.partition("ATOMIC_POSITIONS")
    words = [re.split("[!#]", line)[0].split() for line in rest.splitlines()[1:]]
    # Longer than a symbol is the name of what comes next, such as K_POINTS.
    sites = takewhile(lambda site: not site or len(site[0]) <= _LONGEST_SYMBOL, words)
    if (n := sum(map(bool, sites))) != n_sites[0]:
        raise StructureError(f"has {n} lines of sites, of which {n_sites[0]} are counted (nat)")


def check_counts_of_xyz(text: str) -> None:
    """Refuse an .xyz file with more sites than lines, or more columns than letters.

    ASE looks for each of them.

    Raises
    ------
    StructureError
    """
    for count in _COUNT_OF_COLUMNS.findall(text):
        if int(count[:12]) > len(text):  # ASE makes a list of so many
            raise StructureError(f"tells {count[:12]} columns of its sites, which it does not have")
    lines = text.split("\n")
    place = 0
    while place < len(lines) and lines[place].strip().isdecimal():
        _check_count([lines[place].strip()], len(lines) - place)
        place += int(lines[place].strip()[:12]) + 2
        place += _n_vectors(lines[place:])


def _n_vectors(lines: Sequence[str]) -> int:
    """Return how many lines of a cell stand behind the sites of an .xyz file."""
    return len([*takewhile(lambda line: line.startswith("VEC"), lines)])


def check_counts_of_xsf(text: str) -> None:
    """Refuse an .xsf file with more sites than lines: pymatgen makes room for so many first.

    Raises
    ------
    StructureError
    """
    _, _, rest = text.upper().partition("PRIMCOORD")
    counts = rest.split(maxsplit=1)[:1]
    _check_count([*filter(str.isdecimal, counts)], rest.count("\n") + 1)


def check_counts_of_poscar(text: str) -> None:
    """Refuse a POSCAR with more sites than lines: pymatgen makes a list of so many first.

    Raises
    ------
    StructureError
    """
    words = [line.split() for line in text.splitlines()[5:]]
    counts = takewhile(_are_counts, dropwhile(lambda names: not _are_counts(names), words))
    _check_count([count for line in counts for count in line], len(words))


def _are_counts(words: Sequence[str]) -> bool:
    return bool(words) and all(map(str.isdecimal, words))


def _check_count(counts: Sequence[str], n_lines: int) -> None:
    n_sites = sum(int(count[:12]) for count in counts)  # Python refuses the longest
    if n_sites > n_lines:
        raise StructureError(f"has {n_sites} sites, but fewer lines; perhaps it is truncated")


def refuse_underscores(text: str) -> None:
    """Refuse numbers such as ``1_0``, which Python takes for 10; a title may have them."""
    for line in text.splitlines()[1:]:
        if "_" in line and "=" not in line and (found := _UNDERSCORE.search(line)):
            raise no_number(found[0])


def above_grid(text: str) -> str:
    """Return a POSCAR without the numbers on a grid that a CHGCAR or LOCPOT has below its sites."""
    lines = text.split("\n")
    for place, line in enumerate(lines[:-1]):
        # An empty title is none.
        if place > 0 and not line.strip():
            counts = lines[place + 1].split()
            is_grid = len(counts) == 3 and _are_counts(counts) and "0" not in counts
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

    More coordinates than atoms, numbers and other elements behind them, and other crystals.

    Parameters
    ----------
    text : str
    species : sequence of Species
        Of the sites as they were read, in the order of the file.
    """
    n_sites = len(species)
    lines = [line.split() for line in re.split(r"\n\s*\n", text.rstrip())[0].splitlines()]
    # Behind the elements and their numbers stands how coordinates are written.
    texts = (place for place, words in enumerate(lines) if words and not _is_number(words))
    modes = [place for place in texts if place > 5]
    if not modes:
        return ()
    begin = modes[0] + (2 if lines[modes[0]][0][0] in "sS" else 1)
    places = [words for words in takewhile(_is_number, lines[begin:]) if len(words) >= 3]
    remarks = []
    if (n_more := len(places) - n_sites) > 0:
        remarks.append(f"has more lines of coordinates than atoms: {n_more} left out")
    if odd := [words for words in places[:n_sites] if _is_number(words[3:4])]:
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
        numbers = [_number(word) for words in places[:n_sites] for word in words[:3]]
        remarks += far_sites(np.nan_to_num(numbers))
    return tuple(remarks)


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
        are_vectors = (len(one) == 3 and not math.isnan(sum(map(_number, one))) for one in vectors)
        if _are_counts(counts) and len(names) == len(counts) and all(are_vectors):
            return True
    return False


def _is_number(words: list[str]) -> bool:
    return not math.isnan(_number(words[0])) if words else False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
