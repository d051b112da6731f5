"""What pymatgen leaves out of files that are no CIFs, or takes for something else."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from skcgcnn._text import repeated
from skcgcnn.crystals._cif_words import no_number
from skcgcnn.exceptions import StructureError

_WRITE = "which is not read from such a file; write the crystal as a CIF"
# Of SHELX: no centering and no center of symmetry; a whole atom, whether it is refined or not.
_NO_SYMMETRY, _WHOLE = "-1", (1.0, 11.0)
# A number of a .cssr file, of which pymatgen reads as much as is written in these letters.
_DIGITS = re.compile(r"[\d.-]+")
# Directions in which an .xsf file repeats; others in all three.
_PERIODIC = {"SLAB": 2, "POLYMER": 1, "MOLECULE": 0}
# Numbers on a grid of an .xsf file, and the line that ends them.
_GRID = re.compile(r"^[^\S\n]*BEGIN_BLOCK_(DATA|BAND)GRID", re.IGNORECASE | re.MULTILINE)
_END_OF_GRID = re.compile(r"^[^\S\n]*END_BLOCK_(DATA|BAND)GRID.*\n?", re.IGNORECASE | re.MULTILINE)
# What pymatgen does not know of it: directions by a number, and a list of a larger cell.
_DIM_GROUP = re.compile(r"^[^\S\n]*DIM-GROUP\s+([0-3])\s+\d+\s*$", re.IGNORECASE | re.MULTILINE)
_CONVCOORD = re.compile(
    r"^[^\S\n]*CONVCOORD[^\n]*\n\s*(\d{1,9})\s+\d+[^\n]*\n", re.IGNORECASE | re.MULTILINE
)
_PRIMITIVE = re.compile(r"^[^\S\n]*PRIM(VEC|COORD)", re.IGNORECASE | re.MULTILINE)
_DIRECTIONS = {**{str(n): word for word, n in _PERIODIC.items()}, "3": "CRYSTAL"}
# Such as programs write; who writes by hand may leave out zeros of fewer.
MANY_DECIMALS = 5
_LONGEST_ROW = 1_000
# Of Python, as 1_0.
_UNDERSCORE = re.compile(r"(?<!\S)(?=\S*\d_\d)[\d._eE+-]+(?!\S)")


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
    _check_cells_of_res(text)
    elements: list[str] | None = None
    without_site = set[str]()
    n_cells = n_lists = 0
    told = str(n_sites)
    for line in text.splitlines():
        words = line.split()
        begin = words[0] if words else ""
        if begin == "TITL":  # of AIRSS: name, pressure, volume, enthalpy, spins, sites, (group)
            told = words[7] if _is_of_airss(words) else str(n_sites)
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


def volume_of_res(text: str) -> str | None:
    """Return the volume in the title of the last crystal of a .res file, if it is told there."""
    titles = [line.split() for line in text.splitlines() if line.startswith("TITL")]
    is_told = titles and _is_of_airss(titles[-1]) and to_number(titles[-1][3]) > 0
    return titles[-1][3] if is_told else None


def _is_of_airss(title: Sequence[str]) -> bool:
    return "".join(title[8:9]).startswith("(") and title[7].isdecimal()


def _check_res_site(words: Sequence[str], elements: Sequence[str]) -> None:
    """Refuse a site that is not whole, or of another element than its number tells."""
    if to_number(words[5]) not in _WHOLE:
        raise StructureError(f"a site has the occupancy {words[5]}, {_WRITE}")
    place = to_number(words[1])
    told = elements[int(place) - 1] if 1 <= place <= len(elements) else "none"
    # Behind the letters stands a number or a charge.
    if len({re.split("[^a-z]", name.lower())[0] for name in (words[0], told)}) > 1:
        raise StructureError(
            f"a site has the name {words[0]!r}, but the element {words[1]} of SFAC is {told}; it "
            "is not clear which counts"
        )


def _check_cells_of_res(text: str) -> None:
    for line in re.findall("^CELL.*", text, re.MULTILINE):
        words = line.split()  # the first number is a wavelength
        _check_cell(words[2:5], words[5:8])


def _check_cell(lengths: Sequence[str], angles: Sequence[str]) -> None:
    """Refuse lengths and angles that no cell has: pymatgen makes another cell of them."""
    if any(to_number(one) <= 0 for one in lengths) or not all(
        0 < to_number(one) < 180 for one in angles
    ):
        cell = " ".join([*lengths, *angles])
        raise StructureError(f"has the cell {cell!r}; check its lengths and angles")


def check_cssr(text: str, n_sites: int) -> None:
    """Refuse a .cssr file with a symmetry, Cartesian coordinates, or what is read in part.

    Raises
    ------
    StructureError
    """
    lengths, angles, counts = ([*text.splitlines(), "", "", ""])[:3]
    angles, _, group = angles.partition("SPGR")
    _check_cell(lengths.split()[-3:], angles.split()[:3])
    number = group.replace("=", " ").split()[:1]
    if number and number != ["1"]:
        raise StructureError(f"has the space group {number[0]}, {_WRITE}")
    numbers = counts.split()
    if numbers[1:2] not in ([], ["0"]):
        raise StructureError(f"has Cartesian coordinates, {_WRITE}")
    if numbers and to_number(numbers[0]) != n_sites:
        raise StructureError(
            f"has {numbers[0]} sites, of which {n_sites} can be read; their symbols must be those "
            "of elements, without charges and shares"
        )
    lines = text.split("\n")[4:]
    for line in lines:
        words = line.split()
        are_numbers = len(words) > 4 and all(map(_DIGITS.fullmatch, words[2:5]))
        # Behind the coordinates come the numbers of neighbors.
        if words and not (are_numbers and "." not in "".join(words[5:6])):
            raise StructureError(f"has the site {line.strip()!r}; write its coordinates as 0.25")
    refuse_cut([line.split() for line in lines if line.strip()])


def other_numbers(numbers: Sequence[str]) -> tuple[str, ...]:
    """Return a remark if the sites of a file are numbered, but not each once, in any order."""
    numbers = [one.lstrip("0") or "0" if one.isdecimal() else one for one in numbers]
    first = 0 if "0" in numbers else 1
    odd = {*numbers} - {*map(str, range(first, first + len(numbers)))}
    wrong = sorted(odd) or repeated(numbers)
    if len({*numbers}) == 1 or not wrong:
        return ()
    return (f"numbers one of its {len(numbers)} sites as {wrong[0]}; one may be lost",)


def crystal_of_xsf(text: str) -> str:
    """Return an .xsf file without grids of numbers and the sites of a conventional cell.

    pymatgen refuses grids as pw.x and pp.x write them, and sites of another cell than the
    primitive one, and makes room for as many numbers of a grid as it claims.

    Raises
    ------
    StructureError
        If a cell or sites stand within a grid.
    """
    parts, end = [], 0
    while grid := _GRID.search(text, end):
        parts.append(text[end : grid.start()])
        close = _END_OF_GRID.search(text, grid.end())
        end = close.end() if close else len(text)
        if inside := _PRIMITIVE.search(text, grid.end(), end):
            raise StructureError(f"has {inside[0].strip()} within a grid; keep one crystal")
    text = "".join([*parts, text[end:]])
    if sites := _CONVCOORD.search(text):
        rows = text[sites.end() :].split("\n", int(sites[1]))
        if all(len(row.split()) > 3 for row in rows[:-1]):  # else who reads it will refuse it
            text = text[: sites.start()] + rows[-1]
    return _DIM_GROUP.sub(lambda head: _DIRECTIONS[head[1]], text)


def check_xsf(text: str, n_sites: int) -> int:
    """Refuse an .xsf file with fewer sites than it says, or with several cells.

    Returns
    -------
    int
        In how many directions it is periodic.

    Raises
    ------
    StructureError
    """
    text = text.upper()  # pymatgen takes both
    if text.count("PRIMVEC") > 1:
        raise StructureError("holds several cells (PRIMVEC); keep one")
    if _PRIMITIVE.findall(text).count("COORD") > 1:
        raise StructureError("holds several lists of sites (PRIMCOORD); keep one")
    _, _, rest = text.partition("PRIMCOORD")
    numbers = "\n".join(rest.splitlines()[1:]).split(maxsplit=1)[:1]
    if numbers and is_number(numbers) and to_number(numbers[0]) != n_sites:
        raise StructureError(
            f"has {numbers[0]} sites, of which {n_sites} can be read; perhaps it is truncated"
        )
    words = set(text.split())
    return next((n for word, n in _PERIODIC.items() if word in words), 3)


def cut_site(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return a remark if the last site has fewer words than all others: a number may be cut."""
    if len(rows) < 2 or len(rows[-1]) >= min(map(len, rows[:-1])):
        return ()
    what = f"its last site, {' '.join(rows[-1])}, has fewer words than the others"
    return (f"{what}; it may be truncated",)


def cut_number(text: str) -> tuple[str, ...]:
    """Return a remark if a text without an end of its last line may be cut within a number.

    It has fewer decimals than the one before it, and those of the line above, which have the same.
    """
    if text[-1:].isspace():
        return ()
    rows = _rows_from_end(text)
    last, above = next(rows), next(rows, [])
    words = [*above[-2:], *last[-2:]]
    if len(words) < 4 or math.isnan(sum(map(to_number, words))):
        return ()
    *usual, n_last = map(n_decimals, words)
    # One digit fewer changes nothing, and is often a zero that is left out.
    if len(set(usual)) > 1 or not n_last + 1 < usual[0] >= MANY_DECIMALS:
        return ()
    # Who leaves out zeros does so in other rows, too.
    alike = takewhile(lambda row: len(row) == len(last) and is_number(row[-1:]), rows)
    if any(n_decimals(word) < usual[0] for row in alike for word in row[-2:]):
        return ()
    return (f"ends with {last[-1]}, which has fewer digits than the numbers above; is it cut?",)


def n_decimals(word: str) -> int:
    return len(word.partition(".")[2])


def _rows_from_end(text: str) -> Iterator[list[str]]:
    """Yield the words of each line, the last one first; of a long line, those at its end."""
    end = len(text)
    while end >= 0:
        begin = text.rfind("\n", 0, end) + 1
        yield text[max(begin, end - _LONGEST_ROW) : end].split()
        end = begin - 1


def refuse_cut(rows: Sequence[Sequence[str]]) -> None:
    for remark in cut_site(rows):
        raise StructureError(remark)


def check_counts_of_xsf(text: str) -> None:
    """Refuse an .xsf file with more sites than lines: pymatgen makes room for so many first.

    Raises
    ------
    StructureError
    """
    _, _, rest = text.upper().partition("PRIMCOORD")
    counts = rest.split(maxsplit=1)[:1]
    check_count([*filter(str.isdecimal, counts)], rest.count("\n") + 1)


def are_counts(words: Sequence[str]) -> bool:
    """Tell whether words are whole numbers, and there are some."""
    return bool(words) and all(map(str.isdecimal, words))


def check_count(counts: Sequence[str], n_lines: int) -> None:
    """Refuse more sites than there are lines."""
    n_sites = sum(int(count[:12]) for count in counts)  # Python refuses the longest
    if n_sites > n_lines:
        raise StructureError(f"has {n_sites} sites, but fewer lines; perhaps it is truncated")


def refuse_underscores(lines: Iterable[str]) -> None:
    """Refuse numbers such as ``1_0``, which Python takes for 10; comments may have them."""
    for line in lines:
        if "_" in line and (found := _UNDERSCORE.search(line.partition("#")[0])):
            raise no_number(found[0])


def refuse_cut_by_comments(text: str) -> None:
    """Refuse a comment directly behind numbers: in ``0.5 4.#78`` it may cut one; not in a title."""
    for line in text.splitlines()[1:]:
        numbers, sign, _ = line.partition("#")
        words = numbers.split()
        is_cut = sign and words and not numbers[-1].isspace()
        if is_cut and not any(math.isnan(to_number(word)) for word in words):
            raise StructureError(
                f"has {line.strip()!r}; write a blank before #, or the digit in its place"
            )


def is_number(words: Sequence[str]) -> bool:
    """Tell whether the first of some words is a number."""
    return not math.isnan(to_number(words[0])) if words else False


def to_number(text: str) -> float:
    """Return the number that a text is, or nan."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
