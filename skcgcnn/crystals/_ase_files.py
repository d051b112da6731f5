"""What ASE leaves out of files, or takes for something else, and what it takes too long for."""

import io
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Any

import gemmi

from skcgcnn._text import repeated
from skcgcnn.crystals._left_out import check_count, other_numbers, to_number
from skcgcnn.crystals._packed import first_line
from skcgcnn.exceptions import StructureError

# The columns of an extended .xyz file: name, kind and number of each, as species:S:1:pos:R:3.
_COLUMNS = r"[^:\s]+:[A-Z]:\d{1,3}"
_PROPERTIES = re.compile(rf"""\bproperties\s*=\s*["']?({_COLUMNS}(:{_COLUMNS})*)""", re.IGNORECASE)
# Among Properties= of an .xyz file, behind a name and a kind.
_COUNT_OF_COLUMNS = re.compile(r":[A-Z]:(\d+)")
# Lattice="..." of a frame of an .xyz file.
_CELL_OF_FRAME = re.compile(r"""\blattice\s*=\s*["'\[{]?([^"'=]*)""", re.IGNORECASE)
# What is told of a frame, of which ASE takes the last of each name.
_TOLD_ONCE = re.compile(r"""(?<!\S)(["']?)(Lattice|Properties)\1\s*=""")
# A value, which may be a comment that holds such a name.
_QUOTED = re.compile(r"""=\s*("[^"]*"|'[^']*')""")
# Of these, ASE looks up the elements, and raises a KeyError for what is none.
_OF_SYMBOLS = ("xyz", "extxyz", "gen", "in")
# Two names of one column of an .xyz file.
_SAME = (("pos", "positions"), ("species", "symbols"), ("Z", "numbers"))
# Of a coordinate with brackets, each of which ASE looks for from the start.
LONGEST_TERM = 100


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
            names, widths = told[1].split(":")[::3], [*map(int, told[1].split(":")[2::3])]
            if not {"pos", "positions"} & {*names}:
                raise StructureError(f"its sites have no place (pos) among {told[0]}")
            if twice := [both for both in _SAME if {*both} <= {*names}]:
                raise StructureError(f"has {' and '.join(twice[0])}, which are one; remove one")
            n_columns = sum(widths)
            for line in lines[place : place + n]:
                if len(line.split()) != n_columns:
                    raise StructureError(
                        f"has the site {line.strip()!r}, but tells {n_columns} columns in {told[0]}"
                    )
            _check_protons(names, widths, lines[place : place + n])
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
    of_symbol, of_number = ([begins[name] for name in both if name in begins] for both in _SAME[1:])
    if not of_symbol or not of_number:
        return
    for site in sites:
        words = site.split()
        symbol, number = words[of_symbol[0]], words[of_number[0]]
        told = gemmi.Element(symbol.capitalize()).atomic_number  # 0 of a label
        if told and to_number(number) != told:
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


def numbers_of_gen(text: str) -> tuple[str, ...]:
    """Return a remark if the sites of a .gen file are not numbered one by one."""
    rows = map(str.split, re.split("\r\n?|\n", text)[2:])
    return other_numbers([row[0] for row in takewhile(lambda row: len(row) == 5, rows)])


def check_counts_of_xyz(text: str) -> None:
    """Refuse an .xyz file with more sites than lines, more columns than letters, or two cells.

    ASE looks for each of them, and takes the last cell of a frame.

    Raises
    ------
    StructureError
    """
    counts = [int(count[:12]) for count in _COUNT_OF_COLUMNS.findall(text)]
    if sum(counts) > len(text):  # ASE makes lists of so many
        most = max(counts)
        raise StructureError(f"tells {most} columns of its sites, which it does not have")
    lines = text.split("\n")
    place = 0
    while place < len(lines) and lines[place].strip().isdecimal():
        check_count([lines[place].strip()], len(lines) - place)
        if not lines[place].strip("0 \t\r"):  # a small file can have a million of them
            raise StructureError("has a frame without sites; remove it")
        head = _QUOTED.sub("= ", "".join(lines[place + 1 : place + 2]))
        if twice := repeated(match[2] for match in _TOLD_ONCE.finditer(head)):
            raise StructureError(f"tells {' and '.join(sorted(twice))} twice in a line; keep one")
        place += int(lines[place].strip()[:12]) + 2
        place += _n_vectors(lines, place)


def _n_vectors(lines: Sequence[str], place: int) -> int:
    """Return how many lines of a cell stand here, behind the sites of an .xyz file."""
    end = place
    while end < len(lines) and lines[end].startswith("VEC"):
        end += 1
    return end - place


def numbers_of_frames(text: str) -> Iterator[str]:
    """Yield lines of an .xyz file, but of what is told of a frame its cell alone."""
    for line in text.splitlines():
        cells = _CELL_OF_FRAME.findall(line)
        if cells or "=" not in line:
            yield re.sub(r"[,\[\]{}]", " ", " ".join(cells)) if cells else line


def check_terms(text: str) -> None:
    """Refuse a coordinate with many brackets, for which ASE would take hours.

    Raises
    ------
    StructureError
    """
    for word in text.split():
        if len(word) > LONGEST_TERM and "(" in word:
            raise StructureError(f"has the term {word!r} of {len(word)} letters; write its value")


def why_unread(error: Exception, ending: str) -> str:
    """Return what is wrong with a file of some ending that ASE cannot read."""
    name = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(name, str) and ending in _OF_SYMBOLS:
        return f"names the element {name!r}; write its symbol"
    return f"ASE cannot read it ({first_line(error)}); save the crystal as a CIF"


def last_of_trajectory(path: str) -> list[Any]:
    """Return the last frame of a .traj file, twice where there are several."""
    from ase.io.trajectory import TrajectoryReader

    # In memory, or lengths that are damaged would ask for more of it than there is.
    with open(path, "rb") as file, TrajectoryReader(io.BytesIO(file.read())) as frames:  # noqa: PTH123
        return [frames[-1]] * min(len(frames), 2)
