"""Crystals with vacancies: atoms of one element taken out at random, by a seed."""

from skcgcnn.vacancies._files import make_vacancy_files
from skcgcnn.vacancies._make import (
    SYMPREC,
    fit_supercell,
    make_vacancies,
    order_sites,
    site_permutations,
    write_cif,
)

__all__ = [
    "SYMPREC",
    "fit_supercell",
    "make_vacancies",
    "make_vacancy_files",
    "order_sites",
    "site_permutations",
    "write_cif",
]
