"""Units of the columns of y."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import told_units
from skcgcnn.tasks import Task

# What stands in brackets at the end of a name is a unit if it consists of these.
_KNOWN = re.compile(
    "[mk]?eV|m?Ha|Ry|[kM]?J|k?cal|m?K|[kMGT]?Pa|k?bar|Å|A|[nµumck]?m|pm|[mk]?g|m?mol|atoms?|fu|"
    "f\\.u\\.|formula|cell|site|vacancy|m?V|m?W|m?S|m?T|[µμu]B|muB|[GT]?Hz|ps|fs|%|a\\.u\\.|rad|deg|°C?|"
    "ohm|Ω"
)
_IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]+)[)\]]$")
_BETWEEN = re.compile(r"[\s/*·^+-]+|\d+|[⁻⁰¹²³⁴]+")


def unit_in(name: str) -> str:
    """Return the unit in brackets at the end of a name; empty where there is none.

    Examples
    --------
    >>> unit_in("Band gap (eV)"), unit_in("energy [eV/atom]"), unit_in("gap (PBE)")
    ('eV', 'eV/atom', '')
    """
    found = _IN_BRACKETS.search(name.strip())
    if found is None:
        return ""
    parts = [part for part in _BETWEEN.split(found[1]) if part]
    return found[1].strip() if parts and all(map(_KNOWN.fullmatch, parts)) else ""


def with_units(targets: Sequence[Task], y: Any) -> tuple[Task, ...]:
    """Return the numbers among targets with their units.

    Parameters
    ----------
    targets : sequence of Task
        Made of y.
    y : array-like
        A frame or series may tell units in ``y.attrs["units"]``, by the names of its columns;
        others stand in the names.

    Warns
    -----
    UserWarning
        Where a unit is not that of the name.
    """
    told = told_units(y)
    return tuple(
        replace(target, unit=_unit_of(target.name, told.get(target.name, "")))
        if target.is_number
        else target
        for target in targets
    )


def _unit_of(name: str, told: str) -> str:
    in_name = unit_in(name)
    if told and in_name and told != in_name:
        warn_caller(
            f"column {name!r} has the unit {in_name} in its name, but {told!r} is told and counts"
        )
    return told or in_name
