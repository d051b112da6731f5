"""Loaders of data: a folder of CIFs with its ``id_prop.csv``, and the bundled datasets."""

from skcgcnn.datasets._cells import is_missing_cell, number
from skcgcnn.datasets._column_names import (
    CRYSTAL_NAMES,
    file_columns,
    id_columns,
    is_index_name,
    named_columns,
    shifted_header,
)
from skcgcnn.datasets._crystal_files import names_of_crystal
from skcgcnn.datasets._groups import load_groups
from skcgcnn.datasets._id_column import find_id_column
from skcgcnn.datasets._id_prop import (
    Table,
    find_features,
    find_table,
    groups_of,
    join_columns,
    load_id_prop,
    read_table,
)
from skcgcnn.datasets._li_vacancy import LI_VACANCY_FOLDER, load_li_vacancy
from skcgcnn.datasets._sample import (
    SAMPLE_FOLDER,
    load_sample_classification,
    load_sample_regression,
)
from skcgcnn.datasets._tables import (
    TABLES,
    UNREADABLE,
    Sheet,
    open_text,
)
from skcgcnn.datasets._written import write_rows, write_table

__all__ = [
    "CRYSTAL_NAMES",
    "LI_VACANCY_FOLDER",
    "SAMPLE_FOLDER",
    "TABLES",
    "UNREADABLE",
    "Sheet",
    "Table",
    "file_columns",
    "find_features",
    "find_id_column",
    "find_table",
    "groups_of",
    "id_columns",
    "is_index_name",
    "is_missing_cell",
    "join_columns",
    "load_groups",
    "load_id_prop",
    "load_li_vacancy",
    "load_sample_classification",
    "load_sample_regression",
    "named_columns",
    "names_of_crystal",
    "number",
    "open_text",
    "read_table",
    "shifted_header",
    "write_rows",
    "write_table",
]
