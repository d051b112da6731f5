"""Files with vacancies from a file without: what ``skcgcnn make-vacancies`` does."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from skcgcnn._files import check_folder
from skcgcnn._warnings import ignored_warnings
from skcgcnn.crystals import read_crystal
from skcgcnn.exceptions import StructureError
from skcgcnn.vacancies._make import make_vacancies, write_cif


def make_vacancy_files(
    path: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    n_structures: int = 1,
    **options: Any,
) -> list[Path]:
    """Write ``<stem>_aug0.cif``, ``<stem>_aug1.cif``, ... with vacancies.

    Parameters
    ----------
    path : path
        The crystal without vacancies: a CIF, or another file that both `read_crystal` and pymatgen
        read. What is refused as a crystal of a training is refused here too.
    output : path, optional
        Folder of the files, made if need be; by default that of `path`.
    n_structures : int, default=1
        Number of files.
    **options
        Those of `make_vacancies`.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    StructureError
        If the file cannot be read or `make_vacancies` refuses the crystal. The message names it.
    DataError
        If `output` is a file, or a link to nothing.
    FileExistsError
        If one of the files exists; then none is written.
    """
    path = Path(path)
    folder = path.parent if output is None else Path(output)
    check_folder(folder)
    structure = _read(path)
    try:
        made = make_vacancies(structure, n_structures, **options)
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from error
    files = [folder / f"{path.stem}_aug{i}.cif" for i in range(n_structures)]
    for file in files:
        if file.exists():
            raise FileExistsError(
                f"{file} exists already; remove it or choose another folder (--output)"
            )
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for each, file in zip(made, files, strict=True):
            write_cif(each, file)
            written.append(file)
    except BaseException:  # a part of them would refuse the command when it is repeated
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return files


def _read(path: Path) -> Any:
    from pymatgen.core import Structure

    if not path.is_file():
        raise StructureError(f"{path}: no such file")
    try:
        # It refuses what pymatgen would take for something else, or leave out.
        crystal = read_crystal(path)
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from error
    try:
        # What pymatgen repairs, such as 0.3333 to 1/3, it repairs as documented.
        with ignored_warnings():
            structure = Structure.from_file(path)
    except Exception as error:  # pymatgen's parsers raise whatever the text provokes
        raise StructureError(f"{path}: pymatgen cannot read it ({error})") from error
    found = (structure.lattice.matrix, structure.cart_coords)
    if len(structure) != len(crystal.species) or not all(
        np.allclose(*pair, atol=1e-3)
        for pair in zip(found, (crystal.lattice, crystal.coords), strict=True)
    ):
        raise StructureError(
            f"{path}: pymatgen reads another crystal from it than a training does; keep one "
            "crystal in it, and write it as a CIF"
        )
    return structure
