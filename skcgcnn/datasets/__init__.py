"""Loaders of data: a folder of CIFs with its ``id_prop.csv``, and the bundled datasets."""

from skcgcnn.datasets._columns import is_missing_cell, number, with_point
from skcgcnn.datasets._id_prop import (
    Table,
    choose_columns,
    join_columns,
    load_id_prop,
    read_groups,
    read_table,
)
from skcgcnn.datasets._li_vacancy import LI_VACANCY_FOLDER, load_li_vacancy
from skcgcnn.datasets._sample import (
    SAMPLE_FOLDER,
    load_sample_classification,
    load_sample_regression,
)

__all__ = [
    "LI_VACANCY_FOLDER",
    "SAMPLE_FOLDER",
    "Table",
    "choose_columns",
    "is_missing_cell",
    "join_columns",
    "load_id_prop",
    "load_li_vacancy",
    "load_sample_classification",
    "load_sample_regression",
    "number",
    "read_groups",
    "read_table",
    "with_point",
]
