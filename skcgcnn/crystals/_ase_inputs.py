"""Inputs of Quantum ESPRESSO and FHI-aims, as ASE reads them: what it leaves out, or mistakes."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import takewhile
from typing import Any

from skcgcnn._warnings import ignored_warnings
from skcgcnn.crystals._ase_files import LONGEST_TERM
from skcgcnn.crystals._left_out import MANY_DECIMALS, n_decimals, refuse_cut
from skcgcnn.exceptions import StructureError

# In Quantum ESPRESSO, as Fe1 or O_h.
_LONGEST_SYMBOL = 3
_CELL, _SITES = "CELL_PARAMETERS", "ATOMIC_POSITIONS"
# Of its cards of lengths: behind the name, in braces or parentheses, or none.
_UNIT_OF_CARD = re.compile(rf"({_CELL}|{_SITES})[\s({{]*(\w*)")
# A number, or one to be calculated, such as 1/2*3^(-1/2).
_TERM = re.compile(r"[-+*/^().0-9eE]+")
# As in 0.25d0.
_EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")
# Of a list of Fortran: an older sign for its end, and its names with their values.
_END_OF_LIST = re.compile(r"^\s*&end\b.*", re.IGNORECASE)
_PAIR = re.compile(r"(?<![^\s=])([^\s=]+)\s*=\s*([^\s='\"]+)(?![^\s])")
# Of lines that are cut at a column.
_CUT_DECIMALS = 3
# In the order in which ASE and Quantum ESPRESSO look for them in the line, comments included.
_LENGTHS = ("bohr", "angstrom", "alat")
_UNITS = {_CELL: _LENGTHS, _SITES: ("crystal_sg", "crystal", *_LENGTHS)}
_NOT_READ = "crystal_sg"
# What ASE takes of &SYSTEM; lengths in bohr and in Å, of which ASE finds the first alone.
_COUNTS, _BOHRS, _ANGSTROMS = ("ibrav", "nat", "ntyp"), ("celldm(1)", "celldm"), "a"

# Of aims: what a line of a geometry.in begins with, and how many words it has.
_N_WORDS = {"lattice_vector": 4, "atom": 5, "atom_frac": 5}
# What may stand there, too; families of keywords by how they begin.
_WORDS_OF_AIMS = {
    *("calculate_friction", "constrain_relaxation", "constraint_debug", "constraint_region"),
    *("data", "empty", "external_force", "homogeneous_field", "image_potential", "initial_charge"),
    *("initial_moment", "isotope", "magnetic_moment", "magnetic_response", "multipole"),
    *("nuclear_constraints", "nuclear_spin", "pseudocore", "set_vacuum_level", "trust_radius"),
    *("velocity", "verbatim_writeout"),
}
_FAMILIES_OF_AIMS = ("symmetry_", "hessian_", "esp_", "rrs_pbc", "vdw_", "RT_TDDFT_")
# What tells that coordinates are fractions, by the ending of a file.
_FRACTIONS = {
    "gen": re.compile(r"^\s*\d+\s+F\b"),
    "pwi": re.compile(r"(?:^|[\r\n])[ \t]*ATOMIC_POSITIONS[ \t({]*(?i:crystal)\b"),
    "in": re.compile(r"(?:^|[\r\n])[ \t]*atom_frac\s"),
}
_PLUGIN = "FHI-aims IO is moving"


def tells_fractions(text: str, ending: str) -> bool:
    """Tell whether a file says of its coordinates that they are fractions of the cell."""
    pattern = _FRACTIONS.get(ending)
    return pattern is not None and pattern.search(text.removeprefix("\ufeff")) is not None


def _lines(text: str) -> list[str]:
    return re.split("\r\n?|\n", text.removeprefix("\ufeff"))


def _without_comment(line: str) -> str:
    """Return a line of Quantum ESPRESSO without what is behind its mark of a comment."""
    return re.split("[!#]", line)[0]


def read_pwi(text: str) -> Any:
    """Return the Atoms of an input of Quantum ESPRESSO.

    ASE looks for a unit in all of the line of a card, does not know the length A, leaves out
    numbers and sites that are more than it looks for, and takes no comments behind sites.

    Raises
    ------
    StructureError
        If a unit is not clear, or there are other rows or sites than it counts (nat).
    """
    from ase.io.espresso import read_espresso_in, read_fortran_namelist

    plain_text = StringIO(text.removeprefix("\ufeff"), newline=None)  # ends of lines of each kind
    lists, cards = read_fortran_namelist(_END_OF_LIST.sub("/", line) for line in plain_text)
    check_units(cards)
    plain = [_EXPONENT.sub("e", _without_comment(line)) for line in cards]
    _check_cell(_rows_of_card(plain, _CELL))
    system = _without_commas(lists.get("system", {}))
    kept = {key: system[key] for key in _COUNTS if key in system}
    if length := _length(system, plain):
        kept["celldm(1)"] = length
    head = ["&SYSTEM", *(f"{key}={value!r}" for key, value in kept.items()), "/"]
    sites = _rows_of_card(plain, _SITES)
    _check_sites(plain, sites, system.get("nat"), is_ended=text[-1:].isspace())
    for site in sites:
        _check_terms(site)
    return read_espresso_in(StringIO("\n".join([*head, *plain])))


def _without_commas(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what &SYSTEM tells, by names in small letters.

    Blanks may stand in the place of commas, as in ``ibrav=0 nat=2``, which is one text to ASE.
    """
    from ase.io.espresso import str_to_value

    told = dict[str, Any]()
    for key, value in found.items():
        pairs = [(key, value)]
        text = f"{key}={value}"
        if isinstance(value, str) and "=" in value and not _PAIR.sub("", text).strip():
            pairs = [(name, str_to_value(one)) for name, one in _PAIR.findall(text)]
        told |= {re.sub(r"\s", "", name).lower(): one for name, one in pairs}
    return told


def check_units(cards: Sequence[str]) -> None:
    """Refuse cards in a unit that is not known, for which ASE takes bohr, or of a comment."""
    for line in cards:
        if match := _UNIT_OF_CARD.match(line):
            card, unit = match[1], match[2]
            if unit.lower() not in {*_UNITS[card], ""} - {_NOT_READ}:
                raise StructureError(f"has {card} in {unit!r}; write angstrom, bohr or alat")
            found = next((one for one in _UNITS[card] if one in line.lower()), "")
            if found != unit.lower():
                raise StructureError(
                    f"has the line {line!r}, in which Quantum ESPRESSO finds the unit {found}, "
                    "though it is in a comment; write the unit alone"
                )


def _length(system: dict[str, Any], cards: Sequence[str]) -> float:
    """Return the length in bohr that is the unit of cards without one, or 0."""
    from ase.units import Bohr

    told = {key: system[key] for key in (*_BOHRS, _ANGSTROMS) if system.get(key)}
    if len(told) > 1:
        raise StructureError(f"tells its length as {' and as '.join(told)}; keep one")
    for key, value in told.items():
        if isinstance(value, (bool, str)) or not value > 0:  # nor is nan
            raise StructureError(f"has {value!r} as its length ({key}); write a number above 0")
        if key != _ANGSTROMS:
            return float(value)
        # Beside a cell in a unit of its own, ASE takes no other.
        unit = next((match[2] for line in cards if (match := _is_cell(line))), "")
        return 0.0 if unit.lower() in ("bohr", "angstrom") else float(value) / float(Bohr)
    return 0.0


def _is_cell(line: str) -> re.Match[str] | None:
    return _UNIT_OF_CARD.match(line) if line.startswith(_CELL) else None


def _check_cell(rows: Sequence[Sequence[str]]) -> None:
    """Refuse other rows than three of three numbers: ASE takes the first ones."""
    for row in rows:
        if len(row) != 3:
            raise StructureError(
                f"has the row {' '.join(row)!r} in {_CELL}; write three rows of three numbers"
            )
    if len(rows) not in (0, 3):  # without the card, who reads it will say so
        raise StructureError(f"has {len(rows)} rows in {_CELL}; write three of three numbers")


def _check_terms(site: Sequence[str]) -> None:
    """Refuse a coordinate that is none: of it, ASE says nothing that helps."""
    if len(site) < 4:
        raise StructureError(f"has the site {' '.join(site)!r}; write a symbol and three numbers")
    for term in site[1:4]:
        if len(term) > LONGEST_TERM:  # of each letter, ASE keeps thousands
            raise StructureError(f"has the term {term!r} of {len(term)} letters; write its value")
        if not _TERM.fullmatch(term):
            raise StructureError(
                f"has the site {' '.join(site)!r}, in which {term!r} is no number; write it as 0.25"
            )


def _check_sites(
    cards: Sequence[str], sites: Sequence[Sequence[str]], n_sites: Any, *, is_ended: bool
) -> None:
    """Refuse other sites than are counted, a last one that is cut, and elements without a site."""
    if isinstance(n_sites, int) and len(sites) != n_sites:
        raise StructureError(
            f"has {len(sites)} lines of sites ({_SITES}), but counts {n_sites} (nat); one may be "
            f"lost, be too many, or have a symbol of more than {_LONGEST_SYMBOL} letters"
        )
    # ASE writes flags behind fixed sites alone; a number that is cut has fewer decimals.
    if sites and not is_ended and len(set(map(n_decimals, sites[-1][1:4]))) > 1:
        refuse_cut(sites)
    named = {row[0] for row in _rows_of_card(cards, "ATOMIC_SPECIES")}
    if unused := sorted(named - {site[0] for site in sites}):
        raise StructureError(f"names {', '.join(unused)} (ATOMIC_SPECIES), which no site has")


def cut_cell(text: str) -> tuple[str, ...]:
    """Return a remark if the last column of a cell has far fewer decimals than the others."""
    rows = _rows_of_card([_without_comment(line).strip() for line in _lines(text)], _CELL)
    if not rows or any(len(row) != 3 for row in rows):
        return ()
    fewest = min(n_decimals(word) for row in rows for word in row[:2])
    most = max(n_decimals(row[2]) for row in rows)
    if fewest < MANY_DECIMALS or most > fewest - _CUT_DECIMALS:
        return ()
    what = (
        f"the last column of its {_CELL}, such as {rows[-1][2]}, has fewer digits than the others"
    )
    return (f"{what}; is it cut?",)


def _rows_of_card(cards: Sequence[str], name: str) -> list[list[str]]:
    """Return the words of the lines of a card: numbers of a cell, or what begins with a symbol."""
    begin = next((place for place, line in enumerate(cards) if line.startswith(name)), len(cards))
    rows = filter(None, map(str.split, cards[begin + 1 :]))
    # Longer than a symbol is the name of what comes next, such as K_POINTS.
    return [*takewhile(_is_in_cell if name == _CELL else _is_of_symbol, rows)]


def _is_in_cell(row: Sequence[str]) -> bool:
    return not row[0][0].isalpha()


def _is_of_symbol(row: Sequence[str]) -> bool:
    return len(row[0]) <= _LONGEST_SYMBOL


def read_geometry(text: str) -> Any:
    """Return the Atoms of a geometry.in.

    ASE gets the lines of the cell and the sites alone: of what is kept in a relaxation it makes
    large matrices, and it refuses a cell that is kept, or velocities of some sites.

    Raises
    ------
    StructureError
        If a line is not one of a geometry.in: ASE leaves out what it does not know.
    """
    from ase.io.aims import read_aims

    lines = [line.partition("#")[0].split() for line in _lines(text)]
    for words in lines:
        _check_line(words)
    kept = [" ".join(words) for words in lines if words and words[0] in _N_WORDS]
    with ignored_warnings(_PLUGIN):  # of use to developers alone
        return read_aims(StringIO("\n".join(kept)))


def _check_line(words: Sequence[str]) -> None:
    if not words:
        return
    first = words[0]
    if first in _N_WORDS:
        if len(words) != _N_WORDS[first]:
            raise StructureError(
                f"has the line {' '.join(words)!r}; write {first} with {_N_WORDS[first] - 1} words "
                "behind it, and what is a comment behind #"
            )
    elif first not in _WORDS_OF_AIMS and not first.startswith(_FAMILIES_OF_AIMS):
        near = [word for word in _N_WORDS if word.replace("_", "") in _letters(first)]
        hint = f"write {near[-1]}" if near else "correct it, or write # before it"
        raise StructureError(f"has the line {' '.join(words)!r}, which no geometry.in has; {hint}")


def _letters(word: str) -> str:
    return re.sub("[^a-z]", "", word.lower())
