"""Compute the labels of the set: formation energies with CHGNet 0.3.0, divacancies by geometry.

1. The cell of every host relaxes once, with its ions, in the supercell of its first group. All
   supercells of the host are strained to the hexagonal a and c that come out.
2. The ions of every pristine supercell relax from their ideal places.
3. The ions of every structure relax from the relaxed places of its pristine supercell.

The energies go to ``labels_log.csv``, one row as soon as it is known; a row that is there is not
computed again. ``id_prop.csv`` is written at the end, from the log.
"""

import argparse
import csv
import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from make_dataset import Group, Member, make_groups, make_members
from make_hosts import FOLDER, read_hosts
from pymatgen.core import Lattice, Structure

LOG_COLUMNS = ["id", "kind", "energy", "max_force", "steps", "a", "c"]
LITHIUM = "Li_bcc"
MAX_FORCE = 0.05  # eV/angstrom
MAX_STEPS = 200

Row = dict[str, Any]


class Potential:
    """CHGNet 0.3.0 and how it relaxes ions and cells, on one CPU thread.

    Raises
    ------
    ImportError
        If chgnet is not installed.
    """

    def __init__(self) -> None:
        try:
            import torch
            from chgnet.model import CHGNet, CHGNetCalculator
        except ImportError as error:
            raise ImportError(
                "The energies need the CHGNet potential: pip install skcgcnn[label]"
            ) from error

        class EnergyAndForces(CHGNetCalculator):
            """The calculator without stress and magnetic moments, a quarter faster."""

            def calculate(
                self,
                atoms: Any = None,
                properties: list | None = None,
                system_changes: list | None = None,
            ) -> None:
                super().calculate(atoms, properties, system_changes, task="ef")

        torch.set_num_threads(1)  # the cells are too small for more
        model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
        self._ions = EnergyAndForces(model, use_device="cpu")
        self._cell = CHGNetCalculator(model, use_device="cpu")

    def relax_ions(self, structure: Structure) -> tuple[Structure, Row]:
        """Relax the ions in a fixed cell.

        Parameters
        ----------
        structure : Structure
            Where they start.

        Returns
        -------
        Structure
            With the sites in the same order.
        dict
            Columns of the log: energy of the cell in eV, largest force in eV/angstrom, steps.
        """
        from ase.optimize.precon import Exp, PreconLBFGS

        atoms = _to_atoms(structure)
        atoms.calc = self._ions
        # Fixed stiffness: the estimate would cost force calls. Half the steps of BFGS.
        optimizer = PreconLBFGS(atoms, precon=Exp(A=3, mu=1.0), use_armijo=False, logfile=None)
        optimizer.run(fmax=MAX_FORCE, steps=MAX_STEPS)
        return _to_structure(atoms), _row(atoms, optimizer.nsteps)

    def relax_cell(self, structure: Structure) -> tuple[Structure, Row]:
        """Relax the cell and the ions.

        Parameters
        ----------
        structure : Structure
            Where they start.

        Returns
        -------
        Structure
        dict
            As of `relax_ions`.
        """
        from ase.filters import FrechetCellFilter
        from ase.optimize import LBFGS

        atoms = _to_atoms(structure)
        atoms.calc = self._cell
        optimizer = LBFGS(FrechetCellFilter(atoms), logfile=None)
        with warnings.catch_warnings():
            # SciPy warns of errors of 4e-13 in the logarithm of the strain.
            warnings.simplefilter("ignore", RuntimeWarning)
            optimizer.run(fmax=MAX_FORCE, steps=MAX_STEPS)
        return _to_structure(atoms), _row(atoms, optimizer.nsteps)


def _to_atoms(structure: Structure) -> Any:
    from pymatgen.io.ase import AseAtomsAdaptor

    return AseAtomsAdaptor.get_atoms(structure, msonable=False)


def _to_structure(atoms: Any) -> Structure:
    return Structure(atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions())


def _row(atoms: Any, steps: int) -> Row:
    return {
        "energy": round(float(atoms.get_potential_energy()), 5),
        "max_force": round(float(np.linalg.norm(atoms.get_forces(), axis=1).max()), 4),
        "steps": steps,
    }


def hexagonal_constants(structure: Structure, supercell: tuple[int, int, int, int]) -> Row:
    """Return the mean hexagonal lattice constants of a supercell.

    Parameters
    ----------
    structure : Structure
        A supercell that has relaxed, so that it need not be quite hexagonal.
    supercell : tuple of int
        See `make_dataset.TWELVE`.

    Returns
    -------
    dict
        ``a`` from the area of a layer, ``c`` from its thickness, in angstrom.
    """
    m, n, layers, _ = supercell
    area = float(np.linalg.norm(np.cross(*structure.lattice.matrix[:2])))
    return {
        "a": round(math.sqrt(area / (m * n * math.sin(math.pi / 3))), 5),
        "c": round(3 * structure.volume / (area * layers), 5),
    }


def strain(structure: Structure, host: str, log: dict[str, Row]) -> Structure:
    """Return a supercell with the relaxed lattice constants of its host."""
    published, relaxed = read_hosts()[host], log[host]
    factors = [float(relaxed[x]) / published[x] for x in ("a", "a", "c")]
    return Structure(
        Lattice(structure.lattice.matrix * factors), structure.species, structure.frac_coords
    )


class Labeller:
    """Computes what the log lacks.

    Parameters
    ----------
    path : Path
        The log, made if missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = read_log(path)
        self.potential = cache(Potential)
        if not path.exists():
            path.write_text(",".join(LOG_COLUMNS) + "\n", encoding="utf-8")

    def compute_references(self, groups: list[Group]) -> None:
        """Relax bcc Li and the cells of the hosts.

        Parameters
        ----------
        groups : list of Group
            Of all hosts.
        """
        if LITHIUM not in self.log:
            lithium = Structure(Lattice.cubic(3.51), ["Li", "Li"], [[0, 0, 0], [0.5, 0.5, 0.5]])
            relaxed, row = self.potential().relax_cell(lithium)
            self._add({"id": LITHIUM, "kind": "reference", **row, "a": round(relaxed.lattice.a, 5)})
        for group in groups:
            if group.host not in self.log:
                relaxed, row = self.potential().relax_cell(group.pristine)
                row |= hexagonal_constants(relaxed, group.supercell)
                self._add({"id": group.host, "kind": "cell", **row})

    def compute_group(self, group: Group, members: list[Member]) -> None:
        """Relax a pristine supercell and the structures that are made from it.

        Parameters
        ----------
        group : Group
            The pristine supercell.
        members : list of Member
            The structures.
        """
        members = [member for member in members if member.cif_id not in self.log]
        if not members and group.name in self.log:
            return
        pristine, row = self.potential().relax_ions(strain(group.pristine, group.host, self.log))
        if group.name not in self.log:
            self._add({"id": group.name, "kind": "pristine", **row})
        for member in members:
            start = pristine.copy()
            start.remove_sites(member.removed)
            _, row = self.potential().relax_ions(start)
            self._add({"id": member.cif_id, "kind": "vacancies", **row})

    def _add(self, row: Row) -> None:
        row = {name: row.get(name, "") for name in LOG_COLUMNS}
        self.log[row["id"]] = row
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, LOG_COLUMNS, lineterminator="\n").writerow(row)
        print(*row.values(), flush=True)


def read_log(path: Path) -> dict[str, Row]:
    """Return the rows of the log by their id; none where there is no log."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["id"]: row for row in csv.DictReader(lines)}


def formation_energy(member: Member, log: dict[str, Row]) -> float:
    """Return the formation energy of a vacancy, in eV.

    The energy with n vacancies, plus n times that of an atom of bcc Li, less that of the pristine
    supercell, all over n.

    Parameters
    ----------
    member : Member
        The structure.
    log : dict of str to dict
        See `read_log`.

    Returns
    -------
    float
    """
    n = len(member.removed)
    with_vacancies, pristine, lithium = (
        float(log[name]["energy"]) for name in (member.cif_id, member.group.name, LITHIUM)
    )
    return (with_vacancies + n * lithium / 2 - pristine) / n


def main() -> None:
    """Compute what is missing and write ``id_prop.csv``."""
    parser = argparse.ArgumentParser(description="Label the structures of the set.")
    parser.add_argument("--log", type=Path, default=FOLDER / "labels_log.csv")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of id_prop.csv")
    parser.add_argument(
        "--part", default="0/1", help="for several processes: which share of the groups, as in 0/2"
    )
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    groups = make_groups()
    labeller = Labeller(arguments.log)
    labeller.compute_references(groups)
    members = {group.name: list(make_members(group)) for group in groups}
    for group in groups[part::parts]:
        labeller.compute_group(group, members[group.name])
    log = read_log(arguments.log)
    labeled = [member for each in members.values() for member in each if member.cif_id in log]
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "id_prop.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cif_id", "formation_energy", "defect_label"])
        for member in labeled:
            energy = f"{formation_energy(member, log):.4f}"
            writer.writerow([member.cif_id, energy, member.label])


if __name__ == "__main__":
    main()
