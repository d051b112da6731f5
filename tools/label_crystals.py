"""Compute the formation energies of the crystals with the CHGNet 0.3.0 potential.

Each crystal keeps its published cell while its atoms relax. The energies go to ``labels_log.csv``,
one row as soon as it is known; a row that is there is not computed again. ``id_prop.csv`` is
written at the end, from the log.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

from make_crystals import FOLDER, read_crystals
from pymatgen.core import Composition, Lattice, Structure

LOG_COLUMNS = ["cif_id", "static_energy", "energy", "max_force", "steps", "converged"]
MAX_FORCE = 0.02  # eV/angstrom
MAX_STEPS = 500

# Every other crystal of a single element is the reference of its element.
OTHER_POLYMORPHS = {"C_diamond", "Co_fcc"}
FLUORINE = "F_alpha_fluorine"


def alpha_fluorine() -> Structure:
    """Build the reference of fluorine, which is not part of the sample.

    The cell is the one of Meyer, Barrett and Greer (1968). The tilt of the molecules was never
    settled, so they start 18 degrees off the layer normal, in C2/c, and relax like all others.

    Returns
    -------
    Structure
        Four molecules in the conventional cell.
    """
    lattice = Lattice.from_parameters(5.50, 3.28, 7.28, 90, 102.17, 90)
    return Structure.from_spacegroup("C2/c", lattice, ["F"], [[0.2765, 0.3170, 0.0950]])


def relax(structure: Structure, optimizer: Any) -> dict[str, float]:
    """Relax the atoms of a crystal in its cell.

    Parameters
    ----------
    structure : Structure
        The crystal; its primitive cell is computed.
    optimizer : chgnet.model.StructOptimizer
        The potential and the minimizer.

    Returns
    -------
    dict of str to float
        The columns of the log, energies in eV/atom.
    """
    cell = structure.get_primitive_structure()
    run = optimizer.relax(
        cell, fmax=MAX_FORCE, steps=MAX_STEPS, relax_cell=False, assign_magmoms=False, verbose=False
    )["trajectory"]
    max_force = float((run.forces[-1] ** 2).sum(axis=1).max() ** 0.5)
    return {
        "static_energy": round(float(run.energies[0]) / len(cell), 6),
        "energy": round(float(run.energies[-1]) / len(cell), 6),
        "max_force": round(max_force, 4),
        "steps": len(run.energies) - 2,  # the run logs its first and its last geometry besides
        "converged": int(max_force <= MAX_FORCE),
    }


def compute_energies(log: Path) -> None:
    """Append the crystals which the log lacks.

    Parameters
    ----------
    log : path
        The log, made if missing.

    Raises
    ------
    ImportError
        If chgnet is not installed.
    """
    try:
        import torch
        from chgnet.model import CHGNet, StructOptimizer
    except ImportError as error:
        raise ImportError(
            "The formation energies need the CHGNet potential: pip install skcgcnn[potentials]"
        ) from error
    torch.set_num_threads(1)  # the cells are too small for more
    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    optimizer = StructOptimizer(model=model, use_device="cpu", on_isolated_atoms="ignore")
    is_new = not log.exists()
    done = set() if is_new else set(read_energies(log))
    with log.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, LOG_COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        for cif_id in [FLUORINE, *(row["cif_id"] for row in read_crystals())]:
            if cif_id in done:
                continue
            if cif_id == FLUORINE:
                structure = alpha_fluorine()
            else:
                structure = Structure.from_file(FOLDER / f"{cif_id}.cif")
            row = {"cif_id": cif_id, **relax(structure, optimizer)}
            writer.writerow(row)
            file.flush()
            print(*row.values())


def read_energies(log: Path) -> dict[str, float]:
    """Read the energies of the log.

    Parameters
    ----------
    log : path
        The log.

    Returns
    -------
    dict of str to float
        Energy in eV/atom by ``cif_id``.
    """
    with log.open(encoding="utf-8", newline="") as lines:
        return {row["cif_id"]: float(row["energy"]) for row in csv.DictReader(lines)}


def formation_energies(rows: list[dict[str, str]], energies: dict[str, float]) -> dict[str, float]:
    """Subtract the energies of the elements.

    Parameters
    ----------
    rows : list of dict of str to str
        Rows of ``crystals.csv``.
    energies : dict of str to float
        Energy in eV/atom by ``cif_id``.

    Returns
    -------
    dict of str to float
        Formation energy in eV/atom by ``cif_id``.
    """
    references = {"F": energies[FLUORINE]}
    for row in rows:
        composition = Composition(row["formula"])
        if composition.is_element and row["cif_id"] not in OTHER_POLYMORPHS:
            references[composition.elements[0].symbol] = energies[row["cif_id"]]
    return {
        row["cif_id"]: energies[row["cif_id"]]
        - sum(
            fraction * references[symbol] for symbol, fraction in _fractions(row["formula"]).items()
        )
        for row in rows
    }


def _fractions(formula: str) -> dict[str, float]:
    return dict(Composition(formula).fractional_composition.get_el_amt_dict())


def main() -> None:
    """Compute what is missing and write ``id_prop.csv``."""
    parser = argparse.ArgumentParser(description="Label the crystals with formation energies.")
    parser.add_argument("--log", type=Path, default=FOLDER / "labels_log.csv")
    parser.add_argument("--output", type=Path, default=FOLDER / "id_prop.csv")
    arguments = parser.parse_args()
    compute_energies(arguments.log)
    rows = list(read_crystals())
    labels = formation_energies(rows, read_energies(arguments.log))
    with arguments.output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cif_id", "formation_energy", "is_metal"])
        for row in rows:
            energy = f"{labels[row['cif_id']] + 0.0:.4f}"
            writer.writerow([row["cif_id"], energy, row["is_metal"]])


if __name__ == "__main__":
    main()
