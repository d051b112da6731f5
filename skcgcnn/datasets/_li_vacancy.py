"""The bundled Li vacancies in layered oxides."""

from pathlib import Path
from typing import Any

from skcgcnn.datasets._groups import load_groups
from skcgcnn.datasets._id_prop import groups_of, make_bunch, read_table

# The wheel holds a copy; in a clone of the repository the data have a folder of their own.
_IN_WHEEL = Path(__file__).parent / "li_vacancy"
_IN_CLONE = Path(__file__).parents[2] / "vacancy_data"
LI_VACANCY_FOLDER = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CLONE


def load_li_vacancy(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the bundled Li vacancies in layered cathode oxides.

    Supercells of LiCoO2, LiNiO2, LiNi1/3Co1/3Mn1/3O2, LiNi0.8Co0.1Mn0.1O2 and
    LiNi0.8Co0.15Al0.05O2, each with two or three Li missing, as they are before any calculation.
    The energies come from the CHGNet potential, not from experiment; see ``DESCR``.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Give ``target`` as a pandas DataFrame, and ``frame`` with paths and targets.

    Returns
    -------
    Bunch, or (data, target)
        ``data`` : list of str
            Paths of the CIFs.
        ``target`` : ndarray of shape (n_crystals, 2)
            Formation energy in eV per vacancy; 1 where two vacancies are nearest neighbors in
            one Li layer, 0 where all are isolated.
        ``target_names`` : list of str
            "formation_energy" and "defect_label".
        ``groups`` : ndarray of str of shape (n_crystals,)
            Host and arrangement of its metals. A split should keep groups together.
        ``cif_ids``, ``filename``, ``frame``, ``DESCR`` : list, str, DataFrame or None, str
            As everywhere in scikit-learn.

    Examples
    --------
    >>> from skcgcnn.datasets import load_li_vacancy
    >>> vacancies = load_li_vacancy()
    >>> vacancies.target_names
    ['formation_energy', 'defect_label']
    >>> len(vacancies.data) == len(vacancies.target) == len(vacancies.groups) >= 300
    True
    """
    table = read_table(LI_VACANCY_FOLDER, count_others=False)
    return make_bunch(
        table,
        return_X_y=return_X_y,
        as_frame=as_frame,
        groups=groups_of(load_groups(LI_VACANCY_FOLDER, table.cif_ids), table),
        DESCR=(LI_VACANCY_FOLDER / "README.md").read_text(encoding="utf-8"),
    )
