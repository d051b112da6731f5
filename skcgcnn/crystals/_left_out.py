"""What pymatgen and ASE leave out of files that are no CIFs, or take for something else."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile

import gemmi

from skcgcnn.crystals._cif_words import no_number
from skcgcnn.exceptions import StructureError

_WRITE = "which is not read from such a file; write the crystal as a CIF"
# Of SHELX: no centering and no center of symmetry; a whole atom, whether it is refined or not.
_NO_SYMMETRY, _WHOLE = "-1", (1.0, 11.0)
# A number of a .cssr file, of which pymatgen reads as much as is written in these letters.
_DIGITS = re.compile(r"[\d.-]+")
# The columns of an extended .xyz file: name, kind and number of each, as species:S:1:pos:R:3.
_COLUMNS = r"[^:\s]+:[A-Z]:\d{1,3}"
_PROPERTIES = re.compile(rf"""\bproperties\s*=\s*["']?({_COLUMNS}(:{_COLUMNS})*)""", re.IGNORECASE)
# Among Properties= of an .xyz file, behind a name and a kind.
_COUNT_OF_COLUMNS = re.compile(r":[A-Z]:(\d+)")
# In Quantum ESPRESSO, as Fe1 or O_h.
_LONGEST_SYMBOL = 3
# Of its cards of lengths: behind the name, in braces or parentheses, or none.
_UNIT_OF_CARD = re.compile(
    r"^[^\S\n]*(CELL_PARAMETERS|ATOMIC_POSITIONS)[^\S\n({]*[({]?[^\S\n]*(\w*)", re.MULTILINE
)
_LENGTHS = ("", "alat", "bohr", "angstrom")
_UNITS = {"CELL_PARAMETERS": _LENGTHS, "ATOMIC_POSITIONS": (*_LENGTHS, "crystal")}
# Directions in which an .xsf file repeats; others in all three.
_PERIODIC = {"SLAB": 2, "POLYMER": 1, "MOLECULE": 0}
# Such as programs write; who writes by hand may leave out zeros of fewer.
_MANY_DECIMALS = 5
_LONGEST_ROW = 1_000
# Of Python, and of a comment within a number, which cuts it.
_NO_DIGIT = re.compile(r"(?<!\S)[+-]?[\d.]*(\d_|\d\.?#)\d[\d._]*([eE][+-]?\d+)?(?!\S)")


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
    _refuse_cut([line.split() for line in lines if line.strip()])


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
    _, _, rest = text.partition("PRIMCOORD")
    numbers = "\n".join(rest.splitlines()[1:]).split(maxsplit=1)[:1]
    if numbers and is_number(numbers) and to_number(numbers[0]) != n_sites:
        raise StructureError(
            f"has {numbers[0]} sites, of which {n_sites} can be read; perhaps it is truncated"
        )
    words = set(text.split())
    return next((n for word, n in _PERIODIC.items() if word in words), 3)


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
            if not told[0].startswith("Properties"):  # the one that ASE knows
                raise StructureError(f"tells {told[0]}; write Properties")
            names = told[1].split(":")
            if not {"pos", "positions"} & set(names[::3]):
                raise StructureError(f"its sites have no place (pos) among {told[0]}")
            widths = [*map(int, names[2::3])]
            n_columns = sum(widths)
            for line in lines[place : place + n]:
                if len(line.split()) != n_columns:
                    raise StructureError(
                        f"has the site {line.strip()!r}, but tells {n_columns} columns in {told[0]}"
                    )
            _check_protons(names[::3], widths, lines[place : place + n])
        rows = [line.split() for line in lines[place : place + n]]
        if told is None and len(set(map(len, rows))) > 1:
            most = max(rows, key=len)
            raise StructureError(
                f"has the site {' '.join(most)!r}, of more words than another one; give all the "
                "same columns"
            )
        place += n + _n_vectors(lines, place + n)


def _check_protons(names: Sequence[str], widths: Sequence[int], sites: Sequence[str]) -> None:
    """Refuse sites with two elements: ASE takes their atomic numbers, not their symbols."""
    begins = dict(zip(names, accumulate(widths, initial=0), strict=False))
    symbols, numbers = (
        [*{*names} & {*both}] for both in (("species", "symbols"), ("Z", "numbers"))
    )
    if not symbols or not numbers:
        return
    for site in sites:
        words = site.split()
        symbol, number = words[begins[symbols[0]]], words[begins[numbers[0]]]
        told = gemmi.Element(symbol.capitalize()).atomic_number  # 0 of a label
        if told and number != str(told):
            raise StructureError(
                f"has the site {site.strip()!r} of the element {symbol}, but of the atomic number "
                f"{number}; it is not clear which counts"
            )


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
    head, names, *rows = (line.split() for line in re.split("\r\n?|\n", text.rstrip()))
    [n] = n_sites
    if head[1] == "C":  # without a cell, which is refused later
        return
    # Number, element and place of each site; then an origin and three vectors.
    for words, n_columns in zip(rows, [5] * n + [3] * 4, strict=False):
        if len(words) != n_columns or (n_columns == 5 and not words[0].isdecimal()):
            raise StructureError(
                f"has the line {' '.join(words)!r} in the place of {n_columns} columns"
            )
    if len(rows) != n + 4:
        raise StructureError(
            f"has {len(rows) - 4} lines of sites, of which {n} are counted; check the number"
        )
    used = {words[1] for words in rows[:n]}
    if len(set(names)) < len(names) or len(used) < len(names):
        raise StructureError(
            f"names the elements {' '.join(names)!r}, of which one comes twice or has no site"
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
    for card, unit in _UNIT_OF_CARD.findall(text):
        if unit.lower() not in _UNITS[card]:  # ASE takes bohr
            raise StructureError(f"has {card} in {unit!r}; write angstrom, bohr or alat")
    sites = _rows_of_card(text, "ATOMIC_POSITIONS")
    if len(sites) != n_sites[0]:
        raise StructureError(
            f"has {len(sites)} lines of sites, of which {n_sites[0]} are counted (nat)"
        )
    # ASE writes flags behind fixed sites alone; a number that is cut has fewer decimals.
    if len(set(map(_n_decimals, sites[-1][1:4]))) > 1:
        _refuse_cut(sites)
    named = {row[0] for row in _rows_of_card(text, "ATOMIC_SPECIES")}
    if unused := sorted(named - {site[0] for site in sites}):
        raise StructureError(f"names {', '.join(unused)} (ATOMIC_SPECIES), which no site has")


def _rows_of_card(text: str, name: str) -> list[list[str]]:
    """Return the words of the lines of a card, which begin with a symbol."""
    _, _, rest = text.partition(name)
    words = [re.split("[!#]", line)[0].split() for line in rest.splitlines()[1:]]
    # Longer than a symbol is the name of what comes next, such as K_POINTS.
    rows = takewhile(lambda row: not row or len(row[0]) <= _LONGEST_SYMBOL, words)
    return [row for row in rows if row]


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
    *usual, n_last = map(_n_decimals, words)
    # One digit fewer changes nothing, and is often a zero that is left out.
    if len(set(usual)) > 1 or not n_last + 1 < usual[0] >= _MANY_DECIMALS:
        return ()
    # Who leaves out zeros does so in other rows, too.
    alike = takewhile(lambda row: len(row) == len(last) and is_number(row[-1:]), rows)
    if any(_n_decimals(word) < usual[0] for row in alike for word in row[-2:]):
        return ()
    return (f"ends with {last[-1]}, which has fewer digits than the numbers above; is it cut?",)


def _n_decimals(word: str) -> int:
    return len(word.partition(".")[2])


def _rows_from_end(text: str) -> Iterator[list[str]]:
    """Yield the words of each line, the last one first; of a long line, those at its end."""
    end = len(text)
    while end >= 0:
        begin = text.rfind("\n", 0, end) + 1
        yield text[max(begin, end - _LONGEST_ROW) : end].split()
        end = begin - 1


def _refuse_cut(rows: Sequence[Sequence[str]]) -> None:
    for remark in cut_site(rows):
        raise StructureError(remark)


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
        check_count([lines[place].strip()], len(lines) - place)
        place += int(lines[place].strip()[:12]) + 2
        place += _n_vectors(lines, place)


def _n_vectors(lines: Sequence[str], place: int) -> int:
    """Return how many lines of a cell stand here, behind the sites of an .xyz file."""
    end = place
    while end < len(lines) and lines[end].startswith("VEC"):
        end += 1
    return end - place


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


def refuse_odd_numbers(text: str) -> None:
    """Refuse numbers such as ``1_0`` and ``4.#5``, taken for 10 and 4; a title may have them."""
    for line in text.splitlines()[1:]:
        is_odd = ("_" in line or "#" in line) and "=" not in line
        if is_odd and (found := _NO_DIGIT.search(line)):
            raise no_number(found[0])


def is_number(words: Sequence[str]) -> bool:
    """Tell whether the first of some words is a number."""
    return not math.isnan(to_number(words[0])) if words else False


def to_number(text: str) -> float:
    """Return the number that a text is, or nan."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
