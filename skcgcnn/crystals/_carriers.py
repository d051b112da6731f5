"""Crystals in the objects and dictionaries of other libraries."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skcgcnn._numbers import read_float
from skcgcnn.crystals._cif_claims import far_sites
from skcgcnn.crystals._entries import other_composition, other_count
from skcgcnn.exceptions import StructureError

# Of OPTIMADE: atoms without a place, and groups of sites of which one is there.
_UNREAD = ("implicit_atoms", "site_attachments", "assemblies")
# Numbers of a lattice in a dictionary of pymatgen.
_CELL = ("matrix", "a", "b", "c", "alpha", "beta", "gamma")
# How far they may be from the matrix, relatively, and Cartesian coordinates from fractional, in Å.
_CELL_TOLERANCE = 0.003
_PLACE_TOLERANCE = 0.05
_MOST_PROTONS = 118
_NO_ELEMENT = re.compile(r"\s*[\d+.-]+[^\d\s+.-]")
_UNREAD_SHARES = "so that it is not read; pass the CIF or a Structure, or remove it if it is not so"
_PERIODIC_IN_PART = "is periodic in {} of three directions; it is taken as periodic in all three"


def is_crystal(source: Any) -> bool:
    """Tell whether an object carries a crystal in a way that cannot be mistaken."""
    holds_one = isinstance(source, Mapping) and len(_inner_crystals(source)) == 1
    return is_bare_crystal(source) or holds_one


def is_bare_crystal(source: Any) -> bool:
    """Tell whether an object is a crystal, and no dictionary that holds one beside its values."""
    return (
        is_structure(source)
        or is_atoms(source)
        or is_structure(getattr(source, "structure", None))
        or _is_of(source, "ase", "AtomsRow")
        or _is_of(source, "jarvis", "Atoms")
        or _is_of(source, "phonopy", "PhonopyAtoms")
        or _is_of(source, "pymatgen", "TransformedStructure")
        or (isinstance(source, Mapping) and _format(source) is not None)
    )


def _inner_crystals(source: Mapping[Any, Any]) -> list[Any]:
    """Return the crystals that an object of JSON holds beside its other values.

    As `data`, OPTIMADE answers with one entry, or with a list of them.
    """
    values = [*source.values()]
    entries = source.get("data")
    if isinstance(entries, list) and len(entries) == 1:
        values += entries
    return [value for value in values if is_bare_crystal(value)]


def is_structure(source: Any) -> bool:
    """Tell whether an object is a Structure of pymatgen."""
    return _is_of(source, "pymatgen", "IStructure")


def is_atoms(source: Any) -> bool:
    """Tell whether an object is an Atoms of ASE."""
    return _is_of(source, "ase", "Atoms")


def _is_of(source: Any, package: str, class_name: str) -> bool:
    # By name, so that X of paths needs none of these libraries.
    return any(
        base.__name__ == class_name and base.__module__.split(".")[0] == package
        for base in type(source).__mro__
    )


def to_structure(source: Any) -> tuple[Any, list[str]]:
    """Return the crystal of an object as a Structure of pymatgen, with remarks.

    Parameters
    ----------
    source : object
        A Structure, Atoms, AtomsRow, an object with a `structure`, a TransformedStructure, Atoms of
        JARVIS, PhonopyAtoms, a dictionary of pymatgen, OPTIMADE or JARVIS, or one that holds one of
        these, such as an entry.

    Returns
    -------
    structure : pymatgen Structure
    remarks : list of str

    Raises
    ------
    StructureError
        If there is no crystal in it.
    """
    crystal = _unwrapped(source)
    structure, remarks = _read(crystal)
    inner = crystal.get("attributes") if isinstance(crystal, Mapping) else None
    outer = None if source is crystal else source
    entries = [one for one in (outer, crystal, inner) if isinstance(one, Mapping)]
    return structure, [*remarks, *(_other_crystal(entries, structure)[:1] if entries else [])]


def _other_crystal(entries: Sequence[Mapping[Any, Any]], structure: Any) -> list[str]:
    """Return remarks where entries tell another number of sites or composition."""
    species = [[(one.Z, share) for one, share in site.species.items()] for site in structure]
    # What is no element is refused later, and has no symbol.
    if not all(0 < z <= _MOST_PROTONS for site in species for z, _ in site):
        return []
    return [
        remark
        for entry in entries
        for remark in (*other_count(entry, len(species)), *other_composition(entry, species))
    ]


def _read(source: Any) -> tuple[Any, list[str]]:
    if is_structure(source):
        return source, partly_periodic(source.lattice.pbc)
    if is_atoms(source):
        return _from_atoms(source)
    if _is_of(source, "phonopy", "PhonopyAtoms"):
        return _structure(source.cell, source.symbols, source.scaled_positions), []
    if isinstance(source, Mapping) and (kind := _format(source)) is not None:
        try:
            structure = _FROM_MAPPING[kind](source)
            told = [*_left_out(source), *_told_otherwise(source, structure)]
            far = far_sites(structure.frac_coords) if _has_fractions(source) else ()
            return structure, [*partly_periodic(structure.lattice.pbc), *told, *far]
        except (StructureError, MemoryError):
            raise
        except Exception as error:  # whatever the content provokes
            raise StructureError(f"no crystal in this dictionary of {kind} ({error!r})") from error
    if _is_of(source, "pymatgen", "IMolecule"):
        raise StructureError("is a Molecule, which has no lattice; pass a Structure")
    more = (
        "; write each of its items as a line of JSON (.jsonl)" if isinstance(source, list) else ""
    )
    raise StructureError(f"is of type {type(source).__name__}, which carries no crystal{more}")


def _unwrapped(source: Any) -> Any:
    """Return the crystal that an entry of a database holds."""
    if not is_structure(source) and is_structure(getattr(source, "structure", None)):
        return source.structure
    if _is_of(source, "pymatgen", "TransformedStructure"):
        return source.final_structure
    if isinstance(source, Mapping) and _format(source) is None:
        inner = _inner_crystals(source)
        if len(inner) != 1:
            raise StructureError(
                f"is a dictionary that holds {len(inner) or 'no'} crystals; expected one"
                + ("" if inner else _other_json(source))
            )
        return _unwrapped(inner[0])
    if _is_of(source, "ase", "AtomsRow"):
        return source.toatoms()
    return source.to_dict() if _is_of(source, "jarvis", "Atoms") else source


def _other_json(source: Mapping[Any, Any]) -> str:
    """Return what to do with what others write as JSON."""
    entries = source.get("data")
    if isinstance(entries, list) and len(entries) > 1:
        return f". Its data are {len(entries)}; write each as a line of JSON (.jsonl)"
    if not source:
        return ""
    return (
        ". As JSON, crystals of pymatgen, OPTIMADE and JARVIS are read; write others as CIF, keep "
        "those of ASE in its database (.db), or pass the Atoms"
    )


def _from_atoms(atoms: Any) -> tuple[Any, list[str]]:
    from pymatgen.io.ase import AseAtomsAdaptor

    if not np.asarray(atoms.cell).any():
        raise StructureError("these Atoms have no cell; set it, with pbc=True")
    try:
        # What is held in place says nothing of a crystal, and takes minutes of many sites.
        bare = atoms.copy()
        bare.set_constraint()
        structure = AseAtomsAdaptor.get_structure(bare)
    except MemoryError:
        raise
    except Exception as error:
        raise StructureError(f"no crystal in these Atoms ({error})") from error
    if (species := _shared_sites(atoms)) is not None:
        structure = _structure(structure.lattice.matrix, species, structure.frac_coords)
    return structure, partly_periodic(atoms.pbc)


def _shared_sites(atoms: Any) -> list[Any] | None:
    """Return the elements of every site where some are shared; else None.

    An Atoms has one element for every site. Where a CIF says more, ASE keeps it beside: which
    elements share a site, in ``info``, and which of these each site is, in an array.
    """
    shares, kinds = atoms.info.get("occupancy"), atoms.arrays.get("spacegroup_kinds")
    column = atoms.arrays.get("occupancy")  # of a PDB file, where many programs write 0 for all
    if column is not None and column.dtype.kind == "f" and ((column > 0) & (column < 1)).any():
        raise StructureError(f"its array 'occupancy' holds shares of sites, {_UNREAD_SHARES}")
    if not isinstance(shares, Mapping):
        return None
    if kinds is None:  # lost in a .traj file, for example
        if all(isinstance(one, Mapping) and [*one.values()] == [1] for one in shares.values()):
            return None
        raise StructureError(
            "info['occupancy'] says that elements share its sites, or fill them in part, but no "
            f"array 'spacegroup_kinds' says which, {_UNREAD_SHARES}"
        )
    shares = {str(kind): share for kind, share in shares.items()}
    species = []
    for kind, symbol in zip(kinds, atoms.symbols, strict=True):
        share = shares.get(str(kind), {})
        # An element that was put there later is not part of what the CIF said.
        species.append(dict(share) if symbol in share else {symbol: 1.0})
    return species


def partly_periodic(pbc: Any) -> list[str]:
    """Return a remark on a crystal that is not periodic in all of its directions."""
    n = int(np.count_nonzero(pbc))
    return [] if n == 3 else [_PERIODIC_IN_PART.format(n)]


def _left_out(source: Mapping[str, Any]) -> list[str]:
    """Return a remark where OPTIMADE says that a crystal has more than its sites."""
    features = source.get("attributes", source).get("structure_features") or []
    unread = [name for name in features if name in _UNREAD]
    return [f"has {', '.join(unread)}, which are not read"] if unread else []


def _has_fractions(source: Mapping[str, Any]) -> bool:
    """Tell whether coordinates are given as fractions alone."""
    return _format(source) == "JARVIS" and not source.get("cartesian", False)


def _told_otherwise(source: Mapping[str, Any], structure: Any) -> list[str]:
    """Return remarks where a dictionary has another crystal beside what counts.

    Beside the matrix stand lengths, angles and the volume, and beside fractional coordinates of
    pymatgen those in Å: a program may have changed one of them.
    """
    lattice, cell, sites = structure.lattice, dict[str, Any](), list[Any]()
    if _format(source) == "pymatgen":
        cell, sites = source["lattice"], source["sites"]
    if _format(source) == "JARVIS":
        for names, told in ((_CELL[1:4], source.get("abc")), (_CELL[4:], source.get("angles"))):
            if isinstance(told, Sequence) and len(told) == 3:
                cell |= zip(names, told, strict=True)
    remarks = []
    numbers = zip((*_CELL[1:], "volume"), (*lattice.parameters, lattice.volume), strict=True)
    for name, number in numbers:
        told = read_float(str(cell.get(name)))
        if told is not None and abs(told - number) > _CELL_TOLERANCE * abs(number):
            remarks.append(f"tells {name} = {told:g}, but its matrix, which counts, has {number:g}")
            break
    places = [site.get("xyz") for site in sites]
    known = [site for site, place in enumerate(places) if np.shape(place) == (3,)]
    if 0 < len(known) < len(sites):
        missing = min({*range(len(sites))} - {*known})
        remarks.append(f"has no xyz of site {missing}, but of others; is it damaged?")
    if known:
        xyz = np.array([places[site] for site in known], dtype=float)
        moved = lattice.get_fractional_coords(xyz) - structure.frac_coords[known]
        distances = np.linalg.norm(lattice.get_cartesian_coords(moved - np.rint(moved)), axis=1)
        if distances.max() > _PLACE_TOLERANCE:
            site = known[int(distances.argmax())]
            remarks.append(f"has an xyz of site {site} that is not its abc, which counts")
    return remarks


def _format(source: Mapping[Any, Any]) -> str | None:
    """Return who writes such dictionaries."""
    keys = source.keys()
    if {"lattice", "sites"} <= keys:
        return "pymatgen"
    if {"lattice_mat", "coords", "elements"} <= keys:
        return "JARVIS"
    if isinstance(source.get("attributes"), Mapping):
        keys = source["attributes"].keys()
    return "OPTIMADE" if {"lattice_vectors", "cartesian_site_positions"} <= keys else None


def check_modules(content: Any) -> None:
    """Refuse content that names classes of others than pymatgen, which decoding would import.

    Raises
    ------
    StructureError
        If it does.
    """
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            module = value.get("@module")
            if module is not None and not str(module).startswith("pymatgen.core."):
                raise StructureError(f"names the module {module!r}, which is not imported")
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)


def _from_pymatgen(source: Mapping[str, Any]) -> Any:
    from pymatgen.core import Structure

    # Whoever wrote it, such as a TransformedStructure with its history. Properties, such as
    # forces, say nothing of the crystal, and pymatgen compares each of their names with each.
    sites = [
        {name: value for name, value in site.items() if name != "properties"}
        for site in source["sites"]
    ]
    parts = {"lattice": source["lattice"], "sites": sites}
    check_modules(parts)
    cell = parts["lattice"]
    _check_numbers("lattice", [value for name, value in cell.items() if name in _CELL])
    for site in parts["sites"]:
        places = [site.get(name) for name in ("abc", "xyz")]
        _check_numbers("sites", [*places, *(one.get("occu") for one in site["species"])])
        kinds = [repr({**one, "occu": None}) for one in site["species"]]
        if len(set(kinds)) < len(kinds):  # of two shares, pymatgen takes the last
            raise StructureError("a site has one element twice; add up its shares")
    return Structure.from_dict(parts)


def _from_jarvis(source: Mapping[str, Any]) -> Any:
    cartesian = source.get("cartesian", False)
    if cartesian not in (True, False):  # every text would be true
        raise StructureError(f"cartesian is {cartesian!r}; write true or false, without quotes")
    for name in ("lattice_mat", "coords"):
        _check_numbers(name, source[name])
    _check_elements(source["elements"])
    return _structure(source["lattice_mat"], source["elements"], source["coords"], bool(cartesian))


def _from_optimade(source: Mapping[str, Any]) -> Any:
    from pymatgen.core import Lattice

    entry = source.get("attributes", source)
    kinds = {kind["name"]: kind for kind in entry.get("species") or []}
    if len(kinds) < len(entry.get("species") or []):
        raise StructureError("two of its species have one name")
    n_told, n_sites = entry.get("nsites"), len(entry["species_at_sites"])
    if n_told is not None and n_told != n_sites:
        raise StructureError(f"has {n_sites} sites, but says that it has {n_told}")
    shares_of = dict[str, dict[str, float]]()
    for name in entry["species_at_sites"]:
        if name not in shares_of:
            kind = kinds.get(name, {"chemical_symbols": [name], "concentration": [1.0]})
            _check_numbers("concentration", kind["concentration"])
            _check_elements(kind["chemical_symbols"])
            shares = dict[str, float]()  # isotopes have one symbol
            for symbol, share in zip(kind["chemical_symbols"], kind["concentration"], strict=True):
                shares[symbol] = shares.get(symbol, 0) + share
            shares.pop("vacancy", None)
            shares_of[name] = shares
    species = [shares_of[name] for name in entry["species_at_sites"]]
    for name in ("lattice_vectors", "cartesian_site_positions"):
        if entry[name] is None:  # as OPTIMADE answers what is not known
            raise StructureError(f"has no {name}")
        _check_numbers(name, entry[name])
    lattice = Lattice(entry["lattice_vectors"], entry.get("dimension_types") or (True,) * 3)
    return _structure(lattice, species, entry["cartesian_site_positions"], True)


def _check_numbers(what: str, values: Any) -> None:
    """Refuse what NumPy would take for a number: ``1_0`` for 10, and true for 1."""
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, bool) or (isinstance(value, str) and read_float(value) is None):
            raise StructureError(f"{what} holds {value!r}, which is not a number")


def _check_elements(symbols: Any) -> None:
    """Refuse what pymatgen would take for an atomic number, such as ``1_0`` and true."""
    for symbol in symbols:
        if symbol is True or (isinstance(symbol, str) and _NO_ELEMENT.match(symbol)):
            raise StructureError(f"{symbol!r} is no element; write its symbol")


def _structure(
    lattice: Any, species: Sequence[Any], coords: npt.ArrayLike, cartesian: bool = False
) -> Any:
    from pymatgen.core import Lattice, Structure

    return Structure(
        lattice if isinstance(lattice, Lattice) else Lattice(lattice),
        list(species),
        np.asarray(coords),
        coords_are_cartesian=cartesian,
    )


_FROM_MAPPING = {"pymatgen": _from_pymatgen, "JARVIS": _from_jarvis, "OPTIMADE": _from_optimade}
