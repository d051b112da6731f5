"""Outputs of Quantum ESPRESSO, as ASE reads them: runs that did not end, or lost lines."""

import re
from collections.abc import Sequence
from io import StringIO
from itertools import takewhile

from skcgcnn.crystals._ase_files import check_terms
from skcgcnn.crystals._ase_inputs import check_units
from skcgcnn.crystals._left_out import is_number
from skcgcnn.exceptions import StructureError

# Of a run of Quantum ESPRESSO, as ASE finds them; it compares each with each.
_STEPS = ("ATOMIC_POSITIONS", "Program PWSCF")
_RESULTS = (
    *("!    total energy", "Forces acting on atoms", "total   stress", "Magnetic moment per site"),
    *("End of self-consistent calculation", "End of band structure calculation"),
)
_MOST_PAIRS = 200_000_000  # which take some seconds
_N_LISTED = re.compile(r"number of (?:atoms/cell|k points) *= *(\d{1,9})")
_POINTS = "wk ="
# A run that writes the sites of each step is longer than so many letters for each.
_MOST_LISTED, _LETTERS_OF_SITE = 1_500_000, 20
_CELL, (_SITES, _START) = "CELL_PARAMETERS", _STEPS
_N_SITES = re.compile(r"number of atoms/cell *= *(\d{1,9})")
_LIST, _SITE = "positions (alat units)", " tau("
_ENERGY, _AXES = _RESULTS[0], "crystal axes:"
_SPECIES = "atomic species   valence"
# At its start, and above each new cell; in bohr³.
_VOLUME = re.compile(r"unit-cell volume += *(\d+\.\d+)")
# A run with exact exchange tells several energies of one crystal.
_HYBRID = "EXX"
# A relaxation writes its last crystal again.
_FINAL, _END = "Begin final coordinates", "JOB DONE."


def check_steps(text: str) -> None:
    """Refuse the output of a run with so many steps that ASE would take minutes or gigabytes.

    Raises
    ------
    StructureError
    """
    check_terms(text)
    n_steps, n_results = (sum(map(text.count, marks)) for marks in (_STEPS, _RESULTS))
    # Sites and k-points, of which ASE reads all again for each step.
    n_listed = sum(map(int, _N_LISTED.findall(text))) + text.count(_POINTS)
    most_listed = max(_MOST_LISTED, len(text) // _LETTERS_OF_SITE)
    if n_steps * n_results > _MOST_PAIRS or n_steps * n_listed > most_listed:
        raise StructureError(
            f"holds {n_steps} steps, {n_results} results and lists of {n_listed} sites and "
            "k-points, too many to be read; keep the last"
        )


def check_run(text: str) -> tuple[str, ...]:
    """Refuse the output of a run whose crystal lost sites or its cell.

    ASE reads the last crystal that has a result, such as an energy, and takes the cell from the
    lines right above its sites, or else that of the start.

    Returns
    -------
    tuple of str
        Remarks, if the run did not end, or there are newer positions than those that are read.

    Raises
    ------
    StructureError
    """
    lines = StringIO(text, newline=None).readlines()
    starts, cards = ([i for i, line in enumerate(lines) if one in line] for one in (_START, _SITES))
    result = max((i for i, line in enumerate(lines) if _is_result(line)), default=0)
    start = max((i for i in starts if i < result), default=None)
    if start is None:  # who reads it will say so
        return ()
    cards = [i for i in cards if i > start]
    read = max((i for i in cards if i < result), default=None)
    names = _check_start(lines[start:read])
    if read is not None and names:
        _check_sites(_sites(lines, read), names)
        _check_cell(lines, start, read)
    remarks = []
    if not any(_END in line for line in lines[max(starts) :]):
        remarks.append(
            f"the run did not end ({_END} is missing); its last crystal with an energy is taken"
        )
    if cards and _is_newer(lines, read, cards[-1], result):
        remarks.append("its newer positions, behind the last energy, have none and are not read")
    n_energies = sum(_ENERGY in line for line in lines[read or start : result + 1])
    if n_energies > 1 and not any(_HYBRID in line for line in lines):
        remarks.append(f"has {n_energies} energies behind its last positions; newer may be lost")
    return tuple(remarks)


def volume_of_run(text: str) -> str | None:
    """Return the volume in Å³ that the output of a run tells of the last cell with a result."""
    from ase.units import Bohr

    result = max(map(text.rfind, _RESULTS))
    told = _VOLUME.findall(text[: max(result, 0)])
    return f"{float(told[-1]) * Bohr**3:.6g}" if told else None


def _is_result(line: str) -> bool:
    return any(mark in line for mark in _RESULTS)


def _sites(lines: Sequence[str], card: int) -> list[list[str]]:
    return [*takewhile(_is_site, map(str.split, lines[card + 1 :]))]


def _step(lines: Sequence[str], card: int) -> tuple[Sequence[str], list[list[str]]]:
    """Return the lines of the cell above some sites, if it may change, and the sites."""
    above = lines[max(card - 5, 0) : card]
    return above if above and _CELL in above[0] else (), _sites(lines, card)


def _is_site(words: Sequence[str]) -> bool:
    return len(words) > 3 and is_number(words[1:])


def _check_start(head: Sequence[str]) -> list[str]:
    """Return the symbols of the sites that a run begins with; none if they are not found.

    Refuse other numbers of them than are told, and of axes: ASE takes as many as it looks for.
    """
    told = next(filter(None, map(_N_SITES.search, head)), None)
    begin = next((i for i, line in enumerate(head) if _LIST in line), None)
    axes = next((i for i, line in enumerate(head) if _AXES in line), None)
    if told is None or begin is None or axes is None:  # who reads it will say so
        return []
    found = [line.split()[:1] for line in head[axes + 1 : axes + 5]]
    if found[:3] != [["a(1)"], ["a(2)"], ["a(3)"]] or found[3:] == found[2:3]:
        raise StructureError("has not the axes a(1), a(2) and a(3), each once, as its cell")
    sites = [*takewhile(lambda line: _SITE in line, head[begin + 1 :])]
    _check_number(len(sites), int(told[1]))
    names = [" ".join(line.partition(_SITE)[0].split()[1:]) for line in sites]
    _check_names(head, names)
    return names


def _check_names(head: Sequence[str], names: Sequence[str]) -> None:
    """Refuse symbols of sites that are not those of the species of a run."""
    begin = next((i for i, line in enumerate(head) if _SPECIES in line), None)
    if begin is None:
        return
    rows = takewhile(_is_site, map(str.split, head[begin + 1 :]))
    known = {row[0] for row in rows}
    if known != {*names}:
        raise StructureError(
            f"has the species {', '.join(sorted(known))}, but sites of "
            f"{', '.join(sorted({*names}))}; it is damaged"
        )


def _check_number(n_sites: int, n_told: int) -> None:
    if n_sites != n_told:
        raise StructureError(
            f"has {n_sites} lines of sites, but tells {n_told} (number of atoms/cell); a line may "
            "be lost, or be there twice"
        )


def _check_sites(sites: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    """Refuse other sites than those that a run begins with."""
    _check_number(len(sites), len(names))
    for site, name in zip(sites, names, strict=True):
        if site[0] != name:
            raise StructureError(
                f"has the site {' '.join(site)!r} in the place of {name}, with which it begins"
            )


def _check_cell(lines: Sequence[str], start: int, card: int) -> None:
    """Refuse sites without a cell in a run that changes it: ASE takes the cell of its start."""
    above = lines[max(start, card - 5) : card]
    if "(" not in lines[card]:
        raise StructureError(f"has {_SITES} without a unit, as no run writes it; it is damaged")
    check_units([lines[card].strip()])
    if above and _CELL in above[0]:
        check_units([above[0].strip()])
        if any(len(row.split()) != 3 for row in above[1:4]):  # of which ASE takes the first three
            raise StructureError(f"has other rows than of three numbers in its last {_CELL}")
        return
    is_row = len(above) > 1 and len(row := above[-2].split()) == 3 and is_number(row)
    if is_row or any(line.lstrip().startswith(_CELL) for line in lines[start:card]):
        raise StructureError(
            f"has no {_CELL} with three rows right above its last {_SITES} with an energy; a line "
            "may be lost, or be there twice"
        )


def _is_newer(lines: Sequence[str], read: int | None, last: int, result: int) -> bool:
    """Tell whether the last positions are others than those that are read."""
    if last < result:
        return False
    if read is None:
        return not any(_FINAL in line for line in lines[result:last])
    return _step(lines, last) != _step(lines, read)
