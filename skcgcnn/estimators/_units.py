"""Units of the columns of y."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from skcgcnn._text import listed
from skcgcnn._warnings import warn_caller
from skcgcnn.crystals import told_units
from skcgcnn.graphs import GraphOptions
from skcgcnn.tasks import Task, column_names

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
        A frame or series may tell units in ``y.attrs["units"]``, by the names of its columns, or
        as a text where there is one; others stand in the names.

    Warns
    -----
    UserWarning
        Where a unit is not that of the name.
    """
    told = _told(y)
    return tuple(
        replace(target, unit=_unit_of(target.name, told.get(target.name, "")))
        if target.is_number
        else target
        for target in targets
    )


def check_units(targets: Sequence[Task], y: Any) -> None:
    """Refuse columns of y that are in other units than those of the fit, where both are known.

    Raises
    ------
    ValueError
        If one is.
    """
    told = _told(y)
    for target, name in zip(
        targets, column_names(y, [target.name for target in targets]), strict=False
    ):
        # What is told counts more than the name, also where the fit was told.
        unit = told.get(name) or ("" if name == target.name else unit_in(name))
        if target.is_number and not target.same_values(replace(target, unit=unit)):
            raise ValueError(
                f"column {name!r} of y is in {unit}, but that of the fit was in {target.unit}: "
                "convert it"
            )


def check_units_beside(name: str, fitted: GraphOptions, given: GraphOptions) -> None:
    """Refuse numbers beside crystals in other units than those of a fit, where both are known.

    Parameters
    ----------
    name : str
        What was fitted, for the message.
    fitted, given : GraphOptions
        With the same numbers.

    Raises
    ------
    ValueError
        If a unit is another one.
    """
    if names := fitted.in_other_units(given):
        both = (dict(zip(o.global_features, o.global_units, strict=True)) for o in (fitted, given))
        mine, theirs = (listed([f"{name} in {units[name]}" for name in names]) for units in both)
        raise ValueError(
            f"{name} was fitted with {mine}; X has {theirs}. Give the numbers in the units of the "
            "fit"
        )


def _told(y: Any) -> dict[str, str]:
    """Return the units that y tells beside its names, by the names."""
    told = getattr(y, "attrs", {}).get("units")
    names = column_names(y, ["target"])
    return {names[0]: told} if isinstance(told, str) and len(names) == 1 else told_units(y, "y")


def _unit_of(name: str, told: str) -> str:
    in_name = unit_in(name)
    if told and in_name and told != in_name:
        warn_caller(
            f"column {name!r} has the unit {in_name} in its name, but {told!r} is told and counts"
        )
    return told or in_name
